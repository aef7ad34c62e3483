//! What the configuration says: policies with what they give in each directory, and the changes of them.

use std::time::Duration;

use anyhow::{Result, bail};

/// Sessions that a technician may have at once.
pub(crate) const AT_ONCE: usize = 5;

/// The group whose members may use every policy.
pub(crate) const GROUP: &str = "tier2";

/// The customer's directories, by their ids. A directory is meant by its place here.
pub(crate) const DIRECTORIES: [&str; 2] = ["acme-ad", "acme-two"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Dedicated,
    Burner,
    Membership,
}

impl Mode {
    /// As a configuration names it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Dedicated => "dedicated",
            Self::Burner => "burner",
            Self::Membership => "membership",
        }
    }
}

/// What a policy gives in one directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    /// In which.
    pub(crate) place: usize,
    pub(crate) mode: Mode,
    /// The short names of its rights.
    pub(crate) rights: &'static [&'static str],
}

/// A policy, with what it gives as long as the rules are not changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    pub(crate) id: &'static str,
    grants: &'static [Grant],
}

const fn first(mode: Mode, rights: &'static [&'static str]) -> Grant {
    Grant { place: 0, mode, rights }
}

const fn second(mode: Mode, rights: &'static [&'static str]) -> Grant {
    Grant { place: 1, mode, rights }
}

pub(crate) const POLICIES: [Policy; 10] = [
    Policy { id: "d-tier1", grants: &[first(Mode::Dedicated, &["tier1"])] },
    Policy { id: "d-help", grants: &[first(Mode::Dedicated, &["helpdesk"])] },
    Policy { id: "d-both", grants: &[first(Mode::Dedicated, &["helpdesk", "tier1", "comma"])] },
    Policy { id: "b-help", grants: &[first(Mode::Burner, &["helpdesk"])] },
    Policy { id: "b-both", grants: &[first(Mode::Burner, &["tier1", "helpdesk"])] },
    Policy { id: "m-help", grants: &[first(Mode::Membership, &["helpdesk"])] },
    Policy { id: "m-both", grants: &[first(Mode::Membership, &["tier1", "helpdesk"])] },
    Policy {
        id: "w-dedicated",
        grants: &[first(Mode::Dedicated, &["tier1"]), second(Mode::Dedicated, &["helpdesk"])],
    },
    Policy {
        id: "w-burner",
        grants: &[second(Mode::Burner, &["tier1", "helpdesk"]), first(Mode::Dedicated, &["helpdesk"])],
    },
    Policy {
        id: "w-own",
        grants: &[first(Mode::Membership, &["helpdesk"]), second(Mode::Dedicated, &["tier1"])],
    },
];

impl Policy {
    /// Whether it gives in several directories, as long as the rules are not changed.
    pub(crate) const fn is_for_several(&self) -> bool {
        self.grants.len() > 1
    }
}

/// The configuration's rules. Each bit of a change is one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rules(pub(crate) u8);

impl Rules {
    /// So many there are.
    pub(crate) const ALL: u8 = 32;

    const OTHER_RIGHTS: u8 = 1;
    const SHORT: u8 = 2;
    const NO_BURNER: u8 = 4;
    const NOT_ELIGIBLE: u8 = 8;
    /// A policy gives no longer in the second directory.
    const ONE_DIRECTORY: u8 = 16;

    const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// The policies that there are.
    pub(crate) fn policies(self) -> impl Iterator<Item = &'static Policy> {
        POLICIES.iter().filter(move |policy| !(self.has(Self::NO_BURNER) && policy.id == "b-help"))
    }

    /// What a policy gives.
    pub(crate) fn grants(self, policy: &Policy) -> Vec<Grant> {
        let mut grants = policy.grants.to_vec();
        for grant in &mut grants {
            match (policy.id, grant.place) {
                ("d-tier1", _) if self.has(Self::OTHER_RIGHTS) => grant.rights = &["helpdesk"],
                ("m-both", _) if self.has(Self::OTHER_RIGHTS) => grant.rights = &["tier1", "brackets"],
                ("w-own", 1) if self.has(Self::OTHER_RIGHTS) => grant.rights = &["helpdesk", "umlaut"],
                _ => {}
            }
        }
        grants.retain(|grant| {
            !(policy.id == "w-dedicated" && grant.place == 1 && self.has(Self::ONE_DIRECTORY))
        });
        grants
    }

    /// The longest session.
    pub(crate) const fn max(self) -> (&'static str, Duration) {
        if self.has(Self::SHORT) {
            ("30m", Duration::from_secs(1800))
        } else {
            ("4h", Duration::from_secs(14_400))
        }
    }

    /// Whether this technician may use the policies.
    pub(crate) const fn admits(self, who: usize) -> bool {
        !(self.has(Self::NOT_ELIGIBLE) && who == 1)
    }
}

/// The id of a technician.
pub(crate) fn technician(who: usize) -> String {
    format!("t{}", who + 1)
}

/// The policy that is meant.
pub(crate) fn policy(number: usize) -> Result<&'static Policy> {
    match POLICIES.get(number % POLICIES.len()) {
        Some(policy) => Ok(policy),
        None => bail!("no policy"),
    }
}

/// The directory that a row of the ledger is about.
pub(crate) fn place(directory: &str) -> Result<usize> {
    match DIRECTORIES.iter().position(|known| *known == directory) {
        Some(place) => Ok(place),
        None => bail!("no directory {directory}"),
    }
}
