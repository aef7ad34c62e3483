//! What the machine does alone, every minute: closes what is over and takes its groups, by the notes at the accounts. It deletes no
//! account and touches none without a note.

use chrono::{DateTime, Utc};

use super::look::Found;
use super::sam::Sam;
use super::{FarError, Swept, Windows, lock};
use crate::local::AccountName;
use crate::local::request::Note;

impl<S: Sam> Windows<S> {
    /// Ends what is over.
    ///
    /// # Errors
    /// [`FarError`] when the machine cannot be read at all, or another holds it for too long.
    pub(super) fn sweep(&self) -> Result<Swept, FarError> {
        let _lock = lock::wait(&self.places.lock)?;
        let machine = self.read()?;
        let mut swept = Swept::default();
        for (name, note, found) in self.ours(&machine)? {
            if !is_over(&note, &found, machine.time) {
                continue;
            }
            match self.end(&name, &note, &found) {
                Ok(()) => swept.closed += 1,
                Err(error) => swept.failures.push(format!("{name}: {error}")),
            }
        }
        Ok(swept)
    }

    fn end(&self, name: &AccountName, note: &Note, found: &Found) -> Result<(), FarError> {
        let closed = self.close(name);
        // What cannot be closed loses its groups all the same.
        let groups = self.leave_all(found);
        closed.and(groups)?;
        self.put_away(name, &Note { window: None, ..note.clone() })
    }
}

/// An open account whose end has come, or one that is open though its note says that it is closed.
fn is_over(note: &Note, found: &Found, now: DateTime<Utc>) -> bool {
    match &note.window {
        Some(window) => window.end <= now,
        None => found.seen.enabled,
    }
}
