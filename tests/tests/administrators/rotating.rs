//! New keys, certificates and passwords, as docs/team.md says under "Rotate", while people work.

use std::fs;

use anyhow::{Context, ensure};
use serde_json::json;
use ticketgate_tests::authority::Authority;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::postgres::CLIENT;
use ticketgate_tests::team::relay::Relay;
use ticketgate_tests::{Outcome, Result};

use crate::stage::{Stage, key_of, wish};

#[test]
fn every_key_and_password_is_replaced_as_the_guide_says_while_people_work() -> Outcome {
    let mut stage = Stage::new()?;
    stage.product.configure(&stage.in_database(CLIENT))?;
    stage.product.start_broker()?;
    let relay = stage.signed_in()?;
    works(&stage)?;
    the_certificate(&stage, &relay)?;
    the_databases_password(&stage)?;
    the_directorys_password(&mut stage)?;
    the_secret_at_the_provider(&stage, relay)?;
    the_audit_key(&mut stage)?;
    Ok(())
}

/// From the ledger to the directory and back.
fn works(stage: &Stage) -> Result<()> {
    let session = stage.product.granted(&wish("servers", 600))?;
    ensure!(stage.product.cli_json(&["end", &session])?["state"] == "ended");
    Ok(())
}

fn the_certificate(stage: &Stage, connected: &Relay) -> Result<()> {
    let another = Authority::new()?;
    stage.shows(&another)?;
    until("new connections to be shown the new certificate", LIMIT, || {
        let relay = stage.relay_trusting(&another.file())?;
        Ok(stage.asks(&relay, "GET", "/v1/broker", None, &json!(null)).is_ok())
    })?;
    let (status, said) = stage.asks(connected, "GET", "/v1/sessions", None, &json!(null))?;
    ensure!(status == 200, "an open connection goes on: {said}");
    let old = stage.relay_trusting(&stage.authority.file())?;
    ensure!(
        stage.asks(&old, "GET", "/v1/broker", None, &json!(null)).is_err(),
        "and no new one is shown the old"
    );
    stage.shows(&stage.authority)?;
    Ok(())
}

/// First the file, then the database: whatever connects in between is let in by the one before.
fn the_databases_password(stage: &Stage) -> Result<()> {
    fs::write(stage.db.password_file(), "another password of the database's")?;
    stage.db.hang_up(CLIENT)?;
    works(stage)?;
    let change = format!("ALTER ROLE {CLIENT} PASSWORD 'another password of the database''s'");
    stage.db.execute("postgres", &change)?;
    stage.db.hang_up(CLIENT)?;
    works(stage)?;
    // A slip of the pen shuts nobody out who was in.
    fs::write(stage.db.password_file(), "a slip of the pen")?;
    stage.db.hang_up(CLIENT)?;
    works(stage)?;
    Ok(fs::write(stage.db.password_file(), "another password of the database's")?)
}

fn the_directorys_password(stage: &mut Stage) -> Result<()> {
    // Twice: a directory takes the last but one for a while.
    for new in ["Another-Passw0rd-of-the-service!", "And-0ne-more-Passw0rd-of-it!"] {
        let service = stage.ad.service_account().to_owned();
        ensure!(stage.ad.look()?.set_password(&service, new)? == 0);
        stage.folder.write("directory.secret", new)?;
    }
    // Connections that were open go on with what they were opened by; these are gone.
    stage.ad.restart()?;
    works(stage)
}

fn the_secret_at_the_provider(stage: &Stage, mut relay: Relay) -> Result<()> {
    stage.provider.steer(&json!({"secret": "the-second-secret-of-the-broker"}))?;
    let refused = stage.signs_in(&mut stage.relay_trusting(&stage.authority.file())?);
    ensure!(refused.is_err(), "the provider wants the new one");
    stage.folder.write("client.secret", "the-second-secret-of-the-broker")?;
    let mut another = stage.relay_trusting(&stage.authority.file())?;
    stage.signs_in(&mut another)?;
    // Everybody's sign-in.
    let ended = stage.product.cli_json(&["sign-ins", "revoke", "--everybody"])?;
    ensure!(ended.as_array().is_some_and(|ended| ended.len() == 2), "{ended}");
    for signed_out in [&relay, &another] {
        let (status, said) = stage.asks(signed_out, "GET", "/v1/sessions", None, &json!(null))?;
        ensure!(status == 401, "{said}");
    }
    stage.signs_in(&mut relay)
}

/// It is for the life of a ledger, so a new one begins, in an empty database.
fn the_audit_key(stage: &mut Stage) -> Result<()> {
    let open = stage.product.granted(&wish("servers", 3600))?;
    ensure!(stage.is_open("jit-chief")?);
    stage.verifies()?;
    let kept = stage.exported()?;
    stage.product.stop_broker()?;

    let (key, aside) = (key_of(&stage.product), stage.folder.join("audit.key.old"));
    let old = fs::read(&key)?;
    fs::rename(&key, &aside)?;
    stage.db.create("second")?;
    stage.product.configure(&stage.in_database("second"))?;
    let said = stage.product.cli(&["recover"])?;
    ensure!(said.succeeded() && said.stdout.contains("jit-chief"), "{said:?}");
    ensure!(!stage.is_open("jit-chief")?, "what was open is taken away");
    ensure!(fs::read(&key)? != old, "by another key");
    stage.product.start_broker()?;
    works(stage)?;
    stage.verifies()?;
    let records = stage.exported()?;
    let first = records.first().context("a record")?;
    ensure!(
        !kept.contains(first) && records.iter().all(|record| record["details"]["session"] != json!(open))
    );
    Ok(())
}
