//! Which of the machine's processes belong to an account, and ending them. What `sudo` started runs as another user and leaves
//! the account's session; the kernel's login number still names the account.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{FarError, Places};
use crate::local::request::Processes;

/// `PF_KTHREAD` of the kernel's `sched.h`.
const KERNEL_THREAD: u64 = 0x0020_0000;
/// A program that forks as fast as it can is stopped as a whole in a few.
const ROUNDS: usize = 20;
const BETWEEN_ROUNDS: Duration = Duration::from_millis(50);
/// For editors to save what they hold.
const GRACE: Duration = Duration::from_secs(2);

/// A process. Its number alone may be another's a moment later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pid: u32,
    /// In ticks since the machine started.
    started: u64,
    /// Real, effective, saved, and of the file system.
    users: Vec<u32>,
    /// Who logged on; `u32::MAX`: nobody did.
    login: u32,
    kernel_thread: bool,
    /// It has ended and waits for its parent.
    ended: bool,
}

impl Process {
    /// A process of what `/proc/PID` says in `stat`, `status` and `loginuid`.
    fn parse(stat: &str, status: &str, login: Option<&str>) -> Option<Self> {
        // The name in brackets may hold anything; what follows the last bracket is numbers.
        let (head, tail) = (stat.split_once(' ')?.0, stat.rsplit_once(')')?.1);
        let mut fields = tail.split_ascii_whitespace();
        let state = fields.next()?;
        let flags: u64 = fields.nth(5)?.parse().ok()?;
        let started = fields.nth(12)?.parse().ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        let users: Vec<u32> = line.split_ascii_whitespace().map_while(|uid| uid.parse().ok()).collect();
        let whole = users.len() == 4;
        let login = login.and_then(|login| login.trim().parse().ok()).unwrap_or(u32::MAX);
        let (kernel_thread, ended) = (flags & KERNEL_THREAD != 0, matches!(state, "Z" | "X"));
        whole.then_some(Self { pid: head.parse().ok()?, started, users, login, kernel_thread, ended })
    }
}

/// Those of an account that an end ends, `own` (this process) and the first process never.
pub(super) fn matching<'a>(
    snapshot: &'a [Process],
    uid: u32,
    which: Processes,
    own: u32,
) -> Vec<&'a Process> {
    let fits = |process: &&'a Process| {
        let as_account = process.users.contains(&uid);
        let by_account = process.login == uid;
        let meant = match which {
            Processes::Stay => false,
            Processes::Own => as_account,
            Processes::All => as_account || by_account,
        };
        meant && !process.kernel_thread && !process.ended && process.pid > 1 && process.pid != own
    };
    snapshot.iter().filter(fits).collect()
}

/// Ends an account's processes and comes back when none is left.
///
/// # Errors
/// [`FarError::Failed`] when some do not end.
pub(super) fn end(places: &Places, uid: u32, which: Processes) -> Result<(), FarError> {
    let proc = places.proc.as_path();
    let own = std::process::id();
    let left = || {
        Ok::<_, FarError>(
            matching(&snapshot(proc)?, uid, which, own).into_iter().cloned().collect::<Vec<_>>(),
        )
    };
    let asked = left()?;
    if asked.is_empty() {
        return Ok(());
    }
    signal(proc, &asked, Signal::TERM);
    let until = Instant::now() + GRACE;
    while !left()?.is_empty() && Instant::now() < until {
        std::thread::sleep(BETWEEN_ROUNDS);
    }
    if which == Processes::All {
        // Where systemd keeps a group of all that a person's sessions started; elsewhere there is no such file.
        let _ = fs::write(places.cgroup.join(format!("user.slice/user-{uid}.slice/cgroup.kill")), "1");
    }
    for _ in 0..ROUNDS {
        // All are stopped before the first is killed, so that none can answer the end of another by starting a third.
        let mut stopped = BTreeSet::new();
        loop {
            let now = left()?;
            let new: Vec<_> = now
                .iter()
                .filter(|process| stopped.insert((process.pid, process.started)))
                .cloned()
                .collect();
            if new.is_empty() || stopped.len() > 100_000 {
                break;
            }
            signal(proc, &new, Signal::STOP);
        }
        let now = left()?;
        if now.is_empty() {
            return Ok(());
        }
        signal(proc, &now, Signal::KILL);
        std::thread::sleep(BETWEEN_ROUNDS);
    }
    let left = left()?;
    if left.is_empty() {
        return Ok(());
    }
    Err(FarError::Failed(format!("{} processes of the account do not end", left.len())))
}

