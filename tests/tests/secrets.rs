//! Where passwords are and where they are not: the generated one and the service account's, in memory, on disk, in logs, in
//! what processes were started with. What may be found where stands in docs/security.md, "Where secrets are".
#![allow(clippy::expect_used, reason = "a test may panic: that is how it fails")]

use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::processes::{family, in_memory, is_ours, program, started_with};
use ticketgate_tests::secrets::{Needle, forms, in_files};
use ticketgate_tests::workplace::{Workplace, saved_ticket, settings};
use ticketgate_tests::{Outcome, Result};

/// Everything that the product and the crates below it could say.
const LOUD: [(&str, &str); 2] = [("TICKETGATE_LOG", "trace"), ("RUST_LOG", "trace")];

/// A workplace whose broker logs all that there is.
fn loud() -> Result<Workplace> {
    // Long enough to search a holder for what it holds, on a machine that builds meanwhile; waited for in the end.
    let mut work =
        Workplace::quick_with(|ad| settings(ad).broker("clipboard_clear = \"15s\""), saved_ticket()?)?;
    work.product.stop_broker()?;
    work.product.start_broker_with(&LOUD)?;
    Ok(work)
}

/// The processes of the browser, and the product's own that it started: relays and clipboard holders.
fn around(work: &Workplace) -> Result<(Vec<i32>, Vec<i32>)> {
    Ok(family(work.browser.pid())?.into_iter().partition(|pid| !is_ours(*pid)))
}

fn is_holder(pid: i32) -> bool {
    started_with(pid).is_ok_and(|bytes| bytes.windows(16).any(|word| word == b"clipboard-holder"))
}

/// What of the needles is in the memory of these. Root sees all of it; for everybody else it is closed, which is as good.
fn remembered(pids: &[i32], needles: &[Needle]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for pid in pids {
        match in_memory(*pid, needles) {
            Ok(here) => found.extend(here),
            // A browser ends processes as it likes.
            Err(_) if program(*pid).is_empty() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn passwords_are_in_no_memory_but_the_brokers_and_the_clipboards_while_they_are_needed() -> Outcome {
    let mut work = loud()?;
    work.click_in_page()?;
    let session = work.active_session()?;
    let password = work.copied()?;
    let service = forms("the service account's password", work.ad.password("jit-svc")?);
    let generated = forms("the session's password", &password);
    let both: Vec<Needle> = service.iter().chain(&generated).cloned().collect();
    let broker = work.product.broker_pid()?;
    let (browser, ours) = around(&work)?;
    let (holders, relays): (Vec<i32>, Vec<i32>) = ours.into_iter().partition(|pid| is_holder(*pid));
    assert!(
        !browser.is_empty() && !relays.is_empty() && holders.len() == 1,
        "{browser:?} {relays:?} {holders:?}"
    );
    assert!(
        relays.iter().all(|pid| program(*pid) == "ticketgate-relay"),
        "what is installed is what is searched"
    );
    if !root() {
        // Not even their own user.
        assert!(relays.iter().chain(&holders).chain([&broker]).all(|pid| in_memory(*pid, &both).is_err()));
        return Ok(());
    }
    // It is there to be found, by the same search: in the two places that the guide names. The holder first, while it is there:
    // searching the broker takes long.
    assert!(!remembered(&holders, &generated)?.is_empty(), "the search finds nothing where something is");
    assert_eq!(remembered(&holders, &service)?, [""; 0]);
    assert!(!in_memory(broker, &generated)?.is_empty(), "the search finds nothing where something is");
    // The relay has handed it on and keeps nothing of it, and the browser never had it.
    assert_eq!(remembered(&relays, &both)?, [""; 0]);
    assert_eq!(remembered(&browser, &both)?, [""; 0]);

    work.product.cli_json(&["end", &session])?;
    work.product.session_becomes(&session, "ended")?;
    until("the clipboard's holder to end", LIMIT, || Ok(holders.iter().all(|pid| program(*pid).is_empty())))?;
    let (browser, ours) = around(&work)?;
    assert_eq!(remembered(&ours, &both)?, [""; 0]);
    assert_eq!(remembered(&browser, &both)?, [""; 0]);
    // The directory's connection keeps its last requests until others have taken their place; nothing else keeps anything.
    let text: Vec<Needle> = generated.iter().filter(|form| !form.name.contains("UTF-16")).cloned().collect();
    forgets(broker, &text)?;
    // With the connection the rest goes, and what the service account logged on with.
    work.ad.crash()?;
    forgets(broker, &both)
}

/// Waits until none of the needles is in a process's memory.
fn forgets(pid: i32, needles: &[Needle]) -> Outcome {
    let mut found = Vec::new();
    let gone = until("the process to forget", LIMIT, || {
        found = in_memory(pid, needles)?;
        Ok(found.is_empty())
    });
    Ok(gone.map_err(|error| error.context(format!("{found:?}")))?)
}

#[test]
fn passwords_are_in_no_file_log_export_argument_or_environment() -> Outcome {
    let work = loud()?;
    work.click_in_page()?;
    let session = work.active_session()?;
    let first = work.copied()?;
    let renewed = work.product.cli_json(&["password", "--new", &session])?;
    let second = renewed.get("password").and_then(|text| text.as_str()).expect("a password").to_owned();
    let mut needles = forms("the service account's password", work.ad.password("jit-svc")?);
    needles.extend(forms("the first password", &first));
    needles.extend(forms("the second password", &second));
    let (browser, ours) = around(&work)?;
    for pid in browser.into_iter().chain(ours).chain(work.product.processes()) {
        let Ok(words) = started_with(pid) else { continue };
        let told: Vec<_> = needles.iter().filter(|needle| needle.is_in(&words)).collect();
        assert!(told.is_empty(), "{told:?} in the arguments or the environment of {}", program(pid));
    }
    work.product.cli_json(&["end", &session])?;
    work.product.session_becomes(&session, "ended")?;
    for format in ["jsonl", "csv"] {
        let export = work.product.cli(&["audit", "export", "--format", format])?;
        assert!(export.succeeded() && export.stdout.contains("password.delivered"), "{export:?}");
        assert!(!needles.iter().any(|needle| needle.is_in(export.stdout.as_bytes())));
    }
    assert!(
        work.product.broker_log().contains("DEBUG"),
        "the log says all that there is: {}",
        work.product.broker_log()
    );
    // Ledger, write-ahead log, key, configuration, logs; and all that the browser keeps.
    let mut found = in_files(work.product.folder(), &needles)?;
    found.extend(in_files(work.browser.folder(), &needles)?);
    assert_eq!(found, [""; 0]);
    let console = work.browser.console().join("\n");
    assert!(!needles.iter().any(|needle| needle.is_in(console.as_bytes())));
    // The same search finds one that is there.
    std::fs::write(work.product.state().join("planted"), format!("x{second}x"))?;
    assert_eq!(in_files(work.product.folder(), &needles)?.len(), 1);
    Ok(())
}
