//! A partner's tenants beside the configuration: which are there, which can be added, and what to write for those. The file is the
//! administrator's: nothing is changed.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use ticketgate_access::config::{Config, DirectoryKind, Entra, Proof};
use ticketgate_protocol::ids::DirectoryId;
use ticketgate_protocol::text;

use crate::cli::customers::{NAME_MAX, free_id, paste};
use crate::sign_in::PartnerTenant;

/// A partner's tenants.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Offered {
    tenants: Vec<Tenant>,
}

/// One of them.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Tenant {
    tenant: String,
    name: String,
    /// When the last relationship that is active ends; nothing where none is.
    until: Option<DateTime<Utc>>,
    /// The directories of the configuration that are it.
    directories: Vec<DirectoryId>,
    /// What would add it, where a relationship is active.
    toml: Option<String>,
}

/// `asked` is the directory by whose sign-in they were listed.
pub(super) fn compare(config: &Config, asked: &DirectoryId, found: Vec<PartnerTenant>) -> Offered {
    let tenant_of = |kind: &DirectoryKind| match kind {
        DirectoryKind::Entra(tenant) => Some(Entra::clone(tenant)),
        DirectoryKind::ActiveDirectory(_) | DirectoryKind::Local(_) => None,
    };
    let by = config.directories.get(asked).and_then(|directory| tenant_of(&directory.kind));
    let mut customers: BTreeSet<String> = config.customers.keys().map(ToString::to_string).collect();
    let mut directories: BTreeSet<String> = config.directories.keys().map(ToString::to_string).collect();
    let tenants = found.into_iter().map(|found| {
        let is_it = |tenant: Entra| tenant.tenant.as_str() == found.tenant;
        let known: Vec<DirectoryId> = config
            .directories
            .values()
            .filter(|directory| tenant_of(&directory.kind).is_some_and(is_it))
            .map(|directory| directory.id.clone())
            .collect();
        // A name of somebody else's is no more than a line of text.
        let name = text::line(&found.name, NAME_MAX).unwrap_or_else(|_| found.tenant.clone());
        let is_new = known.is_empty() && found.until.is_some();
        let toml = by.as_ref().filter(|_| is_new).map(|by| {
            let named = config.customers_named(&name).into_iter().next();
            let customer = named.map_or_else(|| free_id(&name, &mut customers), ToString::to_string);
            let directory = free_id(&format!("{customer} entra"), &mut directories);
            let mut lines = Vec::new();
            if named.is_none() {
                lines.extend(["[[customer]]".to_owned(), format!("id = {}", paste::text(&customer))]);
                lines.extend([format!("name = {}", paste::text(&name)), String::new()]);
            }
            lines.extend(section(by, &directory, &customer, &found));
            lines.join("\n")
        });
        Tenant { name, until: found.until, directories: known, toml, tenant: found.tenant }
    });
    Offered { tenants: tenants.collect() }
}

fn section(by: &Entra, directory: &str, customer: &str, found: &PartnerTenant) -> Vec<String> {
    let home = match &by.proof {
        Proof::Technician { home, .. } => home,
        Proof::Certificate { .. } | Proof::Secret(_) => &by.tenant,
    };
    let mut lines = vec!["[[directory]]".to_owned()];
    lines.extend(
        [
            ("id", directory),
            ("customer", customer),
            ("kind", "entra"),
            ("tenant", &found.tenant),
            ("client_id", by.client_id.as_str()),
            ("sign_in", "technician"),
            ("partner", home.as_str()),
        ]
        .map(|(key, value)| format!("{key} = {}", paste::text(value))),
    );
    lines.push(match &found.domain {
        Some(domain) => format!("account_domain = {}", paste::text(domain)),
        None => "account_domain = \"\"  # a verified domain of the tenant".into(),
    });
    lines
}

