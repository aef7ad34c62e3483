//! `ticketgate recover`: what a lost, damaged or older ledger no longer knows. Its accounts are found by the notes that they
//! carry in the directory, its sessions in what can still be read of it; all of them are taken in as over, and ended.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use ticketgate_access::config::Config;
use ticketgate_access::desired::Marker;
use ticketgate_access::session::{Account, AccountKey};
use ticketgate_directory::ListedAccount;
use ticketgate_ledger::{Change, Ledger, SqliteLedger};
use ticketgate_protocol::api::{Finding, Mode};
use ticketgate_protocol::ids::{DirectoryId, TechnicianId};

use super::connectors::Connectors;
use super::start::{Role, StartError, bring_up, ledger_places, lock_state};
use super::upkeep::finding;
use super::{Broker, Snapshot, aside, ledgers, listen, records};
use crate::places::Places;

/// Takes in and ends what the ledger does not know. No broker may run meanwhile.
///
/// A ledger that is damaged, or whose key is gone or another one, is put aside and begun anew only where `new_ledger` says so.
///
/// # Errors
/// [`StartError`]: a broker runs, the ledger cannot be used, or the configuration has faults; nothing was changed then. Also when
/// something fails on the way: what was put aside stays so, says so at every start, and is taken up by the next call.
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
    findings.extend(started.broker.take_over(&places.state, who).await.map_err(StartError::Ledger)?);
    Ok(findings)
}

/// The ledger as it stands, or a new one in its place.
async fn fit(places: &Places, new_ledger: bool) -> Result<(Arc<dyn Ledger>, Vec<Finding>), StartError> {
    if let Some(place) = ledgers::place(places)? {
        if new_ledger {
            return Err(StartError::Ledger(
                "the ledger is in a database, which is not put aside from here: restore it from a backup, or name an empty database \
                 in [ledger] and run `ticketgate recover`"
                    .to_owned(),
            ));
        }
        return Ok((Arc::new(ledgers::open_shared(places, &place).await?), Vec::new()));
    }
    if !SqliteLedger::is_begun(&ledger_places(places).0) && aside::unread(&places.state).is_empty() {
        aside::put_aside(places).await?;
    }
    let opened = match aside::open(places).await {
        Ok(ledger) => match ledger.check().await {
            Ok(()) => return Ok((Arc::new(ledger), Vec::new())),
            Err(error) => error.into(),
        },
        Err(error) => error,
    };
    let StartError::Damaged(why) = opened else { return Err(opened) };
    if !new_ledger {
        return Err(StartError::Damaged(format!(
            "{why}.\nRestore ledger and key from a backup if there is one, then run this again. Where there is none, \
             `ticketgate recover --new-ledger` puts the ledger aside, ends what can still be read of it, and begins a new one"
        )));
    }
    let ledger = aside::begin_anew(places).await?;
    let findings = vec![finding("warning", "ledger", &format!("{why}. A new one was begun in its place."))];
    Ok((Arc::new(ledger), findings))
}

impl Broker {
    /// Reads the ledgers that were put aside, takes in what the directories know, ends all of it, and tells what is left for a
    /// person.
    pub(super) async fn take_over(self: &Arc<Self>, state: &Path, who: &str) -> Result<Vec<Finding>, String> {
        let snapshot = self.settings();
        let mut findings = Vec::new();
        let mut read = Vec::new();
        for aside in aside::unread(state) {
            let (is_read, told) = self.read_aside(&aside, who).await?;
            findings.extend(told);
            read.extend(is_read.then_some(aside));
        }
        let units = self.units(&snapshot).await;
        for (directory, account) in &units.unknown {
            if let Some(note) = &account.seen.marker {
                findings.push(self.take_in(&snapshot, directory, account, note, who).await?);
            }
        }
        // Only now the ledger knows all that can be known of them: broken off before, this is said at the next start, too.
        for aside in read {
            findings.push(aside::keep(&aside).await?);
        }
        findings.extend(units.unread);
        findings.extend(self.sweep().await.map_err(|problem| problem.to_string())?);
        findings.extend(self.unexplained_memberships(&snapshot).await);
        if let Err(error) = self.ledger.checkpoint(self.clock.now()).await {
            tracing::error!(%error, "the audit log's heads could not be signed");
        }
        Ok(findings)
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
            gone: false,
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

    /// Rights that policies lend to people's own accounts, held by people without a session that this ledger knows, and not from
    /// before one. Whether they were lent is what a lost ledger, or a newer one than a backup, knew: a person's own account
    /// carries no note.
    async fn unexplained_memberships(self: &Arc<Self>, snapshot: &Snapshot) -> Vec<Finding> {
        let mut findings = Vec::new();
        let Some(config) = &snapshot.config else { return findings };
        for (id, directory) in &snapshot.directories {
            let lent = config.grants_in(id).filter(|grant| grant.mode == Mode::Membership);
            let lent: Vec<_> = lent.flat_map(|grant| &grant.rights).collect();
            if lent.is_empty() {
                continue;
            }
            for person in config.technicians.values() {
                let key = AccountKey(format!("{id}/membership/{}", person.id));
                let known = self.ledger.account(&key).await.ok().flatten();
                let explained: BTreeSet<_> = known
                    .iter()
                    .flat_map(|(account, open)| {
                        account.standing.iter().chain(open.iter().flat_map(|s| &s.rights))
                    })
                    .map(|right| directory.right_key(right))
                    .collect();
                let account = own_account(key, id, &person.id, person.own_account(id));
                let Ok(observed) = directory.observe(&account).await else { continue };
                let Some(seen) = observed.account else { continue };
                let held = |right: &&&ticketgate_access::session::Right| {
                    let right = directory.right_key(right);
                    !explained.contains(&right)
                        && seen.rights.iter().any(|one| directory.right_key(one) == right)
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
    let directory = config.and_then(|config| config.directories.get(directory));
    let is_burner = directory.is_some_and(|directory| directory.kind.is_burner_account(owner, name));
    if is_burner { Mode::Burner } else { Mode::Dedicated }
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
        gone: false,
        version: 0,
    }
}
