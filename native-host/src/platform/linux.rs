//! Linux.

use std::io;
use std::path::Path;
use std::process::Command;

use super::{Distrust, Platform, unix};

/// Linux.
#[derive(Debug)]
pub struct Linux;

impl Platform for Linux {
    fn trust_socket(socket: &Path) -> Result<(), Distrust> {
        unix::trust_socket(socket)
    }

    fn somebody_listens(socket: &Path) -> bool {
        unix::somebody_listens(socket)
    }

    fn guard_memory() {
        unix::no_core_file();
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
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

    const HOW_TO_START: &'static str =
        "systemctl --user start ticketgate-broker.service (or: ticketgate broker)";
    const HOW_TO_RESTART: &'static str =
        "systemctl --user restart ticketgate-broker.service (or end the broker: the next request starts one)";
}
