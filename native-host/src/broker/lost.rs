//! `ticketgate recover`: what a lost, damaged or older ledger no longer knows. Its accounts are found by the notes that they
//! carry in the directory, its sessions in what can still be read of it; all of them are taken in as over, and ended.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::json;
use ticketgate_access::config::Config;
use ticketgate_access::desired::Marker;
use ticketgate_access::session::{Account, AccountKey};
use ticketgate_directory::ListedAccount;
use ticketgate_ledger::{Change, Ledger, Salvage, SqliteLedger};
use ticketgate_protocol::api::{EndCause, Finding, Mode, State};
use ticketgate_protocol::ids::{DirectoryId, TechnicianId};

use super::activation::dedicated_name;
use super::connectors::Connectors;
use super::start::{Role, StartError, bring_up, ledger_places, lock_state};
use super::upkeep::finding;
use super::{Broker, Snapshot, listen, records};
use crate::places::Places;

/// Takes in and ends what the ledger does not know. No broker may run meanwhile.
///
/// A ledger that cannot be used is put aside and begun anew only where `new_ledger` says so.
///
/// # Errors
/// [`StartError`]: a broker runs, the ledger cannot be used, or the configuration has faults. Nothing was changed then.
pub async fn recover(places: &Places, new_ledger: bool) -> Result<Vec<Finding>, StartError> {
    let who = &format!("user:{}", listen::own_login().unwrap_or_else(|| "-".to_owned()));
    let lock = lock_state(places)?;
    // Asked first: without a configuration no directory can be asked, and then nothing is put aside either.
    let text = std::fs::read_to_string(&places.config).map_err(|error| StartError::Place {
        what: "the configuration",
        path: places.config.clone(),
        error,
    })?;
    ticketgate_access::config::read(&text).map_err(|faults| StartError::Configuration(faults.to_string()))?;
    let (ledger, mut findings) = fit(places, new_ledger).await?;
    let started =
        bring_up(places, Role::Sweep, ledger, lock, Arc::new(Connectors::new(&places.state))).await?;
    let broker = started.broker;
    let snapshot = broker.settings();
    let unable = |problem: ticketgate_protocol::problem::Problem| StartError::Ledger(problem.to_string());
    for aside in unread(&places.state) {
        findings.push(broker.read_aside(&aside, who).await.map_err(StartError::Ledger)?);
    }
    let units = broker.units(&snapshot).await;
    for (directory, account) in &units.unknown {
        if let Some(note) = &account.seen.marker {
            let taken = broker.take_in(&snapshot, directory, account, note, who).await;
            findings.push(taken.map_err(StartError::Ledger)?);
        }
    }
    findings.extend(units.unread);
    findings.extend(broker.sweep().await.map_err(unable)?);
    findings.extend(broker.unexplained_memberships(&snapshot).await);
    if let Err(error) = broker.ledger.checkpoint(broker.clock.now()).await {
        tracing::error!(%error, "the audit log's heads could not be signed");
    }
    Ok(findings)
}

/// The ledger as it stands, or a new one in its place.
async fn fit(places: &Places, new_ledger: bool) -> Result<(SqliteLedger, Vec<Finding>), StartError> {
    let (path, key) = ledger_places(places);
    let mut findings = Vec::new();
    if !path.exists() {
        findings.push(finding("warning", "ledger", "There was none; a new one was begun."));
    }
    let why = match SqliteLedger::open(&path, &key) {
        Err(error) => error.to_string(),
        Ok(ledger) => match fault_of(&ledger).await {
            None => return Ok((ledger, findings)),
            Some(why) => why,
        },
    };
    if !new_ledger {
        return Err(StartError::Ledger(format!(
            "{why}.\nRestore ledger and key from a backup if there is one, then run this again. Where there is none, \
             `ticketgate recover --new-ledger` puts the ledger aside, ends what can still be read of it, and begins a new one"
        )));
    }
    let ledger = begin_anew(&path, &key, Utc::now()).map_err(StartError::Ledger)?;
    findings.push(finding("warning", "ledger", &format!("{why}. A new one was begun in its place.")));
    Ok((ledger, findings))
}

/// Why a ledger that opens cannot be used all the same.
async fn fault_of(ledger: &SqliteLedger) -> Option<String> {
    match ledger.integrity().await {
        Err(error) => return Some(error.to_string()),
        Ok(damage) => {
            if let Some(first) = damage.first() {
                return Some(format!("the ledger's file is damaged ({first})"));
            }
        }
    }
    ledger.trouble()
}

/// What a ledger is called that was put aside and has not been read yet; without the ending, once it has.
const UNREAD: &str = ".unread";

