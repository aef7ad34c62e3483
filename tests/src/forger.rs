//! A proxy that speaks LDAP: a real directory in which one kind of call is answered with a result code of our choice. It shows
//! the directory's own certificate, and forwards everything else as it is.

use crate::Result;
use crate::samba::SambaAd;
use anyhow::{Context, anyhow, bail};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A simple bind.
    Bind,
    /// A search.
    Search,
    /// A new entry.
    Add,
    /// A change of an entry.
    Modify,
    /// The end of an entry.
    Delete,
}

/// An answer that is not the directory's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgery {
    /// Which calls get it.
    pub call: Call,
    /// The result code (RFC 4511 appendix A): 51 is `busy`.
    pub code: u8,
}

impl Call {
    /// The tags of request and answer (RFC 4511 appendix B).
    const fn tags(self) -> (u8, u8) {
        match self {
            Self::Bind => (0x60, 0x61),
            Self::Search => (0x63, 0x65),
            Self::Modify => (0x66, 0x67),
            Self::Add => (0x68, 0x69),
            Self::Delete => (0x4a, 0x6b),
        }
    }
}

/// What connections share with the test.
#[derive(Debug, Default)]
struct Orders {
    forgery: Mutex<Option<Forgery>>,
    forged: AtomicUsize,
}

/// A running proxy. Dropping it drops its connections.
#[derive(Debug)]
pub struct Forger {
    address: SocketAddr,
    orders: Arc<Orders>,
    breaks: watch::Sender<()>,
    /// Dropped last, with the tasks.
    _runtime: Runtime,
}

impl Forger {
    /// Stands before a directory, on a free port of its address, and forges nothing yet.
    ///
    /// # Errors
    /// There is no port, or the directory's key cannot be read.
    pub fn start(ad: &SambaAd) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((ad.address(), 0)))?;
        let address = listener.local_addr()?;
        let (acceptor, connector) = tls(ad)?;
        let orders = Arc::<Orders>::default();
        let (breaks, broken) = watch::channel(());
        let (server, shared) = (ad.address(), Arc::clone(&orders));
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, connector) = (acceptor.clone(), connector.clone());
                let (orders, mut broken) = (Arc::clone(&shared), broken.clone());
                broken.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = carry(client, server, acceptor, connector, &orders) => {}
                        _ = broken.changed() => {}
                    }
                });
            }
        });
        Ok(Self { address, orders, breaks, _runtime: runtime })
    }

    /// `ldaps://` and where it listens.
    pub fn url(&self) -> String {
        format!("ldaps://{}", self.address)
    }

    /// From now on these calls are answered so, and do not reach the directory; `None`: all is as it is.
    pub fn forge(&self, forgery: Option<Forgery>) {
        *self.orders.forgery.lock().unwrap_or_else(PoisonError::into_inner) = forgery;
        self.orders.forged.store(0, Ordering::SeqCst);
    }

    /// How many answers were forged since it was last told what to forge.
    pub fn forged(&self) -> usize {
        self.orders.forged.load(Ordering::SeqCst)
    }

    /// Drops every connection, so that the next call begins with a bind.
    ///
    /// # Errors
    /// The proxy has failed.
    pub fn break_connections(&self) -> Result<()> {
        self.breaks.send(()).context("the proxy has ended")
    }
}

fn tls(ad: &SambaAd) -> Result<(TlsAcceptor, TlsConnector)> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let folder = ad.tls_folder();
    let certificates = |file: &Path| CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>();
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            certificates(&folder.join("cert.pem"))?,
            PrivateKeyDer::from_pem_file(folder.join("key.pem"))?,
        )?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(&folder.join("issuer.pem"))? {
        roots.add(certificate)?;
    }
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client))))
}

/// One connection, until either end ends it.
async fn carry(
    client: TcpStream,
    server: Ipv4Addr,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    orders: &Orders,
) -> Result<()> {
    client.set_nodelay(true)?;
    let server_stream = TcpStream::connect((server, 636)).await?;
    server_stream.set_nodelay(true)?;
    let client = acceptor.accept(client).await?;
    let server = connector.connect(ServerName::from(std::net::IpAddr::from(server)), server_stream).await?;
    let (mut from_client, to_client) = split(client);
    let (mut from_server, mut to_server) = split(server);
    let to_client = tokio::sync::Mutex::new(to_client);
    let requests = async {
        loop {
            let message = message(&mut from_client).await?;
            match orders.answer(&message)? {
                Some(answer) => send(&mut *to_client.lock().await, &answer).await?,
                None => send(&mut to_server, &message).await?,
            }
        }
    };
    let answers = async {
        loop {
            let message = message(&mut from_server).await?;
            send(&mut *to_client.lock().await, &message).await?;
        }
    };
    tokio::select! {
        ended = requests => ended,
        ended = answers => ended,
    }
}

async fn send(to: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> Result<()> {
    to.write_all(message).await?;
    Ok(to.flush().await?)
}

/// One whole message, tag and length included (X.690 8.1).
async fn message(from: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>> {
    let mut message = vec![0; 2];
    from.read_exact(&mut message).await?;
    let first = message.get(1).copied().unwrap_or_default();
    let mut length = usize::from(first);
    if first >= 0x80 {
        let mut octets = vec![0; usize::from(first & 0x7f)];
        from.read_exact(&mut octets).await?;
        length = octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
        message.extend(octets);
    }
    let mut content = vec![0; length];
    from.read_exact(&mut content).await?;
    message.extend(content);
    Ok(message)
}

impl Orders {
    /// The forged answer to a request, if it gets one.
    fn answer(&self, request: &[u8]) -> Result<Option<Vec<u8>>> {
        let ordered = *self.forgery.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Forgery { call, code }) = ordered else { return Ok(None) };
        let (id, tag) = head(request)?;
        let (asked, answered) = call.tags();
        if tag != asked {
            return Ok(None);
        }
        self.forged.fetch_add(1, Ordering::SeqCst);
        // LDAPResult: the code, no matched DN, some words; with `referral` where another server is.
        let mut result = [&[0x0a, 1, code, 4, 0, 4, 6][..], b"forged"].concat();
        if code == 10 {
            const OTHER: &[u8] = b"ldap://elsewhere.test";
            let length = u8::try_from(OTHER.len())?;
            result.extend([0xa3, length + 2, 4, length]);
            result.extend(OTHER);
        }
        let operation = [&[answered, u8::try_from(result.len())?][..], &result].concat();
        let whole = [&[2, u8::try_from(id.len())?][..], id, &operation].concat();
        Ok(Some([&[0x30, u8::try_from(whole.len())?][..], &whole].concat()))
    }
}

/// The message's id and the tag of what it asks.
fn head(message: &[u8]) -> Result<(&[u8], u8)> {
    let long = message.get(1).filter(|first| **first >= 0x80).map_or(0, |first| usize::from(first & 0x7f));
    let content = message.get(2 + long..).context("a message without content")?;
    let [2, length, rest @ ..] = content else { bail!("a message without an id") };
    let (id, rest) =
        rest.split_at_checked(usize::from(*length)).ok_or_else(|| anyhow!("a message with half an id"))?;
    Ok((id, *rest.first().context("a message without an operation")?))
}
