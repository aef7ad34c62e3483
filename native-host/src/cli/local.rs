//! `local`: the side of a machine's own accounts, which needs root (on Windows: an administrator) and knows no broker. What it does is
//! in the crate `ticketgate-directory`; what `install` puts in place is in `crate::install::local`.

use std::fs::File;
use std::io::{self, BufReader, Write};
#[cfg(target_os = "linux")]
use std::os::fd::AsFd as _;
#[cfg(windows)]
use std::os::windows::io::AsHandle as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
#[cfg(windows)]
use ticketgate_directory::local::ThisMachine;
use ticketgate_directory::local::request::LONGEST_REQUEST;
#[cfg(target_os = "linux")]
use ticketgate_directory::local::{Places, may_ask};
use ticketgate_directory::local::{serve as answer, sweep as end_what_is_over};

use super::arguments::Local;
#[cfg(target_os = "linux")]
use crate::install;
use crate::places::Surroundings;

#[cfg(target_os = "linux")]
pub(super) fn run(out: &mut dyn Write, around: &Surroundings, what: &Local) -> anyhow::Result<ExitCode> {
    if !rustix::process::geteuid().is_root() && !matches!(what, Local::Install(how) if how.dry_run) {
        bail!("accounts of this machine are changed by root only: run it as root, such as by sudo");
    }
    match what {
        Local::Serve => serve(),
        Local::Sweep { every: None } => sweep(out),
        Local::Sweep { every: Some(seconds) } => sweep_for_ever(out, *seconds),
        Local::Install(how) => install::local::command(out, around, how),
    }
}

/// Whether it is an administrator who runs it, Windows says at each call.
#[cfg(windows)]
pub(super) fn run(out: &mut dyn Write, _: &Surroundings, what: &Local) -> anyhow::Result<ExitCode> {
    match what {
        Local::Serve => serve(),
        Local::Sweep { every: None } => sweep(out),
        Local::Sweep { every: Some(seconds) } => sweep_for_ever(out, *seconds),
    }
}

/// Until the input ends. Standard error is the log.
fn serve() -> anyhow::Result<ExitCode> {
    crate::logging::to_stderr("warn");
    let (input, output) = (io::stdin(), io::stdout());
    // Buffers of our own, which are wiped when they are given back; those of the standard streams never are.
    #[cfg(target_os = "linux")]
    let (input, output) = {
        may_ask(&input)?;
        (input.as_fd().try_clone_to_owned(), output.as_fd().try_clone_to_owned())
    };
    #[cfg(windows)]
    let (input, output) = (input.as_handle().try_clone_to_owned(), output.as_handle().try_clone_to_owned());
    let input = File::from(input.context("standard input")?);
    let output = File::from(output.context("standard output")?);
    answer(BufReader::with_capacity(LONGEST_REQUEST, input), output, &machine()?)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(target_os = "linux")]
#[expect(clippy::unnecessary_wraps, reason = "on Windows it can fail")]
fn machine() -> io::Result<Places> {
    Ok(Places::system())
}

#[cfg(windows)]
fn machine() -> io::Result<ThisMachine> {
    ThisMachine::system()
}

/// Says nothing where nothing was over: it runs every minute.
fn sweep(out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let swept = end_what_is_over(&machine()?)?;
    for (count, what) in [
        (swept.closed, "accounts that were over were closed"),
        (swept.rules, "sudo rules that were over were removed"),
        (swept.keys, "files with keys that were over were cleared"),
    ] {
        if count > 0 {
            writeln!(out, "{count} {what}")?;
        }
    }
    if swept.failures.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    bail!("not ended yet, the next sweep tries again: {}", swept.failures.join("; "))
}

/// For machines that have neither systemd nor cron. A sweep that fails does not keep the next.
fn sweep_for_ever(out: &mut dyn Write, seconds: i64) -> anyhow::Result<ExitCode> {
    crate::logging::to_stderr("warn");
    let pause = Duration::from_secs(seconds.unsigned_abs().max(1));
    loop {
        if let Err(error) = sweep(out) {
            tracing::error!("{error:#}");
        }
        std::thread::sleep(pause);
    }
}
