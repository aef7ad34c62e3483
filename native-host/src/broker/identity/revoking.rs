//! Sign-ins end: by the person, an administrator, or the provider. At once for requests; event streams end within a minute.

use std::net::SocketAddr;

use serde_json::json;
use ticketgate_ledger::{Change, SignIn, SignInFilter, TokenChange};
use ticketgate_protocol::problem::{Code, Problem};

use super::super::{Broker, Caller, ledger_problem, records};
use super::form::decoded;
use super::provider::Trouble;
use super::signing_in::unusable;
use super::{ShownToken, id_token};
use crate::sign_in::team::{RenewalWanted, RevokeSignIns, SignInShown};

/// So much of a key's thumbprint is shown.
const KEY_SHOWN: usize = 8;

impl Broker {
    /// The person signs out. What renews the sign-in is told to the provider, as far as it listens.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub(in crate::broker) async fn team_sign_out(
        &self,
        shown: ShownToken,
        with: RenewalWanted,
    ) -> Result<(), Problem> {
        let technician = shown.sign_in.technician.to_string();
        self.end_sign_ins(&[shown.sign_in], &technician, shown.address).await?;
        if let Some(refresh) = with.refresh
            && let Ok(provider) = self.provider().await
        {
            // Whether it answers changes nothing here, so nobody waits for it.
            tokio::spawn(async move { provider.revoke(&refresh.0).await });
        }
        Ok(())
    }

    /// Every sign-in that is good.
    ///
    /// # Errors
    /// Not an administrator; ledger down.
    pub(in crate::broker) async fn sign_ins(&self, caller: &Caller) -> Result<Vec<SignInShown>, Problem> {
        caller.require_administrator()?;
        let good = SignInFilter { good_at: Some(self.clock.now()), ..SignInFilter::default() };
        let found = self.ledger.tokens().sign_ins(good).await.map_err(|e| ledger_problem(&e))?;
        Ok(found.iter().map(shown).collect())
    }

    /// Ends sign-ins of a technician, or one, or all.
    ///
    /// # Errors
    /// Not an administrator; none of these said, or several; no such sign-in; ledger down.
    pub(in crate::broker) async fn revoke_sign_ins(
        &self,
        caller: &Caller,
        which: &RevokeSignIns,
    ) -> Result<Vec<SignInShown>, Problem> {
        caller.require_administrator()?;
        let found = match (&which.technician, &which.id, which.everybody) {
            (technician @ Some(_), None, false) | (technician @ None, None, true) => {
                let filter = SignInFilter { technician: technician.clone(), ..SignInFilter::default() };
                let mut found =
                    self.ledger.tokens().sign_ins(filter).await.map_err(|e| ledger_problem(&e))?;
                // Also those that are over: they could be renewed.
                found.retain(|sign_in| sign_in.ended.is_none());
                found
            }
            (None, Some(id), false) => {
                let found = self.ledger.tokens().sign_in(id).await.map_err(|e| ledger_problem(&e))?;
                vec![found.ok_or_else(|| {
                    Problem::new(Code::MalformedRequest, "There is no such sign-in.")
                        .remedy("`ticketgate sign-ins list` lists them.")
                })?]
            }
            _ => {
                return Err(Problem::new(Code::MalformedRequest, "Say whose sign-ins, or which one.")
                    .remedy("Name a technician, or a sign-in's id, or say everybody."));
            }
        };
        self.end_all_sign_ins(&found, &caller.actor(), None).await?;
        Ok(found.iter().map(shown).collect())
    }

    /// The provider ends sign-ins (OpenID Connect Back-Channel Logout).
    ///
    /// # Errors
    /// No provider is configured or it does not answer; the token is not in order; ledger down.
    pub(in crate::broker) async fn provider_logs_out(
        &self,
        form: &[u8],
        address: SocketAddr,
    ) -> Result<(), Problem> {
        self.identity.rates.of_nobody(address, self.clock.now())?;
        let provider = self.provider().await?;
        let form = decoded(form);
        let refused = |why: &str| {
            tracing::warn!(why, %address, "a logout token was refused");
            Problem::new(Code::MalformedRequest, "That is no logout token of this broker's provider.")
        };
        let token = form.get("logout_token").ok_or_else(|| refused("there is none"))?;
        let claims = match provider.claims(token).await {
            Ok(claims) => claims,
            Err(trouble @ Trouble::Down(_)) => return Err(unusable(&trouble)),
            Err(trouble) => return Err(refused(&trouble.to_string())),
        };
        let out = id_token::logged_out(&claims, &provider.settings, self.clock.now())
            .map_err(|bad| refused(&bad.to_string()))?;
        let filter = SignInFilter {
            issuer: Some(provider.settings.issuer.clone()),
            // With a session only that one ends; without, everything of the person.
            subject: out.subject,
            session: out.session,
            ..SignInFilter::default()
        };
        let mut found = self.ledger.tokens().sign_ins(filter).await.map_err(|e| ledger_problem(&e))?;
        found.retain(|sign_in| sign_in.ended.is_none());
        self.end_all_sign_ins(&found, "provider", Some(address)).await
    }

    /// Ends these.
    pub(super) async fn end_sign_ins(
        &self,
        which: &[SignIn],
        by: &str,
        address: SocketAddr,
    ) -> Result<(), Problem> {
        self.end_all_sign_ins(which, by, Some(address)).await
    }

    /// Ends these, in one write with a record of each.
    pub(super) async fn end_all_sign_ins(
        &self,
        which: &[SignIn],
        by: &str,
        address: Option<SocketAddr>,
    ) -> Result<(), Problem> {
        let going: Vec<&SignIn> = which.iter().filter(|sign_in| sign_in.ended.is_none()).collect();
        if going.is_empty() {
            return Ok(());
        }
        let record = |sign_in: &&SignIn| {
            let details = records::details([
                ("sign_in", json!(sign_in.id)),
                ("technician", json!(sign_in.technician)),
                ("address", json!(address.map(|address| address.ip()))),
            ]);
            records::record(None, "sign_in.ended", by, "ok", details)
        };
        let change = Change {
            name: "ledger.sign_in_ended",
            at: self.clock.now(),
            audit: going.iter().map(record).collect(),
            tokens: TokenChange {
                ended: going.iter().map(|sign_in| (sign_in.id.clone(), by.to_owned())).collect(),
                ..TokenChange::default()
            },
            ..Change::default()
        };
        self.commit(change).await.map_err(|e| ledger_problem(&e))
    }
}

fn shown(sign_in: &SignIn) -> SignInShown {
    SignInShown {
        id: sign_in.id.clone(),
        technician: sign_in.technician.clone(),
        name: records::printable(&sign_in.name),
        from: sign_in.from,
        renewed: sign_in.renewed,
        until: sign_in.until,
        key: sign_in.key.chars().take(KEY_SHOWN).collect(),
    }
}
