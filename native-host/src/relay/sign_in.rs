//! `sign_in`: a program of its own does it, since it has to outlive this relay: while a person looks at the page to sign in on, the
//! popup is closed, and soon after that the port. What comes of it stands in the system's key store, where every relay finds it.

use std::process::Stdio;
use std::time::Duration;

use ticketgate_protocol::native::SignedIn;
use ticketgate_protocol::problem::{Code, Problem};
use tokio::process::Command;

use super::Desk;
use crate::client::identity::signed_out;
use crate::platform::{Here, Platform};

/// How long a person may take. The program itself has the limit that the broker names, which is shorter.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Has the person sign in, and answers when that is done.
pub(super) async fn sign_in(desk: &Desk) -> Result<SignedIn, Problem> {
    let Some(identity) = desk.client.identity() else {
        return Err(Problem::new(
            Code::WrongState,
            "The broker of this computer knows who you are without a sign-in.",
        )
        .remedy("Reload the extension."));
    };
    let mut command = std::process::Command::new(&desk.around.exe);
    command
        .args(["--json", "sign-in", "--from-a-browser"])
        .env_clear()
        .envs(&desk.around.variables)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Here::set_apart(&mut command);
    let unstarted = |_| {
        Problem::new(Code::Internal, "The program to sign in with cannot be started.")
            .remedy("Run `ticketgate doctor`.")
    };
    let child = Command::from(command).kill_on_drop(false).spawn().map_err(unstarted)?;
    let said = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
    // Whatever was said: the key store knows.
    let found = identity.look().await;
    match said {
        Ok(Ok(said)) if said.status.success() => {
            match found {
                Ok(Some(signed_in)) => Ok(SignedIn { technician: signed_in.technician().to_owned() }),
                _ => Err(signed_out("The sign-in was not kept.")
                    .remedy("Unlock the key store, then sign in again.")),
            }
        }
        Ok(Ok(said)) => Err(serde_json::from_slice(&said.stderr)
            .unwrap_or_else(|_| signed_out("The sign-in broke off.").remedy("Try again."))),
        Ok(Err(_)) | Err(_) => Err(signed_out("Nobody signed in in time.").remedy("Try again.")),
    }
}
