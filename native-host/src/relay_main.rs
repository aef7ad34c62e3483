//! `ticketgate-relay`: what browsers start. The same relay as `ticketgate`'s own, in a binary that holds nothing else, since every
//! open port keeps one in memory. Brokers and clipboard holders are started from the `ticketgate` beside it.

use std::io::Write;
use std::process::ExitCode;

/// As `ticketgate` does: passwords pass through here on their way to the clipboard.
#[global_allocator]
static MEMORY: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    let argument = std::env::args_os().nth(1).map(|a| a.to_string_lossy().into_owned()).unwrap_or_default();
    // `ticketgate doctor` asks this of whatever a manifest names.
    if argument == "--version" {
        let said = writeln!(std::io::stdout(), "ticketgate {}", env!("CARGO_PKG_VERSION"));
        return if said.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    ticketgate::relay::main_alone(&argument)
}
