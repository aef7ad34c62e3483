//! One change as one transaction. Whoever changes the same rows waits; nobody waits for more. Locks are always taken in the same
//! order: technicians, accounts, then requests, notes and tokens, then the heads of chains as the last thing before COMMIT;
//! each kind by its key. What goes wrong all the same the server notices, and the change is tried anew.
//!
//! Statements that do not hang on each other's answers are sent together: what counts is how often an answer is waited for.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use deadpool_postgres::{Client, Transaction};
use ticketgate_access::session::Session;
use ticketgate_protocol::api::State;
use ticketgate_protocol::ids::{SessionId, TechnicianId};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::failure::{self, Trouble};
use super::put::{by_key, put_account, put_session, set_due};
use super::query::{self, all, run};
use super::rows::Cells;
use super::together::{self, Write};
use super::{audit, leases, tokens};
use crate::columns::{integer, time_text};
use crate::limits;
use crate::{BrokerEpoch, Change, Guard, Lease, LedgerError, NoteChange};

/// What others are told of a change.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) technicians: BTreeSet<TechnicianId>,
    /// Something is due before everybody looks.
    pub(super) due: bool,
}

type Events = BTreeMap<TechnicianId, BTreeSet<SessionId>>;

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
    refuse(&transaction, change).await?;
    together::send(&transaction, &writes(change, epoch, &events, &numbers)?).await?;
    change_notes(&transaction, &change.notes, change.at, epoch).await?;
    tokens::change(&transaction, &change.tokens, change.at).await?;
    audit::append(&transaction, &change.audit, &time_text(change.at)?).await?;
    if raises {
        raise_high_water(&transaction, change.at).await?;
    }
    transaction.commit().await.map_err(|error| failure::at_commit(&error))?;
    Ok(Told { technicians: events.into_keys().collect(), due: due_soon(change, epoch) })
}

/// How often everybody looks at what is due without being told.
const LOOKED_AT: TimeDelta = TimeDelta::seconds(1);

/// Whether an account may be due, and nobody's, before everybody looks. One that is due at once this broker's commit has taken, or
/// somebody has it.
fn due_soon(change: &Change, epoch: Option<BrokerEpoch>) -> bool {
    let soon = |at: DateTime<Utc>| at <= change.at + LOOKED_AT;
    let unsettled = change.accounts.iter().filter(|account| !account.settled);
    let mut tries = unsettled.map(|account| account.next_try.unwrap_or(change.at));
    let taken = |at: DateTime<Utc>| epoch.is_some() && at <= change.at;
    let ends = |session: &Session| matches!(session.state, State::Activating | State::Active);
    tries.any(|at| soon(at) && !taken(at))
        || change.sessions.iter().any(|session| ends(session) && soon(session.until))
}

/// What stands behind the locks and before the audit log, in this order.
fn writes(
    change: &Change,
    epoch: Option<BrokerEpoch>,
    events: &Events,
    numbers: &BTreeMap<String, u64>,
) -> Result<Vec<Write>, LedgerError> {
    let mut writes = forget_old(change)?;
    if let Some(guard) = change.guard.as_ref().filter(|guard| guard.rate.is_some()) {
        let sql = "INSERT INTO attempts (technician, at) VALUES ($1, $2)";
        writes.push(Write::of(sql).with(guard.technician.to_string()).with(time_text(change.at)?));
    }
    // Before the accounts: when these are due hangs on their sessions.
    for session in &change.sessions {
        writes.push(put_session(session)?);
    }
    for account in by_key(&change.accounts) {
        writes.push(put_account(account, change.at, epoch)?);
    }
    writes.extend(set_due(change)?);
    put_events(&mut writes, events, numbers, change.at)?;
    put_answer(&mut writes, change)?;
    Ok(writes)
}

