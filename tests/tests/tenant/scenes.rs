//! What a tenant does when time goes by, and when a test makes it difficult.

use crate::asking::App;
use crate::table::{assign, new_user};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use ticketgate_tests::Result;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::tenant::{Entra, PassPolicy, Tenant};

const REQUESTS: &str = "/roleManagement/directory/roleAssignmentScheduleRequests";
const EXCHANGE: &str = "Exchange Administrator";

/// One tenant with its app and a user.
struct Scene {
    tenant: Tenant,
    app: App,
    user: String,
    role: String,
}

impl Scene {
    fn new(entra: &Entra, graph: SocketAddr, name: &str) -> Result<Self> {
        let tenant = entra.tenant(name)?;
        let app = App::sign_in(entra, &tenant, graph)?;
        let user = tenant.add_user("jit-tech1");
        let role = tenant.role(EXCHANGE).unwrap_or_default();
        Ok(Self { tenant, app, user, role })
    }

    fn assign(&self, minutes: u64) -> Value {
        assign(&self.user, &self.role, minutes)
    }

    fn given(&self) -> Result<Value> {
        self.app.expect(201, "POST", REQUESTS, &self.assign(60))
    }

    fn user_path(&self) -> String {
        format!("/users/{}", self.user)
    }
}

pub(crate) fn play(entra: &Entra, graph: SocketAddr) -> Result<()> {
    let scene = |name: &str| Scene::new(entra, graph, name);
    rights_end(&scene("ends")?)?;
    what_is_written_is_shown_later(&scene("lag")?)?;
    too_many(&scene("throttle")?, &scene("other")?)?;
    failures(&scene("failures")?)?;
    without_pim(&scene("small")?)?;
    waiting(&scene("waiting")?)?;
    rules(&scene("rules")?)?;
    consents(entra, graph, &scene("consents")?)?;
    pass_rules(&scene("passes")?)?;
    pages(&scene("pages")?, graph)?;
    tokens(entra, graph, &scene("tokens")?)
}

fn rights_end(of: &Scene) -> Result<()> {
    of.given()?;
    let rights = of.tenant.held_by(&of.user);
    assert_eq!(rights.first().map(|right| right.right.as_str()), Some("role:Exchange Administrator"));
    let path = format!("{}/authentication/temporaryAccessPassMethods", of.user_path());
    let pass = of.app.expect(201, "POST", &path, &json!({"lifetimeInMinutes": 30}))?;
    let secret = pass["temporaryAccessPass"].as_str().unwrap_or_default().to_owned();
    of.tenant.move_clock(Duration::from_secs(59 * 60));
    assert_eq!(of.tenant.held_by(&of.user).len(), 1);
    assert!(!of.tenant.sign_in(&of.user, &secret), "the pass is over");
    of.tenant.move_clock(Duration::from_secs(61));
    assert!(of.tenant.held_by(&of.user).is_empty());
    let instances = "/roleManagement/directory/roleAssignmentScheduleInstances";
    let shown = of.app.send("GET", instances, &Value::Null)?;
    assert_eq!(shown.json()?["value"], json!([]));
    // The clock is told by every answer.
    let date = shown.header("date").unwrap_or_default().to_owned();
    let told = chrono::DateTime::parse_from_rfc2822(&date)?.timestamp();
    let now = of.tenant.now().duration_since(std::time::SystemTime::UNIX_EPOCH)?.as_secs();
    assert!((i64::try_from(now)? - told).abs() <= 5, "{date}");
    assert_eq!(shown.header("client-request-id"), Some("4c7b8a2e-1111-4222-8333-123456789012"));
    Ok(())
}

