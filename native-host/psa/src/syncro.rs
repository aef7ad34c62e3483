//! Syncro, and RepairShopr, which is the same platform under another name: tickets, their comments, customers.
//!
//! Document: "Syncro v1", the vendor's OpenAPI description at api-docs.syncromsp.com (as of May 2026). Not verified on a live
//! tenant; RepairShopr's own description was not at hand, its API is taken to be the same.
//!
//! `url` is the subdomain's address, with or without the API's path: `https://acme.syncromsp.com` or
//! `https://acme.repairshopr.com/api/v1`. The number that people say is not the id in the page's address: a ticket is searched
//! by number, then read by id for the people in it.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use ticketgate_access::config;
use ticketgate_access::config::folded;

use crate::client::{Answer, Ask, Auth, Client};
use crate::shape::{
    Id, another_ticket, company, is_closed, many_tickets, missing, names, need, when, whole_number,
};
use crate::words::line;
use crate::{Company, Note, Psa, PsaError, Ticket};

/// What every token is shown as.
const AUTH: Auth = Auth::Word("Bearer");
/// The statuses of the vendor's list that come after the work.
const CLOSED: [&str; 3] = ["resolved", "invoiced", "closed"];
/// The subject of every note; the API refuses one without.
const SUBJECT: &str = "Ticketgate";
const COMPANY_PAGES: u64 = 200;
const NOTES_ON_PAGE: u64 = 100;
const NOTE_PAGES: u64 = 10;

pub(crate) struct Syncro {
    client: Client,
    /// What stands between `url` and an address of the API.
    before: &'static str,
    closed: Vec<String>,
}

#[derive(Deserialize)]
struct Meta {
    total_pages: Option<u64>,
}

#[derive(Deserialize)]
struct Tickets {
    tickets: Option<Vec<TicketShape>>,
}

#[derive(Deserialize)]
struct OneTicket {
    ticket: Option<TicketShape>,
}

#[derive(Deserialize)]
struct TicketShape {
    id: Option<u64>,
    number: Option<Id>,
    subject: Option<String>,
    status: Option<String>,
    customer_id: Option<u64>,
    customer_business_then_name: Option<String>,
    user_id: Option<u64>,
    updated_at: Option<String>,
    user: Option<Person>,
    contact: Option<Person>,
    customer: Option<Person>,
}

/// A user, a contact or a customer: the fields that are read have one name in all three.
#[derive(Deserialize)]
struct Person {
    id: Option<u64>,
    email: Option<String>,
    full_name: Option<String>,
    business_then_name: Option<String>,
}

