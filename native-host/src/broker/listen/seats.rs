//! A bound on the connections of each user, so that nobody takes the descriptors that the broker needs for directories.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Connections that one user may have. A browser's relay has about three; a process may have 1,024 descriptors.
pub(super) const PER_USER: usize = 128;

/// Who has how many connections.
pub(super) struct Seats<K> {
    taken: Arc<Mutex<HashMap<K, usize>>>,
}

/// A connection, counted until it is dropped.
pub(in crate::broker) struct Seat<S, K: Eq + Hash> {
    stream: S,
    user: K,
    taken: Arc<Mutex<HashMap<K, usize>>>,
}

impl<K> Default for Seats<K> {
    fn default() -> Self {
        Self { taken: Arc::default() }
    }
}

impl<K: Eq + Hash + Clone + Debug> Seats<K> {
    /// Counts a connection; `None` when its user has too many.
    pub(super) fn take<S>(&self, stream: S, user: K) -> Option<Seat<S, K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(user.clone()).or_default();
        if *count >= PER_USER {
            tracing::warn!(?user, "a user has too many connections; one more was turned away");
            return None;
        }
        *count += 1;
        Some(Seat { stream, user, taken: Arc::clone(&self.taken) })
    }
}

impl<S, K: Eq + Hash> Seat<S, K> {
    /// The user at the other end.
    #[cfg(unix)]
    pub(super) const fn user(&self) -> &K {
        &self.user
    }

    /// The connection.
    #[cfg(windows)]
    pub(super) const fn stream(&self) -> &S {
        &self.stream
    }
}

impl<S, K: Eq + Hash> Drop for Seat<S, K> {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.user) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.user);
            }
        }
    }
}

impl<S: AsyncRead + Unpin, K: Eq + Hash + Unpin> AsyncRead for Seat<S, K> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin, K: Eq + Hash + Unpin> AsyncWrite for Seat<S, K> {
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
