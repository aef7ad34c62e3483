//! The directory says no to one kind of call after the other, with the codes of servers that are busy, broken or elsewhere.
//! It is the real directory; a proxy forges the one answer.

use super::{POLICIES, REASON, nothing_is_held, refusal, through};
use ticketgate_tests::forger::{Call, Forger, Forgery};
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::product::Product;
use ticketgate_tests::samba::{Options, SambaAd};
use ticketgate_tests::{Outcome, Result};

/// Result codes (RFC 4511 appendix A) with the product's.
const CODES: [(u8, &str); 5] = [
    (51, "directory_down"),
    (52, "directory_down"),
    // unwillingToPerform, sizeLimitExceeded, referral.
    (53, "directory_refused"),
    (4, "directory_refused"),
    (10, "directory_refused"),
];

struct Lab {
    product: Product,
    forger: Forger,
    ad: SambaAd,
    /// Seconds that have passed on the broker's clock only, so that nothing waits for a retry.
    ahead: u32,
}

impl Lab {
    fn open() -> Result<Self> {
        let ad = SambaAd::start(Options::default())?;
        let forger = Forger::start(&ad)?;
        let product = Product::start(&through(&ad, &forger.url())?)?;
        Ok(Self { product, forger, ad, ahead: 0 })
    }

    fn forge(&self, call: Call, code: u8) -> Result<()> {
        self.forger.forge(Some(Forgery { call, code }));
        if call == Call::Bind { self.forger.break_connections() } else { Ok(()) }
    }

    /// The directory is itself again, and the next attempt comes soon.
    fn recovers(&mut self) -> Result<()> {
        self.forger.forge(None);
        self.ahead += 2;
        self.product.move_clocks(self.ahead.into(), self.ahead)
    }

    /// Nothing that the last activation left stays, without another request.
    fn is_as_before(&mut self, case: &str) -> Result<()> {
        self.recovers()?;
        until(&format!("{case}: nothing to be left"), LIMIT, || {
            let done = self
                .product
                .sessions()?
                .iter()
                .all(|one| one["state"] == "failed" || one["state"] == "ended");
            Ok(done && nothing_is_held(&self.ad)?)
        })
    }
}

#[test]
fn whatever_the_directory_answers_at_an_activation_it_is_a_clear_error_and_nothing_half_done() -> Outcome {
    let mut lab = Lab::open()?;
    for (policy, calls) in POLICIES.iter().zip([
        [Call::Bind, Call::Search, Call::Add, Call::Modify].as_slice(),
        &[Call::Bind, Call::Search, Call::Add, Call::Modify],
        &[Call::Bind, Call::Search, Call::Modify],
    ]) {
        for call in calls {
            for (code, wanted) in CODES {
                let case = format!("{policy}, {call:?} answered {code}");
                lab.forge(*call, code)?;
                let refused = refusal(&lab.product, policy)?;
                assert!(lab.forger.forged() > 0, "{case}: nothing was forged");
                assert_eq!(refused.as_deref(), Some(wanted), "{case}");
                lab.is_as_before(&case)?;
                // The next activation makes its account anew.
                for account in lab.ad.look()?.accounts_below(lab.ad.account_unit())? {
                    lab.ad.look()?.delete(&account.dn)?;
                }
            }
        }
        assert_eq!(refusal(&lab.product, policy)?, None, "{policy} works again");
        let open = lab.product.sessions()?.remove(0);
        lab.product.cli_json(&["end", open["id"].as_str().expect("an id")])?;
    }
    Ok(())
}

#[test]
fn whatever_the_directory_answers_at_an_end_it_is_ending_until_it_is_done() -> Outcome {
    let mut lab = Lab::open()?;
    for (policy, calls) in POLICIES.iter().zip([
        [Call::Bind, Call::Search, Call::Modify].as_slice(),
        &[Call::Search, Call::Modify, Call::Delete],
        &[Call::Search, Call::Modify],
    ]) {
        for call in calls {
            for (code, wanted) in CODES {
                let case = format!("{policy}, {call:?} answered {code}");
                let session = lab.product.cli_json(&[&["activate", policy], REASON.as_slice()].concat())?;
                let id = session["id"].as_str().expect("an id").to_owned();
                lab.forge(*call, code)?;
                let said = lab.product.cli(&["--json", "end", &id])?;
                assert!(lab.forger.forged() > 0, "{case}: nothing was forged");
                if *policy == "acme-burner" && *call == Call::Modify && wanted != "directory_down" {
                    // What is refused to an account that may be deleted goes with it.
                    assert_eq!(said.json()?["state"], "ended", "{case}: {said:?}");
                    lab.recovers()?;
                    assert!(nothing_is_held(&lab.ad)?, "{case}");
                    continue;
                }
                assert_eq!(said.code, Some(1), "{case}: a script has to know: {said:?}");
                let ending = said.json()?;
                assert_eq!(ending["state"], "ending", "{case}: {ending}");
                assert_eq!(ending["trouble"]["problem"]["code"], *wanted, "{case}: {ending}");
                assert!(lab.product.cli(&["status"])?.stdout.contains("ENDING"), "{case}");
                if *call == Call::Delete {
                    assert!(lab.ad.open_accounts()?.is_empty(), "{case}: what can be taken away is");
                }
                lab.recovers()?;
                lab.product.session_becomes(&id, "ended")?;
                assert!(nothing_is_held(&lab.ad)?, "{case}");
            }
        }
    }
    Ok(())
}
