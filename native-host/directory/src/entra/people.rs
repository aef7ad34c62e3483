//! The sign-ins of people by which a broker acts in tenants: renewed here, kept in the key store, one for all tenants that the people
//! of one home reach by one application. How somebody signs in: `signing_in.rs`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use ticketgate_access::config::Entra;
use ticketgate_credentials::{KeepSecret, MachineSecrets, NoSecret, Secret};
use tokio::time::Instant;

use super::authority::{self, Granted, NoToken, Token};
use super::failure::{of_person, sign_in_again, unanswered};
use super::signing_in::Begun;
use crate::DirectoryError;

/// Longest name of an account that is shown.
const NAME_MAX: usize = 120;

/// Who signed in, for all tenants of a broker.
pub struct SignIns {
    pub(super) keep: Arc<dyn KeepSecret>,
    known: Mutex<HashMap<String, Arc<Person>>>,
    /// What was begun and not finished yet.
    pub(super) begun: Mutex<Vec<Begun>>,
}

/// One sign-in.
pub(super) struct Person {
    /// Its name in the key store.
    name: String,
    /// Held while it is renewed, since the answer may replace what it is renewed by; in it what the store has not taken yet.
    unkept: tokio::sync::Mutex<Option<Secret>>,
    /// How often somebody signed in or out.
    count: AtomicU64,
    facts: Mutex<Facts>,
    /// The mark of what the store had when this process first looked, or of what somebody signed in with since; nothing where there was
    /// none.
    found: Mutex<Option<Option<String>>>,
}

#[derive(Default)]
struct Facts {
    /// The account's name, once Entra ID said it.
    account: Option<String>,
    /// What the next sign-in has to show besides (a claims challenge).
    claims: Option<String>,
}

impl Default for SignIns {
    /// With the operating system's key store.
    fn default() -> Self {
        Self::kept_by(Arc::new(MachineSecrets))
    }
}

impl SignIns {
    /// Kept by the caller's own means.
    #[must_use]
    pub fn kept_by(keep: Arc<dyn KeepSecret>) -> Self {
        Self { keep, known: Mutex::default(), begun: Mutex::default() }
    }

    /// # Errors
    /// [`DirectoryError::Misconfigured`]: the application itself signs in to this tenant.
    pub(super) fn person(&self, settings: &Entra) -> Result<Arc<Person>, DirectoryError> {
        let name = settings.sign_in_name().ok_or_else(|| {
            DirectoryError::Misconfigured(
                "the application itself signs in to this tenant; people do where sign_in = \"technician\" is set".into(),
            )
        })?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Arc::new(Person {
                name: name.clone(),
                unkept: tokio::sync::Mutex::default(),
                count: AtomicU64::new(0),
                facts: Mutex::default(),
                found: Mutex::default(),
            })
        };
        Ok(Arc::clone(known.entry(name.clone()).or_insert_with(new)))
    }

    /// How often somebody signed in to this tenant, or out, while this process runs.
    pub(super) fn count(&self, settings: &Entra) -> u64 {
        self.person(settings).map(|person| person.count.load(Ordering::SeqCst)).unwrap_or_default()
    }

    /// The account that is signed in, as far as Entra ID has said it to this process.
    pub(super) fn account(&self, settings: &Entra) -> Option<String> {
        self.person(settings).ok()?.facts().account.clone()
    }

    /// The next sign-in has to show this besides.
    pub(super) fn challenged(&self, settings: &Entra, claims: Option<String>) {
        if let (Ok(person), Some(claims)) = (self.person(settings), claims) {
            person.facts().claims = Some(claims);
        }
    }

    /// A token for this tenant by the sign-in that is kept.
    ///
    /// # Errors
    /// [`DirectoryError`]
    pub(super) async fn token(&self, http: &reqwest::Client, settings: &Entra) -> Result<Token, NoToken> {
        let (person, keep) = (self.person(settings)?, Arc::clone(&self.keep));
        let (http, settings) = (http.clone(), settings.clone());
        // What is answered may be the only thing that is good from then on: whoever asked may stop waiting, this may not.
        let renewed = tokio::spawn(async move { person.renew(&keep, &http, &settings).await }).await;
        renewed.unwrap_or_else(|_| {
            Err(DirectoryError::Refused("the sign-in could not be renewed".into()).into())
        })
    }

    /// Whether the store had what has this mark when this process first looked; `None`: it had nothing.
    ///
    /// # Errors
    /// [`DirectoryError`]
    pub(super) async fn keeps(&self, settings: &Entra, wanted: &str) -> Result<Option<bool>, DirectoryError> {
        let person = self.person(settings)?;
        // No renewal meanwhile.
        let _unkept = person.unkept.lock().await;
        let known = person.found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let first = match known {
            Some(first) => first,
            None => {
                let name = person.name.clone();
                person.found_first(store(&self.keep, move |keep| keep.find(&name)).await?.as_ref())
            }
        };
        Ok(first.map(|mark| mark == wanted))
    }

    /// Forgets the sign-in, here and in the key store.
    ///
    /// # Errors
    /// [`DirectoryError`]: it may still be in the store.
    pub(super) async fn sign_out(&self, settings: &Entra) -> Result<(), DirectoryError> {
        let person = self.person(settings)?;
        let mut unkept = person.unkept.lock().await;
        *unkept = None;
        person.changed(Facts::default());
        let name = person.name.clone();
        store(&self.keep, move |keep| keep.forget(&name)).await?;
        person.found_now(None);
        Ok(())
    }
}

