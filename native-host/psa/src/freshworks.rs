//! Freshdesk and Freshservice: one vendor's API v2 twice, apart from what a customer is called and how an answer is wrapped. From
//! "Freshdesk API v2" (developers.freshdesk.com/api) and "Freshservice API v2" (api.freshservice.com); not tried on a live tenant.
//!
//! `url` is the account's own address, not a mapped one: `https://acme.freshdesk.com`, `https://acme.freshservice.com`. `secret`
//! is the API key of the integration's agent.
//!
//! A customer is a company in Freshdesk and a department in Freshservice (whose MSP mode shows departments as companies).

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ticketgate_access::config;

use crate::client::{Ask, Auth, Client};
use crate::shape::{Id, another_ticket, digits, is_word, names, need, text, when};
use crate::{Company, Note, Psa, PsaError, Ticket};

/// "Authentication": the key as the user, any password.
const AUTH: Auth = Auth::BasicKey("X");

/// Conversations on a page: each may be long, and comes as HTML and as text.
const CONVERSATIONS: usize = 30;
const CONVERSATION_PAGES: u32 = 100;
const COMPANIES: usize = 100;
const PAGES: u32 = 200;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Product {
    Desk,
    Service,
}

pub(crate) struct Freshworks {
    client: Client,
    product: Product,
    closed: Vec<String>,
}

#[derive(Deserialize)]
struct Found {
    id: Option<Id>,
    subject: Option<String>,
    status: Option<i64>,
    /// Freshdesk's customer.
    company_id: Option<Id>,
    /// Freshservice's customer.
    department_id: Option<Id>,
    /// Freshdesk's, where it is asked for.
    company: Option<Customer>,
    responder_id: Option<Id>,
    requester: Option<Person>,
    updated_at: Option<String>,
    /// In the bin.
    deleted: Option<bool>,
}

#[derive(Deserialize)]
struct Person {
    name: Option<String>,
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    /// Where Freshdesk keeps an agent's name and address.
    contact: Option<Box<Person>>,
}

#[derive(Deserialize)]
struct Customer {
    id: Option<Id>,
    name: Option<String>,
    domains: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Conversation {
    body: Option<String>,
    body_text: Option<String>,
}

/// What tickets named by id, and was looked up already.
#[derive(Default)]
struct Seen {
    companies: BTreeMap<Id, Company>,
    owners: BTreeMap<Id, BTreeSet<String>>,
}

impl Product {
    /// The path of customers, and the word around one.
    const fn customers(self) -> (&'static str, &'static str) {
        match self {
            Self::Desk => ("companies", "company"),
            Self::Service => ("departments", "department"),
        }
    }

    /// What is loaded with a ticket: Freshservice does not offer the department.
    const fn included(self) -> &'static str {
        match self {
            Self::Desk => "requester,company",
            Self::Service => "requester",
        }
    }

    /// The number behind what people say: Freshservice shows `INC-12` and `SR-12`, and both count in one row.
    fn id(self, number: &str) -> Result<&str, PsaError> {
        match (self, number.split_once('-')) {
            (Self::Service, Some((kind, id)))
                if matches!(kind.to_ascii_uppercase().as_str(), "INC" | "SR") =>
            {
                digits(id)
            }
            _ => digits(number),
        }
    }
}

impl Freshworks {
    pub(crate) fn new(client: Client, settings: &config::Psa, product: Product) -> Self {
        Self { client, product, closed: settings.closed.clone() }
    }

    /// Freshservice wraps what it answers in an object with one field; Freshdesk does not.
    async fn ask<T: DeserializeOwned>(&self, ask: Ask, wrapped: &str) -> Result<T, PsaError> {
        let answer = self.client.send(&AUTH, ask).await?;
        if self.product == Product::Desk {
            return answer.json();
        }
        let mut object: serde_json::Map<String, Value> = answer.json()?;
        let inner = need(object.remove(wrapped), wrapped)?;
        serde_json::from_value(inner)
            .map_err(|_| PsaError::Unreadable(format!("`{wrapped}` is not of the documented shape")))
    }

