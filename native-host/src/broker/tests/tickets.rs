//! A ticket system that says what a test has it say, and what becomes of an activation then.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use ticketgate_protocol::ids::PsaId;
use ticketgate_psa::{Company, Note, Psa, PsaError, Ticket};
use tokio::sync::watch;

use super::*;

/// A ticket system.
pub(super) struct Scripted {
    /// What it tells of any ticket.
    pub(super) tells: Mutex<Result<Ticket, PsaError>>,
    /// Whether it works at all.
    pub(super) works: Mutex<Result<(), PsaError>>,
    /// The numbers that it was asked for, in the order of the questions.
    pub(super) asked: Mutex<Vec<String>>,
    /// The numbers of each question about several.
    pub(super) polled: Mutex<Vec<Vec<String>>>,
    /// What those questions come to, where they fail.
    pub(super) polls: Mutex<Option<PsaError>>,
    /// The notes that are in its tickets.
    pub(super) notes: Mutex<Vec<Note>>,
    /// What adding a note, or looking for one, comes to next; the last one goes on. Nothing: it works.
    pub(super) adding: Mutex<Option<Adding>>,
    /// How often a note was looked for.
    pub(super) looked: AtomicU32,
    /// How often one was to be added.
    pub(super) added: AtomicU32,
    /// How often a connector was made.
    pub(super) connections: AtomicU32,
    /// No connector can be made.
    pub(super) unconnectable: AtomicBool,
    /// It tells of tickets only when this is not held.
    pub(super) held: watch::Sender<bool>,
    /// The systems beside this one, by id; any other id is this one's.
    pub(super) others: Mutex<BTreeMap<PsaId, Arc<Self>>>,
}

/// What adding a note comes to.
#[derive(Debug, Clone)]
pub(super) enum Adding {
    /// It is refused.
    Fails(PsaError),
    /// Once, it is added and nobody hears of it.
    LosesItsAnswer,
    /// It is added, and no answer comes ever.
    Hangs,
}

impl Default for Scripted {
    fn default() -> Self {
        Self {
            tells: Mutex::new(Ok(right())),
            works: Mutex::new(Ok(())),
            asked: Mutex::default(),
            polled: Mutex::default(),
            polls: Mutex::default(),
            notes: Mutex::default(),
            adding: Mutex::default(),
            looked: AtomicU32::new(0),
            added: AtomicU32::new(0),
            connections: AtomicU32::new(0),
            unconnectable: AtomicBool::new(false),
            held: watch::channel(false).0,
            others: Mutex::default(),
        }
    }
}

impl Scripted {
    /// The connector that the broker gets.
    pub(super) fn connected(self: &Arc<Self>, id: &PsaId) -> Result<Arc<dyn Psa>, String> {
        if self.unconnectable.load(Ordering::SeqCst) {
            return Err(format!("there is no {id}"));
        }
        if let Some(other) = self.others.lock().unwrap().get(id) {
            return Ok(other.clone());
        }
        self.connections.fetch_add(1, Ordering::SeqCst);
        Ok(self.clone())
    }

