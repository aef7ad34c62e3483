//! The system's browser, and the way back from it: one answer to one question, on an address of this machine alone (RFC 8252 §7.3).

use std::collections::BTreeMap;
use std::io;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::Html;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

/// Names a program that is started with the page's address instead of the system's own way to open one.
const BROWSER_VARIABLE: &str = "BROWSER";

/// The browser gets its page for so long after the answer is known.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Longest text of a refusal that is shown.
const SAID_MAX: usize = 300;

/// Shows a page in the browser; whether something was started that may do so.
pub(super) fn show(address: &str) -> bool {
    let named = std::env::var_os(BROWSER_VARIABLE).filter(|named| !named.is_empty());
    let mut command = match named {
        Some(named) => Command::new(named),
        None if cfg!(target_os = "macos") => Command::new("open"),
        None if cfg!(windows) => {
            let mut command = Command::new("rundll32");
            command.arg("url.dll,FileProtocolHandler");
            command
        }
        // Without a desktop there is no browser that a person would see.
        None if ["DISPLAY", "WAYLAND_DISPLAY"].iter().all(|name| std::env::var_os(name).is_none()) => {
            return false;
        }
        None => Command::new("xdg-open"),
    };
    let started =
        command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    match started {
        // Some stay as long as their window: nobody waits for them but the system.
        Ok(mut child) => {
            std::thread::spawn(move || child.wait());
            true
        }
        Err(error) => {
            tracing::debug!(%error, "no browser was started");
            false
        }
    }
}

/// What a browser came back with.
pub(super) enum Came {
    /// The code.
    Code {
        /// Itself.
        code: Zeroizing<String>,
        /// Who gave it (RFC 9207), where the provider says so.
        iss: Option<String>,
    },
    /// Why there is none.
    Refusal(String),
}

/// An address of this machine at which a browser is awaited.
pub(super) struct WayBack {
    listener: TcpListener,
    port: u16,
}

#[derive(Clone)]
struct Awaited {
    state: Arc<str>,
    found: mpsc::Sender<Came>,
}

impl WayBack {
    /// On a free port of `127.0.0.1`.
    pub(super) async fn open() -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).await.context("no port of this machine is free")?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// The first answer to the question with this state; nothing where none comes in time. Then the address is closed.
    pub(super) async fn answer(self, state: &str, limit: Duration) -> Option<Came> {
        let (found, mut came) = mpsc::channel(1);
        let (done, told) = oneshot::channel::<()>();
        let app = Router::new().route("/", get(page)).with_state(Awaited { state: state.into(), found });
        let stop = async move {
            let _ = told.await;
        };
        let mut serving = tokio::spawn(async move {
            let served: io::Result<()> = axum::serve(self.listener, app).with_graceful_shutdown(stop).await;
            served
        });
        let answer = tokio::time::timeout(limit, came.recv()).await.ok().flatten();
        let _ = done.send(());
        // A browser may keep a connection on which it asks nothing.
        if tokio::time::timeout(LAST_WORDS, &mut serving).await.is_err() {
            serving.abort();
        }
        answer
    }
}

type Page = (StatusCode, [(HeaderName, &'static str); 3], Html<&'static str>);

async fn page(State(awaited): State<Awaited>, Query(mut query): Query<BTreeMap<String, String>>) -> Page {
    if query.get("state").map(String::as_str) != Some(&*awaited.state) {
        return shown(StatusCode::BAD_REQUEST, NOT_AWAITED);
    }
    let came = match query.remove("code") {
        Some(code) => Came::Code { code: Zeroizing::new(code), iss: query.remove("iss") },
        None => Came::Refusal(refusal(&query)),
    };
    let page = if matches!(came, Came::Code { .. }) { DONE } else { REFUSED };
    // The second answer is nobody's.
    match awaited.found.try_send(came) {
        Ok(()) => shown(StatusCode::OK, page),
        Err(_) => shown(StatusCode::BAD_REQUEST, NOT_AWAITED),
    }
}

/// Error word and text of an answer (RFC 6749 §4.1.2.1), safe to print.
fn refusal(query: &BTreeMap<String, String>) -> String {
    let said = ["error", "error_description"].iter().filter_map(|name| query.get(*name));
    let said: Vec<&str> = said.map(|text| text.trim()).collect();
    let clean = |c: &char| !ticketgate_protocol::text::is_forbidden(*c);
    let text: String = said.join(": ").chars().filter(clean).take(SAID_MAX).collect();
    if text.is_empty() { "it gave no code".into() } else { text.trim_end_matches('.').to_owned() }
}

fn shown(status: StatusCode, text: &'static str) -> Page {
    let headers = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, Html(text))
}

const DONE: &str = include_str!("browser/done.html");
const REFUSED: &str = include_str!("browser/refused.html");
const NOT_AWAITED: &str = include_str!("browser/not_awaited.html");

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(port: u16, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn only_the_answer_with_the_right_state_counts_and_only_once_and_then_the_address_is_closed() {
        let way = WayBack::open().await.unwrap();
        let port = way.port();
        let waiting = tokio::spawn(async move { way.answer("right", Duration::from_secs(20)).await });
        // A browser keeps one open and asks nothing on it.
        let _idle = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        for wrong in [
            "/?code=x",
            "/?code=x&state=wrong",
            "/?error=access_denied",
            "/",
            "/favicon.ico",
            "/other?code=x&state=right",
        ] {
            let answer = ask(port, wrong).await;
            assert!(answer.starts_with("HTTP/1.1 40"), "{wrong}: {answer}");
            assert!(!waiting.is_finished(), "{wrong}");
        }
        let answer =
            ask(port, "/?code=the%2Fcode&state=right&session_state=z&iss=https%3A%2F%2Fid.example").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("You can close this page"), "{answer}");
        assert!(answer.to_lowercase().contains("referrer-policy: no-referrer"), "{answer}");
        match waiting.await.unwrap() {
            Some(Came::Code { code, iss }) => {
                assert_eq!((code.as_str(), iss.as_deref()), ("the/code", Some("https://id.example")));
            }
            _ => panic!("no code"),
        }
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_clean_words_and_nobody_is_waited_for_in_vain() {
        let way = WayBack::open().await.unwrap();
        let port = way.port();
        let waiting = tokio::spawn(async move { way.answer("right", Duration::from_secs(20)).await });
        ask(port, "/?error=access_denied&error_description=AADSTS65004%3A%20declined.%1b%5B31m&state=right")
            .await;
        match waiting.await.unwrap() {
            Some(Came::Refusal(why)) => assert_eq!(why, "access_denied: AADSTS65004: declined.[31m"),
            _ => panic!("no refusal"),
        }
        let way = WayBack::open().await.unwrap();
        assert!(way.answer("right", Duration::from_millis(20)).await.is_none());
    }
}
