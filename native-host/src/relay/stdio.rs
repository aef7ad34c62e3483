//! The browser's pipes as the runtime reads and writes them: waited for together with everything else where the operating
//! system can, by threads of the runtime's own elsewhere.

use tokio::io::{AsyncRead, AsyncWrite};

/// This process's stdin.
pub(super) fn input() -> Box<dyn AsyncRead + Send + Unpin> {
    #[cfg(unix)]
    if let Some(pipe) = unix::input() {
        return pipe;
    }
    Box::new(tokio::io::stdin())
}

/// This process's stdout.
pub(super) fn output() -> Box<dyn AsyncWrite + Send + Unpin> {
    #[cfg(unix)]
    if let Some(pipe) = unix::output() {
        return pipe;
    }
    Box::new(tokio::io::stdout())
}

#[cfg(unix)]
mod unix {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
    use std::os::unix::net::UnixStream;

    use rustix::fs::FileType;
    use tokio::io::{AsyncRead, AsyncWrite};
    use tokio::net::unix::pipe;

    /// Stdin, where it is a pipe or a socket. Those belong to the browser and us alone; a terminal would stay non-blocking for
    /// the shell behind it.
    pub(super) fn input() -> Option<Box<dyn AsyncRead + Send + Unpin>> {
        let (fd, kind) = own(std::io::stdin().as_fd()).ok()?;
        match kind {
            FileType::Fifo => Some(Box::new(pipe::Receiver::from_owned_fd(fd).ok()?)),
            FileType::Socket => Some(Box::new(socket(fd).ok()?)),
            _ => None,
        }
    }

    /// The same for stdout.
    pub(super) fn output() -> Option<Box<dyn AsyncWrite + Send + Unpin>> {
        let (fd, kind) = own(std::io::stdout().as_fd()).ok()?;
        match kind {
            FileType::Fifo => Some(Box::new(pipe::Sender::from_owned_fd(fd).ok()?)),
            FileType::Socket => Some(Box::new(socket(fd).ok()?)),
            _ => None,
        }
    }

    fn own(fd: BorrowedFd<'_>) -> io::Result<(OwnedFd, FileType)> {
        let kind = FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode);
        Ok((fd.try_clone_to_owned()?, kind))
    }

    fn socket(fd: OwnedFd) -> io::Result<tokio::net::UnixStream> {
        let socket = UnixStream::from(fd);
        socket.set_nonblocking(true)?;
        tokio::net::UnixStream::from_std(socket)
    }
}
