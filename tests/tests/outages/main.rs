//! What a technician meets, and what is left behind, when something that the broker needs fails: the directory's server, the
//! way to it, what it answers, the clocks, the ledger's disk, and its database at a start.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

mod answers;
mod clocks;
mod ledger;
mod network;
mod server;
mod starting;

use ticketgate_tests::Result;
use ticketgate_tests::product::asking::REASON;
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::SambaAd;

/// A policy of each account mode.
const POLICIES: [&str; 3] = ["acme-server-admin", "acme-burner", "acme-member"];

/// The standard configuration, with another way to the directory and little patience.
fn through(ad: &SambaAd, url: &str) -> Result<Configuration> {
    Configuration::standard(ad)
        .replace(&ad.url(), url)?
        .replace("account_unit =", "timeout = \"1s\"\naccount_unit =")
        .map(Configuration::generous)
}

/// Whether nobody has anything: no JIT account is open or has a right, none of a session that left stays, and the technician's
/// own account has what it always had.
fn nothing_is_held(ad: &SambaAd) -> Result<bool> {
    let burners = ad.look()?.accounts_beginning(ad.account_unit(), "jit-tech1-")?;
    let own = ad.look()?.account("tech1")?;
    Ok(burners.is_empty() && ad.open_accounts()?.is_empty() && own.is_some_and(|own| own.groups.is_empty()))
}

/// Tries an activation on the command line, and answers the code of its refusal; none where it was granted.
fn refusal(product: &Product, policy: &str) -> Result<Option<String>> {
    let said = product.cli(&[&["activate", policy], REASON.as_slice()].concat())?;
    if said.succeeded() {
        return Ok(None);
    }
    let code = said.stderr.split(['[', ']']).nth(1).unwrap_or(&said.stderr);
    assert!(
        said.stdout.is_empty() && said.stderr.matches(". ").count() >= 1,
        "a sentence and a remedy: {said:?}"
    );
    Ok(Some(code.to_owned()))
}
