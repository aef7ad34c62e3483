//! ConnectWise PSA (Manage), REST API 3.0: service tickets, their notes, companies.
//!
//! Documents: "ConnectWise PSA REST API", OpenAPI description v2025.16 (schemas `Ticket`, `ServiceNote`, `Company`), and the
//! developer guide's "PSA API Requests" (paging, conditions, 429 with `Retry-After`) and "Authentication" (API members, `clientId`).
//! Not verified on a live tenant.
//!
//! `url` is the API's base as the guide writes it: `https://api-na.myconnectwise.net/v4_6_release/apis/3.0`. The number that
//! people say is the record's id. Tickets of projects have an address of their own and are not looked up.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use ticketgate_access::config;

use crate::client::{Answer, Ask, Auth, Client};
use crate::shape::{another_ticket, company, is_closed, missing, names, need, when, whole_number};
use crate::words::line;
use crate::{Company, Note, Psa, PsaError, Ticket};

/// Tickets in one question: about 8 KB each in the answer, and a condition of some hundred characters.
const TICKETS_AT_ONCE: usize = 50;
/// Companies on a page; the guide allows 1000.
const COMPANIES_ON_PAGE: usize = 250;
const COMPANY_PAGES: usize = 200;
const NOTES_ON_PAGE: usize = 100;
const NOTE_PAGES: usize = 10;

pub(crate) struct ConnectWise {
    client: Client,
    auth: Auth,
    client_id: String,
    closed: Vec<String>,
}

/// `TicketReference`, `CompanyReference`, `MemberReference`: all of one shape.
#[derive(Deserialize)]
struct Reference {
    id: Option<i64>,
    identifier: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TicketShape {
    id: Option<u64>,
    summary: Option<String>,
    status: Option<Reference>,
    closed_flag: Option<bool>,
    company: Option<Reference>,
    contact_email_address: Option<String>,
    owner: Option<Reference>,
    /// The members who are scheduled for it, by identifier, separated by commas.
    resources: Option<String>,
    #[serde(rename = "_info")]
    info: Option<Info>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    last_updated: Option<String>,
}

#[derive(Deserialize)]
struct NoteShape {
    text: Option<String>,
}

impl ConnectWise {
    pub(crate) fn new(client: Client, settings: &config::Psa) -> Self {
        Self {
            client,
            auth: Auth::Basic(settings.login.clone().unwrap_or_default()),
            client_id: settings.client_id.clone().unwrap_or_default(),
            closed: settings.closed.clone(),
        }
    }

    async fn send(&self, ask: Ask) -> Result<Answer, PsaError> {
        self.client.send(&self.auth, ask.header("clientid", self.client_id.clone())).await
    }

    fn read(&self, shape: TicketShape) -> Result<(u64, Ticket), PsaError> {
        let id = need(shape.id, "id")?;
        let status =
            shape.status.and_then(|status| line(&status.name?)).ok_or_else(|| missing("status/name"))?;
        let vendor = need(shape.closed_flag, "closedFlag")?;
        let owner = shape.owner.as_ref();
        let owner_id = owner.and_then(|owner| owner.id).map(|id| id.to_string());
        let scheduled = shape.resources.as_deref().unwrap_or_default().split(',').map(Some);
        let known = [
            owner_id.as_deref(),
            owner.and_then(|owner| owner.identifier.as_deref()),
            owner.and_then(|owner| owner.name.as_deref()),
        ];
        Ok((
            id,
            Ticket {
                id: id.to_string(),
                number: id.to_string(),
                summary: shape.summary.and_then(|summary| line(&summary)),
                company: shape
                    .company
                    .and_then(|its| company(its.id.map(|id| id.to_string()).as_deref(), its.name.as_deref())),
                contact_email: shape.contact_email_address.and_then(|email| line(&email)),
                closed: is_closed(&self.closed, &status, vendor),
                status,
                owner: names(known.into_iter().chain(scheduled)),
                changed_at: shape.info.and_then(|info| when(info.last_updated.as_deref())),
            },
        ))
    }
}

#[async_trait]
impl Psa for ConnectWise {
    async fn ticket(&self, number: &str) -> Result<Ticket, PsaError> {
        let wanted = whole_number(number)?;
        let answer = self.send(Ask::get(format!("/service/tickets/{wanted}"))).await?;
        let (id, ticket) = self.read(answer.json()?)?;
        if id == wanted { Ok(ticket) } else { Err(another_ticket()) }
    }

    async fn tickets(&self, numbers: &[String]) -> Result<Vec<Ticket>, PsaError> {
        let wanted: Vec<u64> = numbers.iter().filter_map(|number| whole_number(number).ok()).collect();
        let mut found = Vec::new();
        for some in wanted.chunks(TICKETS_AT_ONCE) {
            let list = some.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
            let ask = Ask::get("/service/tickets")
                .query("conditions", format!("id in ({list})"))
                .query("pageSize", TICKETS_AT_ONCE.to_string());
            for shape in self.send(ask).await?.json::<Vec<TicketShape>>()? {
                let (id, ticket) = self.read(shape)?;
                if !some.contains(&id) {
                    return Err(another_ticket());
                }
                found.push(ticket);
            }
        }
        Ok(found)
    }

    async fn add_note(&self, ticket: &Ticket, note: &Note) -> Result<(), PsaError> {
        let id = whole_number(&ticket.id)?;
        // "Discussion" is what the customer sees, "Internal" what nobody but members does.
        let body = json!({
            "text": note.text,
            "detailDescriptionFlag": note.public,
            "internalAnalysisFlag": !note.public,
            "resolutionFlag": false,
        });
        self.send(Ask::post(format!("/service/tickets/{id}/notes"), body)).await.map(drop)
    }

    async fn has_note(&self, ticket: &Ticket, mark: &str) -> Result<bool, PsaError> {
        let id = whole_number(&ticket.id)?;
        for page in 1..=NOTE_PAGES {
            let ask = Ask::get(format!("/service/tickets/{id}/notes"))
                .query("orderBy", "id desc")
                .query("pageSize", NOTES_ON_PAGE.to_string())
                .query("page", page.to_string());
            let notes: Vec<NoteShape> = self.send(ask).await?.json()?;
            if notes.iter().any(|note| note.text.as_ref().is_some_and(|text| text.contains(mark))) {
                return Ok(true);
            }
            if notes.len() < NOTES_ON_PAGE {
                break;
            }
        }
        Ok(false)
    }

    async fn companies(&self) -> Result<Vec<Company>, PsaError> {
        let mut found = Vec::new();
        for page in 1..=COMPANY_PAGES {
            let ask = Ask::get("/company/companies")
                .query("conditions", "deletedFlag=false")
                .query("fields", "id,name")
                .query("orderBy", "id asc")
                .query("pageSize", COMPANIES_ON_PAGE.to_string())
                .query("page", page.to_string());
            let companies: Vec<Reference> = self.send(ask).await?.json()?;
            let last = companies.len() < COMPANIES_ON_PAGE;
            for its in companies {
                let id = need(its.id, "id")?;
                found.extend(company(Some(&id.to_string()), its.name.as_deref()));
            }
            if last {
                break;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
