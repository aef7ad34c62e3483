//! Carrying out one step on an account. Order is safety: what opens an account is the last write of its step, what closes it is the
//! first, and the note that says "closed" is written when all else of an end is done.
//!
//! Each write is a call that changes one thing. A call that changes several takes the whole account back as it was read a moment ago
//! (`USER_INFO_4`), and whether it does so at once is written nowhere.

use chrono::{DateTime, Utc};
use ticketgate_credentials::Secret;

use super::clock::{Second, now};
use super::look::{Found, taken};
use super::sam::{
    ALREADY_MEMBER, CLOSED, Change, FOREVER, NO_FILE, NO_MEMBER, NO_USER, OPEN, Sam, USER_EXISTS, or_already,
};
use super::{FarError, Windows, note};
use crate::generate_for;
use crate::local::request::{HiddenText, LocalStep, Named, Note, Whose, Window};
use crate::local::{AccountName, LocalRight, Sid, System};

/// The end of a closed account: long over, and neither of the numbers that mean "never".
const OVER: u32 = 86_400;
/// `usri4_comment` may have 256 characters, maybe with the one that ends it.
const LONGEST_COMMENT: usize = 255;

impl<S: Sam> Windows<S> {
    /// One step.
    ///
    /// # Errors
    /// [`FarError`]
    pub(super) fn carry_out(&self, account: &Named, step: LocalStep) -> Result<(), FarError> {
        if self.sam.is_domain_controller()? {
            return Err(FarError::NotAllowed(
                "this machine is a domain controller, whose accounts are the whole domain's: use a directory of kind active_directory".into(),
            ));
        }
        let name = &account.name;
        match (step, self.target(account)?) {
            // Made by an earlier attempt whose answer was lost; the plan goes on from what it is like.
            (LocalStep::Create { .. }, Some(_)) => Ok(()),
            (LocalStep::Create { whose }, None) => self.create(account, whose),
            (LocalStep::Delete {} | LocalStep::Revoke { .. }, None) => Ok(()),
            (_, None) => Err(FarError::NoSuchAccount(name.to_string())),
            (LocalStep::Grant { right, until, .. }, Some(found)) => self.grant(&found, &right, until),
            (LocalStep::Revoke { right }, Some(found)) => self.revoke(&found, &right),
            (LocalStep::ResetPrimaryGroup {}, Some(found)) if found.seen.own_primary_group => Ok(()),
            (LocalStep::ResetPrimaryGroup {}, Some(_)) => {
                Err(FarError::Failed(format!("{name} has a first group that this machine should not know")))
            }
            (LocalStep::Open { whose, window, password }, Some(_)) => {
                self.open(account, whose, &window, password.as_ref())
            }
            (LocalStep::SetEnd { whose, window }, Some(found)) => {
                if !found.seen.enabled {
                    return Err(FarError::Failed(format!("{name} was closed meanwhile")));
                }
                self.write_window(account, whose, &window)
            }
            // What runs goes on: Windows tells of no process which account's log-on it came from.
            (LocalStep::Close { .. }, Some(_)) => self.close(name),
            (LocalStep::Rotate { whose, .. }, Some(found)) => {
                if found.seen.enabled {
                    self.close(name)?;
                }
                self.put_away(name, &Note { token: account.token.clone(), whose, window: None })
            }
            (LocalStep::Delete {}, Some(found)) => self.remove(name, &found),
        }
    }

    fn create(&self, account: &Named, whose: Whose) -> Result<(), FarError> {
        let name = &account.name;
        if name.as_str().len() > System::Windows.longest_account_name() {
            return Err(FarError::BadValue(format!(
                "{name} is longer than the 20 characters that Windows takes"
            )));
        }
        let note = written(&Note { token: account.token.clone(), whose, window: None })?;
        match self.sam.add(name.as_str(), &random(name)?, &note) {
            Err(error) if error.code == USER_EXISTS => match self.target(account)? {
                Some(_) => Ok(()),
                None => Err(taken(name, "an account or a group has this name")),
            },
            made => {
                made?;
                Ok(self.sam.set(name.as_str(), Change::Expires(OVER))?)
            }
        }
    }

    fn grant(&self, found: &Found, right: &LocalRight, until: DateTime<Utc>) -> Result<(), FarError> {
        self.allows(right)?;
        Second::end(until, now())?;
        let sid = group(right)?;
        if found.groups.contains(&sid) {
            return Ok(());
        }
        let name = self.sam.group(&sid)?;
        let name =
            name.ok_or_else(|| FarError::NoSuchRight(format!("this machine has no local group {sid}")))?;
        or_already(self.sam.join(&name, &found.sid), ALREADY_MEMBER)
    }

