//! Requests about what was made or named just now: with time for the tenant's copies to hear of it, and once more where one came
//! across another.

use std::time::Duration;

use ticketgate_access::entra::EntraRight;
use ticketgate_access::session::{Account, Right};
use ticketgate_https::segment;

use super::failure::Failed;
use super::graph::{Answer, Ask};
use super::rights::Target;
use super::{EntraTenant, roles};
use crate::DirectoryError;

/// Pauses while the tenant's copies have not heard of an account that was made just now (advice of Microsoft's support).
pub(super) const REPLICATION_S: [u64; 4] = [1, 2, 4, 8];

/// "Error due to concurrent requests being made to the tenant. Please wait briefly and retry." Seen by others with 409 and with 503
/// (nais/azurerator issue 448, Azure/azure-cli issue 23081).
const CROSSED: &str = "Directory_ConcurrencyViolation";

impl EntraTenant {
    /// Sends a request that names an account and perhaps a role or group; where the account was made just now, with time for the
    /// tenant's copies to hear of it; and once more where it came across another one, which is refused and not done.
    pub(super) async fn when_replicated(
        &self,
        account: &Account,
        ask: &Ask,
        target: Option<&Target>,
    ) -> Result<Answer, Failed> {
        let (mut pauses, mut asked) = (REPLICATION_S.iter(), 0);
        loop {
            let answered = self.graph.send(ask).await;
            if answered.as_ref().is_err_and(|failed| failed.status() == 409 && failed.code() == CROSSED) {
                let Some(pause) = pauses.next() else {
                    return Err(DirectoryError::Busy("the tenant is at other requests".into()).into());
                };
                tokio::time::sleep(Duration::from_secs(*pause)).await;
                continue;
            }
            let unknown = answered
                .as_ref()
                .is_err_and(|failed| failed.is_absent() || failed.code() == "SubjectNotFound");
            if !unknown || self.written.made(&account.key).is_none() {
                return answered;
            }
            // The same answer as for a role or group that there is not.
            if let (Some(target), 0) = (target, asked)
                && !self.is_there(target).await?
            {
                return answered;
            }
            asked += 1;
            let Some(pause) = pauses.next() else {
                return Err(DirectoryError::Busy(
                    "the tenant does not know the new account everywhere yet".into(),
                )
                .into());
            };
            tokio::time::sleep(Duration::from_secs(*pause)).await;
        }
    }

    async fn is_there(&self, target: &Target) -> Result<bool, Failed> {
        match target {
            Target::Role(id) => {
                let table = self.roles.table(&self.graph, roles::KEPT).await?;
                Ok(table.name(id).is_some())
            }
            Target::Group(id) => {
                let ask = Ask::get(format!("/groups/{}", segment(id))).option("$select", "id");
                match self.graph.send(&ask).await {
                    Err(failed) if failed.is_absent() => Ok(false),
                    answered => answered.map(|_| true),
                }
            }
        }
    }

    /// The right that a text names.
    ///
    /// # Errors
    /// [`DirectoryError`]
    pub(super) async fn resolved(&self, right: &Right) -> Result<Target, DirectoryError> {
        match right.0.parse() {
            Ok(EntraRight::Role(name)) => self.roles.id(&self.graph, &name).await.map(Target::Role),
            Ok(EntraRight::Group(id)) => Ok(Target::Group(id.to_string())),
            Err(bad) => Err(DirectoryError::NoSuchRight(format!("{}: {bad}", right.0))),
        }
    }
}
