//! Where a broker that is built with `fault-points` can meet a fault, read from the code: a new write or call is among them by
//! itself. `native-host/src/faults.rs` says what can happen there.

use crate::Result;
use crate::world::workspace;
use std::collections::BTreeSet;
use std::path::Path;

/// The names of all points: `ledger.session_begin`, `directory.open` …
///
/// # Errors
/// The code is not there.
pub fn all() -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    names_below(&workspace().join("native-host/src"), &mut names)?;
    // The steps of a plan.
    names_in(&workspace().join("native-host/access/src/desired.rs"), &mut names)?;
    Ok(names)
}

/// Whether something of a session is changed there: all but the directory's looks, and its rehearsals.
#[must_use]
pub fn is_write(point: &str) -> bool {
    !["directory.observe", "directory.list", "directory.check", "directory.rehearse"].contains(&point)
}

fn names_below(folder: &Path, names: &mut BTreeSet<String>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let of_tests = path.file_stem().is_some_and(|stem| stem == "tests");
        if path.is_dir() && !of_tests {
            names_below(&path, names)?;
        } else if path.extension().is_some_and(|kind| kind == "rs") && !of_tests {
            names_in(&path, names)?;
        }
    }
    Ok(())
}

fn names_in(file: &Path, names: &mut BTreeSet<String>) -> Result<()> {
    let text = std::fs::read_to_string(file)?;
    let quoted = text.split('"').skip(1).step_by(2);
    let is_point = |word: &&str| {
        let name = word.strip_prefix("ledger.").or(word.strip_prefix("directory."));
        // `ledger.sqlite` and `ledger.toml` are files.
        name.is_some_and(|name| {
            !["sqlite", "toml"].contains(&name) && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        })
    };
    names.extend(quoted.filter(is_point).map(str::to_owned));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_of_the_ledger_calls_of_the_directory_and_steps_of_a_plan_are_found() {
        let all = all().unwrap();
        for point in ["ledger.session_begin", "ledger.checkpoint", "directory.observe", "directory.open"] {
            assert!(all.contains(point), "{point} is not in {all:?}");
        }
        assert!(!all.contains("ledger.sqlite") && !all.contains("ledger.toml"));
    }
}
