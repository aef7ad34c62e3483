//! Windows. Cross-built and checked; not run on a real Windows by our tests.

use std::os::windows::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::{Distrust, Platform};

/// `DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP`: no console, and no Ctrl-C of ours.
const APART: u32 = 0x0000_0008 | 0x0000_0200;

/// Windows.
#[derive(Debug)]
pub struct Windows;

impl Platform for Windows {
    /// A pipe's owner cannot be read without a call that needs `unsafe`; the pipe's own access list, which the broker
    /// sets, has to hold. Only its presence is looked at here.
    fn trust_socket(socket: &Path) -> Result<(), Distrust> {
        if socket.exists() { Ok(()) } else { Err(Distrust::Missing) }
    }

    fn somebody_listens(socket: &Path) -> bool {
        socket.exists()
    }

    fn guard_memory() {}

    fn leave_session() {}

    /// There is no such call: the program runs beside this process, with its pipes, and this one ends when it does.
    fn take_our_place(command: &mut Command) -> std::io::Error {
        match command.status() {
            Ok(status) => std::process::exit(status.code().unwrap_or(1)),
            Err(error) => error,
        }
    }

    fn set_apart(command: &mut Command) {
        command.creation_flags(APART);
    }

    fn may_execute(file: &Path) -> bool {
        file.is_file() && file.extension().is_some_and(|e| e.eq_ignore_ascii_case("exe"))
    }

    fn is_open_to_others(_path: &Path) -> bool {
        false
    }
}
