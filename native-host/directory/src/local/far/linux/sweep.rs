//! What the machine does alone, every minute: closes what is over and puts it away, by the notes at the accounts. It deletes no
//! account and touches none without a note.

use chrono::{DateTime, Utc};

use super::clock::now;
use super::look::{Found, Machine};
use super::{FarError, Places, Swept, accounts, databases, drop_ins, key_file, lock};
use crate::local::AccountName;
use crate::local::request::{Note, Processes};

/// Ends what is over on this machine. Needs no broker and no network; safe to repeat. Blocking.
///
/// # Errors
/// [`FarError`] when the machine cannot be read at all, or another holds it for too long. A failure at one account is in
/// [`Swept::failures`] and does not keep the others.
pub fn sweep(places: &Places) -> Result<Swept, FarError> {
    let _lock = lock::wait(places)?;
    drop_ins::remove_unfinished(places);
    let machine = Machine::read_nameless(places)?;
    let mut swept = Swept::default();
    for (name, note, found) in machine.ours() {
        let done = if is_over(&note, &found, machine.time) {
            end(places, &machine, &name, &note, &found).map(|()| swept.closed += 1)
        } else {
            key_file::prune(places, &name, machine.time).map(|pruned| swept.keys += usize::from(pruned))
        };
        if let Err(error) = done {
            swept.failures.push(format!("{name}: {error}"));
        }
    }
    let now = now();
    let is_left = |drop_in: &drop_ins::DropIn| {
        drop_in.is_over(now) || !databases::has_name(&machine.passwd, drop_in.account.as_str())
    };
    match drop_ins::remove_all(places, is_left) {
        Ok(removed) => swept.rules += removed,
        Err(error) => swept.failures.push(error.to_string()),
    }
    Ok(swept)
}

/// An open account whose end has come, or one that is open though its note says that it is closed.
fn is_over(note: &Note, found: &Found, now: DateTime<Utc>) -> bool {
    match &note.window {
        Some(window) => window.end <= now,
        None => found.seen.enabled,
    }
}

fn end(
    places: &Places,
    machine: &Machine<'_>,
    name: &AccountName,
    note: &Note,
    found: &Found,
) -> Result<(), FarError> {
    // Whoever opened an account with a closed note left no word of its processes: those that run as it go.
    let which = note.window.as_ref().map_or(Processes::Own, |window| window.processes);
    let closed = accounts::close(places, name, found, which);
    // A process that does not end keeps none of this, only the note that says that all is done.
    let rules = drop_ins::remove_all(places, |drop_in| drop_in.account == *name);
    let groups = accounts::leave_all(places, name, found);
    let primary = accounts::reset_primary_group(places, machine, name, found);
    closed.and(rules).and(groups).and(primary)?;
    accounts::put_away(places, name, found, &Note { window: None, ..note.clone() })
}
