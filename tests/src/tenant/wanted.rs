//! What a request to PIM asks for. Words are read in any case, as Microsoft's own examples differ in it.

use super::answer::{Answer, own_refusal, refusal};
use super::question::Question;
use super::schedules::Kind;
use super::state::Held;
use chrono::{DateTime, Duration, Utc};
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Take,
    Change,
    Leave,
}

#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) action: Action,
    /// A person about oneself.
    pub(super) by_oneself: bool,
    pub(super) principal: String,
    pub(super) held: Held,
    pub(super) start: DateTime<Utc>,
    pub(super) end: Option<DateTime<Utc>>,
    pub(super) has_justification: bool,
    pub(super) has_ticket: bool,
    pub(super) only_validated: bool,
    /// The whole of it.
    pub(super) asked: Value,
}

const KNOWN: [&str; 11] = [
    "accessId",
    "action",
    "customData",
    "directoryScopeId",
    "groupId",
    "isValidationOnly",
    "justification",
    "principalId",
    "roleDefinitionId",
    "scheduleInfo",
    "ticketInfo",
];

fn invalid(message: impl Into<String>) -> Answer {
    refusal(400, "InvalidRoleAssignmentRequest", message)
}

impl Wanted {
    pub(super) fn read(question: &Question, kind: Kind, now: DateTime<Utc>) -> Result<Self, Answer> {
        if let Some(name) = question.properties()?.keys().find(|name| !KNOWN.contains(&name.as_str())) {
            return Err(own_refusal(format!("unknown property {name} of a request")));
        }
        let text = |name: &str| question.text(name).unwrap_or_default().to_owned();
        let word = text("action").to_lowercase();
        let (action, by_oneself) = match word.as_str() {
            "adminassign" => (Action::Take, false),
            "adminupdate" | "adminextend" => (Action::Change, false),
            "adminremove" => (Action::Leave, false),
            "selfactivate" => (Action::Take, true),
            "selfextend" => (Action::Change, true),
            "selfdeactivate" => (Action::Leave, true),
            _ => return Err(own_refusal(format!("unknown action {word}"))),
        };
        let held = match kind {
            Kind::Role => Held::Role { id: text("roleDefinitionId"), scope: text("directoryScopeId") },
            Kind::Group => {
                Held::Group { id: text("groupId"), owner: text("accessId").eq_ignore_ascii_case("owner") }
            }
        };
        let schedule = question.body.get("scheduleInfo").filter(|schedule| !schedule.is_null());
        let (start, end) = match schedule {
            Some(schedule) => times(schedule, now)?,
            // The description lets it through; the page says when it may be left out.
            None if action == Action::Leave => (now, None),
            None => return Err(invalid("scheduleInfo is required.")),
        };
        let filled =
            |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty());
        let ticket = question.body.get("ticketInfo");
        Ok(Self {
            action,
            by_oneself,
            principal: text("principalId"),
            held,
            start,
            end,
            has_justification: filled(question.body.get("justification")),
            has_ticket: filled(ticket.and_then(|ticket| ticket.get("ticketNumber"))),
            only_validated: question.body.get("isValidationOnly") == Some(&Value::Bool(true)),
            asked: question.body.clone(),
        })
    }
}

/// Start and end. What the type does not name has to be left out.
fn times(schedule: &Value, now: DateTime<Utc>) -> Result<(DateTime<Utc>, Option<DateTime<Utc>>), Answer> {
    let time = |value: &Value| value.as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
    if schedule.get("recurrence").is_some_and(|value| !value.is_null()) {
        return Err(invalid("Recurrence is not supported."));
    }
    let start = schedule.get("startDateTime").and_then(time).unwrap_or(now).max(now);
    let expiration = schedule.get("expiration").ok_or_else(|| invalid("An expiration is required."))?;
    let kind = expiration.get("type").and_then(Value::as_str).unwrap_or_default().to_lowercase();
    let duration = expiration.get("duration").filter(|value| !value.is_null());
    let end = expiration.get("endDateTime").filter(|value| !value.is_null());
    match (kind.as_str(), duration, end) {
        ("noexpiration", None, None) => Ok((start, None)),
        ("afterduration", Some(duration), None) => {
            let length = duration.as_str().and_then(length);
            Ok((start, Some(start + length.ok_or_else(|| invalid("The duration is invalid."))?)))
        }
        ("afterdatetime", None, Some(end)) => {
            let end = time(end).ok_or_else(|| invalid("The endDateTime is invalid."))?;
            if end <= start {
                return Err(invalid("The endDateTime is not after the startDateTime."));
            }
            Ok((start, Some(end)))
        }
        _ => Err(invalid("The expiration's type does not fit what stands beside it.")),
    }
}

/// ISO 8601, days and smaller: `P1D`, `PT2H30M`.
fn length(text: &str) -> Option<Duration> {
    let (days, time) = text.strip_prefix('P')?.split_once('T').unwrap_or((text.strip_prefix('P')?, ""));
    let mut total = Duration::zero();
    let mut number = String::new();
    for (part, units) in [(days, "D"), (time, "HMS")] {
        for letter in part.chars() {
            if letter.is_ascii_digit() {
                number.push(letter);
                continue;
            }
            let count: i64 = std::mem::take(&mut number).parse().ok()?;
            total += match letter {
                'D' if units.contains(letter) => Duration::days(count),
                'H' if units.contains(letter) => Duration::hours(count),
                'M' if units.contains(letter) => Duration::minutes(count),
                'S' if units.contains(letter) => Duration::seconds(count),
                _ => return None,
            };
        }
    }
    (number.is_empty() && total > Duration::zero()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_days_and_smaller() {
        assert_eq!(length("PT2H"), Some(Duration::hours(2)));
        assert_eq!(length("P1DT30M"), Some(Duration::minutes(24 * 60 + 30)));
        assert_eq!(length("P2D"), Some(Duration::days(2)));
        for wrong in ["2:00:00", "PT", "P1M", "PT1D", "P1W", "PT5"] {
            assert_eq!(length(wrong), None, "{wrong}");
        }
    }
}
