//! What `customers import` prints.

use ticketgate_access::config::{Config, Customer};
use ticketgate_protocol::ids::PsaId;

use super::import::{Add, Import, New};
use super::paste;

/// The list as text to paste. What is not certain stands behind `#`: the whole is TOML that adds new customers and nothing else.
pub(super) fn text(found: &Import, config: &Config, psa: Option<&PsaId>, place: &str) -> String {
    let mut lines = vec![
        format!(
            "# {} new, {} to be completed, {} unclear, {} need nothing.",
            found.new.len(),
            found.add.len(),
            found.unclear.len(),
            found.known
        ),
        format!("# Nothing was written. Put what is right into {place}, then: ticketgate check"),
    ];
    for customer in &found.new {
        lines.push(String::new());
        lines.extend(section(customer, psa));
    }
    if !found.add.is_empty() {
        lines.extend([
            String::new(),
            "# --- To be completed: these lines instead of the customer's own ---".into(),
        ]);
    }
    for add in &found.add {
        let Some(customer) = config.customers.get(&add.customer) else { continue };
        lines.extend([String::new(), format!("# {} ({})", customer.id, customer.name)]);
        lines.extend(completed(customer, add, psa).into_iter().map(|line| format!("#   {line}")));
    }
    if !found.unclear.is_empty() {
        lines.extend([String::new(), "# --- Unclear: nothing was decided ---".into()]);
    }
    for unclear in &found.unclear {
        let New { name, companies, .. } = &unclear.company;
        let id = companies.first().map(|id| format!(" ({id})")).unwrap_or_default();
        lines.extend([String::new(), format!("# {name}{id}: {}.", unclear.why)]);
        for id in &unclear.customers {
            let Some(customer) = config.customers.get(id) else { continue };
            lines.push(format!("# If it is {id} ({}):", customer.name));
            let is_named = config.customers_named(name).contains(&id);
            let add = Add {
                customer: id.clone(),
                aliases: if is_named { Vec::new() } else { vec![name.clone()] },
                companies: companies.clone(),
                domains: unclear.company.domains.clone(),
            };
            lines.extend(completed(customer, &add, psa).into_iter().map(|line| format!("#   {line}")));
        }
        lines.push("# If it is new:".into());
        lines.extend(section(&unclear.company, psa).into_iter().map(|line| format!("#   {line}")));
    }
    if !found.left_out.is_empty() {
        lines.extend([String::new(), "# --- Left out ---".into()]);
        lines.extend(found.left_out.iter().map(|what| format!("# {what}")));
    }
    lines.join("\n")
}

fn section(customer: &New, psa: Option<&PsaId>) -> Vec<String> {
    let mut lines = vec![
        "[[customer]]".to_owned(),
        format!("id = {}", paste::text(&customer.id)),
        format!("name = {}", paste::text(&customer.name)),
    ];
    if !customer.domains.is_empty() {
        lines.push(format!("domains = {}", paste::list(&customer.domains)));
    }
    if let Some(psa) = psa.filter(|_| !customer.companies.is_empty()) {
        lines.push(paste::psa(None, psa, &customer.companies));
    }
    lines
}

fn completed(customer: &Customer, add: &Add, psa: Option<&PsaId>) -> Vec<String> {
    let mut lines = Vec::new();
    let lacking = |wanted: &[String], there: &[String]| -> Vec<String> {
        wanted.iter().filter(|one| !there.contains(one)).cloned().collect()
    };
    if !add.aliases.is_empty() {
        lines.push(paste::aliases(customer, &add.aliases));
    }
    let domains = lacking(&add.domains, &customer.domains);
    if !domains.is_empty() {
        lines.push(paste::domains(customer, &domains));
    }
    if let Some(psa) = psa {
        let companies = lacking(&add.companies, customer.psa.get(psa).map_or(&[][..], Vec::as_slice));
        if !companies.is_empty() {
            lines.push(paste::psa(Some(customer), psa, &companies));
        }
    }
    lines
}
