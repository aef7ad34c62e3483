//! The ledger or the directory fails at a bad moment.

use super::*;

#[tokio::test]
async fn a_right_given_to_a_persons_own_account_is_taken_back_when_it_cannot_be_recorded() {
    let world = World::with_ledger_refusing("ledger.session_active ledger.activation_given_up").await;
    world.directory.person("tech1", &[SERVERS]);
    world.refusing.refuses.store(true, Ordering::SeqCst);
    assert_eq!(world.try_activate("own", "k1", 3600).await, Err(Code::LedgerDown));
    assert_eq!(world.directory.only().rights, [Right(SERVERS.into())].into());
}

#[tokio::test]
async fn a_repeat_of_what_failed_while_the_ledger_was_away_is_not_told_to_try_the_same_once_more() {
    let world = World::with_ledger_refusing("ledger.session_active ledger.activation_given_up").await;
    world.refusing.refuses.store(true, Ordering::SeqCst);
    assert_eq!(world.try_activate("domain", "k1", 3600).await, Err(Code::LedgerDown));
    world.refusing.refuses.store(false, Ordering::SeqCst);
    world.clock.pass(60);
    world.broker.sweep().await.unwrap();
    for _ in 0..2 {
        assert_eq!(world.try_activate("domain", "k1", 3600).await, Err(Code::TakenBack));
    }
    assert_eq!(world.activate("domain", "k2").await.state, State::Active);
}

#[tokio::test]
async fn what_is_refused_after_the_sessions_own_end_is_not_called_a_refusal_of_the_directory() {
    let world = World::new().await;
    for (after, key, code) in [(60, "k1", Code::DirectoryRefused), (3_601, "k2", Code::TakenBack)] {
        world.directory.set(Mood::RefusesAfter("directory.open", after));
        assert_eq!(world.try_activate("domain", key, 3600).await, Err(code), "after {after} s");
        world.directory.set(Mood::Well);
        world.broker.sweep().await.unwrap();
    }
    assert!(!world.directory.only().enabled && world.directory.only().rights.is_empty());
}

#[tokio::test]
async fn a_new_password_is_set_also_where_others_write_the_account_meanwhile() {
    let world = World::with_ledger_refusing("ledger.password_renewed").await;
    let session = world.activate("domain", "k1").await;
    world.refusing.conflicts.store(true, Ordering::SeqCst);
    world.refusing.refuses.store(true, Ordering::SeqCst);
    world.refusing.times.store(2, Ordering::SeqCst);
    let renew = PasswordWanted { renew: true, ..PasswordWanted::default() };
    let caller = world.caller("tech1");
    let over = world.broker.password(&caller, &session.id, renew.clone()).await.unwrap();
    assert_eq!(world.directory.passwords.lock().unwrap().get("jit-tech1"), Some(&*over.password));
    world.refusing.times.store(u32::MAX, Ordering::SeqCst);
    let refused = world.broker.password(&caller, &session.id, renew).await.unwrap_err();
    assert_eq!(refused.code, Code::Internal, "others who write without an end are said");
}

#[tokio::test]
async fn an_end_is_written_however_often_others_change_its_rows_meanwhile() {
    let world = World::with_ledger_refusing("ledger.session_ending").await;
    let (first, second) = (world.activate("domain", "k1").await, world.activate("burner", "k2").await);
    world.refusing.conflicts.store(true, Ordering::SeqCst);
    world.refusing.refuses.store(true, Ordering::SeqCst);
    world.refusing.times.store(30, Ordering::SeqCst);
    assert_eq!(world.end(&first, "k3").await.state, State::Ended);
    world.refusing.times.store(60, Ordering::SeqCst);
    let all = EndAll { customer: Some(CustomerId::new("acme").unwrap()), technician: None };
    world.broker.end_all(&world.caller("boss"), &all).await.unwrap();
    assert_eq!(world.session(&second).await.state, State::Ended);
    assert_eq!(world.refusing.refused.load(Ordering::SeqCst), 60);
}

