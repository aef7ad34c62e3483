//! Windows. Run under Wine by our tests; never yet on a real Windows.

use std::io;
use std::os::windows::process::CommandExt;
use std::path::Path;
use std::process::Command;

use ticketgate_windows::access_list::{self, Against};
use ticketgate_windows::{account, files, pipe};

use super::{Distrust, Platform};

/// `DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP`: no console, and no Ctrl-C of ours.
const APART: u32 = 0x0000_0008 | 0x0000_0200;

/// Windows.
#[derive(Debug)]
pub struct Windows;

impl Platform for Windows {
    /// Only its presence: whose it is, is asked of the connection itself (`client/pipe.rs`), where nothing can come in between.
    fn trust_socket(socket: &Path) -> Result<(), Distrust> {
        if Self::somebody_listens(socket) { Ok(()) } else { Err(Distrust::Missing) }
    }

    fn somebody_listens(socket: &Path) -> bool {
        pipe::is_served(socket.as_os_str())
    }

    /// Other users are kept away by the process's own access list; there is no call that keeps its memory out of dumps.
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
        ticketgate_windows::keep_standard_streams();
        command.creation_flags(APART);
    }

    fn make_private_folder(path: &Path) -> io::Result<()> {
        files::make_private_folder(path)?;
        refuse(path, Against::Readers)
    }

    /// Of the machine's places `C:\\ProgramData` is one in which everybody may make folders. So the file and its folder count.
    fn refuse_if_others_write(path: &Path) -> io::Result<()> {
        refuse(path, Against::Writers)?;
        path.parent().map_or(Ok(()), |folder| refuse(folder, Against::Writers))
    }

    fn may_execute(file: &Path) -> bool {
        file.is_file() && file.extension().is_some_and(|e| e.eq_ignore_ascii_case("exe"))
    }

    fn is_open_to_others(path: &Path) -> bool {
        files::open_to_others(path, Against::Readers).is_ok_and(|who| who.is_some())
    }

    fn command_to_close(folder: &Path) -> String {
        let own = account::own_sid().unwrap_or_else(|_| ticketgate_windows::SYSTEM.into());
        access_list::command_to_close(&folder.display().to_string(), &own, true)
    }

    const HOW_TO_START: &'static str = "ticketgate broker (the machine's own: sc.exe start ticketgate)";
    const HOW_TO_RESTART: &'static str = "sc.exe stop ticketgate, then sc.exe start ticketgate (or end the broker: the next request starts one)";
}

fn refuse(path: &Path, against: Against) -> io::Result<()> {
    match files::open_to_others(path, against)? {
        None => Ok(()),
        Some(why) => Err(io::Error::new(io::ErrorKind::PermissionDenied, why)),
    }
}