#[derive(Deserialize)]
struct Customers {
    customers: Option<Vec<Person>>,
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Comments {
    comments: Option<Vec<Comment>>,
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Comment {
    body: Option<String>,
}

impl Syncro {
    pub(crate) fn new(client: Client, settings: &config::Psa) -> Self {
        let whole = settings.url.ends_with("/api/v1");
        Self { client, before: if whole { "" } else { "/api/v1" }, closed: settings.closed.clone() }
    }

    fn get(&self, path: &str) -> Ask {
        Ask::get(format!("{}{path}", self.before))
    }

    async fn send(&self, ask: Ask) -> Result<Answer, PsaError> {
        self.client.send(&AUTH, ask).await
    }

    /// The one ticket of a number, as the list has it: without the people in it.
    async fn listed(&self, wanted: u64) -> Result<TicketShape, PsaError> {
        let ask = self.get("/tickets").query("number", wanted.to_string());
        let list: Tickets = self.send(ask).await?.json()?;
        let mut found = need(list.tickets, "tickets")?.into_iter();
        let first = found.next().ok_or(PsaError::NoSuchTicket)?;
        if number_of(&first)? != wanted {
            return Err(another_ticket());
        }
        if found.next().is_some() {
            return Err(many_tickets());
        }
        Ok(first)
    }

    fn read(&self, shape: &TicketShape) -> Result<Ticket, PsaError> {
        let number = number_of(shape)?;
        let id = need(shape.id, "id")?;
        let status = shape.status.as_deref().and_then(line).ok_or_else(|| missing("status"))?;
        let customer = shape.customer.as_ref();
        let customer_id = shape.customer_id.or_else(|| customer?.id);
        let customer_name =
            shape.customer_business_then_name.as_deref().or_else(|| customer?.business_then_name.as_deref());
        // Where there is no contact, the ticket is the customer's own.
        let contact = shape.contact.as_ref().or(customer);
        let user = shape.user.as_ref();
        // Without a `user_id` nobody has it, whoever `user` is (the document's own example has such a ticket).
        let owner = match shape.user_id {
            Some(id) => names([
                Some(id.to_string().as_str()),
                user.and_then(|user| user.email.as_deref()),
                user.and_then(|user| user.full_name.as_deref()),
            ]),
            None => names([]),
        };
        Ok(Ticket {
            id: id.to_string(),
            number: number.to_string(),
            summary: shape.subject.as_deref().and_then(line),
            company: company(customer_id.map(|id| id.to_string()).as_deref(), customer_name),
            contact_email: contact.and_then(|contact| line(contact.email.as_deref()?)),
            closed: is_closed(&self.closed, &status, CLOSED.contains(&folded(&status).as_str())),
            status,
            owner,
            changed_at: when(shape.updated_at.as_deref()),
        })
    }
}

fn number_of(shape: &TicketShape) -> Result<u64, PsaError> {
    let number = shape.number.as_ref().ok_or_else(|| missing("number"))?;
    whole_number(&number.0).map_err(|_| PsaError::Unreadable("number is none".into()))
}

#[async_trait]
impl Psa for Syncro {
    async fn ticket(&self, number: &str) -> Result<Ticket, PsaError> {
        let wanted = whole_number(number)?;
        let id = self.listed(wanted).await?.id.ok_or_else(|| missing("id"))?;
        let answer: OneTicket = self.send(self.get(&format!("/tickets/{id}"))).await?.json()?;
        let shape = need(answer.ticket, "ticket")?;
        if number_of(&shape)? != wanted || shape.id != Some(id) {
            return Err(another_ticket());
        }
        self.read(&shape)
    }

    /// The API filters by one number only: one by one. The vendor allows 180 requests a minute and then says 429, which ends it.
    async fn tickets(&self, numbers: &[String]) -> Result<Vec<Ticket>, PsaError> {
        let mut found = Vec::new();
        for wanted in numbers.iter().filter_map(|number| whole_number(number).ok()) {
            match self.listed(wanted).await {
                Ok(shape) => found.push(self.read(&shape)?),
                Err(PsaError::NoSuchTicket) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    async fn add_note(&self, ticket: &Ticket, note: &Note) -> Result<(), PsaError> {
        let id = whole_number(&ticket.id)?;
        let body = json!({
            "subject": SUBJECT,
            "body": note.text,
            "hidden": !note.public,
            "do_not_email": !note.public,
        });
        self.send(Ask::post(format!("{}/tickets/{id}/comment", self.before), body)).await.map(drop)
    }

    async fn has_note(&self, ticket: &Ticket, mark: &str) -> Result<bool, PsaError> {
        let id = whole_number(&ticket.id)?;
        for page in 1..=NOTE_PAGES {
            let ask = self
                .get(&format!("/tickets/{id}/comments"))
                .query("sort_by", "created_at")
                .query("sort_direction", "DESC")
                .query("per_page", NOTES_ON_PAGE.to_string())
                .query("page", page.to_string());
            let answer: Comments = self.send(ask).await?.json()?;
            let comments = need(answer.comments, "comments")?;
            if comments.iter().any(|comment| comment.body.as_ref().is_some_and(|body| body.contains(mark))) {
                return Ok(true);
            }
            if comments.is_empty() || answer.meta.and_then(|meta| meta.total_pages).unwrap_or(1) <= page {
                break;
            }
        }
        Ok(false)
    }

    async fn companies(&self) -> Result<Vec<Company>, PsaError> {
        let mut found = Vec::new();
        for page in 1..=COMPANY_PAGES {
            let ask = self.get("/customers").query("sort", "id ASC").query("page", page.to_string());
            let answer: Customers = self.send(ask).await?.json()?;
            let customers = need(answer.customers, "customers")?;
            if customers.is_empty() {
                break;
            }
            for its in customers {
                let id = need(its.id, "id")?;
                found.extend(company(Some(&id.to_string()), its.business_then_name.as_deref()));
            }
            if answer.meta.and_then(|meta| meta.total_pages).ok_or_else(|| missing("meta/total_pages"))?
                <= page
            {
                break;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