#[tokio::test]
async fn an_end_whose_retry_cannot_be_recorded_is_retried_all_the_same() {
    let world = World::with_ledger_refusing("ledger.retry").await;
    world.run();
    let session = world.activate("domain", "k1").await;
    world.refusing.refuses.store(true, Ordering::SeqCst);
    world.directory.set(Mood::Down);
    assert_eq!(world.end(&session, "k2").await.state, State::Ending);
    world.directory.set(Mood::Well);
    world.clock.pass(10);
    world.becomes(&session, State::Ended).await;
}

#[tokio::test]
async fn what_is_over_is_taken_away_also_while_the_ledger_cannot_be_written() {
    for policy in ["domain", "burner", "own"] {
        let world = World::with_ledger_refusing("*").await;
        world.directory.person("tech1", &[]);
        let session = world.activate(policy, "k1").await;
        world.refusing.refuses.store(true, Ordering::SeqCst);
        world.clock.pass(3601);
        world.broker.sweep().await.unwrap();
        let left: Vec<_> =
            world.directory.accounts.lock().unwrap().values().flat_map(|a| a.rights.clone()).collect();
        assert!(left.is_empty(), "{policy}: {left:?}");
        assert_eq!(world.session(&session).await.state, State::Active, "{policy}: not reported as ended");
        world.refusing.refuses.store(false, Ordering::SeqCst);
        world.broker.sweep().await.unwrap();
        assert_eq!(world.session(&session).await.state, State::Ended, "{policy}");
    }
}

#[tokio::test]
async fn what_is_over_is_taken_away_also_while_the_ledger_cannot_even_be_read() {
    for policy in ["domain", "burner", "own"] {
        let world = World::with_ledger_refusing("*").await;
        world.directory.person("tech1", &[]);
        world.activate(policy, "k1").await;
        world.run();
        world.refusing.refuses.store(true, Ordering::SeqCst);
        world.refusing.readable.store(0, Ordering::SeqCst);
        world.clock.pass(3601);
        let held = || -> Vec<_> {
            world.directory.accounts.lock().unwrap().values().flat_map(|a| a.rights.clone()).collect()
        };
        world.until("the right to be taken", || {}, async |_| held().is_empty()).await;
    }
}

/// Whichever read fails, and every read and write after it: what the caller is told of as failed is taken back at once, and
/// stays so when the ledger is back.
#[tokio::test]
async fn an_activation_that_the_ledger_forgets_on_the_way_is_taken_back_and_not_completed_later() {
    for policy in ["domain", "burner", "own"] {
        let mut reads = 0;
        loop {
            let world = World::with_ledger_refusing("").await;
            world.directory.person("tech1", &[]);
            world.run();
            world.refusing.readable.store(reads, Ordering::SeqCst);
            let result = world.try_activate(policy, "k1", 3600).await;
            if result.is_ok() {
                break;
            }
            assert_eq!(result, Err(Code::LedgerDown), "{policy} {reads}");
            let sessions = world.ledger.sessions(Default::default()).await.unwrap();
            // Only the answer was lost: it was read back and is on record.
            if sessions.first().is_none_or(|session| session.state != State::Active) {
                let accounts = world.directory.accounts.lock().unwrap().clone();
                let jit = |name: &str| name != "tech1";
                let open = |(name, seen): (&String, &ticketgate_access::desired::ObservedAccount)| {
                    !seen.rights.is_empty() || jit(name) && seen.enabled
                };
                assert!(!accounts.iter().any(open), "{policy} {reads}: {accounts:?}");
                world.refusing.readable.store(u32::MAX, Ordering::SeqCst);
                world.clock.pass(10);
                for session in world.broker.list(Default::default()).await.unwrap() {
                    world.becomes(&session, State::Failed).await;
                }
            }
            reads += 1;
        }
        assert!(reads > 3, "{policy}: {reads}");
    }
}

#[tokio::test]
async fn a_ledger_that_cannot_be_written_is_not_asked_without_a_pause() {
    let world = World::with_ledger_refusing("*").await;
    world.activate("domain", "k1").await;
    world.run();
    world.refusing.refuses.store(true, Ordering::SeqCst);
    world.clock.pass(3601);
    let asked = || world.refusing.refused.load(Ordering::SeqCst);
    world.until("the ledger to be asked", || {}, async |_| asked() > 0).await;
    // Without a pause it would be thousands of times.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(asked() <= 4, "asked {} times", asked());
}

