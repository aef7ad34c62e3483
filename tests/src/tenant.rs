//! A stand-in for Entra ID: tenants with users, directory roles, groups, Privileged Identity Management and Temporary Access Passes,
//! behind Microsoft's own description of Graph.
//!
//! It is no emulator and proves nothing about Microsoft. It plays what this project asks for, refuses everything else, and is asked
//! through [`Prism`] alone, which holds client and stand-in to the description: Graph's paths begin with a secret that stands only
//! in the proxy's own upstream address, so no test can go round it.
//!
//! ```no_run
//! # fn main() -> ticketgate_tests::Result<()> {
//! use ticketgate_tests::tenant::Entra;
//!
//! let entra = Entra::start()?;
//! let acme = entra.tenant("acme")?;               // as many as are wanted, each known by its token
//! let graph = entra.through_prism()?;             // graph.url() is Graph's address, entra.login_url() the login's
//! acme.throttle(1, Some("2.128"));
//! // … the client at work …
//! assert!(entra.strange().is_empty() && graph.violations()?.is_empty());
//! # Ok(()) }
//! ```
//!
//! What is not Microsoft's word, for want of a source:
//! - PIM: the status of a request that is only validated (`Granted`), a 404 for a principal or role that is not there, that `adminUpdate`
//!   moves the end of an assignment and that a disabled account can be assigned a role.
//! - Passes: the words of their refusals, and that a disabled account can get one ([`Tenant::passes_while_disabled`]).
//! - Sign-in: the numbers for an assertion that is used twice (50027), for an unknown code (9002313) and for a device that was declined
//!   (65004).
//! - A partner's people: that what their sign-in is renewed by is good in a customer's tenant, too (Microsoft's "Refresh tokens in the
//!   Microsoft identity platform" says that it is tied to no tenant), and what a guest or a partner's person may do there: here all that
//!   is consented, unless [`Tenant::people_are_nobody`] has them hold no directory role: then what Microsoft's pages ask one for ("in delegated
//!   scenarios …") is refused.
//! - Lag: what was written is shown all at once after its time. Microsoft's copies can differ from one request to the next.
//!
//! What comes from others' reports: PIM's 403 (microsoftgraph/microsoft-graph-docs-contrib issue 17), and `ActiveDurationTooShort` also for
//! a wanted time under five minutes (DanielChronlund/DCToolbox issue 50), and that PIM lets go of what was given back some seconds later
//! ([`Tenant::lets_go_after`]).

mod answer;
mod assertion;
mod caller;
mod groups;
mod journal;
mod keys;
mod listener;
mod organisation;
mod partner;
mod passes;
mod people;
mod permissions;
mod persons;
mod pim;
mod policies;
mod question;
mod roles;
mod schedules;
mod server;
mod sign_in;
mod state;
mod told;
mod users;
mod wanted;

pub use journal::{Asked, too_early};
pub use keys::Pair;
pub use people::{SeenPass, SeenRight, SeenUser};
pub use state::PassPolicy;

use crate::Result;
use crate::prism::Prism;
use anyhow::ensure;
use chrono::Duration;
use listener::Listener;
use organisation::Organisation;
use ring::rand::{SecureRandom, SystemRandom};
use server::World;
use state::{Role, State};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The built-in roles that every tenant has here, with Microsoft's ids.
const ROLES: [(&str, &str); 13] = [
    ("62e90394-69f5-4237-9190-012177145e10", "Global Administrator"),
    ("29232cdf-9323-42fd-ade2-1d097af3e4de", "Exchange Administrator"),
    ("fe930be7-5e62-47db-91af-98c3a49a38b1", "User Administrator"),
    ("729827e3-9c14-49f7-bb1b-9608f156bbb8", "Helpdesk Administrator"),
    ("fdd7a751-b60b-444a-984c-02652fe8fa1c", "Groups Administrator"),
    ("7be44c8a-adaf-4e2a-84d6-ab2649e08a13", "Privileged Authentication Administrator"),
    ("e8611ab8-c189-46e8-94e1-60213ab1f814", "Privileged Role Administrator"),
    ("c4e39bd9-1100-46d3-8c65-fb160da0071f", "Authentication Administrator"),
    ("f28a1f50-f6e7-4571-818b-6a12f2af6b6c", "SharePoint Administrator"),
    ("69091246-20e8-4a56-aa4d-066075b2a7a8", "Teams Administrator"),
    ("3a2c62db-5318-420d-8d74-23affee5d9d5", "Intune Administrator"),
    ("5d6b6bb7-de71-4623-b4af-96380a352509", "Security Reader"),
    ("f2ef992c-3afb-46b9-b7cf-a126ee74c451", "Global Reader"),
];

