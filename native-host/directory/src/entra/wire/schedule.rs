//! What Privileged Identity Management is asked for: to give, move or take a right.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use ticketgate_access::desired::Why;

/// Stands behind the reason of an activation that the broker asked for, in the person's name: by it one is known again that the person
/// did not make himself, also by another process.
pub(super) const OF_A_SESSION: &str = " (Ticketgate)";

/// A request about a right that ends by itself.
pub(in crate::entra) struct Schedule<'a> {
    /// Who gets or loses it.
    pub(in crate::entra) principal: &'a str,
    /// Which.
    pub(in crate::entra) of: Of<'a>,
    /// What is asked for.
    pub(in crate::entra) action: Action,
}

/// A role or a group.
#[derive(Debug, Clone, Copy)]
pub(in crate::entra) enum Of<'a> {
    /// By the id of its definition, in the whole directory.
    Role(&'a str),
    /// By its id, as a member.
    Group(&'a str),
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(in crate::entra) enum Action {
    /// To give it from now until then.
    Assign { from: DateTime<Utc>, until: DateTime<Utc>, why: Why },
    /// To move its end.
    Update { from: DateTime<Utc>, until: DateTime<Utc>, why: Why },
    /// To take it.
    Remove,
    /// The person's own: to take from now until then what he is eligible for.
    Activate { from: DateTime<Utc>, until: DateTime<Utc>, why: Why },
    /// The person's own: to give it back, for this reason.
    Deactivate(&'static str),
}

impl Action {
    /// Graph's word for it.
    const fn word(&self) -> &'static str {
        match self {
            Self::Assign { .. } => "adminAssign",
            Self::Update { .. } => "adminUpdate",
            Self::Remove => "adminRemove",
            Self::Activate { .. } => "selfActivate",
            Self::Deactivate(_) => "selfDeactivate",
        }
    }

    /// Whether it takes the right away.
    pub(in crate::entra) const fn removes(&self) -> bool {
        matches!(self, Self::Remove | Self::Deactivate(_))
    }
}

/// A time as Graph takes it, in whole seconds.
pub(in crate::entra) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl Schedule<'_> {
    /// The body of the request.
    pub(in crate::entra) fn body(&self) -> Value {
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| drop(body.insert(name.into(), value));
        put("principalId", json!(self.principal));
        match self.of {
            Of::Role(id) => {
                put("roleDefinitionId", json!(id));
                put("directoryScopeId", json!("/"));
            }
            Of::Group(id) => {
                put("groupId", json!(id));
                put("accessId", json!("member"));
            }
        }
        put("action", json!(self.action.word()));
        match &self.action {
            Action::Remove => put("justification", json!("The session is over.")),
            Action::Deactivate(why) => put("justification", json!(why)),
            Action::Assign { from, until, why }
            | Action::Update { from, until, why }
            | Action::Activate { from, until, why } => {
                let of_a_session = matches!(self.action, Action::Activate { .. });
                let behind = if of_a_session { OF_A_SESSION } else { "" };
                put("justification", json!(format!("{}{behind}", why.reason)));
                let expiration = json!({ "type": "afterDateTime", "endDateTime": time(*until) });
                put("scheduleInfo", json!({ "startDateTime": time(*from), "expiration": expiration }));
                if let Some(number) = &why.ticket {
                    let system = why.system.as_deref().unwrap_or("Ticketgate");
                    put("ticketInfo", json!({ "ticketNumber": number, "ticketSystem": system }));
                }
            }
        }
        Value::Object(body)
    }
}
