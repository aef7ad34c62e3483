//! What the machine has for an account. Nothing is changed.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::sam::{DISABLED, FOREVER, ORDINARY, Sam, User};
use super::{FarError, Windows, clock, meant, note};
use crate::local::request::{LocalSeen, Named, Note, SeenRight};
use crate::local::{AccountName, Sid};

/// Below are the accounts that every Windows has, whatever somebody called them.
const FIRST_OF_PEOPLE: u32 = 1000;
/// The one first group of all accounts of a machine ("None"). It gives nothing.
const FIRST_GROUP: u32 = 513;

/// A machine as it was seen first.
#[derive(Debug)]
pub(super) struct Machine {
    /// Its clock, before anything was read.
    pub(super) time: DateTime<Utc>,
    /// What people call it.
    name: String,
    sid: Sid,
    /// 16 hex digits.
    pub(super) identity: String,
}

/// An account of the machine.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) seen: LocalSeen,
    pub(super) sid: Sid,
    pub(super) groups: Vec<Sid>,
    /// It is one of the system's, or a machine's.
    not_a_person: Option<&'static str>,
}

impl<S: Sam> Windows<S> {
    /// # Errors
    /// [`FarError`]
    pub(super) fn read(&self) -> Result<Machine, FarError> {
        let time = clock::now();
        let (name, sid) = self.sam.machine()?;
        let digest = Sha256::digest(sid.as_str());
        let identity = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Machine { time, name, sid, identity })
    }

    /// The names that can be ours.
    ///
    /// # Errors
    /// [`FarError`]
    pub(super) fn names(&self) -> Result<Vec<AccountName>, FarError> {
        let names = self.sam.names()?;
        // To Windows names are the same in any case.
        Ok(names.iter().filter_map(|name| AccountName::new(name.to_lowercase()).ok()).collect())
    }

    /// The account of this name, whoever's it is.
    ///
    /// # Errors
    /// [`FarError`]
    pub(super) fn account(&self, machine: &Machine, name: &AccountName) -> Result<Option<Found>, FarError> {
        let Some(user) = self.sam.user(name.as_str())? else { return Ok(None) };
        let groups = match self.sam.groups_of(name.as_str()) {
            Ok(groups) => groups,
            Err(error) if error.code == super::sam::NO_USER => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let number = user.sid.relative_id();
        let mut rights: Vec<_> =
            groups.iter().map(|group| SeenRight { right: group.right(), until: None }).collect();
        rights.sort();
        rights.dedup();
        let is_here = user.sid.as_str().strip_suffix(number).and_then(|sid| sid.strip_suffix('-'))
            == Some(machine.sid.as_str());
        let not_a_person = if number.parse::<u32>().is_ok_and(|number| number < FIRST_OF_PEOPLE) {
            Some("it is an account of the system")
        } else if user.flags & ORDINARY == 0 || !is_here {
            Some("it is not an ordinary account of this machine")
        } else {
            None
        };
        let seen = LocalSeen {
            identity: format!("{}:{number}", machine.identity),
            home: format!("{}\\{name}", machine.name),
            enabled: user.flags & DISABLED == 0,
            end: end(&user),
            rights,
            note: note::parse(&user.comment),
            own_primary_group: user.primary_group == FIRST_GROUP,
        };
        Ok(Some(Found { seen, sid: user.sid, groups, not_a_person }))
    }

    /// The account of a request, if it is there: only one that is ours to change.
    ///
    /// # Errors
    /// [`FarError::NameTaken`], and [`FarError::NotAllowed`] when another machine was meant.
    pub(super) fn target(&self, account: &Named) -> Result<Option<Found>, FarError> {
        let machine = self.read()?;
        let number = meant(account, &machine.identity)?;
        let Some(found) = self.account(&machine, &account.name)? else { return Ok(None) };
        if let Some(why) = found.not_a_person {
            return Err(taken(&account.name, why));
        }
        if found.seen.note.as_ref().is_none_or(|note| note.token != account.token) {
            return Err(taken(&account.name, "it is not a JIT account of this broker"));
        }
        if number.is_some_and(|number| number != found.sid.relative_id()) {
            return Err(taken(&account.name, "it is not the account that it was"));
        }
        Ok(Some(found))
    }

    /// The accounts that the machine's own task answers for, by their notes.
    ///
    /// # Errors
    /// [`FarError`]
    pub(super) fn ours(&self, machine: &Machine) -> Result<Vec<(AccountName, Note, Found)>, FarError> {
        let mut ours = Vec::new();
        for name in self.names()? {
            let Some(found) = self.account(machine, &name)? else { continue };
            if let (Some(note), None) = (found.seen.note.clone(), found.not_a_person) {
                ours.push((name, note, found));
            }
        }
        Ok(ours)
    }
}

/// When the machine stops an account. 0 is read as "never", which is what can be believed of it without harm.
fn end(user: &User) -> Option<DateTime<Utc>> {
    if matches!(user.expires, 0 | FOREVER) {
        return None;
    }
    DateTime::from_timestamp(user.expires.into(), 0)
}

pub(super) fn taken(name: &AccountName, why: &str) -> FarError {
    FarError::NameTaken(format!("{name}: {why}"))
}
