//! The bodies of the routes by which a person signs in to a tenant, and a partner's tenants are listed. No types of the protocol
//! crate, so that nothing the extension is built from can even name them: what a browser comes back with is half of a sign-in.

pub mod team;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::handover::{read_secret, write_secret};

/// How somebody wants to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInWanted {
    /// The port of `http://localhost` to which the browser is sent back; without one, a code is typed in on any device.
    pub port: Option<u16>,
}

/// What the person does now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SignInAsked {
    /// By this it goes on.
    pub id: String,
    /// The page to open.
    pub address: String,
    /// The browser comes back with this, or it is another's answer.
    pub state: Option<String>,
    /// What is typed into the page.
    pub user_code: Option<String>,
    /// Seconds for which it can be done.
    pub lasts_s: u32,
    /// Seconds after which to ask whether it is done.
    pub after_s: u32,
}

/// Goes on with a sign-in. Prints without the code.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInGoesOn {
    /// Which.
    pub id: String,
    /// What the browser came back with.
    pub came: Option<Came>,
}

/// What a browser came back with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Came {
    /// The state.
    pub state: String,
    /// The code.
    #[serde(serialize_with = "write_secret", deserialize_with = "read_secret")]
    pub code: Zeroizing<String>,
}

/// Where a sign-in stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SignInStands {
    /// The account that is signed in; nothing while the person is waited for.
    pub account: Option<String>,
    /// Seconds after which to ask again.
    pub after_s: Option<u32>,
}

/// The tenant of a partner's customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PartnerTenant {
    /// Its id.
    pub tenant: String,
    /// The customer's name.
    pub name: String,
    /// Its first domain, where the partner's contracts say it.
    pub domain: Option<String>,
    /// When the last of the relationships that are active ends; nothing where none is.
    pub until: Option<DateTime<Utc>>,
}

impl std::fmt::Debug for SignInGoesOn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignInGoesOn").field("id", &self.id).field("came", &"[redacted]").finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_came_back_with_crosses_json_and_never_the_log() {
        let came = Came { state: "st".into(), code: Zeroizing::new("0.AQ-secret".into()) };
        let over = SignInGoesOn { id: "x".into(), came: Some(came) };
        let json = serde_json::to_string(&over).unwrap();
        assert_eq!(serde_json::from_str::<SignInGoesOn>(&json).unwrap(), over);
        assert!(!format!("{over:?}").contains("secret"));
    }
}
