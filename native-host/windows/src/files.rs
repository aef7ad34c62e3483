//! Access lists of files, read and made. What they mean is in [`crate::access_list`].
#![expect(unsafe_code, reason = "calls of Windows that the standard library does not offer")]

use std::io;
use std::os::windows::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr;

use windows_sys::Win32::Security::Authorization::{GetNamedSecurityInfoW, SE_FILE_OBJECT};
use windows_sys::Win32::Security::{
    ACCESS_ALLOWED_ACE, ACL, DACL_SECURITY_INFORMATION, GetAce, OWNER_SECURITY_INFORMATION,
};
use windows_sys::Win32::Storage::FileSystem::CreateDirectoryW;
use windows_sys::Win32::System::SystemServices::{ACCESS_ALLOWED_ACE_TYPE, ACCESS_ALLOWED_CALLBACK_ACE_TYPE};

use crate::access_list::{AccessList, Against, Entry, command_to_close};
use crate::account::own_sid;
use crate::calls::{Descriptor, Local, well, written};
use crate::pipe_rights::private_folder;

/// Who else may use a file or folder, as a sentence with the command that mends it; `None`: nobody else.
///
/// # Errors
/// Its access list cannot be read.
pub fn open_to_others(path: &Path, against: Against) -> io::Result<Option<String>> {
    let (own, list) = (own_sid()?, access_list(path)?);
    let others = list.others(&own, against);
    if others.is_empty() {
        return Ok(None);
    }
    let shown = path.display().to_string();
    let verb = match against {
        Against::Readers => "used",
        Against::Writers => "changed",
    };
    Ok(Some(format!(
        "{shown} can be {verb} by other users ({}); run: {}",
        others.join(", "),
        command_to_close(&shown, &own, path.is_dir())
    )))
}

/// Makes a folder, and what is missing above it; it is closed to other users, with all that will be in it. One that is there already
/// stays as it is.
///
/// # Errors
/// It cannot be made.
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(around) = path.parent() {
        std::fs::create_dir_all(around)?;
    }
    let descriptor = Descriptor::parse(&private_folder(&own_sid()?))?;
    let (name, attributes) = (terminated(path), descriptor.attributes());
    // SAFETY: the name ends with a zero; the attributes and what they point to live until after the call.
    match well(unsafe { CreateDirectoryW(name.as_ptr(), &raw const attributes) }) {
        // Another process was first.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

/// A file's owner and access list.
fn access_list(path: &Path) -> io::Result<AccessList> {
    let name = terminated(path);
    let (mut owner, mut list, mut memory) = (ptr::null_mut(), ptr::null_mut::<ACL>(), ptr::null_mut());
    // SAFETY: the name ends with a zero; pointers are written, the first two into what the last one points to.
    let code = unsafe {
        GetNamedSecurityInfoW(
            name.as_ptr(),
            SE_FILE_OBJECT,
            OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
            &raw mut owner,
            ptr::null_mut(),
            &raw mut list,
            ptr::null_mut(),
            &raw mut memory,
        )
    };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code.cast_signed()));
    }
    let memory = Local(memory);
    // SAFETY: the call wrote where the owner's SID is.
    let owner = unsafe { written(owner) }?;
    // SAFETY: the call wrote where the list is, or that there is none.
    let entries = if list.is_null() { None } else { Some(unsafe { entries(list) }?) };
    drop(memory);
    Ok(AccessList { owner, entries })
}

/// What a list allows.
///
/// # Safety
/// It points to an access list.
unsafe fn entries(list: *const ACL) -> io::Result<Vec<Entry>> {
    let mut found = Vec::new();
    // SAFETY: the caller's.
    let count = unsafe { (*list).AceCount };
    for index in 0..u32::from(count) {
        let mut entry = ptr::null_mut();
        // SAFETY: the caller's; a pointer into the list is written.
        well(unsafe { GetAce(list, index, &raw mut entry) })?;
        let entry = entry.cast::<ACCESS_ALLOWED_ACE>();
        // SAFETY: every entry begins with a header that says of which kind it is.
        let kind = u32::from(unsafe { (*entry).Header.AceType });
        if kind == ACCESS_ALLOWED_ACE_TYPE || kind == ACCESS_ALLOWED_CALLBACK_ACE_TYPE {
            // SAFETY: both kinds have rights here and a SID behind them.
            let (rights, sid) = unsafe { ((*entry).Mask, &raw mut (*entry).SidStart) };
            // SAFETY: as above.
            found.push(Entry { sid: unsafe { written(sid.cast()) }?, rights });
        }
    }
    Ok(found)
}

fn terminated(path: &Path) -> Vec<u16> {
    path.as_os_str().encode_wide().filter(|unit| *unit != 0).chain([0]).collect()
}
