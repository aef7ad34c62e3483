//! The ledger's reads of what people and brokers do. Each is one statement, and so sees one moment. Nothing is written here.

use std::collections::BTreeMap;
use std::pin::pin;

use chrono::{DateTime, Utc};
use deadpool_postgres::GenericClient;
use futures_util::TryStreamExt;
use ticketgate_access::session::{Account, AccountKey, Session};
use ticketgate_protocol::api::State;
use ticketgate_protocol::ids::{DirectoryId, IdempotencyKey, SessionId, TechnicianId};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::failure::Trouble;
use super::rows::{self, Cells, OF_ACCOUNT, OF_SESSION};
use crate::columns::{self, ACCOUNT, SESSION, integer, time, time_text};
use crate::{
    Answered, EventRow, Given, LedgerError, Mark, NoteQueue, OnTicket, SessionFilter, Standing, failure,
};

/// Sessions that are not over. The same as `limits` says of a change's sessions.
pub(super) const OPEN: &str = "state IN ('pending', 'approved', 'activating', 'active', 'ending')";

pub(super) async fn session<C: GenericClient>(
    client: &C,
    id: &SessionId,
) -> Result<Option<Session>, Trouble> {
    let sql = format!("SELECT {SESSION} FROM sessions WHERE id = $1");
    Ok(all(client, &sql, &[&id.as_str()], |row| rows::session(row, 0)).await?.pop())
}

pub(super) async fn sessions<C: GenericClient>(
    client: &C,
    filter: &SessionFilter,
) -> Result<Vec<Session>, Trouble> {
    let mut wanted = Conditions::default();
    if let Some(technician) = &filter.technician {
        wanted.and("technician = $", technician.as_str().to_owned());
    }
    if let Some(customer) = &filter.customer {
        wanted.and("customer = $", customer.as_str().to_owned());
    }
    if let Some(account) = &filter.account {
        wanted.and("account = $", account.0.clone());
    }
    if filter.open {
        wanted.and_plain(OPEN);
    }
    if let Some(state) = &filter.state {
        wanted.and("state = $", columns::word(state)?);
    }
    if let Some(since) = filter.over_since {
        wanted.and("ended_at > $", time_text(since)?);
    }
    let limit = filter.limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
    let sql = format!("SELECT {SESSION} FROM sessions{} ORDER BY until, id{limit}", wanted.sql);
    all(client, &sql, &wanted.parameters(), |row| rows::session(row, 0)).await
}

pub(super) async fn account<C: GenericClient>(
    client: &C,
    key: &AccountKey,
) -> Result<Option<(Account, Vec<Session>)>, Trouble> {
    let sql = with_open_sessions("a.key = $1");
    Ok(by_account(&query(client, &sql, &[&key.0]).await?)?.pop())
}

pub(super) async fn accounts_of<C: GenericClient>(
    client: &C,
    keys: &[AccountKey],
) -> Result<Vec<(Account, Vec<Session>)>, Trouble> {
    let sql = with_open_sessions("a.key = ANY($1)");
    let keys: Vec<_> = keys.iter().map(|key| key.0.as_str()).collect();
    Ok(by_account(&query(client, &sql, &[&keys]).await?)?)
}

/// Accounts, each with what is open of it beside it: as many rows as that has, or one.
fn with_open_sessions(condition: &str) -> String {
    format!(
        "SELECT {}, {} FROM accounts a LEFT JOIN sessions s ON s.account = a.key AND s.{OPEN}
         WHERE {condition} ORDER BY a.key, s.until, s.id",
        of("a", ACCOUNT),
        of("s", SESSION)
    )
}

/// The rows of [`with_open_sessions`].
fn by_account(rows: &[Row]) -> Result<Vec<(Account, Vec<Session>)>, LedgerError> {
    let mut found: Vec<(Account, Vec<Session>)> = Vec::new();
    for row in rows {
        let account = rows::account(row, 0)?;
        let is_there = !matches!(row.try_get::<_, Option<&str>>(OF_ACCOUNT), Ok(None));
        let session = if is_there { Some(rows::session(row, OF_ACCOUNT)?) } else { None };
        match found.last_mut().filter(|(last, _)| last.key == account.key) {
            Some((_, sessions)) => sessions.extend(session),
            None => found.push((account, session.into_iter().collect())),
        }
    }
    Ok(found)
}

pub(super) async fn parts<C: GenericClient>(
    client: &C,
    whole: &SessionId,
) -> Result<Vec<(Session, Account)>, Trouble> {
    let sql = format!(
        "SELECT {}, {} FROM sessions s JOIN accounts a ON a.key = s.account
         WHERE s.whole = $1 OR (s.id = $1 AND s.whole IS NULL) ORDER BY s.number",
        of("s", SESSION),
        of("a", ACCOUNT)
    );
    let read = |row: &Row| Ok((rows::session(row, 0)?, rows::account(row, OF_SESSION)?));
    all(client, &sql, &[&whole.as_str()], read).await
}

