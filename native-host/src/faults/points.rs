//! The points themselves: decorators through which every ledger write and directory call goes by its name.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ticketgate_access::desired::{Observed, Step};
use ticketgate_access::session::{Account, AccountKey, Right, Session};
use ticketgate_credentials::Secret;
use ticketgate_directory::{Directory, DirectoryError, EntraTenant, Listing, Promises, RightUse};
use ticketgate_ledger::{
    Answered, AuditQuery, Change, EventRow, Given, Ledger, LedgerError, Mark, NoteQueue, OnTicket,
    SessionFilter, Shared, Standing, Tokens, WaitingNote,
};
use ticketgate_protocol::api::{AuditRecord, AuditVerdict, Finding, Mode, State};
use ticketgate_protocol::ids::{DirectoryId, IdempotencyKey, PsaId, SessionId, TechnicianId};

use super::plan::{Fault, met_at};

/// Something whose calls are points.
pub(super) struct Pointed<T: ?Sized>(pub(super) Arc<T>);

/// How often a paused call looks for the file that lets it go on.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How a call fails when it is made to.
pub(super) trait Faulty {
    /// It was refused and did nothing.
    fn refused() -> Self;
    /// Nobody knows whether it was done.
    fn timed_out() -> Self;
}

impl Faulty for DirectoryError {
    fn refused() -> Self {
        Self::Refused("a test asked for it".into())
    }

    fn timed_out() -> Self {
        Self::Ambiguous("a test asked for it".into())
    }
}

impl Faulty for LedgerError {
    fn refused() -> Self {
        Self::Unavailable("a test asked for it".into())
    }

    fn timed_out() -> Self {
        Self::Unavailable("a test asked for a lost answer".into())
    }
}

impl Faulty for io::Error {
    fn refused() -> Self {
        Self::other("a test asked for it")
    }

    fn timed_out() -> Self {
        Self::other("a test asked for a lost answer")
    }
}

/// Makes a call, with the fault that this passage of its point meets.
pub(super) async fn pass<T, E: Faulty>(
    point: &str,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match met_at(point) {
        None => call.await,
        Some(Fault::Before) => kill(),
        Some(Fault::After) => {
            let _ = call.await;
            kill()
        }
        Some(Fault::Error) => Err(E::refused()),
        Some(Fault::TimeoutApplied) => {
            call.await?;
            Err(E::timed_out())
        }
        Some(Fault::TimeoutNotApplied) => Err(E::timed_out()),
        Some(Fault::Pause(until)) => {
            while !until.exists() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            call.await
        }
    }
}

/// Ends the process as a power cut would: nothing is flushed, nobody is told.
fn kill() -> ! {
    #[cfg(unix)]
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

/// What a check that met a fault finds, since it cannot fail.
fn not_checked(error: &DirectoryError) -> Finding {
    Finding {
        level: "error".into(),
        subject: "directory".into(),
        text: error.to_string(),
        remedy: String::new(),
    }
}

#[async_trait]
impl Directory for Pointed<dyn Directory> {
    async fn observe(&self, account: &Account) -> Result<Observed, DirectoryError> {
        pass("directory.observe", self.0.observe(account)).await
    }

    async fn apply(
        &self,
        account: &Account,
        seen: &Observed,
        step: &Step,
        password: Option<&Secret>,
    ) -> Result<(), DirectoryError> {
        pass(step.name(), self.0.apply(account, seen, step, password)).await
    }

    async fn list(&self) -> Result<Listing, DirectoryError> {
        pass("directory.list", self.0.list()).await
    }

    async fn check(&self, rights: &[RightUse]) -> Vec<Finding> {
        let check = async { Ok::<_, DirectoryError>(self.0.check(rights).await) };
        pass("directory.check", check).await.unwrap_or_else(|error| vec![not_checked(&error)])
    }

    async fn rehearse(&self) -> Vec<Finding> {
        let rehearsal = async { Ok::<_, DirectoryError>(self.0.rehearse().await) };
        pass("directory.rehearse", rehearsal).await.unwrap_or_else(|error| vec![not_checked(&error)])
    }

    fn side_by_side(&self) -> bool {
        self.0.side_by_side()
    }

    fn take_credential(&self, account: &Account) -> Option<Secret> {
        self.0.take_credential(account)
    }

    fn entra(&self) -> Option<&EntraTenant> {
        self.0.entra()
    }

    fn has_passwords(&self) -> bool {
        self.0.has_passwords()
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
impl Ledger for Pointed<dyn Ledger> {
    async fn commit(&self, change: Change) -> Result<(), LedgerError> {
        pass(change.name, self.0.commit(change)).await
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

    async fn parts(&self, whole: &SessionId) -> Result<Vec<(Session, Account)>, LedgerError> {
        self.0.parts(whole).await
    }

    async fn accounts(&self) -> Result<Vec<Account>, LedgerError> {
        self.0.accounts().await
    }

    async fn marks(&self) -> Result<Vec<Mark>, LedgerError> {
        self.0.marks().await
    }

    async fn standings(&self) -> Result<Vec<Standing>, LedgerError> {
        self.0.standings().await
    }

    async fn given(&self) -> Result<Vec<Given>, LedgerError> {
        self.0.given().await
    }

    async fn on_tickets(&self) -> Result<Vec<OnTicket>, LedgerError> {
        self.0.on_tickets().await
    }

    async fn open_by_directory(&self) -> Result<BTreeMap<DirectoryId, u64>, LedgerError> {
        self.0.open_by_directory().await
    }

    async fn open_by_state(&self) -> Result<Vec<(DirectoryId, State, u64)>, LedgerError> {
        self.0.open_by_state().await
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

    async fn note_queues(&self) -> Result<Vec<NoteQueue>, LedgerError> {
        self.0.note_queues().await
    }

    async fn next_note(&self, psa: &PsaId) -> Result<Option<WaitingNote>, LedgerError> {
        self.0.next_note(psa).await
    }

    async fn notes_sent(&self) -> Result<u64, LedgerError> {
        self.0.notes_sent().await
    }

    fn tokens(&self) -> &dyn Tokens {
        self.0.tokens()
    }

    async fn checkpoint(&self, at: DateTime<Utc>) -> Result<(), LedgerError> {
        pass("ledger.checkpoint", self.0.checkpoint(at)).await
    }

    async fn verify(&self, chain: Option<String>) -> Result<AuditVerdict, LedgerError> {
        self.0.verify(chain).await
    }

    async fn events_since(
        &self,
        technician: &TechnicianId,
        number: u64,
        most: u32,
    ) -> Result<Option<Vec<EventRow>>, LedgerError> {
        self.0.events_since(technician, number, most).await
    }

    async fn last_event(&self, technician: &TechnicianId) -> Result<u64, LedgerError> {
        self.0.last_event(technician).await
    }

    fn shared(&self) -> Option<&dyn Shared> {
        self.0.shared()
    }

    fn trouble(&self) -> Option<String> {
        self.0.trouble()
    }
}
