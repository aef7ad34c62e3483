//! One bound connection to one server, and the four operations on it, each with a time limit.

use std::collections::HashSet;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use ldap3::controls::{Control, ControlType, PagedResults, RawControl};
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Mod, Scope, StdStream};
use rustls::ClientConfig;
use tokio::task::JoinHandle;

use super::collect::{Room, collected};
use super::entry::{Entry, Part};
use super::failure::{Trouble, code, connecting};
use super::filter;
use super::last_write::LastWrite;
use super::server::Server;
use crate::{DirectoryError, Secret};

/// Entries in one page of a long answer.
const PAGE: i32 = 500;
/// The most parts of one answer. A server that goes on after them never ends.
const PARTS: usize = 1_000;

/// A bound connection. Clones share it; the last one to go closes it.
#[derive(Clone)]
pub(crate) struct Link {
    ldap: Ldap,
    timeout: Duration,
    shared: Arc<Shared>,
    wrote: Arc<LastWrite>,
}

struct Shared {
    server: usize,
    opened: Instant,
    health: AtomicU8,
    driver: JoinHandle<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // A driver that waits for a server that hangs would not notice that nobody needs it any more.
        self.driver.abort();
    }
}

/// How a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// As far as is known it works.
    Good,
    /// The server closed it, as servers do with an idle one.
    Closed,
    /// An operation on it was not answered.
    Lost,
}

/// What is sent arrives within a minute or never, also after this process is gone: whoever takes over looks for two minutes.
fn let_go_of_what_is_not_taken(stream: &tokio::net::TcpStream) {
    // A kernel that does not know this keeps it for as long as it always did.
    #[cfg(target_os = "linux")]
    let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, 60_000);
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

/// One changed attribute.
pub(crate) enum Change<'a> {
    /// Exactly this value.
    Replace(&'a str, &'a [u8]),
    /// One more value.
    Add(&'a str, &'a [u8]),
    /// One value less.
    Remove(&'a str, &'a [u8]),
}

