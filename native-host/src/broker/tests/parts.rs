//! Sessions in two directories of one customer: all or nothing, whatever breaks in one of them.

use tokio::task::JoinHandle;

use super::tickets::{asking, right};
use super::*;

/// A second directory, and policies that grant in both.
pub(super) fn second(base: &str) -> String {
    let policy = |id: &str, first: &str, second: &str| {
        format!(
            "[[policy]]\nid = \"{id}\"\nname = \"{id}\"\ngrant = [\n\
             {{ directory = \"acme-ad\", mode = \"{first}\", rights = [\"{ADMINS}\"] }},\n\
             {{ directory = \"acme-two\", mode = \"{second}\", rights = [\"{SERVERS}\"] }}]\n\
             duration = {{ default = \"1h\", max = \"4h\", choices = [\"1h\", \"4h\"] }}\neligible = {{ groups = [\"tier2\"] }}\n"
        )
    };
    let directory = "[[directory]]\nid = \"acme-two\"\ncustomer = \"acme\"\nkind = \"active_directory\"\nservers = [\"ldaps://dc.two.example\"]\n\
         bind_dn = \"CN=svc,DC=acme,DC=example\"\npassword = { file = \"/none\" }\naccount_unit = \"OU=JIT,DC=acme,DC=example\"\n";
    [
        base.to_owned(),
        directory.to_owned(),
        policy("both", "dedicated", "dedicated"),
        policy("mixed", "burner", "membership"),
    ]
    .join("\n")
}

async fn two() -> World {
    two_with_ledger_refusing("").await
}

async fn two_with_ledger_refusing(name: &'static str) -> World {
    let world = World::with_ledger_refusing(name).await;
    let model = Model::new(Arc::clone(&world.clock));
    assert!(world.directory.second.set(model).is_ok());
    world.broker.load_settings(&second(&configuration())).await.unwrap();
    world
}

impl World {
    fn second(&self) -> Arc<Model> {
        Arc::clone(self.directory.second.get().unwrap())
    }

    /// What either directory still has of it.
    fn left_of_both(&self) -> Vec<String> {
        let mut left = Vec::new();
        for model in [&self.directory, &self.second()] {
            let accounts = model.accounts.lock().unwrap().clone();
            let passwords = model.passwords.lock().unwrap();
            for (name, account) in accounts {
                let password = passwords.contains_key(&name);
                if account.enabled || !account.rights.is_empty() || password {
                    left.push(format!("{name}, its password known {password}: {account:?}"));
                }
            }
        }
        left
    }

    /// Neither directory has anything of it any more.
    fn both_closed(&self) {
        assert_eq!(self.left_of_both(), Vec::<String>::new());
    }

