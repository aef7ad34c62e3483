//! The machine's own side of local accounts alone, for tests in a machine of their own: `local_far serve`, `local_far sweep`.

#[cfg(target_os = "linux")]
fn main() {
    use ticketgate_directory::local::{Places, serve, sweep};
    let places = Places::system();
    let done = match std::env::args().nth(1).as_deref() {
        Some("serve") => serve(std::io::stdin().lock(), std::io::stdout().lock(), &places)
            .map_err(|error| error.to_string()),
        Some("sweep") => sweep(&places).map_err(|error| error.to_string()).and_then(|swept| {
            if swept.failures.is_empty() { Ok(()) } else { Err(swept.failures.join("\n")) }
        }),
        _ => Err("local_far serve|sweep".to_owned()),
    };
    if let Err(why) = done {
        std::io::Write::write_all(&mut std::io::stderr(), why.as_bytes()).ok();
        std::process::exit(1);
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {}
