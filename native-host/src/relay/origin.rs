//! Which extensions may call: ours, and those that an administrator listed. Hygiene, not authentication: any process of
//! the same user can start us with any argument.

use std::fs;
use std::path::PathBuf;

use ticketgate_protocol::EXTENSION_ID;
use ticketgate_protocol::problem::{Code, Problem};

use crate::places::{Surroundings, System};

/// The file of further ids beside the machine's configuration, one a line, `#` begins a comment.
const FILE: &str = "allowed-extensions";

/// Where that file is: in the machine's folder, because only an administrator may widen the list.
#[must_use]
pub(super) fn file(around: &Surroundings) -> PathBuf {
    around.system_config().join(FILE)
}

/// Whether `id` has the form of an extension's id.
#[must_use]
pub fn is_extension_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|b| matches!(b, b'a'..=b'p'))
}

/// Whether this host serves the extension with this id.
#[must_use]
pub fn serves(id: &str, around: &Surroundings) -> bool {
    is_extension_id(id)
        && (id == EXTENSION_ID || fs::read_to_string(file(around)).is_ok_and(|list| listed(&list, id)))
}

/// What an administrator does so that the host serves this extension, too.
#[must_use]
pub fn how_to_serve(id: &str, around: &Surroundings) -> String {
    let (file, folder) = (file(around), around.system_config());
    match around.system {
        System::Linux | System::MacOs => {
            format!("sudo sh -c 'mkdir -p \"{}\" && echo {id} >> \"{}\"'", folder.display(), file.display())
        }
        System::Windows => format!("add the line {id} to {}", file.display()),
    }
}

/// Checks the origin that the browser put into `argv`.
///
/// # Errors
/// `origin_refused`.
pub(super) fn check(origin: &str, around: &Surroundings) -> Result<(), Problem> {
    let id = origin.strip_prefix("chrome-extension://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    if id.is_some_and(|id| serves(id, around)) {
        return Ok(());
    }
    Err(Problem::new(Code::OriginRefused, "This extension is not served by this host.")
        .remedy(format!("An administrator can add its id to {}.", file(around).display())))
}

fn listed(list: &str, id: &str) -> bool {
    list.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).any(|line| line == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(root: &std::path::Path) -> Surroundings {
        Surroundings { root: root.to_owned(), system: crate::places::System::Linux, ..Surroundings::here() }
    }

    #[test]
    fn our_extension_is_served_and_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let around = around(folder.path());
        assert_eq!(check(&format!("chrome-extension://{EXTENSION_ID}/"), &around), Ok(()));
        let other = "a".repeat(32);
        for origin in [
            format!("chrome-extension://{other}/"),
            format!("https://{EXTENSION_ID}/"),
            format!("chrome-extension://{EXTENSION_ID}/../x"),
            "chrome-extension:///".into(),
            String::new(),
        ] {
            assert_eq!(check(&origin, &around).unwrap_err().code, Code::OriginRefused, "{origin}");
        }
    }

    #[test]
    fn an_administrator_can_list_further_ids() {
        let folder = tempfile::tempdir().unwrap();
        let around = around(folder.path());
        let id = "abcdefghijklmnopabcdefghijklmnop";
        fs::create_dir_all(file(&around).parent().unwrap()).unwrap();
        fs::write(file(&around), format!("# store build\n{id} # from the store\nnot-an-id\n")).unwrap();
        assert_eq!(check(&format!("chrome-extension://{id}/"), &around), Ok(()));
        assert!(
            check("chrome-extension://not-an-id/", &around).is_err(),
            "the list does not make an id of it"
        );
    }
}
