//! `ticketgate ledger copy`: from one machine's file into a database, killed half way and taken up again, with everything that was open.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;
use ticketgate_tests::leash::Leashed;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::postgres::CLIENT;
use ticketgate_tests::product::asking::new_key;
use ticketgate_tests::product::binary;
use ticketgate_tests::{Outcome, Result};

use crate::stage::{Stage, beside, wish};

/// The short session is open at the copy's end on any machine that copies within half of it.
const SHORT: u32 = 16;
/// An end may come so much later than its time.
const LATE: Duration = Duration::from_secs(5);

/// Has whoever writes the first session into a database wait there for a minute.
const HOLDS: &str = "
    CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
    CREATE FUNCTION made() RETURNS event_trigger LANGUAGE plpgsql AS
        $$ BEGIN
            IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity = 'public.sessions' AND command_tag = 'CREATE TABLE') THEN
                CREATE TRIGGER holds BEFORE INSERT ON sessions FOR EACH STATEMENT EXECUTE FUNCTION waits();
            END IF;
        END $$;
    CREATE EVENT TRIGGER made ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION made()";

/// Starts a copy, and kills it when the audit log is in the database and the sessions are not.
fn killed_half_way(stage: &Stage, copy: &[String]) -> Result<()> {
    stage.db.execute(CLIENT, HOLDS)?;
    let mut command = stage.product.command(binary()?);
    let mut copying = Leashed::start(command.args(copy), &stage.folder.join("copy.log"))?;
    until("the copy to be half way", LIMIT, || {
        ensure!(copying.exited()?.is_none(), "it ended: {}", copying.log());
        let waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE 'INSERT INTO sessions%'";
        Ok(!stage.db.sql(CLIENT, waiting)?.is_empty())
    })?;
    copying.kill()?;
    stage.db.hang_up(CLIENT)?;
    stage.db.execute(
        CLIENT,
        "DROP TRIGGER holds ON sessions; DROP EVENT TRIGGER made; DROP FUNCTION waits, made",
    )?;
    let counts =
        "SELECT (SELECT count(*) > 0 FROM audit) AS audit, (SELECT count(*) FROM sessions) AS sessions";
    assert_eq!(stage.db.sql(CLIENT, counts)?, [json!({"audit": true, "sessions": 0})], "half of it is there");
    Ok(())
}

