//! Giving and taking roles and groups: by requests of PIM with an end, or for good where the tenant has none.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use ticketgate_access::desired::{Observed, Why};
use ticketgate_access::entra::EntraRight;
use ticketgate_access::session::{Account, Right};
use ticketgate_https::segment;
use ticketgate_protocol::api::Mode;

use super::failure::{About, Failed, KEPT_S, WORD_MAX, What, told};
use super::graph::{Answer, Ask};
use super::look::{group_right, role_right};
use super::wire::{Action, Became, Of, Schedule, ScheduleRequest, Word};
use super::written::Wrote;
use super::{EntraTenant, WRITES_GROUPS, WRITES_PIM_GROUPS, WRITES_ROLES, WRITES_ROLES_FOR_GOOD, roles};
use crate::DirectoryError;

/// Pauses while the tenant's copies have not heard of an account that was made just now (advice of Microsoft's support).
pub(super) const REPLICATION_S: [u64; 4] = [1, 2, 4, 8];

/// Where another process gave a right, it is asked again after this, in seconds.
const AGE_UNKNOWN_S: u32 = 60;

/// PIM's code for both: a time that is too short, and a removal that is too soon.
const TOO_SHORT: &str = "ActiveDurationTooShort";

/// "Error due to concurrent requests being made to the tenant. Please wait briefly and retry." Seen by others with 409 and with 503
/// (nais/azurerator issue 448, Azure/azure-cli issue 23081).
const CROSSED: &str = "Directory_ConcurrencyViolation";

/// A right, resolved.
pub(super) enum Target {
    Role(String),
    Group(String),
}

impl Target {
    fn of(&self) -> Of<'_> {
        match self {
            Self::Role(id) => Of::Role(id),
            Self::Group(id) => Of::Group(id),
        }
    }

    /// As looks have it.
    fn right(&self) -> Right {
        match self {
            Self::Role(id) => role_right(id),
            Self::Group(id) => group_right(id),
        }
    }

    const fn needs(&self) -> &'static str {
        match self {
            Self::Role(_) => WRITES_ROLES,
            Self::Group(_) => WRITES_PIM_GROUPS,
        }
    }

    const fn needs_without_pim(&self) -> &'static str {
        match self {
            Self::Role(_) => WRITES_ROLES_FOR_GOOD,
            Self::Group(_) => WRITES_GROUPS,
        }
    }

    pub(super) const fn requests(&self) -> &'static str {
        match self {
            Self::Role(_) => "/roleManagement/directory/roleAssignmentScheduleRequests",
            Self::Group(_) => "/identityGovernance/privilegedAccess/group/assignmentScheduleRequests",
        }
    }
}

fn given_by_another() -> DirectoryError {
    DirectoryError::Busy("somebody gave the person this right just now".into())
}

