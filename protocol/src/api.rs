//! Bodies between relay or command line and the broker. Paths stand in the broker's OpenAPI document.
//! Times are UTC, durations whole seconds.

mod audit;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{CustomerId, DirectoryId, PolicyId, SessionId, TechnicianId};
use crate::problem::Problem;
use crate::ticket::Ticket;
use crate::tree::{FromJson, ToTree};

pub use audit::{AuditFault, AuditRecord, AuditVerdict};

/// How a policy uses accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, FromJson, ToTree)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// One JIT account per technician and directory, disabled between sessions.
    Dedicated,
    /// Created for the session, deleted after it.
    Burner,
    /// The technician's own account gets the rights for the session.
    Membership,
}

/// Where a session stands. See `ARCHITECTURE.md`, "Session states".
///
/// `pending → approved → activating → active → ending → ended`; `denied`, `lapsed` and `failed` are ends of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, FromJson, ToTree)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for approval.
    Pending,
    /// Approved, not yet used.
    Approved,
    /// Durable in the ledger, being granted.
    Activating,
    /// Granted and verified; the only state with a countdown.
    Active,
    /// Being taken away; retried until it is.
    Ending,
    /// Taken away and verified.
    Ended,
    /// An approver said no.
    Denied,
    /// Nobody used or approved it in time.
    Lapsed,
    /// Nothing was granted, or all of it was taken back.
    Failed,
    /// A state that a newer broker sent.
    #[serde(other)]
    Unknown,
}

/// Why a session ended or is ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, FromJson, ToTree)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// Its time was over.
    Expired,
    /// The technician ended it.
    Technician,
    /// An administrator ended it.
    Administrator,
    /// It could not be granted whole and was taken back.
    GrantFailed,
    /// The broker's clock was set back further than can be trusted.
    ClockSetBack,
    /// The configuration no longer has its policy or directory right.
    PolicyGone,
    /// Its ticket was closed. An active session that has this ends within a minute.
    TicketClosed,
    /// A cause that a newer broker sent.
    #[serde(other)]
    Unknown,
}

/// `GET /v1/broker`: who serves, and whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BrokerInfo {
    /// The broker's version.
    pub version: String,
    /// Lowest protocol that it speaks.
    pub protocol_min: u32,
    /// Highest protocol that it speaks.
    pub protocol_max: u32,
    /// The technician that the caller is, if any.
    pub technician: Option<TechnicianId>,
    /// Whether the caller may act for everybody.
    pub administrator: bool,
    /// The broker's clock.
    pub now: DateTime<Utc>,
    /// Things that the person should know (a faulty configuration, a skewed clock).
    #[serde(default)]
    pub notices: Vec<Notice>,
}

/// Something that the person should know though it stops nothing by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Notice {
    /// `info`, `warning` or `error`.
    pub level: String,
    /// One plain sentence with the remedy.
    pub text: String,
}

/// `GET /v1/overview`: all that the popup needs, in one answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Overview {
    /// The caller.
    pub technician: TechnicianId,
    /// The broker's clock at the answer.
    pub now: DateTime<Utc>,
    /// Customers that have at least one policy the technician is eligible for.
    pub customers: Vec<Customer>,
    /// Policies that the technician is eligible for.
    pub policies: Vec<Policy>,
    /// The technician's sessions that are not yet over, soonest end first.
    pub sessions: Vec<Session>,
    /// Things that the person should know.
    #[serde(default)]
    pub notices: Vec<Notice>,
    /// How a reason is made from a ticket (`#{number} {summary} ({customer}, {contact})`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_template: Option<String>,
    /// The administrator's recognition rules: a JSON text each, as `docs/rules.md` describes it, checked. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// The hosts, in lower case, about whose tickets the broker can be asked ([`TicketQuestion`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ticket_hosts: Vec<String>,
}

/// `POST /v1/ticket`: what does the ticket system say of this ticket? For pages that do not say enough themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TicketQuestion {
    /// The PSA's rule id, as in [`Ticket::system`].
    pub system: String,
    /// The number as people say it.
    pub number: String,
    /// Where the ticket can be seen: the ticket system that shows this page is asked.
    pub url: String,
}

/// `POST /v1/ticket` answers this, and only of a ticket of customers at which the technician may use some policy. Texts are
/// lines of at most [`crate::text::FIELD_MAX`] characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TicketTold {
    /// The ticket system's name on screens (`HaloPSA`).
    pub system_name: String,
    /// The ticket's number: the one that was asked about.
    pub number: String,
    /// Whose it is: one customer, or several that cannot be told apart. Never none.
    pub customers: Vec<CustomerId>,
    /// One line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The customer as the ticket system writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// The ticket system's own word for its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Whether that means open.
    pub open: bool,
}

/// A customer, as offered to a technician.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Customer {
    /// Its id.
    pub id: CustomerId,
    /// Its name as people say it.
    pub name: String,
    /// Other ways in which the PSA may write it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The domains of its people's e-mail addresses, in lower case. Each is one customer's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
}

