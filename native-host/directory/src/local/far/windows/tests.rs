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
fn what_is_no_group_of_the_machine_is_refused_before_anything_is_written() {
    let key = "key:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    for right in ["sudo:ALL", key, "group:Administratoren", "group:S-1-5-32-551"] {
        let world = World::open();
        assert_eq!(world.step(&grant_right(right, hour())), Some(Refusal::NoSuchRight), "{right}");
        assert_eq!(world.sam().take_wrote(), Vec::<String>::new(), "{right}");
    }
    assert_eq!(World::open().step("{\"do\":\"revoke\",\"right\":\"sudo:ALL\"}"), Some(Refusal::BadValue));
}

#[test]
fn an_account_that_is_not_ours_is_seen_and_never_changed() {
    let foreign = CLOSED.replace("k3", "k4");
    let trust = |sam: Fake| {
        sam.change(NAME, |user| user.flags = 0x1001);
        sam
    };
    let abroad = |sam: Fake| {
        sam.change(NAME, |user| user.sid = "S-1-5-21-1-2-3-1104".parse().unwrap());
        sam
    };
    for (sam, case) in [
        (Fake::new().with(NAME, 1001, "Tech One"), "a person's"),
        (Fake::new().with(NAME, 1001, &foreign), "another broker's"),
        (Fake::new().with(NAME, 500, CLOSED), "the administrator of every Windows under our name"),
        (trust(Fake::new().with(NAME, 1001, CLOSED)), "one of a workstation"),
        (abroad(Fake::new().with(NAME, 1001, CLOSED)), "one of a domain"),
        (Fake::new().with("JIT-Tech1", 1001, "Tech One"), "a person's, in capitals"),
    ] {
        // Or the machine would close it, as one that somebody enabled by hand.
        sam.users.borrow_mut().values_mut().for_each(|account| account.user.flags |= DISABLED);
        let world = world(sam);
        assert!(world.look().is_some(), "{case}");
        for step in [
            CREATE,
            &grant(DESKTOP),
            &revoke(DESKTOP),
            &open(hour()),
            &set_end(hour()),
            CLOSE,
            ROTATE,
            DELETE,
        ] {
            assert_eq!(world.step(step), Some(Refusal::NameTaken), "{case}: {step}");
        }
        assert_eq!(world.machine.sweep().unwrap(), Swept::default(), "{case}");
        assert_eq!(world.sam().take_wrote(), Vec::<String>::new(), "{case}");
    }
}

#[test]
fn another_machine_or_another_account_than_meant_is_not_touched() {
    let world = World::open();
    let identity = world.look().unwrap().identity;
    let delete = |identity: &str| {
        world.step_on(
            &format!("{{\"name\":\"{NAME}\",\"token\":\"{TOKEN}\",\"identity\":\"{identity}\"}}"),
            DELETE,
        )
    };
    assert_eq!(delete("0000000000000000:1001"), Some(Refusal::NotAllowed));
    assert_eq!(delete("nonsense"), Some(Refusal::NotAllowed));
    assert_eq!(delete(&identity.replace(":1001", ":1002")), Some(Refusal::NameTaken));
    assert_eq!(world.sam().take_wrote(), Vec::<String>::new());
    assert_eq!(delete(&identity), None);
}

