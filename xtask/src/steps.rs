//! Steps that say what they do and how long they took. Programs run here with their output in a log file, which is
//! shown when they fail. Decides nothing about what is run.

use std::fs::{self, File};
use std::io::{IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::tree::Tree;

/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(40);
/// Without a terminal, how often a long step says that it still runs.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);
/// How much of a failed program's output is shown; the log file has the rest.
const SHOWN_LINES: usize = 250;

/// Runs steps one after the other and remembers their times.
pub(crate) struct Steps {
    logs: PathBuf,
    terminal: bool,
    times: Vec<(String, Duration)>,
}

impl Steps {
    pub(crate) fn new(tree: &Tree) -> Result<Self> {
        let logs = tree.made("xtask/log");
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        Ok(Self { logs, terminal: std::io::stdout().is_terminal(), times: Vec::new() })
    }

    /// A heading above the steps that follow.
    pub(crate) fn heading(&self, text: &str) {
        if self.terminal {
            println!("\x1b[1m{text}\x1b[0m");
        } else {
            println!("{text}");
        }
    }

    /// Work that xtask does itself. What it returns beside its result is shown on the same line.
    pub(crate) fn work<T>(&mut self, title: &str, work: impl FnOnce() -> Result<(T, String)>) -> Result<T> {
        let begin = Instant::now();
        self.begin(title);
        match work() {
            Ok((value, remark)) => {
                self.done(title, begin.elapsed(), &remark);
                Ok(value)
            }
            Err(error) => {
                self.failed(title, begin.elapsed());
                Err(error)
            }
        }
    }

    /// Runs a program to its end. `mend` says what to do when it fails.
    pub(crate) fn program(&mut self, title: &str, command: &mut Command, mend: &str) -> Result<()> {
        let log = self.log(title);
        let begin = Instant::now();
        self.begin(title);
        let mut child = start(command, &log)?;
        let status = self.watch(title, &mut child, &log, begin)?;
        self.ended(title, begin, status, &log, mend)
    }

    /// Runs two programs at once to their ends. Each is a title, a command, and what to do when it fails.
    pub(crate) fn two_programs(&mut self, [one, other]: [(&str, &mut Command, &str); 2]) -> Result<()> {
        let begin = Instant::now();
        let beside = self.log(other.0);
        let mut child = start(other.1, &beside)?;
        let first = self.program(one.0, one.1, one.2);
        self.begin(other.0);
        let status = self.watch(other.0, &mut child, &beside, begin)?;
        first.and(self.ended(other.0, begin, status, &beside, other.2))
    }

    fn log(&self, title: &str) -> PathBuf {
        self.logs.join(format!("{}.log", file_name(title)))
    }

    fn ended(
        &mut self,
        title: &str,
        begin: Instant,
        status: ExitStatus,
        log: &Path,
        mend: &str,
    ) -> Result<()> {
        if status.success() {
            self.done(title, begin.elapsed(), "");
            return Ok(());
        }
        self.failed(title, begin.elapsed());
        show_end(log)?;
        let mend = if mend.is_empty() { String::new() } else { format!("; {mend}") };
        bail!("{title}: {status}{mend} (whole output: {})", log.display());
    }

    /// A step that was not needed, with the reason.
    pub(crate) fn skipped(&self, title: &str, why: &str) {
        println!("  - {title}: {why}");
    }

    /// Something that the person should know, but that stops nothing.
    pub(crate) fn note(&self, text: &str) {
        for line in text.lines() {
            println!("    {line}");
        }
    }

    /// The times so far, longest first.
    pub(crate) fn table(&self) {
        let total: Duration = self.times.iter().map(|(_, time)| *time).sum();
        let mut rows: Vec<_> = self.times.iter().filter(|(_, time)| time.as_millis() >= 100).collect();
        rows.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
        println!("\n  time     step");
        for (title, time) in rows {
            println!("  {:>8} {title}", seconds(*time));
        }
        println!("  {:>8} all {} steps so far\n", seconds(total), self.times.len());
    }

    fn watch(&self, title: &str, child: &mut Child, log: &Path, begin: Instant) -> Result<ExitStatus> {
        let mut said = begin;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(LOOK);
            let pause = if self.terminal { Duration::from_millis(500) } else { SIGN_OF_LIFE };
            if said.elapsed() >= pause {
                said = Instant::now();
                self.alive(title, begin.elapsed(), &last_line(log));
            }
        }
    }

    fn begin(&self, title: &str) {
        if self.terminal {
            print!("\r\x1b[K  … {title}");
            flush();
        }
    }

    fn alive(&self, title: &str, time: Duration, doing: &str) {
        let doing: String = doing.chars().take(60).collect();
        if self.terminal {
            print!("\r\x1b[K  … {title}  {} s  \x1b[2m{doing}\x1b[0m", time.as_secs());
        } else {
            println!("  … {title}: {} s, {doing}", time.as_secs());
        }
        flush();
    }

    fn done(&mut self, title: &str, time: Duration, remark: &str) {
        let (clear, green, plain) =
            if self.terminal { ("\r\x1b[K", "\x1b[32m", "\x1b[0m") } else { ("", "", "") };
        let remark = if remark.is_empty() { String::new() } else { format!("  {remark}") };
        println!("{clear}  {green}✓{plain} {title:<52} {:>8}{remark}", seconds(time));
        self.times.push((title.to_owned(), time));
    }

    fn failed(&mut self, title: &str, time: Duration) {
        let (clear, red, plain) =
            if self.terminal { ("\r\x1b[K", "\x1b[31m", "\x1b[0m") } else { ("", "", "") };
        println!("{clear}  {red}✗{plain} {title:<52} {:>8}", seconds(time));
        self.times.push((title.to_owned(), time));
    }
}

