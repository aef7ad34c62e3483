use super::*;
use crate::local::far::linux::tests::{Scratch, TOKEN};

fn put_all(scratch: &Scratch) -> Result<(), FarError> {
    let command = SudoCommand::new("ALL").unwrap();
    put(&scratch.places, &scratch.named(), &command, SudoAsks::Nothing, now() + TimeDelta::hours(1))
}

fn files(scratch: &Scratch) -> Vec<String> {
    let entries = fs::read_dir(scratch.places.sudo_rules()).unwrap().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

fn rule() -> Rule {
    let (not_before, not_after) = ("20261126093000Z".parse().unwrap(), "20261126103000Z".parse().unwrap());
    Rule {
        account: AccountName::new("jit-tech1").unwrap(),
        token: Token::new(TOKEN).unwrap(),
        command: SudoCommand::new("ALL").unwrap(),
        asks: SudoAsks::Nothing,
        not_before,
        not_after,
    }
}

#[test]
fn a_rule_is_put_seen_moved_and_taken() {
    let scratch = Scratch::new();
    put_all(&scratch).unwrap();
    put_all(&scratch).unwrap();
    let [found] = all(&scratch.places).unwrap().try_into().unwrap();
    let seen = found.seen(Some(&scratch.named().token));
    assert!(seen.right == "sudo:ALL" && seen.until.is_some(), "{seen:?}");
    remove(&scratch.places, &scratch.named(), "sudo:/usr/bin/id").unwrap();
    assert_eq!(files(&scratch).len(), 1);
    for _ in 0..2 {
        remove(&scratch.places, &scratch.named(), "sudo:ALL").unwrap();
    }
    assert!(files(&scratch).is_empty());
}

#[test]
fn a_rule_that_is_not_what_was_meant_never_reaches_the_folder() {
    let scratch = Scratch::new();
    let good = sudo::text(&rule());
    for bad in [
        good.replace("103000Z", "103000"),
        good.replace(" NOTAFTER=20261126103000Z", ""),
        good.replace("ALL=(ALL:ALL)", "ALL=(ALL:ALL"),
        good.replace("jit-tech1", "ALL"),
        good.replace("093000Z", "083000Z"),
        String::new(),
    ] {
        // sudo's own judge would let all of them pass.
        assert!(put_text(&scratch.places, &rule(), &bad).is_err(), "{bad}");
        assert!(files(&scratch).is_empty(), "{bad}");
    }
    put_text(&scratch.places, &rule(), &good).unwrap();
}

#[test]
fn where_sudo_does_not_know_ends_no_rule_is_written() {
    let scratch = Scratch::new();
    scratch.program("visudo", "case \"$*\" in *-f*) echo 'NOTAFTER is not supported' >&2; exit 1;; esac");
    let refused = put_all(&scratch).unwrap_err();
    assert!(matches!(&refused, FarError::NoSuchRight(why) if why.contains("not supported")), "{refused}");
    assert!(files(&scratch).is_empty());
}

#[test]
fn a_fault_of_somebody_else_is_told_and_not_made_worse() {
    let scratch = Scratch::new();
    let broken = "case \"$*\" in *-f*) exit 0;; esac; echo '/etc/sudoers:3: syntax error' >&2; exit 1";
    let refused = |scratch: &Scratch| {
        let refused = put_all(scratch).unwrap_err();
        assert!(
            matches!(&refused, FarError::Failed(why) if why.contains("not ours") && why.contains("sudoers:3")),
            "{refused}"
        );
    };
    scratch.program("visudo", broken);
    refused(&scratch);
    assert!(files(&scratch).is_empty());
    scratch.program("visudo", "exit 0");
    put_all(&scratch).unwrap();
    scratch.program("visudo", broken);
    refused(&scratch);
    assert_eq!(files(&scratch).len(), 1, "the rule that was there stays until its end");
}

#[test]
fn a_rule_with_which_the_whole_is_at_fault_is_taken_back() {
    let scratch = Scratch::new();
    scratch.program("visudo", "case \"$*\" in *-f*) exit 0;; esac; ls \"$ROOT\"/etc/sudoers.d/ticketgate_* 2>/dev/null && exit 1; exit 0");
    assert!(put_all(&scratch).is_err());
    assert!(files(&scratch).is_empty());
    // And one that cannot be judged.
    scratch.program("visudo", "case \"$*\" in *-f*) rm -f \"$0\"; esac; exit 0");
    assert!(put_all(&scratch).is_err());
    assert!(files(&scratch).is_empty());
}

#[test]
fn a_file_of_our_name_that_somebody_changed_is_seen_by_its_mark_and_taken() {
    let good = sudo::text(&rule());
    let mark = sudo::mark("sudo:ALL");
    for (changed, case) in [
        (good.replace("NOTAFTER=20261126103000Z ", ""), "an end taken out"),
        (good.replace("jit-tech1", "jit-tech2"), "another account"),
        (good.replace(" ALL\n", " /bin/sh\n"), "another command"),
        (good.replace(TOKEN, "aaaaaaaaaaaaaaaaaaaaaaaaaa"), "another broker's"),
        ("x".repeat(5000), "too long"),
    ] {
        let scratch = Scratch::new();
        scratch.write(&format!("etc/sudoers.d/{}", rule().file()), &changed);
        let [found] = all(&scratch.places).unwrap().try_into().unwrap();
        let seen = found.seen(Some(&scratch.named().token));
        assert_eq!(seen, SeenRight { right: format!("sudo:?{mark}"), until: None }, "{case}");
        remove(&scratch.places, &scratch.named(), &seen.right).unwrap();
        assert!(files(&scratch).is_empty(), "{case}");
    }
}

#[test]
fn files_of_others_are_neither_seen_nor_taken() {
    let scratch = Scratch::new();
    for name in ["README", "alice", "ticketgate_alice_12345678", "ticketgate_jit-tech1"] {
        scratch.write(&format!("etc/sudoers.d/{name}"), "alice ALL=(ALL) ALL\n");
    }
    assert_eq!(remove_all(&scratch.places, |_| true).unwrap(), 0);
    assert_eq!(files(&scratch).len(), 4);
}

#[test]
fn what_a_killed_process_left_unfinished_is_removed_after_a_minute() {
    let scratch = Scratch::new();
    scratch.write("etc/sudoers.d/.ticketgate-0011", "half");
    remove_unfinished(&scratch.places);
    assert_eq!(files(&scratch).len(), 1, "it may be being written now");
    let old = SystemTime::now() - Duration::from_secs(90);
    let file = fs::File::options().write(true).open(scratch.path("etc/sudoers.d/.ticketgate-0011")).unwrap();
    file.set_modified(old).unwrap();
    remove_unfinished(&scratch.places);
    assert!(files(&scratch).is_empty());
}
