//! Active Directory behind [`Directory`]: what it stands on, and which part answers what. A right is a group's DN.

mod check;
mod clock;
mod collect;
mod delegation;
mod dn;
mod domain;
mod entry;
mod failure;
mod filter;
#[cfg(all(feature = "fuzzing", unix))]
pub mod fuzzing;
mod guid;
mod last_write;
mod link;
mod look;
mod password;
mod server;
mod sid;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_access::config;
use ticketgate_access::desired::{Observed, Step};
use ticketgate_access::session::{Account, Right};
use ticketgate_protocol::api::{Finding, Mode};

use self::dn::Dn;
use self::domain::Domain;
use self::link::Link;
use self::server::Servers;
use ticketgate_credentials::{MachineSecrets, ReadSecret, Secret};

use crate::{Directory, DirectoryError, Listing, Promises, RightUse};

/// An Active Directory domain.
pub struct ActiveDirectory {
    servers: Arc<Servers>,
    /// Rights of the configuration, by the text that all spellings of one DN share.
    known: BTreeMap<String, Right>,
    domain: tokio::sync::OnceCell<Arc<Domain>>,
}

impl ActiveDirectory {
    /// The domain that the configuration describes, with its secret read from this machine. Nothing is asked of a server yet.
    ///
    /// `known_rights` are the rights of all policies of this directory.
    ///
    /// # Errors
    /// [`DirectoryError::BadValue`] when a server's address, the unit or a right cannot be read.
    pub fn new(
        config: &config::ActiveDirectory,
        known_rights: BTreeSet<Right>,
    ) -> Result<Self, DirectoryError> {
        Self::with_secrets(config, known_rights, Arc::new(MachineSecrets))
    }

    /// The same; the file `last_write` tells this process which server took the last write of an earlier one, and the next
    /// process of this one's. It is made when there is something to tell.
    ///
    /// # Errors
    /// As [`ActiveDirectory::new`].
    pub fn remembering(
        config: &config::ActiveDirectory,
        known_rights: BTreeSet<Right>,
        last_write: &Path,
    ) -> Result<Self, DirectoryError> {
        let servers = Servers::new(config.clone(), Arc::new(MachineSecrets))?.remembering(last_write);
        Self::on(Arc::new(servers), known_rights)
    }

    /// The same, with the secret read by the caller's own means.
    ///
    /// # Errors
    /// [`DirectoryError::BadValue`] when a server's address, the unit or a right cannot be read.
    pub fn with_secrets(
        config: &config::ActiveDirectory,
        known_rights: BTreeSet<Right>,
        secrets: Arc<dyn ReadSecret>,
    ) -> Result<Self, DirectoryError> {
        Self::on(Arc::new(Servers::new(config.clone(), secrets)?), known_rights)
    }

    /// The same domain for a configuration that was read anew: which server took the last write is still known. `None` when
    /// the configuration describes another one.
    ///
    /// # Errors
    /// [`DirectoryError::BadValue`] when a right cannot be read.
    pub fn reread(
        &self,
        config: &config::ActiveDirectory,
        known_rights: BTreeSet<Right>,
    ) -> Result<Option<Self>, DirectoryError> {
        let same = self.servers.config() == config;
        same.then(|| Self::on(Arc::clone(&self.servers), known_rights)).transpose()
    }

    fn on(servers: Arc<Servers>, known_rights: BTreeSet<Right>) -> Result<Self, DirectoryError> {
        let known = known_rights
            .into_iter()
            .map(|right| Ok((parsed(&right.0)?.key(), right)))
            .collect::<Result<_, DirectoryError>>()?;
        Ok(Self { servers, known, domain: tokio::sync::OnceCell::new() })
    }

    /// The unit of JIT accounts.
    fn unit(&self) -> &Dn {
        self.servers.unit()
    }

    /// The directory's own clock.
    ///
    /// # Errors
    /// [`DirectoryError`]
    pub async fn time(&self) -> Result<DateTime<Utc>, DirectoryError> {
        let link = self.servers.link().await?;
        match domain::time(&link).await {
            Err(error) if error.is_passing() && link.health() != link::Health::Good => {
                domain::time(&self.servers.link().await?).await
            }
            time => time,
        }
    }

    /// How far the directory's clock is ahead of `now` (negative: behind), to a second. The broker decides what that means:
    /// [`SKEW_SHOWN`] and [`SKEW_REFUSED`] are the limits of `check`.
    ///
    /// # Errors
    /// [`DirectoryError`]
    pub async fn skew(&self, now: DateTime<Utc>) -> Result<TimeDelta, DirectoryError> {
        Ok(self.time().await? - now)
    }

    /// A working connection, and what is known of the domain.
    async fn link(&self) -> Result<(Link, Arc<Domain>), DirectoryError> {
        let link = self.servers.link().await?;
        match self.domain_by(&link).await {
            // The warm connection was dead without a sign: once more on a new one.
            Err(_) if link.health() != link::Health::Good => {
                let link = self.servers.link().await?;
                let domain = self.domain_by(&link).await?;
                Ok((link, domain))
            }
            found => Ok((link, found?)),
        }
    }

