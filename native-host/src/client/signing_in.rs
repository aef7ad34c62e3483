//! The calls by which a person signs in to a team's broker and out of it. What they carry is in [`crate::sign_in::team`].

use std::sync::Arc;
use std::time::Duration;

use ticketgate_protocol::problem::{Code, Problem};
use zeroize::Zeroizing;

use super::Client;
use super::identity::{Identity, SignedIn, signed_out, unkept, unread};
use super::proof::ProofKey;
use crate::sign_in::team::{self, Refresh, RenewalWanted, TeamCame, TeamSignInGoesOn, TeamSignInStands};
use crate::sign_in::{SignInAsked, SignInWanted};

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

impl Signing {
    /// `POST /v1/sign-in`, with a new key of this machine. With `port` the browser comes back there; without, a code is typed in on any
    /// device.
    ///
    /// # Errors
    /// As [`Client::broker`]; `provider_down`.
    pub async fn begin(client: &Client, port: Option<u16>) -> Result<Self, Problem> {
        let identity = client.identity().cloned().ok_or_else(|| signed_out("Nobody signs in here."))?;
        // A sign-in that could not be kept would be a person's time for nothing.
        identity.look().await.map_err(|why| unread(&why))?;
        let (key, kept) = ProofKey::make().map_err(|why| Problem::new(Code::Internal, format!("{why}.")))?;
        let client = client.acting_as(Arc::new(SignedIn::nobody(key)));
        let asked = client.post("/v1/sign-in", Some(&SignInWanted { port }), None).await?;
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
    /// As [`Client::broker`]; `provider_down`: the same can be tried again; `sign_in_needed` also where the key store does not keep it.
    pub async fn go_on(&self, came: Option<TeamCame>) -> Result<Stands, Problem> {
        let on = TeamSignInGoesOn { id: self.asked.id.clone(), came };
        let stands: TeamSignInStands = self.client.post("/v1/sign-in/go-on", Some(&on), None).await?;
        match stands.signed_in {
            Some(given) => {
                let kept = self.identity.keep(&self.kept, given).await;
                kept.map(Stands::SignedIn).map_err(|why| unkept(&why))
            }
            None => Ok(Stands::Waits(Duration::from_secs(stands.after_s.unwrap_or(5).into()))),
        }
    }
}

impl Client {
    /// `POST /v1/sign-in/renew`, as whoever this client acts as.
    pub(super) async fn renew_with(&self, refresh: &str) -> Result<team::SignedIn, Problem> {
        self.post("/v1/sign-in/renew", Some(&wanted(Some(refresh))), None).await
    }

    /// `POST /v1/sign-out`, and forgets what this machine kept, also where the broker cannot be told. Answers who it was.
    ///
    /// # Errors
    /// `sign_in_needed` where the key store cannot be asked; else the broker's own, which was not told then.
    pub async fn leave(&self) -> Result<Option<String>, Problem> {
        let Some(identity) = self.identity() else { return Ok(None) };
        let Some(was) = identity.look().await.map_err(|why| unread(&why))? else { return Ok(None) };
        let refresh = identity.find_refresh().await.map_err(|why| unread(&why))?;
        let wanted = wanted(refresh.as_ref().map(ticketgate_credentials::Secret::expose));
        // As it is, also where it is over: to renew it for this would be absurd.
        let client = self.acting_as(Arc::clone(&was));
        let told: Result<serde_json::Value, Problem> = client.post("/v1/sign-out", Some(&wanted), None).await;
        identity.forget().await.map_err(|why| unread(&why))?;
        match told {
            Err(problem) if problem.code != Code::SignInNeeded => Err(problem),
            Ok(_) | Err(_) => Ok(Some(was.technician().to_owned())),
        }
    }
}

fn wanted(refresh: Option<&str>) -> RenewalWanted {
    RenewalWanted { refresh: refresh.map(|text| Refresh(Zeroizing::new(text.to_owned()))) }
}
