//! ServiceNow: every kind of ticket that extends the table `task` (incidents, requests, changes, cases, problems), and companies.
//!
//! Document: ServiceNow's "Table API" (REST API reference, release Australia, March 2026; the same since Utah), for the encoded
//! queries "Operators available for filters and queries". Not verified on a live instance.
//!
//! `url` is the instance: `https://acme.service-now.com`. The number that people say (`INC0010001`) is unique among tasks, as
//! the product makes them, but no key: two hits are refused. A ticket's id here is `TABLE/SYS_ID`, for notes are written to the
//! record's own table. Who may see what is the instance's access rules: a field that the user may not read is empty.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use ticketgate_access::config;

use crate::client::{Answer, Ask, Auth, Client};
use crate::shape::{
    another_ticket, company, is_closed, many_tickets, missing, names, need, optional, plain_number, when,
};
use crate::words::line;
use crate::{Company, Note, Psa, PsaError, Ticket};

const TABLES: &str = "/api/now/table";
const FIELDS: &str = "sys_id,sys_class_name,number,short_description,state,active,company,assigned_to,\
                      assigned_to.user_name,assigned_to.email,sys_updated_on";
const TICKETS_AT_ONCE: usize = 50;
const COMPANIES_ON_PAGE: usize = 500;
const COMPANY_PAGES: usize = 200;

pub(crate) struct ServiceNow {
    client: Client,
    auth: Auth,
    closed: Vec<String>,
}

#[derive(Deserialize)]
struct Answered<T> {
    result: Option<T>,
}

/// A field with `sysparm_display_value=all`: what is shown and what is kept. An empty reference may be a bare empty text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Cell {
    Both { display_value: Option<String>, value: Option<String> },
    Bare(String),
}

impl Cell {
    fn shown(&self) -> Option<&str> {
        match self {
            Self::Both { display_value, .. } => display_value.as_deref(),
            Self::Bare(text) => Some(text.as_str()),
        }
        .filter(|text| !text.is_empty())
    }

    fn kept(&self) -> Option<&str> {
        match self {
            Self::Both { value, .. } => value.as_deref(),
            Self::Bare(text) => Some(text.as_str()),
        }
        .filter(|text| !text.is_empty())
    }
}

#[derive(Deserialize)]
struct TaskShape {
    sys_id: Option<Cell>,
    sys_class_name: Option<Cell>,
    number: Option<Cell>,
    short_description: Option<Cell>,
    state: Option<Cell>,
    active: Option<Cell>,
    company: Option<Cell>,
    assigned_to: Option<Cell>,
    #[serde(rename = "assigned_to.user_name")]
    user_name: Option<Cell>,
    #[serde(rename = "assigned_to.email")]
    email: Option<Cell>,
    sys_updated_on: Option<Cell>,
}

/// What only some kinds of task have.
#[derive(Deserialize)]
struct MoreShape {
    #[serde(alias = "caller_id.email", alias = "requested_for.email", alias = "requested_by.email")]
    #[serde(rename = "contact.email")]
    email: Option<Cell>,
    account: Option<Cell>,
}

#[derive(Deserialize)]
struct CompanyShape {
    sys_id: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Journal {
    work_notes: Option<String>,
    comments: Option<String>,
}

/// Who reported it, by the kind of task, and whose it is where `company` is not used.
fn more_fields(table: &str) -> Option<&'static str> {
    Some(match table {
        "incident" => "caller_id.email",
        "sc_req_item" | "sc_request" => "requested_for.email",
        "change_request" => "requested_by.email",
        "sn_customerservice_case" => "contact.email,account",
        _ => return None,
    })
}

fn kept(cell: Option<&Cell>) -> Option<&str> {
    cell.and_then(Cell::kept)
}

fn shown(cell: Option<&Cell>) -> Option<&str> {
    cell.and_then(Cell::shown)
}

/// A table's name, or a record's id: nothing else becomes part of an address.
fn name(text: &str) -> Result<&str, PsaError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if text.is_empty() || text.len() > 80 || !text.bytes().all(plain) {
        return Err(PsaError::Unreadable("sys_id or sys_class_name is none".into()));
    }
    Ok(text)
}

/// The address of a ticket's record.
fn record(ticket: &Ticket) -> Result<String, PsaError> {
    let (table, id) = ticket.id.split_once('/').ok_or_else(|| missing("sys_class_name"))?;
    Ok(format!("{TABLES}/{}/{}", name(table)?, name(id)?))
}

impl ServiceNow {
    pub(crate) fn new(client: Client, settings: &config::Psa) -> Self {
        Self {
            client,
            auth: Auth::Basic(settings.login.clone().unwrap_or_default()),
            closed: settings.closed.clone(),
        }
    }

    async fn send(&self, ask: Ask) -> Result<Answer, PsaError> {
        self.client.send(&self.auth, ask.header("accept", "application/json")).await
    }

    async fn result<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, PsaError> {
        self.send(ask).await?.json::<Answered<T>>()?.result.ok_or_else(|| missing("result"))
    }

    /// The tasks of a query: each must be one that was asked for, and the only one of its number.
    async fn tasks(&self, query: String, numbers: &[&str]) -> Result<Vec<TaskShape>, PsaError> {
        let ask = Ask::get(format!("{TABLES}/task"))
            .query("sysparm_query", query)
            .query("sysparm_fields", FIELDS)
            .query("sysparm_display_value", "all")
            .query("sysparm_exclude_reference_link", "true")
            // One more than there can be: the API ignores what it cannot read of a query, and answers everything.
            .query("sysparm_limit", (numbers.len() + 1).to_string());
        let found: Vec<TaskShape> = self.result(ask).await?;
        let mut seen = BTreeSet::new();
        for task in &found {
            let number = kept(task.number.as_ref()).ok_or_else(|| missing("number"))?;
            if !numbers.iter().any(|asked| asked.eq_ignore_ascii_case(number)) {
                return Err(another_ticket());
            }
            if !seen.insert(number.to_ascii_lowercase()) {
                return Err(many_tickets());
            }
        }
        Ok(found)
    }

