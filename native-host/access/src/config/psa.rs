//! Ticket systems as they are configured, and what a policy asks of a ticket.

use ticketgate_protocol::ids::PsaId;

use super::SecretRef;

/// A ticket system (`[[psa]]`): how the broker asks it about tickets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Psa {
    /// Its id.
    pub id: PsaId,
    /// What it is.
    pub kind: PsaKind,
    /// The API's base address, without a slash at its end: `https`, or `http` on this machine.
    pub url: String,
    /// The hosts at which its tickets are seen in a browser, in lower case: a ticket is looked up where its page is.
    pub pages: Vec<String>,
    /// What [`PsaKind::login`] says, where the kind has one.
    pub login: Option<String>,
    /// What [`PsaKind::client_id`] says, where the kind has one.
    pub client_id: Option<String>,
    /// Where the token, key or password is kept.
    pub secret: SecretRef,
    /// A file of certificates (PEM) that vouch for the server; the system's own where there is none.
    pub ca_file: Option<String>,
    /// Seconds until a request counts as failed.
    pub timeout_s: u32,
    /// Seconds from one look at the tickets of live sessions to the next, for policies with `end_when_closed`.
    pub poll_s: u32,
    /// Whether sessions are noted in their tickets.
    pub notes: TicketNotes,
    /// The words of a status that mean closed, where the kind's own do not fit.
    pub closed: Vec<String>,
}

/// A kind of ticket system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "names")]
pub enum PsaKind {
    RequestTracker,
    ConnectWise,
    Autotask,
    HaloPsa,
    Syncro,
    Zendesk,
    Freshdesk,
    Freshservice,
    ServiceNow,
    Jira,
}

impl PsaKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::RequestTracker,
        Self::ConnectWise,
        Self::Autotask,
        Self::HaloPsa,
        Self::Syncro,
        Self::Zendesk,
        Self::Freshdesk,
        Self::Freshservice,
        Self::ServiceNow,
        Self::Jira,
    ];

    /// The word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::RequestTracker => "request_tracker",
            Self::ConnectWise => "connectwise",
            Self::Autotask => "autotask",
            Self::HaloPsa => "halopsa",
            Self::Syncro => "syncro",
            Self::Zendesk => "zendesk",
            Self::Freshdesk => "freshdesk",
            Self::Freshservice => "freshservice",
            Self::ServiceNow => "servicenow",
            Self::Jira => "jira",
        }
    }

    /// The name on screens.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RequestTracker => "Request Tracker",
            Self::ConnectWise => "ConnectWise PSA",
            Self::Autotask => "Autotask",
            Self::HaloPsa => "HaloPSA",
            Self::Syncro => "Syncro",
            Self::Zendesk => "Zendesk",
            Self::Freshdesk => "Freshdesk",
            Self::Freshservice => "Freshservice",
            Self::ServiceNow => "ServiceNow",
            Self::Jira => "Jira Service Management",
        }
    }

    /// Whether a recognition rule's system (`Ticket::system`) is of this kind.
    #[must_use]
    pub fn is_system(self, system: &str) -> bool {
        match self {
            Self::RequestTracker => system == "request-tracker",
            // One platform under two names.
            Self::Syncro => system == "syncro" || system == "repairshopr",
            other => system == other.word(),
        }
    }

    /// Whether its pages show a ticket's number with zeros before it that its API leaves out: `0001234` for 1234.
    #[must_use]
    pub const fn pads_numbers(self) -> bool {
        matches!(self, Self::HaloPsa)
    }

    /// What `login` is, where the kind has one.
    #[must_use]
    pub const fn login(self) -> Option<&'static str> {
        match self {
            Self::ConnectWise => Some(
                "the company id and the API member's public key, as \"acme+AbCdEf\"; `secret` is its private key",
            ),
            Self::Autotask => Some("the API user's name; `secret` is its password"),
            Self::Zendesk => Some("the e-mail address of the API token's owner; `secret` is the token"),
            Self::ServiceNow => Some("the name of the integration's user; `secret` is its password"),
            Self::Jira => Some("the e-mail address of the API token's owner; `secret` is the token"),
            Self::RequestTracker | Self::HaloPsa | Self::Syncro | Self::Freshdesk | Self::Freshservice => {
                None
            }
        }
    }

    /// What `client_id` is, where the kind has one.
    #[must_use]
    pub const fn client_id(self) -> Option<&'static str> {
        match self {
            Self::ConnectWise => Some("the client id of ConnectWise's developer portal"),
            Self::Autotask => Some("the API user's tracking identifier (integration code)"),
            Self::HaloPsa => Some("the application's client id; `secret` is its client secret"),
            _ => None,
        }
    }
}

/// Whether sessions are noted in their tickets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TicketNotes {
    /// As notes that the customer does not see.
    #[default]
    Private,
    /// As notes that the customer sees.
    Public,
    /// Not at all.
    Off,
}

/// What a policy asks of a ticket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TicketRule {
    /// One must be named.
    pub required: bool,
    /// The ticket system is asked: it exists, and it is the policy's customer's.
    pub verified: Verified,
    /// And it is open.
    pub must_be_open: bool,
    /// And it is the technician's.
    pub must_be_mine: bool,
    /// The session ends when the ticket is closed.
    pub end_when_closed: bool,
}

/// When the ticket system is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verified {
    /// What the page says counts.
    #[default]
    Never,
    /// Where it cannot be reached, what the page says counts, and the audit log says so.
    WhenReachable,
    /// Where it cannot be reached, nothing is granted.
    Always,
}
