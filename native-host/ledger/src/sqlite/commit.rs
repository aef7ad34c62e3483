//! The ledger's writes: one change, or the signed checkpoints. Each is one transaction that takes SQLite's write lock
//! before it reads, so that what it decides on cannot change under it.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::{Signer, SigningKey};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde_json::Value;
use ticketgate_access::session::{Account, Session};
use ticketgate_protocol::api::State;
use ticketgate_protocol::ids::{CustomerId, SessionId};

use super::rows::{integer, json, time, time_text, word};
use super::{events, query, tokens};
use crate::chain::{self, BEGINNING, Fields, Hash, OWN_CHAIN};
use crate::seal::Seal;
use crate::{Change, Guard, LedgerError, Limit, NewAudit, NoteChange, failure};

/// How long answers, counted requests and events are kept: the longest window of the rate limits.
const KEPT: TimeDelta = TimeDelta::days(1);

/// Makes one change, whole or not at all.
///
/// A repeated request is recognised before its limits are looked at: it finds its first result also when the technician
/// has no request left.
pub(super) fn commit(connection: &mut Connection, change: &Change) -> Result<(), LedgerError> {
    let transaction = begin(connection)?;
    if change.follows_clock {
        follow_clock(&transaction, change.at)?;
    }
    forget_old(&transaction, change.at)?;
    refuse_if_answered(&transaction, change)?;
    if let Some(guard) = &change.guard {
        check_sessions(&transaction, guard, change)?;
        count_request(&transaction, guard, change.at)?;
    }
    // Accounts first: a session names one.
    for account in &change.accounts {
        put_account(&transaction, account)?;
    }
    for session in &change.sessions {
        put_session(&transaction, session)?;
    }
    if !change.sessions.is_empty() {
        events::note(&transaction, &change.sessions, &time_text(change.at)?)?;
    }
    if !change.audit.is_empty() {
        let at = time_text(change.at)?;
        for record in &change.audit {
            append(&transaction, record, &at)?;
        }
    }
    if let Some((technician, key)) = &change.withdraws {
        run(
            &transaction,
            "DELETE FROM requests WHERE technician = ?1 AND key = ?2",
            params![technician.as_str(), key.as_str()],
        )?;
    }
    if let Some(answer) = &change.answers {
        run(
            &transaction,
            "INSERT INTO requests (technician, key, request, session, at) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                answer.technician.as_str(),
                answer.key.as_str(),
                answer.request,
                answer.session.as_str(),
                time_text(change.at)?
            ],
        )?;
    }
    change_notes(&transaction, &change.notes, change.at)?;
    tokens::change(&transaction, &change.tokens, change.at)?;
    raise_high_water(&transaction, change.at)?;
    transaction.commit().map_err(failure::database)
}

/// Signs the head of every chain that grew since its last checkpoint, and then all checkpoints together.
pub(super) fn checkpoint(
    connection: &mut Connection,
    key: &SigningKey,
    at: DateTime<Utc>,
) -> Result<(), LedgerError> {
    let transaction = begin(connection)?;
    let grown: Vec<(String, i64, Hash)> = {
        let mut statement = transaction
            .prepare_cached(
                "SELECT chain, seq, hash FROM chains
                 WHERE seq > coalesce((SELECT max(seq) FROM checkpoints WHERE checkpoints.chain = chains.chain), 0)
                 ORDER BY chain",
            )
            .map_err(failure::database)?;
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .map_err(failure::database)?;
        rows.collect::<Result<_, _>>().map_err(failure::database)?
    };
    if grown.is_empty() {
        return Ok(());
    }
    // A log whose seal does not hold is not sealed anew: the new one would vouch for what was done to it.
    let before = Seal::read(&transaction)?.filter(|seal| seal.is_signed_by(&key.verifying_key()));
    let before = before.ok_or_else(|| {
        LedgerError::Unavailable(
            "the seal of the audit log is gone or was changed, so nothing more is signed; run `ticketgate audit verify`"
                .to_owned(),
        )
    })?;
    let (number_of_seal, mut digest) = (before.number + 1, before.digest);
    let at_text = time_text(at)?;
    for (chain, seq, hash) in grown {
        let number = u64::try_from(seq).map_err(|error| failure::unreadable("a chain's length", error))?;
        let bytes = chain::checkpoint_bytes(chain.as_bytes(), number, &hash, at_text.as_bytes());
        let signature = key.sign(&bytes).to_bytes();
        digest = chain::taken_in(&digest, &bytes);
        run(
            &transaction,
            "INSERT INTO checkpoints (chain, seq, hash, at, signature, seal) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![chain, seq, hash, at_text, signature, integer(number_of_seal)?],
        )?;
    }
    Seal::sign(key, number_of_seal, &at_text, digest).put(&transaction)?;
    raise_high_water(&transaction, at)?;
    transaction.commit().map_err(failure::database)
}

