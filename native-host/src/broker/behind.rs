//! A directory that does not show yet what it took in (Entra ID takes its time). Nothing is given and nothing is called settled
//! by what it shows then; what is over is closed all the same.

use std::time::Duration;

use ticketgate_access::desired::{Observed, Step, is_ours};
use ticketgate_access::session::{Account, Session};
use ticketgate_directory::Directory;
use ticketgate_protocol::api::Mode;
use ticketgate_protocol::problem::{Code, Problem};

use super::Broker;
use super::leases::Held;

/// For how long that may go on before it is called a failure.
pub(super) const BEHIND_MAX: Duration = Duration::from_secs(120);

pub(super) fn behind_problem() -> Problem {
    Problem::new(Code::DirectoryDown, "The directory accepted the change and does not show it yet.")
        .remedy("Try again in a few minutes; if it stays, tell an administrator.")
}

impl Broker {
    /// Closes a JIT account that no live session needs any more. What else there is to do waits for a look that can be relied on.
    pub(super) async fn close_if_over(
        &self,
        held: &Held,
        directory: &dyn Directory,
        account: &Account,
        sessions: &[Session],
        observed: &Observed,
        sent: &mut Vec<String>,
    ) {
        let now = self.clock.now();
        let over = account.mode != Mode::Membership && !sessions.iter().any(|s| s.is_live(now));
        let open = observed.account.as_ref().is_some_and(|seen| seen.enabled && is_ours(account, seen));
        if !(over && open) || held.may_send().await.is_err() {
            return;
        }
        sent.push(Step::Close.name().to_owned());
        if let Err(error) = self.apply(held, directory, account, observed, &Step::Close).await {
            tracing::warn!(account = %account.key.0, %error, "an account whose time is over could not be closed yet");
        }
    }
}