impl Link {
    /// Connects, checks the certificate, and binds.
    pub(crate) async fn open(
        server: &Server,
        index: usize,
        trust: Arc<ClientConfig>,
        timeout: Duration,
        bind_dn: &str,
        password: &Secret,
    ) -> Result<Self, DirectoryError> {
        let unreachable = |why: String| DirectoryError::Unreachable(format!("{server}: {why}"));
        let connect = tokio::net::TcpStream::connect((server.host.as_str(), server.port));
        let stream = match tokio::time::timeout(timeout, connect).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unreachable(error.to_string())),
            Err(_) => return Err(unreachable("no connection in time".into())),
        };
        // The LDAP crate leaves Nagle's algorithm on, and the first bind then waits 40 ms for an acknowledgement.
        stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
        let_go_of_what_is_not_taken(&stream);
        let stream = stream.into_std().map_err(|error| unreachable(error.to_string()))?;
        let settings = LdapConnSettings::new()
            .set_config(trust)
            .set_conn_timeout(timeout)
            .set_starttls(!server.tls)
            .set_std_stream(StdStream::Tcp(stream));
        let name = server.to_string();
        let (connection, mut ldap) = readable(LdapConnAsync::with_settings(settings, &name))
            .await
            .ok_or_else(|| unreachable(UNREADABLE.into()))?
            .map_err(|error| connecting(&name, &error))?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!(server = name, %error, "directory connection ended");
            }
        });
        let shared = Shared { server: index, opened: Instant::now(), health: AtomicU8::new(0), driver };
        // Where the password goes: into a bind on a connection that is encrypted and whose certificate was verified.
        let said = answered(ldap.with_timeout(timeout).simple_bind(bind_dn, password.expose()))
            .await
            .map_err(|trouble| trouble.reading(&format!("{server}: bind")))?;
        if said.rc != 0 {
            return Err(super::failure::Refusal::from(said).of_bind(bind_dn));
        }
        Ok(Self { ldap, timeout, shared: Arc::new(shared), wrote: Arc::default() })
    }

    /// A connection without TLS and bind to whoever is at the other end, for the fuzz targets: what comes back is read as always.
    #[cfg(all(feature = "fuzzing", unix))]
    pub(super) async fn bare(
        stream: std::os::unix::net::UnixStream,
        timeout: Duration,
    ) -> Result<Self, DirectoryError> {
        let settings = LdapConnSettings::new().set_std_stream(StdStream::Unix(stream));
        let (connection, ldap) = LdapConnAsync::with_settings(settings, "ldapi://%2F")
            .await
            .map_err(|error| connecting("fuzz", &error))?;
        let driver = tokio::spawn(async move {
            let _ = connection.drive().await;
        });
        let shared = Shared { server: 0, opened: Instant::now(), health: AtomicU8::new(0), driver };
        Ok(Self { ldap, timeout, shared: Arc::new(shared), wrote: Arc::default() })
    }

    /// The same connection, telling of its writes.
    pub(crate) fn telling(mut self, wrote: Arc<LastWrite>) -> Self {
        self.wrote = wrote;
        self
    }

    /// For a write: the handle to send it by. One without an answer counts, since it may have been made.
    fn writing(&self) -> Ldap {
        self.wrote.goes_to(self.server(), Instant::now());
        self.ldap.clone()
    }

    /// Which of the configured servers this is.
    pub(crate) fn server(&self) -> usize {
        self.shared.server
    }

    /// How long it has been open.
    pub(crate) fn age(&self) -> Duration {
        self.shared.opened.elapsed()
    }

    /// The same connection with another time limit.
    pub(crate) fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How it is now.
    pub(crate) fn health(&self) -> Health {
        match self.shared.health.load(Ordering::Acquire) {
            0 if self.ldap.clone().is_closed() => Health::Closed,
            0 => Health::Good,
            1 => Health::Closed,
            _ => Health::Lost,
        }
    }

    /// Notes that nothing more may be asked on this connection.
    fn note<T>(&self, result: Result<T, Trouble>) -> Result<T, Trouble> {
        match &result {
            Err(Trouble::NotSent(_)) => self.shared.health.store(1, Ordering::Release),
            // A late answer to a request that was given up would be taken for nothing; but a server that hangs is not asked again.
            Err(Trouble::Lost(_)) => self.shared.health.store(2, Ordering::Release),
            _ => {}
        }
        result
    }

    /// The entries that a filter finds. Referrals to other domains are left out.
    pub(crate) async fn search(
        &self,
        base: &str,
        scope: Scope,
        filter: &str,
        attributes: &[&str],
        controls: Vec<RawControl>,
    ) -> Result<Vec<Entry>, Trouble> {
        Ok(self.search_once(base, scope, filter, attributes, controls, &mut Room::default()).await?.0)
    }

    async fn search_once(
        &self,
        base: &str,
        scope: Scope,
        filter: &str,
        attributes: &[&str],
        controls: Vec<RawControl>,
        room: &mut Room,
    ) -> Result<(Vec<Entry>, LdapResult), Trouble> {
        let mut ldap = self.ldap.clone();
        if !controls.is_empty() {
            ldap.with_controls(controls);
        }
        // The crate's own limit starts anew with every entry of an answer.
        let asked = collected(ldap, base, scope, filter, attributes, room);
        let result = match tokio::time::timeout(self.timeout, readable(asked)).await {
            Err(_) => Err(Trouble::Lost("no answer in time".into())),
            Ok(None) => Err(Trouble::Lost(UNREADABLE.into())),
            Ok(Some(result)) => result,
        };
        self.note(result)
    }

    /// The entries below a name that a filter finds, however many: servers hand out a thousand at a time (RFC 2696).
    pub(crate) async fn search_in_pages(
        &self,
        base: &str,
        filter: &str,
        attributes: &[&str],
        controls: Vec<RawControl>,
    ) -> Result<Vec<Entry>, Trouble> {
        let (mut entries, mut cookie, mut room) = (Vec::new(), Vec::new(), Room::default());
        for _ in 0..PARTS {
            let page = PagedResults { size: PAGE, cookie: std::mem::take(&mut cookie) };
            let controls = controls.iter().cloned().chain([RawControl::from(page)]).collect();
            let (found, answered) =
                self.search_once(base, Scope::Subtree, filter, attributes, controls, &mut room).await?;
            entries.extend(found);
            for Control(kind, control) in &answered.ctrls {
                if matches!(kind, Some(ControlType::PagedResults)) {
                    cookie = self.note(cookie_of(control))?;
                }
            }
            if cookie.is_empty() {
                return Ok(entries);
            }
        }
        self.note(Err(Trouble::Lost(ENDLESS.into())))
    }

    /// The entry of this name; none when the server has none.
    pub(crate) async fn entry(
        &self,
        dn: &str,
        attributes: &[&str],
        controls: Vec<RawControl>,
    ) -> Result<Option<Entry>, Trouble> {
        self.entry_within(dn, attributes, controls, &mut Room::default()).await
    }

    async fn entry_within(
        &self,
        dn: &str,
        attributes: &[&str],
        controls: Vec<RawControl>,
        room: &mut Room,
    ) -> Result<Option<Entry>, Trouble> {
        match self.search_once(dn, Scope::Base, filter::ANY, attributes, controls, room).await {
            Err(trouble) if trouble.is(&[code::NO_SUCH_OBJECT]) => Ok(None),
            found => Ok(found?.0.into_iter().next()),
        }
    }

    /// Whether the entry of this name fits a filter. One that is not there does not.
    pub(crate) async fn fits(&self, dn: &str, filter: &str) -> Result<bool, Trouble> {
        match self.search(dn, Scope::Base, filter, &["1.1"], Vec::new()).await {
            Err(trouble) if trouble.is(&[code::NO_SUCH_OBJECT]) => Ok(false),
            found => Ok(!found?.is_empty()),
        }
    }

    /// Every value of an attribute, however many answers the server takes for it. `first` is the answer that is there already.
    pub(crate) async fn every_value(
        &self,
        dn: &str,
        attribute: &str,
        first: Part,
        controls: &[RawControl],
    ) -> Result<Vec<String>, Trouble> {
        let (Part { mut values, mut next }, mut room) = (first, Room::default());
        for _ in 0..PARTS {
            let Some(from) = next else { return Ok(values) };
            let wanted = format!("{attribute};range={from}-*");
            let entry = self.entry_within(dn, &[&wanted], controls.to_vec(), &mut room).await?;
            // The values so far are not all: what is missing would count as taken away.
            let Some(entry) = entry else { return self.note(Err(Trouble::Lost(GONE.into()))) };
            let part = entry.part(attribute);
            if part.next.is_some_and(|following| following <= from) {
                return self.note(Err(Trouble::Lost(UNREADABLE.into())));
            }
            next = part.next;
            values.extend(part.values);
        }
        self.note(Err(Trouble::Lost(ENDLESS.into())))
    }

    /// Adds an entry.
    pub(crate) async fn add(&self, dn: &str, attributes: &[(&str, &[u8])]) -> Result<(), Trouble> {
        let attributes =
            attributes.iter().map(|(name, value)| (name.as_bytes(), HashSet::from([*value]))).collect();
        let mut ldap = self.writing();
        let result = answered(ldap.with_timeout(self.timeout).add(dn, attributes)).await;
        self.note(result.and_then(|said| said.success().map(drop).map_err(Trouble::from_ldap)))
    }

    /// Changes an entry: all of it or nothing.
    pub(crate) async fn modify(
        &self,
        dn: &str,
        changes: &[Change<'_>],
        controls: Vec<RawControl>,
    ) -> Result<(), Trouble> {
        let changes = changes
            .iter()
            .map(|change| match change {
                Change::Replace(name, value) => Mod::Replace(name.as_bytes(), HashSet::from([*value])),
                Change::Add(name, value) => Mod::Add(name.as_bytes(), HashSet::from([*value])),
                Change::Remove(name, value) => Mod::Delete(name.as_bytes(), HashSet::from([*value])),
            })
            .collect();
        let mut ldap = self.writing();
        if !controls.is_empty() {
            ldap.with_controls(controls);
        }
        let result = answered(ldap.with_timeout(self.timeout).modify(dn, changes)).await;
        self.note(result.and_then(|said| said.success().map(drop).map_err(Trouble::from_ldap)))
    }

    /// Deletes an entry.
    pub(crate) async fn delete(&self, dn: &str) -> Result<(), Trouble> {
        let mut ldap = self.writing();
        let result = answered(ldap.with_timeout(self.timeout).delete(dn)).await;
        self.note(result.and_then(|said| said.success().map(drop).map_err(Trouble::from_ldap)))
    }
}

pub(super) const UNREADABLE: &str = "the server's answer cannot be read";
pub(super) const ENDLESS: &str = "the server's answer does not end";
const GONE: &str = "the entry went away while it was read";

/// What an operation brought. The LDAP crate panics over an answer that it cannot take apart; the connection is of no use
/// then, but the broker works for other directories too.
async fn answered<T>(operation: impl Future<Output = Result<T, LdapError>>) -> Result<T, Trouble> {
    match readable(operation).await {
        Some(result) => result.map_err(Trouble::from_ldap),
        None => Err(Trouble::Lost(UNREADABLE.into())),
    }
}

/// What comes of `work`; nothing when it panics.
async fn readable<T>(work: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(work).catch_unwind().await.ok()
}

/// Where a server goes on with a long answer; empty after the last page.
fn cookie_of(control: &RawControl) -> Result<Vec<u8>, Trouble> {
    catch_unwind(AssertUnwindSafe(|| control.parse::<PagedResults>().cookie))
        .map_err(|_| Trouble::Lost(UNREADABLE.into()))
}
