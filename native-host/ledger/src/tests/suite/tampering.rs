//! What `verify` says of a log that somebody edited with an SQL shell.

use super::*;
use crate::{AuditQuery, Ledger, chain};

/// Ten records at acme, five at globex, five of the broker's own; everything up to acme's 8 is signed.
fn log() -> Place {
    let place = Place::new();
    runtime().block_on(async {
        let ledger = place.open().await;
        for n in 0..8 {
            ledger.commit(note(Some("acme"), n)).await.unwrap();
            if n < 5 {
                let mut both = note(Some("globex"), n);
                both.audit.push(record(None, "broker.started"));
                ledger.commit(both).await.unwrap();
            }
            if n == 3 {
                ledger.checkpoint(at(n)).await.unwrap();
            }
        }
        ledger.checkpoint(at(8)).await.unwrap();
        ledger.commit(note(Some("acme"), 9)).await.unwrap();
        ledger.commit(note(Some("acme"), 10)).await.unwrap();
    });
    place
}

#[test]
fn an_untouched_log_is_whole_and_every_record_and_checkpoint_is_counted() {
    let place = log();
    let verdict = runtime().block_on(async { place.open().await.verify(None).await }).unwrap();
    assert_eq!(verdict.first_fault, None);
    assert!(verdict.whole);
    assert_eq!((verdict.records, verdict.checkpoints), (20, 6));
}

#[test]
fn one_chain_can_be_checked_alone() {
    let place = log();
    place.alter("UPDATE audit SET actor = 'x' WHERE chain = 'acme' AND seq = 2").unwrap();
    let (globex, acme) = runtime().block_on(async {
        let ledger = place.open().await;
        (ledger.verify(Some("globex".to_owned())).await, ledger.verify(Some("acme".to_owned())).await)
    });
    let globex = globex.unwrap();
    assert!(globex.whole, "{globex:?}");
    assert_eq!(globex.records, 5);
    assert!(!acme.unwrap().whole);
}

#[test]
fn every_kind_of_change_is_noticed_at_its_first_record() {
    let cases = [
        (
            "UPDATE audit SET at = '2026-01-02T03:04:05.000000000Z' WHERE chain = 'acme' AND seq = 3",
            "acme",
            3,
            "changed",
        ),
        ("UPDATE audit SET action = 'session.ended' WHERE chain = 'acme' AND seq = 1", "acme", 1, "changed"),
        ("UPDATE audit SET actor = 'tech2' WHERE chain = 'globex' AND seq = 5", "globex", 5, "changed"),
        ("UPDATE audit SET outcome = 'failed' WHERE chain = '-' AND seq = 4", "-", 4, "changed"),
        ("UPDATE audit SET details = '{}' WHERE chain = 'acme' AND seq = 10", "acme", 10, "changed"),
        ("UPDATE audit SET hash = zeroblob(32) WHERE chain = 'acme' AND seq = 9", "acme", 9, "changed"),
        ("UPDATE audit SET chain = 'initech' WHERE chain = 'acme' AND seq = 10", "initech", 1, "missing"),
        (
            "UPDATE audit SET chain = 'initech', seq = 1 WHERE chain = 'acme' AND seq = 10",
            "initech",
            1,
            "changed",
        ),
        ("DELETE FROM audit WHERE chain = 'acme' AND seq = 4", "acme", 4, "missing"),
        ("DELETE FROM audit WHERE chain = 'acme' AND seq = 1", "acme", 1, "missing"),
        ("DELETE FROM audit WHERE chain = 'acme' AND seq >= 6", "acme", 6, "checkpoint"),
        ("DELETE FROM audit WHERE chain = 'globex'", "globex", 1, "checkpoint"),
        ("DELETE FROM audit WHERE chain = 'acme' AND seq = 10", "acme", 10, "10 were written"),
        (
            "DELETE FROM audit WHERE chain = 'acme' AND seq = 4;
             UPDATE audit SET seq = -seq WHERE chain = 'acme' AND seq > 4",
            "",
            0,
            "unlike the table's own rules",
        ),
        (
            "UPDATE audit SET seq = 100 WHERE chain = 'acme' AND seq = 5;
             UPDATE audit SET seq = 5 WHERE chain = 'acme' AND seq = 6;
             UPDATE audit SET seq = 6 WHERE chain = 'acme' AND seq = 100",
            "acme",
            5,
            "order",
        ),
        ("UPDATE audit SET position = 1000 WHERE chain = 'acme' AND seq = 2", "acme", 2, "order"),
        (
            "INSERT INTO audit (position, chain, seq, at, action, actor, outcome, details, hash)
             SELECT 1000, chain, 11, at, action, actor, outcome, details, hash FROM audit
             WHERE chain = 'acme' AND seq = 10",
            "acme",
            11,
            "changed",
        ),
        (
            "UPDATE checkpoints SET signature = zeroblob(64) WHERE chain = 'acme' AND seq = 4",
            "acme",
            4,
            "signed",
        ),
        ("UPDATE checkpoints SET at = 'x' WHERE chain = 'acme' AND seq = 8", "acme", 8, "signed"),
        ("UPDATE checkpoints SET seq = 5 WHERE chain = 'acme' AND seq = 4", "acme", 5, "signed"),
        ("UPDATE checkpoints SET hash = zeroblob(32) WHERE chain = '-' AND seq = 5", "-", 5, "signed"),
        ("UPDATE checkpoints SET signature = x'00' WHERE chain = '-' AND seq = 5", "-", 5, "never written"),
        ("UPDATE checkpoints SET seq = 99 WHERE chain = 'acme' AND seq = 8", "acme", 11, "checkpoint"),
        ("DELETE FROM chains WHERE chain = 'acme'", "acme", 10, "last record"),
        ("UPDATE chains SET seq = 9 WHERE chain = 'acme'", "acme", 10, "last record"),
        ("UPDATE chains SET hash = zeroblob(32) WHERE chain = 'acme'", "acme", 10, "last record"),
    ];
    let pristine = log();
    for (sql, chain, seq, what) in cases {
        let place = pristine.copy();
        let changed = place.alter(sql);
        if chain.is_empty() {
            assert!(changed.is_err(), "{what}: {sql}");
            continue;
        }
        changed.unwrap();
        let verdict = runtime().block_on(async { place.open().await.verify(None).await }).unwrap();
        let fault = verdict.first_fault.unwrap_or_else(|| panic!("not noticed: {sql}"));
        assert_eq!((fault.chain.as_str(), fault.seq), (chain, seq), "{sql}: {}", fault.fault);
        assert!(fault.fault.contains(what), "{sql}: {}", fault.fault);
        assert!(!verdict.whole);
    }
}

