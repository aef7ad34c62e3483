//! A ticket system that answers from a script, for the tests of connectors: what it heard is kept and looked at afterwards.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use ticketgate_access::config::{self, PsaKind, SecretRef, TicketNotes};
use ticketgate_credentials::{NoSecret, ReadSecret, Secret};
use ticketgate_protocol::ids::PsaId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{Note, Psa, PsaError, Ticket, connect_with};

/// What must never appear in an error.
pub(crate) const SECRET: &str = "pr1vate-KEY";

/// What every answer that fails says in its body, which no error may repeat.
const CHATTER: &str = "chatter-of-the-server";

/// An answer of the script.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    late: bool,
    broken: bool,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: CHATTER.into(), late: false, broken: false }
    }

    pub(crate) fn json(body: &Value) -> Self {
        Self { body: body.to_string(), ..Self::status(200) }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    /// Method and path, as in `GET /tickets/5`.
    pub(crate) line: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Heard {
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// The server. It goes away with the test's runtime.
pub(crate) struct Played {
    pub(crate) url: String,
    heard: Arc<Mutex<Vec<Heard>>>,
    script: Arc<Script>,
}

struct Script {
    always: Vec<(&'static str, Reply)>,
    next: Mutex<VecDeque<Reply>>,
}

impl Played {
    pub(crate) async fn new(script: Vec<Reply>) -> Self {
        Self::with(Vec::new(), script).await
    }

    /// `always` answers whatever path ends so, as often as it is asked; everything else gets the script's next answer.
    pub(crate) async fn with(always: Vec<(&'static str, Reply)>, script: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Script { always, next: Mutex::new(script.into()) });
        let (kept, played) = (Arc::clone(&heard), Arc::clone(&script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&played), Arc::clone(&kept)));
            }
        });
        Self { url, heard, script }
    }

    /// Adds to the script what could not be said before the server's address was known.
    pub(crate) fn add(&self, reply: Reply) {
        self.script.next.lock().unwrap().push_back(reply);
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// What was heard beside requests for this path.
    pub(crate) fn heard_beside(&self, path: &str) -> Vec<Heard> {
        self.heard().into_iter().filter(|heard| !heard.line.ends_with(path)).collect()
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Script>, kept: Arc<Mutex<Vec<Heard>>>) {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        bytes.extend_from_slice(&piece[..read]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok())
                .unwrap_or(0);
            bytes.drain(..end + 4);
            break (head, length);
        }
    };
    while bytes.len() < length {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap();
        bytes.extend_from_slice(&piece[..read]);
    }
    let heard = parse(&head, String::from_utf8(bytes).unwrap());
    let reply =
        script.always.iter().find(|(path, _)| heard.line.ends_with(path)).map(|(_, reply)| reply.clone());
    let reply =
        reply.or_else(|| script.next.lock().unwrap().pop_front()).unwrap_or_else(|| Reply::status(599));
    kept.lock().unwrap().push(heard);
    if reply.late {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let length = reply.body.len() + if reply.broken { 100 } else { 0 };
    let mut out = format!("HTTP/1.1 {} x\r\nconnection: close\r\ncontent-length: {length}\r\n", reply.status);
    for (name, value) in reply.headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("\r\n");
    out.push_str(&reply.body);
    stream.write_all(out.as_bytes()).await.ok();
    stream.shutdown().await.ok();
}

fn parse(head: &str, body: String) -> Heard {
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap(), first.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Heard {
        line: format!("{method} {path}"),
        query: pairs(query),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect(),
        body,
    }
}

/// The pairs of a query or a form.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (plain(name), plain(value))
        })
        .collect()
}

fn plain(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                out.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            }
            other => out.push(other),
        }
    }
    String::from_utf8(out).unwrap()
}

struct Known;

impl ReadSecret for Known {
    fn read(&self, _place: &SecretRef) -> Result<Secret, NoSecret> {
        Ok(Secret::new(SECRET.into()))
    }
}

pub(crate) fn settings(kind: PsaKind, url: &str) -> config::Psa {
    config::Psa {
        id: PsaId::new("desk").unwrap(),
        kind,
        url: url.into(),
        pages: Vec::new(),
        login: Some("the-login".into()),
        client_id: Some("the-client".into()),
        secret: SecretRef::Env("UNUSED".into()),
        ca_file: None,
        timeout_s: 1,
        notes: TicketNotes::Private,
        closed: Vec::new(),
    }
}

pub(crate) fn connected(kind: PsaKind, url: &str) -> Box<dyn Psa> {
    connected_with(&settings(kind, url))
}

pub(crate) fn connected_with(settings: &config::Psa) -> Box<dyn Psa> {
    connect_with(settings, Box::new(Known)).unwrap()
}

pub(crate) fn note(public: bool) -> Note {
    Note { text: "Access was granted.\n[tg-1]".into(), mark: "[tg-1]".into(), public }
}

pub(crate) fn known_ticket(id: &str) -> Ticket {
    Ticket { id: id.into(), ..Ticket::default() }
}

/// Every way in which a system as a whole can fail, asked about a ticket: each has its meaning, and no error repeats the secret or
/// what the server said. `path` is where `url` points below the server.
pub(crate) async fn every_failure_has_its_meaning(
    kind: PsaKind,
    path: &str,
    always: Vec<(&'static str, Reply)>,
    number: &str,
) {
    let late = Reply { late: true, ..Reply::status(200) };
    let broken = Reply { broken: true, ..Reply::status(200) };
    let large = Reply { body: " ".repeat((4 << 20) + 1), ..Reply::status(200) };
    type Meant = fn(&PsaError) -> bool;
    let cases: [(Reply, Meant); 12] = [
        (Reply::status(401), |e| matches!(e, PsaError::Refused(_))),
        (Reply::status(403), |e| matches!(e, PsaError::Refused(_))),
        (Reply::status(404), |e| *e == PsaError::NoSuchTicket),
        (Reply::status(429).header("Retry-After", "7"), |e| *e == PsaError::Busy { retry_after_s: 7 }),
        (Reply::status(503), |e| matches!(e, PsaError::Busy { .. })),
        (Reply::status(500), |e| *e == PsaError::Failed(500)),
        (Reply::status(302).header("Location", "https://elsewhere.example/"), |e| {
            matches!(e, PsaError::Unreadable(_))
        }),
        (Reply::status(200), |e| matches!(e, PsaError::Unreadable(_))),
        (Reply::json(&serde_json::json!({ CHATTER: [CHATTER] })), |e| matches!(e, PsaError::Unreadable(_))),
        (large, |e| matches!(e, PsaError::Unreadable(_))),
        (broken, |e| matches!(e, PsaError::Ambiguous(_))),
        (late, |e| matches!(e, PsaError::Ambiguous(_))),
    ];
    for (reply, meant) in cases {
        let shown = format!("{} {}", reply.status, reply.body.chars().take(40).collect::<String>());
        let server = Played::with(always.clone(), vec![reply.clone(), reply]).await;
        let error = connected(kind, &format!("{}{path}", server.url)).ticket(number).await.unwrap_err();
        assert!(meant(&error), "{shown}: {error:?}");
        let said = format!("{error} {error:?}");
        assert!(!said.contains(SECRET) && !said.contains(CHATTER), "{said}");
    }
    let gone = connected(kind, &format!("http://127.0.0.1:9{path}")).ticket(number).await.unwrap_err();
    assert!(matches!(gone, PsaError::Unreachable(_)), "{gone:?}");
}
