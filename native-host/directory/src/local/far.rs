//! The side that acts, as root (on Windows: as an administrator) on the machine itself: reads requests, holds them to what the
//! machine allows, answers each. What differs by operating system is behind [`Side`].
//!
//! What no request can lift: only accounts whose name begins with `jit-`, whose number is a person's and nobody else's, and whose
//! note carries the request's token; ends within 25 hours; one request at a time on the machine. A step that was begun is
//! finished even when nobody waits for the answer any more.

mod bounds;
mod clock;
#[cfg(target_os = "linux")]
pub(super) mod linux;
mod note;
// Its rules are tested wherever the tests run; only its calls need Windows.
#[cfg(any(windows, test))]
pub(super) mod windows;

use std::io::{self, BufRead, Read as _, Write};

use chrono::{DateTime, Utc};
use ticketgate_protocol::api::Finding;
use zeroize::Zeroizing;

use super::request::{
    Answer, Ask, LONGEST_ANSWER, LONGEST_REQUEST, Listed, LocalSeen, LocalStep, Named, PROTOCOL, Refusal,
    read,
};
use super::{AccountName, LocalRight, System};

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

/// A machine whose accounts are changed.
pub trait Side {
    /// What it runs.
    const SYSTEM: System;

    /// Takes away what an earlier process of ours did not finish.
    fn begin(&self);

    /// 16 hex digits that stand for the machine, whatever its address.
    ///
    /// # Errors
    /// [`FarError::Failed`]
    fn machine(&self) -> Result<String, FarError>;

    /// What it has for an account, whoever's that is, and its clock before it looked.
    ///
    /// # Errors
    /// [`FarError`]
    fn look(&self, name: &AccountName) -> Result<(DateTime<Utc>, Option<LocalSeen>), FarError>;

    /// Every account with a name of ours, and its clock before it looked.
    ///
    /// # Errors
    /// [`FarError`]
    fn list(&self) -> Result<(DateTime<Utc>, Vec<Listed>), FarError>;

    /// What sessions with these rights will need. Never fails: what is wrong is a finding.
    fn check(&self, rights: &[LocalRight]) -> Vec<Finding>;

    /// One step, alone on the machine.
    ///
    /// # Errors
    /// [`FarError`]
    fn step(&self, account: &Named, step: LocalStep) -> Result<(), FarError>;
}

/// What a sweep did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Accounts that were over and are closed now, with nothing left of their rights.
    pub closed: usize,
    /// Rules of `sudo` that were over, or whose account is gone.
    pub rules: usize,
    /// Files of keys of which some were over.
    pub keys: usize,
    /// What could not be done, as sentences; the next sweep tries again.
    pub failures: Vec<String>,
}

/// Answers requests until the input ends, or nobody reads the answers any more. Blocking. What the input's own buffer holds of a
/// password is its owner's to wipe (the binaries wipe all memory that they give back).
///
/// # Errors
/// The input or the output failed otherwise than by ending.
pub fn serve(mut input: impl BufRead, mut output: impl Write, side: &impl Side) -> io::Result<()> {
    side.begin();
    loop {
        let line = next_line(&mut input)?;
        let (answer, goes_on) = match &line {
            Line::None => return Ok(()),
            Line::TooLong => {
                (refused(&FarError::BadValue(format!("a line of more than {LONGEST_REQUEST} bytes"))), false)
            }
            Line::Whole(line) => (answer(line, side), true),
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

fn answer<S: Side>(line: &[u8], side: &S) -> Answer {
    let done = read(line).map_err(FarError::BadValue).and_then(|ask| carry_out(ask, side));
    done.unwrap_or_else(|error| {
        tracing::warn!(%error, "a request was refused");
        refused(&error)
    })
}

fn refused(error: &FarError) -> Answer {
    Answer::Refused { why: error.refusal(), text: error.to_string() }
}

fn carry_out<S: Side>(ask: Ask, side: &S) -> Result<Answer, FarError> {
    match ask {
        Ask::Hello { .. } => Ok(Answer::Hello {
            protocol: PROTOCOL,
            machine: side.machine()?,
            system: S::SYSTEM,
            time: clock::now(),
        }),
        Ask::Look { account } => {
            let (time, account) = side.look(&account.name)?;
            Ok(Answer::Seen { time, account })
        }
        Ask::List {} => {
            let (time, accounts) = side.list()?;
            Ok(Answer::Listed { time, accounts })
        }
        Ask::Check { rights } => Ok(Answer::Checked { time: clock::now(), findings: side.check(&rights) }),
        Ask::Step { account, step } => {
            side.step(&account, *step)?;
            Ok(Answer::Done { time: clock::now() })
        }
    }
}

/// The number of the account that a request means, where it says one: 16 digits of the machine stand before it.
///
/// # Errors
/// [`FarError::NotAllowed`] when another machine was meant.
fn meant<'a>(account: &'a Named, machine: &str) -> Result<Option<&'a str>, FarError> {
    let Some(identity) = &account.identity else { return Ok(None) };
    match identity.split_once(':') {
        Some((meant, number)) if meant == machine => Ok(Some(number)),
        _ => Err(FarError::NotAllowed(format!("this is machine {machine}, and another was meant"))),
    }
}
