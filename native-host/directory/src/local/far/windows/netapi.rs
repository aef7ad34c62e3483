//! The calls of Windows behind [`Sam`]: `NetUser…` and `NetLocalGroup…` of this machine, and what turns SIDs into text and names.
//! The only `unsafe` of the product. Nothing is decided here.
//!
//! Run under Wine against stand-ins for `netapi32.dll` and `userenv.dll` (`cargo xtask test --windows`); never yet on Windows.
#![expect(unsafe_code, reason = "Windows has no other way to its accounts, and no crate wraps these calls")]

use std::ffi::c_void;
use std::ptr;

use ticketgate_credentials::Secret;
use windows_sys::Win32::Foundation::{GetLastError, LocalFree};
use windows_sys::Win32::NetworkManagement::NetManagement::{
    FILTER_NORMAL_ACCOUNT, LOCALGROUP_MEMBERS_INFO_0, LOCALGROUP_USERS_INFO_0, MAX_PREFERRED_LENGTH,
    NetApiBufferFree, NetLocalGroupAddMembers, NetLocalGroupDelMembers, NetUserAdd, NetUserDel, NetUserEnum,
    NetUserGetInfo, NetUserGetLocalGroups, NetUserModalsGet, NetUserSetInfo, USER_INFO_0, USER_INFO_1,
    USER_INFO_4, USER_INFO_1003, USER_INFO_1007, USER_INFO_1008, USER_INFO_1017, USER_MODALS_INFO_0,
    USER_MODALS_INFO_2, USER_PRIV_USER,
};
use windows_sys::Win32::Security::Authorization::{ConvertSidToStringSidW, ConvertStringSidToSidW};
use windows_sys::Win32::Security::{
    CheckTokenMembership, LookupAccountNameW, LookupAccountSidW, PSID, SidTypeAlias,
};
use windows_sys::Win32::System::SystemInformation::{GetVersionExW, OSVERSIONINFOEXW};
use windows_sys::Win32::UI::Shell::DeleteProfileW;
use zeroize::Zeroizing;

use super::sam::{CLOSED, Change, NO_USER, Sam, SamError, User};
use crate::local::Sid;

/// This machine's.
#[derive(Debug)]
pub struct NetApi;

const SUCCESS: u32 = 0;
/// `ERROR_MORE_DATA`
const MORE: u32 = 234;
/// `ERROR_NONE_MAPPED`
const NOT_MAPPED: u32 = 1332;
/// `ERROR_INVALID_SID`: what a call gave is none that can be read.
const NO_SID: u32 = 1337;
/// `VER_NT_DOMAIN_CONTROLLER`
const DOMAIN_CONTROLLER: u8 = 2;
/// `SECURITY_MAX_SID_SIZE`, in words of 32 bits.
const SID_WORDS: usize = 17;
/// More than the name of any account, group (256) or domain (255) has.
const NAME_CHARS: u32 = 512;

impl Sam for NetApi {
    fn machine(&self) -> Result<(String, Sid), SamError> {
        let mut buffer = Buffer::new();
        // SAFETY: no server means this machine; the buffer takes a pointer.
        let code = unsafe { NetUserModalsGet(ptr::null(), 2, &raw mut buffer.0) };
        well("NetUserModalsGet", code)?;
        let [modals] = buffer.entries::<USER_MODALS_INFO_2>(1) else {
            return Err(failed("NetUserModalsGet", NO_SID));
        };
        // SAFETY: both point into the buffer, or nowhere.
        Ok((unsafe { text(modals.usrmod2_domain_name) }, unsafe { sid_of(modals.usrmod2_domain_id) }?))
    }

    fn is_domain_controller(&self) -> Result<bool, SamError> {
        let mut version = OSVERSIONINFOEXW {
            dwOSVersionInfoSize: u32::try_from(size_of::<OSVERSIONINFOEXW>()).unwrap_or_default(),
            ..Default::default()
        };
        // SAFETY: the structure begins as the shorter one does, and says how long it is.
        if unsafe { GetVersionExW((&raw mut version).cast()) } == 0 {
            return Err(last("GetVersionEx"));
        }
        Ok(version.wProductType == DOMAIN_CONTROLLER)
    }