pub(super) async fn accounts<C: GenericClient>(client: &C) -> Result<Vec<Account>, Trouble> {
    let sql = format!("SELECT {ACCOUNT} FROM accounts ORDER BY key");
    all(client, &sql, &[], |row| rows::account(row, 0)).await
}

pub(super) async fn marks<C: GenericClient>(client: &C) -> Result<Vec<Mark>, Trouble> {
    let sql = format!(
        "SELECT key, mode, token, identity,
             settled AND NOT EXISTS (SELECT 1 FROM sessions WHERE account = accounts.key AND {OPEN})
         FROM accounts ORDER BY key"
    );
    streamed(client, &sql, rows::mark).await
}

pub(super) async fn standings<C: GenericClient>(client: &C) -> Result<Vec<Standing>, Trouble> {
    let sql = format!(
        "WITH open AS (
             SELECT account, min(CASE WHEN state IN ('activating', 'active') THEN until END) AS first_end
             FROM sessions WHERE {OPEN} GROUP BY account)
         SELECT key, directory, settled, open.account IS NOT NULL, first_end
         FROM accounts LEFT JOIN open ON open.account = key
         WHERE NOT settled OR mode <> 'burner' OR open.account IS NOT NULL ORDER BY key"
    );
    streamed(client, &sql, rows::standing).await
}

pub(super) async fn given<C: GenericClient>(client: &C) -> Result<Vec<Given>, Trouble> {
    let sql = format!("SELECT DISTINCT technician, directory, rights FROM sessions WHERE {OPEN}");
    all(client, &sql, &[], rows::given).await
}

pub(super) async fn on_tickets<C: GenericClient>(client: &C) -> Result<Vec<OnTicket>, Trouble> {
    let sql = "SELECT id, coalesce(whole, id), policy, ticket FROM sessions
         WHERE state = 'active' AND ticket IS NOT NULL AND end_cause IS NULL ORDER BY until, id";
    streamed(client, sql, rows::on_ticket).await
}

pub(super) async fn open_by_directory<C: GenericClient>(
    client: &C,
) -> Result<BTreeMap<DirectoryId, u64>, Trouble> {
    let sql = format!("SELECT directory, count(*) FROM sessions WHERE {OPEN} GROUP BY directory");
    Ok(all(client, &sql, &[], rows::counted).await?.into_iter().collect())
}

pub(super) async fn open_by_state<C: GenericClient>(
    client: &C,
) -> Result<Vec<(DirectoryId, State, u64)>, Trouble> {
    let sql =
        format!("SELECT directory, state, count(*) FROM sessions WHERE {OPEN} GROUP BY directory, state");
    all(client, &sql, &[], rows::counted_by_state).await
}

/// The technician's rows that are not over: their ids, and those of the sessions that they are parts of.
pub(super) async fn open_sessions<C: GenericClient>(
    client: &C,
    technician: &TechnicianId,
) -> Result<Vec<(String, String)>, Trouble> {
    let sql = format!("SELECT id, coalesce(whole, id) FROM sessions WHERE technician = $1 AND {OPEN}");
    let read = |row: &Row| {
        let cells = Cells { row, first: 0 };
        Ok((cells.get(0)?, cells.get(1)?))
    };
    all(client, &sql, &[&technician.as_str()], read).await
}

/// `since` is a time as text; of the empty one all are later.
pub(super) async fn answered<C: GenericClient>(
    client: &C,
    technician: &TechnicianId,
    key: &IdempotencyKey,
    since: &str,
) -> Result<Option<Answered>, Trouble> {
    let sql = "SELECT request, session FROM requests WHERE technician = $1 AND key = $2 AND at > $3";
    let read = |row: &Row| {
        let cells = Cells { row, first: 0 };
        Ok(Answered { request: cells.fixed(0)?, session: cells.parsed(1)? })
    };
    Ok(all(client, sql, &[&technician.as_str(), &key.as_str(), &since], read).await?.pop())
}

pub(super) async fn fact<C: GenericClient>(client: &C, name: &str) -> Result<Option<String>, Trouble> {
    let read = |row: &Row| Cells { row, first: 0 }.get(0);
    Ok(all(client, "SELECT value FROM facts WHERE name = $1", &[&name], read).await?.pop())
}

pub(super) async fn high_water<C: GenericClient>(client: &C) -> Result<Option<DateTime<Utc>>, Trouble> {
    let text = fact(client, "high_water").await?.filter(|text| !text.is_empty());
    Ok(text.map(|text| time(&text)).transpose()?)
}

