//! A partner's customers: the tenants to which granular delegated admin privileges (GDAP) lead. Listed only; what becomes of a
//! relationship is Partner Center's.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use ticketgate_access::config::Proof;

use super::failure::{About, What};
use super::graph::{Ask, Graph};
use super::wire::Word;
use crate::DirectoryError;

const NEEDS: &str = "DelegatedAdminRelationship.Read.All";
const PAGE: &str = "300";

/// A customer's tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerTenant {
    /// Its id.
    pub tenant: String,
    /// The customer's name.
    pub name: String,
    /// Its first domain, where the partner's contracts say it.
    pub domain: Option<String>,
    /// When the last of the relationships that are active ends; nothing where none is.
    pub until: Option<DateTime<Utc>>,
}

/// `delegatedAdminCustomer`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Customer {
    pub(super) tenant_id: String,
    pub(super) display_name: Option<String>,
}

/// `delegatedAdminRelationship`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Relationship {
    status: Option<Word>,
    customer: Option<Customer>,
    end_date_time: Option<DateTime<Utc>>,
}

/// `contract`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Contract {
    customer_id: Option<String>,
    default_domain_name: Option<String>,
}

pub(super) async fn tenants(graph: &Graph) -> Result<Vec<PartnerTenant>, DirectoryError> {
    let about = About { what: What::Tenant, needs: NEEDS, writes: false };
    let meant = |failed: super::failure::Failed| failed.meaning(&about);
    let of_home;
    let graph = match &graph.settings().proof {
        Proof::Technician { home, .. } if *home != graph.settings().tenant => {
            of_home = graph.of(home)?;
            &of_home
        }
        _ => graph,
    };
    let ask = |path: &str| Ask::get(path).option("$top", PAGE);
    let (customers, _) =
        graph.list::<Customer>(&ask("/tenantRelationships/delegatedAdminCustomers")).await.map_err(meant)?;
    let (relationships, _) = graph
        .list::<Relationship>(&ask("/tenantRelationships/delegatedAdminRelationships"))
        .await
        .map_err(meant)?;
    // Only resellers have contracts, and who may not read them goes without the domains.
    let contracts = match graph.list::<Contract>(&Ask::get("/contracts")).await {
        Ok((contracts, _)) => contracts,
        Err(failed) => {
            tracing::debug!(error = %failed.meaning(&about), "the partner's contracts cannot be read");
            Vec::new()
        }
    };
    let mut ends: BTreeMap<String, DateTime<Utc>> = BTreeMap::new();
    for relationship in relationships {
        let active = relationship.status.is_some_and(|status| status.as_str() == "active");
        if let (true, Some(customer), Some(end)) = (active, relationship.customer, relationship.end_date_time)
        {
            let last = ends.entry(customer.tenant_id.to_ascii_lowercase()).or_insert(end);
            *last = end.max(*last);
        }
    }
    let domains: BTreeMap<String, String> = contracts
        .into_iter()
        .filter_map(|contract| {
            Some((contract.customer_id?.to_ascii_lowercase(), contract.default_domain_name?))
        })
        .collect();
    let found = customers.into_iter().map(|customer| {
        let tenant = customer.tenant_id.to_ascii_lowercase();
        PartnerTenant {
            name: customer.display_name.unwrap_or_else(|| tenant.clone()),
            domain: domains.get(&tenant).cloned(),
            until: ends.get(&tenant).copied(),
            tenant,
        }
    });
    let mut found: Vec<PartnerTenant> = found.collect();
    found.sort_by(|a, b| (a.name.to_lowercase(), &a.tenant).cmp(&(b.name.to_lowercase(), &b.tenant)));
    Ok(found)
}
