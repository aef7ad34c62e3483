//! Looking: what a tenant has for an account, and for all accounts that are ours by their names.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use ticketgate_access::desired::{DirectoryEnd, Observed, ObservedAccount, SelfEnding};
use ticketgate_access::session::{Account, Right};
use ticketgate_https::segment;
use ticketgate_protocol::api::Mode;

use super::activations::Kind;
use super::failure::{About, Failed, What};
use super::graph::{Ask, equals, quoted};
use super::wire::{HeldGroup, HeldRole, MemberOf, RoleAssignment, USER_FIELDS, User, Word};
use super::{EntraTenant, READS_GROUPS, WRITES_PIM_GROUPS, WRITES_ROLES, WRITES_USERS, roles};
use crate::{DirectoryError, ListedAccount, Listing, note};

/// Pauses before looking once more, by how old the write is that is not shown.
const PAUSES_MS: [(u64, u64); 4] = [(1, 250), (3, 500), (8, 1000), (20, 2000)];
const LONGEST_PAUSE_MS: u64 = 4000;

/// As old counts what nobody knows the age of.
const NEW_S: u64 = 3;

/// Accounts of a list whose groups are asked for at once.
const AT_ONCE: usize = 4;

/// Roles and groups that somebody has, by their ids, with their ends.
#[derive(Debug, Default)]
pub(super) struct Held {
    rights: BTreeSet<Right>,
    ends: Vec<(Right, DateTime<Utc>)>,
    /// Those that the person activated himself.
    own: BTreeSet<Right>,
    /// Those that were activated for a session.
    activated: BTreeSet<Right>,
}

/// A role or a group that PIM shows somebody to have.
pub(super) struct Given {
    right: Right,
    end: Option<DateTime<Utc>>,
    /// What made it, where its holder activated it.
    activation: Option<String>,
}

impl Held {
    /// Whether it is among them.
    pub(super) fn has(&self, right: &Right) -> bool {
        self.rights.contains(right)
    }

    fn add(&mut self, right: Right, end: Option<DateTime<Utc>>) {
        self.ends.extend(end.map(|end| (right.clone(), end)));
        self.rights.insert(right);
    }

    /// What PIM shows. `ours` are the activations of sessions; `None`: whose they are does not count.
    fn add_given(&mut self, given: Vec<Given>, ours: Option<&BTreeSet<String>>) {
        let (own, others): (Vec<_>, Vec<_>) = given.into_iter().partition(|given| {
            ours.is_some_and(|ours| given.activation.as_ref().is_some_and(|of| !ours.contains(of)))
        });
        for given in others {
            if given.activation.is_some() && ours.is_some() {
                self.activated.insert(given.right.clone());
            }
            self.add(given.right, given.end);
        }
        for given in own {
            // What it is held by besides counts alone: that can be moved and taken.
            if !self.has(&given.right) {
                self.own.insert(given.right.clone());
                self.add(given.right, given.end);
            }
        }
    }
}

impl EntraTenant {
    /// The contract of [`crate::Directory::observe`].
    pub(super) async fn look(&self, account: &Account) -> Result<Observed, DirectoryError> {
        let mut observed = self.look_once(account).await?;
        let lacks = |observed: &Observed| {
            let ending = observed.self_ending == SelfEnding::All;
            self.written.compared(&account.key, observed.account.as_ref(), ending)
        };
        let lacking = lacks(&observed);
        if lacking.is_none() && !observed.behind {
            return Ok(observed);
        }
        let age = lacking.map_or(NEW_S, |behind| behind.for_.as_secs());
        let pause =
            PAUSES_MS.iter().find(|(until, _)| age < *until).map_or(LONGEST_PAUSE_MS, |(_, pause)| *pause);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        observed = self.look_once(account).await?;
        if let Some(behind) = lacks(&observed) {
            tracing::debug!(account = %account.key.0, ?behind, "the tenant does not show yet what it took in");
            observed.behind = true;
            if let Some(seen) = &mut observed.account {
                // An account that may be open has to be closed when its time is over, whatever the look says.
                seen.enabled = behind.enabled;
            }
        }
        Ok(observed)
    }

