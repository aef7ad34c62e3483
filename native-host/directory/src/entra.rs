//! Entra ID behind [`Directory`], over Microsoft Graph: what it stands on, and which part answers what. A right is a directory role
//! or membership of a group. No tenant was ever called while this was written: it follows Microsoft's description.

mod activations;
mod approvals;
mod assertion;
mod authority;
mod by_oneself;
mod challenge;
mod check;
mod failure;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod graph;
mod look;
mod partner;
mod pass;
mod people;
mod replicated;
mod rights;
mod roles;
mod signing_in;
mod steps;
mod throttle;
mod tokens;
mod trusting;
mod wire;
mod written;

use std::collections::{BTreeSet, HashMap};
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

pub use self::partner::PartnerTenant;
pub use self::people::{Grant, SignIns};
pub use self::signing_in::{Asked, By, NoSignIn, Stands};
pub use self::throttle::in_background;

use self::activations::Activations;
use self::graph::Graph;
use self::roles::Roles;
use self::written::Written;
use crate::{Directory, DirectoryError, Listing, Promises, RightUse};

/// Application permissions, by what they are for (Microsoft Graph permissions reference).
const WRITES_USERS: &str = "User.ReadWrite.All";
const WRITES_ROLES: &str = "RoleAssignmentSchedule.ReadWrite.Directory";
const WRITES_ROLES_FOR_GOOD: &str = "RoleManagement.ReadWrite.Directory";
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
    activations: Arc<Activations>,
    learnt: Arc<Learnt>,
    /// Whether policies or sessions name a group, so that ends of memberships are asked for.
    knows_groups: bool,
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
    /// `known_rights` are the rights of all policies of this directory and of its open sessions.
    ///
    /// # Errors
    /// [`DirectoryError::Certificate`] when nobody vouches for servers.
    pub fn new(config: &config::Entra, known_rights: &BTreeSet<Right>) -> Result<Self, DirectoryError> {
        Self::with_people(config, known_rights, Arc::default())
    }

    /// The same, with the sign-ins of people that other tenants share.
    ///
    /// # Errors
    /// As [`EntraTenant::new`].
    pub fn with_people(
        config: &config::Entra,
        known_rights: &BTreeSet<Right>,
        people: Arc<SignIns>,
    ) -> Result<Self, DirectoryError> {
        let secrets: Arc<dyn ReadSecret> = Arc::new(MachineSecrets);
        Ok(Self {
            graph: Arc::new(Graph::new(config, secrets, people)?),
            written: Arc::default(),
            roles: Arc::default(),
            activations: Arc::default(),
            learnt: Arc::default(),
            knows_groups: has_group(known_rights),
        })
    }

    /// The same tenant for a configuration that was read anew: token, gate and what was written lately are still known, and the
    /// authorities of `ca_file` are read anew. `None` when the configuration describes another one.
    ///
    /// # Errors
    /// As [`EntraTenant::new`].
    pub fn reread(
        &self,
        config: &config::Entra,
        known_rights: &BTreeSet<Right>,
    ) -> Result<Option<Self>, DirectoryError> {
        if self.graph.settings() != config {
            return Ok(None);
        }
        self.graph.trust_anew()?;
        Ok(Some(Self {
            graph: Arc::clone(&self.graph),
            written: Arc::clone(&self.written),
            roles: Arc::clone(&self.roles),
            activations: Arc::clone(&self.activations),
            learnt: Arc::clone(&self.learnt),
            knows_groups: has_group(known_rights),
        }))
    }

    /// Begins a person's sign-in.
    ///
    /// # Errors
    /// [`DirectoryError`]; [`DirectoryError::Misconfigured`] where the application itself signs in.
    pub async fn begin_sign_in(&self, by: By) -> Result<Asked, DirectoryError> {
        self.graph.people().begin(&self.graph.http(), self.graph.settings(), by).await
    }

    /// Goes on with one: `came` is what a browser came back with, its state and its code. What somebody signed in with is not kept, and
    /// not used, before [`Grant::keep`].
    ///
    /// # Errors
    /// [`NoSignIn`]
    pub async fn finish_sign_in(&self, id: &str, came: Option<(&str, &Secret)>) -> Result<Stands, NoSignIn> {
        self.graph.people().finish(&self.graph.http(), self.graph.settings(), id, came).await
    }

    /// Whether what stands in the key store is what somebody once signed in with, by its [`Grant::mark`]; `None`: nothing does. To be asked
    /// before anything else is asked of this tenant, since a renewal may replace it.
    ///
    /// # Errors
    /// [`DirectoryError`]: the key store does not say.
    pub async fn keeps_sign_in(&self, mark: &str) -> Result<Option<bool>, DirectoryError> {
        self.graph.people().keeps(self.graph.settings(), mark).await
    }

    /// Forgets the sign-in, here and in the key store. Entra ID itself offers no way to end a single one.
    ///
    /// # Errors
    /// [`DirectoryError`]: it may still be in the store.
    pub async fn sign_out(&self) -> Result<(), DirectoryError> {
        self.graph.people().sign_out(self.graph.settings()).await
    }

    /// The tenants of a partner's customers (GDAP), by the tenant in which people sign in, or the directory's own.
    ///
    /// # Errors
    /// [`DirectoryError`]
    pub async fn partner_tenants(&self) -> Result<Vec<PartnerTenant>, DirectoryError> {
        partner::tenants(&self.graph).await
    }

    /// Under which name the key store has the sign-in by which this tenant is asked, where it is a person's.
    #[must_use]
    pub fn sign_in_name(&self) -> Option<String> {
        self.graph.settings().sign_in_name()
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

fn has_group(rights: &BTreeSet<Right>) -> bool {
    rights.iter().any(|right| matches!(right.0.parse(), Ok(EntraRight::Group(_))))
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

    fn entra(&self) -> Option<&EntraTenant> {
        Some(self)
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
        let mut limits = "Roles can take some minutes to work everywhere. What is already open goes on until its token runs out, \
                      usually within an hour. Entra ID takes no right away in its first five minutes."
            .to_owned();
        if self.graph.is_by_person() {
            limits.push_str(
                " The broker does its part by the sign-in of a person: while that is over, only Entra ID's own ends come in time.",
            );
        }
        Promises { guarantee: guarantee.into(), limits }
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
