//! The server: who asks, what is journalled, what goes wrong on purpose, and which part answers.

use super::answer::{Answer, Answered, OWN_REFUSAL, Pages, own_refusal, refusal};
use super::caller::Caller;
use super::journal::{Arrived, Asked};
use super::organisation::Organisation;
use super::permissions;
use super::persons::{self, Agreed, Code, Device};
use super::question::{Question, decoded, pairs};
use super::schedules::Kind;
use super::sign_in::{self, Token, real_now};
use super::state::State;
use super::{groups, partner, passes, pim, policies, roles, schedules, users};
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::time::Duration as Time;

/// The header of an answer that is to be lost on its way.
pub(super) const LOST: &str = crate::prism::LOST_ANSWER;

/// Everything behind the server's address.
#[derive(Debug)]
pub(super) struct World {
    pub(super) tenants: Vec<Organisation>,
    pub(super) journal: Vec<Asked>,
    pub(super) tokens: HashMap<String, Token>,
    pub(super) seen_assertions: HashSet<String>,
    /// Codes of browsers, refresh tokens, codes of devices.
    pub(super) codes: HashMap<String, Code>,
    pub(super) refresh: HashMap<String, Agreed>,
    pub(super) devices: HashMap<String, Device>,
    /// Where clients think that Graph is.
    pub(super) front: String,
    /// Where the login is, without a slash at the end.
    pub(super) login: String,
    /// Before everything of Graph.
    pub(super) prefix: String,
    /// How far the clock of the sign-in is ahead.
    pub(super) sign_in_ahead: Duration,
}

impl World {
    pub(super) fn sign_in_now(&self) -> DateTime<Utc> {
        real_now() + self.sign_in_ahead
    }

    /// Answers a request, and how long that has to take.
    pub(super) fn answer(&mut self, arrived: &Arrived) -> (Answer, Time) {
        let path = arrived.path.clone();
        if let Some(rest) = path.strip_prefix(&self.prefix).filter(|rest| rest.starts_with('/')) {
            return self.graph(arrived, rest);
        }
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (arrived.method.as_str(), segments.as_slice()) {
            ("POST", [tenant, "oauth2", "v2.0", what @ ("token" | "devicecode")]) => {
                self.token(arrived, tenant, what)
            }
            ("GET", [tenant, "oauth2", "v2.0", "authorize"]) => {
                let query = pairs(&arrived.query);
                let value = |name: &str| {
                    query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
                };
                (persons::authorize(self, tenant, &value), Time::ZERO)
            }
            _ => (Answer::new(404, json!({"error": "nothing is here"})), Time::ZERO),
        }
    }

    fn token(&mut self, arrived: &Arrived, tenant: &str, what: &str) -> (Answer, Time) {
        let form = pairs(&String::from_utf8_lossy(&arrived.body));
        let url = format!("{}{}", self.login, arrived.path);
        let place = self.tenants.iter().position(|known| known.id.eq_ignore_ascii_case(tenant));
        let told = place.and_then(|place| self.tenants.get_mut(place)).map(|tenant| &mut tenant.told);
        let (failure, delay, busy) = match told {
            Some(told) => {
                let busy = told.busy_login.take();
                let left = busy.clone().map(|(left, after)| (left.saturating_sub(1), after));
                told.busy_login = left.filter(|(left, _)| *left > 0);
                (take_failure(told, &arrived.path), told.delay, busy)
            }
            None => (None, Time::ZERO, None),
        };
        let answer = match failure {
            _ if busy.is_some() => {
                let answer =
                    Answer::new(429, json!({"error": "temporarily_unavailable", "error_codes": [90033]}));
                let after = busy.and_then(|(_, after)| after);
                after.into_iter().fold(answer, |answer, after| answer.with("retry-after", after))
            }
            Some((status, code)) => Answer::new(status, json!({"error": code, "error_description": code})),
            None if arrived.header("content-type").starts_with("application/x-www-form-urlencoded") => {
                let value = |name: &str| {
                    form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
                };
                match what {
                    "token" => sign_in::token(self, tenant, &url, &form),
                    _ => {
                        let given = persons::device_code(self, tenant, &value);
                        given.unwrap_or_else(|no| no.answer(self.sign_in_now()))
                    }
                }
            }
            None => Answer::new(400, json!({"error": "invalid_request"})),
        };
        let names = form.iter().map(|(name, value)| {
            // What is secret is none of a journal's business.
            let secret = [
                "client_secret",
                "client_assertion",
                "refresh_token",
                "code",
                "code_verifier",
                "device_code",
            ]
            .contains(&name.as_str());
            (name.clone(), Value::from(if secret { "…" } else { value.as_str() }))
        });
        let name = place.and_then(|place| self.tenants.get(place)).map(|tenant| tenant.name.clone());
        let template = "/{tenant}/oauth2/v2.0/token";
        let mut asked =
            Asked::new(arrived, name, arrived.path.clone(), template, Value::Object(names.collect()));
        asked.told(answer.status, answer.body.as_ref().and_then(|body| body.get("error")?.as_str()));
        self.journal.push(asked);
        (answer, delay)
    }

