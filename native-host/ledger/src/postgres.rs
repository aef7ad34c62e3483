//! The ledger in PostgreSQL, for one broker or several: the trait's calls, each tried again where the reason passes. What each
//! call does stands in the modules below.

mod audit;
mod commit;
mod copy;
mod failure;
mod hear;
mod leases;
mod let_in;
mod link;
mod open;
mod put;
mod query;
mod rows;
#[cfg(test)]
pub(crate) mod tests;
mod together;
mod tokens;
mod verify;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use ticketgate_access::session::{Account, AccountKey, Session};
use ticketgate_protocol::api::{AuditRecord, AuditVerdict, State};
use ticketgate_protocol::ids::{DirectoryId, IdempotencyKey, PsaId, SessionId, TechnicianId};
use tokio::sync::broadcast;

pub use self::copy::Copied;
use self::hear::Hearing;
pub use self::let_in::Password;
use self::link::Link;
pub use self::link::PostgresPlace;
use crate::{
    Answered, ApiToken, AuditQuery, BrokerEpoch, Change, Digest, EventRow, Given, Heard, Issued, Lease,
    Ledger, LedgerError, Mark, NoteQueue, OnTicket, SessionFilter, Shared, SignIn, SignInFilter, Standing,
    Tokens, WaitingNote,
};

/// A ledger in a PostgreSQL database. Any number of brokers can have the same one open.
///
/// A change goes on to its end when the caller stops waiting.
pub struct PostgresLedger {
    open: Arc<Open>,
    listens: tokio::task::AbortHandle,
}

struct Open {
    link: Arc<Link>,
    hearing: Arc<Hearing>,
    key: SigningKey,
    own: Mutex<Own>,
    /// When the last confirmation began that came about; one at a time.
    confirmed: tokio::sync::Mutex<Option<Instant>>,
}

/// What this handle is, and has.
#[derive(Default)]
struct Own {
    epoch: Option<BrokerEpoch>,
    /// Renewed together.
    leases: BTreeMap<AccountKey, u64>,
    /// Up to where this handle has raised the high-water mark.
    high_water: Option<DateTime<Utc>>,
}

impl std::fmt::Debug for PostgresLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresLedger").field("public_key", &self.public_key_hex()).finish_non_exhaustive()
    }
}

impl Drop for PostgresLedger {
    fn drop(&mut self) {
        self.listens.abort();
    }
}

/// Runs work with a connection, as often as is worth it.
macro_rules! tried {
    ($open:expr, $client:ident => $work:expr) => {{
        let mut tries = $open.link.tries();
        loop {
            #[allow(unused_mut, reason = "some work begins a transaction")]
            let mut $client = tries.client().await?;
            let done = tries.timed($work).await;
            match done {
                Ok(done) => break Ok(done),
                Err(trouble) => tries.after($client, trouble).await?,
            }
        }
    }};
}

impl PostgresLedger {
    /// Opens the ledger in this database. A database with nothing in it becomes a ledger, with the signing key of its audit log made
    /// where there is none; an older schema is brought up to this release's. Needs a runtime for as long as the ledger is open.
    ///
    /// # Errors
    /// With the remedy: [`LedgerError::Damaged`] when it is another program's database, only a part of a ledger is in it, or the key
    /// is another one or gone; [`LedgerError::Unavailable`] when it does not answer, does not let the broker in, can only be read,
    /// or needs a newer release. Nothing was changed then.
    pub async fn open(place: &PostgresPlace) -> Result<Self, LedgerError> {
        let link = Arc::new(Link::new(place)?);
        let opening = Opening { link: Arc::clone(&link) };
        let key = tried!(opening, client => open::open(&mut client, &place.key))?;
        let hearing = Arc::new(Hearing::new());
        let listens = tokio::spawn(hear::run(Arc::clone(&link), Arc::clone(&hearing))).abort_handle();
        let (own, confirmed) = (Mutex::default(), tokio::sync::Mutex::default());
        let open = Arc::new(Open { link, hearing, key, own, confirmed });
        Ok(Self { open, listens })
    }

    /// Whether a broker could open the ledger in this database. Only looks: nothing is made or changed.
    ///
    /// # Errors
    /// As [`PostgresLedger::open`].
    pub async fn check(place: &PostgresPlace) -> Result<(), LedgerError> {
        let opening = Opening { link: Arc::new(Link::new(place)?) };
        tried!(opening, client => open::check(&mut client, &place.key))
    }

    /// The public half of the key that signs checkpoints, as 64 hexadecimal digits. Kept elsewhere, it tells whether
    /// somebody replaced ledger and key together.
    #[must_use]
    pub fn public_key_hex(&self) -> String {
        hex::encode(self.open.key.verifying_key().as_bytes())
    }
}

struct Opening {
    link: Arc<Link>,
}

impl Open {
    fn own(&self) -> std::sync::MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn epoch(&self) -> Option<BrokerEpoch> {
        self.own().epoch
    }

    fn enlisted(&self) -> Result<BrokerEpoch, LedgerError> {
        self.epoch()
            .ok_or_else(|| LedgerError::Unavailable("only a broker that has enlisted has leases".to_owned()))
    }

