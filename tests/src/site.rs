//! A web server for pages of our own, by host and path, with the headers a test chooses: a strict CSP, a hostile page,
//! or a recorded page under the https address of a cloud service.

use crate::Result;
use crate::world::{Folder, run};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A browser keeps idle connections open for longer than a test lasts.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// A page: what is served for one host and path.
#[derive(Debug, Clone, Default)]
pub struct Served {
    /// The body.
    pub body: String,
    /// The content type; `text/html; charset=utf-8` when empty.
    pub content_type: &'static str,
    /// Further header lines, such as `("Content-Security-Policy", "default-src 'none'")`.
    pub headers: Vec<(&'static str, String)>,
}

impl Served {
    /// An HTML page without special headers.
    pub fn html(body: impl Into<String>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }

    /// The same page under a policy that allows scripts, styles and frames of nobody.
    #[must_use]
    pub fn strict(self) -> Self {
        self.with(
            "Content-Security-Policy",
            "default-src 'none'; script-src 'self'; style-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        )
    }

    /// The same page with one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

type Pages = Arc<Mutex<HashMap<(String, String), Served>>>;

/// A running site. Dropping it closes the port.
#[derive(Debug)]
pub struct Site {
    address: SocketAddr,
    scheme: &'static str,
    pages: Pages,
    requests: Arc<Mutex<Vec<String>>>,
    stopping: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl Site {
    /// Starts an empty site on a free loopback port.
    ///
    /// # Errors
    /// No port is free.
    pub fn start() -> Result<Self> {
        Self::serve("http", None)
    }

    /// The same over TLS, with a certificate that nobody vouches for: the browser needs
    /// [`crate::chromium::Options::any_certificate`].
    ///
    /// # Errors
    /// No port is free, or openssl is not installed.
    pub fn start_tls() -> Result<Self> {
        Self::serve("https", Some(Arc::new(certificate()?)))
    }

    fn serve(scheme: &'static str, tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (pages, requests, stopping) =
            (Pages::default(), Arc::default(), Arc::new(AtomicBool::new(false)));
        let shared = (Arc::clone(&pages), Arc::clone(&requests), Arc::clone(&stopping));
        let listening = std::thread::spawn(move || {
            let (pages, requests, stopping) = shared;
            for stream in listener.incoming().flatten() {
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                let (pages, requests, tls) = (Arc::clone(&pages), Arc::clone(&requests), tls.clone());
                // One thread a connection: a browser opens some in advance and says nothing on them.
                std::thread::spawn(move || {
                    stream.set_read_timeout(Some(READ_LIMIT)).ok()?;
                    match tls {
                        None => answer(stream, &pages, &requests),
                        Some(tls) => {
                            let mut stream = StreamOwned::new(ServerConnection::new(tls).ok()?, stream);
                            answer(&mut stream, &pages, &requests)?;
                            stream.conn.send_close_notify();
                            stream.conn.complete_io(&mut stream.sock).ok().map(drop)
                        }
                    }
                });
            }
        });
        Ok(Self { address, scheme, pages, requests, stopping, listening: Some(listening) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves a page under `127.0.0.1:PORT` and `path`, and answers that address.
    pub fn page(&self, path: &str, served: Served) -> String {
        self.page_at(&self.address.to_string(), path, served)
    }

    /// Serves a page under another host name. The browser finds it with
    /// [`crate::chromium::Options::hosts`]. `host` carries its port when the address bar shows one.
    pub fn page_at(&self, host: &str, path: &str, served: Served) -> String {
        let path = path.split('?').next().unwrap_or_default();
        lock(&self.pages).insert((host.to_owned(), path.to_owned()), served);
        format!("{}://{host}{path}", self.scheme)
    }

    /// What was asked for so far, as `METHOD host path`.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.requests).clone()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the listening thread, which then sees the flag.
        let _ = TcpStream::connect(self.address);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

/// One request, one answer, closed. A browser that goes away in the middle is nobody's fault.
fn answer(mut stream: impl Read + Write, pages: &Pages, requests: &Mutex<Vec<String>>) -> Option<()> {
    let mut lines =
        BufReader::new(&mut stream).lines().map_while(std::result::Result::ok).take_while(|l| !l.is_empty());
    let first = lines.next()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let path = target.split('?').next()?.to_owned();
    let header =
        |line: String| line.split_once(':').map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()));
    let host = lines.filter_map(header).find(|(name, _)| name == "host")?.1;
    lock(requests).push(format!("{method} {host} {target}"));
    let served = lock(pages).get(&(host, path)).cloned();
    let status = if served.is_some() { "200 OK" } else { "404 Not Found" };
    let served = served.unwrap_or_else(|| Served::html("<!doctype html><title>404</title>Nothing here."));
    let kind = if served.content_type.is_empty() { "text/html; charset=utf-8" } else { served.content_type };
    let length = served.body.len();
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n");
    for (name, value) in &served.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(served.body.as_bytes()).ok()
}

/// A certificate of its own making.
fn certificate() -> Result<ServerConfig> {
    let folder = Folder::new("site")?;
    let (key, certificate) = (folder.join("key.pem"), folder.join("cert.pem"));
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "3650",
    ]);
    command.args(["-subj", "/CN=site.test", "-addext", "subjectAltName=DNS:*.test", "-keyout"]).arg(&key);
    run(command.arg("-out").arg(&certificate))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::pem_file_iter(&certificate)?.collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(&key)?)?)
}

/// A thread that panicked while it held the lock left whole values behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