impl EntraTenant {
    /// Gives a right, with an end of its own where the tenant has PIM.
    pub(super) async fn grant(
        &self,
        account: &Account,
        seen: &Observed,
        id: &str,
        (right, until, why): (&Right, Option<DateTime<Utc>>, &Why),
    ) -> Result<(), DirectoryError> {
        let target = self.resolved(right).await?;
        if self.has_pim() == Some(false) {
            return self.give_without_pim(account, id, right, &target).await;
        }
        let until = until
            .ok_or_else(|| DirectoryError::BadValue("a right in a tenant is given with an end".into()))?;
        let from = seen.directory_time;
        let assign = Action::Assign { from, until, why: why.clone() };
        let update = Action::Update { from, until, why: why.clone() };
        let holds = seen.account.as_ref().is_some_and(|seen| seen.rights.contains(&target.right()));
        let (first, then) = if holds { (update, assign) } else { (assign, update) };
        let gave = || self.written.given_for(&account.key, &target.right()).is_some();
        let about = About { what: What::Right(&right.0), needs: target.needs(), writes: true };
        let exchanged = ["RoleAssignmentExists", "RoleAssignmentDoesNotExist"];
        let mut answered = self.request(account, &target, id, first.clone()).await;
        let lost = answered.as_ref().is_err_and(Failed::is_lost);
        if lost {
            // Whether it was done is what asking once more tells.
            answered = self.request(account, &target, id, first).await;
        }
        let answered = match answered {
            // Nobody here gave it, and the look does not have it yet: it is the person's own, and gets no end.
            Err(failed)
                if failed.code() == "RoleAssignmentExists"
                    && account.mode == Mode::Membership
                    && !(holds || lost || gave()) =>
            {
                return Err(given_by_another());
            }
            // The look was older than somebody's change.
            Err(failed) if exchanged.contains(&failed.code()) => {
                self.request(account, &target, id, then).await
            }
            answered => answered,
        };
        match answered {
            Ok(()) => {}
            Err(failed) if failed.code() == "PendingRoleAssignmentRequest" => {
                let waits = self.withdraw_lost(&target, id, why).await;
                match waits.map_err(|failed| failed.meaning(&about))? {
                    Some(waits) => return Err(waits),
                    // Ours, of an attempt whose answer was lost or that is still being provisioned: the next look tells.
                    None if lost || gave() => {}
                    None => return Err(failed.meaning(&about)),
                }
            }
            // Too short, or too soon moved nearer: what is there ends later than wanted, and is taken then.
            Err(failed) if failed.code() == TOO_SHORT => {
                let left = u32::try_from((until - from).num_seconds()).unwrap_or(1).clamp(1, KEPT_S);
                let is_over_sooner = |(right, at): &(Right, _)| *right == target.right() && *at < until;
                let longer = seen.account.iter().flat_map(|seen| &seen.right_ends).any(is_over_sooner);
                return Err(match failed.meaning(&about) {
                    DirectoryError::NotYet { why, .. } if holds && !longer => {
                        DirectoryError::NotYet { why, after_s: left }
                    }
                    other => DirectoryError::TooShort(format!(
                        "Entra ID gives no right for less than five minutes: {other}"
                    )),
                });
            }
            Err(failed) if failed.is_without_pim() => {
                self.learn_pim(false);
                return self.give_without_pim(account, id, right, &target).await;
            }
            Err(failed) => return Err(self.unsure(account, &target, failed.meaning(&about))),
        }
        self.written.keep(&account.key, Wrote::Given(target.right(), Some(until)));
        Ok(())
    }

    /// Where nobody knows whether it was given, a look that does not show it settles nothing for a while.
    fn unsure(&self, account: &Account, target: &Target, error: DirectoryError) -> DirectoryError {
        if error.is_ambiguous() {
            self.written.keep(&account.key, Wrote::MaybeGiven(target.right()));
        }
        error
    }

    /// Where the tenant has no PIM, and the configuration does not demand it.
    async fn give_without_pim(
        &self,
        account: &Account,
        id: &str,
        right: &Right,
        target: &Target,
    ) -> Result<(), DirectoryError> {
        if self.graph.settings().pim_only {
            return Err(DirectoryError::NoLicence(
                "pim = \"always\" is set, and the tenant has no Entra ID P2 or ID Governance".into(),
            ));
        }
        let given = self.give_for_good(account, id, right, target).await;
        given.map_err(|error| self.unsure(account, target, error))?;
        self.written.keep(&account.key, Wrote::Given(target.right(), None));
        Ok(())
    }

    /// One request of PIM.
    async fn request(
        &self,
        account: &Account,
        target: &Target,
        principal: &str,
        action: Action,
    ) -> Result<(), Failed> {
        let removes = matches!(action, Action::Remove);
        let schedule = Schedule { principal, of: target.of(), action };
        let ask = Ask::post(target.requests(), schedule.body());
        let answer = self.when_replicated(account, &ask, Some(target)).await?;
        let request: ScheduleRequest = answer.json()?;
        let id = told(&request.id, WORD_MAX);
        match request.became(removes) {
            Became::Taken => Ok(()),
            Became::Refused => {
                let status = request.status.as_ref().map_or("", Word::as_str);
                Err(DirectoryError::Refused(format!("the request {id} was answered and is {status}")).into())
            }
            Became::Waits => Err(self.withdraw(target, &request.id).await.into()),
        }
    }

