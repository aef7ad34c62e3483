//! What one search brings, as far as there is room for it, and only whole.

use ldap3::{Ldap, LdapResult, Scope};

use super::entry::Entry;
use super::failure::Trouble;
use super::link::{ENDLESS, UNREADABLE};

/// The bytes that one question may bring, in however many parts: sixty thousand accounts, half a million members. A server that sends
/// more than the broker's memory holds would end the sessions of other directories, too.
const MOST: usize = 64 * 1024 * 1024;
/// What a value takes in memory besides its bytes.
const VALUE: usize = 32;

/// How much more of an answer there is room for.
pub(super) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(MOST)
    }
}

impl Room {
    fn take(&mut self, entry: &Entry) -> Result<(), Trouble> {
        let size = entry.sizes().map(|bytes| bytes + VALUE).sum();
        self.0 = self.0.checked_sub(size).ok_or_else(|| Trouble::Lost(ENDLESS.into()))?;
        Ok(())
    }
}

/// The entries of one search. Referrals to other domains and intermediate messages are left out; an entry that cannot be read
/// is not: as if it were not there, what it holds would count as taken away.
pub(super) async fn collected(
    mut ldap: Ldap,
    base: &str,
    scope: Scope,
    filter: &str,
    attributes: &[&str],
    room: &mut Room,
) -> Result<(Vec<Entry>, LdapResult), Trouble> {
    let mut answers =
        ldap.streaming_search(base, scope, filter, attributes.to_vec()).await.map_err(Trouble::from_ldap)?;
    let mut entries = Vec::new();
    while let Some(answer) = answers.next().await.map_err(Trouble::from_ldap)? {
        if answer.is_ref() || answer.is_intermediate() {
            continue;
        }
        let entry = Entry::read(answer).ok_or_else(|| Trouble::Lost(UNREADABLE.into()))?;
        room.take(&entry)?;
        entries.push(entry);
    }
    let result = answers.finish().await.success().map_err(Trouble::from_ldap)?;
    Ok((entries, result))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_many_entries_and_not_for_any_number() {
        let entry = Entry::default();
        let mut room = Room(10 * VALUE);
        assert!((0..10).all(|_| room.take(&entry).is_ok()));
        assert!(matches!(room.take(&entry), Err(Trouble::Lost(why)) if why == ENDLESS));
    }
}
