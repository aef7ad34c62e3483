//! Audit records: what the broker says about what it did. No secret ever comes here.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use ticketgate_access::session::{Account, Session};
use ticketgate_ledger::NewAudit;
use ticketgate_protocol::api::Activate;
use ticketgate_protocol::ids::{CustomerId, SessionId};
use ticketgate_protocol::problem::Problem;

/// Details of a record.
pub(super) type Details = BTreeMap<&'static str, Value>;

/// Details from pairs.
pub(super) fn details<const N: usize>(pairs: [(&'static str, Value); N]) -> Details {
    pairs.into_iter().collect()
}

/// A record in the customer's chain, or in the broker's own.
pub(super) fn record(
    customer: Option<&CustomerId>,
    action: &'static str,
    actor: &str,
    outcome: &'static str,
    details: Details,
) -> NewAudit {
    NewAudit { customer: customer.cloned(), action, actor: actor.to_owned(), outcome, details }
}

/// A record about a session, with everything that says which one it is.
pub(super) fn about(
    session: &Session,
    account: Option<&Account>,
    action: &'static str,
    actor: &str,
    outcome: &'static str,
    more: Details,
) -> NewAudit {
    let mut all = details([
        ("session", json!(session.of())),
        ("technician", json!(session.technician)),
        ("policy", json!(session.policy)),
        ("directory", json!(session.directory)),
        ("mode", json!(session.mode)),
        ("rights", json!(session.rights)),
        ("reason", json!(session.reason)),
        ("from", json!(session.from)),
        ("until", json!(session.until)),
    ]);
    if let Some(ticket) = &session.ticket {
        all.insert("ticket", json!(ticket));
    }
    if let Some(account) = account {
        all.insert("account", json!(account.display_name.as_ref().unwrap_or(&account.name)));
    }
    all.extend(more);
    record(Some(&session.customer), action, actor, outcome, all)
}

/// A record about a whole session: by its first part, with all parts where it has several.
pub(super) fn about_whole(
    parts: &[(Session, Account)],
    action: &'static str,
    actor: &str,
    outcome: &'static str,
    more: Details,
) -> Option<NewAudit> {
    let (session, account) = parts.first()?;
    let mut record = about(session, Some(account), action, actor, outcome, more);
    if parts.len() > 1 {
        record.details.insert("parts", named(parts));
    }
    Some(record)
}

/// Puts the parts of a session into the records about it.
pub(super) fn name_parts(audit: &mut [NewAudit], whole: &SessionId, parts: &[(Session, Account)]) {
    for record in audit.iter_mut().filter(|record| record.details.get("session") == Some(&json!(whole))) {
        record.details.insert("parts", named(parts));
    }
}

fn named(parts: &[(Session, Account)]) -> Value {
    let one = |(part, account): &(Session, Account)| {
        json!({
            "directory": part.directory,
            "mode": part.mode,
            "rights": part.rights,
            "account": account.display_name.as_ref().unwrap_or(&account.name),
        })
    };
    parts.iter().map(one).collect()
}

/// A refused wish, with what was asked for as far as it was well formed.
pub(super) fn refused(
    action: &'static str,
    actor: &str,
    request: &Activate,
    customer: Option<&CustomerId>,
    problem: &Problem,
) -> NewAudit {
    let mut all = details([
        ("policy", json!(request.policy)),
        ("asked_customer", json!(request.customer)),
        ("duration_s", json!(request.duration_s)),
        ("reason", json!(printable(&request.reason))),
        ("code", json!(problem.code)),
    ]);
    if let Some(ticket) = request.ticket.as_ref() {
        all.insert("ticket_number", json!(printable(&ticket.number)));
    }
    record(customer, action, actor, "refused", all)
}

/// What somebody sent, safe to keep and to print: escaped and bounded.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .take(600)
        .flat_map(|c| {
            if ticketgate_protocol::text::is_forbidden(c) {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect()
}
