//! One connection to a browser's DevTools socket: calls, the events that tests need, the list of targets.

use crate::Result;
use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tungstenite::{Message, WebSocket};

/// Longer than any script in a test may take; a browser that hangs fails the test.
const LIMIT: Duration = Duration::from_secs(30);

/// Something in the browser that can be attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its id.
    pub id: String,
    /// `page`, `service_worker`, `iframe`, `tab`, `browser` …
    pub kind: String,
    /// Where it is.
    pub url: String,
}

/// A script context of a page: the page's own, or a content script's.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) id: i64,
    /// `default` or `isolated`.
    pub(super) kind: String,
    /// For a content script: `chrome-extension://` and the extension's id.
    pub(super) origin: String,
    pub(super) name: String,
}

/// A script that a page has loaded, as the browser announced it.
#[derive(Debug, Clone)]
pub(super) struct Parsed {
    pub(super) id: String,
    pub(super) url: String,
    /// The [`World`] that it runs in.
    pub(super) world: Option<i64>,
}

#[derive(Debug)]
struct Socket {
    socket: WebSocket<TcpStream>,
    last_id: u64,
    worlds: HashMap<String, Vec<World>>,
    scripts: HashMap<String, Vec<Parsed>>,
    console: Vec<String>,
}

/// Shared by the browser and every page of it; calls from several threads wait for each other.
#[derive(Debug, Clone)]
pub(super) struct Connection(Arc<Mutex<Socket>>);

impl Connection {
    pub(super) fn open(port: u16, path: &str) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        let (socket, _) = tungstenite::client(format!("ws://127.0.0.1:{port}{path}"), stream)?;
        let (worlds, scripts) = (HashMap::new(), HashMap::new());
        let socket = Socket { socket, last_id: 0, worlds, scripts, console: Vec::new() };
        Ok(Self(Arc::new(Mutex::new(socket))))
    }

    pub(super) fn call(&self, session: Option<&str>, method: &str, parameters: Value) -> Result<Value> {
        self.lock().call(session, method, parameters)
    }

    pub(super) fn targets(&self) -> Result<Vec<Target>> {
        // The empty filter lets everything through, workers and tabs included.
        let mut answer = self.call(None, "Target.getTargets", json!({"filter": [{}]}))?;
        let infos = answer.get_mut("targetInfos").map(Value::take);
        let Some(Value::Array(infos)) = infos else { bail!("no list of targets") };
        let text =
            |info: &Value, name: &str| info.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let target = |info: &Value| Target {
            id: text(info, "targetId"),
            kind: text(info, "type"),
            url: text(info, "url"),
        };
        Ok(infos.iter().map(target).collect())
    }

    pub(super) fn worlds(&self, session: &str) -> Vec<World> {
        self.lock().worlds.get(session).cloned().unwrap_or_default()
    }

    pub(super) fn scripts(&self, session: &str) -> Vec<Parsed> {
        self.lock().scripts.get(session).cloned().unwrap_or_default()
    }

    pub(super) fn console(&self) -> Vec<String> {
        self.lock().console.clone()
    }

    /// A thread that panicked in a call may leave an answer unread; ids make sure that nobody takes it for theirs.
    fn lock(&self) -> MutexGuard<'_, Socket> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Socket {
    fn call(&mut self, session: Option<&str>, method: &str, parameters: Value) -> Result<Value> {
        self.last_id += 1;
        let id = self.last_id;
        let mut message = Map::new();
        message.insert("id".to_owned(), id.into());
        message.insert("method".to_owned(), method.into());
        message.insert("params".to_owned(), parameters);
        if let Some(session) = session {
            message.insert("sessionId".to_owned(), session.into());
        }
        self.socket.send(Message::text(Value::Object(message).to_string())).context("the browser is gone")?;
        loop {
            let message =
                self.socket.read().with_context(|| format!("the browser did not answer {method}"))?;
            if !message.is_text() {
                continue;
            }
            let mut message: Value = serde_json::from_str(message.to_text()?)?;
            if message.get("id").and_then(Value::as_u64) == Some(id) {
                if let Some(error) = message.get("error") {
                    bail!("{method}: {error}");
                }
                return Ok(message.get_mut("result").map(Value::take).unwrap_or_default());
            }
            self.note(&message);
        }
    }

    /// Keeps what a test may ask for later; every other event is let go.
    fn note(&mut self, event: &Value) {
        let text =
            |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let session = text("/sessionId");
        match text("/method").as_str() {
            "Runtime.executionContextCreated" => {
                let Some(id) = event.pointer("/params/context/id").and_then(Value::as_i64) else { return };
                let world = World {
                    id,
                    kind: text("/params/context/auxData/type"),
                    origin: text("/params/context/origin"),
                    name: text("/params/context/name"),
                };
                self.worlds.entry(session).or_default().push(world);
            }
            "Runtime.executionContextDestroyed" => {
                let gone = event.pointer("/params/executionContextId").and_then(Value::as_i64);
                self.worlds.entry(session).or_default().retain(|world| Some(world.id) != gone);
            }
            "Runtime.executionContextsCleared" => {
                self.worlds.remove(&session);
                self.scripts.remove(&session);
            }
            "Debugger.scriptParsed" => {
                let world = event.pointer("/params/executionContextId").and_then(Value::as_i64);
                let script = Parsed { id: text("/params/scriptId"), url: text("/params/url"), world };
                self.scripts.entry(session).or_default().push(script);
            }
            "Runtime.consoleAPICalled" => {
                let arguments =
                    event.pointer("/params/args").and_then(Value::as_array).cloned().unwrap_or_default();
                let shown: Vec<_> = arguments.iter().map(shown).collect();
                self.console.push(format!("{}: {}", text("/params/type"), shown.join(" ")));
            }
            "Runtime.exceptionThrown" => {
                let details = event.pointer("/params/exceptionDetails").unwrap_or(&Value::Null);
                self.console.push(format!("uncaught: {}", exception(details)));
            }
            "Log.entryAdded" => {
                self.console.push(format!("{}: {}", text("/params/entry/level"), text("/params/entry/text")));
            }
            _ => {}
        }
    }
}

/// A console argument as a person would read it.
fn shown(argument: &Value) -> String {
    match argument.get("value") {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => argument.get("description").and_then(Value::as_str).unwrap_or("undefined").to_owned(),
    }
}

/// What went wrong in a script, with the place.
pub(super) fn exception(details: &Value) -> String {
    let description = details.pointer("/exception/description").and_then(Value::as_str);
    let value = details.pointer("/exception/value").map(Value::to_string);
    let text = details.get("text").and_then(Value::as_str).unwrap_or_default();
    description.map(str::to_owned).or(value).unwrap_or_else(|| text.to_owned())
}
