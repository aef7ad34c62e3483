//! HaloPSA, HaloITSM and HaloServiceDesk: tickets ("faults"), their actions, clients.
//!
//! Document: "Halo API" v2, the vendor's OpenAPI description (as of September 2024; schemas `Faults`, `Faults_List`, `Actions`,
//! `Area`, `TStatus`, `Uname`), which describes fields and parameters but no answers' envelopes: those are as published clients
//! read them. The token's call is OAuth 2.0 client credentials as Halo's "API Details" page shows it. Not verified on a live tenant.
//!
//! `url` is the tenant: `https://acme.halopsa.com`; "Resource Server" as that page shows it (`…/api`) will do, too. The number
//! that people say is the id, sometimes with zeros before it. Status and agent are ids in a ticket: each is one more call.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use ticketgate_access::config;
use ticketgate_credentials::Secret;
use tokio::sync::Mutex;

use crate::client::{Answer, Ask, Auth, Client, is_unauthorised};
use crate::shape::{Id, another_ticket, company, is_closed, names, need, optional, when, whole_number};
use crate::words::line;
use crate::{Company, Note, Psa, PsaError, Ticket};

/// What is asked for; the application must have been granted it, or all.
const SCOPE: &str = "read:tickets edit:tickets read:customers";
/// Hosted tenants' domains: there the token's call names the tenant, too.
const HOSTED: [&str; 3] = [".halopsa.com", ".haloitsm.com", ".haloservicedesk.com"];
/// The agent who stands for nobody.
const UNASSIGNED: i64 = 1;
/// A token is renewed this long before its time.
const MARGIN: Duration = Duration::from_secs(60);
/// For how long a token is taken to be good where the answer says nothing, in seconds.
const TOKEN_S: u64 = 300;
/// The largest page that the document allows.
const PAGE: usize = 100;
const COMPANY_PAGES: usize = 200;
/// The newest actions that are looked through; there is no paging for them.
const ACTIONS: usize = 200;

pub(crate) struct HaloPsa {
    client: Client,
    api: &'static str,
    auth: &'static str,
    tenant: Option<String>,
    client_id: String,
    closed: Vec<String>,
    token: Mutex<Option<Token>>,
    /// The words of the statuses, by id: read once, and again where an id is not among them.
    statuses: Mutex<BTreeMap<i64, String>>,
}

struct Token {
    token: Secret,
    until: Instant,
}

#[derive(Deserialize)]
struct TokenShape {
    access_token: Option<String>,
    expires_in: Option<Id>,
}

#[derive(Deserialize)]
struct TicketShape {
    id: Option<u64>,
    summary: Option<String>,
    status_id: Option<i64>,
    status_name: Option<String>,
    client_id: Option<i64>,
    client_name: Option<String>,
    agent_id: Option<i64>,
    user_email: Option<String>,
    hasbeenclosed: Option<bool>,
    last_update: Option<String>,
}

#[derive(Deserialize)]
struct Tickets {
    tickets: Option<Vec<TicketShape>>,
}

#[derive(Deserialize)]
struct Clients {
    clients: Option<Vec<Named>>,
}

/// A status or a client.
#[derive(Deserialize)]
struct Named {
    id: Option<i64>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Agent {
    name: Option<String>,
    email: Option<String>,
}

#[derive(Deserialize)]
struct Actions {
    actions: Option<Vec<Action>>,
}

#[derive(Deserialize)]
struct Action {
    note: Option<String>,
}

/// The tenant's name, where the host is a hosted one.
fn tenant(url: &str) -> Option<String> {
    let host = url.split("://").nth(1)?.split(['/', ':']).next()?.to_ascii_lowercase();
    let name = HOSTED.iter().find_map(|domain| host.strip_suffix(domain))?;
    Some(name.to_owned())
}

impl HaloPsa {
    pub(crate) fn new(client: Client, settings: &config::Psa) -> Self {
        let api = settings.url.ends_with("/api");
        Self {
            client,
            // One level up from the API; the client library resolves it before anything is sent.
            auth: if api { "/../auth/token" } else { "/auth/token" },
            api: if api { "" } else { "/api" },
            tenant: tenant(&settings.url),
            client_id: settings.client_id.clone().unwrap_or_default(),
            closed: settings.closed.clone(),
            token: Mutex::new(None),
            statuses: Mutex::new(BTreeMap::new()),
        }
    }

