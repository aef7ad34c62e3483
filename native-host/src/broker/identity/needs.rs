//! What each route needs of whoever comes over the network. A route that is not in this table is refused to everybody there; the
//! handlers decide on the rest: whose session, which customer.

use axum::http::Method;
use ticketgate_access::config::Role::{self, Administrator, Approver, Auditor, Technician};
use ticketgate_protocol::problem::{Code, Problem};

use super::super::people::{By, Caller, Scope};

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Need {
    /// Nothing: it says or begins a sign-in.
    Anybody,
    /// To be known at all.
    Known,
    /// One of these roles at some customer, or a token with this scope.
    Has(&'static [Role], Option<Scope>),
    /// A person, for what is their own, or one of these roles, or a token with this scope.
    Own(&'static [Role], Option<Scope>),
    /// The role of an administrator at every customer.
    WholeAdministrator,
}

const READS: &[Role] = &[Administrator, Auditor, Approver];

/// Every route.
pub(in crate::broker) const TABLE: &[(Method, &str, Need)] = &[
    (Method::GET, "/v1/broker", Need::Known),
    (Method::GET, "/v1/overview", Need::Has(&[Technician], None)),
    (Method::POST, "/v1/ticket", Need::Has(&[Technician], None)),
    (Method::POST, "/v1/preview", Need::Has(&[Technician], None)),
    (Method::GET, "/v1/sessions", Need::Own(READS, Some(Scope::SessionsRead))),
    (Method::POST, "/v1/sessions", Need::Has(&[Technician], None)),
    (Method::GET, "/v1/sessions/{id}", Need::Own(READS, Some(Scope::SessionsRead))),
    (Method::POST, "/v1/sessions/{id}/extend", Need::Has(&[Technician], None)),
    (Method::POST, "/v1/sessions/{id}/end", Need::Own(&[Administrator], Some(Scope::SessionsEnd))),
    (Method::POST, "/v1/sessions/{id}/password", Need::Has(&[Technician], None)),
    (Method::POST, "/v1/end-all", Need::Own(&[Administrator], Some(Scope::SessionsEnd))),
    (Method::GET, "/v1/audit", Need::Has(&[Technician, Administrator, Auditor], Some(Scope::AuditRead))),
    (
        Method::GET,
        "/v1/audit/export",
        Need::Has(&[Technician, Administrator, Auditor], Some(Scope::AuditRead)),
    ),
    (Method::GET, "/v1/audit/verify", Need::Has(&[Administrator, Auditor], Some(Scope::AuditRead))),
    (Method::GET, "/v1/check", Need::Has(&[Technician, Administrator], Some(Scope::Check))),
    (Method::POST, "/v1/check", Need::Has(&[Technician, Administrator], None)),
    (Method::GET, "/v1/metrics", Need::Has(&[Administrator], Some(Scope::Metrics))),
    (Method::POST, "/v1/sweep", Need::WholeAdministrator),
    (Method::POST, "/v1/directories/{id}/sign-in", Need::WholeAdministrator),
    (Method::POST, "/v1/directories/{id}/sign-in/go-on", Need::WholeAdministrator),
    (Method::POST, "/v1/directories/{id}/sign-out", Need::WholeAdministrator),
    (Method::GET, "/v1/directories/{id}/tenants", Need::WholeAdministrator),
    (Method::GET, "/v1/events", Need::Has(&[Technician], None)),
    (Method::GET, "/v1/openapi.json", Need::Anybody),
    (Method::POST, "/v1/sign-in", Need::Anybody),
    (Method::POST, "/v1/sign-in/go-on", Need::Anybody),
    (Method::POST, "/v1/sign-in/renew", Need::Anybody),
    (Method::POST, "/v1/sign-in/logout-token", Need::Anybody),
    (Method::POST, "/v1/sign-out", Need::Anybody),
    (Method::GET, "/v1/sign-ins", Need::WholeAdministrator),
    (Method::POST, "/v1/sign-ins/revoke", Need::WholeAdministrator),
    (Method::GET, "/v1/tokens", Need::WholeAdministrator),
    (Method::POST, "/v1/tokens", Need::WholeAdministrator),
    (Method::POST, "/v1/tokens/{id}/revoke", Need::WholeAdministrator),
    (Method::POST, "/v1/technicians/{id}/remove", Need::WholeAdministrator),
];

/// What the route of this path needs; nothing where there is none.
pub(super) fn of(method: &Method, path: &str) -> Option<Need> {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    TABLE.iter().find(|(with, at, _)| with == method && *at == path).map(|(_, _, need)| *need)
}

impl Need {
    /// # Errors
    /// [`Code::RoleNeeded`]
    pub(super) fn admits(self, caller: &Caller) -> Result<(), Problem> {
        let scoped = |scope: Option<Scope>| match &caller.by {
            By::Token { scopes, .. } => Some(scope.is_some_and(|scope| scopes.contains(&scope))),
            By::Local | By::SignIn(_) => None,
        };
        let admitted = match self {
            Self::Anybody | Self::Known => true,
            Self::Has(roles, scope) => scoped(scope).unwrap_or_else(|| caller.roles.has_any(roles)),
            Self::Own(roles, scope) => {
                scoped(scope).unwrap_or_else(|| caller.person.is_some() || caller.roles.has_any(roles))
            }
            Self::WholeAdministrator => caller.administrator,
        };
        if admitted {
            return Ok(());
        }
        let (detail, remedy) = match &caller.by {
            By::Token { .. } => (
                "The token's scopes do not allow this.",
                "Ask an administrator for a token with another scope.",
            ),
            By::Local | By::SignIn(_) => {
                ("Your role does not allow this.", "Ask an administrator for a [[role]] that does.")
            }
        };
        Err(Problem::new(Code::RoleNeeded, detail).remedy(remedy))
    }
}
