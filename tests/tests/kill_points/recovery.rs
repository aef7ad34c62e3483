//! `ticketgate recover`, which no broker runs beside: the write by which it takes an account in fails. What happens when it is
//! killed is in `recover.rs`.

use ticketgate_tests::Outcome;
use ticketgate_tests::product::asking::wish;
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{Options, SambaAd};

use crate::FAULTS;

#[test]
fn a_recovery_whose_first_write_fails_is_made_whole_by_the_next() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    for fault in FAULTS {
        let mut product = Product::start(&Configuration::standard(&ad))?;
        product.granted(&wish("acme-server-admin"))?;
        product.kill_broker()?;
        for entry in std::fs::read_dir(product.state())?.flatten() {
            if entry.file_name().to_string_lossy().starts_with("ledger.sqlite") {
                std::fs::remove_file(entry.path())?;
            }
        }
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
