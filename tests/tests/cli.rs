//! The command line as people and scripts use it: what it prints, its JSON, its exit codes.
#![allow(clippy::indexing_slicing, reason = "a test may panic: that is how it fails")]

use serde_json::{Value, json};
use ticketgate_tests::Outcome;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::product::configuration::login;
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{Options, SambaAd};

const ACTIVATE: [&str; 6] =
    ["activate", "acme-server-admin", "--reason", "#4711 Outlook crashes", "--for", "30m"];

fn states(sessions: &Value) -> Vec<&str> {
    sessions.as_array().into_iter().flatten().filter_map(|one| one["state"].as_str()).collect()
}

#[test]
fn status_says_who_you_are_and_what_is_open_to_people_and_to_scripts() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let said = product.cli(&["status"])?;
    assert!(
        said.succeeded() && said.stdout.contains("you are tech1") && said.stdout.contains("No sessions."),
        "{said:?}"
    );
    assert!(product.cli(&ACTIVATE)?.succeeded());
    let said = product.cli(&["status"])?;
    for part in ["active until", "Acme Corp · Server Admin as ACME\\jit-tech1", "#4711 Outlook crashes"] {
        assert!(said.stdout.contains(part), "{part} is missing: {said:?}");
    }
    let status = product.cli_json(&["status"])?;
    assert_eq!(status["broker"]["technician"], "tech1");
    assert_eq!(states(&status["overview"]["sessions"]), ["active"]);
    Ok(())
}

#[test]
fn activate_previews_refuses_and_grants_with_exit_codes_that_a_script_can_use() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let preview = product.cli(&[&ACTIVATE[..], &["--preview"]].concat())?;
    assert!(preview.succeeded() && preview.stdout.contains("would be granted"), "{preview:?}");
    let preview = product.cli(&["activate", "acme-domain-admin", "--reason", "x", "--preview"])?;
    assert_eq!(preview.code, Some(1), "{preview:?}");
    assert!(preview.stdout.contains("would be refused"), "{preview:?}");
    assert!(product.sessions()?.is_empty(), "a preview changes nothing");
    for (arguments, code, part) in [
        (&["activate", "acme-nothing", "--reason", "x"][..], 1, "[unknown_policy]"),
        (&["activate", "acme-domain-admin", "--reason", "x"], 1, "[ticket_required]"),
        (&["activate", "acme-server-admin", "--reason", "x", "--for", "9h"], 1, "[bad_duration]"),
        (&["activate", "acme-server-admin", "--reason", "x", "--for", "soon"], 2, "not a time"),
        (&["activate"], 2, "Usage"),
    ] {
        let said = product.cli(arguments)?;
        assert_eq!(said.code, Some(code), "{said:?}");
        assert!(said.stderr.contains(part) && said.stdout.is_empty(), "{said:?}");
    }
    let audit = product.audit()?;
    let refused = audit.iter().filter(|one| one["action"] == "activation.refused");
    let codes: Vec<_> = refused.map(|one| one["details"]["code"].clone()).collect();
    let by_the_broker = [json!("ticket_required"), json!("bad_duration")];
    assert!(codes.ends_with(&by_the_broker), "what the broker refuses is on record: {codes:?}");
    let said = product.cli(&ACTIVATE)?;
    assert!(said.succeeded() && said.stdout.contains("Password: ticketgate password"), "{said:?}");
    Ok(())
}

#[test]
fn sessions_lists_what_is_open_and_with_past_what_was() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let first = product.cli_json(&ACTIVATE)?;
    product.cli_json(&["activate", "acme-burner", "--reason", "second"])?;
    product.cli_json(&["end", first["id"].as_str().expect("an id")])?;
    assert_eq!(states(&product.cli_json(&["sessions"])?), ["active"]);
    let mut all = states(&product.cli_json(&["sessions", "--past"])?).join(" ");
    all = all
        .split(' ')
        .map(str::to_owned)
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
        .join(" ");
    assert_eq!(all, "active ended");
    assert_eq!(states(&product.cli_json(&["sessions", "--customer", "globex"])?), [""; 0]);
    assert_eq!(product.cli(&["end", "s-nothing"])?.code, Some(1));
    Ok(())
}

