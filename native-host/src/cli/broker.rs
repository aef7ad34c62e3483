//! `broker`, `sweep`, `check`: the commands that run a broker's work in this process.

use std::process::ExitCode;

use ticketgate_protocol::api::Finding;
use tokio::runtime::Runtime;

use super::arguments::{Broker, Check, Recover};
use super::{Terminal, text};
use crate::broker::{self, Role, Serving, StartError};
use crate::logging;
use crate::rules::Reading;

/// Serves until the operating system says stop.
pub(super) fn run(runtime: &Runtime, terminal: &Terminal<'_>, how: &Broker) -> anyhow::Result<ExitCode> {
    logging::to_stderr("info");
    runtime.block_on(async {
        let started = broker::start(&terminal.places, Role::Serve).await?;
        let serving = Serving {
            socket: &terminal.places.socket,
            on_demand: how.on_demand,
            for_everyone: how.for_everyone,
        };
        started.serve(serving, stop_signal()).await?;
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

/// Completes when the operating system asks the process to stop.
async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    }
    #[cfg(not(unix))]
    let _ = tokio::signal::ctrl_c().await;
}
