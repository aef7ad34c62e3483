//! Steps that go side by side where the directory says so: rights alone, whatever becomes of one of them.

use std::sync::Mutex;

use super::*;

const BACKUP: &str = "CN=Backup Operators,CN=Builtin,DC=acme,DC=example";

/// What a directory notes of steps that are under way at one time.
#[derive(Default)]
pub(super) struct Together {
    allowed: AtomicBool,
    counts: AtomicBool,
    under_way: AtomicU32,
    /// Each step with how many there were with it.
    seen: Mutex<Vec<(&'static str, u32)>>,
}

impl Together {
    pub(super) fn is_allowed(&self) -> bool {
        self.allowed.load(Ordering::SeqCst)
    }

    /// A request's way there takes a moment, where several may be on it.
    pub(super) async fn on_the_way(&self, step: &'static str) {
        if !self.counts.load(Ordering::SeqCst) {
            return;
        }
        self.under_way.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.seen.lock().unwrap().push((step, self.under_way.load(Ordering::SeqCst)));
        // Whoever set out together is counted by all of them.
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
    }

    fn taken(&self) -> Vec<(&'static str, u32)> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// A world whose policy `three` gives three rights.
async fn three(side_by_side: bool) -> World {
    let world = World::new().await;
    world.directory.together.allowed.store(side_by_side, Ordering::SeqCst);
    world.directory.together.counts.store(true, Ordering::SeqCst);
    let policy = format!(
        "[[policy]]\nid = \"three\"\nname = \"three\"\ndirectory = \"acme-ad\"\nmode = \"dedicated\"\n\
         rights = [\"{ADMINS}\", \"{SERVERS}\", \"{BACKUP}\"]\n\
         duration = {{ default = \"1h\", max = \"4h\" }}\neligible = {{ groups = [\"tier2\"] }}\n"
    );
    world.broker.load_settings(&format!("{}\n{policy}", configuration())).await.unwrap();
    world
}

fn rights(world: &World) -> usize {
    world.directory.only().rights.len()
}

#[tokio::test]
async fn rights_are_given_and_taken_at_once_and_everything_else_in_its_order() {
    let world = three(true).await;
    let session = world.activate("three", "k1").await;
    assert_eq!(
        world.directory.together.taken(),
        [
            ("directory.create", 1),
            ("directory.grant", 3),
            ("directory.grant", 3),
            ("directory.grant", 3),
            ("directory.open", 1)
        ]
    );
    assert_eq!(rights(&world), 3);
    assert_eq!(world.end(&session, "k2").await.state, State::Ended);
    assert_eq!(
        world.directory.together.taken(),
        [
            ("directory.close", 1),
            ("directory.revoke", 3),
            ("directory.revoke", 3),
            ("directory.revoke", 3),
            ("directory.rotate", 1)
        ]
    );
    world.closed("jit-tech1");
}

#[tokio::test]
async fn a_right_that_is_refused_takes_those_back_that_were_asked_for_with_it() {
    for refused in [ADMINS, SERVERS, BACKUP] {
        let world = three(true).await;
        world.directory.set(Mood::RefusesRight(refused));
        assert_eq!(world.try_activate("three", "k1", 3600).await, Err(Code::NotDelegated));
        let steps = world.directory.together.taken();
        let asked = steps.iter().filter(|(step, _)| *step == "directory.grant").count();
        assert_eq!(asked, 3, "all were sent: {steps:?}");
        assert!(steps.iter().all(|(step, _)| *step != "directory.open"), "{steps:?}");
        world.closed("jit-tech1");
        // In the plan's order, whichever came first.
        let records = world.ledger.audit(AuditQuery::default()).await.unwrap();
        let failed = records.iter().find(|record| record.details.get("steps").is_some()).unwrap();
        let mut names = [ADMINS, SERVERS, BACKUP].map(|right| format!("directory.grant {right}"));
        names.sort();
        let told: Vec<_> =
            failed.details["steps"].as_array().unwrap().iter().filter_map(|s| s.as_str()).collect();
        assert_eq!(told, [&["directory.create".to_owned()], &names[..]].concat());
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_among_several_is_looked_for_again() {
    for side_by_side in [true, false] {
        let world = three(side_by_side).await;
        world.directory.set(Mood::LosesAnswerOf("directory.grant"));
        let session = world.activate("three", "k1").await;
        assert_eq!(rights(&world), 3);
        world.directory.set(Mood::LosesAnswerOf("directory.revoke"));
        assert_eq!(world.end(&session, "k2").await.state, State::Ended);
        world.closed("jit-tech1");
    }
}

#[tokio::test]
async fn a_right_that_stays_keeps_neither_the_others_nor_the_password() {
    let world = three(true).await;
    let session = world.activate("three", "k1").await;
    world.directory.set(Mood::KeepsRight(SERVERS));
    let ending = world.end(&session, "k2").await;
    assert_eq!(ending.state, State::Ending);
    assert_eq!(ending.trouble.unwrap().problem.code, Code::NotDelegated);
    assert_eq!(world.directory.only().rights, [Right(SERVERS.into())].into());
    assert!(!world.directory.only().enabled && world.directory.passwords.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_directory_that_does_not_say_so_is_asked_one_after_the_other() {
    let world = three(false).await;
    world.activate("three", "k1").await;
    let steps = world.directory.together.taken();
    assert_eq!(steps.len(), 5, "{steps:?}");
    assert!(steps.iter().all(|(_, with)| *with == 1), "{steps:?}");
}
