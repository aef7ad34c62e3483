//! `docs/security.md` says of every attacker which tests show that he gets nowhere. A test that was renamed or removed must not go
//! on standing there, and no attacker may stand without one.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

use crate::steps::Steps;
use crate::tree::{Tree, read};

const GUIDE: &str = "docs/security.md";
/// The two sections, by their headings.
const ATTACKERS: &str = "## What each attacker can do, and what stops it";
const SHOWN: &str = "## Which tests show it";

/// Checks the guide against the tests.
pub(crate) fn check(tree: &Tree, steps: &mut Steps) -> Result<()> {
    steps.work("attackers: each has its tests", || {
        let guide = read(&tree.path(GUIDE))?;
        let mut tests = BTreeSet::new();
        for file in tree.files()?.iter().filter(|file| file.extension().is_some_and(|kind| kind == "rs")) {
            tests.extend(tests_in(&read(&tree.path(file))?));
        }
        let faults = faults(&guide, &tests)?;
        if !faults.is_empty() {
            bail!("{GUIDE}\n  - {}", faults.join("\n  - "));
        }
        Ok(((), format!("{} tests named", table(section(&guide, SHOWN)?).flat_map(named).count())))
    })
}

fn faults(guide: &str, tests: &BTreeSet<String>) -> Result<Vec<String>> {
    let shown = section(guide, SHOWN)?;
    let mut faults: Vec<String> = table(shown)
        .flat_map(named)
        .filter(|name| !tests.contains(*name))
        .map(|name| format!("names the test `{name}`, which is not there"))
        .collect();
    for attacker in rows(section(guide, ATTACKERS)?) {
        let has_tests =
            table(shown).any(|line| first_cell(line) == Some(attacker) && named(line).next().is_some());
        if !has_tests {
            faults.push(format!("\"{SHOWN}\" has no test for \"{attacker}\""));
        }
    }
    Ok(faults)
}

/// From one heading to the next of its kind.
fn section<'a>(guide: &'a str, heading: &str) -> Result<&'a str> {
    let (_, rest) =
        guide.split_once(heading).with_context(|| format!("{GUIDE} has no section \"{heading}\""))?;
    Ok(rest.split("\n## ").next().unwrap_or(rest))
}

/// The lines of a section's table.
fn table(section: &str) -> impl Iterator<Item = &str> {
    section.lines().filter(|line| line.starts_with('|'))
}

/// The first cells of a table, without its head.
fn rows(section: &str) -> impl Iterator<Item = &str> {
    table(section).filter_map(first_cell).skip(2)
}

fn first_cell(line: &str) -> Option<&str> {
    line.strip_prefix('|')?.split('|').next().map(str::trim)
}

/// Names of tests in a line of the table: whatever stands in backticks and could be a function.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split('`').skip(1).step_by(2);
    words.filter(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

/// The functions of a file that a test runner runs.
fn tests_in(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            marked |= line.ends_with("test]") || line.contains("::test(");
        } else if let Some((_, rest)) = line.split_once("fn ") {
            if marked {
                found.extend(rest.split('(').next().map(str::to_owned));
            }
            marked = false;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUIDE_TEXT: &str = "\
## What each attacker can do, and what stops it\n\n| attacker | can try |\n| --- | --- |\n| a thief | much |\n| a liar | more |\n
## Which tests show it\n\n| attacker | tests |\n| --- | --- |\n| a thief | `a_thief_gets_nothing_here`, `a_lock_that_nobody_picks` |\n";

    #[test]
    fn a_test_that_is_not_there_and_an_attacker_without_one_are_faults() {
        let tests =
            tests_in("#[test]\nfn a_thief_gets_nothing_here() {}\nfn a_lock_that_nobody_picks() {}\n")
                .into_iter()
                .collect();
        let faults = faults(GUIDE_TEXT, &tests).unwrap();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults.iter().any(|fault| fault.contains("a_lock_that_nobody_picks")));
        assert!(faults.iter().any(|fault| fault.contains("a liar")));
    }

    #[test]
    fn a_name_of_few_words_is_looked_for_too_and_prose_around_the_table_is_not() {
        let row = "| a thief | `a_thief_gets_nothing_here`, `no_entry`";
        let guide = GUIDE_TEXT
            .replace("| a thief | `a_thief_gets_nothing_here`", row)
            .replace("show it\n\n", "show it\n\nThose that begin with `every_kept_` replay.\n\n");
        let tests = ["a_thief_gets_nothing_here", "a_lock_that_nobody_picks"].map(str::to_owned).into();
        let faults = faults(&guide, &tests).unwrap();
        assert!(faults.iter().any(|fault| fault.contains("`no_entry`")), "{faults:?}");
        assert!(!faults.iter().any(|fault| fault.contains("every_kept_")), "{faults:?}");
    }

    #[test]
    fn a_test_is_a_function_that_is_marked_as_one() {
        let text = "#[tokio::test]\n#[cfg(unix)]\nasync fn one_two_three_four() {}\n    fn helper() {}\n#[test]\nfn five() {}\n";
        assert_eq!(tests_in(text), ["one_two_three_four", "five"]);
    }
}
