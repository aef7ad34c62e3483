//! Measures how long a million audit records take to verify, for `cargo xtask bench`, beside `sha256sum` of exactly the bytes
//! that their hashes cover. Both read from the page cache; they take turns.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measuring program prints what it measured, and may stop with a panic"
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use ticketgate_ledger::{Change, Ledger, NewAudit, SqliteLedger};
use ticketgate_protocol::ids::CustomerId;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Chains of as many customers; one more belongs to none.
const CUSTOMERS: u64 = 50;
/// Records in one transaction while the log is made. The broker writes one to three.
const AT_ONCE: u64 = 10_000;
/// The log's heads are signed as often as for a broker that writes a record every six seconds or so.
const CHECKPOINT_EVERY: u64 = 10_000;
const ROUNDS: usize = 5;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let most: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let mut curve = Vec::new();
    for records in [most / 100, most / 10, most] {
        let folder = tempfile::tempdir()?;
        let times = measure(folder.path(), records).await?;
        curve.push((records, median(&times.verify)));
        if records < most {
            continue;
        }
        let (value, baseline) = (median(&times.verify), median(&times.sha));
        let note = format!(
            "n = {ROUNDS}; {records} records of {:.0} bytes on average in {} chains, from the page cache; baseline: sha256sum \
             (coreutils) of the bytes that the hashes cover",
            times.bytes as f64 / records as f64,
            CUSTOMERS + 1,
        );
        let line = json!({
            "name": "audit verify, 1,000,000 records", "unit": "s", "value": value, "baseline": baseline,
            "ratio": value / baseline, "spread": spread(&times.verify), "note": note,
            "reach": {"ratio_at_most": 5.0}, "curve": curve, "curve_of": "records",
        });
        println!("{line}");
    }
    Ok(())
}

struct Times {
    verify: Vec<f64>,
    sha: Vec<f64>,
    bytes: u64,
}

async fn measure(folder: &Path, records: u64) -> Result<Times> {
    let covered = folder.join("covered");
    let ledger = SqliteLedger::open(&folder.join("ledger.sqlite"), &folder.join("audit.key"))?;
    write_log(&ledger, &covered, records).await?;
    let mut times = Times { verify: Vec::new(), sha: Vec::new(), bytes: covered.metadata()?.len() };
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let verdict = ledger.verify(None).await?;
        times.verify.push(begin.elapsed().as_secs_f64());
        if !verdict.whole || verdict.records != records {
            return Err(format!("the log is not whole: {verdict:?}").into());
        }
        let begin = Instant::now();
        let done = Command::new("sha256sum").arg(&covered).stdout(Stdio::null()).status()?;
        times.sha.push(begin.elapsed().as_secs_f64());
        if !done.success() {
            return Err("sha256sum failed".into());
        }
    }
    Ok(times)
}

/// A log as a busy broker writes it, and a file with the bytes that its hashes cover.
async fn write_log(ledger: &SqliteLedger, covered: &Path, records: u64) -> Result<()> {
    let mut covered = BufWriter::new(File::create(covered)?);
    let start = DateTime::from_timestamp(1_750_000_000, 0).ok_or("a time")?;
    let mut lengths = BTreeMap::new();
    let mut written = 0;
    while written < records {
        let at = start + TimeDelta::seconds(i64::try_from(written)?);
        let audit: Vec<_> = (written..records.min(written + AT_ONCE)).map(record).collect::<Result<_>>()?;
        for record in &audit {
            cover(&mut covered, &mut lengths, record, at)?;
        }
        written += audit.len() as u64;
        ledger.commit(Change { name: "ledger.bench", at, audit, ..Change::default() }).await?;
        if written.is_multiple_of(CHECKPOINT_EVERY) || written == records {
            ledger.checkpoint(at).await?;
        }
    }
    covered.flush()?;
    Ok(())
}

/// A record of the size and form of `session.ended`.
fn record(number: u64) -> Result<NewAudit> {
    let chain = number % (CUSTOMERS + 1);
    let customer = if chain == 0 { None } else { Some(CustomerId::new(format!("customer-{chain}"))?) };
    let details = BTreeMap::from([
        ("session", json!(format!("s-{number:020}"))),
        ("technician", json!(format!("tech{}", number % 40))),
        ("policy", json!("acme-domain-admin")),
        ("directory", json!(format!("directory-{chain}"))),
        ("mode", json!("dedicated")),
        ("rights", json!(["CN=Domain Admins,CN=Users,DC=acme,DC=example"])),
        ("reason", json!(format!("#{number} The printer on the second floor prints nothing (Acme Corp)"))),
        ("from", json!("2026-01-02T03:04:05.123456789Z")),
        ("until", json!("2026-01-02T04:04:05.123456789Z")),
        ("account", json!("ACME\\jit-tech1")),
        ("cause", json!("expired")),
        ("held_s", json!(3600)),
        ("late_ms", json!(number % 100)),
        (
            "ticket",
            json!({"system": "rt", "number": number.to_string(), "summary": "The printer prints nothing"}),
        ),
    ]);
    Ok(NewAudit { customer, action: "session.ended", actor: "broker".into(), outcome: "ok", details })
}

/// Writes what `docs/audit.md` says that the record's hash covers. The hash before is not known here; any 32 bytes take as long.
fn cover(
    out: &mut impl Write,
    lengths: &mut BTreeMap<String, u64>,
    record: &NewAudit,
    at: DateTime<Utc>,
) -> Result<()> {
    let chain = record.customer.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let seq = lengths.entry(chain.clone()).or_insert(0);
    *seq += 1;
    let details: serde_json::Map<String, Value> =
        record.details.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    out.write_all(&[7; 32])?;
    for field in [
        "ticketgate-audit-1",
        &chain,
        &seq.to_string(),
        &at.to_rfc3339_opts(SecondsFormat::Nanos, true),
        record.action,
        &record.actor,
        record.outcome,
        &Value::Object(details).to_string(),
    ] {
        write!(out, "{}:{field},", field.len())?;
    }
    Ok(())
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Half of the range: five rounds have no percentiles.
fn spread(times: &[f64]) -> f64 {
    let (low, high) = times.iter().fold((f64::MAX, f64::MIN), |(low, high), t| (low.min(*t), high.max(*t)));
    (high - low) / 2.0
}
