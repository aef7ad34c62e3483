//! `install` over, and `uninstall` from under, open sessions: which there are, and what becomes of them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use ticketgate_protocol::api::{Session, State};
use ticketgate_protocol::ids::IdempotencyKey;
use ticketgate_protocol::problem::{Code, Problem};

use super::Terminal;
use super::arguments::Uninstall;
use crate::client::{Client, Endpoint, SessionFilter};
use crate::install;
use crate::install::browsers::Scope;
use crate::places::system_socket;
use crate::platform::{Here, Platform};

/// `ticketgate install`, and a word on the broker that goes on as it was.
pub(super) async fn install(terminal: &mut Terminal<'_>, how: &install::Options) -> anyhow::Result<ExitCode> {
    let code = install::command(terminal.out, &terminal.around, how)?;
    if how.dry_run || !Here::somebody_listens(&terminal.places.socket) {
        return Ok(code);
    }
    // Only told: an installation does not fail because somebody else's broker does not answer.
    let client = Client::new(Endpoint::Socket(terminal.places.socket.clone()));
    let Ok((version, open)) = who_is_open(&client, false).await else { return Ok(code) };
    writeln!(
        terminal.out,
        "A broker of version {version} runs and goes on as it is until it is restarted; its open sessions are then handed over \
         to the new one: {}.",
        named(&open)
    )?;
    Ok(code)
}

/// `ticketgate uninstall`: ends what is open first. What cannot be ended, or cannot be seen, keeps everything in its place.
pub(super) async fn uninstall(terminal: &mut Terminal<'_>, how: &Uninstall) -> anyhow::Result<ExitCode> {
    let left = match end_what_is_open(terminal, how).await {
        Ok(left) => left,
        Err(_) if how.leave_sessions => Vec::new(),
        Err(problem) => {
            return Err(problem
                .remedy(
                    "Whether sessions are open could not be seen, so nothing was removed. Start the broker and try again, or \
                     use --leave-sessions: what is open then ends by the directory alone.",
                )
                .into());
        }
    };
    if !left.is_empty() && !how.leave_sessions && !how.options.dry_run {
        writeln!(
            terminal.out,
            "Nothing was removed: {} not ended yet. Try again when the directory answers, or use --leave-sessions: what is \
             open then ends by the directory alone.",
            named(&left)
        )?;
        return Ok(ExitCode::FAILURE);
    }
    install::uninstall_command(terminal.out, &terminal.around, &how.options)
}

/// A broker whose sessions an uninstallation takes the ground from.
struct Asked {
    client: Client,
    /// Whether there is a ledger that may have sessions of the caller.
    ledger: bool,
}

/// The person's broker, and the machine's where that is uninstalled. A machine on which nobody ever activated anything has neither.
fn asked(terminal: &Terminal<'_>, scope: Scope) -> Result<Vec<Asked>, Problem> {
    let has_ledger = |state: &Path| state.join("ledger.sqlite").exists();
    let machine = system_socket(&terminal.around);
    let mut asked = Vec::new();
    if scope == Scope::System {
        let ledger = has_ledger(&terminal.around.system_state());
        if ledger || Here::somebody_listens(&machine) {
            // One that does not run is not started from here: it would be another user's, on other files.
            asked.push(Asked { client: Client::new(Endpoint::Socket(machine.clone())), ledger });
        }
    }
    let ledger = has_ledger(&terminal.places.state);
    let another = asked.is_empty() || terminal.places.socket != machine;
    if another && (ledger || Here::somebody_listens(&terminal.places.socket)) {
        asked.push(Asked { client: terminal.client()?, ledger });
    }
    Ok(asked)
}

/// Says what is open and ends it, unless it is to be left. Answers what is not ended.
async fn end_what_is_open(terminal: &mut Terminal<'_>, how: &Uninstall) -> Result<Vec<Session>, Problem> {
    let mut left = Vec::new();
    for Asked { client, ledger } in asked(terminal, how.options.scope)? {
        let mut known = BTreeSet::new();
        // A broker lists so many at a time: what was not listed yet comes once others have ended.
        loop {
            let (_, open) = who_is_open(&client, ledger).await?;
            let new: Vec<_> = open.into_iter().filter(|s| known.insert(s.id.clone())).collect();
            if new.is_empty() {
                break;
            }
            for session in new {
                left.extend(end_or_leave(terminal, how, &client, session).await);
            }
        }
    }
    Ok(left)
}

/// Ends one session and says so; answers it where it is not ended.
async fn end_or_leave(
    terminal: &mut Terminal<'_>,
    how: &Uninstall,
    client: &Client,
    session: Session,
) -> Option<Session> {
    if how.leave_sessions || how.options.dry_run {
        let word = if how.leave_sessions { "is left open" } else { "would be ended" };
        let what = format!("{word}; the directory ends it at {}", session.expires_at.to_rfc3339());
        told(terminal, &session, &what);
        return Some(session);
    }
    let Ok(key) = IdempotencyKey::new(crate::random::letters(26)) else { return Some(session) };
    match client.end(&session.id, &key).await {
        Ok(ended) if matches!(ended.state, State::Ended | State::Failed) => {
            told(terminal, &ended, "ended");
            None
        }
        Ok(ending) => {
            let why = ending.trouble.as_ref().map(|t| format!(": {}", t.problem)).unwrap_or_default();
            told(terminal, &ending, &format!("is not ended yet{why}"));
            Some(ending)
        }
        Err(problem) => {
            told(terminal, &session, &format!("is not ended: {problem}"));
            Some(session)
        }
    }
}

/// The broker's version, and what is open: everybody's for an administrator, else the person's own. Whom the broker does not
/// know it shows nothing: with a `ledger` that may have sessions of theirs, that is no answer.
async fn who_is_open(client: &Client, ledger: bool) -> Result<(String, Vec<Session>), Problem> {
    let info = client.broker().await?;
    if info.technician.is_none() && !info.administrator {
        if ledger {
            return Err(Problem::new(
                Code::NotATechnician,
                "The broker does not know you, or has no valid configuration, so it does not say what is open.",
            ));
        }
        return Ok((info.version, Vec::new()));
    }
    let filter = SessionFilter { open: true, all: info.administrator, ..SessionFilter::default() };
    Ok((info.version, client.sessions(&filter).await?))
}

fn told(terminal: &mut Terminal<'_>, session: &Session, what: &str) {
    let account = session.account.as_deref().unwrap_or("no account yet");
    // A terminal that went away does not keep rights.
    let _ = writeln!(terminal.out, "session {} ({account}, {}): {what}", session.id, session.policy_name);
}

fn named(sessions: &[Session]) -> String {
    if sessions.is_empty() {
        return "none".into();
    }
    let one = |session: &Session| {
        format!("{} ({})", session.id, session.account.as_deref().unwrap_or("no account yet"))
    };
    sessions.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(all(test, unix))]
mod tests;
