//! `broker`, `sweep`, `check`: the commands that run a broker's work in this process.

use std::io::Write;
use std::process::ExitCode;

use ticketgate_access::config::{LedgerPlace, SecretRef};
use ticketgate_protocol::api::Finding;
use tokio::runtime::Runtime;

use super::arguments::{Broker, Check, LedgerCopy, Recover};
use super::{Terminal, text};
use crate::broker::{self, Role, Serving, StartError};
use crate::logging;
use crate::rules::Reading;

/// Serves until the operating system says stop.
pub(super) fn run(runtime: &Runtime, terminal: &Terminal<'_>, how: &Broker) -> anyhow::Result<ExitCode> {
    logging::to_stderr("info");
    runtime.block_on(async {
        // From the first: a stop in the middle of a start is none by a signal.
        let mut stop = std::pin::pin!(stop_signal());
        let places = terminal.places.clone();
        let starting = tokio::spawn(async move { broker::start(&places, Role::Serve).await });
        let started = tokio::select! {
            started = starting => started??,
            // Whatever it waits for, such as somebody who is asked for a password: nobody is served yet.
            () = &mut stop => std::process::exit(0),
        };
        let serving = Serving {
            socket: &terminal.places.socket,
            on_demand: how.on_demand,
            for_everyone: how.for_everyone,
        };
        started.serve(serving, stop).await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Asks the broker that runs, or does its work once in this process when none does.
pub(super) async fn sweep(terminal: &mut Terminal<'_>) -> anyhow::Result<ExitCode> {
    let findings = match broker::start(&terminal.places, Role::Sweep).await {
        Ok(started) => started.broker.sweep().await?,
        Err(StartError::AlreadyRunning(_)) => terminal.client()?.sweep().await?,
        Err(error) => return Err(error.into()),
    };
    report(terminal, &findings)
}

/// Does the work in this process: a broker would have the state folder.
pub(super) async fn recover(terminal: &mut Terminal<'_>, how: &Recover) -> anyhow::Result<ExitCode> {
    let findings = broker::recover(&terminal.places, how.new_ledger).await?;
    report(terminal, &findings)
}

/// Does the work in this process: a broker would have the ledger.
pub(super) async fn copy(terminal: &mut Terminal<'_>, how: LedgerCopy) -> anyhow::Result<ExitCode> {
    let to = how.to.map(|postgres| LedgerPlace {
        postgres,
        password: how.password_file.map(|file| SecretRef::File(absolute(&file))),
        ca_file: how.ca_file.map(|file| absolute(&file)),
    });
    let mut told = 0;
    let tells = |records: u64| {
        // Also for a log of hours: a line now and then, on standard error.
        if records >= told + 100_000 {
            told = records;
            let _ = writeln!(std::io::stderr(), "{records} audit records are copied …");
        }
    };
    let done = broker::copy_ledger(&terminal.places, to, tells).await?;
    let value = serde_json::json!({
        "records": done.copied.records,
        "accounts": done.copied.accounts,
        "sessions": done.copied.sessions,
        "seal": done.copied.seal,
        "put_aside": done.put_aside,
    });
    let config = terminal.places.config.display().to_string();
    terminal.answer(&value, || {
        let mut text = format!(
            "{} audit records, {} accounts and {} sessions are in the database, the same to the byte, sealed with number {}.\nThe \
             file was put aside as {}.",
            done.copied.records,
            done.copied.accounts,
            done.copied.sessions,
            done.copied.seal,
            done.put_aside.display()
        );
        if let Some(lines) = &done.to_write {
            text.push_str(&format!("\nNow write into {config}:\n\n{lines}"));
        }
        text
    })?;
    Ok(ExitCode::SUCCESS)
}

fn absolute(path: &std::path::Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Reads the configuration file as it is now, and asks the broker about the directories.
pub(super) async fn check(terminal: &mut Terminal<'_>, how: &Check) -> anyhow::Result<ExitCode> {
    let path = terminal.places.config.clone();
    let mut findings = Vec::new();
    let mut rules = Vec::new();
    match std::fs::read_to_string(&path) {
        Err(error) => {
            findings.push(finding("error", &path.display().to_string(), &format!("cannot be read: {error}")));
        }
        Ok(text) => match ticketgate_access::config::read(&text) {
            Err(faults) => findings.extend(
                faults.0.iter().map(|f| finding("error", &format!("{}:{}", path.display(), f.line), &f.text)),
            ),
            Ok(config) => {
                if let Some(folder) = &config.broker.rules {
                    rules = super::rules::findings(&Reading::of_folder(folder));
                }
                let checked = format!(
                    "{} policies, {} directories, no faults",
                    config.policies.len(),
                    config.directories.len()
                );
                findings.push(finding("ok", &path.display().to_string(), &checked));
                findings.extend(config.warnings.iter().map(|w| match w.line {
                    0 => finding("warning", &path.display().to_string(), &w.text),
                    line => finding("warning", &format!("{}:{line}", path.display()), &w.text),
                }));
            }
        },
    }
    let is_sound = findings.iter().all(|f| f.level != "error");
    findings.extend(rules);
    if is_sound {
        findings.extend(terminal.client()?.check(how.rehearse).await?);
    }
    report(terminal, &findings)
}

pub(super) fn report(terminal: &mut Terminal<'_>, findings: &[Finding]) -> anyhow::Result<ExitCode> {
    terminal.answer(&findings, || text::findings(findings))?;
    let bad = findings.iter().any(|f| f.level == "error");
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

pub(super) fn finding(level: &str, subject: &str, text: &str) -> Finding {
    Finding { level: level.into(), subject: subject.into(), text: text.into(), remedy: String::new() }
}

/// Completes when the operating system asks the process to stop, from now on.
fn stop_signal() -> impl Future<Output = ()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
        async {
            let (Ok(mut term), Ok(mut int)) = signals else {
                return std::future::pending().await;
            };
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
        }
    }
    #[cfg(windows)]
    {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
        let signals = (ctrl_c(), ctrl_break(), ctrl_close(), ctrl_shutdown());
        async {
            let (Ok(mut c), Ok(mut pause), Ok(mut close), Ok(mut shutdown)) = signals else {
                return std::future::pending().await;
            };
            tokio::select! {
                _ = c.recv() => {}
                _ = pause.recv() => {}
                _ = close.recv() => {}
                _ = shutdown.recv() => {}
            }
        }
    }
}