    fn graph(&mut self, arrived: &Arrived, path: &str) -> (Answer, Time) {
        let question = Question {
            method: arrived.method.clone(),
            path: path.trim_start_matches('/').split('/').map(decoded).collect(),
            options: pairs(&arrived.query),
            body: serde_json::from_slice(&arrived.body).unwrap_or(Value::Null),
        };
        let operation = permissions::operation(&question.method, &question.path);
        let template = operation.map_or("", |known| known.path.as_str());
        let plain = format!("/{}", question.path.join("/"));
        let mut asked = Asked::new(arrived, None, plain.clone(), template, question.body.clone());
        let token =
            arrived.header("authorization").strip_prefix("Bearer ").and_then(|text| self.tokens.get(text));
        let now = self.sign_in_now();
        let (answer, delay) = match token.cloned() {
            Some(token) => {
                let base = self.front.clone();
                match self.tenants.get_mut(token.tenant) {
                    Some(tenant) => {
                        asked.tenant.clone_from(&tenant.name);
                        (graph_of(tenant, &token, now, &question, operation, &plain, base), tenant.told.delay)
                    }
                    None => (refusal(401, "InvalidAuthenticationToken", "Nobody."), Time::ZERO),
                }
            }
            None => (refusal(401, "InvalidAuthenticationToken", "CompactToken parsing failed."), Time::ZERO),
        };
        let place = self.tenants.iter().position(|tenant| tenant.name == asked.tenant);
        let time = place.and_then(|place| self.tenants.get(place)).map_or(now, Organisation::now);
        asked.told(answer.status, answer.code());
        if answer.code() == Some(OWN_REFUSAL) {
            let sentence = answer.body.as_ref().and_then(|body| body.pointer("/error/message")?.as_str());
            asked.strange = sentence.map(str::to_owned);
        }
        let wait = answer.headers.iter().find(|(name, _)| *name == "retry-after");
        asked.wait = wait.and_then(|(_, value)| Time::try_from_secs_f64(value.parse().ok()?).ok());
        let answer = with_headers(answer, &asked, time);
        self.journal.push(asked);
        (answer, delay)
    }
}

/// What each answer of Graph has.
fn with_headers(mut answer: Answer, asked: &Asked, now: DateTime<Utc>) -> Answer {
    let date = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Some(error) = answer.body.as_mut().and_then(|body| body.get_mut("error")?.as_object_mut()) {
        let inner = json!({
            "date": now.format("%Y-%m-%dT%H:%M:%S").to_string(),
            "request-id": asked.request_id,
            "client-request-id": asked.client_request_id,
        });
        error.insert("innerError".to_owned(), inner);
    }
    answer = answer.with("date", date).with("request-id", asked.request_id.clone());
    answer.with("client-request-id", asked.client_request_id.clone())
}

fn take_failure(told: &mut super::organisation::Told, path: &str) -> Option<(u16, String)> {
    let place = told.failures.iter().position(|failure| path.contains(&failure.path))?;
    let failure = told.failures.remove(place);
    Some((failure.status, failure.code))
}

