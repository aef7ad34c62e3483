//! How people sign in to the broker from elsewhere (`[sign_in]`), and which roles they have (`[[role]]`).

use std::collections::{BTreeMap, BTreeSet};

use ticketgate_protocol::ids::{CustomerId, TechnicianId};

use super::SecretRef;

/// The provider by which people sign in: OpenID Connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInProvider {
    /// Its issuer, exactly as it calls itself. `https://`, or `http://` of this machine.
    pub issuer: String,
    /// What the broker is called there.
    pub client_id: String,
    /// Where the client's secret is kept, for providers that ask for one even of programs on people's machines.
    pub client_secret: Option<SecretRef>,
    /// A file of certificates (PEM) that vouch for the provider; the system's own where there is none.
    pub ca_file: Option<String>,
    /// The claim that names the person.
    pub claim: String,
    /// The claim that lists the person's groups.
    pub groups_claim: String,
    /// The provider's group → the broker's.
    pub groups: BTreeMap<String, String>,
    /// Scopes to be asked for beside `openid profile`.
    pub scopes: Vec<String>,
    /// Seconds that a token lasts until it has to be renewed.
    pub lasts_s: u32,
    /// `https://HOST[:PORT]` by which the brokers are reached, in lower case; none: whatever a request says.
    pub addresses: Vec<String>,
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Has sessions of their own.
    Technician,
    /// Sees who has which sessions.
    Approver,
    /// Sees and ends everybody's sessions, and reads the audit log.
    Administrator,
    /// Reads sessions and the audit log, and nothing else.
    Auditor,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Technician, Self::Approver, Self::Administrator, Self::Auditor];

    /// The word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Technician => "technician",
            Self::Approver => "approver",
            Self::Administrator => "administrator",
            Self::Auditor => "auditor",
        }
    }
}

/// Who has a role, and where (`[[role]]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRule {
    /// Which.
    pub role: Role,
    /// Whoever is in one of these groups.
    pub groups: BTreeSet<String>,
    /// And these.
    pub technicians: BTreeSet<TechnicianId>,
    /// At these customers; at every one where there is none.
    pub customers: Option<BTreeSet<CustomerId>>,
}

impl SignInProvider {
    /// The broker's groups of somebody whom the provider puts into these.
    #[must_use]
    pub fn mapped(&self, theirs: &BTreeSet<String>) -> BTreeSet<String> {
        theirs.iter().filter_map(|group| self.groups.get(group)).cloned().collect()
    }
}
