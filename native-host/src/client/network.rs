//! The way to a team's broker: names looked up, the addresses tried one after the other without waiting for a dead one, TLS with
//! verification always. What goes over the connection is known elsewhere.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig};
use socket2::{SockRef, TcpKeepalive};
use ticketgate_credentials::{NoTrust, trust, trust_as};
use ticketgate_protocol::problem::{Code, Problem};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::team::{Address, Team};

/// How long one connection may take until it can be used, its name looked up and its certificate verified.
const ONE: Duration = Duration::from_secs(4);
/// An address that has not answered after this is not waited for any more: the next is tried beside it, and the first to answer wins.
const STAGGER: Duration = Duration::from_millis(600);
/// A connection on which nothing moves is asked whether its other end is still there: after so long, so often, so many times.
const IDLE: Duration = Duration::from_secs(15);
const BETWEEN: Duration = Duration::from_secs(5);
const ASKED: u32 = 3;
/// What was sent and is not acknowledged after this is lost, and the connection with it (a network that changed, a lid that was shut).
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(6);

/// A verified connection to one of a broker's addresses.
pub(super) type Stream = TlsStream<TcpStream>;

/// The way to a team's broker. Remembers which address answered last.
#[derive(Debug)]
pub(super) struct Network {
    team: Arc<Team>,
    preferred: AtomicUsize,
    /// Read at the first connection, and anew after one that failed: authorities and certificates are replaced on disk.
    trust: Mutex<Option<Arc<ClientConfig>>>,
}

/// Why an address was not reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreached {
    /// Nobody knows its name.
    NoSuchName,
    /// Nobody listens there, or the network does not lead there.
    Refused,
    /// It did not answer in time.
    Silent,
    /// Its certificate is not one to trust.
    Certificate(BadCertificate),
    /// It does not take this machine's certificate, or wants one.
    TurnedAway,
    /// What answers there does not speak TLS as it should.
    NotTls,
    /// A file that is needed for the connection cannot be used.
    Files(String),
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadCertificate {
    /// Its time is over, by this machine's clock.
    Expired,
    /// Its time has not come, by this machine's clock.
    NotYet,
    /// It is for another name.
    OtherName,
    /// Nobody who is trusted here vouches for it.
    UnknownAuthority,
    /// Another fault.
    Other,
}

impl Network {
    pub(super) fn new(team: Arc<Team>) -> Self {
        Self { team, preferred: AtomicUsize::new(0), trust: Mutex::default() }
    }

    pub(super) fn team(&self) -> &Arc<Team> {
        &self.team
    }

    /// The address with this number.
    pub(super) fn address(&self, at: usize) -> Option<&Address> {
        self.team.addresses.get(at)
    }

    /// Connects to one of the addresses but those to `skip`: to the one that answered last, and beside it to the next ones where that
    /// takes long. Answers which it was.
    pub(super) async fn connect(&self, skip: &[usize]) -> Result<(usize, Stream), Unreached> {
        let trust = match self.trust().await {
            Ok(trust) => trust,
            Err(NoTrust(why)) => return Err(Unreached::Files(why)),
        };
        let first = self.preferred.load(Ordering::Relaxed);
        let all = self.team.addresses.len();
        let mut left = (0..all).map(|n| (first + n) % all).filter(|at| !skip.contains(at));
        let mut under_way = JoinSet::new();
        let mut worst: Option<Unreached> = None;
        loop {
            if let Some(at) = left.next()
                && let Some(address) = self.address(at)
            {
                let (address, trust) = (address.clone(), Arc::clone(&trust));
                under_way.spawn(async move { (at, reach(&address, trust).await) });
            }
            let ended = match tokio::time::timeout(STAGGER, under_way.join_next()).await {
                // The next one is tried beside it; the last one is waited for.
                Err(_) if left.size_hint().1 != Some(0) => continue,
                Err(_) => under_way.join_next().await,
                Ok(ended) => ended,
            };
            match ended {
                Some(Ok((at, Ok(stream)))) => {
                    self.preferred.store(at, Ordering::Relaxed);
                    return Ok((at, stream));
                }
                Some(Ok((_, Err(why)))) => worst = Some(worst.map_or(why.clone(), |before| before.or(why))),
                Some(Err(_)) => {}
                None => {
                    *self.trust.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    return Err(worst.unwrap_or(Unreached::Refused));
                }
            }
        }
    }

    /// Connects to this address alone.
    pub(super) async fn reach(&self, at: usize) -> Result<Stream, Unreached> {
        let trust = self.trust().await.map_err(|NoTrust(why)| Unreached::Files(why))?;
        let address = self.address(at).ok_or(Unreached::Refused)?;
        reach(address, trust).await
    }

    async fn trust(&self) -> Result<Arc<ClientConfig>, NoTrust> {
        if let Some(trust) = self.trust.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(trust);
        }
        let team = Arc::clone(&self.team);
        // Files, a hundred authorities among them, are read beside everything else.
        let read = tokio::task::spawn_blocking(move || read_trust(&team)).await;
        let trust = read.unwrap_or_else(|_| Err(NoTrust("the trusted authorities were not read".into())))?;
        *self.trust.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&trust));
        Ok(trust)
    }
}