    fn read(&self, task: &TaskShape) -> Result<Ticket, PsaError> {
        let table = name(kept(task.sys_class_name.as_ref()).ok_or_else(|| missing("sys_class_name"))?)?;
        let id = name(kept(task.sys_id.as_ref()).ok_or_else(|| missing("sys_id"))?)?;
        let number = kept(task.number.as_ref()).and_then(line).ok_or_else(|| missing("number"))?;
        let status = shown(task.state.as_ref()).and_then(line).ok_or_else(|| missing("state"))?;
        // Not active: closed or cancelled, whatever the words of the table's states are.
        let vendor = match kept(task.active.as_ref()) {
            Some("true") => false,
            Some("false") => true,
            _ => return Err(missing("active")),
        };
        Ok(Ticket {
            id: format!("{table}/{id}"),
            number,
            summary: kept(task.short_description.as_ref()).and_then(line),
            company: company(kept(task.company.as_ref()), shown(task.company.as_ref())),
            contact_email: None,
            closed: is_closed(&self.closed, &status, vendor),
            status,
            owner: names([
                kept(task.assigned_to.as_ref()),
                shown(task.assigned_to.as_ref()),
                kept(task.user_name.as_ref()),
                kept(task.email.as_ref()),
            ]),
            changed_at: when(kept(task.sys_updated_on.as_ref())),
        })
    }

    async fn add_more(&self, ticket: &mut Ticket, fields: &str) -> Result<(), PsaError> {
        let ask = Ask::get(record(ticket)?)
            .query("sysparm_fields", fields)
            .query("sysparm_display_value", "all")
            .query("sysparm_exclude_reference_link", "true");
        let Some(more) = optional(self.result::<MoreShape>(ask).await)? else { return Ok(()) };
        ticket.contact_email = kept(more.email.as_ref()).and_then(line);
        if ticket.company.is_none() {
            ticket.company = company(kept(more.account.as_ref()), shown(more.account.as_ref()));
        }
        Ok(())
    }
}

#[async_trait]
impl Psa for ServiceNow {
    async fn ticket(&self, number: &str) -> Result<Ticket, PsaError> {
        let wanted = plain_number(number)?;
        let found = self.tasks(format!("number={wanted}"), &[wanted]).await?;
        let task = found.first().ok_or(PsaError::NoSuchTicket)?;
        let mut ticket = self.read(task)?;
        if let Some(fields) = kept(task.sys_class_name.as_ref()).and_then(more_fields) {
            self.add_more(&mut ticket, fields).await?;
        }
        Ok(ticket)
    }

    async fn tickets(&self, numbers: &[String]) -> Result<Vec<Ticket>, PsaError> {
        let wanted: Vec<&str> = numbers.iter().filter_map(|number| plain_number(number).ok()).collect();
        let mut found = Vec::new();
        for some in wanted.chunks(TICKETS_AT_ONCE) {
            for task in self.tasks(format!("numberIN{}", some.join(",")), some).await? {
                found.push(self.read(&task)?);
            }
        }
        Ok(found)
    }

    async fn add_note(&self, ticket: &Ticket, note: &Note) -> Result<(), PsaError> {
        let field = if note.public { "comments" } else { "work_notes" };
        let ask = Ask::patch(record(ticket)?, json!({ field: note.text })).query("sysparm_fields", "sys_id");
        self.send(ask).await.map(drop)
    }

    /// A journal field's display value is all of its entries, newest first; the table behind it is administrators' only.
    async fn has_note(&self, ticket: &Ticket, mark: &str) -> Result<bool, PsaError> {
        let ask = Ask::get(record(ticket)?)
            .query("sysparm_fields", "work_notes,comments")
            .query("sysparm_display_value", "true");
        let journal: Journal = self.result(ask).await?;
        Ok([journal.work_notes, journal.comments].into_iter().flatten().any(|text| text.contains(mark)))
    }

    async fn companies(&self) -> Result<Vec<Company>, PsaError> {
        let mut all = Vec::new();
        for page in 0..COMPANY_PAGES {
            let offset = page * COMPANIES_ON_PAGE;
            let ask = Ask::get(format!("{TABLES}/core_company"))
                .query("sysparm_query", "ORDERBYsys_id")
                .query("sysparm_fields", "sys_id,name")
                .query("sysparm_limit", COMPANIES_ON_PAGE.to_string())
                .query("sysparm_offset", offset.to_string());
            let answer = self.send(ask).await?;
            let total =
                answer.headers.get("x-total-count").and_then(|total| total.to_str().ok()?.parse().ok());
            let found =
                answer.json::<Answered<Vec<CompanyShape>>>()?.result.ok_or_else(|| missing("result"))?;
            let none = found.is_empty();
            for its in found {
                let id = need(its.sys_id, "sys_id")?;
                all.extend(company(Some(&id), its.name.as_deref()));
            }
            // What the user may not see is left out of a page, which is then shorter but not the last.
            if total.map_or(none, |total: usize| total <= offset + COMPANIES_ON_PAGE) {
                break;
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests;
