//! Entra ID behind [`Directory`], over Microsoft Graph: what it stands on, and which part answers what. A right is a directory role
//! or membership of a group. No tenant was ever called while this was written: it follows Microsoft's description.

mod assertion;
mod check;
mod failure;
mod graph;
mod look;
mod pass;
mod rights;
mod roles;
mod steps;
mod throttle;
mod tokens;
mod wire;
mod written;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ticketgate_access::config;
use ticketgate_access::config::SignIn;
use ticketgate_access::desired::{Observed, Step};
use ticketgate_access::entra::{EntraRight, RoleName};
use ticketgate_access::session::{Account, AccountKey, Right};
use ticketgate_credentials::{MachineSecrets, ReadSecret, Secret};
use ticketgate_protocol::api::{Finding, Mode};
use tokio::time::Instant;

use self::graph::Graph;
use self::roles::Roles;
use self::written::Written;
use crate::{Directory, DirectoryError, Listing, Promises, RightUse};

/// Application permissions, by what they are for (Microsoft Graph permissions reference).
const WRITES_USERS: &str = "User.ReadWrite.All";
const WRITES_ROLES: &str = "RoleAssignmentSchedule.ReadWrite.Directory";
const READS_GROUPS: &str = "GroupMember.Read.All";
const WRITES_GROUPS: &str = "GroupMember.ReadWrite.All";
const WRITES_PIM_GROUPS: &str = "PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup";

/// After this time a tenant without PIM is asked again: licences are bought.
const ASK_AGAIN: Duration = Duration::from_secs(86_400);

/// An Entra ID tenant.
pub struct EntraTenant {
    graph: Arc<Graph>,
    written: Arc<Written>,
    roles: Arc<Roles>,
    learnt: Arc<Learnt>,
    /// Rights of the configuration, by their meaning.
    known: BTreeMap<EntraRight, Right>,
}

/// What a tenant taught.
#[derive(Default)]
struct Learnt {
    /// Whether it has PIM, and when it said so.
    pim: Mutex<Option<(bool, Instant)>>,
    /// Passes that were made and are not handed out yet.
    passes: Mutex<HashMap<AccountKey, Secret>>,
}

impl EntraTenant {
    /// The tenant that the configuration describes, with its secret read from this machine. Nothing is asked of it yet.
    ///
    /// `known_rights` are the rights of all policies of this directory.
    ///
    /// # Errors
    /// [`DirectoryError::BadValue`] when a right cannot be read, [`DirectoryError::Certificate`] when nobody vouches for servers.
    pub fn new(config: &config::Entra, known_rights: &BTreeSet<Right>) -> Result<Self, DirectoryError> {
        Self::with_secrets(config, known_rights, Arc::new(MachineSecrets))
    }

    /// The same, with the secret read by the caller's own means.
    ///
    /// # Errors
    /// As [`EntraTenant::new`].
    pub fn with_secrets(
        config: &config::Entra,
        known_rights: &BTreeSet<Right>,
        secrets: Arc<dyn ReadSecret>,
    ) -> Result<Self, DirectoryError> {
        Ok(Self {
            graph: Arc::new(Graph::new(config, secrets)?),
            written: Arc::default(),
            roles: Arc::default(),
            learnt: Arc::default(),
            known: known(known_rights)?,
        })
    }

    /// The same tenant for a configuration that was read anew: token, gate and what was written lately are still known. `None`
    /// when the configuration describes another one.
    ///
    /// # Errors
    /// [`DirectoryError::BadValue`] when a right cannot be read.
    pub fn reread(
        &self,
        config: &config::Entra,
        known_rights: &BTreeSet<Right>,
    ) -> Result<Option<Self>, DirectoryError> {
        if self.graph.settings() != config {
            return Ok(None);
        }
        Ok(Some(Self {
            graph: Arc::clone(&self.graph),
            written: Arc::clone(&self.written),
            roles: Arc::clone(&self.roles),
            learnt: Arc::clone(&self.learnt),
            known: known(known_rights)?,
        }))
    }

    /// Whether the tenant has PIM, as far as it is known.
    fn has_pim(&self) -> Option<bool> {
        let known = *self.learnt.pim.lock().unwrap_or_else(PoisonError::into_inner);
        known.filter(|(there, at)| *there || at.elapsed() < ASK_AGAIN).map(|(there, _)| there)
    }

