//! The world that a history is played in: two directories of one customer, each behind a proxy, a broker, several technicians; and how
//! to start it anew.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use ticketgate_tests::http::Response;
use ticketgate_tests::ldap::View;
use ticketgate_tests::patience::{LIMIT, until, wait_for};
use ticketgate_tests::product::users::{User, users};
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::proxy::{Proxy, Weather as Network};
use ticketgate_tests::samba::{Options, SambaAd};
use ticketgate_tests::witness::{Ledger, parts_stand_together};

use crate::model::{Model, moved};
use crate::rules::{AT_ONCE, DIRECTORIES, GROUP, Grant, Rules, technician};

const LDAPS: u16 = 636;
/// People's accounts outlive every clock that is moved.
const A_YEAR: Duration = Duration::from_secs(365 * 86_400);

/// The words that the domains are made from.
const DOMAINS: [&str; DIRECTORIES.len()] = ["acme", "globex"];

/// Servers and people; one for many histories.
pub(crate) struct Stage {
    pub(crate) places: Vec<Place>,
    pub(crate) users: Vec<User>,
    /// Of all histories that nobody has counted yet.
    pub(crate) faults: Faults,
    pub(crate) wholes: Wholes,
}

/// A directory, and the way to it.
pub(crate) struct Place {
    pub(crate) ad: SambaAd,
    pub(crate) proxy: Proxy,
    look: Option<View>,
}

/// Sessions in several directories that were granted, and those that were taken back.
#[derive(Debug, Default)]
pub(crate) struct Wholes {
    pub(crate) granted: usize,
    pub(crate) taken_back: usize,
}

/// Faults that were asked for, and the points at which they were met.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) asked_for: usize,
    pub(crate) met: BTreeMap<String, usize>,
}

/// One history's own: a broker and what is known of it.
pub(crate) struct Scene<'a> {
    pub(crate) stage: &'a mut Stage,
    pub(crate) product: Product,
    pub(crate) model: Model,
    /// How long the broker's log was before the event.
    pub(crate) logged_before: usize,
    ledger: Option<Ledger>,
}

impl Place {
    fn new(domain: &'static str, people: usize) -> Result<Self> {
        let options = Options { customer: domain, movable_clock: true, audit: true, ..Options::default() };
        let ad = SambaAd::start(options)?;
        let proxy = Proxy::start(SocketAddr::from((ad.address(), LDAPS)))?;
        let mut look = ad.look()?;
        for who in 0..people {
            let name = technician(who);
            let made =
                look.create(&person(&ad, who)?, &name, ad.password("tech1")?, SystemTime::now() + A_YEAR)?;
            ensure!(made == 0, "no person {name}: {made}");
        }
        Ok(Self { ad, proxy, look: Some(look) })
    }

    /// Looks into the directory. A connection that a crash or a set clock ended is made anew.
    pub(crate) fn look<T>(&mut self, mut at: impl FnMut(&mut View, &SambaAd) -> Result<T>) -> Result<T> {
        if let Some(look) = &mut self.look
            && let Ok(seen) = at(look, &self.ad)
        {
            return Ok(seen);
        }
        let mut look = wait_for("a look into the directory", LIMIT, || Ok(self.ad.look().ok()))?;
        let seen = at(&mut look, &self.ad);
        self.look = Some(look);
        seen
    }

    /// Sets the directory's clock, so many seconds ahead of the true time. A logon after it was set back was seen to fail in Samba
    /// (49, data 54e: an error of its database); that one is ours.
    pub(crate) fn set_clock(&self, ahead: i64) -> Result<()> {
        self.ad.move_clock(&format!("{ahead:+}"))?;
        let password = self.ad.password("jit-svc")?;
        until("the service account to be let in", LIMIT, || Ok(self.ad.bind("jit-svc", password)?.accepted()))
    }

    /// What the server says against itself: a group that an account lists and that does not list the account. Both sides are the
    /// server's to keep, nobody can write only one of them, and it refuses to take away what only one side has.
    fn contradictions(&mut self, people: usize) -> Result<Vec<String>> {
        self.look(|look, ad| {
            let mut accounts = look.accounts_below(ad.account_unit())?;
            for who in 0..people {
                accounts.extend(look.account(&technician(who))?);
            }
            let mut found = Vec::new();
            for account in accounts {
                for group in account.groups {
                    if !look.members(&group)?.iter().any(|member| member.eq_ignore_ascii_case(&account.dn)) {
                        found.push(format!("{} lists {group}, which does not list it", account.dn));
                    }
                }
            }
            Ok(found)
        })
    }

