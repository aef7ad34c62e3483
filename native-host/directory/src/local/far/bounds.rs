//! What the machine's own administrator lets any broker give: `ticketgate/local.toml`, `rights = ["group:docker", "sudo:ALL"]`.
//! Without the file a broker's word is enough; with one that cannot be read, nothing is given.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use super::{FarError, Places, files};
use crate::local::LocalRight;

const LONGEST: u64 = 64 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    rights: BTreeSet<String>,
}

/// Whether a right may be given here. `key:` in the list stands for every key: whose they are is the broker's knowledge.
///
/// # Errors
/// [`FarError::NotAllowed`]
pub(super) fn allow(places: &Places, right: &LocalRight) -> Result<(), FarError> {
    let path = places.etc.join("ticketgate/local.toml");
    let file = files::of_owner(&path, places.owner, LONGEST).map_err(|error| files::failed(&path, &error))?;
    let Some(text) = file else { return Ok(()) };
    let bounds: Bounds =
        text.ok().and_then(|text| toml::from_str(&text).ok()).ok_or_else(|| unreadable(&path))?;
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
    FarError::NotAllowed(format!(
        "{} is not a list `rights = […]` that only root can have written",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::far::tests::Scratch;

    const KEY: &str = "key:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    fn allows(file: Option<&str>, right: &str) -> bool {
        let scratch = Scratch::new();
        if let Some(file) = file {
            scratch.write("etc/ticketgate/local.toml", file);
        }
        allow(&scratch.places, &right.parse().unwrap()).is_ok()
    }

    #[test]
    fn without_a_list_everything_may_be_given_and_with_one_only_what_it_names() {
        let list = "rights = [\"group:docker\", \"sudo:/usr/bin/id\", \"key:\"]";
        assert!(allows(None, "sudo:ALL"));
        for named in ["group:docker", "sudo:/usr/bin/id", KEY] {
            assert!(allows(Some(list), named), "{named}");
        }
        for other in ["group:sudo", "sudo:ALL", "sudo:/usr/bin/id -u"] {
            assert!(!allows(Some(list), other), "{other}");
        }
    }

    #[test]
    fn a_list_that_cannot_be_read_allows_nothing() {
        for broken in
            ["", "rights", "rights = \"group:docker\"", "rights = [\"group:docker\"]\nmore = 1", "[x]"]
        {
            assert!(!allows(Some(broken), "group:docker"), "{broken}");
        }
    }
}