    async fn look_once(&self, account: &Account) -> Result<Observed, DirectoryError> {
        let id = account.identity.clone().or_else(|| self.written.made(&account.key));
        let held = |id: String| async move { self.held(&id, account.mode).await };
        let (user, time, held) = match id {
            Some(id) => {
                let (user, held) = tokio::join!(self.user(&id), held(id.clone()));
                let (user, time) = user?;
                // What an account that is gone held is nobody's question.
                (user, time, held)
            }
            None => {
                let (user, time) = self.user(&account.name).await?;
                let held = match &user {
                    Some(user) => held(user.id.clone()).await,
                    None => Ok(Held::default()),
                };
                (user, time, held)
            }
        };
        let (seen, behind) = match (user, held) {
            (None, _) => (None, false),
            // One copy has the account, another has not heard of it. A person's own is never so new.
            (Some(user), Err(DirectoryError::NoSuchAccount(_))) if account.mode != Mode::Membership => {
                (Some(observed(user, Held::default())), true)
            }
            (Some(_), Err(DirectoryError::NoSuchAccount(why))) => return Err(DirectoryError::Busy(why)),
            (Some(user), held) => {
                let mut held = held?;
                self.activations.saw(&account.key, std::mem::take(&mut held.activated));
                (Some(observed(user, held)), false)
            }
        };
        Ok(Observed {
            directory_time: time,
            self_ending: if self.has_pim() == Some(false) { SelfEnding::None } else { SelfEnding::All },
            account: seen,
            behind,
        })
    }

    /// A user by id or name, and the tenant's time.
    pub(super) async fn user(&self, id: &str) -> Result<(Option<User>, DateTime<Utc>), DirectoryError> {
        let ask = Ask::get(format!("/users/{}", segment(id))).option("$select", USER_FIELDS);
        let no_time = || DirectoryError::Refused("an answer without the time (Date)".into());
        match self.graph.send(&ask).await {
            Ok(answer) => {
                let about = About { what: What::User(id), needs: WRITES_USERS, writes: false };
                let user = answer.json().map_err(|failed| failed.meaning(&about))?;
                Ok((Some(user), answer.time.ok_or_else(no_time)?))
            }
            Err(failed) if failed.is_absent() => Ok((None, self.graph.now().ok_or_else(no_time)?)),
            Err(failed) => {
                Err(failed.meaning(&About { what: What::User(id), needs: WRITES_USERS, writes: false }))
            }
        }
    }

    /// What somebody holds; [`DirectoryError::NoSuchAccount`] where a copy does not know them. What of a person's own account is anybody's business here is not known here.
    pub(super) async fn held(&self, id: &str, mode: Mode) -> Result<Held, DirectoryError> {
        let about = |needs| About { what: What::User(id), needs, writes: false };
        let own = mode == Mode::Membership && self.graph.is_asked_by(id).await?;
        let roles = self.held_roles(id, own);
        let members = async {
            // No `$select`: whether properties of groups may be named in a list of directory objects nobody documents.
            let ask = Ask::get(format!("/users/{}/memberOf", segment(id))).option("$top", "999");
            match self.graph.list::<MemberOf>(&ask).await {
                Ok((members, _)) => Ok(members),
                Err(failed) => Err(failed.meaning(&about(READS_GROUPS))),
            }
        };
        let timed = async {
            if !self.knows_groups || self.has_pim() == Some(false) {
                return Ok(Vec::new());
            }
            let path = "/identityGovernance/privilegedAccess/group/assignmentScheduleInstances";
            let filtered = || Ask::get(path).option("$filter", &equals("principalId", id));
            let ask = if own { Self::my_own(path, id) } else { filtered() };
            match self.graph.list::<HeldGroup>(&ask).await {
                Ok((groups, _)) => Ok(groups),
                // That the tenant has no PIM is what the question for roles learns.
                Err(failed) if failed.is_without_pim() => Ok(Vec::new()),
                Err(failed) => Err(failed.meaning(&about(WRITES_PIM_GROUPS))),
            }
        };
        let (roles, members, timed) = tokio::join!(roles, members, timed);
        let mut held = Held::default();
        let roles = roles?;
        if !roles.is_empty() {
            // By it `right_key` knows a role again that sessions have by its name.
            self.roles.table(&self.graph, roles::KEPT).await?;
        }
        let timed: Vec<_> = timed?.into_iter().filter_map(given_group).collect();
        // A JIT account has nothing of its own.
        let (ours_of_roles, ours_of_groups) = match mode {
            Mode::Membership => {
                let roles = self.ours_among(id, Kind::Role, &roles);
                let groups = self.ours_among(id, Kind::Group, &timed);
                let (roles, groups) = tokio::join!(roles, groups);
                (Some(roles?), Some(groups?))
            }
            Mode::Dedicated | Mode::Burner => (None, None),
        };
        held.add_given(roles, ours_of_roles.as_ref());
        let is_timed = |right: &Right| timed.iter().any(|given| given.right == *right);
        for group in members?.into_iter().filter(MemberOf::is_given) {
            let right = group_right(&group.id);
            // Its end, and whose it is, PIM knows.
            if !is_timed(&right) {
                held.add(right, None);
            }
        }
        held.add_given(timed, ours_of_groups.as_ref());
        Ok(held)
    }

