//! `ticketgate`: the browser's relay, the broker, and the command line. This file only chooses.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    // The browser calls `ticketgate chrome-extension://ID/`, which is no command of ours.
    if let Some(origin) = arguments.get(1).filter(|a| a.starts_with("chrome-extension://")) {
        return ticketgate::relay::main(origin);
    }
    ticketgate::cli::main()
}
