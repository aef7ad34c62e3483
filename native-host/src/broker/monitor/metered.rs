//! A directory whose calls are timed and traced, and of which is known whether it answers.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use ticketgate_access::desired::{Observed, Step};
use ticketgate_access::session::{Account, Right};
use ticketgate_credentials::Secret;
use ticketgate_directory::{Directory, DirectoryError, EntraTenant, Listing, Promises, RightUse};
use ticketgate_protocol::api::{Finding, Mode};
use ticketgate_protocol::ids::DirectoryId;

use super::super::traces;
use super::Monitor;

/// The directory and who is told.
pub(in crate::broker) struct Metered {
    inner: Arc<dyn Directory>,
    id: DirectoryId,
    monitor: Arc<Monitor>,
}

impl Metered {
    pub(in crate::broker) fn wrap(
        inner: Arc<dyn Directory>,
        id: &DirectoryId,
        monitor: &Arc<Monitor>,
    ) -> Arc<dyn Directory> {
        Arc::new(Self { inner, id: id.clone(), monitor: Arc::clone(monitor) })
    }

    async fn timed<T>(
        &self,
        call: &'static str,
        name: &str,
        work: impl Future<Output = Result<T, DirectoryError>> + Send,
    ) -> Result<T, DirectoryError> {
        let since = Instant::now();
        let span = self.monitor.traces.call(name).map(|span| span.with("ticketgate.directory", &self.id));
        let result = traces::spanned(span, |result| result.as_ref().err().map(|e| kind(e).0), work).await;
        let failure = result.as_ref().err().map(kind);
        self.monitor.metrics.directory_call(
            &self.id,
            call,
            failure.map_or("ok", |(kind, _)| kind),
            since.elapsed(),
        );
        self.monitor.heard(&self.id, failure.filter(|(_, silent)| *silent).map(|(kind, _)| kind));
        result
    }
}

/// The kind of a failure, and whether it means that the directory cannot be worked with at all.
const fn kind(error: &DirectoryError) -> (&'static str, bool) {
    match error {
        DirectoryError::Unreachable(_) => ("unreachable", true),
        DirectoryError::Ambiguous(_) => ("no_answer", true),
        DirectoryError::Certificate(_) => ("certificate", true),
        DirectoryError::HostKey(_) => ("host_key", true),
        DirectoryError::Bind(_) => ("service_account", true),
        DirectoryError::NoSecret(_) => ("no_secret", true),
        DirectoryError::SignInNeeded { .. } => ("sign_in_needed", true),
        DirectoryError::Misconfigured(_) => ("misconfigured", true),
        DirectoryError::Busy(_) | DirectoryError::BusyFor { .. } => ("busy", false),
        DirectoryError::NotYet { .. } => ("not_yet", false),
        DirectoryError::NotDelegated(_) => ("not_delegated", false),
        _ => ("refused", false),
    }
}

#[async_trait]
impl Directory for Metered {
    async fn observe(&self, account: &Account) -> Result<Observed, DirectoryError> {
        self.timed("observe", "directory.observe", self.inner.observe(account)).await
    }

    async fn apply(
        &self,
        account: &Account,
        seen: &Observed,
        step: &Step,
        password: Option<&Secret>,
    ) -> Result<(), DirectoryError> {
        self.timed("apply", step.name(), self.inner.apply(account, seen, step, password)).await
    }

    fn side_by_side(&self) -> bool {
        self.inner.side_by_side()
    }

    fn take_credential(&self, account: &Account) -> Option<Secret> {
        self.inner.take_credential(account)
    }

    async fn list(&self) -> Result<Listing, DirectoryError> {
        self.timed("list", "directory.list", self.inner.list()).await
    }

    async fn check(&self, rights: &[RightUse]) -> Vec<Finding> {
        self.inner.check(rights).await
    }

    async fn rehearse(&self) -> Vec<Finding> {
        self.inner.rehearse().await
    }

    fn promises(&self, mode: Mode) -> Promises {
        self.inner.promises(mode)
    }

    fn entra(&self) -> Option<&EntraTenant> {
        self.inner.entra()
    }

    fn has_passwords(&self) -> bool {
        self.inner.has_passwords()
    }

    fn right_name(&self, right: &Right) -> String {
        self.inner.right_name(right)
    }

    fn right_key(&self, right: &Right) -> String {
        self.inner.right_key(right)
    }
}
