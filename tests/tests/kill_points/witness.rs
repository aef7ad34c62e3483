//! The checker. It shares no code with the product: it reads the directory by plain LDAP, the ledger by plain SQL and the
//! audit log from its export, and hashes that log anew as `docs/audit.md` describes it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use sha2::{Digest, Sha256};
use ticketgate_tests::Result;
use ticketgate_tests::ldap::{Account, Expiry, View};
use ticketgate_tests::samba::SambaAd;
use ticketgate_tests::samba::audit::Record;

/// The directory counts whole seconds.
const ROUNDING: Duration = Duration::from_secs(2);

/// Domain Users, which every account is in.
const ORDINARY_GROUP: u32 = 513;

/// A session as it stands in the ledger's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) state: String,
    /// The logon name of its account.
    pub(crate) account: String,
    pub(crate) rights: Vec<String>,
    pub(crate) until: SystemTime,
}

impl Session {
    /// Whether its rights should be held now.
    pub(crate) fn is_live(&self) -> bool {
        self.state == "active" && SystemTime::now() < self.until
    }
}

/// The ledger's file, which may be open in a broker.
pub(crate) struct Ledger(Connection);

impl Ledger {
    pub(crate) fn open(state: &Path) -> Result<Self> {
        let file = state.join("ledger.sqlite");
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        Ok(Self(connection))
    }

    /// Whether nothing is under way.
    pub(crate) fn is_settled(&self) -> Result<bool> {
        let sql = "SELECT (SELECT count(*) FROM sessions WHERE state IN ('activating', 'ending'))
                        + (SELECT count(*) FROM accounts WHERE settled = 0)";
        Ok(self.0.query_row(sql, [], |row| row.get::<_, i64>(0))? == 0)
    }

