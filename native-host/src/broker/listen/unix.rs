//! A Unix socket that only its owner (and root) can open, or every user of the machine where the broker is a service of
//! the system. Either way the kernel says whose process is at the other end, and that is who the caller is.

use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::seats::Seats;
use crate::broker::Broker;
use crate::broker::http::router;
use crate::broker::identity::Peer;

/// Opens the socket. A left-over one that nobody serves is replaced; one that is served is not.
pub(in crate::broker) async fn listen(path: &Path, for_everyone: bool) -> io::Result<UnixListener> {
    let (folder_mode, mode) = if for_everyone { (0o755, 0o666) } else { (0o700, 0o600) };
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(folder_mode).create(folder)?;
    }
    if UnixStream::connect(path).await.is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another broker serves it"));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    Ok(listener)
}

/// Removes the socket after the last request.
pub(in crate::broker) fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(%error, "the socket could not be removed");
    }
}

/// Serves until told to stop, then finishes what is under way.
pub(in crate::broker) async fn serve(
    listener: UnixListener,
    broker: Arc<Broker>,
    mut told: watch::Receiver<bool>,
) {
    let app = router(broker, told.clone()).into_make_service_with_connect_info::<Peer>();
    let stop = async move {
        let _ = told.wait_for(|stopping| *stopping).await;
    };
    if let Err(error) = axum::serve(Seats::of(listener), app).with_graceful_shutdown(stop).await {
        tracing::error!(%error, "the socket failed");
    }
}

impl Connected<IncomingStream<'_, Seats>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Seats>) -> Self {
        let uid = stream.io().uid();
        Self::Local {
            // A user without a name, or credentials that cannot be read, is nobody's login.
            login: uid.and_then(login_of).unwrap_or_default(),
            superuser: uid == Some(0),
            own: uid == Some(nix::unistd::geteuid().as_raw()),
        }
    }
}

/// The login name of the user that this process runs as.
pub(in crate::broker) fn own_login() -> Option<String> {
    login_of(nix::unistd::geteuid().as_raw())
}

/// The login name of a user id, from the system's user database.
fn login_of(uid: u32) -> Option<String> {
    nix::unistd::User::from_uid(uid.into()).ok().flatten().map(|user| user.name)
}
