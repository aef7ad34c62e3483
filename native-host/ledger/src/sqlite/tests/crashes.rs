//! A process that is killed between any two statements: what was answered is there, and the chain is whole.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;
use crate::{AuditQuery, Ledger};

/// Tells the test executable, started again, that it is the one to be killed.
const VICTIM: &str = "TICKETGATE_LEDGER_VICTIM";

struct Victim(Child);

impl Victim {
    fn on(place: &Place) -> Self {
        Self(
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "sqlite::tests::crashes::victim", "--nocapture", "--test-threads=1"])
                .env(VICTIM, place.folder.path())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        )
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test of its own: the process that commits, says so, and is killed.
#[test]
fn victim() {
    let Some(folder) = std::env::var_os(VICTIM) else { return };
    let folder = std::path::PathBuf::from(folder);
    runtime().block_on(async {
        let ledger = SqliteLedger::open(&folder.join("ledger.sqlite"), &folder.join("ledger.key")).unwrap();
        // An end of its own, should the one who kills be killed.
        for n in 0..20_000u32 {
            let mut change = note(Some("acme"), n.into());
            change.audit[0].details.insert("number", json!(n));
            if n == 0 {
                change.accounts.push(account("tech1"));
                change.sessions.push(session("s-1", "tech1"));
            } else {
                change.sessions.push(Session { version: n.into(), ..session("s-1", "tech1") });
            }
            ledger.commit(change).await.unwrap();
            println!("committed {n}");
            if n % 10 == 0 {
                ledger.checkpoint(at(n.into())).await.unwrap();
            }
        }
    });
}

#[test]
fn every_answered_commit_survives_a_kill_while_another_process_writes_too() {
    let place = Place::new();
    let mut acknowledged = Vec::new();
    let mine = {
        let mut victim = Victim::on(&place);
        let out = BufReader::new(victim.0.stdout.take().unwrap());
        let mut mine = 0;
        let runtime = runtime();
        let ledger = place.open();
        let mut lines = out.lines();
        for line in lines.by_ref() {
            let line = line.unwrap();
            let Some((_, number)) = line.split_once("committed ") else { continue };
            acknowledged.push(number.trim().parse::<usize>().unwrap());
            if acknowledged.len() % 7 == 0 {
                runtime.block_on(ledger.commit(note(Some("acme"), 1))).unwrap();
                mine += 1;
            }
            if acknowledged.len() == 60 {
                break;
            }
        }
        victim.0.kill().unwrap();
        // What it said before it died counts as well.
        acknowledged.extend(lines.map_while(Result::ok).filter_map(|line| {
            line.split_once("committed ").and_then(|(_, number)| number.trim().parse::<usize>().ok())
        }));
        victim.0.wait().unwrap();
        mine
    };
    assert!(acknowledged.len() >= 60 && mine == 8, "{} and {mine}", acknowledged.len());

    runtime().block_on(async {
        let ledger = place.open();
        let verdict = ledger.verify(None).await.unwrap();
        assert!(verdict.whole, "{verdict:?}");
        assert!(verdict.checkpoints > 0);
        let query = AuditQuery { limit: 100_000, ..AuditQuery::default() };
        let records = ledger.audit(query).await.unwrap();
        let numbers: Vec<_> =
            records.iter().filter_map(|record| record.details.get("number")?.as_u64()).collect();
        for number in acknowledged {
            assert_eq!(
                numbers.get(number),
                Some(&(number as u64)),
                "commit {number} was answered and is gone"
            );
        }
        assert_eq!(numbers.len() + mine, records.len());
        let session = ledger.session(&session("s-1", "tech1").id).await.unwrap().unwrap();
        assert_eq!(
            session.version,
            numbers.len() as u64,
            "row and record of one commit stand or fall together"
        );
    });
}

#[test]
fn the_ledger_of_a_process_that_was_killed_is_not_called_damaged_and_stays_as_it_is() {
    let place = Place::new();
    let mut victim = Victim::on(&place);
    let out = BufReader::new(victim.0.stdout.take().unwrap());
    let mut lines = out.lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("committed 5")));
    drop(victim);
    let files = || {
        let paths = std::fs::read_dir(place.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        paths
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = files();
    assert!(!before[&place.log()].is_empty(), "everything is in the log");
    assert_eq!(damage(&place), Vec::<String>::new());
    assert_eq!(files(), before);
}
