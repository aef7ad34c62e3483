//! `sign-in` and `sign-out`: who uses the team's broker on this machine. The page is shown in the system's browser or on another
//! device; what comes of it goes into the system's key store, where every browser's relay finds it.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use ticketgate_protocol::problem::{Code, Problem};
use tokio::time::{Instant, sleep};

use super::Terminal;
use super::arguments::SignIn;
use super::browser::{self, Came, WayBack};
use crate::client::Client;
use crate::client::identity::{SignedIn, signed_out};
use crate::client::signing_in::{Signing, Stands};
use crate::sign_in::team::TeamCame;

/// How often a provider that gives no answer is asked again, and the pause before.
const AGAIN: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);

pub(super) async fn sign_in(terminal: &mut Terminal<'_>, how: SignIn) -> anyhow::Result<ExitCode> {
    let client = teams(terminal)?;
    if let Some(began) = how.renew {
        client.renew_sign_in(began).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let signed_in = if how.device {
        on_a_device(&client).await?
    } else {
        in_the_browser(&client, how.from_a_browser).await?
    };
    let technician = signed_in.technician();
    terminal.answer(&json!({ "technician": technician }), || {
        format!("{technician} is signed in, here and in every browser of this machine.")
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn sign_out(terminal: &mut Terminal<'_>) -> anyhow::Result<ExitCode> {
    let client = teams(terminal)?;
    let was = client.leave().await?;
    terminal.answer(&json!({ "technician": was }), || match &was {
        Some(technician) => format!("{technician} is signed out. Open sessions go on until they end."),
        None => "Nobody was signed in.".into(),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A client of the team's broker; this machine's own knows who calls without a sign-in.
fn teams(terminal: &Terminal<'_>) -> Result<Client, Problem> {
    let client = terminal.client()?;
    if client.identity().is_some() {
        return Ok(client);
    }
    Err(Problem::new(
        Code::WrongState,
        "The broker of this machine knows who you are; there is nothing to sign in to.",
    )
    .remedy("To use a team's broker, name it in relay.toml (docs/install.md) or with TICKETGATE_BROKER."))
}

async fn in_the_browser(client: &Client, from_a_browser: bool) -> anyhow::Result<std::sync::Arc<SignedIn>> {
    let way = WayBack::open().await?;
    let signing = Signing::begin(client, Some(way.port())).await?;
    let asked = signing.asked();
    let opened = browser::show(&asked.address);
    if from_a_browser {
        if !opened {
            let problem = signed_out("No browser could be opened to sign in with.");
            return Err(problem.remedy("Sign in from a terminal: ticketgate sign-in --device").into());
        }
    } else {
        let said = if opened { "Your browser should show it now; if it does not, open" } else { "Open" };
        tell(&format!(
            "Sign in. {said} this page on this machine:\n\n  {}\n\nWithout a browser here: ticketgate sign-in --device",
            asked.address
        ))?;
    }
    let state = asked.state.clone().unwrap_or_default();
    let came = way.answer(&state, Duration::from_secs(asked.lasts_s.into())).await;
    let came = match came {
        Some(Came::Code { code, iss }) => TeamCame { state, code, iss },
        Some(Came::Refusal(why)) => return Err(signed_out(&format!("You were not signed in: {why}.")).into()),
        None => return Err(signed_out("Nobody signed in in time.").into()),
    };
    let mut left = AGAIN;
    loop {
        match signing.go_on(Some(came.clone())).await {
            Ok(Stands::SignedIn(signed_in)) => return Ok(signed_in),
            Ok(Stands::Waits(_)) => return Err(signed_out("Nobody was signed in.").into()),
            // The person has done their part: a provider that is away for a moment is asked again.
            Err(problem) if problem.code == Code::ProviderDown && left > 0 => left -= 1,
            Err(problem) => return Err(problem.into()),
        }
        sleep(PAUSE).await;
    }
}

async fn on_a_device(client: &Client) -> anyhow::Result<std::sync::Arc<SignedIn>> {
    let signing = Signing::begin(client, None).await?;
    let asked = signing.asked();
    tell(&format!(
        "Sign in: on any device open\n\n  {}\n\nand enter the code {}. Whoever sends you such a code wants to be you: enter none but this.",
        asked.address,
        asked.user_code.as_deref().unwrap_or_default()
    ))?;
    let end = Instant::now() + Duration::from_secs(asked.lasts_s.into());
    let mut pause = Duration::from_secs(asked.after_s.max(1).into());
    while Instant::now() + pause < end {
        sleep(pause).await;
        // A broker or provider that is away for a moment is asked again.
        match signing.go_on(None).await {
            Ok(Stands::SignedIn(signed_in)) => return Ok(signed_in),
            Ok(Stands::Waits(after)) => pause = after.max(Duration::from_secs(1)),
            Err(problem) if matches!(problem.code, Code::BrokerUnreachable | Code::ProviderDown) => {}
            Err(problem) => return Err(problem.into()),
        }
    }
    Err(signed_out("Nobody entered the code in time.").into())
}

/// What a person does meanwhile; the answer itself goes to standard output.
fn tell(text: &str) -> io::Result<()> {
    writeln!(io::stderr().lock(), "{text}")
}
