//! Which databases become or are a ledger, and what is said of all others.

use super::server::{Place, Server};
use crate::tests::*;
use crate::{Ledger, PostgresLedger, PostgresPlace};

#[tokio::test]
async fn an_empty_database_becomes_a_ledger_and_opens_again_for_whoever_has_its_key() {
    let place = Place::new();
    let first = place.open().await;
    first.commit(note(None, 0)).await.unwrap();
    let second = place.open().await;
    assert_eq!(first.public_key_hex(), second.public_key_hex());
    assert!(second.verify(None).await.unwrap().whole);
}

#[tokio::test]
async fn many_who_open_an_empty_database_at_once_make_one_ledger() {
    let place = Place::new();
    let opening = (0..6).map(|_| {
        let place = place.place();
        tokio::spawn(async move { PostgresLedger::open(&place).await.unwrap().public_key_hex() })
    });
    let mut keys = Vec::new();
    for opened in opening.collect::<Vec<_>>() {
        keys.push(opened.await.unwrap());
    }
    keys.dedup();
    assert_eq!(keys.len(), 1);
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_left_as_it_is() {
    let place = Place::new();
    place.alter("CREATE TABLE invoices (id int)").unwrap();
    let said = place.refusal().await;
    assert!(said.contains("another program") && said.contains("invoices"), "{said}");
    assert_eq!(place.texts("SELECT count(*) FROM pg_class WHERE relname LIKE 'ticketgate%'"), ["0"]);
    assert!(!place.key.exists(), "no key is left behind");
}

#[tokio::test]
async fn a_newer_schema_is_refused_unless_it_says_that_this_release_may_go_on() {
    let place = Place::new();
    place.open().await.commit(note(None, 0)).await.unwrap();
    let newer = |oldest: u32| {
        format!(
            "INSERT INTO ticketgate_schema VALUES (99, {oldest}, '9.9', now()) ON CONFLICT (version) DO UPDATE SET oldest = {oldest}"
        )
    };
    place.alter(&newer(1)).unwrap();
    place.open().await.commit(note(None, 1)).await.unwrap();
    place.alter(&newer(99)).unwrap();
    let said = place.refusal().await;
    assert!(said.contains("schema 99") && said.contains("9.9") && said.contains("update"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_part_of_a_ledger_is_refused_whatever_part_it_is() {
    let whole = Place::new();
    whole.open().await.commit(note(None, 0)).await.unwrap();
    for (sql, what) in [
        ("DROP TABLE notes", "notes.position"),
        ("ALTER TABLE accounts DROP COLUMN fence", "accounts.fence"),
        ("DELETE FROM facts WHERE name = 'shared_key'", "shared_key"),
        ("DELETE FROM ticketgate_schema", "no version"),
    ] {
        let place = whole.copy();
        place.alter(sql).unwrap();
        let said = place.refusal().await;
        assert!(said.contains("only a part") && said.contains(what), "{sql}: {said}");
    }
    let place = whole.copy();
    place.alter("DROP TABLE ticketgate_schema").unwrap();
    assert!(place.refusal().await.contains("another program"));
}

#[tokio::test]
async fn a_database_that_can_only_be_read_is_refused() {
    let place = Place::new();
    drop(place.open().await);
    place.alter(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", place.name)).unwrap();
    let said = place.refusal().await;
    assert!(said.contains("can only be read"), "{said}");
}

#[tokio::test]
async fn another_clusters_broker_is_refused_and_writes_nothing() {
    let (ours, theirs) = (Place::new(), Place::new());
    drop((ours.open().await, theirs.open().await));
    let mistaken = PostgresPlace { key: theirs.key.clone(), ..ours.place() };
    let said = PostgresLedger::open(&mistaken).await.unwrap_err().to_string();
    assert!(said.contains("another cluster"), "{said}");
    assert!(ours.open().await.verify(None).await.unwrap().whole);
}

#[tokio::test]
async fn a_key_that_is_gone_spoilt_or_open_to_others_is_said_and_never_made_anew() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    drop(place.open().await);
    let key = std::fs::read(&place.key).unwrap();
    std::fs::remove_file(&place.key).unwrap();
    let said = place.refusal().await;
    assert!(said.contains("copy it there from another broker"), "{said}");
    assert!(!place.key.exists());
    std::fs::write(&place.key, &key[..7]).unwrap();
    std::fs::set_permissions(&place.key, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(place.refusal().await.contains("not a key of 32 bytes"));
    std::fs::write(&place.key, &key).unwrap();
    std::fs::set_permissions(&place.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(place.refusal().await.contains("chmod 600"));
    std::fs::set_permissions(&place.key, std::fs::Permissions::from_mode(0o600)).unwrap();
    place.open().await;
}

#[tokio::test]
async fn a_user_without_the_right_to_make_tables_and_a_wrong_name_are_told_apart() {
    let place = Place::new();
    place.alter("DO $$ BEGIN CREATE ROLE guest LOGIN; EXCEPTION WHEN duplicate_object THEN END $$").unwrap();
    let guest =
        PostgresPlace { address: place.address().replace("user=ticketgate", "user=guest"), ..place.place() };
    let said = PostgresLedger::open(&guest).await.unwrap_err().to_string();
    assert!(said.contains("owner"), "{said}");
    let nowhere = PostgresPlace { address: place.address().replace(&place.name, "nowhere"), ..place.place() };
    let said = PostgresLedger::open(&nowhere).await.unwrap_err().to_string();
    assert!(said.contains("no such database"), "{said}");
    let garbled = PostgresPlace { address: "host".to_owned(), ..place.place() };
    let said = PostgresLedger::open(&garbled).await.unwrap_err().to_string();
    assert!(said.contains("address cannot be read"), "{said}");
    let plain = PostgresPlace {
        address: "host=db.example.com dbname=x user=y sslmode=disable".to_owned(),
        ..place.place()
    };
    let said = PostgresLedger::open(&plain).await.unwrap_err().to_string();
    assert!(said.contains("sslmode=disable"), "{said}");
}

#[tokio::test]
async fn order_and_comparisons_do_not_hang_on_the_databases_own_collation() {
    let server = Server::shared();
    let place = server.database();
    let other = format!("{}_icu", place.name);
    let made = server.try_sql(
        "postgres",
        &format!("CREATE DATABASE {other} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' ENCODING 'UTF8'"),
    );
    made.unwrap();
    let place = Place { name: other, ..place };
    let ledger = place.open().await;
    let keys = ["a/b/1", "B/b/1", "a-/b/1", "A/b/1"];
    let accounts = keys.iter().map(|key| Account { key: AccountKey((*key).to_owned()), ..account("tech1") });
    ledger.commit(Change { accounts: accounts.collect(), ..note(Some("acme"), 0) }).await.unwrap();
    let found = ledger.accounts().await.unwrap();
    let found: Vec<_> = found.iter().map(|account| account.key.0.as_str()).collect();
    assert_eq!(found, ["A/b/1", "B/b/1", "a-/b/1", "a/b/1"], "as SQLite has it");
}