#[tokio::test]
async fn an_extension_that_was_refused_is_undone_as_soon_as_the_ledger_can_be_written() {
    for (times, written, at_once) in [(1, false, true), (1, true, true), (u32::MAX, false, false)] {
        let world = World::with_ledger_refusing("ledger.extension_undone").await;
        world.run();
        let running = world.activate("domain", "k0").await;
        world.refusing.times.store(times, Ordering::SeqCst);
        world.refusing.writes.store(written, Ordering::SeqCst);
        world.refusing.refuses.store(true, Ordering::SeqCst);
        world.directory.set(Mood::Refuses("directory.set_end"));
        let key = IdempotencyKey::new("k2").unwrap();
        world.broker.extend(&world.caller("tech1"), &key, &running.id, 600).await.unwrap_err();
        assert!(world.refusing.refused.load(Ordering::SeqCst) > 0);
        assert_eq!(
            world.session(&running).await.expires_at == running.expires_at,
            at_once,
            "{times} {written}"
        );
        world.directory.set(Mood::Well);
        world.refusing.refuses.store(false, Ordering::SeqCst);
        let as_told = |end| end == running.expires_at;
        world
            .until(
                "the end that was told",
                || {},
                async |world| {
                    as_told(world.session(&running).await.expires_at)
                        && world.directory.only().end == DirectoryEnd::At(running.expires_at)
                },
            )
            .await;
    }
}

/// Whichever write fails, for however long: no account is open beyond the end that the ledger has for it, nobody is told
/// of an end that is none, and when the ledger is back everything is settled.
#[tokio::test]
async fn whichever_write_fails_nothing_stays_and_nothing_is_reported_wrongly() {
    let writes = [
        "ledger.account_known",
        "ledger.session_active",
        "ledger.settled",
        "ledger.session_extended",
        "ledger.session_ending",
        "ledger.session_due",
        "ledger.session_ended",
        "ledger.activation_given_up",
        "ledger.extension_undone",
        "ledger.password_renewed",
        "ledger.password_delivered",
        "ledger.retry",
        "ledger.account_differs",
        "*",
    ];
    for name in writes {
        for policy in ["domain", "burner", "own"] {
            let world = World::with_ledger_refusing(name).await;
            world.directory.person("tech1", &[]);
            world.run();
            let running = world.activate("domain", "k0").await;
            world.refusing.refuses.store(true, Ordering::SeqCst);
            let granted = world.try_activate(policy, "k1", 7200).await;
            let key = IdempotencyKey::new("k2").unwrap();
            let _ = world.broker.extend(&world.caller("tech1"), &key, &running.id, 600).await;
            let renew = PasswordWanted { renew: true, once: false, ..PasswordWanted::default() };
            let _ = world.broker.password(&world.caller("tech1"), &running.id, renew).await;
            if let Ok(session) = &granted {
                let key = IdempotencyKey::new("k3").unwrap();
                let _ = world.broker.end(&world.caller("tech1"), &key, &session.id).await;
            }
            for session in world.broker.list(Default::default()).await.unwrap() {
                let over = matches!(session.state, State::Ended | State::Failed);
                let brings = session.rights[0].clone();
                let open = world.directory.accounts.lock().unwrap().values().any(|a| {
                    Some(&a.display_name) == session.account.as_ref()
                        && a.rights.contains(&Right(brings.clone()))
                });
                let shared = session.id != running.id && policy == "domain";
                assert!(!(over && open) || shared, "{name} {policy}: {session:?}");
            }
            world.clock.pass(8000);
            let left = || -> Vec<_> {
                let accounts = world.directory.accounts.lock().unwrap();
                accounts.values().filter(|a| a.enabled).flat_map(|a| a.rights.clone()).collect()
            };
            let what = format!("nothing to be open: {name} {policy}");
            world.until(&what, || {}, async |_| left().is_empty()).await;
            world.refusing.refuses.store(false, Ordering::SeqCst);
            let over = |session: &Session| matches!(session.state, State::Ended | State::Failed);
            let what = format!("everything to be over: {name} {policy}");
            world
                .until(
                    &what,
                    || world.clock.pass(60),
                    async |world| world.broker.list(Default::default()).await.unwrap().iter().all(over),
                )
                .await;
            assert!(world.ledger.verify(None).await.unwrap().whole);
        }
    }
}