    fn get(&self, path: &str) -> Ask {
        Ask::get(format!("{}{path}", self.api))
    }

    /// Asks with the token that is there, and once more with a new one where it was refused.
    async fn send(&self, ask: Ask) -> Result<Answer, PsaError> {
        let token = self.token(None).await?;
        match self.client.send(&Auth::Token(token.clone()), ask.clone()).await {
            Err(error) if is_unauthorised(&error) => {
                let renewed = self.token(Some(&token)).await?;
                self.client.send(&Auth::Token(renewed), ask).await
            }
            other => other,
        }
    }

    /// The token, if it is not the refused one; else a new one.
    async fn token(&self, refused: Option<&Secret>) -> Result<Secret, PsaError> {
        let mut kept = self.token.lock().await;
        if let Some(known) = kept.as_ref()
            && known.until > Instant::now()
            // Compared, never shown.
            && refused.is_none_or(|refused| refused.expose() != known.token.expose())
        {
            return Ok(known.token.clone());
        }
        *kept = None;
        let mut ask = Ask::new(reqwest::Method::POST, self.auth).form(vec![
            ("grant_type", "client_credentials".into()),
            ("client_id", self.client_id.clone()),
            ("scope", SCOPE.into()),
        ]);
        if let Some(tenant) = &self.tenant {
            ask = ask.query("tenant", tenant);
        }
        let answer = match self.client.send(&Auth::Form("client_secret"), ask).await {
            // RFC 6749 §5.2: an unknown client, a wrong secret or a scope that it was not granted.
            Err(PsaError::Unreadable(why)) if why == "status 400" => {
                return Err(PsaError::Refused("its client id, secret or scope, with status 400".into()));
            }
            // No ticket was asked about yet: a clear "no such ticket" would be a lie about one.
            Err(PsaError::NoSuchTicket) => {
                return Err(PsaError::Unreadable("it gives no tokens at this address; check `url`".into()));
            }
            other => other?,
        };
        let shape: TokenShape = answer.json()?;
        let token = Secret::new(need(shape.access_token, "access_token")?);
        let good_s = shape.expires_in.and_then(|seconds| seconds.0.parse().ok()).unwrap_or(TOKEN_S);
        let until = Instant::now() + Duration::from_secs(good_s.min(86_400)).saturating_sub(MARGIN);
        *kept = Some(Token { token: token.clone(), until });
        Ok(token)
    }

    /// The word of a status, or its number where the application may not read statuses.
    async fn status(&self, id: i64) -> Result<String, PsaError> {
        let mut statuses = self.statuses.lock().await;
        if !statuses.contains_key(&id) {
            let Some(answer) = optional(self.send(self.get("/Status")).await)? else {
                return Ok(id.to_string());
            };
            *statuses = answer
                .json::<Vec<Named>>()?
                .into_iter()
                .filter_map(|status| Some((status.id?, line(status.name.as_deref()?)?)))
                .collect();
        }
        Ok(statuses.get(&id).cloned().unwrap_or_else(|| id.to_string()))
    }

    async fn detailed(&self, wanted: u64) -> Result<TicketShape, PsaError> {
        let ask = self.get(&format!("/Tickets/{wanted}")).query("includedetails", "true");
        let shape: TicketShape = self.send(ask).await?.json()?;
        if need(shape.id, "id")? == wanted { Ok(shape) } else { Err(another_ticket()) }
    }

