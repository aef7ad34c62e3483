//! What a lost, damaged or older ledger no longer knows: it is ended as far as it is known again, and told where it is not.

use std::fs;
use std::path::{Path, PathBuf};

use ticketgate_ledger::Salvage;
use ticketgate_protocol::api::{Finding, Mode};

use super::*;
use crate::broker::{Role, StartError, Started, aside, recover, start_with};
use crate::places::Places;

async fn take_over(world: &World) -> Vec<Finding> {
    world.broker.take_over(world.folder.path(), "user:root").await.unwrap()
}

fn told<'a>(findings: &'a [Finding], what: &str) -> Vec<&'a Finding> {
    findings.iter().filter(|f| f.text.contains(what)).collect()
}

/// What can be read of the world's ledger, as of one that was put aside.
fn salvaged(world: &World) -> Salvage {
    SqliteLedger::salvage(&world.folder.path().join("ledger.sqlite")).unwrap()
}

/// A new ledger; the directory stays.
async fn without_ledger(world: World) -> World {
    World::on(tempfile::tempdir().unwrap(), world.clock, world.directory, "").await
}

#[tokio::test]
async fn a_lent_right_of_which_an_older_ledger_knows_only_the_person_is_told() {
    let world = World::new().await;
    world.directory.person("tech1", &[]);
    let session = world.activate("own", "k1").await;
    world.end(&session, "k2").await;
    world.clock.pass(25 * 3600);
    assert!(told(&take_over(&world).await, "which a policy lends").is_empty());
    // As a session of today gave it, of which this backup knows nothing.
    world.directory.by_hand("tech1", |a| _ = a.rights.insert(Right(ADMINS.to_lowercase())));
    let findings = take_over(&world).await;
    assert_eq!(told(&findings, ADMINS).len(), 1, "{findings:?}");
    assert_eq!(world.directory.only().rights.len(), 1, "told, not taken");
}

#[tokio::test]
async fn a_right_that_the_person_had_before_or_that_an_open_session_gives_is_not_told() {
    let world = World::new().await;
    world.directory.person("tech1", &[ADMINS]);
    let session = world.activate("own", "k1").await;
    world.end(&session, "k2").await;
    assert!(told(&take_over(&world).await, "which a policy lends").is_empty(), "standing");
    let world = World::new().await;
    world.directory.person("tech1", &[]);
    world.activate("own", "k1").await;
    assert!(told(&take_over(&world).await, "which a policy lends").is_empty(), "a session's");
}

#[tokio::test]
async fn an_account_whose_sessions_could_not_be_read_is_taken_in_on_record_and_its_lent_right_is_told() {
    let world = World::new().await;
    world.directory.person("tech1", &[]);
    world.activate("own", "k1").await;
    let salvage = Salvage { sessions: Vec::new(), whole: false, ..salvaged(&world) };
    assert_eq!(salvage.accounts.len(), 1);
    let world = without_ledger(world).await;
    assert!(world.broker.take_in_salvaged(salvage, "user:root").await.unwrap().is_empty());
    let records = world.ledger.audit(AuditQuery::default()).await.unwrap();
    let recovered: Vec<_> = records.iter().filter(|r| r.action == "account.recovered").collect();
    assert_eq!(recovered.len(), 1, "{records:?}");
    assert_eq!(recovered[0].actor, "user:root");
    assert_eq!(recovered[0].details["account"], "ACME\\tech1");
    let findings = take_over(&world).await;
    assert_eq!(told(&findings, "which a policy lends").len(), 1, "{findings:?}");
}

#[tokio::test]
async fn a_session_whose_account_could_not_be_read_is_told_with_person_directory_and_rights() {
    let world = World::new().await;
    world.directory.person("tech1", &[]);
    world.activate("own", "k1").await;
    world.activate("domain", "k2").await;
    let mut salvage = salvaged(&world);
    salvage.accounts.retain(|account| account.mode != Mode::Membership);
    let world = without_ledger(world).await;
    let left = world.broker.take_in_salvaged(salvage.clone(), "user:root").await.unwrap();
    assert!(matches!(left.as_slice(), [one] if one.mode == Mode::Membership), "{left:?}");
    let found = aside::without_account(&left[0]);
    for what in ["tech1", ADMINS] {
        assert!(found.text.contains(what), "{found:?}");
    }
    assert!(found.subject.contains("acme-ad"), "{found:?}");
    world.broker.sweep().await.unwrap();
    world.closed("jit-tech1");
    // What was taken in is not told at a second time.
    let again = world.broker.take_in_salvaged(salvage, "user:root").await.unwrap();
    assert_eq!(again, left);
}

#[tokio::test]
async fn a_ledger_put_aside_of_which_no_copy_can_be_made_stays_unread_and_is_told_until_it_was_read() {
    let world = World::new().await;
    world.directory.person("tech1", &[]);
    world.activate("own", "k1").await;
    let old = world.folder.path().to_owned();
    let next = World::on(tempfile::tempdir().unwrap(), world.clock, world.directory, "").await;
    let aside = next.folder.path().join("ledger-unread");
    fs::create_dir(&aside).unwrap();
    for file in SqliteLedger::files(&old.join("ledger.sqlite")).iter().filter(|file| file.exists()) {
        fs::copy(file, aside.join(file.file_name().unwrap())).unwrap();
    }
    // In the way of the copy, as a full disk would be.
    fs::write(aside.join("ledger.sqlite-salvage"), "").unwrap();
    let world = next;
    let findings = take_over(&world).await;
    let failed = told(&findings, "could not be read");
    assert!(matches!(failed.as_slice(), [one] if one.level == "error"), "{findings:?}");
    assert_eq!(aside::unread(world.folder.path()), std::slice::from_ref(&aside));
    assert_eq!(world.directory.only().rights.len(), 1);
    fs::remove_file(aside.join("ledger.sqlite-salvage")).unwrap();
    let findings = take_over(&world).await;
    assert_eq!(told(&findings, "Everything could be read").len(), 1, "{findings:?}");
    assert!(aside::unread(world.folder.path()).is_empty());
    assert!(world.directory.only().rights.is_empty());
}

