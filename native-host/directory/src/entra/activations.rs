//! What a person may activate by Privileged Identity Management, and whose an activation is that a look shows: a session's, or one
//! that the person made himself. How one is asked for and given back stands in `by_oneself.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ticketgate_access::session::{AccountKey, Right};
use tokio::time::Instant;

use super::EntraTenant;
use super::failure::{About, Failed, What};
use super::graph::{Ask, equals};
use super::look::{group_right, role_right};
use super::rights::Target;
use super::wire::{EligibleGroup, EligibleRole, ScheduleRequest};
use crate::DirectoryError;

/// What is asked for the rights of one session is asked once: they are given within this time of one another.
const KEPT: Duration = Duration::from_secs(5);

/// By then PIM has let go of what was given back (others measured 12 s).
const LETS_GO: Duration = Duration::from_secs(60);

/// Schedules of activations that are remembered at most.
const KNOWN_MAX: usize = 1000;

/// What is needed of a person besides, to see what he may activate.
pub(super) const READS_ELIGIBLE_ROLES: &str = "RoleEligibilitySchedule.Read.Directory";
pub(super) const READS_ELIGIBLE_GROUPS: &str = "PrivilegedEligibilitySchedule.Read.AzureADGroup";

/// As Graph names what is the asker's own.
const MY_OWN: &str = "filterByCurrentUser(on='principal')";

/// The two that PIM looks after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Role,
    Group,
}

/// What this process knows of activations.
#[derive(Default)]
pub(super) struct Activations {
    /// By their schedules, whether they are a session's: that never changes.
    known: Mutex<BTreeMap<String, bool>>,
    /// The rights that accounts had by an activation of a session at the last look.
    ours: Mutex<HashMap<AccountKey, BTreeSet<Right>>>,
    /// When a right was last given back, done or not: PIM lets go of it some seconds later.
    given_back: Mutex<HashMap<(AccountKey, Right), Instant>>,
    /// What somebody may activate, asked for just now. Held while it is asked for, so that two rights ask once.
    roles: tokio::sync::Mutex<Option<Eligible>>,
    groups: tokio::sync::Mutex<Option<Eligible>>,
}

struct Eligible {
    person: String,
    at: Instant,
    rights: BTreeSet<Right>,
}

impl Activations {
    /// This one is a session's.
    pub(super) fn made(&self, schedule: &str) {
        self.learn([(schedule.to_lowercase(), true)]);
    }

    fn learn(&self, found: impl IntoIterator<Item = (String, bool)>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > KNOWN_MAX {
            // They are asked for again.
            known.clear();
        }
        known.extend(found);
    }

    fn whose(&self, schedule: &str) -> Option<bool> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&schedule.to_lowercase()).copied()
    }

    /// Keeps what a look showed.
    pub(super) fn saw(&self, account: &AccountKey, ours: BTreeSet<Right>) {
        let mut kept = self.ours.lock().unwrap_or_else(PoisonError::into_inner);
        if ours.is_empty() {
            kept.remove(account);
        } else {
            kept.insert(account.clone(), ours);
        }
    }

    /// Whether the last look showed the right as an activation of a session.
    pub(super) fn has(&self, account: &AccountKey, right: &Right) -> bool {
        let kept = self.ours.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(account).is_some_and(|rights| rights.contains(right))
    }

    /// A right is being given back.
    pub(super) fn gives_back(&self, account: &AccountKey, right: &Right) {
        let mut kept = self.given_back.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, at| at.elapsed() < LETS_GO);
        kept.insert((account.clone(), right.clone()), Instant::now());
    }

    /// Whether PIM may still hold on to a right that was given back.
    pub(super) fn gave_back(&self, account: &AccountKey, right: &Right) -> bool {
        let kept = self.given_back.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&(account.clone(), right.clone())).is_some_and(|at| at.elapsed() < LETS_GO)
    }

    fn eligible(&self, kind: Kind) -> &tokio::sync::Mutex<Option<Eligible>> {
        match kind {
            Kind::Role => &self.roles,
            Kind::Group => &self.groups,
        }
    }
}

impl EntraTenant {
    /// Whether the person who is signed in, and has this id, may activate it now. Where the tenant does not say: no.
    ///
    /// # Errors
    /// [`DirectoryError`]
    pub(super) async fn may_activate(&self, id: &str, target: &Target) -> Result<bool, DirectoryError> {
        let (kind, right) = (target.kind(), target.right());
        let mut kept = self.activations.eligible(kind).lock().await;
        if let Some(known) = kept.as_ref().filter(|known| known.person == id && known.at.elapsed() < KEPT) {
            return Ok(known.rights.contains(&right));
        }
        let rights = match self.eligible_of(id, kind).await {
            Ok(rights) => rights,
            // Without the permission to ask, as before there was one; and what the tenant has no licence for nobody is eligible for.
            Err(failed) if failed.status() == 403 || failed.is_without_pim() => {
                tracing::debug!(?failed, "what the person may activate cannot be asked for");
                BTreeSet::new()
            }
            Err(failed) => {
                let needs = kind.reads_eligible();
                return Err(failed.meaning(&About { what: What::User(id), needs, writes: false }));
            }
        };
        let may = rights.contains(&right);
        *kept = Some(Eligible { person: id.to_owned(), at: Instant::now(), rights });
        Ok(may)
    }

