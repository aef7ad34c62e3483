//! The brokers of a test, each with a handle of its own on the one ledger and a way of its own to the one directory.

use std::sync::Mutex;
use std::sync::atomic::AtomicI64;

use tokio::task::JoinHandle;

use super::process::{Process, Through, Ways};
use super::*;

/// One of the brokers.
pub(super) struct Member {
    pub(super) broker: Arc<Broker>,
    pub(super) process: Arc<Process>,
    /// How many steps it sent to a directory.
    pub(super) steps: Arc<AtomicU32>,
    /// By which its outcomes cannot be recorded.
    pub(super) refusing: Arc<Refusing>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Member {
    /// The same, for somebody who asks beside the test.
    pub(super) fn of(member: &Self) -> Self {
        Self {
            broker: Arc::clone(&member.broker),
            process: Arc::clone(&member.process),
            steps: Arc::clone(&member.steps),
            refusing: Arc::clone(&member.refusing),
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
    pub(super) database: Database,
    configuration: String,
}

impl Many {
    pub(super) async fn new(configuration: String) -> Self {
        let clock = TestClock::new();
        // Time passes, too: next tries come.
        let ticking = Arc::downgrade(&clock);
        tokio::spawn(async move {
            while let Some(clock) = ticking.upgrade() {
                clock.pass(1);
                drop(clock);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let database = Database::new();
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

    /// One more, whose ledger refuses writes of these names once told to.
    pub(super) async fn broker_refusing(&self, names: &'static str) -> Member {
        self.broker_of(names, |_| std::future::ready(self.clock.clone() as Arc<dyn Clock>)).await
    }

    /// One more, by a clock that is made for its ledger.
    pub(super) async fn broker_by<C: Future<Output = Arc<dyn Clock>>>(
        &self,
        clock: impl FnOnce(Arc<dyn Ledger>) -> C,
    ) -> Member {
        self.broker_of("ledger.session_active ledger.activation_given_up", clock).await
    }

    async fn broker_of<C: Future<Output = Arc<dyn Clock>>>(
        &self,
        names: &'static str,
        clock: impl FnOnce(Arc<dyn Ledger>) -> C,
    ) -> Member {
        let inner = self.database.open().await;
        inner.shared().unwrap().enlist("test").await.unwrap();
        let process = Process::new(Arc::clone(&self.clock_set));
        let steps = Arc::<AtomicU32>::default();
        let through = Through { inner: Arc::clone(&inner), process: Arc::clone(&process) };
        let refusing = Arc::new(Refusing {
            inner,
            name: names,
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
        let broker = Broker::new(refusing.clone(), clock, Arc::new(ways));
        broker.load_settings(&self.configuration).await.unwrap();
        broker.recover().await.unwrap();
        Member { broker, process, steps, refusing, tasks: Mutex::default() }
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