fn what_is_written_is_shown_later(of: &Scene) -> Result<()> {
    let none = &Value::Null;
    of.tenant.lag(1, Duration::from_secs(3600));
    let made = of.app.expect(201, "POST", "/users", &new_user(&of.tenant, "jit-new"))?;
    let id = made["id"].as_str().unwrap_or_default().to_owned();
    // Nothing finds it yet, but its name is taken.
    of.app.refused(404, "Request_ResourceNotFound", "GET", &format!("/users/{id}"), none)?;
    of.app.refused(404, "Request_ResourceNotFound", "POST", REQUESTS, &assign(&id, &of.role, 60))?;
    of.app.refused(400, "Request_BadRequest", "POST", "/users", &new_user(&of.tenant, "jit-new"))?;
    of.tenant.show_all();
    of.app.expect(200, "GET", &format!("/users/{id}"), none)?;
    // It comes by itself, too.
    let (lag, started) = (Duration::from_millis(400), Instant::now());
    of.tenant.lag(1, lag);
    of.app.expect(204, "DELETE", &format!("/users/{id}"), none)?;
    until("the user not to be shown", LIMIT, || Ok(of.app.get(&format!("/users/{id}"))?.status == 404))?;
    assert!(started.elapsed() >= lag);
    of.tenant.lag(1, Duration::from_secs(3600));
    of.app.expect(204, "PATCH", &of.user_path(), &json!({"accountEnabled": false}))?;
    let path = format!("{}?$select=accountEnabled", of.user_path());
    assert_eq!(of.app.expect(200, "GET", &path, none)?["accountEnabled"], true);
    assert!(of.tenant.user(&of.user).is_some_and(|user| !user.enabled), "it was done at once");
    of.tenant.show_all();
    assert_eq!(of.app.expect(200, "GET", &path, none)?["accountEnabled"], false);
    Ok(())
}

fn too_many(of: &Scene, other: &Scene) -> Result<()> {
    of.tenant.throttle(2, Some("2.128"));
    for _ in 0..2 {
        let answer = of.app.get(&of.user_path())?;
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("2.128")));
        assert_eq!(other.app.get(&other.user_path())?.status, 200, "another tenant is not meant");
    }
    assert_eq!(of.app.get(&of.user_path())?.status, 200);
    of.tenant.throttle(1, None);
    let answer = of.app.get(&of.user_path())?;
    assert_eq!((answer.status, answer.header("retry-after")), (429, None));
    Ok(())
}

fn failures(of: &Scene) -> Result<()> {
    of.tenant.fail_next("roleAssignmentScheduleRequests", 503, "ServiceUnavailable");
    of.app.expect(200, "GET", &of.user_path(), &Value::Null)?;
    of.app.refused(503, "ServiceUnavailable", "POST", REQUESTS, &of.assign(60))?;
    assert!(of.tenant.held_by(&of.user).is_empty(), "what failed was not done");
    // What is lost was done.
    of.tenant.lose_answer(1);
    of.app.expect(200, "GET", &of.user_path(), &Value::Null)?;
    assert!(of.app.send("POST", REQUESTS, &of.assign(60)).is_err(), "the answer was lost");
    assert_eq!(of.tenant.held_by(&of.user).len(), 1);
    of.app.expect(200, "GET", &of.user_path(), &Value::Null)?;
    of.tenant.delay(Duration::from_millis(300));
    let started = Instant::now();
    of.app.expect(200, "GET", &of.user_path(), &Value::Null)?;
    assert!(started.elapsed() >= Duration::from_millis(300));
    // What was asked is known, in order.
    let lines = of.tenant.lines();
    let request = "POST /roleManagement/directory/roleAssignmentScheduleRequests";
    let user = "GET /users/{user-id} 200".to_owned();
    assert_eq!(
        lines,
        [user.clone(), format!("{request} 503"), user.clone(), format!("{request} 201"), user.clone(), user]
    );
    assert!(
        of.tenant
            .asked()
            .iter()
            .filter(|asked| asked.template.starts_with("/users"))
            .all(|asked| asked.urgent)
    );
    Ok(())
}

fn without_pim(of: &Scene) -> Result<()> {
    of.tenant.pim(false);
    let instances = "/roleManagement/directory/roleAssignmentScheduleInstances";
    let code = "AadPremiumLicenseRequired";
    of.app.refused(400, code, "GET", instances, &Value::Null)?;
    of.app.refused(400, code, "POST", REQUESTS, &of.assign(60))?;
    let direct = json!({"principalId": of.user, "roleDefinitionId": of.role, "directoryScopeId": "/"});
    of.app.expect(201, "POST", "/roleManagement/directory/roleAssignments", &direct)?;
    let licences = of.app.expect(200, "GET", "/subscribedSkus", &Value::Null)?;
    assert_eq!(licences["value"][0]["skuPartNumber"], "AAD_PREMIUM");
    Ok(())
}

