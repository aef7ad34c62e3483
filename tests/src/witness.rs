//! The checker of what nothing may break: kill points and random histories end with it. It shares no code with the product: it
//! reads the directory by plain LDAP and from what the directory itself noted, the ledger by plain SQL and the audit log from its
//! export, and hashes that log anew as `docs/audit.md` describes it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

mod ledger;

use crate::Result;
use crate::ldap::{self, Account, Expiry, View};
use crate::patience::{LIMIT, wait_for};
use crate::samba::SambaAd;
use crate::samba::audit::Record;
use anyhow::{Context, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use ledger::{Ledger, Session, parts_stand_together};

/// The directory counts whole seconds.
const ROUNDING: Duration = Duration::from_secs(2);

/// Where the clocks differ, both readings are rounded, and an end that is so near is not written again.
const ROUNDING_APART: Duration = Duration::from_secs(5);

/// Above this the product trusts no end and writes none.
const APART_MAX: Duration = Duration::from_secs(300);

/// Domain Users, which every account is in.
const ORDINARY_GROUP: u32 = 513;

/// What the clocks of broker and directory show, which tests move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// The broker's time.
    pub broker: SystemTime,
    /// The directory's.
    pub directory: SystemTime,
}

impl Clocks {
    /// Nobody moved them.
    #[must_use]
    pub fn true_time() -> Self {
        let now = SystemTime::now();
        Self { broker: now, directory: now }
    }

    /// How far they are apart.
    #[must_use]
    pub fn apart(&self) -> Duration {
        self.directory.duration_since(self.broker).unwrap_or_else(|behind| behind.duration())
    }

    /// Whether they are so far apart that nothing is opened, and no end is written.
    #[must_use]
    pub fn are_too_far_apart(&self) -> bool {
        self.apart() > APART_MAX
    }

    /// A time of the broker's as the directory's clock shows it.
    fn by_directory(&self, time: SystemTime) -> SystemTime {
        if self.directory >= self.broker { time + self.apart() } else { time - self.apart() }
    }
}

/// Whether the directory holds for these JIT accounts what the live sessions need, until when they need it, and nothing more.
///
/// # Errors
/// It does not.
pub fn accounts_hold_what_is_live(accounts: &[Account], live: &[&Session], clocks: &Clocks) -> Result<()> {
    for account in accounts {
        let live: Vec<_> = live.iter().copied().filter(|s| is_named(account, &s.account)).collect();
        holds_exactly(account, &live)?;
        ensure!(account.primary_group == ORDINARY_GROUP, "a right hides as the primary group: {account:?}");
        let Some(end) = live.iter().map(|session| session.until).max() else {
            ensure!(!account.enabled(), "enabled without a session: {account:?}");
            ensure!(
                matches!(account.expires, Expiry::At(at) if at <= clocks.directory),
                "closed without an end: {account:?} {clocks:?}"
            );
            continue;
        };
        ensure!(account.enabled(), "a live session's account is closed: {account:?} {live:?}");
        let Expiry::At(at) = account.expires else {
            anyhow::bail!("enabled for ever: {account:?}");
        };
        if clocks.are_too_far_apart() {
            continue;
        }
        let end = clocks.by_directory(end);
        let apart = at.duration_since(end).unwrap_or_else(|early| early.duration());
        let rounding = if clocks.apart() < ROUNDING { ROUNDING } else { ROUNDING_APART };
        ensure!(
            apart <= rounding,
            "the directory's end is {apart:?} from what it should be: {account:?} {live:?} {clocks:?}"
        );
    }
    for session in live {
        let there = accounts.iter().any(|account| is_named(account, &session.account));
        ensure!(there, "a live session has no account: {session:?}");
    }
    Ok(())
}

/// Whether a person's own account holds what the live sessions lend it, and nothing more.
///
/// # Errors
/// It does not.
pub fn a_person_holds_what_is_live(person: &Account, live: &[&Session]) -> Result<()> {
    ensure!(person.enabled(), "a person's own account was disabled: {person:?}");
    holds_exactly(person, live)
}

fn holds_exactly(account: &Account, live: &[&Session]) -> Result<()> {
    let mut wanted: Vec<_> = live.iter().flat_map(|session| session.rights.iter().cloned()).collect();
    wanted.sort();
    wanted.dedup();
    ensure!(account.groups == wanted, "other rights than the live sessions': {account:?} {live:?}");
    Ok(())
}