    fn is_administrator(&self) -> Result<bool, SamError> {
        let administrators = OwnSid::parse("S-1-5-32-544")?;
        let mut is_member = 0;
        // SAFETY: no token means that of this thread; the SID lives until after the call.
        if unsafe { CheckTokenMembership(ptr::null_mut(), administrators.0, &raw mut is_member) } == 0 {
            return Err(last("CheckTokenMembership"));
        }
        Ok(is_member != 0)
    }

    fn shortest_password(&self) -> Result<u32, SamError> {
        let mut buffer = Buffer::new();
        // SAFETY: as in `machine`.
        let code = unsafe { NetUserModalsGet(ptr::null(), 0, &raw mut buffer.0) };
        well("NetUserModalsGet", code)?;
        Ok(buffer.entries::<USER_MODALS_INFO_0>(1).first().map_or(0, |modals| modals.usrmod0_min_passwd_len))
    }

    fn names(&self) -> Result<Vec<String>, SamError> {
        let (mut names, mut resume) = (Vec::new(), 0);
        loop {
            let (mut buffer, mut read, mut total) = (Buffer::new(), 0, 0);
            // SAFETY: the buffer takes a pointer, the others numbers; all live until after the call.
            let code = unsafe {
                NetUserEnum(
                    ptr::null(),
                    0,
                    FILTER_NORMAL_ACCOUNT,
                    &raw mut buffer.0,
                    MAX_PREFERRED_LENGTH,
                    &raw mut read,
                    &raw mut total,
                    &raw mut resume,
                )
            };
            if code != MORE {
                well("NetUserEnum", code)?;
            }
            let users = buffer.entries::<USER_INFO_0>(read);
            // SAFETY: each points into the buffer, or nowhere.
            names.extend(users.iter().map(|user| unsafe { text(user.usri0_name) }));
            if code != MORE || users.is_empty() {
                return Ok(names);
            }
        }
    }

    fn user(&self, name: &str) -> Result<Option<User>, SamError> {
        let (name, mut buffer) = (wide(name), Buffer::new());
        // SAFETY: the name ends with a zero and lives until after the call; the buffer takes a pointer.
        let code = unsafe { NetUserGetInfo(ptr::null(), name.as_ptr(), 4, &raw mut buffer.0) };
        if code == NO_USER {
            return Ok(None);
        }
        well("NetUserGetInfo", code)?;
        let [user] = buffer.entries::<USER_INFO_4>(1) else { return Err(failed("NetUserGetInfo", NO_USER)) };
        Ok(Some(User {
            // SAFETY: it points into the buffer, or nowhere.
            sid: unsafe { sid_of(user.usri4_user_sid) }?,
            flags: user.usri4_flags,
            // SAFETY: as above.
            comment: unsafe { text(user.usri4_comment) },
            expires: user.usri4_acct_expires,
            primary_group: user.usri4_primary_group_id,
        }))
    }

    fn groups_of(&self, name: &str) -> Result<Vec<Sid>, SamError> {
        let (name, mut buffer, mut read, mut total) = (wide(name), Buffer::new(), 0, 0);
        // SAFETY: the name ends with a zero; the buffer takes a pointer, the others numbers; all live until after the call. No flag:
        // only groups that it is in itself.
        let code = unsafe {
            NetUserGetLocalGroups(
                ptr::null(),
                name.as_ptr(),
                0,
                0,
                &raw mut buffer.0,
                MAX_PREFERRED_LENGTH,
                &raw mut read,
                &raw mut total,
            )
        };
        well("NetUserGetLocalGroups", code)?;
        let groups = buffer.entries::<LOCALGROUP_USERS_INFO_0>(read);
        // SAFETY: each points into the buffer, or nowhere.
        let names = groups.iter().map(|group| unsafe { text(group.lgrui0_name) });
        names.filter_map(|name| group_named(&name).transpose()).collect()
    }

    fn group(&self, sid: &Sid) -> Result<Option<String>, SamError> {
        let sid = OwnSid::parse(sid.as_str())?;
        let (mut name, mut domain) = ([0_u16; NAME_CHARS as usize], [0_u16; NAME_CHARS as usize]);
        let (mut name_chars, mut domain_chars, mut kind) = (NAME_CHARS, NAME_CHARS, 0);
        // SAFETY: both texts have as many characters as is said; all live until after the call.
        let found = unsafe {
            LookupAccountSidW(
                ptr::null(),
                sid.0,
                name.as_mut_ptr(),
                &raw mut name_chars,
                domain.as_mut_ptr(),
                &raw mut domain_chars,
                &raw mut kind,
            )
        };
        if found == 0 {
            return match last("LookupAccountSid") {
                SamError { code: NOT_MAPPED, .. } => Ok(None),
                error => Err(error),
            };
        }
        let name = name.split(|unit| *unit == 0).next().unwrap_or_default();
        Ok((kind == SidTypeAlias).then(|| String::from_utf16_lossy(name)))
    }

