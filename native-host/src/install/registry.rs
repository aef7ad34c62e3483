//! The registry entries by which browsers on Windows find a manifest. Nothing to do on other systems.

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
    let failed =
        |e: std::io::Error| InstallError::Registry(format!("the registry key {key} cannot be removed: {e}"));
    let named = native_messaging::install::read_manifest_path_from_reg(theirs(scope), key).map_err(failed)?;
    if named.as_deref() == Some(place.manifest.as_path()) {
        native_messaging::install::remove_manifest_reg(theirs(scope), key).map_err(failed)?;
    }
    Ok(())
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
