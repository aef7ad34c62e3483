//! A machine of the tests, and a session's steps on it.

mod alone;
mod asked;
mod others;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::fake::{ADMINISTRATORS, DESKTOP, Fake, MACHINE, NO_ALIAS};
use super::sam::{ALREADY_MEMBER, DISABLED, FOREVER, NO_MEMBER};
use super::*;
use crate::local::far::serve;
use crate::local::request::{Answer, Ask, Refusal};
use crate::local::{Sid, Token};

const TOKEN: &str = "k3v9k3v9k3v9k3v9k3v9k3v9k3";
const CLOSED: &str = "ticketgate token=k3v9k3v9k3v9k3v9k3v9k3v9k3 owner=tech1 gen=7 until=-";
const PASSWORD: &str = "of the session";
const NAME: &str = "jit-tech1";

/// A machine, and the folder of its files, which goes away by itself.
pub(super) struct World {
    _folder: tempfile::TempDir,
    pub(super) machine: Windows<Fake>,
}

pub(super) fn world(sam: Fake) -> World {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let places = Places { bounds: at("local.toml"), lock: at("lock"), task: at("task") };
    World { machine: Windows { sam, places }, _folder: folder }
}

impl World {
    fn sam(&self) -> &Fake {
        &self.machine.sam
    }

    fn ask(&self, line: &str) -> Answer {
        let mut output = Vec::new();
        serve(format!("{line}\n").as_bytes(), &mut output, &self.machine).unwrap();
        serde_json::from_slice(&output).unwrap()
    }

    fn step_on(&self, account: &str, step: &str) -> Option<Refusal> {
        match self.ask(&format!("{{\"ask\":\"step\",\"account\":{account},\"step\":{step}}}")) {
            Answer::Done { .. } => None,
            Answer::Refused { why, .. } => Some(why),
            other => panic!("{other:?}"),
        }
    }

    fn step(&self, step: &str) -> Option<Refusal> {
        self.step_on(&named(NAME, TOKEN), step)
    }

    fn look(&self) -> Option<LocalSeen> {
        match self.ask(&format!("{{\"ask\":\"look\",\"account\":{}}}", named(NAME, TOKEN))) {
            Answer::Seen { account, .. } => account,
            other => panic!("{other:?}"),
        }
    }

    fn rights(&self) -> Vec<String> {
        self.look().unwrap().rights.into_iter().map(|one| one.right).collect()
    }

    /// With an account that is open for an hour and is an administrator.
    fn open() -> Self {
        let world = world(Fake::new());
        for step in [CREATE, &grant(ADMINISTRATORS), &open(hour())] {
            assert_eq!(world.step(step), None, "{step}");
        }
        world.sam().take_wrote();
        world
    }

    fn account(&self) -> super::fake::Account {
        self.sam().account(NAME).unwrap()
    }
}

const WHOSE: &str = "\"whose\":{\"owner\":\"tech1\",\"generation\":7}";
const CREATE: &str = "{\"do\":\"create\",\"whose\":{\"owner\":\"tech1\",\"generation\":7}}";
const CLOSE: &str = "{\"do\":\"close\",\"processes\":\"stay\"}";
const ROTATE: &str =
    "{\"do\":\"rotate\",\"whose\":{\"owner\":\"tech1\",\"generation\":8},\"processes\":\"stay\"}";
const DELETE: &str = "{\"do\":\"delete\"}";

fn named(name: &str, token: &str) -> String {
    format!("{{\"name\":\"{name}\",\"token\":\"{token}\"}}")
}

fn hour() -> DateTime<Utc> {
    clock::now() + TimeDelta::hours(1)
}

fn window(end: DateTime<Utc>) -> String {
    format!("\"window\":{{\"until\":\"{0}\",\"end\":\"{0}\",\"processes\":\"stay\"}}", end.to_rfc3339())
}

fn open(end: DateTime<Utc>) -> String {
    format!("{{\"do\":\"open\",{WHOSE},{},\"password\":\"{PASSWORD}\"}}", window(end))
}

fn set_end(end: DateTime<Utc>) -> String {
    format!("{{\"do\":\"set_end\",{WHOSE},{}}}", window(end))
}

fn grant_right(right: &str, until: DateTime<Utc>) -> String {
    format!(
        "{{\"do\":\"grant\",\"right\":\"{right}\",\"until\":\"{}\",\"asks\":\"password\"}}",
        until.to_rfc3339()
    )
}

fn grant(sid: &str) -> String {
    grant_right(&format!("group:{sid}"), hour())
}