/// What an administrator consents to for everything that the product does.
pub const CONSENTS: [&str; 17] = [
    "DelegatedAdminRelationship.Read.All",
    "Directory.Read.All",
    "Group.Read.All",
    "GroupMember.ReadWrite.All",
    "Organization.Read.All",
    "Policy.Read.AuthenticationMethod",
    "PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup",
    "PrivilegedEligibilitySchedule.Read.AzureADGroup",
    "RoleAssignmentSchedule.ReadWrite.Directory",
    "RoleManagement.ReadWrite.Directory",
    "RoleManagementPolicy.Read.AzureADGroup",
    "User-PasswordProfile.ReadWrite.All",
    "User.DeleteRestore.All",
    "User.EnableDisableAccount.All",
    "User.ReadWrite.All",
    "User.RevokeSessions.All",
    "UserAuthMethod-TAP.ReadWrite.All",
];

/// What an administrator consents to on behalf of the technicians who sign in themselves.
pub const DELEGATED: [&str; 10] = [
    "DelegatedAdminRelationship.Read.All",
    "PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup",
    "PrivilegedEligibilitySchedule.Read.AzureADGroup",
    "RoleAssignmentSchedule.Read.Directory",
    "RoleAssignmentSchedule.ReadWrite.Directory",
    "RoleEligibilitySchedule.Read.Directory",
    "RoleManagement.Read.Directory",
    "RoleManagementPolicy.Read.Directory",
    "User.Read",
    "User.Read.All",
];

/// What an administrator consents to besides, where people do by their own sign-in what else the app does.
pub const ADMINISTRATION: [&str; 9] = [
    "Directory.Read.All",
    "GroupMember.Read.All",
    "GroupMember.ReadWrite.All",
    "Organization.Read.All",
    "Policy.Read.AuthenticationMethod",
    "User-PasswordProfile.ReadWrite.All",
    "User.ReadWrite.All",
    "User.RevokeSessions.All",
    "UserAuthMethod-TAP.ReadWrite.All",
];

/// The stand-in's server with all its tenants. Dropping it ends it.
#[derive(Debug)]
pub struct Entra {
    world: Arc<Mutex<World>>,
    /// Where Graph is in truth: the proxy's alone.
    upstream: String,
    /// Thumbprint and public key of what each app has registered at first.
    registered: (String, Vec<u8>),
    _listener: Listener,
}

/// One of its tenants: what a test knows of it, tells it and looks up in it.
#[derive(Debug, Clone)]
pub struct Tenant {
    world: Arc<Mutex<World>>,
    place: usize,
    id: String,
    name: String,
    client: String,
    secret: String,
}

