//! What the ledger last said of accounts with open sessions: what is over can be taken away by it when the ledger cannot be
//! read any more. Kept as short texts, because there can be many: some 300 bytes for an account with a session.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use ticketgate_access::session::{Account, AccountKey, Right, Session};
use ticketgate_protocol::api::{Mode, State};
use ticketgate_protocol::ids::{CustomerId, DirectoryId, PolicyId, SessionId, TechnicianId};

/// Accounts with open sessions, by key.
#[derive(Default)]
pub(super) struct Remembered(Mutex<HashMap<AccountKey, Box<[u8]>>>);

/// What taking away needs. Tuples, so that no names are kept.
#[derive(Serialize, Deserialize)]
struct Kept(
    DirectoryId,
    Mode,
    TechnicianId,
    String,
    Option<String>,
    String,
    u64,
    Vec<Right>,
    Vec<KeptSession>,
);

#[derive(Serialize, Deserialize)]
struct KeptSession(SessionId, State, CustomerId, PolicyId, Vec<Right>, DateTime<Utc>, DateTime<Utc>);

impl Remembered {
    /// Keeps what an end takes; nothing where no session is open.
    pub(super) fn keep(&self, account: &Account, sessions: &[Session]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.is_empty() {
            kept.remove(&account.key);
            return;
        }
        let session = |s: &Session| {
            KeptSession(
                s.id.clone(),
                s.state,
                s.customer.clone(),
                s.policy.clone(),
                s.rights.clone(),
                s.from,
                s.until,
            )
        };
        let account_kept = Kept(
            account.directory.clone(),
            account.mode,
            account.technician.clone(),
            account.name.clone(),
            account.identity.clone(),
            account.token.clone(),
            account.password_generation,
            account.standing.clone(),
            sessions.iter().map(session).collect(),
        );
        match serde_json::to_vec(&account_kept) {
            Ok(text) => drop(kept.insert(account.key.clone(), text.into())),
            Err(error) => tracing::error!(%error, "an account could not be remembered"),
        }
    }

    /// The account with its sessions as they were; what no end needs is empty.
    pub(super) fn of(&self, key: &AccountKey) -> Option<(Account, Vec<Session>)> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept(directory, mode, technician, name, identity, token, password_generation, standing, sessions) =
            serde_json::from_slice(kept.get(key)?).ok()?;
        let session = |KeptSession(id, state, customer, policy, rights, from, until)| Session {
            id,
            state,
            technician: technician.clone(),
            customer,
            directory: directory.clone(),
            policy,
            policy_name: String::new(),
            mode,
            account: key.clone(),
            rights,
            reason: String::new(),
            ticket: None,
            requested_at: from,
            from,
            until,
            whole: None,
            latest_end: until,
            active_at: None,
            end_cause: None,
            ended_at: None,
            trouble: None,
            version: 0,
        };
        let sessions = sessions.into_iter().map(session).collect();
        let account = Account {
            key: key.clone(),
            directory,
            mode,
            technician,
            name,
            identity,
            display_name: None,
            token,
            password_generation,
            standing,
            settled: false,
            attempts: 0,
            next_try: None,
            gone: false,
            version: 0,
        };
        Some((account, sessions))
    }
}