fn begin(connection: &mut Connection) -> Result<Transaction<'_>, LedgerError> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failure::database)
}

pub(super) fn run(
    transaction: &Transaction<'_>,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> Result<usize, LedgerError> {
    transaction
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(parameters))
        .map_err(failure::database)
}

fn forget_old(transaction: &Transaction<'_>, now: DateTime<Utc>) -> Result<(), LedgerError> {
    let before = time_text(now.checked_sub_signed(KEPT).unwrap_or(now))?;
    run(transaction, "DELETE FROM requests WHERE at <= ?1", [&before])?;
    run(transaction, "DELETE FROM attempts WHERE at <= ?1", [&before])?;
    run(transaction, "DELETE FROM events WHERE at <= ?1", [&before])?;
    Ok(())
}

fn refuse_if_answered(transaction: &Transaction<'_>, change: &Change) -> Result<(), LedgerError> {
    let Some(answer) = &change.answers else { return Ok(()) };
    match query::answered(transaction, &answer.technician, &answer.key)? {
        Some(answered) => Err(LedgerError::Seen(answered)),
        None => Ok(()),
    }
}

/// The limit stands in the way of new sessions only: a change to an old one never adds to what is open.
fn check_sessions(transaction: &Transaction<'_>, guard: &Guard, change: &Change) -> Result<(), LedgerError> {
    let Some(most) = guard.sessions_at_once else { return Ok(()) };
    let of_change = |session: &&Session| session.technician == guard.technician && is_not_over(session.state);
    let new = change.sessions.iter().filter(of_change).filter(|session| session.version == 0).count();
    if new == 0 {
        return Ok(());
    }
    let open = query::open_sessions(transaction, &guard.technician)?;
    // Those that this very change ends or reopens count as they will stand. The parts of a session count as one.
    let unchanged = open.iter().filter(|(id, _)| !change.sessions.iter().any(|s| s.id.as_str() == id));
    let changed = change.sessions.iter().filter(of_change).map(|session| session.of().as_str());
    let count = unchanged.map(|(_, whole)| whole.as_str()).chain(changed).collect::<BTreeSet<_>>().len();
    if count > usize::try_from(most).unwrap_or(usize::MAX) {
        return Err(LedgerError::TooMany { limit: Limit::Sessions, retry_after_s: 0 });
    }
    Ok(())
}

/// Whether a session still stands between `pending` and `ending`; a state that nobody knows counts as open.
fn is_not_over(state: State) -> bool {
    !matches!(state, State::Ended | State::Denied | State::Lapsed | State::Failed)
}

/// Sliding windows: a request is in the window for exactly its length. Of several limits reached, the one that stands in
/// the way longest is named. Requests "after" `now` (the clock was set back) count as well.
fn count_request(
    transaction: &Transaction<'_>,
    guard: &Guard,
    now: DateTime<Utc>,
) -> Result<(), LedgerError> {
    let Some(rate) = guard.rate else { return Ok(()) };
    let mut reached: Option<(Limit, u32)> = None;
    for (limit, most, window) in [
        (Limit::Minute, rate.per_minute, TimeDelta::minutes(1)),
        (Limit::Hour, rate.per_hour, TimeDelta::hours(1)),
        (Limit::Day, rate.per_day, KEPT),
    ] {
        let wait = wait_for(transaction, guard, now, most, window)?;
        if wait > reached.map_or(0, |(_, longest)| longest) {
            reached = Some((limit, wait));
        }
    }
    if let Some((limit, retry_after_s)) = reached {
        return Err(LedgerError::TooMany { limit, retry_after_s });
    }
    run(
        transaction,
        "INSERT INTO attempts (technician, at) VALUES (?1, ?2)",
        params![guard.technician.as_str(), time_text(now)?],
    )?;
    Ok(())
}

