//! What somebody does by mistake, or on purpose: each is refused in a sentence, and nothing is lost by it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::ensure;
use rustix::process::geteuid;
use serde_json::json;
use ticketgate_tests::keyring::Keyring;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::postgres::CLIENT;
use ticketgate_tests::product::Product;
use ticketgate_tests::team::relay::Relay;
use ticketgate_tests::{Outcome, Result};

use crate::stage::{Stage, key_of, wish};

/// A database that is none for this broker: what was done to it, and what is said.
const MISTAKEN: [(&str, &[&str]); 5] = [
    (
        "INSERT INTO ticketgate_schema VALUES (99, 99, '9.9', now())",
        &["schema 99", "release 9.9", "update Ticketgate on this broker"],
    ),
    ("ALTER TABLE ticketgate_schema RENAME TO invoices", &["a database of another program"]),
    ("DROP TABLE notes", &["only a part of a ledger", "notes.position is missing", "restore all of it"]),
    ("DELETE FROM ticketgate_schema", &["only a part of a ledger", "it has no version"]),
    ("ALTER DATABASE mistaken SET default_transaction_read_only = on", &["can only be read"]),
];

/// Root reads whatever it likes, but for one who is only called so.
const AS_OTHERS: [&str; 4] = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--"];

#[test]
fn a_wrong_database_or_key_is_refused_in_a_sentence_and_nothing_is_lost() -> Outcome {
    let mut stage = Stage::new()?;
    stage.product.configure(&stage.in_database(CLIENT))?;
    stage.product.start_broker()?;
    let open = stage.product.granted(&wish("servers", 3600))?;
    stage.product.stop_broker()?;

    stage.product.configure(&stage.in_database("mistaken"))?;
    for (done, said) in MISTAKEN {
        stage.db.copy(CLIENT, "mistaken")?;
        stage.db.execute("mistaken", done)?;
        let before = stage.db.dump("mistaken")?;
        stage.is_refused(&stage.product, said)?;
        assert!(before == stage.db.dump("mistaken")?, "nothing is changed: {done}");
        stage.db.hang_up("mistaken")?;
        stage.db.execute("postgres", "DROP DATABASE mistaken")?;
    }
    stage.is_refused(&stage.product, &["there is no such database"])?;
    stage.product.configure(&stage.in_database(CLIENT))?;
    let password = fs::read(stage.db.password_file())?;
    fs::write(stage.db.password_file(), "a slip of the pen")?;
    stage.is_refused(
        &stage.product,
        &["does not let the broker in", "look at user and password in [ledger]"],
    )?;
    fs::write(stage.db.password_file(), password)?;
    stage.db.restart(true)?;
    stage.is_refused(&stage.product, &["can only be read", "a standby", "name the server that writes"])?;
    stage.db.restart(false)?;
    keys_are_refused(&stage)?;

    stage.product.start_broker()?;
    assert_eq!(stage.product.session(&open)?["state"], "active");
    two_clusters_do_not_mix(&stage)?;
    a_key_that_goes_while_it_is_used_is_missed_at_the_next_start(&mut stage)?;
    a_database_that_can_only_be_read_begins_nothing(&stage)?;
    assert_eq!(stage.product.cli_json(&["end", &open])?["state"], "ended");
    assert!(!stage.is_open("jit-chief")?);
    stage.verifies()?;
    Ok(())
}

fn keys_are_refused(stage: &Stage) -> Result<()> {
    let path = key_of(&stage.product);
    let key = fs::read(&path)?;
    let with = |bytes: &[u8], mode: u32| -> Result<()> {
        fs::write(&path, bytes)?;
        Ok(fs::set_permissions(&path, fs::Permissions::from_mode(mode))?)
    };
    with(&key[..17], 0o600)?;
    stage.is_refused(&stage.product, &["audit.key is not a key of 32 bytes", "restore it from a backup"])?;
    with(&key, 0o640)?;
    stage.is_refused(&stage.product, &["can be used by other users", "chmod 600"])?;
    with(&key, 0o000)?;
    let ended = stage.broker_ends(&stage.product, if geteuid().is_root() { &AS_OTHERS } else { &[] })?;
    ensure!(
        ended.code == Some(2) && ended.stderr.contains("audit.key cannot be used: Permission denied"),
        "{ended:?}"
    );
    with(&key, 0o600)
}

/// Another cluster's broker, with a ledger and a key of its own, is told this one's database.
fn two_clusters_do_not_mix(stage: &Stage) -> Result<()> {
    stage.db.create("theirs")?;
    let theirs = |name: &str| stage.granting().with(&stage.ledger(name));
    let mut other = Product::install(&theirs("theirs"))?;
    other.start_broker()?;
    other.stop_broker()?;
    other.configure(&theirs(CLIENT))?;
    let before = stage.db.sql(CLIENT, "SELECT count(*) AS records FROM audit")?;
    stage.is_refused(
        &other,
        &["is not the key that signs the audit log in this database", "another cluster's"],
    )?;
    assert_eq!(stage.db.sql(CLIENT, "SELECT count(*) AS records FROM audit")?, before);
    assert!(stage.product.cli(&["status"])?.succeeded(), "those whose it is go on");
    Ok(())
}

