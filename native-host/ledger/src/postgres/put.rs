//! Accounts and sessions as rows, by compare-and-set on their versions, and when accounts are due. Nothing is sent here.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_access::session::{Account, Session};
use ticketgate_protocol::ids::SessionId;

use super::together::Write;
use crate::columns::{integer, json, time_text, word};
use crate::{BrokerEpoch, Change, LedgerError};

pub(super) fn by_key(accounts: &[Account]) -> Vec<&Account> {
    let mut accounts: Vec<_> = accounts.iter().collect();
    accounts.sort_by(|a, b| a.key.cmp(&b.key));
    accounts
}

/// Between two looks at an account that is watched.
const LOOK_AFTER: TimeDelta = TimeDelta::seconds(5);

/// How often an account is looked at, [`LOOK_AFTER`] each other, once it was taken from a broker that had not finished: what that one
/// sent last can arrive for as long as connections keep it, which is two minutes.
const LOOKS: u32 = 24;

/// When something is to be done for an account: at its next try or `now` while it is not settled, else at the first end, or at the
/// next look where it is watched.
fn due_of(settled: &str, next_try: &str, now: &str, look: (&str, u32)) -> String {
    let (look, done) = look;
    format!(
        "CASE WHEN {settled}
         THEN least(
             (SELECT min(until) FROM sessions WHERE account = accounts.key AND state IN ('activating', 'active')),
             CASE WHEN accounts.looks > {done} THEN {look}::text END)
         ELSE coalesce({next_try}, {now}) END"
    )
}

/// The same of an account as it is, once so many looks more are done. Parameters: `now`, and when it is looked at next.
pub(super) fn due(now: &str, look: &str, done: u32) -> String {
    due_of("accounts.settled", "accounts.next_try", now, (look, done))
}

/// How often an account is still to be looked at, once this broker (a parameter) has its lease: from the start where another one, or an
/// earlier run of this one, had it and has not finished.
pub(super) fn looks(taker: &str) -> String {
    format!("CASE WHEN NOT settled AND lease_holder <> {taker}::bigint THEN {LOOKS} ELSE looks END")
}

/// When an account that is watched is looked at again.
pub(super) fn next_look(now: DateTime<Utc>) -> Result<String, LedgerError> {
    time_text(now + LOOK_AFTER)
}

/// One that is not settled any more and that nobody works on gets a lease of this broker's at once: whoever writes down what is to
/// be done is the first who may do it.
pub(super) fn put_account(
    account: &Account,
    now: DateTime<Utc>,
    epoch: Option<BrokerEpoch>,
) -> Result<Write, LedgerError> {
    let version = integer(account.version)?;
    let next_try = account.next_try.map(time_text).transpose()?;
    let taker = epoch.filter(|_| !account.settled && account.next_try.is_none_or(|at| at <= now));
    let taker = taker.map(|epoch| integer(epoch.0)).transpose()?;
    let (mode, standing) = (word(&account.mode)?, json(&account.standing)?);
    let (generation, attempts) = (integer(account.password_generation)?, i64::from(account.attempts));
    let (directory, technician) = (account.directory.to_string(), account.technician.to_string());
    let sql = if version == 0 {
        "INSERT INTO accounts (key, directory, mode, technician, name, identity, display_name, token,
             password_generation, standing, settled, attempts, next_try, version, gone,
             lease_holder, lease_until, fence, due)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::bigint + 1, $15,
             $16::bigint, CASE WHEN $16::bigint IS NOT NULL THEN statement_timestamp() + interval '3 seconds' END,
             CASE WHEN $16::bigint IS NULL THEN 0 ELSE 1 END,
             CASE WHEN $11 THEN (SELECT min(until) FROM sessions WHERE account = $1 AND state IN ('activating', 'active'))
                 ELSE coalesce($13, $17) END)
         ON CONFLICT (key) DO NOTHING"
            .to_owned()
    } else {
        let due = due_of("$11", "$13", "$17", ("$18", 0));
        let takes = "$16::bigint IS NOT NULL AND coalesce(lease_until < statement_timestamp(), true)";
        format!(
            "UPDATE accounts SET directory = $2, mode = $3, technician = $4, name = $5, identity = $6, display_name = $7,
                 token = $8, password_generation = $9, standing = $10, settled = $11, attempts = $12, next_try = $13,
                 version = $14::bigint + 1, gone = $15, due = {due},
                 lease_holder = CASE WHEN {takes} THEN $16::bigint ELSE lease_holder END,
                 lease_until = CASE WHEN {takes} THEN statement_timestamp() + interval '3 seconds' ELSE lease_until END,
                 fence = CASE WHEN {takes} AND lease_holder IS DISTINCT FROM $16::bigint THEN fence + 1 ELSE fence END,
                 looks = CASE WHEN {takes} THEN {looks} ELSE looks END
             WHERE key = $1 AND version = $14::bigint",
            looks = looks("$16")
        )
    };
    let write = Write::of(sql)
        .with(account.key.0.clone())
        .with(directory)
        .with(mode)
        .with(technician)
        .with(account.name.clone())
        .with(account.identity.clone())
        .with(account.display_name.clone())
        .with(account.token.clone())
        .with(generation)
        .with(standing)
        .with(account.settled)
        .with(attempts)
        .with(next_try)
        .with(version)
        .with(account.gone)
        .with(taker)
        .with(time_text(now)?);
    let write = if version == 0 { write } else { write.with(next_look(now)?) };
    Ok(write.else_conflict(format!("account {} is no longer at version {version}", account.key.0)))
}

