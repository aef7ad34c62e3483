//! The relay: one process per browser port, between native messaging and the broker. It holds no state, no clock and
//! no credentials; a password passes through it to the clipboard and nowhere else. Stdout belongs to [`writer`].

mod answer;
mod frames;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
#[cfg(test)]
mod golden;
mod hello;
pub mod origin;
mod pump;
mod sign_in;
mod stdio;
mod writer;

use std::collections::HashSet;
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ticketgate_protocol::api::Finding;
use ticketgate_protocol::native::{Frame, Method, Request};
use ticketgate_protocol::problem::{Code, Problem};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::frames::{Frames, Inbound};
use self::writer::Outbox;
use crate::client::Client;
use crate::client::identity::Renews;
use crate::clipboard::Clipboard;
use crate::places::{Places, Surroundings};
use crate::platform::{Here, Platform};
use crate::{doctor, team};

/// Requests under way at once on one port. A person makes one or two; more is a fault or a flood.
const AT_ONCE: usize = 32;
/// How long requests under way may still take after the browser closed the port. It kills us after about two seconds.
const GRACE: Duration = Duration::from_millis(700);
/// How long the last frame may take to be read.
const LAST_FRAME: Duration = Duration::from_millis(250);
/// How long a port that was turned away is still read. An extension closes it on our last frame; one that does not is left.
const LINGER: Duration = Duration::from_secs(2);

/// What the relay works with. A value, so that tests bring their own broker, clipboard and folders.
#[derive(Clone)]
pub struct Desk {
    /// The broker.
    pub client: Client,
    /// Where passwords go.
    pub clipboard: Clipboard,
    /// For `diagnose` and the list of further extensions.
    pub around: Surroundings,
    /// The same.
    pub places: Places,
    /// Answers `diagnose`.
    pub examine: fn(&Surroundings, &Places) -> Vec<Finding>,
}

/// Serves the browser on this process's stdin and stdout until it closes the port.
///
/// One thread does everything: a frame goes from the browser to the broker and back without waking another.
#[must_use]
pub fn main(origin: &str) -> ExitCode {
    run(origin, Desk::new(Surroundings::here()))
}

/// The same in a binary that knows the broker of this machine alone (`ticketgate-relay`): where a team's is named, the whole binary
/// takes this process's place. Every open port keeps a relay, and most of what reaches a team's broker would lie in its memory unused.
#[must_use]
pub fn main_alone(origin: &str) -> ExitCode {
    let around = Surroundings::here();
    if matches!(team::find(&around), Ok(None)) {
        return run(origin, Desk::alone(around));
    }
    let mut whole = std::process::Command::new(&around.exe);
    let error = Here::take_our_place(whole.arg(origin));
    let problem = Problem::new(
        Code::BrokerUnreachable,
        format!("The program for the team's broker does not start: {error}."),
    )
    .remedy(format!("Put `ticketgate` beside `ticketgate-relay` ({}).", around.exe.display()));
    run(origin, Err(problem))
}

fn run(origin: &str, desk: Result<Desk, Problem>) -> ExitCode {
    Here::guard_memory();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(_) => return without_runtime(),
    };
    let code = runtime.block_on(async {
        match desk {
            Ok(desk) => serve(origin, stdio::input(), stdio::output(), desk).await,
            Err(problem) => turn_away(problem, stdio::input(), &Outbox::new(stdio::output())).await,
        }
    });
    // Whatever still waits (a blocked read of stdin above all) must not keep the process.
    runtime.shutdown_background();
    code
}

impl Desk {
    /// The desk of a process with these surroundings.
    ///
    /// # Errors
    /// A [`Problem`] when there is no place for a broker, or it is not clear which one is meant.
    pub fn new(around: Surroundings) -> Result<Self, Problem> {
        let places = places(&around)?;
        let client = Client::of_this_machine(&around, &places, Renews::With(around.exe.clone()))?;
        Ok(Self::with(client, around, places, doctor::examine_for_browser))
    }

    /// The same where the broker is this machine's own.
    ///
    /// # Errors
    /// A [`Problem`] when there is no place for a broker.
    pub fn alone(around: Surroundings) -> Result<Self, Problem> {
        let places = places(&around)?;
        let client = Client::of_this_machine_alone(&around, &places);
        Ok(Self::with(client, around, places, doctor::examine_alone))
    }

    fn with(
        client: Client,
        around: Surroundings,
        places: Places,
        examine: fn(&Surroundings, &Places) -> Vec<Finding>,
    ) -> Self {
        Self { client, clipboard: Clipboard::of_this_process(&around), around, places, examine }
    }
}

fn places(around: &Surroundings) -> Result<Places, Problem> {
    Places::find(around).map_err(|e| {
        Problem::new(Code::BrokerUnreachable, format!("The broker's place is not known: {e}."))
            .remedy("Set HOME for the browser, or run `ticketgate doctor`.")
    })
}

/// Says so and ends: nothing else can be done.
fn without_runtime() -> ExitCode {
    let error = Problem::new(Code::Internal, "The host cannot start its runtime.");
    if let Some(bytes) = writer::encode(&Frame::Error { id: String::new(), error }) {
        let mut output = std::io::stdout();
        let _ = output.write_all(&bytes).and_then(|()| output.flush());
    }
    ExitCode::FAILURE
}

