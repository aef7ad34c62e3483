//! One session in two domains of one customer: given whole, ended whole, and nothing of it where one of them is away.
#![allow(clippy::indexing_slicing, reason = "a test may panic: that is how it fails")]

use serde_json::{Value, json};
use std::time::Duration;
use ticketgate_tests::Outcome;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::product::asking::wish;
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{Options, SambaAd};

const HOUR: Duration = Duration::from_secs(3600);
const JIT: &str = "jit-tech1";

/// Two domains, and a policy that grants in both.
fn two_domains() -> ticketgate_tests::Result<(SambaAd, SambaAd, Configuration)> {
    let ad = SambaAd::start(Options::default())?;
    let second = SambaAd::start(Options { customer: "globex", ..Options::default() })?;
    let grant =
        |directory: &str, right: &str| format!("{{ directory = {directory:?}, rights = [{right:?}] }}");
    let (first, other) =
        (grant("acme-ad", ad.group("domain_admins")), grant("acme-two", second.group("tier1")));
    let configuration = Configuration::standard(&ad).directory("acme-two", "acme", &second).with(&format!(
        "[[policy]]\nid = \"acme-both\"\nname = \"Both domains\"\ngrant = [{first}, {other}]\n\
         duration = {{ default = \"1h\", max = \"4h\" }}\neligible = {{ groups = [\"tier2\"] }}\n"
    ));
    Ok((ad, second, configuration))
}

fn states(session: &Value) -> Vec<&str> {
    let parts = session["parts"].as_array().map(Vec::as_slice).unwrap_or_default();
    parts.iter().filter_map(|part| part["state"].as_str()).collect()
}