    /// The mark is a row for all: it follows a second behind, so that nobody waits for it.
    fn raises(&self, at: DateTime<Utc>) -> bool {
        self.own().high_water.is_none_or(|raised| at >= raised + TimeDelta::seconds(1))
    }

    async fn commit(&self, change: Change) -> Result<(), LedgerError> {
        let (epoch, raises) = (self.epoch(), self.raises(change.at));
        let told = tried!(self, client => commit::commit(&mut client, &change, epoch, raises))?;
        if raises || change.follows_clock {
            self.own().high_water = Some(change.at);
        }
        if told.due || !told.technicians.is_empty() {
            self.hearing.tell(told);
        }
        Ok(())
    }

    async fn checkpoint(&self, at: DateTime<Utc>) -> Result<(), LedgerError> {
        tried!(self, client => audit::place(&mut client))?;
        tried!(self, client => audit::checkpoint(&mut client, &self.key, at))?;
        tried!(self, client => audit::forget_old(&client, at))
    }
}

/// Runs to the end also when the caller stops waiting.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, LedgerError>> + Send + 'static,
) -> Result<T, LedgerError> {
    tokio::spawn(work)
        .await
        .map_err(|error| LedgerError::Unavailable(format!("the work was broken off: {error}")))?
}

#[async_trait]
impl Ledger for PostgresLedger {
    async fn commit(&self, change: Change) -> Result<(), LedgerError> {
        let open = Arc::clone(&self.open);
        to_the_end(async move { open.commit(change).await }).await
    }

    async fn session(&self, id: &SessionId) -> Result<Option<Session>, LedgerError> {
        tried!(self.open, client => query::session(&client, id))
    }

    async fn sessions(&self, filter: SessionFilter) -> Result<Vec<Session>, LedgerError> {
        tried!(self.open, client => query::sessions(&client, &filter))
    }

    async fn account(&self, key: &AccountKey) -> Result<Option<(Account, Vec<Session>)>, LedgerError> {
        tried!(self.open, client => query::account(&client, key))
    }

    async fn parts(&self, whole: &SessionId) -> Result<Vec<(Session, Account)>, LedgerError> {
        tried!(self.open, client => query::parts(&client, whole))
    }

    async fn accounts(&self) -> Result<Vec<Account>, LedgerError> {
        tried!(self.open, client => query::accounts(&client))
    }

    async fn marks(&self) -> Result<Vec<Mark>, LedgerError> {
        tried!(self.open, client => query::marks(&client))
    }

    async fn standings(&self) -> Result<Vec<Standing>, LedgerError> {
        tried!(self.open, client => query::standings(&client))
    }

    async fn given(&self) -> Result<Vec<Given>, LedgerError> {
        tried!(self.open, client => query::given(&client))
    }

    async fn on_tickets(&self) -> Result<Vec<OnTicket>, LedgerError> {
        tried!(self.open, client => query::on_tickets(&client))
    }

    async fn open_by_directory(&self) -> Result<BTreeMap<DirectoryId, u64>, LedgerError> {
        tried!(self.open, client => query::open_by_directory(&client))
    }

    async fn open_by_state(&self) -> Result<Vec<(DirectoryId, State, u64)>, LedgerError> {
        tried!(self.open, client => query::open_by_state(&client))
    }

    async fn answered(
        &self,
        technician: &TechnicianId,
        key: &IdempotencyKey,
    ) -> Result<Option<Answered>, LedgerError> {
        tried!(self.open, client => query::answered(&client, technician, key, ""))
    }

    async fn high_water(&self) -> Result<Option<DateTime<Utc>>, LedgerError> {
        tried!(self.open, client => query::high_water(&client))
    }

    async fn audit(&self, query: AuditQuery) -> Result<Vec<AuditRecord>, LedgerError> {
        tried!(self.open, client => audit::place(&mut client))?;
        tried!(self.open, client => audit::read(&client, &query))
    }

    async fn note_queues(&self) -> Result<Vec<NoteQueue>, LedgerError> {
        tried!(self.open, client => query::note_queues(&client))
    }

    async fn next_note(&self, psa: &PsaId) -> Result<Option<WaitingNote>, LedgerError> {
        let epoch = self.open.epoch();
        tried!(self.open, client => leases::next_note(&client, epoch, psa))
    }

    async fn notes_sent(&self) -> Result<u64, LedgerError> {
        tried!(self.open, client => query::notes_sent(&client))
    }

    async fn checkpoint(&self, at: DateTime<Utc>) -> Result<(), LedgerError> {
        let open = Arc::clone(&self.open);
        to_the_end(async move { open.checkpoint(at).await }).await
    }

    async fn verify(&self, chain: Option<String>) -> Result<AuditVerdict, LedgerError> {
        let key = self.open.key.verifying_key();
        let mut tries = self.open.link.tries();
        loop {
            let mut client = tries.client().await?;
            // A long log takes as long as it takes.
            match verify::verify(&mut client, &key, chain.as_deref()).await {
                Ok(verdict) => return Ok(verdict),
                Err(trouble) => tries.after(client, trouble).await?,
            }
        }
    }

