//! A named pipe that only its owner (with the system and administrators) can open, or whoever is logged on at the machine where the
//! broker is a service of the system. Windows says whose token is at the other end, and that is who the caller is.
//!
//! It says so once something was read. So a caller waits apart until then, and holds up nobody who comes after.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use ticketgate_windows::account::{Caller, machine_name, name_of, own_sid};
use ticketgate_windows::login::login;
use ticketgate_windows::pipe::{self, Instance};
use ticketgate_windows::pipe_rights::{Callers, descriptor};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::windows::named_pipe::NamedPipeServer;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::seats::{Seat, Seats};
use crate::broker::identity::Peer;

/// Callers that have said nothing yet. A client of ours speaks as soon as it is connected, so who is the longest silent goes first.
const SILENT_MAX: usize = 64;
/// How long one may be silent.
const SILENCE: Duration = Duration::from_secs(10);
/// More than the head of any request of ours; a longer first one is read on as every other.
const FIRST_WORDS: usize = 4096;
/// A pause before the next try, where Windows gives no further instance of the pipe.
const PAUSE: Duration = Duration::from_millis(200);

/// The pipe, with the callers that are not known yet and who has how many connections.
pub(in crate::broker) struct Pipe {
    name: PathBuf,
    descriptor: String,
    own: Arc<str>,
    /// The instance that the next caller gets.
    next: NamedPipeServer,
    silent: VecDeque<AbortHandle>,
    tell: mpsc::Sender<(String, Known)>,
    told: mpsc::Receiver<(String, Known)>,
    seats: Seats<String>,
}

/// A caller that is known, and what it said meanwhile.
pub(in crate::broker) struct Known {
    pipe: NamedPipeServer,
    first_words: Vec<u8>,
    /// How much of that was read.
    read: usize,
    peer: Peer,
}

/// Opens the pipe. A name that somebody serves is not taken.
#[allow(clippy::unused_async, reason = "the same signature as on Unix")]
pub(in crate::broker) async fn listen(name: &Path, for_everyone: bool) -> io::Result<Pipe> {
    let taken = || io::Error::new(io::ErrorKind::AddrInUse, "another broker serves it");
    let own: Arc<str> = own_sid()?.into();
    let callers = if for_everyone { Callers::LoggedOn } else { Callers::Own };
    let descriptor = descriptor(&own, callers);
    if pipe::is_served(name.as_os_str()) {
        return Err(taken());
    }
    let next = pipe::serve(name, &descriptor, Instance::First).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => taken(),
        _ => error,
    })?;
    let (tell, told) = mpsc::channel(SILENT_MAX);
    Ok(Pipe {
        name: name.to_owned(),
        descriptor,
        own,
        next,
        silent: VecDeque::new(),
        tell,
        told,
        seats: Seats::default(),
    })
}

/// A pipe goes with its last instance.
pub(in crate::broker) fn remove(_: &Path) {}

impl Pipe {
    /// Has a caller that just connected wait until it is known, and makes the instance for the next.
    async fn admit(&mut self, connected: io::Result<()>) {
        let next = loop {
            match pipe::serve(&self.name, &self.descriptor, Instance::Further) {
                Ok(next) => break next,
                Err(error) => {
                    tracing::warn!(%error, "the pipe has no further instance yet");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        let pipe = std::mem::replace(&mut self.next, next);
        if let Err(error) = connected {
            tracing::debug!(%error, "a caller went away before it was connected");
            return;
        }
        self.silent.retain(|one| !one.is_finished());
        while self.silent.len() >= SILENT_MAX {
            if let Some(longest) = self.silent.pop_front() {
                longest.abort();
            }
        }
        let (tell, own) = (self.tell.clone(), Arc::clone(&self.own));
        let waiting = tokio::spawn(async move {
            match known(pipe, &own).await {
                Ok(known) => drop(tell.send(known).await),
                Err(error) => tracing::debug!(%error, "a caller was not known and is turned away"),
            }
        });
        self.silent.push_back(waiting.abort_handle());
    }
}

/// Who it is, once it said something: the SID, by which connections are counted, and the connection.
async fn known(mut pipe: NamedPipeServer, own: &str) -> io::Result<(String, Known)> {
    let mut first_words = vec![0; FIRST_WORDS];
    let length = tokio::time::timeout(SILENCE, pipe.read(&mut first_words)).await??;
    if length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    first_words.truncate(length);
    let Caller { sid, administrator } = pipe::caller(&pipe)?;
    let named = sid.clone();
    // Names of a domain's accounts are its domain controllers' to say.
    let login = tokio::task::spawn_blocking(move || login_of(&named)).await?;
    let peer = Peer::Local {
        // A user without a name is nobody's login.
        login: login.unwrap_or_default(),
        superuser: administrator || sid == ticketgate_windows::SYSTEM,
        own: sid == own,
    };
    Ok((sid, Known { pipe, first_words, read: 0, peer }))
}

impl Listener for Pipe {
    type Io = Seat<Known, String>;
    type Addr = ();

    async fn accept(&mut self) -> (Self::Io, ()) {
        loop {
            tokio::select! {
                Some((user, known)) = self.told.recv() => {
                    if let Some(seat) = self.seats.take(known, user) {
                        return (seat, ());
                    }
                }
                connected = self.next.connect() => self.admit(connected).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Connected<IncomingStream<'_, Pipe>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Pipe>) -> Self {
        stream.io().stream().peer.clone()
    }
}

impl AsyncRead for Known {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let unread = self.first_words.get(self.read..).unwrap_or_default();
        if unread.is_empty() {
            return Pin::new(&mut self.pipe).poll_read(cx, buffer);
        }
        let length = unread.len().min(buffer.remaining());
        buffer.put_slice(unread.get(..length).unwrap_or_default());
        self.read += length;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Known {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

/// The login name of the user that this process runs as.
pub(in crate::broker) fn own_login() -> Option<String> {
    login_of(&own_sid().ok()?)
}

fn login_of(sid: &str) -> Option<String> {
    let (domain, name) = name_of(sid).ok()?;
    Some(login(&domain, &name, &machine_name().ok()?))
}