/// Says one problem about the whole port and reads on until the browser closes it.
async fn turn_away(problem: Problem, input: impl AsyncRead + Unpin, outbox: &Outbox) -> ExitCode {
    say_last(outbox, String::new(), problem).await;
    linger(input).await;
    ExitCode::FAILURE
}

/// A port's last frame, for a browser that reads it soon.
async fn say_last(outbox: &Outbox, id: String, error: Problem) {
    let _ = tokio::time::timeout(LAST_FRAME, outbox.send(&Frame::Error { id, error })).await;
}

/// Reads and forgets what still comes. A browser that writes to a host which is gone closes the port as broken, and the
/// host's last frame may be lost with it.
async fn linger(mut input: impl AsyncRead + Unpin) {
    let _ = tokio::time::timeout(LINGER, tokio::io::copy(&mut input, &mut tokio::io::sink())).await;
}

/// Serves one port: `origin` is what the browser put into `argv`. Ends when `input` does, or after a fault that leaves
/// the place of the next frame unknown. Success means that the port ended in order.
pub async fn serve(
    origin: &str,
    input: impl AsyncRead + Send + Unpin,
    output: impl AsyncWrite + Send + Unpin + 'static,
    desk: Desk,
) -> ExitCode {
    let outbox = Outbox::new(output);
    if let Err(error) = origin::check(origin, &desk.around) {
        return turn_away(error, input, &outbox).await;
    }
    let mut frames = Frames::new(input);
    let mut port = Port {
        desk: Arc::new(desk),
        outbox,
        under_way: Arc::default(),
        room: Arc::new(Semaphore::new(AT_ONCE)),
        tasks: JoinSet::new(),
        greeted: false,
    };
    while let Some(inbound) = frames.next().await {
        match inbound {
            Inbound::Request(request) => port.take(*request).await,
            Inbound::Fault { id, problem, last: false } => port.refuse(id, *problem).await,
            Inbound::Fault { id, problem, last: true } => {
                say_last(&port.outbox, id, *problem).await;
                port.close().await;
                linger(frames.into_input()).await;
                return ExitCode::FAILURE;
            }
        }
        while port.tasks.try_join_next().is_some() {}
    }
    port.close().await;
    ExitCode::SUCCESS
}

/// One open port.
struct Port {
    desk: Arc<Desk>,
    outbox: Outbox,
    under_way: Arc<Mutex<HashSet<String>>>,
    room: Arc<Semaphore>,
    tasks: JoinSet<()>,
    greeted: bool,
}

/// An id counts as under way until this is dropped, however the request ends.
struct UnderWay {
    all: Arc<Mutex<HashSet<String>>>,
    id: String,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Port {
    async fn refuse(&self, id: String, problem: Problem) {
        self.outbox.send(&Frame::Error { id, error: problem }).await;
    }

    async fn take(&mut self, request: Request) {
        let Some(under_way) = self.begin(&request.id) else {
            let problem = Problem::new(Code::MalformedRequest, "A request with this id is still under way.")
                .remedy("Reload the extension.");
            return self.refuse(request.id, problem).await;
        };
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            let problem =
                Problem::new(Code::RateLimited, format!("{AT_ONCE} requests are under way already."))
                    .remedy("Wait until one of them is answered.")
                    .retry_after(1);
            return self.refuse(request.id, problem).await;
        };
        if let Err(problem) = self.admit(&request) {
            return self.refuse(request.id, problem).await;
        }
        let (desk, outbox) = (Arc::clone(&self.desk), self.outbox.clone());
        self.tasks.spawn(async move {
            let id = request.id.clone();
            let starts_events = matches!(request.method, Method::Hello(_));
            let frame = match answer::answer(&desk, request).await {
                Ok(ok) => Frame::Ok { id, ok },
                Err(error) => Frame::Error { id, error },
            };
            // The id is free before its answer is out: the extension may use it again at once. The room is not: a browser
            // that does not read gets no more answers made.
            drop(under_way);
            outbox.send(&frame).await;
            drop(room);
            if starts_events {
                pump::run(&desk.client, &outbox).await;
            }
        });
    }

    /// Marks an id as under way; `None` when it is already.
    fn begin(&self, id: &str) -> Option<UnderWay> {
        let mut all = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(id.to_owned()).then(|| UnderWay { all: Arc::clone(&self.under_way), id: id.to_owned() })
    }

    /// `hello` first, once, and in a common version.
    fn admit(&mut self, request: &Request) -> Result<(), Problem> {
        match (&request.method, self.greeted) {
            (Method::Hello(_), true) => {
                Err(Problem::new(Code::MalformedRequest, "hello was said already on this port."))
            }
            (Method::Hello(hello), false) => {
                hello::negotiate(hello)?;
                self.greeted = true;
                Ok(())
            }
            (_, true) => Ok(()),
            (_, false) => Err(Problem::new(Code::HelloFirst, "The first frame on a port has to be hello.")
                .remedy("Reload the extension.")),
        }
    }

    /// Lets what is under way finish for a moment. Whatever remains is the broker's: it carries it out, and a repeat
    /// with the same key finds the result.
    async fn close(mut self) {
        let _ = tokio::time::timeout(GRACE, async {
            while !self.under_way.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        self.tasks.shutdown().await;
    }
}
