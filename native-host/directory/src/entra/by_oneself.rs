//! Rights that the person who is signed in takes and gives back himself, by what Privileged Identity Management has him eligible for:
//! no administrator's role is needed for that. Everything else is given and taken as an administrator does (`rights.rs`).

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_access::desired::{Observed, Why};
use ticketgate_access::session::{Account, Right};
use ticketgate_protocol::api::Mode;

use super::EntraTenant;
use super::failure::{About, Failed, KEPT_S, What};
use super::replicated::REPLICATION_S;
use super::rights::{TOO_SHORT, Target, given_by_another, too_short};
use super::wire::Action;
use super::written::Wrote;
use crate::DirectoryError;

/// PIM gives nothing for less.
const SHORTEST: TimeDelta = TimeDelta::seconds(KEPT_S as i64);

/// What is to be given.
pub(super) struct Activation<'a> {
    pub(super) right: &'a Right,
    pub(super) from: DateTime<Utc>,
    pub(super) until: DateTime<Utc>,
    pub(super) why: &'a Why,
}

impl EntraTenant {
    /// Activates a right of the person's own account; `false`: it is an administrator's to give.
    ///
    /// # Errors
    /// [`DirectoryError`]
    pub(super) async fn activate(
        &self,
        account: &Account,
        seen: &Observed,
        id: &str,
        target: &Target,
        wanted: &Activation<'_>,
    ) -> Result<bool, DirectoryError> {
        if account.mode != Mode::Membership || !self.graph.is_asked_by(id).await? {
            return Ok(false);
        }
        let ours = self.activations.has(&account.key, &target.right());
        let holds = seen.account.as_ref().is_some_and(|seen| seen.rights.contains(&target.right()));
        if holds && !ours {
            // An administrator gave it, and moves its end.
            return Ok(false);
        }
        if !self.may_activate(id, target).await? {
            return if holds { Err(not_eligible(wanted.right)) } else { Ok(false) };
        }
        if holds {
            self.give_back_first(account, seen, id, target, wanted).await?;
        }
        match self.ask_to_activate(account, id, target, wanted).await {
            Ok(()) => {
                self.written.keep(&account.key, Wrote::Given(target.right(), Some(wanted.until)));
                Ok(true)
            }
            Err(failed) if failed.is_without_pim() => Ok(false),
            Err(failed) if failed.code() == TOO_SHORT => {
                let error = failed.meaning(&about(wanted.right, target));
                Err(too_short(seen, target, (wanted.from, wanted.until), error))
            }
            Err(failed) => Err(self.unsure(account, target, failed.meaning(&about(wanted.right, target)))),
        }
    }

    /// PIM moves no end of an activation (`selfExtend` asks an administrator, and is about assignments): what is there is given back,
    /// to be taken anew. One that is too young for that stays, and so does one for which less is left than PIM gives.
    async fn give_back_first(
        &self,
        account: &Account,
        seen: &Observed,
        id: &str,
        target: &Target,
        wanted: &Activation<'_>,
    ) -> Result<(), DirectoryError> {
        let about = about(wanted.right, target);
        if wanted.until - wanted.from < SHORTEST {
            let error =
                DirectoryError::NotYet { why: "less than five minutes are left".into(), after_s: KEPT_S };
            return Err(too_short(seen, target, (wanted.from, wanted.until), error));
        }
        let back = Action::Deactivate("Activated anew, for the session's new end.");
        match self.request(account, target, id, back).await {
            Ok(()) => {}
            Err(failed) if failed.code() == "RoleAssignmentDoesNotExist" => {}
            Err(failed) if failed.code() == TOO_SHORT => {
                return Err(self.too_young(account, target, failed.meaning(&about)));
            }
            Err(failed) => return Err(failed.meaning(&about)),
        }
        self.written.keep(&account.key, Wrote::Taken(target.right()));
        Ok(())
    }

    async fn ask_to_activate(
        &self,
        account: &Account,
        id: &str,
        target: &Target,
        wanted: &Activation<'_>,
    ) -> Result<(), Failed> {
        let Activation { from, until, why, .. } = *wanted;
        // By this session, or by one that ended just now.
        let gave_back = self.activations.gave_back(&account.key, &target.right());
        let activate = || Action::Activate { from, until, why: why.clone() };
        let mut pauses = REPLICATION_S.iter().filter(|_| gave_back);
        let mut lost = false;
        loop {
            let failed = match self.request(account, target, id, activate()).await {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            match failed.code() {
                _ if failed.is_lost() && !lost => lost = true,
                // It was done, as asking once more tells; or it is what was given back, which a look tells.
                "RoleAssignmentExists" if lost && !gave_back => return Ok(()),
                "RoleAssignmentExists" if lost => {
                    return Err(
                        DirectoryError::Ambiguous("the answer to an activation was lost".into()).into()
                    );
                }
                "RoleAssignmentExists" => match pauses.next() {
                    Some(pause) => tokio::time::sleep(Duration::from_secs(*pause)).await,
                    None if gave_back => {
                        let why = "the tenant has not let go yet of what was given back";
                        return Err(DirectoryError::Busy(why.into()).into());
                    }
                    // The look does not have it yet: it is the person's own.
                    None => return Err(given_by_another().into()),
                },
                "PendingRoleAssignmentRequest" => {
                    let about = about(wanted.right, target);
                    let settled = self.settled_pending(target, id, why, failed, lost, &about);
                    return Ok(settled.await?);
                }
                _ => return Err(failed),
            }
        }
    }

    /// Takes a right away: what the person activated is given back by himself while he is the one who is signed in, all else, and what he
    /// may not give back any more, is taken as an administrator does.
    ///
    /// # Errors
    /// [`Failed`]
    pub(super) async fn remove(&self, account: &Account, target: &Target, id: &str) -> Result<(), Failed> {
        let ours = self.activations.has(&account.key, &target.right());
        if !ours || !self.graph.is_asked_by(id).await? {
            return self.request(account, target, id, Action::Remove).await;
        }
        let back = Action::Deactivate("The session is over.");
        match self.request(account, target, id, back).await {
            Err(failed) if is_refused(&failed) => {
                match self.request(account, target, id, Action::Remove).await {
                    // Whoever is no administrator is told why the person may not.
                    Err(Failed::Graph(error)) if error.status == 403 => Err(failed),
                    answered => answered,
                }
            }
            answered => answered,
        }
    }
}

const fn about<'a>(right: &'a Right, target: &Target) -> About<'a> {
    About { what: What::Right(right.0.as_str()), needs: target.needs(), writes: true }
}

/// For a reason that is none of an administrator's: the person is not eligible any more.
fn is_refused(failed: &Failed) -> bool {
    let settled = ["RoleAssignmentDoesNotExist", TOO_SHORT].contains(&failed.code());
    matches!(failed.status(), 400 | 403) && !settled && !failed.is_without_pim()
}

fn not_eligible(right: &Right) -> DirectoryError {
    DirectoryError::TenantPolicy(format!(
        "{}: the person is not eligible for it any more, so it ends when it was to end",
        right.0
    ))
}
