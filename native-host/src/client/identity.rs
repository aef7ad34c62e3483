//! Who signed in to the team's broker on this machine: a key of this machine's own, the token that is bound to it, and what renews it,
//! all in the operating system's key store. Every browser's relay and every command line of the person share the one entry.

mod kept;
mod renewal;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_credentials::{KeepSecret, MachineSecrets, NoSecret};
use ticketgate_protocol::problem::{Code, Problem};
use tokio::sync::Notify;
use zeroize::Zeroizing;

use super::proof::{ProofKey, Proved};
use crate::places::Places;
use crate::team::Team;

/// A token is renewed when so much of its time is left, or a quarter of it where that is less.
const RENEWED_BEFORE: TimeDelta = TimeDelta::minutes(10);

/// Who signed in, for one broker. Cheap to ask: what was found once is remembered until the broker no longer takes it.
pub struct Identity {
    store: Arc<dyn KeepSecret>,
    /// Under this name the key store has it.
    name: String,
    /// One process at a time renews; the folder is this person's alone.
    lock: PathBuf,
    renews: Renews,
    state: Mutex<State>,
    changed: Notify,
}

/// How this process renews a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renews {
    /// By itself, before it goes on.
    Here,
    /// By a program that goes on when this process is ended half-way, as a browser does with its relay: a provider may take what renews
    /// a sign-in once only, and what it gave for it must not get lost.
    With(PathBuf),
}

#[derive(Default)]
struct State {
    held: Option<Arc<SignedIn>>,
    /// The word that a broker wants to find in proofs, by the number of its address.
    nonces: BTreeMap<usize, String>,
    /// One at a time also within this process.
    is_renewing: bool,
    /// After a renewal that failed.
    not_before: Option<DateTime<Utc>>,
}

/// A key, and the token that it goes with. Prints without either.
pub struct SignedIn {
    key: ProofKey,
    token: Option<Zeroizing<String>>,
    technician: String,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
}

impl Identity {
    /// The one of this person on this machine.
    #[must_use]
    pub fn of_this_machine(team: &Team, places: &Places) -> Self {
        Self::kept_in(Arc::new(MachineSecrets), team, places)
    }

    /// The same in another store.
    #[must_use]
    pub fn kept_in(store: Arc<dyn KeepSecret>, team: &Team, places: &Places) -> Self {
        // By the first address: another one behind it is the same team's.
        let first = team.addresses.first().map(crate::team::Address::authority).unwrap_or_default();
        Self {
            store,
            name: format!("broker/{first}"),
            lock: places.state.join("sign-in.lock"),
            renews: Renews::Here,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// The same, renewing in another way.
    #[must_use]
    pub fn renewing(mut self, how: Renews) -> Self {
        self.renews = how;
        self
    }

    /// Who is signed in, as far as this process knows.
    pub(super) fn held(&self) -> Option<Arc<SignedIn>> {
        self.state().held.clone()
    }

    /// Who is signed in. Nobody where nobody is.
    ///
    /// # Errors
    /// [`NoSecret`]: the key store cannot be asked.
    pub async fn current(&self) -> Result<Option<Arc<SignedIn>>, NoSecret> {
        match self.held() {
            Some(held) => Ok(Some(held)),
            None => self.look().await,
        }
    }

    /// The same after a look into the key store: another process may have signed in, renewed or signed out.
    ///
    /// # Errors
    /// As [`Identity::current`].
    pub async fn look(&self) -> Result<Option<Arc<SignedIn>>, NoSecret> {
        let found = self.find().await?.map(Arc::new);
        let before = std::mem::replace(&mut self.state().held, found.clone());
        let is_same = match (&before, &found) {
            (Some(before), Some(found)) => before.is_same_as(found),
            (before, found) => before.is_none() && found.is_none(),
        };
        if !is_same {
            self.changed.notify_waiters();
        }
        Ok(found)
    }

    /// Waits until somebody signs in or out, or a sign-in is renewed, as far as this process hears of it.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn nonce(&self, at: usize) -> Option<String> {
        self.state().nonces.get(&at).cloned()
    }

    pub(super) fn hear_nonce(&self, at: usize, nonce: &str) {
        let mut state = self.state();
        if state.nonces.get(&at).is_none_or(|known| known != nonce) {
            state.nonces.insert(at, nonce.to_owned());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SignedIn {
    /// Nobody yet: the key with which somebody is about to sign in.
    #[must_use]
    pub fn nobody(key: ProofKey) -> Self {
        let now = Utc::now();
        Self { key, token: None, technician: String::new(), from: now, until: now }
    }

    /// Who that is, as the broker knows them.
    #[must_use]
    pub fn technician(&self) -> &str {
        &self.technician
    }

    /// Until when the token is taken, by this machine's clock.
    #[must_use]
    pub const fn until(&self) -> DateTime<Utc> {
        self.until
    }

    /// The key that it goes with.
    #[must_use]
    pub const fn key(&self) -> &ProofKey {
        &self.key
    }

    /// Whether it is the same token.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.token == other.token
    }

    fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.until <= now
    }

    fn is_nearly_over(&self, now: DateTime<Utc>) -> bool {
        let before = RENEWED_BEFORE.min((self.until - self.from) / 4);
        self.until - before <= now
    }

    /// The headers `Authorization`, where there is a token, and `DPoP` of a request.
    pub(super) fn headers(
        &self,
        method: &str,
        url: &str,
        nonce: Option<&str>,
    ) -> Option<(Option<Zeroizing<String>>, String)> {
        let token = self.token.as_deref().map(String::as_str);
        let proof = self.key.prove(Proved { method, url, token, nonce }, Utc::now()).ok()?;
        Some((token.map(|token| Zeroizing::new(format!("DPoP {token}"))), proof))
    }
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIn")
            .field("technician", &self.technician)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The key store does not give the sign-in away.
pub(super) fn unread(NoSecret(why): &NoSecret) -> Problem {
    signed_out(&format!("The sign-in on this machine cannot be read: {why}."))
        .remedy("Unlock the key store, then sign in again.")
}

/// The key store does not take the sign-in.
pub(super) fn unkept(NoSecret(why): &NoSecret) -> Problem {
    signed_out(&format!("You signed in, but this machine cannot keep it: {why}."))
        .remedy("Unlock the key store, then sign in again.")
}

/// Nobody is signed in to the team's broker here. 401, as the broker itself says it: a tenant's is 503.
#[must_use]
pub fn signed_out(detail: &str) -> Problem {
    let mut problem = Problem::new(Code::SignInNeeded, detail).remedy("Sign in: ticketgate sign-in");
    problem.status = 401;
    problem
}

#[cfg(test)]
mod tests;