    async fn domain_by(&self, link: &Link) -> Result<Arc<Domain>, DirectoryError> {
        let domain = self.domain.get_or_try_init(|| async { domain::read(link).await.map(Arc::new) }).await?;
        Ok(domain.clone())
    }

    /// A group's DN as a right: in the configured spelling where the configuration knows it.
    fn right(&self, dn: &str) -> Right {
        let known = Dn::parse(dn).ok().and_then(|dn| self.known.get(&dn.key()));
        known.cloned().unwrap_or_else(|| Right(dn.to_owned()))
    }
}

/// A skew of the clocks that is shown.
pub const SKEW_SHOWN: TimeDelta = TimeDelta::seconds(60);
/// A skew of the clocks at which nothing is granted: Kerberos refuses tickets from here on, too.
pub const SKEW_REFUSED: TimeDelta = TimeDelta::seconds(300);

#[async_trait]
impl Directory for ActiveDirectory {
    async fn observe(&self, account: &Account) -> Result<Observed, DirectoryError> {
        let (link, domain) = self.link().await?;
        match self.observe_by(&link, &domain, account).await {
            // Reading changes nothing: a connection that was cut meanwhile is worth a second try on a new one.
            Err(error) if error.is_passing() && link.health() != link::Health::Good => {
                tracing::debug!(%error, "asking the directory once more on a new connection");
                let (link, domain) = self.link().await?;
                self.observe_by(&link, &domain, account).await
            }
            observed => observed,
        }
    }

    async fn apply(
        &self,
        account: &Account,
        seen: &Observed,
        step: &Step,
        password: Option<&Secret>,
    ) -> Result<(), DirectoryError> {
        let (link, domain) = self.link().await?;
        match self.carry_out(&link, &domain, account, seen, step, password).await {
            // The connection was dead before the write went out: nothing was changed, so once more on a new one.
            Err(error @ DirectoryError::Unreachable(_)) if link.health() != link::Health::Good => {
                tracing::debug!(%error, "asking the directory once more on a new connection");
                let (link, domain) = self.link().await?;
                self.carry_out(&link, &domain, account, seen, step, password).await
            }
            done => done,
        }
    }

    async fn list(&self) -> Result<Listing, DirectoryError> {
        let mut unit = self.in_unit().await?;
        unit.accounts.retain(|listed| !check::is_rehearsal(listed));
        Ok(unit)
    }

    async fn check(&self, rights: &[RightUse]) -> Vec<Finding> {
        check::check(self, rights).await
    }

    async fn rehearse(&self) -> Vec<Finding> {
        check::rehearse(self).await
    }

    fn promises(&self, mode: Mode) -> Promises {
        // Until a server said that the forest takes memberships away by itself: no.
        let time_limited = self.domain.get().is_some_and(|domain| domain.time_limited);
        let guarantee = match mode {
            Mode::Burner => {
                "At the end Active Directory itself refuses every new logon of this account, even when no broker runs."
            }
            Mode::Dedicated if time_limited => {
                "At the end Active Directory itself takes this account out of the groups, and at the end of your last session \
                 refuses its every new logon, even when no broker runs."
            }
            // Sessions share the account: it is open until the last of them ends.
            Mode::Dedicated => {
                "At the end Active Directory itself refuses every new logon of this account, even when no broker runs. While \
                 another session of yours keeps it open, the broker alone takes this session's groups away."
            }
            Mode::Membership if time_limited => {
                "At the end Active Directory itself takes your account out of the groups, even when no broker runs."
            }
            Mode::Membership => {
                "Active Directory does not end this by itself: the broker, or the sweep of an operating system timer, takes \
                 your account out of the groups at the end."
            }
        };
        let limits = match mode {
            Mode::Dedicated | Mode::Burner => {
                "What is already open goes on: a logged-on desktop or connection until it is logged off, and a Kerberos \
                 service ticket until it runs out."
            }
            Mode::Membership => {
                "What is already open keeps the rights: a logged-on desktop or connection until it is logged off, and a \
                 Kerberos ticket until it runs out."
            }
        };
        Promises { guarantee: guarantee.into(), limits: limits.into() }
    }

    fn right_name(&self, right: &Right) -> String {
        Dn::parse(&right.0)
            .ok()
            .and_then(|dn| dn.name().map(str::to_owned))
            .unwrap_or_else(|| right.0.clone())
    }

    fn right_key(&self, right: &Right) -> String {
        Dn::parse(&right.0).map_or_else(|_| right.0.clone(), |dn| dn.key())
    }
}

fn parsed(dn: &str) -> Result<Dn, DirectoryError> {
    Dn::parse(dn)
        .map_err(|error| DirectoryError::BadValue(format!("{dn} is not a distinguished name: {error}")))
}
