//! One change as one transaction. Whoever changes the same rows waits; nobody waits for more. Locks are always taken in the same
//! order: technicians, accounts, then requests, notes and tokens, then the heads of chains as the last thing before COMMIT;
//! each kind by its key. What goes wrong all the same the server notices, and the change is tried anew.
//!
//! Statements that do not hang on each other's answers are sent together: what counts is how often an answer is waited for.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use deadpool_postgres::{Client, Transaction};
use ticketgate_protocol::ids::{SessionId, TechnicianId};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::failure::{self, Trouble};
use super::put::{by_key, put_account, put_session, set_due};
use super::query::{self, all, run};
use super::rows::Cells;
use super::{audit, leases, tokens};
use crate::columns::{integer, time_text};
use crate::limits;
use crate::{BrokerEpoch, Change, Guard, Lease, LedgerError, NoteChange};

/// What others are told of a change.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) technicians: BTreeSet<TechnicianId>,
    pub(super) due: bool,
}

/// Makes one change, whole or not at all. `raises` is whether the high-water mark is to follow.
pub(super) async fn commit(
    client: &mut Client,
    change: &Change,
    epoch: Option<BrokerEpoch>,
    raises: bool,
) -> Result<Told, Trouble> {
    let transaction = client.transaction().await?;
    let events = events(change);
    let numbers = lock(&transaction, change, &events).await?;
    if change.follows_clock {
        follow_clock(&transaction, change.at).await?;
    }
    forget_old(&transaction, change).await?;
    refuse_if_answered(&transaction, change).await?;
    if let Some(guard) = &change.guard {
        check_sessions(&transaction, guard, change).await?;
        count_request(&transaction, guard, change.at).await?;
    }
    // Before the accounts: when these are due hangs on their sessions.
    for session in &change.sessions {
        put_session(&transaction, session).await?;
    }
    for account in by_key(&change.accounts) {
        put_account(&transaction, account, change.at, epoch).await?;
    }
    set_due(&transaction, change).await?;
    put_events(&transaction, &events, &numbers, change.at).await?;
    put_answer(&transaction, change).await?;
    change_notes(&transaction, &change.notes, change.at, epoch).await?;
    tokens::change(&transaction, &change.tokens, change.at).await?;
    audit::append(&transaction, &change.audit, &time_text(change.at)?).await?;
    if raises {
        raise_high_water(&transaction, change.at).await?;
    }
    transaction.commit().await.map_err(|error| failure::at_commit(&error))?;
    let due = !change.accounts.is_empty() || !change.sessions.is_empty();
    Ok(Told { technicians: events.into_keys().collect(), due })
}

/// The sessions whose change is told to each technician, by the ids that people know them by.
fn events(change: &Change) -> BTreeMap<TechnicianId, BTreeSet<SessionId>> {
    let mut events: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for session in &change.sessions {
        events.entry(session.technician.clone()).or_default().insert(session.of().clone());
    }
    events
}

/// Locks everybody and everything that the change concerns, and looks at the leases that it is made under. Answers the number
/// of each technician's last event.
async fn lock(
    transaction: &Transaction<'_>,
    change: &Change,
    events: &BTreeMap<TechnicianId, BTreeSet<SessionId>>,
) -> Result<BTreeMap<TechnicianId, u64>, Trouble> {
    let mut counts: BTreeMap<&TechnicianId, i64> = BTreeMap::new();
    for (technician, sessions) in events {
        counts.insert(technician, i64::try_from(sessions.len()).unwrap_or(i64::MAX));
    }
    let counted = change.guard.iter().map(|guard| &guard.technician);
    for technician in counted.chain(change.answers.iter().map(|answer| &answer.technician)) {
        counts.entry(technician).or_default();
    }
    let mut numbers = BTreeMap::new();
    for (technician, count) in counts {
        let read = |row: &Row| Cells { row, first: 0 }.number(0);
        let sql =
            "INSERT INTO technicians AS t (technician, last_event, moved) VALUES ($1, $2, clock_timestamp())
             ON CONFLICT (technician) DO UPDATE SET last_event = t.last_event + $2,
                 moved = CASE WHEN $2 > 0 THEN clock_timestamp() ELSE t.moved END
             RETURNING last_event";
        let last = all(transaction, sql, &[&technician.as_str(), &count], read).await?.pop().unwrap_or(0);
        numbers.insert(technician.clone(), last);
    }
    let mut keys: BTreeSet<&str> = change.accounts.iter().map(|account| account.key.0.as_str()).collect();
    keys.extend(change.sessions.iter().map(|session| session.account.0.as_str()));
    keys.extend(change.leases.iter().map(|lease| lease.key.0.as_str()));
    if !keys.is_empty() {
        let keys: Vec<_> = keys.into_iter().collect();
        let sql = "SELECT key, fence FROM accounts WHERE key = ANY($1) ORDER BY key FOR UPDATE";
        let read = |row: &Row| {
            let cells = Cells { row, first: 0 };
            Ok((cells.get::<String>(0)?, cells.number(1)?))
        };
        let fences: BTreeMap<_, _> = all(transaction, sql, &[&keys], read).await?.into_iter().collect();
        refuse_if_lost(transaction, &change.leases, &fences).await?;
    }
    Ok(numbers)
}

