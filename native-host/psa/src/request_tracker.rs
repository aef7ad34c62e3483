//! Request Tracker over REST 2.0, part of RT since 5.0 (before, an extension). From its documentation (`RT::REST2`, RT 5.0.3) and
//! tried on that version.
//!
//! `url` is RT's own address, as in a browser: `https://rt.example.com`, or `https://example.com/rt`. `secret` is an
//! authentication token (`RT::AuthToken`) of the integration's user.
//!
//! RT knows no companies. A ticket's is what a custom field named like one says, else its queue; its name is its id, too.

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ticketgate_access::config::{self, folded};

use crate::client::{Ask, Auth, Client};
use crate::shape::{Id, another_ticket, digits, is_word, names, need, text, when};
use crate::{Company, Note, Psa, PsaError, Ticket};

/// `RT::REST2`, "Authentication Methods".
const AUTH: Auth = Auth::Word("token");

/// Names of custom fields that say whose a ticket is, in order of preference.
const COMPANY_FIELDS: [&str; 10] = [
    "customer",
    "company",
    "client",
    "customer name",
    "company name",
    "client name",
    "organization",
    "organisation",
    "kunde",
    "firma",
];

/// Tickets in one search: a query of a thousand characters, and an answer far below the bound.
const AT_ONCE: usize = 50;
/// The most that a page can have.
const PER_PAGE: &str = "100";
/// A desk has fewer queues, and a ticket fewer messages with one mark, than these pages hold.
const PAGES: u32 = 200;

pub(crate) struct RequestTracker {
    client: Client,
    closed: Vec<String>,
}

/// A page of a collection.
#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    /// Missing where the user may not see everything.
    next_page: Option<Value>,
    pages: Option<f64>,
}

#[derive(Deserialize)]
struct Found {
    id: Id,
    #[serde(rename = "Subject")]
    subject: Option<String>,
    #[serde(rename = "Status")]
    status: Option<String>,
    #[serde(rename = "Owner")]
    owner: Option<User>,
    #[serde(rename = "Requestor", default)]
    requestor: Vec<User>,
    #[serde(rename = "Queue")]
    queue: Option<Queue>,
    /// `""` where the queue has none.
    #[serde(rename = "CustomFields", default)]
    fields: Value,
    #[serde(rename = "LastUpdated")]
    changed: Option<String>,
}

#[derive(Deserialize)]
struct User {
    id: Id,
    #[serde(rename = "Name")]
    name: Option<String>,
    #[serde(rename = "EmailAddress")]
    email: Option<String>,
    #[serde(rename = "RealName")]
    real_name: Option<String>,
}

#[derive(Deserialize)]
struct Queue {
    #[serde(rename = "Name")]
    name: Option<String>,
}

#[derive(Deserialize)]
struct OnlyId {
    id: Id,
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "Content")]
    content: Option<String>,
}

impl RequestTracker {
    pub(crate) fn new(client: Client, settings: &config::Psa) -> Self {
        Self { client, closed: settings.closed.clone() }
    }

    async fn ask<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, PsaError> {
        self.client.send(&AUTH, ask).await?.json()
    }

    /// The tickets of these numbers that can be seen. Merged and deleted ones are not among them.
    ///
    /// A status is a word of the queue's life cycle, and only RT knows which of its words mean that there is nothing left to do. So it
    /// is asked for those where something is: mostly that is all of them, and one question. The rest is closed.
    async fn search(&self, numbers: &[&str]) -> Result<Vec<Ticket>, PsaError> {
        if !self.closed.is_empty() {
            return self.find(numbers, "", |status| is_word(status, &self.closed)).await;
        }
        let mut tickets = self.find(numbers, " AND Status = '__Active__'", |_| false).await?;
        let is_open = |number: &&&str| tickets.iter().any(|ticket| ticket.number == **number);
        let rest: Vec<&str> = numbers.iter().filter(|number| !is_open(number)).copied().collect();
        if !rest.is_empty() {
            tickets.append(&mut self.find(&rest, "", |_| true).await?);
        }
        Ok(tickets)
    }

    /// The tickets of these numbers of which this holds, too.
    async fn find(
        &self,
        numbers: &[&str],
        and: &str,
        closed: impl Fn(&str) -> bool,
    ) -> Result<Vec<Ticket>, PsaError> {
        let query = numbers.iter().map(|number| format!("id = {number}")).collect::<Vec<_>>().join(" OR ");
        let page: Page<Found> = self
            .ask(
                Ask::get("/REST/2.0/tickets")
                    .query("query", if and.is_empty() { query } else { format!("({query}){and}") })
                    .query("fields", "Subject,Status,Owner,Requestor,Queue,CustomFields,LastUpdated")
                    .query("fields[Owner]", "Name,EmailAddress,RealName")
                    .query("fields[Requestor]", "EmailAddress")
                    .query("fields[Queue]", "Name")
                    .query("per_page", PER_PAGE),
            )
            .await?;
        if page.items.iter().any(|found| !numbers.contains(&found.id.0.as_str())) {
            return Err(another_ticket());
        }
        page.items.into_iter().map(|found| ticket(found, &closed)).collect()
    }

    /// Why a search for this ticket finds nothing.
    async fn why_not_found(&self, number: &str) -> PsaError {
        match self.ask::<OnlyId>(Ask::get(format!("/REST/2.0/ticket/{number}"))).await {
            // It was merged into that one.
            Ok(found) if found.id.0 != number => another_ticket(),
            // It was deleted; or it cannot be seen: the search was allowed, so the user is a good one.
            Ok(_) | Err(PsaError::Refused(_)) => PsaError::NoSuchTicket,
            Err(error) => error,
        }
    }
}

