//! Connections to the database: where it is, how it is known to be the right one, how long anything may take, and what is tried
//! again. Nothing here knows what the tables hold.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure::{self, Trouble};
use super::let_in::{LetIn, Password};
use crate::LedgerError;

/// Connections of one broker. A statement holds one for a millisecond or so.
const CONNECTIONS: usize = 16;

/// Until a connection is there.
const CONNECT: Duration = Duration::from_secs(5);

/// Any answer takes no longer, else the connection counts as broken: a server that was stopped or cut off says nothing.
const ANSWER: Duration = Duration::from_secs(15);

/// Pauses between tries of what failed for a reason that passes.
const PAUSES: [Duration; 6] = [
    Duration::from_millis(0),
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(700),
    Duration::from_millis(1_500),
];

/// On every connection. A broker that was stopped in the middle of a write gives its rows back after two seconds, so that a
/// lease's three are enough for another. Nobody may have switched off that an answered COMMIT is on the disk.
const SESSION: &str = "SET idle_in_transaction_session_timeout = '2s'; SET lock_timeout = '4s';
    SET statement_timeout = '10s'; SET client_min_messages = warning;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// Commits something without a meaning, and has it answered. A server that was restarted shows what it had not sent to its standby, and what
/// is gone once that takes its place; its answer to this comes behind all of that.
const MARK: &str = "SELECT pg_logical_emit_message(true, 'ticketgate', '')";

/// The standby takes no longer to have what the server has.
const STANDBY: Duration = Duration::from_secs(2);

/// Where the database is.
#[derive(Clone, Default)]
pub struct PostgresPlace {
    /// As `libpq` has it: `host=db.example dbname=ticketgate user=ticketgate`, or a `postgresql://` address. Several hosts are
    /// tried in turn.
    pub address: String,
    /// The user's password, asked for at each new connection: it may be another one by then.
    pub password: Option<Password>,
    /// PEM file of the authorities that may have signed the server's certificate; the machine's own where there is none.
    pub authorities: Option<PathBuf>,
    /// The file of the key that signs the audit log: the same for every broker.
    pub key: PathBuf,
}

impl std::fmt::Debug for PostgresPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresPlace").field("key", &self.key).finish_non_exhaustive()
    }
}

/// The pool, and how it goes.
pub(super) struct Link {
    pool: Pool,
    let_in: LetIn,
    trouble: Mutex<Option<String>>,
}

impl Link {
    /// Nothing is connected yet.
    pub(super) fn new(place: &PostgresPlace) -> Result<Self, LedgerError> {
        let config = config(place)?;
        let tls = MakeRustlsConnect::new(tls(place)?);
        let let_in = LetIn::new(config.clone(), tls, place.password.clone())?;
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(config, let_in.clone(), recycling);
        let way = let_in.clone();
        let prepare = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
            let way = way.clone();
            Box::pin(async move {
                client.batch_execute(SESSION).await.map_err(HookError::Backend)?;
                shows_what_stays(client, &way).await
            })
        });
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .create_timeout(Some(CONNECT))
            .wait_timeout(Some(CONNECT))
            .recycle_timeout(Some(CONNECT))
            .post_create(prepare)
            .build()
            .map_err(|error| LedgerError::Unavailable(error.to_string()))?;
        Ok(Self { pool, let_in, trouble: Mutex::new(None) })
    }

    /// A connection of its own, and what it says; it lives for as long as that is read.
    pub(super) async fn alone(&self) -> Result<(tokio_postgres::Client, Messages), tokio_postgres::Error> {
        let (client, mut connection) = self.let_in.open().await?;
        Ok((client, futures_util::stream::poll_fn(move |context| connection.poll_message(context)).boxed()))
    }

    /// Begins something that may need several tries.
    pub(super) fn tries(&self) -> Tries<'_> {
        Tries { link: self, pauses: PAUSES.iter(), cut: false }
    }

    /// Why nothing can be written at the moment, as far as it is known without trying.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn goes(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

/// Waits until all that a new connection shows stays, also when a standby takes the server's place.
async fn shows_what_stays(client: &tokio_postgres::Client, way: &LetIn) -> Result<(), HookError> {
    match tokio::time::timeout(STANDBY, client.batch_execute(MARK)).await {
        Ok(Ok(())) => Ok(()),
        // An engine of another kind, which shows nothing else.
        Ok(Err(error)) if error.code() == Some(&SqlState::UNDEFINED_FUNCTION) => Ok(()),
        Ok(Err(error)) => Err(HookError::Backend(error)),
        Err(_) => {
            // Else the server would keep each such connection until the standby is back.
            way.cancel(client.cancel_token()).await;
            Err(HookError::message(WAITS))
        }
    }
}

