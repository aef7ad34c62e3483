//! The whole product on a tenant of a stand-in by the sign-in of a person: in a browser, by a device's code, with the desktop's key
//! store; and a partner's tenants. No live tenant was ever called.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc;

use anyhow::Context;
use serde_json::{Value, json};
use ticketgate_tests::keyring::Keyring;
use ticketgate_tests::oidc::OpenIdProvider;
use ticketgate_tests::patience::{LIMIT, wait_for};
use ticketgate_tests::person::{come_back, sign_in_at, value};
use ticketgate_tests::product::asking::REASON;
use ticketgate_tests::product::configuration::login;
use ticketgate_tests::product::{Configuration, Policy, Product, Said};
use ticketgate_tests::secrets::{forms, in_files};
use ticketgate_tests::tenant::{Entra, Tenant};
use ticketgate_tests::{Outcome, Result};

const EXCHANGE: &str = "role:Exchange Administrator";

struct Places<'p> {
    tenant: &'p str,
    client: &'p str,
    domain: &'p str,
    login: &'p str,
    graph: &'p str,
}

fn directory(id: &str, of: &Places<'_>, more: &str) -> String {
    format!(
        "[[directory]]\nid = \"{id}\"\ncustomer = \"acme\"\nkind = \"entra\"\ntenant = \"{}\"\nclient_id = \"{}\"\n\
         sign_in = \"technician\"\naccount_domain = \"{}\"\nlogin_url = \"{}\"\ngraph_url = \"{}\"\n{more}\n",
        of.tenant, of.client, of.domain, of.login, of.graph
    )
}

fn configuration(directories: &[String], policies: &[(&'static str, &'static str)]) -> Configuration {
    let mut configuration = Configuration::empty()
        .generous()
        .technician("tech1", &login(), &["tier2"], &[])
        .customer("acme", "Acme Corp", &[]);
    for directory in directories {
        configuration = configuration.with(directory);
    }
    for (id, directory) in policies {
        configuration = configuration.policy(&Policy {
            id,
            name: id,
            directory,
            mode: "burner",
            rights: vec![EXCHANGE.to_owned()],
            ..Policy::default()
        });
    }
    configuration
}

/// A program that a desktop would open a page with: it writes the page's address down.
fn browser(folder: &Path) -> Result<String> {
    let program = folder.join("browser");
    fs::write(&program, "#!/bin/sh\nprintf %s \"$1\" > \"$0.new\" && mv \"$0.new\" \"$0.asked\"\n")?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok(program.display().to_string())
}

/// `ticketgate entra sign-in` with a person at the browser, or who `answers` otherwise.
fn sign_in(product: &Product, id: &str, answers: impl FnOnce(&str) -> Result<()>) -> Result<Said> {
    let program = browser(product.folder())?;
    let asked = product.folder().join("browser.asked");
    let (done, said) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = done.send(product.cli_in(&[("BROWSER", &program)], &["--json", "entra", "sign-in", id]));
        });
        let address = wait_for("the browser to be asked for", LIMIT, || Ok(fs::read_to_string(&asked).ok()))?;
        fs::remove_file(&asked)?;
        answers(&address)?;
        said.recv().context("no answer")?
    })
}

/// Signs in and comes back with what the page gave.
fn agrees(address: &str) -> Result<()> {
    let back = sign_in_at(address)?;
    // Others of this machine, and pages, may ask there as well.
    let (port, _) = back.split_once('?').context("nothing came back")?;
    assert_eq!(come_back(&format!("{port}?code=slipped&state=wrong"))?.0, 400);
    let (status, page) = come_back(&back)?;
    assert!(status == 200 && page.contains("You can close this page"), "{status}: {page}");
    Ok(())
}

fn signed_in(said: &Said) -> Result<String> {
    assert!(said.succeeded(), "{said:?}");
    Ok(said.json()?["account"].as_str().context("no account")?.to_owned())
}

fn actions(product: &Product) -> Result<Vec<String>> {
    let audit = product.audit()?;
    let actions = audit.iter().map(|record| record["action"].as_str().unwrap_or_default().to_owned());
    Ok(actions.filter(|action| action.starts_with("tenant.")).collect())
}