    async fn ours_among(
        &self,
        id: &str,
        kind: Kind,
        given: &[Given],
    ) -> Result<BTreeSet<String>, DirectoryError> {
        let activations: Vec<_> = given.iter().filter_map(|given| given.activation.clone()).collect();
        let ours = self.of_sessions(id, kind, &activations).await;
        let needs = if kind == Kind::Role { WRITES_ROLES } else { WRITES_PIM_GROUPS };
        ours.map_err(|failed| failed.meaning(&About { what: What::User(id), needs, writes: false }))
    }

    /// Roles that somebody holds directly and in the whole directory, with their ends where the tenant has PIM.
    async fn held_roles(&self, id: &str, own: bool) -> Result<Vec<Given>, DirectoryError> {
        let about = About { what: What::User(id), needs: WRITES_ROLES, writes: false };
        let filter = equals("principalId", id);
        if self.has_pim() != Some(false) {
            let path = "/roleManagement/directory/roleAssignmentScheduleInstances";
            let ask = if own { Self::my_own(path, id) } else { Ask::get(path).option("$filter", &filter) };
            match self.graph.list::<HeldRole>(&ask).await {
                Ok((roles, _)) => {
                    self.learn_pim(true);
                    return Ok(roles.into_iter().filter_map(given_role).collect());
                }
                Err(failed) if failed.is_without_pim() => self.learn_pim(false),
                Err(failed) => return Err(failed.meaning(&about)),
            }
        }
        let roles = self.assignments(id).await.map_err(|failed| failed.meaning(&about))?;
        let held = roles.into_iter().filter_map(|role| role.role_definition_id);
        Ok(held.map(|role| Given { right: role_right(&role), end: None, activation: None }).collect())
    }

    /// Assignments without an end, in the whole directory.
    pub(super) async fn assignments(&self, id: &str) -> Result<Vec<RoleAssignment>, Failed> {
        let ask = Ask::get("/roleManagement/directory/roleAssignments")
            .option("$filter", &equals("principalId", id));
        let (mut roles, _) = self.graph.list::<RoleAssignment>(&ask).await?;
        roles.retain(|role| is_whole(role.directory_scope_id.as_deref()));
        Ok(roles)
    }

