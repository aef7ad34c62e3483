//! What an account leaves running, and what its end does about it.

use std::time::{Duration, Instant};

use ticketgate_directory::local::request::{LocalStep, Processes};

use crate::far::{ACCOUNT, World, world};

/// Processes in the machine with this word on their command line.
fn running(world: &World, word: &str) -> usize {
    let script = format!(
        "grep -lzs {word} /proc/[0-9]*/cmdline | while read -r f; do tr '\\0' ' ' < $f; echo; done | grep -c '^sleep' || true"
    );
    world.machine.sh(&script).unwrap().parse().unwrap()
}

/// Leaves processes behind in each way there is: in a session of their own, deaf to a hang-up, as root through `sudo`.
fn leave(world: &World) {
    let script = "setsid sleep 90001 & nohup sleep 90001 >/dev/null 2>&1 & sudo -n -b sleep 90001; sudo -n sh -c 'setsid sleep 90001 & exit'; \
                  trap '' TERM; (trap '' TERM; exec sleep 90001) & sleep 0.3";
    assert!(world.machine.command_as(ACCOUNT, "sh").args(["-c", script]).status().unwrap().success());
}

#[test]
fn an_end_ends_as_much_as_the_policy_says() {
    let world = world();
    world.session(600);
    let mut others = world.machine.command("sleep").arg("90001").spawn().unwrap();
    leave(&world);
    // On a busy machine some of them take a while to become what they are.
    let begun = Instant::now();
    while running(&world, "90001") < 6 && begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(running(&world, "90001"), 6);
    world.done(LocalStep::Close { processes: Processes::Stay });
    assert_eq!(running(&world, "90001"), 6);
    world.done(LocalStep::Close { processes: Processes::Own });
    // `sudo` passes the signal on to what it still waits for; what left it stays, as root.
    assert_eq!(running(&world, "90001"), 2);
    world.done(LocalStep::Close { processes: Processes::All });
    assert_eq!(running(&world, "90001"), 1, "the machine's own goes on");
    assert!(others.try_wait().unwrap().is_none());
    others.kill().unwrap();
    others.wait().unwrap();
}

#[test]
fn two_hundred_processes_that_start_each_other_again_are_ended() {
    let world = world();
    world.session(600);
    let bomb = "f() { trap '' TERM; while :; do sleep 0.5 & sleep 0.5; done; }; i=0; while [ $i -lt 200 ]; do f & i=$((i+1)); done; sleep 0.5";
    assert!(world.machine.command_as(ACCOUNT, "sh").args(["-c", bomb]).status().unwrap().success());
    world.done(LocalStep::Close { processes: Processes::Own });
    let left = world.machine.sh("ps -o pid= -u jit-tech1 | wc -l").unwrap();
    assert_eq!(left.trim(), "0");
}
