//! `secret set|remove`: the directories' passwords in the operating system's key store.

use std::io::{self, BufRead, IsTerminal, Read};
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::json;
use ticketgate_credentials::{Secret, keyring};
use zeroize::Zeroizing;

use super::Terminal;
use super::arguments;

/// More than any password.
const LONGEST: u64 = 4096;

pub(super) fn run(terminal: &mut Terminal<'_>, what: arguments::Secret) -> anyhow::Result<ExitCode> {
    let (name, done) = match what {
        arguments::Secret::Set(which) => {
            let secret = typed(&which.name)?;
            keyring::keep(&which.name, secret).map_err(anyhow::Error::msg)?;
            (which.name, "kept in")
        }
        arguments::Secret::Remove(which) => {
            keyring::forget(&which.name).map_err(anyhow::Error::msg)?;
            (which.name, "removed from")
        }
    };
    terminal.answer(&json!({ "name": name }), || format!("{name} is {done} the key store."))?;
    Ok(ExitCode::SUCCESS)
}

/// What a person types unseen, or the first line that a script pipes in.
fn typed(name: &str) -> anyhow::Result<Secret> {
    let line = if io::stdin().is_terminal() {
        let once = Zeroizing::new(rpassword::prompt_password(format!("Password for {name}: "))?);
        let again = Zeroizing::new(rpassword::prompt_password("Once more: ")?);
        if *once != *again {
            bail!("the two are not the same; nothing was changed");
        }
        once
    } else {
        let mut line = Zeroizing::new(String::new());
        io::BufReader::new(io::stdin().lock().take(LONGEST))
            .read_line(&mut line)
            .context("no password on standard input")?;
        line
    };
    let text = line.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        bail!("an empty password is none; nothing was changed");
    }
    Ok(Secret::new(text.to_owned()))
}