    pub(super) fn tell(&self, answer: Result<Ticket, PsaError>) {
        *self.tells.lock().unwrap() = answer;
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

#[async_trait]
impl Psa for Scripted {
    async fn ticket(&self, number: &str) -> Result<Ticket, PsaError> {
        self.asked.lock().unwrap().push(number.to_owned());
        self.held.subscribe().wait_for(|held| !held).await.unwrap();
        self.tells.lock().unwrap().clone()
    }

    async fn check(&self) -> Result<(), PsaError> {
        self.works.lock().unwrap().clone()
    }

    async fn tickets(&self, numbers: &[String]) -> Result<Vec<Ticket>, PsaError> {
        self.polled.lock().unwrap().push(numbers.to_vec());
        self.held.subscribe().wait_for(|held| !held).await.unwrap();
        if let Some(error) = self.polls.lock().unwrap().clone() {
            return Err(error);
        }
        Ok(self.tells.lock().unwrap().clone().into_iter().collect())
    }

    async fn add_note(&self, _: &Ticket, note: &Note) -> Result<(), PsaError> {
        self.added.fetch_add(1, Ordering::SeqCst);
        let adding = self.adding.lock().unwrap().clone();
        match adding {
            None => {}
            Some(Adding::Fails(error)) => return Err(error),
            Some(Adding::LosesItsAnswer) => {
                self.notes.lock().unwrap().push(note.clone());
                *self.adding.lock().unwrap() = None;
                return Err(PsaError::Ambiguous("cut".into()));
            }
            Some(Adding::Hangs) => {
                self.notes.lock().unwrap().push(note.clone());
                std::future::pending::<()>().await;
            }
        }
        self.notes.lock().unwrap().push(note.clone());
        Ok(())
    }

    async fn has_note(&self, _: &Ticket, mark: &str) -> Result<bool, PsaError> {
        self.looked.fetch_add(1, Ordering::SeqCst);
        Ok(self.notes.lock().unwrap().iter().any(|note| note.text.contains(mark)))
    }

    async fn companies(&self) -> Result<Vec<Company>, PsaError> {
        Err(PsaError::NotOffered)
    }
}

/// A ticket with which everything is right.
pub(super) fn right() -> Ticket {
    Ticket {
        id: "t-4711".into(),
        number: "4711".into(),
        summary: Some("Outlook crashes".into()),
        company: Some(Company { name: "ACME CORP".into(), ..Company::default() }),
        status: "open".into(),
        owner: ["terry".into()].into(),
        ..Ticket::default()
    }
}

pub(super) const ALWAYS: &str = "verified = \"always\", must_be_mine = true";
const WHEN_REACHABLE: &str = "verified = \"when_reachable\"";

/// The world's configuration with a ticket system, and policies that ask this of a ticket.
pub(super) fn asking(rule: &str) -> String {
    let psa = "[[psa]]\nid = \"rt\"\nkind = \"request_tracker\"\nurl = \"https://rt.example\"\nsecret = { env = \"RT\" }\ntimeout = \"1s\"\n";
    let customers = "[[customer]]\nid = \"globex\"\nname = \"Globex\"\n";
    let text = configuration()
        .replace("ticket = { required = true }", &format!("ticket = {{ required = true, {rule} }}"))
        .replace("id = \"tech1\"\n", "id = \"tech1\"\npsa = { rt = \"Terry\" }\n");
    [text.as_str(), psa, customers].join("\n")
}

pub(super) async fn world(rule: &str) -> World {
    let world = World::new().await;
    world.broker.load_settings(&asking(rule)).await.unwrap();
    world
}

impl World {
    /// No account was touched, and nothing is open or ever was.
    async fn nothing_happened(&self) {
        assert!(self.directory.steps.lock().unwrap().is_empty());
        assert_eq!(self.broker.list(Default::default()).await.unwrap(), []);
    }

    pub(super) async fn last(&self, action: &str) -> ticketgate_protocol::api::AuditRecord {
        let records = self.ledger.audit(AuditQuery::default()).await.unwrap();
        records.into_iter().rfind(|record| record.action == action).unwrap()
    }
}

#[tokio::test]
async fn a_ticket_that_is_right_is_on_record_as_its_system_tells_it() {
    let world = world(ALWAYS).await;
    let session = world.activate("domain", "k1").await;
    assert_eq!(session.state, State::Active);
    assert_eq!(*world.psa.asked.lock().unwrap(), ["4711"]);
    let details = world.last("activation.requested").await.details;
    assert_eq!((&details["ticket_checked"], &details["psa"]), (&"verified".into(), &"rt".into()));
    assert_eq!(details["ticket_told"]["summary"], "Outlook crashes");
    assert_eq!(details["ticket_told"]["company"], "ACME CORP");
}

#[tokio::test]
async fn a_policy_that_does_not_ask_has_nothing_asked_and_says_so() {
    let world = world("verified = false").await;
    world.activate("domain", "k1").await;
    assert_eq!(world.psa.asked(), 0);
    assert_eq!(world.last("activation.requested").await.details["ticket_checked"], "not_asked");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_on_record_and_nothing_happens() {
    let globex = Company { name: "Globex".into(), ..Company::default() };
    let no = |text: &str| text.to_owned();
    for (answer, code) in [
        (Ok(Ticket { number: "4712".into(), ..right() }), Code::TicketUnverified),
        (Ok(Ticket { company: Some(globex), ..right() }), Code::TicketOfAnotherCustomer),
        (Ok(Ticket { company: None, ..right() }), Code::TicketOfAnotherCustomer),
        (Ok(Ticket { closed: true, ..right() }), Code::TicketClosed),
        (Ok(Ticket { owner: ["jane".into()].into(), ..right() }), Code::TicketNotYours),
        (Err(PsaError::NoSuchTicket), Code::TicketNotFound),
        (Err(PsaError::Refused(no("status 401"))), Code::TicketUnverified),
        (Err(PsaError::Certificate(no("expired"))), Code::TicketUnverified),
        (Err(PsaError::Unreadable(no("not JSON"))), Code::TicketUnverified),
        (Err(PsaError::NoSecret(no("no file"))), Code::TicketUnverified),
        (Err(PsaError::Unreachable(no("no route"))), Code::TicketUnverified),
        (Err(PsaError::Busy { retry_after_s: 7 }), Code::TicketUnverified),
    ] {
        let world = world(ALWAYS).await;
        let what = format!("{answer:?}");
        world.psa.tell(answer);
        let problem = world.wish("domain", "k1", 3600).await.unwrap_err();
        assert_eq!(problem.code, code, "{what}");
        assert!(!problem.remedy.is_empty(), "{problem}");
        world.nothing_happened().await;
        let record = world.last("activation.refused").await;
        assert_eq!((record.outcome.as_str(), record.chain.as_str()), ("refused", "acme"), "{what}");
        assert_eq!(record.details["code"], code.as_str(), "{what}");
    }
}

#[tokio::test]
async fn a_system_that_cannot_be_reached_is_passed_over_only_where_the_policy_says_so_and_on_record() {
    for error in [
        PsaError::Unreachable("no route".into()),
        PsaError::Busy { retry_after_s: 7 },
        PsaError::Failed(502),
        PsaError::Ambiguous("cut".into()),
    ] {
        let world = world(WHEN_REACHABLE).await;
        world.psa.tell(Err(error.clone()));
        *world.psa.works.lock().unwrap() = Err(error.clone());
        let session = world.activate("domain", "k1").await;
        assert_eq!(session.state, State::Active, "{error}");
        let details = world.last("activation.requested").await.details;
        assert_eq!((&details["ticket_checked"], &details["psa"]), (&"unreachable".into(), &"rt".into()));
    }
}

#[tokio::test]
async fn a_clear_no_is_no_outage() {
    for error in [
        PsaError::NoSuchTicket,
        PsaError::Refused("status 403".into()),
        PsaError::Certificate("expired".into()),
        PsaError::Unreadable("not JSON".into()),
        PsaError::NoSecret("no file".into()),
        PsaError::NotOffered,
    ] {
        let world = world(WHEN_REACHABLE).await;
        world.psa.tell(Err(error.clone()));
        *world.psa.works.lock().unwrap() = Err(error.clone());
        world.wish("domain", "k1", 3600).await.unwrap_err();
        world.nothing_happened().await;
    }
}

#[tokio::test]
async fn a_system_that_fails_on_this_ticket_alone_is_not_passed_over() {
    for error in [PsaError::Failed(500), PsaError::Ambiguous("no answer in time".into())] {
        let world = world(WHEN_REACHABLE).await;
        world.psa.tell(Err(error));
        assert_eq!(world.try_activate("domain", "k1", 3600).await, Err(Code::TicketUnverified));
        world.nothing_happened().await;
    }
}

#[tokio::test]
async fn nothing_is_granted_or_durable_before_the_answer_and_the_time_starts_after_it() {
    let world = Arc::new(world(ALWAYS).await);
    world.psa.held.send_replace(true);
    let under_way = {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.activate("domain", "k1").await })
    };
    world.until("the question", || {}, async |world| world.psa.asked() == 1).await;
    world.nothing_happened().await;
    assert!(!world.actions().await.iter().any(|action| action == "activation.requested"));
    world.clock.pass(3);
    let answered = world.clock.now();
    world.psa.held.send_replace(false);
    let session = under_way.await.unwrap();
    assert_eq!(session.expires_at, answered + TimeDelta::hours(1));
}

#[tokio::test]
async fn the_directory_is_looked_at_meanwhile_and_nobody_waits_for_that() {
    let world = Arc::new(world(ALWAYS).await);
    world.psa.held.send_replace(true);
    world.directory.set(Mood::Held);
    let under_way = {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.try_activate("domain", "k1", 3600).await })
    };
    world.until("a look", || {}, async |world| world.directory.looks.load(Ordering::SeqCst) == 1).await;
    world.psa.tell(Ok(Ticket { closed: true, ..right() }));
    world.psa.held.send_replace(false);
    assert_eq!(under_way.await.unwrap(), Err(Code::TicketClosed));
    world.nothing_happened().await;
}

