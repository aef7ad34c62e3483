//! Looking: what a tenant has for an account, and for all accounts that are ours by their names.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use ticketgate_access::desired::{DirectoryEnd, Observed, ObservedAccount, SelfEnding};
use ticketgate_access::entra::{EntraRight, RoleName};
use ticketgate_access::session::{Account, Right};
use ticketgate_https::segment;
use ticketgate_protocol::api::Mode;

use super::failure::{About, Failed, What};
use super::graph::{Ask, equals, quoted};
use super::wire::{HeldGroup, HeldRole, MemberOf, RoleAssignment, USER_FIELDS, User};
use super::{EntraTenant, READS_GROUPS, WRITES_PIM_GROUPS, WRITES_ROLES, WRITES_USERS};
use crate::{DirectoryError, ListedAccount, Listing, note};

/// Pauses before looking once more, by how old the write is that is not shown.
const PAUSES_MS: [(u64, u64); 4] = [(1, 250), (3, 500), (8, 1000), (20, 2000)];
const LONGEST_PAUSE_MS: u64 = 4000;

/// Accounts of a list whose groups are asked for at once.
const AT_ONCE: usize = 4;

/// Roles and groups that somebody has, with their ends.
#[derive(Debug, Default)]
pub(super) struct Held {
    rights: BTreeSet<Right>,
    ends: Vec<(Right, DateTime<Utc>)>,
}

impl Held {
    /// Whether it is among them, however it is spelled.
    pub(super) fn has(&self, right: &Right) -> bool {
        self.rights.contains(right)
    }

