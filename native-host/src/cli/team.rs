//! `sign-ins`, `tokens` and `technicians`: what administrators see to where people sign in from elsewhere.

use std::process::ExitCode;

use serde_json::json;

use super::Terminal;
use super::arguments::{SignIns, Technicians, Tokens};
use crate::sign_in::team::{
    AccountLeft, RemoveTechnician, RevokeSignIns, SignInShown, TechnicianRemoved, TokenShown, TokenWanted,
};

/// How times are shown.
const TIME: &str = "%Y-%m-%d %H:%M UTC";

pub(super) async fn sign_ins(terminal: &mut Terminal<'_>, what: SignIns) -> anyhow::Result<ExitCode> {
    let client = terminal.client()?;
    match what {
        SignIns::List => {
            let found = client.sign_ins().await?;
            terminal.answer(&found, || match found.as_slice() {
                [] => "Nobody is signed in.".into(),
                found => lines(found.iter().map(sign_in)),
            })?;
        }
        SignIns::Revoke { technician, id, everybody } => {
            let ended = client.revoke_sign_ins(&RevokeSignIns { technician, id, everybody }).await?;
            terminal.answer(&ended, || match ended.as_slice() {
                [] => "There was nothing to end.".into(),
                ended => format!("Ended:\n{}", lines(ended.iter().map(sign_in))),
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn tokens(terminal: &mut Terminal<'_>, what: Tokens) -> anyhow::Result<ExitCode> {
    let client = terminal.client()?;
    match what {
        Tokens::List => {
            let found = client.tokens().await?;
            terminal.answer(&found, || match found.as_slice() {
                [] => "There is no token.".into(),
                found => lines(found.iter().map(token)),
            })?;
        }
        Tokens::Create { name, scope, customer, lasts } => {
            let wanted = TokenWanted {
                name,
                scopes: scope,
                customers: (!customer.is_empty()).then_some(customer),
                lasts_s: u32::try_from(lasts).unwrap_or(u32::MAX),
            };
            let made = client.make_token(&wanted).await?;
            let value = json!({ "token": *made.token, "of": made.of });
            terminal.answer(&value, || {
                format!("{}\n\nThis is the only time that it is shown.\n{}", *made.token, token(&made.of))
            })?;
        }
        Tokens::Revoke { id } => {
            let revoked = client.revoke_token(&id).await?;
            terminal.answer(&revoked, || token(&revoked))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn technicians(terminal: &mut Terminal<'_>, what: Technicians) -> anyhow::Result<ExitCode> {
    let client = terminal.client()?;
    let Technicians::Remove { id, purge } = what;
    let removed = client.remove_technician(&id, RemoveTechnician { purge }).await?;
    let waits = removed.accounts.iter().any(|account| account.standing == "waits");
    terminal.answer(&removed, || report(&removed, purge))?;
    // A script that repeats it until nothing waits is told by this.
    Ok(if waits { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn lines(of: impl Iterator<Item = String>) -> String {
    of.collect::<Vec<_>>().join("\n")
}

fn sign_in(of: &SignInShown) -> String {
    format!(
        "{}  {}  {}  since {}  until {}  key {}",
        of.id,
        of.technician,
        of.name,
        of.from.format(TIME),
        of.until.format(TIME),
        of.key
    )
}

fn token(of: &TokenShown) -> String {
    let customers = match &of.customers {
        None => "every customer".to_owned(),
        Some(all) => all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let end = match of.ended {
        Some(at) => format!("revoked {}", at.format(TIME)),
        None => format!("until {}", of.until.format(TIME)),
    };
    format!("{}  {}  {}  at {customers}  by {}  {end}", of.id, of.name, of.scopes.join(" "), of.made_by)
}

fn report(removed: &TechnicianRemoved, purge: bool) -> String {
    let mut text = format!("{}: {} sign-ins ended.", removed.technician, removed.sign_ins);
    for AccountLeft { directory, customer, account, sessions, standing, trouble, .. } in &removed.accounts {
        let customer = customer.as_ref().map_or("-", |customer| customer.as_str());
        let what = match standing.as_str() {
            "deleted" => "deleted",
            "closed" => "closed; it stays there, disabled",
            "left" => "the person's own account; nothing of a session is left in it",
            _ => "not done yet, and tried again until it is",
        };
        text.push_str(&format!("\n{customer}  {directory}  {account}: {sessions} sessions ended; {what}"));
        if let Some(trouble) = trouble {
            text.push_str(&format!("\n    {trouble}"));
        }
    }
    if removed.still_configured {
        text.push_str(
            "\n\nThe configuration still has this [[technician]], who can sign in and activate again: take it out, and out of the provider's groups.",
        );
    }
    if !purge && removed.accounts.iter().any(|account| account.standing == "closed") {
        text.push_str("\nWith --purge the dedicated accounts are deleted, too.");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_says_of_each_account_what_became_of_it_and_what_is_left_to_do() {
        let account = |directory: &str, standing: &str, trouble: Option<&str>| AccountLeft {
            directory: directory.parse().unwrap(),
            customer: "acme".parse().ok(),
            account: "ACME\\jit-tech1".into(),
            mode: "dedicated".into(),
            sessions: 1,
            standing: standing.into(),
            trouble: trouble.map(str::to_owned),
        };
        let removed = TechnicianRemoved {
            technician: "tech1".parse().unwrap(),
            still_configured: true,
            sign_ins: 2,
            accounts: vec![
                account("a", "deleted", None),
                account("b", "waits", Some("The directory does not answer.")),
            ],
        };
        let text = report(&removed, true);
        for says in [
            "tech1: 2 sign-ins ended.",
            "acme  a  ACME\\jit-tech1: 1 sessions ended; deleted",
            "b  ACME\\jit-tech1: 1 sessions ended; not done yet",
            "    The directory does not answer.",
            "take it out",
        ] {
            assert!(text.contains(says), "{says}: {text}");
        }
        let closed = TechnicianRemoved { accounts: vec![account("a", "closed", None)], ..removed };
        assert!(report(&closed, false).contains("--purge") && !report(&closed, true).contains("--purge"));
    }
}