    /// The contract of [`crate::Directory::list`].
    pub(super) async fn listing(&self) -> Result<Listing, DirectoryError> {
        let about = About { what: What::Tenant, needs: WRITES_USERS, writes: false };
        let (mut users, mut time) = (BTreeMap::new(), None);
        for prefix in self.prefixes() {
            let ask = Ask::get("/users")
                .option("$filter", &format!("startsWith(userPrincipalName,{})", quoted(&prefix)))
                .option("$select", USER_FIELDS)
                // The most there can be: so many pages are a hundred thousand accounts.
                .option("$top", "999")
                .in_the_background();
            let (found, answered) =
                self.graph.list::<User>(&ask).await.map_err(|failed| failed.meaning(&about))?;
            time = time.or(answered);
            users.extend(found.into_iter().map(|user| (user.id.clone(), user)));
        }
        let ours = users.into_values().filter(|user| self.is_named_as_ours(&user.user_principal_name));
        let accounts = stream::iter(ours)
            .map(|user| async move {
                let held = match self.held(&user.id, Mode::Dedicated).await {
                    // Deleted since it was listed.
                    Err(DirectoryError::NoSuchAccount(_)) => return Ok(None),
                    held => held?,
                };
                let name = user.user_principal_name.clone();
                Ok::<_, DirectoryError>(Some(ListedAccount { name, seen: observed(user, held) }))
            })
            .buffer_unordered(AT_ONCE)
            .try_filter_map(|account| std::future::ready(Ok(account)))
            .try_collect()
            .await?;
        let time = time.or_else(|| self.graph.now());
        Ok(Listing {
            directory_time: time
                .ok_or_else(|| DirectoryError::Refused("an answer without the time (Date)".into()))?,
            accounts,
        })
    }

    /// What the names of our accounts begin with.
    fn prefixes(&self) -> BTreeSet<String> {
        let pattern = &self.graph.settings().account_name;
        let own = pattern.split('{').next().unwrap_or_default();
        // Without a beginning, which the configuration's reader refuses, it would be everybody.
        [own, "jit-"].into_iter().filter(|prefix| !prefix.is_empty()).map(str::to_owned).collect()
    }

    fn is_named_as_ours(&self, name: &str) -> bool {
        let domain = &self.graph.settings().account_domain;
        name.rsplit_once('@').is_some_and(|(_, of)| of.eq_ignore_ascii_case(domain))
    }
}

fn is_whole(scope: Option<&str>) -> bool {
    scope.is_none_or(|scope| scope == "/")
}

/// None for what comes by a group or is limited to a part of the directory.
pub(super) fn given_role(role: HeldRole) -> Option<Given> {
    let direct = role.member_type.as_ref().is_none_or(|kind| kind.as_str() == "direct");
    (direct && is_whole(role.directory_scope_id.as_deref())).then(|| Given {
        right: role_right(&role.role_definition_id),
        end: role.end_date_time,
        activation: activation(role.assignment_type.as_ref(), role.role_assignment_schedule_id),
    })
}

/// None for an ownership; what has no end stands among the memberships.
fn given_group(group: HeldGroup) -> Option<Given> {
    let member = group.access_id.as_ref().is_none_or(|access| access.as_str() == "member");
    let (id, end) = (group.group_id?, group.end_date_time?);
    let activation = activation(group.assignment_type.as_ref(), group.assignment_schedule_id);
    member.then(|| Given { right: group_right(&id), end: Some(end), activation })
}

fn activation(kind: Option<&Word>, schedule: Option<String>) -> Option<String> {
    kind.is_some_and(|kind| kind.as_str() == "activated").then(|| schedule.unwrap_or_default())
}

/// A role as looks have it: by its id, which no renaming changes.
pub(super) fn role_right(id: &str) -> Right {
    Right(format!("role:{}", id.to_lowercase()))
}

pub(super) fn group_right(id: &str) -> Right {
    Right(format!("group:{}", id.to_lowercase()))
}

pub(super) fn observed(user: User, held: Held) -> ObservedAccount {
    let text = user.on_premises_extension_attributes.and_then(|attributes| attributes.note);
    ObservedAccount {
        place: user.user_principal_name.clone(),
        display_name: user.user_principal_name,
        identity: user.id,
        enabled: user.account_enabled.unwrap_or(false),
        end: DirectoryEnd::NotKept,
        rights: held.rights,
        right_ends: held.ends,
        own: held.own,
        marker: text.as_deref().and_then(note::parse),
        ordinary_primary_group: true,
    }
}
