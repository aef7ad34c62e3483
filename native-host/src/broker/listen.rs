//! The broker's ways in. The local socket: a file per platform opens it and tells who is at the other end. For a team: HTTPS, and
//! where monitoring asks.

use std::sync::Arc;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::sync::watch;

use super::Broker;
use super::http::router;
use super::identity::Peer;

mod elsewhere;
mod https;
pub(super) mod monitoring;
mod seats;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;
pub(super) use elsewhere::Elsewhere;
#[cfg(unix)]
pub(super) use unix::{listen, own_login, remove};
#[cfg(windows)]
pub(super) use windows::{listen, own_login, remove};

/// Serves until told to stop, then finishes what is under way.
pub(super) async fn serve<L>(listener: L, broker: Arc<Broker>, mut told: watch::Receiver<bool>)
where
    L: Listener<Addr: std::fmt::Debug>,
    Peer: for<'a> Connected<IncomingStream<'a, L>>,
{
    let app = router(broker, told.clone()).into_make_service_with_connect_info::<Peer>();
    let stop = async move {
        let _ = told.wait_for(|stopping| *stopping).await;
    };
    if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(stop).await {
        tracing::error!(%error, "the socket failed");
    }
}