/// A new ledger; the old one is back in its place where there cannot be one. A key that signs goes on signing.
fn begin_anew(path: &Path, key: &Path, now: DateTime<Utc>) -> Result<SqliteLedger, String> {
    let stamp = now.format("%Y%m%dT%H%M%SZ");
    let aside = path.with_file_name(format!("ledger-{stamp}.sqlite{UNREAD}"));
    SqliteLedger::put_aside(path, &aside).map_err(|error| error.to_string())?;
    let error = match SqliteLedger::open(path, key) {
        Ok(ledger) => return Ok(ledger),
        Err(error) => error,
    };
    let key_aside = key.with_file_name(format!("audit-{stamp}.key"));
    if key.exists() && std::fs::rename(key, &key_aside).is_ok() {
        if let Ok(ledger) = SqliteLedger::open(path, key) {
            return Ok(ledger);
        }
        let _ = std::fs::rename(&key_aside, key);
    }
    let back = SqliteLedger::put_aside(&aside, path);
    Err(back.err().map_or_else(|| error.to_string(), |back| format!("{error}; {back}")))
}

/// Ledgers that were put aside, also by a call that was broken off, and not read yet.
fn unread(state: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(state) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.filter(|path| path.to_string_lossy().ends_with(UNREAD)).collect()
}

impl Broker {
    /// Takes in what a ledger that was put aside had open. It keeps its new name once this is whole.
    async fn read_aside(&self, aside: &Path, who: &str) -> Result<Finding, String> {
        let salvage = SqliteLedger::salvage(aside);
        let whole = salvage.whole;
        self.take_in_salvaged(salvage, who).await?;
        let name = aside.to_string_lossy();
        let read = Path::new(name.trim_end_matches(UNREAD));
        SqliteLedger::put_aside(aside, read).map_err(|error| error.to_string())?;
        let much = if whole { "Everything" } else { "Only a part" };
        let text = format!(
            "The old one was put aside as {}. {much} could be read of what it had open. Keep it: its audit log is there and nowhere \
             else.",
            read.display()
        );
        Ok(finding("warning", "ledger", &text))
    }

