//! Systems on which the broker's local socket is not there yet. The relay can use a broker elsewhere in a later release.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use crate::broker::Broker;

/// A listener that cannot be made.
pub(in crate::broker) enum Never {}

/// Says that it cannot be done.
#[allow(clippy::unused_async, reason = "the same signature as where it can be done")]
pub(in crate::broker) async fn listen(_: &Path, _: bool) -> io::Result<Never> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "a broker on this operating system is not available yet; run it on Linux",
    ))
}

/// Nothing to remove.
pub(in crate::broker) fn remove(_: &Path) {}

/// Cannot be called.
#[allow(clippy::unused_async, reason = "the same signature as where it can be done")]
pub(in crate::broker) async fn serve(listener: Never, _: Arc<Broker>, _: watch::Receiver<bool>) {
    match listener {}
}

/// The login name of the user that this process runs as.
pub(in crate::broker) fn own_login() -> Option<String> {
    std::env::var("USERNAME").ok()
}
