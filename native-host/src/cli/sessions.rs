//! Commands about sessions: `status`, `activate`, `extend`, `end`, `end-all`, `sessions`, `password`.

use std::process::ExitCode;

use ticketgate_protocol::api::{self, State};
use ticketgate_protocol::ids::{IdempotencyKey, SessionId};
use ticketgate_protocol::problem::{Code, Problem};
use ticketgate_protocol::ticket::Ticket;

use super::arguments::{Activate, EndAll, Extend, One, Password, Sessions, by_beginning};
use super::{Terminal, text};
use crate::client::{Client, SessionFilter};

/// Asked for where no policy says what to offer: the refusal that follows does not depend on it.
const DURATION_S: i64 = 3600;

pub(super) async fn status(terminal: &mut Terminal<'_>) -> anyhow::Result<ExitCode> {
    let client = terminal.client()?;
    let info = client.broker().await?;
    let overview = match &info.technician {
        Some(_) => Some(client.overview().await?),
        None => None,
    };
    let value = serde_json::json!({ "broker": info, "overview": overview });
    terminal.answer(&value, || text::status(&info, overview.as_ref()))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn activate(terminal: &mut Terminal<'_>, wish: Activate) -> anyhow::Result<ExitCode> {
    let client = terminal.client()?;
    let overview = client.overview().await?;
    let policy = overview.policies.iter().find(|p| p.id == wish.policy);
    let ticket = wish.ticket.map(|number| Ticket {
        number,
        url: wish.ticket_url,
        summary: wish.summary,
        ..Ticket::default()
    });
    let reason = wish.reason.or_else(|| ticket.as_ref().map(text::reason)).unwrap_or_default();
    let request = api::Activate {
        customer: None,
        // One that is not offered is refused by the broker, in its own words and on its record.
        duration_s: wish.duration.or(policy.map(|p| p.default_s.into())).unwrap_or(DURATION_S),
        policy: wish.policy,
        reason,
        ticket,
    };
    if wish.preview {
        let preview = client.preview(&request).await?;
        let granted = preview.refusal.is_none();
        terminal.answer(&preview, || text::preview(&preview))?;
        return Ok(if granted { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let session = client.activate(&request, &key()?).await.map_err(|problem| match problem.code {
        Code::UnknownPolicy => problem
            .remedy(format!("Yours are: {}.", text::list(overview.policies.iter().map(|p| p.id.as_str())))),
        _ => problem,
    })?;
    terminal.answer(&session, || text::activated(&session))?;
    Ok(if session.state == State::Active { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) async fn extend(terminal: &mut Terminal<'_>, which: Extend) -> anyhow::Result<ExitCode> {
    let client = terminal.client()?;
    let id = find(&client, &which.session).await?;
    let session = client.extend(&id, which.by, &key()?).await?;
    terminal.answer(&session, || text::session(&session))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn end(terminal: &mut Terminal<'_>, which: One) -> anyhow::Result<ExitCode> {
    let client = terminal.client()?;
    let id = find(&client, &which.session).await?;
    let session = client.end(&id, &key()?).await?;
    terminal.answer(&session, || text::session(&session))?;
    Ok(code_of_ends(std::slice::from_ref(&session)))
}

pub(super) async fn end_all(terminal: &mut Terminal<'_>, whose: EndAll) -> anyhow::Result<ExitCode> {
    let whose = api::EndAll { technician: whose.technician, customer: whose.customer };
    let sessions = terminal.client()?.end_all(&whose, &key()?).await?;
    terminal.answer(&sessions, || text::sessions(&sessions))?;
    Ok(code_of_ends(&sessions))
}

pub(super) async fn list(terminal: &mut Terminal<'_>, which: Sessions) -> anyhow::Result<ExitCode> {
    let filter = SessionFilter {
        technician: which.technician,
        customer: which.customer,
        open: !which.past,
        all: which.all,
    };
    let sessions = terminal.client()?.sessions(&filter).await?;
    terminal.answer(&sessions, || text::sessions(&sessions))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn password(terminal: &mut Terminal<'_>, which: Password) -> anyhow::Result<ExitCode> {
    let client = terminal.client()?;
    let id = find(&client, &which.session).await?;
    let over = client
        .password(&id, api::PasswordWanted { renew: which.new, once: true, directory: which.directory })
        .await?;
    // To the terminal of the person who asked: the one place where a password is ever shown.
    if terminal.json {
        serde_json::to_writer(&mut terminal.out, &over)?;
        writeln!(terminal.out)?;
    } else {
        writeln!(terminal.out, "{}\n{}", over.account, over.password.as_str())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A session by its id or a beginning of it.
async fn find(client: &Client, text: &str) -> anyhow::Result<SessionId> {
    let open = client.sessions(&SessionFilter { open: true, ..SessionFilter::default() }).await?;
    let ids: Vec<_> = open.into_iter().map(|s| s.id).collect();
    if let Some(id) = by_beginning(&ids, text) {
        return Ok(id);
    }
    // Perhaps a whole id of one that is over, or of somebody else's.
    let known = SessionId::new(text).map_err(|_| unknown(text))?;
    client.session(&known).await.map_err(|_| unknown(text))?;
    Ok(known)
}

fn unknown(text: &str) -> Problem {
    Problem::new(
        Code::UnknownSession,
        format!(
            "No open session of yours, or more than one, begins with {:?}.",
            text.escape_default().to_string()
        ),
    )
    .remedy("`ticketgate sessions` lists them.")
}

fn key() -> anyhow::Result<IdempotencyKey> {
    Ok(IdempotencyKey::new(crate::random::letters(26))?)
}

/// Fails where something could not be taken away yet: a script that ends everything has to know.
fn code_of_ends(sessions: &[api::Session]) -> ExitCode {
    let left = sessions.iter().any(|s| matches!(s.state, State::Activating | State::Active | State::Ending));
    if left { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Whether a session has a password of ours.
pub(super) fn has_password(session: &api::Session) -> bool {
    !session.passwordless
}
