//! A bound on the connections of each user, so that nobody takes the descriptors that the broker needs for directories.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};

/// Connections that one user may have. A browser's relay has about three; a process may have 1,024 descriptors.
const PER_USER: usize = 128;

/// Connections by user id; `None`: whom the kernel does not name.
type Taken = Arc<Mutex<HashMap<Option<u32>, usize>>>;

/// A listener that turns away who has too many connections.
pub(super) struct Seats {
    listener: UnixListener,
    taken: Taken,
}

/// A connection, counted until it is dropped.
pub(super) struct Seat {
    stream: UnixStream,
    uid: Option<u32>,
    taken: Taken,
}

impl Seats {
    pub(super) fn of(listener: UnixListener) -> Self {
        Self { listener, taken: Taken::default() }
    }

    fn seat(&self, stream: UnixStream) -> Option<Seat> {
        let uid = stream.peer_cred().map(|credentials| credentials.uid()).ok();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(uid).or_default();
        if *count >= PER_USER {
            tracing::warn!(?uid, "a user has too many connections; one more was turned away");
            return None;
        }
        *count += 1;
        Some(Seat { stream, uid, taken: Arc::clone(&self.taken) })
    }
}

impl axum::serve::Listener for Seats {
    type Io = Seat;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Seat, SocketAddr) {
        loop {
            let (stream, address) = axum::serve::Listener::accept(&mut self.listener).await;
            if let Some(seat) = self.seat(stream) {
                return (seat, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Seat {
    /// The user at the other end.
    pub(super) const fn uid(&self) -> Option<u32> {
        self.uid
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.uid) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.uid);
            }
        }
    }
}

impl AsyncRead for Seat {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Seat {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use axum::serve::Listener;
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn who_has_too_many_connections_is_turned_away_until_one_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let mut seats = Seats::of(UnixListener::bind(&path).unwrap());
        let (mut served, mut callers) = (Vec::new(), Vec::new());
        for _ in 0..PER_USER {
            callers.push(UnixStream::connect(&path).await.unwrap());
            served.push(seats.accept().await.0);
        }
        let mut turned_away = UnixStream::connect(&path).await.unwrap();
        let more = tokio::time::timeout(std::time::Duration::from_millis(50), seats.accept()).await;
        assert!(more.is_err());
        assert_eq!(turned_away.read(&mut [0]).await.unwrap(), 0, "closed at once");
        served.pop();
        let _again = UnixStream::connect(&path).await.unwrap();
        assert!(seats.accept().await.0.uid().is_some());
    }
}
