//! The brokers of a test, each with a handle of its own on the one ledger and a way of its own to the one directory, by which a test
//! stops it in the middle of a call, as SIGSTOP does.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicI64;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ticketgate_access::config;
use ticketgate_access::desired::{Observed, Step};
use ticketgate_access::session::{Account, AccountKey};
use ticketgate_credentials::Secret;
use ticketgate_directory::{Directory, DirectoryError, Listing, Promises, RightUse};
use ticketgate_ledger::{BrokerEpoch, Heard, Lease, LedgerError, Shared};
use ticketgate_protocol::api::{Finding, Mode};
use ticketgate_psa::Psa;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use super::*;
use crate::broker::BuildConnectors;

/// A process that a test stops and wakes.
#[derive(Default)]
pub(super) struct Process {
    stopped: AtomicBool,
    /// It stops in the middle of the next step of this name: everything was checked, and nothing sent.
    stops_in: Mutex<Option<&'static str>>,
    /// The database cannot be reached from it.
    cut_off: AtomicBool,
    /// By how much the database's clock is set, in seconds.
    pub(super) clock_set: Arc<AtomicI64>,
}

impl Process {
    /// Goes on when the process does.
    async fn runs(&self) {
        while self.stopped.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn reaches(&self) -> Result<(), LedgerError> {
        self.runs().await;
        match self.cut_off.load(Ordering::SeqCst) {
            true => Err(LedgerError::Unavailable("cut off".into())),
            false => Ok(()),
        }
    }

    pub(super) fn stop_in(&self, step: &'static str) {
        *self.stops_in.lock().unwrap() = Some(step);
    }

    pub(super) fn stops_nowhere(&self) {
        *self.stops_in.lock().unwrap() = None;
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    pub(super) fn wake(&self) {
        self.stopped.store(false, Ordering::SeqCst);
    }

    pub(super) fn cut_off(&self, is: bool) {
        self.cut_off.store(is, Ordering::SeqCst);
    }
}

/// What a process has of the shared ledger.
pub(in crate::broker::tests) struct Through {
    inner: Arc<dyn Ledger>,
    process: Arc<Process>,
}

impl Through {
    fn shared(&self) -> &dyn Shared {
        self.inner.shared().unwrap()
    }

    pub(in crate::broker::tests) async fn pass(&self) -> Result<(), LedgerError> {
        self.process.reaches().await
    }
}

#[async_trait]
impl Shared for Through {
    async fn time(&self) -> Result<DateTime<Utc>, LedgerError> {
        self.pass().await?;
        let set = TimeDelta::seconds(self.process.clock_set.load(Ordering::SeqCst));
        Ok(self.shared().time().await? + set)
    }

    async fn enlist(&self, name: &str) -> Result<BrokerEpoch, LedgerError> {
        self.shared().enlist(name).await
    }

    async fn claim(&self, now: DateTime<Utc>, most: u32) -> Result<Vec<Lease>, LedgerError> {
        self.pass().await?;
        self.shared().claim(now, most).await
    }

    async fn lease(&self, key: &AccountKey) -> Result<Option<Lease>, LedgerError> {
        self.pass().await?;
        self.shared().lease(key).await
    }

    async fn renew(&self) -> Result<Vec<Lease>, LedgerError> {
        self.pass().await?;
        self.shared().renew().await
    }

    async fn release(&self, lease: &Lease) -> Result<(), LedgerError> {
        self.pass().await?;
        self.shared().release(lease).await
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, LedgerError> {
        self.pass().await?;
        self.shared().next_due().await
    }

    fn changes(&self) -> broadcast::Receiver<Heard> {
        self.shared().changes()
    }
}

/// A process's way to the directory.
struct Way {
    to: Arc<Model>,
    process: Arc<Process>,
    steps: Arc<AtomicU32>,
}

#[async_trait]
impl Directory for Way {
    async fn observe(&self, account: &Account) -> Result<Observed, DirectoryError> {
        self.process.runs().await;
        self.to.observe(account).await
    }

    async fn apply(
        &self,
        account: &Account,
        seen: &Observed,
        step: &Step,
        password: Option<&Secret>,
    ) -> Result<(), DirectoryError> {
        self.process.runs().await;
        if self.process.stops_in.lock().unwrap().take_if(|name| *name == step.name()).is_some() {
            self.process.stop();
        }
        self.process.runs().await;
        self.steps.fetch_add(1, Ordering::SeqCst);
        self.to.apply(account, seen, step, password).await
    }

    async fn list(&self) -> Result<Listing, DirectoryError> {
        self.process.runs().await;
        self.to.list().await
    }

    async fn check(&self, rights: &[RightUse]) -> Vec<Finding> {
        self.to.check(rights).await
    }

    async fn rehearse(&self) -> Vec<Finding> {
        self.to.rehearse().await
    }

    fn promises(&self, mode: Mode) -> Promises {
        self.to.promises(mode)
    }

    fn right_name(&self, right: &Right) -> String {
        self.to.right_name(right)
    }

    fn right_key(&self, right: &Right) -> String {
        self.to.right_key(right)
    }
}

struct Ways {
    to: Arc<Model>,
    second: Arc<Model>,
    process: Arc<Process>,
    steps: Arc<AtomicU32>,
    psa: Arc<Scripted>,
}

impl BuildConnectors for Ways {
    fn directory(&self, of: &config::Directory, _: BTreeSet<Right>) -> Result<Arc<dyn Directory>, String> {
        let to = if of.id.as_str() == "acme-two" { &self.second } else { &self.to };
        Ok(Arc::new(Way {
            to: Arc::clone(to),
            process: Arc::clone(&self.process),
            steps: Arc::clone(&self.steps),
        }))
    }

    fn psa(&self, psa: &config::Psa) -> Result<Arc<dyn Psa>, String> {
        self.psa.connected(&psa.id)
    }
}

/// One of the brokers.
pub(super) struct Member {
    pub(super) broker: Arc<Broker>,
    pub(super) process: Arc<Process>,
    /// How many steps it sent to a directory.
    pub(super) steps: Arc<AtomicU32>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Member {
    /// The same, for somebody who asks beside the test.
    pub(super) fn of(member: &Self) -> Self {
        Self {
            broker: Arc::clone(&member.broker),
            process: Arc::clone(&member.process),
            steps: Arc::clone(&member.steps),
            tasks: Mutex::default(),
        }
    }

    /// Everything that it does by itself.
    pub(super) fn run(&self) {
        let broker = || Arc::clone(&self.broker);
        let tasks = [
            tokio::spawn(broker().run_ends()),
            tokio::spawn(broker().run_deliveries()),
            tokio::spawn(broker().run_hearing()),
        ];
        self.tasks.lock().unwrap().extend(tasks);
    }

    /// As by SIGKILL: nothing is given back, nothing goes on.
    pub(super) fn die(&self) {
        self.process.stop();
        for task in self.tasks.lock().unwrap().drain(..) {
            task.abort();
        }
    }

    pub(super) fn caller(&self, login: &str) -> Caller {
        Caller::identify(self.broker.settings().config.as_ref(), login, false)
    }

    pub(super) async fn wish(&self, policy: &str, key: &str, seconds: i64) -> Result<Session, Problem> {
        let wish = Activate {
            customer: Some(CustomerId::new("acme").unwrap()),
            policy: PolicyId::new(policy).unwrap(),
            duration_s: seconds,
            reason: "#4711 Outlook crashes".into(),
            ticket: Some(ticketgate_protocol::ticket::Ticket { number: "4711".into(), ..Default::default() }),
        };
        self.broker.activate(&self.caller("tech1"), &IdempotencyKey::new(key).unwrap(), &wish).await
    }

    pub(super) async fn activate(&self, policy: &str, key: &str) -> Session {
        self.wish(policy, key, 3600).await.unwrap()
    }

    /// An activation that goes on beside the test.
    pub(super) fn activating(
        &self,
        policy: &'static str,
        key: &'static str,
    ) -> JoinHandle<Result<Session, Problem>> {
        let member = Self::of(self);
        tokio::spawn(async move { member.wish(policy, key, 3600).await })
    }

    pub(super) async fn end(&self, session: &Session, key: &str) -> Session {
        let key = IdempotencyKey::new(key).unwrap();
        self.broker.end(&self.caller("tech1"), &key, &session.id).await.unwrap()
    }

    pub(super) async fn session(&self, session: &Session) -> Session {
        self.broker.show_session(&self.caller("boss"), &session.id).await.unwrap()
    }
}

/// All of it.
pub(super) struct Many {
    pub(super) directory: Arc<Model>,
    pub(super) second: Arc<Model>,
    pub(super) psa: Arc<Scripted>,
    pub(super) clock: Arc<TestClock>,
    /// A handle of the test's own, by which it looks.
    pub(super) ledger: Arc<dyn Ledger>,
    /// By how much the database's clock is set, in seconds.
    pub(super) clock_set: Arc<AtomicI64>,
    database: Database,
    configuration: String,
}

impl Many {
    pub(super) async fn new(configuration: String) -> Self {
        let clock = TestClock::new();
        let database = Database::new().await;
        Self {
            directory: Model::new(Arc::clone(&clock)),
            second: Model::new(Arc::clone(&clock)),
            psa: Arc::default(),
            ledger: database.open().await,
            clock_set: Arc::default(),
            clock,
            database,
            configuration,
        }
    }

    /// One more broker, by the test's clock.
    pub(super) async fn broker(&self) -> Member {
        self.broker_by(|_| std::future::ready(self.clock.clone() as Arc<dyn Clock>)).await
    }

    /// One more, by a clock that is made for its ledger.
    pub(super) async fn broker_by<C: Future<Output = Arc<dyn Clock>>>(
        &self,
        clock: impl FnOnce(Arc<dyn Ledger>) -> C,
    ) -> Member {
        let inner = self.database.open().await;
        inner.shared().unwrap().enlist("test").await.unwrap();
        let process = Arc::new(Process { clock_set: Arc::clone(&self.clock_set), ..Process::default() });
        let steps = Arc::<AtomicU32>::default();
        let through = Through { inner: Arc::clone(&inner), process: Arc::clone(&process) };
        let refusing = Arc::new(Refusing {
            inner,
            name: "",
            refuses: AtomicBool::new(false),
            refused: AtomicU32::new(0),
            writes: AtomicBool::new(false),
            conflicts: AtomicBool::new(false),
            times: AtomicU32::new(u32::MAX),
            readable: AtomicU32::new(u32::MAX),
            dies_after: AtomicU32::new(u32::MAX),
            died: AtomicBool::new(false),
            through: Some(through),
        });
        let ways = Ways {
            to: Arc::clone(&self.directory),
            second: Arc::clone(&self.second),
            process: Arc::clone(&process),
            steps: Arc::clone(&steps),
            psa: Arc::clone(&self.psa),
        };
        let clock = clock(refusing.clone()).await;
        let broker = Broker::new(refusing, clock, Arc::new(ways));
        broker.load_settings(&self.configuration).await.unwrap();
        broker.recover().await.unwrap();
        Member { broker, process, steps, tasks: Mutex::default() }
    }

    pub(super) async fn becomes(&self, by: &Member, session: &Session, state: State) -> Session {
        let what = format!("{} to be {state:?}", session.id);
        self.until(&what, async || by.session(session).await.state == state).await;
        by.session(session).await
    }

    /// Waits for what brokers do on their own.
    pub(super) async fn until(&self, what: &str, look: impl AsyncFn() -> bool) {
        for _ in 0..2 * LOOKS {
            if look().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let sessions = self.ledger.sessions(Default::default()).await;
        panic!("waited for {what}; sessions: {sessions:?}; actions: {:?}", self.actions().await);
    }

    pub(super) async fn actions(&self) -> Vec<String> {
        self.ledger.audit(AuditQuery::default()).await.unwrap().into_iter().map(|r| r.action).collect()
    }

    pub(super) async fn count(&self, action: &str) -> usize {
        self.actions().await.iter().filter(|one| *one == action).count()
    }

    /// No account of ours can be used.
    pub(super) fn is_closed(&self) -> bool {
        [&self.directory, &self.second].iter().all(|model| {
            let accounts = model.accounts.lock().unwrap();
            accounts.iter().filter(|(name, _)| name.starts_with("jit-")).all(|(name, account)| {
                !account.enabled
                    && account.rights.is_empty()
                    && !model.passwords.lock().unwrap().contains_key(name)
            })
        })
    }

    /// Everything is as the ledger wants it, and nothing is left to do.
    pub(super) async fn settles(&self) {
        let settled = async || self.ledger.accounts().await.unwrap().iter().all(|account| account.settled);
        self.until("everything to be settled", settled).await;
    }
}
