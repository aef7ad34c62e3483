//! Whether every point that the code has is played. A new write or call that no story passes fails the run.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::ensure;
use ticketgate_tests::Result;
use ticketgate_tests::world::workspace;

/// Points that no story of this matrix passes, each with where its failure is tested.
const ELSEWHERE: [(&str, &str); 13] = [
    ("directory.reset_primary_group", "the service account of this world may not: ends.rs"),
    (
        "ledger.account_differs",
        "somebody else's change: native-host/src/broker/tests/names.rs and outages.rs",
    ),
    ("ledger.account_recovered", "no broker runs then, and it can be said again: recover.rs"),
    ("ledger.begun", "nothing is open then, and it is said at the next start: recover.rs"),
    ("ledger.clock_followed", "nothing is open then: native-host/src/broker/tests/restarts.rs"),
    ("ledger.extension_undone", "a second fault: native-host/src/broker/tests/outages.rs"),
    ("ledger.flood", "changes no session: refusals.rs"),
    ("ledger.put_aside", "no broker runs then, and it goes on at the next call: recover.rs"),
    ("ledger.read_aside", "no broker runs then, and it can be read again: recover.rs"),
    ("ledger.refusal", "changes no session: refusals.rs"),
    ("ledger.request", "changes no session: native-host/src/broker/tests/refusals.rs"),
    ("ledger.retry", "a second fault: native-host/src/broker/tests/outages.rs"),
    ("ledger.time", "once a minute: native-host/src/broker/tests/names.rs"),
];

/// The names of all points, read from the code.
fn points() -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let broker = workspace().join("native-host/src/broker");
    for entry in std::fs::read_dir(broker)? {
        names_in(&entry?.path(), &mut names)?;
    }
    for file in ["native-host/src/faults/points.rs", "native-host/access/src/desired.rs"] {
        names_in(&workspace().join(file), &mut names)?;
    }
    Ok(names)
}

fn names_in(file: &Path, names: &mut BTreeSet<String>) -> Result<()> {
    if file.extension().is_none_or(|kind| kind != "rs") || file.ends_with("tests.rs") {
        return Ok(());
    }
    let text = std::fs::read_to_string(file)?;
    let quoted = text.split('"').skip(1).step_by(2);
    let is_point = |word: &&str| {
        let name = word.strip_prefix("ledger.").or(word.strip_prefix("directory."));
        // `ledger.sqlite` is the file.
        name.is_some_and(|name| name != "sqlite" && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    };
    names.extend(quoted.filter(is_point).map(str::to_owned));
    Ok(())
}

/// Compares what was played with what there is.
pub(crate) fn every_point_is_played<'a>(played: impl Iterator<Item = &'a str>) -> Result<()> {
    let played: BTreeSet<_> = played.map(str::to_owned).collect();
    let elsewhere: BTreeSet<_> = ELSEWHERE.iter().map(|(point, _)| (*point).to_owned()).collect();
    let points = points()?;
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
