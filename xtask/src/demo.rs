//! `cargo xtask demo`: not there yet.

use std::process::ExitCode;

/// Options of the demo.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Play the technician's minute without a display and leave pictures in target/demo/
    #[arg(long)]
    headless: bool,
}

/// Says that the demo is not there yet and fails.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Args { headless: _ } = args;
    eprintln!("The demo is not there yet. `cargo xtask build` builds what it will show.");
    Ok(ExitCode::FAILURE)
}
