//! Jira Service Management. From "The Jira Cloud platform REST API" v2 (issues, issue fields, issue comments: the same in Jira Data
//! Center's REST API 9 and 10) and "The Jira Service Management REST API" (request comments, organizations); not tried on a live
//! site.
//!
//! `url` is the site's address: `https://acme.atlassian.net`, or `https://jira.example.com` of a Data Center. `login` is the
//! e-mail address of the API token's owner and `secret` the token; in a Data Center, its user's name and password.
//!
//! A ticket's company is its organization, or its project where it has none. One with several organizations has no company.

use std::sync::OnceLock;

use async_trait::async_trait;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value, json};
use ticketgate_access::config;

use crate::client::{Ask, Auth, Client, segment};
use crate::shape::{Id, another_ticket, is_word, names, need, text, when};
use crate::{Company, Note, Psa, PsaError, Ticket};

/// The type of the field that holds a request's organizations; its id differs from site to site.
const ORGANIZATIONS: &str = "com.atlassian.servicedesk:sd-customer-organizations";
/// A Data Center calls organizations experimental and asks for this.
const EXPERIMENTAL: (&str, &str) = ("x-experimentalapi", "opt-in");

/// Comments on a page: each may be 32 KiB.
const COMMENTS: u32 = 50;
const COMMENT_PAGES: u32 = 40;
/// What a page of organizations has at most.
const AT_ONCE: u32 = 50;
const PAGES: u32 = 200;

pub(crate) struct Jira {
    client: Client,
    auth: Auth,
    closed: Vec<String>,
    /// The id of the field [`ORGANIZATIONS`], once it was found.
    field: OnceLock<String>,
}

#[derive(Deserialize)]
struct Field {
    id: String,
    schema: Option<Schema>,
}

#[derive(Deserialize)]
struct Schema {
    custom: Option<String>,
}

#[derive(Deserialize)]
struct Issue {
    id: Option<Id>,
    key: Option<String>,
    fields: Option<Fields>,
}

