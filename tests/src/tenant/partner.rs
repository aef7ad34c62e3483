//! A partner: its customers, the relationships that lead to their tenants (GDAP), and its contracts.

use super::answer::{Answered, Pages, list};
use super::groups::selected;
use super::question::Question;
use super::state::State;
use super::{Tenant, locked};
use chrono::{Duration, SecondsFormat};
use serde_json::{Value, json};

/// A customer, as its partner knows it.
#[derive(Debug, Clone)]
pub(super) struct Customer {
    tenant: String,
    name: String,
    /// As a contract has it.
    domain: Option<String>,
    /// Of the relationship, such as `active`.
    status: String,
}

impl Tenant {
    /// A partner's customers: tenant id and name, with an active relationship and no contract.
    pub fn set_customers(&self, customers: &[(&str, &str)]) {
        self.with(|tenant| tenant.state.customers.clear());
        for (id, name) in customers {
            self.add_customer(id, name, None, "active");
        }
    }

    /// One more customer; a domain where there is a contract, and the relationship's status.
    pub fn add_customer(&self, id: &str, name: &str, domain: Option<&str>, status: &str) {
        let customer = Customer {
            tenant: id.to_owned(),
            name: name.to_owned(),
            domain: domain.map(str::to_owned),
            status: status.to_owned(),
        };
        self.with(|tenant| tenant.state.customers.push(customer));
    }

    /// From now on people of `partner` reach this tenant by their own sign-in and the partner's public client.
    pub fn is_reached_from(&self, partner: &Tenant) {
        let client = partner.public_client();
        let mut world = locked(&self.world);
        if let Some(tenant) = world.tenants.get_mut(self.place) {
            tenant.public_client = client;
            tenant.partner = Some(partner.place);
        }
    }

    /// An administrator lets people do all that the app may.
    pub fn people_administrate(&self) {
        self.with(|tenant| tenant.delegated.extend(super::ADMINISTRATION.map(str::to_owned)));
    }
}

pub(super) fn customers(shown: &State, question: &Question, pages: &Pages) -> Answered {
    question.options_are(&["$top", "$select"])?;
    let select = question.select(&["id", "tenantId", "displayName"])?;
    // Each once, however many relationships there are.
    let first =
        |at: usize, of: &Customer| !shown.customers.iter().take(at).any(|before| before.tenant == of.tenant);
    let customers = shown.customers.iter().enumerate().filter(|(at, of)| first(*at, of)).map(|(_, of)| {
        selected(&json!({"id": of.tenant, "tenantId": of.tenant, "displayName": of.name}), select.as_deref())
    });
    list(question, &customers.collect::<Vec<_>>(), pages, 300)
}

pub(super) fn relationships(shown: &State, question: &Question, pages: &Pages) -> Answered {
    question.options_are(&["$top"])?;
    let relationships: Vec<Value> = shown.customers.iter().map(relationship).collect();
    list(question, &relationships, pages, 300)
}

fn relationship(of: &Customer) -> Value {
    let time = |days: i64| {
        (super::sign_in::real_now() + Duration::days(days)).to_rfc3339_opts(SecondsFormat::Secs, true)
    };
    json!({
        "id": format!("{}-{}", of.tenant, of.tenant),
        "displayName": format!("{} admin relationship", of.name),
        "duration": "P730D",
        "customer": {"tenantId": of.tenant, "displayName": of.name},
        "accessDetails": {"unifiedRoles": [{"roleDefinitionId": "29232cdf-9323-42fd-ade2-1d097af3e4de"}]},
        "status": of.status,
        "autoExtendDuration": "PT0S",
        "createdDateTime": time(-10),
        "lastModifiedDateTime": time(-10),
        "activatedDateTime": time(-10),
        "endDateTime": time(720),
    })
}

pub(super) fn contracts(shown: &State, question: &Question, pages: &Pages) -> Answered {
    question.options_are(&[])?;
    let contracts = shown.customers.iter().filter_map(|of| {
        Some(json!({
            "id": of.tenant,
            "contractType": "BreadthPartner",
            "customerId": of.tenant,
            "defaultDomainName": of.domain.clone()?,
            "displayName": of.name,
        }))
    });
    list(question, &contracts.collect::<Vec<_>>(), pages, 999)
}
