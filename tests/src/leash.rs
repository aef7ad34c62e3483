//! Child processes that cannot outlive their owner: whatever they start, however they detach, and however this
//! process ends. The work is done by `tests/world/leash.py`; this is the holder's end of it.

use crate::Result;
use crate::patience;
use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// Ends are quick; this is only so that a hanging one fails the test and does not hang it.
const END_LIMIT: Duration = Duration::from_secs(15);

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal (9 is SIGKILL).
    Signal(i32),
    /// By this signal, which left a core.
    Core(i32),
}

/// A running program and everything it started. Dropping it ends all of it before the drop returns.
#[derive(Debug)]
pub struct Leashed {
    leash: Child,
    words: BufReader<ChildStdout>,
    pid: Pid,
    log: PathBuf,
    exit: Option<Exit>,
}

impl Leashed {
    /// Starts what `command` describes (program, arguments, environment, folder). Its output is appended to `log`.
    ///
    /// # Errors
    /// Python or the program is not there.
    pub fn start(command: &Command, log: &Path) -> Result<Self> {
        let mut outer = Command::new("/usr/bin/python3");
        // -I: nobody's site packages or environment change the script; -S: 10 ms less.
        outer.args(["-I", "-S"]).arg(crate::world::script("leash.py")).arg(log);
        outer.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => outer.env(name, value),
                None => outer.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            outer.current_dir(folder);
        }
        let outer = outer.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut leash = outer.spawn().context("/usr/bin/python3 is not there; run `cargo xtask setup`")?;
        let mut words = BufReader::new(leash.stdout.take().context("no pipe from the leash")?);
        let mut line = String::new();
        words.read_line(&mut line)?;
        let Some(pid) = line.trim().parse().ok().and_then(Pid::from_raw) else {
            let said = leash.wait_with_output()?.stderr;
            bail!("cannot start {:?}: {}", command.get_program(), String::from_utf8_lossy(&said).trim());
        };
        Ok(Self { leash, words, pid, log: log.to_path_buf(), exit: None })
    }

    /// The program's process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Everything it has printed so far.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    /// Its end, when it has ended.
    ///
    /// # Errors
    /// The leash cannot be asked.
    pub fn exited(&mut self) -> Result<Option<Exit>> {
        if self.exit.is_none() && self.leash.try_wait()?.is_some() {
            let mut line = String::new();
            self.words.read_line(&mut line)?;
            self.exit = match line.trim().split_once(' ') {
                Some(("exit", code)) => Some(Exit::Code(code.parse()?)),
                Some(("signal", number)) => Some(Exit::Signal(number.parse()?)),
                Some(("core", number)) => Some(Exit::Core(number.parse()?)),
                _ => bail!("the leash of process {} was killed", self.pid()),
            };
        }
        Ok(self.exit)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It goes on.
    pub fn wait(&mut self, limit: Duration) -> Result<Exit> {
        let what = format!("process {} to end", self.pid());
        patience::wait_in_any_case(&what, limit, || self.exited())
    }

    /// Sends a signal to the program alone.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid, signal).with_context(|| format!("process {} is gone", self.pid()))
    }

    /// SIGKILL, as a power cut would do it; returns when the program and everything it started are gone.
    ///
    /// # Errors
    /// They do not go.
    pub fn kill(&mut self) -> Result<()> {
        if self.exited()?.is_none() {
            // It may have ended by itself since it was asked; then the leash is about to say so.
            let _ = self.signal(Signal::KILL);
            self.wait(END_LIMIT)?;
        }
        Ok(())
    }

    /// Asks it to end (SIGTERM) and returns when it and everything it started are gone.
    ///
    /// # Errors
    /// They do not go.
    pub fn stop(&mut self) -> Result<Exit> {
        drop(self.leash.stdin.take());
        self.wait(END_LIMIT)
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        // Failing here would hide the failure that a test is about; the leash kills on its own in any case.
        let _ = self.stop();
    }
}

/// The processes whose command line contains `text` now, to show that something is gone. Threads and zombies do not
/// count.
pub fn processes_with(text: &str) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let shows = |pid: &i32| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).replace('\0', " ").contains(text))
    };
    pids.filter(|pid| u32::try_from(*pid) != Ok(std::process::id())).filter(shows).collect()
}
