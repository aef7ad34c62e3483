//! Somebody signs in to the broker: in the browser (authorization code with PKCE, RFC 7636, to an address of the person's machine, RFC
//! 8252) or by a code on another device (RFC 8628); and renews it. The provider says who it is, the configuration who that is here.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use ticketgate_access::config::Technician;
use ticketgate_ledger::{Change, Issued, LedgerError, SignIn, TokenChange};
use ticketgate_protocol::api::Finding;
use ticketgate_protocol::problem::{Code, Problem};
use zeroize::Zeroizing;

use super::super::{Broker, ledger_problem, records};
use super::id_token::{self, Person};
use super::provider::{Granted, Provider, Trouble};
use super::sealed::{self, How, UnderWay};
use super::{RelayKey, ShownToken, hashed, sign_in_again};
use crate::sign_in::team::{Refresh, RenewalWanted, SignedIn, TeamCame, TeamSignInGoesOn, TeamSignInStands};
use crate::sign_in::{SignInAsked, SignInWanted};

/// For so long a browser is waited for, in seconds.
const BROWSER_LASTS_S: u32 = 600;

/// A device's code is believed to last so long at most, in seconds.
const DEVICE_LASTS_MAX_S: u32 = 3600;

/// A device asks no more often than this, and after `slow_down` by this more seldom, in seconds (RFC 8628 §3.5).
const PAUSE_S: u32 = 5;

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

impl Broker {
    /// The provider, connected.
    pub(super) async fn provider(&self) -> Result<Arc<Provider>, Problem> {
        let settings = self.provider_settings()?;
        let mut known = self.identity.provider.lock().await;
        if let Some(provider) = known.as_ref().filter(|provider| provider.settings == settings) {
            return Ok(Arc::clone(provider));
        }
        let provider = Arc::new(Provider::new(settings).map_err(|trouble| unusable(&trouble))?);
        *known = Some(Arc::clone(&provider));
        Ok(provider)
    }

    /// Whether the provider can be used, for an administrator.
    pub(in crate::broker) async fn check_sign_in(&self) -> Finding {
        let (level, text, remedy) = match self.provider().await {
            Err(problem) => ("error", problem.detail, problem.remedy),
            Ok(provider) => match provider.discovered().await {
                Ok(discovered) => {
                    let device = if discovered.device_authorization_endpoint.is_some() {
                        "in the browser and by a code on another device"
                    } else {
                        "in the browser only"
                    };
                    let text = format!("People can sign in at {} {device}.", provider.settings.issuer);
                    ("ok", text, String::new())
                }
                Err(trouble) => (
                    "error",
                    format!("Nobody can sign in: {trouble}."),
                    "Whoever is signed in goes on until that sign-in ends; docs/sign-in.md says what the provider needs."
                        .into(),
                ),
            },
        };
        Finding { level: level.into(), subject: "sign_in".into(), text, remedy }
    }

    /// Begins a sign-in, which is bound to this key.
    ///
    /// # Errors
    /// No provider is configured, or it does not answer, or refuses.
    pub(in crate::broker) async fn begin_team_sign_in(
        &self,
        relay: &RelayKey,
        wanted: SignInWanted,
    ) -> Result<SignInAsked, Problem> {
        let provider = self.provider().await?;
        let discovered = provider.discovered().await.map_err(|trouble| unusable(&trouble))?;
        let scope = provider.scope(&discovered);
        let settings = &provider.settings;
        let (how, mut asked) = match wanted.port {
            Some(port) => {
                let [state, verifier, nonce] = [random()?, random()?, random()?];
                let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
                let redirect = format!("http://localhost:{port}");
                let mut query = vec![
                    ("client_id", settings.client_id.as_str()),
                    ("response_type", "code"),
                    ("redirect_uri", &redirect),
                    ("scope", &scope),
                    ("state", &state),
                    ("nonce", &nonce),
                    ("code_challenge", &challenge),
                    ("code_challenge_method", "S256"),
                ];
                if !discovered.lasts_by_scope() {
                    // Google's word for it, and each time, or the second time nothing is given that lasts.
                    query.extend([("access_type", "offline"), ("prompt", "consent")]);
                }
                let page = &discovered.authorization_endpoint;
                let before = if page.contains('?') { '&' } else { '?' };
                let query = ticketgate_https::form(&query);
                let address = format!("{page}{before}{}", String::from_utf8_lossy(&query));
                let asked = asked(address, Some(state.clone()), None, BROWSER_LASTS_S, 0);
                (How::Browser { state, verifier, nonce, redirect }, asked)
            }
            None => {
                let given = provider.device_code(&discovered, &scope).await.map_err(|t| unusable(&t))?;
                let after_s = given.interval.unwrap_or(PAUSE_S).clamp(PAUSE_S, 60);
                let lasts_s = given.expires_in.min(DEVICE_LASTS_MAX_S);
                let asked = asked(given.verification_uri, None, Some(given.user_code), lasts_s, after_s);
                (How::Device { code: given.device_code, after_s }, asked)
            }
        };
        let under_way = UnderWay {
            key: relay.key.clone(),
            issuer: settings.issuer.clone(),
            client_id: settings.client_id.clone(),
            until: self.clock.now() + TimeDelta::seconds(asked.lasts_s.into()),
            how,
        };
        asked.id = sealed::seal(&under_way, &self.shared_key().await?).map_err(|_| no_randomness())?;
        Ok(asked)
    }