fn password(product: &Product, id: &str, directory: &str) -> ticketgate_tests::Result<String> {
    let said = product.cli_json(&["password", id, "--directory", directory])?;
    Ok(said["password"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn one_activation_opens_an_account_in_each_domain_and_one_end_closes_both() -> Outcome {
    let (ad, second, configuration) = two_domains()?;
    let product = Product::start(&configuration)?;
    let id = product.granted(&wish("acme-both"))?;
    let session = product.session(&id)?;
    assert_eq!((session["state"].as_str(), states(&session)), (Some("active"), vec!["active", "active"]));
    let passwords = [password(&product, &id, "acme-ad")?, password(&product, &id, "acme-two")?];
    assert_ne!(passwords[0], passwords[1]);
    assert!(ad.bind(JIT, &passwords[0])?.accepted() && second.bind(JIT, &passwords[1])?.accepted());
    assert!(!second.bind(JIT, &passwords[0])?.accepted(), "each has its own");
    for (domain, right) in [(&ad, "domain_admins"), (&second, "tier1")] {
        let account = domain.look()?.account(JIT)?.expect("the account is there");
        assert_eq!(account.groups, [domain.group(right)]);
        assert!(account.ends_after(HOUR, &session), "{account:?}");
    }
    let longer = product.cli_json(&["extend", &id, "--by", "1h"])?;
    for domain in [&ad, &second] {
        let account = domain.look()?.account(JIT)?.expect("the account is there");
        assert!(account.ends_after(2 * HOUR, &longer), "{account:?}");
    }
    let ended = product.cli_json(&["end", &id])?;
    assert_eq!((ended["state"].as_str(), states(&ended)), (Some("ended"), vec!["ended", "ended"]));
    for (domain, password) in [(&ad, &passwords[0]), (&second, &passwords[1])] {
        assert!(domain.open_accounts()?.is_empty());
        assert!(!domain.bind(JIT, password)?.accepted());
    }
    Ok(())
}

#[test]
fn where_one_domain_is_away_nothing_is_left_in_the_other() -> Outcome {
    let (ad, mut second, configuration) = two_domains()?;
    let product = Product::start(&configuration)?;
    second.crash()?;
    let refused = product.cli(&["activate", "acme-both", "--reason", "#4711 Outlook"])?;
    assert!(!refused.succeeded() && refused.stderr.contains("[directory_down]"), "{refused:?}");
    assert!(refused.stderr.contains("acme-two: "), "it is said where: {refused:?}");
    assert!(ad.open_accounts()?.is_empty());
    let left = ad.look()?.account(JIT)?;
    assert!(left.as_ref().is_none_or(|account| account.groups.is_empty()), "{left:?}");
    let all = product.cli_json(&["sessions", "--past"])?;
    assert_eq!((all.as_array().map(Vec::len), &all[0]["state"]), (Some(1), &json!("failed")), "{all}");
    second.restart()?;
    let id = product.granted(&wish("acme-both"))?;
    second.crash()?;
    let ending = product.cli(&["end", &id, "--json"])?.json()?;
    assert_eq!((ending["state"].as_str(), states(&ending)), (Some("ending"), vec!["ended", "ending"]));
    assert!(ad.open_accounts()?.is_empty(), "the one that answers does not wait for the other");
    second.restart()?;
    product.session_becomes(&id, "ended")?;
    assert!(second.open_accounts()?.is_empty());
    Ok(())
}

#[test]
fn a_session_goes_on_whole_with_the_next_broker_and_ends_whole() -> Outcome {
    let (ad, second, configuration) = two_domains()?;
    let mut product = Product::start(&configuration)?;
    let id = product.granted(&wish("acme-both"))?;
    product.kill_broker()?;
    product.start_broker()?;
    let session = product.session(&id)?;
    assert_eq!((session["state"].as_str(), states(&session)), (Some("active"), vec!["active", "active"]));
    assert_eq!((ad.open_accounts()?.len(), second.open_accounts()?.len()), (1, 1));
    let renewed = product.cli_json(&["password", &id, "--new", "--directory", "acme-two"])?;
    assert!(second.bind(JIT, renewed["password"].as_str().unwrap_or_default())?.accepted());
    assert_eq!(product.cli_json(&["end", &id])?["state"], "ended");
    assert!(ad.open_accounts()?.is_empty() && second.open_accounts()?.is_empty());
    Ok(())
}

/// Writes of a broker until an activation in both domains is done; the first two are its start.
const WRITES: usize = 20;

#[test]
fn whichever_write_is_refused_lost_or_the_brokers_last_no_part_is_left_alone() -> Outcome {
    let (ad, second, configuration) = two_domains()?;
    let mut product = Product::install(&configuration.generous())?;
    let (mut killed, mut granted, mut taken_back) = (0, 0, 0);
    for fault in ["before", "after", "error", "timeout-applied", "timeout-not-applied"] {
        for write in 3..=WRITES {
            let at = format!("write#{write}:{fault}");
            product.start_broker_meeting(&at)?;
            // Nobody hears of it where the broker dies of it.
            let _ = product.ask_for(&wish("acme-both"));
            until(&format!("all to be settled after {at}"), LIMIT, || {
                if !product.broker_runs()? {
                    killed += 1;
                    product.start_broker()?;
                }
                // It may die of a write of its own, just now.
                let Ok(all) = product.sessions() else { return Ok(false) };
                Ok(all.iter().all(|s| !matches!(s["state"].as_str(), Some("activating" | "ending"))))
            })?;
            // What it did not come to yet is not met while it is looked at.
            if product.broker_runs()? {
                product.kill_broker()?;
            }
            product.start_broker()?;
            let all = product.sessions()?;
            let alone = all.iter().find(|s| states(s).iter().any(|state| s["state"] != *state));
            assert!(alone.is_none(), "{at}: {alone:?}");
            let open = (ad.open_accounts()?.len(), second.open_accounts()?.len());
            match all.iter().find(|s| s["state"] == "active") {
                Some(session) => {
                    assert_eq!(open, (1, 1), "{at}");
                    granted += 1;
                    product.cli_json(&["end", session["id"].as_str().unwrap_or_default()])?;
                }
                None => taken_back += 1,
            }
            assert!(ad.open_accounts()?.is_empty() && second.open_accounts()?.is_empty(), "{at} {open:?}");
            product.kill_broker()?;
        }
    }
    assert!(killed >= 16 && granted > 0 && taken_back >= 16, "{killed} {granted} {taken_back}");
    Ok(())
}