fn waiting(of: &Scene) -> Result<()> {
    of.tenant.approval(EXCHANGE);
    let made = of.given()?;
    assert_eq!(made["status"], "PendingApproval");
    of.app.refused(400, "PendingRoleAssignmentRequest", "POST", REQUESTS, &of.assign(60))?;
    assert!(of.tenant.held_by(&of.user).is_empty());
    let id = made["id"].as_str().unwrap_or_default();
    of.app.expect(204, "POST", &format!("{REQUESTS}/{id}/cancel"), &Value::Null)?;
    assert!(!of.tenant.decide(id, true), "it does not wait any more");
    let again = of.given()?;
    let id = again["id"].as_str().unwrap_or_default();
    assert!(of.tenant.decide(id, true));
    assert_eq!(of.tenant.held_by(&of.user).len(), 1);
    // Somebody else's request is in the way, too.
    let other = of.tenant.ask_for(&of.user, "Teams Administrator");
    let teams = of.tenant.role("Teams Administrator").unwrap_or_default();
    of.app.refused(400, "PendingRoleAssignmentRequest", "POST", REQUESTS, &assign(&of.user, &teams, 60))?;
    assert!(of.tenant.decide(&other, false));
    // PIM that takes its time.
    of.tenant.provisioning(Duration::from_secs(60));
    let made = of.app.expect(201, "POST", REQUESTS, &assign(&of.user, &teams, 60))?;
    assert_eq!(made["status"], "PendingProvisioning");
    assert_eq!(of.tenant.held_by(&of.user).len(), 1);
    of.tenant.move_clock(Duration::from_secs(61));
    let all = of.app.expect(
        200,
        "GET",
        &format!("{REQUESTS}?$filter=principalId eq '{}'", of.user),
        &Value::Null,
    )?;
    let one = all["value"].as_array().into_iter().flatten().find(|one| one["id"] == made["id"]);
    assert_eq!(one.map(|one| &one["status"]), Some(&json!("Provisioned")), "{all}");
    assert_eq!(of.tenant.held_by(&of.user).len(), 2);
    Ok(())
}

fn rules(of: &Scene) -> Result<()> {
    let failed = |wanted: &Value, rules: &str| -> Result<()> {
        let refused = of.app.expect(400, "POST", REQUESTS, wanted)?;
        assert_eq!(refused["error"]["code"], "RoleAssignmentRequestPolicyValidationFailed");
        let message = format!("The following policy rules failed: [{rules}]");
        assert_eq!(refused["error"]["message"], message);
        Ok(())
    };
    let mut silent = of.assign(60);
    silent["justification"] = Value::Null;
    failed(&silent, "\"JustificationRule\"")?;
    of.tenant.longest(EXCHANGE, Duration::from_secs(30 * 60));
    of.tenant.demand(EXCHANGE, &["Justification", "Ticketing"]);
    let mut long = of.assign(60);
    long["ticketInfo"] = Value::Null;
    failed(&long, "\"ExpirationRule\",\"TicketingRule\"")?;
    let mut both = of.assign(20);
    both["scheduleInfo"]["expiration"]["duration"] = json!("PT20M");
    of.app.refused(400, "InvalidRoleAssignmentRequest", "POST", REQUESTS, &both)?;
    let mut without = of.assign(20);
    without["scheduleInfo"] = Value::Null;
    of.app.refused(400, "InvalidRoleAssignmentRequest", "POST", REQUESTS, &without)?;
    of.tenant.context(EXCHANGE, "c1");
    let code = "RoleAssignmentRequestAcrsValidationFailed";
    of.app.refused(400, code, "POST", REQUESTS, &of.assign(20))
}

fn consents(entra: &Entra, graph: SocketAddr, of: &Scene) -> Result<()> {
    of.tenant.consent_without(&[
        "RoleAssignmentSchedule.ReadWrite.Directory",
        "RoleManagement.ReadWrite.Directory",
        "User-PasswordProfile.ReadWrite.All",
    ]);
    // The token of before has them still.
    of.given()?;
    of.tenant.forget_tokens();
    of.app.refused(401, "InvalidAuthenticationToken", "GET", &of.user_path(), &Value::Null)?;
    let app = App::sign_in(entra, &of.tenant, graph)?;
    let refused = app.expect(403, "POST", REQUESTS, &of.assign(60))?;
    let message = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("PermissionScopeNotGranted"), "{message}");
    let denied = "Authorization_RequestDenied";
    let password = json!({"passwordProfile": {"password": "aB3-aB3-aB3-aB3"}});
    app.refused(403, denied, "PATCH", &of.user_path(), &password)?;
    let enabled = json!({"accountEnabled": true});
    app.expect(204, "PATCH", &of.user_path(), &enabled)?;
    // An administrator's account, for an app that is none itself.
    of.tenant.app_role(false);
    app.refused(403, denied, "PATCH", &of.user_path(), &enabled)?;
    app.refused(403, denied, "DELETE", &of.user_path(), &Value::Null)?;
    let guarded = of.tenant.add_role_group("Guarded");
    let reference =
        json!({"@odata.id": format!("https://graph.microsoft.com/v1.0/directoryObjects/{}", of.user)});
    app.refused(403, denied, "POST", &format!("/groups/{guarded}/members/$ref"), &reference)?;
    // A user that comes from elsewhere cannot be marked.
    let synced = of.tenant.add_synced_user("synced");
    let note = json!({"onPremisesExtensionAttributes": {"extensionAttribute15": "note"}});
    app.refused(400, "Request_BadRequest", "PATCH", &format!("/users/{synced}"), &note)
}

