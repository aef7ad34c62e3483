//! The command line: a client of the broker's API, and the commands that start, install and diagnose.
//! Output goes through one writer; people's text by default, JSON with `--json`.

mod arguments;
mod audit;
mod broker;
mod customers;
mod entra;
#[cfg(any(target_os = "linux", windows))]
mod local;
mod removal;
mod rules;
mod secret;
mod sessions;
mod team;
mod text;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;
use ticketgate_protocol::problem::Problem;

use self::arguments::{Arguments, Command};
use crate::client::{Client, Endpoint, starting::Starter};
use crate::places::{Places, Surroundings};
use crate::platform::{Here, Platform};

/// What every command gets.
struct Terminal<'a> {
    out: &'a mut dyn Write,
    json: bool,
    around: Surroundings,
    places: Places,
}

impl Terminal<'_> {
    /// A client of the broker; one is started when none runs.
    fn client(&self) -> Result<Client, Problem> {
        let client = Client::new(Endpoint::Socket(self.places.socket.clone()));
        Ok(match Starter::new(&self.around, self.places.clone()) {
            Some(starter) => client.starting_with(starter),
            None => client,
        })
    }

    /// JSON for programs, or a text for people.
    fn answer(&mut self, value: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        if self.json {
            serde_json::to_writer_pretty(&mut self.out, value)?;
            writeln!(self.out)?;
        } else {
            let text = text();
            writeln!(self.out, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    // Every command: some ask for passwords, some show them, and one that crashes is no exception.
    Here::guard_memory();
    let arguments = Arguments::parse();
    crate::client::starting::install_tls_provider();
    let mut out = io::stdout().lock();
    let json = arguments.json;
    match run(arguments, &mut out) {
        Ok(code) => code,
        Err(error) => {
            // A reader that stopped reading (`| head`) is no failure.
            if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
                return ExitCode::SUCCESS;
            }
            let mut err = io::stderr().lock();
            let problem = error.downcast_ref::<Problem>();
            let _ = match (json, problem) {
                (true, Some(problem)) => {
                    writeln!(err, "{}", serde_json::to_string(problem).unwrap_or_default())
                }
                _ => writeln!(err, "{}", text::failure(&error, err.is_terminal())),
            };
            ExitCode::from(if problem.is_some() { 1 } else { 2 })
        }
    }
}

fn run(arguments: Arguments, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut around = Surroundings::here();
    arguments.apply_to(&mut around);
    let command = arguments.command;
    // What the browser or a detached process runs has no terminal and needs no places.
    if matches!(command, Command::ClipboardHolder) {
        return Ok(crate::clipboard::holder_main());
    }
    // The machine's own side knows no broker, and starts without a home.
    #[cfg(any(target_os = "linux", windows))]
    if let Command::Local(what) = &command {
        return local::run(out, &around, what);
    }
    let places = Places::find(&around)?;
    let mut terminal = Terminal { out, json: arguments.json, around, places };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    match command {
        Command::Broker(how) => broker::run(&runtime, &terminal, &how),
        Command::Sweep => runtime.block_on(broker::sweep(&mut terminal)),
        Command::Recover(how) => runtime.block_on(broker::recover(&mut terminal, &how)),
        Command::Check(how) => runtime.block_on(broker::check(&mut terminal, &how)),
        Command::Status => runtime.block_on(sessions::status(&mut terminal)),
        Command::Activate(wish) => runtime.block_on(sessions::activate(&mut terminal, wish)),
        Command::Extend(which) => runtime.block_on(sessions::extend(&mut terminal, which)),
        Command::End(which) => runtime.block_on(sessions::end(&mut terminal, which)),
        Command::EndAll(whose) => runtime.block_on(sessions::end_all(&mut terminal, whose)),
        Command::Sessions(which) => runtime.block_on(sessions::list(&mut terminal, which)),
        Command::Password(which) => runtime.block_on(sessions::password(&mut terminal, which)),
        Command::Audit(what) => runtime.block_on(audit::run(&mut terminal, what)),
        Command::Ledger(arguments::Ledger::Copy(how)) => runtime.block_on(broker::copy(&mut terminal, how)),
        Command::Customers(what) => runtime.block_on(customers::run(&mut terminal, what)),
        Command::Entra(what) => runtime.block_on(entra::run(&mut terminal, what)),
        Command::SignIns(what) => runtime.block_on(team::sign_ins(&mut terminal, what)),
        Command::Tokens(what) => runtime.block_on(team::tokens(&mut terminal, what)),
        Command::Technicians(what) => runtime.block_on(team::technicians(&mut terminal, what)),
        Command::Rules(what) => rules::run(&mut terminal, &what),
        Command::Secret(what) => secret::run(&mut terminal, what),
        Command::Install(how) => runtime.block_on(removal::install(&mut terminal, &how)),
        Command::Uninstall(how) => runtime.block_on(removal::uninstall(&mut terminal, &how)),
        Command::Doctor(how) => {
            let json = terminal.json;
            crate::doctor::command(terminal.out, &terminal.around, &terminal.places, &how, json)
        }
        Command::ClipboardHolder => Ok(ExitCode::SUCCESS),
        #[cfg(any(target_os = "linux", windows))]
        Command::Local(_) => Ok(ExitCode::SUCCESS),
    }
}

/// A path given on the command line becomes absolute, because a started broker has another working folder.
fn absolute(path: &PathBuf) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.clone())
}
