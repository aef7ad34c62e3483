//! A request of each kind that the stand-in serves, through the proxy, with its answer's status.

use crate::asking::App;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};
use ticketgate_tests::Result;
use ticketgate_tests::tenant::{Entra, Tenant};

const ROLES: &str = "/roleManagement/directory";
const GROUPS: &str = "/identityGovernance/privilegedAccess/group";

pub(crate) fn play(entra: &Entra, graph: SocketAddr) -> Result<()> {
    let acme = entra.tenant("acme")?;
    let app = App::sign_in(entra, &acme, graph)?;
    let user = users(&app, &acme)?;
    passes(&app, &acme, &user)?;
    roles(&app, &acme, &user)?;
    groups(&app, &acme, &user)?;
    policies(&app, &acme)?;
    oneself(&acme, graph, &user)?;
    recycle_bin(&app, &acme, &user)?;
    assert!(entra.strange().is_empty(), "{:#?}", entra.strange());
    strange(&app, &acme)
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

pub(crate) fn new_user(tenant: &Tenant, name: &str) -> Value {
    json!({
        "accountEnabled": false,
        "displayName": format!("{name}@{}", tenant.domain()),
        "mailNickname": name,
        "userPrincipalName": format!("{name}@{}", tenant.domain()),
        "passwordProfile": {"password": "xWwvJ]6NMw+bWH-d", "forceChangePasswordNextSignIn": false},
        "onPremisesExtensionAttributes": {"extensionAttribute15": "ticketgate token=abc"},
    })
}

fn users(app: &App, acme: &Tenant) -> Result<String> {
    let none = &Value::Null;
    let name = format!("jit-tech1@{}", acme.domain());
    app.refused(404, "Request_ResourceNotFound", "GET", &format!("/users/{name}"), none)?;
    let made = app.expect(201, "POST", "/users", &new_user(acme, "jit-tech1"))?;
    let id = text(&made, "id");
    assert!(made.get("accountEnabled").is_none(), "it is not among what is shown unasked: {made}");
    app.refused(400, "Request_BadRequest", "POST", "/users", &new_user(acme, "jit-tech1"))?;
    let mut elsewhere = new_user(acme, "jit-tech2");
    elsewhere["userPrincipalName"] = json!("jit-tech2@elsewhere.example");
    app.refused(400, "Request_BadRequest", "POST", "/users", &elsewhere)?;
    let mut weak = new_user(acme, "jit-tech2");
    weak["passwordProfile"]["password"] = json!("password");
    app.refused(400, "Request_BadRequest", "POST", "/users", &weak)?;

    let wanted = "$select=id,userPrincipalName,accountEnabled,onPremisesExtensionAttributes";
    let seen = app.expect(200, "GET", &format!("/users/{}?{wanted}", name.replace('@', "%40")), none)?;
    assert_eq!(seen["accountEnabled"], false);
    assert_eq!(seen["onPremisesExtensionAttributes"]["extensionAttribute15"], "ticketgate token=abc");
    let change = json!({
        "accountEnabled": true,
        "passwordProfile": {"password": "aB3-aB3-aB3-aB3", "forceChangePasswordNextSignIn": false},
        "onPremisesExtensionAttributes": {"extensionAttribute15": "ticketgate token=def"},
    });
    app.expect(204, "PATCH", &format!("/users/{id}"), &change)?;
    assert!(acme.sign_in(&name, "aB3-aB3-aB3-aB3") && !acme.sign_in(&name, "xWwvJ]6NMw+bWH-d"));
    app.expect(204, "PATCH", &format!("/users/{id}"), &json!({"accountEnabled": false}))?;
    assert!(!acme.sign_in(&name, "aB3-aB3-aB3-aB3"));
    let revoked = app.expect(200, "POST", &format!("/users/{id}/revokeSignInSessions"), none)?;
    assert_eq!(revoked["value"], true);
    assert!(acme.user(&id).is_some_and(|user| user.sessions_revoked.is_some()));
    acme.add_user("jitter");
    let found = app.expect(
        200,
        "GET",
        &format!("/users?$filter=startsWith(userPrincipalName,'jit-')&{wanted}"),
        none,
    )?;
    assert_eq!(found["value"].as_array().map(Vec::len), Some(1));
    Ok(id)
}

fn passes(app: &App, acme: &Tenant, user: &str) -> Result<()> {
    let path = format!("/users/{user}/authentication/temporaryAccessPassMethods");
    let first = app.expect(201, "POST", &path, &json!({"lifetimeInMinutes": 60, "isUsableOnce": true}))?;
    let second = app.expect(201, "POST", &path, &json!({"lifetimeInMinutes": 480, "isUsableOnce": false}))?;
    let (old, new) = (text(&first, "temporaryAccessPass"), text(&second, "temporaryAccessPass"));
    app.expect(204, "PATCH", &format!("/users/{user}"), &json!({"accountEnabled": true}))?;
    assert!(acme.sign_in(user, &new) && !acme.sign_in(user, &old), "a new pass takes the old one's place");
    let list = app.expect(200, "GET", &path, &Value::Null)?;
    assert_eq!(list["value"][0]["temporaryAccessPass"], Value::Null, "only its making shows it");
    app.expect(204, "DELETE", &format!("{path}/{}", text(&second, "id")), &Value::Null)?;
    assert!(!acme.sign_in(user, &new));
    app.refused(
        404,
        "Request_ResourceNotFound",
        "DELETE",
        &format!("{path}/{}", text(&second, "id")),
        &Value::Null,
    )?;
    let policy =
        "/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/temporaryAccessPass";
    assert_eq!(app.expect(200, "GET", policy, &Value::Null)?["maximumLifetimeInMinutes"], 43_200);
    Ok(())
}

/// A time as the client sends it.
pub(crate) fn end_in(minutes: u64) -> String {
    let end = chrono::DateTime::<chrono::Utc>::from(SystemTime::now() + Duration::from_secs(minutes * 60));
    end.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(crate) fn assign(user: &str, role: &str, minutes: u64) -> Value {
    json!({
        "action": "adminAssign",
        "principalId": user,
        "roleDefinitionId": role,
        "directoryScopeId": "/",
        "justification": "T20261126.0001 mailbox repair",
        "scheduleInfo": {"expiration": {"type": "afterDateTime", "endDateTime": end_in(minutes)}},
        "ticketInfo": {"ticketNumber": "T20261126.0001", "ticketSystem": "Autotask"},
    })
}

pub(crate) fn remove(user: &str, role: &str) -> Value {
    json!({"action": "adminRemove", "principalId": user, "roleDefinitionId": role, "directoryScopeId": "/"})
}

fn roles(app: &App, acme: &Tenant, user: &str) -> Result<()> {
    let none = &Value::Null;
    let all = app.expect(200, "GET", &format!("{ROLES}/roleDefinitions?$select=id,displayName"), none)?;
    assert_eq!(all["value"].as_array().map(Vec::len), Some(13));
    let one = format!("{ROLES}/roleDefinitions?$filter=displayName eq 'Exchange Administrator'");
    let role = text(&app.expect(200, "GET", &one, none)?["value"][0], "id");
    app.expect(200, "GET", &format!("{ROLES}/roleDefinitions/{role}"), none)?;

    let requests = format!("{ROLES}/roleAssignmentScheduleRequests");
    let mut checked = assign(user, &role, 60);
    checked["isValidationOnly"] = json!(true);
    app.expect(201, "POST", &requests, &checked)?;
    assert!(acme.held_by(user).is_empty(), "a validation does nothing");
    let made = app.expect(201, "POST", &requests, &assign(user, &role, 60))?;
    assert_eq!(made["status"], "Provisioned");
    app.refused(400, "RoleAssignmentExists", "POST", &requests, &assign(user, &role, 60))?;
    let listed = app.expect(200, "GET", &format!("{requests}?$filter=principalId eq '{user}'"), none)?;
    assert!(
        listed["value"].as_array().is_some_and(|all| all.iter().any(|one| one["id"] == made["id"])),
        "{listed}"
    );
    for list in ["roleAssignmentScheduleInstances", "roleAssignmentSchedules", "roleAssignments"] {
        let found =
            app.expect(200, "GET", &format!("{ROLES}/{list}?$filter=principalId eq '{user}'"), none)?;
        assert_eq!(found["value"].as_array().map(Vec::len), Some(1), "{list}");
    }
    let mut longer = assign(user, &role, 120);
    longer["action"] = json!("adminUpdate");
    app.expect(201, "POST", &requests, &longer)?;
    app.refused(400, "ActiveDurationTooShort", "POST", &requests, &remove(user, &role))?;
    acme.move_clock(Duration::from_secs(301));
    assert_eq!(app.expect(201, "POST", &requests, &remove(user, &role))?["status"], "Revoked");
    app.refused(400, "RoleAssignmentDoesNotExist", "POST", &requests, &remove(user, &role))?;
    app.refused(400, "RoleAssignmentDoesNotExist", "POST", &requests, &longer)?;
    app.refused(400, "ActiveDurationTooShort", "POST", &requests, &assign(user, &role, 9))?;
    let nobody = "00000000-0000-4000-8000-000000000000";
    app.refused(404, "Request_ResourceNotFound", "POST", &requests, &assign(nobody, &role, 60))?;
    app.refused(404, "Request_ResourceNotFound", "POST", &requests, &assign(user, nobody, 60))?;

    let direct = json!({"principalId": user, "roleDefinitionId": role, "directoryScopeId": "/"});
    let made = app.expect(201, "POST", &format!("{ROLES}/roleAssignments"), &direct)?;
    app.refused(400, "Request_BadRequest", "POST", &format!("{ROLES}/roleAssignments"), &direct)?;
    let place = format!("{ROLES}/roleAssignments/{}", text(&made, "id"));
    app.expect(200, "GET", &place, none)?;
    let instances = format!(
        "{ROLES}/roleAssignmentScheduleInstances?$filter=principalId eq '{user}' and roleDefinitionId eq '{role}'"
    );
    let seen = app.expect(200, "GET", &instances, none)?;
    assert_eq!(seen["value"][0]["endDateTime"], Value::Null, "what was given by hand has no end");
    app.expect(204, "DELETE", &place, none)?;
    app.refused(404, "Request_ResourceNotFound", "DELETE", &place, none)
}

fn groups(app: &App, acme: &Tenant, user: &str) -> Result<()> {
    let none = &Value::Null;
    let group = acme.add_group("Helpdesk");
    app.expect(200, "GET", "/groups?$select=id,displayName&$top=5", none)?;
    app.expect(200, "GET", &format!("/groups/{group}?$select=id,isAssignableToRole"), none)?;
    let reference = json!({"@odata.id": format!("https://graph.microsoft.com/v1.0/directoryObjects/{user}")});
    app.expect(204, "POST", &format!("/groups/{group}/members/$ref"), &reference)?;
    app.refused(400, "Request_BadRequest", "POST", &format!("/groups/{group}/members/$ref"), &reference)?;
    let members = app.expect(200, "GET", &format!("/groups/{group}/members?$select=id"), none)?;
    assert_eq!(members["value"][0]["id"], user);
    acme.give(user, "Global Reader");
    let of = app.expect(200, "GET", &format!("/users/{user}/memberOf?$select=id&$top=999"), none)?;
    let kinds: Vec<_> =
        of["value"].as_array().into_iter().flatten().map(|one| text(one, "@odata.type")).collect();
    assert_eq!(kinds, ["#microsoft.graph.group", "#microsoft.graph.directoryRole"]);
    acme.take(user, "Global Reader");
    let member = format!("/groups/{group}/members/{user}/$ref");
    app.expect(204, "DELETE", &member, none)?;
    app.refused(404, "Request_ResourceNotFound", "DELETE", &member, none)?;

    let requests = format!("{GROUPS}/assignmentScheduleRequests");
    let wanted = json!({
        "accessId": "member",
        "action": "adminAssign",
        "groupId": group,
        "principalId": user,
        "justification": "T1 repair",
        "scheduleInfo": {"expiration": {"type": "afterDateTime", "endDateTime": end_in(60)}},
    });
    let made = app.expect(201, "POST", &requests, &wanted)?;
    app.expect(200, "GET", &format!("{requests}/{}", text(&made, "id")), none)?;
    app.expect(200, "GET", &format!("{requests}?$filter=principalId eq '{user}'"), none)?;
    let instances = format!("{GROUPS}/assignmentScheduleInstances?$filter=principalId eq '{user}'");
    let seen = app.expect(200, "GET", &instances, none)?;
    assert_eq!(seen["value"][0]["groupId"], group);
    let mut back = wanted;
    back["action"] = json!("adminRemove");
    app.refused(400, "ActiveDurationTooShort", "POST", &requests, &back)?;
    acme.move_clock(Duration::from_secs(301));
    app.expect(201, "POST", &requests, &back)?;
    assert!(acme.held_by(user).is_empty());
    Ok(())
}

fn policies(app: &App, acme: &Tenant) -> Result<()> {
    let none = &Value::Null;
    let role = acme.role("Exchange Administrator").unwrap_or_default();
    acme.longest("Exchange Administrator", Duration::from_secs(4 * 3600));
    let path = format!(
        "/policies/roleManagementPolicyAssignments?$filter=scopeId eq '/' and scopeType eq 'DirectoryRole' and \
roleDefinitionId eq '{role}'&$expand=policy($expand=rules)"
    );
    let found = app.expect(200, "GET", &path, none)?;
    let rules = found["value"][0]["policy"]["rules"].as_array().cloned().unwrap_or_default();
    let longest = rules.iter().find(|rule| rule["id"] == "Expiration_Admin_Assignment");
    assert_eq!(longest.map(|rule| &rule["maximumDuration"]), Some(&json!("PT4H")));
    app.expect(200, "GET", "/organization", none)?;
    let licences = app.expect(200, "GET", "/subscribedSkus", none)?;
    assert_eq!(licences["value"][0]["skuPartNumber"], "AAD_PREMIUM_P2");
    Ok(())
}

/// What only a person can do.
fn oneself(acme: &Tenant, graph: SocketAddr, user: &str) -> Result<()> {
    let none = &Value::Null;
    let permissions = [
        "User.Read",
        "RoleAssignmentSchedule.ReadWrite.Directory",
        "RoleEligibilitySchedule.Read.Directory",
        "PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup",
        "PrivilegedEligibilitySchedule.Read.AzureADGroup",
        "DelegatedAdminRelationship.Read.All",
    ];
    let app = App::with_token(graph, &acme.token_of(user, &permissions));
    assert_eq!(app.expect(200, "GET", "/me?$select=id", none)?["id"], user);
    let role = acme.role("Teams Administrator").unwrap_or_default();
    let requests = format!("{ROLES}/roleAssignmentScheduleRequests");
    let mut wanted = assign(user, &role, 60);
    wanted["action"] = json!("selfActivate");
    wanted["scheduleInfo"] = json!({
        "startDateTime": end_in(0), "expiration": {"type": "afterDuration", "duration": "PT2H"},
    });
    app.refused(400, "RoleAssignmentRequestPolicyValidationFailed", "POST", &requests, &wanted)?;
    acme.make_eligible(user, "Teams Administrator");
    let group = acme.add_group("Guarded");
    acme.make_eligible(user, &group);
    let mine = "filterByCurrentUser(on='principal')";
    for list in [
        format!("{ROLES}/roleEligibilitySchedules/{mine}"),
        format!("{ROLES}/roleEligibilityScheduleInstances/{mine}"),
        format!("{GROUPS}/eligibilitySchedules/{mine}"),
    ] {
        assert_eq!(app.expect(200, "GET", &list, none)?["value"].as_array().map(Vec::len), Some(1), "{list}");
    }
    app.expect(201, "POST", &requests, &wanted)?;
    let active = app.expect(200, "GET", &format!("{ROLES}/roleAssignmentScheduleInstances/{mine}"), none)?;
    assert_eq!(active["value"][0]["assignmentType"], "Activated");
    wanted["action"] = json!("selfExtend");
    app.refused(400, "RoleAssignmentExists", "POST", &requests, &wanted)?;
    app.expect(200, "GET", &format!("{GROUPS}/assignmentScheduleInstances/{mine}"), none)?;
    acme.set_customers(&[("4fdbff88-9d6b-42e0-9713-45c922ba8001", "Contoso Inc")]);
    let customers = app.expect(200, "GET", "/tenantRelationships/delegatedAdminCustomers?$top=300", none)?;
    assert_eq!(customers["value"][0]["displayName"], "Contoso Inc");
    let relationships =
        app.expect(200, "GET", "/tenantRelationships/delegatedAdminRelationships?$top=300", none)?;
    assert_eq!(relationships["value"][0]["status"], "active");
    acme.move_clock(Duration::from_secs(301));
    let mut back = remove(user, &role);
    back["action"] = json!("selfDeactivate");
    app.expect(201, "POST", &requests, &back)?;
    let own = app.expect(200, "GET", &format!("{requests}/{mine}"), none)?;
    let mut of_oneself: Vec<_> =
        own["value"].as_array().into_iter().flatten().map(|one| text(one, "action")).collect();
    of_oneself.retain(|action| action.starts_with("self"));
    of_oneself.sort();
    assert_eq!(of_oneself, ["selfActivate", "selfDeactivate"], "{own}");
    // What is an administrator's to do and to see is not a person's own.
    acme.people_are_nobody(true);
    for path in ["roleAssignmentScheduleInstances", "roleAssignmentScheduleRequests"] {
        let of = format!("{ROLES}/{path}?$filter=principalId eq '{user}'");
        app.refused(403, "Authorization_RequestDenied", "GET", &of, none)?;
    }
    app.refused(403, "Authorization_RequestDenied", "POST", &requests, &assign(user, &role, 60))?;
    acme.people_are_nobody(false);
    Ok(())
}

fn recycle_bin(app: &App, acme: &Tenant, user: &str) -> Result<()> {
    let none = &Value::Null;
    app.expect(204, "DELETE", &format!("/users/{user}"), none)?;
    app.refused(404, "Request_ResourceNotFound", "GET", &format!("/users/{user}"), none)?;
    assert_eq!(acme.deleted(), [format!("jit-tech1@{}", acme.domain())]);
    app.expect(200, "GET", "/directory/deletedItems/microsoft.graph.user", none)?;
    app.expect(200, "GET", &format!("/directory/deletedItems/{user}"), none)?;
    app.expect(200, "POST", &format!("/directory/deletedItems/{user}/restore"), none)?;
    app.expect(200, "GET", &format!("/users/{user}"), none)?;
    app.expect(204, "DELETE", &format!("/users/{user}"), none)?;
    app.expect(204, "DELETE", &format!("/directory/deletedItems/{user}"), none)?;
    app.refused(404, "Request_ResourceNotFound", "DELETE", &format!("/directory/deletedItems/{user}"), none)
}

/// What no client of ours asks is refused, so that nobody begins to ask it unseen.
fn strange(app: &App, acme: &Tenant) -> Result<()> {
    acme.add_user("somebody");
    for path in [
        "/users?filter=x",
        "/users?$filter=displayName eq 'x'",
        "/users?$orderby=displayName",
        "/roleManagement/directory/roleAssignments?$filter=principalId ne 'x'",
        "/directoryRoles",
    ] {
        app.refused(400, "StandInRefuses", "GET", path, &Value::Null)?;
    }
    app.refused(400, "Request_BadRequest", "GET", "/users?$select=nothing", &Value::Null)
}
