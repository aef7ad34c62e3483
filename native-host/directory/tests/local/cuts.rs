//! The far side, or a program that it runs, killed between any two of its writes: what is left is seen for what it is, is never more
//! open than it should be, and the same step asked for again mends it.

use std::time::Duration;

use chrono::TimeDelta;
use ticketgate_directory::local::request::{Ask, LocalStep, Processes};

use crate::far::{World, grant, named, now, open, whose, world};

/// Asks for a step and kills everything of the far side after a while; whether it was before the answer.
fn cut_after(world: &World, step: LocalStep, after: Duration) -> bool {
    let mut link = world.link();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            std::thread::sleep(after);
            let kill =
                "pkill -KILL -x 'ticketgate-loca|useradd|usermod|userdel|gpasswd|visudo|chpasswd'; true";
            world.machine.sh(kill).unwrap();
        });
        let line = serde_json::to_string(&Ask::Step { account: named(), step: Box::new(step) }).unwrap();
        link.send(&line);
        link.hear().is_empty()
    })
}

#[test]
fn killed_at_any_moment_of_a_session_the_machine_is_never_more_open_and_the_next_steps_mend_it() {
    let world = world();
    let mut cut = 0;
    for millis in [0, 3, 6, 9, 12, 16, 20, 25, 30, 40] {
        let after = Duration::from_millis(millis);
        let end = now() + TimeDelta::seconds(600);
        let steps: [fn(chrono::DateTime<chrono::Utc>) -> LocalStep; 6] = [
            |_| LocalStep::Create { whose: whose() },
            |end| grant("sudo:ALL", end),
            |end| open(end, Some("correct-horse-9")),
            |_| LocalStep::Close { processes: Processes::All },
            |_| LocalStep::Rotate { whose: whose(), processes: Processes::All },
            |_| LocalStep::Delete {},
        ];
        for (number, step) in steps.into_iter().enumerate() {
            let what = format!("step {number} cut after {millis} ms");
            cut += usize::from(cut_after(&world, step(end), after));
            world.machine.sh("visudo -c").unwrap_or_else(|error| panic!("{what}: {error}"));
            let seen = world.look();
            if number < 2 {
                let logs_on = seen.as_ref().is_some_and(|seen| seen.enabled && seen.end.is_some());
                assert!(!logs_on, "{what}: {seen:?}");
            }
            if seen.as_ref().is_some_and(|seen| seen.enabled) && number != 2 && number != 3 {
                // Half made: the plan closes what has no end before all else.
                world.done_in_time(|| LocalStep::Close { processes: Processes::All });
            }
            if seen.as_ref().is_some_and(|seen| !seen.own_primary_group) {
                world.done_in_time(|| LocalStep::ResetPrimaryGroup {});
            }
            world.done_in_time(|| step(end));
            let is_open = world.look().is_some_and(|seen| seen.enabled);
            assert_eq!(is_open, number == 2, "{what}, and asked for again");
        }
        assert!(world.look().is_none());
        assert_eq!(
            world.machine.sh("ls -d /home/jit-* 2>/dev/null || true").unwrap(),
            "",
            "after {millis} ms"
        );
    }
    assert!(cut >= 10, "only {cut} steps of 60 were cut at all");
}

#[test]
fn an_account_whose_making_was_cut_between_two_files_is_closed_and_mended() {
    let world = world();
    for cut in [
        "sed -i /^jit-tech1:/d /etc/shadow",
        "sed -i /^jit-tech1:/d /etc/group /etc/gshadow",
        "sed -i /^jit-tech1:/d /etc/shadow /etc/group /etc/gshadow",
    ] {
        world.done(LocalStep::Create { whose: whose() });
        world.machine.sh(cut).unwrap();
        let half = world.look().unwrap();
        assert!(
            half.enabled != cut.contains("group /etc/gshadow") || cut.contains("shadow /etc/group"),
            "{cut}: {half:?}"
        );
        world.done(LocalStep::Close { processes: Processes::Own });
        world.done(LocalStep::ResetPrimaryGroup {});
        let mended = world.look().unwrap();
        assert!(!mended.enabled && mended.own_primary_group, "{cut}: {mended:?}");
        let end = now() + TimeDelta::seconds(600);
        world.done(grant("sudo:ALL", end));
        world.done(open(end, None));
        assert_eq!(world.sudo(&[]).as_deref(), Ok("0"), "{cut}");
        world.done(LocalStep::Delete {});
    }
}

#[test]
fn a_sweep_that_was_killed_is_finished_by_the_next_one() {
    let world = world();
    for millis in [2, 8, 16, 30] {
        let until = now() + TimeDelta::seconds(600);
        world.done(LocalStep::Create { whose: whose() });
        for right in ["sudo:ALL", "group:audio"] {
            world.done(grant(right, until));
        }
        let end = now() + TimeDelta::seconds(2);
        world.done(open(end, Some("correct-horse-9")));
        crate::far::sleep_until(end + TimeDelta::milliseconds(10));
        world.cut_sweep(Duration::from_millis(millis));
        world.sweep();
        let seen = world.look().unwrap();
        assert!(!seen.enabled && seen.rights.is_empty(), "after {millis} ms: {seen:?}");
        assert!(seen.note.unwrap().window.is_none(), "after {millis} ms");
        world.done(LocalStep::Delete {});
    }
}