    /// Goes on with one. Who is signed in is on record before the token is told.
    ///
    /// # Errors
    /// It was not begun here or by another key, took too long, or was declined; the provider does not answer or what it says is not in
    /// order; the person is none of the configuration; the ledger cannot be written.
    pub(in crate::broker) async fn finish_team_sign_in(
        &self,
        relay: &RelayKey,
        on: &TeamSignInGoesOn,
    ) -> Result<TeamSignInStands, Problem> {
        let provider = self.provider().await?;
        let settings = &provider.settings;
        let under_way = sealed::unseal(&on.id, &self.shared_key().await?)
            .filter(|begun| begun.key == relay.key && begun.issuer == settings.issuer)
            .filter(|begun| begun.client_id == settings.client_id)
            .ok_or_else(|| sign_in_again("This sign-in was not begun from here."))?;
        if self.clock.now() >= under_way.until {
            return Err(sign_in_again("The time for this sign-in is over."));
        }
        let (granted, nonce) = match (&under_way.how, &on.came) {
            (How::Browser { state, verifier, nonce, redirect }, Some(came)) => {
                self.came_from_there(&provider, came, state).await?;
                let form = [
                    ("grant_type", "authorization_code"),
                    ("code", came.code.as_str()),
                    ("code_verifier", verifier),
                    ("redirect_uri", redirect),
                ];
                (provider.token(&form).await, Some(nonce.as_str()))
            }
            (How::Device { code, .. }, None) => {
                let form = [("grant_type", DEVICE_GRANT), ("device_code", code.as_str())];
                (provider.token(&form).await, None)
            }
            _ => return Err(sign_in_again("This sign-in goes on in another way.")),
        };
        let granted = match (granted, &under_way.how) {
            (Ok(granted), _) => granted,
            (Err(Trouble::Refused { error, .. }), How::Device { after_s, .. })
                if error == "authorization_pending" =>
            {
                return Ok(TeamSignInStands { signed_in: None, after_s: Some(*after_s) });
            }
            (Err(Trouble::Refused { error, .. }), How::Device { after_s, .. }) if error == "slow_down" => {
                return Ok(TeamSignInStands { signed_in: None, after_s: Some(after_s + PAUSE_S) });
            }
            (Err(trouble), _) => return Err(self.not_signed_in(&trouble, relay.address).await?),
        };
        let person = match self.person(&provider, &granted, nonce).await {
            Ok(person) => person,
            Err(trouble) => return Err(self.not_signed_in(&trouble, relay.address).await?),
        };
        let technician = self.technician_of(&person, relay.address).await?;
        let now = self.clock.now();
        let sign_in = SignIn {
            id: format!("i-{}", crate::random::letters(16)),
            technician: technician.id,
            issuer: settings.issuer.clone(),
            claim: settings.claim.clone(),
            value: person.value,
            subject: person.subject,
            session: person.session,
            name: person.name,
            groups: person.groups,
            key: relay.key.clone(),
            from: now,
            renewed: now,
            until: now + TimeDelta::seconds(settings.lasts_s.into()),
            ended: None,
            ended_by: None,
        };
        let signed_in = self.issue(sign_in, "sign_in.done", relay.address, granted.refresh_token).await?;
        Ok(TeamSignInStands { signed_in: Some(signed_in), after_s: None })
    }