impl Entra {
    /// Starts one without tenants, on a free port of loopback.
    ///
    /// # Errors
    /// No port is free, or there is no certificate: openssl is not installed.
    pub fn start() -> Result<Self> {
        let pair = Pair::registered()?;
        let registered = (pair.thumbprint()?, pair.public_key()?);
        let prefix = format!("/up-{}", random_id());
        let world = World {
            tenants: Vec::new(),
            journal: Vec::new(),
            tokens: HashMap::new(),
            seen_assertions: HashSet::new(),
            codes: HashMap::new(),
            refresh: HashMap::new(),
            devices: HashMap::new(),
            front: String::new(),
            login: String::new(),
            prefix: prefix.clone(),
            sign_in_ahead: Duration::zero(),
        };
        let world = Arc::new(Mutex::new(world));
        let listener = Listener::start(Arc::clone(&world))?;
        let login = format!("http://{}", listener.address());
        locked(&world).login.clone_from(&login);
        Ok(Self { world, upstream: format!("{login}{prefix}"), registered, _listener: listener })
    }

    /// A new tenant `NAME.onmicrosoft.com` with PIM, the built-in roles, no users, and an app that has every permission and a directory
    /// role, the certificate of [`Pair::registered`] and a secret.
    ///
    /// # Errors
    /// There is one of this name already.
    pub fn tenant(&self, name: &str) -> Result<Tenant> {
        let roles =
            ROLES.map(|(id, name)| Role { id: id.to_owned(), name: name.to_owned(), object: random_id() });
        let state = State { roles: roles.to_vec(), ..State::default() };
        let mut tenant = Organisation::new(random_id(), name, random_id(), state);
        tenant.registered.certificates.push(self.registered.clone());
        tenant.registered.secret = format!("{}~{}", &random_id()[..4], random_id());
        tenant.consents = CONSENTS.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        tenant.delegated = DELEGATED.iter().map(|name| (*name).to_owned()).collect();
        let (id, client) = (tenant.id.clone(), tenant.client.clone());
        let secret = tenant.registered.secret.clone();
        let mut world = locked(&self.world);
        // The journal goes by the name.
        ensure!(world.tenants.iter().all(|known| known.name != name), "there is a tenant {name} already");
        world.tenants.push(tenant);
        let place = world.tenants.len() - 1;
        drop(world);
        Ok(Tenant { world: Arc::clone(&self.world), place, id, name: name.to_owned(), client, secret })
    }

    /// The only way to Graph: a proxy with Microsoft's description. Its `url()` is what a client takes for Graph, without `/v1.0`.
    ///
    /// # Errors
    /// It is not installed.
    pub fn through_prism(&self) -> Result<Prism> {
        let prism = Prism::start_written("graph.yaml", &permissions::for_proxy(), &self.upstream)?;
        locked(&self.world).front = prism.url();
        Ok(prism)
    }

    /// The login's address, without a slash at the end: tokens are at `LOGIN/TENANT/oauth2/v2.0/token`.
    pub fn login_url(&self) -> String {
        locked(&self.world).login.clone()
    }

    /// Everything that was asked so far, in order, of all tenants.
    pub fn journal(&self) -> Vec<Asked> {
        locked(&self.world).journal.clone()
    }

    /// What was asked that no client of ours should ask: an unknown request, option, filter or property. Empty at the end of a good test.
    pub fn strange(&self) -> Vec<String> {
        self.journal().into_iter().filter_map(|asked| asked.strange).collect()
    }

    /// Everything by which somebody can be whoever signed in: codes, refresh tokens, access tokens.
    pub fn secrets(&self) -> Vec<String> {
        let world = locked(&self.world);
        world.codes.keys().chain(world.refresh.keys()).chain(world.tokens.keys()).cloned().collect()
    }

    /// Moves the clock of the sign-in, by which assertions and tokens end. The tenants' own clocks stay.
    pub fn move_sign_in_clock(&self, by: std::time::Duration) {
        locked(&self.world).sign_in_ahead += Duration::from_std(by).unwrap_or_default();
    }
}

fn locked(world: &Mutex<World>) -> MutexGuard<'_, World> {
    // A test that failed while it looked leaves nothing half done.
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An id as Microsoft's are.
pub(crate) fn random_id() -> String {
    let mut bytes = [0; 16];
    // A system without randomness gives ids that are all alike, and tests that say so.
    let _ = SystemRandom::new().fill(&mut bytes);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}
