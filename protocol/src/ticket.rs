//! A ticket as the extension names it. Everything in it but the system is what a page said: not yet believed.

use serde::{Deserialize, Serialize};

use crate::text::{self, BadText, FIELD_MAX, NUMBER_MAX, URL_MAX};
use crate::tree::{FromJson, ToTree};

/// A ticket, as recognised on a page or typed by the person. The broker treats every field as a claim.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// The PSA's rule id (`request-tracker`, `connectwise`, …), or empty when typed by hand.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub system: String,
    /// The number as people say it (`4711`, `T20260101.0001`).
    pub number: String,
    /// Where the ticket can be seen; `https` or `http` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// One line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The customer as the PSA writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// Who reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// The PSA's own word for its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// A field of a ticket was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadTicket {
    /// The field's name.
    pub field: &'static str,
    /// What is wrong with it.
    pub fault: TicketFault,
}

/// What is wrong with a ticket's field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketFault {
    /// The text itself.
    Text(BadText),
    /// An address that is not `http` or `https`.
    Address,
}

impl std::fmt::Display for BadTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.fault {
            TicketFault::Text(bad) => write!(f, "the ticket's {} {bad}", self.field),
            TicketFault::Address => write!(f, "the ticket's {} is not an http or https address", self.field),
        }
    }
}

impl std::error::Error for BadTicket {}

impl Ticket {
    /// Checks every field and answers the ticket with its texts trimmed, bounded and clean.
    ///
    /// # Errors
    /// [`BadTicket`] names the first field that was refused.
    pub fn checked(mut self) -> Result<Self, BadTicket> {
        if let Some(url) = &mut self.url {
            check("address", url, URL_MAX)?;
            if !(url.starts_with("https://") || url.starts_with("http://")) {
                return Err(BadTicket { field: "address", fault: TicketFault::Address });
            }
        }
        if !self.system.is_empty() {
            check("system", &mut self.system, NUMBER_MAX)?;
        }
        check("number", &mut self.number, NUMBER_MAX)?;
        for (field, value) in [
            ("summary", &mut self.summary),
            ("customer", &mut self.customer),
            ("contact", &mut self.contact),
            ("status", &mut self.status),
        ] {
            if let Some(text) = value {
                check(field, text, FIELD_MAX)?;
            }
        }
        Ok(self)
    }

    /// Whether both name the same ticket: system and number, and the address where both have one.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.system == other.system
            && self.number == other.number
            && match (&self.url, &other.url) {
                (Some(a), Some(b)) => a == b,
                _ => true,
            }
    }
}

/// Leaves the trimmed text there. Most are that already.
fn check(field: &'static str, text: &mut String, max: usize) -> Result<(), BadTicket> {
    let bad = |bad| BadTicket { field, fault: TicketFault::Text(bad) };
    let trimmed = text::trimmed(text, max).map_err(bad)?;
    if trimmed.len() < text.len() {
        *text = trimmed.to_owned();
    }
    Ok(())
}
