//! A ticket system for tests: a small server on loopback that plays a script, request by request, and says what was asked
//! otherwise. Its answers are written by hand from the vendors' documents; no tenant is behind it.

mod heard;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use ticketgate_access::config::{self, PsaKind, SecretRef, TicketNotes};
use ticketgate_credentials::{NoSecret, ReadSecret, Secret};
use ticketgate_protocol::ids::PsaId;

pub(crate) use self::heard::{connected, connected_with, known_ticket, note};
use crate::{Psa, PsaError};

/// What the integration's user shows, and what no error's text may hold.
pub(crate) const SECRET: &str = "s3cret-4711-Wert";
/// [`config::Psa::login`] where the kind has one.
pub(crate) const LOGIN: &str = "ticketgate@msp.example";
/// [`config::Psa::client_id`] where the kind has one.
pub(crate) const CLIENT_ID: &str = "client-0815";

/// One request as it must come, and what it gets.
pub(crate) struct Exchange {
    method: &'static str,
    path: String,
    query: Option<Vec<(String, String)>>,
    headers: Vec<(&'static str, String)>,
    body: Option<Sent>,
    answer: Played,
}

/// The body of a request.
enum Sent {
    Json(Value),
    Form(Vec<(&'static str, &'static str)>),
}

/// What a request gets.
#[derive(Debug, Clone)]
pub(crate) struct Played {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    delay: Duration,
    /// The connection closes in the middle of the body.
    broken: bool,
}

impl Played {
    /// This status with a JSON body.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, body.to_string())
    }

    /// This status with any body.
    pub(crate) fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), delay: Duration::ZERO, broken: false }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Comes only after this time.
    pub(crate) fn late(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Breaks off in the middle of its body.
    pub(crate) fn broken(mut self) -> Self {
        self.broken = true;
        self
    }
}

/// A GET of this path, without query unless [`Exchange::query`] says one.
pub(crate) fn get(path: impl Into<String>) -> Exchange {
    request("GET", path)
}

/// A POST of this path.
pub(crate) fn post(path: impl Into<String>) -> Exchange {
    request("POST", path)
}

/// A request of this path, as it is on the wire.
pub(crate) fn request(method: &'static str, path: impl Into<String>) -> Exchange {
    Exchange {
        method,
        path: path.into(),
        query: Some(Vec::new()),
        headers: Vec::new(),
        body: None,
        answer: Played::text(200, ""),
    }
}

impl Exchange {
    /// Its query has this; with none of these calls, it has no query at all.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.query.get_or_insert_default().push((name.into(), value.into()));
        self
    }

    /// Its query is not looked at.
    pub(crate) fn any_query(mut self) -> Self {
        self.query = None;
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Its body is exactly this.
    pub(crate) fn json(mut self, body: Value) -> Self {
        self.body = Some(Sent::Json(body));
        self
    }

    /// Its body is a form of exactly these fields.
    pub(crate) fn form(mut self, fields: Vec<(&'static str, &'static str)>) -> Self {
        self.body = Some(Sent::Form(fields));
        self
    }

    /// The end of a sentence: it gets this.
    pub(crate) fn gets(mut self, status: u16, body: &Value) -> Self {
        self.answer = Played::json(status, body);
        self
    }

    pub(crate) fn plays(mut self, answer: Played) -> Self {
        self.answer = answer;
        self
    }

    fn differs(&self, asked: &Asked) -> Option<String> {
        if (self.method, self.path.as_str()) != (asked.method.as_str(), asked.path.as_str()) {
            return Some(format!(
                "expected {} {}, came {} {}",
                self.method, self.path, asked.method, asked.path
            ));
        }
        if let Some(query) = &self.query {
            let (mut expected, mut came) = (query.clone(), asked.query.clone());
            expected.sort();
            came.sort();
            if expected != came {
                return Some(format!("{}: expected query {expected:?}, came {came:?}", self.path));
            }
        }
        for (name, value) in &self.headers {
            let came = asked.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v);
            if came != Some(value) {
                return Some(format!("{}: expected header {name}: {value}, came {came:?}", self.path));
            }
        }
        match &self.body {
            None => None,
            Some(Sent::Json(expected)) => {
                let came: Value = serde_json::from_str(&asked.body).unwrap_or_default();
                (came != *expected).then(|| format!("{}: expected body {expected}, came {came}", self.path))
            }
            Some(Sent::Form(expected)) => {
                let came = pairs(&asked.body);
                let expected: Vec<_> =
                    expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
                (came != expected)
                    .then(|| format!("{}: expected form {expected:?}, came {came:?}", self.path))
            }
        }
    }
}

