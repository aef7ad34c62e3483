//! What the ticket of a session is told: that it began, became longer, and is over. Each text is made for the commit that makes
//! it true, and waits in the ledger from then on; how it gets into the ticket is in `deliveries.rs`.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use ticketgate_access::config::TicketNotes;
use ticketgate_access::decide::spoken;
use ticketgate_access::decide::ticket::{asked_number, system_of};
use ticketgate_access::session::Session;
use ticketgate_ledger::NewNote;
use ticketgate_protocol::api::EndCause;
use ticketgate_protocol::ids::SessionId;
use ticketgate_protocol::text::is_forbidden;

use super::{Broker, Snapshot};

/// An extension that the directory did not take is undone within the time that its caller waits. It is not told before.
const UNDONE_WITHIN: TimeDelta = TimeDelta::seconds(30);

/// An end that came later than this was tried more than once.
const LATE: TimeDelta = TimeDelta::seconds(10);

/// Rights that a note names; the audit log has them all.
const RIGHTS: usize = 10;

/// The longest name in a note, in characters.
const NAME_MAX: usize = 100;

/// What a ticket is told of a session.
#[derive(Debug, Clone, Copy)]
pub(super) enum Told {
    /// It became active.
    Start,
    /// It became longer, from this end.
    Longer(DateTime<Utc>),
    /// It is over.
    End,
}

impl Broker {
    /// The note about a session, all parts of it, as it stands after the commit that this joins. None where the session has no ticket, no configured
    /// system is known to have it, or that gets no notes.
    pub(super) fn note(&self, parts: &[Session], told: Told, now: DateTime<Utc>) -> Option<NewNote> {
        let session = parts.first()?;
        let snapshot = self.settings();
        let config = snapshot.config.as_ref()?;
        let ticket = session.ticket.as_ref()?;
        let psa = system_of(config, ticket).ok().filter(|psa| psa.notes != TicketNotes::Off)?;
        let mark = mark(session.of(), told, session.version);
        let (due, lines) = match told {
            Told::Start => (now, start(&snapshot, session, parts)),
            Told::Longer(before) => (now + UNDONE_WITHIN, longer(&snapshot, session, parts, before)),
            Told::End => (now, end(&snapshot, session, parts, now)),
        };
        let text = lines.into_iter().chain([String::new(), mark.clone()]).collect::<Vec<_>>().join("\n");
        Some(NewNote {
            mark,
            session: session.id.clone(),
            psa: psa.id.clone(),
            ticket: asked_number(psa, ticket).to_owned(),
            text,
            due,
        })
    }
}

/// By what a note is found again. Its full stop keeps the mark of one extension from being the beginning of another's: `version` is
/// that of the row which the extension changed.
pub(super) fn mark(id: &SessionId, told: Told, version: u64) -> String {
    match told {
        Told::Start => format!("Ticketgate {id} start."),
        Told::Longer(_) => format!("Ticketgate {id} extension {version}."),
        Told::End => format!("Ticketgate {id} end."),
    }
}

fn start(snapshot: &Snapshot, session: &Session, parts: &[Session]) -> Vec<String> {
    let mut lines = vec!["Administrator rights were given for this ticket.".to_owned()];
    lines.extend(who_and_what(snapshot, session, parts));
    lines.push(format!("From: {}", clock(session.from)));
    lines.push(until(session));
    lines
}

fn longer(snapshot: &Snapshot, session: &Session, parts: &[Session], before: DateTime<Utc>) -> Vec<String> {
    let mut lines = vec!["Administrator rights for this ticket were extended.".to_owned()];
    lines.extend(who_and_what(snapshot, session, parts));
    lines.push(until(session));
    lines.push(format!("Before: until {}", clock(before)));
    lines
}