    pub(crate) fn sessions(&self) -> Result<Vec<Session>> {
        let sql = "SELECT id, state, a.name, rights, unixepoch(until) FROM sessions s
                   JOIN accounts a ON a.key = s.account ORDER BY id";
        let mut statement = self.0.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            let (rights, until): (String, i64) = (row.get(3)?, row.get(4)?);
            Ok(Session {
                id: row.get(0)?,
                state: row.get(1)?,
                account: row.get(2)?,
                rights: serde_json::from_str(&rights).unwrap_or_default(),
                until: SystemTime::UNIX_EPOCH + Duration::from_secs(until.unsigned_abs()),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A time as texts have it, in whole seconds as [`Session::until`] has it.
    pub(crate) fn time(&self, text: &str) -> Result<SystemTime> {
        let seconds: i64 = self.0.query_row("SELECT unixepoch(?1)", [text], |row| row.get(0))?;
        Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs()))
    }

    /// The last hash of each chain.
    fn heads(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut statement = self.0.prepare("SELECT chain, hash FROM chains")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Whether the directory holds for these JIT accounts what the live sessions need, until when they need it, and nothing more.
pub(crate) fn accounts_hold_what_is_live(accounts: &[Account], sessions: &[Session]) -> Result<()> {
    for account in accounts {
        let live: Vec<_> = sessions.iter().filter(|s| s.is_live() && is_named(account, &s.account)).collect();
        holds_exactly(account, &live)?;
        ensure!(account.primary_group == ORDINARY_GROUP, "a right hides as the primary group: {account:?}");
        let Some(end) = live.iter().map(|session| session.until).max() else {
            ensure!(!account.enabled(), "enabled without a session: {account:?}");
            ensure!(
                matches!(account.expires, Expiry::At(at) if at <= SystemTime::now()),
                "closed without an end: {account:?}"
            );
            continue;
        };
        ensure!(account.enabled(), "a live session's account is closed: {account:?} {live:?}");
        let Expiry::At(at) = account.expires else {
            anyhow::bail!("enabled for ever: {account:?}");
        };
        let apart = at.duration_since(end).unwrap_or_else(|early| early.duration());
        ensure!(apart <= ROUNDING, "the directory's end is another one: {account:?} {live:?}");
    }
    for session in sessions.iter().filter(|session| session.is_live()) {
        let there = accounts.iter().any(|account| is_named(account, &session.account));
        ensure!(there, "a live session has no account: {session:?}");
    }
    Ok(())
}

/// Whether a person's own account holds what the live sessions lend it, and nothing more.
pub(crate) fn a_person_holds_what_is_live(person: &Account, sessions: &[Session]) -> Result<()> {
    ensure!(person.enabled(), "a person's own account was disabled: {person:?}");
    holds_exactly(person, &sessions.iter().filter(|session| session.is_live()).collect::<Vec<_>>())
}

fn holds_exactly(account: &Account, live: &[&Session]) -> Result<()> {
    let mut wanted: Vec<_> = live.iter().flat_map(|session| session.rights.iter().cloned()).collect();
    wanted.sort();
    wanted.dedup();
    ensure!(account.groups == wanted, "other rights than the live sessions': {account:?} {live:?}");
    Ok(())
}

fn is_named(account: &Account, name: &str) -> bool {
    account.dn.to_lowercase().starts_with(&format!("cn={},", name.to_lowercase()))
}

/// Checks every chain of an export in JSON Lines from its first record to the head that the ledger notes, and answers the
/// records.
pub(crate) fn audit_is_whole(export: &str, ledger: &Ledger) -> Result<Vec<Value>> {
    let mut chains: BTreeMap<String, (u64, Vec<u8>)> = BTreeMap::new();
    let mut records = Vec::new();
    for line in export.lines() {
        let record: Value = serde_json::from_str(line)?;
        let text = |name: &str| {
            record.get(name).and_then(Value::as_str).with_context(|| format!("no {name}: {line}"))
        };
        let (last, before) = chains.entry(text("chain")?.to_owned()).or_insert((0, vec![0; 32]));
        let seq = record.get("seq").and_then(Value::as_u64).context("no seq")?;
        ensure!(seq == *last + 1, "a gap in the audit log after {last}: {line}");
        let mut hash = Sha256::new().chain_update(&before);
        let fields = [
            text("chain")?,
            &seq.to_string(),
            text("at")?,
            text("action")?,
            text("actor")?,
            text("outcome")?,
        ];
        for field in ["ticketgate-audit-1"].iter().chain(&fields).chain([&details(line)?]) {
            hash.update(format!("{}:{field},", field.len()));
        }
        *before = hash.finalize().to_vec();
        ensure!(text("hash")? == hex(before), "the audit log was changed: {line}");
        *last = seq;
        records.push(record);
    }
    let heads: BTreeMap<_, _> = chains.into_iter().map(|(chain, (_, hash))| (chain, hash)).collect();
    ensure!(heads == ledger.heads()?, "the audit log's end is missing");
    Ok(records)
}

/// A record's details, to the letter as they were hashed.
fn details(line: &str) -> Result<&str> {
    let (_, rest) = line.split_once("\"details\":").context("no details")?;
    Ok(rest.rsplit_once(",\"hash\":").context("no hash")?.0)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether every write that enabled a JIT account carried the account's end, and no write took that end away: as the
/// directory itself noted it.
pub(crate) fn every_opening_had_its_end(ad: &SambaAd) -> Result<usize> {
    const DISABLED: u64 = 2;
    let mut openings = 0;
    for record in ad.audit()? {
        let Record::Change(change) = record else { continue };
        if !change.done || !change.dn.ends_with(ad.account_unit()) {
            continue;
        }
        let end = written(&change.raw, "accountExpires");
        ensure!(
            end.is_none_or(|end| end != 0 && end < i64::MAX.unsigned_abs()),
            "an end that is none: {change:?}"
        );
        if written(&change.raw, "userAccountControl").is_some_and(|flags| flags & DISABLED == 0) {
            ensure!(end.is_some(), "enabled without an end: {change:?}");
            openings += 1;
        }
    }
    Ok(openings)
}

/// The number that a change wrote into an attribute.
fn written(change: &Value, attribute: &str) -> Option<u64> {
    let actions = change.pointer(&format!("/attributes/{attribute}/actions"))?.as_array()?;
    let values = actions.iter().filter_map(|action| action.get("values")?.as_array()).flatten();
    values.filter_map(|value| value.get("value")?.as_str()?.parse().ok()).next_back()
}

/// The JIT accounts of one technician.
pub(crate) fn jit_accounts(look: &mut View, ad: &SambaAd, technician: &str) -> Result<Vec<Account>> {
    let mut accounts = look.accounts_beginning(ad.account_unit(), &format!("jit-{technician}"))?;
    let (dedicated, burner) = (format!("CN=jit-{technician},"), format!("CN=jit-{technician}-"));
    accounts.retain(|account| account.dn.starts_with(&dedicated) || account.dn.starts_with(&burner));
    Ok(accounts)
}
