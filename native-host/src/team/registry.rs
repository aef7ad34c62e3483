//! The machine's policy on Windows, which group policies and device management write: `HKLM\SOFTWARE\Policies\Ticketgate`. Only an
//! administrator can write there, so there is nothing else to check.

use std::io::ErrorKind;
use std::path::PathBuf;

use winreg::RegKey;
use winreg::enums::HKEY_LOCAL_MACHINE;

use super::{BadTeam, SaidBy, Team, addresses, pair};

const KEY: &str = r"SOFTWARE\Policies\Ticketgate";

/// What the policy says; nothing where there is none.
pub(super) fn read() -> Result<Option<Team>, BadTeam> {
    let by = SaidBy::Policy;
    let unread = |error: std::io::Error| BadTeam::new(&by, format!("it cannot be read: {error}"));
    let key = match RegKey::predef(HKEY_LOCAL_MACHINE).open_subkey(KEY) {
        Ok(key) => key,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unread(error)),
    };
    let named = |name: &str| match key.get_value::<String, _>(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.trim().is_empty())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unread(error)),
    };
    // One text (`REG_SZ`), or several lines (`REG_MULTI_SZ`), which come with line feeds between them.
    let Some(broker) = named("Broker")? else { return Ok(None) };
    let words = broker.split([',', ' ', '\t', '\r', '\n', '\0']).filter(|word| !word.is_empty());
    let file = |name: &str| named(name).map(|text| text.map(PathBuf::from));
    let certificate = pair(&by, file("ClientCertificate")?, file("ClientKey")?)?;
    let (addresses, ca_file) = (addresses(&by, words)?, file("CaFile")?);
    Ok(Some(Team { addresses, ca_file, certificate, said_by: by }))
}