fn read_trust(team: &Team) -> Result<Arc<ClientConfig>, NoTrust> {
    let ca_file = team.ca_file.as_ref().map(|path| path.to_string_lossy());
    match &team.certificate {
        None => trust(ca_file.as_deref()),
        Some(own) => trust_as(ca_file.as_deref(), &own.chain, &own.key),
    }
}

/// One verified connection. A name with several numbers is tried at each of them, side by side where they are slow.
async fn reach(address: &Address, trust: Arc<ClientConfig>) -> Result<Stream, Unreached> {
    let work = async {
        let found = lookup_host((address.host(), address.port())).await;
        let numbers: Vec<SocketAddr> = found.map_err(|_| Unreached::NoSuchName)?.collect();
        let stream = first_of(&numbers).await.ok_or(if numbers.is_empty() {
            Unreached::NoSuchName
        } else {
            Unreached::Refused
        })?;
        tune(&stream);
        let name = ServerName::try_from(address.host().to_owned()).map_err(|_| Unreached::NoSuchName)?;
        TlsConnector::from(trust).connect(name, stream).await.map_err(|error| of_tls(&error))
    };
    tokio::time::timeout(ONE, work).await.unwrap_or(Err(Unreached::Silent))
}

/// The first of these that takes a connection.
async fn first_of(numbers: &[SocketAddr]) -> Option<TcpStream> {
    let mut under_way = JoinSet::new();
    let mut left = numbers.iter().copied();
    loop {
        if let Some(number) = left.next() {
            under_way.spawn(TcpStream::connect(number));
        }
        let ended = match tokio::time::timeout(STAGGER / 2, under_way.join_next()).await {
            Err(_) if left.len() > 0 => continue,
            Err(_) => under_way.join_next().await,
            Ok(ended) => ended,
        };
        match ended {
            Some(Ok(Ok(stream))) => return Some(stream),
            Some(_) => {}
            None => return None,
        }
    }
}

/// A connection whose other end is gone without a word is found out, also while nothing is sent. What the system does not know of
/// this it does without.
fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(IDLE).with_interval(BETWEEN).with_retries(ASKED);
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
}

fn of_tls(error: &io::Error) -> Unreached {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return Unreached::Refused;
    };
    match error {
        rustls::Error::InvalidCertificate(why) => Unreached::Certificate(match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => BadCertificate::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                BadCertificate::NotYet
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                BadCertificate::OtherName
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                BadCertificate::UnknownAuthority
            }
            _ => BadCertificate::Other,
        }),
        rustls::Error::AlertReceived(alert) if turns_away(*alert) => Unreached::TurnedAway,
        _ => Unreached::NotTls,
    }
}

/// Whether this is what a server says to a client whose certificate it does not take. With TLS 1.3 it comes after the handshake.
pub(super) fn turns_away(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}

impl Unreached {
    /// The one of two that tells a person more: what can be mended before what may pass.
    fn or(self, other: Self) -> Self {
        let weight = |why: &Self| match why {
            Self::Files(_) => 6,
            Self::Certificate(_) => 5,
            Self::TurnedAway => 4,
            Self::NotTls => 3,
            Self::Silent => 2,
            Self::Refused => 1,
            Self::NoSuchName => 0,
        };
        if weight(&other) > weight(&self) { other } else { self }
    }

    /// What is the matter, as the end of a sentence. Names no address: it may be shown in a browser.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::NoSuchName => "its name is not known here".into(),
            Self::Refused => "nobody answers there".into(),
            Self::Silent => format!("nothing came within {} seconds", ONE.as_secs()),
            Self::Certificate(BadCertificate::Expired) => "its certificate has expired".into(),
            Self::Certificate(BadCertificate::NotYet) => "its certificate is not valid yet".into(),
            Self::Certificate(BadCertificate::OtherName) => "its certificate is for another name".into(),
            Self::Certificate(BadCertificate::UnknownAuthority) => {
                "nobody whom this machine trusts vouches for its certificate".into()
            }
            Self::Certificate(BadCertificate::Other) => "its certificate cannot be trusted".into(),
            Self::TurnedAway => "it does not take this machine's certificate, or wants one".into(),
            Self::NotTls => "what answers there does not speak TLS".into(),
            Self::Files(why) => why.clone(),
        }
    }

    /// What a person does about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NoSuchName | Self::Refused | Self::Silent => {
                "Check the network, and the VPN where there is one. It is tried again by itself."
            }
            Self::Certificate(BadCertificate::Expired | BadCertificate::NotYet) => {
                "Check this machine's clock; if it is right, your administrator has to renew the certificate."
            }
            Self::Certificate(BadCertificate::UnknownAuthority) => {
                "Your administrator has to name the authority (ca_file in relay.toml). Run: ticketgate doctor"
            }
            Self::Certificate(_) | Self::NotTls => {
                "Nothing was sent. Another network may stand in between; if not, tell your administrator. Run: ticketgate doctor"
            }
            Self::TurnedAway => {
                "Your administrator has to renew this machine's certificate. Run: ticketgate doctor"
            }
            Self::Files(_) => "Run: ticketgate doctor",
        }
    }
}

impl From<Unreached> for Problem {
    fn from(why: Unreached) -> Self {
        let passes = matches!(why, Unreached::NoSuchName | Unreached::Refused | Unreached::Silent);
        let detail = format!("The team's broker is not reached: {}.", why.words());
        let problem = Self::new(Code::BrokerUnreachable, detail).remedy(why.remedy());
        if passes { problem.retry_after(2) } else { problem }
    }
}
