//! The registry entries by which browsers on Windows find a manifest. Nothing to do on other systems.

use std::path::PathBuf;

use super::InstallError;
use super::browsers::{Place, Scope};

/// Makes the browser's key name the manifest.
#[cfg(windows)]
pub(super) fn point(place: &Place, scope: Scope) -> Result<(), InstallError> {
    let Some(key) = &place.registry_key else { return Ok(()) };
    native_messaging::install::write_manifest_path_to_reg(theirs(scope), key, &place.manifest)
        .map_err(|e| InstallError::Registry(format!("the registry key {key} cannot be written: {e}")))
}

/// Removes the browser's key if it names the manifest.
#[cfg(windows)]
pub(super) fn forget(place: &Place, scope: Scope) -> Result<(), InstallError> {
    let Some(key) = &place.registry_key else { return Ok(()) };
    if leads_to(place, scope) {
        native_messaging::install::remove_manifest_reg(theirs(scope), key)
            .map_err(|e| InstallError::Registry(format!("the registry key {key} cannot be removed: {e}")))?;
    }
    Ok(())
}

/// Whether the browser has a key here and it names this place's own manifest.
pub(super) fn leads_to(place: &Place, scope: Scope) -> bool {
    place.registry_key.is_some() && found(place, scope).as_deref() == Some(place.manifest.as_path())
}

/// The manifest that the browser finds by this place. A key that cannot be read leads nowhere.
#[cfg(windows)]
pub(crate) fn found(place: &Place, scope: Scope) -> Option<PathBuf> {
    let key = place.registry_key.as_ref()?;
    native_messaging::install::read_manifest_path_from_reg(theirs(scope), key).ok().flatten()
}

/// The manifest that the browser finds by this place: the file itself.
#[cfg(not(windows))]
pub(crate) fn found(place: &Place, _: Scope) -> Option<PathBuf> {
    place.manifest.exists().then(|| place.manifest.clone())
}

#[cfg(windows)]
fn theirs(scope: Scope) -> native_messaging::install::Scope {
    match scope {
        Scope::User => native_messaging::install::Scope::User,
        Scope::System => native_messaging::install::Scope::System,
    }
}

#[cfg(not(windows))]
#[expect(clippy::unnecessary_wraps, reason = "Windows can fail")]
pub(super) fn point(_: &Place, _: Scope) -> Result<(), InstallError> {
    Ok(())
}

#[cfg(not(windows))]
#[expect(clippy::unnecessary_wraps, reason = "Windows can fail")]
pub(super) fn forget(_: &Place, _: Scope) -> Result<(), InstallError> {
    Ok(())
}