    /// Puts what could be read of an old ledger into this one: every session as ending, every account as not settled. What is
    /// there already, of a call that was broken off or of a broker that began anew meanwhile, is kept.
    async fn take_in_salvaged(&self, salvage: Salvage, who: &str) -> Result<(), String> {
        let now = self.clock.now();
        for account in salvage.accounts {
            let mut change = Change { name: "ledger.account_recovered", at: now, ..Change::default() };
            for session in salvage.sessions.iter().filter(|session| session.account == account.key) {
                if self.ledger.session(&session.id).await.map_err(|error| error.to_string())?.is_some() {
                    continue;
                }
                let mut session = session.clone();
                session.state = State::Ending;
                session.end_cause = Some(EndCause::Administrator);
                session.until = session.until.min(now).max(session.from);
                session.trouble = None;
                session.version = 0;
                let more =
                    records::details([("cause", json!(EndCause::Administrator)), ("recovered", json!(true))]);
                change.audit.push(records::about(
                    &session,
                    Some(&account),
                    "session.ending",
                    who,
                    "ok",
                    more,
                ));
                change.sessions.push(session);
            }
            let known = self.ledger.account(&account.key).await.map_err(|error| error.to_string())?;
            let known = known.map(|(known, _)| known);
            // Nothing can be left of a burner account that was over.
            let deleted = account.settled && account.mode == Mode::Burner;
            if change.sessions.is_empty() && (deleted || known.is_some()) {
                continue;
            }
            let version = known.as_ref().map_or(0, |known| known.version);
            let generation = known.as_ref().map_or(0, |known| known.password_generation);
            let of = known.filter(|known| known.identity.is_some()).unwrap_or(account.clone());
            change.accounts.push(Account {
                settled: false,
                attempts: 0,
                next_try: None,
                standing: account.standing,
                password_generation: generation.max(account.password_generation) + 1,
                version,
                ..of
            });
            self.commit(change).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Takes an account in that carries our note: the ledger knows it from now on, and that no session needs it.
    async fn take_in(
        &self,
        snapshot: &Snapshot,
        directory: &DirectoryId,
        listed: &ListedAccount,
        note: &Marker,
        who: &str,
    ) -> Result<Finding, String> {
        let seen = &listed.seen;
        let subject = format!("{directory}: account {}", seen.display_name);
        let Ok(owner) = TechnicianId::new(&note.owner) else {
            let text = "its note names somebody who cannot be a technician; it was left alone";
            return Ok(finding("error", &subject, text));
        };
        let mode = mode_of(snapshot.config.as_ref(), directory, &owner, &listed.name);
        let key = match mode {
            Mode::Burner => AccountKey(format!("{directory}/burner/{}", seen.identity)),
            _ => AccountKey(format!("{directory}/dedicated/{owner}")),
        };
        let known = self.ledger.account(&key).await.map_err(|error| error.to_string())?;
        // The one that the ledger has under this key is another account: neither is forgotten.
        let (key, before) = match known {
            Some((account, _)) if account.identity.is_some() => {
                (AccountKey(format!("{}/{}", key.0, seen.identity)), None)
            }
            known => (key, known.map(|(account, _)| account)),
        };
        let generation =
            before.as_ref().map_or(0, |account| account.password_generation).max(note.generation);
        let account = Account {
            key,
            directory: directory.clone(),
            mode,
            technician: owner,
            name: listed.name.clone(),
            identity: Some(seen.identity.clone()),
            display_name: Some(seen.display_name.clone()),
            token: note.token.clone(),
            password_generation: generation.saturating_add(1),
            standing: Vec::new(),
            settled: false,
            attempts: 0,
            next_try: None,
            version: before.map_or(0, |account| account.version),
        };
        let customer =
            snapshot.config.as_ref().and_then(|c| c.directories.get(directory)).map(|d| &d.customer);
        let details = records::details([
            ("account", json!(seen.display_name)),
            ("technician", json!(account.technician)),
            ("directory", json!(directory)),
            ("mode", json!(mode)),
            ("enabled", json!(seen.enabled)),
            ("rights", json!(seen.rights)),
            ("until", json!(note.until)),
        ]);
        let change = Change {
            name: "ledger.account_recovered",
            at: self.clock.now(),
            audit: vec![records::record(customer, "account.recovered", who, "ok", details)],
            accounts: vec![account],
            ..Change::default()
        };
        self.commit(change).await.map_err(|error| error.to_string())?;
        let until = note.until.map_or_else(|| "closed".to_owned(), |at| format!("open until {at}"));
        let text = format!("was made for {} ({until}); taken into the ledger, to be closed now", note.owner);
        Ok(finding("warning", &subject, &text))
    }

    /// Rights that policies lend to people's own accounts, held by people of whose account the ledger knows nothing. Whether
    /// they were lent is what a lost ledger knew: a person's own account carries no note.
    async fn unexplained_memberships(self: &Arc<Self>, snapshot: &Snapshot) -> Vec<Finding> {
        let mut findings = Vec::new();
        let Some(config) = &snapshot.config else { return findings };
        for (id, directory) in &snapshot.directories {
            let lent = |policy: &&ticketgate_access::config::Policy| {
                policy.directory == *id && policy.mode == Mode::Membership
            };
            let lent: Vec<_> =
                config.policies.values().filter(lent).flat_map(|policy| &policy.rights).collect();
            if lent.is_empty() {
                continue;
            }
            for person in config.technicians.values() {
                let key = AccountKey(format!("{id}/membership/{}", person.id));
                if !matches!(self.ledger.account(&key).await, Ok(None)) {
                    continue;
                }
                let account = own_account(key, id, &person.id, person.own_account(id));
                let Ok(observed) = directory.observe(&account).await else { continue };
                let Some(seen) = observed.account else { continue };
                let held = |right: &&&ticketgate_access::session::Right| {
                    seen.rights.iter().any(|one| directory.right_key(one) == directory.right_key(right))
                };
                let names: Vec<_> =
                    lent.iter().filter(held).map(|right| directory.right_name(right)).collect();
                if names.is_empty() {
                    continue;
                }
                let mut found = finding(
                    "warning",
                    &format!("{id}: account {}", seen.display_name),
                    &format!("holds {}, which a policy lends for a time", names.join(", ")),
                );
                found.remedy = "This ledger does not know whether a session of a lost ledger gave it, or somebody for good. Take \
                                it away by hand where it is not meant to stay."
                    .into();
                findings.push(found);
            }
        }
        findings
    }
}

/// A burner account is told by its name; every other is kept and only closed, whatever it was.
fn mode_of(config: Option<&Config>, directory: &DirectoryId, owner: &TechnicianId, name: &str) -> Mode {
    let dedicated = config.is_some_and(|config| dedicated_name(config, directory, owner) == name);
    let short: String = owner.as_str().chars().take(super::activation::BURNER_OWNER).collect();
    let burner = name.strip_prefix(&format!("jit-{short}-")).is_some_and(|rest| {
        rest.len() == super::activation::BURNER_LETTERS && rest.bytes().all(|b| b.is_ascii_alphanumeric())
    });
    if burner && !dedicated { Mode::Burner } else { Mode::Dedicated }
}

fn own_account(key: AccountKey, directory: &DirectoryId, person: &TechnicianId, name: &str) -> Account {
    Account {
        key,
        directory: directory.clone(),
        mode: Mode::Membership,
        technician: person.clone(),
        name: name.to_owned(),
        identity: None,
        display_name: None,
        token: String::new(),
        password_generation: 0,
        standing: Vec::new(),
        settled: true,
        attempts: 0,
        next_try: None,
        version: 0,
    }
}