pub(super) async fn note_queues<C: GenericClient>(client: &C) -> Result<Vec<NoteQueue>, Trouble> {
    let sql = "SELECT psa, count(*), min(at) FROM notes GROUP BY psa ORDER BY psa";
    all(client, sql, &[], rows::note_queue).await
}

pub(super) async fn notes_sent<C: GenericClient>(client: &C) -> Result<u64, Trouble> {
    let text = fact(client, "notes_sent").await?;
    let count = text.map_or(Ok(0), |text| text.parse::<u64>());
    Ok(count.map_err(|error| failure::unreadable("the count of notes", error))?)
}

pub(super) async fn last_event<C: GenericClient>(
    client: &C,
    technician: &TechnicianId,
) -> Result<u64, Trouble> {
    let sql = "SELECT last_event FROM technicians WHERE technician = $1";
    let read = |row: &Row| Cells { row, first: 0 }.number(0);
    Ok(all(client, sql, &[&technician.as_str()], read).await?.pop().unwrap_or(0))
}

pub(super) async fn events_since<C: GenericClient>(
    client: &C,
    technician: &TechnicianId,
    number: u64,
    most: u32,
) -> Result<Option<Vec<EventRow>>, Trouble> {
    let sql = "SELECT t.last_event, e.number, e.session, e.at
         FROM technicians t LEFT JOIN LATERAL (
             SELECT number, session, at FROM events
             WHERE technician = t.technician AND number > $2 ORDER BY number LIMIT $3) e ON true
         WHERE t.technician = $1 ORDER BY e.number";
    let parameters: [&(dyn ToSql + Sync); 3] =
        [&technician.as_str(), &integer(number)?, &i64::from(most.max(1))];
    let found = query(client, sql, &parameters).await?;
    let last = match found.first() {
        Some(row) => Cells { row, first: 0 }.number(0)?,
        None => 0,
    };
    if number >= last {
        return Ok((number == last).then(Vec::new));
    }
    let read = |row: &Row| {
        let cells = Cells { row, first: 1 };
        Ok(EventRow { number: cells.number(0)?, session: cells.parsed(1)?, at: cells.time(2)? })
    };
    let is_there = |row: &&Row| !matches!(row.try_get::<_, Option<i64>>(1), Ok(None));
    let events: Vec<_> = found.iter().filter(is_there).map(read).collect::<Result<_, LedgerError>>()?;
    // What comes right after it is kept no longer.
    let is_next = events.first().is_some_and(|first| first.number == number + 1);
    Ok(is_next.then_some(events))
}

/// The columns with the name of their table.
fn of(table: &str, columns: &str) -> String {
    columns.split(", ").map(|column| format!("{table}.{column}")).collect::<Vec<_>>().join(", ")
}

/// `WHERE` with as many conditions as were asked for.
#[derive(Default)]
pub(super) struct Conditions {
    pub(super) sql: String,
    texts: Vec<String>,
}

impl Conditions {
    /// A condition with `$` in the place of its value.
    pub(super) fn and(&mut self, condition: &str, value: String) {
        self.texts.push(value);
        let condition = condition.replace('$', &format!("${}", self.texts.len()));
        self.and_plain(&condition);
    }

    pub(super) fn and_plain(&mut self, condition: &str) {
        self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
        self.sql.push_str(condition);
    }

    pub(super) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.texts.iter().map(|text| text as &(dyn ToSql + Sync)).collect()
    }
}

pub(super) async fn query<C: GenericClient>(
    client: &C,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, Trouble> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.query(&statement, parameters).await?)
}

/// How many rows it concerned.
pub(super) async fn run<C: GenericClient>(
    client: &C,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<u64, Trouble> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.execute(&statement, parameters).await?)
}

pub(super) async fn all<T, C: GenericClient>(
    client: &C,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
    read: impl Fn(&Row) -> Result<T, LedgerError>,
) -> Result<Vec<T>, Trouble> {
    let rows = query(client, sql, parameters).await?;
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// The same for answers that can be long: each row is read as it comes, so that they are not all in memory twice.
async fn streamed<T, C: GenericClient>(
    client: &C,
    sql: &str,
    read: impl Fn(&Row) -> Result<T, LedgerError>,
) -> Result<Vec<T>, Trouble> {
    let statement = client.prepare_cached(sql).await?;
    let none: [&(dyn ToSql + Sync); 0] = [];
    let mut rows = pin!(client.query_raw(&statement, none).await?);
    let mut found = Vec::new();
    while let Some(row) = rows.try_next().await? {
        found.push(read(&row)?);
    }
    Ok(found)
}