/// Seconds until one more request fits into the window; 0 when it fits now.
fn wait_for(
    transaction: &Transaction<'_>,
    guard: &Guard,
    now: DateTime<Utc>,
    most: u32,
    window: TimeDelta,
) -> Result<u32, LedgerError> {
    let whole_window = u32::try_from(window.num_seconds()).unwrap_or(u32::MAX);
    let Some(skip) = most.checked_sub(1) else { return Ok(whole_window) };
    let since = time_text(now.checked_sub_signed(window).unwrap_or(now))?;
    // The request that has to leave the window before the next one fits.
    let in_the_way: Option<String> = transaction
        .prepare_cached(
            "SELECT at FROM attempts WHERE technician = ?1 AND at > ?2 ORDER BY at DESC LIMIT 1 OFFSET ?3",
        )
        .and_then(|mut statement| {
            statement.query_row(params![guard.technician.as_str(), since, skip], |row| row.get(0)).optional()
        })
        .map_err(failure::database)?;
    let Some(in_the_way) = in_the_way else { return Ok(0) };
    let wait = (time(&in_the_way)? + window) - now;
    let seconds = wait.num_seconds() + i64::from(wait.subsec_nanos() > 0);
    Ok(u32::try_from(seconds.max(1)).unwrap_or(u32::MAX))
}

fn put_account(transaction: &Transaction<'_>, account: &Account) -> Result<(), LedgerError> {
    let version = integer(account.version)?;
    let next_try = account.next_try.map(time_text).transpose()?;
    let parameters = params![
        account.key.0,
        account.directory.as_str(),
        word(&account.mode)?,
        account.technician.as_str(),
        account.name,
        account.identity,
        account.display_name,
        account.token,
        integer(account.password_generation)?,
        json(&account.standing)?,
        account.settled,
        account.attempts,
        next_try,
        version,
        account.gone,
    ];
    let sql = if version == 0 {
        "INSERT INTO accounts (key, directory, mode, technician, name, identity, display_name, token,
             password_generation, standing, settled, attempts, next_try, version, gone)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14 + 1, ?15)
         ON CONFLICT (key) DO NOTHING"
    } else {
        "UPDATE accounts SET directory = ?2, mode = ?3, technician = ?4, name = ?5, identity = ?6, display_name = ?7,
             token = ?8, password_generation = ?9, standing = ?10, settled = ?11, attempts = ?12, next_try = ?13,
             version = ?14 + 1, gone = ?15
         WHERE key = ?1 AND version = ?14"
    };
    if run(transaction, sql, parameters)? == 1 {
        Ok(())
    } else {
        Err(LedgerError::Conflict(format!("account {} is no longer at version {version}", account.key.0)))
    }
}

fn put_session(transaction: &Transaction<'_>, session: &Session) -> Result<(), LedgerError> {
    let version = integer(session.version)?;
    let parameters = params![
        session.id.as_str(),
        word(&session.state)?,
        session.technician.as_str(),
        session.customer.as_str(),
        session.directory.as_str(),
        session.policy.as_str(),
        session.policy_name,
        word(&session.mode)?,
        session.account.0,
        json(&session.rights)?,
        session.reason,
        session.ticket.as_ref().map(json).transpose()?,
        time_text(session.requested_at)?,
        time_text(session.from)?,
        time_text(session.until)?,
        time_text(session.latest_end)?,
        session.active_at.map(time_text).transpose()?,
        session.end_cause.as_ref().map(word).transpose()?,
        session.ended_at.map(time_text).transpose()?,
        session.trouble.as_ref().map(json).transpose()?,
        version,
        session.whole.as_ref().map(SessionId::as_str),
    ];
    let sql = if version == 0 {
        r#"INSERT INTO sessions (id, state, technician, customer, directory, policy, policy_name, mode, account, rights,
             reason, ticket, requested_at, "from", until, latest_end, active_at, end_cause, ended_at, trouble, version, whole)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21 + 1,
             ?22)
         ON CONFLICT (id) DO NOTHING"#
    } else {
        r#"UPDATE sessions SET state = ?2, technician = ?3, customer = ?4, directory = ?5, policy = ?6, policy_name = ?7,
             mode = ?8, account = ?9, rights = ?10, reason = ?11, ticket = ?12, requested_at = ?13, "from" = ?14,
             until = ?15, latest_end = ?16, active_at = ?17, end_cause = ?18, ended_at = ?19, trouble = ?20,
             version = ?21 + 1, whole = ?22
         WHERE id = ?1 AND version = ?21"#
    };
    if run(transaction, sql, parameters)? == 1 {
        Ok(())
    } else {
        Err(LedgerError::Conflict(format!("session {} is no longer at version {version}", session.id)))
    }
}

