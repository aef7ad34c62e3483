//! Brokers made for the tests: real TLS on loopback, each answering as it is told, and an authority of their own.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::team::{Certificate, SaidBy, Team};

/// What a request said.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) method: String,
    pub(crate) path: String,
    head: String,
    pub(crate) body: String,
}

impl Heard {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, text) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| text.trim())
        })
    }
}

/// What a broker does with it.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Answers.
    Say { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// Answers after a while.
    Late(Duration, String),
    /// Says that so many bytes come, and hangs up after half of them.
    Cut(String),
    /// Hangs up without a word.
    HangUp,
    /// Never says anything.
    Silence,
    /// Sends this as a stream, and hangs up where the flag says so.
    Stream(String, bool),
}

/// An answer without further headers.
pub(crate) fn say(status: u16, body: &str) -> Reply {
    Reply::Say { status, headers: Vec::new(), body: body.into() }
}

type Plays = Arc<dyn Fn(&Heard) -> Reply + Send + Sync>;

/// An authority and what it vouches for, in a folder.
pub(crate) struct Authority {
    pub(crate) folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let this = Self { folder };
        this.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.crt");
        std::fs::write(
            this.folder.path().join("ca.cnf"),
            "[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=.\ndatabase=index\nserial=serial\ndefault_md=sha256\npolicy=p\n\
             unique_subject=no\n[p]\ncommonName=optional\n",
        )
        .unwrap();
        std::fs::write(this.folder.path().join("index"), "").unwrap();
        std::fs::write(this.folder.path().join("serial"), "01\n").unwrap();
        this
    }

    fn openssl(&self, words: &str) {
        let made =
            Command::new("openssl").args(words.split(' ')).current_dir(self.folder.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// A certificate in `NAME.crt` and its key in `NAME.key`, for this subject and until then (`YYMMDD…Z`).
    pub(crate) fn issue(&self, name: &str, subject: &str, until: &str) {
        let ext = format!("subjectAltName={subject}\nbasicConstraints=critical,CA:FALSE\n");
        std::fs::write(self.folder.path().join("ext"), ext).unwrap();
        self.openssl(&format!("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout {name}.key -out csr"));
        self.openssl(&format!(
            "ca -batch -notext -config ca.cnf -cert ca.crt -keyfile ca.key -in csr -extfile ext -startdate 200101000000Z -enddate \
             {until} -out {name}.crt"
        ));
    }

    /// A broker's certificate that is good here.
    pub(crate) fn good(&self) -> &'static str {
        self.issue("good", "IP:127.0.0.1", "490101000000Z");
        "good"
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A broker. Gone with its connections when dropped; may come back at the same port.
pub(crate) struct Broker {
    pub(crate) port: u16,
    pub(crate) heard: Arc<Mutex<Vec<Heard>>>,
    /// Connections that were made to it.
    pub(crate) connections: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// How a broker is to be.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) certificate: &'static str,
    pub(crate) wants_certificate: bool,
    pub(crate) port: u16,
}

impl Made {
    pub(crate) fn with(certificate: &'static str) -> Self {
        Self { certificate, wants_certificate: false, port: 0 }
    }
}

impl Broker {
    pub(crate) async fn start(
        authority: &Authority,
        made: &Made,
        plays: impl Fn(&Heard) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config(authority, made)));
        let listener = TcpListener::bind(("127.0.0.1", made.port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (heard, connections) = (Arc::<Mutex<Vec<Heard>>>::default(), Arc::<AtomicUsize>::default());
        let (hears, counts, plays): (_, _, Plays) = (heard.clone(), connections.clone(), Arc::new(plays));
        let serving = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counts.fetch_add(1, Ordering::SeqCst);
                let (acceptor, hears, plays) = (acceptor.clone(), hears.clone(), plays.clone());
                open.spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, &hears, &plays).await;
                    }
                });
            }
        });
        Self { port, heard, connections, serving }
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn config(authority: &Authority, made: &Made) -> ServerConfig {
    let file = |end: &str| authority.path().join(format!("{}.{end}", made.certificate));
    let chain = vec![CertificateDer::from_pem_file(file("crt")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(file("key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = if made.wants_certificate {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority.path().join("ca.crt")).unwrap()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    builder.with_single_cert(chain, key).unwrap()
}

type Stream = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;

async fn serve(mut stream: Stream, hears: &Mutex<Vec<Heard>>, plays: &Plays) {
    let mut read = Vec::new();
    while let Some(heard) = next(&mut stream, &mut read).await {
        hears.lock().unwrap().push(heard.clone());
        let whole = |status: u16, headers: &str, body: &str| {
            format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
        };
        let text = match plays(&heard) {
            Reply::Say { status, headers, body } => {
                let headers: String =
                    headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                whole(status, &headers, &body)
            }
            Reply::Late(after, body) => {
                tokio::time::sleep(after).await;
                whole(200, "", &body)
            }
            Reply::Cut(body) => {
                let text = whole(200, "", &body);
                let half = text.len() - body.len() / 2;
                let _ = stream.write_all(&text.as_bytes()[..half]).await;
                let _ = stream.flush().await;
                return;
            }
            Reply::HangUp => return,
            Reply::Silence => std::future::pending().await,
            Reply::Stream(text, hangs_up) => {
                let head = "HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
                let _ = stream.write_all(format!("{head}{text}").as_bytes()).await;
                let _ = stream.flush().await;
                if hangs_up {
                    return;
                }
                std::future::pending().await
            }
        };
        if stream.write_all(text.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

async fn next(stream: &mut Stream, read: &mut Vec<u8>) -> Option<Heard> {
    loop {
        let text = String::from_utf8_lossy(read).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let mut words = head.split(' ');
            let heard = Heard {
                method: words.next()?.into(),
                path: words.next()?.into(),
                head: head.into(),
                body: String::new(),
            };
            let length = heard.header("content-length").map_or(0, |length| length.parse().unwrap());
            if rest.len() >= length {
                read.drain(..head.len() + 4 + length);
                return Some(Heard { body: rest[..length].into(), ..heard });
            }
        }
        if stream.read_buf(read).await.ok()? == 0 {
            return None;
        }
    }
}

/// The team whose brokers listen at these ports.
pub(crate) fn team(authority: &Authority, ports: &[u16]) -> Team {
    Team {
        addresses: ports.iter().map(|port| format!("https://127.0.0.1:{port}").parse().unwrap()).collect(),
        ca_file: Some(authority.path().join("ca.crt")),
        certificate: None,
        said_by: SaidBy::Variable,
    }
}

/// The same, which shows this certificate.
pub(crate) fn showing(team: Team, authority: &Authority, name: &str) -> Team {
    let file = |end: &str| authority.path().join(format!("{name}.{end}"));
    let certificate = Certificate { chain: file("crt"), key: file("key") };
    Team { certificate: Some(certificate), ..team }
}
