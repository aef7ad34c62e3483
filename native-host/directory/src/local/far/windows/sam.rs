//! What is asked of a machine's account database, one call of Windows (or a few that belong together) each. A trait, so that the
//! rules above it are tested where there is no Windows.

use ticketgate_credentials::Secret;

use super::FarError;
use crate::local::Sid;

/// `acct_expires` of an account that nothing ends (`TIMEQ_FOREVER`). Never written.
pub(super) const FOREVER: u32 = u32::MAX;
/// `UF_SCRIPT | UF_NORMAL_ACCOUNT`: an ordinary account that is open. Windows wants the first of every account.
pub(super) const OPEN: u32 = 0x0001 | 0x0200;
/// The same with `UF_ACCOUNTDISABLE`.
pub(super) const CLOSED: u32 = OPEN | DISABLED;
/// `UF_ACCOUNTDISABLE`.
pub(super) const DISABLED: u32 = 0x0002;
/// `UF_NORMAL_ACCOUNT`: not one of a machine or a domain.
pub(super) const ORDINARY: u32 = 0x0200;

/// The account database of a machine.
pub trait Sam {
    /// What the machine is called, and the SID with which those of its accounts begin.
    ///
    /// # Errors
    /// [`SamError`]
    fn machine(&self) -> Result<(String, Sid), SamError>;

    /// Whether it is a domain controller: its accounts are the whole domain's.
    ///
    /// # Errors
    /// [`SamError`]
    fn is_domain_controller(&self) -> Result<bool, SamError>;

    /// Whether this process acts as an administrator.
    ///
    /// # Errors
    /// [`SamError`]
    fn is_administrator(&self) -> Result<bool, SamError>;

    /// The shortest password that it takes, in characters.
    ///
    /// # Errors
    /// [`SamError`]
    fn shortest_password(&self) -> Result<u32, SamError>;

    /// The names of all ordinary accounts.
    ///
    /// # Errors
    /// [`SamError`]
    fn names(&self) -> Result<Vec<String>, SamError>;

    /// The account of a name, upper and lower case alike.
    ///
    /// # Errors
    /// [`SamError`]
    fn user(&self, name: &str) -> Result<Option<User>, SamError>;

    /// The local groups that an account is in itself.
    ///
    /// # Errors
    /// [`SamError`]
    fn groups_of(&self, name: &str) -> Result<Vec<Sid>, SamError>;

    /// What the machine calls a local group; none when there is no such local group.
    ///
    /// # Errors
    /// [`SamError`]
    fn group(&self, sid: &Sid) -> Result<Option<String>, SamError>;

    /// Makes an account: disabled, with this comment.
    ///
    /// # Errors
    /// [`SamError`]
    fn add(&self, name: &str, password: &Secret, comment: &str) -> Result<(), SamError>;

    /// Changes one thing of an account.
    ///
    /// # Errors
    /// [`SamError`]
    fn set(&self, name: &str, change: Change<'_>) -> Result<(), SamError>;

    /// Takes an account into a local group of this name.
    ///
    /// # Errors
    /// [`SamError`], [`ALREADY_MEMBER`] among them.
    fn join(&self, group: &str, account: &Sid) -> Result<(), SamError>;

    /// Takes an account out of a local group of this name.
    ///
    /// # Errors
    /// [`SamError`], [`NO_MEMBER`] among them.
    fn leave(&self, group: &str, account: &Sid) -> Result<(), SamError>;

    /// Removes the folder and the settings that Windows made for an account when it first logged on.
    ///
    /// # Errors
    /// [`SamError`], [`NO_FILE`] when there is none.
    fn remove_profile(&self, account: &Sid) -> Result<(), SamError>;

    /// Deletes an account, and its memberships with it.
    ///
    /// # Errors
    /// [`SamError`]
    fn delete(&self, name: &str) -> Result<(), SamError>;
}

/// An account as the database has it (`USER_INFO_4`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its SID.
    pub sid: Sid,
    /// `usri4_flags`.
    pub flags: u32,
    /// `usri4_comment`: unlike `usri4_usr_comment` not the account's own to change (MS-SAMR 3.1.1.6, `AdminComment`).
    pub comment: String,
    /// `usri4_acct_expires`: seconds since 1970, UTC, or [`FOREVER`].
    pub expires: u32,
    /// `usri4_primary_group_id`.
    pub primary_group: u32,
}

/// One change, one call (`NetUserSetInfo` with a level of its own): what it does not name stays as it is.
#[derive(Debug)]
pub enum Change<'a> {
    /// Level 1003.
    Password(&'a Secret),
    /// Level 1007.
    Comment(&'a str),
    /// Level 1008.
    Flags(u32),
    /// Level 1017.
    Expires(u32),
}

/// A call of Windows that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{call} answered {code}")]
pub struct SamError {
    /// Which.
    pub call: &'static str,
    /// Its answer, as `net helpmsg` explains it.
    pub code: u32,
}

/// `ERROR_FILE_NOT_FOUND`
pub(super) const NO_FILE: u32 = 2;
/// `ERROR_ACCESS_DENIED`
const DENIED: u32 = 5;
/// `ERROR_MEMBER_NOT_IN_ALIAS`
pub(super) const NO_MEMBER: u32 = 1377;
/// `ERROR_MEMBER_IN_ALIAS`
pub(super) const ALREADY_MEMBER: u32 = 1378;
/// `ERROR_NO_SUCH_ALIAS`
const NO_ALIAS: u32 = 1376;
/// `ERROR_ALIAS_EXISTS`
const ALIAS_EXISTS: u32 = 1379;
/// `RPC_S_SERVER_UNAVAILABLE`, `RPC_S_SERVER_TOO_BUSY`: while the machine starts or stops.
const NOT_YET: [u32; 2] = [1722, 1723];
/// `NERR_GroupNotFound`
const NO_GROUP: u32 = 2220;
/// `NERR_UserNotFound`
pub(super) const NO_USER: u32 = 2221;
/// `NERR_GroupExists`
const GROUP_EXISTS: u32 = 2223;
/// `NERR_UserExists`
pub(super) const USER_EXISTS: u32 = 2224;
/// `NERR_PasswordTooShort`: too simple, too long or used before, too.
const BAD_PASSWORD: u32 = 2245;

impl From<SamError> for FarError {
    fn from(error: SamError) -> Self {
        let said = error.to_string();
        match error.code {
            DENIED => Self::NotAllowed(format!("{said}: only an administrator may do this")),
            NO_USER => Self::NoSuchAccount(said),
            NO_GROUP | NO_ALIAS => Self::NoSuchRight(said),
            USER_EXISTS | GROUP_EXISTS | ALIAS_EXISTS => Self::NameTaken(said),
            BAD_PASSWORD => Self::Failed(format!(
                "{said}: the machine's rules for passwords refuse a random one of 24 characters"
            )),
            code if NOT_YET.contains(&code) => Self::Busy(said),
            _ => Self::Failed(said),
        }
    }
}

/// Takes an error that means "it is so already" for success.
pub(super) fn or_already(done: Result<(), SamError>, already: u32) -> Result<(), FarError> {
    match done {
        Err(error) if error.code == already => Ok(()),
        other => Ok(other?),
    }
}
