//! Reading a secret from where the configuration says that it is kept. Nothing is remembered here.

use std::io::{BufRead, Read};
use std::path::Path;

use ticketgate_access::config::SecretRef;
use zeroize::Zeroizing;

use crate::{Secret, keyring};

/// Why a secret cannot be read, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoSecret(pub String);

/// Reads a secret each time that it is needed, so that a changed one counts without a restart.
pub trait ReadSecret: Send + Sync {
    /// The secret itself, never empty: an empty password would make some servers treat the service account as anybody.
    ///
    /// # Errors
    /// [`NoSecret`]
    fn read(&self, place: &SecretRef) -> Result<Secret, NoSecret>;

    /// The same of more than one line: a key in text form (PEM).
    ///
    /// # Errors
    /// [`NoSecret`]
    fn read_text(&self, place: &SecretRef) -> Result<Secret, NoSecret> {
        self.read(place)
    }
}

/// The places that this machine offers: files, environment variables, credentials of the service manager, the key store.
#[derive(Debug, Clone, Copy, Default)]
pub struct MachineSecrets;

/// More than any password; a wrong path must not fill the memory.
const LONGEST: u64 = 4096;
/// More than any key.
const LONGEST_TEXT: u64 = 16 << 10;

impl ReadSecret for MachineSecrets {
    fn read(&self, place: &SecretRef) -> Result<Secret, NoSecret> {
        read_by(place, first_line)
    }

    fn read_text(&self, place: &SecretRef) -> Result<Secret, NoSecret> {
        read_by(place, whole)
    }
}

fn read_by(place: &SecretRef, file: fn(&Path) -> Result<Secret, NoSecret>) -> Result<Secret, NoSecret> {
    let none = |why: String| Err(NoSecret(why));
    match place {
        SecretRef::File(path) => {
            guarded(Path::new(path))?;
            file(Path::new(path))
        }
        SecretRef::Env(name) => match std::env::var(name) {
            Ok(text) if !text.is_empty() => Ok(Secret::new(text)),
            _ => none(format!("the environment variable {name} is not set; set it for the broker's service")),
        },
        SecretRef::Credential(name) => {
            let plain = !name.is_empty() && !name.contains(['/', '\\']) && name != "..";
            match std::env::var_os("CREDENTIALS_DIRECTORY") {
                Some(folder) if plain => file(&Path::new(&folder).join(name)),
                Some(_) => none(format!("{name} is not the name of a credential")),
                None => none(format!(
                    "the service manager passed no credentials; add LoadCredential={name}:/path to the broker's unit"
                )),
            }
        }
        SecretRef::Keyring(name) => keyring::read(name).map_err(NoSecret),
    }
}

/// Refuses a file that others can read: whoever has this password can make himself an administrator.
#[cfg(unix)]
fn guarded(path: &Path) -> Result<(), NoSecret> {
    use std::os::unix::fs::PermissionsExt;
    let shown = path.display();
    let found = std::fs::metadata(path).map_err(|error| NoSecret(format!("{shown}: {error}")))?;
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let why = format!("others may read {shown} (mode {mode:o}); run: chmod 600 {shown}");
        return Err(NoSecret(why));
    }
    Ok(())
}

/// The same by its access list.
#[cfg(windows)]
fn guarded(path: &Path) -> Result<(), NoSecret> {
    use ticketgate_windows::{access_list::Against, files::open_to_others};
    match open_to_others(path, Against::Readers) {
        Ok(None) => Ok(()),
        Ok(Some(why)) => Err(NoSecret(why)),
        Err(error) => Err(NoSecret(format!("{}: {error}", path.display()))),
    }
}

fn first_line(path: &Path) -> Result<Secret, NoSecret> {
    let shown = path.display();
    let failed = |error: std::io::Error| NoSecret(format!("{shown}: {error}"));
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut line = Zeroizing::new(String::new());
    std::io::BufReader::new(file.take(LONGEST)).read_line(&mut line).map_err(failed)?;
    let text = line.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(NoSecret(format!("the first line of {shown} is empty")));
    }
    Ok(Secret::new(text.to_owned()))
}

fn whole(path: &Path) -> Result<Secret, NoSecret> {
    let shown = path.display();
    let failed = |error: std::io::Error| NoSecret(format!("{shown}: {error}"));
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = Zeroizing::new(String::new());
    let read = file.take(LONGEST_TEXT + 1).read_to_string(&mut text).map_err(failed)?;
    if text.trim().is_empty() {
        return Err(NoSecret(format!("{shown} is empty")));
    }
    if read as u64 > LONGEST_TEXT {
        return Err(NoSecret(format!("{shown} is larger than {} KiB", LONGEST_TEXT >> 10)));
    }
    Ok(Secret::new(text.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    fn read(place: &SecretRef) -> Result<String, String> {
        MachineSecrets.read(place).map(|s| s.expose().to_owned()).map_err(|e| e.to_string())
    }

    #[test]
    fn the_first_line_of_a_private_file_is_the_secret() {
        for text in ["p w\n", "p w\r\nmore\n", "p w"] {
            let file = file(text, 0o600);
            let place = SecretRef::File(file.path().display().to_string());
            assert_eq!(read(&place), Ok("p w".to_owned()));
        }
    }

    #[test]
    fn a_key_is_read_with_all_its_lines_and_within_a_bound() {
        let text = |file: &tempfile::NamedTempFile| {
            let place = SecretRef::File(file.path().display().to_string());
            MachineSecrets.read_text(&place).map(|s| s.expose().to_owned()).map_err(|e| e.to_string())
        };
        assert_eq!(text(&file("a\nb\n", 0o600)), Ok("a\nb\n".to_owned()));
        for (content, mode, said) in [
            ("a\nb\n".to_owned(), 0o644, "chmod 600"),
            (" \n".to_owned(), 0o600, "is empty"),
            ("x".repeat(20 << 10), 0o600, "larger than 16 KiB"),
        ] {
            let found = text(&file(&content, mode)).unwrap_err();
            assert!(found.contains(said), "{found}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_command_that_mends_it() {
        for mode in [0o640, 0o604, 0o644, 0o660] {
            let file = file("secret\n", mode);
            let said = read(&SecretRef::File(file.path().display().to_string())).unwrap_err();
            assert!(said.contains("chmod 600") && !said.contains("secret\n"), "{said}");
        }
    }

    #[test]
    fn an_empty_or_missing_secret_is_refused() {
        let empty = file("\n", 0o600);
        assert!(read(&SecretRef::File(empty.path().display().to_string())).unwrap_err().contains("empty"));
        assert!(read(&SecretRef::File("/nowhere/at/all".into())).is_err());
        assert!(
            read(&SecretRef::Env("TICKETGATE_NOT_SET".into())).unwrap_err().contains("TICKETGATE_NOT_SET")
        );
        assert!(read(&SecretRef::Credential("../x".into())).is_err());
    }
}
