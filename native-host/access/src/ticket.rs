//! A ticket as its system tells it. What a page or a person says of one is [`ticketgate_protocol::ticket::Ticket`].

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::config::folded;

/// A ticket, as its system tells it. Texts are lines of at most [`ticketgate_protocol::text::FIELD_MAX`] characters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ticket {
    /// The system's own id, for its other calls.
    pub id: String,
    /// The number as people say it.
    pub number: String,
    /// One line.
    pub summary: Option<String>,
    /// Whose it is.
    pub company: Option<Company>,
    /// The e-mail address of who reported it.
    pub contact_email: Option<String>,
    /// The system's own word for its state.
    pub status: String,
    /// Whether that means closed.
    pub closed: bool,
    /// Who works on it, under every name that the system gives: id, login, e-mail address, name. Empty: nobody.
    pub owner: BTreeSet<String>,
    /// When it was last changed, where the system says so.
    pub changed_at: Option<DateTime<Utc>>,
}

/// A customer's company, as a ticket system has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Company {
    /// The system's own id; empty where it has none.
    pub id: String,
    /// Its name; empty where only the id is told.
    pub name: String,
    /// The domains of its people's e-mail addresses, where the system keeps them.
    pub domains: Vec<String>,
}

/// Whether `name`, as configured for a technician, is one of the names that a ticket's owner has.
#[must_use]
pub fn is_same_person<'a>(name: &str, mut owner: impl Iterator<Item = &'a String>) -> bool {
    let name = folded(name);
    !name.is_empty() && owner.any(|known| folded(known) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_known_by_any_of_the_names() {
        let owner = ["12".to_owned(), "Terry@MSP.example".to_owned(), "Terry  Tech".to_owned()];
        for (name, expected) in
            [("terry@msp.example", true), ("terry tech", true), ("12", true), ("terry", false), (" ", false)]
        {
            assert_eq!(is_same_person(name, owner.iter()), expected, "{name}");
        }
    }
}
