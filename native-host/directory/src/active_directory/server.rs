//! The servers of a directory: which one is asked, and when another one is.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ticketgate_access::config;
use tokio::sync::Mutex;

use super::dn::Dn;
use super::domain;
use super::last_write::LastWrite;
use super::link::{Health, Link};
use crate::{DirectoryError, Secret};
use ticketgate_credentials::{ReadSecret, trust};

/// A server that did not answer is asked last for so long.
const AVOID: Duration = Duration::from_secs(30);
/// A connection is made anew after this time, so that a changed password or authority counts.
const LONGEST_LIFE: Duration = Duration::from_secs(600);
/// A password that was refused is not tried again for so long unless it changed: retries must not lock the service account out.
const BETWEEN_REFUSALS: Duration = Duration::from_secs(15);
/// Before a server that told of a fault of its own is asked once more.
const BUSY_PAUSE: Duration = Duration::from_millis(250);
/// A connection that nobody used for so long may be dead without a sign (a firewall forgot it), and is tried carefully.
const IDLE: Duration = Duration::from_secs(45);
/// The careful try.
const PROBE: Duration = Duration::from_secs(2);

/// One server, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// TLS from the first byte; otherwise StartTLS before anything else.
    pub(crate) tls: bool,
    /// Name or address.
    pub(crate) host: String,
    /// Port.
    pub(crate) port: u16,
}

impl Server {
    /// Reads `ldaps://HOST[:PORT]` or `ldap://HOST[:PORT]`.
    ///
    /// # Errors
    /// [`DirectoryError::BadValue`]
    pub(crate) fn parse(url: &str) -> Result<Self, DirectoryError> {
        let bad = |why: &str| DirectoryError::BadValue(format!("server {url}: {why}"));
        let (tls, rest) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ldaps") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ldap") => (false, rest),
            _ => return Err(bad("write ldaps://NAME, or ldap://NAME for StartTLS")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.starts_with('[') {
            return Err(bad("write the server's name; a certificate is checked against it"));
        }
        let (host, port) = match rest.split_once(':') {
            Some((host, port)) => {
                (host, port.parse().map_err(|_| bad("the port is not a number from 1 to 65535"))?)
            }
            None => (rest, if tls { 636 } else { 389 }),
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if host.is_empty() || port == 0 || !host.chars().all(fits) {
            return Err(bad("write ldaps://NAME or ldaps://NAME:PORT and nothing more"));
        }
        Ok(Self { tls, host: host.to_owned(), port })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.tls { "ldaps" } else { "ldap" }, self.host, self.port)
    }
}

/// All servers of one directory, with one connection kept warm.
pub(crate) struct Servers {
    config: config::ActiveDirectory,
    unit: Dn,
    secrets: Arc<dyn ReadSecret>,
    timeout: Duration,
    wrote: Arc<LastWrite>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    warm: Option<Link>,
    used: Option<Instant>,
    avoid: Vec<(usize, Instant)>,
    refused: Option<(Secret, Instant, String)>,
}

impl Servers {
    /// # Errors
    /// [`DirectoryError::BadValue`] when a server's address or the unit cannot be read.
    pub(crate) fn new(
        config: config::ActiveDirectory,
        secrets: Arc<dyn ReadSecret>,
    ) -> Result<Self, DirectoryError> {
        for server in &config.servers {
            Server::parse(server)?;
        }
        let unit = super::parsed(&config.account_unit)?;
        let timeout = Duration::from_secs(u64::from(config.timeout_s.max(1)));
        Ok(Self { config, unit, secrets, timeout, wrote: Arc::default(), state: Mutex::default() })
    }

    /// The same, told by an earlier process which server took the last write, and telling the next one. Only before the first
    /// connection is made.
    pub(crate) fn remembering(mut self, path: &Path) -> Self {
        self.wrote = Arc::new(LastWrite::remembered(&self.config.servers, path));
        self
    }

    /// As configured.
    pub(crate) fn config(&self) -> &config::ActiveDirectory {
        &self.config
    }

    /// What people call the directory: its first server.
    pub(crate) fn name(&self) -> &str {
        self.config.servers.first().map_or("", String::as_str)
    }

    /// The unit of JIT accounts.
    pub(crate) fn unit(&self) -> &Dn {
        &self.unit
    }

    /// A connection that works as far as is known: the warm one, or a new one.
    ///
    /// # Errors
    /// [`DirectoryError`]; the most telling one when several servers were tried.
    pub(crate) async fn link(&self) -> Result<Link, DirectoryError> {
        let mut state = self.state.lock().await;
        let now = Instant::now();
        if let Some(link) = state.warm.take() {
            let idle = state.used.is_none_or(|used| now.duration_since(used) > IDLE);
            let mut health = link.health();
            if health == Health::Good && idle && link.age() < LONGEST_LIFE {
                let _ = link
                    .clone()
                    .within(self.timeout.min(PROBE))
                    .entry("", &["currentTime"], Vec::new())
                    .await;
                // That a firewall forgot the connection says nothing against the server.
                health = if link.health() == Health::Good { Health::Good } else { Health::Closed };
            }
            match health {
                Health::Good if link.age() < LONGEST_LIFE => {
                    state.warm = Some(link.clone());
                    state.used = Some(now);
                    return Ok(link);
                }
                Health::Lost => state.avoid.push((link.server(), now)),
                Health::Good | Health::Closed => {}
            }
        }
        let link = self.connect(&mut state).await?;
        state.warm = Some(link.clone());
        state.used = Some(Instant::now());
        Ok(link)
    }

