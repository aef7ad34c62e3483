//! A ledger that a test holds in its hands: it fails when told to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ticketgate_access::session::Account;

use super::many::Through;

/// A ledger that refuses writes of these names (`*`: all) while told to.
pub(super) struct Refusing {
    pub(super) inner: Arc<dyn ticketgate_ledger::Ledger>,
    pub(super) name: &'static str,
    pub(super) refuses: AtomicBool,
    pub(super) refused: AtomicU32,
    /// What is refused is written all the same, and only its answer is lost.
    pub(super) writes: AtomicBool,
    /// It is refused since somebody else changed the same rows.
    pub(super) conflicts: AtomicBool,
    /// How often, at most.
    pub(super) times: AtomicU32,
    /// Nothing of accounts and sessions can be read either, once so many reads were answered.
    pub(super) readable: AtomicU32,
    /// The broker goes no further than its next write after so many; it is there where `writes` says so.
    pub(super) dies_after: AtomicU32,
    pub(super) died: AtomicBool,
    /// What it passes through on its way to a ledger that several share.
    pub(super) through: Option<Through>,
}

impl Refusing {
    /// Writes of this name are refused once a test says so.
    pub(super) fn of(inner: Arc<dyn ticketgate_ledger::Ledger>, name: &'static str) -> Self {
        Self {
            inner,
            name,
            refuses: AtomicBool::new(false),
            refused: AtomicU32::new(0),
            writes: AtomicBool::new(false),
            conflicts: AtomicBool::new(false),
            times: AtomicU32::new(u32::MAX),
            readable: AtomicU32::new(u32::MAX),
            dies_after: AtomicU32::new(u32::MAX),
            died: AtomicBool::new(false),
            through: None,
        }
    }
}

impl Refusing {
    async fn read(&self) -> Result<(), ticketgate_ledger::LedgerError> {
        if let Some(through) = &self.through {
            through.pass().await?;
        }
        let left = |n: u32| if n == u32::MAX { Some(n) } else { n.checked_sub(1) };
        let read = self.readable.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left);
        read.map(drop).map_err(|_| ticketgate_ledger::LedgerError::Unavailable("damaged".into()))
    }
}

#[async_trait]
impl ticketgate_ledger::Ledger for Refusing {
    async fn commit(&self, change: ticketgate_ledger::Change) -> Result<(), ticketgate_ledger::LedgerError> {
        if let Some(through) = &self.through {
            through.pass().await?;
        }
        let left = |n: u32| if n == u32::MAX { Some(n) } else { n.checked_sub(1) };
        if self.dies_after.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_err() {
            // The process is no more: at most this one write is still there.
            if !self.died.swap(true, Ordering::SeqCst) && self.writes.load(Ordering::SeqCst) {
                self.inner.commit(change).await?;
            }
            return std::future::pending().await;
        }
        if (self.name == "*" || self.name.split(' ').any(|name| name == change.name))
            && self.refuses.load(Ordering::SeqCst)
            && self.refused.load(Ordering::SeqCst) < self.times.load(Ordering::SeqCst)
        {
            self.refused.fetch_add(1, Ordering::SeqCst);
            if self.writes.load(Ordering::SeqCst) {
                self.inner.commit(change).await?;
            }
            return Err(if self.conflicts.load(Ordering::SeqCst) {
                ticketgate_ledger::LedgerError::Conflict("sessions".into())
            } else {
                ticketgate_ledger::LedgerError::Unavailable("disk full".into())
            });
        }
        self.inner.commit(change).await
    }
    async fn session(
        &self,
        id: &ticketgate_protocol::ids::SessionId,
    ) -> Result<Option<ticketgate_access::session::Session>, ticketgate_ledger::LedgerError> {
        self.read().await?;
        self.inner.session(id).await
    }
    async fn sessions(
        &self,
        filter: ticketgate_ledger::SessionFilter,
    ) -> Result<Vec<ticketgate_access::session::Session>, ticketgate_ledger::LedgerError> {
        self.read().await?;
        self.inner.sessions(filter).await
    }
    async fn account(
        &self,
        key: &ticketgate_access::session::AccountKey,
    ) -> Result<Option<(Account, Vec<ticketgate_access::session::Session>)>, ticketgate_ledger::LedgerError>
    {
        self.read().await?;
        self.inner.account(key).await
    }
    async fn parts(
        &self,
        whole: &ticketgate_protocol::ids::SessionId,
    ) -> Result<Vec<(ticketgate_access::session::Session, Account)>, ticketgate_ledger::LedgerError> {
        self.read().await?;
        self.inner.parts(whole).await
    }

