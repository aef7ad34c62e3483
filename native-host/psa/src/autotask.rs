//! Autotask PSA, REST API 1.0: tickets, their notes, companies.
//!
//! Documents: Kaseya's "Autotask Developer Help", section REST API (Tickets and TicketNotes entities, "Making basic query calls",
//! "Advanced query features", "Security and authentication"), and the vendor's Swagger description "Autotask PSA Rest API" v1.
//! Not verified on a live tenant.
//!
//! `url` is the zone's API as the call `ZoneInformation` tells it: `https://webservices5.autotask.net/ATServicesRest`, with or
//! without `/V1.0`. The number that people say (`T20260101.0001`) is not the record's id. Company, contact and resource are ids
//! in a ticket: each is one more call, and where the API user may not see one, the id alone is told.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ticketgate_access::config;
use tokio::sync::Mutex;

use crate::client::{Answer, Ask, Auth, Client};
use crate::shape::{
    Id, another_ticket, company, is_closed, many_tickets, missing, names, need, optional, plain_number, when,
    whole_number,
};
use crate::words::line;
use crate::{Company, Note, Psa, PsaError, Ticket};

const AUTH: Auth = Auth::Header("secret");
/// The one status that the vendor's own logic knows as done; it can be renamed, not renumbered.
const COMPLETE: i64 = 5;
/// `publish`: who sees a note.
const EVERYBODY: i64 = 1;
const INTERNAL: i64 = 2;
/// Notes have a title of their own, which a ticket category may require.
const TITLE: &str = "Ticketgate";
/// The most records that one query answers.
const PAGE: usize = 500;
/// Numbers in one query; each counts as a condition, of which 500 are allowed.
const TICKETS_AT_ONCE: usize = 100;
const COMPANY_PAGES: usize = 200;
/// Notes are up to 32 000 characters long. They come in the order of their ids; no other is offered.
const NOTES_ON_PAGE: usize = 100;
const NOTE_PAGES: usize = 30;

