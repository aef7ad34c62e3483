//! Tickets that are closed while a session of theirs is live, and what is asked for that.

use ticketgate_psa::{PsaError, Ticket};

use super::tickets::{asking, right, world};
use super::*;

const ENDING: &str = "verified = \"always\", end_when_closed = true";

async fn watching() -> World {
    let world = world(ENDING).await;
    watched(&world);
    world
}

fn watched(world: &World) {
    world.run();
    tokio::spawn(Arc::clone(&world.broker).run_closing());
}

fn closed() -> Ticket {
    Ticket { closed: true, status: "resolved".into(), ..right() }
}

impl World {
    fn polls(&self) -> usize {
        self.psa.polled.lock().unwrap().len()
    }

    /// Time passes until the tickets were asked about once more.
    async fn polled_again(&self) {
        let before = self.polls();
        self.until("a question", || self.clock.pass(10), async |world| world.polls() > before).await;
    }

    async fn closes(&self, session: &Session) -> Session {
        let told = async |world: &Self| world.session(session).await.end_cause.is_some();
        self.until("the session to be shortened", || self.clock.pass(1), told).await;
        self.session(session).await
    }
}

#[tokio::test]
async fn a_closed_ticket_leaves_its_session_one_minute_in_the_directory_too() {
    for (policy, account) in [("domain", "jit-tech1"), ("own", "tech1")] {
        let world = watching().await;
        if policy == "own" {
            world.directory.person("tech1", &[]);
        }
        let session = world.activate(policy, "k1").await;
        world.polled_again().await;
        assert_eq!(world.session(&session).await.expires_at, session.expires_at, "it is open");
        world.psa.tell(Ok(closed()));
        let closing = world.closes(&session).await;
        assert_eq!((closing.state, closing.end_cause), (State::Active, Some(EndCause::TicketClosed)));
        assert!(closing.expires_at <= world.clock.now() + TimeDelta::seconds(60));
        if policy == "domain" {
            let moved =
                async |world: &World| world.directory.only().end == DirectoryEnd::At(closing.expires_at);
            world.until("the directory's end", || {}, moved).await;
        }
        // Once, and whatever becomes of the ticket.
        world.psa.tell(Ok(right()));
        world.clock.pass(30);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(world.session(&session).await.expires_at, closing.expires_at);
        world.clock.pass(60);
        let ended = world.becomes(&session, State::Ended).await;
        assert_eq!(ended.end_cause, Some(EndCause::TicketClosed));
        assert!(world.directory.account(account).unwrap().rights.is_empty());
        let records = world.actions().await;
        assert_eq!(records.iter().filter(|action| *action == "session.ticket_closed").count(), 1);
        assert_eq!(world.last("session.ended").await.details["cause"], "ticket_closed");
        let details = world.last("session.ticket_closed").await.details;
        assert_eq!((&details["psa"], &details["ticket_status"]), (&"rt".into(), &"resolved".into()));
    }
}

#[tokio::test]
async fn another_session_on_the_same_account_keeps_its_end() {
    let world = watching().await;
    let text = asking(ENDING).replacen(", end_when_closed = true", "", 1);
    world.broker.load_settings(&text).await.unwrap();
    let goes_on = world.try_activate("domain", "k1", 7200).await.unwrap();
    let ends = world.activate("servers", "k2").await;
    world.psa.tell(Ok(closed()));
    world.closes(&ends).await;
    world.clock.pass(61);
    world.becomes(&ends, State::Ended).await;
    assert_eq!(world.session(&goes_on).await.expires_at, goes_on.expires_at);
    let account = world.directory.only();
    assert_eq!((account.end, account.enabled), (DirectoryEnd::At(goes_on.expires_at), true));
    assert_eq!(account.rights, [Right(ADMINS.into())].into());
}

#[tokio::test]
async fn a_closing_session_is_extended_only_once_its_ticket_is_open_again() {
    let world = watching().await;
    let session = world.activate("domain", "k1").await;
    world.psa.tell(Ok(closed()));
    let closing = world.closes(&session).await;
    let extend = async |key: &str| {
        let key = IdempotencyKey::new(key).unwrap();
        world.broker.extend(&world.caller("tech1"), &key, &session.id, 600).await
    };
    assert_eq!(extend("k2").await.unwrap_err().code, Code::TicketClosed);
    let without_its_word = asking("verified = \"when_reachable\", end_when_closed = true");
    world.broker.load_settings(&without_its_word).await.unwrap();
    world.psa.tell(Err(PsaError::Unreachable("no route".into())));
    assert_eq!(extend("k3").await.unwrap_err().code, Code::TicketClosed);
    world.psa.tell(Ok(right()));
    let longer = extend("k4").await.unwrap();
    assert_eq!(longer.expires_at, closing.expires_at + TimeDelta::seconds(600));
    assert_eq!(longer.end_cause, None, "it goes on");
    world.psa.tell(Ok(closed()));
    world.closes(&session).await;
}