/// The sessions whose change is told to each technician, by the ids that people know them by.
fn events(change: &Change) -> Events {
    let mut events: Events = BTreeMap::new();
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
    events: &Events,
) -> Result<BTreeMap<String, u64>, Trouble> {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for (technician, sessions) in events {
        counts.insert(technician.as_str(), i64::try_from(sessions.len()).unwrap_or(i64::MAX));
    }
    let counted = change.guard.iter().map(|guard| &guard.technician);
    for technician in counted.chain(change.answers.iter().map(|answer| &answer.technician)) {
        counts.entry(technician.as_str()).or_default();
    }
    let mut keys: BTreeSet<&str> = change.accounts.iter().map(|account| account.key.0.as_str()).collect();
    keys.extend(change.sessions.iter().map(|session| session.account.0.as_str()));
    keys.extend(change.leases.iter().map(|lease| lease.key.0.as_str()));
    // In this order also where one of them is not prepared yet.
    transaction.prepare_cached(LOCK_TECHNICIANS).await?;
    transaction.prepare_cached(LOCK_ACCOUNTS).await?;
    let (numbers, fences) =
        tokio::try_join!(lock_technicians(transaction, &counts), lock_accounts(transaction, keys))?;
    refuse_if_lost(transaction, &change.leases, &fences).await?;
    Ok(numbers)
}

const LOCK_TECHNICIANS: &str = "INSERT INTO technicians AS t (technician, last_event, moved)
         SELECT technician, count, clock_timestamp() FROM unnest($1::text[], $2::bigint[]) AS new(technician, count)
         ORDER BY technician COLLATE \"C\"
     ON CONFLICT (technician) DO UPDATE SET last_event = t.last_event + excluded.last_event,
         moved = CASE WHEN excluded.last_event > 0 THEN clock_timestamp() ELSE t.moved END
     RETURNING technician, last_event";

async fn lock_technicians(
    transaction: &Transaction<'_>,
    counts: &BTreeMap<&str, i64>,
) -> Result<BTreeMap<String, u64>, Trouble> {
    if counts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (names, counts): (Vec<_>, Vec<_>) = counts.iter().map(|(name, count)| (*name, *count)).unzip();
    let found = all(transaction, LOCK_TECHNICIANS, &[&names, &counts], numbered).await?;
    Ok(found.into_iter().collect())
}

const LOCK_ACCOUNTS: &str = "SELECT key, fence FROM accounts WHERE key = ANY($1) ORDER BY key FOR UPDATE";

/// The fence of each.
async fn lock_accounts(
    transaction: &Transaction<'_>,
    keys: BTreeSet<&str>,
) -> Result<BTreeMap<String, u64>, Trouble> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let keys: Vec<_> = keys.into_iter().collect();
    Ok(all(transaction, LOCK_ACCOUNTS, &[&keys], numbered).await?.into_iter().collect())
}