#[test]
fn a_technician_signs_in_once_and_sessions_come_and_go_by_that_alone() -> Outcome {
    let (entra, keyring) = (Entra::start()?, Keyring::start()?);
    let graph = entra.through_prism()?;
    let (msp, contoso) = (entra.tenant("msp")?, entra.tenant("contoso")?);
    for tenant in [&msp, &contoso] {
        tenant.people_administrate();
    }
    contoso.is_reached_from(&msp);
    msp.person(Some(&msp.add_user("terry")));
    msp.add_customer(contoso.id(), "Contoso Inc", Some(&contoso.domain()), "active");
    msp.add_customer(
        "4fdbff88-9d6b-42e0-9713-45c922ba8001",
        "Adatum",
        Some("adatum.onmicrosoft.com"),
        "active",
    );
    let (client, login, graph_url) = (msp.public_client(), entra.login_url(), graph.url());
    let of = |tenant: &Tenant, id: &str, more: &str| {
        let domain = tenant.domain();
        let places = Places {
            tenant: tenant.id(),
            client: &client,
            domain: &domain,
            login: &login,
            graph: &graph_url,
        };
        directory(id, &places, more)
    };
    let partner = format!("partner = \"{}\"", msp.id());
    let directories = [of(&msp, "msp-entra", ""), of(&contoso, "contoso-entra", &partner)];
    let configuration = configuration(&directories, &[("own", "msp-entra"), ("exchange", "contoso-entra")]);
    let bus = [("DBUS_SESSION_BUS_ADDRESS", keyring.address())];
    let mut product = Product::install(&configuration)?;
    product.start_broker_with(&bus)?;

    // Nobody is signed in: said with the command, and nothing was sent to the tenant.
    let refused = product.cli(&["activate", "exchange", "--reason", "mailbox"])?;
    assert!(!refused.succeeded() && refused.stderr.contains("[sign_in_needed]"), "{refused:?}");
    assert!(refused.stderr.contains("ticketgate entra sign-in contoso-entra"), "{refused:?}");
    assert!(contoso.asked().is_empty());

    let said = sign_in(&product, "contoso-entra", agrees)?;
    assert_eq!(signed_in(&said)?, format!("terry@{}", msp.domain()));
    assert!(said.stderr.contains("--device") && !said.stderr.contains("code="), "{said:?}");
    let session = product.activate("exchange", &REASON)?;
    assert!(contoso.sign_in(&session.account, &session.password));
    // Not while a session needs it, also not by another tenant's name.
    let kept = product.cli(&["entra", "sign-out", "msp-entra"])?;
    assert!(!kept.succeeded() && kept.stderr.contains("[wrong_state]"), "{kept:?}");

    // A broker that knows nothing any more finds the sign-in in the key store.
    product.kill_broker()?;
    product.start_broker_with(&bus)?;
    product.cli_json(&["end", &session.id])?;
    assert!(contoso.user(&session.account).is_none());
    let checked = product.cli(&["check"])?;
    assert!(checked.stdout.contains(&format!("terry@{} is signed in", msp.domain())), "{checked:?}");

    tenants(&product)?;
    another_way_or_none(&product, &msp)?;

    // Wherever it went, it stands in no file: not in the log, the ledger or what was printed.
    let secrets = entra.secrets();
    assert!(secrets.len() > 4, "{}", secrets.len());
    for secret in secrets {
        let found = in_files(product.folder(), &forms("a sign-in", &secret))?;
        assert!(found.is_empty(), "{found:?}");
    }
    assert_eq!(entra.strange(), Vec::<String>::new());
    assert_eq!(graph.violations()?, Vec::<String>::new());
    Ok(())
}

