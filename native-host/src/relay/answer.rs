//! One answer per method. Every request has a time limit; a password goes from the broker's answer to the clipboard.

use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use ticketgate_protocol::api::{Activate, Mode, PasswordWanted, Session, State};
use ticketgate_protocol::ids::{DirectoryId, IdempotencyKey, SessionId};
use ticketgate_protocol::native::{
    Activated, Clipboard, CopyPassword, Diagnosis, Hello, Method, Request, Welcome,
};
use ticketgate_protocol::problem::{Code, Problem};

use super::{Desk, hello, sign_in};

/// An activation waits for a directory.
const ACTIVATE_LIMIT: Duration = Duration::from_secs(30);
/// Everything else.
const LIMIT: Duration = Duration::from_secs(10);
/// The broker's part of `hello`. The extension waits 5 seconds and would then say that this program is silent, which hides
/// that it is the broker; a broker that is being started takes up to 3.
const BROKER_LIMIT: Duration = Duration::from_secs(4);
/// The password of a new session: its own limit, so that a slow clipboard never hides that the session is active.
const PASSWORD_LIMIT: Duration = Duration::from_secs(8);

/// The version of this host.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What this host can do beyond the protocol's number.
const CAPABILITIES: &[&str] = &["clipboard", "diagnose", "events", "sign_in"];

/// Carries a request out. What the broker alone answers is limited by the client, once: each timer is a system call.
pub(super) async fn answer(desk: &Desk, request: Request) -> Result<Value, Problem> {
    let client = desk.client.clone().with_limit(LIMIT);
    let key = request.key;
    match request.method {
        Method::Hello(theirs) => json(&welcome(desk, &theirs).await?),
        Method::Overview => json(&client.overview().await?),
        Method::Ticket(question) => json(&client.ticket(&question).await?),
        Method::Preview(wish) => json(&client.preview(&wish).await?),
        Method::Activate(wish) => json(&activate(desk, &wish, &keyed(key)?).await?),
        Method::Extend(wish) => json(&client.extend(&wish.session, wish.by_s, &keyed(key)?).await?),
        Method::End(wish) => json(&client.end(&wish.session, &keyed(key)?).await?),
        Method::CopyPassword(wish) => json(&within(LIMIT, copy(desk, &wish)).await?),
        Method::SignIn => json(&sign_in::sign_in(desk).await?),
        Method::Diagnose => json(&within(LIMIT, diagnose(desk)).await?),
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        Err(Problem::new(Code::TimedOut, format!("There was no answer within {} seconds.", limit.as_secs()))
            .remedy("Try again: the same request is never carried out twice.")
            .retry_after(1))
    })
}

fn json(answer: &impl Serialize) -> Result<Value, Problem> {
    serde_json::to_value(answer)
        .map_err(|_| Problem::new(Code::Internal, "The answer cannot be written as JSON."))
}

/// The frame reader has seen to it that there is one.
fn keyed(key: Option<IdempotencyKey>) -> Result<IdempotencyKey, Problem> {
    key.ok_or_else(|| Problem::new(Code::MalformedRequest, "A request that changes something needs a key."))
}

async fn welcome(desk: &Desk, theirs: &Hello) -> Result<Welcome, Problem> {
    let protocol = hello::negotiate(theirs)?;
    let broker = desk.client.clone().with_limit(BROKER_LIMIT).broker().await.and_then(|info| {
        hello::negotiate_with_broker(info.protocol_min, info.protocol_max)?;
        Ok(info)
    });
    let (broker, broker_problem) = match broker {
        Ok(info) => (Some(info), None),
        Err(problem) => (None, Some(problem)),
    };
    Ok(Welcome {
        protocol,
        host_version: VERSION.into(),
        capabilities: CAPABILITIES.iter().map(ToString::to_string).collect(),
        broker,
        broker_problem,
    })
}

async fn activate(desk: &Desk, wish: &Activate, key: &IdempotencyKey) -> Result<Activated, Problem> {
    let session = desk.client.clone().with_limit(ACTIVATE_LIMIT).activate(wish, key).await?;
    let clipboard = clipboard_of(desk, &session).await;
    Ok(Activated { session, clipboard })
}

/// What becomes of a session's password. Never an error: the session is there whatever the clipboard does.
async fn clipboard_of(desk: &Desk, session: &Session) -> Clipboard {
    let of_part = session.parts.iter().filter(|part| !part.passwordless).count();
    if session.passwordless || (session.parts.is_empty() && session.mode == Mode::Membership) {
        return Clipboard::NotNeeded;
    }
    if session.state != State::Active {
        return Clipboard::Unavailable {
            problem: Problem::new(Code::WrongState, "There is no password before the session is active.")
                .remedy("Press Copy password once it is."),
        };
    }
    if of_part > 1 {
        let detail = format!("This session has {of_part} passwords, one for each of its accounts.");
        let problem = Problem::new(Code::WrongState, detail).remedy("Copy the one that you need.");
        return Clipboard::Unavailable { problem };
    }
    within(PASSWORD_LIMIT, to_clipboard(desk, &session.id, None, false))
        .await
        .unwrap_or_else(|problem| Clipboard::Unavailable { problem })
}

async fn copy(desk: &Desk, wish: &CopyPassword) -> Result<Clipboard, Problem> {
    match to_clipboard(desk, &wish.session, wish.directory.clone(), wish.renew).await {
        Err(problem) if problem.code == Code::NoPassword => Ok(Clipboard::NotNeeded),
        Err(problem) if problem.code == Code::NoClipboard => Ok(Clipboard::Unavailable { problem }),
        other => other,
    }
}

async fn to_clipboard(
    desk: &Desk,
    session: &SessionId,
    directory: Option<DirectoryId>,
    renew: bool,
) -> Result<Clipboard, Problem> {
    let over = desk.client.password(session, PasswordWanted { renew, once: false, directory }).await?;
    let clears_at = desk.clipboard.put(&over).await.map_err(|why| why.problem(session))?;
    Ok(Clipboard::Copied { clears_at })
}

async fn diagnose(desk: &Desk) -> Result<Diagnosis, Problem> {
    let (around, places) = (desk.around.clone(), desk.places.clone());
    let examine = desk.examine;
    let looking = move || examine(&around, &places);
    let findings = tokio::task::spawn_blocking(looking).await.map_err(|_| {
        Problem::new(Code::Internal, "The diagnosis broke off.").remedy("Run `ticketgate doctor`.")
    })?;
    Ok(Diagnosis { host_version: VERSION.into(), findings })
}