    async fn accounts(&self) -> Result<Vec<Account>, ticketgate_ledger::LedgerError> {
        self.inner.accounts().await
    }
    async fn marks(&self) -> Result<Vec<ticketgate_ledger::Mark>, ticketgate_ledger::LedgerError> {
        self.inner.marks().await
    }
    async fn standings(&self) -> Result<Vec<ticketgate_ledger::Standing>, ticketgate_ledger::LedgerError> {
        self.inner.standings().await
    }

    async fn given(&self) -> Result<Vec<ticketgate_ledger::Given>, ticketgate_ledger::LedgerError> {
        self.inner.given().await
    }

    async fn on_tickets(&self) -> Result<Vec<ticketgate_ledger::OnTicket>, ticketgate_ledger::LedgerError> {
        self.inner.on_tickets().await
    }

    async fn open_by_directory(
        &self,
    ) -> Result<BTreeMap<ticketgate_protocol::ids::DirectoryId, u64>, ticketgate_ledger::LedgerError> {
        self.inner.open_by_directory().await
    }

    async fn answered(
        &self,
        technician: &ticketgate_protocol::ids::TechnicianId,
        key: &ticketgate_protocol::ids::IdempotencyKey,
    ) -> Result<Option<ticketgate_ledger::Answered>, ticketgate_ledger::LedgerError> {
        self.inner.answered(technician, key).await
    }
    async fn high_water(&self) -> Result<Option<DateTime<Utc>>, ticketgate_ledger::LedgerError> {
        self.inner.high_water().await
    }
    async fn audit(
        &self,
        query: ticketgate_ledger::AuditQuery,
    ) -> Result<Vec<ticketgate_protocol::api::AuditRecord>, ticketgate_ledger::LedgerError> {
        self.inner.audit(query).await
    }
    async fn note_queues(&self) -> Result<Vec<ticketgate_ledger::NoteQueue>, ticketgate_ledger::LedgerError> {
        self.inner.note_queues().await
    }

    async fn next_note(
        &self,
        psa: &ticketgate_protocol::ids::PsaId,
    ) -> Result<Option<ticketgate_ledger::WaitingNote>, ticketgate_ledger::LedgerError> {
        self.inner.next_note(psa).await
    }

    async fn notes_sent(&self) -> Result<u64, ticketgate_ledger::LedgerError> {
        self.inner.notes_sent().await
    }

    fn tokens(&self) -> &dyn ticketgate_ledger::Tokens {
        self.inner.tokens()
    }

    async fn checkpoint(&self, at: DateTime<Utc>) -> Result<(), ticketgate_ledger::LedgerError> {
        self.inner.checkpoint(at).await
    }
    async fn verify(
        &self,
        chain: Option<String>,
    ) -> Result<ticketgate_protocol::api::AuditVerdict, ticketgate_ledger::LedgerError> {
        self.inner.verify(chain).await
    }

    async fn events_since(
        &self,
        technician: &ticketgate_protocol::ids::TechnicianId,
        number: u64,
        most: u32,
    ) -> Result<Option<Vec<ticketgate_ledger::EventRow>>, ticketgate_ledger::LedgerError> {
        self.inner.events_since(technician, number, most).await
    }

    async fn last_event(
        &self,
        technician: &ticketgate_protocol::ids::TechnicianId,
    ) -> Result<u64, ticketgate_ledger::LedgerError> {
        self.inner.last_event(technician).await
    }

    fn shared(&self) -> Option<&dyn ticketgate_ledger::Shared> {
        match &self.through {
            Some(through) => Some(through),
            None => self.inner.shared(),
        }
    }

    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }
}
