//! The calls by which a person signs in to a team's broker and out of it. What they carry is in [`crate::sign_in`].

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use ticketgate_protocol::problem::{Code, Problem};
use zeroize::Zeroizing;

use super::Client;
use super::identity::{Given, Identity, SignedIn, signed_out, unread};
use super::proof::{ProofKey, PublicKey};
use crate::handover::{read_secret, write_secret};
use crate::sign_in::{Came, SignInAsked};

/// A sign-in under way.
pub struct Signing {
    client: Client,
    identity: Arc<Identity>,
    kept: Zeroizing<String>,
    asked: SignInAsked,
}

/// Where a sign-in stands.
#[derive(Debug, Clone)]
pub enum Stands {
    /// It is done, and kept.
    SignedIn(Arc<SignedIn>),
    /// The person is waited for; ask again after this.
    Waits(Duration),
}

#[derive(Serialize)]
struct Wanted<'a> {
    port: Option<u16>,
    key: &'a PublicKey,
}

#[derive(Serialize)]
struct GoesOn<'a> {
    id: &'a str,
    came: Option<Came>,
}

#[derive(Serialize)]
struct Renews<'a> {
    renewal: &'a str,
}

#[derive(Deserialize)]
struct Answered {
    token: Option<Token>,
    after_s: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct Token {
    #[serde(serialize_with = "write_secret", deserialize_with = "read_secret")]
    token: Zeroizing<String>,
    lasts_s: u32,
    technician: String,
    renewal: Option<String>,
}

impl From<Token> for Given {
    fn from(token: Token) -> Self {
        Self {
            token: token.token,
            lasts: TimeDelta::seconds(token.lasts_s.into()),
            technician: token.technician,
            renewal: token.renewal.map(Zeroizing::new),
        }
    }
}

impl Signing {
    /// `POST /v1/sign-in`, with a new key of this machine. With `port` the browser comes back there; without, a code is typed in on any
    /// device.
    ///
    /// # Errors
    /// As [`Client::broker`].
    pub async fn begin(client: &Client, port: Option<u16>) -> Result<Self, Problem> {
        let identity = client.identity().cloned().ok_or_else(|| signed_out("Nobody signs in here."))?;
        let (key, kept) = ProofKey::make().map_err(|why| Problem::new(Code::Internal, format!("{why}.")))?;
        let public = key.public().clone();
        let client = client.acting_as(SignedIn::nobody(key));
        let asked = client.post("/v1/sign-in", Some(&Wanted { port, key: &public }), None).await?;
        Ok(Self { client, identity, kept, asked })
    }

    /// What the person does now.
    #[must_use]
    pub const fn asked(&self) -> &SignInAsked {
        &self.asked
    }

    /// `POST /v1/sign-in/go-on`; what the broker gives is kept before anything else.
    ///
    /// # Errors
    /// As [`Client::broker`]; `sign_in_needed` also where the key store does not keep it.
    pub async fn go_on(&self, came: Option<Came>) -> Result<Stands, Problem> {
        let on = GoesOn { id: &self.asked.id, came };
        let answered: Answered = self.client.post("/v1/sign-in/go-on", Some(&on), None).await?;
        match answered.token {
            Some(token) => {
                let kept = self.identity.keep(&self.kept, token.into()).await;
                kept.map(Stands::SignedIn).map_err(|why| unread(&why))
            }
            None => Ok(Stands::Waits(Duration::from_secs(answered.after_s.unwrap_or(5).into()))),
        }
    }
}

impl Client {
    /// `POST /v1/sign-in/renew`.
    pub(super) async fn renew_with(&self, renewal: &str) -> Result<Given, Problem> {
        let answered: Token = self.post("/v1/sign-in/renew", Some(&Renews { renewal }), None).await?;
        Ok(answered.into())
    }

    /// `POST /v1/sign-out`, and forgets what this machine kept, also where the broker cannot be told. Answers who it was.
    ///
    /// # Errors
    /// `sign_in_needed` where the key store cannot be asked; else the broker's own, which was not told then.
    pub async fn leave(&self) -> Result<Option<String>, Problem> {
        let Some(identity) = self.identity() else { return Ok(None) };
        let Some(was) = identity.look().await.map_err(|why| unread(&why))? else { return Ok(None) };
        let told = self.post::<serde_json::Value>("/v1/sign-out", None::<&()>, None).await;
        identity.forget().await.map_err(|why| unread(&why))?;
        match told {
            // It did not know the sign-in any more.
            Ok(_) => Ok(Some(was.technician().to_owned())),
            Err(problem) if problem.code == Code::SignInNeeded => Ok(Some(was.technician().to_owned())),
            Err(problem) => Err(problem),
        }
    }
}