#[test]
fn a_chain_that_was_hashed_anew_from_a_changed_record_on_is_betrayed_by_its_checkpoint() {
    let place = log();
    hash_anew(&place);
    let verdict = runtime().block_on(async { place.open().await.verify(None).await }).unwrap();
    let fault = verdict.first_fault.unwrap();
    assert_eq!((fault.chain.as_str(), fault.seq), ("acme", 8), "{}", fault.fault);
    assert!(fault.fault.contains("written anew"), "{}", fault.fault);
}

#[test]
fn records_after_a_removed_tail_do_not_hide_the_gap() {
    let place = log();
    place.alter("DELETE FROM audit WHERE chain = 'acme' AND seq >= 9").unwrap();
    let verdict = runtime().block_on(async {
        let ledger = place.open().await;
        ledger.commit(note(Some("acme"), 11)).await.unwrap();
        ledger.verify(None).await.unwrap()
    });
    let fault = verdict.first_fault.unwrap();
    assert_eq!((fault.chain.as_str(), fault.seq), ("acme", 9), "{}", fault.fault);
}

#[test]
fn a_checkpoint_is_made_for_chains_that_grew_only() {
    let place = log();
    let checkpoints = || place.texts("SELECT chain || ' ' || seq FROM checkpoints ORDER BY chain, seq");
    assert_eq!(checkpoints(), ["- 4", "- 5", "acme 4", "acme 8", "globex 4", "globex 5"]);
    runtime().block_on(async { place.open().await.checkpoint(at(20)).await }).unwrap();
    assert_eq!(checkpoints().len(), 7);
    assert!(checkpoints().contains(&"acme 10".to_owned()));
    runtime().block_on(async { place.open().await.checkpoint(at(21)).await }).unwrap();
    assert_eq!(checkpoints().len(), 7);
}

/// Changes record 6 of acme's chain and hashes it and all after it anew, as anybody can who can write the file.
fn hash_anew(place: &Place) {
    let query = AuditQuery { chain: Some("acme".to_owned()), ..AuditQuery::default() };
    let records = runtime().block_on(async { place.open().await.audit(query).await }).unwrap();
    let mut before = chain::BEGINNING;
    let mut sql = String::new();
    for record in records {
        let actor = if record.seq == 6 { "nobody" } else { "broker" };
        let at = crate::columns::time_text(record.at).unwrap();
        let details = chain::details_text(&record.details);
        let fields = chain::Fields {
            chain: b"acme",
            seq: record.seq,
            at: at.as_bytes(),
            action: record.action.as_bytes(),
            actor: actor.as_bytes(),
            outcome: record.outcome.as_bytes(),
            details: details.as_bytes(),
        };
        before = chain::hash(&before, &fields, &mut Vec::new());
        let hash = Place::blob(&hex::encode(before));
        let one =
            format!("SET actor = '{actor}', hash = {hash} WHERE chain = 'acme' AND seq = {}", record.seq);
        sql.push_str(&format!("UPDATE audit {one};"));
    }
    let hash = Place::blob(&hex::encode(before));
    place.alter(&format!("{sql} UPDATE chains SET hash = {hash} WHERE chain = 'acme'")).unwrap();
}

