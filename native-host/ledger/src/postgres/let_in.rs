//! How the database's server is told who comes: by a password that may be changed while a broker runs. It is read for each new connection,
//! and one that let the broker in before is tried where a new one does not yet, or cannot be read.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::Connect;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, Client, Config, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use zeroize::Zeroizing;

use crate::LedgerError;

/// To be heard by the server.
const CANCEL: Duration = Duration::from_secs(1);

type Connection = tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// Where the password is read: as it is now, or one sentence why it cannot be.
pub type Password = Arc<dyn Fn() -> Result<Zeroizing<String>, String> + Send + Sync>;

/// Who comes, to where. Clones are one.
#[derive(Clone)]
pub(super) struct LetIn {
    config: Config,
    tls: MakeRustlsConnect,
    password: Option<Password>,
    /// What was read last, or let the broker in last.
    known: Arc<Mutex<Option<Zeroizing<String>>>>,
}

impl LetIn {
    /// # Errors
    /// The password cannot be read.
    pub(super) fn new(
        config: Config,
        tls: MakeRustlsConnect,
        password: Option<Password>,
    ) -> Result<Self, LedgerError> {
        let known = password.as_ref().map(|read| read()).transpose().map_err(LedgerError::Unavailable)?;
        Ok(Self { config, tls, password, known: Arc::new(Mutex::new(known)) })
    }

    /// A new connection.
    pub(super) async fn open(&self) -> Result<(Client, Connection), Error> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(now) = self.now(known.as_ref()).await else { return self.with(known.as_ref()).await };
        match self.with(Some(&now)).await {
            Ok(opened) => {
                *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
                Ok(opened)
            }
            // Written to its file, and not told to the server yet.
            Err(error) if is_refused(&error) => self.with(known.as_ref()).await,
            Err(error) => Err(error),
        }
    }

    /// Has the server leave off what it does for somebody.
    pub(super) async fn cancel(&self, whose: CancelToken) {
        let asked = whose.cancel_query(self.tls.clone());
        if !matches!(tokio::time::timeout(CANCEL, asked).await, Ok(Ok(()))) {
            tracing::debug!("a statement could not be cancelled");
        }
    }

    /// The password as it stands now, where that is another one.
    async fn now(&self, known: Option<&Zeroizing<String>>) -> Option<Zeroizing<String>> {
        let read = Arc::clone(self.password.as_ref()?);
        match tokio::task::spawn_blocking(move || read()).await.ok()? {
            Ok(now) => (known != Some(&now)).then_some(now),
            Err(why) => {
                tracing::warn!(why, "the one before is used");
                None
            }
        }
    }

    async fn with(&self, password: Option<&Zeroizing<String>>) -> Result<(Client, Connection), Error> {
        let mut config = self.config.clone();
        if let Some(password) = password {
            config.password(password.as_bytes());
        }
        config.connect(self.tls.clone()).await
    }
}

fn is_refused(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION].contains(code)
    })
}

impl Connect for LetIn {
    fn connect(&self, _: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        async move {
            let (client, connection) = self.open().await?;
            let carried = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to the ledger's database ended");
                }
            });
            Ok((client, carried))
        }
        .boxed()
    }
}