pub(crate) struct Autotask {
    client: Client,
    base: String,
    /// What stands between `url` and an address of the API.
    before: &'static str,
    login: String,
    client_id: String,
    closed: Vec<String>,
    /// The words of the statuses, by value: read once, and again where a value is not among them.
    statuses: Mutex<BTreeMap<i64, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found<T> {
    items: Option<Vec<T>>,
    page_details: Option<PageDetails>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageDetails {
    next_page_url: Option<String>,
}

#[derive(Deserialize)]
struct One<T> {
    item: Option<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TicketShape {
    id: Option<u64>,
    ticket_number: Option<String>,
    title: Option<String>,
    status: Option<i64>,
    #[serde(rename = "companyID")]
    company_id: Option<i64>,
    #[serde(rename = "contactID")]
    contact_id: Option<i64>,
    #[serde(rename = "assignedResourceID")]
    resource_id: Option<i64>,
    last_activity_date: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CompanyShape {
    id: Option<i64>,
    company_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContactShape {
    email_address: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceShape {
    user_name: Option<String>,
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
}

#[derive(Deserialize)]
struct NoteShape {
    description: Option<String>,
}

#[derive(Deserialize)]
struct Fields {
    fields: Option<Vec<Field>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Field {
    name: Option<String>,
    picklist_values: Option<Vec<Choice>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Choice {
    value: Option<Id>,
    label: Option<String>,
    is_active: Option<bool>,
    is_system: Option<bool>,
}

impl Choice {
    fn number(&self) -> Option<i64> {
        self.value.as_ref()?.0.parse().ok()
    }
}

impl Autotask {
    pub(crate) fn new(client: Client, settings: &config::Psa) -> Self {
        let whole = settings.url.to_ascii_lowercase().ends_with("/v1.0");
        Self {
            client,
            base: settings.url.clone(),
            before: if whole { "" } else { "/V1.0" },
            login: settings.login.clone().unwrap_or_default(),
            client_id: settings.client_id.clone().unwrap_or_default(),
            closed: settings.closed.clone(),
            statuses: Mutex::new(BTreeMap::new()),
        }
    }

    async fn send(&self, ask: Ask) -> Result<Answer, PsaError> {
        let ask =
            ask.header("apiintegrationcode", self.client_id.clone()).header("username", self.login.clone());
        self.client.send(&AUTH, ask).await
    }

    /// One record by its id. The API answers with an empty `item` where there is none.
    async fn one<T: DeserializeOwned>(&self, entity: &str, id: i64) -> Result<T, PsaError> {
        let answer: One<T> = self.send(Ask::get(format!("{}/{entity}/{id}", self.before))).await?.json()?;
        answer.item.ok_or(PsaError::NoSuchTicket)
    }

    /// Every record that a query finds, page by page, until `enough` or as many pages as are allowed.
    async fn query<T: DeserializeOwned>(
        &self,
        entity: &str,
        query: &Value,
        pages: usize,
        mut page: impl FnMut(Vec<T>) -> Result<bool, PsaError>,
    ) -> Result<(), PsaError> {
        let mut path = format!("{}/{entity}/query", self.before);
        for _ in 0..pages {
            let found: Found<T> = self.send(Ask::post(path, query.clone())).await?.json()?;
            let enough = page(found.items.ok_or_else(|| missing("items"))?)?;
            // The next page has the same question under the address that the answer names.
            match found.page_details.and_then(|details| details.next_page_url) {
                Some(next) if !enough => path = self.below(&next)?,
                _ => break,
            }
        }
        Ok(())
    }

    /// The next page's address without this zone's base: the secret goes nowhere else.
    fn below(&self, next: &str) -> Result<String, PsaError> {
        match next.split_at_checked(self.base.len()) {
            Some((base, path)) if base.eq_ignore_ascii_case(&self.base) && path.starts_with('/') => {
                Ok(path.to_owned())
            }
            _ => Err(PsaError::Unreadable("its next page is elsewhere".into())),
        }
    }

    async fn choices(&self, entity: &str) -> Result<Vec<Field>, PsaError> {
        let path = format!("{}/{entity}/entityInformation/fields", self.before);
        let answer: Fields = self.send(Ask::get(path)).await?.json()?;
        answer.fields.ok_or_else(|| missing("fields"))
    }

    /// The word of a status.
    async fn status(&self, value: i64) -> Result<String, PsaError> {
        let mut statuses = self.statuses.lock().await;
        if !statuses.contains_key(&value) {
            *statuses = choices_of(self.choices("Tickets").await?, "status")
                .into_iter()
                .filter_map(|choice| Some((choice.number()?, line(choice.label.as_deref()?)?)))
                .collect();
        }
        statuses.get(&value).cloned().ok_or_else(|| PsaError::Unreadable("its status is unknown".into()))
    }

    /// A ticket without what other records say of it.
    async fn read(&self, shape: &TicketShape) -> Result<Ticket, PsaError> {
        let id = need(shape.id, "id")?;
        let value = need(shape.status, "status")?;
        let number = shape.ticket_number.as_deref().and_then(line).ok_or_else(|| missing("ticketNumber"))?;
        let status = self.status(value).await?;
        Ok(Ticket {
            id: id.to_string(),
            number,
            summary: shape.title.as_deref().and_then(line),
            company: company(shape.company_id.map(|id| id.to_string()).as_deref(), None),
            contact_email: None,
            closed: is_closed(&self.closed, &status, value == COMPLETE),
            status,
            owner: names([shape.resource_id.map(|id| id.to_string()).as_deref()]),
            changed_at: when(shape.last_activity_date.as_deref()),
        })
    }

    async fn add_people(&self, shape: &TicketShape, ticket: &mut Ticket) -> Result<(), PsaError> {
        if let Some(id) = shape.company_id
            && let Some(its) = optional(self.one::<CompanyShape>("Companies", id).await)?
        {
            ticket.company = company(Some(&id.to_string()), its.company_name.as_deref());
        }
        if let Some(id) = shape.contact_id
            && let Some(contact) = optional(self.one::<ContactShape>("Contacts", id).await)?
        {
            ticket.contact_email = contact.email_address.as_deref().and_then(line);
        }
        if let Some(id) = shape.resource_id
            && let Some(its) = optional(self.one::<ResourceShape>("Resources", id).await)?
        {
            let name = [its.first_name, its.last_name].into_iter().flatten().collect::<Vec<_>>().join(" ");
            ticket.owner.extend(names([its.user_name.as_deref(), its.email.as_deref(), Some(name.as_str())]));
        }
        Ok(())
    }

    /// The tickets of these numbers: none that was not asked for, and one of each at most.
    async fn numbered(&self, numbers: &[&str]) -> Result<Vec<TicketShape>, PsaError> {
        let query = json!({
            "MaxRecords": PAGE,
            "IncludeFields": [
                "id", "ticketNumber", "title", "status", "companyID", "contactID", "assignedResourceID",
                "lastActivityDate",
            ],
            "filter": [match numbers {
                [one] => json!({ "op": "eq", "field": "ticketNumber", "value": one }),
                many => json!({ "op": "in", "field": "ticketNumber", "value": many }),
            }],
        });
        let mut found: Vec<TicketShape> = Vec::new();
        self.query("Tickets", &query, 1, |items| {
            found.extend(items);
            Ok(true)
        })
        .await?;
        let mut seen = BTreeSet::new();
        for shape in &found {
            let number = shape.ticket_number.as_deref().ok_or_else(|| missing("ticketNumber"))?;
            if !numbers.iter().any(|asked| asked.eq_ignore_ascii_case(number)) {
                return Err(another_ticket());
            }
            if !seen.insert(number.to_ascii_lowercase()) {
                return Err(many_tickets());
            }
        }
        Ok(found)
    }
}

fn choices_of(fields: Vec<Field>, name: &str) -> Vec<Choice> {
    let found = fields
        .into_iter()
        .find(|field| field.name.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(name)));
    let mut choices = found.and_then(|field| field.picklist_values).unwrap_or_default();
    choices.retain(|choice| choice.number().is_some());
    choices
}

#[async_trait]
impl Psa for Autotask {
    async fn ticket(&self, number: &str) -> Result<Ticket, PsaError> {
        let wanted = plain_number(number)?;
        let found = self.numbered(&[wanted]).await?;
        let shape = found.first().ok_or(PsaError::NoSuchTicket)?;
        let mut ticket = self.read(shape).await?;
        self.add_people(shape, &mut ticket).await?;
        Ok(ticket)
    }

    async fn tickets(&self, numbers: &[String]) -> Result<Vec<Ticket>, PsaError> {
        let wanted: Vec<&str> = numbers.iter().filter_map(|number| plain_number(number).ok()).collect();
        let mut found = Vec::new();
        for some in wanted.chunks(TICKETS_AT_ONCE) {
            for shape in self.numbered(some).await? {
                found.push(self.read(&shape).await?);
            }
        }
        Ok(found)
    }

    /// Which kinds of note there are is the tenant's own choice: the first that is no system's is taken. Whether the value for
    /// "internal" is still offered is looked up, too, for a note must not become public by a guess.
    async fn add_note(&self, ticket: &Ticket, note: &Note) -> Result<(), PsaError> {
        let id = whole_number(&ticket.id)?;
        let publish = if note.public { EVERYBODY } else { INTERNAL };
        let (mut kinds, mut publishes) = (Vec::new(), Vec::new());
        for field in self.choices("TicketNotes").await? {
            match field.name.as_deref().map(str::to_ascii_lowercase).as_deref() {
                Some("notetype") => kinds = choices_of(vec![field], "noteType"),
                Some("publish") => publishes = choices_of(vec![field], "publish"),
                _ => {}
            }
        }
        let active = |choice: &&Choice| choice.is_active.unwrap_or(true);
        if !publishes.iter().filter(active).any(|choice| choice.number() == Some(publish)) {
            return Err(PsaError::NotOffered);
        }
        let kind = kinds
            .iter()
            .filter(active)
            .min_by_key(|choice| choice.is_system.unwrap_or(false))
            .and_then(Choice::number)
            .ok_or(PsaError::NotOffered)?;
        let body = json!({
            "ticketID": id,
            "title": TITLE,
            "description": note.text,
            "noteType": kind,
            "publish": publish,
        });
        self.send(Ask::post(format!("{}/Tickets/{id}/Notes", self.before), body)).await.map(drop)
    }

    async fn has_note(&self, ticket: &Ticket, mark: &str) -> Result<bool, PsaError> {
        let id = whole_number(&ticket.id)?;
        let query = json!({
            "MaxRecords": NOTES_ON_PAGE,
            "IncludeFields": ["id", "description"],
            "filter": [{ "op": "eq", "field": "ticketID", "value": id }],
        });
        let mut has = false;
        self.query("TicketNotes", &query, NOTE_PAGES, |notes: Vec<NoteShape>| {
            has |= notes.iter().any(|note| note.description.as_ref().is_some_and(|text| text.contains(mark)));
            Ok(has)
        })
        .await?;
        Ok(has)
    }

    async fn companies(&self) -> Result<Vec<Company>, PsaError> {
        let query = json!({
            "MaxRecords": PAGE,
            "IncludeFields": ["id", "companyName"],
            "filter": [{ "op": "eq", "field": "isActive", "value": true }],
        });
        let mut all = Vec::new();
        self.query("Companies", &query, COMPANY_PAGES, |found: Vec<CompanyShape>| {
            for its in found {
                let id = need(its.id, "id")?;
                all.extend(company(Some(&id.to_string()), its.company_name.as_deref()));
            }
            Ok(false)
        })
        .await?;
        Ok(all)
    }
}

#[cfg(test)]
mod tests;