/// What the file that was put aside and the database say of the same things, each by plain SQL.
fn is_the_same(stage: &Stage, put_aside: &str) -> Result<()> {
    let file = rusqlite::Connection::open(format!("{put_aside}/ledger.sqlite"))?;
    let theirs = |sql: &str| -> Result<Vec<String>> {
        let mut statement = file.prepare(sql)?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    let ours = |sql: &str| -> Result<Vec<String>> {
        let rows = stage.db.sql(CLIENT, sql)?;
        Ok(rows.iter().map(|row| row["it"].as_str().unwrap_or_default().to_owned()).collect())
    };
    let sessions =
        "SELECT id || ' ' || state || ' ' || technician || ' ' || until AS it FROM sessions ORDER BY id";
    assert_eq!(theirs(sessions)?, ours(sessions)?);
    let hashes = theirs("SELECT lower(hex(hash)) FROM audit ORDER BY position")?;
    assert!(hashes.len() > 10, "{}", hashes.len());
    let placed =
        "SELECT encode(a.hash, 'hex') AS it FROM audit a JOIN positions p ON p.id = a.id ORDER BY p.position";
    assert_eq!(hashes, ours(placed)?);
    Ok(())
}

#[test]
fn a_broker_moves_into_a_database_with_all_that_it_knows_and_goes_on_there() -> Outcome {
    let mut stage = Stage::new()?;
    stage.product.configure(&stage.on_a_file())?;
    stage.product.start_broker()?;
    let relay = stage.signed_in()?;
    let ended = stage.product.granted(&wish("servers", 3600))?;
    stage.product.cli_json(&["end", &ended])?;
    let refused = stage.product.ask_for(&wish("never", 3600))?;
    assert!(refused.status >= 400, "{}", refused.text());
    let made = ["tokens", "create", "--name", "night", "--scope", "audit:read", "--lasts", "1d"];
    let token = stage.product.cli_json(&made)?["token"].as_str().context("a token")?.to_owned();
    let before = stage.exported()?;
    stage.product.stop_broker()?;

    let words = stage.db.words(CLIENT);
    let password = stage.db.password_file().display().to_string();
    let copy: Vec<_> =
        ["ledger", "copy", "--to", &words, "--password-file", &password].map(str::to_owned).into();
    killed_half_way(&stage, &copy)?;
    // No broker takes half of it for a ledger, neither this machine's nor another one's.
    stage.product.configure(&stage.in_database(CLIENT))?;
    stage.is_refused(&stage.product, &["ledger.sqlite", "ticketgate ledger copy"])?;
    let other = beside(&stage.product, &stage.in_database(CLIENT))?;
    stage.is_refused(
        &other,
        &["not all of the ledger was copied", "run `ticketgate ledger copy` once more"],
    )?;

    // Until it is copied, the file is the ledger, and goes on.
    stage.product.configure(&stage.on_a_file())?;
    stage.product.start_broker()?;
    let long = stage.product.granted(&wish("servers", 3600))?;
    let key = new_key();
    let (status, short) = stage.asks(&relay, "POST", "/v1/sessions", Some(&key), &wish("servers", SHORT))?;
    assert!(status < 300 && short["state"] == "active", "{status}: {short}");
    let short = short["id"].as_str().context("an id")?.to_owned();
    stage.product.stop_broker()?;

    let arguments: Vec<_> = ["--json"].into_iter().chain(copy.iter().map(String::as_str)).collect();
    let said = stage.product.cli(&arguments)?;
    assert!(said.succeeded(), "{said:?}");
    let copied = said.json()?;
    assert_eq!((&copied["sessions"], &copied["accounts"]), (&json!(4), &json!(2)), "{copied}");
    is_the_same(&stage, copied["put_aside"].as_str().context("where the file is")?)?;
    // Whoever forgets to write it down begins no new ledger.
    stage.is_refused_for_want_of_ledger()?;

    stage.product.configure(&stage.in_database(CLIENT))?;
    stage.product.start_broker()?;
    for id in [&long, &short] {
        assert_eq!(stage.product.session(id)?["state"], "active", "{id}");
    }
    assert_eq!(stage.product.session(&ended)?["state"], "ended");
    assert!(stage.is_open("jit-terry")? && stage.is_open("jit-chief")?);
    // Who was signed in is, what was asked is answered, and by what was given to a program it comes in.
    let (status, again) = stage.asks(&relay, "POST", "/v1/sessions", Some(&key), &wish("servers", SHORT))?;
    assert!(status < 300 && again["id"] == json!(short), "{status}: {again}");
    assert_eq!(stage.bearing(&relay, Some(&token), "/v1/audit")?, 200);
    assert_eq!(stage.bearing(&relay, Some("tgt_made_up"), "/v1/audit")?, 401);
    // One chain, over the seam.
    stage.verifies()?;
    let after = stage.exported()?;
    assert!(after.len() >= before.len() + 10, "{} {}", before.len(), after.len());
    assert_eq!(after[..before.len()], before, "not a record of the file's has changed");

    // And what was open ends there in its time, in the directory, too.
    stage.product.session_becomes(&short, "ended")?;
    assert!(!stage.is_open("jit-terry")? && stage.is_open("jit-chief")?);
    let late = format!(
        "SELECT extract(epoch FROM ended_at::timestamptz - until::timestamptz) AS late FROM sessions WHERE id = '{short}'"
    );
    let late = stage.db.sql(CLIENT, &late)?[0]["late"].as_f64().context("how late")?;
    assert!((0.0..LATE.as_secs_f64()).contains(&late), "{late} s late");
    assert_eq!(stage.product.cli_json(&["end", &long])?["state"], "ended");
    stage.verifies()?;
    Ok(())
}

impl Stage {
    /// A configuration without `[ledger]` on a machine whose ledger is in a database.
    fn is_refused_for_want_of_ledger(&self) -> Result<()> {
        let ended = self.broker_ends(&self.product, &[])?;
        ensure!(
            ended.code == Some(2) && ended.stderr.contains("the configuration has no [ledger]"),
            "{ended:?}"
        );
        ensure!(!self.product.state().join("ledger.sqlite").exists(), "and begins none");
        Ok(())
    }
}
