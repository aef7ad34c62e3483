//! What has to stand in the ledger after what was answered, read by SQL and not by the product.

use std::collections::BTreeSet;

use ticketgate_ledger::{Ledger, PostgresLedger};

use super::server::Server;
use super::{Result, place};

/// Records of activations, by session and action.
const RECORDS: &str = "(SELECT details::json ->> 'session' AS session, action, count(*) AS times FROM audit
     WHERE action LIKE 'activation.%' GROUP BY 1, 2) AS records";

/// Every answered activation is one session, active, with one request and each of its records once, and its account is settled;
/// and there is nothing else.
pub(super) fn ledger(server: &Server, database: &str, answered: &[String]) -> Result<()> {
    let told: BTreeSet<&str> = answered.iter().map(String::as_str).collect();
    let kept = server.sql(database, "SELECT id FROM sessions")?;
    let kept: BTreeSet<&str> = kept.lines().collect();
    if told.len() != answered.len() || told != kept {
        let (told, kept) = (answered.len(), kept.len());
        return Err(format!("{told} activations were answered, and the ledger has {kept} sessions").into());
    }
    let all = answered.len() as u64;
    for (what, sql, wanted) in [
        ("active sessions", "sessions WHERE state = 'active'".to_owned(), all),
        ("requests with a session", "requests r JOIN sessions s ON s.id = r.session".to_owned(), all),
        ("requests", "requests".to_owned(), all),
        (
            "sessions requested once",
            format!("{RECORDS} WHERE action = 'activation.requested' AND times = 1"),
            all,
        ),
        (
            "sessions granted once",
            format!("{RECORDS} WHERE action = 'activation.granted' AND times = 1"),
            all,
        ),
        ("actions of activations", RECORDS.to_owned(), 2 * all),
        ("accounts that are not settled", "accounts WHERE NOT settled".to_owned(), 0),
        (
            "accounts with two sessions",
            "(SELECT 1 FROM sessions GROUP BY account HAVING count(*) > 1) AS shared".to_owned(),
            0,
        ),
    ] {
        let found = server.count(database, &format!("SELECT count(*) FROM {sql}"))?;
        if found != wanted {
            return Err(format!("{found} {what}, and {wanted} there have to be").into());
        }
    }
    Ok(())
}

/// The audit log is whole.
pub(super) fn chains(server: &Server, database: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let verdict = runtime.block_on(async {
        let ledger = PostgresLedger::open(&place(server, database)).await?;
        ledger.verify(None).await
    })?;
    if verdict.whole {
        return Ok(());
    }
    Err(format!("the audit log is not whole: {verdict:?}").into())
}