#[tokio::test]
async fn a_right_that_cannot_be_taken_away_does_not_keep_the_others() {
    const BY_HAND: &str = "CN=A Group of Others,DC=acme,DC=example";
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    world.directory.by_hand("jit-tech1", |a| _ = a.rights.insert(Right(BY_HAND.into())));
    world.directory.set(Mood::KeepsRight(BY_HAND));
    assert_eq!(world.end(&session, "k2").await.state, State::Ending);
    let account = world.directory.only();
    assert!(!account.enabled);
    assert_eq!(account.rights, [Right(BY_HAND.into())].into(), "ours is gone");
    assert!(world.directory.passwords.lock().unwrap().is_empty(), "and so is the password");
    assert_eq!(
        world.try_activate("domain", "k3", 3600).await,
        Err(Code::NotDelegated),
        "nothing is opened on top of it"
    );
    assert!(!world.directory.only().enabled);
}

#[tokio::test]
async fn clocks_that_drift_apart_do_not_keep_an_ended_sessions_right() {
    let world = World::new().await;
    world.try_activate("domain", "k1", 7200).await.unwrap();
    let second = world.activate("servers", "k2").await;
    *world.directory.skew.lock().unwrap() = TimeDelta::seconds(900);
    let ending = world.end(&second, "k3").await;
    assert_eq!(world.directory.only().rights, [Right(ADMINS.into())].into());
    assert!(world.directory.only().enabled);
    assert_eq!(ending.state, State::Ending, "the end could not be verified whole");
}

#[tokio::test]
async fn the_sweep_looks_at_burner_accounts_that_are_in_use() {
    let world = World::new().await;
    world.activate("burner", "k1").await;
    let name = world.directory.accounts.lock().unwrap().keys().next().unwrap().clone();
    world.directory.by_hand(&name, |a| _ = a.rights.insert(Right(SERVERS.into())));
    world.broker.sweep().await.unwrap();
    assert_eq!(world.directory.only().rights, [Right(ADMINS.into())].into());
}

#[tokio::test]
async fn an_overlapping_session_that_fails_leaves_the_running_one_as_it_was() {
    for step in ["directory.grant", "directory.set_end"] {
        let world = World::new().await;
        world.activate("domain", "k1").await;
        let (account, passwords) =
            (world.directory.only(), world.directory.passwords.lock().unwrap().clone());
        world.directory.set(Mood::Refuses(step));
        assert_eq!(world.try_activate("servers", "k2", 7200).await, Err(Code::NotDelegated), "{step}");
        world.directory.set(Mood::Well);
        world.broker.sweep().await.unwrap();
        assert_eq!(world.directory.only(), account, "{step}");
        assert_eq!(*world.directory.passwords.lock().unwrap(), passwords, "{step}");
    }
}

#[tokio::test]
async fn a_slow_look_is_no_difference_of_the_clocks_and_hides_none() {
    for skew in [0, -7, 12] {
        let world = World::new().await;
        *world.directory.skew.lock().unwrap() = TimeDelta::seconds(skew);
        let session = world.activate("domain", "k1").await;
        let end = DirectoryEnd::At(session.expires_at + TimeDelta::seconds(skew));
        assert_eq!(world.directory.only().end, end);
        world.directory.set(Mood::Slow(20));
        world.broker.sweep().await.unwrap();
        assert_eq!(world.directory.only().end, end);
        assert!(!world.actions().await.contains(&"account.differs".to_owned()), "{skew}");
    }
}

