//! The witness is told lies.

use super::*;

const LONGEST: Duration = Duration::from_secs(3600);

fn account(flags: u32, expires: Expiry, groups: &[&str]) -> Account {
    Account {
        dn: "CN=jit-t1,OU=JIT".into(),
        flags,
        expires,
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        primary_group: ORDINARY_GROUP,
        description: String::new(),
        password_set: String::new(),
        guid: String::new(),
    }
}

fn session(account: &str, state: &str) -> Session {
    Session {
        id: "s-1".into(),
        whole: None,
        directory: "d".into(),
        state: state.into(),
        technician: "t1".into(),
        policy: "p".into(),
        account: account.into(),
        rights: vec!["CN=A".into()],
        until: SystemTime::now() + LONGEST,
    }
}

#[test]
fn whatever_is_open_without_an_open_session_or_a_near_end_is_seen() {
    let clocks = Clocks::true_time();
    let at = |seconds| Expiry::At(clocks.directory + Duration::from_secs(seconds));
    let (open, closed) = (512, 514);
    for (good, account, session) in [
        (true, account(open, at(3600), &["CN=A"]), session("JIT-T1", "active")),
        (true, account(open, at(3600), &[]), session("jit-t1", "activating")),
        (true, account(closed, Expiry::Never, &["CN=A"]), session("jit-t1", "ending")),
        (true, account(closed, Expiry::Never, &[]), session("jit-t1", "ended")),
        (false, account(open, at(3600), &[]), session("jit-t1", "ended")),
        (false, account(closed, at(0), &["CN=A"]), session("jit-t1", "failed")),
        (false, account(open, at(3600), &[]), session("jit-t2", "active")),
        (false, account(open, at(3700), &[]), session("jit-t1", "active")),
        (false, account(open, Expiry::Never, &[]), session("jit-t1", "active")),
    ] {
        let said = what_is_open_is_known_and_ends(
            std::slice::from_ref(&account),
            std::slice::from_ref(&session),
            &clocks,
            LONGEST,
        );
        assert_eq!(said.is_ok(), good, "{account:?} {session:?}: {said:?}");
    }
}

#[test]
fn a_right_of_a_persons_that_no_open_session_gives_is_seen() {
    for (good, groups, state) in [
        (true, &["CN=A"][..], "ending"),
        (true, &[], "failed"),
        (false, &["CN=A"], "failed"),
        (false, &["CN=A", "CN=B"], "active"),
    ] {
        let said =
            a_person_holds_what_is_known(&account(512, Expiry::Never, groups), &[session("t1", state)]);
        assert_eq!(said.is_ok(), good, "{groups:?} {state}: {said:?}");
    }
}

#[test]
fn a_part_that_is_left_alone_is_seen() {
    let until = SystemTime::now() + LONGEST;
    let row = |id: &str, state: &str, until| Session {
        id: id.into(),
        whole: Some("s-1".into()),
        until,
        ..session("jit-t1", state)
    };
    let earlier = until - LONGEST;
    for (good, parts) in [
        (true, vec![row("s-1", "active", until), row("s-2", "activating", until)]),
        (true, vec![row("s-1", "ended", until), row("s-2", "ending", until)]),
        (true, vec![session("jit-t1", "active")]),
        (false, vec![row("s-1", "active", until), row("s-2", "ending", until)]),
        (false, vec![row("s-1", "failed", until), row("s-2", "activating", until)]),
        (false, vec![row("s-1", "active", until), row("s-2", "active", earlier)]),
        (false, vec![row("s-1", "active", until)]),
        (false, vec![row("s-2", "active", until), row("s-3", "active", until)]),
    ] {
        let said = parts_stand_together(&parts);
        assert_eq!(said.is_ok(), good, "{parts:?}: {said:?}");
    }
}
