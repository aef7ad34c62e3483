//! An administrator's recognition rules: files read, checked and made ready for the extension. The broker hands over what is
//! sound; the command line says what is not. What a rule means is not known here.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;
use ticketgate_recognise::{BUILT_IN, Rule, check, claim_in_common, line_of};

/// The most files of a folder: twice what is built in.
pub const FILES_MAX: usize = 64;
/// The most bytes of all files together. They go to the extension in one answer, and a frame of the relay holds twice that.
pub const BYTES_MAX: usize = 256 * 1024;

/// A rule that can be used.
#[derive(Debug)]
pub struct Sound {
    /// Its file.
    pub path: PathBuf,
    /// Its text as it stands there.
    pub text: String,
    /// What that says.
    pub rule: Rule,
}

/// What is wrong with a file, or worth knowing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub path: PathBuf,
    /// The line; 0 where it is about the file as a whole.
    pub line: u32,
    /// What it is and what to write instead.
    pub text: String,
}

impl Fault {
    /// `FILE:LINE`, with the file's whole path.
    #[must_use]
    pub fn place(&self) -> String {
        with_line(&self.path.display().to_string(), self.line)
    }

    /// The same, with the file's name alone.
    #[must_use]
    pub fn short_place(&self) -> String {
        with_line(&name_of(&self.path), self.line)
    }
}

fn with_line(file: &str, line: u32) -> String {
    if line == 0 { file.to_owned() } else { format!("{file}:{line}") }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// What was found in some files.
#[derive(Debug, Default)]
pub struct Reading {
    /// What can be used, in the order of the files.
    pub sound: Vec<Sound>,
    /// Why the other files are left out.
    pub faults: Vec<Fault>,
    /// What is probably not meant so.
    pub warnings: Vec<Fault>,
}

impl Reading {
    /// Reads every rule of a folder, in the order of the files' names.
    #[must_use]
    pub fn of_folder(folder: &Path) -> Self {
        match files_of(folder) {
            Ok(files) => Self::of_files(&files),
            Err(fault) => Self { faults: vec![fault], ..Self::default() },
        }
    }

    /// Reads these files. One at fault is left out, and so is one that claims what one before it claims.
    #[must_use]
    pub fn of_files(files: &[PathBuf]) -> Self {
        let mut reading = Self::default();
        let mut left = BYTES_MAX;
        for (at, path) in files.iter().enumerate() {
            let fault = |line, text: String| Fault { path: path.clone(), line, text };
            if at >= FILES_MAX {
                let text =
                    format!("left out: more than {FILES_MAX} files of rules; keep those that you need");
                reading.faults.push(fault(0, text));
                continue;
            }
            let text = match read_file(path, left) {
                Ok(text) => text,
                Err(text) => {
                    reading.faults.push(fault(0, text));
                    continue;
                }
            };
            match check(&text, &bad_selector) {
                Err(flaws) => {
                    reading.faults.extend(flaws.into_iter().map(|flaw| fault(flaw.line, flaw.text)));
                }
                Ok(rule) => match reading.claimed(&text, &rule) {
                    Some((line, text)) => reading.faults.push(fault(line, text)),
                    None => {
                        left = left.saturating_sub(text.len());
                        reading.sound.push(Sound { path: path.clone(), text, rule });
                    }
                },
            }
        }
        reading.warn_of_built_in();
        reading
    }

    /// Where and why a rule claims what one before it does.
    fn claimed(&self, text: &str, rule: &Rule) -> Option<(u32, String)> {
        self.sound.iter().find_map(|other| {
            let file = name_of(&other.path);
            if other.rule.system == rule.system {
                let what = format!(
                    "the system `{}` is that of {file} already, and one system has one rule: put both into one file, or give this one another id",
                    rule.system
                );
                return Some((line_of(text, "system"), what));
            }
            let claim = claim_in_common(&other.rule, rule)?;
            let theirs = with_line(&file, line_of(&other.text, &format!("addresses/{}", claim.first)));
            let what = format!(
                "this form and that of {theirs} (`{}`) both take {}: narrow `hosts` or the patterns of one, or tell their pages apart by `when` in both",
                other.rule.system, claim.address
            );
            Some((line_of(text, &format!("addresses/{}", claim.second)), what))
        })
    }

    /// A rule that takes pages from a built-in one of another system does so on purpose, or not.
    fn warn_of_built_in(&mut self) {
        let built_in = built_in_rules();
        for sound in &self.sound {
            let others = built_in
                .iter()
                .filter(|other| self.sound.iter().all(|sound| sound.rule.system != other.system));
            for other in others {
                if let Some(claim) = claim_in_common(&sound.rule, other) {
                    let line = line_of(&sound.text, &format!("addresses/{}", claim.first));
                    let text = format!(
                        "this form takes {}, which the built-in rule `{}` takes, too; yours comes first (with \"system\": \"{}\" it would replace that rule)",
                        claim.address, other.system, other.system
                    );
                    self.warnings.push(Fault { path: sound.path.clone(), line, text });
                }
            }
        }
    }

    /// What the extension gets: each rule as small as it can be, without what is for its readers.
    #[must_use]
    pub fn handed(&self) -> Vec<String> {
        let small = |sound: &Sound| {
            let mut value: Value = serde_json::from_str(&sound.text).ok()?;
            take_sources(&mut value);
            serde_json::to_string(&value).ok()
        };
        self.sound.iter().filter_map(small).collect()
    }
}

/// The rules of this build.
#[must_use]
pub fn built_in_rules() -> Vec<Rule> {
    use ticketgate_protocol::tree::FromJson;
    BUILT_IN.iter().filter_map(|built_in| Rule::parse(built_in.text).ok()).collect()
}

fn take_sources(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("source");
            members.values_mut().for_each(take_sources);
        }
        Value::Array(items) => items.iter_mut().for_each(take_sources),
        _ => {}
    }
}

