//! A Linux machine: its account databases, `sudo` rules and key files, changed by the machine's own programs.

mod accounts;
mod bounds;
mod check;
mod databases;
mod days;
mod drop_ins;
mod files;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod homes;
mod key_file;
mod keys;
mod leftovers;
mod lock;
mod look;
mod peer;
mod places;
mod processes;
mod run;
mod sudo;
mod sweep;

use chrono::{DateTime, Utc};
use ticketgate_protocol::api::Finding;

use super::{FarError, Side, Swept, clock, meant, note};
use crate::local::request::{Listed, LocalSeen, LocalStep, Named};
use crate::local::{AccountName, LocalRight, System};
use look::Machine;
pub use peer::may_ask;
pub use places::Places;
pub use sweep::sweep;

impl Side for Places {
    const SYSTEM: System = System::Linux;

    fn begin(&self) {
        drop_ins::remove_unfinished(self);
    }

    fn machine(&self) -> Result<String, FarError> {
        self.machine_name()
    }

    fn look(&self, name: &AccountName) -> Result<(DateTime<Utc>, Option<LocalSeen>), FarError> {
        let machine = Machine::read(self)?;
        Ok((machine.time, machine.account(name)?.map(|found| found.seen)))
    }

    fn list(&self) -> Result<(DateTime<Utc>, Vec<Listed>), FarError> {
        let machine = Machine::read(self)?;
        Ok((machine.time, machine.accounts()))
    }

    fn check(&self, rights: &[LocalRight]) -> Vec<Finding> {
        check::check(self, rights)
    }

    fn step(&self, account: &Named, step: LocalStep) -> Result<(), FarError> {
        let _lock = lock::wait(self)?;
        accounts::carry_out(self, account, step)
    }
}

#[cfg(test)]
mod tests;