/// A name and its number.
fn numbered(row: &Row) -> Result<(String, u64), LedgerError> {
    let cells = Cells { row, first: 0 };
    Ok((cells.get(0)?, cells.number(1)?))
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
fn forget_old(change: &Change) -> Result<Vec<Write>, LedgerError> {
    let before = time_text(limits::kept_since(change.at))?;
    let changed: BTreeSet<_> = change.sessions.iter().map(|session| session.technician.to_string()).collect();
    let mut counted: BTreeSet<_> = change.guard.iter().map(|guard| guard.technician.to_string()).collect();
    counted.extend(change.answers.iter().map(|answer| answer.technician.to_string()));
    if counted.is_empty() && changed.is_empty() {
        return Ok(Vec::new());
    }
    let (changed, counted) = (Vec::from_iter(changed), Vec::from_iter(counted));
    if counted.is_empty() {
        let sql = "DELETE FROM events WHERE technician = ANY($1) AND at <= $2";
        return Ok(vec![Write::of(sql).with(changed).with(before)]);
    }
    let sql = "WITH requests_gone AS (DELETE FROM requests WHERE technician = ANY($1) AND at <= $3),
             attempts_gone AS (DELETE FROM attempts WHERE technician = ANY($1) AND at <= $3)
         DELETE FROM events WHERE technician = ANY($2) AND at <= $3";
    Ok(vec![Write::of(sql).with(counted).with(changed).with(before)])
}

/// Whatever stands against the change, asked for at once. What is too old to count is left out by whoever asks.
async fn refuse(transaction: &Transaction<'_>, change: &Change) -> Result<(), Trouble> {
    let answered = async {
        let Some(answer) = &change.answers else { return Ok(None) };
        let kept_since = time_text(limits::kept_since(change.at))?;
        query::answered(transaction, &answer.technician, &answer.key, &kept_since).await
    };
    let guard = change.guard.as_ref();
    let open = async {
        match guard.filter(|guard| limits::adds_sessions(guard, change)) {
            Some(guard) => Ok(Some(query::open_sessions(transaction, &guard.technician).await?)),
            None => Ok::<_, Trouble>(None),
        }
    };
    let requests = async {
        match guard.and_then(|guard| Some((guard, guard.rate?))) {
            Some((guard, rate)) => {
                let windows = limits::windows(&rate, change.at)?;
                Ok(Some((rate, in_the_way(transaction, guard, &windows).await?)))
            }
            None => Ok::<_, Trouble>(None),
        }
    };
    let (answered, open, requests) = tokio::try_join!(answered, open, requests)?;
    if let Some(answered) = answered {
        return Err(LedgerError::Seen(answered).into());
    }
    if let (Some(guard), Some(open)) = (guard, open) {
        limits::sessions(guard, change, &open)?;
    }
    if let Some((rate, in_the_way)) = requests {
        limits::requests(&rate, change.at, &in_the_way)?;
    }
    Ok(())
}

/// [`limits::Window::skip`]
async fn in_the_way(
    transaction: &Transaction<'_>,
    guard: &Guard,
    windows: &[limits::Window; 3],
) -> Result<[Option<String>; 3], Trouble> {
    let technician = guard.technician.as_str();
    let of = |since: &str, skip: &str| {
        format!(
            "(SELECT at FROM attempts WHERE technician = $1 AND at > {since} ORDER BY at DESC LIMIT 1 OFFSET {skip}::bigint)"
        )
    };
    let sql = format!("SELECT {}, {}, {}", of("$2", "$3"), of("$4", "$5"), of("$6", "$7"));
    // Where nothing ever fits, what is found makes no difference.
    let skips = windows.each_ref().map(|window| i64::from(window.skip.unwrap_or(0)));
    let ([minute, hour, day], [of_minute, of_hour, of_day]) = (windows, &skips);
    let parameters: [&(dyn ToSql + Sync); 7] =
        [&technician, &minute.since, of_minute, &hour.since, of_hour, &day.since, of_day];
    let read = |row: &Row| {
        let cells = Cells { row, first: 0 };
        Ok([cells.get(0)?, cells.get(1)?, cells.get(2)?])
    };
    Ok(all(transaction, &sql, &parameters, read).await?.pop().unwrap_or_default())
}

fn put_events(
    writes: &mut Vec<Write>,
    events: &Events,
    numbers: &BTreeMap<String, u64>,
    at: DateTime<Utc>,
) -> Result<(), LedgerError> {
    for (technician, sessions) in events {
        let last = numbers.get(technician.as_str()).copied().unwrap_or(0);
        let before = integer(last)? - i64::try_from(sessions.len()).unwrap_or(i64::MAX);
        let sessions: Vec<_> = sessions.iter().map(SessionId::to_string).collect();
        let sql = "INSERT INTO events (technician, number, session, at)
             SELECT $1, $2::bigint + n, session, $4 FROM unnest($3::text[]) WITH ORDINALITY AS new(session, n)";
        let write = Write::of(sql).with(technician.to_string()).with(before);
        writes.push(write.with(sessions).with(time_text(at)?));
    }
    Ok(())
}

fn put_answer(writes: &mut Vec<Write>, change: &Change) -> Result<(), LedgerError> {
    if let Some((technician, key)) = &change.withdraws {
        let sql = "DELETE FROM requests WHERE technician = $1 AND key = $2";
        writes.push(Write::of(sql).with(technician.to_string()).with(key.to_string()));
    }
    if let Some(answer) = &change.answers {
        let sql = "INSERT INTO requests (technician, key, request, session, at) VALUES ($1, $2, $3, $4, $5)";
        let write = Write::of(sql).with(answer.technician.to_string()).with(answer.key.to_string());
        let write = write.with(answer.request.to_vec()).with(answer.session.to_string());
        writes.push(write.with(time_text(change.at)?));
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
