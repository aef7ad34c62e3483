//! How JIT accounts are named in each kind of directory.

use ticketgate_protocol::ids::TechnicianId;

use super::DirectoryKind;

/// How many random letters a burner account's name has.
pub const BURNER_LETTERS: usize = 6;

/// How much of the technician's id is in it: with the rest it has the 20 characters of a `sAMAccountName`.
const BURNER_OWNER: usize = 9;

impl DirectoryKind {
    /// The logon name of a technician's dedicated JIT account. [`read()`](super::read()) has seen to it that it is a valid one.
    #[must_use]
    pub fn dedicated_account(&self, technician: &TechnicianId) -> String {
        match self {
            Self::ActiveDirectory(domain) => domain.dedicated_account(technician),
            Self::Local(machine) => machine.dedicated_account(technician),
            Self::Entra(tenant) => tenant.dedicated_account(technician),
        }
    }

    /// The logon name of an account that a technician has for one session; `letters` are [`BURNER_LETTERS`] random ones.
    #[must_use]
    pub fn burner_account(&self, technician: &TechnicianId, letters: &str) -> String {
        let (before, after) = self.around_letters(technician);
        format!("{before}{letters}{after}")
    }

    /// Whether a logon name can only be one that [`DirectoryKind::burner_account`] made for this technician.
    #[must_use]
    pub fn is_burner_account(&self, technician: &TechnicianId, name: &str) -> bool {
        let (before, after) = self.around_letters(technician);
        let letters = name.strip_prefix(&before).and_then(|rest| rest.strip_suffix(&after));
        letters.is_some_and(|letters| {
            letters.len() == BURNER_LETTERS && letters.bytes().all(|b| b.is_ascii_alphanumeric())
        }) && self.dedicated_account(technician) != name
    }

    /// What stands before and after a burner name's letters.
    fn around_letters(&self, technician: &TechnicianId) -> (String, String) {
        let owner = technician.as_str().chars().take(BURNER_OWNER);
        let owner: String = match self {
            Self::ActiveDirectory(_) | Self::Entra(_) => owner.collect(),
            // A machine's names have no dots.
            Self::Local(_) => owner.map(|c| if c == '.' { '-' } else { c }).collect(),
        };
        let after = match self {
            Self::ActiveDirectory(_) | Self::Local(_) => String::new(),
            Self::Entra(tenant) => format!("@{}", tenant.account_domain),
        };
        (format!("jit-{owner}-"), after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Local, Login, Machine, Processes};
    use crate::local::AccountName;

    fn machine() -> DirectoryKind {
        DirectoryKind::Local(Local {
            machine: Machine::Here,
            system: crate::local::System::Linux,
            account_name: "jit-{technician}".into(),
            login: Login::Password,
            processes: Processes::Stay,
            timeout_s: 10,
        })
    }

    #[test]
    fn a_burner_account_of_a_machine_has_a_name_that_the_machine_takes() {
        for id in ["tech1", "a", "terry.tate.of.somewhere", "0.._-"] {
            let id = TechnicianId::new(id).unwrap();
            let name = machine().burner_account(&id, "k3v9q0");
            assert!(AccountName::new(name.clone()).is_ok(), "{name}");
            assert!(name.len() <= crate::local::System::Windows.longest_account_name(), "{name}");
            assert!(machine().is_burner_account(&id, &name), "{name}");
        }
    }

    #[test]
    fn a_burner_account_is_told_from_one_that_stays_and_from_another_persons() {
        let id = |text: &str| TechnicianId::new(text).unwrap();
        let burner = |owner: &str, name: &str| machine().is_burner_account(&id(owner), name);
        assert!(burner("tech1", "jit-tech1-k3v9q0"));
        assert!(!burner("tech1", "jit-tech1"));
        assert!(!burner("tech2", "jit-tech1-k3v9q0"));
        assert!(!burner("tech1", "jit-tech1-k3v9q"));
        assert!(!burner("tech1-abcdef", "jit-tech1-abcdef"));
    }
}