fn revoke(sid: &str) -> String {
    format!("{{\"do\":\"revoke\",\"right\":\"group:{sid}\"}}")
}

#[test]
fn a_session_is_made_used_ended_and_leaves_nothing() {
    let world = world(Fake::new());
    assert!(
        matches!(world.ask("{\"ask\":\"hello\",\"protocol\":1}"), Answer::Hello { system: System::Windows, machine, .. } if machine.len() == 16)
    );
    assert_eq!(world.step(CREATE), None);
    let made = world.look().unwrap();
    assert!(!made.enabled && made.note.unwrap().window.is_none() && made.own_primary_group);
    assert_eq!(made.home, "FILES1\\jit-tech1");
    assert_eq!(made.end.unwrap().timestamp(), 86_400, "it is over before it begins");
    assert_eq!(world.step(&grant(ADMINISTRATORS)), None);
    let end = hour();
    assert_eq!(world.step(&open(end)), None);
    let seen = world.look().unwrap();
    assert!(seen.enabled && seen.end.unwrap().timestamp() == end.timestamp());
    assert_eq!(seen.note.unwrap().window.unwrap().end.timestamp(), end.timestamp());
    assert_eq!(world.rights(), [format!("group:{ADMINISTRATORS}")]);
    assert!(world.sam().lets_in(NAME, PASSWORD, end.timestamp() - 1));
    assert!(!world.sam().lets_in(NAME, PASSWORD, end.timestamp()));
    let later = end + TimeDelta::hours(1);
    assert_eq!(world.step(&set_end(later)), None);
    assert!(world.sam().lets_in(NAME, PASSWORD, end.timestamp()));
    for step in [CLOSE, &revoke(ADMINISTRATORS), ROTATE] {
        assert_eq!(world.step(step), None);
        assert!(!world.sam().lets_in(NAME, PASSWORD, 0), "{step}");
    }
    let ended = world.look().unwrap();
    assert!(!ended.enabled && ended.rights.is_empty() && ended.note.as_ref().unwrap().window.is_none());
    assert_eq!(ended.note.unwrap().whose.generation, 8);
    assert_ne!(world.account().password, PASSWORD);
    world.sam().profiles.borrow_mut().insert(world.account().user.sid.to_string());
    assert_eq!(world.step(DELETE), None);
    assert!(world.look().is_none() && world.sam().profiles.borrow().is_empty());
    assert_eq!(world.step(DELETE), None, "it is gone already");
}

#[test]
fn whatever_write_is_the_last_one_an_account_is_open_only_with_all_of_its_session() {
    let steps = [CREATE.to_owned(), grant(ADMINISTRATORS), open(hour())];
    let writes = steps.iter().map(|step| step.as_str()).fold(world(Fake::new()), |world, step| {
        world.step(step);
        world
    });
    let writes = writes.sam().take_wrote();
    assert_eq!(writes.last().unwrap(), "flags 0x201");
    for cut in 0..writes.len() {
        let world = world(Fake::new());
        world.sam().fails.set(Some((cut, 1722)));
        for step in &steps {
            if let Some(why) = world.step(step) {
                assert_eq!(why, Refusal::Busy);
                break;
            }
        }
        assert!(!world.sam().lets_in(NAME, PASSWORD, 0), "after {:?}", &writes[..cut]);
        assert!(world.look().is_none_or(|seen| seen.note.is_some()), "an account without a note is nobody's");
        world.sam().fails.set(None);
        for step in &steps {
            assert_eq!(world.step(step), None, "{step} again after {:?}", &writes[..cut]);
        }
        assert!(world.sam().lets_in(NAME, PASSWORD, 0));
    }
}

#[test]
fn an_end_closes_with_its_first_write() {
    for step in [CLOSE, ROTATE, DELETE] {
        let world = World::open();
        world.sam().fails.set(Some((1, 1722)));
        assert_eq!(world.step(step), Some(Refusal::Busy), "{step}");
        assert!(!world.sam().lets_in(NAME, PASSWORD, 0), "{step}");
        assert!(world.look().unwrap().note.unwrap().window.is_some(), "nothing says yet that all is done");
    }
}

