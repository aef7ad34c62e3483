//! A Unix socket that only its owner (and root) can open, or every user of the machine where the broker is a service of
//! the system. Either way the kernel says whose process is at the other end, and that is who the caller is.

use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};

use super::seats::{Seat, Seats};
use crate::broker::identity::Peer;

/// A user id; `None`: whom the kernel does not name.
type User = Option<u32>;

/// The socket, with who has how many connections.
pub(in crate::broker) struct Callers {
    listener: UnixListener,
    seats: Seats<User>,
}

/// Opens the socket. A left-over one that nobody serves is replaced; one that is served is not.
pub(in crate::broker) async fn listen(path: &Path, for_everyone: bool) -> io::Result<Callers> {
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
    Ok(Callers { listener, seats: Seats::default() })
}

/// Removes the socket after the last request.
pub(in crate::broker) fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(%error, "the socket could not be removed");
    }
}

impl Listener for Callers {
    type Io = Seat<UnixStream, User>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            let user = stream.peer_cred().map(|credentials| credentials.uid()).ok();
            if let Some(seat) = self.seats.take(stream, user) {
                return (seat, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, Callers>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Callers>) -> Self {
        let uid = *stream.io().user();
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::super::seats::PER_USER;
    use super::*;

    #[tokio::test]
    async fn who_has_too_many_connections_is_turned_away_until_one_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let mut callers = listen(&path, false).await.unwrap();
        let (mut served, mut connected) = (Vec::new(), Vec::new());
        for _ in 0..PER_USER {
            connected.push(UnixStream::connect(&path).await.unwrap());
            served.push(callers.accept().await.0);
        }
        let mut turned_away = UnixStream::connect(&path).await.unwrap();
        let more = tokio::time::timeout(std::time::Duration::from_millis(50), callers.accept()).await;
        assert!(more.is_err());
        assert_eq!(turned_away.read(&mut [0]).await.unwrap(), 0, "closed at once");
        served.pop();
        let _again = UnixStream::connect(&path).await.unwrap();
        assert!(callers.accept().await.0.user().is_some());
    }
}
