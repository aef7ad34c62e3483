//! The sign-in as the key store has it: two entries, since what renews it can be as large as an entry may be on Windows (2,560 bytes).

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use ticketgate_credentials::{KeepSecret, NoSecret, Secret};
use zeroize::Zeroizing;

use super::{Identity, SignedIn};
use crate::client::proof::ProofKey;
use crate::handover::{read_secret, write_secret};
use crate::sign_in::team::{self, Refresh};

/// Key and token.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(serialize_with = "write_secret", deserialize_with = "read_secret")]
    key: Zeroizing<String>,
    #[serde(serialize_with = "write_secret", deserialize_with = "read_secret")]
    token: Zeroizing<String>,
    technician: String,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
}

impl Identity {
    /// What the key store has. What cannot be read was written by something else, and is as good as nothing.
    pub(super) async fn find(&self) -> Result<Option<SignedIn>, NoSecret> {
        let found = self.in_store(|store, name| store.find(name)).await?;
        let kept = found.and_then(|text| serde_json::from_str::<Kept>(text.expose()).ok());
        Ok(kept.and_then(|kept| {
            let Kept { key, token, technician, from, until } = kept;
            let key = ProofKey::read(&key).ok()?;
            Some(SignedIn { key, token: Some(token), technician, from, until })
        }))
    }

    /// What renews it.
    pub(in crate::client) async fn find_refresh(&self) -> Result<Option<Secret>, NoSecret> {
        self.in_store(|store, name| store.find(&refresh(name))).await
    }

    /// Keeps what a broker gave for this key, in place of an earlier one.
    ///
    /// # Errors
    /// [`NoSecret`]: it is not kept, and what there was before is as it was or gone.
    pub async fn keep(
        &self,
        key: &Zeroizing<String>,
        given: team::SignedIn,
    ) -> Result<Arc<SignedIn>, NoSecret> {
        // By this machine's clock, whatever the broker's says.
        let from = Utc::now();
        let until = from.checked_add_signed(given.until - given.now).unwrap_or(from);
        let (token, technician) = (given.token, given.technician.to_string());
        let kept = Kept { key: key.clone(), token, technician, from, until };
        let renews = given.refresh;
        let text = serde_json::to_string(&kept).map_err(|_| NoSecret("it cannot be written".into()))?;
        // What renews it first: should the second write fail, the token before it still goes with the same key.
        self.in_store(move |store, name| {
            if let Some(Refresh(text)) = renews {
                store.keep(&refresh(name), Secret::new(text.to_string()))?;
            }
            store.keep(name, Secret::new(text))
        })
        .await?;
        let Kept { key, token, technician, from, until } = kept;
        let key = ProofKey::read(&key).map_err(|why| NoSecret(why.to_string()))?;
        let signed_in = Arc::new(SignedIn { key, token: Some(token), technician, from, until });
        self.state().held = Some(Arc::clone(&signed_in));
        Ok(signed_in)
    }

    /// The key as it is kept, for a sign-in that is renewed.
    pub(super) async fn kept_key(&self) -> Result<Option<Zeroizing<String>>, NoSecret> {
        let found = self.in_store(|store, name| store.find(name)).await?;
        Ok(found.and_then(|text| serde_json::from_str::<Kept>(text.expose()).ok()).map(|kept| kept.key))
    }

    /// Forgets it, on this machine. That there is none is no error.
    ///
    /// # Errors
    /// [`NoSecret`]: it may still be there.
    pub async fn forget(&self) -> Result<(), NoSecret> {
        self.state().held = None;
        self.in_store(|store, name| {
            let token = store.forget(name);
            store.forget(&refresh(name)).and(token)
        })
        .await
    }

    /// Forgets what renewed it: it does not any more.
    pub(super) async fn forget_refresh(&self) -> Result<(), NoSecret> {
        self.in_store(|store, name| store.forget(&refresh(name))).await
    }

    /// Key stores wait, for a person who unlocks them among others.
    async fn in_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn KeepSecret, &str) -> Result<T, NoSecret> + Send + 'static,
    ) -> Result<T, NoSecret> {
        let (store, name) = (Arc::clone(&self.store), self.name.clone());
        let done = tokio::task::spawn_blocking(move || work(&*store, &name)).await;
        done.unwrap_or_else(|_| Err(NoSecret("the key store was not asked".into())))
    }
}

fn refresh(name: &str) -> String {
    format!("{name}/refresh")
}
