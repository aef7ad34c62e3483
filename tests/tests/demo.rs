//! The demo as a person at a terminal meets it: what a Ctrl-C in the middle leaves behind.
#![allow(clippy::expect_used, reason = "a test may panic: that is how it fails")]

use anyhow::Context;
use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;
use ticketgate_tests::leash::processes_with;
use ticketgate_tests::patience::{LIMIT, wait_for};
use ticketgate_tests::processes::{family, program, started_with};
use ticketgate_tests::{Outcome, world};

/// Three domains, a machine, stand-in tenants, a ticket system and a browser; on the first run they are made.
const START_LIMIT: Duration = Duration::from_secs(150);

#[test]
fn ctrl_c_in_the_middle_of_a_session_ends_every_process_and_leaves_no_folder() -> Outcome {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_ticketgate-demo"))
        .arg("--headless")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let mark = format!("-{}-", demo.id());
    let folders = || {
        let run = std::fs::read_dir(world::run_folder()?)?.flatten();
        anyhow::Ok(run.map(|entry| entry.path()).filter(|p| p.to_string_lossy().contains(&mark)).count())
    };
    let (told, lines) = std::sync::mpsc::channel();
    let stdout = BufReader::new(demo.stdout.take().context("no pipe")?);
    std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
    let deadline = std::time::Instant::now() + START_LIMIT;
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        let line = lines.recv_timeout(left).context("the demo did not come to its first session")?;
        if line.contains("the session is active") {
            break;
        }
    }
    assert!(folders()? > 0 && !processes_with(&mark).is_empty(), "the world is there");
    // The machine's own, too, which name no folder of the demo's.
    let family = family(i32::try_from(demo.id())?)?;
    let of_machine =
        |pid: &&i32| started_with(**pid).is_ok_and(|with| contains(&with, b"local\0sweep\0--every"));
    let machines = usize::from(geteuid().is_root());
    assert_eq!(
        family.iter().filter(of_machine).count(),
        machines,
        "the Linux machine is there, where it can be"
    );

    // As a terminal does it: to the demo, and to the programs that it runs at this moment.
    kill_process_group(Pid::from_child(&demo), Signal::INT)?;
    let status = wait_for("the demo to end", LIMIT, || Ok(demo.try_wait()?))?;
    assert_eq!(status.code(), Some(130));
    let mut said = String::new();
    demo.stderr.take().context("no pipe")?.read_to_string(&mut said)?;
    assert_eq!(
        said.trim(),
        "Ending everything …\nEverything has ended.",
        "an end that was asked for is no failure"
    );
    assert!(processes_with(&mark).is_empty(), "nothing runs any more");
    // An entry that nobody has collected yet has no program.
    let left: Vec<_> = family.iter().map(|pid| program(*pid)).filter(|program| !program.is_empty()).collect();
    assert!(left.is_empty(), "{left:?} still run");
    assert_eq!(folders()?, 0, "no password, no ledger, no profile is left");
    Ok(())
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}
