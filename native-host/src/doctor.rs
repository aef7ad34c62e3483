//! `doctor`: finds out why something does not work, and says how to mend it with the exact command.
//! Looks only: writes nothing, and starts nothing but the host that a manifest names, to ask its version.

mod broker;
mod browser;
mod machine;
mod policy;
mod team;

use std::io::Write;
use std::process::ExitCode;

use ticketgate_protocol::api::Finding;

use crate::places::{Places, Surroundings};

/// What can be said on the command line.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Options {
    /// Also shows what is in order.
    #[arg(long)]
    pub verbose: bool,
}

/// `ticketgate doctor`. Answers failure when an error was found.
///
/// # Errors
/// `out` cannot be written.
pub fn command(
    out: &mut dyn Write,
    around: &Surroundings,
    places: &Places,
    how: &Options,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let findings = examine(around, places, Addresses::Named);
    if json {
        serde_json::to_writer_pretty(&mut *out, &findings)?;
        writeln!(out)?;
    } else {
        for finding in findings.iter().filter(|f| how.verbose || f.level != OK) {
            writeln!(out, "{}: {}: {}", finding.level, finding.subject, finding.text)?;
            if !finding.remedy.is_empty() {
                writeln!(out, "    {}", finding.remedy)?;
            }
        }
        let count = |level| findings.iter().filter(|f| f.level == level).count();
        writeln!(out, "{} errors, {} warnings, {} in order.", count(ERROR), count(WARNING), count(OK))?;
    }
    let bad = findings.iter().any(|f| f.level == ERROR);
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Whether the addresses of a team's broker are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses {
    /// On a terminal.
    Named,
    /// To a browser, which is to know no server.
    Unnamed,
}

/// Everything that can be looked at from here, worst first. Blocks for some seconds when something hangs.
#[must_use]
pub fn examine(around: &Surroundings, places: &Places, addresses: Addresses) -> Vec<Finding> {
    let broker = match crate::team::find(around) {
        Ok(None) => broker::look(around, places),
        Ok(Some(team)) => team::look(&team, places, addresses),
        Err(bad) => team::misled(&bad),
    };
    all(around, places, broker)
}

/// The same for a browser.
#[must_use]
pub fn examine_for_browser(around: &Surroundings, places: &Places) -> Vec<Finding> {
    examine(around, places, Addresses::Unnamed)
}

/// The same where it is known that no team's broker is named, so that nothing of the way to one is linked into who asks.
#[must_use]
pub fn examine_alone(around: &Surroundings, places: &Places) -> Vec<Finding> {
    all(around, places, broker::look(around, places))
}

fn all(around: &Surroundings, places: &Places, broker: Vec<Finding>) -> Vec<Finding> {
    let mut findings = browser::look(around);
    findings.extend(policy::look(around));
    findings.extend(broker);
    findings.extend(machine::look(around, places));
    findings.sort_by_key(|f| match f.level.as_str() {
        ERROR => 0,
        WARNING => 1,
        _ => 2,
    });
    findings
}

const OK: &str = "ok";
const WARNING: &str = "warning";
const ERROR: &str = "error";

fn ok(subject: impl Into<String>, text: impl Into<String>) -> Finding {
    Finding { level: OK.into(), subject: subject.into(), text: text.into(), remedy: String::new() }
}

fn warning(subject: impl Into<String>, text: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { level: WARNING.into(), subject: subject.into(), text: text.into(), remedy: remedy.into() }
}

fn error(subject: impl Into<String>, text: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { level: ERROR.into(), subject: subject.into(), text: text.into(), remedy: remedy.into() }
}

#[cfg(all(test, unix))]
mod tests;
