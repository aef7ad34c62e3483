//! Running one of the machine's own programs: by its path, without a shell, with nothing of this process's environment, and with a
//! limit of time.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::{FarError, Places};

/// These programs take hundredths of a second; waiting for a lock of the databases takes them up to 15 s.
const LIMIT: Duration = Duration::from_secs(10);
/// Of what it says, for the log.
const SAID: usize = 2048;

/// How a program ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its exit code; none: a signal ended it.
    pub(super) code: Option<i32>,
    said: String,
    name: &'static str,
}

impl Ended {
    /// Nothing when it succeeded.
    ///
    /// # Errors
    /// [`FarError::Failed`]
    pub(super) fn well(self) -> Result<(), FarError> {
        if self.code == Some(0) { Ok(()) } else { Err(self.failed()) }
    }

    pub(super) fn failed(&self) -> FarError {
        let code = self.code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
        FarError::Failed(format!("`{}` ended with {code}: {}", self.name, self.said.trim()))
    }
}

/// Runs a program to its end. `input` goes to it and nowhere else.
///
/// # Errors
/// [`FarError::Failed`] when it cannot be started, [`FarError::Busy`] when it does not end in time. How it ends is the caller's to
/// judge.
pub(super) fn run(
    places: &Places,
    name: &'static str,
    arguments: &[&str],
    input: Option<&[u8]>,
) -> Result<Ended, FarError> {
    let failed = |error: std::io::Error| FarError::Failed(format!("`{name}`: {error}"));
    let mut command = Command::new(places.program(name)?);
    command
        .args(arguments)
        .env_clear()
        .envs([("LC_ALL", "C"), ("TZ", "UTC"), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")])
        .current_dir("/")
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // What ends this process from its terminal does not cut a write of the databases.
        .process_group(0);
    let mut child = command.spawn().map_err(failed)?;
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        // A few bytes, which the pipe takes at once. One that does not read them says why by its code.
        let _ = pipe.write_all(input);
    }
    let stderr = child.stderr.take();
    let waited = wait(&child, stderr);
    let Some(said) = waited.map_err(|error| failed(error.into()))? else {
        if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        child.wait().map_err(failed)?;
        return Err(FarError::Busy(format!("`{name}` did not end within {} s", LIMIT.as_secs())));
    };
    let code = child.wait().map_err(failed)?.code();
    tracing::debug!(program = name, ?code, said = said.trim(), "ran");
    Ok(Ended { code, said, name })
}

/// What a program says until it ends; none when it does not end in time. A daemon that it leaves behind is not waited for.
fn wait(child: &Child, mut stderr: Option<ChildStderr>) -> rustix::io::Result<Option<String>> {
    let until = Instant::now() + LIMIT;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(rustix::io::Errno::SRCH)?;
    let end = pidfd_open(pid, PidfdFlags::empty())?;
    let mut said = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let (has_ended, speaks) = {
            let mut watched = vec![PollFd::new(&end, PollFlags::IN)];
            if let Some(stderr) = &stderr {
                watched.push(PollFd::from_borrowed_fd(stderr.as_fd(), PollFlags::IN));
            }
            let limit = Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            match poll(&mut watched, Some(&limit)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error),
            }
            let mut ready = watched.iter().map(|fd| !fd.revents().is_empty());
            (ready.next().unwrap_or_default(), ready.next().unwrap_or_default())
        };
        if speaks {
            match stderr.as_mut().map(|stderr| stderr.read(&mut buffer)) {
                Some(Ok(count)) if count > 0 => {
                    let room = SAID.saturating_sub(said.len()).min(count);
                    said.extend(buffer.iter().take(room));
                }
                _ => stderr = None,
            }
        } else if has_ended {
            return Ok(Some(String::from_utf8_lossy(&said).into_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, input: Option<&[u8]>) -> Ended {
        run(&Places::system(), "sh", &["-c", script], input).unwrap()
    }

    #[test]
    fn a_program_gets_none_of_our_environment_and_its_code_and_words_are_known() {
        let ended = sh("env >&2; exit 3", None);
        assert_eq!(ended.code, Some(3));
        let mut names: Vec<_> =
            ended.said.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        names.retain(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name));
        names.sort_unstable();
        assert_eq!(names, ["LC_ALL", "PATH", "TZ"]);
        assert!(ended.well().is_err());
    }

    #[test]
    fn what_it_is_given_reaches_it() {
        assert_eq!(sh("read a; test \"$a\" = x:y", Some(b"x:y\n")).code, Some(0));
        assert_eq!(sh("exit 0", Some(b"nobody reads this\n")).code, Some(0));
    }

    #[test]
    fn one_that_talks_without_end_is_kept_to_its_bound_and_one_that_leaves_a_daemon_is_not_waited_for() {
        let begun = Instant::now();
        let ended = sh("sleep 5 & head -c 300000 /dev/zero | tr '\\0' x >&2", None);
        assert_eq!((ended.code, ended.said.len()), (Some(0), SAID));
        assert!(begun.elapsed() < Duration::from_secs(4));
    }

    #[test]
    fn one_that_is_not_there_is_named() {
        let missing = run(&Places::system(), "no-such-program-here", &[], None);
        assert!(matches!(missing, Err(FarError::Failed(why)) if why.contains("no-such-program-here")));
    }
}
