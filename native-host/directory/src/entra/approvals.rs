//! Requests of PIM that wait for somebody's approval: nobody waits for one here, so each is withdrawn.

use ticketgate_access::desired::Why;
use ticketgate_https::segment;

use super::EntraTenant;
use super::failure::{About, Failed, WORD_MAX, told};
use super::graph::{Ask, equals};
use super::rights::Target;
use super::wire::ScheduleRequest;
use crate::DirectoryError;

impl EntraTenant {
    /// A request of ours that waits for an approval, and whose answer was lost, is withdrawn: answers what is the matter then.
    pub(super) async fn withdraw_lost(
        &self,
        target: &Target,
        principal: &str,
        why: &Why,
    ) -> Result<Option<DirectoryError>, Failed> {
        let of = match target {
            // One's own are listed for everybody, those of others for administrators only.
            Target::Role(_) if self.graph.is_asked_by(principal).await? => {
                let waiting = self.requests_about(principal, target.kind()).await?;
                return Ok(self.withdraw_ours(target, &waiting, why).await);
            }
            Target::Role(id) => equals("roleDefinitionId", id),
            Target::Group(id) => equals("groupId", id),
        };
        let (principal, status) = (equals("principalId", principal), equals("status", "PendingApproval"));
        let ask =
            Ask::get(target.requests()).option("$filter", &format!("{principal} and {of} and {status}"));
        let (waiting, _) = self.graph.list::<ScheduleRequest>(&ask).await?;
        Ok(self.withdraw_ours(target, &waiting, why).await)
    }

    async fn withdraw_ours(
        &self,
        target: &Target,
        waiting: &[ScheduleRequest],
        why: &Why,
    ) -> Option<DirectoryError> {
        let is_it = |request: &&ScheduleRequest| target.is_of(request) && request.is_ours(&why.reason);
        let request = waiting.iter().find(is_it)?;
        Some(self.withdraw(target, &request.id, request.is_of_a_session()).await)
    }

    /// PIM has a request already that waits for something: ours is withdrawn, or, where it `may_be` one of ours that is still being
    /// worked on, the next look tells.
    ///
    /// # Errors
    /// [`DirectoryError`]: what is the matter.
    pub(super) async fn settled_pending(
        &self,
        target: &Target,
        principal: &str,
        why: &Why,
        failed: Failed,
        may_be: bool,
        about: &About<'_>,
    ) -> Result<(), DirectoryError> {
        let waits = self.withdraw_lost(target, principal, why).await;
        match waits.map_err(|failed| failed.meaning(about))? {
            Some(waits) => Err(waits),
            None if may_be => Ok(()),
            None => Err(failed.meaning(about)),
        }
    }

    /// Withdraws a request that waits for an approval, of an administrator or, where one `activates`, of the person himself. Answers
    /// what is the matter.
    pub(super) async fn withdraw(&self, target: &Target, request: &str, activates: bool) -> DirectoryError {
        let cancel = Ask::call(format!("{}/{}/cancel", target.requests(), segment(request)));
        let became = match self.graph.send(&cancel).await {
            Ok(_) => "was withdrawn",
            Err(failed) => {
                tracing::warn!(
                    ?failed,
                    request = told(request, WORD_MAX),
                    "a request that waits for an approval could not be withdrawn"
                );
                "could not be withdrawn, so deny it (PIM, Approve requests)"
            }
        };
        let id = told(request, WORD_MAX);
        let even = if activates { "" } else { " even of an administrator's assignment" };
        DirectoryError::Waiting(format!(
            "the request {id} waits for an approval and {became}; the settings of the role ask for one{even}"
        ))
    }
}