    /// The configured servers, each with what a connection to it alone brings. For `check`.
    pub(crate) async fn each(&self) -> Vec<(String, Result<Link, DirectoryError>)> {
        let mut found = Vec::new();
        for (index, url) in self.config.servers.iter().enumerate() {
            let link = match self.credentials().await {
                Ok((trust, password)) => self.open(url, index, trust, &password).await,
                Err(error) => Err(error),
            };
            // A second wrong password in a row brings the account nearer to its lock-out and tells nothing new.
            let refused = matches!(link, Err(DirectoryError::Bind(_)));
            found.push((url.clone(), link));
            if refused {
                break;
            }
        }
        found
    }

    async fn connect(&self, state: &mut State) -> Result<Link, DirectoryError> {
        let (trust, password) = self.credentials().await?;
        let now = Instant::now();
        if let Some((tried, at, said)) = &state.refused
            && tried.expose() == password.expose()
            && now.duration_since(*at) < BETWEEN_REFUSALS
        {
            return Err(DirectoryError::Bind(said.clone()));
        }
        state.avoid.retain(|(_, since)| now.duration_since(*since) < AVOID);
        let mut worst = DirectoryError::Unreachable("no server is configured".into());
        for index in order(self.config.servers.len(), self.wrote.ahead(now), &state.avoid) {
            let Some(url) = self.config.servers.get(index) else { continue };
            let mut opened = self.open(url, index, trust.clone(), &password).await;
            if let Err(error @ DirectoryError::Busy(_)) = &opened {
                // A fault of the server's own, which says nothing against the password: most pass at once.
                tracing::debug!(server = url, %error, "asking once more");
                tokio::time::sleep(BUSY_PAUSE).await;
                opened = self.open(url, index, trust.clone(), &password).await;
            }
            match opened {
                Ok(link) => {
                    state.refused = None;
                    return Ok(link);
                }
                Err(DirectoryError::Bind(said)) => {
                    // The other servers have the same password; asking them too would only bring a lock-out nearer.
                    state.refused = Some((password, Instant::now(), said.clone()));
                    return Err(DirectoryError::Bind(said));
                }
                Err(error) => {
                    tracing::warn!(server = url, %error, "a directory server cannot be used");
                    state.avoid.push((index, Instant::now()));
                    if telling(&error) >= telling(&worst) {
                        worst = error;
                    }
                }
            }
        }
        Err(worst)
    }

    /// A connection to one server, which has to be one of the domain that the unit is in: in another one nothing of ours would
    /// be found, and all of it would seem to be gone.
    async fn open(
        &self,
        url: &str,
        index: usize,
        trust: Arc<rustls::ClientConfig>,
        password: &Secret,
    ) -> Result<Link, DirectoryError> {
        let server = Server::parse(url)?;
        let link = Link::open(&server, index, trust, self.timeout, &self.config.bind_dn, password).await?;
        let served = domain::served(&link).await?;
        if served.is_domain_of(&self.unit) {
            return Ok(link.telling(Arc::clone(&self.wrote)));
        }
        Err(DirectoryError::BadValue(format!(
            "{server} serves the domain {served}, in which the unit {} is not; correct servers or account_unit",
            self.unit
        )))
    }

    /// What a connection needs, read from files anew.
    async fn credentials(&self) -> Result<(Arc<rustls::ClientConfig>, Secret), DirectoryError> {
        let (secrets, place, ca) =
            (self.secrets.clone(), self.config.password.clone(), self.config.ca_file.clone());
        tokio::task::spawn_blocking(move || {
            let password = secrets.read(&place)?;
            if password.expose().is_empty() {
                return Err(DirectoryError::NoSecret("it is empty".into()));
            }
            Ok((trust(ca.as_deref())?, password))
        })
        .await
        .map_err(|error| DirectoryError::NoSecret(error.to_string()))?
    }
}

/// In which order servers are tried: the one that took the last write, then as configured; those that failed lately at the end.
fn order(count: usize, ahead: Option<usize>, avoid: &[(usize, Instant)]) -> Vec<usize> {
    let mut order: Vec<_> = (0..count).collect();
    order.sort_by_key(|index| {
        let avoided = avoid.iter().any(|(avoided, _)| avoided == index);
        (avoided, ahead != Some(*index), *index)
    });
    order
}

/// When every server failed, the administrator is told of the failure that he can mend.
const fn telling(error: &DirectoryError) -> u8 {
    match error {
        DirectoryError::Certificate(_) => 3,
        DirectoryError::BadValue(_) => 2,
        DirectoryError::Busy(_) => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_with_their_usual_ports() {
        for (url, shown) in [
            ("ldaps://dc1.acme.example", "ldaps://dc1.acme.example:636"),
            ("ldap://dc1.acme.example/", "ldap://dc1.acme.example:389"),
            ("LDAPS://10.0.0.1:3269", "ldaps://10.0.0.1:3269"),
        ] {
            assert_eq!(Server::parse(url).unwrap().to_string(), shown);
        }
        for bad in [
            "dc1",
            "http://dc1",
            "ldaps://",
            "ldaps://dc1:0",
            "ldaps://dc1:x",
            "ldaps://[::1]",
            "ldaps://a@b",
            "ldaps://a/x",
        ] {
            assert!(matches!(Server::parse(bad), Err(DirectoryError::BadValue(_))), "{bad}");
        }
    }

    #[test]
    fn the_server_that_took_the_writes_is_kept_and_a_failed_one_comes_last() {
        let now = Instant::now();
        assert_eq!(order(3, None, &[]), [0, 1, 2]);
        assert_eq!(order(3, Some(1), &[]), [1, 0, 2]);
        assert_eq!(order(3, Some(1), &[(1, now)]), [0, 2, 1]);
        assert_eq!(order(2, None, &[(0, now), (1, now)]), [0, 1]);
        assert!(order(0, None, &[]).is_empty());
    }
}
