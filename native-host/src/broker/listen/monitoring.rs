//! Plain HTTP for monitoring, on an address of its own: `/healthz`, `/readyz`, `/metrics`. It takes no other request, and says nothing
//! about people.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;

use super::https::{LOOK_EVERY, Limits, Seats};
use crate::broker::Broker;
use crate::broker::monitor::{Part, health, metrics_text, readiness};

/// Connections at once. A monitoring system has one.
const CONNECTIONS: u32 = 64;

/// What Prometheus calls the form of its numbers.
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves until the broker has stopped: also while it stops it says so.
pub(in crate::broker) async fn serve(
    at: SocketAddr,
    broker: Arc<Broker>,
    mut stopped: watch::Receiver<bool>,
) {
    let limits = Limits::default();
    let seats = Seats::new(CONNECTIONS, CONNECTIONS);
    let app = TowerToHyperService::new(routes(Arc::clone(&broker)));
    let accepting = async {
        let listener = open(at, &broker).await;
        loop {
            let (Ok((stream, address)), app) = (listener.accept().await, app.clone()) else {
                sleep(limits.after_failure).await;
                continue;
            };
            let Some(seat) = seats.take(address.ip()) else { continue };
            tokio::spawn(async move {
                let _seat = seat;
                // One that breaks off is its other end's business.
                let _ = limits.http_1().serve_connection(TokioIo::new(stream), app).await;
            });
        }
    };
    tokio::select! {
        () = accepting => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

async fn open(at: SocketAddr, broker: &Broker) -> TcpListener {
    loop {
        match TcpListener::bind(at).await {
            Ok(listener) => {
                broker.monitor.mended(Part::Monitor);
                return listener;
            }
            Err(error) => {
                broker.monitor.broken(Part::Monitor, &format!("monitoring cannot ask at {at}: {error}"));
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

fn routes(broker: Arc<Broker>) -> Router {
    Router::new()
        .route("/healthz", get(async || Json(health())))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(broker)
}

#[derive(Debug, Deserialize)]
struct Strictness {
    /// Also one directory that does not answer counts.
    strict: Option<String>,
}

async fn ready(State(broker): State<Arc<Broker>>, Query(how): Query<Strictness>) -> Response {
    let found = readiness(&broker, how.strict.is_some()).await;
    let status = if found.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(found)).into_response()
}

/// The numbers, as Prometheus reads them.
pub(in crate::broker) async fn metrics(State(broker): State<Arc<Broker>>) -> Response {
    ([(header::CONTENT_TYPE, METRICS)], metrics_text(&broker).await).into_response()
}
