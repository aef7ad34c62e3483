//! The client of the broker's API, used by relay and command line: one typed method per route.
//! How bytes travel is in [`transport`] and [`connections`], over a network in [`over_network`] and [`network`], events in [`events`],
//! who signs in in [`identity`], starting a broker in [`starting`].

mod ask;
mod connections;
pub mod events;
pub mod identity;
pub mod network;
mod over_network;
#[cfg(windows)]
mod pipe;
pub mod proof;
pub mod signing_in;
pub mod sse;
pub mod starting;
mod team;
mod tenants;
mod transport;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ticketgate_protocol::api::{
    Activate, AuditRecord, AuditVerdict, BrokerInfo, EndAll, Extend, Finding, Overview, PasswordWanted,
    Preview, Session, TicketQuestion, TicketTold,
};
use ticketgate_protocol::ids::{CustomerId, IdempotencyKey, SessionId, TechnicianId};
use ticketgate_protocol::problem::Problem;

use self::ask::Ask;
use self::connections::Connections;
use self::events::EventStream;
use self::identity::{Identity, Renews, SignedIn};
use self::network::Network;
use self::over_network::{Over, OverNetwork};
use self::starting::Starter;
use crate::handover::PasswordHandOver;
use crate::places::{Places, Surroundings};
use crate::team::{self as teams, Team};

/// How long a call may take unless said otherwise. An activation is the longest: a directory that answers slowly.
const LIMIT: Duration = Duration::from_secs(35);

/// Where a broker answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket, or a named pipe on Windows.
    Socket(PathBuf),
    /// The team's, over HTTPS.
    Https(Arc<Team>),
}

/// Which sessions are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// This technician's only (administrators may name another than themselves).
    pub technician: Option<TechnicianId>,
    /// At this customer only.
    pub customer: Option<CustomerId>,
    /// Those only that are not over yet.
    pub open: bool,
    /// Everybody's (administrators).
    pub all: bool,
}

/// Which records of the audit log are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// This customer's chain only.
    pub customer: Option<CustomerId>,
    /// From this time on.
    pub since: Option<DateTime<Utc>>,
    /// At most so many, the newest.
    pub limit: Option<u32>,
}

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// JSON Lines.
    JsonLines,
    /// Comma-separated values.
    Csv,
}

/// Talks to one broker. Cheap to clone; connections are shared.
#[derive(Debug, Clone)]
pub struct Client {
    connections: Arc<Connections>,
    endpoint: Endpoint,
    limit: Duration,
    starter: Option<Arc<Starter>>,
    identity: Option<Arc<Identity>>,
    /// While somebody signs in, renews or signs out: as this, whatever it is by then.
    acting: Option<Arc<SignedIn>>,
    over: Option<Arc<dyn Over>>,
}