#[test]
fn end_all_is_the_emergency_brake() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad).broker("administrators = [\"tech1\"]"))?;
    for policy in ["acme-server-admin", "acme-burner", "acme-member"] {
        product.cli_json(&["activate", policy, "--reason", "all of it"])?;
    }
    assert_eq!(product.cli(&["end-all"])?.code, Some(2), "whose has to be said");
    let ended = product.cli_json(&["end-all", "--technician", "tech1"])?;
    assert_eq!(states(&ended), ["ended"; 3], "{ended}");
    assert!(ad.open_accounts()?.is_empty());
    product.cli_json(&ACTIVATE)?;
    let ended = product.cli_json(&["end-all", "--customer", "acme"])?;
    assert_eq!(states(&ended), ["ended"], "{ended}");
    assert!(ad.open_accounts()?.is_empty());
    Ok(())
}

#[test]
fn the_audit_log_is_shown_checked_and_exported_whole() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad).broker("administrators = [\"tech1\"]"))?;
    let session = product.cli_json(&ACTIVATE)?;
    let id = session["id"].as_str().expect("an id");
    product.cli_json(&["extend", id, "--by", "30m"])?;
    product.cli_json(&["end", id])?;
    product.cli(&["activate", "acme-server-admin", "--reason", "too long", "--for", "9h"])?;

    let shown = product.cli(&["audit", "show"])?;
    for action in [
        "activation.requested",
        "activation.granted",
        "session.extended",
        "session.ended",
        "activation.refused",
    ] {
        assert!(shown.stdout.contains(action), "{action}: {shown:?}");
    }
    let newest = product.cli_json(&["audit", "show", "--limit", "1"])?;
    assert_eq!(newest[0]["action"], "activation.refused", "{newest}");
    assert_eq!(newest[1], Value::Null, "{newest}");
    let verdict = product.cli_json(&["audit", "verify", "--customer", "acme"])?;
    assert!(verdict["whole"] == true && verdict["records"].as_u64() > Some(0), "{verdict}");
    let verdict = product.cli_json(&["audit", "verify"])?;
    assert_eq!(verdict["whole"], true, "{verdict}");
    let lines = product.cli(&["audit", "export"])?;
    let records: Vec<Value> = lines.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(json!(records.len()), verdict["records"], "every record is exported");
    let granted = records.iter().find(|one| one["action"] == "activation.granted").expect("the grant");
    for (field, value) in
        [("technician", "tech1"), ("reason", "#4711 Outlook crashes"), ("policy", "acme-server-admin")]
    {
        assert_eq!(granted["details"][field], value, "{granted}");
    }
    let csv = product.cli(&["audit", "export", "--format", "csv"])?;
    assert!(csv.stdout.lines().count() > records.len() && csv.stdout.contains("session.ended"), "{csv:?}");
    assert_eq!(product.cli(&["audit", "export", "--format", "pdf"])?.code, Some(2));
    Ok(())
}

#[test]
fn check_is_content_with_the_world_of_the_tests() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    for (how, rehearsed) in [(["check"].as_slice(), false), (&["check", "--rehearse"], true)] {
        let findings = product.cli_json(how)?;
        let all = findings.as_array().map(Vec::as_slice).unwrap_or_default();
        let wrong: Vec<_> = all.iter().filter(|one| one["level"] != "ok").collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        let tells = |one: &Value| one["text"].as_str().is_some_and(|text| text.contains("(rehearsed with"));
        assert_eq!(all.iter().any(tells), rehearsed, "{findings}");
        assert!(ad.look()?.accounts_below(ad.account_unit())?.is_empty(), "nothing stays");
    }
    let records = product.audit()?;
    let how: Vec<_> = records
        .iter()
        .filter(|one| one["action"] == "broker.checked")
        .map(|one| &one["details"]["rehearsed"])
        .collect();
    assert_eq!(how, [false, true]);
    Ok(())
}

#[test]
fn sweep_ends_what_is_over_when_no_broker_runs() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let mut product = Product::install(&Configuration::standard(&ad))?;
    // However slow the machine is, this broker does not end it.
    product.start_broker_pausing_at("ledger.session_due")?;
    let session = product.activate("acme-server-admin", &["--reason", "short", "--for", "5s"])?;
    product.kill_broker()?;
    until("its time to be over", LIMIT, || Ok(!ad.bind(session.name(), &session.password)?.accepted()))?;
    assert_eq!(ad.open_accounts()?.len(), 1, "only the directory's own end holds");
    // The directory counts whole seconds, so its end may come a moment before the session's.
    until("a sweep to end it", LIMIT, || {
        let swept = product.cli(&["sweep"])?;
        assert!(swept.succeeded() && swept.stdout.contains("ok"), "{swept:?}");
        Ok(ad.open_accounts()?.is_empty())
    })?;
    product.start_broker()?;
    assert_eq!(product.session(&session.id)?["state"], "ended");
    assert!(product.cli(&["sweep"])?.succeeded(), "a broker that runs is asked to");
    Ok(())
}