    /// Renews a sign-in by what the provider gave for that. A provider that gives no more ends it.
    ///
    /// # Errors
    /// As [`Broker::finish_team_sign_in`].
    pub(in crate::broker) async fn renew_team_sign_in(
        &self,
        shown: ShownToken,
        wanted: RenewalWanted,
    ) -> Result<SignedIn, Problem> {
        let ShownToken { sign_in, address, .. } = shown;
        let Some(Refresh(refresh)) = wanted.refresh else {
            return Err(sign_in_again("Your sign-in is over."));
        };
        let provider = self.provider().await?;
        // Without a scope: what was granted then is what is granted again (RFC 6749 §6), and asking for more is refused.
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
        let renewed = match provider.token(&form).await {
            Ok(granted) => self.person(&provider, &granted, None).await.map(|person| (granted, person)),
            Err(trouble) => Err(trouble),
        };
        let (granted, person) = match renewed {
            Ok(renewed) => renewed,
            // Gone for good: the person left, or somebody ended it there.
            Err(Trouble::Refused { error, .. })
                if error == "invalid_grant" || error == "interaction_required" =>
            {
                self.end_sign_ins(&[sign_in], "provider", address).await?;
                return Err(sign_in_again("The provider does not renew your sign-in any more."));
            }
            Err(trouble) => return Err(self.not_signed_in(&trouble, address).await?),
        };
        if person.subject != sign_in.subject || person.value != sign_in.value {
            self.end_sign_ins(&[sign_in], "provider", address).await?;
            return Err(sign_in_again("The provider renewed somebody else's sign-in."));
        }
        let technician = self.technician_of(&person, address).await?;
        let now = self.clock.now();
        let sign_in = SignIn {
            technician: technician.id,
            session: person.session.or(sign_in.session),
            name: person.name,
            groups: person.groups,
            renewed: now,
            until: now + TimeDelta::seconds(provider.settings.lasts_s.into()),
            ..sign_in
        };
        self.issue(sign_in, "sign_in.renewed", address, granted.refresh_token).await
    }

    /// Whether an answer is to our question, and of our provider (RFC 9207).
    async fn came_from_there(
        &self,
        provider: &Provider,
        came: &TeamCame,
        state: &str,
    ) -> Result<(), Problem> {
        let says_so = provider
            .discovered()
            .await
            .is_ok_and(|discovered| discovered.authorization_response_iss_parameter_supported);
        let of_ours = match &came.iss {
            Some(iss) => *iss == provider.settings.issuer,
            None => !says_so,
        };
        if came.state != state || !of_ours {
            return Err(sign_in_again(
                "The browser came back from another sign-in, so nobody was signed in.",
            ));
        }
        Ok(())
    }

    async fn person(
        &self,
        provider: &Provider,
        granted: &Granted,
        nonce: Option<&str>,
    ) -> Result<Person, Trouble> {
        let missing = || super::jwt::BadToken::Claim("it gave no ID token".into());
        let token = granted.id_token.as_deref().ok_or_else(missing)?;
        let claims = provider.claims(token).await?;
        Ok(id_token::person(&claims, &provider.settings, nonce, self.clock.now())?)
    }

    /// Who somebody is here. Somebody who is nobody is on record, with what an administrator would write for them.
    async fn technician_of(&self, person: &Person, address: SocketAddr) -> Result<Technician, Problem> {
        let snapshot = self.settings();
        let config = Self::config(&snapshot)?;
        if let Some(technician) = config.technician_by_sign_in(&person.value) {
            return Ok(technician.clone());
        }
        let details = records::details([
            ("name", json!(person.name)),
            ("value", json!(person.value)),
            ("address", json!(address.ip())),
            ("why", json!("no technician has this sign_in")),
        ]);
        self.record_refusal(&person.value, details).await?;
        let shown = records::printable(&person.name);
        Err(Problem::new(
            Code::NotATechnician,
            format!("You signed in as {shown}, who is not a technician in the broker's configuration."),
        )
        .remedy(format!(
            "Ask an administrator to add sign_in = \"{}\" to your [[technician]].",
            records::printable(&person.value)
        )))
    }

