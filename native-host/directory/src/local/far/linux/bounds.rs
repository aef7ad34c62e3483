//! What this machine's own administrator lets any broker give: `/etc/ticketgate/local.toml`, which only root may write.

use super::super::bounds;
use super::{FarError, Places, files};
use crate::local::LocalRight;

const LONGEST: u64 = 64 * 1024;

/// Whether a right may be given here.
///
/// # Errors
/// [`FarError::NotAllowed`]
pub(super) fn allow(places: &Places, right: &LocalRight) -> Result<(), FarError> {
    let path = places.etc.join("ticketgate/local.toml");
    let list = files::of_owner(&path, places.owner, LONGEST).map_err(|error| files::failed(&path, &error))?;
    bounds::allow(&path, list.map(Result::ok), right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::far::linux::tests::Scratch;

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
