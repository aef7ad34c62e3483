//! What an account can leave behind that would run, or keep running, after its end: jobs for later, and a session without a
//! logon. `userdel` leaves jobs of cron where they are, for whoever gets the name next.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::{FarError, Places, files};
use crate::local::AccountName;

/// One file an account: Debian's, and the one of Red Hat and SUSE.
const CRON: [&str; 2] = ["cron/crontabs", "cron"];
/// One file a job, of the account that gave it.
const AT: [&str; 2] = ["cron/atjobs", "at"];

/// Removes them. cron and atd look at their folders again when those change.
///
/// # Errors
/// [`FarError::Failed`]
pub(super) fn remove(places: &Places, account: &AccountName, uid: u32) -> Result<(), FarError> {
    files::remove(&places.linger.join(account.as_str()))?;
    for folder in CRON {
        let path = places.spool.join(folder).join(account.as_str());
        if path.is_file() {
            files::remove(&path)?;
        }
    }
    for folder in AT {
        let Ok(jobs) = fs::read_dir(places.spool.join(folder)) else { continue };
        for job in jobs.flatten() {
            if job.metadata().is_ok_and(|about| about.uid() == uid && about.is_file()) {
                files::remove(&job.path())?;
            }
        }
    }
    Ok(())
}