fn a_key_that_goes_while_it_is_used_is_missed_at_the_next_start(stage: &mut Stage) -> Result<()> {
    let (path, kept) = (key_of(&stage.product), stage.folder.join("audit.key"));
    fs::rename(&path, &kept)?;
    let session = stage.product.granted(&wish("servers", 600))?;
    assert_eq!(stage.product.cli_json(&["end", &session])?["state"], "ended");
    stage.product.stop_broker()?;
    stage.is_refused(
        &stage.product,
        &["is not at", "copy it there from another broker, or from the backup"],
    )?;
    ensure!(!path.exists(), "and none is made in its place");
    fs::rename(&kept, &path)?;
    stage.product.start_broker()
}

/// A server that became a standby, or that somebody made read-only, under a running broker.
fn a_database_that_can_only_be_read_begins_nothing(stage: &Stage) -> Result<()> {
    let reads_only = |only: &str| -> Result<()> {
        let set = format!("ALTER DATABASE {CLIENT} SET default_transaction_read_only = {only}");
        stage.db.execute("postgres", &set)?;
        stage.db.hang_up(CLIENT)
    };
    reads_only("on")?;
    let refused = stage.product.ask_for(&wish("servers", 600))?.json()?;
    ensure!(refused["code"] == "ledger_down", "{refused}");
    ensure!(stage.product.broker_log().contains("can only be read: it is a standby, or was made read-only"));
    until("the balancer to be told", LIMIT, || {
        let (status, said) = stage.readiness()?;
        // It is tried for longer than a balancer is kept waiting: then that is the reason.
        let reasons = said["reasons"].to_string();
        let why = ["can only be read", "the ledger did not answer within 2 s"];
        Ok(status == 503 && why.iter().any(|why| reasons.contains(why)))
    })?;
    reads_only("off")?;
    until("the balancer to come back", LIMIT, || Ok(stage.readiness()?.0 == 200))?;
    let session = stage.product.granted(&wish("servers", 600))?;
    ensure!(stage.product.cli_json(&["end", &session])?["state"] == "ended");
    Ok(())
}

#[test]
fn a_provider_that_is_away_a_stolen_token_and_an_emptied_file_end_nobodys_session() -> Outcome {
    let mut stage = Stage::new()?;
    stage.product.configure(&stage.on_a_file())?;
    stage.product.start_broker()?;
    let relay = stage.signed_in()?;
    let (status, session) =
        stage.asks(&relay, "POST", "/v1/sessions", Some("k-1"), &wish("servers", 3600))?;
    assert!(status < 300 && session["state"] == "active", "{status}: {session}");

    // Whoever has the token and not the key, or shows it without any.
    let thief = relay.stolen()?;
    let (status, said) = stage.asks(&thief, "GET", "/v1/sessions", None, &json!(null))?;
    assert_eq!((status, &said["code"]), (401, &json!("sign_in_needed")), "{said}");
    assert!(said["detail"].as_str().is_some_and(|text| text.ends_with('.')), "a sentence: {said}");
    assert_eq!(stage.bearing(&relay, None, "/v1/sessions")?, 401);
    let refused = stage.exported()?.into_iter().filter(|record| record["action"] == "sign_in.refused");
    let whys: Vec<_> = refused.map(|record| record["details"]["why"].clone()).collect();
    assert!(whys.contains(&json!("by another key")), "{whys:?}");

    an_emptied_configuration_is_none(&stage)?;
    while_the_provider_is_away(&stage, &relay)?;
    assert!(stage.is_open("jit-terry")?);
    Ok(())
}

fn an_emptied_configuration_is_none(stage: &Stage) -> Result<()> {
    let told =
        "The configuration file has faults, so the previous one is still in force: it names no technician";
    // As an editor does that empties a file before it writes it.
    let text = fs::read(stage.product.config())?;
    fs::write(stage.product.config(), "")?;
    stage.is_told(told, true)?;
    let check = stage.product.cli(&["check"])?;
    ensure!(!check.succeeded() && check.stdout.contains("it names no technician"), "{check:?}");
    ensure!(stage.is_open("jit-terry")?, "nobody's session ends");
    let session = stage.product.granted(&wish("servers", 600))?;
    ensure!(stage.product.cli_json(&["end", &session])?["state"] == "ended");
    fs::write(stage.product.config(), text)?;
    stage.is_told(told, false)
}

fn while_the_provider_is_away(stage: &Stage, relay: &Relay) -> Result<()> {
    stage.provider.steer(&json!({"silent": true}))?;
    let (status, said) = stage.asks(relay, "GET", "/v1/sessions", None, &json!(null))?;
    ensure!(status == 200, "who is signed in goes on: {said}");
    let mut another = stage.relay_trusting(&stage.authority.file())?;
    ensure!(stage.signs_in(&mut another).is_err(), "nobody new comes in");
    let keyring = Keyring::start()?;
    let (url, authority) = (stage.url(), stage.authority.file().display().to_string());
    let team = [
        ("TICKETGATE_BROKER", url.as_str()),
        ("TICKETGATE_BROKER_CA", &authority),
        ("DBUS_SESSION_BUS_ADDRESS", keyring.address()),
    ];
    let said = stage.product.cli_in(&team, &["sign-in", "--device"])?;
    ensure!(
        !said.succeeded() && said.stderr.contains("The provider by which you sign in cannot be used"),
        "{said:?}"
    );
    stage.is_told("Nobody can sign in or renew a sign-in at the moment", true)?;
    stage.provider.steer(&json!({"silent": false}))?;
    stage.signs_in(&mut another)
}
