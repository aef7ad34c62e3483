//! Which fault a test asked for, and whether this passage of a point meets it. What a fault does is in `points`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// What can happen to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// SIGKILL before it.
    Before,
    /// SIGKILL after it.
    After,
    /// It is refused and does nothing.
    Error,
    /// It is done, and its answer is lost.
    TimeoutApplied,
    /// It is lost on its way.
    TimeoutNotApplied,
    /// It waits until this file is there.
    Pause(PathBuf),
}

/// Stands for every point that changes something.
const WRITE: &str = "write";

/// Points that change nothing of a session.
const LOOKS: [&str; 4] = ["directory.observe", "directory.list", "directory.check", "directory.rehearse"];

/// One fault at one passage of one point.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    point: String,
    passage: u32,
    fault: Fault,
}

impl Plan {
    fn is_at(&self, point: &str) -> bool {
        self.point == point || (self.point == WRITE && !LOOKS.contains(&point))
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unclear = || format!("{text:?} names no fault");
        let (place, fault) = text.split_once(':').ok_or_else(unclear)?;
        let (point, passage) = place.split_once('#').unwrap_or((place, "1"));
        let fault = match fault.split_once('=').unwrap_or((fault, "")) {
            ("before", "") => Fault::Before,
            ("after", "") => Fault::After,
            ("error", "") => Fault::Error,
            ("timeout-applied", "") => Fault::TimeoutApplied,
            ("timeout-not-applied", "") => Fault::TimeoutNotApplied,
            ("pause", file) if !file.is_empty() => Fault::Pause(file.into()),
            _ => return Err(unclear()),
        };
        Ok(Self { point: point.to_owned(), passage: passage.parse().map_err(|_| unclear())?, fault })
    }
}

/// A fault that cannot be read would let a test pass without it.
static PLAN: LazyLock<Option<Plan>> = LazyLock::new(|| {
    let text = std::env::var("TICKETGATE_FAULT").ok()?;
    text.parse().map_or_else(
        |error| {
            tracing::error!(%error, "TICKETGATE_FAULT");
            std::process::abort()
        },
        Some,
    )
});

static PASSAGES: AtomicU32 = AtomicU32::new(0);

/// Notes a passage of `point`, and answers the fault that it meets.
pub(super) fn met_at(point: &str) -> Option<&'static Fault> {
    note(point);
    let plan = PLAN.as_ref().filter(|plan| plan.is_at(point))?;
    let passage = PASSAGES.fetch_add(1, Ordering::SeqCst) + 1;
    (passage == plan.passage).then_some(&plan.fault)
}

fn note(point: &str) {
    let Some(file) = std::env::var_os("TICKETGATE_POINTS") else { return };
    let noted = OpenOptions::new().create(true).append(true).open(file);
    if let Err(error) = noted.and_then(|mut file| file.write_all(format!("{point}\n").as_bytes())) {
        tracing::error!(%error, "TICKETGATE_POINTS");
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(point: &str, passage: u32, fault: Fault) -> Result<Plan, String> {
        Ok(Plan { point: point.into(), passage, fault })
    }

    #[test]
    fn a_fault_is_named_by_its_point_its_passage_and_what_it_is() {
        for (text, wanted) in [
            ("directory.open:before", plan("directory.open", 1, Fault::Before)),
            ("directory.open#2:after", plan("directory.open", 2, Fault::After)),
            ("ledger.retry:error", plan("ledger.retry", 1, Fault::Error)),
            ("ledger.retry#10:timeout-applied", plan("ledger.retry", 10, Fault::TimeoutApplied)),
            ("ledger.retry:timeout-not-applied", plan("ledger.retry", 1, Fault::TimeoutNotApplied)),
            ("ledger.retry:pause=/a/b:c#d=e", plan("ledger.retry", 1, Fault::Pause("/a/b:c#d=e".into()))),
        ] {
            assert_eq!(text.parse(), wanted, "{text}");
        }
    }

    #[test]
    fn a_write_is_what_changes_something_whatever_its_name() {
        let plan: Plan = "write#3:error".parse().unwrap();
        assert!(
            plan.is_at("ledger.retry") && plan.is_at("directory.open") && !plan.is_at("directory.observe")
        );
    }

    #[test]
    fn anything_else_is_no_fault() {
        for text in ["", "directory.open", "directory.open:", "a:later", "a#x:before", "a:pause", "a:error=1"]
        {
            assert!(text.parse::<Plan>().is_err(), "{text}");
        }
    }
}