    fn add(&self, name: &str, password: &Secret, comment: &str) -> Result<(), SamError> {
        let (mut name, mut password, mut comment) = (wide(name), wide(password.expose()), wide(comment));
        let user = USER_INFO_1 {
            usri1_name: name.as_mut_ptr(),
            usri1_password: password.as_mut_ptr(),
            usri1_priv: USER_PRIV_USER,
            usri1_comment: comment.as_mut_ptr(),
            usri1_flags: CLOSED,
            ..Default::default()
        };
        // SAFETY: the structure is the level's; its texts end with a zero and live until after the call.
        let code = unsafe { NetUserAdd(ptr::null(), 1, (&raw const user).cast(), ptr::null_mut()) };
        well("NetUserAdd", code)
    }

    fn set(&self, name: &str, change: Change<'_>) -> Result<(), SamError> {
        let name = wide(name);
        let set = |level: u32, what: *const u8| {
            // SAFETY: `what` is the structure of the level, with texts that end with a zero; all live until after the call.
            well("NetUserSetInfo", unsafe {
                NetUserSetInfo(ptr::null(), name.as_ptr(), level, what, ptr::null_mut())
            })
        };
        match change {
            Change::Password(password) => {
                let mut password = wide(password.expose());
                let what = USER_INFO_1003 { usri1003_password: password.as_mut_ptr() };
                set(1003, (&raw const what).cast())
            }
            Change::Comment(comment) => {
                let mut comment = wide(comment);
                let what = USER_INFO_1007 { usri1007_comment: comment.as_mut_ptr() };
                set(1007, (&raw const what).cast())
            }
            Change::Flags(flags) => {
                let what = USER_INFO_1008 { usri1008_flags: flags };
                set(1008, (&raw const what).cast())
            }
            Change::Expires(seconds) => {
                let what = USER_INFO_1017 { usri1017_acct_expires: seconds };
                set(1017, (&raw const what).cast())
            }
        }
    }

    fn join(&self, group: &str, account: &Sid) -> Result<(), SamError> {
        let (group, account) = (wide(group), OwnSid::parse(account.as_str())?);
        let member = LOCALGROUP_MEMBERS_INFO_0 { lgrmi0_sid: account.0 };
        // SAFETY: one member, as is said; its SID and the name live until after the call.
        let code =
            unsafe { NetLocalGroupAddMembers(ptr::null(), group.as_ptr(), 0, (&raw const member).cast(), 1) };
        well("NetLocalGroupAddMembers", code)
    }

    fn leave(&self, group: &str, account: &Sid) -> Result<(), SamError> {
        let (group, account) = (wide(group), OwnSid::parse(account.as_str())?);
        let member = LOCALGROUP_MEMBERS_INFO_0 { lgrmi0_sid: account.0 };
        // SAFETY: as in `join`.
        let code =
            unsafe { NetLocalGroupDelMembers(ptr::null(), group.as_ptr(), 0, (&raw const member).cast(), 1) };
        well("NetLocalGroupDelMembers", code)
    }

    fn remove_profile(&self, account: &Sid) -> Result<(), SamError> {
        let account = wide(account.as_str());
        // SAFETY: the text ends with a zero and lives until after the call; the folder is the one that Windows knows.
        match unsafe { DeleteProfileW(account.as_ptr(), ptr::null(), ptr::null()) } {
            0 => Err(last("DeleteProfile")),
            _ => Ok(()),
        }
    }

    fn delete(&self, name: &str) -> Result<(), SamError> {
        let name = wide(name);
        // SAFETY: the name ends with a zero and lives until after the call.
        well("NetUserDel", unsafe { NetUserDel(ptr::null(), name.as_ptr()) })
    }
}