#[test]
fn never_is_no_end_that_is_written() {
    let world = World::open();
    for step in [CREATE, &open(hour()), &set_end(hour()), CLOSE, ROTATE] {
        world.step(step);
    }
    for write in world.sam().take_wrote() {
        assert_ne!(write, format!("expires {FOREVER}"));
        assert_ne!(write, "expires 0");
    }
    for hours in [-1, 0, 26, 24 * 365, 24 * 365 * 90] {
        let end = clock::now() + TimeDelta::hours(hours);
        for step in [open(end), set_end(end), grant_right("group:S-1-5-32-555", end)] {
            let world = World::open();
            assert_eq!(world.step(&step), Some(Refusal::BadValue), "{step}");
            assert_eq!(world.sam().take_wrote(), Vec::<String>::new(), "{step}");
        }
    }
}

#[test]
fn somebody_who_sets_no_end_by_hand_is_seen() {
    for never in [0, FOREVER] {
        let world = World::open();
        world.sam().change(NAME, |user| user.expires = never);
        assert_eq!(world.look().unwrap().end, None);
    }
}

#[test]
fn groups_are_given_by_number_whatever_they_are_called_and_whoever_else_was_in_them() {
    let world = World::open();
    assert_eq!(world.step(&grant(DESKTOP)), None);
    assert_eq!(world.sam().take_wrote(), ["join Remotedesktopbenutzer"]);
    assert_eq!(world.rights(), [ADMINISTRATORS, DESKTOP].map(|sid| format!("group:{sid}")));
    assert_eq!(world.step(&grant(DESKTOP)), None);
    assert_eq!(world.sam().take_wrote(), Vec::<String>::new(), "it is in it already");
    assert_eq!(world.step(&revoke(DESKTOP)), None);
    assert_eq!(world.rights(), [format!("group:{ADMINISTRATORS}")]);
    assert_eq!(world.step(&revoke(DESKTOP)), None, "it is out of it already");
    assert_eq!(world.step(&revoke("S-1-5-32-9999")), None, "a group that is gone holds nobody");
}

#[test]
fn what_another_did_at_the_same_moment_is_done() {
    for (step, code) in [(grant(DESKTOP), ALREADY_MEMBER), (revoke(ADMINISTRATORS), NO_MEMBER)] {
        let world = World::open();
        world.sam().fails.set(Some((0, code)));
        assert_eq!(world.step(&step), None, "{step}");
    }
    let gone = World::open();
    gone.sam().fails.set(Some((0, NO_ALIAS)));
    assert_eq!(gone.step(&grant(DESKTOP)), Some(Refusal::NoSuchRight));
}

#[test]
fn a_closed_account_is_not_opened_by_moving_its_end_and_none_is_opened_without_a_password() {
    let world = World::open();
    assert_eq!(
        world.step(&open(hour()).replace(&format!("\"{PASSWORD}\""), "null")),
        Some(Refusal::BadValue)
    );
    assert_eq!(world.step(CLOSE), None);
    world.sam().take_wrote();
    assert_eq!(world.step(&set_end(hour())), Some(Refusal::Failed));
    assert_eq!(world.sam().take_wrote(), Vec::<String>::new());
}

#[test]
fn a_flag_that_weakens_an_account_is_gone_when_it_is_opened_again() {
    let world = World::open();
    // No password needed, and none that ever grows old.
    world.sam().change(NAME, |user| user.flags |= 0x0020 | 0x1_0000);
    for step in [CLOSE, ROTATE, &open(hour())] {
        assert_eq!(world.step(step), None);
    }
    assert_eq!(world.account().user.flags, 0x0201);
}

proptest! {
    /// `usri4_comment` has 256 characters.
    #[test]
    fn the_longest_note_of_a_session_fits(owner in "[a-z0-9][a-z0-9._-]{63}", generation in (u64::MAX - 5)..u64::MAX, nanos in 999_999_990_u32..1_000_000_000) {
        let world = world(Fake::new());
        let token = Token::new(TOKEN).unwrap();
        prop_assert_eq!(token.as_str().len(), 26);
        let create = format!("{{\"do\":\"create\",\"whose\":{{\"owner\":\"{owner}\",\"generation\":{generation}}}}}");
        prop_assert_eq!(world.step(&create), None);
        let until = DateTime::from_timestamp(253_402_300_799, nanos).unwrap().to_rfc3339();
        let open = format!(
            "{{\"do\":\"open\",\"whose\":{{\"owner\":\"{owner}\",\"generation\":{generation}}},\"window\":{{\"until\":\"{until}\",\"end\":\"{}\",\"processes\":\"stay\"}},\"password\":\"x\"}}",
            hour().to_rfc3339()
        );
        prop_assert_eq!(world.step(&open), None);
        prop_assert!(world.account().user.comment.len() <= 255);
        prop_assert!(world.look().unwrap().note.is_some());
    }
}
