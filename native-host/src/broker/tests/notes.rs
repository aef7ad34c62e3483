//! Notes in tickets: each once, in their order, whatever is lost, refused or restarted; and no session waits for one.

use ticketgate_psa::{Company, PsaError, Ticket};

use super::tickets::{ALWAYS, Adding, asking, right, world};
use super::*;

const UNVERIFIED: &str = "verified = false";

/// With its deliveries running.
async fn noting(rule: &str) -> World {
    let world = world(rule).await;
    tokio::spawn(Arc::clone(&world.broker).run_deliveries());
    world
}

async fn noting_with_ledger_refusing(name: &'static str) -> World {
    let world = World::with_ledger_refusing(name).await;
    world.broker.load_settings(&asking(ALWAYS)).await.unwrap();
    tokio::spawn(Arc::clone(&world.broker).run_deliveries());
    world
}

impl World {
    /// The last lines of the notes, in their order.
    fn marks(&self) -> Vec<String> {
        let notes = self.psa.notes.lock().unwrap();
        notes.iter().map(|note| note.text.lines().last().unwrap().to_owned()).collect()
    }

    async fn noted(&self, count: usize) {
        self.until(&format!("{count} notes"), || {}, async |world| world.marks().len() >= count).await;
    }

    /// Nothing waits any more.
    async fn all_delivered(&self) {
        let empty = async |world: &Self| world.ledger.note_queues().await.unwrap().is_empty();
        self.until("the queue to be empty", || self.clock.pass(30), empty).await;
    }

    async fn stays_undelivered(&self) {
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert!(self.marks().is_empty(), "{:?}", self.marks());
        }
    }

    /// The process dies and another one starts on the same state and the same ticket system, and delivers.
    async fn noting_after_restart(self, deliveries: Option<tokio::task::JoinHandle<()>>) -> Self {
        if let Some(deliveries) = deliveries {
            deliveries.abort();
            let _ = deliveries.await;
        }
        drop(self.broker);
        let world = Self::with(self.folder, self.clock, self.directory, self.psa, "").await;
        world.broker.load_settings(&asking(ALWAYS)).await.unwrap();
        world.broker.recover().await.unwrap();
        tokio::spawn(Arc::clone(&world.broker).run_deliveries());
        world
    }
}

#[tokio::test]
async fn start_extension_and_end_are_in_the_ticket_in_plain_words_and_in_this_order() {
    let world = noting(ALWAYS).await;
    let session = world.activate("domain", "k1").await;
    world.noted(1).await;
    let key = IdempotencyKey::new("k2").unwrap();
    world.broker.extend(&world.caller("tech1"), &key, &session.id, 1800).await.unwrap();
    world.clock.pass(60);
    world.end(&session, "k3").await;
    world.noted(3).await;
    let id = &session.id;
    let marks = world.marks();
    assert_eq!(marks[0], format!("Ticketgate {id} start."));
    assert!(marks[1].starts_with(&format!("Ticketgate {id} extension ")), "{marks:?}");
    assert_eq!(marks[2], format!("Ticketgate {id} end."));
    let notes = world.psa.notes.lock().unwrap().clone();
    assert!(notes.iter().all(|note| !note.public && note.text.contains(&note.mark)), "{notes:?}");
    let all = notes
        .iter()
        .map(|note| note.text.clone())
        .collect::<Vec<_>>()
        .join("\n\n")
        .replace(id.as_str(), "ID");
    let expected = [
        "Administrator rights were given for this ticket.",
        "Who: tech1",
        "Right: domain (CN=Domain Admins,CN=Users,DC=acme,DC=example)",
        "Customer: Acme Corp",
        "From: 2030-03-17 17:46:40 UTC",
        "Until: 2030-03-17 18:46:40 UTC (1 h)",
        "Until: 2030-03-17 19:16:40 UTC (1 h 30 min)",
        "Before: until 2030-03-17 18:46:40 UTC",
        "Ended: 2030-03-17 17:47:40 UTC (after 1 min)",
        "Why: the technician ended it.",
    ];
    for line in expected {
        assert!(all.lines().any(|one| one == line), "{line} is not in {all}");
    }
    assert!(all.is_ascii() && !all.contains("Late:"), "{all}");
    let passwords = world.directory.passwords.lock().unwrap().clone();
    assert!(passwords.values().all(|password| !all.contains(password.as_str())));
    let counted = async |world: &World| world.ledger.notes_sent().await.unwrap() == 3;
    world.until("three to be counted", || {}, counted).await;
}

