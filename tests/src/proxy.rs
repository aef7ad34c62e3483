//! A loopback proxy between the product and a server, for what happens to connections: refused, silent, slow, cut. It knows
//! nothing of what goes through it; TLS stays between the two ends.

use crate::Result;
use anyhow::Context;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// What connections meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// They work.
    Fair,
    /// Open ones are dropped, new ones refused.
    Refusing,
    /// They are accepted and stay open, and nothing moves.
    Silent,
    /// Everything takes so long each way.
    Slow(Duration),
    /// Each is dropped after so many more bytes of answers: within a message, and within a TLS record.
    CutAfter(usize),
}

/// A running proxy. Dropping it drops its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    /// Dropped last, with the tasks.
    _runtime: Runtime,
}

impl Proxy {
    /// Listens on a free port of the server's own address (so that the server's certificate fits), in fair weather.
    ///
    /// # Errors
    /// There is no port.
    pub fn start(server: SocketAddr) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((server.ip(), 0)))?;
        Self::run(runtime, listener, server)
    }

    /// Takes connections from a listener that is there, such as one in another network, which cannot be
    /// [`Weather::Refusing`].
    ///
    /// # Errors
    /// It is none.
    pub fn behind(listener: std::net::TcpListener, server: SocketAddr) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        listener.set_nonblocking(true)?;
        let listener = runtime.block_on(async { TcpListener::from_std(listener) })?;
        Self::run(runtime, listener, server)
    }

    fn run(runtime: Runtime, listener: TcpListener, server: SocketAddr) -> Result<Self> {
        let address = listener.local_addr()?;
        let (weather, seen) = watch::channel(Weather::Fair);
        runtime.spawn(serve(listener, address, server, seen));
        Ok(Self { address, weather, _runtime: runtime })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather, for open connections too.
    ///
    /// # Errors
    /// The proxy has failed.
    pub fn set(&self, weather: Weather) -> Result<()> {
        self.weather.send(weather).context("the proxy has ended")
    }
}

async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    server: SocketAddr,
    mut weather: watch::Receiver<Weather>,
) {
    let mut listener = Some(listener);
    loop {
        let now = *weather.borrow_and_update();
        if now == Weather::Refusing {
            listener = None;
            if weather.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(open) = &listener else {
            match TcpListener::bind(address).await {
                Ok(again) => listener = Some(again),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
            continue;
        };
        tokio::select! {
            accepted = open.accept() => if let Ok((client, _)) = accepted {
                tokio::spawn(carry(client, server, weather.clone()));
            },
            changed = weather.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

/// One connection, until either end or the weather ends it.
async fn carry(client: TcpStream, server: SocketAddr, mut weather: watch::Receiver<Weather>) {
    if weather.wait_for(|now| *now != Weather::Silent).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_err() {
        return;
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = pump(from_client, to_server, weather.clone(), false) => {}
        () = pump(from_server, to_client, weather, true) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    answers: bool,
) {
    let mut buffer = vec![0; 16 * 1024];
    let mut passed = 0;
    weather.mark_changed();
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            changed = weather.changed() => {
                passed = 0;
                if changed.is_err() || *weather.borrow() == Weather::Refusing {
                    return;
                }
                continue;
            }
        };
        let Ok(count @ 1..) = read else { return };
        let Ok(now) = weather.wait_for(|now| *now != Weather::Silent).await.map(|now| *now) else { return };
        let mut last = false;
        let mut chunk = buffer.get(..count).unwrap_or_default();
        match now {
            Weather::Refusing => return,
            Weather::Slow(by) => tokio::time::sleep(by).await,
            Weather::CutAfter(bytes) if answers && passed + count > bytes => {
                chunk = chunk.get(..bytes.saturating_sub(passed)).unwrap_or_default();
                last = true;
            }
            _ => {}
        }
        passed += count;
        if to.write_all(chunk).await.is_err() || last {
            return;
        }
    }
}