fn signal(proc: &Path, processes: &[Process], signal: Signal) {
    for process in processes {
        let still = process_at(proc, process.pid).is_some_and(|now| now.started == process.started);
        if let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw).filter(|_| still) {
            // One that is gone meanwhile needs no signal; what else goes wrong shows in the next look.
            let _ = kill_process(pid, signal);
        }
    }
}

fn snapshot(proc: &Path) -> Result<Vec<Process>, FarError> {
    let folder =
        fs::read_dir(proc).map_err(|error| FarError::Failed(format!("{}: {error}", proc.display())))?;
    let pids = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(pids.filter_map(|pid| process_at(proc, pid)).collect())
}

fn process_at(proc: &Path, pid: u32) -> Option<Process> {
    let folder = proc.join(pid.to_string());
    let text =
        |name| fs::read(folder.join(name)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Process::parse(&text("stat")?, &text("status")?, text("loginuid").as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stat(pid: u32, name: &str, state: char, flags: u64) -> String {
        format!("{pid} ({name}) {state} 1 1 1 0 -1 {flags} 1 2 3 4 5 6 7 8 20 0 1 0 4242 1000 100")
    }

    fn process(pid: u32, users: [u32; 4], login: &str) -> Process {
        let [real, effective, saved, files] = users;
        let status = format!("Name:\tx\nUid:\t{real}\t{effective}\t{saved}\t{files}\nGid:\t0\t0\t0\t0\n");
        Process::parse(&stat(pid, "x", 'S', 0x40_0000), &status, Some(login)).unwrap()
    }

    fn pids(snapshot: &[Process], which: Processes) -> Vec<u32> {
        matching(snapshot, 1001, which, 7).iter().map(|process| process.pid).collect()
    }

    #[test]
    fn a_process_belongs_to_an_account_by_any_of_its_users_or_by_who_logged_on() {
        let snapshot = [
            process(1, [1001; 4], "1001"),
            process(7, [1001; 4], "1001"),
            process(10, [1001; 4], "4294967295"),
            process(11, [0, 0, 1001, 0], "4294967295"),
            process(12, [0; 4], "1001"),
            process(13, [0; 4], "4294967295"),
            process(14, [1000; 4], "1000"),
        ];
        assert_eq!(pids(&snapshot, Processes::All), [10, 11, 12]);
        assert_eq!(pids(&snapshot, Processes::Own), [10, 11]);
        assert!(pids(&snapshot, Processes::Stay).is_empty());
    }

    #[test]
    fn a_name_cannot_pass_for_other_fields() {
        let status = "Name:\tx\nUid:\t1001\t1001\t1001\t1001\n";
        let read = Process::parse(&stat(10, "a) Z 1 (b", 'S', 0), status, None).unwrap();
        assert_eq!((read.pid, read.started, read.ended, read.login), (10, 4242, false, u32::MAX));
    }

    #[test]
    fn threads_of_the_kernel_and_what_has_ended_are_left_alone() {
        let status = "Uid:\t1001\t1001\t1001\t1001\n";
        let read = |state, flags| Process::parse(&stat(10, "x", state, flags), status, None).unwrap();
        for other in [read('S', KERNEL_THREAD), read('Z', 0), read('X', 0)] {
            assert!(pids(&[other], Processes::All).is_empty());
        }
        assert_eq!(pids(&[read('T', 0)], Processes::All), [10]);
    }

    #[test]
    fn a_process_that_is_gone_while_it_is_read_is_none() {
        let status = "Uid:\t1001\t1001\t1001\t1001\n";
        for (stat, status) in [
            ("", status),
            ("10 (x", status),
            ("10 (x) S 1", status),
            (&stat(10, "x", 'S', 0), ""),
            ("x (x) S", "Uid:\t1\n"),
        ] {
            assert_eq!(Process::parse(stat, status, None), None, "{stat}");
        }
    }

    #[test]
    fn this_process_is_in_the_list_of_the_real_machine() {
        let snapshot = snapshot(Path::new("/proc")).unwrap();
        assert!(snapshot.iter().any(|process| process.pid == std::process::id() && !process.kernel_thread));
    }

    proptest! {
        #[test]
        fn nothing_that_stands_there_makes_the_reader_panic(stat in "\\PC{0,80}|[0-9]{1,3} \\([a-z) ]{0,9}\\) [A-Z]( -?[0-9]{1,3}){0,22}", status in "(Uid:)?[\\t0-9 \\n]{0,30}", login: Option<String>) {
            let _ = Process::parse(&stat, &status, login.as_deref());
        }
    }
}
