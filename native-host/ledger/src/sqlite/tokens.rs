//! Sign-ins and API tokens as rows, both ways.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::types::Value as Parameter;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params, params_from_iter};

use super::commit::run;
use super::query::{Conditions, all};
use super::rows::{Cell, json, time_text};
use crate::tokens::{ApiToken, Digest, Issued, SignIn, SignInFilter, TokenChange};
use crate::{LedgerError, failure};

/// How long what is over is kept for lists, and for a renewal that comes late.
const KEPT: TimeDelta = TimeDelta::days(30);

/// What a query without a limit answers at most.
const LIMIT: u32 = 1_000;

const SIGN_IN: &str = r#"id, technician, issuer, claim, value, subject, session, name, groups, key, "from", renewed, until, ended, ended_by"#;

const API_TOKEN: &str = r#"id, name, token, scopes, customers, made_by, "from", until, ended"#;

/// The name of the shared key among the facts.
const SHARED_KEY: &str = "shared_key";

/// Makes the key that all brokers share, where there is none yet.
pub(super) fn make_shared_key(connection: &Connection) -> Result<(), LedgerError> {
    let mut bytes: Digest = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| LedgerError::Unavailable(format!("no randomness for its key: {error}")))?;
    connection
        .execute(
            "INSERT INTO facts (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING",
            [SHARED_KEY, &hex::encode(bytes)],
        )
        .map(drop)
        .map_err(failure::database)
}

pub(super) fn shared_key(connection: &Connection) -> Result<Digest, LedgerError> {
    let text: Option<String> = connection
        .query_row("SELECT value FROM facts WHERE name = ?1", [SHARED_KEY], |row| row.get(0))
        .optional()
        .map_err(failure::database)?;
    let bytes = text.and_then(|text| hex::decode(text).ok()).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| failure::unreadable("the brokers' shared key", "it is none"))
}

pub(super) fn by_token(
    connection: &mut Connection,
    token: &Digest,
) -> Result<Option<(SignIn, Issued)>, LedgerError> {
    let snapshot = connection.transaction().map_err(failure::database)?;
    let sql = r#"SELECT token, sign_in, "from", until FROM sign_in_tokens WHERE token = ?1"#;
    let Some(issued) = all(&snapshot, sql, [token], issued)?.pop() else { return Ok(None) };
    Ok(sign_in(&snapshot, &issued.sign_in)?.map(|sign_in| (sign_in, issued)))
}

pub(super) fn sign_in(connection: &Connection, id: &str) -> Result<Option<SignIn>, LedgerError> {
    let sql = format!("SELECT {SIGN_IN} FROM sign_ins WHERE id = ?1");
    Ok(all(connection, &sql, [id], sign_in_row)?.pop())
}