#[tokio::test]
async fn a_system_that_takes_too_long_is_not_waited_for() {
    let world = world(ALWAYS).await;
    world.psa.held.send_replace(true);
    let begun = std::time::Instant::now();
    assert_eq!(world.try_activate("domain", "k1", 3600).await, Err(Code::TicketUnverified));
    assert!(begun.elapsed() < Duration::from_secs(8), "its own limit is one second");
    world.nothing_happened().await;
    world.broker.load_settings(&asking(WHEN_REACHABLE)).await.unwrap();
    *world.psa.works.lock().unwrap() = Err(PsaError::Unreachable("no route".into()));
    world.activate("domain", "k2").await;
}

#[tokio::test]
async fn a_repeat_is_answered_without_asking_again_and_a_refusal_is_asked_about_again() {
    let world = world(ALWAYS).await;
    let first = world.activate("domain", "k1").await;
    world.psa.tell(Ok(Ticket { closed: true, ..right() }));
    assert_eq!(world.activate("domain", "k1").await.id, first.id);
    assert_eq!(world.psa.asked(), 1);
    assert_eq!(world.try_activate("domain", "k2", 3600).await, Err(Code::TicketClosed));
    world.psa.tell(Ok(right()));
    world.activate("domain", "k2").await;
}

#[tokio::test]
async fn an_extension_asks_again() {
    let world = world(ALWAYS).await;
    let session = world.activate("domain", "k1").await;
    let key = |k: &str| IdempotencyKey::new(k).unwrap();
    let caller = world.caller("tech1");
    let longer = world.broker.extend(&caller, &key("k2"), &session.id, 60).await.unwrap();
    assert_eq!(longer.expires_at, session.expires_at + TimeDelta::minutes(1));
    assert_eq!(world.last("session.extended").await.details["ticket_checked"], "verified");
    world.psa.tell(Ok(Ticket { closed: true, ..right() }));
    let refused = world.broker.extend(&caller, &key("k3"), &session.id, 60).await.unwrap_err();
    assert_eq!(refused.code, Code::TicketClosed);
    assert_eq!(world.last("session.extension_refused").await.details["code"], "ticket_closed");
    assert_eq!(world.session(&session).await.expires_at, longer.expires_at, "it goes on to its end");
    world.psa.tell(Err(PsaError::Unreachable("no route".into())));
    let refused = world.broker.extend(&caller, &key("k4"), &session.id, 60).await.unwrap_err();
    assert_eq!(refused.code, Code::TicketUnverified);
    world.broker.load_settings(&asking(WHEN_REACHABLE)).await.unwrap();
    world.broker.extend(&caller, &key("k5"), &session.id, 60).await.unwrap();
    assert_eq!(world.last("session.extended").await.details["ticket_checked"], "unreachable");
}

