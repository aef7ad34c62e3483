//! The stops themselves: decorators that look at every ledger write and directory call by its name.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ticketgate_access::desired::{Observed, Step};
use ticketgate_access::session::{Account, AccountKey, Right, Session};
use ticketgate_directory::{Directory, DirectoryError, Listing, Promises, RightUse, Secret};
use ticketgate_ledger::{Answered, AuditQuery, Change, Ledger, LedgerError, SessionFilter};
use ticketgate_protocol::api::{AuditRecord, AuditVerdict, Finding, Mode};
use ticketgate_protocol::ids::{IdempotencyKey, SessionId, TechnicianId};

/// Something whose calls can be stopped at.
pub(super) struct Stopping<T: ?Sized>(pub(super) Arc<T>);

static SEEN: AtomicU32 = AtomicU32::new(0);

/// Kills the process when the environment names this point.
fn pass(point: &str, phase: &str) {
    let Ok(wanted) = std::env::var("TICKETGATE_STOP_AT") else { return };
    let (name, count) = wanted.split_once('#').unwrap_or((&wanted, "1"));
    if name != format!("{point}:{phase}") {
        return;
    }
    if SEEN.fetch_add(1, Ordering::SeqCst) + 1 == count.parse().unwrap_or(1) {
        #[cfg(unix)]
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::process::abort();
    }
}

#[async_trait]
impl Directory for Stopping<dyn Directory> {
    async fn observe(&self, account: &Account) -> Result<Observed, DirectoryError> {
        pass("directory.observe", "before");
        let result = self.0.observe(account).await;
        pass("directory.observe", "after");
        result
    }

    async fn apply(
        &self,
        account: &Account,
        step: &Step,
        password: Option<&Secret>,
    ) -> Result<(), DirectoryError> {
        pass(step.name(), "before");
        let result = self.0.apply(account, step, password).await;
        pass(step.name(), "after");
        result
    }

    async fn time(&self) -> Result<DateTime<Utc>, DirectoryError> {
        self.0.time().await
    }

    async fn list(&self) -> Result<Listing, DirectoryError> {
        self.0.list().await
    }

    async fn check(&self, rights: &[RightUse]) -> Vec<Finding> {
        self.0.check(rights).await
    }

    fn promises(&self, mode: Mode) -> Promises {
        self.0.promises(mode)
    }

    fn right_name(&self, right: &Right) -> String {
        self.0.right_name(right)
    }

    fn right_key(&self, right: &Right) -> String {
        self.0.right_key(right)
    }
}

#[async_trait]
impl Ledger for Stopping<dyn Ledger> {
    async fn commit(&self, change: Change) -> Result<(), LedgerError> {
        let name = change.name;
        pass(name, "before");
        let result = self.0.commit(change).await;
        pass(name, "after");
        result
    }

    async fn session(&self, id: &SessionId) -> Result<Option<Session>, LedgerError> {
        self.0.session(id).await
    }

    async fn sessions(&self, filter: SessionFilter) -> Result<Vec<Session>, LedgerError> {
        self.0.sessions(filter).await
    }

    async fn account(&self, key: &AccountKey) -> Result<Option<(Account, Vec<Session>)>, LedgerError> {
        self.0.account(key).await
    }

    async fn accounts(&self) -> Result<Vec<Account>, LedgerError> {
        self.0.accounts().await
    }

    async fn answered(
        &self,
        technician: &TechnicianId,
        key: &IdempotencyKey,
    ) -> Result<Option<Answered>, LedgerError> {
        self.0.answered(technician, key).await
    }

    async fn high_water(&self) -> Result<Option<DateTime<Utc>>, LedgerError> {
        self.0.high_water().await
    }

    async fn audit(&self, query: AuditQuery) -> Result<Vec<AuditRecord>, LedgerError> {
        self.0.audit(query).await
    }

    async fn checkpoint(&self, at: DateTime<Utc>) -> Result<(), LedgerError> {
        pass("ledger.checkpoint", "before");
        let result = self.0.checkpoint(at).await;
        pass("ledger.checkpoint", "after");
        result
    }

    async fn verify(&self, chain: Option<String>) -> Result<AuditVerdict, LedgerError> {
        self.0.verify(chain).await
    }
}
