//! Every route and every role: who gets in over the network, and that the socket is as it was.

use axum::extract::ConnectInfo;
use axum::http::Method;
use serde_json::{Value, json};
use ticketgate_ledger::{Change, Issued, SignIn, TokenChange};

use super::super::http::router;
use super::super::identity::Peer;
use super::super::identity::jwt;
use super::super::identity::needs::{Need, TABLE};
use super::team::{Relay, Team, code};
use super::*;

const GLOBEX: &str = "[[customer]]\nid = \"globex\"\nname = \"Globex\"\n[[directory]]\nid = \"globex-ad\"\ncustomer = \"globex\"\nkind = \"active_directory\"\n\
    servers = [\"ldaps://dc1.globex.example\"]\nbind_dn = \"CN=svc,DC=globex,DC=example\"\npassword = { file = \"/none\" }\naccount_unit = \"OU=JIT,DC=globex,DC=example\"\n";

/// Everybody is a technician of the configuration, one with each role.
fn configuration_of_roles() -> String {
    let person =
        |id: &str| format!("[[technician]]\nid = \"{id}\"\ngroups = [\"tier2\"]\nsign_in = \"{id}\"\n");
    let role = |role: &str, who: &str, more: &str| {
        format!("[[role]]\nrole = \"{role}\"\ntechnicians = [\"{who}\"]\n{more}")
    };
    let people = "[[technician]]\nid = \"tech1\"\ngroups = [\"tier2\"]\n[[technician]]\nid = \"boss\"\n";
    let acme = "customers = [\"acme\"]\n";
    let globex = "customers = [\"globex\"]\n";
    let all = ["tech1", "boss", "eva", "eva-globex", "ann", "adam", "nobody"].map(person).concat();
    let text = configuration().replace(people, &all);
    assert!(text.contains("sign_in = \"eva\""));
    [
        text.as_str(),
        GLOBEX,
        "[sign_in]\nissuer = \"https://login.example\"\nclient_id = \"ticketgate\"\n",
        &role("auditor", "eva", acme),
        &role("auditor", "eva-globex", globex),
        &role("approver", "ann", acme),
        &role("administrator", "adam", acme),
        // A technician elsewhere, so nothing here.
        &role("technician", "nobody", globex),
    ]
    .concat()
}

async fn team() -> Team {
    Team::new(&configuration_of_roles()).await
}

/// Signed in without a provider: what a sign-in leaves in the ledger.
async fn signed_in(team: &Team, who: &str) -> Relay {
    let mut relay = Relay::new();
    let (now, token) = (team.world.clock.now(), format!("token-of-{who}"));
    let hash: [u8; 32] =
        sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(&token)).into();
    let until = now + TimeDelta::hours(1);
    let sign_in = SignIn {
        id: format!("i-{who}"),
        technician: who.parse().unwrap(),
        issuer: "https://login.example".into(),
        claim: "sub".into(),
        value: who.into(),
        subject: who.into(),
        session: None,
        name: who.into(),
        groups: Default::default(),
        key: jwt::thumbprint(&relay.key.public()).unwrap(),
        from: now,
        renewed: now,
        until,
        ended: None,
        ended_by: None,
    };
    let issued = Issued { token: hash, sign_in: sign_in.id.clone(), from: now, until };
    let tokens = TokenChange { sign_ins: vec![sign_in], issued: vec![issued], ..TokenChange::default() };
    let change = Change { name: "ledger.test", at: now, tokens, ..Change::default() };
    team.world.ledger.commit(change).await.unwrap();
    relay.token = Some(token);
    relay
}