    fn learn_pim(&self, there: bool) {
        *self.learnt.pim.lock().unwrap_or_else(PoisonError::into_inner) = Some((there, Instant::now()));
    }

    fn keep_pass(&self, account: &AccountKey, pass: Secret) {
        self.learnt.passes.lock().unwrap_or_else(PoisonError::into_inner).insert(account.clone(), pass);
    }
}

fn known(rights: &BTreeSet<Right>) -> Result<BTreeMap<EntraRight, Right>, DirectoryError> {
    let parsed = |right: &Right| match right.0.parse() {
        Ok(parsed) => Ok((parsed, right.clone())),
        Err(bad) => Err(DirectoryError::BadValue(format!("{}: {bad}", right.0))),
    };
    rights.iter().map(parsed).collect()
}

#[async_trait]
impl Directory for EntraTenant {
    async fn observe(&self, account: &Account) -> Result<Observed, DirectoryError> {
        self.look(account).await
    }

    async fn apply(
        &self,
        account: &Account,
        seen: &Observed,
        step: &Step,
        password: Option<&Secret>,
    ) -> Result<(), DirectoryError> {
        self.carry_out(account, seen, step, password).await
    }

    fn side_by_side(&self) -> bool {
        true
    }

    fn take_credential(&self, account: &Account) -> Option<Secret> {
        self.learnt.passes.lock().unwrap_or_else(PoisonError::into_inner).remove(&account.key)
    }

    async fn list(&self) -> Result<Listing, DirectoryError> {
        self.listing().await
    }

    async fn check(&self, rights: &[RightUse]) -> Vec<Finding> {
        check::check(self, rights).await
    }

    /// What may be done is asked of Graph's own words, which change nothing.
    async fn rehearse(&self) -> Vec<Finding> {
        Vec::new()
    }

    fn promises(&self, mode: Mode) -> Promises {
        // Until the tenant showed that it has PIM: no.
        let pim = self.has_pim() == Some(true);
        let pass = matches!(self.graph.settings().sign_in, SignIn::Pass { .. });
        let guarantee = match (mode, pim, pass) {
            (Mode::Membership, true, _) => {
                "At the end Entra ID itself takes the roles and groups from your account, even when no broker runs."
            }
            (_, true, true) => {
                "At the end Entra ID itself takes the roles and groups from this account and refuses its pass, even when no \
                 broker runs; the broker closes the account."
            }
            (_, true, false) => {
                "At the end Entra ID itself takes the roles and groups from this account, even when no broker runs; the broker \
                 closes the account."
            }
            (Mode::Membership, false, _) => {
                "Entra ID does not end this by itself: the broker, or the sweep of an operating system timer, takes your \
                 account out at the end."
            }
            (_, false, true) => {
                "At the end Entra ID itself refuses the pass. Roles and groups, and what is signed in, end by the broker alone."
            }
            (_, false, false) => {
                "Entra ID does not end this by itself: the broker, or the sweep of an operating system timer, closes the \
                 account at the end."
            }
        };
        let limits = "Roles can take some minutes to work everywhere. What is already open goes on until its token runs out, \
                      usually within an hour. Entra ID takes no right away in its first five minutes.";
        Promises { guarantee: guarantee.into(), limits: limits.into() }
    }

    fn right_name(&self, right: &Right) -> String {
        match right.0.parse() {
            Ok(EntraRight::Role(RoleName::Id(id))) => {
                let table = self.roles.known();
                let name = table.as_ref().and_then(|table| table.name(id.as_str())).map(str::to_owned);
                name.unwrap_or_else(|| format!("role {id}"))
            }
            Ok(EntraRight::Role(RoleName::Name(_))) => right.0.trim_start_matches("role:").trim().to_owned(),
            Ok(EntraRight::Group(id)) => format!("group {id}"),
            Err(_) => right.0.clone(),
        }
    }

    fn right_key(&self, right: &Right) -> String {
        match right.0.parse() {
            Ok(EntraRight::Role(name)) => {
                let id = self.roles.known().and_then(|table| table.id(&name));
                id.map_or_else(|| EntraRight::Role(name).to_string(), |id| format!("role:{id}"))
            }
            Ok(right) => right.to_string(),
            Err(_) => right.0.clone(),
        }
    }
}
