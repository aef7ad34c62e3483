//! HTTPS over real sockets, with clients that speak real TLS.

mod bounds;
mod feeding;
mod logged;
mod reload;
mod stopping;
mod trust;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body as Bytes, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, StatusCode};
use axum::routing::{get, post};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use ticketgate_access::config::{Https, SecretRef};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::broker::http::Body;
use crate::broker::tests::World;

/// What is given to a test for something that happens at once.
const SOON: Duration = Duration::from_secs(10);

/// A listener that serves, its certificates, and what its broker says.
struct Service {
    world: World,
    folder: TempDir,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    served: JoinHandle<()>,
    /// Lets `/slow` answer.
    go_on: Arc<Notify>,
    /// `/slow` was asked.
    asked: Arc<Notify>,
}

/// Times that a test can wait for.
const LIMITS: Limits = Limits {
    handshake: Duration::from_millis(700),
    head: Duration::from_millis(700),
    ping: Duration::from_secs(20),
    after_failure: Duration::from_millis(10),
};

impl Service {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Https)) -> Self {
        let (go_on, asked) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let app = app(Arc::clone(&go_on), Arc::clone(&asked));
        Self { go_on, asked, ..Self::serving(change, |_, _| app).await }
    }

    /// With what `app` makes of the broker and the signal to stop.
    async fn serving(
        change: impl FnOnce(&mut Https),
        app: impl FnOnce(&Arc<Broker>, &watch::Receiver<bool>) -> Router,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        authority(&folder, "ca");
        issue(&folder, "ca", "server", "broker");
        let world = World::new().await;
        let mut settings = Https {
            listen: ([127, 0, 0, 1], 0).into(),
            certificate: path(&folder, "server.crt"),
            key: SecretRef::File(path(&folder, "server.key")),
            client_ca: None,
            connections: 100,
            connections_per_address: 100,
        };
        change(&mut settings);
        let listener = TcpListener::bind(settings.listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let certificates = Certificates::open(&settings, &world.broker).await;
        let (stop, told) = watch::channel(false);
        let app = app(&world.broker, &told);
        let door = Door::new(certificates, &settings, LIMITS, Arc::clone(&world.broker), app);
        let served = tokio::spawn(door.serve(listener, told));
        Self { world, folder, address, stop, served, go_on: Arc::default(), asked: Arc::default() }
    }

    fn client(&self) -> Client<'_> {
        Client {
            folder: &self.folder,
            address: self.address,
            ca: "ca",
            certificate: None,
            versions: rustls::ALL_VERSIONS,
            alpn: &[],
        }
    }

    fn notices(&self) -> String {
        let notices = self.world.broker.monitor.notices();
        notices.into_iter().map(|notice| notice.text).collect::<Vec<_>>().join("\n")
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let looked = tokio::time::timeout(SOON, async {
            while !is_so(self) {
                sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(looked.await.is_ok(), "{what}: {}", self.notices());
    }
}

/// What is served in these tests, beside what `http` serves.
fn app(go_on: Arc<Notify>, asked: Arc<Notify>) -> Router {
    let slow = async move || {
        asked.notify_one();
        go_on.notified().await;
        "done"
    };
    Router::new()
        .route("/peer", get(async |ConnectInfo(peer): ConnectInfo<Peer>| format!("{peer:?}")))
        .route("/echo", post(async |Body(body): Body<BTreeMap<String, String>>| format!("{body:?}")))
        .route("/slow", get(slow))
        .layer(axum::extract::DefaultBodyLimit::max(1000))
}

/// Who asks, and how.
#[derive(Clone, Copy)]
struct Client<'a> {
    folder: &'a TempDir,
    address: SocketAddr,
    ca: &'a str,
    certificate: Option<&'a str>,
    versions: &'a [&'static SupportedProtocolVersion],
    alpn: &'a [&'static [u8]],
}

type Sender1 = hyper::client::conn::http1::SendRequest<Bytes>;
type Sender2 = hyper::client::conn::http2::SendRequest<Bytes>;

impl Client<'_> {
    async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let read = |name: &str| CertificateDer::from_pem_file(self.folder.path().join(name)).unwrap();
        roots.add(read(&format!("{}.crt", self.ca))).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.certificate {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let key = self.folder.path().join(format!("{name}.key"));
                let key = PrivateKeyDer::from_pem_file(key).unwrap();
                builder.with_client_auth_cert(vec![read(&format!("{name}.crt"))], key).unwrap()
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    async fn http_1(&self) -> Result<Sender1, Box<dyn std::error::Error>> {
        let stream = TokioIo::new(self.connect().await?);
        let (sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn http_2(&self) -> Result<Sender2, Box<dyn std::error::Error>> {
        let stream = TokioIo::new(Client { alpn: &[certificate::HTTP_2], ..*self }.connect().await?);
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// One request over a connection of its own.
    async fn ask(&self, path: &str) -> Result<(StatusCode, String), Box<dyn std::error::Error>> {
        let answer = self.http_1().await?.send_request(question(path)).await?;
        Ok((answer.status(), text(answer).await?))
    }
}

fn question(path: &str) -> Request<Bytes> {
    Request::get(path).header("host", "localhost").body(Bytes::empty()).unwrap()
}

async fn text(answer: Response<Incoming>) -> Result<String, axum::Error> {
    let bytes = to_bytes(Bytes::new(answer.into_body()), 1 << 20).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

/// An authority of its own: `NAME.crt` and `NAME.key`.
fn authority(folder: &TempDir, name: &str) {
    make(folder, name, &format!("[dn]\nCN={name}\n[ext]\nbasicConstraints=critical,CA:TRUE\n"), &[]);
}

/// A certificate for this machine, or of a client, from an authority: `FILE.crt` and `FILE.key`.
fn issue(folder: &TempDir, ca: &str, file: &str, name: &str) {
    let wish = format!(
        "[dn]\nCN={name}\n[ext]\nbasicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost,DNS:{name}.example,IP:127.0.0.1\n"
    );
    make(folder, file, &wish, &["-CA", &format!("{ca}.crt"), "-CAkey", &format!("{ca}.key")]);
}

fn make(folder: &TempDir, file: &str, wish: &str, signed_by: &[&str]) {
    let config = format!("[req]\ndistinguished_name=dn\nprompt=no\nx509_extensions=ext\n{wish}");
    std::fs::write(folder.path().join("wish"), config).unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-config", "wish", "-days", "2", "-nodes"])
        .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
        .args(["-keyout", &format!("{file}.key"), "-out", &format!("{file}.crt")])
        .args(signed_by)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let key = folder.path().join(format!("{file}.key"));
    std::fs::set_permissions(key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}
