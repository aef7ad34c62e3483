//! What a machine has: its databases, rules and keys, read at one moment. No program runs for it, and nothing is changed.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::clock::{Second, now};
use super::databases::{self, Expiry, User};
use super::days::{day_begins, expiry_day};
use super::drop_ins::{self, DropIn};
use super::{FarError, Named, Places, files, key_file, meant, note};
use crate::local::AccountName;
use crate::local::request::{Listed, LocalSeen, Note, SeenRight};

/// The day in `shadow` of a closed account: the first that is a day and over. 0 means nothing certain (`shadow(5)`).
pub(super) const CLOSED_DAY: i64 = 1;
/// Where `login.defs` says nothing.
const UID_MIN: u32 = 1000;

/// A machine as it was read.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    places: &'a Places,
    /// Its clock, before anything was read.
    pub(super) time: DateTime<Utc>,
    /// Empty where it has none; then no request is answered.
    name: String,
    pub(super) passwd: String,
    shadow: String,
    pub(super) group: String,
    uid_min: u32,
    drop_ins: Vec<DropIn>,
}

/// An account of the machine.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) seen: LocalSeen,
    pub(super) uid: u32,
    /// Its first group.
    pub(super) gid: u32,
    /// Other groups than its own that have it as a member.
    pub(super) groups: Vec<String>,
    /// It is one of the system's, or shares its number with another.
    not_a_person: Option<&'static str>,
}

impl<'a> Machine<'a> {
    /// Reads it for a request, which has to know the machine again.
    ///
    /// # Errors
    /// [`FarError::Failed`]
    pub(super) fn read(places: &'a Places) -> Result<Self, FarError> {
        Ok(Self { name: places.machine_name()?, ..Self::read_nameless(places)? })
    }

    /// Reads it for what the machine does alone. An end does not wait for a name.
    ///
    /// # Errors
    /// [`FarError::Failed`]
    pub(super) fn read_nameless(places: &'a Places) -> Result<Self, FarError> {
        let text = |name: &str| files::text(&places.etc.join(name));
        let time = now();
        let login_defs = text("login.defs").unwrap_or_default();
        Ok(Self {
            places,
            time,
            name: String::new(),
            passwd: text("passwd")?,
            shadow: text("shadow")?,
            group: text("group")?,
            // Below the usual bound are the accounts of the system, whatever is configured.
            uid_min: databases::setting(&login_defs, "UID_MIN").unwrap_or(UID_MIN).max(UID_MIN),
            drop_ins: drop_ins::all(places)?,
        })
    }

    /// The account of this name, whoever's it is.
    ///
    /// # Errors
    /// [`FarError::NameTaken`] when the name is not one account's.
    pub(super) fn account(&self, name: &AccountName) -> Result<Option<Found>, FarError> {
        let user = databases::user_named(&self.passwd, name.as_str());
        let user = user.map_err(|databases::Twice| {
            taken(name, "its line in /etc/passwd stands twice or cannot be read")
        })?;
        user.map(|user| self.found(name, &user)).transpose()
    }

    /// The account of a request, if it is there: only one that is ours to change.
    ///
    /// # Errors
    /// [`FarError::NameTaken`], and [`FarError::NotAllowed`] when another machine was meant.
    pub(super) fn target(&self, account: &Named) -> Result<Option<Found>, FarError> {
        let uid = meant(account, &self.name)?;
        let Some(found) = self.account(&account.name)? else { return Ok(None) };
        if let Some(why) = found.not_a_person {
            return Err(taken(&account.name, why));
        }
        if found.seen.note.as_ref().is_none_or(|note| note.token != account.token) {
            return Err(taken(&account.name, "it is not a JIT account of this broker"));
        }
        if uid.is_some_and(|uid| uid != found.uid.to_string()) {
            return Err(taken(&account.name, "it is not the account that it was"));
        }
        Ok(Some(found))
    }

    /// Every account with a name of ours.
    pub(super) fn accounts(&self) -> Vec<Listed> {
        let names = databases::users(&self.passwd).filter_map(|user| AccountName::new(user.name).ok());
        let seen =
            names.filter_map(|name| self.account(&name).ok()?.map(|found| Listed { name, seen: found.seen }));
        seen.collect()
    }

    /// The accounts that the machine's timer answers for, by their notes.
    pub(super) fn ours(&self) -> Vec<(AccountName, Note, Found)> {
        let names = databases::users(&self.passwd).filter_map(|user| AccountName::new(user.name).ok());
        let ours = names.filter_map(|name| {
            let found = self.account(&name).ok().flatten().filter(|found| found.not_a_person.is_none())?;
            let note = found.seen.note.clone()?;
            Some((name, note, found))
        });
        ours.collect()
    }

    /// Where an account that is made now has its home.
    pub(super) fn home_for(&self, name: &AccountName) -> PathBuf {
        self.places.home.join(name.as_str())
    }

    fn found(&self, name: &AccountName, user: &User<'_>) -> Result<Found, FarError> {
        let note = note::parse(user.note);
        let expiry = databases::expiry(&self.shadow, user.name);
        let own =
            databases::groups(&self.group).any(|group| group.name == user.name && group.gid == user.gid);
        let is_member =
            |group: &databases::Group<'_>| group.name != user.name && group.members.contains(&user.name);
        let groups: Vec<_> =
            databases::groups(&self.group).filter(is_member).map(|group| group.name.to_owned()).collect();
        let token = note.as_ref().map(|note| &note.token);
        let rules = self
            .drop_ins
            .iter()
            .filter(|drop_in| drop_in.account == *name)
            .map(|drop_in| drop_in.seen(token));
        let keys = key_file::read(self.places, name)?;
        let memberships =
            groups.iter().map(|group| SeenRight { right: format!("group:{group}"), until: None });
        let mut rights: Vec<_> = rules.chain(keys.iter().map(key_file::seen)).chain(memberships).collect();
        rights.sort();
        rights.dedup();
        let not_a_person = if user.uid < self.uid_min {
            Some("it is an account of the system")
        } else if databases::has_twin(&self.passwd, user) {
            Some("another account has the same number")
        } else {
            None
        };
        let seen = LocalSeen {
            identity: format!("{}:{}", self.name, user.uid),
            home: user.home.to_owned(),
            enabled: expiry != Expiry::Day(CLOSED_DAY),
            end: end(expiry, note.as_ref()),
            rights,
            note,
            own_primary_group: own,
        };
        Ok(Found { seen, uid: user.uid, gid: user.gid, groups, not_a_person })
    }
}

/// When the machine stops an account. The note names the second within the day where both agree.
fn end(expiry: Expiry, note: Option<&Note>) -> Option<DateTime<Utc>> {
    let Expiry::Day(day) = expiry else { return None };
    let noted = note.and_then(|note| Second::of(note.window.as_ref()?.end));
    match noted.filter(|end| expiry_day(*end) == day) {
        Some(end) => Some(end.time()),
        None => day_begins(day),
    }
}

pub(super) fn taken(name: &AccountName, why: &str) -> FarError {
    FarError::NameTaken(format!("{name}: {why}"))
}