impl Client {
    /// A client of the broker at `endpoint`. Nothing is connected yet.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        let team = match &endpoint {
            Endpoint::Socket(socket) => return Self::at_socket(socket.clone()),
            Endpoint::Https(team) => Arc::clone(team),
        };
        let connections = Connections::over(Network::new(team));
        Self { connections, endpoint, over: Some(Arc::new(OverNetwork)), ..Self::at_socket(PathBuf::new()) }
    }

    /// A client of a broker of this machine. All that a program needs which does nothing else: what goes over a network is not even
    /// linked into it.
    #[must_use]
    pub fn at_socket(socket: PathBuf) -> Self {
        Self {
            connections: Connections::new(socket.clone()),
            endpoint: Endpoint::Socket(socket),
            limit: LIMIT,
            starter: None,
            identity: None,
            acting: None,
            over: None,
        }
    }

    /// A client of this machine's own broker, which is started when none answers.
    #[must_use]
    pub fn of_this_machine_alone(around: &Surroundings, places: &Places) -> Self {
        let client = Self::at_socket(places.socket.clone());
        match Starter::new(around, places.clone()) {
            Some(starter) => client.starting_with(starter),
            None => client,
        }
    }

    /// A client of the broker that this process is to use: the team's where one was named, signed in as whoever signed in on this
    /// machine; else this machine's own, which is started when none answers.
    ///
    /// # Errors
    /// A [`Problem`]: what names the team's broker cannot be followed.
    pub fn of_this_machine(around: &Surroundings, places: &Places, renews: Renews) -> Result<Self, Problem> {
        if let Some(team) = teams::find(around)? {
            let identity = Identity::of_this_machine(&team, places).renewing(renews);
            return Ok(Self::new(Endpoint::Https(Arc::new(team))).signed_in_by(identity));
        }
        Ok(Self::of_this_machine_alone(around, places))
    }

    /// The same, showing who signed in.
    #[must_use]
    pub fn signed_in_by(mut self, identity: Identity) -> Self {
        self.identity = Some(Arc::new(identity));
        self
    }

    /// The same, showing this alone.
    fn acting_as(&self, whom: Arc<SignedIn>) -> Self {
        Self { acting: Some(whom), ..self.clone() }
    }

    /// Who signed in, where the broker asks for it.
    #[must_use]
    pub fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.as_ref()
    }

    /// The same with another time limit per call.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The same, starting a broker when none answers.
    #[must_use]
    pub fn starting_with(mut self, starter: Starter) -> Self {
        self.starter = Some(Arc::new(starter));
        self
    }

    /// Where it connects to.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// `GET /v1/broker`.
    ///
    /// # Errors
    /// The broker's [`Problem`], or `broker_unreachable` or `timed_out` with a remedy, as every method here.
    pub async fn broker(&self) -> Result<BrokerInfo, Problem> {
        self.get("/v1/broker").await
    }

    /// `GET /v1/overview`.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn overview(&self) -> Result<Overview, Problem> {
        self.get("/v1/overview").await
    }

    /// `POST /v1/ticket`.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn ticket(&self, question: &TicketQuestion) -> Result<TicketTold, Problem> {
        self.question("/v1/ticket", question).await
    }

    /// `POST /v1/preview`.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn preview(&self, wish: &Activate) -> Result<Preview, Problem> {
        self.question("/v1/preview", wish).await
    }

    /// `POST /v1/sessions`. A repeat with the same key finds the first result.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn activate(&self, wish: &Activate, key: &IdempotencyKey) -> Result<Session, Problem> {
        self.post("/v1/sessions", Some(wish), Some(key)).await
    }

    /// `GET /v1/sessions`.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn sessions(&self, filter: &SessionFilter) -> Result<Vec<Session>, Problem> {
        let mut query = Query::new("/v1/sessions");
        query.add("technician", filter.technician.as_ref().map(TechnicianId::as_str));
        query.add("customer", filter.customer.as_ref().map(CustomerId::as_str));
        query.add("open", filter.open.then_some("true"));
        query.add("all", filter.all.then_some("true"));
        self.get(&query.path).await
    }

    /// `GET /v1/sessions/{id}`.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn session(&self, id: &SessionId) -> Result<Session, Problem> {
        self.get(&format!("/v1/sessions/{id}")).await
    }

    /// `POST /v1/sessions/{id}/extend`: moves the end by `by_s` seconds.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn extend(&self, id: &SessionId, by_s: i64, key: &IdempotencyKey) -> Result<Session, Problem> {
        self.post(&format!("/v1/sessions/{id}/extend"), Some(&Extend { by_s }), Some(key)).await
    }

    /// `POST /v1/sessions/{id}/end`.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn end(&self, id: &SessionId, key: &IdempotencyKey) -> Result<Session, Problem> {
        self.post(&format!("/v1/sessions/{id}/end"), None::<&()>, Some(key)).await
    }

    /// `POST /v1/sessions/{id}/password`: the account and its password.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn password(&self, id: &SessionId, wish: PasswordWanted) -> Result<PasswordHandOver, Problem> {
        let path = format!("/v1/sessions/{id}/password");
        // One that is forgotten with its answer cannot be asked for again.
        if wish.once { self.post(&path, Some(&wish), None).await } else { self.question(&path, &wish).await }
    }

    /// `POST /v1/end-all`: answers the sessions that it ended or is ending.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn end_all(&self, whose: &EndAll, key: &IdempotencyKey) -> Result<Vec<Session>, Problem> {
        self.post("/v1/end-all", Some(whose), Some(key)).await
    }

    /// `GET /v1/audit`.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, Problem> {
        let mut query = Query::new("/v1/audit");
        query.add("customer", filter.customer.as_ref().map(CustomerId::as_str));
        query.add("since", filter.since.map(|t| t.format("%Y-%m-%dT%H:%M:%SZ").to_string()).as_deref());
        query.add("limit", filter.limit.map(|l| l.to_string()).as_deref());
        query.add("newest", Some("true"));
        self.get(&query.path).await
    }

    /// `GET /v1/audit/export`: writes the export to `to` as it arrives, and answers the bytes written.
    ///
    /// # Errors
    /// As [`Client::broker`]; also when `to` cannot be written.
    pub async fn audit_export<W: std::io::Write>(
        &self,
        format: ExportFormat,
        to: &mut W,
    ) -> Result<u64, Problem> {
        let format = match format {
            ExportFormat::JsonLines => "jsonl",
            ExportFormat::Csv => "csv",
        };
        self.download(&format!("/v1/audit/export?format={format}"), to).await
    }

    /// `GET /v1/audit/verify`: every chain, or one customer's.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn audit_verify(&self, customer: Option<&CustomerId>) -> Result<AuditVerdict, Problem> {
        let mut query = Query::new("/v1/audit/verify");
        query.add("customer", customer.map(CustomerId::as_str));
        self.get(&query.path).await
    }

    /// `GET /v1/check`: the configuration against the directories; to `rehearse`, `POST`.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn check(&self, rehearse: bool) -> Result<Vec<Finding>, Problem> {
        if rehearse { self.post("/v1/check", None::<&()>, None).await } else { self.get("/v1/check").await }
    }

    /// `POST /v1/sweep`: converges everything now, and answers what was found and done.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn sweep(&self) -> Result<Vec<Finding>, Problem> {
        self.post("/v1/sweep", None::<&()>, None).await
    }

    /// `GET /v1/events`: one connection's events, until it breaks. [`events::EventFeed`] is the one that reconnects.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn events(&self, last_id: Option<&str>) -> Result<EventStream, Problem> {
        let answer = self.stream("/v1/events", last_id).await?;
        Ok(EventStream::new(answer, self.over.is_some()))
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        self.call(Ask::get(path)).await
    }

    /// A `POST` that may be repeated without a key.
    async fn question<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, Problem> {
        self.call(Ask::post(path, Some(body), None)?.repeatable()).await
    }

    async fn post<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&impl serde::Serialize>,
        key: Option<&IdempotencyKey>,
    ) -> Result<T, Problem> {
        self.call(Ask::post(path, body, key)?).await
    }
}

/// A path with its query. Every value is an id, a number, a word of ours or a time in UTC: none needs escaping.
struct Query {
    path: String,
    empty: bool,
}

impl Query {
    fn new(path: &str) -> Self {
        Self { path: path.to_owned(), empty: true }
    }

    fn add(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.path.push(if std::mem::take(&mut self.empty) { '?' } else { '&' });
            self.path.push_str(name);
            self.path.push('=');
            self.path.push_str(value);
        }
    }
}

#[cfg(all(test, unix))]
pub(crate) mod tests;
