//! Companies that tickets named and no customer is known by, with the customer that a person picked for each.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use ticketgate_access::config::{Config, folded};
use ticketgate_protocol::api::Session;
use ticketgate_protocol::ids::CustomerId;
use ticketgate_protocol::text;

use super::import::NAME_MAX;
use super::paste;

/// All of them.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Found {
    /// Customers that an alias would save questions for.
    pub(super) customers: Vec<Aliases>,
    /// Companies for which several customers were picked: no alias fits.
    pub(super) several: Vec<Company>,
}

/// Aliases that a customer lacks.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Aliases {
    pub(super) customer: CustomerId,
    pub(super) name: String,
    pub(super) companies: Vec<Company>,
    /// The line to write.
    pub(super) line: String,
}

/// A company as tickets name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Company {
    pub(super) company: String,
    /// How often each customer was picked.
    pub(super) picked: BTreeMap<CustomerId, u32>,
    pub(super) last: DateTime<Utc>,
}

pub(super) fn find(config: &Config, sessions: &[Session]) -> Found {
    let mut companies: BTreeMap<String, Company> = BTreeMap::new();
    for session in sessions {
        // A ticket that was typed names no system, and what cannot be an alias is of no use.
        let Some(ticket) = session.ticket.as_ref().filter(|ticket| !ticket.system.is_empty()) else {
            continue;
        };
        let Some(company) = ticket.customer.as_deref().and_then(|c| text::line(c, NAME_MAX).ok()) else {
            continue;
        };
        if !config.customers_named(&company).is_empty() || company.contains('@') {
            continue;
        }
        let found = companies.entry(folded(&company)).or_insert_with(|| Company {
            company: company.clone(),
            picked: BTreeMap::new(),
            last: session.requested_at,
        });
        *found.picked.entry(session.customer.clone()).or_default() += 1;
        if session.requested_at >= found.last {
            found.last = session.requested_at;
            found.company = company;
        }
    }
    let mut found = Found::default();
    let mut of_one: BTreeMap<CustomerId, Vec<Company>> = BTreeMap::new();
    for company in companies.into_values() {
        match company.picked.keys().next() {
            Some(only) if company.picked.len() == 1 => of_one.entry(only.clone()).or_default().push(company),
            _ => found.several.push(company),
        }
    }
    for (id, companies) in of_one {
        // One that left the configuration needs no alias.
        let Some(customer) = config.customers.get(&id) else { continue };
        let more: Vec<String> = companies.iter().map(|c| c.company.clone()).collect();
        let line = paste::aliases(customer, &more);
        found.customers.push(Aliases { customer: id, name: customer.name.clone(), companies, line });
    }
    found
}

pub(super) fn text(found: &Found) -> String {
    if found.customers.is_empty() && found.several.is_empty() {
        return "Every company that a ticket named is a customer's name or alias.".into();
    }
    let mut lines = Vec::new();
    for Aliases { customer, name, companies, line } in &found.customers {
        lines.push(format!("# {customer} ({name}), picked for"));
        lines.extend(companies.iter().map(shown));
        // Ready to be pasted below the customer's name.
        lines.extend([line.clone(), String::new()]);
    }
    if !found.several.is_empty() {
        lines.push("# Several customers were picked for these, so no alias fits:".into());
        lines.extend(found.several.iter().map(shown));
    }
    lines.join("\n")
}

fn shown(company: &Company) -> String {
    let picked: Vec<String> = company
        .picked
        .iter()
        .map(|(id, count)| match company.picked.len() {
            1 => times(*count),
            _ => format!("{id} {}", times(*count)),
        })
        .collect();
    format!("#   “{}” {}, last on {}", company.company, picked.join(", "), company.last.format("%Y-%m-%d"))
}

fn times(count: u32) -> String {
    if count == 1 { "once".into() } else { format!("{count} times") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use ticketgate_access::config;

    use super::*;

    fn session(customer: &str, company: Option<&str>, system: &str, day: u32) -> Session {
        serde_json::from_value(json!({
            "id": format!("s-{day}"), "state": "ended", "technician": "tech1", "customer": customer, "customer_name": customer,
            "policy": "p", "policy_name": "P", "directory": "d", "mode": "burner", "rights": [], "reason": "r",
            "ticket": {"system": system, "number": "1", "customer": company},
            "requested_at": format!("2026-11-{day:02}T09:00:00Z"), "expires_at": "2026-11-30T09:00:00Z",
            "latest_end": "2026-11-30T09:00:00Z", "password_held": false, "version": 1
        }))
        .unwrap()
    }

    #[test]
    fn each_customer_has_its_line_and_what_was_several_customers_has_none() {
        let config = config::read(
            "[[customer]]\nid = \"acme\"\nname = \"Acme Corp\"\naliases = [\"ACME\"]\n[[customer]]\nid = \"globex\"\nname = \"Globex\"\n",
        )
        .unwrap();
        let sessions = [
            session("acme", Some("Acme (HQ)"), "rt", 1),
            session("acme", Some("ACME (hq)"), "rt", 3),
            session("acme", Some("Acme \"West\""), "rt", 2),
            session("acme", Some("acme"), "rt", 4),
            session("acme", Some("General"), "rt", 5),
            session("globex", Some("general"), "rt", 6),
            session("acme", Some("Typed"), "", 7),
            session("acme", None, "rt", 8),
            session("gone", Some("Gone"), "rt", 9),
            session("globex", Some("pat@globex.example"), "rt", 9),
        ];
        let found = find(&config, &sessions);
        assert_eq!(
            text(&found),
            "# acme (Acme Corp), picked for\n#   “Acme \"West\"” once, last on 2026-11-02\n#   “ACME (hq)” 2 times, last on 2026-11-03\n\
             aliases = [\"ACME\", \"Acme \\\"West\\\"\", \"ACME (hq)\"]\n\n\
             # Several customers were picked for these, so no alias fits:\n#   “general” acme once, globex once, last on 2026-11-06"
        );
        assert!(text(&find(&config, &sessions[3..4])).starts_with("Every company"));
    }
}
