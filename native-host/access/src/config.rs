//! The checked configuration: what exists once every fault has been ruled out. Reading a file is [`mod@read`]'s work.

mod entra;
mod local;
mod mail;
mod names;
mod psa;
mod read;
mod service;
mod sign_in;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use ticketgate_protocol::api::Mode;
use ticketgate_protocol::ids::{CustomerId, DirectoryId, PolicyId, PsaId, TechnicianId};

pub use self::entra::{Cloud, Entra, PASS_SHORTEST_S, Proof, ROLE_SHORTEST_S, SignIn};
pub use self::local::{Local, Login, Machine, Processes, Ssh, key_rights};
pub use self::mail::is_anybodys;
pub use self::names::BURNER_LETTERS;
pub use self::psa::{Psa, PsaKind, TicketNotes, TicketRule, Verified};
pub(crate) use self::read::host_of;
pub use self::read::{Fault, Faults, ledger, read, service};
pub use self::service::{Https, Service, Traces};
pub use self::sign_in::{Role, RoleRule, SignInProvider};
use crate::local::PublicKey;
use crate::session::Right;

/// Everything that an administrator configured, checked as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The broker itself.
    pub broker: Broker,
    /// How people sign in from elsewhere; none: nobody does.
    pub sign_in: Option<SignInProvider>,
    /// Who may do what.
    pub roles: Vec<RoleRule>,
    /// Ticket systems by id.
    pub psas: BTreeMap<PsaId, Psa>,
    /// Technicians by id.
    pub technicians: BTreeMap<TechnicianId, Technician>,
    /// Customers by id.
    pub customers: BTreeMap<CustomerId, Customer>,
    /// Directories by id. Each belongs to a customer that exists.
    pub directories: BTreeMap<DirectoryId, Directory>,
    /// Policies by id. Each names directories that exist.
    pub policies: BTreeMap<PolicyId, Policy>,
    /// What is opened beside the local socket. A broker takes it from the file when it starts.
    pub service: Service,
    /// Where the ledger is, if not in a file of the state folder. A broker takes it from the file when it starts.
    pub ledger: Option<LedgerPlace>,
    /// Hosts of ticket systems (kept for a later release, so that one file serves both).
    pub hosts: Vec<String>,
    /// What is probably not meant so, though nothing is wrong with it.
    pub warnings: Vec<Fault>,
}

/// Settings of the broker (`[broker]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Technicians who may end everybody's sessions and read everybody's audit log.
    pub administrators: BTreeSet<TechnicianId>,
    /// Requests a minute, an hour and a day per technician.
    pub rate: RateLimits,
    /// Sessions that one technician may have open at once.
    pub sessions_at_once: u32,
    /// How the reason is made from a ticket (`#{number} {summary} ({customer}, {contact})`).
    pub reason_template: String,
    /// Seconds after which a copied password is taken out of the clipboard.
    pub clipboard_clear_s: u32,
    /// The folder of the administrator's recognition rules. Absolute.
    pub rules: Option<PathBuf>,
}

/// Requests per technician, counted in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// In any 60 seconds.
    pub per_minute: u32,
    /// In any hour.
    pub per_hour: u32,
    /// In any 24 hours.
    pub per_day: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { per_minute: 10, per_hour: 50, per_day: 100 }
    }
}

/// A technician (`[[technician]]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Technician {
    /// Its id.
    pub id: TechnicianId,
    /// The name as people say it.
    pub name: String,
    /// The operating system's user name by which the broker's socket knows this person.
    pub login: String,
    /// What the provider's claim has for this person ([`SignInProvider::claim`]); none: signs in from nowhere else.
    pub sign_in: Option<String>,
    /// Groups that policies can name (`tier2`).
    pub groups: BTreeSet<String>,
    /// The person's own account per directory, for membership mode; the login where none is named.
    pub accounts: BTreeMap<DirectoryId, String>,
    /// The person's SSH public keys, for machines that take them.
    pub ssh_keys: Vec<PublicKey>,
    /// What the person is called in each ticket system: login, e-mail address or name, as its owner field has it.
    pub psa: BTreeMap<PsaId, String>,
}

/// A customer (`[[customer]]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// Its id.
    pub id: CustomerId,
    /// The name as people say it.
    pub name: String,
    /// Other ways in which the PSA may write it.
    pub aliases: Vec<String>,
    /// The domains of its people's e-mail addresses, in lower case. Each is one customer's.
    pub domains: Vec<String>,
    /// The ids of its companies in each ticket system. Each is one customer's.
    pub psa: BTreeMap<PsaId, Vec<String>>,
}

/// A directory (`[[directory]]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Its id.
    pub id: DirectoryId,
    /// Whose it is.
    pub customer: CustomerId,
    /// What it is and how it is reached.
    pub kind: DirectoryKind,
}

/// What a directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryKind {
    /// An Active Directory domain over LDAP.
    ActiveDirectory(ActiveDirectory),
    /// A machine with accounts of its own.
    Local(Local),
    /// An Entra ID tenant over Microsoft Graph.
    Entra(Box<Entra>),
}