    /// One more look for what a ticket only names by its id. A key that may not look there still has the id.
    async fn named<T: DeserializeOwned>(
        &self,
        path: &str,
        wrapped: &str,
        id: &Id,
    ) -> Result<Option<T>, PsaError> {
        let Ok(number) = digits(&id.0) else { return Ok(None) };
        match self.ask(Ask::get(format!("/api/v2/{path}/{number}")), wrapped).await {
            Ok(found) => Ok(Some(found)),
            Err(PsaError::NoSuchTicket | PsaError::Refused(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn read(&self, number: &str, seen: &mut Seen) -> Result<Ticket, PsaError> {
        let id = self.product.id(number)?;
        let ask = Ask::get(format!("/api/v2/tickets/{id}")).query("include", self.product.included());
        let found: Found = self.ask(ask, "ticket").await?;
        if need(found.id, "id")?.0 != id {
            return Err(another_ticket());
        }
        if found.deleted == Some(true) {
            return Err(PsaError::NoSuchTicket);
        }
        let customer = match self.product {
            Product::Desk => found.company_id,
            Product::Service => found.department_id,
        };
        let (status, closed) = self.status(need(found.status, "status")?);
        Ok(Ticket {
            id: id.to_owned(),
            number: number.to_owned(),
            summary: text(found.subject.as_deref()),
            company: self.company(customer, found.company, seen).await?,
            contact_email: text(found.requester.as_ref().and_then(|person| person.email.as_deref())),
            status,
            closed,
            owner: self.owner(found.responder_id, seen).await?,
            changed_at: when(found.updated_at.as_deref()),
        })
    }

    /// The customer of this id, which may have come with the ticket.
    async fn company(
        &self,
        id: Option<Id>,
        loaded: Option<Customer>,
        seen: &mut Seen,
    ) -> Result<Option<Company>, PsaError> {
        let Some(id) = id.filter(|id| !id.is_none()) else { return Ok(None) };
        if let Some(company) = seen.companies.get(&id) {
            return Ok(Some(company.clone()));
        }
        let (path, wrapped) = self.product.customers();
        let found = match loaded {
            Some(customer) => Some(customer),
            None => self.named(path, wrapped, &id).await?,
        };
        let company = match found {
            Some(customer) if customer.id.as_ref() != Some(&id) => {
                return Err(PsaError::Unreadable(format!("it is about another {wrapped} than asked")));
            }
            Some(customer) => customer.company(),
            None => None,
        };
        let company = company.unwrap_or_else(|| Company { id: id.0.clone(), ..Company::default() });
        seen.companies.insert(id, company.clone());
        Ok(Some(company))
    }

    async fn owner(&self, id: Option<Id>, seen: &mut Seen) -> Result<BTreeSet<String>, PsaError> {
        let Some(id) = id.filter(|id| !id.is_none()) else { return Ok(BTreeSet::new()) };
        if let Some(owner) = seen.owners.get(&id) {
            return Ok(owner.clone());
        }
        let found: Option<Person> = self.named("agents", "agent", &id).await?;
        let person = found.as_ref().map(|person| person.contact.as_deref().unwrap_or(person));
        let full = person.and_then(|p| Some(format!("{} {}", p.first_name.as_ref()?, p.last_name.as_ref()?)));
        let owner = names([
            Some(id.0.as_str()),
            person.and_then(|p| p.name.as_deref()),
            person.and_then(|p| p.email.as_deref()),
            full.as_deref(),
        ]);
        seen.owners.insert(id, owner.clone());
        Ok(owner)
    }

    /// "Ticket Properties": the four that every account has; others are the account's own and mean open unless configured.
    fn status(&self, code: i64) -> (String, bool) {
        let word = match code {
            2 => "Open".to_owned(),
            3 => "Pending".to_owned(),
            4 => "Resolved".to_owned(),
            5 => "Closed".to_owned(),
            other => other.to_string(),
        };
        let closed = if self.closed.is_empty() {
            matches!(code, 4 | 5)
        } else {
            is_word(&word, &self.closed) || is_word(&code.to_string(), &self.closed)
        };
        (word, closed)
    }
}

impl Customer {
    fn company(self) -> Option<Company> {
        let domains = self.domains.unwrap_or_default();
        Some(Company {
            id: self.id?.0,
            name: text(self.name.as_deref()).unwrap_or_default(),
            domains: domains.iter().filter_map(|domain| text(Some(domain))).collect(),
        })
    }
}

/// A note's body is HTML.
fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\n', "<br>")
}

#[async_trait]
impl Psa for Freshworks {
    async fn ticket(&self, number: &str) -> Result<Ticket, PsaError> {
        self.read(number, &mut Seen::default()).await
    }

    /// One by one: there is no call for several. Companies and agents are looked up once each.
    async fn tickets(&self, numbers: &[String]) -> Result<Vec<Ticket>, PsaError> {
        let mut seen = Seen::default();
        let mut tickets = Vec::new();
        for number in numbers {
            match self.read(number, &mut seen).await {
                Ok(ticket) => tickets.push(ticket),
                Err(PsaError::NoSuchTicket) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(tickets)
    }

    async fn add_note(&self, ticket: &Ticket, note: &Note) -> Result<(), PsaError> {
        let id = digits(&ticket.id)?;
        let body = json!({"body": html(&note.text), "private": !note.public});
        self.client.send(&AUTH, Ask::post(format!("/api/v2/tickets/{id}/notes"), body)).await.map(drop)
    }

    /// Oldest first: neither product offers another order.
    async fn has_note(&self, ticket: &Ticket, mark: &str) -> Result<bool, PsaError> {
        let path = format!("/api/v2/tickets/{}/conversations", digits(&ticket.id)?);
        let marked = html(mark);
        for page in 1..=CONVERSATION_PAGES {
            let ask =
                Ask::get(&path).query("per_page", CONVERSATIONS.to_string()).query("page", page.to_string());
            let found: Vec<Conversation> = self.ask(ask, "conversations").await?;
            let is_it = |c: &Conversation| {
                c.body_text.as_deref().is_some_and(|text| text.contains(mark))
                    || c.body.as_deref().is_some_and(|body| body.contains(&marked))
            };
            if found.iter().any(is_it) {
                return Ok(true);
            }
            if found.len() < CONVERSATIONS {
                break;
            }
        }
        Ok(false)
    }

    async fn companies(&self) -> Result<Vec<Company>, PsaError> {
        let (path, _) = self.product.customers();
        let mut companies = Vec::new();
        for page in 1..=PAGES {
            let ask = Ask::get(format!("/api/v2/{path}"))
                .query("per_page", COMPANIES.to_string())
                .query("page", page.to_string());
            let found: Vec<Customer> = self.ask(ask, path).await?;
            let full = found.len() >= COMPANIES;
            companies.extend(found.into_iter().filter_map(Customer::company));
            if !full {
                break;
            }
        }
        Ok(companies)
    }
}

#[cfg(test)]
mod tests;