/// A path with an id in it that exists nowhere, and a body that the route takes.
fn asked(path: &str) -> (String, Value) {
    let id = if path.contains("sessions") { "s-none" } else { "nowhere" };
    let body = match path {
        "/v1/preview" | "/v1/sessions" => json!({ "policy": "none", "duration_s": 60, "reason": "x" }),
        "/v1/ticket" => json!({ "system": "rt", "number": "1", "url": "https://rt.example/1" }),
        "/v1/sessions/{id}/extend" => json!({ "by_s": 60 }),
        "/v1/sessions/{id}/password" => json!({}),
        "/v1/end-all" => json!({ "customer": "acme" }),
        "/v1/directories/{id}/sign-in" => json!({ "port": null }),
        "/v1/directories/{id}/sign-in/go-on" => json!({ "id": "x", "came": null }),
        "/v1/sign-ins/revoke" => json!({ "id": "i-none" }),
        "/v1/tokens" => json!({ "name": "x", "scopes": ["check"], "lasts_s": 600 }),
        "/v1/technicians/{id}/remove" => json!({}),
        _ => Value::Null,
    };
    (path.replace("{id}", id), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_asks_for_its_role_and_no_other_gets_in() {
    const ADMITTED: &[(&str, &[&str])] = &[
        // Route, and who is not turned away at the door: technician, administrator everywhere, auditor, approver, administrator of acme,
        // technician elsewhere.
        ("GET /v1/broker", &["tech1", "boss", "eva", "ann", "adam", "nobody"]),
        ("GET /v1/overview", &["tech1", "boss", "nobody"]),
        ("POST /v1/ticket", &["tech1", "boss", "nobody"]),
        ("POST /v1/preview", &["tech1", "boss", "nobody"]),
        ("GET /v1/sessions", &["tech1", "boss", "eva", "ann", "adam", "nobody"]),
        ("POST /v1/sessions", &["tech1", "boss", "nobody"]),
        ("GET /v1/sessions/{id}", &["tech1", "boss", "eva", "ann", "adam", "nobody"]),
        ("POST /v1/sessions/{id}/extend", &["tech1", "boss", "nobody"]),
        ("POST /v1/sessions/{id}/end", &["tech1", "boss", "eva", "ann", "adam", "nobody"]),
        ("POST /v1/sessions/{id}/password", &["tech1", "boss", "nobody"]),
        ("POST /v1/end-all", &["tech1", "boss", "eva", "ann", "adam", "nobody"]),
        ("GET /v1/audit", &["tech1", "boss", "eva", "adam", "nobody"]),
        ("GET /v1/audit/export", &["tech1", "boss", "eva", "adam", "nobody"]),
        ("GET /v1/audit/verify", &["boss", "eva", "adam"]),
        ("GET /v1/check", &["tech1", "boss", "adam", "nobody"]),
        ("POST /v1/check", &["tech1", "boss", "adam", "nobody"]),
        ("GET /v1/metrics", &["boss", "adam"]),
        ("POST /v1/sweep", &["boss"]),
        ("POST /v1/directories/{id}/sign-in", &["boss"]),
        ("POST /v1/directories/{id}/sign-in/go-on", &["boss"]),
        ("POST /v1/directories/{id}/sign-out", &["boss"]),
        ("GET /v1/directories/{id}/tenants", &["boss"]),
        ("GET /v1/events", &["tech1", "boss", "nobody"]),
        ("GET /v1/sign-ins", &["boss"]),
        ("POST /v1/sign-ins/revoke", &["boss"]),
        ("GET /v1/tokens", &["boss"]),
        ("POST /v1/tokens", &["boss"]),
        ("POST /v1/tokens/{id}/revoke", &["boss"]),
        ("POST /v1/technicians/{id}/remove", &["boss"]),
    ];
    let text = format!("{}\n", configuration_of_roles())
        .replace("per_minute = 20", "per_minute = 10000, per_hour = 10000, per_day = 10000");
    let team = Team::new(&text).await;
    let people = ["tech1", "boss", "eva", "ann", "adam", "nobody"];
    let mut relays = Vec::new();
    for who in people {
        relays.push((who, signed_in(&team, who).await));
    }
    for (method, path, need) in TABLE {
        let route = format!("{method} {path}");
        let row = ADMITTED.iter().find(|(at, _)| *at == route);
        if *need == Need::Anybody {
            assert!(row.is_none(), "{route}");
            continue;
        }
        let (_, admitted) = row.unwrap_or_else(|| panic!("{route} is not in this test"));
        let (address, body) = asked(path);
        let nobody = team.ask(method.as_str(), &address, &[], "").await;
        assert_eq!(nobody.status, 401, "{route} without a sign-in");
        // A stream does not end by itself: who gets in is looked at in a test of its own.
        let is_stream = *path == "/v1/events";
        for (who, relay) in &relays {
            if is_stream && admitted.contains(who) {
                continue;
            }
            let said = relay.ask(&team, method.as_str(), &address, &body).await;
            let refused = said.status == 403 && code(&said) == "role_needed";
            assert_eq!(!refused, admitted.contains(who), "{route} as {who}: {} {}", said.status, said.text());
            assert_ne!(said.status, 401, "{route} as {who}");
        }
    }
}

#[test]
fn every_route_that_is_served_is_in_the_table() {
    let source = include_str!("../http/routes.rs");
    for line in source.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")) {
        let (path, methods) = line.split_once('"').unwrap();
        for (word, method) in [("get(", Method::GET), ("post(", Method::POST)] {
            let served = methods.contains(word);
            let known = TABLE.iter().any(|(with, at, _)| *with == method && *at == path);
            assert_eq!(served, known, "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_ends_at_its_customers() {
    let team = team().await;
    let technician = signed_in(&team, "tech1").await;
    let wish = json!({ "customer": "acme", "policy": "domain", "duration_s": 3600, "reason": "x", "ticket": { "number": "1" } });
    let session = technician.ask(&team, "POST", "/v1/sessions", &wish).await;
    assert_eq!(session.status, 201, "{}", session.text());
    let id = session.json().unwrap()["id"].as_str().unwrap().to_owned();
    // Where the role of a technician is not theirs there is nothing.
    let elsewhere = signed_in(&team, "nobody").await;
    let refused = elsewhere.ask(&team, "POST", "/v1/sessions", &wish).await;
    assert_eq!((refused.status, code(&refused).as_str()), (404, "unknown_customer"));
    for (who, sees, ends) in
        [("eva", true, false), ("ann", true, false), ("eva-globex", false, false), ("adam", true, true)]
    {
        let relay = signed_in(&team, who).await;
        let shown = relay.get(&team, &format!("/v1/sessions/{id}")).await;
        assert_eq!(shown.status == 200, sees, "{who}: {}", shown.text());
        let listed = relay.get(&team, "/v1/sessions?all=true").await;
        let count = listed.json().unwrap().as_array().map_or(0, Vec::len);
        assert_eq!(count, usize::from(sees), "{who}: {}", listed.text());
        let other = relay.get(&team, "/v1/sessions?all=true&customer=globex").await;
        assert_eq!(other.status == 200, who == "eva-globex", "{who}: {}", other.text());
        let audit = relay.get(&team, "/v1/audit").await;
        match who {
            "eva" | "adam" => {
                let records = audit.json().unwrap();
                let records = records.as_array().unwrap();
                assert!(
                    !records.is_empty() && records.iter().all(|r| r["chain"] == "acme"),
                    "{who}: {records:?}"
                );
                // What belongs to no customer is not a customer's.
                for chain in ["-", "globex"] {
                    let said = relay.get(&team, &format!("/v1/audit?customer={chain}")).await;
                    assert_eq!(said.status, 403, "{who} {chain}");
                }
                assert_eq!(relay.get(&team, "/v1/audit/verify").await.json().unwrap()["whole"], true);
            }
            "ann" => assert_eq!(audit.status, 403),
            _ => assert_eq!(audit.json().unwrap().as_array().unwrap().len(), 0, "{}", audit.text()),
        }
        let ended = relay.ask(&team, "POST", &format!("/v1/sessions/{id}/end"), &Value::Null).await;
        assert_eq!(ended.status == 200, ends, "{who}: {}", ended.text());
        let all = relay.ask(&team, "POST", "/v1/end-all", &json!({ "customer": "acme" })).await;
        assert_eq!(all.status == 200, ends, "{who}: {}", all.text());
        let person = relay.ask(&team, "POST", "/v1/end-all", &json!({ "technician": "tech1" })).await;
        assert_eq!(person.status, 403, "{who} does not administrate everywhere");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_automation_does_what_its_scopes_say_where_it_says_and_until_it_ends() {
    let team = team().await;
    let boss = signed_in(&team, "boss").await;
    let make = async |wanted: Value| boss.ask(&team, "POST", "/v1/tokens", &wanted).await;
    for wrong in [
        json!({ "name": "", "scopes": ["check"], "lasts_s": 600 }),
        json!({ "name": "x", "scopes": [], "lasts_s": 600 }),
        json!({ "name": "x", "scopes": ["everything"], "lasts_s": 600 }),
        json!({ "name": "x", "scopes": ["check"], "lasts_s": 10 }),
        json!({ "name": "x", "scopes": ["check"], "lasts_s": 40_000_000 }),
        json!({ "name": "x", "scopes": ["check"], "lasts_s": 600, "customers": [] }),
        json!({ "name": "x", "scopes": ["check"], "lasts_s": 600, "customers": ["initech"] }),
    ] {
        assert_eq!(make(wrong.clone()).await.status, 400, "{wrong}");
    }
    let made = make(json!({ "name": "night report", "scopes": ["audit:read", "sessions:read"], "lasts_s": 600, "customers": ["acme"] })).await;
    assert_eq!((made.status, made.header("cache-control")), (201, Some("no-store")), "{}", made.text());
    let made = made.json().unwrap();
    let (token, id) =
        (made["token"].as_str().unwrap().to_owned(), made["of"]["id"].as_str().unwrap().to_owned());
    assert!(token.starts_with("tgt_") && token.len() == 47);
    let bearer = format!("Bearer {token}");
    let ask = async |method: &str, path: &str| {
        team.ask(
            method,
            path,
            &[("Authorization", &bearer), ("Idempotency-Key", "k")],
            "{\"customer\":\"acme\"}",
        )
        .await
    };
    for (method, path, status) in [
        ("GET", "/v1/broker", 200),
        ("GET", "/v1/sessions?all=true", 200),
        ("GET", "/v1/sessions?all=true&customer=globex", 403),
        ("GET", "/v1/audit", 200),
        ("GET", "/v1/audit?customer=-", 403),
        ("GET", "/v1/audit/verify", 200),
        ("GET", "/v1/check", 403),
        ("POST", "/v1/check", 403),
        ("POST", "/v1/end-all", 403),
        ("POST", "/v1/sessions", 403),
        ("GET", "/v1/overview", 403),
        ("GET", "/v1/events", 403),
        ("GET", "/v1/tokens", 403),
        ("POST", "/v1/sweep", 403),
    ] {
        let said = ask(method, path).await;
        assert_eq!(said.status, status, "{method} {path}: {}", said.text());
    }
    // The broker's numbers are those of all customers.
    let mut numbers = Vec::new();
    for customers in [Value::Null, json!(["acme"])] {
        let wanted =
            json!({ "name": "prometheus", "scopes": ["metrics"], "lasts_s": 600, "customers": customers });
        let bearer = format!("Bearer {}", make(wanted).await.json().unwrap()["token"].as_str().unwrap());
        for path in ["/v1/metrics", "/v1/audit"] {
            numbers.push(team.ask("GET", path, &[("Authorization", &bearer)], "").await);
        }
    }
    assert_eq!(numbers.iter().map(|said| said.status).collect::<Vec<_>>(), [200, 403, 403, 403]);
    assert!(numbers[0].header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(numbers[0].text().contains("\nticketgate_build_info{"), "{}", numbers[0].text());
    // Listed without itself, and nowhere in the audit log.
    let listed = boss.get(&team, "/v1/tokens").await.text();
    assert!(listed.contains(&id) && listed.contains("night report") && !listed.contains(&token), "{listed}");
    let all = team.world.ledger.audit(AuditQuery::default()).await.unwrap();
    assert!(!format!("{all:?}").contains(&token));
    for wrong in ["tgt_", "tgt_wrong", "x", &token[..token.len() - 1]] {
        let said = team.ask("GET", "/v1/broker", &[("Authorization", &format!("Bearer {wrong}"))], "").await;
        assert_eq!(said.status, 401, "{wrong}");
    }
    let ends =
        make(json!({ "name": "brake", "scopes": ["sessions:end"], "lasts_s": 600 })).await.json().unwrap();
    let brake = format!("Bearer {}", ends["token"].as_str().unwrap());
    let said = team
        .ask(
            "POST",
            "/v1/end-all",
            &[("Authorization", &brake), ("Idempotency-Key", "k")],
            "{\"customer\":\"globex\"}",
        )
        .await;
    assert_eq!(said.status, 200, "{}", said.text());
    let revoked = boss.ask(&team, "POST", &format!("/v1/tokens/{id}/revoke"), &Value::Null).await;
    assert!(revoked.json().unwrap()["ended"].is_string(), "{}", revoked.text());
    assert_eq!(ask("GET", "/v1/broker").await.status, 401);
    team.world.clock.pass(600);
    let said = team.ask("GET", "/v1/broker", &[("Authorization", &brake)], "").await;
    assert_eq!(said.status, 401, "its time is over");
    assert_eq!(team.records("token.refused").await.len(), 2);
    assert_eq!((team.records("token.made").await.len(), team.records("token.revoked").await.len()), (4, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_as_it_was() {
    let world = World::new().await;
    world.broker.load_settings(&configuration_of_roles()).await.unwrap();
    let (_stopping, told) = tokio::sync::watch::channel(false);
    let ask = async |login: &str, superuser: bool, path: &str| {
        let peer = Peer::Local { login: login.into(), superuser, own: false };
        let app = router(Arc::clone(&world.broker), told.clone()).layer(axum::Extension(ConnectInfo(peer)));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, app).await });
        let path = path.to_owned();
        let said = tokio::task::spawn_blocking(move || {
            // What a caller shows besides changes nothing here.
            let headers = [("Authorization", "Bearer tgt_x"), ("DPoP", "x")];
            ticketgate_tests::http::ask(at, "GET", &path, &headers, &[]).unwrap()
        });
        let said = said.await.unwrap();
        serving.abort();
        (said.status, if said.status == 200 { String::new() } else { code(&said) })
    };
    assert_eq!(ask("tech1", false, "/v1/overview").await.0, 200);
    assert_eq!(ask("stranger", false, "/v1/broker").await.0, 200);
    assert_eq!(ask("stranger", false, "/v1/overview").await, (403, "not_a_technician".into()));
    assert_eq!(ask("tech1", false, "/v1/audit/verify").await, (403, "not_an_administrator".into()));
    assert_eq!(ask("root", true, "/v1/audit/verify").await.0, 200);
    assert_eq!(ask("tech1", false, "/v1/metrics").await, (403, "not_an_administrator".into()));
    assert_eq!(ask("root", true, "/v1/metrics").await.0, 200);
    // Roles count for those who come by the socket, too.
    assert_eq!(ask("eva", false, "/v1/overview").await, (403, "not_a_technician".into()));
    assert_eq!(ask("eva", false, "/v1/audit?customer=acme").await.0, 200);
    assert_eq!(ask("eva", false, "/v1/audit?customer=globex").await, (403, "not_an_administrator".into()));
}
