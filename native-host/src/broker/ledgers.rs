//! Which ledger a broker has: a file of its state folder, or a database that it shares with others (`[ledger]`). What the
//! configuration says is kept, so that a file that cannot be read later does not lead to another ledger.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ticketgate_access::config::{self, LedgerPlace, SecretRef};
use ticketgate_credentials::{MachineSecrets, ReadSecret};
use ticketgate_ledger::{Copied, Ledger, Password, PostgresLedger, PostgresPlace, SqliteLedger};
use zeroize::Zeroizing;

use super::aside;
use super::start::{StartError, ledger_places, lock_state};
use crate::places::Places;

/// What `[ledger]` said at the last start.
const KEPT: &str = "ledger.toml";

/// Opens the ledger that the configuration names, or the one of the state folder.
pub(super) async fn open(places: &Places) -> Result<Arc<dyn Ledger>, StartError> {
    match place(places)? {
        None => Ok(Arc::new(aside::open(places).await?)),
        Some(place) => Ok(Arc::new(open_shared(places, &place).await?)),
    }
}

/// Opens the ledger in this database.
pub(super) async fn open_shared(places: &Places, place: &LedgerPlace) -> Result<PostgresLedger, StartError> {
    let (file, key) = ledger_places(places);
    if SqliteLedger::is_begun(&file) {
        return Err(StartError::Ledger(format!(
            "[ledger] names a database, and this machine's own ledger is still at {0}: what it has open would be forgotten; run \
             `ticketgate ledger copy`, or, where nothing of it is wanted any more, move {0} away",
            file.display()
        )));
    }
    let ledger = PostgresLedger::open(&postgres(place, key)).await?;
    note(places, place)?;
    Ok(ledger)
}

/// Where the ledger is; `None`: in the state folder. A file that cannot be read leads to where the ledger was.
pub(crate) fn place(places: &Places) -> Result<Option<LedgerPlace>, StartError> {
    let kept = kept(&places.state)?;
    let text = match fs::read_to_string(&places.config) {
        Ok(text) => text,
        Err(error) => {
            if kept.is_some() {
                tracing::error!(%error, file = %places.config.display(), "the configuration cannot be read; the ledger is taken to be where it was");
            }
            return Ok(kept);
        }
    };
    match (config::ledger(&text), kept) {
        (Ok(Some(place)), _) => Ok(Some(place)),
        (Ok(None), None) => Ok(None),
        (Ok(None), Some(kept)) => Err(StartError::Ledger(format!(
            "this broker's ledger is in a database ({}), and the configuration has no [ledger]; write it there, or, to begin a ledger of \
             this machine's own, remove {}",
            kept.postgres,
            places.state.join(KEPT).display()
        ))),
        (Err(faults), Some(kept)) => {
            tracing::error!(%faults, "[ledger] cannot be read; the ledger is taken to be where it was");
            Ok(Some(kept))
        }
        // A file that is no TOML at all is told to everybody who asks; what this machine has open has to end all the same. A
        // table with faults means a database, and no file is begun in its place.
        (Err(faults), None) if text.lines().any(|line| line.trim_start().starts_with("[ledger]")) => {
            Err(StartError::Configuration(faults.to_string()))
        }
        (Err(_), None) => Ok(None),
    }
}

/// What became of a ledger that was copied.
#[derive(Debug)]
pub struct Moved {
    /// What is in the database now.
    pub copied: Copied,
    /// The folder with the file that nothing reads any more.
    pub put_aside: PathBuf,
    /// What has to be written into the configuration, where it does not say so yet.
    pub to_write: Option<String>,
}

/// Moves this machine's ledger into a database, which is the ledger from then on. Broken off, it goes on when it is called again.
///
/// # Errors
/// [`StartError`]: a broker runs, there is no ledger here, the database cannot be used or holds another one. This machine's ledger
/// is in use as before then.
pub async fn copy_ledger(
    places: &Places,
    to: Option<LedgerPlace>,
    tells: impl FnMut(u64),
) -> Result<Moved, StartError> {
    let _lock = lock_state(places)?;
    let configured =
        fs::read_to_string(&places.config).ok().and_then(|text| config::ledger(&text).ok().flatten());
    let Some(place) = to.or(configured.clone()) else {
        return Err(StartError::Configuration(
            "there is no [ledger]; write it, or name the database with --to".to_owned(),
        ));
    };
    let (file, key) = ledger_places(places);
    if !SqliteLedger::is_begun(&file) {
        return Err(StartError::Ledger(format!("there is no ledger at {}", file.display())));
    }
    let unread = aside::unread(&places.state);
    if !unread.is_empty() {
        return Err(StartError::Ledger(
            "a ledger before this one was not read yet; run `ticketgate recover` first".to_owned(),
        ));
    }
    let copied = PostgresLedger::copy(&file, &postgres(&place, key), tells).await?;
    // From now on that is where it is: without it a broker whose configuration does not say so would begin a new one.
    note(places, &place)?;
    let put_aside = aside::put_copied(places).await?;
    let to_write = (configured.as_ref() != Some(&place)).then(|| written(&place));
    Ok(Moved { copied, put_aside, to_write })
}