#[derive(Deserialize)]
struct Fields {
    summary: Option<String>,
    status: Option<Status>,
    assignee: Option<User>,
    reporter: Option<User>,
    project: Option<Project>,
    updated: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
struct Status {
    name: Option<String>,
    #[serde(rename = "statusCategory")]
    category: Option<Category>,
}

#[derive(Deserialize)]
struct Category {
    key: Option<String>,
}

/// `accountId` in the cloud, `key` and `name` (the login) in a Data Center. The address may be hidden by the user's choice.
#[derive(Deserialize)]
struct User {
    #[serde(rename = "accountId")]
    account: Option<String>,
    key: Option<String>,
    name: Option<String>,
    #[serde(rename = "emailAddress")]
    email: Option<String>,
    #[serde(rename = "displayName")]
    display: Option<String>,
}

#[derive(Deserialize)]
struct Project {
    key: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Organization {
    id: Id,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Organizations {
    values: Vec<Organization>,
    #[serde(rename = "isLastPage")]
    last: bool,
}

#[derive(Deserialize)]
struct Comments {
    comments: Vec<Comment>,
    total: u32,
}

#[derive(Deserialize)]
struct Comment {
    body: Option<String>,
}

impl Jira {
    pub(crate) fn new(client: Client, settings: &config::Psa) -> Self {
        let user = settings.login.clone().unwrap_or_default();
        Self { client, auth: Auth::Basic(user), closed: settings.closed.clone(), field: OnceLock::new() }
    }

    async fn ask<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, PsaError> {
        let answer = self.client.send(&self.auth, ask).await?;
        refused(&answer.headers)?;
        answer.json()
    }

    /// What a 404 means. The cloud takes whoever shows an expired token for anybody from the street, who sees no tickets: then it is
    /// not the ticket that is gone.
    async fn gone(&self) -> PsaError {
        match self.ask::<IgnoredAny>(Ask::get("/rest/api/2/myself")).await {
            Ok(_) => PsaError::NoSuchTicket,
            Err(error) => error,
        }
    }

    async fn organizations_field(&self) -> Result<Option<&str>, PsaError> {
        if self.field.get().is_none() {
            let fields: Vec<Field> = self.ask(Ask::get("/rest/api/2/field")).await?;
            let is_it = |field: &Field| {
                field.schema.as_ref().and_then(|schema| schema.custom.as_deref()) == Some(ORGANIZATIONS)
            };
            // Only a field that is there is remembered: one may be made later, or be seen with a right that comes later.
            if let Some(found) = fields.into_iter().find(is_it) {
                return Ok(Some(self.field.get_or_init(|| found.id)));
            }
        }
        Ok(self.field.get().map(String::as_str))
    }

    fn ticket_of(&self, issue: Issue, key: &str, field: Option<&str>) -> Result<Ticket, PsaError> {
        // One that was moved answers under its new key.
        if need(issue.key, "key")? != key {
            return Err(another_ticket());
        }
        let fields = need(issue.fields, "fields")?;
        let found = need(fields.status, "status")?;
        let status = need(text(found.name.as_deref()), "status.name")?;
        let closed = if self.closed.is_empty() {
            // Whatever the site calls its statuses: each belongs to one of Jira's own categories.
            need(found.category.and_then(|category| category.key), "status.statusCategory.key")? == "done"
        } else {
            is_word(&status, &self.closed)
        };
        let organizations = field.and_then(|field| fields.others.get(field)).filter(|value| !value.is_null());
        let organizations: Vec<Organization> = match organizations {
            None => Vec::new(),
            Some(value) => serde_json::from_value(value.clone()).map_err(|_| {
                PsaError::Unreadable("its organizations are not of the documented shape".into())
            })?,
        };
        let company = match organizations.as_slice() {
            [only] => Some(only.company()),
            [] => fields.project.and_then(|project| {
                Some(Company {
                    id: text(project.key.as_deref())?,
                    name: text(project.name.as_deref()).unwrap_or_default(),
                    domains: Vec::new(),
                })
            }),
            _ => None,
        };
        Ok(Ticket {
            id: need(issue.id, "id")?.0,
            number: key.to_owned(),
            summary: text(fields.summary.as_deref()),
            company,
            contact_email: text(fields.reporter.as_ref().and_then(|user| user.email.as_deref())),
            status,
            closed,
            owner: names(fields.assignee.iter().flat_map(|user| {
                [&user.account, &user.key, &user.name, &user.email, &user.display].map(|name| name.as_deref())
            })),
            changed_at: when(fields.updated.as_deref()),
        })
    }
}

impl Organization {
    fn company(&self) -> Company {
        Company {
            id: self.id.0.clone(),
            name: text(self.name.as_deref()).unwrap_or_default(),
            domains: Vec::new(),
        }
    }
}

/// What an answer to anybody from the street has in its headers, though the status is one of success.
fn refused(headers: &HeaderMap) -> Result<(), PsaError> {
    let reason =
        headers.get("x-seraph-loginreason").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if reason.contains("FAILED") || reason.contains("DENIED") {
        return Err(PsaError::Refused("the login failed".into()));
    }
    Ok(())
}

/// A text with every sign that may begin or end a link or a macro made the same, and none escaped: a comment is markup, and the
/// cloud, which keeps a document, writes it anew as text.
fn unmarked(text: &str) -> String {
    text.chars()
        .filter(|c| *c != '\\')
        .map(|c| if matches!(c, '[' | ']' | '{' | '}' | '|') { '|' } else { c })
        .collect()
}

/// `ACME-12`, in capitals as Jira has it. An issue's bare id is no number that people say.
fn key(number: &str) -> Result<String, PsaError> {
    let key = number.to_ascii_uppercase();
    let sound = key.split_once('-').is_some_and(|(project, count)| {
        project.starts_with(|c: char| c.is_ascii_uppercase())
            && project.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
            && (1..=12).contains(&count.len())
            && count.bytes().all(|b| b.is_ascii_digit())
    });
    if sound { Ok(key) } else { Err(PsaError::NoSuchTicket) }
}

#[async_trait]
impl Psa for Jira {
    async fn ticket(&self, number: &str) -> Result<Ticket, PsaError> {
        let key = key(number)?;
        let field = match self.organizations_field().await {
            Ok(field) => field,
            // The ticket itself says whether that is so.
            Err(PsaError::NoSuchTicket) => None,
            Err(error) => return Err(error),
        };
        let mut fields = "summary,status,assignee,reporter,project,updated".to_owned();
        if let Some(field) = field {
            fields.push(',');
            fields.push_str(field);
        }
        let ask = Ask::get(format!("/rest/api/2/issue/{}", segment(&key))).query("fields", fields);
        let issue = match self.ask(ask).await {
            Ok(issue) => issue,
            Err(PsaError::NoSuchTicket) => return Err(self.gone().await),
            Err(error) => return Err(error),
        };
        self.ticket_of(issue, &key, field)
    }

    async fn check(&self) -> Result<(), PsaError> {
        // Who one is: no issue is without its project's key, so none can be asked for in its place.
        self.client.send(&self.auth, Ask::get("/rest/api/2/myself")).await.map(drop)
    }

    /// One by one: the search differs between the cloud and a Data Center, and refuses as a whole if one key is unknown.
    async fn tickets(&self, numbers: &[String]) -> Result<Vec<Ticket>, PsaError> {
        let mut tickets = Vec::new();
        for number in numbers {
            match self.ticket(number).await {
                Ok(ticket) => tickets.push(ticket),
                Err(PsaError::NoSuchTicket) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(tickets)
    }

    async fn add_note(&self, ticket: &Ticket, note: &Note) -> Result<(), PsaError> {
        let key = key(&ticket.number)?;
        let body = json!({"body": note.text, "public": note.public});
        let ask = Ask::post(format!("/rest/servicedeskapi/request/{}/comment", segment(&key)), body);
        self.client.send(&self.auth, ask.header(EXPERIMENTAL.0, EXPERIMENTAL.1)).await.map(drop)
    }

    async fn has_note(&self, ticket: &Ticket, mark: &str) -> Result<bool, PsaError> {
        let path = format!("/rest/api/2/issue/{}/comment", segment(&key(&ticket.number)?));
        for page in 0..COMMENT_PAGES {
            let ask = Ask::get(&path)
                .query("orderBy", "-created")
                .query("startAt", (page * COMMENTS).to_string())
                .query("maxResults", COMMENTS.to_string());
            let found: Comments = self.ask(ask).await?;
            let is_it = |comment: &Comment| {
                comment.body.as_deref().is_some_and(|body| unmarked(body).contains(&unmarked(mark)))
            };
            if found.comments.iter().any(is_it) {
                return Ok(true);
            }
            if found.comments.is_empty() || (page + 1) * COMMENTS >= found.total {
                break;
            }
        }
        Ok(false)
    }

    async fn companies(&self) -> Result<Vec<Company>, PsaError> {
        let mut companies = Vec::new();
        for page in 0..PAGES {
            let ask = Ask::get("/rest/servicedeskapi/organization")
                .query("start", (page * AT_ONCE).to_string())
                .query("limit", AT_ONCE.to_string())
                .header(EXPERIMENTAL.0, EXPERIMENTAL.1);
            let found: Organizations = self.ask(ask).await?;
            companies.extend(found.values.iter().map(Organization::company));
            if found.last || found.values.is_empty() {
                break;
            }
        }
        Ok(companies)
    }
}

#[cfg(test)]
mod tests;
