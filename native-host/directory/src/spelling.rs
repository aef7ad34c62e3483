//! One spelling per right. A session keeps the spelling that the configuration had when it began; the directory answers in
//! the present configuration's, or in its own where that no longer names the right. Compared letter by letter, a right
//! that is there would be given again and again, and one that has to go would be left. Nothing is decided here.

use std::collections::HashMap;

use ticketgate_access::desired::Observed;
use ticketgate_access::session::{Account, Right, Session};

use crate::Directory;

/// The same account, sessions and observation with each right spelled as the first session does that brings it.
#[must_use]
pub fn alike(
    directory: &dyn Directory,
    account: &Account,
    sessions: &[Session],
    observed: &Observed,
) -> (Account, Vec<Session>, Observed) {
    let mut known: HashMap<String, Right> = HashMap::new();
    for right in sessions.iter().flat_map(|s| &s.rights).chain(&account.standing) {
        known.entry(directory.right_key(right)).or_insert_with(|| right.clone());
    }
    let spelled =
        |right: &Right| known.get(&directory.right_key(right)).cloned().unwrap_or_else(|| right.clone());
    let (mut account, mut sessions, mut observed) = (account.clone(), sessions.to_vec(), observed.clone());
    account.standing.iter_mut().for_each(|right| *right = spelled(right));
    for session in &mut sessions {
        session.rights.iter_mut().for_each(|right| *right = spelled(right));
    }
    if let Some(seen) = &mut observed.account {
        seen.rights = seen.rights.iter().map(spelled).collect();
        seen.own = seen.own.iter().map(spelled).collect();
        seen.right_ends.iter_mut().for_each(|(right, _)| *right = spelled(right));
    }
    (account, sessions, observed)
}
