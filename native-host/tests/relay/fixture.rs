//! A broker made for the test, and the browser's end of a relay's pipes.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::broadcast;

/// What the tests' broker hands out. No reply of a relay may ever hold it.
pub(crate) const PASSWORD: &str = "Tg-secret-4711!";
/// How long a test waits for anything before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A golden message of the protocol.
pub(crate) fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/golden").join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// What the broker remembers, across its restarts like a ledger.
#[derive(Default)]
pub(crate) struct Memory {
    /// Sessions by idempotency key.
    pub(crate) sessions: Mutex<BTreeMap<String, Value>>,
    /// Keys as they came in, repeats included.
    pub(crate) keys: Mutex<Vec<String>>,
    /// How often the overview was asked for.
    pub(crate) overviews: AtomicUsize,
    /// Letters of a notice in it.
    pub(crate) notice: AtomicUsize,
    /// Seconds after which a copied password is to go.
    pub(crate) clear_after_s: Mutex<u32>,
}

#[derive(Clone)]
struct Api {
    memory: Arc<Memory>,
    events: broadcast::Sender<Value>,
    kill: Arc<tokio::sync::Notify>,
}

/// The broker. Gone with all its connections when dropped.
pub(crate) struct Broker {
    runtime: Option<tokio::runtime::Runtime>,
    events: broadcast::Sender<Value>,
    kill: Arc<tokio::sync::Notify>,
}

impl Broker {
    pub(crate) fn start(socket: &Path, memory: &Arc<Memory>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (events, _) = broadcast::channel(100);
        let kill = Arc::new(tokio::sync::Notify::new());
        let api = Api { memory: Arc::clone(memory), events: events.clone(), kill: Arc::clone(&kill) };
        let app = Router::new()
            .route("/v1/broker", get(|| async { Json(golden("reply.hello")["ok"]["broker"].clone()) }))
            .route("/v1/overview", get(overview))
            .route("/v1/ticket", post(|| async { Json(golden("reply.ticket")["ok"].clone()) }))
            .route("/v1/preview", post(|| async { Json(golden("reply.preview")["ok"].clone()) }))
            .route("/v1/sessions", post(activate))
            .route("/v1/sessions/{id}/extend", post(|| async { problem() }))
            .route("/v1/sessions/{id}/password", post(password))
            .route("/v1/events", get(stream))
            .with_state(api);
        let _ = std::fs::remove_file(socket);
        let listener = runtime.block_on(async { tokio::net::UnixListener::bind(socket).unwrap() });
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { runtime: Some(runtime), events, kill }
    }

    /// Waits until somebody listens to events, then sends one.
    pub(crate) fn send_event(&self, event: Value) {
        wait_for("a listener", || self.events.receiver_count() > 0);
        self.events.send(event).unwrap();
    }