/// A lease that ran out and that nobody took is as good as before.
async fn refuse_if_lost(
    transaction: &Transaction<'_>,
    held: &[Lease],
    fences: &BTreeMap<String, u64>,
) -> Result<(), Trouble> {
    for lease in held {
        let fence = if leases::is_name(&lease.key) {
            leases::fence_of_name(transaction, &lease.key).await?
        } else {
            fences.get(&lease.key.0).copied()
        };
        if fence != Some(lease.fence) {
            return Err(LedgerError::LeaseLost(lease.key.0.clone()).into());
        }
    }
    Ok(())
}

/// Only what belongs to those who are locked anyway, and where something is looked for or joins it; the rest goes with the checkpoints.
async fn forget_old(transaction: &Transaction<'_>, change: &Change) -> Result<(), Trouble> {
    let before = time_text(limits::kept_since(change.at))?;
    let changed: BTreeSet<&str> = change.sessions.iter().map(|session| session.technician.as_str()).collect();
    let mut counted: BTreeSet<&str> = change.guard.iter().map(|guard| guard.technician.as_str()).collect();
    counted.extend(change.answers.iter().map(|answer| answer.technician.as_str()));
    let (changed, counted) = (Vec::from_iter(changed), Vec::from_iter(counted));
    let of = |table| format!("DELETE FROM {table} WHERE technician = ANY($1) AND at <= $2");
    if !counted.is_empty() {
        let parameters: [&(dyn ToSql + Sync); 2] = [&counted, &before];
        let (requests, attempts) = (of("requests"), of("attempts"));
        tokio::try_join!(run(transaction, &requests, &parameters), run(transaction, &attempts, &parameters))?;
    }
    if !changed.is_empty() {
        run(transaction, &of("events"), &[&changed, &before]).await?;
    }
    Ok(())
}

async fn refuse_if_answered(transaction: &Transaction<'_>, change: &Change) -> Result<(), Trouble> {
    let Some(answer) = &change.answers else { return Ok(()) };
    match query::answered(transaction, &answer.technician, &answer.key).await? {
        Some(answered) => Err(LedgerError::Seen(answered).into()),
        None => Ok(()),
    }
}

/// [`limits::sessions`]
async fn check_sessions(
    transaction: &Transaction<'_>,
    guard: &Guard,
    change: &Change,
) -> Result<(), Trouble> {
    if limits::adds_sessions(guard, change) {
        limits::sessions(guard, change, &query::open_sessions(transaction, &guard.technician).await?)?;
    }
    Ok(())
}

/// [`limits::requests`]
async fn count_request(
    transaction: &Transaction<'_>,
    guard: &Guard,
    now: DateTime<Utc>,
) -> Result<(), Trouble> {
    let Some(rate) = guard.rate else { return Ok(()) };
    let [minute, hour, day] = limits::windows(&rate, now)?;
    let technician = guard.technician.as_str();
    let in_the_way = async |window: &limits::Window| {
        let Some(skip) = window.skip else { return Ok(None) };
        let sql =
            "SELECT at FROM attempts WHERE technician = $1 AND at > $2 ORDER BY at DESC LIMIT 1 OFFSET $3";
        let read = |row: &Row| Cells { row, first: 0 }.get(0);
        let found = all(transaction, sql, &[&technician, &window.since, &i64::from(skip)], read).await?;
        Ok::<Option<String>, Trouble>(found.into_iter().next())
    };
    let (minute, hour, day) = tokio::try_join!(in_the_way(&minute), in_the_way(&hour), in_the_way(&day))?;
    limits::requests(&rate, now, &[minute, hour, day])?;
    let sql = "INSERT INTO attempts (technician, at) VALUES ($1, $2)";
    run(transaction, sql, &[&technician, &time_text(now)?]).await?;
    Ok(())
}

async fn put_events(
    transaction: &Transaction<'_>,
    events: &BTreeMap<TechnicianId, BTreeSet<SessionId>>,
    numbers: &BTreeMap<TechnicianId, u64>,
    at: DateTime<Utc>,
) -> Result<(), Trouble> {
    let at = time_text(at)?;
    for (technician, sessions) in events {
        let last = numbers.get(technician).copied().unwrap_or(0);
        let before = integer(last)? - i64::try_from(sessions.len()).unwrap_or(i64::MAX);
        let sessions: Vec<_> = sessions.iter().map(SessionId::as_str).collect();
        let sql = "INSERT INTO events (technician, number, session, at)
             SELECT $1, $2::bigint + n, session, $4 FROM unnest($3::text[]) WITH ORDINALITY AS new(session, n)";
        run(transaction, sql, &[&technician.as_str(), &before, &sessions, &at]).await?;
    }
    Ok(())
}