    fn add(&mut self, right: Right, end: Option<DateTime<Utc>>) {
        self.ends.extend(end.map(|end| (right.clone(), end)));
        self.rights.insert(right);
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
        let Some(behind) = lacks(&observed) else { return Ok(observed) };
        let age = behind.for_.as_secs();
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
        let (user, time, held) = match id {
            Some(id) => {
                let (user, held) = tokio::join!(self.user(&id), self.held(&id, account.mode));
                let (user, time) = user?;
                // What an account that is gone held is nobody's question.
                (user, time, held)
            }
            None => {
                let (user, time) = self.user(&account.name).await?;
                let held = match &user {
                    Some(user) => self.held(&user.id, account.mode).await,
                    None => Ok(Held::default()),
                };
                (user, time, held)
            }
        };
        let seen = match user {
            Some(user) => Some(observed(user, held?)),
            None => None,
        };
        Ok(Observed {
            directory_time: time,
            self_ending: if self.has_pim() == Some(false) { SelfEnding::None } else { SelfEnding::All },
            account: seen,
            behind: false,
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

    /// What somebody holds.
    pub(super) async fn held(&self, id: &str, mode: Mode) -> Result<Held, DirectoryError> {
        let about = |needs| About { what: What::User(id), needs, writes: false };
        let knows_groups = self.known.keys().any(|right| matches!(right, EntraRight::Group(_)));
        let roles = self.held_roles(id);
        let members = async {
            if !knows_groups && mode == Mode::Membership {
                return Ok(Vec::new());
            }
            // No `$select`: whether properties of groups may be named in a list of directory objects nobody documents.
            let ask = Ask::get(format!("/users/{}/memberOf", segment(id))).option("$top", "999");
            match self.graph.list::<MemberOf>(&ask).await {
                Ok((members, _)) => Ok(members),
                Err(failed) if failed.is_absent() => Ok(Vec::new()),
                Err(failed) => Err(failed.meaning(&about(READS_GROUPS))),
            }
        };
        let timed = async {
            if !knows_groups || self.has_pim() == Some(false) {
                return Ok(Vec::new());
            }
            let ask = Ask::get("/identityGovernance/privilegedAccess/group/assignmentScheduleInstances")
                .option("$filter", &equals("principalId", id));
            match self.graph.list::<HeldGroup>(&ask).await {
                Ok((groups, _)) => Ok(groups),
                // That the tenant has no PIM is what the question for roles learns.
                Err(failed) if failed.is_absent() || failed.is_without_pim() => Ok(Vec::new()),
                Err(failed) => Err(failed.meaning(&about(WRITES_PIM_GROUPS))),
            }
        };
        let (roles, members, timed) = tokio::join!(roles, members, timed);
        let mut held = Held::default();
        for (role, end) in roles? {
            held.add(self.right_of_role(&role).await?, end);
        }
        let timed = timed?;
        // Of a person's own groups only those that policies name are anybody's business here.
        let counts =
            |right: &Right| mode != Mode::Membership || self.known.values().any(|known| known == right);
        for group in members?.into_iter().filter(MemberOf::is_given) {
            let right = self.right_of_group(&group.id);
            if counts(&right) {
                held.add(right, None);
            }
        }
        for group in timed {
            let member = group.access_id.as_ref().is_none_or(|access| access.as_str() == "member");
            if let (true, Some(id), Some(end)) = (member, group.group_id, group.end_date_time) {
                let right = self.right_of_group(&id);
                if counts(&right) {
                    held.add(right, Some(end));
                }
            }
        }
        Ok(held)
    }

    /// Roles that somebody holds directly and in the whole directory, with their ends where the tenant has PIM.
    async fn held_roles(&self, id: &str) -> Result<Vec<(String, Option<DateTime<Utc>>)>, DirectoryError> {
        let about = About { what: What::User(id), needs: WRITES_ROLES, writes: false };
        let filter = equals("principalId", id);
        if self.has_pim() != Some(false) {
            let ask = Ask::get("/roleManagement/directory/roleAssignmentScheduleInstances")
                .option("$filter", &filter);
            match self.graph.list::<HeldRole>(&ask).await {
                Ok((roles, _)) => {
                    self.learn_pim(true);
                    return Ok(roles
                        .into_iter()
                        .filter_map(given_role)
                        .map(|(_, role, end)| (role, end))
                        .collect());
                }
                Err(failed) if failed.is_without_pim() => self.learn_pim(false),
                Err(failed) => return Err(failed.meaning(&about)),
            }
        }
        let roles = self.assignments(id).await.map_err(|failed| failed.meaning(&about))?;
        Ok(roles.into_iter().filter_map(|role| Some((role.role_definition_id?, None))).collect())
    }

    /// Assignments without an end, in the whole directory.
    pub(super) async fn assignments(&self, id: &str) -> Result<Vec<RoleAssignment>, Failed> {
        let ask = Ask::get("/roleManagement/directory/roleAssignments")
            .option("$filter", &equals("principalId", id));
        let (mut roles, _) = self.graph.list::<RoleAssignment>(&ask).await?;
        roles.retain(|role| is_whole(role.directory_scope_id.as_deref()));
        Ok(roles)
    }

    /// A role as a right: in the configured spelling where the configuration knows it.
    async fn right_of_role(&self, id: &str) -> Result<Right, DirectoryError> {
        let by_name = self.known.keys().any(|right| matches!(right, EntraRight::Role(RoleName::Name(_))));
        let table = if by_name { Some(self.roles.usual(&self.graph).await?) } else { self.roles.known() };
        let id = id.to_lowercase();
        let is_it = |right: &EntraRight| match right {
            EntraRight::Role(RoleName::Id(known)) => known.as_str() == id,
            EntraRight::Role(name) => {
                table.as_ref().and_then(|table| table.id(name)).is_some_and(|known| known == id)
            }
            EntraRight::Group(_) => false,
        };
        let known = self.known.iter().find(|(right, _)| is_it(right)).map(|(_, right)| right.clone());
        Ok(known.unwrap_or_else(|| Right(format!("role:{id}"))))
    }

    fn right_of_group(&self, id: &str) -> Right {
        let right = format!("group:{}", id.to_lowercase());
        let known = right.parse().ok().and_then(|right: EntraRight| self.known.get(&right).cloned());
        known.unwrap_or(Right(right))
    }

    /// The contract of [`crate::Directory::list`].
    pub(super) async fn listing(&self) -> Result<Listing, DirectoryError> {
        let about = About { what: What::Tenant, needs: WRITES_USERS, writes: false };
        let (mut users, mut time) = (BTreeMap::new(), None);
        for prefix in self.prefixes() {
            let ask = Ask::get("/users")
                .option("$filter", &format!("startsWith(userPrincipalName,{})", quoted(&prefix)))
                .option("$select", USER_FIELDS)
                .in_the_background();
            let (found, answered) =
                self.graph.list::<User>(&ask).await.map_err(|failed| failed.meaning(&about))?;
            time = time.or(answered);
            users.extend(found.into_iter().map(|user| (user.id.clone(), user)));
        }
        let ours = users.into_values().filter(|user| self.is_named_as_ours(&user.user_principal_name));
        let accounts = stream::iter(ours)
            .map(|user| async move {
                let held = self.held(&user.id, Mode::Dedicated).await?;
                let name = user.user_principal_name.clone();
                Ok::<_, DirectoryError>(ListedAccount { name, seen: observed(user, held) })
            })
            .buffer_unordered(AT_ONCE)
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
        // A pattern that begins with the technician's id has no beginning of its own.
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

/// Who, which, until when; none for what comes by a group or is limited to a part of the directory.
pub(super) fn given_role(role: HeldRole) -> Option<(String, String, Option<DateTime<Utc>>)> {
    let direct = role.member_type.as_ref().is_none_or(|kind| kind.as_str() == "direct");
    (direct && is_whole(role.directory_scope_id.as_deref())).then_some((
        role.principal_id,
        role.role_definition_id,
        role.end_date_time,
    ))
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
        marker: text.as_deref().and_then(note::parse),
        ordinary_primary_group: true,
    }
}