    async fn both_become_closed(&self) {
        for _ in 0..200 {
            if self.left_of_both().is_empty() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        self.both_closed();
    }

    fn both_open(&self) {
        for model in [&self.directory, &self.second()] {
            assert!(model.only().enabled && !model.only().rights.is_empty());
        }
    }

    async fn count(&self, action: &str) -> usize {
        self.actions().await.iter().filter(|one| *one == action).count()
    }

    /// An activation that goes on beside the test.
    fn activating(&self, policy: &'static str) -> JoinHandle<Result<Session, Problem>> {
        let wish = Activate {
            customer: None,
            policy: PolicyId::new(policy).unwrap(),
            duration_s: 3600,
            reason: "#4711 Outlook crashes".into(),
            ticket: None,
        };
        let (broker, caller) = (Arc::clone(&self.broker), self.caller("tech1"));
        let key = IdempotencyKey::new("beside").unwrap();
        tokio::spawn(async move { broker.activate(&caller, &key, &wish).await })
    }

    /// The one session, once its first part is active and its second still waits.
    async fn half(&self) -> Session {
        let first_active = async |world: &Self| {
            let all = world.broker.list(Default::default()).await.unwrap();
            all.first().and_then(|s| s.parts.first()).is_some_and(|part| part.state == State::Active)
        };
        self.until("the first part", || {}, first_active).await;
        let all = self.broker.list(Default::default()).await.unwrap();
        let [session] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!(states(session), [State::Active, State::Activating]);
        assert_eq!(session.state, State::Activating, "not active before every part is");
        session.clone()
    }
}

fn states(session: &Session) -> Vec<State> {
    session.parts.iter().map(|part| part.state).collect()
}

#[tokio::test]
async fn a_session_is_active_when_every_part_was_read_back() {
    let world = two().await;
    let session = world.activate("both", "k1").await;
    assert_eq!((session.state, states(&session)), (State::Active, vec![State::Active; 2]));
    world.both_open();
    let places: Vec<_> = session.parts.iter().map(|part| part.directory.as_str()).collect();
    assert_eq!(places, ["acme-ad", "acme-two"]);
    assert_eq!(world.second().only().end, DirectoryEnd::At(session.expires_at));
    let records = world.ledger.audit(AuditQuery::default()).await.unwrap();
    for action in ["activation.requested", "activation.granted", "part.granted"] {
        assert_eq!(world.count(action).await, 1, "{action}");
    }
    let granted = records.iter().find(|r| r.action == "activation.granted").unwrap();
    assert_eq!(granted.details["parts"].as_array().map(Vec::len), Some(2));
    assert!(records.iter().all(|r| r.details.get("session").is_none_or(|id| id == session.id.as_str())));
    assert_eq!(world.broker.list(Default::default()).await.unwrap(), [session]);
}

#[tokio::test]
async fn a_session_in_one_directory_is_as_it_was() {
    let world = two().await;
    let session = world.activate("domain", "k1").await;
    assert!(session.parts.is_empty());
    assert_eq!(world.directory.looks.load(Ordering::SeqCst), 2);
    assert_eq!(world.count("part.granted").await, 0);
    assert!(world.second().accounts.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_one_directory_refuses_is_taken_back_in_the_other() {
    for step in ["directory.create", "directory.grant", "directory.open"] {
        for refusing in [0, 1] {
            let world = two().await;
            let models = [Arc::clone(&world.directory), world.second()];
            models[refusing].set(Mood::Refuses(step));
            let problem = world.wish("both", "k1", 3600).await.unwrap_err();
            assert_eq!(problem.code, Code::NotDelegated, "{step}");
            let place = ["acme-ad", "acme-two"][refusing];
            assert!(problem.detail.starts_with(place), "it is said where: {}", problem.detail);
            let all = world.broker.list(Default::default()).await.unwrap();
            assert_eq!((all.len(), all[0].state), (1, State::Failed), "{step} {all:?}");
            world.both_closed();
            let told = (world.count("activation.failed").await, world.count("activation.granted").await);
            assert_eq!(told, (1, 0), "{step}");
        }
    }
}

#[tokio::test]
async fn a_directory_that_is_down_leaves_nothing_in_the_other() {
    let world = two().await;
    world.second().set(Mood::Down);
    assert_eq!(world.try_activate("both", "k1", 3600).await, Err(Code::DirectoryDown));
    let all = world.broker.list(Default::default()).await.unwrap();
    assert_eq!((all[0].state, states(&all[0])), (State::Failed, vec![State::Failed; 2]));
    world.both_closed();
    world.second().set(Mood::Well);
    world.activate("both", "k2").await;
    world.both_open();
}

#[tokio::test]
async fn where_both_are_down_it_has_failed_and_nothing_is_left_to_do() {
    let world = two().await;
    world.directory.set(Mood::Down);
    world.second().set(Mood::Down);
    assert_eq!(world.try_activate("both", "k1", 3600).await, Err(Code::DirectoryDown));
    let all = world.broker.list(Default::default()).await.unwrap();
    assert_eq!((all[0].state, states(&all[0])), (State::Failed, vec![State::Failed; 2]));
    assert_eq!(world.count("activation.failed").await, 1);
    assert!(world.broker.untouched.lock().unwrap().is_empty(), "nothing is kept of it");
}

#[tokio::test]
async fn a_broker_that_died_between_two_parts_leaves_none() {
    let world = two().await;
    world.second().set(Mood::Held);
    let work = world.activating("both");
    let session = world.half().await;
    work.abort();
    let _ = work.await;
    let second = world.second();
    let world = world.restarted().await;
    world.broker.load_settings(&super::parts::second(&configuration())).await.unwrap();
    second.set(Mood::Well);
    world.clock.pass(60);
    world.becomes(&session, State::Failed).await;
    // What the one before had under way could not be killed with it here: it ends by itself, and takes back what it still gave.
    world.both_become_closed().await;
}

#[tokio::test]
async fn an_end_waits_for_the_directory_that_is_away_and_only_for_that() {
    let world = two().await;
    world.run();
    let session = world.activate("both", "k1").await;
    world.second().set(Mood::Down);
    let ending = world.end(&session, "k2").await;
    assert_eq!((ending.state, states(&ending)), (State::Ending, vec![State::Ended, State::Ending]));
    let trouble = ending.trouble.unwrap();
    assert_eq!(trouble.problem.code, Code::DirectoryDown);
    assert!(trouble.problem.detail.starts_with("acme-two: "), "{}", trouble.problem.detail);
    assert!(ending.parts[0].trouble.is_none() && ending.ended_at.is_none());
    world.closed("jit-tech1");
    assert_eq!(world.count("session.ended").await, 0);
    world.second().set(Mood::Well);
    world.clock.pass(60);
    let ended = world.becomes(&session, State::Ended).await;
    assert_eq!(ended.end_cause, Some(EndCause::Technician));
    world.both_closed();
    let told = (world.count("session.ending").await, world.count("session.ended").await);
    assert_eq!(told, (1, 1), "once, however many parts");
}

#[tokio::test]
async fn the_time_over_ends_every_part() {
    let world = two().await;
    world.run();
    let session = world.activate("both", "k1").await;
    world.clock.pass(3600);
    let ended = world.becomes(&session, State::Ended).await;
    assert_eq!(ended.end_cause, Some(EndCause::Expired));
    world.both_closed();
}

#[tokio::test]
async fn whoever_closes_one_account_by_hand_ends_the_session() {
    let world = two().await;
    world.run();
    let session = world.activate("both", "k1").await;
    world.second().by_hand("jit-tech1", |account| account.enabled = false);
    world.broker.sweep().await.unwrap();
    let ended = world.becomes(&session, State::Ended).await;
    assert_eq!(ended.end_cause, Some(EndCause::Administrator));
    world.both_closed();
}

#[tokio::test]
async fn an_end_while_a_part_is_activating_ends_all() {
    let world = two().await;
    world.run();
    world.second().set(Mood::Held);
    let work = world.activating("both");
    let session = world.half().await;
    let ending = {
        let (broker, caller, id) = (Arc::clone(&world.broker), world.caller("tech1"), session.id.clone());
        let key = IdempotencyKey::new("k2").unwrap();
        tokio::spawn(async move { broker.end(&caller, &key, &id).await })
    };
    world.becomes(&session, State::Ending).await;
    world.second().set(Mood::Well);
    assert_eq!(ending.await.unwrap().unwrap().state, State::Ended);
    assert_ne!(work.await.unwrap().map(|s| s.state), Ok(State::Active));
    world.both_closed();
}

#[tokio::test]
async fn a_ledger_that_is_lost_between_two_parts_leaves_neither() {
    let world = two_with_ledger_refusing("*").await;
    world.run();
    world.second().set(Mood::Held);
    let work = world.activating("both");
    let session = world.half().await;
    world.refusing.refuses.store(true, Ordering::SeqCst);
    world.second().set(Mood::Well);
    assert_eq!(work.await.unwrap().unwrap_err().code, Code::LedgerDown);
    world.both_closed();
    world.refusing.refuses.store(false, Ordering::SeqCst);
    world.clock.pass(30);
    world.becomes(&session, State::Failed).await;
    world.both_closed();
}

#[tokio::test]
async fn an_extension_moves_every_part_or_none() {
    let world = two().await;
    let session = world.activate("both", "k1").await;
    let extend = async |key: &str| {
        let (caller, key) = (world.caller("tech1"), IdempotencyKey::new(key).unwrap());
        world.broker.extend(&caller, &key, &session.id, 1800).await
    };
    world.second().set(Mood::Refuses("directory.set_end"));
    assert_eq!(extend("k2").await.unwrap_err().code, Code::NotDelegated);
    let after = world.session(&session).await;
    assert_eq!((after.state, after.expires_at), (State::Active, session.expires_at));
    world.second().set(Mood::Well);
    world.broker.sweep().await.unwrap();
    for model in [&world.directory, &world.second()] {
        assert_eq!(model.only().end, DirectoryEnd::At(session.expires_at));
    }
    let longer = extend("k3").await.unwrap();
    assert_eq!(longer.expires_at, session.expires_at + TimeDelta::minutes(30));
    for model in [&world.directory, &world.second()] {
        assert_eq!(model.only().end, DirectoryEnd::At(longer.expires_at));
    }
    let told = (world.count("session.extended").await, world.count("session.extension_failed").await);
    assert_eq!(told, (2, 1));
}

#[tokio::test]
async fn a_part_that_ends_takes_nothing_that_another_session_needs() {
    let world = two().await;
    let alone = world.activate("servers", "k1").await;
    let both = world.activate("both", "k2").await;
    assert_eq!(world.directory.only().rights.len(), 2);
    world.end(&both, "k3").await;
    let account = world.directory.only();
    assert!(account.enabled && account.rights == [Right(SERVERS.into())].into(), "{account:?}");
    assert!(!world.second().only().enabled);
    // And what fails beside it takes nothing either.
    world.second().set(Mood::Refuses("directory.open"));
    assert_eq!(world.try_activate("both", "k4", 3600).await, Err(Code::NotDelegated));
    assert!(world.directory.only().enabled);
    assert_eq!(world.directory.only().rights, [Right(SERVERS.into())].into());
    world.second().set(Mood::Well);
    world.end(&alone, "k5").await;
    world.both_closed();
}

#[tokio::test]
async fn each_part_has_its_own_password_and_only_what_is_named_is_handed_over() {
    let world = two().await;
    let session = world.activate("both", "k1").await;
    let caller = world.caller("tech1");
    let of = |directory: &str| PasswordWanted { directory: directory.parse().ok(), ..Default::default() };
    let unnamed = world.broker.password(&caller, &session.id, PasswordWanted::default()).await.unwrap_err();
    assert_eq!(unnamed.code, Code::MalformedRequest);
    assert!(unnamed.detail.contains("acme-ad, acme-two"), "{}", unnamed.detail);
    let elsewhere = world.broker.password(&caller, &session.id, of("globex-ad")).await.unwrap_err();
    assert_eq!(elsewhere.code, Code::MalformedRequest);
    for (directory, model) in [("acme-ad", &world.directory), ("acme-two", &world.second())] {
        let over = world.broker.password(&caller, &session.id, of(directory)).await.unwrap();
        assert_eq!(model.passwords.lock().unwrap().get("jit-tech1"), Some(&*over.password), "{directory}");
    }
    let renewed = PasswordWanted { renew: true, ..of("acme-two") };
    let over = world.broker.password(&caller, &session.id, renewed).await.unwrap();
    assert_eq!(world.second().passwords.lock().unwrap().get("jit-tech1"), Some(&*over.password));
    assert_eq!(world.session(&session).await.state, State::Active);
}

#[tokio::test]
async fn the_only_password_needs_no_name() {
    let world = two().await;
    world.second().person("tech1", &[]);
    let session = world.activate("mixed", "k1").await;
    assert!(!session.passwordless && session.password_held);
    assert!(session.parts[1].passwordless);
    let caller = world.caller("tech1");
    world.broker.password(&caller, &session.id, PasswordWanted::default()).await.unwrap();
    world.end(&session, "k2").await;
    assert!(world.directory.accounts.lock().unwrap().is_empty(), "the burner account is gone");
    let own = world.second().account("tech1").unwrap();
    assert!(own.enabled && own.rights.is_empty(), "{own:?}");
}

#[tokio::test]
async fn a_repeat_finds_the_whole_session_and_the_brake_ends_it_once() {
    let world = two().await;
    let first = world.activate("both", "k1").await;
    assert_eq!(world.activate("both", "k1").await, first);
    let all = EndAll { customer: Some(CustomerId::new("acme").unwrap()), technician: None };
    let ended = world.broker.end_all(&world.caller("boss"), &all).await.unwrap();
    assert_eq!(ended.iter().map(|s| s.state).collect::<Vec<_>>(), [State::Ended]);
    world.both_closed();
    assert_eq!(world.count("session.ended").await, 1);
}

#[tokio::test]
async fn a_closed_ticket_ends_every_part_and_is_told_once_with_all_rights() {
    let rule = "verified = \"always\", end_when_closed = true";
    let world = two().await;
    let policy = second(&asking(rule))
        .replace("grant = [", &format!("ticket = {{ required = true, {rule} }}\ngrant = ["));
    world.broker.load_settings(&policy).await.unwrap();
    world.psa.tell(Ok(right()));
    world.run();
    tokio::spawn(Arc::clone(&world.broker).run_closing());
    tokio::spawn(Arc::clone(&world.broker).run_deliveries());
    let session = world.activate("both", "k1").await;
    world.psa.tell(Ok(ticketgate_psa::Ticket { closed: true, status: "resolved".into(), ..right() }));
    let told = async |world: &World| world.session(&session).await.end_cause.is_some();
    world.until("the session to be shortened", || world.clock.pass(10), told).await;
    let closing = world.session(&session).await;
    assert_eq!((closing.state, closing.end_cause), (State::Active, Some(EndCause::TicketClosed)));
    let until = closing.expires_at;
    let moved = async |world: &World| {
        let ends = [world.directory.only().end, world.second().only().end];
        ends.iter().all(|end| *end == DirectoryEnd::At(until))
    };
    world.until("both directories' ends", || {}, moved).await;
    world.clock.pass(61);
    world.becomes(&session, State::Ended).await;
    world.both_closed();
    assert_eq!(world.count("session.ticket_closed").await, 1);
    let two_notes = async |world: &World| world.psa.notes.lock().unwrap().len() >= 2;
    world.until("both notes", || world.clock.pass(10), two_notes).await;
    let notes: Vec<_> = world.psa.notes.lock().unwrap().iter().map(|note| note.text.clone()).collect();
    assert_eq!(notes.len(), 2, "one for its beginning, one for its end: {notes:#?}");
    for note in &notes {
        let rights = note.lines().find(|line| line.starts_with("Right: ")).unwrap();
        assert!(rights.contains(" in acme-ad") && rights.contains(" in acme-two"), "{rights}");
    }
}

#[tokio::test]
async fn whichever_write_is_a_brokers_last_no_part_is_left_alone() {
    let mut deaths = 0;
    for (writes, is_there) in (0..12).flat_map(|n| [(n, false), (n, true)]) {
        let at = format!("{writes} {is_there}");
        let world = two().await;
        world.refusing.writes.store(is_there, Ordering::SeqCst);
        world.refusing.dies_after.store(writes, Ordering::SeqCst);
        let died = |world: &World| world.refusing.died.load(Ordering::SeqCst);
        let work = world.activating("both");
        world.until(&at, || {}, async |world| work.is_finished() || died(world)).await;
        let mut ending = None;
        if work.is_finished() {
            let session = work.await.unwrap().unwrap();
            let (broker, caller, id) = (Arc::clone(&world.broker), world.caller("tech1"), session.id);
            let key = IdempotencyKey::new("k2").unwrap();
            let end = tokio::spawn(async move { broker.end(&caller, &key, &id).await });
            world.until(&at, || {}, async |world| end.is_finished() || died(world)).await;
            ending = Some(end);
        }
        deaths += u32::from(died(&world));
        let ended = ending.is_some_and(|end| end.is_finished());
        // What was under way at the directories comes to its next write, and no further.
        tokio::time::sleep(Duration::from_millis(30)).await;
        let world = world.restarted().await;
        world.broker.load_settings(&second(&configuration())).await.unwrap();
        let settled = async |world: &World| {
            let all = world.broker.list(Default::default()).await.unwrap();
            all.iter().all(|s| !matches!(s.state, State::Activating | State::Ending))
                && world.ledger.accounts().await.unwrap().iter().all(|account| account.settled)
        };
        world.until(&at, || world.clock.pass(5), settled).await;
        let all = world.broker.list(Default::default()).await.unwrap();
        match all.as_slice() {
            [session] if session.state == State::Active => {
                assert!(!ended, "{at}");
                world.both_open();
            }
            _ => world.both_closed(),
        }
        assert!(
            all.len() <= 1 && all.iter().all(|s| states(s).iter().all(|state| *state == s.state)),
            "{at}: {all:?}"
        );
    }
    assert!(deaths >= 10, "the writes of an activation and an end were met: {deaths}");
}