#[test]
fn accounts_of_a_domain_are_nothing_of_a_machines() {
    let mut world = World::open();
    world.machine.sam.is_controller = true;
    for step in [CREATE, &grant(DESKTOP), &open(hour()), CLOSE, ROTATE, DELETE] {
        assert_eq!(world.step(step), Some(Refusal::NotAllowed), "{step}");
    }
    assert_eq!(world.sam().take_wrote(), Vec::<String>::new());
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

#[test]
fn what_the_machine_refuses_is_told_apart() {
    for (code, why) in [
        (5, Refusal::NotAllowed),
        (1722, Refusal::Busy),
        (2221, Refusal::NoSuchAccount),
        (2245, Refusal::Failed),
        (87, Refusal::Failed),
    ] {
        let world = World::open();
        world.sam().fails.set(Some((0, code)));
        assert_eq!(world.step(CLOSE), Some(why), "{code}");
    }
    let mut strict = Fake::new();
    strict.shortest_password = 30;
    let strict = world(strict);
    assert_eq!(strict.step(CREATE), Some(Refusal::Failed));
    assert_eq!(world(Fake::new()).step(CLOSE), Some(Refusal::NoSuchAccount));
    let long = named("jit-technician-number", TOKEN);
    assert_eq!(world(Fake::new()).step_on(&long, CREATE), Some(Refusal::BadValue));
}

#[test]
fn all_accounts_with_a_name_of_ours_are_listed_in_whatever_case() {
    let sam = Fake::new()
        .with("JIT-Tech2", 1005, CLOSED)
        .with("alice", 1006, "Alice")
        .with("jit-x", 1007, "by hand");
    match world(sam).ask("{\"ask\":\"list\"}") {
        Answer::Listed { accounts, .. } => {
            let names: Vec<_> =
                accounts.iter().map(|one| (one.name.as_str(), one.seen.note.is_some())).collect();
            assert_eq!(names, [("jit-tech2", true), ("jit-x", false)]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_machine_alone_ends_what_is_over_and_nothing_else() {
    let over = CLOSED.replace("until=-", "until=20261126T103000.250Z end=20061126103000Z proc=stay");
    let still = CLOSED.replace("until=-", "until=20261126T103000.250Z end=29991126103000Z proc=stay");
    let sam = Fake::new()
        .with("jit-over", 1001, &over)
        .with("jit-still", 1002, &still)
        .with("jit-by-hand", 1003, "a person's")
        .with("jit-opened", 1004, CLOSED)
        .with("jit-closed", 1005, CLOSED);
    sam.change("jit-closed", |user| user.flags |= DISABLED);
    for number in 1001..=1005 {
        let account: Sid = format!("{MACHINE}-{number}").parse().unwrap();
        sam::Sam::join(&sam, "Administratoren", &account).unwrap();
    }
    let world = world(sam);
    assert_eq!(world.machine.sweep().unwrap(), Swept { closed: 2, ..Swept::default() });
    let left: Vec<_> = world.sam().members(ADMINISTRATORS).into_iter().collect();
    assert_eq!(left, [1002, 1003, 1005].map(|number| format!("{MACHINE}-{number}")));
    for name in ["jit-over", "jit-opened"] {
        let account = world.sam().account(name).unwrap();
        assert!(account.user.flags & DISABLED != 0 && account.password != "theirs", "{name}");
        assert_eq!(note::parse(&account.user.comment).unwrap().window, None);
    }
    assert!(world.sam().lets_in("jit-still", "theirs", 0) && world.sam().lets_in("jit-by-hand", "theirs", 0));
    assert_eq!(world.machine.sweep().unwrap(), Swept::default(), "all is done");
}

#[test]
fn a_sweep_that_was_cut_is_finished_by_the_next() {
    for cut in 0..5 {
        let world = World::open();
        let note = world.account().user.comment;
        let end = note.split("end=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        world.sam().change(NAME, |user| user.comment = note.replace(&end, "20061126103000Z"));
        world.sam().fails.set(Some((cut, 87)));
        let swept = world.machine.sweep().unwrap();
        assert!(swept.closed == 0 && swept.failures.len() == 1, "{swept:?}");
        world.sam().fails.set(None);
        assert_eq!(world.machine.sweep().unwrap().closed, 1);
        assert!(world.rights().is_empty() && !world.look().unwrap().enabled);
    }
}

#[test]
fn the_machines_administrator_says_what_brokers_may_give() {
    let world = World::open();
    let list = |text: &str| fs::write(&world.machine.places.bounds, text).unwrap();
    list("rights = [\"group:S-1-5-32-544\"]");
    assert_eq!(world.step(&grant(DESKTOP)), Some(Refusal::NotAllowed));
    list("rights = [\"group:S-1-5-32-555\"]");
    assert_eq!(world.step(&grant(DESKTOP)), None);
    list("rights");
    assert_eq!(world.step(&grant(ADMINISTRATORS)), Some(Refusal::NotAllowed), "it cannot be read");
    assert_eq!(world.step(&revoke(DESKTOP)), None, "an end asks no list");
}

#[test]
fn a_check_names_each_thing_that_sessions_would_miss() {
    type Break = fn(&mut World);
    let wrong = |world: &World| -> Vec<String> {
        let rights = vec![format!("group:{ADMINISTRATORS}").parse().unwrap()];
        let Answer::Checked { findings, .. } =
            world.ask(&serde_json::to_string(&Ask::Check { rights }).unwrap())
        else {
            panic!("no findings")
        };
        assert!(findings.iter().any(|one| one.level == "ok"));
        let wrong = findings.into_iter().filter(|one| one.level != "ok");
        wrong.map(|one| format!("{}: {}", one.level, one.text)).collect()
    };
    let good = || {
        let world = world(Fake::new());
        fs::write(&world.machine.places.task, "").unwrap();
        world
    };
    assert_eq!(wrong(&good()), Vec::<String>::new());
    let cases: [(Break, &str); 6] = [
        (|w| w.machine.sam.is_administrator = false, "error: its own side does not act as an administrator"),
        (|w| w.machine.sam.is_controller = true, "error: this machine is a domain controller"),
        (|w| w.machine.sam.shortest_password = 25, "error: it takes no password of less than 25"),
        (
            |w| drop(w.machine.sam.groups.borrow_mut().remove(ADMINISTRATORS)),
            "error: the machine cannot give this right",
        ),
        (
            |w| fs::write(&w.machine.places.bounds, "rights = []").unwrap(),
            "error: the machine does not allow this: group:S-1-5-32-544",
        ),
        (|w| fs::remove_file(&w.machine.places.task).unwrap(), "warning: no task"),
    ];
    for (break_it, expected) in cases {
        let mut world = good();
        break_it(&mut world);
        let found = wrong(&world);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{expected}: {found:?}");
    }
}

#[test]
fn one_request_waits_for_another_on_the_same_machine() {
    let world = world(Fake::new());
    let held = lock::wait(&world.machine.places.lock).unwrap();
    std::thread::scope(|threads| {
        let path = &world.machine.places.lock;
        let waits = threads.spawn(move || lock::wait(path).map(drop));
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(!waits.is_finished());
        drop(held);
        assert!(waits.join().unwrap().is_ok());
    });
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