/// A policy, as offered to a technician. Names no server, group or path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Policy {
    /// Its id.
    pub id: PolicyId,
    /// Its name as people say it.
    pub name: String,
    /// The customer that it belongs to (by its directory).
    pub customer: CustomerId,
    /// How accounts are used.
    pub mode: Mode,
    /// The duration offered first, in seconds.
    pub default_s: u32,
    /// The longest whole session, extensions included, in seconds.
    pub max_s: u32,
    /// Durations offered, in seconds, ascending.
    pub choices_s: Vec<u32>,
    /// Whether a ticket is required.
    pub ticket_required: bool,
    /// Whether the broker asks the ticket's system about it before it grants anything.
    #[serde(default)]
    pub ticket_verified: bool,
    /// Whether a click on the in-page button activates at once.
    pub one_click: bool,
    /// What the directory ends by itself if the broker is away, said plainly (`The account stops by itself …`).
    pub end_guarantee: String,
    /// What an end does not stop, said plainly.
    pub end_limits: String,
}

/// `POST /v1/sessions` and `POST /v1/preview`: a wish for rights. Ids only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Activate {
    /// For which customer; must be the policy's. Left out by whoever only names the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// By which policy.
    pub policy: PolicyId,
    /// For how long, in seconds.
    pub duration_s: i64,
    /// Why.
    pub reason: String,
    /// For which ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Ticket>,
}

/// `POST /v1/preview` answers this: what `POST /v1/sessions` would say now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Preview {
    /// `None` when it would be granted.
    pub refusal: Option<Problem>,
    /// When it would end.
    pub until: Option<DateTime<Utc>>,
}

/// `POST /v1/sessions/{id}/extend`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Extend {
    /// By how long the end moves, in seconds.
    pub by_s: i64,
}

/// `POST /v1/end-all`: the emergency brake. At least one of the two must be named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EndAll {
    /// Every session of this technician.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub technician: Option<TechnicianId>,
    /// Every session at this customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
}

/// A session as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Where it stands.
    pub state: State,
    /// Who holds it.
    pub technician: TechnicianId,
    /// At which customer.
    pub customer: CustomerId,
    /// The customer's name.
    pub customer_name: String,
    /// By which policy.
    pub policy: PolicyId,
    /// The policy's name.
    pub policy_name: String,
    /// In which directory.
    pub directory: DirectoryId,
    /// How the account is used.
    pub mode: Mode,
    /// The account to log on with (`ACME\jit-tech1`), once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The rights it brings, by their short names.
    pub rights: Vec<String>,
    /// Why.
    pub reason: String,
    /// For which ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Ticket>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When the clock started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<DateTime<Utc>>,
    /// When it ends (or ended).
    pub expires_at: DateTime<Utc>,
    /// The latest end that extensions can reach.
    pub latest_end: DateTime<Utc>,
    /// Why it ended or is ending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_cause: Option<EndCause>,
    /// When it was verified as taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// What last went wrong, while it is being retried or after it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// Whether the broker still holds the password for copying.
    pub password_held: bool,
    /// Whether it comes without a password: people log on with something of their own.
    #[serde(default)]
    pub passwordless: bool,
    /// Grows with every change, so that a late event never replaces a newer one.
    pub version: u64,
    /// What it has in each directory, where it grants in several: all or nothing. Empty for one directory: then the fields above
    /// say it all. With parts, `directory`, `mode`, `account` and `rights` are the first part's, `state` and `ended_at` are the
    /// whole's, `trouble` is that of the first part that has any, and `passwordless` says that no part has a password.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

/// What a session has in one of its directories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Part {
    /// In which directory; no two parts of a session are in the same.
    pub directory: DirectoryId,
    /// How the account is used.
    pub mode: Mode,
    /// The account to log on with there, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The rights it brings there, by their short names.
    pub rights: Vec<String>,
    /// Where it stands. The session is active only when every part is.
    pub state: State,
    /// When it was verified as taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// What last went wrong with it, while it is being retried or after it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// Whether the broker still holds its password for copying.
    pub password_held: bool,
    /// Whether it comes without a password.
    #[serde(default)]
    pub passwordless: bool,
}

/// What last went wrong with a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Trouble {
    /// The problem.
    pub problem: Problem,
    /// Attempts so far.
    pub attempts: u32,
    /// When the next attempt is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<DateTime<Utc>>,
}

/// `POST /v1/sessions/{id}/password`: who asks how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PasswordWanted {
    /// Sets a new password first; needed when the broker no longer holds one.
    #[serde(default)]
    pub renew: bool,
    /// The broker forgets it afterwards: what was shown in a terminal is not shown again.
    #[serde(default)]
    pub once: bool,
    /// In which of the session's directories. Needed where more than one of its parts has a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<DirectoryId>,
}

/// `GET /v1/events` sends these as server-sent events; the relay passes them on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// A session of the technician changed.
    Session(Box<Session>),
    /// Policies, customers or notices changed: fetch the overview again.
    Overview,
    /// Events may have been lost: fetch the overview again.
    Resync,
    /// An event that a newer broker sent.
    #[serde(other)]
    Unknown,
}

/// One finding of `GET /v1/check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Finding {
    /// `ok`, `warning` or `error`.
    pub level: String,
    /// What was looked at: `directory acme-ad`, `policy acme-domain-admin`, …
    pub subject: String,
    /// What was found.
    pub text: String,
    /// How to mend it, with the exact command where there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}
