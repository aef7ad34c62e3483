//! What people do in a tenant by hand, and what a test sees of it, both past the proxy and without lag.

use super::Tenant;
use super::pim::give;
use super::schedules::{Kind, request_entity};
use super::state::{Assignment, Group, Held, Request, User};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::time::{Duration, SystemTime};

/// A user as the directory has it.
#[derive(Debug, Clone)]
pub struct SeenUser {
    /// The object id.
    pub id: String,
    /// The sign-in name.
    pub name: String,
    /// Whether it can sign in.
    pub enabled: bool,
    /// `extensionAttribute1` to `15`, those that have a value.
    pub attributes: Vec<(u8, String)>,
    /// The password that was set last.
    pub password: String,
    /// When its sessions were revoked last, by the tenant's clock.
    pub sessions_revoked: Option<SystemTime>,
    /// All that was written, as Graph names it.
    pub properties: Map<String, Value>,
}

/// Something that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRight {
    /// `role:Exchange Administrator`, `group:ID` or `group:ID/owner`.
    pub right: String,
    /// Its end, by the tenant's clock; `None`: never.
    pub end: Option<SystemTime>,
    /// Activated by its holder rather than assigned.
    pub activated: bool,
}

/// A Temporary Access Pass.
#[derive(Debug, Clone)]
pub struct SeenPass {
    /// Its id.
    pub id: String,
    /// What its holder types.
    pub secret: String,
    /// How long it is good, from its making.
    pub minutes: i64,
    /// Whether it is good once only.
    pub once: bool,
    /// As `methodUsabilityReason` has it: `EnabledByPolicy` is a usable one.
    pub reason: &'static str,
}

impl Tenant {
    /// An enabled user of the tenant's own, by what stands before the `@`. Answers the object id.
    pub fn add_user(&self, name: &str) -> String {
        self.add(name, false)
    }

    /// One that is synchronised from an Active Directory: its attributes cannot be written here.
    pub fn add_synced_user(&self, name: &str) -> String {
        self.add(name, true)
    }

    fn add(&self, name: &str, synced: bool) -> String {
        let id = super::random_id();
        let properties = json!({
            "accountEnabled": true,
            "displayName": name,
            "mailNickname": name,
            "userPrincipalName": format!("{name}@{}", self.domain()),
            "userType": "Member",
            "onPremisesSyncEnabled": synced.then_some(true),
        });
        let properties = properties.as_object().cloned().unwrap_or_default();
        let user = User { id: id.clone(), properties, password: super::random_id(), sessions_revoked: None };
        self.with(|tenant| tenant.state.users.push(user));
        id
    }

    /// A security group. Answers its id.
    pub fn add_group(&self, name: &str) -> String {
        self.with_group(name, false)
    }

    /// One that can hold directory roles.
    pub fn add_role_group(&self, name: &str) -> String {
        self.with_group(name, true)
    }

    fn with_group(&self, name: &str, for_roles: bool) -> String {
        let id = super::random_id();
        let group = Group { id: id.clone(), name: name.to_owned(), for_roles };
        self.with(|tenant| tenant.state.groups.push(group));
        id
    }

    /// Somebody gives a role (its name or id) or membership (the group's id) by hand, for ever.
    pub fn give(&self, user: &str, what: &str) {
        self.with(|tenant| {
            let held = Self::held(tenant, what);
            let Some(principal) = tenant.state.user(user).map(|user| user.id.clone()) else { return };
            let id = super::random_id();
            let start = tenant.now();
            let schedule = id.clone();
            let made = Assignment { id, schedule, principal, held, start, end: None, activated: false };
            tenant.state.assignments.push(made);
        });
    }

    /// Somebody takes it away by hand.
    pub fn take(&self, user: &str, what: &str) {
        self.with(|tenant| {
            let held = Self::held(tenant, what);
            let Some(id) = tenant.state.user(user).map(|user| user.id.clone()) else { return };
            tenant.state.assignments.retain(|known| known.principal != id || known.held != held);
        });
    }