    /// As if nothing had happened.
    fn clear(&mut self, people: usize) -> Result<()> {
        self.proxy.set(Network::Fair)?;
        self.set_clock(0)?;
        self.look(|look, ad| {
            for account in look.accounts_below(ad.account_unit())? {
                look.delete(&account.dn)?;
            }
            for who in 0..people {
                let account = look.account(&technician(who))?.context("a person is gone")?;
                for group in &account.groups {
                    look.remove_member(group, &account.dn)?;
                }
            }
            Ok(())
        })
    }
}

impl Stage {
    pub(crate) fn new() -> Result<Self> {
        let users = users();
        let places = DOMAINS.iter().map(|domain| Place::new(domain, users.len())).collect::<Result<_>>()?;
        Ok(Self { places, users, faults: Faults::default(), wholes: Wholes::default() })
    }

    /// Whether a server's database is damaged, and how. Nothing can be shown of the product in such a world.
    pub(crate) fn damage(&mut self) -> Result<Vec<String>> {
        let people = self.users.len();
        let found = self.places.iter_mut().map(|place| place.contradictions(people));
        Ok(found.collect::<Result<Vec<_>>>()?.concat())
    }

    /// A world in which nothing has happened, with a broker in it.
    pub(crate) fn scene(&mut self) -> Result<Scene<'_>> {
        let people = self.users.len();
        for place in &mut self.places {
            place.clear(people)?;
        }
        let mut product = Product::install(&self.configuration(Rules::default())?)?;
        product.serve_everyone();
        product.start_broker()?;
        Ok(Scene { stage: self, product, model: Model::default(), logged_before: 0, ledger: None })
    }

    /// The configuration file by these rules.
    pub(crate) fn configuration(&self, rules: Rules) -> Result<Configuration> {
        let mut written = Configuration::empty()
            .broker("administrators = [\"t1\"]")
            .generous()
            .broker(&format!("sessions_at_once = {AT_ONCE}"))
            .customer("acme", "Acme Corp", &[]);
        for (place, id) in self.places.iter().zip(DIRECTORIES) {
            let through = format!("ldaps://{}", place.proxy.address());
            // An answer that does not come is given up soon.
            written = written.directory(id, "acme", &place.ad).replace(&place.ad.url(), &through)?;
        }
        written = written.replace("account_unit =", "timeout = \"3s\"\naccount_unit =")?;
        for (who, user) in self.users.iter().enumerate() {
            let groups: &[&str] = if rules.admits(who) { &[GROUP] } else { &[] };
            let id = technician(who);
            let accounts = DIRECTORIES.map(|directory| (directory, id.as_str()));
            written = written.technician(&id, &user.login, groups, &accounts);
        }
        for policy in rules.policies() {
            let grants: Vec<_> = rules.grants(policy).iter().map(|grant| self.written(grant)).collect();
            written = written.with(&format!(
                "[[policy]]\nid = {id:?}\nname = {id:?}\ngrant = [{}]\n\
                 duration = {{ default = \"30m\", max = {:?} }}\neligible = {{ groups = [{GROUP:?}] }}\n",
                grants.join(", "),
                rules.max().0,
                id = policy.id,
            ));
        }
        Ok(written)
    }

    /// What a policy gives in one directory, as it stands in the file.
    fn written(&self, grant: &Grant) -> String {
        let (directory, mode) = (DIRECTORIES[grant.place], grant.mode.word());
        let rights = json!(self.rights(grant.place, grant.rights));
        format!("{{ directory = {directory:?}, mode = {mode:?}, rights = {rights} }}")
    }

    /// The DNs of a directory's groups, sorted.
    pub(crate) fn rights(&self, place: usize, short: &[&str]) -> Vec<String> {
        let ad = &self.places[place].ad;
        let mut rights: Vec<_> = short.iter().map(|short| ad.group(short).to_owned()).collect();
        rights.sort();
        rights
    }
}

/// The DN of a technician's own account.
fn person(ad: &SambaAd, who: usize) -> Result<String> {
    let (_, unit) = ad.person("tech1").split_once(',').context("no people")?;
    Ok(format!("CN={},{unit}", technician(who)))
}