/// The server. [`Desk::end`] says whether the script was played.
pub(crate) struct Desk {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    script: VecDeque<Exchange>,
    always: Option<Played>,
    /// Answers to paths that end so, before anything else.
    beside: Vec<(&'static str, Played)>,
    /// Answers in this order, whatever is asked.
    answers: Option<VecDeque<Played>>,
    heard: Vec<Asked>,
    faults: Vec<String>,
}

impl Desk {
    /// Plays these exchanges in this order.
    pub(crate) fn plays(script: impl IntoIterator<Item = Exchange>) -> Self {
        Self::start(State { script: script.into_iter().collect(), ..State::default() })
    }

    /// Answers every request with this.
    pub(crate) fn always(answer: Played) -> Self {
        Self::start(State { always: Some(answer), ..State::default() })
    }

    fn start(state: State) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, state }
    }

    /// Its address, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The connector of this kind to it.
    pub(crate) fn connect(&self, kind: PsaKind) -> Box<dyn Psa> {
        self.connect_as(kind, |_| {})
    }

    /// The same with other settings.
    pub(crate) fn connect_as(&self, kind: PsaKind, change: impl Fn(&mut config::Psa)) -> Box<dyn Psa> {
        let mut settings = settings(kind, &self.url());
        change(&mut settings);
        crate::connect_with(&settings, Box::new(Known)).unwrap()
    }

    /// The end of the test: everything was asked for, and nothing else.
    pub(crate) fn end(self) {
        let state = self.state.lock().unwrap();
        let rest: Vec<_> =
            state.script.iter().map(|left| format!("never asked: {} {}", left.method, left.path)).collect();
        let faults: Vec<_> = state.faults.iter().cloned().chain(rest).collect();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}

/// Settings for a server at this address, with what the kind has.
pub(crate) fn settings(kind: PsaKind, url: &str) -> config::Psa {
    config::Psa {
        id: PsaId::new("psa".to_owned()).unwrap(),
        kind,
        url: url.into(),
        pages: Vec::new(),
        login: kind.login().map(|_| LOGIN.into()),
        client_id: kind.client_id().map(|_| CLIENT_ID.into()),
        secret: SecretRef::Env("PSA".into()),
        ca_file: None,
        // More than a busy machine needs; what is to be late asks for 1.
        poll_s: 60,
        timeout_s: 30,
        notes: TicketNotes::Private,
        closed: Vec::new(),
    }
}

/// [`SECRET`], whichever place is asked for.
pub(crate) struct Known;

impl ReadSecret for Known {
    fn read(&self, _: &SecretRef) -> Result<Secret, NoSecret> {
        Ok(Secret::new(SECRET.into()))
    }
}

/// Whether an error is the one that is meant.
type Fits<'a> = &'a dyn Fn(&PsaError) -> bool;

/// What every connector makes of a server that fails, whatever it was asked first: one meaning each, and no word of the secret.
pub(crate) async fn failures_are_told_apart(kind: PsaKind, number: &str) {
    failures_are_told_apart_beside(kind, Vec::new(), number).await;
}

