//! The folder of key files: reading one, giving and taking keys.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;

use chrono::{DateTime, Utc};

use super::clock::Second;
use super::keys::{self, Key, Line};
use super::{FarError, Places, files};
use crate::local::request::SeenRight;
use crate::local::{AccountName, PublicKey};

/// The lines of an account's file that count.
///
/// # Errors
/// [`FarError::Failed`]
pub(super) fn read(places: &Places, account: &AccountName) -> Result<Vec<Line>, FarError> {
    let path = places.keys().join(account.as_str());
    match files::of_owner(&path, places.owner, keys::LONGEST) {
        Ok(None) => Ok(Vec::new()),
        Ok(Some(Ok(text))) => Ok(keys::read(&text)),
        // A link, or somebody else's: what is in it is as bad as a key without an end.
        Ok(Some(Err(()))) => Ok(vec![Line::Other(super::sudo::mark("the file"))]),
        Err(error) => Err(files::failed(&path, &error)),
    }
}

/// The right that a line gives.
pub(super) fn seen(line: &Line) -> SeenRight {
    match line {
        Line::Ours(Key { key, until }) => {
            SeenRight { right: format!("key:{key}"), until: Some(until.time()) }
        }
        Line::Other(mark) => SeenRight { right: format!("key:?{mark}"), until: None },
    }
}

/// Gives a key, or another end to it. Lines that are not ours go.
///
/// # Errors
/// [`FarError`]
pub(super) fn give(
    places: &Places,
    account: &AccountName,
    key: &PublicKey,
    until: Second,
) -> Result<(), FarError> {
    let folder = places.keys();
    if !folder.is_dir() {
        DirBuilder::new().mode(0o755).create(&folder).map_err(|error| {
            FarError::NoSuchRight(format!(
                "there is no SSH server on this machine: {}: {error}",
                folder.display()
            ))
        })?;
    }
    let mut keys = ours(read(places, account)?, |other| other.key != *key);
    keys.push(Key { key: key.clone(), until });
    write(places, account, &keys)
}

/// Takes away the key of a right, as [`seen`] names it.
///
/// # Errors
/// [`FarError::Failed`]
pub(super) fn take(places: &Places, account: &AccountName, right: &str) -> Result<(), FarError> {
    let lines = read(places, account)?;
    if !lines.iter().any(|line| seen(line).right == right) {
        return Ok(());
    }
    let keys = ours(lines, |key| format!("key:{}", key.key) != right);
    write(places, account, &keys)
}

/// Takes away what is over and what is not ours; whether there was any.
///
/// # Errors
/// [`FarError::Failed`]
pub(super) fn prune(places: &Places, account: &AccountName, now: DateTime<Utc>) -> Result<bool, FarError> {
    let lines = read(places, account)?;
    let stays = |key: &Key| key.until.time() > now;
    if lines.iter().all(|line| matches!(line, Line::Ours(key) if stays(key))) {
        return Ok(false);
    }
    write(places, account, &ours(lines, stays)).map(|()| true)
}

/// Takes away all of it.
///
/// # Errors
/// [`FarError::Failed`]
pub(super) fn remove(places: &Places, account: &AccountName) -> Result<(), FarError> {
    files::remove(&places.keys().join(account.as_str())).map(drop)
}

fn ours(lines: Vec<Line>, stays: impl Fn(&Key) -> bool) -> Vec<Key> {
    let keys = lines.into_iter().filter_map(|line| match line {
        Line::Ours(key) => Some(key),
        Line::Other(_) => None,
    });
    keys.filter(stays).collect()
}

