//! Named pipes with a security descriptor: the broker's end and its clients'. Who may be believed is in [`crate::pipe_rights`].
#![expect(
    unsafe_code,
    reason = "the runtime takes descriptors and handles only so, and the owner is a call of Windows"
)]

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::os::windows::fs::OpenOptionsExt as _;
use std::os::windows::io::{AsRawHandle as _, BorrowedHandle, IntoRawHandle as _};
use std::path::Path;
use std::ptr;

use tokio::net::windows::named_pipe::{NamedPipeClient, NamedPipeServer, ServerOptions};
use windows_sys::Win32::Foundation::{ERROR_PIPE_BUSY, ERROR_SEM_TIMEOUT};
use windows_sys::Win32::Security::Authorization::{GetSecurityInfo, SE_KERNEL_OBJECT};
use windows_sys::Win32::Security::OWNER_SECURITY_INFORMATION;
use windows_sys::Win32::Storage::FileSystem::{FILE_FLAG_OVERLAPPED, SECURITY_IDENTIFICATION};
use windows_sys::Win32::System::Pipes::WaitNamedPipeW;

use crate::account::{Caller, caller_of};
use crate::calls::{Descriptor, Local, well, wide, written};
use crate::pipe_rights::CONNECT;

/// Whether an instance is the first of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instance {
    /// It has to be: where somebody else has the name already, it is refused.
    First,
    /// One more.
    Further,
}

/// Makes an instance of a pipe, for callers on this machine only. Within a runtime.
///
/// # Errors
/// The name is somebody else's, or the descriptor is none.
pub fn serve(name: &Path, descriptor: &str, instance: Instance) -> io::Result<NamedPipeServer> {
    let descriptor = Descriptor::parse(descriptor)?;
    let mut attributes = descriptor.attributes();
    let mut options = ServerOptions::new();
    options.first_pipe_instance(instance == Instance::First).reject_remote_clients(true);
    // SAFETY: it points to attributes that, with what they point to, live until after the call.
    unsafe { options.create_with_security_attributes_raw(name, (&raw mut attributes).cast()) }
}

/// Who is at the other end, once something was read from it.
///
/// # Errors
/// As [`caller_of`].
pub fn caller(pipe: &NamedPipeServer) -> io::Result<Caller> {
    // SAFETY: the handle stays open for as long as the pipe is borrowed.
    caller_of(unsafe { BorrowedHandle::borrow_raw(pipe.as_raw_handle()) })
}

/// Connects, and answers the SID of the pipe's owner as well. The other end learns who this is and can do nothing in this user's name.
/// Within a runtime.
///
/// # Errors
/// Nobody serves the pipe; [`is_busy`] when all its instances are taken.
pub fn connect(name: &Path) -> io::Result<(NamedPipeClient, String)> {
    let file = OpenOptions::new()
        .access_mode(CONNECT)
        .security_qos_flags(SECURITY_IDENTIFICATION)
        .custom_flags(FILE_FLAG_OVERLAPPED)
        .open(name)?;
    let owner = owner_of(file.as_raw_handle())?;
    // SAFETY: it is the client's end of a pipe, opened overlapped, and nobody else's from here on.
    let client = unsafe { NamedPipeClient::from_raw_handle(file.into_raw_handle()) }?;
    Ok((client, owner))
}

/// Whether a connection failed because another one was just being taken.
#[must_use]
pub fn is_busy(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ERROR_PIPE_BUSY.cast_signed())
}

/// Whether somebody serves a pipe of this name. Takes none of its instances.
#[must_use]
pub fn is_served(name: &OsStr) -> bool {
    let name = wide(&name.to_string_lossy());
    // SAFETY: the name ends with a zero; one millisecond is the shortest wait.
    match well(unsafe { WaitNamedPipeW(name.as_ptr(), 1) }) {
        Ok(()) => true,
        Err(error) => error.raw_os_error() == Some(ERROR_SEM_TIMEOUT.cast_signed()),
    }
}

fn owner_of(handle: *mut std::ffi::c_void) -> io::Result<String> {
    let (mut owner, mut memory) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the handle is open; pointers are written, the first into what the second points to.
    let code = unsafe {
        GetSecurityInfo(
            handle,
            SE_KERNEL_OBJECT,
            OWNER_SECURITY_INFORMATION,
            &raw mut owner,
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            &raw mut memory,
        )
    };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code.cast_signed()));
    }
    let memory = Local(memory);
    // SAFETY: the call wrote where the owner's SID is.
    let owner = unsafe { written(owner) };
    drop(memory);
    owner
}