#[tokio::test]
async fn each_end_says_why() {
    for (policy, cause) in [("domain", "its time was over."), ("own", "an administrator ended it")] {
        let world = noting(UNVERIFIED).await;
        world.run();
        world.directory.person("tech1", &[]);
        let session = world.activate(policy, "k1").await;
        if policy == "domain" {
            world.clock.pass(3600);
        } else {
            let key = IdempotencyKey::new("k2").unwrap();
            world.broker.end(&world.caller("boss"), &key, &session.id).await.unwrap();
        }
        world.noted(2).await;
        let text = world.psa.notes.lock().unwrap()[1].text.clone();
        assert!(text.contains(cause), "{text}");
    }
}

#[tokio::test]
async fn an_end_that_came_late_says_so() {
    let world = noting(UNVERIFIED).await;
    world.run();
    let session = world.activate("domain", "k1").await;
    world.directory.set(Mood::Down);
    world.end(&session, "k2").await;
    world.clock.pass(600);
    world.directory.set(Mood::Well);
    world.becomes(&session, State::Ended).await;
    world.noted(2).await;
    let text = world.psa.notes.lock().unwrap()[1].text.clone();
    assert!(text.contains("Late: it was to end at 2030-03-17 17:46:40 UTC"), "{text}");
}

#[tokio::test]
async fn a_note_whose_answer_was_lost_is_looked_for_and_not_added_again() {
    let world = noting(ALWAYS).await;
    *world.psa.adding.lock().unwrap() = Some(Adding::LosesItsAnswer);
    let session = world.activate("domain", "k1").await;
    world.all_delivered().await;
    world.end(&session, "k2").await;
    world.all_delivered().await;
    let id = &session.id;
    assert_eq!(world.marks(), [format!("Ticketgate {id} start."), format!("Ticketgate {id} end.")]);
    assert_eq!(world.psa.looked.load(Ordering::SeqCst), 1, "only for the one that was lost");
}

