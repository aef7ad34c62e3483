//! What an account can leave behind that would run, or keep running, after its end, or that is named after it: jobs for later, a
//! session without a logon, what sudo remembers of a password that was typed. `userdel` leaves all of it where it is, for whoever
//! gets the name or the number next.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::{FarError, Places, files};
use crate::local::AccountName;

/// One file an account, of its name: jobs of cron (Debian's; Red Hat's and SUSE's), and systemd's word that processes stay.
const NAMED: [&str; 3] = ["spool/cron/crontabs", "spool/cron", "lib/systemd/linger"];
/// One file a job of at, of the account that gave it.
const OWNED: [&str; 2] = ["spool/cron/atjobs", "spool/at"];
/// Whom sudo has told its first words; by name, of later versions by number.
const LECTURED: [&str; 2] = ["lib/sudo/lectured", "db/sudo/lectured"];

/// Removes them. cron and atd look at their folders again when those change.
///
/// # Errors
/// [`FarError::Failed`]
pub(super) fn remove(places: &Places, account: &AccountName, uid: u32) -> Result<(), FarError> {
    let (name, number) = (account.as_str(), uid.to_string());
    let told = LECTURED.map(|folder| places.var.join(folder));
    let by_sudo = told.iter().cloned().chain([places.run.join("sudo/ts")]);
    let by_sudo = by_sudo.flat_map(|folder| [folder.join(name), folder.join(&number)]);
    for path in NAMED.iter().map(|folder| places.var.join(folder).join(name)).chain(by_sudo) {
        if path.symlink_metadata().is_ok_and(|about| !about.is_dir()) {
            files::remove(&path)?;
        }
    }
    for folder in OWNED {
        let Ok(jobs) = fs::read_dir(places.var.join(folder)) else { continue };
        for job in jobs.flatten() {
            if job.metadata().is_ok_and(|about| about.uid() == uid && about.is_file()) {
                files::remove(&job.path())?;
            }
        }
    }
    Ok(())
}