/// How the ledger's own crate has it, with where the password is read.
pub(crate) fn postgres(place: &LedgerPlace, key: PathBuf) -> PostgresPlace {
    let password = place.password.clone().map(|at| -> Password {
        Arc::new(move || {
            let read = MachineSecrets.read(&at).map(|secret| Zeroizing::new(secret.expose().to_owned()));
            read.map_err(|error| format!("the password of [ledger]: {error}"))
        })
    });
    PostgresPlace {
        address: place.postgres.clone(),
        password,
        authorities: place.ca_file.as_ref().map(PathBuf::from),
        key,
    }
}

fn kept(state: &Path) -> Result<Option<LedgerPlace>, StartError> {
    let path = state.join(KEPT);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(StartError::Place { what: "the note of where the ledger is", path, error });
        }
    };
    config::ledger(&text).map_err(|faults| StartError::Configuration(format!("{}: {faults}", path.display())))
}

fn note(places: &Places, place: &LedgerPlace) -> Result<(), StartError> {
    keep(&places.state, place).map_err(|error| StartError::Place {
        what: "the note of where the ledger is",
        path: places.state.join(KEPT),
        error,
    })
}

fn keep(state: &Path, place: &LedgerPlace) -> io::Result<()> {
    let path = state.join(KEPT);
    let text = written(place);
    if fs::read_to_string(&path).is_ok_and(|before| before == text) {
        return Ok(());
    }
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(new, path)
}

/// As a configuration has it.
fn written(place: &LedgerPlace) -> String {
    // JSON's quotes and escapes are TOML's as well.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut text = format!("[ledger]\npostgres = {}\n", quoted(&place.postgres));
    if let Some(password) = &place.password {
        let (kind, name) = match password {
            SecretRef::File(name) => ("file", name),
            SecretRef::Env(name) => ("env", name),
            SecretRef::Keyring(name) => ("keyring", name),
            SecretRef::Credential(name) => ("credential", name),
        };
        text.push_str(&format!("password = {{ {kind} = {} }}\n", quoted(name)));
    }
    if let Some(ca_file) = &place.ca_file {
        text.push_str(&format!("ca_file = {}\n", quoted(ca_file)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(folder: &Path, text: Option<&str>) -> Places {
        let config = folder.join("ticketgate.toml");
        match text {
            Some(text) => fs::write(&config, text).unwrap(),
            None => fs::remove_file(&config).unwrap_or_default(),
        }
        Places { config, state: folder.to_owned(), socket: folder.join("broker.sock") }
    }

    fn there() -> LedgerPlace {
        LedgerPlace {
            postgres: "host=/run/\"pg\" dbname='t g'".to_owned(),
            password: Some(SecretRef::Credential("ledger".to_owned())),
            ca_file: Some("C:\\ca.crt".to_owned()),
        }
    }

    #[test]
    fn a_configuration_that_cannot_be_read_leads_to_where_the_ledger_was() {
        let folder = tempfile::tempdir().unwrap();
        let at = |text| place(&places(folder.path(), text));
        assert_eq!(at(None).unwrap(), None);
        assert_eq!(at(Some("[broker\n")).unwrap(), None, "this machine's own");
        assert!(at(Some("[ledger]\npostgres = 7\n")).is_err(), "no file in the place of a database");
        keep(folder.path(), &there()).unwrap();
        for text in [None, Some("[broker\n"), Some("[ledger]\npostgres = 7\n")] {
            assert_eq!(at(text).unwrap(), Some(there()), "{text:?}");
        }
        let said = at(Some("[broker]\n")).unwrap_err().to_string();
        assert!(said.contains("has no [ledger]"), "{said}");
        let other = LedgerPlace { password: None, ca_file: None, ..there() };
        assert_eq!(at(Some(&written(&other))).unwrap(), Some(other));
    }
}
