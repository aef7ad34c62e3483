//! Who is at the other end of a socket. The kernel says it, not the one who asks.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::net::sockopt::socket_peercred;
use rustix::net::{SocketAddrUnix, getsockname};

use super::FarError;

/// Refuses everybody but root and the owner of the socket, where the machine's side is started by a socket. What nobody can connect to
/// (a pipe, or a pair of sockets as sshd gives) is its starter's.
///
/// # Errors
/// [`FarError::NotAllowed`]
pub fn may_ask(input: impl AsFd) -> Result<(), FarError> {
    let refused = |why: String| Err(FarError::NotAllowed(why));
    let peer = match socket_peercred(&input) {
        Ok(peer) => peer.uid,
        Err(rustix::io::Errno::NOTSOCK) => return Ok(()),
        Err(error) => return refused(format!("nobody can tell who asks: {error}")),
    };
    if peer.is_root() {
        return Ok(());
    }
    let address = getsockname(&input).ok().and_then(|address| SocketAddrUnix::try_from(address).ok());
    if address.as_ref().is_some_and(SocketAddrUnix::is_unnamed) {
        return Ok(());
    }
    let path =
        address.as_ref().and_then(SocketAddrUnix::path_bytes).and_then(|path| std::str::from_utf8(path).ok());
    let owner = path.and_then(|path| rustix::fs::lstat(Path::new(path)).ok()).map(|about| about.st_uid);
    if owner == Some(peer.as_raw()) {
        return Ok(());
    }
    refused(format!("user {} is not the one whose socket this is", peer.as_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn whoever_owns_the_socket_may_ask_and_so_may_whoever_holds_a_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let _asks = UnixStream::connect(&path).unwrap();
        assert!(may_ask(listener.accept().unwrap().0).is_ok());
        assert!(may_ask(std::fs::File::open("/dev/null").unwrap()).is_ok());
        assert!(may_ask(UnixStream::pair().unwrap().0).is_ok());
    }
}