    fn revoke(&self, found: &Found, right: &str) -> Result<(), FarError> {
        let sid = right.parse().ok().as_ref().and_then(Sid::of_right);
        let sid =
            sid.ok_or_else(|| FarError::BadValue(format!("{right:?} is no right of a Windows machine")))?;
        self.leave(&found.sid, &sid)
    }

    /// Out of a group. One that is gone holds nobody.
    fn leave(&self, account: &Sid, group: &Sid) -> Result<(), FarError> {
        match self.sam.group(group)? {
            None => Ok(()),
            Some(name) => or_already(self.sam.leave(&name, account), NO_MEMBER),
        }
    }

    fn open(
        &self,
        account: &Named,
        whose: Whose,
        window: &Window,
        password: Option<&HiddenText>,
    ) -> Result<(), FarError> {
        // Before anything is written.
        Second::end(window.end, now())?;
        let Some(HiddenText(password)) = password else {
            return Err(FarError::BadValue("an account of Windows is opened with a password".into()));
        };
        let text = password.expose();
        if text.is_empty() || text.len() > 200 || text.chars().any(char::is_control) {
            return Err(FarError::BadValue("a password has 1 to 200 characters that can be typed".into()));
        }
        self.set(&account.name, Change::Password(password))?;
        self.write_window(account, whose, window)?;
        self.set(&account.name, Change::Flags(OPEN))
    }

    /// The note before the end: cut between the two, an open account has its old end, and its note is not believed about it.
    fn write_window(&self, account: &Named, whose: Whose, window: &Window) -> Result<(), FarError> {
        let end = Second::end(window.end, now())?;
        let expires = seconds(end)?;
        let window = Window { end: end.time(), ..window.clone() };
        let note = written(&Note { token: account.token.clone(), whose, window: Some(window) })?;
        self.set(&account.name, Change::Comment(&note))?;
        self.set(&account.name, Change::Expires(expires))
    }

    /// Nobody logs on any more: the flag does it, at once. The end in the past keeps it so where somebody enables the account by hand.
    ///
    /// # Errors
    /// [`FarError`]
    pub(super) fn close(&self, name: &AccountName) -> Result<(), FarError> {
        self.set(name, Change::Flags(CLOSED))?;
        self.set(name, Change::Expires(OVER))
    }

    /// What is left of a session on a closed account; the note last.
    ///
    /// # Errors
    /// [`FarError`]
    pub(super) fn put_away(&self, name: &AccountName, note: &Note) -> Result<(), FarError> {
        self.set(name, Change::Password(&random(name)?))?;
        self.set(name, Change::Comment(&written(note)?))
    }

    /// Out of every group.
    ///
    /// # Errors
    /// [`FarError`]
    pub(super) fn leave_all(&self, found: &Found) -> Result<(), FarError> {
        found.groups.iter().try_for_each(|group| self.leave(&found.sid, group))
    }

    fn remove(&self, name: &AccountName, found: &Found) -> Result<(), FarError> {
        self.set(name, Change::Flags(CLOSED))?;
        // Somebody who is still logged on keeps it in use. An account is not kept for that.
        if let Err(error) = or_already(self.sam.remove_profile(&found.sid), NO_FILE) {
            tracing::warn!(%error, account = %name, "its folder stays");
        }
        or_already(self.sam.delete(name.as_str()), NO_USER)
    }

    fn set(&self, name: &AccountName, change: Change<'_>) -> Result<(), FarError> {
        Ok(self.sam.set(name.as_str(), change)?)
    }
}

/// The local group that a right is.
///
/// # Errors
/// [`FarError::NoSuchRight`]
pub(super) fn group(right: &LocalRight) -> Result<Sid, FarError> {
    Sid::of_right(right).ok_or_else(|| {
        FarError::NoSuchRight(match right {
            LocalRight::Sudo(_) => "Windows has no sudo here; give a group, such as group:S-1-5-32-544".into(),
            LocalRight::Key(_) => "the SSH server of Windows has one file of keys for all administrators, and no place for a session's".into(),
            LocalRight::Group(name) => format!("a group of Windows is named by its SID, and {name} is none"),
        })
    })
}

/// An end as Windows counts it: never one of the numbers that it takes for "never".
fn seconds(end: Second) -> Result<u32, FarError> {
    let seconds =
        u32::try_from(end.time().timestamp()).ok().filter(|seconds| !matches!(*seconds, 0 | FOREVER));
    seconds.ok_or_else(|| FarError::BadValue("Windows cannot keep this end".into()))
}

/// A password that nobody ever learns.
fn random(name: &AccountName) -> Result<Secret, FarError> {
    generate_for(name.as_str()).map_err(FarError::Failed)
}

fn written(note: &Note) -> Result<String, FarError> {
    note::format(note)
        .filter(|text| text.len() <= LONGEST_COMMENT)
        .ok_or_else(|| FarError::BadValue("the account's note cannot be written".into()))
}
