//! Who may do what, how often, and what is recorded of those who may not.

use super::*;

fn two_technicians() -> String {
    configuration().replace(
        "[[technician]]\nid = \"boss\"",
        "[[technician]]\nid = \"tech2\"\ngroups = [\"tier2\"]\n[[technician]]\nid = \"boss\"",
    )
}

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).unwrap()
}

#[tokio::test]
async fn reaching_for_anothers_session_is_recorded_and_tells_nothing() {
    let world = World::new().await;
    world.broker.load_settings(&two_technicians()).await.unwrap();
    let session = world.activate("domain", "k1").await;
    let other = world.caller("tech2");
    let nowhere = ticketgate_protocol::ids::SessionId::new("s-none").unwrap();
    let wish = PasswordWanted { renew: true, once: true, ..PasswordWanted::default() };
    for n in 0..30 {
        let mut told = Vec::new();
        for id in [&session.id, &nowhere] {
            told.push(world.broker.end(&other, &key(&format!("e{n}")), id).await.unwrap_err());
            told.push(world.broker.extend(&other, &key(&format!("x{n}")), id, 60).await.unwrap_err());
            told.push(world.broker.password(&other, id, wish.clone()).await.unwrap_err());
        }
        assert!(told.iter().all(|p| *p == told[0]), "{told:?}");
    }
    let own = AuditQuery { technician: other.technician.clone(), ..AuditQuery::default() };
    for record in world.ledger.audit(own).await.unwrap() {
        let text = record.details.to_string();
        assert!(record.chain == "-" && !text.contains("Outlook") && !text.contains("tech1"), "{record:?}");
    }
    assert_eq!(world.session(&session).await.state, State::Active);
    let actions = world.actions().await;
    let refused = actions.iter().filter(|a| *a == "session.refused").count();
    assert_eq!(refused, 20, "as many as a technician has requests in a minute");
    assert_eq!(actions.iter().filter(|a| *a == "requests.refused").count(), 1, "a flood is one record");
}

#[tokio::test]
async fn a_flood_of_good_requests_is_bounded_too_and_an_end_never_is() {
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    let caller = world.caller("tech1");
    let renew = PasswordWanted { renew: true, once: false, ..PasswordWanted::default() };
    let mut refused = 0;
    for n in 0..15 {
        let extended = world.broker.extend(&caller, &key(&format!("x{n}")), &session.id, 10).await;
        let renewed = world.broker.password(&caller, &session.id, renew.clone()).await;
        refused += usize::from(extended.is_err_and(|p| p.code == Code::RateLimited));
        refused += usize::from(renewed.is_err_and(|p| p.code == Code::RateLimited));
    }
    assert_eq!(refused, 30 - 19);
    let before = world.actions().await.len();
    for n in 0..50 {
        assert_eq!(world.try_activate("servers", &format!("f{n}"), 3600).await, Err(Code::RateLimited));
    }
    assert_eq!(world.actions().await.len(), before, "a flood does not fill the log");
    assert_eq!(world.end(&session, "k2").await.state, State::Ended);
}

#[tokio::test]
async fn the_brake_in_the_wrong_hand_is_recorded() {
    let world = World::new().await;
    let all = EndAll { customer: Some(CustomerId::new("acme").unwrap()), technician: None };
    world.broker.end_all(&world.caller("tech1"), &all).await.unwrap_err();
    assert!(world.actions().await.iter().any(|a| a == "end_all.refused"));
}

#[tokio::test]
async fn a_stranger_is_not_told_what_is_wrong_with_the_configuration() {
    let world = World::new().await;
    world.broker.load_settings("[[policy]]\nid = 3\n").await.unwrap_err();
    assert!(world.broker.info(&world.caller("mallory")).notices.is_empty());
    assert!(!world.broker.info(&world.caller("tech1")).notices.is_empty());
}

#[test]
fn the_brokers_own_user_may_sweep_and_another_technician_may_not() {
    let caller = Caller::identify(None, "ticketgate", false);
    assert!(caller.require_own_or_administrator().is_err());
    assert!(Caller { own: true, ..caller.clone() }.require_own_or_administrator().is_ok());
    assert!(Caller { own: true, ..caller }.require_administrator().is_err());
}

#[tokio::test]
async fn the_brake_ends_what_it_can() {
    let world = World::with_ledger_refusing("ledger.session_ending").await;
    let first = world.activate("domain", "k1").await;
    let second = world.activate("burner", "k2").await;
    world.refusing.refuses.store(true, Ordering::SeqCst);
    world.refusing.times.store(1, Ordering::SeqCst);
    let all = EndAll { customer: Some(CustomerId::new("acme").unwrap()), technician: None };
    let refused = world.broker.end_all(&world.caller("boss"), &all).await.unwrap_err();
    assert_eq!(refused.code, Code::LedgerDown, "it does not call the brake a success");
    let states = [world.session(&first).await.state, world.session(&second).await.state];
    assert!(states.contains(&State::Ended) && states.contains(&State::Active), "{states:?}");
}

#[tokio::test]
async fn a_password_asked_for_when_the_end_comes_is_refused_since_the_session_is_over() {
    // The end comes before anybody asks, while the account is looked at, and while the new password is on its way.
    for (left, mood) in [(0, Mood::Well), (1, Mood::Slow(1)), (1, Mood::RefusesAfter("directory.open", 1))] {
        for renew in [true, false] {
            let world = World::new().await;
            let session = world.activate("domain", "k1").await;
            world.clock.pass(3600 - left);
            world.directory.set(mood);
            let wish = PasswordWanted { renew, ..PasswordWanted::default() };
            let answer = world.broker.password(&world.caller("tech1"), &session.id, wish).await;
            if renew || left == 0 {
                let refused = answer.unwrap_err();
                assert_eq!(refused.code, Code::WrongState, "{mood:?}: {refused:?}");
                assert_eq!(refused.detail, "The session is over.");
            } else {
                // Nobody has to look at the directory for one that is held.
                answer.unwrap();
            }
            world.directory.set(Mood::Well);
            world.clock.pass(60);
            world.broker.sweep().await.unwrap();
            assert_eq!(world.session(&session).await.state, State::Ended);
            world.closed("jit-tech1");
        }
    }
}

#[tokio::test]
async fn what_a_directory_refuses_while_a_session_goes_on_is_said_as_it_is() {
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    world.directory.set(Mood::RefusesAfter("directory.open", 1));
    let wish = PasswordWanted { renew: true, ..PasswordWanted::default() };
    let refused = world.broker.password(&world.caller("tech1"), &session.id, wish).await.unwrap_err();
    assert_eq!(refused.code, Code::DirectoryRefused, "{refused:?}");
}