fn graph_of(
    tenant: &mut Organisation,
    token: &Token,
    sign_in_now: DateTime<Utc>,
    question: &Question,
    operation: Option<&permissions::Operation>,
    plain: &str,
    base: String,
) -> Answer {
    if token.until <= sign_in_now {
        return refusal(
            401,
            "InvalidAuthenticationToken",
            "Lifetime validation failed, the token is expired.",
        );
    }
    if let Some(claims) = tenant.told.challenge.as_ref().filter(|_| !token.answers_challenge) {
        let challenge = format!(
            "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", \
error=\"insufficient_claims\", claims=\"{claims}\""
        );
        return refusal(
            401,
            "InvalidAuthenticationToken",
            "Continuous access evaluation resulted in challenge.",
        )
        .with("www-authenticate", challenge);
    }
    if let Some((left, after)) = tenant.told.throttle.clone() {
        tenant.told.throttle = (left > 1).then(|| (left - 1, after.clone()));
        let answer = refusal(429, "TooManyRequests", "Please retry again later.");
        return after.into_iter().fold(answer, |answer, after| answer.with("retry-after", after));
    }
    if let Some((status, code)) = take_failure(&mut tenant.told, plain) {
        return refusal(status, &code, "As the test wants it.");
    }
    let lost = match tenant.told.lose {
        Some(0) => {
            tenant.told.lose = None;
            true
        }
        Some(left) => {
            tenant.told.lose = Some(left - 1);
            false
        }
        None => false,
    };
    let shown = tenant.shown();
    let pages = Pages {
        size: tenant.told.page_size.unwrap_or(usize::MAX),
        base: tenant.told.foreign_links.clone().unwrap_or(base),
    };
    let writes = question.method != "GET";
    let before = if writes { tenant.before_write() } else { None };
    let answer = match operation {
        Some(operation) => token
            .caller
            .may(operation)
            .and_then(|()| answered(tenant, &shown, &token.caller, question, &pages)),
        None => Err(own_refusal(format!("{} {plain} is not described", question.method))),
    };
    if writes && answer.is_ok() {
        tenant.written(before);
    }
    let answer = answer.unwrap_or_else(|refused| refused);
    if lost { answer.with(LOST, "yes") } else { answer }
}

const ROLES: &str = "roleManagement";
const PIM_GROUPS: [&str; 3] = ["identityGovernance", "privilegedAccess", "group"];
const MYSELF: &str = "filterByCurrentUser(on='principal')";

/// Finds the part that answers.
fn answered(
    tenant: &mut Organisation,
    shown: &State,
    caller: &Caller,
    question: &Question,
    pages: &Pages,
) -> Answered {
    let path: Vec<&str> = question.path.iter().map(String::as_str).collect();
    if question.method != "GET" && matches!(path.first(), Some(&("users" | "groups"))) {
        pim::of_an_administrator(tenant, caller)?;
    }
    if let Some(rest) = path.strip_prefix(&PIM_GROUPS) {
        return of_pim_groups(tenant, shown, caller, question, pages, rest);
    }
    if let Some(rest) = path.strip_prefix(&[ROLES, "directory"]) {
        return of_roles(tenant, shown, caller, question, pages, rest);
    }
    match (question.method.as_str(), path.as_slice()) {
        ("GET", ["me"]) => schedules::me(shown, caller, question),
        ("GET", ["users"]) => users::list_users(shown, question, pages),
        ("POST", ["users"]) => users::create(tenant, question),
        ("GET", ["users", key]) => users::get(shown, question, key),
        ("PATCH", ["users", key]) => users::change(tenant, shown, caller, question, key),
        ("DELETE", ["users", key]) => users::delete(tenant, shown, caller, question, key),
        ("POST", ["users", key, "revokeSignInSessions"]) => {
            users::revoke_sessions(tenant, shown, question, key)
        }
        ("GET", ["users", key, "memberOf"]) => groups::member_of(tenant, shown, question, key, pages),
        ("GET", ["users", key, "authentication", "temporaryAccessPassMethods"]) => {
            passes::list_passes(tenant, shown, question, key, pages)
        }
        ("POST", ["users", key, "authentication", "temporaryAccessPassMethods"]) => {
            passes::create(tenant, shown, question, key)
        }
        ("DELETE", ["users", key, "authentication", "temporaryAccessPassMethods", id]) => {
            passes::delete(tenant, shown, question, key, id)
        }
        ("GET", ["directory", "deletedItems", "microsoft.graph.user"]) => {
            users::list_deleted(shown, question, pages)
        }
        ("GET", ["directory", "deletedItems", id]) => users::get_deleted(shown, question, id),
        ("DELETE", ["directory", "deletedItems", id]) => users::purge(tenant, question, id),
        ("POST", ["directory", "deletedItems", id, "restore"]) => users::restore(tenant, question, id),
        ("GET", ["groups"]) => groups::list_groups(shown, question, pages),
        ("GET", ["groups", id]) => groups::get(shown, question, id),
        ("GET", ["groups", id, "members"]) => groups::members(tenant, shown, question, id, pages),
        ("POST", ["groups", id, "members", "$ref"]) => groups::add(tenant, shown, caller, question, id),
        ("DELETE", ["groups", id, "members", principal, "$ref"]) => {
            groups::remove(tenant, shown, caller, question, id, principal)
        }
        ("GET", ["organization"]) => groups::organisation(tenant, question, pages),
        ("GET", ["subscribedSkus"]) => groups::licences(tenant, question, pages),
        ("GET", ["tenantRelationships", "delegatedAdminCustomers"]) => {
            partner::customers(shown, question, pages)
        }
        ("GET", ["tenantRelationships", "delegatedAdminRelationships"]) => {
            partner::relationships(shown, question, pages)
        }
        ("GET", ["contracts"]) => partner::contracts(shown, question, pages),
        ("GET", ["policies", "roleManagementPolicyAssignments"]) => {
            policies::assignments(tenant, shown, question, pages)
        }
        ("GET", ["policies", "authenticationMethodsPolicy", "authenticationMethodConfigurations", id]) => {
            passes::policy(shown, question, id)
        }
        _ => Err(not_served(question)),
    }
}

