//! What a commit writes, refuses and leaves alone.

use std::collections::BTreeMap;

use ticketgate_access::config::RateLimits;
use ticketgate_access::session::AccountKey;
use ticketgate_protocol::api::{EndCause, Mode, State};
use ticketgate_protocol::ids::{CustomerId, IdempotencyKey, SessionId};
use ticketgate_protocol::problem::{Code, Problem};
use ticketgate_protocol::ticket::Ticket;

use super::*;
use crate::{
    Answer, Answered, AuditQuery, Given, Guard, Ledger, LedgerError, Limit, Mark, OnTicket, SessionFilter,
    Standing,
};

/// A new account with a new session.
fn activation(id: &str, owner: &str) -> Change {
    Change {
        name: "ledger.activating",
        at: at(0),
        sessions: vec![session(id, owner)],
        audit: vec![record(Some("acme"), "activation.requested")],
        ..Change::default()
    }
}

fn first_activation(id: &str, owner: &str) -> Change {
    Change { accounts: vec![account(owner)], ..activation(id, owner) }
}

fn asked(seconds: i64, rate: RateLimits) -> Change {
    Change {
        guard: Some(Guard { technician: technician("tech1"), rate: Some(rate), sessions_at_once: None }),
        ..note(None, seconds)
    }
}

async fn records(ledger: &Ours) -> usize {
    ledger.audit(AuditQuery::default()).await.unwrap().len()
}

#[tokio::test]
async fn what_was_committed_reads_back_the_same_after_opening_again() {
    let place = Place::new();
    let mut whole = session("s-1", "tech1");
    whole.active_at = Some(at(9));
    whole.ended_at = Some(at(10));
    whole.end_cause = Some(EndCause::ClockSetBack);
    whole.state = State::Ended;
    whole.trouble = Some(Problem::new(Code::TimedOut, "The directory does not answer."));
    let change = Change { sessions: vec![whole.clone()], ..first_activation("s-1", "tech1") };
    place.open().await.commit(change).await.unwrap();

    let ledger = place.open().await;
    whole.version = 1;
    assert_eq!(ledger.session(&whole.id).await.unwrap(), Some(whole.clone()));
    assert_eq!(ledger.sessions(SessionFilter::default()).await.unwrap(), [whole]);
    let kept = Account { version: 1, ..account("tech1") };
    assert_eq!(ledger.accounts().await.unwrap(), std::slice::from_ref(&kept));
    let mark = Mark {
        key: kept.key.clone(),
        mode: kept.mode,
        token: kept.token.clone(),
        identity: kept.identity.clone(),
        idle: false,
    };
    assert_eq!(ledger.marks().await.unwrap(), [mark]);
    assert_eq!(ledger.account(&kept.key).await.unwrap(), Some((kept, vec![])), "an ended session is over");
    assert_eq!(ledger.high_water().await.unwrap(), Some(at(0)));
}

#[tokio::test]
async fn what_was_never_written_is_not_there() {
    let place = Place::new();
    let ledger = place.open().await;
    assert_eq!(ledger.session(&session("s-1", "tech1").id).await.unwrap(), None);
    assert_eq!(ledger.account(&account("tech1").key).await.unwrap(), None);
    assert_eq!(ledger.high_water().await.unwrap(), None);
    assert_eq!(ledger.audit(AuditQuery::default()).await.unwrap(), []);
}

