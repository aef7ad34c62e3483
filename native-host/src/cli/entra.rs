//! `entra sign-in|sign-out|tenants`: the sign-in of a person by which a broker acts in tenants, and the tenants of a partner.
//! Tokens are the broker's; here are the browser's way back and what is printed.

mod offer;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use ticketgate_protocol::ids::DirectoryId;
use ticketgate_protocol::problem::{Code, Problem};

use super::arguments::Entra;
use super::browser::{self, Came, WayBack};
use super::{Terminal, customers};
use crate::client::Client;
use crate::sign_in::{self, SignInGoesOn, SignInWanted};

pub(super) async fn run(terminal: &mut Terminal<'_>, what: Entra) -> anyhow::Result<ExitCode> {
    let client = terminal.client()?;
    match what {
        Entra::SignIn { directory, device } => {
            let account = if device {
                on_a_device(&client, &directory).await?
            } else {
                in_the_browser(&client, &directory).await?
            };
            let value = json!({ "directory": directory, "account": account });
            terminal.answer(&value, || format!("{account} is signed in to {directory}."))?;
        }
        Entra::SignOut { directory } => {
            client.sign_out(&directory).await?;
            terminal.answer(&json!({ "directory": directory }), || {
                format!(
                    "Nobody is signed in to {directory} any more, here. Entra ID itself ends sign-ins under the user's \
                     \"Revoke sessions\"."
                )
            })?;
        }
        Entra::Tenants { directory } => {
            let config = customers::configuration(terminal)?;
            let found = client.partner_tenants(&directory).await?;
            let offered = offer::compare(&config, &directory, found);
            let place = terminal.places.config.display().to_string();
            terminal.answer(&offered, || offer::text(&offered, &place))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn in_the_browser(client: &Client, directory: &DirectoryId) -> anyhow::Result<String> {
    let way = WayBack::open().await?;
    let asked = client.begin_sign_in(directory, SignInWanted { port: Some(way.port()) }).await?;
    let opened = browser::show(&asked.address);
    let said = if opened { "Your browser should show it now; if it does not, open" } else { "Open" };
    tell(&format!(
        "Sign in to {directory}. {said} this page on this machine:\n\n  {}\n\nWithout a browser here: ticketgate entra sign-in \
         {directory} --device",
        asked.address
    ))?;
    let state = asked.state.unwrap_or_default();
    let code = match way.answer(&state, Duration::from_secs(asked.lasts_s.into())).await {
        Some(Came::Code { code, .. }) => code,
        Some(Came::Refusal(why)) => {
            return Err(unsigned(directory, &format!("Entra ID did not sign you in: {why}.")));
        }
        None => return Err(unsigned(directory, "Nobody signed in in time.")),
    };
    let came = Some(sign_in::Came { state, code });
    let stands = client.go_on_with_sign_in(directory, &SignInGoesOn { id: asked.id, came }).await?;
    stands.account.ok_or_else(|| unsigned(directory, "Nobody was signed in."))
}

async fn on_a_device(client: &Client, directory: &DirectoryId) -> anyhow::Result<String> {
    let asked = client.begin_sign_in(directory, SignInWanted { port: None }).await?;
    tell(&format!(
        "Sign in to {directory}: on any device open\n\n  {}\n\nand enter the code {}. Whoever sends you such a code wants to be you: \
         enter none but this.",
        asked.address,
        asked.user_code.as_deref().unwrap_or_default()
    ))?;
    let on = SignInGoesOn { id: asked.id, came: None };
    let mut pause = Duration::from_secs(asked.after_s.max(1).into());
    loop {
        tokio::time::sleep(pause).await;
        // A broker or a login that is away for a moment is asked again; the code's own end comes from there, too.
        match client.go_on_with_sign_in(directory, &on).await {
            Ok(stands) => match (stands.account, stands.after_s) {
                (Some(account), _) => return Ok(account),
                (None, after_s) => pause = Duration::from_secs(after_s.unwrap_or(5).max(1).into()),
            },
            Err(problem) if problem.code == Code::DirectoryDown => {}
            Err(problem) => return Err(problem.into()),
        }
    }
}

fn unsigned(directory: &DirectoryId, detail: &str) -> anyhow::Error {
    let again = format!("Sign in again: ticketgate entra sign-in {directory}");
    Problem::new(Code::SignInNeeded, detail).remedy(again).into()
}

/// What a person does meanwhile; the answer itself goes to standard output.
fn tell(text: &str) -> io::Result<()> {
    writeln!(io::stderr().lock(), "{text}")
}