impl Scene<'_> {
    /// The ledger, by plain SQL.
    pub(crate) fn ledger(&mut self) -> Result<&Ledger> {
        match &mut self.ledger {
            Some(ledger) => Ok(ledger),
            none => Ok(none.insert(Ledger::open(&self.product.state())?)),
        }
    }

    /// Asks the broker's API as a technician.
    pub(crate) fn api(
        &self,
        who: usize,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> Result<Response> {
        let user = self.stage.users.get(who).context("no such technician")?;
        user.ask(&self.product.socket(), method, path, key, body)
    }

    /// Compares directory and ledger, as a broker does at its start and every quarter of an hour.
    pub(crate) fn sweep(&self) -> Result<()> {
        let swept = self.api(0, "POST", "/v1/sweep", None, &Value::Null)?;
        ensure!(swept.status == 200, "no sweep: {}", swept.text());
        Ok(())
    }

    /// Puts what the model says on the clocks.
    pub(crate) fn turn_clocks(&self) -> Result<()> {
        self.product.move_clocks(self.model.wall, self.model.slept)?;
        for (place, ahead) in self.stage.places.iter().zip(self.model.directories) {
            place.ad.move_clock(&format!("{ahead:+}"))?;
        }
        Ok(())
    }

    /// Time passes everywhere.
    pub(crate) fn pass(&mut self, seconds: u32) -> Result<()> {
        self.model.pass(seconds);
        self.turn_clocks()
    }

    /// Kills the broker, if it still runs.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if self.product.broker_runs()? {
            self.product.kill_broker()?;
        }
        Ok(())
    }

    /// Starts a broker.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.put_wall_clock_right()?;
        self.product.start_broker()
    }

    /// Starts one that meets a fault.
    pub(crate) fn start_meeting(&mut self, fault: &str) -> Result<()> {
        self.put_wall_clock_right()?;
        self.product.start_broker_noting_points(fault)
    }

    /// A machine whose clock was behind its broker's time has been put right before a broker starts: what becomes of sessions
    /// otherwise is not this model's. Where none was open the wall clock is the time: by it began what nobody has heard of yet.
    fn put_wall_clock_right(&mut self) -> Result<()> {
        let rows = self.ledger()?.sessions()?;
        // Whatever the broker before died of.
        parts_stand_together(&rows)?;
        let mut open = rows.iter().filter(|row| row.is_open());
        if open.any(|row| self.model.sessions.iter().any(|held| held.id() == row.of())) {
            self.model.wall = self.model.broker;
        } else {
            self.model.broker = self.model.wall;
        }
        self.turn_clocks()
    }

    /// Writes a configuration, and waits until the broker has read it.
    pub(crate) fn configure(&mut self, written: &Configuration) -> Result<()> {
        const READ: &str = "SELECT count(*) FROM audit WHERE action LIKE 'broker.config_%'";
        let before = self.ledger()?.count(READ)?;
        self.product.configure(written)?;
        until("the configuration to be read", LIMIT, || Ok(self.ledger()?.count(READ)? > before))
    }

    /// Follows the broker's time where it may go either way: when nothing was open it follows a wall clock that was set back.
    pub(crate) fn read_broker_clock(&mut self, was_open: bool) -> Result<()> {
        let asked = SystemTime::now();
        let told = self.api(0, "GET", "/v1/broker", None, &Value::Null)?.json()?;
        let answered = SystemTime::now();
        let told = told.get("now").and_then(Value::as_str).context("no time")?;
        let told = self.ledger()?.time(told)?;
        let shows = |ahead: i64| {
            let (first, last) = (moved(asked, ahead), moved(answered, ahead));
            first - Duration::from_millis(1500) <= told && told <= last + Duration::from_millis(500)
        };
        if shows(self.model.broker) {
            return Ok(());
        }
        let idle = !was_open || self.model.live().next().is_none();
        ensure!(
            idle && shows(self.model.wall),
            "the broker's time is {told:?}, at {asked:?}, {} s ahead, wall clock {}, open before: {was_open}",
            self.model.broker,
            self.model.wall
        );
        self.model.broker = self.model.wall;
        Ok(())
    }
}

/// A wish at the one customer.
pub(crate) fn wish(policy: &str, for_s: u32) -> Value {
    json!({"customer": "acme", "policy": policy, "duration_s": for_s, "reason": "#4711 A random history"})
}
