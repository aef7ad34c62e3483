//! A tenant, the connector on it, and the broker's loop in small: look, plan, apply, look again.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_access::config::{self, Cloud, Proof, SecretRef, SignIn};
use ticketgate_access::desired::{Observed, Step, desired, plan};
use ticketgate_access::session::{Account, AccountKey, Right, Session};
use ticketgate_credentials::Secret;
use ticketgate_directory::{Directory, DirectoryError, EntraTenant, alike, generate_for};
use ticketgate_protocol::api::{Mode, State};
use ticketgate_protocol::ticket::Ticket;
use ticketgate_tests::prism::Prism;
use ticketgate_tests::tenant::{Entra, SeenRight, Tenant};

pub(crate) const EXCHANGE: &str = "Exchange Administrator";
pub(crate) const ROLE: &str = "role:exchange administrator";

/// Several tenants behind one proxy.
pub(crate) struct World {
    pub(crate) entra: Entra,
    pub(crate) graph: Prism,
}

impl World {
    pub(crate) fn new() -> Self {
        let entra = Entra::start().unwrap();
        let graph = entra.through_prism().unwrap();
        Self { entra, graph }
    }

    /// The configuration of a tenant.
    pub(crate) fn settings(&self, tenant: &Tenant) -> config::Entra {
        config::Entra {
            tenant: tenant.id().parse().unwrap(),
            client_id: tenant.client_id().parse().unwrap(),
            proof: Proof::Certificate {
                certificate: tenant.certificate().unwrap().display().to_string(),
                key: SecretRef::File(tenant.key().unwrap().display().to_string()),
            },
            account_domain: tenant.domain(),
            account_name: "jit-{technician}".into(),
            sign_in: SignIn::Password,
            pim_only: false,
            cloud: Cloud::Global,
            login_url: self.entra.login_url(),
            graph_url: self.graph.url(),
            ca_file: None,
            timeout_s: 10,
        }
    }

    /// A new tenant and the connector on it; its policies name these rights.
    pub(crate) fn scene(&self, name: &str, rights: &[&str]) -> Scene {
        self.scene_with(name, rights, |_| {})
    }

    pub(crate) fn scene_with(
        &self,
        name: &str,
        rights: &[&str],
        change: impl FnOnce(&mut config::Entra),
    ) -> Scene {
        let tenant = self.entra.tenant(name).unwrap();
        let mut settings = self.settings(&tenant);
        change(&mut settings);
        of_tenant(tenant, settings, rights)
    }

    /// The same on a tenant that is there already.
    pub(crate) fn scene_on(&self, tenant: Tenant, rights: &[&str]) -> Scene {
        let settings = self.settings(&tenant);
        of_tenant(tenant, settings, rights)
    }

    /// Nothing was sent or answered that Microsoft does not describe.
    pub(crate) fn is_as_described(&self) {
        assert_eq!(self.entra.strange(), Vec::<String>::new());
        assert_eq!(self.graph.violations().unwrap(), Vec::<String>::new());
    }
}

/// One account in one tenant.
pub(crate) struct Scene {
    pub(crate) tenant: Tenant,
    pub(crate) directory: EntraTenant,
    pub(crate) settings: config::Entra,
    pub(crate) account: Account,
    pub(crate) sessions: Vec<Session>,
    /// What people sign in with.
    pub(crate) credential: Option<String>,
}

fn of_tenant(tenant: Tenant, settings: config::Entra, rights: &[&str]) -> Scene {
    Scene {
        account: account(Mode::Dedicated, "jit-tech1", &tenant.domain()),
        tenant,
        directory: connector(&settings, rights),
        settings,
        sessions: Vec::new(),
        credential: None,
    }
}

fn connector(settings: &config::Entra, rights: &[&str]) -> EntraTenant {
    let known: BTreeSet<Right> = rights.iter().map(|right| Right((*right).into())).collect();
    EntraTenant::new(settings, &known).unwrap()
}

pub(crate) fn account(mode: Mode, name: &str, domain: &str) -> Account {
    Account {
        key: AccountKey(format!("acme-entra/{mode:?}/{name}")),
        directory: "acme-entra".parse().unwrap(),
        mode,
        technician: "tech1".parse().unwrap(),
        name: format!("{name}@{domain}"),
        identity: None,
        display_name: None,
        token: "token-of-the-ledger".into(),
        password_generation: 0,
        standing: Vec::new(),
        settled: true,
        attempts: 0,
        next_try: None,
        gone: false,
        version: 0,
    }
}

/// How often the loop looks without being told that it may not trust the look.
const LOOKS: usize = 6;
/// For how long it waits for a look that it may trust.
const BEHIND: Duration = Duration::from_secs(60);

impl Scene {
    pub(crate) fn name(&self) -> &str {
        &self.account.name
    }

    /// The shortest session, in minutes.
    pub(crate) fn shortest_min(&self) -> i64 {
        i64::from(self.settings.shortest_s(self.account.mode)) / 60
    }