#[tokio::test]
async fn an_end_that_is_nearer_is_left_alone() {
    let world = watching().await;
    let session = world.try_activate("domain", "k1", 90).await.unwrap();
    world.clock.pass(45);
    world.psa.tell(Ok(closed()));
    world.polled_again().await;
    world.clock.pass(45);
    let ended = world.becomes(&session, State::Ended).await;
    assert_eq!((ended.end_cause, ended.expires_at), (Some(EndCause::Expired), session.expires_at));
}

#[tokio::test]
async fn nothing_is_asked_while_no_session_needs_it_and_then_no_more_than_once_a_minute() {
    let world = watching().await;
    world.clock.pass(3600);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.polls(), 0, "no session");
    let session = world.activate("domain", "k1").await;
    world.activate("burner", "k2").await;
    for _ in 0..60 {
        world.clock.pass(10);
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    let polls = world.polls();
    assert!((5..=10).contains(&polls), "{polls} in ten minutes");
    assert_eq!(world.psa.polled.lock().unwrap()[0], ["4711"], "both in one question");
    let all = EndAll { customer: None, technician: Some(session.technician.clone()) };
    world.broker.end_all(&world.caller("tech1"), &all).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let polls = world.polls();
    world.clock.pass(3600);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.polls(), polls, "no session any more");
}

#[tokio::test]
async fn a_policy_that_does_not_ask_for_it_has_nothing_asked() {
    let world = world("verified = \"always\"").await;
    watched(&world);
    world.activate("domain", "k1").await;
    world.psa.tell(Ok(closed()));
    world.clock.pass(600);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.polls(), 0);
}

#[tokio::test]
async fn a_ticket_that_is_gone_counts_as_closed_the_second_time() {
    let world = watching().await;
    let session = world.activate("domain", "k1").await;
    world.psa.tell(Err(PsaError::NoSuchTicket));
    world.polled_again().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.session(&session).await.end_cause, None);
    let closing = world.closes(&session).await;
    assert_eq!(closing.end_cause, Some(EndCause::TicketClosed));
    assert_eq!(world.last("session.ticket_closed").await.details["ticket_status"], "gone");
}

#[tokio::test]
async fn a_system_that_fails_or_is_busy_is_asked_less_and_ends_nothing() {
    for (error, most) in
        [(PsaError::Unreachable("no route".into()), 8), (PsaError::Busy { retry_after_s: 3600 }, 1)]
    {
        let world = watching().await;
        let session = world.try_activate("domain", "k1", 14_400).await.unwrap();
        *world.psa.polls.lock().unwrap() = Some(error.clone());
        for _ in 0..180 {
            world.clock.pass(20);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let polls = world.polls();
        assert!((1..=most).contains(&polls), "{error}: {polls} in an hour");
        assert_eq!(world.session(&session).await.expires_at, session.expires_at);
        let told = async |world: &World| {
            let notices = world.broker.info(&world.caller("tech1")).notices;
            notices.iter().any(|notice| notice.text.contains("cannot be asked of rt"))
        };
        assert_eq!(told(&world).await, most > 1);
        *world.psa.polls.lock().unwrap() = None;
        world.psa.tell(Ok(closed()));
        world
            .until(
                "the end",
                || world.clock.pass(60),
                async |world| world.session(&session).await.end_cause == Some(EndCause::TicketClosed),
            )
            .await;
        assert!(!told(&world).await);
    }
}

#[tokio::test]
async fn what_was_closed_while_no_broker_ran_is_noticed_at_once_and_what_was_shortened_stays_so() {
    let world = watching().await;
    let session = world.activate("domain", "k1").await;
    drop(world.broker);
    let world = World::with(world.folder, world.clock, world.directory, world.psa, "").await;
    world.broker.load_settings(&asking(ENDING)).await.unwrap();
    world.broker.recover().await.unwrap();
    world.psa.tell(Ok(closed()));
    watched(&world);
    let told = async |world: &World| world.session(&session).await.end_cause.is_some();
    world.until("it to be noticed", || {}, told).await;
    let closing = world.session(&session).await;
    let world = world.restarted().await;
    assert_eq!(world.session(&session).await.expires_at, closing.expires_at);
    world.clock.pass(61);
    assert_eq!(world.becomes(&session, State::Ended).await.end_cause, Some(EndCause::TicketClosed));
}

#[tokio::test]
async fn a_shortening_that_cannot_be_written_is_made_by_the_next_look_and_one_whose_answer_was_lost_counts() {
    for is_written in [false, true] {
        let world = World::with_ledger_refusing("ledger.ticket_closed").await;
        world.broker.load_settings(&asking(ENDING)).await.unwrap();
        watched(&world);
        let session = world.activate("domain", "k1").await;
        world.refusing.writes.store(is_written, Ordering::SeqCst);
        world.refusing.times.store(1, Ordering::SeqCst);
        world.refusing.refuses.store(true, Ordering::SeqCst);
        world.psa.tell(Ok(closed()));
        let closing = world.closes(&session).await;
        assert_eq!(world.refusing.refused.load(Ordering::SeqCst), 1);
        let moved = async |world: &World| world.directory.only().end == DirectoryEnd::At(closing.expires_at);
        world.until("the directory's end", || {}, moved).await;
        let records = world.actions().await;
        assert_eq!(records.iter().filter(|action| *action == "session.ticket_closed").count(), 1);
    }
}
