//! Whether every point that the code has is played. A new write or call that no story passes fails the run.

use std::collections::BTreeSet;

use anyhow::ensure;
use ticketgate_tests::{Result, points};

/// Points that no story of this matrix passes, each with where its failure is tested.
const ELSEWHERE: [(&str, &str); 10] = [
    ("directory.reset_primary_group", "the service account of this world may not: ends.rs"),
    (
        "ledger.account_differs",
        "somebody else's change: native-host/src/broker/tests/names.rs and outages.rs",
    ),
    ("ledger.account_recovered", "no broker runs then, and it can be said again: recover.rs"),
    ("ledger.clock_followed", "nothing is open then: native-host/src/broker/tests/restarts.rs"),
    ("ledger.extension_undone", "a second fault: native-host/src/broker/tests/outages.rs"),
    ("ledger.flood", "changes no session: refusals.rs"),
    ("ledger.refusal", "changes no session: refusals.rs"),
    ("ledger.request", "changes no session: native-host/src/broker/tests/refusals.rs"),
    ("ledger.retry", "a second fault: native-host/src/broker/tests/outages.rs"),
    ("ledger.time", "once a minute: native-host/src/broker/tests/names.rs"),
];

/// Compares what was played with what there is.
pub(crate) fn every_point_is_played<'a>(played: impl Iterator<Item = &'a str>) -> Result<()> {
    let played: BTreeSet<_> = played.map(str::to_owned).collect();
    let elsewhere: BTreeSet<_> = ELSEWHERE.iter().map(|(point, _)| (*point).to_owned()).collect();
    let points = points::all()?;
    let forgotten: Vec<_> =
        points.iter().filter(|&one| !played.contains(one) && !elsewhere.contains(one)).collect();
    ensure!(
        forgotten.is_empty(),
        "no story plays {forgotten:?}; add one, or say where their failures are tested"
    );
    let gone: Vec<_> = elsewhere.iter().filter(|&one| !points.contains(one)).collect();
    ensure!(gone.is_empty(), "there is no such point any more: {gone:?}");
    Ok(())
}