    /// Nobody is signed in: on record, with the sentence that an administrator needs; the person hears less.
    ///
    /// # Errors
    /// The ledger cannot be written.
    async fn not_signed_in(&self, trouble: &Trouble, address: SocketAddr) -> Result<Problem, Problem> {
        let problem = match trouble {
            Trouble::Down(_) => return Ok(unusable(trouble)),
            Trouble::Refused { error, .. } => match error.as_str() {
                "access_denied" | "authorization_declined" => sign_in_again("The sign-in was declined."),
                "expired_token" => sign_in_again("The time for this sign-in is over."),
                "invalid_grant" | "bad_verification_code" => sign_in_again(
                    "The provider does not take this sign-in: its code was used, or is too old.",
                ),
                _ => unusable(trouble),
            },
            Trouble::Token(_) => Problem {
                remedy:
                    "Tell an administrator: the audit log says what is wrong with it (`sign_in.refused`)."
                        .into(),
                ..sign_in_again("What the provider says of you cannot be taken.")
            },
        };
        tracing::warn!(%trouble, %address, "nobody was signed in");
        let why = records::printable(&trouble.to_string());
        let details = records::details([("address", json!(address.ip())), ("why", json!(why))]);
        self.record_refusal(&why, details).await?;
        Ok(problem)
    }

    /// One record a minute of each kind: whoever refuses to be known is not to fill the log.
    async fn record_refusal(&self, kind: &str, details: records::Details) -> Result<(), Problem> {
        let record = records::record(None, "sign_in.refused", "nobody", "refused", details);
        let kind = format!("sign-in refused {kind}");
        self.record_once_a_minute(&kind, "ledger.sign_in_refused", record).await
    }

    /// Writes a sign-in with a new token, and tells the token.
    async fn issue(
        &self,
        sign_in: SignIn,
        action: &'static str,
        address: SocketAddr,
        refresh: Option<Zeroizing<String>>,
    ) -> Result<SignedIn, Problem> {
        let token = Zeroizing::new(random()?);
        let now: DateTime<Utc> = sign_in.renewed;
        let details = records::details([
            ("sign_in", json!(sign_in.id)),
            ("name", json!(records::printable(&sign_in.name))),
            ("groups", json!(sign_in.groups.len())),
            ("key", json!(sign_in.key)),
            ("address", json!(address.ip())),
            ("until", json!(sign_in.until)),
        ]);
        let issued =
            Issued { token: hashed(&token), sign_in: sign_in.id.clone(), from: now, until: sign_in.until };
        let (technician, name, until) = (sign_in.technician.clone(), sign_in.name.clone(), sign_in.until);
        let change = Change {
            name: "ledger.team_sign_in",
            at: now,
            audit: vec![records::record(None, action, technician.as_str(), "ok", details)],
            tokens: TokenChange { sign_ins: vec![sign_in], issued: vec![issued], ..TokenChange::default() },
            ..Change::default()
        };
        match self.commit(change).await {
            Ok(()) => {}
            Err(LedgerError::Conflict(_)) => return Err(sign_in_again("Your sign-in was ended meanwhile.")),
            Err(error) => return Err(ledger_problem(&error)),
        }
        Ok(SignedIn { token, until, now, technician, name, refresh: refresh.map(Refresh) })
    }
}

fn asked(
    address: String,
    state: Option<String>,
    user_code: Option<String>,
    lasts_s: u32,
    after_s: u32,
) -> SignInAsked {
    SignInAsked { id: String::new(), address, state, user_code, lasts_s, after_s }
}

/// 256 random bits.
fn random() -> Result<String, Problem> {
    sealed::random(32).map_err(|_| no_randomness())
}

pub(super) fn no_randomness() -> Problem {
    Problem::new(Code::Internal, "The broker's machine gives no randomness.")
        .remedy("Tell an administrator: the broker's log says more.")
}

/// The provider cannot be used now, for whatever reason: people can only wait.
pub(super) fn unusable(trouble: &Trouble) -> Problem {
    tracing::warn!(%trouble, "the provider of sign-ins");
    Problem::new(Code::ProviderDown, "The provider by which you sign in cannot be used at the moment.")
        .remedy("Try again in a moment; if it stays, tell an administrator: the broker's log says why.")
        .retry_after(10)
}
