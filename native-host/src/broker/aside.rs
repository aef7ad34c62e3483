//! Ledgers put aside, each in a folder beside the one in use: `ledger-unread` until what it had open was taken in, a name with
//! the time from then on. Nothing of the files themselves is ever changed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use chrono::Utc;
use serde_json::json;
use ticketgate_access::session::{Account, AccountKey, Session};
use ticketgate_ledger::{Change, LedgerError, Salvage, SqliteLedger};
use ticketgate_protocol::api::{EndCause, Finding, Mode, Notice, State};

use super::start::{StartError, ledger_places, private_folder};
use super::upkeep::finding;
use super::{Broker, records};
use crate::faults;
use crate::places::Places;

/// What the folder of a ledger begins with whose open sessions nobody has taken in yet.
const UNREAD: &str = "ledger-unread";

/// Where the files of one stand of which not all were moved yet.
const LEAVING: &str = "ledger-leaving";

/// Ledgers that were put aside, also by a call that was broken off, and not read yet.
pub(crate) fn unread(state: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(state) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let is_unread =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNREAD));
    let mut paths: Vec<_> = paths.filter(is_unread).collect();
    paths.sort();
    paths
}

/// What is to be said while there is one.
pub(crate) const UNREAD_TEXT: &str = "An earlier ledger is gone or was put aside, and nothing of what it had open was taken in: rights \
     that were lent may still be there.";

/// What is to be done then.
pub(crate) const UNREAD_REMEDY: &str = "Stop the broker and run: ticketgate recover";

/// Opens the ledger, or begins one. Where there is a key there was a ledger: if it is gone, it counts as put aside.
pub(super) async fn open(places: &Places) -> Result<SqliteLedger, StartError> {
    let (path, key) = ledger_places(places);
    let leaving = places.state.join(LEAVING);
    // An empty folder: nothing was moved yet. Any other: no ledger is begun in the place of one that is half here, half there.
    if leaving.exists() && fs::remove_dir(&leaving).is_err() {
        put_aside(places).await?;
    }
    if key.exists() && !SqliteLedger::is_begun(&path) && unread(&places.state).is_empty() {
        put_aside(places).await?;
    }
    SqliteLedger::open(&path, &key).map_err(StartError::from)
}

/// Moves whatever there is of the ledger away, so that a new one can begin. Broken off, it goes on at the next call.
pub(super) async fn put_aside(places: &Places) -> Result<(), StartError> {
    let leaving = places.state.join(LEAVING);
    let moved = async {
        private_folder(&leaving)?;
        for file in SqliteLedger::files(&ledger_places(places).0) {
            if let Some(name) = file.file_name().filter(|_| file.exists()) {
                rename("ledger.put_aside", &file, &leaving.join(name)).await?;
            }
        }
        rename("ledger.put_aside", &leaving, &free(&places.state, UNREAD)).await
    };
    let path = leaving.clone();
    moved.await.map_err(|error| StartError::Place { what: "the folder of a ledger put aside", path, error })
}

/// Moves the files of a ledger away that is in a database now. Answers where they are.
pub(super) async fn put_copied(places: &Places) -> Result<PathBuf, StartError> {
    let folder = free(&places.state, &format!("ledger-copied-{}", stamp()));
    let moved = async {
        private_folder(&folder)?;
        // The file last: as long as it is there, the copy is taken up again.
        for file in SqliteLedger::files(&ledger_places(places).0).iter().rev() {
            if let Some(name) = file.file_name().filter(|_| file.exists()) {
                rename("ledger.put_aside", file, &folder.join(name)).await?;
            }
        }
        Ok(())
    };
    let path = folder.clone();
    moved.await.map_err(|error| StartError::Place {
        what: "the folder of a ledger put aside",
        path,
        error,
    })?;
    Ok(folder)
}

/// A new ledger in the place of one that cannot be used. A key that signs goes on signing.
pub(super) async fn begin_anew(places: &Places) -> Result<SqliteLedger, StartError> {
    let (path, key) = ledger_places(places);
    put_aside(places).await?;
    match SqliteLedger::open(&path, &key) {
        Err(LedgerError::Damaged(_)) if key.exists() => {
            let aside = free(&places.state, &format!("audit-{}.key", stamp()));
            fs::rename(&key, aside).map_err(|error| StartError::Place {
                what: "the audit log's signing key",
                path: key.clone(),
                error,
            })?;
            Ok(SqliteLedger::open(&path, &key)?)
        }
        opened => Ok(opened?),
    }
}

/// Keeps one that was read, under the time of that.
pub(super) async fn keep(aside: &Path) -> Result<Finding, String> {
    // Nothing was left of it to be put aside.
    if fs::remove_dir(aside).is_ok() {
        return Ok(finding("warning", "ledger", "There was none; a new one was begun."));
    }
    let read = free(aside.parent().unwrap_or(Path::new("")), &format!("ledger-{}", stamp()));
    rename("ledger.read_aside", aside, &read).await.map_err(|error| error.to_string())?;
    let text = format!(
        "The old one was put aside as {}. Keep it: its audit log is there and nowhere else.",
        read.display()
    );
    Ok(finding("warning", "ledger", &text))
}

