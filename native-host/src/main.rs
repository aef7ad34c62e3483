//! `ticketgate`: the browser's relay, the broker, and the command line. This file only chooses.

use std::process::ExitCode;

/// Wipes what is given back: passwords pass through buffers of the HTTP and LDAP crates, which do not wipe them.
#[global_allocator]
static MEMORY: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    // The browser calls `ticketgate chrome-extension://ID/`, which is no command of ours.
    if let Some(origin) = arguments.get(1).filter(|a| a.starts_with("chrome-extension://")) {
        return ticketgate::relay::main(origin);
    }
    ticketgate::cli::main()
}
