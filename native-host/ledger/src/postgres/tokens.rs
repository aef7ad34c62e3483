//! Sign-ins and API tokens in PostgreSQL, both ways.

use chrono::{DateTime, TimeDelta, Utc};
use deadpool_postgres::{GenericClient, Transaction};
use tokio_postgres::Row;

use super::failure::Trouble;
use super::query::{Conditions, all, fact, run};
use super::rows::Cells;
use crate::columns::{json, time_text};
use crate::tokens::{ApiToken, Digest, Issued, SignIn, SignInFilter, TokenChange};
use crate::{LedgerError, failure};

/// How long what is over is kept for lists, and for a renewal that comes late.
const KEPT: TimeDelta = TimeDelta::days(30);

/// What a query without a limit answers at most.
const LIMIT: u32 = 1_000;

pub(super) const SIGN_IN: &str = r#"id, technician, issuer, claim, value, subject, session, name, groups, key, "from", renewed, until, ended, ended_by"#;

pub(super) const API_TOKEN: &str = r#"id, name, token, scopes, customers, made_by, "from", until, ended"#;

/// The name of the shared key among the facts.
pub(super) const SHARED_KEY: &str = "shared_key";

pub(super) async fn shared_key<C: GenericClient>(client: &C) -> Result<Digest, Trouble> {
    let text = fact(client, SHARED_KEY).await?;
    let bytes = text.and_then(|text| hex::decode(text).ok()).and_then(|bytes| bytes.try_into().ok());
    Ok(bytes.ok_or_else(|| failure::unreadable("the brokers' shared key", "it is none"))?)
}

pub(super) async fn by_token<C: GenericClient>(
    client: &C,
    token: &Digest,
) -> Result<Option<(SignIn, Issued)>, Trouble> {
    let columns: Vec<_> = SIGN_IN.split(", ").map(|column| format!("s.{column}")).collect();
    let sql = format!(
        r#"SELECT {}, t.token, t.sign_in, t."from", t.until
         FROM sign_in_tokens t JOIN sign_ins s ON s.id = t.sign_in WHERE t.token = $1"#,
        columns.join(", ")
    );
    let read = |row: &Row| {
        let cells = Cells { row, first: 15 };
        let issued = Issued {
            token: cells.fixed(0)?,
            sign_in: cells.get(1)?,
            from: cells.time(2)?,
            until: cells.time(3)?,
        };
        Ok((sign_in_row(row)?, issued))
    };
    Ok(all(client, &sql, &[&token.as_slice()], read).await?.pop())
}

pub(super) async fn sign_in<C: GenericClient>(client: &C, id: &str) -> Result<Option<SignIn>, Trouble> {
    let sql = format!("SELECT {SIGN_IN} FROM sign_ins WHERE id = $1");
    Ok(all(client, &sql, &[&id], sign_in_row).await?.pop())
}

pub(super) async fn sign_ins<C: GenericClient>(
    client: &C,
    filter: &SignInFilter,
) -> Result<Vec<SignIn>, Trouble> {
    let mut wanted = Conditions::default();
    let technician = filter.technician.as_ref().map(ToString::to_string);
    for (condition, value) in [
        ("technician = $", &technician),
        ("issuer = $", &filter.issuer),
        ("subject = $", &filter.subject),
        ("session = $", &filter.session),
    ] {
        if let Some(value) = value {
            wanted.and(condition, value.clone());
        }
    }
    if let Some(at) = filter.good_at {
        wanted.and("ended IS NULL AND until > $", time_text(at)?);
    }
    let limit = if filter.limit == 0 { LIMIT } else { filter.limit };
    let sql =
        format!(r#"SELECT {SIGN_IN} FROM sign_ins{} ORDER BY "from" DESC, id LIMIT {limit}"#, wanted.sql);
    all(client, &sql, &wanted.parameters(), sign_in_row).await
}

pub(super) async fn api_token<C: GenericClient>(
    client: &C,
    token: &Digest,
) -> Result<Option<ApiToken>, Trouble> {
    let sql = format!("SELECT {API_TOKEN} FROM api_tokens WHERE token = $1");
    Ok(all(client, &sql, &[&token.as_slice()], api_token_row).await?.pop())
}

pub(super) async fn api_tokens<C: GenericClient>(client: &C) -> Result<Vec<ApiToken>, Trouble> {
    let sql = format!(r#"SELECT {API_TOKEN} FROM api_tokens ORDER BY "from" DESC, id LIMIT {LIMIT}"#);
    all(client, &sql, &[], api_token_row).await
}

/// Carries a change out. What is over for long goes along: nothing else ever waits for it.
pub(super) async fn change(
    transaction: &Transaction<'_>,
    change: &TokenChange,
    now: DateTime<Utc>,
) -> Result<(), Trouble> {
    if change.is_empty() {
        return Ok(());
    }
    forget_old(transaction, now).await?;
    let mut sign_ins: Vec<_> = change.sign_ins.iter().collect();
    sign_ins.sort_by(|a, b| a.id.cmp(&b.id));
    for sign_in in sign_ins {
        put_sign_in(transaction, sign_in).await?;
    }
    for issued in &change.issued {
        let (from, until) = (time_text(issued.from)?, time_text(issued.until)?);
        let sql = r#"INSERT INTO sign_in_tokens (token, sign_in, "from", until) VALUES ($1, $2, $3, $4)"#;
        run(transaction, sql, &[&issued.token.as_slice(), &issued.sign_in, &from, &until]).await?;
    }
    let at = time_text(now)?;
    for (id, by) in &change.ended {
        let sql = "UPDATE sign_ins SET ended = $2, ended_by = $3 WHERE id = $1 AND ended IS NULL";
        run(transaction, sql, &[id, &at, by]).await?;
    }
    for token in &change.api_tokens {
        put_api_token(transaction, token).await?;
    }
    for id in &change.api_ended {
        let sql = "UPDATE api_tokens SET ended = $2 WHERE id = $1 AND ended IS NULL";
        run(transaction, sql, &[id, &at]).await?;
    }
    Ok(())
}

/// Rows that another change has in hand are left to the next one.
async fn forget_old(transaction: &Transaction<'_>, now: DateTime<Utc>) -> Result<(), Trouble> {
    let before = time_text(now.checked_sub_signed(KEPT).unwrap_or(now))?;
    for sql in [
        "DELETE FROM sign_in_tokens WHERE token = ANY (ARRAY(
             SELECT token FROM sign_in_tokens WHERE until <= $1 FOR UPDATE SKIP LOCKED))",
        "DELETE FROM sign_ins WHERE id = ANY (ARRAY(
             SELECT id FROM sign_ins WHERE until <= $1
             AND NOT EXISTS (SELECT 1 FROM sign_in_tokens WHERE sign_in = sign_ins.id) FOR UPDATE SKIP LOCKED))",
        "DELETE FROM api_tokens WHERE id = ANY (ARRAY(
             SELECT id FROM api_tokens WHERE coalesce(ended, until) <= $1 FOR UPDATE SKIP LOCKED))",
    ] {
        run(transaction, sql, &[&before]).await?;
    }
    Ok(())
}

