//! Measures for `cargo xtask bench` how the broker bears many open sessions: how late their ends are, how long a restart takes
//! until the clock runs, what stays in memory, and what one activation costs. Brokers are this program again, as processes of
//! their own: the product's broker from its state folder to its socket, with a directory that only answers.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a measuring program prints what it measured, and may stop with a panic"
)]

mod ends;
mod growth;
mod prepare;
#[path = "../../ledger/examples/measure_postgres/server.rs"]
mod server;
mod stub;
mod team;

use std::error::Error;

/// The product's (`src/main.rs`): wiping what is given back is a part of its time, and of its memory.
#[global_allocator]
static MEMORY: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    // Nothing is heard unless asked for, as with the product's own log.
    let wanted = tracing_subscriber::EnvFilter::try_from_env("TICKETGATE_LOG");
    let wanted = wanted.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(wanted).with_writer(std::io::stderr).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["broker", folder, sessions, early, first, others, answers_after] => {
            growth::broker(folder, [sessions, early, first, others, answers_after])
        }
        ["team"] => team::measure(1_000, 100_000),
        // For trying out: fewer ends, fewer sessions.
        ["team", few, many] => team::measure(few.parse()?, many.parse()?),
        ["ends", ends] => ends::measure(ends.parse()?),
        ["growth", ref sizes @ ..] => growth::measure(
            &sizes.iter().map(|size| size.parse()).collect::<std::result::Result<Vec<_>, _>>()?,
        ),
        _ => {
            ends::measure(10_000)?;
            growth::measure(&[10, 1_000, 10_000, 100_000])
        }
    }
}

/// The measurement at this share of the sorted ones.
pub(crate) fn quantile(numbers: &[f64], share: f64) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
    let place = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

/// Half of the range between the 10th and the 90th percentile.
pub(crate) fn spread(numbers: &[f64]) -> f64 {
    (quantile(numbers, 0.9) - quantile(numbers, 0.1)) / 2.0
}
