//! Errors as people and programs meet them: a stable code, a plain sentence, a remedy (RFC 9457 problem details).
//! The broker's internals (server answers, paths, stack traces) never stand in a problem; they go to its log. Relay and
//! command line may name files on the person's own computer, which that person can mend.

use serde::{Deserialize, Serialize};

use crate::tree::{Faults, FromJson, ToTree, Tree, Value};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $status:literal;)*) => {
        /// Stable error codes, append-only: a code's meaning never changes and none is reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
            /// A code that a newer peer sent and this build does not know.
            #[serde(other, rename = "unknown")]
            Unknown,
        }

        impl Code {
            /// Every known code, in the order of their numbers in `docs/protocol.md`.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The code as it stands on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text,)* Code::Unknown => "unknown" }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Code::$variant => $status,)* Code::Unknown => 500 }
            }
        }

        impl FromJson for Code {
            fn read(value: Option<Value<'_>>, faults: &mut Faults) -> Self {
                let text = String::read(value, faults);
                Self::ALL.iter().copied().find(|code| code.as_str() == text).unwrap_or(Code::Unknown)
            }
        }

        impl ToTree for Code {
            fn to_tree(&self) -> Tree {
                Tree::word(self.as_str())
            }
        }
    };
}

codes! {
    /// The body or frame is not JSON, not UTF-8, or not of the shape that the method takes.
    MalformedRequest = "malformed_request", 400;
    /// A frame or body is larger than its cap.
    TooLarge = "too_large", 413;
    /// A frame ended before its announced length.
    FrameCut = "frame_cut", 400;
    /// No such method in this version.
    UnknownMethod = "unknown_method", 404;
    /// Extension and host share no protocol version; the detail says which side to update.
    ProtocolMismatch = "protocol_mismatch", 409;
    /// The first frame on a port was not `hello`.
    HelloFirst = "hello_first", 400;
    /// The calling extension is not one that this host serves.
    OriginRefused = "origin_refused", 403;
    /// No broker answers.
    BrokerUnreachable = "broker_unreachable", 503;
    /// The broker did not answer in time; the request may still have been carried out (repeat with the same key).
    TimedOut = "timed_out", 504;
    /// The operating system's user is not a configured technician.
    NotATechnician = "not_a_technician", 403;
    /// Only an administrator may do this.
    NotAnAdministrator = "not_an_administrator", 403;
    /// The same idempotency key came with another request.
    KeyReused = "key_reused", 409;
    /// No such customer.
    UnknownCustomer = "unknown_customer", 404;
    /// No such policy.
    UnknownPolicy = "unknown_policy", 404;
    /// No such session, or not one of this technician's.
    UnknownSession = "unknown_session", 404;
    /// The policy belongs to another customer than the one named.
    WrongCustomer = "wrong_customer", 409;
    /// The policy names a right that the directory does not have.
    UnknownRight = "unknown_right", 422;
    /// The technician is not eligible for the policy.
    NotEligible = "not_eligible", 403;
    /// The duration is zero, negative, absurd, or over the policy's maximum.
    BadDuration = "bad_duration", 422;
    /// The reason is empty, too long, or holds control characters.
    BadReason = "bad_reason", 422;
    /// The policy requires a ticket and none was named.
    TicketRequired = "ticket_required", 422;
    /// A ticket field is malformed.
    BadTicket = "bad_ticket", 422;
    /// Too many sessions at once.
    TooManySessions = "too_many_sessions", 409;
    /// Too many requests in a minute, hour or day.
    RateLimited = "rate_limited", 429;
    /// The session is not in a state in which this can be done.
    WrongState = "wrong_state", 409;
    /// The session has reached the policy's maximum and cannot be extended further.
    AtMaximum = "at_maximum", 409;
    /// The password is no longer held by the broker; ask for a new one.
    PasswordGone = "password_gone", 410;
    /// The account of this session has no password of ours (membership mode).
    NoPassword = "no_password", 409;
    /// No clipboard can be reached; the password can be printed in a terminal.
    NoClipboard = "no_clipboard", 503;
    /// The directory cannot be reached or did not answer in time. Nothing was left granted.
    DirectoryDown = "directory_down", 503;
    /// The directory's certificate is expired, foreign, or for another name.
    CertificateRefused = "certificate_refused", 503;
    /// The directory refused the broker's service account.
    BindRefused = "bind_refused", 503;
    /// The service account may not write what the policy asks for.
    NotDelegated = "not_delegated", 503;
    /// The directory refused the change for another reason.
    DirectoryRefused = "directory_refused", 502;
    /// A person's account has the name that the JIT account would get. It is never taken over.
    NameClash = "name_clash", 409;
    /// Broker's and directory's clocks are more than five minutes apart.
    ClockSkew = "clock_skew", 503;
    /// The ledger or audit log cannot be written: no audit, no action.
    LedgerDown = "ledger_down", 503;
    /// The configuration is missing or faulty; nothing is granted until it is mended.
    BadConfiguration = "bad_configuration", 503;
    /// The ticket named at the click is not the one that the person saw.
    TicketChanged = "ticket_changed", 409;
    /// The broker is stopping.
    Stopping = "stopping", 503;
    /// A fault of ours; the request id finds it in the log.
    Internal = "internal", 500;
    /// What was asked for does not work on this operating system yet.
    Unsupported = "unsupported", 501;
    /// The ticket system has no ticket of this number, or does not show it to the broker.
    TicketNotFound = "ticket_not_found", 404;
    /// The ticket is closed, and the policy needs an open one.
    TicketClosed = "ticket_closed", 409;
    /// By the ticket system the ticket is another customer's than the policy, or it cannot be told whose it is.
    TicketOfAnotherCustomer = "ticket_of_another_customer", 409;
    /// The ticket is not the technician's, and the policy needs one that is.
    TicketNotYours = "ticket_not_yours", 403;
    /// The policy needs a ticket that its system vouches for, and the system gave no word that could be used.
    TicketUnverified = "ticket_unverified", 503;
    /// There is no such ticket at any customer of this technician's, or no ticket system that could be asked.
    TicketUnknown = "ticket_unknown", 404;
    /// The ticket system gave no word of the ticket that could be used.
    TicketSystemDown = "ticket_system_down", 503;
    /// The machine that answers has another host key than the one that was checked.
    HostKeyRefused = "host_key_refused", 503;
    /// The tenant has no licence for what the policy needs.
    LicenceMissing = "licence_missing", 503;
    /// A rule of the tenant's own forbids what the policy grants.
    TenantPolicy = "tenant_policy", 503;
    /// The directory asks somebody to approve the right; the request was withdrawn.
    DirectoryWaits = "directory_waits", 503;
    /// The broker acts by the sign-in of a person, and there is none, or none that is taken any more. With status 401: whoever
    /// asks over HTTPS is not signed in to the broker (any more).
    SignInNeeded = "sign_in_needed", 503;
    /// The caller's roles, or a token's scopes, do not allow this.
    RoleNeeded = "role_needed", 403;
    /// The provider by which people sign in gave no answer that could be used. Whoever is signed in goes on.
    ProviderDown = "provider_down", 503;
    /// The broker that began this activation did not finish it, or something it needs was away, and it was taken back. Nothing was left granted.
    TakenBack = "taken_back", 503;
}

/// A refusal or failure. `detail` says what is the matter, `remedy` what the person can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// The stable code.
    pub code: Code,
    /// HTTP status.
    pub status: u16,
    /// One plain sentence: what is the matter.
    pub detail: String,
    /// One plain sentence: what the person can do about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
    /// Finds the request in the broker's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Seconds after which a repeat makes sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
}

impl Problem {
    /// A problem with its code's status and no remedy yet.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            status: code.status(),
            detail: detail.into(),
            remedy: String::new(),
            request_id: None,
            retry_after_s: None,
        }
    }

    /// The same with what the person can do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// The request's id where people can do something with it: what is not their own fault somebody looks up in the broker's log.
    #[must_use]
    pub fn request_to_name(&self) -> Option<&str> {
        self.request_id.as_deref().filter(|_| self.status >= 500)
    }

    /// The same with the seconds after which a repeat makes sense.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)?;
        if !self.remedy.is_empty() {
            write!(f, " {}", self.remedy)?;
        }
        write!(f, " [{}]", self.code.as_str())
    }
}

impl std::error::Error for Problem {}
