//! A machine of a test's own: what is done in it (accounts, `sudo` rules, processes) is not done outside, and nothing of it is
//! left afterwards, also when the test is killed. Needs root. The work is done by `tests/world/machine.sh`.

pub mod installed;
pub mod network;
pub mod remote;

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::{Result, world};

/// How often, and how many times, a machine that was ended is looked at before it is left to the kernel.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const LAST_LOOKS: u32 = 1000;

/// A running machine. Dropping it ends every process in it.
#[derive(Debug)]
pub struct Machine {
    outer: Child,
    /// Its first process, by its number outside.
    first: u32,
}

impl Machine {
    /// Starts one.
    ///
    /// # Errors
    /// Not root, or the kernel or the container does not allow it: what such a test would have shown is not passed over.
    pub fn start(name: &str) -> Result<Self> {
        Self::start_in(name, &["--net"])
    }

    /// The same in this machine's network: what listens on loopback there is reached from here, by whoever is on this machine.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_on_this_network(name: &str) -> Result<Self> {
        Self::start_in(name, &[])
    }

    fn start_in(name: &str, more: &[&str]) -> Result<Self> {
        if !is_root() {
            bail!(
                "a machine of its own (namespaces, in which accounts are made) takes root: run this as root"
            );
        }
        let mut outer = Command::new("unshare");
        outer.args(["--mount", "--pid", "--fork", "--kill-child", "--uts", "--propagation", "private"]);
        outer.args(more);
        outer.arg("/bin/sh").arg(world::script("machine.sh")).arg(name);
        outer.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut outer = outer.spawn().context("`unshare` is not there; run `cargo xtask setup`")?;
        let mut words = BufReader::new(outer.stdout.take().context("no pipe from the machine")?).lines();
        let mut next = || words.next().and_then(std::io::Result::ok).unwrap_or_default();
        let first = next().parse();
        // Whatever went wrong is on stderr already.
        let (Ok(first), "ready") = (first, next().as_str()) else {
            let _ = outer.kill();
            let _ = outer.wait();
            bail!(
                "a machine of its own could not be started: it needs mount, PID, network and UTS namespaces, and overlayfs"
            );
        };
        Ok(Self { outer, first })
    }

    /// A program in it, as its root.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.first.to_string());
        command.args(["--mount", "--pid", "--net", "--uts", "--root", "--wd", "--", program]);
        command.env_clear().envs([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("LC_ALL", "C")]);
        command.stdin(Stdio::null());
        command
    }

    /// A program in it, as somebody who has logged on: the kernel knows who.
    pub fn command_as(&self, user: &str, program: &str) -> Command {
        let mut command = self.command("sh");
        let script = "uid=$(id -u \"$1\"); echo \"$uid\" > /proc/self/loginuid; u=$1; shift; exec setpriv --reuid \"$u\" --regid \"$u\" --init-groups \"$@\"";
        command.args(["-c", script, "sh", user, program]);
        command
    }

    /// Whether `sudo` makes an account root that types this password.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn sudo_makes_root(&self, account: &str, password: &str) -> Result<bool> {
        let mut command = self.command_as(account, "sudo");
        command.args(["-k", "-S", "-p", "", "id", "-u"]);
        let mut sudo = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut typed = sudo.stdin.take().context("no pipe to sudo")?;
        writeln!(typed, "{password}")?;
        drop(typed);
        let done = sudo.wait_with_output()?;
        Ok(done.status.success() && done.stdout == b"0\n")
    }

    /// A shell script in it, as its root; what it prints.
    ///
    /// # Errors
    /// It failed; with what it said.
    pub fn sh(&self, script: &str) -> Result<String> {
        let done = self.command("sh").args(["-c", script]).output()?;
        if !done.status.success() {
            bail!("{script}: {}: {}", done.status, String::from_utf8_lossy(&done.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&done.stdout).trim_end().to_owned())
    }

    /// One of its files, as this process reaches it.
    pub fn path(&self, inside: &str) -> PathBuf {
        Path::new("/proc").join(self.first.to_string()).join("root").join(inside.trim_start_matches('/'))
    }

    /// Puts a program into it.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn install(&self, program: &Path, inside: &str) -> Result<()> {
        std::fs::copy(program, self.path(inside))
            .with_context(|| format!("{} is not there", program.display()))?;
        Ok(())
    }
}

/// Whether this process is root and has other users' numbers to give: in a user namespace with one user it has not.
fn is_root() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let users: u64 = map.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok()).sum();
    rustix::process::geteuid().is_root() && users >= 65_536
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut input) = self.outer.stdin.take() {
            let _ = input.flush();
        }
        let _ = self.outer.kill();
        let _ = self.outer.wait();
        // The kernel ends the first process then, and that one after all others.
        for _ in 0..LAST_LOOKS {
            if !runs(self.first) {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// Whether a process is there, and no mere entry that nobody has collected yet.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patience;

    /// Processes of any machine and of this one with this word on their command line.
    fn running(word: &str) -> usize {
        let is = |folder: &Path| {
            std::fs::read(folder.join("cmdline")).is_ok_and(|line| {
                line.starts_with(b"sleep\0") && String::from_utf8_lossy(&line).contains(word)
            })
        };
        std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| is(&entry.path())).count()
    }

    #[test]
    fn nothing_of_a_machine_outlives_it_also_when_its_holder_was_killed() {
        let mut machine = Machine::start("short-lived").unwrap();
        let word = format!("8642{}", std::process::id());
        machine
            .sh(&format!(
                "useradd jit-left-over; touch /etc/left-over; setsid sleep {word} > /dev/null 2>&1 &"
            ))
            .unwrap();
        patience::until("the process runs", Duration::from_secs(5), || Ok(running(&word) == 1)).unwrap();
        // All that a killed holder does.
        drop(machine.outer.stdin.take());
        patience::until("the process is gone", Duration::from_secs(5), || Ok(running(&word) == 0)).unwrap();
        assert!(!Path::new("/etc/left-over").exists());
        assert!(!std::fs::read_to_string("/etc/passwd").unwrap().contains("jit-left-over"));
    }
}
