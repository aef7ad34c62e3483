//! Measures the extension in a real browser for `cargo xtask bench`: one JSON line per figure. Beside each runs, in the
//! same browser and round, the same thing done by next to nothing: an empty extension, or the activation at the API.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a measuring program prints what it measured, and may stop with a panic"
)]

mod appear;
mod click;
mod desk;
mod figures;
mod others;
mod popup;
mod probe;
mod wake;
mod weight;

use ticketgate_tests::Result;

type Part = (&'static str, fn() -> Result<()>);

/// Parts can be named on the command line; without a name all are measured.
const PARTS: [Part; 6] = [
    ("weight", weight::measure),
    ("probe", probe::measure),
    ("appear", appear::measure),
    ("wake", wake::measure),
    ("popup", popup::measure),
    ("click", click::measure),
];

fn main() -> Result<()> {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    for (name, measure) in PARTS {
        if chosen.is_empty() || chosen.iter().any(|one| one == name) {
            measure()?;
        }
    }
    Ok(())
}