#[test]
fn without_a_broker_every_command_says_so_and_what_to_do() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::install(&Configuration::standard(&ad))?;
    for command in [&["status"][..], &["sessions"], &ACTIVATE, &["end-all", "--technician", "tech1"]] {
        let said = product.cli(command)?;
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.stderr.contains("[broker_unreachable]"), "{said:?}");
    }
    Ok(())
}

#[test]
fn a_relay_starts_a_broker_when_none_runs() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::install(&Configuration::standard(&ad))?;
    product.let_relay_start_broker()?;
    let mut relay = product.relay(ticketgate_protocol::EXTENSION_ID)?;
    relay.send(&json!({"id": "1", "method": "hello", "params": {"protocol_min": 1, "protocol_max": 1, "extension_version": "0.1.0"}}))?;
    let welcome = relay.receive(LIMIT)?.expect("an answer");
    assert_eq!(welcome.pointer("/ok/broker/technician"), Some(&json!("tech1")), "{welcome}");
    // It outlives the relay: a browser that closes ends no session's clock.
    relay.close();
    relay.wait(LIMIT)?;
    assert!(product.cli(&["status"])?.succeeded());
    Ok(())
}

#[test]
fn companies_are_compared_with_customers_and_nothing_is_written() -> Outcome {
    let configuration = Configuration::empty()
        .customer("acme", "Acme Corp", &["ACME"])
        .customer("globex", "Globex", &[])
        .with("[[psa]]\nid = \"rt\"\nkind = \"request_tracker\"\nurl = \"http://127.0.0.1:9\"\nsecret = { env = \"NONE\" }\n");
    let product = Product::install(&configuration)?;
    let before = std::fs::read(product.config())?;
    let file = product.folder().join("companies.csv");
    let path = file.to_str().expect("a path");
    std::fs::write(
        &file,
        "\u{feff}Company ID;Company Name;Domain\r\n19;acme corp;acme.example\r\n27;Hooli GmbH;hooli.example\r\n31;\"Acme; HQ\";\r\n",
    )?;
    let import = ["customers", "import", "--psa", "rt", "--csv", path];
    let said = product.cli(&import)?;
    assert!(said.succeeded(), "{said:?}");
    for part in [
        "# 1 new, 1 to be completed, 1 unclear, 0 need nothing.",
        "[[customer]]\nid = \"hooli\"\nname = \"Hooli GmbH\"\ndomains = [\"hooli.example\"]\npsa = { rt = [\"27\"] }",
        "# acme (Acme Corp)\n#   domains = [\"acme.example\"]\n#   psa = { rt = [\"19\"] }",
        "# Acme; HQ (31): no customer has this name, but one like it.",
    ] {
        assert!(said.stdout.contains(part), "{part} is missing: {}", said.stdout);
    }
    let json = product.cli_json(&import)?;
    assert_eq!(
        (&json["new"][0]["id"], &json["unclear"][0]["customers"]),
        (&json!("hooli"), &json!(["acme"]))
    );
    // What was printed is a configuration.
    std::fs::write(product.config(), format!("{}\n{}", configuration.text(), said.stdout))?;
    assert_eq!(product.cli_json(&import)?["known"], 1, "the new one is known now");
    std::fs::write(product.config(), &before)?;

    std::fs::write(&file, "id,name\n1,Acme\n2,\n")?;
    for (arguments, code, part) in [
        (&["customers", "import", "--psa", "rt", "--csv", path][..], 2, "line 3: the name is empty"),
        (
            &["customers", "import", "--psa", "cw", "--csv", path],
            2,
            "no [[psa]] of the configuration has the id \"cw\"; there is: rt",
        ),
        (
            &["customers", "import", "--csv", path, "--name-column", "Firma"],
            2,
            "no column is called \"Firma\"",
        ),
        (&["customers", "import", "--csv", "/nowhere.csv"], 2, "/nowhere.csv cannot be read"),
        (&["customers", "import"], 2, "Usage"),
        (&["customers", "import", "--psa", "rt", "--id-column", "1"], 2, "--csv"),
        (&["customers", "import", "--psa", "rt"], 2, "Request Tracker \"rt\""),
    ] {
        let said = product.cli(arguments)?;
        assert_eq!(said.code, Some(code), "{said:?}");
        assert!(said.stderr.contains(part) && said.stdout.is_empty(), "{part}: {said:?}");
    }
    assert_eq!(std::fs::read(product.config())?, before);
    Ok(())
}

