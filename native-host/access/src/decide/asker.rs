//! Who asks for rights, as the configuration and the provider know them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use ticketgate_protocol::ids::TechnicianId;

use crate::config::{Config, Policy, Technician};
use crate::roles::Reach;

/// Who asks: a technician, with the groups that the provider says beside those of the configuration, and where the role of a
/// technician holds.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Who.
    pub technician: &'a TechnicianId,
    /// Groups beside those of the configuration.
    pub groups: &'a BTreeSet<String>,
    /// At which customers.
    pub reach: &'a Reach,
}

impl<'a> From<&'a TechnicianId> for Asker<'a> {
    /// With the groups of the configuration alone, everywhere.
    fn from(technician: &'a TechnicianId) -> Self {
        static NONE: BTreeSet<String> = BTreeSet::new();
        Self { technician, groups: &NONE, reach: &Reach::Everywhere }
    }
}

/// An asker as the configuration knows it.
pub(super) struct Person<'a> {
    pub(super) technician: Cow<'a, Technician>,
    pub(super) reach: &'a Reach,
}

impl<'a> Person<'a> {
    pub(super) fn of(config: &'a Config, asker: Asker<'a>) -> Option<Self> {
        let technician = config.technicians.get(asker.technician)?;
        let technician = if asker.groups.is_empty() {
            Cow::Borrowed(technician)
        } else {
            let mut with_groups = technician.clone();
            with_groups.groups.extend(asker.groups.iter().cloned());
            Cow::Owned(with_groups)
        };
        Some(Self { technician, reach: asker.reach })
    }

    /// Whether a policy can be theirs at all: eligible, and of a customer where they are a technician.
    pub(super) fn is_admitted(&self, config: &Config, policy: &Policy) -> bool {
        policy.eligible.admits(&self.technician)
            && config.customer_of(policy).is_some_and(|owner| self.reach.is_at(&owner.id))
    }
}
