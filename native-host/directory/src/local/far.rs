//! The side that acts, as root on the machine itself: reads requests, holds them to what the machine allows, answers each.
//!
//! What no request can lift: only accounts whose name begins with `jit-`, whose number is a person's and nobody else's, and whose
//! note carries the request's token; ends within 25 hours; one request at a time on the machine. A step that was begun is
//! finished even when nobody waits for the answer any more.

mod accounts;
mod bounds;
mod check;
mod clock;
mod databases;
mod drop_ins;
mod files;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod homes;
mod key_file;
mod keys;
mod leftovers;
mod lock;
mod look;
mod note;
mod peer;
mod places;
mod processes;
mod run;
mod sudo;
mod sweep;

use std::io::{self, BufRead, Read as _, Write};

use zeroize::Zeroizing;

use super::request::{Answer, Ask, LONGEST_ANSWER, LONGEST_REQUEST, Named, PROTOCOL, Refusal, read};
use look::Machine;
pub use peer::may_ask;
pub use places::Places;
pub use sweep::{Swept, sweep};

/// Why the machine's side did not do what was asked. The texts are for the broker's log, and hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum FarError {
    /// The name is somebody else's.
    #[error("the name is taken: {0}")]
    NameTaken(String),
    /// There is no such right on the machine.
    #[error("the machine cannot give this right: {0}")]
    NoSuchRight(String),
    /// The account is not there.
    #[error("the account is not there: {0}")]
    NoSuchAccount(String),
    /// The request cannot be carried out as it stands.
    #[error("refused before writing: {0}")]
    BadValue(String),
    /// Something else holds the machine's databases.
    #[error("the machine is busy: {0}")]
    Busy(String),
    /// The machine does not let a broker do this.
    #[error("the machine does not allow this: {0}")]
    NotAllowed(String),
    /// A program or a file of the machine failed.
    #[error("the machine failed: {0}")]
    Failed(String),
}

impl FarError {
    fn refusal(&self) -> Refusal {
        match self {
            Self::NameTaken(_) => Refusal::NameTaken,
            Self::NoSuchRight(_) => Refusal::NoSuchRight,
            Self::NoSuchAccount(_) => Refusal::NoSuchAccount,
            Self::BadValue(_) => Refusal::BadValue,
            Self::Busy(_) => Refusal::Busy,
            Self::NotAllowed(_) => Refusal::NotAllowed,
            Self::Failed(_) => Refusal::Failed,
        }
    }
}

/// Answers requests until the input ends, or nobody reads the answers any more. Blocking. What the input's own buffer holds of a
/// password is its owner's to wipe (the binaries wipe all memory that they give back).
///
/// # Errors
/// The input or the output failed otherwise than by ending.
pub fn serve(mut input: impl BufRead, mut output: impl Write, places: &Places) -> io::Result<()> {
    drop_ins::remove_unfinished(places);
    loop {
        let line = next_line(&mut input)?;
        let (answer, goes_on) = match &line {
            Line::None => return Ok(()),
            Line::TooLong => {
                (refused(&FarError::BadValue(format!("a line of more than {LONGEST_REQUEST} bytes"))), false)
            }
            Line::Whole(line) => (answer(line, places), true),
        };
        drop(line);
        match write(&mut output, &answer) {
            Ok(()) if goes_on => {}
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

enum Line {
    /// The input ended, maybe within a line: one that was cut is no request.
    None,
    TooLong,
    Whole(Zeroizing<Vec<u8>>),
}

fn next_line(input: &mut impl BufRead) -> io::Result<Line> {
    // All of it at once: a buffer that grows leaves copies of a password behind.
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST_REQUEST));
    let bound = u64::try_from(LONGEST_REQUEST).unwrap_or(u64::MAX);
    input.by_ref().take(bound).read_until(b'\n', &mut line)?;
    Ok(match line.last() {
        Some(b'\n') => Line::Whole(line),
        _ if line.len() >= LONGEST_REQUEST => Line::TooLong,
        _ => Line::None,
    })
}

fn write(output: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    if line.len() >= LONGEST_ANSWER {
        line = serde_json::to_vec(&refused(&FarError::Failed("the answer is too long".into())))?;
    }
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

fn answer(line: &[u8], places: &Places) -> Answer {
    let done = read(line).map_err(FarError::BadValue).and_then(|ask| carry_out(ask, places));
    done.unwrap_or_else(|error| {
        tracing::warn!(%error, "a request was refused");
        refused(&error)
    })
}

fn refused(error: &FarError) -> Answer {
    Answer::Refused { why: error.refusal(), text: error.to_string() }
}

fn carry_out(ask: Ask, places: &Places) -> Result<Answer, FarError> {
    match ask {
        Ask::Hello { .. } => {
            Ok(Answer::Hello { protocol: PROTOCOL, machine: places.machine_name()?, time: clock::now() })
        }
        Ask::Look { account } => {
            let machine = Machine::read(places)?;
            let account = machine.account(&account.name)?.map(|found| found.seen);
            Ok(Answer::Seen { time: machine.time, account })
        }
        Ask::List {} => {
            let machine = Machine::read(places)?;
            Ok(Answer::Listed { time: machine.time, accounts: machine.accounts() })
        }
        Ask::Check { rights } => {
            Ok(Answer::Checked { time: clock::now(), findings: check::check(places, &rights) })
        }
        Ask::Step { account, step } => {
            let _lock = lock::wait(places)?;
            accounts::carry_out(places, &account, *step)?;
            Ok(Answer::Done { time: clock::now() })
        }
    }
}

#[cfg(test)]
mod tests;
