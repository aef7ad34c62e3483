//! Who is signed in to the broker from elsewhere, and the tokens of automation. What is kept of a token is its SHA-256: the token
//! itself is 256 random bits, told once. Written by [`crate::Change::tokens`], so each stands there with its audit record or not at all.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ticketgate_protocol::ids::{CustomerId, TechnicianId};

use crate::LedgerError;

/// A SHA-256.
pub type Digest = [u8; 32];

/// Reads sign-ins and API tokens.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// 32 random bytes that every broker on this ledger has alike and nobody else; they do not change.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn shared_key(&self) -> Result<Digest, LedgerError>;

    /// The sign-in that a token belongs to, and the token's own time, whether or not either is over.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn by_token(&self, token: &Digest) -> Result<Option<(SignIn, Issued)>, LedgerError>;

    /// One sign-in.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn sign_in(&self, id: &str) -> Result<Option<SignIn>, LedgerError>;

    /// Sign-ins that match, the newest first.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn sign_ins(&self, filter: SignInFilter) -> Result<Vec<SignIn>, LedgerError>;

    /// The API token with this hash, whether or not it is over.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn api_token(&self, token: &Digest) -> Result<Option<ApiToken>, LedgerError>;

    /// Every API token that is kept, the newest first.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn api_tokens(&self) -> Result<Vec<ApiToken>, LedgerError>;
}

/// Somebody who signed in, bound to the key of the relay from which it was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// Names it in lists. No secret.
    pub id: String,
    /// Who that was at the last renewal. Who it is now says the configuration, by [`SignIn::value`].
    pub technician: TechnicianId,
    /// The provider, by its issuer.
    pub issuer: String,
    /// Which claim named the person.
    pub claim: String,
    /// What stood in it.
    pub value: String,
    /// The provider's own name for the person (`sub`).
    pub subject: String,
    /// The provider's name for its own session (`sid`), where it gave one.
    pub session: Option<String>,
    /// How people are shown the account; nothing is decided by it.
    pub name: String,
    /// The provider's groups at the last renewal, as it names them.
    pub groups: BTreeSet<String>,
    /// The thumbprint (RFC 7638) of the relay's key.
    pub key: String,
    /// When it began.
    pub from: DateTime<Utc>,
    /// When it was last renewed.
    pub renewed: DateTime<Utc>,
    /// When its last token ends.
    pub until: DateTime<Utc>,
    /// When it was ended before its time.
    pub ended: Option<DateTime<Utc>>,
    /// By whom or what.
    pub ended_by: Option<String>,
}

/// A token that was issued for a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Its hash.
    pub token: Digest,
    /// [`SignIn::id`].
    pub sign_in: String,
    /// From then on.
    pub from: DateTime<Utc>,
    /// Until then.
    pub until: DateTime<Utc>,
}

/// A token of automation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Names it in lists, and in the audit log. No secret.
    pub id: String,
    /// What it is for, as its maker called it.
    pub name: String,
    /// Its hash.
    pub token: Digest,
    /// What it may do, by the scopes' words.
    pub scopes: BTreeSet<String>,
    /// At which customers; at every one where there is none.
    pub customers: Option<BTreeSet<CustomerId>>,
    /// Who made it.
    pub made_by: String,
    /// When.
    pub from: DateTime<Utc>,
    /// Until when it is good.
    pub until: DateTime<Utc>,
    /// When it was revoked.
    pub ended: Option<DateTime<Utc>>,
}

/// Which sign-ins.
#[derive(Debug, Clone, Default)]
pub struct SignInFilter {
    /// Of this technician, as of the last renewal.
    pub technician: Option<TechnicianId>,
    /// Of this provider.
    pub issuer: Option<String>,
    /// Of the person whom the provider calls so.
    pub subject: Option<String>,
    /// Of this session of the provider's.
    pub session: Option<String>,
    /// Only those that were not ended, and whose last token is good after this time.
    pub good_at: Option<DateTime<Utc>>,
    /// At most so many; 0 means 1,000.
    pub limit: u32,
}

/// What a change makes of sign-ins and tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenChange {
    /// Put: new ones, and renewed ones in the place of those with the same id. [`LedgerError::Conflict`] where it was ended meanwhile.
    pub sign_ins: Vec<SignIn>,
    /// Issued for them.
    pub issued: Vec<Issued>,
    /// Ended before their time, by their ids, with who or what did it. One that was ended already stays as it is.
    pub ended: Vec<(String, String)>,
    /// New API tokens.
    pub api_tokens: Vec<ApiToken>,
    /// Revoked API tokens, by their ids.
    pub api_ended: Vec<String>,
}

impl TokenChange {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