    /// Waits until a request asked for the broker's death.
    pub(crate) fn wait_for_death_wish(&self) {
        let kill = Arc::clone(&self.kill);
        self.runtime.as_ref().unwrap().block_on(async move {
            tokio::time::timeout(PATIENCE, kill.notified()).await.unwrap();
        });
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

fn problem() -> (axum::http::StatusCode, Json<Value>) {
    let body = json!({"code": "at_maximum", "status": 409, "detail": "At the maximum.", "remedy": "Activate anew.",
                      "type": "urn:x", "title": "at maximum"});
    (axum::http::StatusCode::CONFLICT, Json(body))
}

async fn overview(State(api): State<Api>) -> Json<Value> {
    api.memory.overviews.fetch_add(1, Ordering::SeqCst);
    let mut overview = golden("reply.overview")["ok"].clone();
    let letters = api.memory.notice.load(Ordering::SeqCst);
    if letters > 0 {
        overview["notices"] = json!([{"level": "info", "text": "x".repeat(letters)}]);
    }
    Json(overview)
}

/// The reason says how: `slow` takes a second, `hang` for ever, `die` never comes although the session is made.
async fn activate(State(api): State<Api>, headers: HeaderMap, Json(wish): Json<Value>) -> Json<Value> {
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    api.memory.keys.lock().unwrap().push(key.clone());
    let known = api.memory.sessions.lock().unwrap().get(&key).cloned();
    if let Some(session) = known {
        return Json(session);
    }
    let mut session = golden("reply.activate")["ok"]["session"].clone();
    session["id"] = json!(format!("s-{key}"));
    if wish["policy"] == "acme-own-account" {
        session["mode"] = json!("membership");
    }
    api.memory.sessions.lock().unwrap().insert(key, session.clone());
    match wish["reason"].as_str().unwrap() {
        "slow" => tokio::time::sleep(Duration::from_secs(1)).await,
        "hang" => std::future::pending().await,
        "die" => {
            api.kill.notify_one();
            std::future::pending::<()>().await;
        }
        _ => {}
    }
    Json(session)
}

async fn password(State(api): State<Api>) -> Json<Value> {
    let clear_after_s = (*api.memory.clear_after_s.lock().unwrap()).max(1);
    Json(json!({"account": "ACME\\jit-tech1", "password": PASSWORD, "clear_after_s": clear_after_s}))
}

async fn stream(
    State(api): State<Api>,
) -> Sse<impl futures_util::Stream<Item = Result<Event, std::convert::Infallible>>> {
    let events = api.events.subscribe();
    Sse::new(futures_util::stream::unfold(events, |mut events| async move {
        let event = events.recv().await.ok()?;
        let name = event["event"].as_str().unwrap().to_owned();
        Some((Ok(Event::default().event(name).data(event["data"].to_string())), events))
    }))
}

/// Places for one test.
pub(crate) struct World {
    folder: TempDir,
    pub(crate) memory: Arc<Memory>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), memory: Arc::default() }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("broker.sock")
    }

    pub(crate) fn broker(&self) -> Broker {
        Broker::start(&self.socket(), &self.memory)
    }

    /// The relay, as the browser starts it for our extension.
    pub(crate) fn relay(&self) -> Relay {
        self.relay_for(&format!("chrome-extension://{}/", ticketgate_protocol::EXTENSION_ID), &[])
    }

    /// The relay, after `hello`.
    pub(crate) fn greeted(&self) -> Relay {
        let mut relay = self.relay();
        relay.greet();
        relay
    }

    /// The relay, whose frames nobody reads before [`Relay::read`].
    pub(crate) fn unread(&self) -> Relay {
        let origin = format!("chrome-extension://{}/", ticketgate_protocol::EXTENSION_ID);
        self.started(env!("CARGO_BIN_EXE_ticketgate-relay"), &origin, &[])
    }

    /// The relay's own binary, as `ticketgate install` names it where both were put in place.
    pub(crate) fn relay_for(&self, origin: &str, variables: &[(&str, &str)]) -> Relay {
        self.started(env!("CARGO_BIN_EXE_ticketgate-relay"), origin, variables).read()
    }

    /// The whole binary in the relay's place.
    pub(crate) fn whole_binary(&self) -> Relay {
        let origin = format!("chrome-extension://{}/", ticketgate_protocol::EXTENSION_ID);
        self.started(env!("CARGO_BIN_EXE_ticketgate"), &origin, &[]).read()
    }

    fn started(&self, binary: &str, origin: &str, variables: &[(&str, &str)]) -> Relay {
        let mut child = Command::new(binary)
            .arg(origin)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("TICKETGATE_SOCKET", self.socket())
            .env("TICKETGATE_STATE", self.folder.path().join("state"))
            .env("TICKETGATE_CONFIG", self.folder.path().join("none.toml"))
            .env("TICKETGATE_START", "never")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let (sender, frames) = channel();
        let unread = child.stdout.take().map(|stdout| (stdout, sender));
        Relay { stdin: child.stdin.take(), child, unread, frames }
    }
}

/// A running relay. Killed when dropped.
pub(crate) struct Relay {
    child: Child,
    stdin: Option<ChildStdin>,
    unread: Option<(ChildStdout, Sender<Value>)>,
    frames: Receiver<Value>,
}

impl Relay {
    /// Reads its frames from now on.
    pub(crate) fn read(mut self) -> Self {
        let (mut stdout, sender) = self.unread.take().unwrap();
        std::thread::spawn(move || {
            let mut length = [0; 4];
            while stdout.read_exact(&mut length).is_ok() {
                let mut body = vec![0; u32::from_ne_bytes(length) as usize];
                stdout.read_exact(&mut body).unwrap();
                let text = String::from_utf8(body).unwrap();
                assert!(!text.contains(PASSWORD), "a password came over the pipe");
                let _ = sender.send(serde_json::from_str(&text).unwrap());
            }
        });
        self
    }

    pub(crate) fn greet(&mut self) -> Value {
        self.send(&golden("request.hello"));
        self.reply()
    }

    pub(crate) fn send(&mut self, request: &Value) {
        self.send_frame(request.to_string().as_bytes());
    }

    pub(crate) fn send_frame(&mut self, body: &[u8]) {
        let length = u32::try_from(body.len()).unwrap().to_ne_bytes();
        self.send_bytes(&[&length, body].concat());
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(bytes).unwrap();
        stdin.flush().unwrap();
    }

    /// The next frame of any kind.
    pub(crate) fn frame(&mut self) -> Value {
        self.frames.recv_timeout(PATIENCE).expect("no frame came")
    }

    /// The next frame that is no event.
    pub(crate) fn reply(&mut self) -> Value {
        loop {
            let frame = self.frame();
            if frame.get("event").is_none() {
                return frame;
            }
        }
    }

    /// The next event of this name.
    pub(crate) fn event(&mut self, name: &str) -> Value {
        loop {
            let frame = self.frame();
            if frame["event"] == name {
                return frame;
            }
        }
    }

    pub(crate) fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Closes the port as the browser does, and waits for the end.
    pub(crate) fn close(mut self) -> (ExitStatus, Duration) {
        self.stdin = None;
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        let mut status = None;
        wait_for("the relay's end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        (status.unwrap(), started.elapsed())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An activation with this key and reason.
pub(crate) fn activation(id: &str, key: &str, reason: &str) -> Value {
    let mut request = golden("request.activate");
    request["id"] = json!(id);
    request["key"] = json!(key);
    request["params"]["reason"] = json!(reason);
    request
}
