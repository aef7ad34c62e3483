//! What a test tells a tenant: settings of its administrators, and everything that can go wrong.

use super::organisation::{Failure, Organisation};
use super::sign_in::{Token, written};
use super::state::{Held, PassPolicy, Rules};
use super::{Asked, Pair, Tenant, locked};
use crate::Result;
use crate::tenant::caller::Caller;
use std::path::PathBuf;
use std::time::Duration;

impl Tenant {
    /// Its id, as in the configuration.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its verified domain, as `acme.onmicrosoft.com`.
    pub fn domain(&self) -> String {
        format!("{}.onmicrosoft.com", self.name)
    }

    /// The app's id.
    pub fn client_id(&self) -> &str {
        &self.client
    }

    /// The app's secret.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The registered certificate (PEM).
    ///
    /// # Errors
    /// openssl is not installed.
    pub fn certificate(&self) -> Result<PathBuf> {
        Ok(Pair::registered()?.certificate)
    }

    /// Its key (PKCS#8, PEM).
    ///
    /// # Errors
    /// openssl is not installed.
    pub fn key(&self) -> Result<PathBuf> {
        Ok(Pair::registered()?.key)
    }

    /// It as a `[[directory]]` of the product's configuration, to which more keys may be added. [`super::Entra::through_prism`] comes
    /// first.
    ///
    /// # Errors
    /// openssl is not installed.
    pub fn section(&self, id: &str, customer: &str) -> Result<String> {
        let (login, graph) = {
            let world = locked(&self.world);
            (world.login.clone(), world.front.clone())
        };
        let (certificate, key) = (self.certificate()?, self.key()?);
        Ok(format!(
            "[[directory]]\nid = \"{id}\"\ncustomer = \"{customer}\"\nkind = \"entra\"\ntenant = \"{}\"\nclient_id = \"{}\"\n\
             certificate = \"{}\"\nkey = {{ file = \"{}\" }}\naccount_domain = \"{}\"\nlogin_url = \"{login}\"\n\
             graph_url = \"{graph}\"\n",
            self.id(),
            self.client_id(),
            certificate.display(),
            key.display(),
            self.domain(),
        ))
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Organisation) -> T) -> T {
        let mut world = locked(&self.world);
        let tenant = world.tenants.get_mut(self.place);
        // Tenants are only ever added.
        act(tenant.unwrap_or_else(|| unreachable!("tenant {} is there", self.place)))
    }

    /// The next `writes` writes are acknowledged at once and shown only after `time`; so are those after them that come in between.
    pub fn lag(&self, writes: u32, time: Duration) {
        self.with(|tenant| tenant.told.lag = (writes > 0).then_some((writes, time)));
    }

    /// Ends [`Self::lag`]: all is shown now.
    pub fn show_all(&self) {
        self.with(Organisation::show_all);
    }

    /// The next `requests` requests are refused with 429 and this `Retry-After`, as `"2.128"`, or none. Microsoft describes a number: with a
    /// date, the proxy says 500 instead.
    pub fn throttle(&self, requests: u32, retry_after: Option<&str>) {
        let told = (requests > 0).then(|| (requests, retry_after.map(str::to_owned)));
        self.with(|tenant| tenant.told.throttle = told);
    }

    /// The same of the next `requests` sign-ins.
    pub fn throttle_sign_in(&self, requests: u32, retry_after: Option<&str>) {
        let told = (requests > 0).then(|| (requests, retry_after.map(str::to_owned)));
        self.with(|tenant| tenant.told.busy_login = told);
    }

    /// Whether the tenant has the licence that PIM needs.
    pub fn pim(&self, licensed: bool) {
        self.with(|tenant| tenant.told.no_pim = !licensed);
    }

    /// The rules of a role (its name) or group (its id) change.
    fn rules(&self, of: &str, change: impl FnOnce(&mut Rules)) {
        self.with(|tenant| {
            let role = tenant.state.roles.iter().find(|role| role.name == of);
            let id = role.map_or_else(|| of.to_owned(), |role| role.id.clone());
            change(tenant.state.rules.entry(id).or_default());
        });
    }

    /// Somebody has to approve each request for this role or group.
    pub fn approval(&self, of: &str) {
        self.rules(of, |rules| rules.approval = true);
    }

    /// What a request for this role or group has to have: `Justification` (the only one at first), `Ticketing`,
    /// `MultiFactorAuthentication`.
    pub fn demand(&self, of: &str, what: &[&str]) {
        self.rules(of, |rules| rules.demands = what.iter().map(|name| (*name).to_owned()).collect());
    }

    /// The longest assignment and activation of this role or group; then none is for ever.
    pub fn longest(&self, of: &str, time: Duration) {
        let time = chrono::Duration::from_std(time).unwrap_or_default();
        self.rules(of, |rules| {
            rules.longest_assignment = Some(time);
            rules.longest_activation = time;
        });
    }

    /// An authentication context for this role or group, as `c1`.
    pub fn context(&self, of: &str, name: &str) {
        self.rules(of, |rules| rules.context = Some(name.to_owned()));
    }

    /// The policy on Temporary Access Passes.
    pub fn pass_policy(&self, policy: PassPolicy) {
        self.with(|tenant| tenant.state.pass_policy = policy);
    }

    /// Whether an account that is disabled can get a pass; it can, at first.
    pub fn passes_while_disabled(&self, possible: bool) {
        self.with(|tenant| tenant.told.no_pass_while_disabled = !possible);
    }

    /// Takes consents of the app away. A token that was given out keeps them, as Microsoft's do: see [`Self::forget_tokens`].
    pub fn consent_without(&self, permissions: &[&str]) {
        self.with(|tenant| tenant.consents.retain(|name| !permissions.contains(&name.as_str())));
    }

    /// Whether the app holds a directory role, without which it may not touch administrators' accounts; it does, at first.
    pub fn app_role(&self, holds: bool) {
        self.with(|tenant| tenant.told.no_app_role = !holds);
    }

    /// The next request whose path contains this is refused so; several wait in order. `/token` is the sign-in.
    pub fn fail_next(&self, path: &str, status: u16, code: &str) {
        let failure = Failure { path: path.to_owned(), status, code: code.to_owned() };
        self.with(|tenant| tenant.told.failures.push(failure));
    }

    /// The answer to the `nth` request of Graph from now (0: the next) is lost: what it asks for is done, the connection breaks.
    pub fn lose_answer(&self, nth: u32) {
        self.with(|tenant| tenant.told.lose = Some(nth));
    }

    /// Each answer takes so long.
    pub fn delay(&self, time: Duration) {
        self.with(|tenant| tenant.told.delay = time);
    }

    /// PIM answers `PendingProvisioning` and has done it only after this, by the tenant's clock.
    pub fn provisioning(&self, time: Duration) {
        self.with(|tenant| tenant.told.provisioning = chrono::Duration::from_std(time).unwrap_or_default());
    }

    /// At most so many items of a list at once.
    pub fn page_size(&self, items: usize) {
        self.with(|tenant| tenant.told.page_size = Some(items));
    }

    /// Links to next pages lead to another server.
    pub fn foreign_links(&self, url: &str) {
        self.with(|tenant| tenant.told.foreign_links = Some(url.to_owned()));
    }

    /// Moves the tenant's clock: rights and passes end, the five minutes of PIM pass, and `Date` says so. Signing in has a clock of its
    /// own ([`super::Entra::move_sign_in_clock`]), so that the client need not move along.
    pub fn move_clock(&self, by: Duration) {
        self.with(|tenant| tenant.move_clock(chrono::Duration::from_std(by).unwrap_or_default()));
    }

    /// Sets the tenant's clock back.
    pub fn set_clock_back(&self, by: Duration) {
        self.with(|tenant| tenant.move_clock(-chrono::Duration::from_std(by).unwrap_or_default()));
    }

    /// No token that was given out is good any more.
    pub fn forget_tokens(&self) {
        locked(&self.world).tokens.retain(|_, token| token.tenant != self.place);
    }

    /// The app's next tokens are good for so many seconds only.
    pub fn token_lasts(&self, seconds: u32) {
        self.with(|tenant| tenant.told.token_lasts_s = Some(seconds.into()));
    }

    /// Every token is met with a challenge (401, `insufficient_claims`) that only one answers that was asked for with `claims`.
    pub fn challenge(&self, claims: &str) {
        self.with(|tenant| tenant.told.challenge = Some(claims.to_owned()));
    }

    /// The app's secret is over.
    pub fn secret_is_over(&self) {
        self.with(|tenant| tenant.registered.secret_is_over = true);
    }

    /// Another certificate than so far is the app's.
    ///
    /// # Errors
    /// The files are no pair.
    pub fn register(&self, pair: &Pair) -> Result<()> {
        let registered = (pair.thumbprint()?, pair.public_key()?);
        self.with(|tenant| tenant.registered.certificates = vec![registered]);
        Ok(())
    }

    /// A token of a person, as if they had signed in, with these delegated permissions.
    pub fn token_of(&self, user: &str, permissions: &[&str]) -> String {
        let mut world = locked(&self.world);
        let now = world.sign_in_now();
        let Some(tenant) = world.tenants.get(self.place) else { return String::new() };
        let id = tenant.state.user(user).map(|user| user.id.clone());
        let permissions = permissions.iter().map(|name| (*name).to_owned()).collect();
        let caller = Caller { user: id, permissions, answers_challenge: true };
        let text = written(tenant, &caller, now);
        let until = now + chrono::Duration::hours(1);
        world
            .tokens
            .insert(text.clone(), Token { tenant: self.place, caller, until, answers_challenge: true });
        text
    }

    /// The id of the client that people sign in to: `http://localhost` is its address, the port does not count, the path does.
    pub fn public_client(&self) -> String {
        self.with(|tenant| tenant.public_client.clone())
    }

    /// Who sits at the browser from now on and agrees to all that an administrator agreed to; `None`: somebody who cancels.
    pub fn person(&self, user: Option<&str>) {
        self.with(|tenant| tenant.told.person = user.map(str::to_owned));
    }

    /// Whether people hold no directory role: then they may do, and see, only what is their own.
    pub fn people_are_nobody(&self, so: bool) {
        self.with(|tenant| tenant.told.people_are_nobody = so);
    }

    /// PIM takes so long to let go of an activation that was given back (measured by others: 12 s for a directory role).
    pub fn lets_go_after(&self, time: Duration) {
        self.with(|tenant| tenant.told.lets_go = chrono::Duration::from_std(time).unwrap_or_default());
    }

    /// Whether a refresh token is not enough any more (`interaction_required`).
    pub fn interaction(&self, required: bool) {
        self.with(|tenant| tenant.told.interaction = required);
    }

    /// Takes delegated consents away.
    pub fn delegated_without(&self, permissions: &[&str]) {
        self.with(|tenant| tenant.delegated.retain(|name| !permissions.contains(&name.as_str())));
    }

    /// What is done at the address that a device shows, to this code: this user agrees, or somebody declines. Whether there is such a code.
    pub fn answer_device(&self, user_code: &str, user: Option<&str>) -> bool {
        let mut world = locked(&self.world);
        let user = user.and_then(|user| Some(world.tenants.get(self.place)?.state.user(user)?.id.clone()));
        let device = world.devices.values_mut().find(|device| device.user_code == user_code);
        device.map(|device| device.answer = Some(user)).is_some()
    }

    /// Everything that this tenant was asked so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        locked(&self.world).journal.iter().filter(|asked| asked.tenant == self.name).cloned().collect()
    }

    /// The same of Graph alone as lines, as `PATCH /users/{user-id} 204`.
    pub fn lines(&self) -> Vec<String> {
        let graph = self.asked().into_iter().filter(|asked| !asked.template.starts_with("/{tenant}"));
        graph.map(|asked| asked.line()).collect()
    }

    /// Forgets what this tenant was asked so far.
    pub fn forget_asked(&self) {
        locked(&self.world).journal.retain(|asked| asked.tenant != self.name);
    }

    /// The id of a role, by its name.
    pub fn role(&self, name: &str) -> Option<String> {
        self.with(|tenant| {
            tenant.state.roles.iter().find(|role| role.name == name).map(|role| role.id.clone())
        })
    }

    /// A directory role for the whole tenant, or a membership, by role name or group id.
    pub(super) fn held(tenant: &Organisation, of: &str) -> Held {
        match tenant.state.roles.iter().find(|role| role.name == of || role.id == of) {
            Some(role) => Held::Role { id: role.id.clone(), scope: "/".to_owned() },
            None => Held::Group { id: of.to_owned(), owner: false },
        }
    }
}