/// What is wrong with a CSS selector. Only its grammar: what a browser knows beyond it (`:popover-open`) passes.
fn bad_selector(selector: &str) -> Option<String> {
    crate::saved_page::selector_fault(selector)
}

/// The rule files of a folder: `*.json`, by name.
///
/// # Errors
/// The folder cannot be read.
pub fn files_of(folder: &Path) -> Result<Vec<PathBuf>, Fault> {
    let fault = |error: std::io::Error| Fault {
        path: folder.to_owned(),
        line: 0,
        text: format!("the folder of rules cannot be read: {error}"),
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let hidden = name_of(&path).starts_with('.');
        if !hidden && path.extension().is_some_and(|extension| extension == "json") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read_file(path: &Path, left: usize) -> Result<String, String> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(left).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() > left {
        return Err(format!(
            "left out: all rules together have more than {} KiB; keep those that you need",
            BYTES_MAX / 1024
        ));
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text: save it as UTF-8".to_owned())
}

/// What tells that a folder's rules may be others than before: its files with the times at which they were written.
#[must_use]
pub fn stamp(folder: Option<&Path>) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
    let Some(folder) = folder else { return Vec::new() };
    let found = files_of(folder);
    // Whether the folder is there counts, what else is in it does not.
    let there = (folder.to_owned(), None, u64::from(found.is_ok()));
    let stamp = |path: PathBuf| {
        let meta = std::fs::metadata(&path).ok();
        let written = meta.as_ref().and_then(|meta| meta.modified().ok());
        (path, written, meta.map_or(0, |meta| meta.len()))
    };
    // One more than is read tells that there are too many.
    let files = found.unwrap_or_default().into_iter().take(FILES_MAX + 1).map(stamp);
    std::iter::once(there).chain(files).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = r##"{
  "system": "desk",
  "name": "Desk",
  "source": "our own help desk",
  "hosts": ["desk.example.com"],
  "addresses": [
    {"source": "seen", "path": "/t/(?<id>[0-9]+)"}
  ],
  "link": "{origin}/t/{id}",
  "number": [{"source": "seen", "address": "id"}],
  "summary": [{"source": "seen", "selector": "#main > h1.title", "drop": "button"}]
}
"##;

    fn reading(files: &[(&str, &str)]) -> Reading {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Reading::of_folder(folder.path())
    }

    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        reading(files).faults.iter().map(|fault| format!("{}: {}", fault.short_place(), fault.text)).collect()
    }

    #[test]
    fn every_fault_is_named_with_file_and_line_and_the_rest_keeps_working() {
        for (from, to, expected) in [
            (r#""name": "Desk","#, r#""name": "Desk" "#, "a.json:4: this is not JSON: a comma"),
            (r#""name": "Desk","#, r#""name": "Desk", "script": "x","#, "a.json:3: unknown member `script`"),
            (r#""name": "Desk","#, r#""name": 7,"#, "a.json:3: `name` has to be a text"),
            ("[0-9]+", "[0-9", "a.json:7: path: bad pattern"),
            ("[0-9]+", "(a*)*", "a.json:7: path: bad pattern, what may be nothing cannot be repeated"),
            ("[0-9]+", "(((a{99}){99}){99})", "a.json:7: path: bad pattern, the pattern is too long"),
            ("#main > h1.title", "#main > > h1", "a.json:11: the selector `#main > > h1` does not parse"),
            (
                r#""drop": "button""#,
                r#""drop": "button[""#,
                "a.json:11: the selector `button[` does not parse",
            ),
            ("{origin}/t/{id}", "{origin}/t/{it}", "a.json:9: link: no address gives `it`"),
            (
                r#""desk.example.com""#,
                r#""https://desk.example.com/""#,
                "a.json:5: hosts: write a host without",
            ),
            (
                r#""address": "id""#,
                r#""address": "id", "title": true"#,
                "a.json:10: a candidate is exactly one",
            ),
        ] {
            let broken = SOUND.replacen(from, to, 1);
            assert_ne!(broken, SOUND, "{from}");
            let other = SOUND.replace("desk", "other");
            let reading = reading(&[("a.json", &broken), ("b.json", &other)]);
            let said = reading.faults.iter().map(|f| format!("{}: {}", f.short_place(), f.text));
            let said: Vec<_> = said.collect();
            assert!(said.iter().any(|said| said.starts_with(expected)), "{expected}: {said:?}");
            assert_eq!(reading.sound.len(), 1);
        }
    }

    #[test]
    fn every_fault_of_a_file_is_said_at_once() {
        let broken = SOUND.replace("[0-9]+", "[0-9").replace("{id}", "{it}").replace("> h1", "> > h1");
        let said = faults(&[("a.json", &broken)]);
        let lines: Vec<_> = said.iter().map(|said| said.split(": ").next().unwrap()).collect();
        assert_eq!(lines, ["a.json:7", "a.json:9", "a.json:10", "a.json:11"], "{said:?}");
    }

    #[test]
    fn two_rules_that_claim_one_address_are_named_and_the_first_stays() {
        let said = faults(&[("a.json", SOUND), ("b.json", SOUND)]);
        assert!(said[0].starts_with("b.json:2: the system `desk` is that of a.json already"), "{said:?}");
        let other = SOUND.replace("\"desk\"", "\"other\"").replace("desk.example.com", "*.example.com");
        let said = faults(&[("a.json", SOUND), ("b.json", &other)]);
        assert_eq!(said.len(), 1);
        assert!(
            said[0].starts_with(
                "b.json:7: this form and that of a.json:7 (`desk`) both take https://desk.example.com/t/1:"
            ),
            "{said:?}"
        );
    }

    #[test]
    fn taking_a_built_in_rules_pages_is_worth_a_word() {
        let zendesk =
            SOUND.replace("desk.example.com", "acme.zendesk.com").replace("/t/(", "/agent/tickets/(");
        let found = reading(&[("a.json", &zendesk)]);
        assert_eq!((found.sound.len(), found.faults.len()), (1, 0));
        assert!(found.warnings[0].text.contains("the built-in rule `zendesk`"), "{:?}", found.warnings);
        let replaced = zendesk.replace("\"desk\"", "\"zendesk\"");
        assert_eq!(reading(&[("a.json", &replaced)]).warnings, []);
    }

    #[test]
    fn every_built_in_rule_passes_the_same_check() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../wasm/rules");
        let found = Reading::of_folder(Path::new(folder));
        assert_eq!(found.faults, []);
        assert_eq!(found.sound.len(), BUILT_IN.len());
        assert_eq!(found.warnings, []);
    }

    #[test]
    fn what_a_browser_takes_for_a_selector_passes_and_nothing_else_does() {
        for good in [
            "input:checked",
            "dialog:popover-open > h1",
            "a:is(.b, .c):not(.d)",
            "tr:has(> td.x) td + td",
            "[data-x='1' i]",
            "#x ~ *",
        ] {
            assert_eq!(bad_selector(good), None, "{good}");
        }
        for bad in ["", "a[", "..b", "a >", "a:not(", "a, ", "td{x}", "#1"] {
            assert!(bad_selector(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn what_is_handed_over_says_the_same_without_the_sources() {
        let handed = reading(&[("a.json", SOUND)]).handed();
        assert_eq!(handed.len(), 1);
        assert!(!handed[0].contains("seen") && handed[0].contains("(?<id>[0-9]+)"), "{handed:?}");
    }

    #[test]
    fn only_so_many_files_and_bytes_are_taken() {
        let files: Vec<(String, String)> = (0..FILES_MAX + 2)
            .map(|n| (format!("{n:03}.json"), SOUND.replace("desk", &format!("desk{n}"))))
            .collect();
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let found = reading(&files);
        assert_eq!((found.sound.len(), found.faults.len()), (FILES_MAX, 2));
        let large = format!("{SOUND}{}", " ".repeat(BYTES_MAX));
        let said = faults(&[("a.json", &large), ("b.json", SOUND)]);
        assert!(said.len() == 1 && said[0].starts_with("a.json: left out"), "{said:?}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_said() {
        let found = Reading::of_folder(Path::new("/nowhere/rules"));
        assert!(found.faults[0].text.contains("cannot be read"));
    }
}