impl Person {
    fn facts(&self) -> std::sync::MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the store had first.
    fn found_first(&self, found: Option<&Secret>) -> Option<String> {
        let mut first = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| found.map(mark)).clone()
    }

    fn found_now(&self, found: Option<String>) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }

    pub(super) fn claims(&self) -> Option<String> {
        self.facts().claims.clone()
    }

    /// From now on another sign-in counts: tokens of the one before are used no more.
    fn changed(&self, facts: Facts) {
        *self.facts() = facts;
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// A new token, and with it often a new secret for the next time, which is kept before the token is used.
    async fn renew(
        &self,
        keep: &Arc<dyn KeepSecret>,
        http: &reqwest::Client,
        settings: &Entra,
    ) -> Result<Token, NoToken> {
        let mut unkept = self.unkept.lock().await;
        let name = self.name.clone();
        let refresh = match unkept.clone() {
            Some(unkept) => unkept,
            None => {
                let found = store(keep, move |keep| keep.find(&name)).await?;
                self.found_first(found.as_ref());
                found.ok_or_else(|| sign_in_again(settings, "nobody is signed in".into()))?
            }
        };
        let tenant = settings.tenant.as_str();
        let scope = scope(settings);
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", settings.client_id.as_str()),
            // To the tenant's token endpoint, inside TLS.
            ("refresh_token", refresh.expose()),
            ("scope", scope.as_str()),
        ];
        let asked = Instant::now();
        let answer = authority::post(http, &authority::address(settings, tenant, "token"), &form).await?;
        let body = answer.map_err(|refused| {
            if refused.said.claims.is_some() {
                self.facts().claims.clone_from(&refused.said.claims);
            }
            refused.meaning(of_person(refused.status, &refused.said, settings, tenant))
        })?;
        let mut granted: Granted = ticketgate_https::json(&body).map_err(unanswered)?;
        if let Some(account) = account(granted.id_token.as_deref()) {
            self.facts().account = Some(account);
        }
        let next = granted.refresh_token.take().map(Secret::new);
        // Compared in memory: both are the same person's.
        let next = next.filter(|next| next.expose() != refresh.expose()).or_else(|| unkept.take());
        if let Some(next) = next {
            let (name, again) = (self.name.clone(), next.clone());
            *unkept = store(keep, move |keep| keep.keep(&name, again)).await.err().map(|error| {
                // A store that is locked for a while must not cost the sign-in: it is tried again at the next renewal.
                tracing::warn!(%error, "the renewed sign-in could not be kept yet");
                next
            });
        }
        Ok(granted.token(asked)?)
    }
}