/// How an Active Directory domain is reached and used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveDirectory {
    /// `ldaps://HOST[:PORT]`, or `ldap://HOST[:PORT]` which is upgraded by StartTLS before anything else; in order of preference.
    pub servers: Vec<String>,
    /// The service account's DN or user principal name.
    pub bind_dn: String,
    /// Where its password is kept.
    pub password: SecretRef,
    /// A file of certificates (PEM) that vouch for the servers; the system's own where there is none.
    pub ca_file: Option<String>,
    /// The unit in which JIT accounts live, and nothing else.
    pub account_unit: String,
    /// How a dedicated account is named; `{technician}` stands for the id. At most 20 characters as `sAMAccountName`.
    pub account_name: String,
    /// Seconds until an operation counts as failed.
    pub timeout_s: u32,
}

/// The database that holds the ledger (`[ledger]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerPlace {
    /// Where it is, in the words of `libpq`; no password.
    pub postgres: String,
    /// The password of its user, where it asks for one.
    pub password: Option<SecretRef>,
    /// A file of certificates (PEM) that vouch for its server; the system's own where there is none.
    pub ca_file: Option<String>,
}

/// Where a secret is kept. A secret itself never stands in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// The first line of a file that only its owner can read.
    File(String),
    /// An environment variable of the broker.
    Env(String),
    /// An entry of the operating system's key store.
    Keyring(String),
    /// A credential that the service manager passes (`systemd` `LoadCredential=`).
    Credential(String),
}

/// A policy (`[[policy]]`): a reusable template of rights, durations, people and conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its id.
    pub id: PolicyId,
    /// The name as people say it.
    pub name: String,
    /// What it grants: never empty, in directories of one customer, in each once. All of it is given, or nothing.
    pub grants: Vec<Grant>,
    /// For how long.
    pub duration: DurationRule,
    /// For whom.
    pub eligible: Eligible,
    /// What a ticket has to be.
    pub ticket: TicketRule,
    /// Whether a click on the in-page button activates at once.
    pub one_click: bool,
    /// Conditions that this release cannot enforce (`approval`, `passkey`, `ticket.end_when_closed`): a policy that has one is refused.
    pub unmet: Vec<String>,
}

/// What a policy grants in one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Where its rights are.
    pub directory: DirectoryId,
    /// How accounts are used there.
    pub mode: Mode,
    /// What it grants; never empty.
    pub rights: Vec<Right>,
}

/// Durations in seconds: `60 ≤ default ≤ max ≤ 86 400`, choices ascending within.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurationRule {
    /// Offered first.
    pub default_s: u32,
    /// The longest whole session, extensions included.
    pub max_s: u32,
    /// Offered.
    pub choices_s: Vec<u32>,
}

/// Who may use a policy: anybody in one of the groups or named outright. Both empty: nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Eligible {
    /// Groups of technicians.
    pub groups: BTreeSet<String>,
    /// Technicians.
    pub technicians: BTreeSet<TechnicianId>,
}

/// A name as it is compared: white space folded, case ignored.
#[must_use]
pub fn folded(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

impl Config {
    /// The customers that are written so, by name or alias. More than one never comes from a checked configuration.
    #[must_use]
    pub fn customers_named(&self, text: &str) -> Vec<&CustomerId> {
        let wanted = folded(text);
        let written_so =
            |c: &&Customer| std::iter::once(&c.name).chain(&c.aliases).any(|name| folded(name) == wanted);
        self.customers.values().filter(written_so).map(|c| &c.id).collect()
    }

    /// The customer that a policy belongs to, by its directories.
    #[must_use]
    pub fn customer_of(&self, policy: &Policy) -> Option<&Customer> {
        let directory = self.directories.get(&policy.grants.first()?.directory)?;
        self.customers.get(&directory.customer)
    }

    /// What policies grant in one directory.
    pub fn grants_in<'c>(&'c self, directory: &'c DirectoryId) -> impl Iterator<Item = &'c Grant> {
        self.policies.values().flat_map(|p| &p.grants).filter(move |grant| grant.directory == *directory)
    }

    /// The technician of whom the provider's claim has this.
    #[must_use]
    pub fn technician_by_sign_in(&self, value: &str) -> Option<&Technician> {
        self.technicians.values().find(|t| t.sign_in.as_deref() == Some(value))
    }

    /// The technician whose login this is.
    #[must_use]
    pub fn technician_by_login(&self, login: &str) -> Option<&Technician> {
        self.technicians.values().find(|t| t.login == login)
    }
}

impl DirectoryKind {
    /// What a session grants beside its policy's rights: on a machine the technician's own SSH keys.
    #[must_use]
    pub fn personal_rights(&self, technician: &Technician) -> Vec<Right> {
        match self {
            Self::Local(machine) if machine.login.has_key() => key_rights(&technician.ssh_keys),
            Self::ActiveDirectory(_) | Self::Local(_) | Self::Entra(_) => Vec::new(),
        }
    }
}

impl ActiveDirectory {
    /// The logon name of a technician's dedicated JIT account. [`read()`] has seen to it that it is a valid one.
    #[must_use]
    pub fn dedicated_account(&self, technician: &TechnicianId) -> String {
        self.account_name.replace("{technician}", technician.as_str())
    }
}

impl Technician {
    /// The logon name of the person's own account in a directory, for membership mode.
    #[must_use]
    pub fn own_account(&self, directory: &DirectoryId) -> &str {
        self.accounts.get(directory).unwrap_or(&self.login)
    }
}

impl Eligible {
    /// Whether a technician is named, or is in a group that is named.
    #[must_use]
    pub fn admits(&self, technician: &Technician) -> bool {
        self.technicians.contains(&technician.id) || !self.groups.is_disjoint(&technician.groups)
    }
}