#[tokio::test]
async fn sessions_are_found_by_technician_customer_and_openness_soonest_end_first() {
    let place = Place::new();
    let ledger = place.open().await;
    let mut later = session("s-a", "tech1");
    later.until = at(9_000);
    let mut over = session("s-over", "tech1");
    over.state = State::Failed;
    let mut elsewhere = session("s-b", "tech2");
    elsewhere.customer = CustomerId::new("globex").unwrap();
    elsewhere.state = State::Ending;
    let change = Change {
        accounts: vec![account("tech1"), account("tech2")],
        sessions: vec![later, over, elsewhere],
        ..note(None, 0)
    };
    ledger.commit(change).await.unwrap();
    let ids = async |filter| {
        let found = ledger.sessions(filter).await.unwrap();
        found.into_iter().map(|session| session.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ids(SessionFilter::default()).await, ["s-b", "s-over", "s-a"]);
    assert_eq!(ids(SessionFilter { open: true, ..Default::default() }).await, ["s-b", "s-a"]);
    assert_eq!(ids(SessionFilter { limit: Some(1), ..Default::default() }).await, ["s-b"]);
    let technician = Some(technician("tech1"));
    assert_eq!(ids(SessionFilter { technician, open: true, ..Default::default() }).await, ["s-a"]);
    let customer = Some(CustomerId::new("globex").unwrap());
    assert_eq!(ids(SessionFilter { customer, ..Default::default() }).await, ["s-b"]);
}

#[tokio::test]
async fn a_row_that_changed_meanwhile_is_a_conflict_and_nothing_is_written() {
    let place = Place::new();
    let (one, other) = (place.open().await, place.open().await);
    one.commit(first_activation("s-1", "tech1")).await.unwrap();
    let mut seen = other.session(&session("s-1", "tech1").id).await.unwrap().unwrap();
    seen.state = State::Active;
    let change = Change { sessions: vec![seen.clone()], ..note(Some("acme"), 1) };
    one.commit(change.clone()).await.unwrap();

    let stale_account = Account { version: 7, ..account("tech1") };
    for change in [
        change.clone(),
        activation("s-1", "tech1"),
        Change { sessions: vec![], accounts: vec![stale_account], ..change.clone() },
        Change { accounts: vec![account("tech1")], ..activation("s-2", "tech1") },
    ] {
        let refused = other.commit(change).await;
        assert!(matches!(refused, Err(LedgerError::Conflict(_))), "{refused:?}");
    }
    assert_eq!(records(&other).await, 2);
    assert_eq!(other.session(&seen.id).await.unwrap().unwrap().version, 2);
    assert_eq!(other.sessions(SessionFilter::default()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_repeated_request_finds_its_first_result_for_a_day() {
    let place = Place::new();
    let ledger = place.open().await;
    let key = IdempotencyKey::new("k-1").unwrap();
    let answer = Answer {
        technician: technician("tech1"),
        key: key.clone(),
        request: [7; 32],
        session: session("s-1", "tech1").id,
    };
    let first = Change { answers: Some(answer.clone()), ..first_activation("s-1", "tech1") };
    ledger.commit(first).await.unwrap();
    let expected = Answered { request: [7; 32], session: answer.session.clone() };
    assert_eq!(ledger.answered(&answer.technician, &key).await.unwrap(), Some(expected.clone()));
    assert_eq!(
        ledger.answered(&technician("tech2"), &key).await.unwrap(),
        None,
        "keys are each technician's own"
    );

    let nothing_left = RateLimits { per_minute: 0, per_hour: 0, per_day: 0 };
    let repeat = Change { answers: Some(answer.clone()), ..asked(86_399, nothing_left) };
    match ledger.commit(repeat.clone()).await {
        Err(LedgerError::Seen(seen)) => assert_eq!(seen, expected),
        other => panic!("{other:?}"),
    }
    assert_eq!(records(&ledger).await, 1);
    let after_a_day = Change { at: at(86_400), guard: None, ..repeat };
    ledger.commit(after_a_day).await.unwrap();
}

#[tokio::test]
async fn a_minute_holds_so_many_requests_and_the_wait_is_exact() {
    let place = Place::new();
    let ledger = place.open().await;
    let rate = RateLimits { per_minute: 2, per_hour: 100, per_day: 100 };
    ledger.commit(asked(0, rate)).await.unwrap();
    ledger.commit(asked(10, rate)).await.unwrap();
    for (seconds, wait) in [(10, 50), (59, 1)] {
        match ledger.commit(asked(seconds, rate)).await {
            Err(LedgerError::TooMany { limit: Limit::Minute, retry_after_s }) => {
                assert_eq!(retry_after_s, wait);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(records(&ledger).await, 2, "a refused request is neither written nor counted");
    ledger.commit(asked(60, rate)).await.unwrap();
    let refused = ledger.commit(asked(61, rate)).await;
    assert!(matches!(refused, Err(LedgerError::TooMany { retry_after_s: 9, .. })), "{refused:?}");
    let other = Guard { technician: technician("tech2"), rate: Some(rate), sessions_at_once: None };
    ledger.commit(Change { guard: Some(other), ..note(None, 61) }).await.unwrap();
}

#[tokio::test]
async fn the_limit_that_stands_in_the_way_longest_is_named() {
    let place = Place::new();
    let ledger = place.open().await;
    let rate = RateLimits { per_minute: 1, per_hour: 1, per_day: 2 };
    ledger.commit(asked(0, rate)).await.unwrap();
    let refused = ledger.commit(asked(30, rate)).await;
    assert!(
        matches!(refused, Err(LedgerError::TooMany { limit: Limit::Hour, retry_after_s: 3_570 })),
        "{refused:?}"
    );
    ledger.commit(asked(3_600, rate)).await.unwrap();
    let refused = ledger.commit(asked(7_200, rate)).await;
    assert!(
        matches!(refused, Err(LedgerError::TooMany { limit: Limit::Day, retry_after_s: 79_200 })),
        "{refused:?}"
    );
    ledger.commit(asked(86_400, rate)).await.unwrap();
}

#[tokio::test]
async fn a_limit_of_zero_lets_nothing_pass() {
    let place = Place::new();
    let rate = RateLimits { per_minute: 0, ..RateLimits::default() };
    let refused = place.open().await.commit(asked(0, rate)).await;
    assert!(
        matches!(refused, Err(LedgerError::TooMany { limit: Limit::Minute, retry_after_s: 60 })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_clock_set_back_gives_no_further_requests() {
    let place = Place::new();
    let ledger = place.open().await;
    let rate = RateLimits { per_minute: 1, ..RateLimits::default() };
    ledger.commit(asked(1_000, rate)).await.unwrap();
    let refused = ledger.commit(asked(0, rate)).await;
    assert!(matches!(refused, Err(LedgerError::TooMany { retry_after_s: 1_060, .. })), "{refused:?}");
    ledger.commit(note(None, 0)).await.unwrap();
    assert_eq!(ledger.high_water().await.unwrap(), Some(at(1_000)), "the high-water mark never falls");
}

#[tokio::test]
async fn sessions_at_once_count_the_new_one_and_those_of_this_technician_that_are_not_over() {
    let place = Place::new();
    let ledger = place.open().await;
    let guard =
        |most| Some(Guard { technician: technician("tech1"), rate: None, sessions_at_once: Some(most) });
    let change = Change { guard: guard(0), ..first_activation("s-1", "tech1") };
    let refused = ledger.commit(change).await;
    assert!(
        matches!(refused, Err(LedgerError::TooMany { limit: Limit::Sessions, retry_after_s: 0 })),
        "{refused:?}"
    );
    ledger.commit(Change { guard: guard(1), ..first_activation("s-1", "tech1") }).await.unwrap();
    ledger.commit(first_activation("s-2", "tech2")).await.unwrap();
    let refused = ledger.commit(Change { guard: guard(1), ..activation("s-3", "tech1") }).await;
    assert!(matches!(refused, Err(LedgerError::TooMany { limit: Limit::Sessions, .. })), "{refused:?}");

    let mut first = ledger.session(&session("s-1", "tech1").id).await.unwrap().unwrap();
    first.reason = "more".to_owned();
    let extension = Change { guard: guard(0), sessions: vec![first.clone()], ..note(None, 1) };
    ledger.commit(extension).await.unwrap();
    first.version += 1;
    first.state = State::Ended;
    let both = Change {
        guard: guard(1),
        sessions: vec![first, session("s-3", "tech1")],
        ..activation("s-3", "tech1")
    };
    ledger.commit(both).await.unwrap();
}

#[tokio::test]
async fn a_session_without_its_account_is_refused_whole() {
    let place = Place::new();
    let ledger = place.open().await;
    let refused = ledger.commit(activation("s-1", "tech1")).await;
    assert!(matches!(refused, Err(LedgerError::Unavailable(_))), "{refused:?}");
    assert_eq!(records(&ledger).await, 0);
}

#[tokio::test]
async fn what_a_directory_may_still_have_is_told_without_the_burner_accounts_of_the_past() {
    let place = Place::new();
    let ledger = place.open().await;
    let burner = |id: &str, state: State, until: i64, settled: bool| {
        let key = AccountKey(format!("acme-ad/burner/{id}"));
        let account = Account { key: key.clone(), mode: Mode::Burner, settled, ..account("tech1") };
        let session = Session { account: key, state, until: at(until), ..session(id, "tech1") };
        Change { accounts: vec![account], sessions: vec![session], ..Change::default() }
    };
    let idle = Account { settled: true, ..account("tech2") };
    let over = Session { state: State::Ended, ..session("s-idle", "tech2") };
    for change in [
        burner("s-over", State::Ended, 10, true),
        burner("s-left", State::Failed, 20, false),
        burner("s-open", State::Active, 30, true),
        burner("s-going", State::Ending, 40, true),
        Change { accounts: vec![idle.clone()], sessions: vec![over], ..Change::default() },
    ] {
        ledger.commit(change).await.unwrap();
    }
    // A second session on one account, which ends before the first.
    let shared = AccountKey("acme-ad/burner/s-open".into());
    let sooner =
        Session { account: shared, state: State::Activating, until: at(25), ..session("s-2", "tech1") };
    ledger.commit(Change { sessions: vec![sooner], ..Change::default() }).await.unwrap();

    let standing = |key: &str, settled: bool, in_use: bool, first_end: Option<i64>| Standing {
        key: AccountKey(key.to_owned()),
        directory: idle.directory.clone(),
        settled,
        in_use,
        first_end: first_end.map(at),
    };
    assert_eq!(
        ledger.standings().await.unwrap(),
        [
            standing("acme-ad/burner/s-going", true, true, None),
            standing("acme-ad/burner/s-left", false, false, None),
            standing("acme-ad/burner/s-open", true, true, Some(25)),
            standing(&idle.key.0, true, false, None),
        ]
    );
    let idle_ones: Vec<_> =
        ledger.marks().await.unwrap().into_iter().filter(|m| m.idle).map(|m| m.key.0).collect();
    assert_eq!(idle_ones, ["acme-ad/burner/s-over", idle.key.0.as_str()]);
    let Session { technician, directory, rights, .. } = session("s-2", "tech1");
    let given = Given { technician, directory, rights };
    assert_eq!(ledger.given().await.unwrap(), [given], "once, of three sessions");
    assert_eq!(ledger.open_by_directory().await.unwrap(), BTreeMap::from([(idle.directory, 3)]));
}

#[tokio::test]
async fn sessions_that_may_end_with_their_tickets_are_told_by_their_ends() {
    let place = Place::new();
    let ledger = place.open().await;
    let ticket = |number: &str| Ticket { number: number.to_owned(), ..Ticket::default() };
    let of = |id: &str, state: State, until: i64, number: Option<&str>| Session {
        state,
        until: at(until),
        ticket: number.map(ticket),
        ..session(id, "tech1")
    };
    let whole = SessionId::new("s-whole").unwrap();
    let sessions = vec![
        of("s-later", State::Active, 50, Some("5")),
        Session { whole: Some(whole.clone()), ..of("s-part", State::Active, 40, Some("4")) },
        Session { end_cause: Some(EndCause::TicketClosed), ..of("s-told", State::Active, 30, Some("3")) },
        of("s-ending", State::Ending, 20, Some("2")),
        of("s-without", State::Active, 10, None),
    ];
    ledger.commit(Change { accounts: vec![account("tech1")], sessions, ..Change::default() }).await.unwrap();
    let told = |id: &str, of: SessionId, number: &str| OnTicket {
        id: SessionId::new(id).unwrap(),
        of,
        policy: session(id, "tech1").policy,
        ticket: ticket(number),
    };
    let later = SessionId::new("s-later").unwrap();
    let wanted = [told("s-part", whole, "4"), told("s-later", later, "5")];
    assert_eq!(ledger.on_tickets().await.unwrap(), wanted);
}