/// The SID of a local group of this name; none when it is gone meanwhile.
fn group_named(name: &str) -> Result<Option<Sid>, SamError> {
    let (wide_name, mut sid, mut domain) = (wide(name), [0_u32; SID_WORDS], [0_u16; NAME_CHARS as usize]);
    let (mut sid_bytes, mut domain_chars, mut kind) =
        (u32::try_from(size_of_val(&sid)).unwrap_or_default(), NAME_CHARS, 0);
    let at: PSID = sid.as_mut_ptr().cast();
    // SAFETY: the places are as long as is said; all live until after the call.
    let found = unsafe {
        LookupAccountNameW(
            ptr::null(),
            wide_name.as_ptr(),
            at,
            &raw mut sid_bytes,
            domain.as_mut_ptr(),
            &raw mut domain_chars,
            &raw mut kind,
        )
    };
    match found {
        0 => match last("LookupAccountName") {
            SamError { code: NOT_MAPPED, .. } => Ok(None),
            error => Err(error),
        },
        // SAFETY: the call wrote a SID there.
        _ if kind == SidTypeAlias => unsafe { sid_of(at) }.map(Some),
        // Something else has the group's name. A right is never left out of a look.
        _ => Err(failed("LookupAccountName", NOT_MAPPED)),
    }
}

/// What a `Net…` call gave out; given back when dropped.
struct Buffer(*mut u8);

impl Buffer {
    const fn new() -> Self {
        Self(ptr::null_mut())
    }

    /// The structures that a call wrote there: none where it wrote nothing.
    fn entries<T>(&self, count: u32) -> &[T] {
        let count = usize::try_from(count).unwrap_or_default();
        if self.0.is_null() || count == 0 || !self.0.cast::<T>().is_aligned() {
            return &[];
        }
        // SAFETY: the call that filled the buffer says how many structures of its level stand there, and they stay as long as it does.
        unsafe { std::slice::from_raw_parts(self.0.cast(), count) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: it came from a call that says so, and nothing points into it any more.
            unsafe { NetApiBufferFree(self.0.cast()) };
        }
    }
}

/// A SID in Windows' own form; given back when dropped.
struct OwnSid(PSID);

impl OwnSid {
    fn parse(text: &str) -> Result<Self, SamError> {
        let (text, mut sid) = (wide(text), ptr::null_mut());
        // SAFETY: the text ends with a zero; a pointer is written.
        match unsafe { ConvertStringSidToSidW(text.as_ptr(), &raw mut sid) } {
            0 => Err(last("ConvertStringSidToSid")),
            _ => Ok(Self(sid)),
        }
    }
}

impl Drop for OwnSid {
    fn drop(&mut self) {
        // SAFETY: it came from the call above, which says so.
        unsafe { LocalFree(self.0) };
    }
}

/// A SID as text.
///
/// # Safety
/// It points to a SID, or nowhere.
unsafe fn sid_of(sid: PSID) -> Result<Sid, SamError> {
    if sid.is_null() {
        return Err(failed("ConvertSidToStringSid", NO_SID));
    }
    let mut written = ptr::null_mut();
    // SAFETY: the caller's; a pointer is written.
    if unsafe { ConvertSidToStringSidW(sid, &raw mut written) } == 0 {
        return Err(last("ConvertSidToStringSid"));
    }
    // SAFETY: the call wrote a text that ends with a zero, which is given back once.
    let text = unsafe {
        let text = text(written);
        LocalFree(written.cast::<c_void>());
        text
    };
    text.parse().map_err(|_| failed("ConvertSidToStringSid", NO_SID))
}

/// A text as it stands in memory.
///
/// # Safety
/// It points to a text that ends with a zero, or nowhere.
unsafe fn text(at: *const u16) -> String {
    if at.is_null() {
        return String::new();
    }
    let mut length = 0;
    // SAFETY: the caller's: up to and with the zero everything may be read.
    while unsafe { *at.add(length) } != 0 {
        length += 1;
    }
    // SAFETY: as above.
    String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(at, length) })
}

/// A text with the zero that ends it. It may be a password: wiped when dropped, and of its whole length from the beginning.
fn wide(text: &str) -> Zeroizing<Vec<u16>> {
    let mut wide = Zeroizing::new(Vec::with_capacity(text.len() + 1));
    wide.extend(text.encode_utf16().filter(|unit| *unit != 0));
    wide.push(0);
    wide
}

fn well(call: &'static str, code: u32) -> Result<(), SamError> {
    if code == SUCCESS { Ok(()) } else { Err(failed(call, code)) }
}

fn failed(call: &'static str, code: u32) -> SamError {
    SamError { call, code }
}

fn last(call: &'static str) -> SamError {
    // SAFETY: it reads a number of this thread.
    failed(call, unsafe { GetLastError() })
}
