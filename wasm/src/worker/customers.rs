//! Which customer a ticket is about. Only what is exactly so decides: a name or an alias, the domain of an e-mail address,
//! what the person chose before for this company at this site. Everything else is asked, with suggestions.

use ticketgate_protocol::api::{Customer, Overview};
use ticketgate_protocol::ids::CustomerId;
use ticketgate_protocol::likeness;
use ticketgate_protocol::ticket::Ticket;
use ticketgate_recognise::letters::{joined, lower_case, split_at_last};

use super::hosts;
use super::memory::Memory;

/// The most customers that are suggested.
const SUGGESTED_MAX: usize = 3;

/// What a ticket says of its customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// Nothing.
    Nothing,
    /// Its name or alias, and no address says otherwise.
    Named(&'a Customer),
    /// The domain of an e-mail address of one customer, and no name or earlier choice says otherwise.
    Domain(&'a Customer, String),
    /// What the person chose before for this company at this site.
    Before(&'a Customer),
    /// Each in another way: to be asked. At least two.
    Several(Vec<&'a Customer>),
    /// Something that no customer is known by: to be asked.
    Unknown,
}

/// What `ticket` says of its customer.
pub(super) fn said<'a>(overview: &'a Overview, memory: &Memory, ticket: &Ticket) -> Said<'a> {
    let company = ticket.customer.as_deref();
    let names = company.map(|name| named(overview, name)).unwrap_or_default();
    let mut by_domain = Vec::new();
    let mut domain = String::new();
    for found in addresses(ticket) {
        for customer in overview.customers.iter().filter(|c| c.domains.contains(&found)) {
            add(&mut by_domain, customer);
            domain.clone_from(&found);
        }
    }
    // Where the name says it there was nothing to choose.
    let before = if names.len() == 1 { None } else { before(overview, memory, ticket) };
    let mut all = names.clone();
    for customer in by_domain.iter().copied().chain(before) {
        add(&mut all, customer);
    }
    match (names.as_slice(), by_domain.as_slice(), before) {
        ([one], _, _) if all.len() == 1 => Said::Named(one),
        ([], [one], _) if all.len() == 1 => Said::Domain(one, domain),
        // Also of several that share a name, unless an address is of another.
        (_, _, Some(before))
            if (names.is_empty() || names.contains(&before))
                && by_domain.iter().all(|c| c.id == before.id) =>
        {
            Said::Before(before)
        }
        _ if all.len() > 1 => Said::Several(all),
        _ if company.is_some() => Said::Unknown,
        _ => Said::Nothing,
    }
}

/// The domains of the addresses that a ticket names.
fn addresses(ticket: &Ticket) -> Vec<String> {
    let mut found = Vec::new();
    for text in [&ticket.customer, &ticket.contact].into_iter().flatten() {
        found.append(&mut domains(text));
    }
    found
}

fn add<'a>(all: &mut Vec<&'a Customer>, one: &'a Customer) {
    if !all.iter().any(|other| other.id == one.id) {
        all.push(one);
    }
}

/// The customers that `name` names exactly: by name or alias, without regard to case and space.
fn named<'a>(overview: &'a Overview, name: &str) -> Vec<&'a Customer> {
    let wanted = folded(name);
    if wanted.is_empty() {
        return Vec::new();
    }
    let is_named = |c: &&Customer| folded(&c.name) == wanted || c.aliases.iter().any(|a| folded(a) == wanted);
    overview.customers.iter().filter(is_named).collect()
}

fn folded(name: &str) -> String {
    lower_case(&joined(&mut name.split_whitespace(), " "))
}

/// The domains of the e-mail addresses in a text (`Pat Doe <pat@acme.example>`), in small letters.
fn domains(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let is_around =
        |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | ':' | '"');
    for word in text.split(is_around) {
        if let Some((name, domain)) = split_at_last(word, b'@')
            && !name.is_empty()
            && !name.contains('@')
            && domain.contains('.')
        {
            found.push(lower_case(domain.trim_end_matches('.')));
        }
    }
    found
}

/// Whether the ticket's customer, as the page gives it, is an e-mail address.
pub(super) fn is_address(text: &str) -> bool {
    !domains(text).is_empty()
}

/// What a choice of a customer is remembered under: the system, the site, and the company as the page writes it. None for
/// a ticket that was typed, and where the page names no company or its site is not known.
pub(super) fn company_of(ticket: &Ticket) -> Option<String> {
    let company = folded(ticket.customer.as_deref()?);
    let host = hosts::host_of(ticket.url.as_deref()?)?;
    if ticket.system.is_empty() || company.is_empty() {
        return None;
    }
    // No line break is in any of them.
    Some(joined(&mut [ticket.system.as_str(), host, company.as_str()].into_iter(), "\n"))
}

fn before<'a>(overview: &'a Overview, memory: &Memory, ticket: &Ticket) -> Option<&'a Customer> {
    let chosen = memory.chosen_for(&overview.technician, &company_of(ticket)?)?;
    overview.customers.iter().find(|c| c.id == *chosen)
}

/// Whether nothing in the ticket itself says which customer its company is, so that a person's choice is worth keeping.
pub(super) fn is_for_a_person(overview: &Overview, ticket: &Ticket) -> bool {
    match said(overview, &Memory::default(), ticket) {
        Said::Unknown => true,
        Said::Several(_) => ticket.customer.as_deref().is_some_and(|name| named(overview, name).len() != 1),
        _ => false,
    }
}

/// The customers that the person may have in mind, best first: all that the ticket names in one way or another, then
/// those whose names are like what it says.
pub(super) fn suggested(overview: &Overview, memory: &Memory, ticket: &Ticket) -> Vec<CustomerId> {
    let mut found: Vec<CustomerId> = match said(overview, memory, ticket) {
        Said::Several(all) => all.into_iter().take(SUGGESTED_MAX).map(|c| c.id.clone()).collect(),
        Said::Unknown => Vec::new(),
        _ => return Vec::new(),
    };
    let Some(company) = ticket.customer.as_deref().filter(|_| found.is_empty()) else { return found };
    // Of an address the name before its domain's end tells most.
    let domain = domains(company).pop();
    let company = match &domain {
        Some(domain) => split_at_last(domain, b'.').map_or(domain.as_str(), |(name, _)| name),
        None => company,
    };
    let mut names = Vec::new();
    for (at, customer) in overview.customers.iter().enumerate() {
        names.push((at, lower_case(&customer.name)));
        for alias in &customer.aliases {
            names.push((at, lower_case(alias)));
        }
    }
    for at in likeness::most_alike(&lower_case(company), &names, SUGGESTED_MAX) {
        found.extend(overview.customers.get(at).map(|c| c.id.clone()));
    }
    found
}
