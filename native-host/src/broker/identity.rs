//! Who makes a request: the operating system's user at the other end of the local socket, or whoever proves a sign-in from
//! elsewhere. Found once for each request, before any handler.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use ticketgate_protocol::problem::{Code, Problem};

use super::http::Api;
use super::{Broker, Caller};

/// Who is at the other end of a connection. A listener puts it into each request's extensions as `ConnectInfo<Peer>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A process of this machine, as the operating system tells.
    Local {
        /// The user's login name.
        login: String,
        /// Whether it is the machine's administrator.
        superuser: bool,
        /// Whether it is the user that this broker runs as.
        own: bool,
    },
    /// Somebody on the network. Where the request came from says nothing about who it is.
    Remote {
        /// The connection's other end.
        address: SocketAddr,
        /// The names in the client certificate, where one was asked for and checked.
        certificate: Option<String>,
    },
}

/// What was found out about a request, kept in its extensions.
#[derive(Debug, Clone)]
pub(super) struct Identified(pub(super) Result<Caller, Problem>);

/// Finds out who makes a request, for every handler and for the record of what is refused.
pub(super) async fn identified(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let found = match parts.extensions.get::<ConnectInfo<Peer>>().cloned() {
        Some(ConnectInfo(peer)) => caller(api.broker(), &peer, &parts).await,
        None => Err(Problem::new(Code::NotATechnician, "The operating system does not say who is calling.")
            .remedy("Connect to the broker's own socket.")),
    };
    parts.extensions.insert(Identified(found));
    next.run(Request::from_parts(parts, body)).await
}

/// The caller behind a request's connection and its headers.
#[allow(clippy::unused_async, reason = "sign-ins are looked up in the ledger")]
async fn caller(broker: &Broker, peer: &Peer, _: &Parts) -> Result<Caller, Problem> {
    match peer {
        Peer::Local { login, superuser, own } => {
            let snapshot = broker.settings();
            let caller = Caller::identify(snapshot.config.as_ref(), login, *superuser);
            Ok(Caller { own: *own, ..caller })
        }
        Peer::Remote { .. } => Err(sign_in_needed()),
    }
}

/// Nobody is known by this request. 401, where a tenant's `sign_in_needed` is 503: the one is the caller's to mend, the
/// other an administrator's.
fn sign_in_needed() -> Problem {
    let problem = Problem::new(Code::SignInNeeded, "You are not signed in to the broker.").remedy("Sign in.");
    Problem { status: 401, ..problem }
}