async fn put_sign_in(transaction: &Transaction<'_>, sign_in: &SignIn) -> Result<(), Trouble> {
    let sql = r#"INSERT INTO sign_ins (id, technician, issuer, claim, value, subject, session, name, groups, key, "from",
             renewed, until, ended, ended_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         ON CONFLICT (id) DO UPDATE SET technician = $2, issuer = $3, claim = $4, value = $5, subject = $6, session = $7,
             name = $8, groups = $9, key = $10, "from" = $11, renewed = $12, until = $13, ended = $14, ended_by = $15
         WHERE sign_ins.ended IS NULL"#;
    let (from, renewed, until) =
        (time_text(sign_in.from)?, time_text(sign_in.renewed)?, time_text(sign_in.until)?);
    let ended = sign_in.ended.map(time_text).transpose()?;
    let (technician, groups) = (sign_in.technician.as_str(), json(&sign_in.groups)?);
    let put = run(
        transaction,
        sql,
        &[
            &sign_in.id,
            &technician,
            &sign_in.issuer,
            &sign_in.claim,
            &sign_in.value,
            &sign_in.subject,
            &sign_in.session,
            &sign_in.name,
            &groups,
            &sign_in.key,
            &from,
            &renewed,
            &until,
            &ended,
            &sign_in.ended_by,
        ],
    )
    .await?;
    if put == 1 {
        Ok(())
    } else {
        Err(LedgerError::Conflict(format!("sign-in {} was ended meanwhile", sign_in.id)).into())
    }
}

async fn put_api_token(transaction: &Transaction<'_>, token: &ApiToken) -> Result<(), Trouble> {
    let sql = r#"INSERT INTO api_tokens (id, name, token, scopes, customers, made_by, "from", until, ended)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"#;
    let (scopes, customers) = (json(&token.scopes)?, token.customers.as_ref().map(json).transpose()?);
    let (from, until) = (time_text(token.from)?, time_text(token.until)?);
    let (hash, ended) = (token.token.as_slice(), token.ended.map(time_text).transpose()?);
    run(
        transaction,
        sql,
        &[&token.id, &token.name, &hash, &scopes, &customers, &token.made_by, &from, &until, &ended],
    )
    .await?;
    Ok(())
}

fn sign_in_row(row: &Row) -> Result<SignIn, LedgerError> {
    let cells = Cells { row, first: 0 };
    Ok(SignIn {
        id: cells.get(0)?,
        technician: cells.parsed(1)?,
        issuer: cells.get(2)?,
        claim: cells.get(3)?,
        value: cells.get(4)?,
        subject: cells.get(5)?,
        session: cells.get(6)?,
        name: cells.get(7)?,
        groups: cells.json(8)?,
        key: cells.get(9)?,
        from: cells.time(10)?,
        renewed: cells.time(11)?,
        until: cells.time(12)?,
        ended: cells.optional_time(13)?,
        ended_by: cells.get(14)?,
    })
}

fn api_token_row(row: &Row) -> Result<ApiToken, LedgerError> {
    let cells = Cells { row, first: 0 };
    Ok(ApiToken {
        id: cells.get(0)?,
        name: cells.get(1)?,
        token: cells.fixed(2)?,
        scopes: cells.json(3)?,
        customers: cells.optional_json(4)?,
        made_by: cells.get(5)?,
        from: cells.time(6)?,
        until: cells.time(7)?,
        ended: cells.optional_time(8)?,
    })
}