    /// What the person who is signed in, and has this id, may activate now: roles in the whole directory, or memberships.
    ///
    /// # Errors
    /// [`Failed`]
    pub(super) async fn eligible_of(&self, id: &str, kind: Kind) -> Result<BTreeSet<Right>, Failed> {
        let ask = |path: &str| Ask::get(format!("{path}/{MY_OWN}")).only_as(id);
        match kind {
            Kind::Role => {
                let ask = ask("/roleManagement/directory/roleEligibilityScheduleInstances");
                let (found, _) = self.graph.list::<EligibleRole>(&ask).await?;
                let whole = |role: &EligibleRole| role.directory_scope_id.as_deref() == Some("/");
                let ids = found.into_iter().filter(whole).filter_map(|role| role.role_definition_id);
                Ok(ids.map(|role| role_right(&role)).collect())
            }
            Kind::Group => {
                let ask = ask("/identityGovernance/privilegedAccess/group/eligibilitySchedules");
                let (found, time) = self.graph.list::<EligibleGroup>(&ask).await?;
                let now = time.or_else(|| self.graph.now());
                let counts = |of: &EligibleGroup| {
                    let member = of.access_id.as_ref().is_none_or(|access| access.as_str() == "member");
                    let schedule = of.schedule_info.as_ref();
                    member && schedule.is_none_or(|schedule| now.is_none_or(|now| schedule.is_now(now)))
                };
                let ids = found.into_iter().filter(counts).filter_map(|of| of.group_id);
                Ok(ids.map(|group| group_right(&group)).collect())
            }
        }
    }

    /// Requests of PIM about somebody: one's own as every person may see them, those of others as administrators do.
    ///
    /// # Errors
    /// [`Failed`]
    pub(super) async fn requests_about(&self, id: &str, kind: Kind) -> Result<Vec<ScheduleRequest>, Failed> {
        let path = kind.requests();
        let ask = match kind {
            Kind::Role if self.graph.is_asked_by(id).await? => {
                Ask::get(format!("{path}/{MY_OWN}")).only_as(id)
            }
            // Of groups there is no such question; a person's own are told by this one.
            Kind::Role | Kind::Group => Ask::get(path).option("$filter", &equals("principalId", id)),
        };
        Ok(self.graph.list::<ScheduleRequest>(&ask).await?.0)
    }

    /// Which of these schedules are a session's. The tenant is asked for those alone that are not known yet.
    ///
    /// # Errors
    /// [`Failed`]
    pub(super) async fn of_sessions(
        &self,
        id: &str,
        kind: Kind,
        schedules: &[String],
    ) -> Result<BTreeSet<String>, Failed> {
        if schedules.iter().any(|schedule| self.activations.whose(schedule).is_none()) {
            let requests = self.requests_about(id, kind).await?;
            let about = |schedule: &str| {
                let about = move |request: &&ScheduleRequest| {
                    request.schedule.as_ref().is_some_and(|of| of.eq_ignore_ascii_case(schedule))
                };
                requests.iter().filter(about).collect::<Vec<_>>()
            };
            // One of which no request tells is asked for again; until then it is the person's.
            let told = schedules.iter().map(|schedule| (schedule, about(schedule)));
            let told = told.filter(|(_, requests)| !requests.is_empty()).map(|(schedule, requests)| {
                (schedule.to_lowercase(), requests.iter().any(|request| request.is_of_a_session()))
            });
            self.activations.learn(told);
        }
        let ours = |schedule: &&String| self.activations.whose(schedule) == Some(true);
        Ok(schedules.iter().filter(ours).cloned().collect())
    }

    /// Where the asker's own right assignments are: no directory role is needed to see one's own.
    pub(super) fn my_own(path: &str, id: &str) -> Ask {
        Ask::get(format!("{path}/{MY_OWN}")).only_as(id)
    }
}

impl Kind {
    /// Where PIM takes requests.
    pub(super) const fn requests(self) -> &'static str {
        match self {
            Self::Role => "/roleManagement/directory/roleAssignmentScheduleRequests",
            Self::Group => "/identityGovernance/privilegedAccess/group/assignmentScheduleRequests",
        }
    }

    pub(super) const fn reads_eligible(self) -> &'static str {
        match self {
            Self::Role => READS_ELIGIBLE_ROLES,
            Self::Group => READS_ELIGIBLE_GROUPS,
        }
    }
}