/// A state folder of a broker's own, with a ledger in it.
struct State {
    places: Places,
    _folder: TempDir,
}

impl State {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let places =
            Places { config: folder.path().join("c.toml"), socket: state.join("broker.sock"), state };
        fs::write(&places.config, configuration()).unwrap();
        Self { places, _folder: folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.places.state.join(name)
    }

    async fn start(&self) -> Result<Started, StartError> {
        let directory = Model::new(TestClock::new());
        start_with(&self.places, Role::Serve, Arc::new(One::only(directory))).await
    }

    /// What a broker that starts here says, and has on record of it.
    async fn said(&self) -> (Vec<String>, usize) {
        let broker = self.start().await.unwrap().broker;
        let caller = Caller::identify(broker.settings().config.as_ref(), "boss", false);
        let notices = broker.info(&caller).notices.into_iter().filter(|n| n.level == "error");
        let notices = notices.map(|n| n.text).collect();
        let records = broker.ledger().audit(AuditQuery::default()).await.unwrap();
        (notices, records.iter().filter(|r| r.action == "broker.ledger_begun").count())
    }
}

#[tokio::test]
async fn a_ledger_that_is_gone_or_empty_beside_its_key_is_said_at_every_start_and_recorded_once() {
    let first = State::new();
    assert_eq!(first.said().await, (Vec::new(), 0), "the first ledger of all replaces none");
    for empty in [true, false] {
        let state = State::new();
        state.said().await;
        fs::remove_file(state.path("ledger.sqlite")).unwrap();
        if empty {
            fs::write(state.path("ledger.sqlite"), "").unwrap();
            own(&state.path("ledger.sqlite"));
        }
        for _ in 0..2 {
            let (notices, records) = state.said().await;
            assert!(matches!(notices.as_slice(), [one] if one.contains("ticketgate recover")), "{notices:?}");
            assert_eq!(records, 1);
        }
        let started = state.start().await.unwrap();
        let findings = started.broker.take_over(&state.places.state, "user:root").await.unwrap();
        assert!(findings.iter().any(|f| f.subject == "ledger"), "{findings:?}");
        drop(started);
        assert!(state.said().await.0.is_empty(), "it is read now");
    }
}

#[tokio::test]
async fn a_ledger_of_which_only_a_part_was_moved_is_not_used_before_the_rest_is() {
    let state = State::new();
    let started = state.start().await.unwrap();
    let file = fs::read(state.path("ledger.sqlite")).unwrap();
    let log = fs::read(state.path("ledger.sqlite-wal")).unwrap();
    assert!(!log.is_empty(), "everything is in the log");
    drop(started);
    // As a kill between the two leaves them.
    fs::create_dir(state.path("ledger-leaving")).unwrap();
    fs::write(state.path("ledger-leaving/ledger.sqlite"), &file).unwrap();
    fs::remove_file(state.path("ledger.sqlite")).unwrap();
    fs::write(state.path("ledger.sqlite-wal"), &log).unwrap();
    let (notices, records) = state.said().await;
    assert!(matches!(notices.as_slice(), [one] if one.contains("ticketgate recover")), "{notices:?}");
    assert_eq!(records, 1);
    assert_eq!(fs::read(state.path("ledger-unread/ledger.sqlite-wal")).unwrap(), log);
    // A second one does not take the place of the first.
    aside::put_aside(&state.places).await.unwrap();
    assert_eq!(
        aside::unread(&state.places.state),
        [state.path("ledger-unread"), state.path("ledger-unread-2")]
    );
    assert_eq!(fs::read(state.path("ledger-unread/ledger.sqlite")).unwrap(), file);
}

#[tokio::test]
async fn what_can_be_mended_never_puts_a_ledger_aside() {
    let state = State::new();
    drop(state.start().await.unwrap());
    type Harm = fn(&State);
    let harms: [(Harm, &str); 3] = [
        (|state| open_to_others(&state.path("ledger.sqlite")), "chmod 600"),
        (|state| open_to_others(&state.path("audit.key")), "chmod 600"),
        (
            |state| {
                let ledger = of_a_newer_release(&state.path("ledger.sqlite"));
                fs::write(state.path("ledger.sqlite"), ledger).unwrap();
            },
            "newer release",
        ),
    ];
    for (harm, what) in harms {
        harm(&state);
        for new_ledger in [false, true] {
            let refused = recover(&state.places, new_ledger).await.unwrap_err().to_string();
            assert!(refused.contains(what) && !refused.contains("--new-ledger"), "{refused}");
            assert!(aside::unread(&state.places.state).is_empty());
        }
        own(&state.path("ledger.sqlite"));
        own(&state.path("audit.key"));
    }
}

/// The ledger's bytes with a schema's version that is still to come (SQLite's file format, 1.3).
fn of_a_newer_release(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    bytes
}

fn open_to_others(path: &Path) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
}

fn own(path: &Path) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}