/// Of directory roles, with PIM and without.
fn of_roles(
    tenant: &mut Organisation,
    shown: &State,
    caller: &Caller,
    question: &Question,
    pages: &Pages,
    path: &[&str],
) -> Answered {
    let kind = Kind::Role;
    match (question.method.as_str(), path) {
        ("GET", ["roleDefinitions"]) => roles::definitions(shown, question, pages),
        ("GET", ["roleDefinitions", id]) => roles::definition_of(shown, question, id),
        ("GET", ["roleAssignments"]) => roles::assignments(tenant, shown, question, pages),
        ("POST", ["roleAssignments"]) => roles::assign(tenant, shown, question),
        ("GET", ["roleAssignments", id]) => roles::assignment(shown, question, id),
        ("DELETE", ["roleAssignments", id]) => roles::unassign(tenant, question, id),
        ("GET", ["roleAssignmentSchedules"]) => schedules::schedules(tenant, shown, question, pages),
        ("GET", ["roleAssignmentScheduleInstances"]) => {
            schedules::instances(tenant, shown, caller, question, kind, pages)
        }
        ("GET", ["roleAssignmentScheduleInstances", MYSELF]) => {
            schedules::of_oneself(tenant, shown, caller, question, kind, pages)
        }
        ("GET", ["roleAssignmentScheduleRequests"]) => {
            pim::list_requests(tenant, shown, caller, question, kind, pages)
        }
        ("GET", ["roleAssignmentScheduleRequests", MYSELF]) => {
            pim::my_requests(tenant, shown, caller, question, pages)
        }
        ("POST", ["roleAssignmentScheduleRequests"]) => pim::request(tenant, shown, caller, question, kind),
        ("GET", ["roleAssignmentScheduleRequests", id]) => {
            pim::get_request(tenant, shown, question, kind, id)
        }
        ("POST", ["roleAssignmentScheduleRequests", id, "cancel"]) => pim::cancel(tenant, question, id),
        ("GET", ["roleEligibilityScheduleInstances", MYSELF]) => {
            schedules::eligible_roles(tenant, shown, caller, question, pages)
        }
        ("GET", ["roleEligibilitySchedules", MYSELF]) => {
            schedules::eligible(tenant, shown, caller, question, kind, pages)
        }
        _ => Err(not_served(question)),
    }
}

/// Of groups that PIM looks after.
fn of_pim_groups(
    tenant: &mut Organisation,
    shown: &State,
    caller: &Caller,
    question: &Question,
    pages: &Pages,
    path: &[&str],
) -> Answered {
    let kind = Kind::Group;
    match (question.method.as_str(), path) {
        ("GET", ["assignmentScheduleInstances"]) => {
            schedules::instances(tenant, shown, caller, question, kind, pages)
        }
        ("GET", ["assignmentScheduleInstances", MYSELF]) => {
            schedules::of_oneself(tenant, shown, caller, question, kind, pages)
        }
        ("GET", ["assignmentScheduleRequests"]) => {
            pim::list_requests(tenant, shown, caller, question, kind, pages)
        }
        ("POST", ["assignmentScheduleRequests"]) => pim::request(tenant, shown, caller, question, kind),
        ("POST", ["assignmentScheduleRequests", id, "cancel"]) => pim::cancel(tenant, question, id),
        ("GET", ["assignmentScheduleRequests", id]) => pim::get_request(tenant, shown, question, kind, id),
        ("GET", ["eligibilitySchedules", MYSELF]) => {
            schedules::eligible(tenant, shown, caller, question, kind, pages)
        }
        _ => Err(not_served(question)),
    }
}

/// What is described and not played here. A client that needs it finds out at once.
fn not_served(question: &Question) -> Answer {
    own_refusal(format!("{} /{} is not played", question.method, question.path.join("/")))
}
