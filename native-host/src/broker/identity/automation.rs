//! Tokens of automation: made by an administrator, told once, good for some things and for some time.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use chrono::TimeDelta;
use serde_json::json;
use ticketgate_access::roles::Reach;
use ticketgate_ledger::{ApiToken, Change, TokenChange};
use ticketgate_protocol::problem::{Code, Problem};
use ticketgate_protocol::text;
use zeroize::Zeroizing;

use super::super::people::Scope;
use super::super::{Broker, Caller, ledger_problem, records};
use super::signing_in::no_randomness;
use super::{Unknown, hashed, sealed};
use crate::sign_in::team::{TokenMade, TokenShown, TokenWanted};

/// What a token begins with, so that people and scanners know what they found.
const PREFIX: &str = "tgt_";

/// The longest name.
const NAME_MAX: usize = 80;

/// The shortest and the longest time that a token is good for, in seconds: five minutes, and a year and a day.
const LASTS: std::ops::RangeInclusive<u32> = 300..=366 * 86_400;

impl Broker {
    /// The caller behind a token of automation.
    pub(super) async fn automation(&self, token: &str, address: SocketAddr) -> Result<Caller, Unknown> {
        let wrong = || Unknown {
            problem: Box::new(Problem {
                status: 401,
                ..Problem::new(Code::SignInNeeded, "That is no token of this broker's, or it is over.")
                    .remedy("Ask an administrator for a new one (`ticketgate tokens create`).")
            }),
            error: Some("invalid_token"),
            nonce: None,
        };
        if !token.starts_with(PREFIX) {
            return Err(wrong());
        }
        let found = self.ledger.tokens().api_token(&hashed(token)).await.map_err(|e| ledger_problem(&e))?;
        let Some(found) = found else { return Err(wrong()) };
        let now = self.clock.now();
        if found.ended.is_some() || now >= found.until || found.from > now + super::AHEAD {
            let details = records::details([
                ("token", json!(found.id)),
                ("address", json!(address.ip())),
                ("why", json!(if found.ended.is_some() { "revoked" } else { "its time is over" })),
            ]);
            let actor = format!("token:{}", found.id);
            let record = records::record(None, "token.refused", &actor, "refused", details);
            let kind = format!("token {}", found.id);
            self.record_once_a_minute(&kind, "ledger.token_refused", record).await?;
            return Err(wrong());
        }
        self.identity.rates.of_token(&found.id, now)?;
        // A scope that this release does not know is of another, and allows nothing here.
        let scopes = found.scopes.iter().filter_map(|word| Scope::of_word(word)).collect();
        let reach = found.customers.map_or(Reach::Everywhere, Reach::At);
        Ok(Caller::token(&found.id, &found.name, scopes, reach))
    }