    /// Makes somebody eligible for a role or membership.
    pub fn make_eligible(&self, user: &str, what: &str) {
        self.with(|tenant| {
            let held = Self::held(tenant, what);
            if let Some(id) = tenant.state.user(user).map(|user| user.id.clone()) {
                tenant.state.eligible.push((id, held));
            }
        });
    }

    /// Somebody is not eligible any more.
    pub fn make_ineligible(&self, user: &str, what: &str) {
        self.with(|tenant| {
            let held = Self::held(tenant, what);
            let Some(id) = tenant.state.user(user).map(|user| user.id.clone()) else { return };
            tenant.state.eligible.retain(|(principal, of)| *principal != id || *of != held);
        });
    }

    /// Somebody activates by himself what he is eligible for, for so long.
    pub fn activate(&self, user: &str, what: &str, time: Duration) {
        self.with(|tenant| {
            let held = Self::held(tenant, what);
            let Some(principal) = tenant.state.user(user).map(|user| user.id.clone()) else { return };
            let now = tenant.now();
            let request = Request {
                id: super::random_id(),
                status: "Provisioned".to_owned(),
                created: now,
                completed: Some(now),
                principal: principal.clone(),
                held,
                asked: json!({"action": "selfActivate", "justification": "my own"}),
                start: now,
                end: Some(now + chrono::Duration::from_std(time).unwrap_or_default()),
                by: Some(principal),
            };
            give(tenant, &request, true);
            tenant.state.requests.push(request);
        });
    }

    /// Somebody else asks for a right, and nobody has decided. Answers the request's id.
    pub fn ask_for(&self, user: &str, what: &str) -> String {
        let id = super::random_id();
        self.with(|tenant| {
            let held = Self::held(tenant, what);
            let Some(principal) = tenant.state.user(user).map(|user| user.id.clone()) else { return };
            let now = tenant.now();
            let request = Request {
                id: id.clone(),
                status: "PendingApproval".to_owned(),
                created: now,
                completed: None,
                principal: principal.clone(),
                held,
                asked: json!({"action": "selfActivate", "justification": "somebody else's"}),
                start: now,
                end: Some(now + chrono::Duration::hours(1)),
                by: Some(principal),
            };
            tenant.state.requests.push(request);
        });
        id
    }

    /// Approves a request that waits, or turns it down. Answers whether it waited.
    pub fn decide(&self, request: &str, approved: bool) -> bool {
        self.with(|tenant| {
            let now = tenant.now();
            let found = tenant.state.requests.iter_mut().find(|known| known.id == request && known.waits());
            let Some(found) = found else { return false };
            found.status = if approved { "Provisioned" } else { "Denied" }.to_owned();
            found.completed = Some(now);
            let found = found.clone();
            if approved {
                give(tenant, &found, found.by.is_some());
            }
            true
        })
    }

    /// Changes a user by hand: properties as Graph names them, as `{"accountEnabled": false}`.
    pub fn edit(&self, user: &str, properties: &Value) {
        self.with(|tenant| {
            let Some(user) = tenant.state.user_mut(user) else { return };
            for (name, value) in properties.as_object().into_iter().flatten() {
                user.properties.insert(name.clone(), value.clone());
            }
        });
    }

    /// Deletes a user by hand, into the recycle bin.
    pub fn remove_user(&self, user: &str) {
        self.with(|tenant| {
            let now = tenant.now();
            let id = tenant.state.user(user).map(|user| user.id.clone()).unwrap_or_default();
            if let Some(user) = tenant.state.remove_user(&id) {
                tenant.state.deleted.push((user, now));
            }
        });
    }

    /// A user, by object id or sign-in name.
    pub fn user(&self, key: &str) -> Option<SeenUser> {
        self.with(|tenant| tenant.state.user(key).map(seen))
    }

    /// All users.
    pub fn users(&self) -> Vec<SeenUser> {
        self.with(|tenant| tenant.state.users.iter().map(seen).collect())
    }