#[tokio::test]
async fn a_broker_that_starts_on_a_ledger_that_cannot_be_written_takes_back_what_was_under_way() {
    let world = World::with_ledger_refusing("ledger.session_active ledger.activation_given_up").await;
    world.refusing.refuses.store(true, Ordering::SeqCst);
    assert_eq!(world.try_activate("domain", "k1", 3600).await, Err(Code::LedgerDown));
    // As if the process had died right after the grant.
    world.directory.by_hand("jit-tech1", |a| {
        a.enabled = true;
        a.rights.insert(Right(ADMINS.into()));
    });
    let next = World::on(world.folder, world.clock, world.directory, "*").await;
    next.refusing.refuses.store(true, Ordering::SeqCst);
    assert!(next.broker.record_life("broker.started").await.is_err());
    assert_eq!(next.broker.recover().await.unwrap(), 1);
    next.broker.sweep().await.unwrap();
    next.closed("jit-tech1");
    next.refusing.refuses.store(false, Ordering::SeqCst);
    next.broker.sweep().await.unwrap();
    let sessions = next.ledger.sessions(ticketgate_ledger::SessionFilter::default()).await.unwrap();
    assert_eq!(sessions.iter().map(|s| s.state).collect::<Vec<_>>(), [State::Failed]);
}

#[tokio::test]
async fn a_clock_set_back_ends_what_was_open_also_where_the_next_broker_cannot_write_that() {
    for policy in ["domain", "burner", "own"] {
        let world = World::new().await;
        world.directory.person("tech1", &[]);
        let session = world.activate(policy, "k1").await;
        world.clock.pass(-600);
        let next = World::on(world.folder, world.clock, world.directory, "*").await;
        next.refusing.refuses.store(true, Ordering::SeqCst);
        assert_eq!(next.broker.recover().await.unwrap(), 1, "{policy}: due at once");
        next.run();
        let held = || -> Vec<_> {
            next.directory.accounts.lock().unwrap().values().flat_map(|a| a.rights.clone()).collect()
        };
        next.until("the right to be taken", || {}, async |_| held().is_empty()).await;
        assert_eq!(next.session(&session).await.state, State::Active, "{policy}: not reported as ended");
        next.refusing.refuses.store(false, Ordering::SeqCst);
        next.clock.pass(10);
        let ended = next.becomes(&session, State::Ended).await;
        assert_eq!(ended.end_cause, Some(EndCause::ClockSetBack), "{policy}");
    }
}

#[tokio::test]
async fn a_wish_that_the_directory_cannot_even_be_asked_about_is_on_record() {
    for (policy, record) in [("own", "activation.refused"), ("domain", "activation.failed")] {
        let world = World::new().await;
        world.directory.set(Mood::Down);
        assert_eq!(world.try_activate(policy, "k1", 3600).await, Err(Code::DirectoryDown));
        let actions = world.actions().await;
        assert_eq!(actions.iter().filter(|a| *a == record).count(), 1, "{policy}: {actions:?}");
    }
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_counts_as_written() {
    for name in ["ledger.session_begin", "ledger.session_active", "ledger.session_ending", "*"] {
        let world = World::with_ledger_refusing(name).await;
        world.refusing.writes.store(true, Ordering::SeqCst);
        world.refusing.refuses.store(true, Ordering::SeqCst);
        let session = world.activate("domain", "k1").await;
        assert_eq!(session.state, State::Active, "{name}");
        assert!(world.directory.only().enabled, "{name}");
        assert_eq!(world.end(&session, "k2").await.state, State::Ended, "{name}");
        world.closed("jit-tech1");
    }
}

/// More accounts than are worked on at once: what was done is read back and recorded later than the others lose their rights.
#[tokio::test]
async fn of_many_ends_at_once_every_right_goes_before_what_went_is_read_back() {
    let world = World::new().await;
    let many = configuration().replace("rate = {", "sessions_at_once = 60\nrate = { per_hour = 60,");
    world.broker.load_settings(&many).await.unwrap();
    let mut sessions = Vec::new();
    for n in 0..60 {
        sessions.push(world.activate("burner", &format!("k{n}")).await);
        world.clock.pass(4);
    }
    world.directory.set(Mood::HeldOnceClosed);
    world.clock.pass(3600);
    world.run();
    let none_open = async |world: &World| world.directory.accounts.lock().unwrap().is_empty();
    world.until("every account to be gone", || {}, none_open).await;
    for session in &sessions {
        assert_eq!(world.session(session).await.state, State::Ending);
    }
    world.directory.set(Mood::Well);
    for session in &sessions {
        world.becomes(session, State::Ended).await;
    }
}
