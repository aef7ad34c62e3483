//! Whether each refusal, and each request that nobody answered, had a reason that its code names.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail, ensure};
use ticketgate_tests::team::relay::Heard;
use ticketgate_tests::team::site::{AT_ONCE, BROKERS};

use crate::ledger::Row;
use crate::plan::{DATABASES, Fault};
use crate::told::{Ask, Attempt, Told};
use crate::weather::Weather;

/// Clocks are read at different moments on either side.
const ROUNDING: Duration = Duration::from_secs(2);

/// What became of all requests, in words, with how often.
pub(crate) fn counted(told: &[Told]) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for attempt in told.iter().flat_map(|told| &told.attempts) {
        let word = match &attempt.heard {
            Heard::NotSent(_) => "no connection".to_owned(),
            Heard::Lost(_) if attempt.hurried => "given up in a hurry".to_owned(),
            Heard::Lost(_) => "no answer".to_owned(),
            Heard::Answer(status, _) => match attempt.refused() {
                None => "granted".to_owned(),
                Some("") => format!("status {status}"),
                Some(code) => code.to_owned(),
            },
        };
        *counted.entry(word).or_default() += 1;
    }
    counted
}

/// Refusals without a reason.
pub(crate) fn without_reason(told: &[Told], rows: &BTreeMap<String, Row>, weather: &Weather) -> Vec<String> {
    let mut found = Vec::new();
    for one in told {
        for (turn, attempt) in one.attempts.iter().enumerate() {
            let checked = has_reason(one, turn, attempt, told, rows, weather);
            found.extend(
                checked.err().map(|why| format!("{why:#}: {:?} {attempt:?} of {}", one.ask, one.who())),
            );
        }
        if !one.is_settled() {
            found.push(format!("never settled: {one:?}"));
        }
    }
    found
}

/// The faults around a request at a broker, until its last answer.
struct Around {
    faults: Vec<Fault>,
    broker: usize,
}

impl Around {
    /// Whether it was cut off from one of these hosts.
    fn between(&self, other: fn(&str) -> bool) -> bool {
        let name = BROKERS.get(self.broker).copied().unwrap_or_default();
        self.faults.iter().any(
            |fault| matches!(fault, Fault::Cut(a, b) if (*a == name && other(b)) || (*b == name && other(a))),
        )
    }

    fn broker(&self) -> bool {
        self.faults.iter().any(|fault| {
            matches!(fault, Fault::Kill(hit) | Fault::Stop(hit) | Fault::Pause(hit) if *hit == self.broker)
        })
    }

    fn database(&self) -> bool {
        let of_pair = |fault: &Fault| matches!(fault, Fault::Cut(a, b) if DATABASES.contains(a) && DATABASES.contains(b));
        self.faults.iter().any(|fault| fault.is_of_database() || of_pair(fault))
            || self.between(|host| DATABASES.contains(&host))
    }

    fn directory(&self) -> bool {
        self.between(|host| host == "directory")
    }
}

fn has_reason(
    told: &Told,
    turn: usize,
    attempt: &Attempt,
    all: &[Told],
    rows: &BTreeMap<String, Row>,
    weather: &Weather,
) -> Result<()> {
    let around =
        |one: &Attempt| Around { faults: weather.between(one.asked, attempt.answered), broker: one.broker };
    let here = around(attempt);
    let Some(code) = attempt.refused() else {
        // Whoever was in a hurry does not know either.
        let reason = attempt.granted().is_some()
            || attempt.hurried
            || here.broker()
            || here.between(|host| host == "relays")
            || here.database()
            || here.directory();
        ensure!(reason, "no answer, without a fault that explains it");
        return Ok(());
    };
    match code {
        "directory_down" => ensure!(here.directory(), "{code}, without a fault"),
        // The work of another, who was hit, has to be waited for.
        "timed_out" => ensure!(!here.faults.is_empty(), "{code}, without a fault"),
        "ledger_down" => ensure!(here.database() || here.broker(), "{code}, without a fault"),
        // By the broker that began it: this one, or the one that was asked before.
        "taken_back" => {
            let began = told.attempts.iter().take(turn + 1).map(around);
            let mut hit = began.filter(|one| one.broker() || one.database() || one.directory());
            ensure!(hit.next().is_some(), "{code}, without a fault");
        }
        "stopping" => ensure!(here.broker(), "{code}, without a fault"),
        "too_many_sessions" => ensure!(
            open_of(told, attempt, rows) >= AT_ONCE,
            "{code}, with {} open",
            open_of(told, attempt, rows)
        ),
        "wrong_state" => ensure!(was_over(told, turn, attempt, all, rows), "{code}, and it was active"),
        other => bail!("{other:?} is no answer to this"),
    }
    Ok(())
}

/// How many other sessions of the technician may have been open during a request.
fn open_of(told: &Told, attempt: &Attempt, rows: &BTreeMap<String, Row>) -> usize {
    let meanwhile = |row: &&Row| {
        row.technician == told.who()
            && row.requested <= attempt.answered + ROUNDING
            && row.ended.is_none_or(|ended| ended + ROUNDING >= attempt.asked)
    };
    rows.values().filter(meanwhile).count()
}

/// Whether the session that a request is about was not active all the time, or an end was asked for.
fn was_over(told: &Told, turn: usize, attempt: &Attempt, all: &[Told], rows: &BTreeMap<String, Row>) -> bool {
    let (Ask::Extend { session, .. } | Ask::End { session } | Ask::Password { session }) = &told.ask else {
        return false;
    };
    let Some(row) = rows.get(session) else { return false };
    let ended_by_somebody = all.iter().any(|other| {
        let before = |asked: SystemTime| asked <= attempt.answered;
        other.ask == Ask::End { session: session.clone() }
            && (other.key != told.key || turn > 0)
            && other.attempts.first().is_some_and(|first| before(first.asked))
    });
    ended_by_somebody
        || row.until <= attempt.answered + ROUNDING
        || row.ended.is_some_and(|ended| ended <= attempt.answered + ROUNDING)
        || row.active.is_none_or(|active| active + ROUNDING >= attempt.asked)
}