    async fn give_for_good(
        &self,
        account: &Account,
        id: &str,
        right: &Right,
        target: &Target,
    ) -> Result<(), DirectoryError> {
        let ask = match target {
            Target::Role(role) => {
                let body = json!({ "principalId": id, "roleDefinitionId": role, "directoryScopeId": "/" });
                Ask::post("/roleManagement/directory/roleAssignments", body)
            }
            Target::Group(group) => {
                // By Graph's own name, whatever address it is reached at.
                let host = self.graph.settings().cloud.graph_host();
                let address = format!("{host}/v1.0/directoryObjects/{id}");
                let body = json!({ "@odata.id": address });
                Ask::post(format!("/groups/{}/members/$ref", segment(group)), body)
            }
        };
        let mut answered = self.when_replicated(account, &ask, Some(target)).await;
        let lost = answered.as_ref().is_err_and(Failed::is_lost);
        if lost {
            answered = self.when_replicated(account, &ask, Some(target)).await;
        }
        let Err(failed) = answered else { return Ok(()) };
        let conflicts = matches!(failed.status(), 400 | 409);
        // The same request was not refused before: it was done, whatever a look shows yet.
        let ours = lost || self.written.given_for(&account.key, &target.right()).is_some();
        if conflicts && ours {
            return Ok(());
        }
        // "Already so": told by looking, since the code is the same as of other mistakes.
        if conflicts && self.held(id).await?.has(&target.right()) {
            let own = account.mode == Mode::Membership;
            return if own { Err(given_by_another()) } else { Ok(()) };
        }
        let needs = target.needs_without_pim();
        Err(failed.meaning(&About { what: What::Right(&right.0), needs, writes: true }))
    }

    /// Takes a right. "Already gone" is success.
    pub(super) async fn revoke(
        &self,
        account: &Account,
        id: &str,
        right: &Right,
    ) -> Result<(), DirectoryError> {
        let target = self.resolved(right).await?;
        let about = About { what: What::Right(&right.0), needs: target.needs(), writes: true };
        let gone = if self.has_pim() == Some(false) {
            self.take_for_good(id, right, &target).await
        } else {
            match self.request(account, &target, id, Action::Remove).await {
                Err(failed) if failed.code() == "RoleAssignmentDoesNotExist" => {
                    // Somebody put the account into the group without PIM.
                    if matches!(target, Target::Group(_)) {
                        self.take_for_good(id, right, &target).await
                    } else {
                        Ok(())
                    }
                }
                Err(failed) if failed.code() == TOO_SHORT => {
                    let young =
                        self.written.given_for(&account.key, &target.right()).map(|age| age.as_secs());
                    let left = |young| KEPT_S.saturating_sub(u32::try_from(young).unwrap_or(KEPT_S)).max(1);
                    let left = young.map_or(AGE_UNKNOWN_S, left);
                    return Err(match failed.meaning(&about) {
                        DirectoryError::NotYet { why, .. } => DirectoryError::NotYet { why, after_s: left },
                        other => other,
                    });
                }
                Err(failed) if failed.is_without_pim() => {
                    self.learn_pim(false);
                    self.take_for_good(id, right, &target).await
                }
                // What was given without PIM goes without its permission.
                Err(failed) if failed.status() == 403 && matches!(target, Target::Group(_)) => {
                    self.take_for_good(id, right, &target).await
                }
                answered => answered.map_err(|failed| failed.meaning(&about)),
            }
        };
        gone?;
        self.written.keep(&account.key, Wrote::Taken(target.right()));
        Ok(())
    }

    async fn take_for_good(&self, id: &str, right: &Right, target: &Target) -> Result<(), DirectoryError> {
        let about = |needs| About { what: What::Right(&right.0), needs, writes: true };
        let needs = target.needs_without_pim();
        let asks = match target {
            Target::Group(group) => {
                vec![Ask::delete(format!("/groups/{}/members/{}/$ref", segment(group), segment(id)))]
            }
            Target::Role(role) => {
                let held =
                    self.assignments(id).await.map_err(|failed| failed.meaning(&about(WRITES_ROLES)))?;
                let of_it = held.into_iter().filter(|held| {
                    held.role_definition_id.as_ref().is_some_and(|held| held.eq_ignore_ascii_case(role))
                });
                of_it
                    .map(|held| {
                        Ask::delete(format!(
                            "/roleManagement/directory/roleAssignments/{}",
                            segment(&held.id)
                        ))
                    })
                    .collect()
            }
        };
        for ask in asks {
            match self.graph.send(&ask).await {
                Ok(_) => {}
                Err(failed) if failed.is_absent() => {}
                Err(failed) => return Err(failed.meaning(&about(needs))),
            }
        }
        Ok(())
    }

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

    async fn resolved(&self, right: &Right) -> Result<Target, DirectoryError> {
        match right.0.parse() {
            Ok(EntraRight::Role(name)) => self.roles.id(&self.graph, &name).await.map(Target::Role),
            Ok(EntraRight::Group(id)) => Ok(Target::Group(id.to_string())),
            Err(bad) => Err(DirectoryError::NoSuchRight(format!("{}: {bad}", right.0))),
        }
    }
}