/// As TOML that adds the new ones and nothing else.
pub(super) fn text(offered: &Offered, place: &str) -> String {
    let tenants = &offered.tenants;
    let new = tenants.iter().filter(|tenant| tenant.toml.is_some()).count();
    let known = tenants.iter().filter(|tenant| !tenant.directories.is_empty()).count();
    let mut lines = vec![format!(
        "# {} tenants: {known} in the configuration, {new} to be added, {} without an active relationship.",
        tenants.len(),
        tenants.iter().filter(|tenant| tenant.until.is_none()).count()
    )];
    if new > 0 {
        lines.push(format!("# Nothing was written. Put what is right into {place}, then: ticketgate check"));
    }
    for tenant in tenants {
        let relationship = match tenant.until {
            Some(until) => format!("until {}", until.format("%Y-%m-%d")),
            None => "no active relationship".into(),
        };
        let directories: Vec<&str> = tenant.directories.iter().map(DirectoryId::as_str).collect();
        let there = match directories.as_slice() {
            [] => String::new(),
            there => format!(", there as {}", there.join(", ")),
        };
        lines
            .extend([String::new(), format!("# {} ({}): {relationship}{there}", tenant.name, tenant.tenant)]);
        lines.extend(tenant.toml.clone());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use ticketgate_access::config;

    use super::*;

    const KNOWN: &str = r#"
[[customer]]
id = "msp"
[[customer]]
id = "globex"
name = "Globex"
[[directory]]
id = "msp-entra"
customer = "msp"
kind = "entra"
tenant = "9f4c6d1e-0000-4000-8000-000000000001"
client_id = "9f4c6d1e-0000-4000-8000-000000000002"
sign_in = "technician"
account_domain = "msp.example"
"#;

    fn listed(last: u8, name: &str, domain: Option<&str>, until: Option<i64>) -> PartnerTenant {
        PartnerTenant {
            tenant: format!("9f4c6d1e-0000-4000-8000-00000000000{last}"),
            name: name.into(),
            domain: domain.map(str::to_owned),
            until: until.and_then(|at| DateTime::from_timestamp(at, 0)),
        }
    }

    #[test]
    fn what_is_offered_is_a_configuration_that_can_be_read_and_names_the_partners_sign_in() {
        let config = config::read(KNOWN).unwrap_or_else(|faults| panic!("{faults}"));
        let end = Some(1_900_000_000);
        let found = vec![
            listed(3, "Contoso \"Inc\"", Some("contoso.onmicrosoft.com"), end),
            listed(4, "globex", Some("globex.example"), end),
            listed(5, "Gone Ltd", None, None),
            listed(1, "MSP", None, end),
        ];
        let offered = compare(&config, &"msp-entra".parse().unwrap(), found);
        let text = text(&offered, "/etc/x.toml");
        assert!(text.starts_with("# 4 tenants: 1 in the configuration, 2 to be added, 1 without"), "{text}");
        assert!(
            text.contains("# Gone Ltd (9f4c6d1e-0000-4000-8000-000000000005): no active relationship\n"),
            "{text}"
        );
        assert!(text.contains("until 2030-03-17, there as msp-entra"), "{text}");
        assert_eq!(text.matches("[[customer]]").count(), 1, "{text}");
        let config =
            config::read(&format!("{KNOWN}{text}")).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
        let added = &config.directories[&"contoso-entra".parse().unwrap()];
        let DirectoryKind::Entra(tenant) = &added.kind else { panic!("{added:?}") };
        assert_eq!(
            tenant.sign_in_name().as_deref(),
            Some("entra/9f4c6d1e-0000-4000-8000-000000000001/9f4c6d1e-0000-4000-8000-000000000002")
        );
        assert_eq!(
            (added.customer.as_str(), tenant.account_domain.as_str()),
            ("contoso", "contoso.onmicrosoft.com")
        );
        assert_eq!(config.directories[&"globex-entra".parse().unwrap()].customer.as_str(), "globex");
    }
}