    /// The sign-in names in the recycle bin.
    pub fn deleted(&self) -> Vec<String> {
        self.with(|tenant| tenant.state.deleted.iter().map(|(user, _)| user.name().to_owned()).collect())
    }

    /// What somebody holds now.
    pub fn held_by(&self, user: &str) -> Vec<SeenRight> {
        self.with(|tenant| {
            let now = tenant.now();
            tenant.state.settle(now);
            let Some(id) = tenant.state.user(user).map(|user| user.id.clone()) else { return Vec::new() };
            let of_them =
                tenant.state.assignments.iter().filter(|known| known.principal == id && known.is_active(now));
            let rights = of_them.map(|known| SeenRight {
                right: match &known.held {
                    Held::Role { id, .. } => {
                        let role = tenant.state.roles.iter().find(|role| role.id == *id);
                        format!("role:{}", role.map_or(id.as_str(), |role| role.name.as_str()))
                    }
                    Held::Group { id, owner } => format!("group:{id}{}", if *owner { "/owner" } else { "" }),
                },
                end: known.end.map(system),
                activated: known.activated,
            });
            rights.collect()
        })
    }

    /// The passes of a user.
    pub fn passes_of(&self, user: &str) -> Vec<SeenPass> {
        self.with(|tenant| {
            let now = tenant.now();
            let Some(id) = tenant.state.user(user).map(|user| user.id.clone()) else { return Vec::new() };
            let enabled = tenant.state.pass_policy.enabled;
            let passes = tenant.state.passes.iter().filter(|pass| pass.user == id);
            let seen = passes.map(|pass| SeenPass {
                id: pass.id.clone(),
                secret: pass.secret.clone(),
                minutes: pass.minutes,
                once: pass.once,
                reason: pass.usability(now, enabled),
            });
            seen.collect()
        })
    }

    /// Whether somebody with this name and password or pass could sign in now; a pass that is good once is then used.
    pub fn sign_in(&self, user: &str, secret: &str) -> bool {
        self.with(|tenant| {
            let (now, enabled) = (tenant.now(), tenant.state.pass_policy.enabled);
            let Some(found) = tenant.state.user(user).filter(|user| user.is_enabled()) else { return false };
            if !secret.is_empty() && found.password == secret {
                return true;
            }
            let id = found.id.clone();
            let pass = tenant.state.passes.iter_mut().find(|pass| {
                pass.user == id && pass.secret == secret && pass.usability(now, enabled) == "EnabledByPolicy"
            });
            pass.map(|pass| pass.used = true).is_some()
        })
    }

    /// Every request that PIM was sent, as Graph would show it.
    pub fn pim_requests(&self) -> Vec<Value> {
        self.with(|tenant| {
            let now = tenant.now();
            tenant.state.settle(now);
            let requests = tenant.state.requests.iter();
            requests
                .map(|request| {
                    let kind = if Kind::Role.is_of(&request.held) { Kind::Role } else { Kind::Group };
                    request_entity(request, kind, false)
                })
                .collect()
        })
    }

    /// The tenant's clock.
    pub fn now(&self) -> SystemTime {
        self.with(|tenant| system(tenant.now()))
    }
}

fn system(time: DateTime<Utc>) -> SystemTime {
    let since = time.timestamp_millis().try_into().map(Duration::from_millis).unwrap_or_default();
    SystemTime::UNIX_EPOCH + since
}

fn seen(user: &User) -> SeenUser {
    let attributes = user.properties.get("onPremisesExtensionAttributes");
    let written = (1..=15).filter_map(|number: u8| {
        let text = attributes?.get(format!("extensionAttribute{number}"))?.as_str()?;
        Some((number, text.to_owned()))
    });
    SeenUser {
        id: user.id.clone(),
        name: user.name().to_owned(),
        enabled: user.is_enabled(),
        attributes: written.collect(),
        password: user.password.clone(),
        sessions_revoked: user.sessions_revoked.map(system),
        properties: user.properties.clone(),
    }
}
