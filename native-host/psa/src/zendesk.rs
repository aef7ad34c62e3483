//! Zendesk Support over its Ticketing API v2. From its reference on developer.zendesk.com ("Tickets", "Ticket Comments",
//! "Organizations", "Side-Loading", "Pagination", "Security and authentication"); not tried on a live tenant.
//!
//! `url` is the account's own address, not a mapped one: `https://acme.zendesk.com`. `login` is the e-mail address of the API
//! token's owner, `secret` the token.

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use ticketgate_access::config;

use crate::client::{Ask, Auth, Client};
use crate::shape::{Id, another_ticket, digits, is_word, names, need, text, when};
use crate::{Company, Note, Psa, PsaError, Ticket};

/// What `show_many` takes.
const AT_ONCE: usize = 100;
/// Comments on a page: each may be 64 KiB, in three forms.
const COMMENTS: &str = "25";
const COMMENT_PAGES: usize = 40;
const PAGES: usize = 200;

pub(crate) struct Zendesk {
    client: Client,
    auth: Auth,
    closed: Vec<String>,
}

#[derive(Deserialize)]
struct One {
    ticket: Found,
    #[serde(flatten)]
    beside: Beside,
}

#[derive(Deserialize)]
struct Many {
    tickets: Vec<Found>,
    #[serde(flatten)]
    beside: Beside,
}

/// What is loaded beside tickets. Nobody and nothing where they have none.
#[derive(Deserialize)]
struct Beside {
    #[serde(default)]
    users: Vec<User>,
    #[serde(default)]
    organizations: Vec<Organization>,
}

#[derive(Deserialize)]
struct Found {
    id: Option<Id>,
    subject: Option<String>,
    status: Option<String>,
    organization_id: Option<Id>,
    requester_id: Option<Id>,
    assignee_id: Option<Id>,
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct User {
    id: Id,
    name: Option<String>,
    email: Option<String>,
}

#[derive(Deserialize)]
struct Organization {
    id: Id,
    name: Option<String>,
    #[serde(default)]
    domain_names: Vec<String>,
}

#[derive(Deserialize)]
struct Organizations {
    organizations: Vec<Organization>,
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Comments {
    comments: Vec<Comment>,
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Comment {
    body: Option<String>,
}

/// "Cursor pagination".
#[derive(Deserialize)]
struct Meta {
    has_more: bool,
    after_cursor: Option<String>,
}

impl Zendesk {
    pub(crate) fn new(client: Client, settings: &config::Psa) -> Self {
        let user = settings.login.as_deref().unwrap_or_default();
        Self { client, auth: Auth::Basic(format!("{user}/token")), closed: settings.closed.clone() }
    }

    async fn ask<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, PsaError> {
        self.client.send(&self.auth, ask).await?.json()
    }

    fn ticket_of(&self, found: Found, beside: &Beside) -> Result<Ticket, PsaError> {
        let id = need(found.id, "id")?.0;
        let status = need(text(found.status.as_deref()), "status")?;
        let owner = match beside.user(&found.assignee_id) {
            None => names([]),
            Some((id, None)) => names([Some(id)]),
            Some((id, Some(user))) => names([Some(id), user.name.as_deref(), user.email.as_deref()]),
        };
        let contact = beside.user(&found.requester_id).and_then(|(_, user)| user?.email.as_deref());
        Ok(Ticket {
            number: id.clone(),
            id,
            summary: text(found.subject.as_deref()),
            company: found.organization_id.filter(|id| !id.is_none()).map(|id| {
                let known = beside.organizations.iter().find(|organization| organization.id == id);
                known.map_or(Company { id: id.0, ..Company::default() }, Organization::company)
            }),
            contact_email: text(contact),
            // Solved can be opened again, by the customer, too; until then nobody works on it.
            closed: if self.closed.is_empty() {
                matches!(status.as_str(), "solved" | "closed")
            } else {
                is_word(&status, &self.closed)
            },
            status,
            owner,
            changed_at: when(found.updated_at.as_deref()),
        })
    }
}

impl Beside {
    /// The id of somebody, and who that is where it was loaded.
    fn user<'a>(&'a self, id: &'a Option<Id>) -> Option<(&'a str, Option<&'a User>)> {
        let id = id.as_ref().filter(|id| !id.is_none())?;
        Some((id.0.as_str(), self.users.iter().find(|user| user.id == *id)))
    }
}

impl Organization {
    fn company(&self) -> Company {
        Company {
            id: self.id.0.clone(),
            name: text(self.name.as_deref()).unwrap_or_default(),
            domains: self.domain_names.iter().filter_map(|domain| text(Some(domain))).collect(),
        }
    }
}

/// The cursor of the next page.
fn next(meta: Option<Meta>) -> Option<String> {
    meta.filter(|meta| meta.has_more)?.after_cursor
}

#[async_trait]
impl Psa for Zendesk {
    async fn ticket(&self, number: &str) -> Result<Ticket, PsaError> {
        let number = digits(number)?;
        let ask = Ask::get(format!("/api/v2/tickets/{number}")).query("include", "users,organizations");
        let found: One = self.ask(ask).await?;
        let ticket = self.ticket_of(found.ticket, &found.beside)?;
        if ticket.id == number { Ok(ticket) } else { Err(another_ticket()) }
    }

