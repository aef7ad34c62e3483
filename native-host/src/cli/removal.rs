//! `install` over, and `uninstall` from under, open sessions: which there are, and what becomes of them.

use std::process::ExitCode;

use ticketgate_protocol::api::{Session, State};
use ticketgate_protocol::ids::IdempotencyKey;
use ticketgate_protocol::problem::Problem;

use super::Terminal;
use super::arguments::Uninstall;
use crate::client::{Client, Endpoint, SessionFilter};
use crate::install;
use crate::platform::{Here, Platform};

/// `ticketgate install`, and a word on the broker that goes on as it was.
pub(super) async fn install(terminal: &mut Terminal<'_>, how: &install::Options) -> anyhow::Result<ExitCode> {
    let code = install::command(terminal.out, &terminal.around, how)?;
    if how.dry_run || !Here::somebody_listens(&terminal.places.socket) {
        return Ok(code);
    }
    // Only told: an installation does not fail because somebody else's broker does not answer.
    let client = Client::new(Endpoint::Socket(terminal.places.socket.clone()))?;
    let Ok((version, open)) = who_is_open(&client).await else { return Ok(code) };
    writeln!(
        terminal.out,
        "A broker of version {version} runs and goes on as it is until it is restarted; its open sessions are then handed over \
         to the new one: {}.",
        named(&open)
    )?;
    Ok(code)
}

/// `ticketgate uninstall`: ends what is open first. What cannot be ended keeps everything in its place.
pub(super) async fn uninstall(terminal: &mut Terminal<'_>, how: &Uninstall) -> anyhow::Result<ExitCode> {
    // A machine on which nobody ever activated anything has neither.
    let ledger = terminal.places.state.join("ledger.sqlite").exists();
    if ledger || Here::somebody_listens(&terminal.places.socket) {
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
    }
    install::uninstall_command(terminal.out, &terminal.around, &how.options)
}

/// Says what is open and ends it, unless it is to be left. Answers what is not ended.
async fn end_what_is_open(terminal: &mut Terminal<'_>, how: &Uninstall) -> Result<Vec<Session>, Problem> {
    let client = terminal.client()?;
    let (_, open) = who_is_open(&client).await?;
    let mut left = Vec::new();
    for session in open {
        if how.leave_sessions || how.options.dry_run {
            let word = if how.leave_sessions { "is left open" } else { "would be ended" };
            told(
                terminal,
                &session,
                &format!("{word}; the directory ends it at {}", session.expires_at.to_rfc3339()),
            );
            left.push(session);
            continue;
        }
        let key = IdempotencyKey::new(crate::random::letters(26));
        let Ok(key) = key else { continue };
        match client.end(&session.id, &key).await {
            Ok(ended) if matches!(ended.state, State::Ended | State::Failed) => {
                told(terminal, &ended, "ended");
            }
            Ok(ending) => {
                let why = ending.trouble.as_ref().map(|t| format!(": {}", t.problem)).unwrap_or_default();
                told(terminal, &ending, &format!("is not ended yet{why}"));
                left.push(ending);
            }
            Err(problem) => {
                told(terminal, &session, &format!("is not ended: {problem}"));
                left.push(session);
            }
        }
    }
    Ok(left)
}

/// The broker's version, and what is open: everybody's for an administrator, else the person's own.
async fn who_is_open(client: &Client) -> Result<(String, Vec<Session>), Problem> {
    let info = client.broker().await?;
    if info.technician.is_none() && !info.administrator {
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
