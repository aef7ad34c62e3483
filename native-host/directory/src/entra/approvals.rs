//! Requests of PIM that wait for somebody's approval: nobody waits for one here, so each is withdrawn.

use ticketgate_access::desired::Why;
use ticketgate_https::segment;

use super::EntraTenant;
use super::failure::{Failed, WORD_MAX, told};
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
            Target::Role(id) => equals("roleDefinitionId", id),
            Target::Group(id) => equals("groupId", id),
        };
        let (principal, status) = (equals("principalId", principal), equals("status", "PendingApproval"));
        let ask =
            Ask::get(target.requests()).option("$filter", &format!("{principal} and {of} and {status}"));
        let (waiting, _) = self.graph.list::<ScheduleRequest>(&ask).await?;
        match waiting.iter().find(|request| request.is_ours(&why.reason)) {
            Some(request) => Ok(Some(self.withdraw(target, &request.id).await)),
            None => Ok(None),
        }
    }

    /// Withdraws a request that waits for an approval. Answers what is the matter.
    pub(super) async fn withdraw(&self, target: &Target, request: &str) -> DirectoryError {
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
        DirectoryError::Waiting(format!(
            "the request {id} waits for an approval and {became}; the settings of the role ask for one even of an \
             administrator's assignment"
        ))
    }
}
