//! The bodies of the routes by which people sign in to a team's broker, and by which administrators see to sign-ins, tokens of
//! automation and people who leave. Paths and headers stand in `docs/protocol.md`, "Over HTTPS".

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use ticketgate_protocol::ids::{CustomerId, DirectoryId, TechnicianId};
use zeroize::Zeroizing;

use crate::handover::{read_secret, write_secret};

/// `POST /v1/sign-in/go-on`. Prints without the code.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamSignInGoesOn {
    /// Which: [`super::SignInAsked::id`].
    pub id: String,
    /// What a browser came back with; nothing for a device's code.
    pub came: Option<TeamCame>,
}

/// What a browser came back with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamCame {
    /// The state.
    pub state: String,
    /// The code.
    #[serde(serialize_with = "write_secret", deserialize_with = "read_secret")]
    pub code: Zeroizing<String>,
    /// Who says so (RFC 9207), where the provider puts it there.
    #[serde(default)]
    pub iss: Option<String>,
}

/// Where a sign-in stands: one of both is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamSignInStands {
    /// Done.
    pub signed_in: Option<SignedIn>,
    /// The person has not answered yet: seconds after which to ask again.
    pub after_s: Option<u32>,
}

/// Somebody is signed in. Prints without tokens.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIn {
    /// For `Authorization: DPoP …`, with proofs by the key that it was begun with.
    #[serde(serialize_with = "write_secret", deserialize_with = "read_secret")]
    pub token: Zeroizing<String>,
    /// Until when it is good, by the broker's clock.
    pub until: DateTime<Utc>,
    /// The broker's clock now.
    pub now: DateTime<Utc>,
    /// Who that is.
    pub technician: TechnicianId,
    /// The account's name, to be shown.
    pub name: String,
    /// By this it is renewed; nothing where the provider gives nothing that lasts. Takes the place of the one before.
    #[serde(default)]
    pub refresh: Option<Refresh>,
}

/// The provider's refresh token. Prints as `[redacted]`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Refresh(
    /// The text.
    #[serde(serialize_with = "write_secret", deserialize_with = "read_secret")]
    pub Zeroizing<String>,
);

/// `POST /v1/sign-in/renew`, answered with [`SignedIn`]; and `POST /v1/sign-out`, which takes none as well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewalWanted {
    /// [`SignedIn::refresh`].
    #[serde(default)]
    pub refresh: Option<Refresh>,
}

/// A sign-in, for whoever administrates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SignInShown {
    /// Its id.
    pub id: String,
    /// Who.
    pub technician: TechnicianId,
    /// The account's name.
    pub name: String,
    /// Since when.
    pub from: DateTime<Utc>,
    /// When it was last renewed.
    pub renewed: DateTime<Utc>,
    /// Until when, unless it is renewed.
    pub until: DateTime<Utc>,
    /// The beginning of the thumbprint of the relay's key: one machine's sign-ins have the same.
    pub key: String,
}

/// `POST /v1/sign-ins/revoke`: one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeSignIns {
    /// All of this technician.
    pub technician: Option<TechnicianId>,
    /// This one.
    pub id: Option<String>,
    /// Everybody's.
    #[serde(default)]
    pub everybody: bool,
}

/// `POST /v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenWanted {
    /// What it is for.
    pub name: String,
    /// What it may do (`sessions:read`, `sessions:end`, `audit:read`, `check`).
    pub scopes: Vec<String>,
    /// At these customers; at every one where there is none.
    #[serde(default)]
    pub customers: Option<Vec<CustomerId>>,
    /// For how long, in seconds.
    pub lasts_s: u32,
}

/// The answer: the only time that the token is told. Prints without it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenMade {
    /// For `Authorization: Bearer …`.
    #[serde(serialize_with = "write_secret", deserialize_with = "read_secret")]
    pub token: Zeroizing<String>,
    /// What is kept of it.
    pub of: TokenShown,
}

/// A token of automation, for whoever administrates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TokenShown {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Where; everywhere where there is none.
    pub customers: Option<Vec<CustomerId>>,
    /// Who made it.
    pub made_by: String,
    /// When.
    pub from: DateTime<Utc>,
    /// Until when it is good.
    pub until: DateTime<Utc>,
    /// When it was revoked.
    pub ended: Option<DateTime<Utc>>,
}

/// `POST /v1/technicians/{id}/remove`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveTechnician {
    /// Whether the dedicated accounts are deleted, too.
    #[serde(default)]
    pub purge: bool,
}

/// What became of somebody who leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TechnicianRemoved {
    /// Who.
    pub technician: TechnicianId,
    /// Whether the configuration still names this person, who can then sign in again.
    pub still_configured: bool,
    /// How many sign-ins were ended.
    pub sign_ins: u32,
    /// Each account that the ledger knows of this person, by customer and directory.
    pub accounts: Vec<AccountLeft>,
}

/// What became of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AccountLeft {
    /// In which directory.
    pub directory: DirectoryId,
    /// At which customer; nothing where the directory has left the configuration.
    pub customer: Option<CustomerId>,
    /// The logon name.
    pub account: String,
    /// `dedicated`, `burner` or `membership`.
    pub mode: String,
    /// Sessions that were ended.
    pub sessions: u32,
    /// `deleted`, `closed` (it stays, disabled), `left` (the person's own account, without what sessions gave it), or `waits`: it is
    /// tried again until it is done.
    pub standing: String,
    /// Why it waits.
    #[serde(default)]
    pub trouble: Option<String>,
}

macro_rules! prints_without {
    ($($type:ident)*) => {
        $(impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($type), " [redacted]"))
            }
        })*
    };
}

prints_without!(TeamSignInGoesOn TeamCame SignedIn Refresh TokenMade);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_cross_json_and_never_the_log() {
        let secret = || Zeroizing::new("s3cret".to_owned());
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let signed_in = SignedIn {
            token: secret(),
            until: now,
            now,
            technician: "tech1".parse().unwrap(),
            name: "terry".into(),
            refresh: Some(Refresh(secret())),
        };
        let stands = TeamSignInStands { signed_in: Some(signed_in), after_s: None };
        let came = TeamCame { state: "st".into(), code: secret(), iss: None };
        let on = TeamSignInGoesOn { id: "s3cret".into(), came: Some(came) };
        let renewal = RenewalWanted { refresh: Some(Refresh(secret())) };
        let json = serde_json::to_string(&stands).unwrap();
        assert_eq!(serde_json::from_str::<TeamSignInStands>(&json).unwrap(), stands);
        let json = serde_json::to_string(&on).unwrap();
        assert_eq!(serde_json::from_str::<TeamSignInGoesOn>(&json).unwrap(), on);
        let json = serde_json::to_string(&renewal).unwrap();
        assert_eq!(json, r#"{"refresh":"s3cret"}"#);
        assert_eq!(serde_json::from_str::<RenewalWanted>("{}").unwrap(), RenewalWanted::default());
        assert!(!format!("{stands:?} {on:?} {renewal:?}").contains("s3cret"));
    }
}