fn write(places: &Places, account: &AccountName, keys: &[Key]) -> Result<(), FarError> {
    if keys.is_empty() {
        return remove(places, account);
    }
    let folder = places.keys();
    files::put(&folder, account.as_str(), 0o644, &keys::text(keys), |unfinished| {
        let written = files::of_owner(unfinished, places.owner, keys::LONGEST)
            .map_err(|error| files::failed(unfinished, &error))?;
        let lines = written.and_then(Result::ok).map(|text| keys::read(&text)).unwrap_or_default();
        if lines.into_iter().eq(keys.iter().cloned().map(Line::Ours)) {
            return Ok(());
        }
        Err(FarError::Failed("a key was not written as it was meant".into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::far::linux::tests::Scratch;
    use chrono::TimeDelta;

    fn key(last: char) -> PublicKey {
        PublicKey::new(&format!(
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIe{last}J"
        ))
        .unwrap()
    }

    fn second(text: &str) -> Second {
        text.parse().unwrap()
    }

    fn rights(scratch: &Scratch) -> Vec<String> {
        read(&scratch.places, &scratch.account()).unwrap().iter().map(|line| seen(line).right).collect()
    }

    #[test]
    fn a_key_is_given_moved_and_taken_and_the_file_goes_with_the_last_one() {
        let scratch = Scratch::new();
        scratch.folder("etc/ssh");
        let (places, account) = (&scratch.places, scratch.account());
        give(places, &account, &key('Z'), second("20261126103000Z")).unwrap();
        give(places, &account, &key('A'), second("20261126103000Z")).unwrap();
        give(places, &account, &key('Z'), second("20261126113000Z")).unwrap();
        let ends: Vec<_> = read(places, &account).unwrap().iter().map(|line| seen(line).until).collect();
        assert_eq!(ends, [Some(second("20261126103000Z").time()), Some(second("20261126113000Z").time())]);
        for last in ['A', 'Z', 'Z'] {
            take(places, &account, &format!("key:{}", key(last))).unwrap();
        }
        assert!(!places.keys().join(account.as_str()).exists());
    }

    #[test]
    fn a_key_added_by_hand_is_seen_and_taken_by_its_mark() {
        let scratch = Scratch::new();
        scratch.folder("etc/ssh");
        let (places, account) = (&scratch.places, scratch.account());
        give(places, &account, &key('Z'), second("20261126103000Z")).unwrap();
        let path = places.keys().join(account.as_str());
        let text = std::fs::read_to_string(&path).unwrap() + &format!("{}\n", key('A'));
        std::fs::write(&path, text).unwrap();
        let stray = rights(&scratch).pop().unwrap();
        assert!(stray.starts_with("key:?"), "{stray}");
        take(places, &account, &stray).unwrap();
        assert_eq!(rights(&scratch), [format!("key:{}", key('Z'))]);
    }

    #[test]
    fn a_link_in_the_files_place_is_no_key_and_is_not_followed() {
        let scratch = Scratch::new();
        scratch.folder("etc/ssh/ticketgate-keys");
        scratch.write("elsewhere", "untouched");
        let (places, account) = (&scratch.places, scratch.account());
        std::os::unix::fs::symlink(scratch.path("elsewhere"), places.keys().join(account.as_str())).unwrap();
        let [stray] = rights(&scratch).try_into().unwrap();
        assert!(stray.starts_with("key:?"), "{stray}");
        give(places, &account, &key('Z'), second("20261126103000Z")).unwrap();
        assert_eq!(std::fs::read_to_string(scratch.path("elsewhere")).unwrap(), "untouched");
        assert_eq!(rights(&scratch).len(), 1);
    }

    #[test]
    fn keys_that_are_over_are_pruned() {
        let scratch = Scratch::new();
        scratch.folder("etc/ssh");
        let (places, account) = (&scratch.places, scratch.account());
        give(places, &account, &key('Z'), second("20261126103000Z")).unwrap();
        give(places, &account, &key('A'), second("20261126113000Z")).unwrap();
        let first = second("20261126103000Z").time();
        assert!(!prune(places, &account, first - TimeDelta::seconds(1)).unwrap());
        assert!(prune(places, &account, first).unwrap());
        assert_eq!(rights(&scratch), [format!("key:{}", key('A'))]);
    }
}
