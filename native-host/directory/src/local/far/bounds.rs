//! What the machine's own administrator lets any broker give: `rights = ["group:docker", "sudo:ALL"]` in a file `local.toml`.
//! Without the file a broker's word is enough; with one that cannot be read, nothing is given.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use super::FarError;
use crate::local::LocalRight;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    rights: BTreeSet<String>,
}

/// Whether a right may be given by the list that is at `path`: none where there is no file, none within where it cannot be read or
/// somebody else may have written it. `key:` in the list stands for every key: whose they are is the broker's knowledge.
///
/// # Errors
/// [`FarError::NotAllowed`]
pub(super) fn allow(path: &Path, list: Option<Option<String>>, right: &LocalRight) -> Result<(), FarError> {
    let Some(text) = list else { return Ok(()) };
    let bounds: Bounds = text.and_then(|text| toml::from_str(&text).ok()).ok_or_else(|| unreadable(path))?;
    let name = match right {
        LocalRight::Key(_) => "key:".to_owned(),
        other => other.to_string(),
    };
    if bounds.rights.contains(&name) {
        return Ok(());
    }
    Err(FarError::NotAllowed(format!("{name} is not among the rights of {}", path.display())))
}

fn unreadable(path: &Path) -> FarError {
    let by = if cfg!(windows) { "an administrator" } else { "root" };
    FarError::NotAllowed(format!(
        "{} is not a list `rights = […]` that only {by} can have written",
        path.display()
    ))
}
