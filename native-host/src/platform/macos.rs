//! macOS. Built from the same calls as Linux; not run by our tests.

use std::io;
use std::path::Path;
use std::process::Command;

use super::{Distrust, Platform, unix};

/// macOS (and other Unix systems).
#[derive(Debug)]
pub struct MacOs;

impl Platform for MacOs {
    fn trust_socket(socket: &Path) -> Result<(), Distrust> {
        unix::trust_socket(socket)
    }

    fn somebody_listens(socket: &Path) -> bool {
        unix::somebody_listens(socket)
    }

    fn guard_memory() {
        unix::no_core_file();
    }

    fn leave_session() {
        unix::leave_session();
    }

    fn take_our_place(command: &mut Command) -> std::io::Error {
        unix::take_our_place(command)
    }

    fn set_apart(command: &mut Command) {
        unix::set_apart(command);
    }

    fn make_private_folder(path: &Path) -> io::Result<()> {
        unix::make_private_folder(path)
    }

    fn refuse_if_others_write(_: &Path) -> io::Result<()> {
        Ok(())
    }

    fn may_execute(file: &Path) -> bool {
        unix::may_execute(file)
    }

    fn is_open_to_others(path: &Path) -> bool {
        unix::is_open_to_others(path)
    }

    fn command_to_close(folder: &Path) -> String {
        unix::command_to_close(folder)
    }

    const HOW_TO_START: &'static str = "ticketgate broker";
    const HOW_TO_RESTART: &'static str = "ticketgate broker, after ending the one that runs";
}