#[tokio::test]
async fn a_flood_does_not_reach_the_ticket_system() {
    let world = Arc::new(world(ALWAYS).await);
    world.psa.held.send_replace(true);
    let many: Vec<_> = (0..40)
        .map(|n| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.try_activate("domain", &format!("k{n}"), 3600).await })
        })
        .collect();
    let mut codes = Vec::new();
    for one in many {
        codes.push(one.await.unwrap());
    }
    assert_eq!(world.psa.asked(), 20, "as many as requests are allowed in a minute");
    let limited = codes.iter().filter(|answer| **answer == Err(Code::RateLimited)).count();
    assert_eq!(limited, 20, "{codes:?}");
    world.nothing_happened().await;
    world.psa.held.send_replace(false);
    world.clock.pass(61);
    world.activate("domain", "later").await;
}

#[tokio::test]
async fn a_connector_outlives_a_configuration_that_leaves_it_as_it_was() {
    let world = world(ALWAYS).await;
    world.broker.load_settings(&asking(WHEN_REACHABLE)).await.unwrap();
    assert_eq!(world.psa.connections.load(Ordering::SeqCst), 1);
    let another = asking(ALWAYS).replace("timeout = \"1s\"", "timeout = \"2s\"");
    world.broker.load_settings(&another).await.unwrap();
    assert_eq!(world.psa.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_system_that_cannot_be_connected_stops_only_what_asks_it() {
    let world = world("verified = false").await;
    let session = world.activate("domain", "k1").await;
    world.psa.unconnectable.store(true, Ordering::SeqCst);
    let another = asking(WHEN_REACHABLE).replace("timeout = \"1s\"", "timeout = \"2s\"");
    world.broker.load_settings(&another).await.unwrap();
    let overview = world.broker.overview(&world.caller("tech1")).await.unwrap();
    assert!(overview.notices.iter().any(|n| n.text.contains("there is no rt")), "{:?}", overview.notices);
    assert_eq!(world.try_activate("domain", "k2", 3600).await, Err(Code::TicketUnverified));
    assert_eq!(world.end(&session, "k3").await.state, State::Ended);
}

#[tokio::test]
async fn a_check_tells_whether_each_ticket_system_can_be_asked() {
    let world = world(ALWAYS).await;
    let found = async || {
        let findings = world.broker.check(&world.caller("tech1"), false).await.unwrap();
        findings.into_iter().find(|f| f.subject == "psa rt").unwrap()
    };
    assert_eq!(found().await.level, "ok");
    *world.psa.works.lock().unwrap() = Err(PsaError::Refused("status 401".into()));
    let refused = found().await;
    assert_eq!(refused.level, "error");
    assert!(
        refused.text.contains("refused the integration's user") && !refused.remedy.is_empty(),
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_popup_is_told_that_a_ticket_is_verified() {
    let world = world(ALWAYS).await;
    let overview = world.broker.overview(&world.caller("tech1")).await.unwrap();
    assert!(overview.policies.len() == 4 && overview.policies.iter().all(|p| p.ticket_verified));
    // Nobody is asked for a look.
    assert_eq!(world.psa.asked(), 0);
}
