//! Random sequences of commits through two handles, against a model that fits in a few lines.

use std::collections::BTreeMap;

use proptest::prelude::*;
use ticketgate_access::config::RateLimits;

use super::*;
use crate::{AuditQuery, Guard, Ledger, LedgerError, SessionFilter};

/// One commit: through which handle, of which session, having seen which version less or more than the true one.
#[derive(Debug, Clone)]
struct Step {
    handle: bool,
    session: u8,
    off_by: i8,
    customer: Option<&'static str>,
}

fn step() -> impl Strategy<Value = Step> {
    let customer = prop_oneof![Just(None), Just(Some("acme")), Just(Some("globex"))];
    let off_by = prop_oneof![4 => Just(0i8), 1 => Just(-1), 1 => Just(1)];
    (any::<bool>(), 0..4u8, off_by, customer).prop_map(|(handle, session, off_by, customer)| Step {
        handle,
        session,
        off_by,
        customer,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_commit_succeeds_exactly_when_its_row_is_as_it_was_seen(steps in prop::collection::vec(step(), 1..25)) {
        let place = Place::new();
        runtime().block_on(async {
            let handles = [place.open().await, place.open().await];
            handles[0].commit(Change { accounts: vec![account("tech1")], ..note(None, 0) }).await.unwrap();
            let mut versions: BTreeMap<u8, u64> = BTreeMap::new();
            let mut records = 1;
            for Step { handle, session: number, off_by, customer } in steps {
                let version = versions.get(&number).copied().unwrap_or(0);
                let seen = version.saturating_add_signed(off_by.into());
                let row = Session { version: seen, ..session(&format!("s-{number}"), "tech1") };
                let change = Change { sessions: vec![row], ..note(customer, 1) };
                match handles[usize::from(handle)].commit(change).await {
                    Ok(()) => {
                        prop_assert_eq!(seen, version);
                        versions.insert(number, version + 1);
                        records += 1;
                    }
                    Err(LedgerError::Conflict(_)) => prop_assert_ne!(seen, version),
                    Err(other) => prop_assert!(false, "{}", other),
                }
            }
            for ledger in &handles {
                let stored = ledger.sessions(SessionFilter::default()).await.unwrap();
                let stored: BTreeMap<_, _> =
                    stored.into_iter().map(|session| (session.id.to_string(), session.version)).collect();
                let expected: BTreeMap<_, _> =
                    versions.iter().map(|(number, version)| (format!("s-{number}"), *version)).collect();
                prop_assert_eq!(stored, expected);
                let verdict = ledger.verify(None).await.unwrap();
                prop_assert!(verdict.whole, "{:?}", verdict);
                prop_assert_eq!(verdict.records, records);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_request_passes_exactly_when_every_window_has_room(
        gaps in prop::collection::vec(prop_oneof![Just(0i64), 1..90i64, 600..4_000i64], 1..25),
        (per_minute, per_hour, per_day) in (1..4u32, 2..7u32, 3..12u32),
    ) {
        let place = Place::new();
        let rate = RateLimits { per_minute, per_hour, per_day };
        let guard = Guard { technician: technician("tech1"), rate: Some(rate), sessions_at_once: None };
        runtime().block_on(async {
            let ledger = place.open().await;
            let mut passed: Vec<i64> = Vec::new();
            let mut now = 0;
            let fits = |passed: &[i64], now: i64| {
                [(60, per_minute), (3_600, per_hour), (86_400, per_day)].iter().all(|(window, most)| {
                    passed.iter().filter(|then| **then > now - window).count() < *most as usize
                })
            };
            for gap in gaps {
                now += gap;
                match ledger.commit(Change { guard: Some(guard.clone()), ..note(None, now) }).await {
                    Ok(()) => {
                        prop_assert!(fits(&passed, now), "{passed:?} and then {now}");
                        passed.push(now);
                    }
                    Err(LedgerError::TooMany { retry_after_s, .. }) => {
                        let wait = i64::from(retry_after_s);
                        prop_assert!(!fits(&passed, now + wait - 1), "too long a wait: {passed:?}, {now} + {wait}");
                        prop_assert!(fits(&passed, now + wait), "too short a wait: {passed:?}, {now} + {wait}");
                    }
                    Err(other) => prop_assert!(false, "{}", other),
                }
            }
            Ok(())
        })?;
    }
}

#[test]
fn two_who_write_at_once_never_lose_a_change_and_the_log_pages_without_gaps() {
    let place = Place::new();
    runtime().block_on(async {
        let handles = [place.open().await, place.open().await];
        let change = Change {
            accounts: vec![account("tech1")],
            sessions: vec![session("s-1", "tech1")],
            ..note(None, 0)
        };
        handles[0].commit(change).await.unwrap();
        let id = session("s-1", "tech1").id;
        let increments = handles.into_iter().map(|ledger| {
            let id = id.clone();
            tokio::spawn(async move {
                let mut done = 0;
                while done < 20 {
                    let mut seen = ledger.session(&id).await.unwrap().unwrap();
                    let count: u32 = seen.policy_name.parse().unwrap_or(0);
                    seen.policy_name = (count + 1).to_string();
                    match ledger.commit(Change { sessions: vec![seen], ..note(Some("acme"), 1) }).await {
                        Ok(()) => done += 1,
                        Err(LedgerError::Conflict(_)) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            })
        });
        for increment in increments.collect::<Vec<_>>() {
            increment.await.unwrap();
        }
        let ledger = place.open().await;
        assert_eq!(ledger.session(&id).await.unwrap().unwrap().policy_name, "40");
        let mut seqs = Vec::new();
        let mut after = None;
        loop {
            let query =
                AuditQuery { chain: Some("acme".to_owned()), after, limit: 7, ..AuditQuery::default() };
            let page = ledger.audit(query).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.position);
            assert!(page.len() <= 7);
            seqs.extend(page.iter().map(|record| record.seq));
        }
        assert_eq!(seqs, (1..=40).collect::<Vec<_>>());
    });
}

#[test]
fn the_log_is_found_by_time_and_by_technician() {
    let place = Place::new();
    runtime().block_on(async {
        let ledger = place.open().await;
        for n in 0..5 {
            let mut change = note(None, n);
            change.audit[0].details.remove("technician");
            if n == 1 {
                change.audit[0].actor = "tech1".to_owned();
            }
            if n == 3 {
                change.audit[0].details.insert("technician", json!("tech1"));
            }
            ledger.commit(change).await.unwrap();
        }
        let seqs = async |query| {
            let found = ledger.audit(query).await.unwrap();
            found.into_iter().map(|record| record.seq).collect::<Vec<_>>()
        };
        let from = Some(at(1));
        assert_eq!(seqs(AuditQuery { from, until: Some(at(4)), ..AuditQuery::default() }).await, [2, 3, 4]);
        let technician = Some(technician("tech1"));
        assert_eq!(seqs(AuditQuery { technician, ..AuditQuery::default() }).await, [2, 4]);
        assert_eq!(seqs(AuditQuery { limit: 2, after: Some(1), ..AuditQuery::default() }).await, [2, 3]);
        assert_eq!(seqs(AuditQuery { limit: 2, newest: true, ..AuditQuery::default() }).await, [4, 5]);
    });
}