/// What holds at every instant, also right after a broker was killed: a JIT account that can be used, or holds a right, has an
/// open session in the ledger, and the directory itself stops it within `longest`.
///
/// # Errors
/// One does not.
pub fn what_is_open_is_known_and_ends(
    accounts: &[Account],
    sessions: &[Session],
    clocks: &Clocks,
    longest: Duration,
) -> Result<()> {
    for account in accounts.iter().filter(|account| account.enabled() || !account.groups.is_empty()) {
        let known = sessions.iter().any(|session| session.is_open() && is_named(account, &session.account));
        ensure!(known, "open without an open session in the ledger: {account:?} {sessions:?}");
        let ends = matches!(account.expires, Expiry::At(at) if at <= clocks.directory + longest + ROUNDING);
        ensure!(ends || !account.enabled(), "enabled without a near end: {account:?} {sessions:?}");
    }
    Ok(())
}

/// What holds at every instant of a person's own account: of what sessions lend, it holds what an open one in the ledger gives.
///
/// # Errors
/// It holds more.
pub fn a_person_holds_what_is_known(person: &Account, sessions: &[Session]) -> Result<()> {
    let given = |right: &String| sessions.iter().any(|one| one.is_open() && one.rights.contains(right));
    let known = person.groups.iter().all(given);
    ensure!(known, "a right without an open session in the ledger: {person:?} {sessions:?}");
    Ok(())
}

fn is_named(account: &Account, name: &str) -> bool {
    account.dn.to_lowercase().starts_with(&format!("cn={},", name.to_lowercase()))
}

/// Checks every chain of an export in JSON Lines from its first record to the head that the ledger notes, and answers the
/// records. Where a broker went on writing during the export, another one is made.
///
/// # Errors
/// It is not whole; there is no export.
pub fn audit_is_whole(ledger: &Ledger, mut export: impl FnMut() -> Result<String>) -> Result<Vec<Value>> {
    let (export, heads) = wait_for("an export during which nothing is written", LIMIT, || {
        let before = ledger.heads()?;
        let export = export()?;
        Ok((ledger.heads()? == before).then_some((export, before)))
    })?;
    chains_end_with(&export, &heads.into_iter().map(|(chain, hash)| (chain, hex(&hash))).collect())
}

/// Checks every chain of an export in JSON Lines from its first record to its head, in hexadecimal, and answers the records.
///
/// # Errors
/// It is not whole.
pub fn chains_end_with(export: &str, heads: &BTreeMap<String, String>) -> Result<Vec<Value>> {
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
    let ends: BTreeMap<_, _> = chains.into_iter().map(|(chain, (_, hash))| (chain, hex(&hash))).collect();
    ensure!(ends == *heads, "the audit log's end is missing");
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

/// Whether every write that enabled a JIT account carried the account's end, no write put an end further away than `longest`, and
/// none took one away: as the directory itself noted it, by its own clock. Answers how many accounts were enabled.
///
/// # Errors
/// One did not.
pub fn every_opening_had_its_end(ad: &SambaAd, longest: Duration) -> Result<usize> {
    const DISABLED: u64 = 2;
    let mut openings = 0;
    for record in ad.audit()? {
        let Record::Change(change) = record else { continue };
        if !change.done || !change.dn.ends_with(ad.account_unit()) {
            continue;
        }
        let end = written(&change.raw, "accountExpires")?;
        if let Some(end) = end {
            ensure!(end != 0 && end < i64::MAX.unsigned_abs(), "an end that is none: {change:?}");
            let latest = change.time()? + longest + ROUNDING;
            ensure!(ldap::from_filetime(end) <= latest, "an end too far away: {change:?}");
        }
        if written(&change.raw, "userAccountControl")?.is_some_and(|flags| flags & DISABLED == 0) {
            ensure!(end.is_some(), "enabled without an end: {change:?}");
            openings += 1;
        }
    }
    Ok(openings)
}

/// The number that a change left in an attribute; none where the change is not about it.
fn written(change: &Value, attribute: &str) -> Result<Option<u64>> {
    let Some(actions) = change.pointer(&format!("/attributes/{attribute}/actions")) else { return Ok(None) };
    let last = actions.as_array().and_then(|actions| actions.last()).context("no actions")?;
    let value = last.pointer("/values/0/value").and_then(Value::as_str);
    let kept = last.get("action").and_then(Value::as_str).is_some_and(|action| action != "delete");
    ensure!(kept && value.is_some(), "{attribute} was taken away: {change}");
    Ok(value.map(str::parse).transpose()?)
}

/// The JIT accounts of one technician.
///
/// # Errors
/// The directory does not answer.
pub fn jit_accounts(look: &mut View, ad: &SambaAd, technician: &str) -> Result<Vec<Account>> {
    let mut accounts = look.accounts_beginning(ad.account_unit(), &format!("jit-{technician}"))?;
    let (dedicated, burner) = (format!("CN=jit-{technician},"), format!("CN=jit-{technician}-"));
    accounts.retain(|account| account.dn.starts_with(&dedicated) || account.dn.starts_with(&burner));
    Ok(accounts)
}

#[cfg(test)]
mod tests;