fn end(snapshot: &Snapshot, session: &Session, parts: &[Session], now: DateTime<Utc>) -> Vec<String> {
    let mut lines = vec!["Administrator rights for this ticket were taken away.".to_owned()];
    lines.extend(who_and_what(snapshot, session, parts));
    lines.push(format!("From: {}", clock(session.from)));
    lines.push(format!("Ended: {} (after {})", clock(now), length(now - session.from)));
    lines.push(format!("Why: {}", cause(session.end_cause)));
    if now - session.until > LATE {
        lines.push(format!(
            "Late: it was to end at {}, and was tried again until it succeeded.",
            clock(session.until)
        ));
    }
    lines
}

fn who_and_what(snapshot: &Snapshot, session: &Session, parts: &[Session]) -> Vec<String> {
    let customer = snapshot.config.as_ref().and_then(|c| c.customers.get(&session.customer));
    let mut rights = Vec::new();
    for part in parts {
        let directory = snapshot.directories.get(&part.directory);
        // Two directories can have a right of one name.
        let place = if parts.len() > 1 { format!(" in {}", part.directory) } else { String::new() };
        rights.extend(part.rights.iter().map(|right| {
            let right = directory.map_or_else(|| right.0.clone(), |d| d.right_name(right));
            format!("{}{place}", name(&right))
        }));
    }
    if rights.len() > RIGHTS {
        let more = rights.len() - RIGHTS;
        rights.truncate(RIGHTS);
        rights.push(format!("{more} more"));
    }
    vec![
        format!("Who: {}", session.technician),
        format!("Right: {} ({})", name(&session.policy_name), rights.join(", ")),
        format!("Customer: {}", name(customer.map_or(session.customer.as_str(), |c| &c.name))),
    ]
}

fn until(session: &Session) -> String {
    format!("Until: {} ({})", clock(session.until), length(session.until - session.from))
}

const fn cause(cause: Option<EndCause>) -> &'static str {
    match cause {
        Some(EndCause::Expired) => "its time was over.",
        Some(EndCause::Technician) => "the technician ended it.",
        Some(EndCause::Administrator) => "an administrator ended it, or closed its account in the directory.",
        Some(EndCause::TicketClosed) => "the ticket was closed.",
        Some(EndCause::ClockSetBack) => "the broker's clock was set back.",
        Some(EndCause::PolicyGone) => "its policy is no longer configured.",
        Some(EndCause::GrantFailed) => "it could not be given whole, and was taken back.",
        Some(EndCause::Unknown) | None => "it was ended.",
    }
}

fn clock(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true).replace('T', " ").replace('Z', " UTC")
}

fn length(time: TimeDelta) -> String {
    spoken(u32::try_from(time.num_seconds().max(0)).unwrap_or(u32::MAX))
}

/// A name on one line, bounded: the directory's are other people's.
fn name(text: &str) -> String {
    let clean: String = text.chars().map(|c| if is_forbidden(c) { ' ' } else { c }).take(NAME_MAX).collect();
    if text.chars().nth(NAME_MAX).is_some() { format!("{clean}…") } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mark_stands_in_another() {
        let id = SessionId::new("s-01").unwrap();
        let marks: Vec<_> = [Told::Start, Told::End]
            .map(|told| mark(&id, told, 1))
            .into_iter()
            .chain([1, 2, 11, 12].map(|version| mark(&id, Told::Longer(Utc::now()), version)))
            .collect();
        for (n, one) in marks.iter().enumerate() {
            for (m, other) in marks.iter().enumerate() {
                assert_eq!(n == m, other.contains(one), "{one} {other}");
            }
        }
    }

    #[test]
    fn a_name_is_one_line_and_not_long() {
        assert_eq!(name("Domain\nAdmins"), "Domain Admins");
        assert_eq!(name(&"ä".repeat(5000)).chars().count(), NAME_MAX + 1);
    }

    #[test]
    fn times_read_as_people_write_them() {
        let at = DateTime::from_timestamp(1_800_000_000, 5).unwrap();
        assert_eq!(
            (clock(at), length(TimeDelta::minutes(90))),
            ("2027-01-15 08:00:00 UTC".into(), "1 h 30 min".into())
        );
    }
}
