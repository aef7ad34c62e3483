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
    /// Checks every field and answers a ticket whose texts are trimmed, bounded and clean.
    ///
    /// # Errors
    /// [`BadTicket`] names the first field that was refused.
    pub fn checked(&self) -> Result<Self, BadTicket> {
        let optional = |field, value: &Option<String>, max| match value {
            None => Ok(None),
            Some(text) => text::line(text, max).map(Some).map_err(|bad| bad_text(field, bad)),
        };
        let url = optional("address", &self.url, URL_MAX)?;
        if url.as_deref().is_some_and(|u| !(u.starts_with("https://") || u.starts_with("http://"))) {
            return Err(BadTicket { field: "address", fault: TicketFault::Address });
        }
        Ok(Self {
            system: if self.system.is_empty() {
                String::new()
            } else {
                text::line(&self.system, NUMBER_MAX).map_err(|bad| bad_text("system", bad))?
            },
            number: text::line(&self.number, NUMBER_MAX).map_err(|bad| bad_text("number", bad))?,
            url,
            summary: optional("summary", &self.summary, FIELD_MAX)?,
            customer: optional("customer", &self.customer, FIELD_MAX)?,
            contact: optional("contact", &self.contact, FIELD_MAX)?,
            status: optional("status", &self.status, FIELD_MAX)?,
        })
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

fn bad_text(field: &'static str, bad: BadText) -> BadTicket {
    BadTicket { field, fault: TicketFault::Text(bad) }
}
