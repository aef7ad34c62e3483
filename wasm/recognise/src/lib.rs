//! Recognition: from a page's address and facts to a ticket. Pure: no browser, no clock, no I/O.
//!
//! What a system looks like stands in data (`wasm/rules/*.json`, described in `docs/rules.md`); the interpreter here
//! knows none by name. Everything that a page says stays a claim: it is folded into bounded lines and shown to the
//! person, and the broker checks what it can.

mod address;
mod decoder;
mod frames;
pub mod letters;
mod read;
mod rules;
mod search;

pub use frames::{best_of, rank};
pub use rules::{BadRule, Rules};
use ticketgate_protocol::ticket::Ticket;
pub use ticketgate_rule::Certainty;

/// What a frame's facts amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recognition {
    /// No ticket, or not one that any rule knows.
    NotATicketPage,
    /// A ticket.
    Ticket(Box<Recognised>),
}

impl Recognition {
    /// The ticket, if there is one.
    #[must_use]
    pub fn ticket(&self) -> Option<&Ticket> {
        match self {
            Self::NotATicketPage => None,
            Self::Ticket(found) => Some(&found.ticket),
        }
    }
}

/// A recognised ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recognised {
    /// The ticket; always passes [`Ticket::checked`].
    pub ticket: Ticket,
    /// How far each field can be trusted to mean what its name says.
    pub certainty: FieldCertainty,
    /// Whether the frame is visible in its parent.
    pub shown: bool,
}

/// The certainty of each field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FieldCertainty {
    /// Of the number. Never missing.
    pub number: Certainty,
    /// Of the summary.
    pub summary: Certainty,
    /// Of the customer.
    pub customer: Certainty,
    /// Of the contact.
    pub contact: Certainty,
    /// Of the status.
    pub status: Certainty,
}

#[cfg(test)]
mod tests;