/// What somebody signed in with, before it is kept. Prints without it.
pub struct Grant {
    person: Arc<Person>,
    keep: Arc<dyn KeepSecret>,
    refresh: Secret,
    account: String,
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Grant {
    /// # Errors
    /// [`DirectoryError`]: nothing was given that lasts.
    pub(super) fn new(
        person: Arc<Person>,
        keep: Arc<dyn KeepSecret>,
        mut granted: Granted,
    ) -> Result<Self, DirectoryError> {
        let refresh = granted.refresh_token.take().map(Secret::new).ok_or_else(|| {
            DirectoryError::Bind(
                "Entra ID gave nothing by which the sign-in lasts (no refresh token): the application has to be one for people \
                 (\"Mobile and desktop applications\")"
                    .into(),
            )
        })?;
        let account =
            account(granted.id_token.as_deref()).unwrap_or_else(|| "an account without a name".into());
        Ok(Self { person, keep, refresh, account })
    }

    /// The account's name.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// By this it is known again in the key store ([`super::EntraTenant::keeps_sign_in`]): a part of a digest, by which nobody signs in.
    #[must_use]
    pub fn mark(&self) -> String {
        mark(&self.refresh)
    }

    /// Keeps it: from now on it counts. Not to be given up half-way.
    ///
    /// # Errors
    /// [`DirectoryError`]: the key store takes nothing. The sign-in before then stays.
    pub async fn keep(self) -> Result<(), DirectoryError> {
        let Self { person, keep, refresh, account } = self;
        let mut unkept = person.unkept.lock().await;
        let name = person.name.clone();
        let mark = mark(&refresh);
        store(&keep, move |keep| keep.keep(&name, refresh)).await?;
        *unkept = None;
        person.found_now(Some(mark));
        person.changed(Facts { account: Some(account), claims: None });
        Ok(())
    }
}

/// 64 bits of a digest of what a sign-in is renewed by.
fn mark(refresh: &Secret) -> String {
    // Into the digest alone.
    let digest = Sha256::digest(refresh.expose());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// What is asked for: all that is consented for people, and that it lasts.
pub(super) fn scope(settings: &Entra) -> String {
    format!("{}/.default offline_access openid profile", settings.cloud.graph_host())
}

/// The account's name of an id token that came from the token's endpoint itself: nobody else could have written it (OpenID Connect
/// Core §3.1.3.7, 6). Shown and recorded, never decided on.
fn account(id_token: Option<&str>) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        preferred_username: Option<String>,
        sub: Option<String>,
    }
    let claims: Claims = authority::claims(id_token?)?;
    let name = claims.preferred_username.or(claims.sub)?;
    let shown: String =
        name.chars().filter(|c| !ticketgate_protocol::text::is_forbidden(*c)).take(NAME_MAX).collect();
    Some(shown).filter(|shown| !shown.is_empty())
}

/// The store waits, for people among others.
async fn store<T: Send + 'static>(
    keep: &Arc<dyn KeepSecret>,
    work: impl FnOnce(&dyn KeepSecret) -> Result<T, NoSecret> + Send + 'static,
) -> Result<T, DirectoryError> {
    let keep = Arc::clone(keep);
    match tokio::task::spawn_blocking(move || work(keep.as_ref())).await {
        Ok(done) => done.map_err(|NoSecret(why)| {
            DirectoryError::NoSecret(format!(
                "{why}; a person's sign-in is kept in a key store, or sign_in = \"app\" needs none"
            ))
        }),
        Err(_) => Err(DirectoryError::NoSecret("the key store failed".into())),
    }
}
