//! The mechanism against a directory, a clock and a ledger that fail when told to.

mod closing;
mod hanging;
mod lagging;
mod leavers;
mod lookups;
mod lost;
mod many;
mod memberships;
mod model;
mod monitoring;
mod names;
mod notes;
mod outages;
mod padded;
mod parts;
mod people;
mod refusals;
mod refusing;
mod restarts;
mod roles;
mod rules;
mod sessions;
mod sign_ins;
mod signing_in;
mod spellings;
mod strays;
mod team;
mod tickets;
mod together;
mod unrecorded;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use tempfile::TempDir;
use ticketgate_access::desired::DirectoryEnd;
use ticketgate_access::session::Right;
use ticketgate_ledger::{AuditQuery, Ledger, SqliteLedger};
use ticketgate_protocol::api::{Activate, EndAll, EndCause, PasswordWanted, Session, State};
use ticketgate_protocol::ids::{CustomerId, IdempotencyKey, PolicyId};
use ticketgate_protocol::problem::{Code, Problem};

use self::model::{Model, Mood, One, TestClock};
use self::refusing::Refusing;
use self::tickets::Scripted;
use super::{Broker, Caller, Clock};

const ADMINS: &str = "CN=Domain Admins,CN=Users,DC=acme,DC=example";
const SERVERS: &str = "CN=Server Admins,CN=Users,DC=acme,DC=example";

/// How often a test looks for something before it gives up: ten seconds, which only a failing test needs.
const LOOKS: u32 = 1000;

fn configuration() -> String {
    let policy = |id: &str, mode: &str, right: &str| {
        format!(
            "[[policy]]\nid = \"{id}\"\nname = \"{id}\"\ndirectory = \"acme-ad\"\nmode = \"{mode}\"\nrights = [\"{right}\"]\n\
             duration = {{ default = \"1h\", max = \"4h\", choices = [\"1h\", \"4h\"] }}\neligible = {{ groups = [\"tier2\"] }}\nticket = {{ required = true }}\n"
        )
    };
    [
        "[broker]\nadministrators = [\"boss\"]\nrate = { per_minute = 20 }\n".to_owned(),
        "[[technician]]\nid = \"tech1\"\ngroups = [\"tier2\"]\n[[technician]]\nid = \"boss\"\n".to_owned(),
        "[[customer]]\nid = \"acme\"\nname = \"Acme Corp\"\n".to_owned(),
        "[[directory]]\nid = \"acme-ad\"\ncustomer = \"acme\"\nkind = \"active_directory\"\nservers = [\"ldaps://dc1.acme.example\"]\n\
         bind_dn = \"CN=svc,DC=acme,DC=example\"\npassword = { file = \"/none\" }\naccount_unit = \"OU=JIT,DC=acme,DC=example\"\n"
            .to_owned(),
        policy("domain", "dedicated", ADMINS),
        policy("servers", "dedicated", SERVERS),
        policy("burner", "burner", ADMINS),
        policy("own", "membership", ADMINS),
    ]
    .join("\n")
}

