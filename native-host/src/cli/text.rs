//! Answers as text for people. No colour is needed to understand them.

use chrono::{DateTime, Local, TimeDelta, Utc};
use ticketgate_protocol::api::{
    AuditRecord, AuditVerdict, BrokerInfo, EndCause, Finding, Overview, Part, Preview, Session, State,
};
use ticketgate_protocol::problem::Problem;
use ticketgate_protocol::ticket::Ticket;

use super::sessions::has_password;

pub(super) fn status(info: &BrokerInfo, overview: Option<&Overview>) -> String {
    let who = match &info.technician {
        Some(id) if info.administrator => format!("{id} (administrator)"),
        Some(id) => id.to_string(),
        None => "nobody in the broker's configuration".into(),
    };
    let mut lines = vec![format!("Broker {} · you are {who}", info.version)];
    lines.extend(info.notices.iter().map(|n| format!("{}: {}", n.level, n.text)));
    if let Some(overview) = overview {
        lines.push(sessions(&overview.sessions));
    }
    lines.join("\n")
}

pub(super) fn sessions(sessions: &[Session]) -> String {
    if sessions.is_empty() {
        return "No sessions.".into();
    }
    sessions.iter().map(session).collect::<Vec<_>>().join("\n\n")
}

pub(super) fn session(session: &Session) -> String {
    let alone = session.account.as_deref().filter(|_| session.parts.is_empty());
    let account = alone.map(|a| format!(" as {a}")).unwrap_or_default();
    let mut lines = vec![
        format!("{}  {}", session.id, state(session)),
        format!("  {} · {}{account}", session.customer_name, session.policy_name),
        format!("  {}", session.reason),
    ];
    lines.extend(session.parts.iter().map(part));
    if let Some(trouble) = &session.trouble {
        let next = trouble
            .next_try
            .map(|at| format!(" (attempt {}, next at {})", trouble.attempts, clock(at)))
            .unwrap_or_default();
        lines.push(format!("  {}{next}", trouble.problem));
    }
    lines.join("\n")
}

/// A part of a session in several directories: where, as whom, what, and where it stands when that is not plain.
fn part(part: &Part) -> String {
    let account = part.account.as_deref().map(|a| format!(" as {a}")).unwrap_or_default();
    let state = match part.state {
        State::Active => "active",
        State::Ending => "ENDING: not verified as taken away yet",
        State::Ended => "ended",
        State::Failed => "failed: nothing is granted",
        State::Activating => "activating",
        _ => "in a state that this version does not know",
    };
    format!("  - {}{account} ({}): {state}", part.directory, part.rights.join(", "))
}

fn state(session: &Session) -> String {
    match session.state {
        State::Active => format!(
            "active until {} ({} left{})",
            clock(session.expires_at),
            span(session.expires_at - Utc::now()),
            if session.end_cause == Some(EndCause::TicketClosed) { ", its ticket was closed" } else { "" }
        ),
        State::Ending => "ENDING: the rights are not verified as taken away yet".into(),
        State::Ended => format!("ended {}", session.ended_at.map(clock).unwrap_or_default()),
        State::Failed => "failed: nothing is granted".into(),
        State::Activating => "activating".into(),
        State::Pending => "waits for approval".into(),
        State::Approved => "approved".into(),
        State::Denied => "denied".into(),
        State::Lapsed => "lapsed".into(),
        State::Unknown => "in a state that this version does not know".into(),
    }
}

pub(super) fn activated(shown: &Session) -> String {
    let mut text = session(shown);
    if shown.state == State::Active && has_password(shown) {
        let several = shown.parts.iter().filter(|part| !part.passwordless).count() > 1;
        let which = if several { " --directory DIRECTORY" } else { "" };
        text.push_str(&format!("\n  Password: ticketgate password {}{which}", shown.id));
    }
    text
}

pub(super) fn preview(preview: &Preview) -> String {
    match (&preview.refusal, preview.until) {
        (Some(problem), _) => format!("It would be refused. {problem}"),
        (None, Some(until)) => format!("It would be granted until {}.", clock(until)),
        (None, None) => "It would be granted.".into(),
    }
}

pub(super) fn findings(findings: &[Finding]) -> String {
    let line = |f: &Finding| {
        let remedy = if f.remedy.is_empty() {
            String::new()
        } else {
            format!("\n         {}", f.remedy.replace('\n', "\n         "))
        };
        format!("{:<8} {}: {}{remedy}", f.level, f.subject, f.text)
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

pub(super) fn records(records: &[AuditRecord]) -> String {
    let line = |r: &AuditRecord| {
        let session = r.details.get("session").and_then(|v| v.as_str()).unwrap_or_default();
        format!(
            "{}  {:<10} {:<24} {:<8} {:<12} {session}",
            r.at.format("%Y-%m-%d %H:%M:%SZ"),
            r.chain,
            r.action,
            r.outcome,
            r.actor
        )
    };
    if records.is_empty() {
        "No records.".into()
    } else {
        records.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

pub(super) fn verdict(verdict: &AuditVerdict) -> String {
    match &verdict.first_fault {
        None => {
            let sealed = verdict.sealed_at.map(|at| format!(" of {}", at.format("%Y-%m-%d %H:%M:%SZ")));
            format!(
                "Whole: {} records, {} signatures checked, seal {}{}.",
                verdict.records,
                verdict.checkpoints,
                verdict.seal,
                sealed.unwrap_or_default()
            )
        }
        Some(fault) if fault.chain == "*" => format!("BROKEN: {}", fault.fault),
        Some(fault) => format!("BROKEN at record {} of chain {}: {}", fault.seq, fault.chain, fault.fault),
    }
}

/// An error on standard error.
pub(super) fn failure(error: &anyhow::Error, terminal: bool) -> String {
    let (start, end) = if terminal { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
    match error.downcast_ref::<Problem>() {
        Some(problem) => {
            let said =
                format!("{start}{}{end} {} [{}]", problem.detail, problem.remedy, problem.code.as_str());
            match problem.request_to_name() {
                Some(id) => format!("{said}\nIn the broker's log this is request {id}."),
                None => said,
            }
        }
        None => format!("{start}{error:#}{end}"),
    }
}

/// The reason made from a ticket that was typed.
pub(super) fn reason(ticket: &Ticket) -> String {
    let summary = ticket.summary.as_deref().map(|s| format!(" {s}")).unwrap_or_default();
    format!("#{}{summary}", ticket.number.trim_start_matches('#'))
}

pub(super) fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<_> = items.collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}

fn clock(at: DateTime<Utc>) -> String {
    at.with_timezone(&Local).format("%H:%M:%S").to_string()
}

fn span(left: TimeDelta) -> String {
    let seconds = left.num_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use ticketgate_protocol::problem::Code;

    use super::*;

    #[test]
    fn who_can_do_nothing_about_a_failure_is_told_by_what_the_log_has_it() {
        let said = |code| {
            let problem = Problem::new(code, "It is so.").remedy("Wait.");
            failure(&Problem { request_id: Some("r-7".into()), ..problem }.into(), false)
        };
        let named = "It is so. Wait. [ledger_down]\nIn the broker's log this is request r-7.";
        assert_eq!(said(Code::LedgerDown), named);
        assert_eq!(said(Code::NotEligible), "It is so. Wait. [not_eligible]");
    }
}