/// What a partner has, and what is offered is a configuration.
fn tenants(product: &Product) -> Result<()> {
    let listed = product.cli_json(&["entra", "tenants", "msp-entra"])?;
    let names: Vec<&Value> =
        listed["tenants"].as_array().into_iter().flatten().map(|of| &of["name"]).collect();
    assert_eq!(names, [&json!("Adatum"), &json!("Contoso Inc")]);
    assert_eq!(listed["tenants"][1]["directories"], json!(["contoso-entra"]));
    let text = product.cli(&["entra", "tenants", "msp-entra"])?;
    assert!(text.stdout.contains("2 tenants: 1 in the configuration, 1 to be added"), "{text:?}");
    let toml = listed["tenants"][0]["toml"].as_str().context("nothing is offered")?;
    for line in
        ["id = \"adatum-entra\"", "account_domain = \"adatum.onmicrosoft.com\"", "sign_in = \"technician\""]
    {
        assert!(toml.contains(line) && text.stdout.contains(line), "{line}: {text:?}");
    }
    Ok(())
}

/// Somebody who cancels, who comes back with nothing of ours, and who signs in by a code; and out.
fn another_way_or_none(product: &Product, msp: &Tenant) -> Result<()> {
    msp.person(None);
    let cancelled = sign_in(product, "msp-entra", |address| {
        let back = sign_in_at(address)?;
        assert!(value(&back, "error").is_some(), "{back}");
        assert_eq!(come_back(&back)?.0, 200);
        Ok(())
    })?;
    assert!(!cancelled.succeeded() && cancelled.stderr.contains("access_denied"), "{cancelled:?}");
    // The sign-in before is still good.
    let checked = product.cli(&["check"])?;
    assert!(checked.stdout.contains("is signed in"), "{checked:?}");

    product.cli_json(&["entra", "sign-out", "contoso-entra"])?;
    let refused = product.cli(&["activate", "own", "--reason", "mailbox"])?;
    assert!(refused.stderr.contains("ticketgate entra sign-in msp-entra"), "{refused:?}");
    let listed = product.cli(&["entra", "tenants", "msp-entra"])?;
    assert!(!listed.succeeded() && listed.stderr.contains("[sign_in_needed]"), "{listed:?}");
    for wrong in ["nowhere", "No Id"] {
        let refused = product.cli(&["entra", "sign-in", wrong, "--device"])?;
        assert!(!refused.succeeded(), "{refused:?}");
    }
    assert_eq!(actions(product)?, ["tenant.signing_in", "tenant.signed_in", "tenant.signed_out"]);
    Ok(())
}

/// A product whose one tenant has this sign-in, and no Graph: these tests are about the sign-in.
fn at_a_provider_of_others(provider: &OpenIdProvider) -> Result<Product> {
    let places = Places {
        tenant: provider.tenant(),
        client: provider.public_client(),
        domain: "acme.example",
        login: provider.login_url(),
        graph: "http://127.0.0.1:9",
    };
    Product::install(&configuration(&[directory("acme-entra", &places, "")], &[("own", "acme-entra")]))
}

#[test]
fn a_technician_signs_in_with_a_code_at_a_provider_of_others() -> Outcome {
    let (provider, keyring) = (OpenIdProvider::start()?, Keyring::start()?);
    let mut product = at_a_provider_of_others(&provider)?;
    product.start_broker_with(&[("DBUS_SESSION_BUS_ADDRESS", keyring.address())])?;
    for agrees in [true, false] {
        let said = by_device(&product, &provider, agrees)?;
        if agrees {
            assert_eq!(signed_in(&said)?, "person");
        } else {
            assert!(!said.succeeded() && said.stderr.contains("declined"), "{said:?}");
        }
    }
    let checked = product.cli(&["check"])?;
    assert!(checked.stdout.contains("person is signed in"), "{checked:?}");
    let said = sign_in(&product, "acme-entra", agrees)?;
    assert_eq!(signed_in(&said)?, "person");
    Ok(())
}