/// Of accounts that the change does not put: their sessions alone changed.
pub(super) fn set_due(change: &Change) -> Result<Option<Write>, LedgerError> {
    let mut keys: BTreeSet<&str> = change.sessions.iter().map(|session| session.account.0.as_str()).collect();
    for account in &change.accounts {
        keys.remove(account.key.0.as_str());
    }
    if keys.is_empty() {
        return Ok(None);
    }
    let keys: Vec<_> = keys.into_iter().map(str::to_owned).collect();
    let sql = format!("UPDATE accounts SET due = {} WHERE key = ANY($1)", due("$2", "$3", 0));
    Ok(Some(Write::of(sql).with(keys).with(time_text(change.at)?).with(next_look(change.at)?)))
}

pub(super) fn put_session(session: &Session) -> Result<Write, LedgerError> {
    let version = integer(session.version)?;
    let (state, mode, rights) = (word(&session.state)?, word(&session.mode)?, json(&session.rights)?);
    let ticket = session.ticket.as_ref().map(json).transpose()?;
    let active_at = session.active_at.map(time_text).transpose()?;
    let end_cause = session.end_cause.as_ref().map(word).transpose()?;
    let ended_at = session.ended_at.map(time_text).transpose()?;
    let trouble = session.trouble.as_ref().map(json).transpose()?;
    let whole = session.whole.as_ref().map(SessionId::to_string);
    let sql = if version == 0 {
        r#"INSERT INTO sessions (id, state, technician, customer, directory, policy, policy_name, mode, account, rights,
             reason, ticket, requested_at, "from", until, latest_end, active_at, end_cause, ended_at, trouble, version, whole)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
             $21::bigint + 1, $22)
         ON CONFLICT (id) DO NOTHING"#
    } else {
        r#"UPDATE sessions SET state = $2, technician = $3, customer = $4, directory = $5, policy = $6, policy_name = $7,
             mode = $8, account = $9, rights = $10, reason = $11, ticket = $12, requested_at = $13, "from" = $14,
             until = $15, latest_end = $16, active_at = $17, end_cause = $18, ended_at = $19, trouble = $20,
             version = $21::bigint + 1, whole = $22
         WHERE id = $1 AND version = $21::bigint"#
    };
    let write = Write::of(sql)
        .with(session.id.to_string())
        .with(state)
        .with(session.technician.to_string())
        .with(session.customer.to_string())
        .with(session.directory.to_string())
        .with(session.policy.to_string())
        .with(session.policy_name.clone())
        .with(mode)
        .with(session.account.0.clone())
        .with(rights)
        .with(session.reason.clone())
        .with(ticket)
        .with(time_text(session.requested_at)?)
        .with(time_text(session.from)?)
        .with(time_text(session.until)?)
        .with(time_text(session.latest_end)?)
        .with(active_at)
        .with(end_cause)
        .with(ended_at)
        .with(trouble)
        .with(version)
        .with(whole);
    Ok(write.else_conflict(format!("session {} is no longer at version {version}", session.id)))
}