    /// Makes a token.
    ///
    /// # Errors
    /// Not an administrator; a malformed wish; ledger down.
    pub(in crate::broker) async fn make_token(
        &self,
        caller: &Caller,
        wanted: &TokenWanted,
    ) -> Result<TokenMade, Problem> {
        caller.require_administrator()?;
        let malformed =
            |detail: String, remedy: &str| Problem::new(Code::MalformedRequest, detail).remedy(remedy);
        let name = text::line(&wanted.name, NAME_MAX).map_err(|bad| {
            malformed(format!("The token's name {bad}."), "Say in a few words what it is for.")
        })?;
        let known: Vec<&str> = Scope::ALL.iter().map(|scope| scope.word()).collect();
        let remedy = format!("Scopes are {}.", known.join(", "));
        if wanted.scopes.is_empty() {
            return Err(malformed("A token without a scope could do nothing.".into(), &remedy));
        }
        if wanted.scopes.iter().any(|word| Scope::of_word(word).is_none()) {
            return Err(malformed("There is no such scope.".into(), &remedy));
        }
        if !LASTS.contains(&wanted.lasts_s) {
            return Err(malformed(
                "A token is good for five minutes up to a year and a day.".into(),
                "Choose a time within these limits.",
            ));
        }
        let snapshot = self.settings();
        let config = Self::config(&snapshot)?;
        let unknown = |customer| !config.customers.contains_key(customer);
        if wanted.customers.as_ref().is_some_and(|all| all.is_empty() || all.iter().any(unknown)) {
            return Err(malformed(
                "A customer of the token is not in the configuration.".into(),
                "Name customers by their ids, or none where it is for all of them.",
            ));
        }
        let token = Zeroizing::new(format!("{PREFIX}{}", sealed::random(32).map_err(|_| no_randomness())?));
        let now = self.clock.now();
        let kept = ApiToken {
            id: format!("t-{}", crate::random::letters(10)),
            name,
            token: hashed(&token),
            scopes: wanted.scopes.iter().cloned().collect(),
            customers: wanted.customers.as_ref().map(|all| all.iter().cloned().collect::<BTreeSet<_>>()),
            made_by: caller.actor(),
            from: now,
            until: now + TimeDelta::seconds(wanted.lasts_s.into()),
            ended: None,
        };
        let details = records::details([
            ("token", json!(kept.id)),
            ("name", json!(kept.name)),
            ("scopes", json!(kept.scopes)),
            ("customers", json!(kept.customers)),
            ("until", json!(kept.until)),
        ]);
        let of = shown(&kept);
        self.change_tokens(
            caller,
            "token.made",
            details,
            TokenChange { api_tokens: vec![kept], ..TokenChange::default() },
        )
        .await?;
        Ok(TokenMade { token, of })
    }

    /// Every token that is kept.
    ///
    /// # Errors
    /// Not an administrator; ledger down.
    pub(in crate::broker) async fn tokens(&self, caller: &Caller) -> Result<Vec<TokenShown>, Problem> {
        caller.require_administrator()?;
        let found = self.ledger.tokens().api_tokens().await.map_err(|e| ledger_problem(&e))?;
        Ok(found.iter().map(shown).collect())
    }

    /// Revokes a token. One that is revoked stays so.
    ///
    /// # Errors
    /// Not an administrator; no such token; ledger down.
    pub(in crate::broker) async fn revoke_token(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<TokenShown, Problem> {
        caller.require_administrator()?;
        let one = |all: Vec<TokenShown>| all.into_iter().find(|token| token.id == id);
        let Some(found) = one(self.tokens(caller).await?) else {
            return Err(Problem::new(Code::MalformedRequest, "There is no such token.")
                .remedy("`ticketgate tokens list` lists them."));
        };
        if found.ended.is_some() {
            return Ok(found);
        }
        let details = records::details([("token", json!(id)), ("name", json!(found.name))]);
        let change = TokenChange { api_ended: vec![id.to_owned()], ..TokenChange::default() };
        self.change_tokens(caller, "token.revoked", details, change).await?;
        one(self.tokens(caller).await?).ok_or_else(super::super::service::fault)
    }

    async fn change_tokens(
        &self,
        caller: &Caller,
        action: &'static str,
        details: records::Details,
        tokens: TokenChange,
    ) -> Result<(), Problem> {
        let change = Change {
            name: "ledger.tokens",
            at: self.clock.now(),
            audit: vec![records::record(None, action, &caller.actor(), "ok", details)],
            tokens,
            ..Change::default()
        };
        self.commit(change).await.map_err(|e| ledger_problem(&e))
    }
}

fn shown(token: &ApiToken) -> TokenShown {
    TokenShown {
        id: token.id.clone(),
        name: token.name.clone(),
        scopes: token.scopes.iter().cloned().collect(),
        customers: token.customers.as_ref().map(|all| all.iter().cloned().collect()),
        made_by: token.made_by.clone(),
        from: token.from,
        until: token.until,
        ended: token.ended,
    }
}