#[test]
fn a_sign_in_that_cannot_be_recorded_is_forgotten_again() -> Outcome {
    let (provider, keyring) = (OpenIdProvider::start()?, Keyring::start()?);
    let mut product = at_a_provider_of_others(&provider)?;
    for fault in ["error", "timeout-not-applied"] {
        let fault = format!("ledger.sign_in:{fault}");
        let bus = keyring.address();
        product.start_broker_with(&[("DBUS_SESSION_BUS_ADDRESS", bus), ("TICKETGATE_FAULT", &fault)])?;
        let said = sign_in(&product, "acme-entra", agrees)?;
        assert!(!said.succeeded() && said.stderr.contains("ledger"), "{fault}: {said:?}");
        let refused = product.cli(&["activate", "own", "--reason", "mailbox"])?;
        assert!(refused.stderr.contains("[sign_in_needed]"), "{fault}: {refused:?}");
        // That somebody did is on record, and, once a broker can write it, that nothing came of it.
        let told = actions(&product)?;
        assert_eq!(told.last().map(String::as_str), Some("tenant.signing_in"), "{told:?}");
        assert!(!told.contains(&"tenant.signed_in".to_owned()), "{told:?}");
        product.kill_broker()?;
    }
    Ok(())
}

#[test]
fn of_a_sign_in_in_which_the_broker_was_killed_the_next_one_records_what_became_of_it() -> Outcome {
    let (provider, keyring) = (OpenIdProvider::start()?, Keyring::start()?);
    let bus = ("DBUS_SESSION_BUS_ADDRESS", keyring.address());
    let (begun, done, failed) = ("tenant.signing_in", "tenant.signed_in", "tenant.sign_in_failed");
    for (fault, kept, told) in [
        ("ledger.signing_in:before", false, vec![]),
        ("ledger.signing_in:after", false, vec![begun, failed]),
        ("ledger.sign_in:before", true, vec![begun, done]),
        ("ledger.sign_in:after", true, vec![begun, done]),
    ] {
        // The one before is over: its own sign-in counts for nothing here.
        let mut product = at_a_provider_of_others(&provider)?;
        keyring.secret(&["remove", &sign_in_name(&provider)], "")?;
        product.start_broker_with(&[bus, ("TICKETGATE_FAULT", fault)])?;
        let said = sign_in(&product, "acme-entra", agrees)?;
        assert!(!said.succeeded(), "{fault}: {said:?}");
        product.wait_for_broker_to_end()?;
        if fault == "ledger.sign_in:before" {
            // Killed again while it writes that: the next one does.
            product.start_broker_with(&[bus, ("TICKETGATE_FAULT", "ledger.sign_in_found:before")])?;
            product.wait_for_broker_to_end()?;
        }
        product.start_broker_with(&[bus])?;
        wait_for("the record", LIMIT, || Ok((actions(&product)? == told).then_some(())))?;
        let checked = product.cli(&["check"])?;
        assert_eq!(checked.stdout.contains("person is signed in"), kept, "{fault}: {checked:?}");
        assert_eq!(actions(&product)?, told, "{fault}");
        product.kill_broker()?;
    }
    Ok(())
}

/// Under which name the key store has it.
fn sign_in_name(provider: &OpenIdProvider) -> String {
    format!("entra/{}/{}", provider.tenant(), provider.public_client())
}

/// The code is read where a person reads it: on the terminal, while the command waits.
fn by_device(product: &Product, provider: &OpenIdProvider, agrees: bool) -> Result<Said> {
    let shown = product.folder().join("shown");
    let script = format!("exec \"$0\" --json entra sign-in acme-entra --device 2> {}", shown.display());
    let mut command = product.command("sh");
    command.args(["-c", &script]).arg(ticketgate_tests::product::binary()?);
    let child = command.stdout(std::process::Stdio::piped()).spawn()?;
    let code = wait_for("a code", LIMIT, || {
        let text = fs::read_to_string(&shown).unwrap_or_default();
        let code = text.split("enter the code ").nth(1).and_then(|rest| rest.split(". ").next());
        Ok(code.map(str::to_owned))
    })?;
    provider.answer_device(&code, agrees)?;
    let output = child.wait_with_output()?;
    let stderr = fs::read_to_string(&shown)?;
    fs::remove_file(&shown)?;
    Ok(Said {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr,
    })
}