fn pass_rules(of: &Scene) -> Result<()> {
    let path = format!("{}/authentication/temporaryAccessPassMethods", of.user_path());
    let refused = |body: &Value| of.app.refused(400, "badRequest", "POST", &path, body);
    let policy = PassPolicy { once: true, longest: 480, ..PassPolicy::default() };
    of.tenant.pass_policy(policy.clone());
    refused(&json!({"lifetimeInMinutes": 481, "isUsableOnce": true}))?;
    refused(&json!({"lifetimeInMinutes": 60, "isUsableOnce": false}))?;
    let made = of.app.expect(201, "POST", &path, &json!({"lifetimeInMinutes": 60}))?;
    let secret = made["temporaryAccessPass"].as_str().unwrap_or_default();
    assert!(of.tenant.sign_in(&of.user, secret) && !of.tenant.sign_in(&of.user, secret), "it was for once");
    of.tenant.pass_policy(PassPolicy { enabled: false, ..policy });
    refused(&json!({"lifetimeInMinutes": 60, "isUsableOnce": true}))?;
    of.tenant.pass_policy(PassPolicy::default());
    of.tenant.passes_while_disabled(false);
    of.tenant.edit(&of.user, &json!({"accountEnabled": false}));
    refused(&json!({"lifetimeInMinutes": 60}))
}

fn pages(of: &Scene, graph: SocketAddr) -> Result<()> {
    of.tenant.page_size(2);
    for number in 2..=5 {
        of.tenant.add_user(&format!("jit-tech{number}"));
    }
    let mut path = "/users?$filter=startsWith(userPrincipalName,'jit-')&$select=id".to_owned();
    let mut sizes = Vec::new();
    loop {
        let page = of.app.expect(200, "GET", &path, &Value::Null)?;
        sizes.push(page["value"].as_array().map_or(0, Vec::len));
        let Some(next) = page["@odata.nextLink"].as_str() else { break };
        let Some(rest) = next.strip_prefix(&format!("http://{graph}")) else {
            anyhow::bail!("it leads away: {next}")
        };
        path = rest.to_owned();
    }
    assert_eq!(sizes, [2, 2, 1]);
    of.tenant.foreign_links("http://127.0.0.1:9");
    let page = of.app.expect(200, "GET", "/users?$select=id", &Value::Null)?;
    assert!(
        page["@odata.nextLink"].as_str().is_some_and(|link| link.starts_with("http://127.0.0.1:9/users?"))
    );
    Ok(())
}

fn tokens(entra: &Entra, graph: SocketAddr, of: &Scene) -> Result<()> {
    let none = &Value::Null;
    App::with_token(graph, "nobody's").refused(
        401,
        "InvalidAuthenticationToken",
        "GET",
        &of.user_path(),
        none,
    )?;
    of.tenant.challenge("eyJhY2Nlc3NfdG9rZW4iOnt9fQ==");
    let answer = of.app.get(&of.user_path())?;
    assert_eq!(answer.status, 401);
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    assert!(challenge.contains("error=\"insufficient_claims\""), "{challenge}");
    let other = Scene::new(entra, graph, "late")?;
    other.app.refused(404, "Request_ResourceNotFound", "GET", &of.user_path(), none)?;
    entra.move_sign_in_clock(Duration::from_secs(3600));
    other.app.refused(401, "InvalidAuthenticationToken", "GET", &other.user_path(), none)?;
    let lines = other.tenant.lines();
    assert_eq!(lines, ["GET /users/{user-id} 404", "GET /users/{user-id} 401"]);
    Ok(())
}
