//! A Windows machine: its own accounts (its SAM) and local groups. Groups are known by their SIDs, since their names are in the
//! machine's language; who else is in one is never looked at, so members whose accounts are gone hold up nothing.
//!
//! Windows ends an account by itself, to the second, for whoever logs on after that. It ends no membership of a group, and nothing
//! that runs. There is no `sudo`, and no place for a session's SSH key: what an administrator logs on with by key stands in one file
//! for all of them.
#![cfg_attr(not(windows), expect(unreachable_pub, reason = "elsewhere only tests reach it"))]

mod accounts;
mod check;
#[cfg(test)]
mod fake;
mod lock;
mod look;
#[cfg(windows)]
mod netapi;
mod sam;
mod sweep;

use std::fs;
use std::io;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use ticketgate_protocol::api::Finding;

use super::{FarError, Side, Swept, bounds, clock, meant, note};
use crate::local::request::{Listed, LocalSeen, LocalStep, Named};
use crate::local::{AccountName, LocalRight, System};
use sam::Sam;

/// This machine, with the calls of Windows itself.
#[cfg(windows)]
pub type ThisMachine = Windows<netapi::NetApi>;

/// A Windows machine.
#[derive(Debug)]
pub struct Windows<S> {
    sam: S,
    places: Places,
}

/// Where what is not in the SAM is.
#[derive(Debug)]
struct Places {
    /// What the machine's administrator lets brokers give. It is beside the program, where nobody else may write, or they could
    /// replace the program as well.
    bounds: PathBuf,
    /// One request at a time. In a folder that people cannot enter, who could hold the file.
    lock: PathBuf,
    /// The task that sweeps.
    task: PathBuf,
}

/// The name of that task.
const TASK: &str = "ticketgate-local-sweep";

#[cfg(windows)]
impl ThisMachine {
    /// The machine on which this process runs.
    ///
    /// # Errors
    /// The program's own path is not known.
    pub fn system() -> io::Result<Self> {
        let root = std::env::var_os("SystemRoot").map_or_else(|| PathBuf::from("C:\\Windows"), PathBuf::from);
        let system = root.join("System32");
        Ok(Self {
            sam: netapi::NetApi,
            places: Places {
                bounds: std::env::current_exe()?.with_file_name("local.toml"),
                lock: system.join("config\\systemprofile\\ticketgate-local.lock"),
                task: system.join("Tasks").join(TASK),
            },
        })
    }
}

/// Ends what is over on this machine. Needs no broker and no network; safe to repeat. Blocking.
///
/// # Errors
/// [`FarError`] when the machine cannot be read at all, or another holds it for too long. A failure at one account is in
/// [`Swept::failures`] and does not keep the others.
#[cfg(windows)]
pub fn sweep(machine: &ThisMachine) -> Result<Swept, FarError> {
    machine.sweep()
}

impl<S: Sam> Windows<S> {
    /// Whether a right may be given here.
    fn allows(&self, right: &LocalRight) -> Result<(), FarError> {
        let path = &self.places.bounds;
        let list = match fs::read_to_string(path) {
            Ok(text) => Some(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(_) => Some(None),
        };
        bounds::allow(path, list, right)
    }
}

impl<S: Sam> Side for Windows<S> {
    const SYSTEM: System = System::Windows;

    fn begin(&self) {}

    fn machine(&self) -> Result<String, FarError> {
        Ok(self.read()?.identity)
    }

    fn look(&self, name: &AccountName) -> Result<(DateTime<Utc>, Option<LocalSeen>), FarError> {
        let machine = self.read()?;
        Ok((machine.time, self.account(&machine, name)?.map(|found| found.seen)))
    }

    fn list(&self) -> Result<(DateTime<Utc>, Vec<Listed>), FarError> {
        let machine = self.read()?;
        let mut accounts = Vec::new();
        for name in self.names()? {
            if let Some(found) = self.account(&machine, &name)? {
                accounts.push(Listed { name, seen: found.seen });
            }
        }
        Ok((machine.time, accounts))
    }

    fn check(&self, rights: &[LocalRight]) -> Vec<Finding> {
        self.checked(rights)
    }

    fn step(&self, account: &Named, step: LocalStep) -> Result<(), FarError> {
        let _lock = lock::wait(&self.places.lock)?;
        self.carry_out(account, step)
    }
}

#[cfg(test)]
mod settling;
#[cfg(test)]
mod tests;