    async fn read(&self, shape: &TicketShape) -> Result<Ticket, PsaError> {
        let id = need(shape.id, "id")?;
        let status_id = need(shape.status_id, "status_id")?;
        let vendor = need(shape.hasbeenclosed, "hasbeenclosed")?;
        let status = match shape.status_name.as_deref().and_then(line) {
            Some(name) => name,
            None => self.status(status_id).await?,
        };
        let agent = shape.agent_id.filter(|agent| *agent > UNASSIGNED).map(|id| id.to_string());
        Ok(Ticket {
            id: id.to_string(),
            number: id.to_string(),
            summary: shape.summary.as_deref().and_then(line),
            company: company(
                shape.client_id.filter(|id| *id > 0).map(|id| id.to_string()).as_deref(),
                shape.client_name.as_deref(),
            ),
            contact_email: shape.user_email.as_deref().and_then(line),
            closed: is_closed(&self.closed, &status, vendor),
            status,
            owner: names([agent.as_deref()]),
            changed_at: when(shape.last_update.as_deref()),
        })
    }
}

#[async_trait]
impl Psa for HaloPsa {
    async fn ticket(&self, number: &str) -> Result<Ticket, PsaError> {
        let wanted = whole_number(number)?;
        let shape = self.detailed(wanted).await?;
        let mut ticket = self.read(&shape).await?;
        if let Some(id) = shape.agent_id.filter(|agent| *agent > UNASSIGNED) {
            let ask = self.get(&format!("/Agent/{id}"));
            if let Some(answer) = optional(self.send(ask).await)? {
                let agent: Agent = answer.json()?;
                ticket.owner.extend(names([agent.name.as_deref(), agent.email.as_deref()]));
            }
        }
        Ok(ticket)
    }

    async fn tickets(&self, numbers: &[String]) -> Result<Vec<Ticket>, PsaError> {
        let wanted: Vec<u64> = numbers.iter().filter_map(|number| whole_number(number).ok()).collect();
        let mut found = Vec::new();
        for some in wanted.chunks(PAGE) {
            let list = some.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
            let ask = self
                .get("/Tickets")
                .query("ticketids", list)
                .query("pageinate", "true")
                .query("page_size", PAGE.to_string())
                .query("page_no", "1");
            let answer: Tickets = self.send(ask).await?.json()?;
            for mut shape in need(answer.tickets, "tickets")? {
                let id = need(shape.id, "id")?;
                if !some.contains(&id) {
                    return Err(another_ticket());
                }
                // The document allows a list to leave it out.
                if shape.hasbeenclosed.is_none() {
                    shape = self.detailed(id).await?;
                }
                found.push(self.read(&shape).await?);
            }
        }
        Ok(found)
    }

    async fn add_note(&self, ticket: &Ticket, note: &Note) -> Result<(), PsaError> {
        let id = whole_number(&ticket.id)?;
        let body = json!([{
            "ticket_id": id,
            "outcome": if note.public { "Public Note" } else { "Private Note" },
            "note": note.text,
            "hiddenfromuser": !note.public,
            "sendemail": false,
        }]);
        self.send(Ask::post(format!("{}/Actions", self.api), body)).await.map(drop)
    }

    async fn has_note(&self, ticket: &Ticket, mark: &str) -> Result<bool, PsaError> {
        let id = whole_number(&ticket.id)?;
        let ask = self
            .get("/Actions")
            .query("ticket_id", id.to_string())
            .query("excludesys", "true")
            .query("count", ACTIONS.to_string());
        let answer: Actions = self.send(ask).await?.json()?;
        let actions = need(answer.actions, "actions")?;
        Ok(actions.iter().any(|action| action.note.as_ref().is_some_and(|note| note.contains(mark))))
    }

    async fn companies(&self) -> Result<Vec<Company>, PsaError> {
        let mut found = Vec::new();
        for page in 1..=COMPANY_PAGES {
            let ask = self
                .get("/Client")
                .query("includeactive", "true")
                .query("includeinactive", "false")
                .query("order", "id")
                .query("pageinate", "true")
                .query("page_size", PAGE.to_string())
                .query("page_no", page.to_string());
            let answer: Clients = self.send(ask).await?.json()?;
            let clients = need(answer.clients, "clients")?;
            let last = clients.len() < PAGE;
            for its in clients {
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