/// The fault that `verify` finds, with the chain checked alone as well as with all.
fn fault_of_the_whole(place: &Place) -> String {
    runtime().block_on(async {
        let ledger = place.open().await;
        let alone = ledger.verify(Some("globex".to_owned())).await.unwrap();
        let verdict = ledger.verify(None).await.unwrap();
        assert!(!verdict.whole && !alone.whole, "{verdict:?} {alone:?}");
        let fault = verdict.first_fault.unwrap();
        assert_eq!((fault.chain.as_str(), fault.seq), ("*", 0), "{}", fault.fault);
        fault.fault
    })
}

#[test]
fn a_chain_hashed_anew_whose_checkpoints_were_removed_is_betrayed_by_the_seal_for_good() {
    for removed in ["chain = 'acme'", "chain = 'acme' AND seq = 8"] {
        let place = log();
        hash_anew(&place);
        place.alter(&format!("DELETE FROM checkpoints WHERE {removed}")).unwrap();
        assert!(fault_of_the_whole(&place).contains("covers other checkpoints"), "{removed}");
        // The broker signs what it finds; that does not make it good.
        runtime().block_on(async { place.open().await.checkpoint(at(20)).await }).unwrap();
        assert!(fault_of_the_whole(&place).contains("covers other checkpoints"), "{removed}");
        // Nor does removing the last witness of what stood there before.
        place.alter("DELETE FROM checkpoints WHERE chain = 'acme' AND seq <= 8").unwrap();
        assert!(fault_of_the_whole(&place).contains("covers other checkpoints"), "{removed}");
    }
}

#[test]
fn a_chain_that_was_removed_whole_is_betrayed_by_the_seal() {
    let place = log();
    let everywhere = "DELETE FROM audit WHERE chain = 'acme'; DELETE FROM chains WHERE chain = 'acme';
         DELETE FROM checkpoints WHERE chain = 'acme'";
    place.alter(everywhere).unwrap();
    assert!(fault_of_the_whole(&place).contains("covers other checkpoints"));
}

#[test]
fn a_seal_that_is_gone_or_was_changed_is_noticed_and_never_made_anew() {
    for (sql, what) in [
        ("DELETE FROM seal", "is gone"),
        ("DELETE FROM seal; DELETE FROM checkpoints", "is gone"),
        ("PRAGMA ignore_check_constraints = ON; UPDATE seal SET one = -1", "is gone"),
        ("UPDATE seal SET number = number + 1", "not signed"),
        ("UPDATE seal SET at = '2030-01-01T00:00:00.000000000Z'", "not signed"),
        ("UPDATE seal SET digest = zeroblob(32); DELETE FROM checkpoints", "not signed"),
        ("UPDATE checkpoints SET seal = 1 WHERE chain = 'globex'", "covers other checkpoints"),
    ] {
        if !Place::understands(sql) {
            continue;
        }
        let place = log();
        place.alter(sql).unwrap();
        assert!(fault_of_the_whole(&place).contains(what), "{sql}");
        let sealed = runtime().block_on(async { place.open().await.checkpoint(at(20)).await });
        assert_eq!(sealed.is_err(), !sql.starts_with("UPDATE checkpoints"), "{sql}: {sealed:?}");
        assert!(fault_of_the_whole(&place).contains(what), "{sql}");
    }
}

#[test]
fn an_older_copy_of_the_whole_file_is_told_by_the_number_of_its_seal_alone() {
    let place = log();
    let older = place.copy();
    runtime().block_on(async {
        let ledger = place.open().await;
        ledger.checkpoint(at(20)).await.unwrap();
        let (now, then) =
            (ledger.verify(None).await.unwrap(), older.open().await.verify(None).await.unwrap());
        assert!(now.whole && then.whole);
        assert_eq!((now.seal, then.seal), (3, 2));
        assert_eq!(now.sealed_at, Some(at(20)));
    });
}

#[test]
fn a_checkpoint_moved_to_a_seal_that_is_still_to_come_is_noticed_before_that_comes() {
    for sql in ["UPDATE checkpoints SET seal = seal + 100", "UPDATE checkpoints SET seal = 3 WHERE seal = 2"]
    {
        let place = log();
        place.alter(sql).unwrap();
        let verdict = runtime().block_on(async { place.open().await.verify(None).await }).unwrap();
        let fault = verdict.first_fault.unwrap().fault;
        assert!(!verdict.whole && fault.contains("never written there"), "{sql}: {fault}");
    }
}
