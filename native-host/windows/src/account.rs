//! Whose a token is: of this process, and of a caller at a pipe. Nothing is decided here.
#![expect(unsafe_code, reason = "calls of Windows that the standard library does not offer")]

use std::io;
use std::os::windows::io::{AsRawHandle as _, BorrowedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::ERROR_INSUFFICIENT_BUFFER;
use windows_sys::Win32::Security::{
    CheckTokenMembership, GetTokenInformation, LookupAccountSidW, RevertToSelf, TOKEN_QUERY, TOKEN_USER,
    TokenUser,
};
use windows_sys::Win32::System::Pipes::ImpersonateNamedPipeClient;
use windows_sys::Win32::System::SystemInformation::{ComputerNameNetBIOS, GetComputerNameExW};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentThread, OpenProcessToken, OpenThreadToken,
};

use crate::ADMINISTRATORS;
use crate::calls::{owned, parsed, well, written};

/// `SECURITY_MAX_SID_SIZE` and the structure that points to it, in words of 64 bits.
const USER_WORDS: usize = 16;
/// More than the name of any account (256) or domain (255) has.
const NAME_CHARS: u32 = 512;

/// Who a caller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user's SID.
    pub sid: String,
    /// Whether the token acts as an administrator, which one that was not raised does not.
    pub administrator: bool,
}

/// The SID of the user that this process runs as.
///
/// # Errors
/// Windows does not say.
pub fn own_sid() -> io::Result<String> {
    let mut token = ptr::null_mut();
    // SAFETY: the handle of the own process needs no closing; a handle is written.
    well(unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) })?;
    // SAFETY: it was opened here.
    let token = unsafe { owned(token) };
    // SAFETY: it is a token that may be asked.
    unsafe { user_of(token.as_raw_handle()) }
}

/// Who is at the other end of a pipe that this process serves, by what was read from it last: before anything was read, Windows may
/// refuse to say. Blocking for microseconds.
///
/// # Errors
/// The caller does not let itself be known, or Windows does not say.
pub fn caller_of(pipe: BorrowedHandle<'_>) -> io::Result<Caller> {
    // SAFETY: the handle is open for as long as the borrow.
    well(unsafe { ImpersonateNamedPipeClient(pipe.as_raw_handle()) })?;
    let mut token = ptr::null_mut();
    // SAFETY: the handle of the own thread needs no closing; opened as this process, since the caller's token may not be used for it.
    let opened = well(unsafe { OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, 1, &raw mut token) });
    // SAFETY: it takes nothing.
    if unsafe { RevertToSelf() } == 0 {
        // As Microsoft asks: whatever this thread did next would be done as the caller.
        std::process::abort();
    }
    opened?;
    // SAFETY: it was opened here.
    let token = unsafe { owned(token) };
    // SAFETY: it is a token that may be asked.
    let sid = unsafe { user_of(token.as_raw_handle()) }?;
    let administrators = parsed(ADMINISTRATORS)?;
    let mut is_member = 0;
    // SAFETY: the token impersonates, as this call needs it; the SID lives until after the call.
    well(unsafe { CheckTokenMembership(token.as_raw_handle(), administrators.0, &raw mut is_member) })?;
    Ok(Caller { sid, administrator: is_member != 0 })
}

/// Domain and name of an account, as Windows writes them. For an account of the machine itself the domain is the machine's name.
///
/// # Errors
/// There is none of this SID, or whoever knows it cannot be asked.
pub fn name_of(sid: &str) -> io::Result<(String, String)> {
    let sid = parsed(sid)?;
    let (mut name, mut domain) = ([0; NAME_CHARS as usize], [0; NAME_CHARS as usize]);
    let (mut name_length, mut domain_length, mut kind) = (NAME_CHARS, NAME_CHARS, 0);
    // SAFETY: no server means this machine; the buffers are as long as their lengths say.
    well(unsafe {
        LookupAccountSidW(
            ptr::null(),
            sid.0,
            name.as_mut_ptr(),
            &raw mut name_length,
            domain.as_mut_ptr(),
            &raw mut domain_length,
            &raw mut kind,
        )
    })?;
    Ok((text(&domain), text(&name)))
}

/// What this machine is called in front of its accounts' names.
///
/// # Errors
/// Windows does not say.
pub fn machine_name() -> io::Result<String> {
    let (mut name, mut length) = ([0; NAME_CHARS as usize], NAME_CHARS);
    // SAFETY: the buffer is as long as its length says.
    well(unsafe { GetComputerNameExW(ComputerNameNetBIOS, name.as_mut_ptr(), &raw mut length) })?;
    Ok(text(&name))
}

fn text(buffer: &[u16]) -> String {
    let text = buffer.split(|unit| *unit == 0).next().unwrap_or_default();
    String::from_utf16_lossy(text)
}

/// The user's SID of a token.
///
/// # Safety
/// It is an open token that may be queried.
unsafe fn user_of(token: *mut std::ffi::c_void) -> io::Result<String> {
    // Words, so that the structure at its beginning is aligned.
    let mut buffer = [0_u64; USER_WORDS];
    let mut length = 0;
    let room = u32::try_from(size_of_val(&buffer)).unwrap_or_default();
    // SAFETY: the buffer is as long as it says.
    well(unsafe {
        GetTokenInformation(token, TokenUser, buffer.as_mut_ptr().cast(), room, &raw mut length)
    })?;
    if length > room {
        return Err(io::Error::from_raw_os_error(ERROR_INSUFFICIENT_BUFFER.cast_signed()));
    }
    // SAFETY: the call wrote this structure there, and what it points to lies in the same buffer.
    unsafe { written((*buffer.as_ptr().cast::<TOKEN_USER>()).User.Sid) }
}