async fn rename(point: &'static str, from: &Path, to: &Path) -> io::Result<()> {
    let renamed = async {
        fs::rename(from, to)?;
        // A name is durable when its folder is.
        #[cfg(unix)]
        for folder in [to.parent(), from.parent()].into_iter().flatten() {
            fs::File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    faults::file_work(point, renamed).await
}

/// A name that nothing has, so that nothing is ever written over.
fn free(folder: &Path, name: &str) -> PathBuf {
    let names = (2..).map(|n| format!("{name}-{n}"));
    let mut paths = std::iter::once(name.to_owned()).chain(names).map(|name| folder.join(name));
    paths.find(|path| !path.exists()).unwrap_or_else(|| folder.join(name))
}

fn stamp() -> String {
    Utc::now().format("%Y%m%dT%H%M%SZ").to_string()
}

impl Broker {
    /// Says, and once records, that a ledger before this one was not read.
    pub(super) async fn note_unread(&self, unread: &[PathBuf]) {
        if unread.is_empty() {
            return;
        }
        tracing::error!(?unread, "{UNREAD_TEXT} {UNREAD_REMEDY}");
        let notice = Notice { level: "error".into(), text: format!("{UNREAD_TEXT} {UNREAD_REMEDY}.") };
        *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = Some(notice);
        // One that was written before has the record already.
        if !matches!(self.ledger.high_water().await, Ok(None)) {
            return;
        }
        let names: Vec<_> = unread.iter().map(|path| path.display().to_string()).collect();
        let details = records::details([("unread", json!(names))]);
        let change = Change {
            name: "ledger.begun",
            at: self.clock.now(),
            audit: vec![records::record(None, "broker.ledger_begun", "broker", "ok", details)],
            ..Change::default()
        };
        if let Err(error) = self.commit(change).await {
            tracing::error!(%error, "it could not be recorded that a new ledger was begun");
        }
    }

    /// Takes in what a ledger that was put aside had open. Answers whether it can be kept as read, and what there is to be told.
    pub(super) async fn read_aside(&self, aside: &Path, who: &str) -> Result<(bool, Vec<Finding>), String> {
        let salvage = match SqliteLedger::salvage(&aside.join("ledger.sqlite")) {
            Ok(salvage) => salvage,
            Err(error) => {
                let text = format!("What {} had open could not be read: {error}.", aside.display());
                let mut found = finding("error", "ledger", &text);
                found.remedy = "Make that possible, then run `ticketgate recover` again.".into();
                return Ok((false, vec![found]));
            }
        };
        let much = match (salvage.whole, salvage.accounts.is_empty() && salvage.sessions.is_empty()) {
            (true, _) => "Everything",
            (false, true) => "Nothing",
            (false, false) => "Only a part",
        };
        let text = format!("{much} could be read of what the old one had open.");
        let mut findings = vec![finding("warning", "ledger", &text)];
        findings.extend(self.take_in_salvaged(salvage, who).await?.iter().map(without_account));
        Ok((true, findings))
    }

    /// Puts what could be read of an old ledger into this one: every session as ending, every account as not settled. What is
    /// there already, of a call that was broken off or of a broker that began anew meanwhile, is kept. Answers the sessions
    /// whose account could not be read.
    pub(super) async fn take_in_salvaged(&self, salvage: Salvage, who: &str) -> Result<Vec<Session>, String> {
        let mut sessions: BTreeMap<AccountKey, Vec<Session>> = BTreeMap::new();
        for session in salvage.sessions {
            if self.ledger.session(&session.id).await.map_err(|error| error.to_string())?.is_none() {
                sessions.entry(session.account.clone()).or_default().push(session);
            }
        }
        for account in salvage.accounts {
            let open = sessions.remove(&account.key).unwrap_or_default();
            self.take_in_account(account, open, who).await?;
        }
        Ok(sessions.into_values().flatten().collect())
    }

    async fn take_in_account(&self, account: Account, open: Vec<Session>, who: &str) -> Result<(), String> {
        let now = self.clock.now();
        let mut change = Change { name: "ledger.account_recovered", at: now, ..Change::default() };
        for mut session in open {
            session.state = State::Ending;
            session.end_cause = Some(EndCause::Administrator);
            session.until = session.until.min(now).max(session.from);
            session.trouble = None;
            session.version = 0;
            let more =
                records::details([("cause", json!(EndCause::Administrator)), ("recovered", json!(true))]);
            change.audit.push(records::about(&session, Some(&account), "session.ending", who, "ok", more));
            change.sessions.push(session);
        }
        let known = self.ledger.account(&account.key).await.map_err(|error| error.to_string())?;
        let known = known.map(|(known, _)| known);
        if change.sessions.is_empty() {
            // Nothing can be left of a burner account that was over.
            let deleted = account.settled && account.mode == Mode::Burner;
            if deleted || known.is_some() {
                return Ok(());
            }
            let record = self.about_account(&account, &[], "account.recovered", &[]);
            change.audit.push(ticketgate_ledger::NewAudit { actor: who.to_owned(), ..record });
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
        self.commit(change).await.map_err(|error| error.to_string())
    }
}

/// A session that nothing can be ended by: a JIT account is found by its note, a person's own by a person.
pub(super) fn without_account(session: &Session) -> Finding {
    let rights: Vec<_> = session.rights.iter().map(|right| right.0.as_str()).collect();
    let mut found = finding(
        "warning",
        &format!("{}: session {}", session.directory, session.id),
        &format!(
            "of {} (until {}) could be read, but not its account {}; it gave {}",
            session.technician,
            session.until,
            session.account.0,
            rights.join(", ")
        ),
    );
    found.remedy = "An account that carries Ticketgate's note is found by that; from a person's own account take what the session \
                    gave by hand."
        .into();
    found
}