pub(super) struct World {
    pub(super) broker: Arc<Broker>,
    directory: Arc<Model>,
    psa: Arc<Scripted>,
    clock: Arc<TestClock>,
    ledger: Arc<dyn Ledger>,
    refusing: Arc<Refusing>,
    folder: TempDir,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with_ledger_refusing("").await
    }

    async fn with_ledger_refusing(name: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = TestClock::new();
        let directory = Model::new(Arc::clone(&clock));
        Self::on(folder, clock, directory, name).await
    }

    async fn on(folder: TempDir, clock: Arc<TestClock>, directory: Arc<Model>, name: &'static str) -> Self {
        Self::with(folder, clock, directory, Arc::default(), name).await
    }

    async fn with(
        folder: TempDir,
        clock: Arc<TestClock>,
        directory: Arc<Model>,
        psa: Arc<Scripted>,
        name: &'static str,
    ) -> Self {
        let path = folder.path().join("ledger.sqlite");
        let ledger: Arc<dyn Ledger> =
            Arc::new(SqliteLedger::open(&path, &folder.path().join("audit.key")).unwrap());
        let refusing = Arc::new(Refusing::of(Arc::clone(&ledger), name));
        let one = One { directory: directory.clone(), psa: psa.clone() };
        let broker = Broker::new(refusing.clone(), clock.clone(), Arc::new(one));
        broker.load_settings(&configuration()).await.unwrap();
        Self { broker, directory, psa, clock, ledger, refusing, folder }
    }

    /// The process dies and another one starts on the same state.
    async fn restarted(self) -> Self {
        drop(self.broker);
        let world = Self::on(self.folder, self.clock, self.directory, "").await;
        world.broker.recover().await.unwrap();
        world.run();
        world
    }

    fn run(&self) {
        tokio::spawn(Arc::clone(&self.broker).run_ends());
    }

    fn caller(&self, login: &str) -> Caller {
        Caller::identify(self.broker.settings().config.as_ref(), login, false)
    }

    async fn try_activate(&self, policy: &str, key: &str, seconds: i64) -> Result<Session, Code> {
        self.wish(policy, key, seconds).await.map_err(|p| p.code)
    }

    async fn wish(&self, policy: &str, key: &str, seconds: i64) -> Result<Session, Problem> {
        self.wish_for("", "4711", policy, key, seconds).await
    }

    /// For the ticket of this number in this system; no system: typed.
    async fn wish_for(
        &self,
        system: &str,
        number: &str,
        policy: &str,
        key: &str,
        seconds: i64,
    ) -> Result<Session, Problem> {
        let wish = Activate {
            customer: Some(CustomerId::new("acme").unwrap()),
            policy: PolicyId::new(policy).unwrap(),
            duration_s: seconds,
            reason: "#4711 Outlook crashes".into(),
            ticket: Some(ticketgate_protocol::ticket::Ticket {
                system: system.into(),
                number: number.into(),
                ..Default::default()
            }),
        };
        let caller = self.caller("tech1");
        self.broker.activate(&caller, &IdempotencyKey::new(key).unwrap(), &wish).await
    }

    pub(super) async fn activate(&self, policy: &str, key: &str) -> Session {
        self.try_activate(policy, key, 3600).await.unwrap()
    }

    async fn end(&self, session: &Session, key: &str) -> Session {
        self.broker.end(&self.caller("tech1"), &IdempotencyKey::new(key).unwrap(), &session.id).await.unwrap()
    }

    async fn session(&self, session: &Session) -> Session {
        self.broker.show_session(&self.caller("boss"), &session.id).await.unwrap()
    }

    async fn becomes(&self, session: &Session, state: State) -> Session {
        let what = format!("{} to be {state:?}", session.id);
        self.until(&what, || {}, async |world| world.session(session).await.state == state).await;
        self.session(session).await
    }

    /// Waits for what the broker does on its own, with a step of the clock, say, between two looks.
    async fn until(&self, what: &str, between: impl Fn(), look: impl AsyncFn(&Self) -> bool) {
        for _ in 0..LOOKS {
            if look(self).await {
                return;
            }
            between();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("waited for {what}; sessions: {:?}", self.broker.list(Default::default()).await);
    }

    async fn actions(&self) -> Vec<String> {
        self.ledger.audit(AuditQuery::default()).await.unwrap().into_iter().map(|r| r.action).collect()
    }

    fn closed(&self, name: &str) {
        let account = self.directory.account(name).unwrap();
        assert!(!account.enabled && account.rights.is_empty(), "{account:?}");
        assert!(matches!(account.end, DirectoryEnd::At(at) if at <= self.clock.now()), "{account:?}");
        assert!(!self.directory.passwords.lock().unwrap().contains_key(name), "the password was not rotated");
    }
}