async fn put_answer(transaction: &Transaction<'_>, change: &Change) -> Result<(), Trouble> {
    if let Some((technician, key)) = &change.withdraws {
        let sql = "DELETE FROM requests WHERE technician = $1 AND key = $2";
        run(transaction, sql, &[&technician.as_str(), &key.as_str()]).await?;
    }
    if let Some(answer) = &change.answers {
        let (technician, key, session) =
            (answer.technician.as_str(), answer.key.as_str(), answer.session.as_str());
        let (request, at) = (answer.request.as_slice(), time_text(change.at)?);
        let sql = "INSERT INTO requests (technician, key, request, session, at) VALUES ($1, $2, $3, $4, $5)";
        run(transaction, sql, &[&technician, &key, &request, &session, &at]).await?;
    }
    Ok(())
}

/// What was sent is only counted: the ticket has it. A note that another broker is about to send is not sent by this one too.
async fn change_notes(
    transaction: &Transaction<'_>,
    notes: &NoteChange,
    now: DateTime<Utc>,
    epoch: Option<BrokerEpoch>,
) -> Result<(), Trouble> {
    let at = time_text(now)?;
    for note in &notes.new {
        let (session, psa, due) = (note.session.as_str(), note.psa.as_str(), time_text(note.due)?);
        let sql = "INSERT INTO notes (mark, session, psa, ticket, text, at, next_try, attempts, sending)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 0, false) ON CONFLICT (mark) DO NOTHING";
        run(transaction, sql, &[&note.mark, &session, &psa, &note.ticket, &note.text, &at, &due]).await?;
    }
    let epoch = epoch.map(|epoch| integer(epoch.0)).transpose()?;
    for tried in &notes.sending {
        let sql = "UPDATE notes SET sending = true, attempts = attempts + 1, next_try = $2
             WHERE mark = $1 AND ($3::bigint IS NULL OR lease_holder = $3)";
        let put = run(transaction, sql, &[&tried.mark, &time_text(tried.again)?, &epoch]).await?;
        if put == 0 && epoch.is_some() {
            let text = "the note is in its ticket, or another broker sends it".to_owned();
            return Err(LedgerError::Conflict(text).into());
        }
    }
    if !notes.sent.is_empty() {
        let sent = run(transaction, "DELETE FROM notes WHERE mark = ANY($1)", &[&notes.sent]).await?;
        if sent > 0 {
            let sql = "INSERT INTO facts AS f (name, value) VALUES ('notes_sent', $1)
                 ON CONFLICT (name) DO UPDATE SET value = (f.value::bigint + $1::text::bigint)::text";
            run(transaction, sql, &[&sent.to_string()]).await?;
        }
    }
    if !notes.dropped.is_empty() {
        run(transaction, "DELETE FROM notes WHERE mark = ANY($1)", &[&notes.dropped]).await?;
    }
    if !notes.withdrawn.is_empty() {
        let sql = "DELETE FROM notes WHERE mark = ANY($1) AND NOT sending";
        run(transaction, sql, &[&notes.withdrawn]).await?;
    }
    Ok(())
}

/// Nothing is counted as of a time that has not come: else a clock that was far ahead once would keep the limits of people, and
/// the suspicion against the clock, for as long as it was ahead.
async fn follow_clock(transaction: &Transaction<'_>, now: DateTime<Utc>) -> Result<(), Trouble> {
    let now = time_text(now)?;
    for sql in [
        "UPDATE attempts SET at = $1 WHERE at > $1",
        "UPDATE requests SET at = $1 WHERE at > $1",
        "UPDATE events SET at = $1 WHERE at > $1",
        "UPDATE notes SET at = $1 WHERE at > $1",
        "UPDATE notes SET next_try = $1 WHERE next_try > $1",
        "UPDATE facts SET value = $1 WHERE name = 'high_water' AND value > $1",
    ] {
        run(transaction, sql, &[&now]).await?;
    }
    Ok(())
}

/// Where another is raising it just now, it stays at that.
async fn raise_high_water(transaction: &Transaction<'_>, at: DateTime<Utc>) -> Result<(), Trouble> {
    let sql = "UPDATE facts SET value = $1 WHERE name = (
             SELECT name FROM facts WHERE name = 'high_water' AND value < $1 FOR UPDATE SKIP LOCKED)";
    run(transaction, sql, &[&time_text(at)?]).await?;
    Ok(())
}