#[tokio::test]
async fn a_note_that_was_being_sent_when_the_broker_died_is_looked_for_by_the_next() {
    let world = world(ALWAYS).await;
    let deliveries = tokio::spawn(Arc::clone(&world.broker).run_deliveries());
    *world.psa.adding.lock().unwrap() = Some(Adding::Hangs);
    let session = world.activate("domain", "k1").await;
    world.noted(1).await;
    let world = world.noting_after_restart(Some(deliveries)).await;
    *world.psa.adding.lock().unwrap() = None;
    world.all_delivered().await;
    assert_eq!(world.marks(), [format!("Ticketgate {} start.", session.id)]);
    assert!(world.psa.looked.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn what_waits_when_the_broker_dies_is_sent_by_the_next() {
    let world = world(ALWAYS).await;
    let session = world.activate("domain", "k1").await;
    let world = world.noting_after_restart(None).await;
    world.all_delivered().await;
    assert_eq!(world.marks(), [format!("Ticketgate {} start.", session.id)]);
    assert_eq!(world.psa.looked.load(Ordering::SeqCst), 0, "nobody had tried to send it");
}

#[tokio::test]
async fn a_write_that_fails_or_whose_answer_is_lost_makes_no_second_note_and_loses_none() {
    for (point, is_written) in [
        ("ledger.note_sending", false),
        ("ledger.note_sending", true),
        ("ledger.note_sent", false),
        ("ledger.note_sent", true),
    ] {
        let world = noting_with_ledger_refusing(point).await;
        world.refusing.writes.store(is_written, Ordering::SeqCst);
        world.refusing.times.store(2, Ordering::SeqCst);
        world.refusing.refuses.store(true, Ordering::SeqCst);
        let session = world.activate("domain", "k1").await;
        assert_eq!(session.state, State::Active, "{point}");
        let refused = async |world: &World| world.refusing.refused.load(Ordering::SeqCst) > 0;
        world.until("the write to be refused", || {}, refused).await;
        // And the broker dies after it.
        let world = world.noting_after_restart(None).await;
        world.all_delivered().await;
        assert_eq!(world.marks(), [format!("Ticketgate {} start.", session.id)], "{point} {is_written}");
    }
}

#[tokio::test]
async fn giving_up_is_on_record_once_however_the_ledger_answers() {
    for is_written in [false, true] {
        let world = noting_with_ledger_refusing("ledger.note_given_up").await;
        world.refusing.writes.store(is_written, Ordering::SeqCst);
        world.refusing.times.store(1, Ordering::SeqCst);
        world.refusing.refuses.store(true, Ordering::SeqCst);
        world.activate("domain", "k1").await;
        *world.psa.adding.lock().unwrap() = Some(Adding::Fails(PsaError::NoSuchTicket));
        world.all_delivered().await;
        let given_up = async |world: &World| {
            world.actions().await.iter().filter(|action| *action == "ticket.note_given_up").count()
        };
        // Sent before it was told otherwise, or given up.
        assert_eq!(given_up(&world).await + world.marks().len(), 1, "{is_written}");
    }
}

#[tokio::test]
async fn no_activation_waits_for_a_ticket_system_or_fails_by_it() {
    for adding in [Adding::Hangs, Adding::Fails(PsaError::Unreachable("no route".into()))] {
        let world = noting(UNVERIFIED).await;
        *world.psa.adding.lock().unwrap() = Some(adding);
        world.psa.tell(Err(PsaError::Unreachable("no route".into())));
        let session = world.activate("domain", "k1").await;
        assert_eq!(session.state, State::Active);
        assert_eq!(world.end(&session, "k2").await.state, State::Ended);
    }
}

#[tokio::test]
async fn a_system_that_is_away_is_asked_after_growing_pauses_and_gets_everything_once_it_is_back() {
    let world = noting(UNVERIFIED).await;
    world.psa.tell(Err(PsaError::Unreachable("no route".into())));
    let session = world.activate("domain", "k1").await;
    world.end(&session, "k2").await;
    // An hour, by steps of ten seconds.
    for _ in 0..360 {
        world.clock.pass(10);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let asked = world.psa.asked();
    assert!((4..=10).contains(&asked), "asked {asked} times");
    world.clock.pass(900);
    let told = async |world: &World| {
        let notices = world.broker.info(&world.caller("boss")).notices;
        notices.iter().any(|notice| notice.text.contains("no route"))
    };
    world.until("a notice", || {}, told).await;
    world.psa.tell(Ok(right()));
    world.all_delivered().await;
    let id = &session.id;
    assert_eq!(world.marks(), [format!("Ticketgate {id} start."), format!("Ticketgate {id} end.")]);
    world.until("no notice", || {}, async |world| !told(world).await).await;
}

#[tokio::test]
async fn a_busy_system_is_left_alone_for_as_long_as_it_says() {
    let world = noting(UNVERIFIED).await;
    *world.psa.adding.lock().unwrap() = Some(Adding::Fails(PsaError::Busy { retry_after_s: 1000 }));
    world.activate("domain", "k1").await;
    let tries = |world: &World| world.psa.added.load(Ordering::SeqCst);
    world.until("the first try", || {}, async |world| tries(world) == 1).await;
    *world.psa.adding.lock().unwrap() = None;
    world.activate("burner", "k2").await;
    for _ in 0..9 {
        world.clock.pass(110);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.stays_undelivered().await;
    assert_eq!(tries(&world), 1, "not even another session's");
    world.clock.pass(20);
    world.noted(2).await;
}

#[tokio::test]
async fn after_seven_days_a_note_is_given_up_on_record() {
    let world = noting(UNVERIFIED).await;
    world.psa.tell(Err(PsaError::Refused("status 401".into())));
    let session = world.activate("domain", "k1").await;
    world.until("the first try", || {}, async |world| world.psa.asked() == 1).await;
    world.clock.pass(7 * 86_400 + 1);
    let given_up = async |world: &World| world.actions().await.iter().any(|a| a == "ticket.note_given_up");
    world.until("it to be given up", || {}, given_up).await;
    let record = world.last("ticket.note_given_up").await;
    assert_eq!((record.chain.as_str(), record.outcome.as_str()), ("acme", "failed"));
    assert_eq!(record.details["session"], session.id.as_str());
    world.psa.tell(Ok(right()));
    world.all_delivered().await;
    assert!(!world.marks().contains(&format!("Ticketgate {} start.", session.id)));
}

#[tokio::test]
async fn a_ticket_that_is_not_there_or_another_customers_gets_no_note() {
    let globex = Company { name: "Globex".into(), ..Company::default() };
    let not_theirs = Ticket { company: Some(globex), ..right() };
    for (told, public) in [
        (Err(PsaError::NoSuchTicket), false),
        (Ok(not_theirs), false),
        (Ok(Ticket { company: None, ..right() }), true),
    ] {
        let world = noting(UNVERIFIED).await;
        if public {
            let text = asking(UNVERIFIED).replace("timeout = \"1s\"", "notes = \"public\"");
            world.broker.load_settings(&text).await.unwrap();
        }
        world.psa.tell(told);
        world.activate("domain", "k1").await;
        world.all_delivered().await;
        assert!(world.marks().is_empty(), "{:?}", world.marks());
        assert!(world.actions().await.iter().any(|action| action == "ticket.note_given_up"));
    }
}

#[tokio::test]
async fn notes_are_public_or_off_where_the_configuration_says_so() {
    for (notes, expected) in [("public", Some(true)), ("private", Some(false)), ("off", None)] {
        let world = noting(ALWAYS).await;
        let text = asking(ALWAYS).replace("timeout = \"1s\"", &format!("notes = \"{notes}\""));
        world.broker.load_settings(&text).await.unwrap();
        let session = world.activate("domain", "k1").await;
        world.end(&session, "k2").await;
        world.all_delivered().await;
        let public = |world: &World| -> Vec<_> {
            world.psa.notes.lock().unwrap().iter().map(|note| note.public).collect()
        };
        assert_eq!(public(&world), expected.map_or(vec![], |public| vec![public; 2]), "{notes}");
        let session = world.activate("domain", "k3").await;
        world.all_delivered().await;
        world.psa.tell(Ok(Ticket { closed: true, ..right() }));
        world.end(&session, "k4").await;
        world.all_delivered().await;
        assert_eq!(
            public(&world).last().copied(),
            expected.map(|_| false),
            "a closed one is not opened by it"
        );
    }
}

#[tokio::test]
async fn without_a_ticket_system_nothing_waits() {
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    world.end(&session, "k2").await;
    assert_eq!(world.ledger.note_queues().await.unwrap(), []);
}

#[tokio::test]
async fn what_did_not_come_true_is_not_told() {
    let world = noting(UNVERIFIED).await;
    world.directory.set(Mood::Refuses("directory.open"));
    world.try_activate("domain", "k1", 3600).await.unwrap_err();
    assert_eq!(world.ledger.note_queues().await.unwrap(), [], "it never began");
    world.directory.set(Mood::Well);
    let session = world.activate("domain", "k2").await;
    world.noted(1).await;
    world.directory.set(Mood::Refuses("directory.set_end"));
    let key = IdempotencyKey::new("k3").unwrap();
    world.broker.extend(&world.caller("tech1"), &key, &session.id, 1800).await.unwrap_err();
    world.directory.set(Mood::Well);
    world.clock.pass(60);
    world.end(&session, "k4").await;
    world.all_delivered().await;
    let id = &session.id;
    assert_eq!(world.marks(), [format!("Ticketgate {id} start."), format!("Ticketgate {id} end.")]);
}
