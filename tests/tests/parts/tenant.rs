//! One session in a domain and in a tenant, which keeps a right for its first five minutes. The tenant is a stand-in behind a proxy that
//! holds both sides to Microsoft's own description; no live tenant was ever called.

use std::time::Duration;

use ticketgate_tests::Outcome;
use ticketgate_tests::product::asking::wish;
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{Options, SambaAd};
use ticketgate_tests::tenant::Entra;

use crate::{JIT, both, password, states};

const EXCHANGE: &str = "role:Exchange Administrator";
/// PIM takes nothing away that it gave less than five minutes ago.
const YOUNG: u32 = 301;

#[test]
fn a_session_in_a_domain_and_a_tenant_is_given_whole_and_ends_in_each_as_soon_as_it_can() -> Outcome {
    let mut ad = SambaAd::start(Options { movable_clock: true, ..Options::default() })?;
    let entra = Entra::start()?;
    let (graph, tenant) = (entra.through_prism()?, entra.tenant("acme")?);
    let tier1 = ad.group("tier1").to_owned();
    let product = Product::start(
        &Configuration::standard(&ad)
            .with(&tenant.section("acme-entra", "acme")?)
            .with(&both("both", [("acme-ad", &tier1), ("acme-entra", EXCHANGE)]))
            .with(&both("unknown", [("acme-ad", &tier1), ("acme-entra", "role:Exchange Admin")])),
    )?;
    let mut passed = 0;
    let mut five_minutes_pass = |ad: &SambaAd| {
        passed += YOUNG;
        tenant.move_clock(Duration::from_secs(YOUNG.into()));
        ad.move_clock(&format!("+{passed}"))?;
        product.move_clocks(passed.into(), 0)
    };
    let name = format!("{JIT}@{}", tenant.domain());
    let held = || tenant.held_by(&name).into_iter().map(|held| held.right).collect::<Vec<_>>();
    let closed_in_tenant = || tenant.user(&name).is_none_or(|user| !user.enabled);

    // Both parts are real.
    let id = product.granted(&wish("both"))?;
    let session = product.session(&id)?;
    assert_eq!((session["state"].as_str(), states(&session)), (Some("active"), vec!["active", "active"]));
    let passwords = [password(&product, &id, "acme-ad")?, password(&product, &id, "acme-entra")?];
    assert!(ad.bind(JIT, &passwords[0])?.accepted() && tenant.sign_in(&name, &passwords[1]));
    let account = ad.look()?.account(JIT)?.expect("the account is there");
    assert_eq!((account.groups, held()), (vec![tier1.clone()], vec![EXCHANGE.to_owned()]));

    // Ended in its first five minutes: the domain's part and both accounts at once, the whole when the role can go.
    let ending = product.cli(&["--json", "end", &id])?.json()?;
    assert_eq!((ending["state"].as_str(), states(&ending)), (Some("ending"), vec!["ended", "ending"]));
    assert!(ad.open_accounts()?.is_empty() && closed_in_tenant());
    assert!(!ad.bind(JIT, &passwords[0])?.accepted() && !tenant.sign_in(&name, &passwords[1]));
    let actions = product.actions(&id)?;
    assert!(!actions.contains(&"session.ended".to_owned()), "{actions:?}");
    five_minutes_pass(&ad)?;
    let ended = product.session_becomes(&id, "ended")?;
    assert_eq!((states(&ended), held()), (vec!["ended", "ended"], vec![]));

    // The tenant refuses: nothing is left in the domain.
    let problem = product.ask_for(&wish("unknown"))?.json()?;
    assert_eq!(problem["code"], "unknown_right", "{problem}");
    assert!(ad.open_accounts()?.is_empty() && closed_in_tenant());
    let account = ad.look()?.account(JIT)?.expect("a dedicated account stays");
    assert_eq!((account.groups, held()), (vec![], vec![]));

    // The domain is away: nobody can work with what the tenant had given, and the role goes as soon as it can.
    ad.crash()?;
    let problem = product.ask_for(&wish("both"))?.json()?;
    assert_eq!(problem["code"], "directory_down", "{problem}");
    assert!(closed_in_tenant());
    ad.restart()?;
    five_minutes_pass(&ad)?;
    let last = product.sessions()?.remove(0);
    product.session_becomes(last["id"].as_str().unwrap_or_default(), "failed")?;
    assert!(ad.open_accounts()?.is_empty() && closed_in_tenant() && held().is_empty());
    assert_eq!((entra.strange(), graph.violations()?), (Vec::<String>::new(), Vec::<String>::new()));
    Ok(())
}
