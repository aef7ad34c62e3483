//! Entra ID tenants (`[[directory]]` of kind `entra`).

use ticketgate_protocol::api::Mode;
use ticketgate_protocol::ids::{DirectoryId, TechnicianId};

use super::SecretRef;
use crate::entra::ObjectId;

/// How a tenant is reached and used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entra {
    /// The tenant.
    pub tenant: ObjectId,
    /// The application that the broker signs in as, or that people sign in to.
    pub client_id: ObjectId,
    /// By what the broker shows who asks.
    pub proof: Proof,
    /// The verified domain in which JIT accounts are named.
    pub account_domain: String,
    /// How a dedicated account is named, without domain; `{technician}` stands for the id.
    pub account_name: String,
    /// By what people sign in to a JIT account.
    pub sign_in: SignIn,
    /// Whether rights that do not end by themselves are refused, instead of given and taken by the broker alone.
    pub pim_only: bool,
    /// Where the tenant is.
    pub cloud: Cloud,
    /// The address at which the application signs in, without the tenant.
    pub login_url: String,
    /// The address of Microsoft Graph, with its version.
    pub graph_url: String,
    /// A file of certificates (PEM) that vouch for both; the system's own where there is none.
    pub ca_file: Option<String>,
    /// Seconds until an operation counts as failed.
    pub timeout_s: u32,
}

/// By what the broker shows who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A certificate that is registered with it.
    Certificate {
        /// The file of the certificate (PEM).
        certificate: String,
        /// Where its private key is kept (RSA, PEM).
        key: SecretRef,
    },
    /// A secret that both know.
    Secret(SecretRef),
    /// The sign-in of a person, which the key store keeps.
    Technician {
        /// Where people have their accounts: the tenant of the partner, or the directory's own.
        home: ObjectId,
        /// The directory, as its people are asked to sign in to it.
        directory: DirectoryId,
    },
}

/// By what people sign in to a JIT account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    /// A password for the session.
    Password,
    /// A Temporary Access Pass that ends no later than the session.
    Pass {
        /// Whether it can be used one time only.
        once: bool,
    },
}

/// Which of Microsoft's clouds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// The one for all.
    Global,
    /// US Government L4 (GCC High).
    UsGov,
    /// US Government L5 (DoD).
    UsDod,
    /// China, operated by 21Vianet.
    China,
}

/// Shortest session with a Temporary Access Pass, in seconds. A pass lasts ten minutes at least (Graph: `lifetimeInMinutes` 10 to
/// 43 200), begins some seconds after its session, and is over no later.
pub const PASS_SHORTEST_S: u32 = 660;

/// Shortest session with a right that ends by itself, in seconds: PIM gives nothing for less than five minutes, from when it is asked.
pub const ROLE_SHORTEST_S: u32 = 360;

impl Cloud {
    /// Where applications sign in.
    #[must_use]
    pub const fn login_url(self) -> &'static str {
        match self {
            Self::Global => "https://login.microsoftonline.com",
            Self::UsGov | Self::UsDod => "https://login.microsoftonline.us",
            Self::China => "https://login.chinacloudapi.cn",
        }
    }

    /// Microsoft Graph's host, which is also what a token is asked for.
    #[must_use]
    pub const fn graph_host(self) -> &'static str {
        match self {
            Self::Global => "https://graph.microsoft.com",
            Self::UsGov => "https://graph.microsoft.us",
            Self::UsDod => "https://dod-graph.microsoft.us",
            Self::China => "https://microsoftgraph.chinacloudapi.cn",
        }
    }
}

impl Entra {
    /// The shortest session in seconds: as long as the shortest of what it is given.
    #[must_use]
    pub fn shortest_s(&self, mode: Mode) -> u32 {
        match self.sign_in {
            SignIn::Pass { .. } if mode != Mode::Membership => PASS_SHORTEST_S,
            _ => ROLE_SHORTEST_S,
        }
    }

    /// The name under which the key store keeps the sign-in of people; nothing where the application itself signs in. One for all
    /// tenants that people of one home reach by one application.
    #[must_use]
    pub fn sign_in_name(&self) -> Option<String> {
        match &self.proof {
            Proof::Technician { home, .. } => Some(format!("entra/{home}/{}", self.client_id)),
            Proof::Certificate { .. } | Proof::Secret(_) => None,
        }
    }

    /// The user principal name of a technician's dedicated JIT account. [`crate::config::read()`] has seen to it that it is a valid one.
    #[must_use]
    pub fn dedicated_account(&self, technician: &TechnicianId) -> String {
        let name = self.account_name.replace("{technician}", technician.as_str());
        format!("{name}@{}", self.account_domain)
    }
}
