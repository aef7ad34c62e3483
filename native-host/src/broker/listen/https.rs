//! HTTPS for relays and command lines of other machines: HTTP/1.1 and HTTP/2 over TLS 1.2 or later. Accepts, bounds and serves; what a
//! request means is `http`'s, and who sent it is `identity`'s.
//!
//! A listener that cannot be opened, or that has no usable certificate, is tried again every second, and everybody who asks is told:
//! a broker that nobody reaches still has to end what is open.

mod certificate;
mod limits;
mod names;
mod seats;
#[cfg(all(test, unix))]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use ticketgate_access::config::Https;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use self::certificate::Certificates;
pub(super) use self::certificate::LOOK_EVERY;
pub(super) use self::limits::Limits;
use self::seats::Seat;
pub(super) use self::seats::Seats;
use crate::broker::Broker;
use crate::broker::http::router;
use crate::broker::identity::Peer;
use crate::broker::monitor::Part;

/// Serves until told to stop; then takes nothing new, tells HTTP/2 clients to go (GOAWAY), and finishes what it began.
pub(super) async fn serve(settings: Https, limits: Limits, broker: Arc<Broker>, told: watch::Receiver<bool>) {
    let mut stop = told.clone();
    let opened = async {
        let certificates = Certificates::open(&settings, &broker).await;
        (certificates, open(settings.listen, &broker).await)
    };
    let (certificates, listener) = tokio::select! {
        opened = opened => opened,
        _ = stop.wait_for(|stopping| *stopping) => return,
    };
    let app = router(Arc::clone(&broker), told);
    Door::new(certificates, &settings, limits, broker, app).serve(listener, stop).await;
}

/// Listens; where that cannot be done, again a second later.
async fn open(at: SocketAddr, broker: &Broker) -> TcpListener {
    loop {
        match TcpListener::bind(at).await {
            Ok(listener) => {
                broker.monitor.mended(Part::Listener);
                tracing::info!(listen = %listener.local_addr().unwrap_or(at), "HTTPS is ready");
                return listener;
            }
            Err(error) => {
                broker.monitor.broken(Part::Listener, &format!("{at} cannot be listened on: {error}"));
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

/// What a connection needs. Cheap to clone.
#[derive(Clone)]
struct Door {
    app: TowerToHyperService<axum::Router>,
    certificates: Arc<Certificates>,
    seats: Seats,
    limits: Limits,
    broker: Arc<Broker>,
}

impl Door {
    fn new(
        certificates: Certificates,
        settings: &Https,
        limits: Limits,
        broker: Arc<Broker>,
        app: axum::Router,
    ) -> Self {
        let seats = Seats::new(settings.connections, settings.connections_per_address);
        let (app, certificates) = (TowerToHyperService::new(app), Arc::new(certificates));
        Self { app, certificates, seats, limits, broker }
    }

    async fn serve(self, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let connections = GracefulShutdown::new();
        tokio::select! {
            () = self.accept(&listener, &connections) => {}
            () = Arc::clone(&self.certificates).follow(Arc::clone(&self.broker)) => {}
            _ = stop.wait_for(|stopping| *stopping) => {}
        }
        // First nobody new, then those that are there.
        drop(listener);
        connections.shutdown().await;
    }

    async fn accept(&self, listener: &TcpListener, connections: &GracefulShutdown) {
        loop {
            let (stream, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // A client that has gone already is nothing; descriptors that have run out come back.
                    tracing::warn!(%error, "a connection could not be taken");
                    sleep(self.limits.after_failure).await;
                    continue;
                }
            };
            let Some(seat) = self.seats.take(address.ip()) else {
                self.broker.monitor.metrics.connection_refused("too_many");
                tracing::debug!(%address, "too many connections; one more was turned away");
                continue;
            };
            let (door, watcher) = (self.clone(), connections.watcher());
            tokio::spawn(async move { door.receive(stream, address, seat, watcher).await });
        }
    }

    /// One connection, from its handshake to its end. The seat is free again after that.
    async fn receive(self, stream: TcpStream, address: SocketAddr, _seat: Seat, watcher: Watcher) {
        let _open = self.broker.monitor.metrics.connection();
        limits::keep_honest(&stream);
        let acceptor = TlsAcceptor::from(self.certificates.current());
        let stream = match timeout(self.limits.handshake, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                self.broker.monitor.metrics.connection_refused("handshake");
                tracing::debug!(%address, %error, "a TLS handshake failed");
                return;
            }
            Err(_) => {
                self.broker.monitor.metrics.connection_refused("handshake_timeout");
                return;
            }
        };
        let (_, tls) = stream.get_ref();
        let certificate = tls.peer_certificates().and_then(|chain| chain.first()).map(|c| names::of(c));
        let speaks_2 = tls.alpn_protocol() == Some(certificate::HTTP_2);
        let peer = Peer::Remote { address, certificate };
        let asked = Arc::new(AtomicBool::new(false));
        let service = {
            let (app, asked) = (self.app.clone(), Arc::clone(&asked));
            service_fn(move |mut request: Request<Incoming>| {
                asked.store(true, Ordering::Relaxed);
                request.extensions_mut().insert(ConnectInfo(peer.clone()));
                hyper::service::Service::call(&app, request)
            })
        };
        if speaks_2 {
            let connection = self.limits.http_2().serve_connection(TokioIo::new(stream), service);
            self.limits.until_asked(watcher.watch(connection), &asked).await;
        } else {
            let connection = self.limits.http_1().serve_connection(TokioIo::new(stream), service);
            self.limits.until_asked(watcher.watch(connection), &asked).await;
        }
    }
}