    async fn tickets(&self, numbers: &[String]) -> Result<Vec<Ticket>, PsaError> {
        let sound: Vec<&str> = numbers.iter().filter_map(|number| digits(number).ok()).collect();
        let mut tickets = Vec::new();
        for chunk in sound.chunks(AT_ONCE) {
            let ask = Ask::get("/api/v2/tickets/show_many")
                .query("ids", chunk.join(","))
                .query("include", "users,organizations");
            let found: Many = self.ask(ask).await?;
            for one in found.tickets {
                let ticket = self.ticket_of(one, &found.beside)?;
                if !chunk.contains(&ticket.id.as_str()) {
                    return Err(another_ticket());
                }
                tickets.push(ticket);
            }
        }
        Ok(tickets)
    }

    async fn add_note(&self, ticket: &Ticket, note: &Note) -> Result<(), PsaError> {
        let id = digits(&ticket.id)?;
        let body = json!({"ticket": {"comment": {"body": note.text, "public": note.public}}});
        self.client.send(&self.auth, Ask::put(format!("/api/v2/tickets/{id}"), body)).await.map(drop)
    }

    async fn has_note(&self, ticket: &Ticket, mark: &str) -> Result<bool, PsaError> {
        let path = format!("/api/v2/tickets/{}/comments", digits(&ticket.id)?);
        let mut after = None;
        for _ in 0..COMMENT_PAGES {
            let mut ask = Ask::get(&path).query("page[size]", COMMENTS).query("sort", "-created_at");
            if let Some(cursor) = after {
                ask = ask.query("page[after]", cursor);
            }
            let found: Comments = self.ask(ask).await?;
            if found.comments.iter().any(|c| c.body.as_deref().is_some_and(|body| body.contains(mark))) {
                return Ok(true);
            }
            after = next(found.meta);
            if after.is_none() {
                break;
            }
        }
        Ok(false)
    }

    async fn companies(&self) -> Result<Vec<Company>, PsaError> {
        let mut companies = Vec::new();
        let mut after = None;
        for _ in 0..PAGES {
            let mut ask = Ask::get("/api/v2/organizations").query("page[size]", "100");
            if let Some(cursor) = after {
                ask = ask.query("page[after]", cursor);
            }
            let found: Organizations = self.ask(ask).await?;
            companies.extend(found.organizations.iter().map(Organization::company));
            after = next(found.meta);
            if after.is_none() {
                break;
            }
        }
        Ok(companies)
    }
}

#[cfg(test)]
mod tests;
