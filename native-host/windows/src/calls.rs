//! What the other files' calls share: SIDs and descriptors as text, handles that are given back. Nothing is decided here.
#![expect(unsafe_code, reason = "calls of Windows that the standard library does not offer")]

use std::ffi::c_void;
use std::io;
use std::os::windows::io::{FromRawHandle as _, OwnedHandle};
use std::ptr;
use std::time::Duration;

use windows_sys::Win32::Foundation::{HANDLE, HANDLE_FLAG_INHERIT, LocalFree, SetHandleInformation};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, ConvertStringSidToSidW,
    SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{PSID, SECURITY_ATTRIBUTES};
use windows_sys::Win32::System::Console::{
    GetStdHandle, STD_ERROR_HANDLE, STD_INPUT_HANDLE, STD_OUTPUT_HANDLE,
};
use windows_sys::Win32::System::SystemInformation::GetTickCount64;

/// Memory that a call gave out; given back when dropped.
pub(crate) struct Local(pub(crate) *mut c_void);

impl Drop for Local {
    fn drop(&mut self) {
        // SAFETY: it came from a call that says so, or is nowhere, which is allowed.
        unsafe { LocalFree(self.0) };
    }
}

/// A security descriptor, for as long as something is made with it.
pub(crate) struct Descriptor {
    memory: Local,
}

impl Descriptor {
    pub(crate) fn parse(text: &str) -> io::Result<Self> {
        let (text, mut memory) = (wide(text), ptr::null_mut());
        // SAFETY: the text ends with a zero; a pointer is written, the size is not asked for.
        let done = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &raw mut memory,
                ptr::null_mut(),
            )
        };
        well(done)?;
        Ok(Self { memory: Local(memory) })
    }

    /// What a call that makes something takes. Valid as long as the descriptor.
    pub(crate) fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or_default(),
            lpSecurityDescriptor: self.memory.0,
            bInheritHandle: 0,
        }
    }
}

/// A SID in Windows' own form.
pub(crate) fn parsed(sid: &str) -> io::Result<Local> {
    let (text, mut made) = (wide(sid), ptr::null_mut());
    // SAFETY: the text ends with a zero; a pointer is written.
    well(unsafe { ConvertStringSidToSidW(text.as_ptr(), &raw mut made) })?;
    Ok(Local(made))
}

/// A SID as text.
///
/// # Safety
/// It points to a SID.
pub(crate) unsafe fn written(sid: PSID) -> io::Result<String> {
    let mut text = ptr::null_mut();
    // SAFETY: the caller's; a pointer is written.
    well(unsafe { ConvertSidToStringSidW(sid, &raw mut text) })?;
    let memory = Local(text.cast());
    let mut length = 0;
    // SAFETY: the call wrote a text that ends with a zero, and up to that everything may be read.
    while unsafe { *text.add(length) } != 0 {
        length += 1;
    }
    // SAFETY: as above.
    let sid = String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(text, length) });
    drop(memory);
    Ok(sid)
}

/// A handle that is closed when dropped.
///
/// # Safety
/// It is open and nobody else's.
pub(crate) unsafe fn owned(handle: HANDLE) -> OwnedHandle {
    // SAFETY: the caller's.
    unsafe { OwnedHandle::from_raw_handle(handle) }
}

/// A text with the zero that ends it.
pub(crate) fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().filter(|unit| *unit != 0).chain([0]).collect()
}

pub(crate) fn well(done: i32) -> io::Result<()> {
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// See [`crate::keep_standard_streams`].
pub(crate) fn keep_standard_streams() {
    for stream in [STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE] {
        // SAFETY: it answers a handle that stays open, or one that the next call refuses.
        unsafe { SetHandleInformation(GetStdHandle(stream), HANDLE_FLAG_INHERIT, 0) };
    }
}

pub(crate) fn since_boot() -> Duration {
    // SAFETY: it reads a number.
    Duration::from_millis(unsafe { GetTickCount64() })
}
