//! The operating system's key store: the Secret Service on Linux (GNOME Keyring, KWallet, KeePassXC), the Credential Manager
//! on Windows, the Keychain on macOS. Which secret is wanted, and why, is known elsewhere.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use keyring_core::api::CredentialStore;
use keyring_core::{Entry, Error};
use zeroize::Zeroizing;

use crate::Secret;

/// Under this service name every secret is kept; its user name is the name in the configuration.
pub const SERVICE: &str = "ticketgate";

/// A locked key store asks its person first, and nobody may be there. An end in another directory must not wait for that.
const PATIENCE: Duration = Duration::from_secs(10);

/// The secret of this name.
///
/// # Errors
/// What to do, for the administrator.
pub fn read(name: &str) -> Result<Secret, String> {
    let bytes = Zeroizing::new(with_entry(name, |entry| entry.get_secret())?);
    let text = std::str::from_utf8(&bytes).map_err(|_| format!("{name} in the key store is not a text"))?;
    if text.is_empty() {
        return Err(format!("{name} in the key store is empty"));
    }
    Ok(Secret::new(text.to_owned()))
}

/// The same, or nothing where there is none of this name.
///
/// # Errors
/// What to do, for the administrator.
pub fn find(name: &str) -> Result<Option<Secret>, String> {
    let found = with_entry(name, |entry| match entry.get_secret() {
        Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
        Err(Error::NoEntry) => Ok(None),
        Err(error) => Err(error),
    })?;
    let text =
        |bytes: Zeroizing<Vec<u8>>| std::str::from_utf8(&bytes).ok().map(|text| Secret::new(text.to_owned()));
    Ok(found.and_then(text).filter(|secret| !secret.is_empty()))
}

/// Keeps a secret under this name, in place of an earlier one.
///
/// # Errors
/// What to do, for the administrator.
pub fn keep(name: &str, secret: Secret) -> Result<(), String> {
    with_entry(name, move |entry| entry.set_secret(secret.expose().as_bytes()))
}

/// Forgets the secret of this name.
///
/// # Errors
/// What to do, for the administrator.
pub fn forget(name: &str) -> Result<(), String> {
    with_entry(name, |entry| entry.delete_credential())
}

/// On a thread of its own, because the stores wait, and are opened anew each time: one that was restarted is found again.
fn with_entry<T: Send + 'static>(
    name: &str,
    work: impl FnOnce(&Entry) -> keyring_core::Result<T> + Send + 'static,
) -> Result<T, String> {
    let (answer, answered) = mpsc::channel();
    let user = name.to_owned();
    std::thread::spawn(move || {
        let result = store().and_then(|store| work(&Entry::new_in_store(&store, SERVICE, &user)?));
        let _ = answer.send(result);
    });
    match answered.recv_timeout(PATIENCE) {
        Ok(result) => result.map_err(|error| sentence(name, &error)),
        Err(_) => Err(format!("the key store did not answer in {} s; unlock it", PATIENCE.as_secs())),
    }
}

fn sentence(name: &str, error: &Error) -> String {
    match error {
        Error::NoEntry => {
            format!("the key store has nothing named {name}; run: ticketgate secret set {name}")
        }
        Error::Ambiguous(found) => format!(
            "the key store has {} secrets named {name}; run: ticketgate secret remove {name}, then set it anew",
            found.len()
        ),
        Error::NoStorageAccess(why) => format!("the key store is locked or refused ({why}); unlock it"),
        other => format!(
            "the key store cannot be reached ({other}); it belongs to a person's desktop: a broker of the system uses \
             file or credential"
        ),
    }
}

#[cfg(target_os = "linux")]
fn store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(zbus_secret_service_keyring_store::Store::new()?)
}

#[cfg(target_os = "windows")]
fn store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(windows_native_keyring_store::Store::new()?)
}

#[cfg(target_os = "macos")]
fn store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(apple_native_keyring_store::keychain::Store::new()?)
}
