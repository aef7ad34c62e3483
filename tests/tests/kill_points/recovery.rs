//! What no story has: the write by which `ticketgate recover` takes an account in fails, and the one by which a broker records
//! that its ledger is a new one. What happens when a recovery is killed is in `recover.rs`.

use serde_json::Value;
use ticketgate_tests::product::asking::wish;
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{Options, SambaAd};
use ticketgate_tests::{Outcome, Result};

use crate::{DEADLY, FAULTS};

fn lose_the_ledger(product: &Product) -> Result<()> {
    for entry in std::fs::read_dir(product.state())?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("ledger.sqlite") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[test]
fn a_recovery_whose_first_write_fails_is_made_whole_by_the_next() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    for fault in FAULTS {
        let mut product = Product::start(&Configuration::standard(&ad))?;
        product.granted(&wish("acme-server-admin"))?;
        product.kill_broker()?;
        lose_the_ledger(&product)?;
        let first = product.cli_meeting(&format!("ledger.account_recovered:{fault}"), &["recover"])?;
        let met = product.points().iter().any(|point| point == "ledger.account_recovered");
        // What was written counts as written, though its answer was lost.
        assert!(met && first.succeeded() == (fault == "timeout-applied"), "{fault}: {first:?}");
        let again = product.cli(&["recover"])?;
        assert!(again.succeeded(), "{fault}: {again:?}");
        assert!(ad.open_accounts()?.is_empty(), "{fault}: {:?}", ad.open_accounts());
        product.start_broker()?;
        assert!(product.cli(&["audit", "verify"])?.succeeded(), "{fault}");
        let recovered = product.audit()?.iter().filter(|one| one["action"] == "account.recovered").count();
        assert_eq!(recovered, 1, "{fault}");
        let id = product.granted(&wish("acme-server-admin"))?;
        product.cli_json(&["end", &id])?;
        let mut look = ad.look()?;
        for account in look.accounts_below(ad.account_unit())? {
            assert_eq!(look.delete(&account.dn)?, 0);
        }
    }
    Ok(())
}

#[test]
fn that_a_ledger_was_lost_is_told_also_where_it_cannot_be_recorded() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    for fault in FAULTS {
        let mut product = Product::start(&Configuration::standard(&ad))?;
        product.kill_broker()?;
        lose_the_ledger(&product)?;
        product.start_broker_meeting(&format!("ledger.begun:{fault}"))?;
        assert_eq!(product.broker_runs()?, !DEADLY.contains(&fault), "{fault}");
        if DEADLY.contains(&fault) {
            product.start_broker()?;
        }
        let overview = product.api("GET", "/v1/overview", None, &Value::Null)?.json()?;
        let told =
            overview["notices"].as_array().is_some_and(|all| all.iter().any(|one| one["level"] == "error"));
        assert!(told, "{fault}: {overview}");
        let id = product.granted(&wish("acme-burner"))?;
        product.cli_json(&["end", &id])?;
        assert!(product.cli(&["audit", "verify"])?.succeeded(), "{fault}");
    }
    Ok(())
}