fn append(transaction: &Transaction<'_>, record: &NewAudit, at: &str) -> Result<(), LedgerError> {
    let chain = record.customer.as_ref().map_or(OWN_CHAIN, CustomerId::as_str);
    let head: Option<(i64, Hash)> = transaction
        .prepare_cached("SELECT seq, hash FROM chains WHERE chain = ?1")
        .and_then(|mut statement| {
            statement.query_row([chain], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(failure::database)?;
    let (last, before) = head.unwrap_or((0, BEGINNING));
    let seq = u64::try_from(last).map_err(|error| failure::unreadable("a chain's length", error))? + 1;
    let details: serde_json::Map<String, Value> =
        record.details.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let details = chain::details_text(&Value::Object(details));
    let fields = Fields {
        chain: chain.as_bytes(),
        seq,
        at: at.as_bytes(),
        action: record.action.as_bytes(),
        actor: record.actor.as_bytes(),
        outcome: record.outcome.as_bytes(),
        details: details.as_bytes(),
    };
    let hash = chain::hash(&before, &fields, &mut Vec::with_capacity(512));
    let seq = integer(seq)?;
    run(
        transaction,
        "INSERT INTO audit (chain, seq, at, action, actor, outcome, details, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![chain, seq, at, record.action, record.actor, record.outcome, details, hash],
    )?;
    run(
        transaction,
        "INSERT INTO chains (chain, seq, hash) VALUES (?1, ?2, ?3)
         ON CONFLICT (chain) DO UPDATE SET seq = excluded.seq, hash = excluded.hash",
        params![chain, seq, hash],
    )?;
    Ok(())
}

/// What was sent is only counted: the ticket has it.
fn change_notes(
    transaction: &Transaction<'_>,
    notes: &NoteChange,
    now: DateTime<Utc>,
) -> Result<(), LedgerError> {
    for note in &notes.new {
        run(
            transaction,
            "INSERT INTO notes (mark, session, psa, ticket, text, at, next_try, attempts, sending)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0) ON CONFLICT (mark) DO NOTHING",
            params![
                note.mark,
                note.session.as_str(),
                note.psa.as_str(),
                note.ticket,
                note.text,
                time_text(now)?,
                time_text(note.due)?
            ],
        )?;
    }
    for tried in &notes.sending {
        run(
            transaction,
            "UPDATE notes SET sending = 1, attempts = attempts + 1, next_try = ?2 WHERE mark = ?1",
            params![tried.mark, time_text(tried.again)?],
        )?;
    }
    let mut sent = 0;
    for mark in &notes.sent {
        sent += run(transaction, "DELETE FROM notes WHERE mark = ?1", [mark])?;
    }
    if sent > 0 {
        run(
            transaction,
            "INSERT INTO facts (name, value) VALUES ('notes_sent', ?1)
             ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + ?1 AS TEXT)",
            [sent.to_string()],
        )?;
    }
    for mark in &notes.dropped {
        run(transaction, "DELETE FROM notes WHERE mark = ?1", [mark])?;
    }
    for mark in &notes.withdrawn {
        run(transaction, "DELETE FROM notes WHERE mark = ?1 AND sending = 0", [mark])?;
    }
    Ok(())
}

/// Nothing is counted as of a time that has not come: else a clock that was far ahead once would keep the limits of people, and
/// the suspicion against the clock, for as long as it was ahead.
fn follow_clock(transaction: &Transaction<'_>, now: DateTime<Utc>) -> Result<(), LedgerError> {
    let now = time_text(now)?;
    run(transaction, "UPDATE attempts SET at = ?1 WHERE at > ?1", [&now])?;
    run(transaction, "UPDATE requests SET at = ?1 WHERE at > ?1", [&now])?;
    run(transaction, "UPDATE events SET at = ?1 WHERE at > ?1", [&now])?;
    run(transaction, "UPDATE notes SET at = ?1 WHERE at > ?1", [&now])?;
    run(transaction, "UPDATE notes SET next_try = ?1 WHERE next_try > ?1", [&now])?;
    run(transaction, "UPDATE facts SET value = ?1 WHERE name = 'high_water' AND value > ?1", [&now])?;
    Ok(())
}

fn raise_high_water(transaction: &Transaction<'_>, at: DateTime<Utc>) -> Result<(), LedgerError> {
    run(
        transaction,
        "INSERT INTO facts (name, value) VALUES ('high_water', ?1)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE excluded.value > value",
        [time_text(at)?],
    )?;
    Ok(())
}