#[test]
fn companies_that_a_customer_was_picked_for_are_listed_with_the_alias_to_add() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let configuration = Configuration::standard(&ad).broker("administrators = [\"tech1\"]");
    let product = Product::start(&configuration)?;
    let said = product.cli(&["customers", "unmatched"])?;
    assert!(said.succeeded() && said.stdout.starts_with("Every company"), "{said:?}");
    for company in ["Acme (HQ)", "acme  corp"] {
        let mut wish = ticketgate_tests::product::asking::wish("acme-burner");
        wish["ticket"] = json!({"system": "request-tracker", "number": "4711", "customer": company});
        product.granted(&wish)?;
    }
    let said = product.cli(&["customers", "unmatched"])?;
    assert!(said.stdout.contains("“Acme (HQ)” once"), "{said:?}");
    assert!(said.stdout.contains("\naliases = [\"ACME\", \"Acme (HQ)\"]"), "{said:?}");
    let found = product.cli_json(&["customers", "unmatched"])?;
    assert_eq!(found["customers"][0]["customer"], "acme", "{found}");
    // Pasted, it is known.
    product
        .configure(&configuration.replace("aliases = [\"ACME\"]", "aliases = [\"ACME\", \"Acme (HQ)\"]")?)?;
    assert!(product.cli(&["customers", "unmatched"])?.stdout.starts_with("Every company"));
    product.cli(&["end-all", "--customer", "acme"])?;
    Ok(())
}

const OWN_RULE: &str = r#"{
  "system": "own-desk", "name": "Own desk", "source": "ours", "hosts": ["desk.example.com"],
  "addresses": [{"source": "seen", "path": "/case/(?<id>[0-9]+)"}], "link": "{origin}/case/{id}",
  "number": [{"source": "seen", "address": "id"}]
}"#;

#[test]
fn rules_are_checked_listed_handed_over_and_followed() -> Outcome {
    let folder = ticketgate_tests::world::Folder::new("rules")?;
    let path = folder.path().display().to_string();
    folder.write("own.json", OWN_RULE)?;
    let configuration =
        Configuration::empty().broker(&format!("rules = \"{path}\"")).technician("tech1", &login(), &[], &[]);
    let product = Product::start(&configuration)?;
    let said = product.cli(&["rules", "check"])?;
    assert!(said.succeeded() && said.stdout.contains("own.json: adds a rule `own-desk`"), "{said:?}");
    let listed = product.cli_json(&["rules", "list"])?;
    assert_eq!(
        (listed[0]["system"].as_str(), listed[0]["hosts"][0].as_str()),
        (Some("own-desk"), Some("desk.example.com"))
    );
    assert!(listed.as_array().is_some_and(|all| all.iter().any(|one| one["from"] == "built in")), "{listed}");
    let overview = || product.api("GET", "/v1/overview", None, &Value::Null)?.json();
    assert_eq!(overview()?["rules"].as_array().map(Vec::len), Some(1));

    // A faulty one beside it: named with file and line everywhere, and the other stays.
    folder.write("bad.json", "{\n  \"system\": \"own-desk\",\n  \"hosts\": [\n}")?;
    until("the broker to say it", LIMIT, || {
        Ok(overview()?["notices"].to_string().contains("bad.json:4: this is not JSON"))
    })?;
    assert_eq!(overview()?["rules"].as_array().map(Vec::len), Some(1));
    let said = product.cli(&["rules", "check"])?;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stdout.contains("bad.json:4: this is not JSON"), "{said:?}");
    let said = product.cli(&["--json", "rules", "check", &format!("{path}/bad.json")])?;
    assert!(said.code == Some(1) && said.json()?[0]["level"] == "error", "{said:?}");
    let said = product.cli(&["check"])?;
    assert!(said.code == Some(1) && said.stdout.contains("bad.json:4"), "{said:?}");
    folder.write("bad.json", OWN_RULE.replace("own-desk", "second"))?;
    let said = product.cli(&["rules", "check", &path])?;
    assert!(
        said.stdout.contains("own.json:3: this form and that of bad.json:3 (`second`) both take"),
        "{said:?}"
    );
    Ok(())
}
