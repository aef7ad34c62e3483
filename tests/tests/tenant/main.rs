//! The stand-in for Entra ID is held to Microsoft's description like the client is: each answer passes the proxy, each documented
//! request is understood, and what makes a tenant difficult can be had on purpose. Few tests, since each starts a proxy.
#![allow(clippy::indexing_slicing, reason = "a test may panic: that is how it fails")]

mod asking;
mod documented;
mod persons;
mod provider;
mod scenes;
mod signing_in;
mod table;
mod wrong;

use asking::App;
use ticketgate_tests::Outcome;
use ticketgate_tests::oidc::OpenIdProvider;
use ticketgate_tests::tenant::Entra;

#[test]
fn every_answer_of_the_stand_in_is_as_microsoft_describes_it() -> Outcome {
    let entra = Entra::start()?;
    let graph = entra.through_prism()?;
    table::play(&entra, graph.address())?;
    let violations = graph.violations()?;
    assert!(violations.is_empty(), "{violations:#?}");
    documented::play(&entra, graph.address())?;
    Ok(wrong::play(&entra, &graph)?)
}

#[test]
fn a_tenant_is_as_difficult_as_it_is_told_to_be() -> Outcome {
    let entra = Entra::start()?;
    let graph = entra.through_prism()?;
    persons::play(&entra, graph.address())?;
    scenes::play(&entra, graph.address())?;
    assert!(entra.strange().is_empty(), "{:#?}", entra.strange());
    let violations = graph.violations()?;
    assert!(violations.is_empty(), "{violations:#?}");
    Ok(())
}

#[test]
fn a_token_is_for_the_app_that_shows_a_fresh_assertion_of_its_own() -> Outcome {
    let entra = Entra::start()?;
    let acme = entra.tenant("direct")?;
    // Without the proxy there is no Graph.
    let app = App::sign_in(&entra, &acme, asking::address(&entra.login_url())?)?;
    assert_eq!(app.get("/users")?.status, 404);
    signing_in::play(&entra)?;
    Ok(persons::late(&entra)?)
}

#[test]
fn an_openid_provider_of_others_gives_tokens_for_what_our_sign_in_sends_and_for_nothing_else() -> Outcome {
    let provider = OpenIdProvider::start()?;
    provider::play(&provider)?;
    Ok(())
}