#[async_trait]
impl Psa for RequestTracker {
    async fn ticket(&self, number: &str) -> Result<Ticket, PsaError> {
        let number = digits(number)?;
        match self.search(&[number]).await?.pop() {
            Some(ticket) => Ok(ticket),
            None => Err(self.why_not_found(number).await),
        }
    }

    async fn tickets(&self, numbers: &[String]) -> Result<Vec<Ticket>, PsaError> {
        let sound: Vec<&str> = numbers.iter().filter_map(|number| digits(number).ok()).collect();
        let mut found = Vec::new();
        for chunk in sound.chunks(AT_ONCE) {
            found.append(&mut self.search(chunk).await?);
        }
        Ok(found)
    }

    async fn check(&self) -> Result<(), PsaError> {
        // RT's version: nothing is searched for it, and whoever is not known is not told.
        self.client.send(&AUTH, Ask::get("/REST/2.0/rt")).await.map(drop)
    }

    async fn add_note(&self, ticket: &Ticket, note: &Note) -> Result<(), PsaError> {
        let id = digits(&ticket.id)?;
        // A comment is the desk's own; correspondence goes to the requestors.
        let kind = if note.public { "correspond" } else { "comment" };
        let body = json!({"ContentType": "text/plain", "Content": note.text});
        self.client.send(&AUTH, Ask::post(format!("/REST/2.0/ticket/{id}/{kind}"), body)).await.map(drop)
    }

    async fn has_note(&self, ticket: &Ticket, mark: &str) -> Result<bool, PsaError> {
        let id = digits(&ticket.id)?;
        // RT looks into its messages itself: an attachment of many megabytes is not loaded for its name.
        let query = json!([
            {"field": "ContentType", "value": "text/plain"},
            {"field": "Content", "operator": "LIKE", "value": mark},
        ]);
        for page in 1..=PAGES {
            let found: Page<Message> = self
                .ask(
                    Ask::get(format!("/REST/2.0/ticket/{id}/attachments"))
                        .query("query", query.to_string())
                        .query("fields", "Content")
                        .query("orderby", "id")
                        .query("order", "DESC")
                        .query("page", page.to_string()),
                )
                .await?;
            // `_` and `%` in a mark mean any character to RT.
            let is_it =
                |message: &Message| message.content.as_deref().is_some_and(|text| text.contains(mark));
            if found.items.iter().any(is_it) {
                return Ok(true);
            }
            if !found.goes_on(page) {
                break;
            }
        }
        Ok(false)
    }

    async fn companies(&self) -> Result<Vec<Company>, PsaError> {
        let mut companies = Vec::new();
        for page in 1..=PAGES {
            let found: Page<Queue> = self
                .ask(
                    Ask::get("/REST/2.0/queues/all")
                        .query("fields", "Name")
                        .query("per_page", PER_PAGE)
                        .query("page", page.to_string()),
                )
                .await?;
            companies.extend(found.items.iter().filter_map(|queue| company(queue.name.as_deref()?)));
            if !found.goes_on(page) {
                break;
            }
        }
        Ok(companies)
    }
}

impl<T> Page<T> {
    /// Whether there is a page after this one. Where RT does not tell how many there are, an empty one is the last.
    fn goes_on(&self, page: u32) -> bool {
        if self.items.is_empty() {
            return false;
        }
        self.next_page.is_some() || self.pages.is_none_or(|pages| f64::from(page) < pages)
    }
}

fn ticket(found: Found, closed: impl Fn(&str) -> bool) -> Result<Ticket, PsaError> {
    let status = need(text(found.status.as_deref()), "Status")?;
    Ok(Ticket {
        number: found.id.0.clone(),
        id: found.id.0,
        summary: text(found.subject.as_deref()),
        company: company_of(&found.fields, found.queue.and_then(|queue| queue.name).as_deref()),
        contact_email: found.requestor.iter().find_map(|user| text(user.email.as_deref())),
        closed: closed(&status),
        status,
        owner: found.owner.map(|owner| owner.names()).unwrap_or_default(),
        changed_at: when(found.changed.as_deref()),
    })
}

impl User {
    /// Every name; none for RT's own user that stands for nobody.
    fn names(&self) -> std::collections::BTreeSet<String> {
        if self.id.0 == "Nobody" {
            return std::collections::BTreeSet::new();
        }
        names([
            Some(self.id.0.as_str()),
            self.name.as_deref(),
            self.email.as_deref(),
            self.real_name.as_deref(),
        ])
    }
}

/// Whose the ticket is. A field with two values names no one company, and then the queue does not either.
fn company_of(fields: &Value, queue: Option<&str>) -> Option<Company> {
    let fields: Vec<(String, Vec<&str>)> = fields
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|field| {
            let values = field.get("values")?.as_array()?.iter().filter_map(Value::as_str);
            Some((folded(field.get("name")?.as_str()?), values.filter(|v| !v.trim().is_empty()).collect()))
        })
        .collect();
    let said = COMPANY_FIELDS
        .iter()
        .flat_map(|name| fields.iter().filter(move |(field, _)| field == name))
        .find(|(_, values)| !values.is_empty());
    match said.map(|(_, values)| values.as_slice()) {
        Some([only]) => company(only),
        Some(_) => None,
        None => company(queue?),
    }
}

fn company(name: &str) -> Option<Company> {
    let name = text(Some(name))?;
    Some(Company { id: name.clone(), name, domains: Vec::new() })
}

#[cfg(test)]
mod tests;