/// Said where a connection has to wait for the standby for too long.
const WAITS: &str = "its database waits for a standby that has not what it has: bring the standby back, or tell the \
     database to go on without it";

/// What a connection says by itself.
pub(super) type Messages = BoxStream<'static, Result<AsyncMessage, tokio_postgres::Error>>;

/// Tries of one piece of work.
pub(super) struct Tries<'a> {
    link: &'a Link,
    pauses: std::slice::Iter<'static, Duration>,
    /// The last answer did not come in time: the connection is not used again.
    cut: bool,
}

impl Tries<'_> {
    /// A connection for the next try.
    pub(super) async fn client(&mut self) -> Result<Object, LedgerError> {
        loop {
            match self.link.pool.get().await {
                Ok(client) => return Ok(client),
                Err(error) => self.pause(failure::pool(&error)).await?,
            }
        }
    }

    /// The work itself, for as long as it may take.
    pub(super) async fn timed<T>(
        &mut self,
        work: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        match tokio::time::timeout(ANSWER, work).await {
            Ok(Ok(done)) => {
                self.link.goes(None);
                Ok(done)
            }
            Ok(Err(trouble)) => Err(trouble),
            Err(_) => {
                self.cut = true;
                let seconds = ANSWER.as_secs();
                Err(Trouble::Said(LedgerError::Unavailable(format!(
                    "its database did not answer within {seconds} seconds; whether it was written is not known"
                ))))
            }
        }
    }

    /// Waits before the next try, or says that there is none.
    pub(super) async fn after(&mut self, client: Object, trouble: Trouble) -> Result<(), LedgerError> {
        if self.cut || client.is_closed() {
            drop(Object::take(client));
            self.cut = false;
        } else if matches!(trouble, Trouble::Elsewhere(_)) {
            drop(client);
            self.link.pool.retain(|_, _| false);
        }
        self.pause(trouble).await
    }

    async fn pause(&mut self, trouble: Trouble) -> Result<(), LedgerError> {
        let why = match trouble {
            Trouble::Said(error) => {
                if let LedgerError::Unavailable(why) | LedgerError::Damaged(why) = &error {
                    self.link.goes(Some(why.clone()));
                }
                return Err(error);
            }
            Trouble::Again(why) | Trouble::Elsewhere(why) => why,
        };
        let Some(pause) = self.pauses.next() else {
            self.link.goes(Some(why.clone()));
            return Err(LedgerError::Unavailable(why));
        };
        tracing::debug!(why, "the ledger's database is tried again");
        tokio::time::sleep(*pause).await;
        Ok(())
    }
}

fn config(place: &PostgresPlace) -> Result<Config, LedgerError> {
    let mut config = Config::from_str(&place.address).map_err(|error| {
        LedgerError::Unavailable(format!(
            "the database's address cannot be read ({}); write it like host=db.example dbname=ticketgate user=ticketgate",
            failure::with_causes(&error)
        ))
    })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(LedgerError::Unavailable("the database's address names no host".to_owned()));
    }
    let away = config.get_hosts().iter().any(|host| !is_here(host))
        || config.get_hostaddrs().iter().any(|address| !address.is_loopback());
    if away && config.get_ssl_mode() == SslMode::Disable {
        return Err(LedgerError::Unavailable(
            "the database is on another machine, and its address says sslmode=disable; leave that out"
                .to_owned(),
        ));
    }
    config.ssl_mode(if away || place.authorities.is_some() { SslMode::Require } else { SslMode::Disable });
    if config.get_application_name().is_none() {
        config.application_name("ticketgate");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(3));
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(CONNECT);
    }
    // Of several servers the one that takes writes; and nobody goes on with one that was made a standby.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    config
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(5))
        .keepalives_interval(Duration::from_secs(2));
    config.keepalives_retries(3);
    Ok(config)
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

fn tls(place: &PostgresPlace) -> Result<ClientConfig, LedgerError> {
    let mut roots = RootCertStore::empty();
    match &place.authorities {
        Some(path) => {
            let unusable = |why: String| {
                LedgerError::Unavailable(format!(
                    "the authorities of the database's server, {}, cannot be read: {why}",
                    path.display()
                ))
            };
            let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
                roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(unusable("it holds no certificate".to_owned()));
            }
        }
        // One that the machine trusts and that cannot be read is none the less not trusted.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| LedgerError::Unavailable(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
