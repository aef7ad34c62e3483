//! What the extension remembers for good: choices per technician and customer, and where the in-page button is wanted.
//! No session, no ticket, no secret.

use ticketgate_protocol::ids::{CustomerId, PolicyId, TechnicianId};
use ticketgate_protocol::page::Placement;
use ticketgate_protocol::tree::{FromJson, ToTree};

use super::shelf::Shelf;

/// The most sites whose button was moved or hidden.
const SITES_MAX: usize = 200;

/// A choice that was activated last.
#[derive(Debug, Clone, PartialEq, Eq, FromJson, ToTree)]
pub(super) struct Choice {
    /// By which policy.
    pub policy: PolicyId,
    /// For how long, in seconds.
    pub duration_s: u32,
}

/// What is remembered for good.
#[derive(Debug, Clone, Default, PartialEq, FromJson, ToTree)]
pub(super) struct Memory {
    #[serde(default)]
    choices: Shelf<TechnicianId, Shelf<CustomerId, Choice>>,
    #[serde(default)]
    placements: Shelf<String, Placement>,
    #[serde(default)]
    hidden: Vec<String>,
}

impl Memory {
    /// What `technician` activated last at `customer`.
    #[must_use]
    pub(super) fn choice(&self, technician: &TechnicianId, customer: &CustomerId) -> Option<&Choice> {
        self.choices.get(technician)?.get(customer)
    }

    /// Remembers what `technician` activated at `customer`.
    pub(super) fn remember(&mut self, technician: TechnicianId, customer: CustomerId, choice: Choice) {
        self.choices.or_insert_with(technician, Shelf::default).insert(customer, choice);
    }

    /// Where the button was put on this site.
    #[must_use]
    pub(super) fn placement(&self, origin: &str) -> Placement {
        self.placements.get(origin).copied().unwrap_or_default()
    }

    /// Remembers where the button was put.
    pub(super) fn place(&mut self, origin: &str, placement: Placement) {
        if self.placements.len() < SITES_MAX || self.placements.contains_key(origin) {
            self.placements.insert(origin.to_owned(), placement);
        }
    }

    /// Whether the button is hidden on this site.
    #[must_use]
    pub(super) fn is_hidden(&self, origin: &str) -> bool {
        self.hidden.iter().any(|hidden| hidden == origin)
    }

    /// Hides the button on this site.
    pub(super) fn hide(&mut self, origin: &str) {
        if self.hidden.len() < SITES_MAX && !self.is_hidden(origin) {
            self.hidden.push(origin.to_owned());
        }
    }

    /// Brings the button back.
    pub(super) fn unhide(&mut self, origin: &str) {
        self.hidden.retain(|hidden| hidden != origin);
    }
}
