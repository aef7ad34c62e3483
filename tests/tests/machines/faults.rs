//! A broker that dies, or whose answers are lost, at any point of a session on a machine.

use std::time::Duration;

use ticketgate_tests::machine::installed::{HERE, Installed};
use ticketgate_tests::patience::until;
use ticketgate_tests::{Outcome, Result};

use crate::account::{here, nothing_is_open};

const POINTS: [&str; 9] = [
    "ledger.session_begin",
    "directory.create",
    "directory.grant",
    "directory.grant#2",
    "directory.open",
    "directory.close",
    "directory.revoke",
    "directory.delete",
    "ledger.session_ended",
];

/// A whole session, as far as the broker gets; then a broker without a fault, and in the end nothing is left.
fn session_meeting(site: &mut Installed, fault: &str, kills: bool) -> Result<()> {
    let logged = site.log().len();
    site.start_broker(&[("TICKETGATE_FAULT", fault)])?;
    let asked = site.cli(&["--json", "activate", "burner", "--reason", "#4711 nginx does not answer"])?;
    if asked.succeeded() {
        let id = asked.json()?["id"].as_str().unwrap_or_default().to_owned();
        site.cli(&["end", &id])?;
    }
    if kills {
        // It goes on where the fault was not met.
        site.wait_for_broker_to_end()?;
        site.start_broker(&[])?;
    } else {
        assert!(site.log()[logged..].contains("a test asked for it"), "{fault} was never met");
    }
    until("everything to be ended", Duration::from_secs(20), || {
        Ok(site.cli_json(&["sessions"])?.as_array().is_some_and(Vec::is_empty))
    })?;
    site.kill_broker()?;
    nothing_is_open(&site.machine)?;
    let left = site.machine.sh("getent passwd | grep '^jit-'; ls /home | grep '^jit-'; true")?;
    assert_eq!(left, "", "{fault}");
    Ok(())
}

#[test]
fn a_broker_killed_at_any_point_of_a_session_leaves_nothing_once_the_next_one_came() -> Outcome {
    let mut site = here(HERE)?;
    site.kill_broker()?;
    for point in POINTS {
        for when in ["before", "after"] {
            session_meeting(&mut site, &format!("{point}:{when}"), true)?;
        }
    }
    Ok(())
}

#[test]
fn a_lost_answer_or_a_refusal_at_any_step_leaves_nothing_half_granted() -> Outcome {
    let mut site = here(HERE)?;
    site.kill_broker()?;
    for point in POINTS.iter().filter(|point| point.starts_with("directory.")) {
        for fault in ["timeout-applied", "timeout-not-applied", "error"] {
            session_meeting(&mut site, &format!("{point}:{fault}"), false)?;
        }
    }
    Ok(())
}