    /// Another broker, whose policies name these rights.
    pub(crate) fn restart(&mut self, rights: &[&str]) {
        self.directory = connector(&self.settings, rights);
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        let now = DateTime::<Utc>::from(self.tenant.now());
        DateTime::from_timestamp(now.timestamp(), 0).unwrap()
    }

    /// A session with these rights for so many minutes.
    pub(crate) fn start(&mut self, rights: &[&str], minutes: i64) {
        let now = self.now();
        if self.sessions.iter().all(|session| !session.is_live(now)) {
            self.account.password_generation += 1;
        }
        let until = now + TimeDelta::minutes(minutes);
        self.sessions.push(Session {
            id: format!("s-{}", self.sessions.len()).parse().unwrap(),
            state: State::Active,
            technician: self.account.technician.clone(),
            customer: "acme".parse().unwrap(),
            directory: self.account.directory.clone(),
            policy: "policy".parse().unwrap(),
            policy_name: "Policy".into(),
            mode: self.account.mode,
            account: self.account.key.clone(),
            rights: rights.iter().map(|right| Right((*right).into())).collect(),
            reason: "#4711 mailbox".into(),
            ticket: Some(Ticket { system: "autotask".into(), number: "4711".into(), ..Ticket::default() }),
            requested_at: now,
            from: now,
            until,
            latest_end: until,
            active_at: None,
            end_cause: None,
            ended_at: None,
            trouble: None,
            whole: None,
            version: 1,
        });
    }

    pub(crate) fn end(&mut self) {
        for session in &mut self.sessions {
            session.state = State::Ending;
        }
        self.account.password_generation += 1;
    }

    /// The broker's loop. Answers the steps that it took.
    pub(crate) async fn converge(&mut self) -> Result<Vec<&'static str>, DirectoryError> {
        let mut taken = Vec::new();
        let (mut looks, begun) = (0, Instant::now());
        while looks < LOOKS {
            let seen = self.directory.observe(&self.account).await?;
            if seen.behind {
                assert!(begun.elapsed() < BEHIND, "it is never shown: {seen:?}");
                continue;
            }
            looks += 1;
            if let Some(account) = &seen.account {
                self.account.identity = Some(account.identity.clone());
            }
            let now = seen.directory_time;
            let (account, sessions, spelled) = alike(&self.directory, &self.account, &self.sessions, &seen);
            let wanted = desired(&account, &sessions, now);
            let steps = plan(&account, &wanted, &spelled, now).unwrap();
            if steps.is_empty() {
                self.sessions.retain(|session| session.state != State::Ending);
                return Ok(taken);
            }
            self.carry_out(&seen, &steps, &mut taken).await?;
        }
        panic!("it does not settle: {taken:?}");
    }

    /// As the broker does: what takes away goes on after a refusal, and a deleted account has nothing left.
    async fn carry_out(
        &mut self,
        seen: &Observed,
        steps: &[Step],
        taken: &mut Vec<&'static str>,
    ) -> Result<(), DirectoryError> {
        let mut refused = None;
        for step in steps {
            let adds = matches!(
                step,
                Step::Create(_) | Step::Grant { .. } | Step::Open { .. } | Step::SetEnd { .. }
            );
            if refused.is_some() && adds {
                continue;
            }
            match self.step(seen, step).await {
                Ok(()) if *step == Step::Delete => refused = None,
                Ok(()) => {}
                Err(error) if error.is_ambiguous() => return Ok(()),
                Err(error) if error.is_passing() => return Err(error),
                Err(error) => drop(refused.get_or_insert(error)),
            }
            taken.push(step.name());
        }
        refused.map_or(Ok(()), Err)
    }

    pub(crate) async fn step(&mut self, seen: &Observed, step: &Step) -> Result<(), DirectoryError> {
        let password = matches!(step, Step::Open { .. }).then(|| generate_for(&self.account.name).unwrap());
        let done = self.directory.apply(&self.account, seen, step, password.as_ref()).await;
        if let Some(password) = &password {
            let made = self.directory.take_credential(&self.account);
            self.credential = Some(made.as_ref().map_or(password, |made: &Secret| made).expose().to_owned());
        }
        done
    }

    pub(crate) fn held(&self) -> Vec<SeenRight> {
        self.tenant.held_by(self.name())
    }

    /// The rights that the account has, and whether each ends when the latest session does.
    pub(crate) fn holds(&self, rights: &[&str]) {
        let mut held: Vec<String> = self.held().into_iter().map(|held| held.right).collect();
        held.sort();
        let mut rights: Vec<String> = rights.iter().map(|right| (*right).to_owned()).collect();
        rights.sort();
        assert_eq!(held, rights);
    }

    pub(crate) fn user(&self) -> ticketgate_tests::tenant::SeenUser {
        self.tenant.user(self.name()).unwrap()
    }

    /// Whether people can sign in with what they were handed.
    pub(crate) fn signs_in(&self) -> bool {
        self.tenant.sign_in(self.name(), self.credential.as_deref().unwrap())
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.tenant.move_clock(Duration::from_secs(seconds));
    }
}