/// Starts a program with its output in a log file.
fn start(command: &mut Command, log: &Path) -> Result<Child> {
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let shown = format!("{command:?}");
    command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("cannot start {shown}"))
}

/// A time in seconds, as steps show it.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// The output of a program that must succeed, or an error that carries what it said.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        bail!("{shown}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn flush() {
    // A terminal that went away is no reason to stop the work.
    let _ = std::io::stdout().flush();
}

fn file_name(title: &str) -> String {
    title.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

/// The last line of a growing log, without escape codes, read from its end only.
fn last_line(log: &Path) -> String {
    let tail = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(2_000)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = tail().unwrap_or_default();
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    without_escapes(line)
}

fn without_escapes(line: &str) -> String {
    let mut plain = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // CSI sequences end at their first letter.
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else if !c.is_control() {
            plain.push(c);
        }
    }
    plain
}

fn show_end(log: &Path) -> Result<()> {
    let text = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(SHOWN_LINES);
    if from > 0 {
        println!("    … {from} lines before are in {}", log.display());
    }
    for line in lines.iter().skip(from) {
        println!("    {line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_is_shown_without_escape_codes() {
        assert_eq!(without_escapes("\u{1b}[1m\u{1b}[32mCompiling\u{1b}[0m x\t"), "Compiling x");
    }

    #[test]
    fn a_failed_program_is_an_error_that_names_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let mut steps = Steps { logs: folder.path().to_path_buf(), terminal: false, times: Vec::new() };
        let error = steps.program("fails", &mut Command::new("false"), "run true instead").unwrap_err();
        assert!(error.to_string().contains("run true instead"), "{error}");
    }

    #[test]
    fn of_two_programs_either_can_fail() {
        let folder = tempfile::tempdir().unwrap();
        let mut steps = Steps { logs: folder.path().to_path_buf(), terminal: false, times: Vec::new() };
        let mut both = |one: &str, other: &str| {
            let (one, other) = (&mut Command::new(one), &mut Command::new(other));
            steps.two_programs([("one", one, "mend one"), ("other", other, "mend the other")])
        };
        both("true", "true").unwrap();
        assert!(both("true", "false").unwrap_err().to_string().contains("mend the other"));
        assert!(both("false", "true").unwrap_err().to_string().contains("mend one"));
    }
}
