//! What a tenant holds, and what time alone makes of it.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A user.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) id: String,
    /// As Graph names them.
    pub(super) properties: Map<String, Value>,
    pub(super) password: String,
    pub(super) sessions_revoked: Option<DateTime<Utc>>,
}

/// A group.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) name: String,
    /// Whether it can hold directory roles; its members are guarded more.
    pub(super) for_roles: bool,
}

/// A definition of a directory role.
#[derive(Debug, Clone)]
pub(super) struct Role {
    pub(super) id: String,
    pub(super) name: String,
    /// The id of the older `directoryRole`, which differs from tenant to tenant.
    pub(super) object: String,
}

/// What somebody can hold for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    /// A directory role.
    Role { id: String, scope: String },
    /// Membership or ownership of a group.
    Group { id: String, owner: bool },
}

impl Held {
    /// The id of role or group.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Role { id, .. } | Self::Group { id, .. } => id,
        }
    }
}

/// That somebody holds something.
#[derive(Debug, Clone)]
pub(super) struct Assignment {
    pub(super) id: String,
    /// What made it, for the requests that ask for it.
    pub(super) schedule: String,
    pub(super) principal: String,
    pub(super) held: Held,
    pub(super) start: DateTime<Utc>,
    pub(super) end: Option<DateTime<Utc>>,
    /// Whether its holder activated it, rather than that it was assigned.
    pub(super) activated: bool,
}

impl Assignment {
    pub(super) fn is_active(&self, now: DateTime<Utc>) -> bool {
        self.start <= now && self.end.is_none_or(|end| now < end)
    }
}

/// A request that PIM was sent.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) created: DateTime<Utc>,
    pub(super) completed: Option<DateTime<Utc>>,
    pub(super) principal: String,
    pub(super) held: Held,
    /// What was asked, as it was asked.
    pub(super) asked: Value,
    pub(super) start: DateTime<Utc>,
    pub(super) end: Option<DateTime<Utc>>,
    /// The user who asked, where it was not the app.
    pub(super) by: Option<String>,
}

impl Request {
    /// Whether somebody has to decide on it.
    pub(super) fn waits(&self) -> bool {
        matches!(self.status.as_str(), "PendingApproval" | "PendingAdminDecision")
    }
}

/// A Temporary Access Pass.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    pub(super) id: String,
    pub(super) user: String,
    pub(super) secret: String,
    pub(super) created: DateTime<Utc>,
    pub(super) start: DateTime<Utc>,
    pub(super) minutes: i64,
    pub(super) once: bool,
    pub(super) used: bool,
}

impl Pass {
    pub(super) fn end(&self) -> DateTime<Utc> {
        self.start + Duration::minutes(self.minutes)
    }

    /// `methodUsabilityReason`.
    pub(super) fn usability(&self, now: DateTime<Utc>, enabled: bool) -> &'static str {
        match () {
            () if !enabled => "DisabledByPolicy",
            () if now < self.start => "NotYetValid",
            () if now >= self.end() => "Expired",
            () if self.once && self.used => "OneTimeUsed",
            () => "EnabledByPolicy",
        }
    }
}

/// What a role or group asks of whoever wants it.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// Of an administrator's assignment; `None`: also for ever.
    pub(super) longest_assignment: Option<Duration>,
    /// Of an activation by the eligible user.
    pub(super) longest_activation: Duration,
    /// `Justification`, `Ticketing`, `MultiFactorAuthentication`.
    pub(super) demands: Vec<String>,
    pub(super) approval: bool,
    /// An authentication context, as `c1`.
    pub(super) context: Option<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            longest_assignment: None,
            longest_activation: Duration::hours(8),
            demands: vec!["Justification".to_owned()],
            approval: false,
            context: None,
        }
    }
}

/// The tenant's policy on Temporary Access Passes.
#[derive(Debug, Clone)]
pub struct PassPolicy {
    /// Whether there are any.
    pub enabled: bool,
    /// The shortest, in minutes.
    pub shortest: i64,
    /// The longest, in minutes.
    pub longest: i64,
    /// The one that is not asked for, in minutes.
    pub standard: i64,
    /// Whether every pass is good for one sign-in only.
    pub once: bool,
}

impl Default for PassPolicy {
    fn default() -> Self {
        Self { enabled: true, shortest: 10, longest: 43_200, standard: 60, once: false }
    }
}

/// Everything that can be read of a tenant.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) users: Vec<User>,
    pub(super) deleted: Vec<(User, DateTime<Utc>)>,
    pub(super) groups: Vec<Group>,
    pub(super) roles: Vec<Role>,
    pub(super) assignments: Vec<Assignment>,
    pub(super) requests: Vec<Request>,
    pub(super) passes: Vec<Pass>,
    /// Who may activate what.
    pub(super) eligible: Vec<(String, Held)>,
    /// By the id of role or group.
    pub(super) rules: BTreeMap<String, Rules>,
    pub(super) pass_policy: PassPolicy,
    /// A partner's customers.
    pub(super) customers: Vec<super::partner::Customer>,
}

impl State {
    /// By object id or sign-in name.
    pub(super) fn user(&self, key: &str) -> Option<&User> {
        self.users.iter().find(|user| user.is(key))
    }

    pub(super) fn user_mut(&mut self, key: &str) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.is(key))
    }

    pub(super) fn rules_of(&self, held: &Held) -> Rules {
        self.rules.get(held.id()).cloned().unwrap_or_default()
    }

    /// The assignment of this to that person, also one that has not begun.
    pub(super) fn assignment(&self, principal: &str, held: &Held) -> Option<&Assignment> {
        self.assignments.iter().find(|known| known.principal == principal && known.held == *held)
    }

    /// Whether somebody holds a directory role, so that not everybody may change the account.
    pub(super) fn is_privileged(&self, principal: &str) -> bool {
        let mut of = self.assignments.iter().filter(|known| known.principal == principal);
        of.any(|known| matches!(known.held, Held::Role { .. }))
    }

    /// What time has done: ends are reached, requests have been worked on.
    pub(super) fn settle(&mut self, now: DateTime<Utc>) {
        self.assignments.retain(|known| known.end.is_none_or(|end| now < end));
        for request in &mut self.requests {
            if request.status == "PendingProvisioning" && request.completed.is_some_and(|time| time <= now) {
                request.status = "Provisioned".to_owned();
            }
        }
    }

    /// Takes a user away with everything that hangs on it.
    pub(super) fn remove_user(&mut self, id: &str) -> Option<User> {
        let place = self.users.iter().position(|user| user.id == id)?;
        self.assignments.retain(|known| known.principal != id);
        self.passes.retain(|pass| pass.user != id);
        self.eligible.retain(|(principal, _)| principal != id);
        Some(self.users.remove(place))
    }
}

impl User {
    pub(super) fn is(&self, key: &str) -> bool {
        self.id.eq_ignore_ascii_case(key) || self.name().eq_ignore_ascii_case(key)
    }

    /// Its sign-in name.
    pub(super) fn name(&self) -> &str {
        self.properties.get("userPrincipalName").and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.properties.get("accountEnabled") == Some(&Value::Bool(true))
    }

    pub(super) fn is_synced(&self) -> bool {
        self.properties.get("onPremisesSyncEnabled") == Some(&Value::Bool(true))
    }
}
