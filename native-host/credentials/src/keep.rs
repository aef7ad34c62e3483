//! Secrets that the program is given and has to find again after a restart: where they are kept. What they are for is known elsewhere.

use crate::{MachineSecrets, NoSecret, Secret, keyring};

/// Keeps secrets by name. Every call may wait, for a person who unlocks the store among others.
pub trait KeepSecret: Send + Sync {
    /// The secret of this name, if there is one.
    ///
    /// # Errors
    /// [`NoSecret`]: the store cannot be asked.
    fn find(&self, name: &str) -> Result<Option<Secret>, NoSecret>;

    /// Keeps a secret under this name, in place of an earlier one.
    ///
    /// # Errors
    /// [`NoSecret`]: it is not kept.
    fn keep(&self, name: &str, secret: Secret) -> Result<(), NoSecret>;

    /// Forgets the secret of this name; that there is none is no error.
    ///
    /// # Errors
    /// [`NoSecret`]: it may still be there.
    fn forget(&self, name: &str) -> Result<(), NoSecret>;
}

/// In the operating system's key store.
impl KeepSecret for MachineSecrets {
    fn find(&self, name: &str) -> Result<Option<Secret>, NoSecret> {
        keyring::find(name).map_err(NoSecret)
    }

    fn keep(&self, name: &str, secret: Secret) -> Result<(), NoSecret> {
        keyring::keep(name, secret).map_err(NoSecret)
    }

    fn forget(&self, name: &str) -> Result<(), NoSecret> {
        match keyring::find(name).map_err(NoSecret)? {
            Some(_) => keyring::forget(name).map_err(NoSecret),
            None => Ok(()),
        }
    }
}