pub(super) fn sign_ins(connection: &Connection, filter: &SignInFilter) -> Result<Vec<SignIn>, LedgerError> {
    let mut wanted = Conditions::default();
    let technician = filter.technician.as_ref().map(ToString::to_string);
    for (column, value) in [
        ("technician", &technician),
        ("issuer", &filter.issuer),
        ("subject", &filter.subject),
        ("session", &filter.session),
    ] {
        if let Some(value) = value {
            wanted.and(&format!("{column} = ?"), [Parameter::from(value.clone())]);
        }
    }
    if let Some(at) = filter.good_at {
        wanted.and("ended IS NULL AND until > ?", [time_text(at)?.into()]);
    }
    let limit = if filter.limit == 0 { LIMIT } else { filter.limit };
    let sql =
        format!(r#"SELECT {SIGN_IN} FROM sign_ins{} ORDER BY "from" DESC, id LIMIT {limit}"#, wanted.sql);
    all(connection, &sql, params_from_iter(wanted.parameters), sign_in_row)
}

pub(super) fn api_token(connection: &Connection, token: &Digest) -> Result<Option<ApiToken>, LedgerError> {
    let sql = format!("SELECT {API_TOKEN} FROM api_tokens WHERE token = ?1");
    Ok(all(connection, &sql, [token], api_token_row)?.pop())
}

pub(super) fn api_tokens(connection: &Connection) -> Result<Vec<ApiToken>, LedgerError> {
    let sql = format!(r#"SELECT {API_TOKEN} FROM api_tokens ORDER BY "from" DESC, id LIMIT {LIMIT}"#);
    all(connection, &sql, [], api_token_row)
}

/// Carries a change out. What is over for long goes along: nothing else ever waits for it.
pub(super) fn change(
    transaction: &Transaction<'_>,
    change: &TokenChange,
    now: DateTime<Utc>,
) -> Result<(), LedgerError> {
    if change.is_empty() {
        return Ok(());
    }
    forget_old(transaction, now)?;
    for sign_in in &change.sign_ins {
        put_sign_in(transaction, sign_in)?;
    }
    for issued in &change.issued {
        run(
            transaction,
            r#"INSERT INTO sign_in_tokens (token, sign_in, "from", until) VALUES (?1, ?2, ?3, ?4)"#,
            params![issued.token, issued.sign_in, time_text(issued.from)?, time_text(issued.until)?],
        )?;
    }
    let at = time_text(now)?;
    for (id, by) in &change.ended {
        run(
            transaction,
            "UPDATE sign_ins SET ended = ?2, ended_by = ?3 WHERE id = ?1 AND ended IS NULL",
            params![id, at, by],
        )?;
    }
    for token in &change.api_tokens {
        put_api_token(transaction, token)?;
    }
    for id in &change.api_ended {
        run(
            transaction,
            "UPDATE api_tokens SET ended = ?2 WHERE id = ?1 AND ended IS NULL",
            params![id, at],
        )?;
    }
    Ok(())
}

fn forget_old(transaction: &Transaction<'_>, now: DateTime<Utc>) -> Result<(), LedgerError> {
    let before = time_text(now.checked_sub_signed(KEPT).unwrap_or(now))?;
    run(transaction, "DELETE FROM sign_in_tokens WHERE until <= ?1", [&before])?;
    run(
        transaction,
        "DELETE FROM sign_ins WHERE until <= ?1
         AND NOT EXISTS (SELECT 1 FROM sign_in_tokens WHERE sign_in = sign_ins.id)",
        [&before],
    )?;
    run(transaction, "DELETE FROM api_tokens WHERE coalesce(ended, until) <= ?1", [&before])?;
    Ok(())
}

fn put_sign_in(transaction: &Transaction<'_>, sign_in: &SignIn) -> Result<(), LedgerError> {
    let put = run(
        transaction,
        r#"INSERT INTO sign_ins (id, technician, issuer, claim, value, subject, session, name, groups, key, "from", renewed,
             until, ended, ended_by)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
         ON CONFLICT (id) DO UPDATE SET technician = ?2, issuer = ?3, claim = ?4, value = ?5, subject = ?6, session = ?7,
             name = ?8, groups = ?9, key = ?10, "from" = ?11, renewed = ?12, until = ?13, ended = ?14, ended_by = ?15
         WHERE ended IS NULL"#,
        params![
            sign_in.id,
            sign_in.technician.as_str(),
            sign_in.issuer,
            sign_in.claim,
            sign_in.value,
            sign_in.subject,
            sign_in.session,
            sign_in.name,
            json(&sign_in.groups)?,
            sign_in.key,
            time_text(sign_in.from)?,
            time_text(sign_in.renewed)?,
            time_text(sign_in.until)?,
            sign_in.ended.map(time_text).transpose()?,
            sign_in.ended_by,
        ],
    )?;
    if put == 1 {
        Ok(())
    } else {
        Err(LedgerError::Conflict(format!("sign-in {} was ended meanwhile", sign_in.id)))
    }
}

fn put_api_token(transaction: &Transaction<'_>, token: &ApiToken) -> Result<(), LedgerError> {
    run(
        transaction,
        r#"INSERT INTO api_tokens (id, name, token, scopes, customers, made_by, "from", until, ended)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"#,
        params![
            token.id,
            token.name,
            token.token,
            json(&token.scopes)?,
            token.customers.as_ref().map(json).transpose()?,
            token.made_by,
            time_text(token.from)?,
            time_text(token.until)?,
            token.ended.map(time_text).transpose()?,
        ],
    )
    .map(drop)
}

fn issued(row: &Row<'_>) -> Result<Issued, LedgerError> {
    let cell = Cell { row };
    Ok(Issued { token: cell.get(0)?, sign_in: cell.get(1)?, from: cell.time(2)?, until: cell.time(3)? })
}

fn sign_in_row(row: &Row<'_>) -> Result<SignIn, LedgerError> {
    let cell = Cell { row };
    Ok(SignIn {
        id: cell.get(0)?,
        technician: cell.parsed(1)?,
        issuer: cell.get(2)?,
        claim: cell.get(3)?,
        value: cell.get(4)?,
        subject: cell.get(5)?,
        session: cell.get(6)?,
        name: cell.get(7)?,
        groups: cell.json(8)?,
        key: cell.get(9)?,
        from: cell.time(10)?,
        renewed: cell.time(11)?,
        until: cell.time(12)?,
        ended: cell.optional_time(13)?,
        ended_by: cell.get(14)?,
    })
}

fn api_token_row(row: &Row<'_>) -> Result<ApiToken, LedgerError> {
    let cell = Cell { row };
    Ok(ApiToken {
        id: cell.get(0)?,
        name: cell.get(1)?,
        token: cell.get(2)?,
        scopes: cell.json(3)?,
        customers: cell.optional_json(4)?,
        made_by: cell.get(5)?,
        from: cell.time(6)?,
        until: cell.time(7)?,
        ended: cell.optional_time(8)?,
    })
}
