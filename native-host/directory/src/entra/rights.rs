//! Giving and taking roles and groups: by requests of PIM with an end, or for good where the tenant has none.

use chrono::{DateTime, Utc};
use serde_json::json;
use ticketgate_access::desired::{Observed, Why};
use ticketgate_access::session::{Account, Right};
use ticketgate_https::segment;
use ticketgate_protocol::api::Mode;

use super::activations::Kind;
use super::by_oneself::Activation;
use super::failure::{About, Failed, KEPT_S, WORD_MAX, What, told};
use super::graph::Ask;
use super::look::{group_right, role_right};
use super::wire::{Action, Became, Of, Schedule, ScheduleRequest, Word};
use super::written::Wrote;
use super::{EntraTenant, WRITES_GROUPS, WRITES_PIM_GROUPS, WRITES_ROLES, WRITES_ROLES_FOR_GOOD};
use crate::DirectoryError;

/// Where another process gave a right, it is asked again after this, in seconds.
const AGE_UNKNOWN_S: u32 = 60;

/// PIM's code for both: a time that is too short, and a removal that is too soon.
pub(super) const TOO_SHORT: &str = "ActiveDurationTooShort";

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

    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Role(_) => Kind::Role,
            Self::Group(_) => Kind::Group,
        }
    }

    /// As looks have it.
    pub(super) fn right(&self) -> Right {
        match self {
            Self::Role(id) => role_right(id),
            Self::Group(id) => group_right(id),
        }
    }

    /// Whether a request is about it.
    pub(super) fn is_of(&self, request: &ScheduleRequest) -> bool {
        let (id, of) = match self {
            Self::Role(id) => (id, &request.role),
            Self::Group(id) => (id, &request.group),
        };
        of.as_ref().is_none_or(|of| of.eq_ignore_ascii_case(id))
    }

    pub(super) const fn needs(&self) -> &'static str {
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
        self.kind().requests()
    }
}

/// What is there ends later than wanted, and is taken then; or what is wanted is shorter than anything that PIM gives.
pub(super) fn too_short(
    seen: &Observed,
    target: &Target,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
    error: DirectoryError,
) -> DirectoryError {
    let left = u32::try_from((until - from).num_seconds()).unwrap_or(1).clamp(1, KEPT_S);
    let holds = seen.account.as_ref().is_some_and(|seen| seen.rights.contains(&target.right()));
    let is_over_sooner = |(right, at): &(Right, _)| *right == target.right() && *at < until;
    let longer = seen.account.iter().flat_map(|seen| &seen.right_ends).any(is_over_sooner);
    match error {
        DirectoryError::NotYet { why, .. } if holds && !longer => {
            DirectoryError::NotYet { why, after_s: left }
        }
        other => {
            DirectoryError::TooShort(format!("Entra ID gives no right for less than five minutes: {other}"))
        }
    }
}

pub(super) fn given_by_another() -> DirectoryError {
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
        if self.activate(account, seen, id, &target, &Activation { right, from, until, why }).await? {
            return Ok(());
        }
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
                self.settled_pending(&target, id, why, failed, lost || gave(), &about).await?;
            }
            // Too short, or too soon moved nearer: what is there ends later than wanted, and is taken then.
            Err(failed) if failed.code() == TOO_SHORT => {
                return Err(too_short(seen, &target, (from, until), failed.meaning(&about)));
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
    pub(super) fn unsure(&self, account: &Account, target: &Target, error: DirectoryError) -> DirectoryError {
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
    pub(super) async fn request(
        &self,
        account: &Account,
        target: &Target,
        principal: &str,
        action: Action,
    ) -> Result<(), Failed> {
        let (removes, activates) = (action.removes(), matches!(action, Action::Activate { .. }));
        if matches!(action, Action::Deactivate(_)) {
            self.activations.gives_back(&account.key, &target.right());
        }
        let schedule = Schedule { principal, of: target.of(), action };
        let ask = Ask::post(target.requests(), schedule.body());
        let answer = self.when_replicated(account, &ask, Some(target)).await?;
        let request: ScheduleRequest = answer.json()?;
        let id = told(&request.id, WORD_MAX);
        match request.became(removes) {
            Became::Taken => {
                if let Some(schedule) = request.schedule.as_ref().filter(|_| activates) {
                    self.activations.made(schedule);
                }
                Ok(())
            }
            Became::Refused => {
                let status = request.status.as_ref().map_or("", Word::as_str);
                Err(DirectoryError::Refused(format!("the request {id} was answered and is {status}")).into())
            }
            Became::Waits => Err(self.withdraw(target, &request.id, activates).await.into()),
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
        if conflicts && self.held(id, account.mode).await?.has(&target.right()) {
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
            match self.remove(account, &target, id).await {
                Err(failed) if failed.code() == "RoleAssignmentDoesNotExist" => {
                    // Somebody put the account into the group without PIM.
                    if matches!(target, Target::Group(_)) {
                        self.take_for_good(id, right, &target).await
                    } else {
                        Ok(())
                    }
                }
                Err(failed) if failed.code() == TOO_SHORT => {
                    return Err(self.too_young(account, &target, failed.meaning(&about)));
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

    /// PIM keeps what it gave lately: for how long on, as far as this process knows.
    pub(super) fn too_young(
        &self,
        account: &Account,
        target: &Target,
        error: DirectoryError,
    ) -> DirectoryError {
        let young = self.written.given_for(&account.key, &target.right()).map(|age| age.as_secs());
        let left = |young| KEPT_S.saturating_sub(u32::try_from(young).unwrap_or(KEPT_S)).max(1);
        match error {
            DirectoryError::NotYet { why, .. } => {
                DirectoryError::NotYet { why, after_s: young.map_or(AGE_UNKNOWN_S, left) }
            }
            other => other,
        }
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
}
