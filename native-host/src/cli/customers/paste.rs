//! Pieces of TOML as a person would write them into the configuration.

use ticketgate_access::config::Customer;
use ticketgate_protocol::ids::PsaId;

/// A text in quotes. JSON's escapes are TOML's.
pub(in crate::cli) fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `["a", "b"]`.
pub(super) fn list<'a>(items: impl IntoIterator<Item = &'a String>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| text(item)).collect();
    format!("[{}]", items.join(", "))
}

/// The line `aliases = […]` of a customer with these added.
pub(super) fn aliases(customer: &Customer, more: &[String]) -> String {
    format!("aliases = {}", list(customer.aliases.iter().chain(more)))
}

/// The line `domains = […]` of a customer with these added.
pub(super) fn domains(customer: &Customer, more: &[String]) -> String {
    format!("domains = {}", list(customer.domains.iter().chain(more)))
}

/// The line `psa = { … }` of a customer, or of none, with these companies of one ticket system added.
pub(super) fn psa(customer: Option<&Customer>, psa: &PsaId, more: &[String]) -> String {
    let mut all = customer.map(|customer| customer.psa.clone()).unwrap_or_default();
    all.entry(psa.clone()).or_default().extend(more.iter().cloned());
    let entries: Vec<String> = all.iter().map(|(id, ids)| format!("{} = {}", key(id), list(ids))).collect();
    format!("psa = {{ {} }}", entries.join(", "))
}

/// A dot would mean a table inside the table.
fn key(id: &PsaId) -> String {
    if id.as_str().contains('.') { text(id.as_str()) } else { id.to_string() }
}