    async fn events_since(
        &self,
        technician: &TechnicianId,
        number: u64,
        most: u32,
    ) -> Result<Option<Vec<EventRow>>, LedgerError> {
        tried!(self.open, client => query::events_since(&client, technician, number, most))
    }

    async fn last_event(&self, technician: &TechnicianId) -> Result<u64, LedgerError> {
        tried!(self.open, client => query::last_event(&client, technician))
    }

    fn tokens(&self) -> &dyn Tokens {
        self
    }

    fn shared(&self) -> Option<&dyn Shared> {
        Some(self)
    }

    fn trouble(&self) -> Option<String> {
        self.open.link.trouble()
    }
}

#[async_trait]
impl Shared for PostgresLedger {
    async fn time(&self) -> Result<DateTime<Utc>, LedgerError> {
        tried!(self.open, client => leases::time(&client))
    }

    async fn enlist(&self, name: &str) -> Result<BrokerEpoch, LedgerError> {
        let epoch = tried!(self.open, client => leases::enlist(&client, name))?;
        let mut own = self.open.own();
        own.epoch = Some(epoch);
        own.leases.clear();
        Ok(epoch)
    }

    async fn confirm(&self) -> Result<(), LedgerError> {
        let (wanted, epoch) = (Instant::now(), self.open.enlisted()?);
        // One that began since is as good.
        let mut confirmed = self.open.confirmed.lock().await;
        if confirmed.is_none_or(|begun| begun < wanted) {
            let begun = Instant::now();
            tried!(self.open, client => leases::confirm(&client, epoch))?;
            *confirmed = Some(begun);
        }
        Ok(())
    }

    async fn claim(&self, now: DateTime<Utc>, most: u32) -> Result<Vec<Lease>, LedgerError> {
        let epoch = self.open.enlisted()?;
        let claimed: Vec<Lease> = tried!(self.open, client => leases::claim(&client, epoch, now, most))?;
        let leases = claimed.iter().map(|lease| (lease.key.clone(), lease.fence));
        self.open.own().leases.extend(leases);
        Ok(claimed)
    }

    async fn lease(&self, key: &AccountKey) -> Result<Option<Lease>, LedgerError> {
        let epoch = self.open.enlisted()?;
        let taken: Option<Lease> = tried!(self.open, client => leases::take(&client, epoch, key))?;
        if let Some(lease) = &taken {
            self.open.own().leases.insert(lease.key.clone(), lease.fence);
        }
        Ok(taken)
    }

    async fn renew(&self) -> Result<Vec<Lease>, LedgerError> {
        let epoch = self.open.enlisted()?;
        let held = self.open.own().leases.clone();
        let held: Vec<_> = held.into_iter().map(|(key, fence)| Lease { key, fence }).collect();
        let lost: Vec<Lease> = tried!(self.open, client => leases::renew(&client, epoch, &held))?;
        let mut own = self.open.own();
        for lease in &lost {
            if own.leases.get(&lease.key) == Some(&lease.fence) {
                own.leases.remove(&lease.key);
            }
        }
        Ok(lost)
    }

    async fn release(&self, lease: &Lease) -> Result<(), LedgerError> {
        let epoch = self.open.enlisted()?;
        {
            let mut own = self.open.own();
            if own.leases.get(&lease.key) == Some(&lease.fence) {
                own.leases.remove(&lease.key);
            }
        }
        tried!(self.open, client => leases::release(&client, epoch, lease))
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, LedgerError> {
        tried!(self.open, client => leases::next_due(&client))
    }

    async fn free_in(&self, now: DateTime<Utc>) -> Result<Option<Duration>, LedgerError> {
        tried!(self.open, client => leases::free_in(&client, now))
    }

    async fn accounts_of(&self, keys: &[AccountKey]) -> Result<Vec<(Account, Vec<Session>)>, LedgerError> {
        tried!(self.open, client => query::accounts_of(&client, keys))
    }

    fn changes(&self) -> broadcast::Receiver<Heard> {
        self.open.hearing.listen()
    }
}

#[async_trait]
impl Tokens for PostgresLedger {
    async fn shared_key(&self) -> Result<Digest, LedgerError> {
        tried!(self.open, client => tokens::shared_key(&client))
    }

    async fn by_token(&self, token: &Digest) -> Result<Option<(SignIn, Issued)>, LedgerError> {
        tried!(self.open, client => tokens::by_token(&client, token))
    }

    async fn sign_in(&self, id: &str) -> Result<Option<SignIn>, LedgerError> {
        tried!(self.open, client => tokens::sign_in(&client, id))
    }

    async fn sign_ins(&self, filter: SignInFilter) -> Result<Vec<SignIn>, LedgerError> {
        tried!(self.open, client => tokens::sign_ins(&client, &filter))
    }

    async fn api_token(&self, token: &Digest) -> Result<Option<ApiToken>, LedgerError> {
        tried!(self.open, client => tokens::api_token(&client, token))
    }

    async fn api_tokens(&self) -> Result<Vec<ApiToken>, LedgerError> {
        tried!(self.open, client => tokens::api_tokens(&client))
    }
}