/// The same where paths that end so are answered as ever.
pub(crate) async fn failures_are_told_apart_beside(
    kind: PsaKind,
    beside: Vec<(&'static str, Played)>,
    number: &str,
) {
    let ambiguous = |error: &PsaError| matches!(error, PsaError::Ambiguous(_));
    let unreadable = |error: &PsaError| matches!(error, PsaError::Unreadable(_));
    let refused = |error: &PsaError| matches!(error, PsaError::Refused(_));
    let text = format!("{{\"message\": \"no {SECRET}\"}}");
    let cases: [(&str, Played, Fits<'_>); 11] = [
        ("401", Played::text(401, &text), &refused),
        ("404", Played::text(404, &text), &|error| *error == PsaError::NoSuchTicket),
        ("429", Played::text(429, &text).header("Retry-After", "7"), &|error| {
            *error == PsaError::Busy { retry_after_s: 7 }
        }),
        ("500", Played::text(500, &text), &|error| *error == PsaError::Failed(500)),
        ("503", Played::text(503, ""), &|error| *error == PsaError::Busy { retry_after_s: 30 }),
        ("302", Played::text(302, "").header("Location", "http://127.0.0.1:1/"), &unreadable),
        ("a page", Played::text(200, format!("<html>{SECRET}</html>")), &unreadable),
        ("another shape", Played::text(200, format!("[[\"{SECRET}\"]]")), &unreadable),
        ("a number", Played::text(200, "17"), &unreadable),
        ("broken", Played::text(200, "{\"a\": 1}").broken(), &ambiguous),
        ("late", Played::text(200, "{}").late(Duration::from_secs(3)), &ambiguous),
    ];
    for (name, answer, fits) in cases {
        let desk = Desk::always(answer).beside(beside.clone());
        let psa = desk.connect_as(kind, |settings| {
            if name == "late" {
                settings.timeout_s = 1;
            }
        });
        let error = psa.ticket(number).await.expect_err(name);
        assert!(fits(&error), "{name}: {error:?}");
        assert!(!format!("{error} {error:?}").contains(SECRET), "{name} repeats the secret: {error}");
    }
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let psa = crate::connect_with(&settings(kind, &format!("http://{nobody}")), Box::new(Known)).unwrap();
    let error = psa.ticket(number).await.unwrap_err();
    assert!(matches!(error, PsaError::Unreachable(_)), "{error:?}");
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

fn serve(mut stream: TcpStream, shared: &Mutex<State>) {
    // A connection that is opened in advance and never used says nothing.
    let Some(asked) = read(&stream) else { return };
    let answer = {
        let mut state = shared.lock().unwrap();
        if let Some(answer) = state.answer(&asked) {
            answer
        } else if let Some(answer) = &state.always {
            answer.clone()
        } else if let Some(next) = state.script.pop_front() {
            match next.differs(&asked) {
                None => next.answer,
                Some(fault) => {
                    state.faults.push(fault);
                    Played::text(418, "")
                }
            }
        } else {
            let query = &asked.query;
            state.faults.push(format!("nobody expected {} {} {query:?}", asked.method, asked.path));
            Played::text(418, "")
        }
    };
    std::thread::sleep(answer.delay);
    let length = answer.body.len() + if answer.broken { 100 } else { 0 };
    let mut head = format!("HTTP/1.1 {} Played\r\nconnection: close\r\n", answer.status);
    if answer.status != 204 {
        head += &format!("content-type: application/json\r\ncontent-length: {length}\r\n");
    }
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    // Whoever gave up waiting is gone.
    let _ = stream.write_all(format!("{head}\r\n{}", answer.body).as_bytes());
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut from = BufReader::new(stream);
    let mut line = String::new();
    from.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
    from.read_exact(&mut body).ok()?;
    Some(Asked {
        method,
        path: path.to_owned(),
        query: pairs(query),
        headers,
        body: String::from_utf8(body).unwrap(),
    })
}

/// `a=b&c=d` with its escapes undone.
fn pairs(text: &str) -> Vec<(String, String)> {
    let plain = |text: &str| {
        let mut out = Vec::new();
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'+' => out.push(b' '),
                b'%' => {
                    let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                    out.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
                }
                other => out.push(other),
            }
        }
        String::from_utf8(out).unwrap()
    };
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (plain(name), plain(value)))
        .collect()
}

/// The value of `Authorization` for a user and a password (RFC 7617).
pub(crate) fn basic(user: &str, password: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = "Basic ".to_owned();
    for three in format!("{user}:{password}").as_bytes().chunks(3) {
        let bits =
            three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4_usize {
            let letter = LETTERS[(bits >> (18 - 6 * place)) as usize & 63];
            out.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    out
}
