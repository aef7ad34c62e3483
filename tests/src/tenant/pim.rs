//! Requests to Privileged Identity Management: of directory roles and of groups, which differ in words only.

use super::answer::{Answer, Answered, Pages, list, not_found, own_refusal, refusal};
use super::caller::Caller;
use super::organisation::Organisation;
use super::question::{Question, fits};
use super::schedules::{Kind, request_entity};
use super::state::{Assignment, Held, Request, State};
use super::wanted::{Action, Wanted};
use chrono::Duration;
use serde_json::Value;

/// How long a right has to be held before it can be given back, and for which it has to be wanted.
const SHORTEST: Duration = Duration::minutes(5);

/// All of PIM needs a licence.
pub(super) fn licensed(tenant: &Organisation) -> Result<(), Answer> {
    if tenant.told.no_pim {
        return Err(refusal(
            400,
            "AadPremiumLicenseRequired",
            "The tenant needs to have Microsoft Entra ID P2 or Microsoft Entra ID Governance license.",
        ));
    }
    Ok(())
}

fn too_short() -> Answer {
    refusal(400, "ActiveDurationTooShort", "The Active duration is too short. Minimum Required is 5 minutes.")
}

fn does_not_exist() -> Answer {
    refusal(400, "RoleAssignmentDoesNotExist", "The Role assignment does not exist.")
}

fn policy(rules: &[&str]) -> Answer {
    let names: Vec<String> = rules.iter().map(|name| format!("\"{name}\"")).collect();
    let message = format!("The following policy rules failed: [{}]", names.join(","));
    refusal(400, "RoleAssignmentRequestPolicyValidationFailed", message)
}

pub(super) fn request(
    tenant: &mut Organisation,
    shown: &State,
    caller: &Caller,
    question: &Question,
    kind: Kind,
) -> Answered {
    question.options_are(&[])?;
    licensed(tenant)?;
    let wanted = Wanted::read(question, kind, tenant.now())?;
    if !tenant.has_principal(shown, &wanted.principal) {
        return Err(not_found(&wanted.principal));
    }
    if !tenant.has(&wanted.held) {
        return Err(not_found(wanted.held.id()));
    }
    if wanted.by_oneself && caller.user.as_deref() != Some(wanted.principal.as_str()) {
        return Err(refusal(400, "InvalidRoleAssignmentRequest", "A user asks for nobody but oneself."));
    }
    if !wanted.by_oneself {
        of_an_administrator(tenant, caller)?;
    }
    let waits =
        |known: &&Request| known.principal == wanted.principal && known.held == wanted.held && known.waits();
    if tenant.state.requests.iter().any(|known| waits(&known)) {
        return Err(refusal(
            400,
            "PendingRoleAssignmentRequest",
            "There is already an existing pending Role assignment request.",
        ));
    }
    let existing = tenant.state.assignment(&wanted.principal, &wanted.held).cloned();
    if wanted.action == Action::Take && tenant.holds_on(&wanted.principal, &wanted.held) {
        return Err(refusal(400, "RoleAssignmentExists", "The Role assignment already exists."));
    }
    // Nobody gives back what an administrator assigned.
    let existing =
        existing.filter(|known| wanted.action != Action::Leave || !wanted.by_oneself || known.activated);
    match (wanted.action, existing) {
        (Action::Take, Some(_)) => {
            Err(refusal(400, "RoleAssignmentExists", "The Role assignment already exists."))
        }
        (Action::Change | Action::Leave, None) => Err(does_not_exist()),
        (Action::Take, None) => take(tenant, caller, &wanted, kind),
        (Action::Change, Some(known)) => change(tenant, caller, &wanted, kind, &known),
        (Action::Leave, Some(known)) => leave(tenant, caller, &wanted, kind, &known),
    }
}

/// What needs a directory role of whoever asks.
pub(super) fn of_an_administrator(tenant: &Organisation, caller: &Caller) -> Result<(), Answer> {
    if caller.user.is_some() && tenant.told.people_are_nobody { Err(super::answer::denied()) } else { Ok(()) }
}

/// An app has no way to show one.
fn shows_context(caller: &Caller) -> bool {
    caller.user.is_some() && caller.answers_challenge
}

/// What the rules of role or group say.
fn allowed(tenant: &Organisation, wanted: &Wanted, shows_context: bool) -> Result<(), Answer> {
    let rules = tenant.state.rules_of(&wanted.held);
    let length = wanted.end.map(|end| end - wanted.start);
    if length.is_some_and(|length| length < SHORTEST) {
        return Err(too_short());
    }
    let longest = if wanted.by_oneself { Some(rules.longest_activation) } else { rules.longest_assignment };
    let mut failed = Vec::new();
    // A clock that is a little off, and the seconds that a request takes.
    let slack = Duration::minutes(1);
    if longest.is_some_and(|longest| length.is_none_or(|length| length > longest + slack)) {
        failed.push("ExpirationRule");
    }
    let demanded = |name: &str| rules.demands.iter().any(|known| known == name);
    if demanded("Justification") && !wanted.has_justification {
        failed.push("JustificationRule");
    }
    if demanded("Ticketing") && !wanted.has_ticket {
        failed.push("TicketingRule");
    }
    // An app cannot meet it, and no token of a person here says that it did.
    if demanded("MultiFactorAuthentication") {
        failed.push("MfaRule");
    }
    let may = (wanted.principal.clone(), wanted.held.clone());
    if wanted.by_oneself && !tenant.state.eligible.contains(&may) {
        failed.push("EligibilityRule");
    }
    if !failed.is_empty() {
        return Err(policy(&failed));
    }
    if let Some(context) = rules.context.as_ref().filter(|_| !shows_context) {
        let claims = format!(
            "%7B%22access_token%22%3A%7B%22acrs%22%3A%7B%22essential%22%3Atrue%2C%20%22value%22%3A%22{context}%22%7D%7D%7D"
        );
        return Err(refusal(
            400,
            "RoleAssignmentRequestAcrsValidationFailed",
            format!("https://login.microsoftonline.com/authorize?response_type=code&claims={claims}"),
        ));
    }
    Ok(())
}

fn record(tenant: &Organisation, caller: &Caller, wanted: &Wanted, status: &str) -> Request {
    let now = tenant.now();
    Request {
        id: super::random_id(),
        status: status.to_owned(),
        created: now,
        completed: Some(now),
        principal: wanted.principal.clone(),
        held: wanted.held.clone(),
        asked: wanted.asked.clone(),
        start: wanted.start,
        end: wanted.end,
        by: caller.user.clone(),
    }
}

/// Keeps a request and answers it.
fn kept(tenant: &mut Organisation, request: Request, kind: Kind) -> Answer {
    let answer = Answer::created(request_entity(&request, kind, true));
    tenant.state.requests.push(request);
    answer
}

fn take(tenant: &mut Organisation, caller: &Caller, wanted: &Wanted, kind: Kind) -> Answered {
    allowed(tenant, wanted, shows_context(caller))?;
    if wanted.only_validated {
        return Ok(Answer::created(request_entity(&record(tenant, caller, wanted, "Granted"), kind, true)));
    }
    if tenant.state.rules_of(&wanted.held).approval {
        let mut request = record(tenant, caller, wanted, "PendingApproval");
        request.completed = None;
        return Ok(kept(tenant, request, kind));
    }
    let now = tenant.now();
    let ready = now + tenant.told.provisioning;
    let status = match () {
        () if ready > now => "PendingProvisioning",
        () if wanted.start > now + Duration::minutes(1) => "Granted",
        () => "Provisioned",
    };
    let mut request = record(tenant, caller, wanted, status);
    request.completed = Some(ready);
    give(tenant, &request, wanted.by_oneself);
    Ok(kept(tenant, request, kind))
}

/// Makes the assignment that a request asks for.
pub(super) fn give(tenant: &mut Organisation, request: &Request, activated: bool) {
    let id = match &request.held {
        Held::Role { .. } => format!("{}-1", super::random_id().replace('-', "")),
        Held::Group { id, owner } => {
            format!("{id}_{}_{}", if *owner { "owner" } else { "member" }, super::random_id())
        }
    };
    let ready = request.completed.unwrap_or_else(|| tenant.now());
    tenant.state.assignments.push(Assignment {
        id,
        schedule: request.id.clone(),
        principal: request.principal.clone(),
        held: request.held.clone(),
        start: request.start.max(ready),
        end: request.end,
        activated,
    });
}

fn change(
    tenant: &mut Organisation,
    caller: &Caller,
    wanted: &Wanted,
    kind: Kind,
    known: &Assignment,
) -> Answered {
    if known.activated || wanted.by_oneself {
        // An activation is not lengthened: it is over, then there is another.
        return Err(refusal(400, "RoleAssignmentExists", "The Role assignment already exists."));
    }
    allowed(tenant, wanted, shows_context(caller))?;
    let request = record(tenant, caller, wanted, "Provisioned");
    if wanted.only_validated {
        return Ok(Answer::created(request_entity(&request, kind, true)));
    }
    for assignment in &mut tenant.state.assignments {
        if assignment.id == known.id {
            assignment.end = wanted.end;
            assignment.schedule.clone_from(&request.id);
        }
    }
    Ok(kept(tenant, request, kind))
}

fn leave(
    tenant: &mut Organisation,
    caller: &Caller,
    wanted: &Wanted,
    kind: Kind,
    known: &Assignment,
) -> Answered {
    if tenant.now() - known.start < SHORTEST {
        return Err(too_short());
    }
    let request = record(tenant, caller, wanted, "Revoked");
    if wanted.only_validated {
        return Ok(Answer::created(request_entity(&request, kind, true)));
    }
    tenant.state.assignments.retain(|assignment| assignment.id != known.id);
    let until = tenant.now() + tenant.told.lets_go;
    tenant.told.given_back.push((wanted.principal.clone(), wanted.held.clone(), until));
    Ok(kept(tenant, request, kind))
}

/// The person's own, of a list that is named by its place in the path.
pub(super) fn my_requests(
    tenant: &Organisation,
    shown: &State,
    caller: &Caller,
    question: &Question,
    pages: &Pages,
) -> Answered {
    question.options_are(&["$top"])?;
    licensed(tenant)?;
    let me = caller.user.clone().unwrap_or_default();
    let own = |request: &&Request| Kind::Role.is_of(&request.held) && request.principal == me;
    let requests =
        shown.requests.iter().filter(own).map(|request| request_entity(request, Kind::Role, false));
    list(question, &requests.collect::<Vec<Value>>(), pages, 999)
}

const FORMS: [&[&str]; 4] = [
    &["principalId"],
    &["principalId", "roleDefinitionId"],
    &["principalId", "status"],
    &["principalId", "roleDefinitionId", "status"],
];
const GROUP_FORMS: [&[&str]; 4] =
    [&["principalId"], &["principalId", "groupId"], &["groupId"], &["principalId", "groupId", "status"]];

pub(super) fn list_requests(
    tenant: &Organisation,
    shown: &State,
    caller: &Caller,
    question: &Question,
    kind: Kind,
    pages: &Pages,
) -> Answered {
    if kind == Kind::Role {
        of_an_administrator(tenant, caller)?;
    }
    question.options_are(&["$filter", "$top"])?;
    licensed(tenant)?;
    let conditions = question.filter(if kind == Kind::Role { &FORMS } else { &GROUP_FORMS })?;
    if kind == Kind::Group && conditions.is_empty() {
        return Err(refusal(400, "MissingProvider", "The required filters are groupId or principalId."));
    }
    let requests = shown.requests.iter().filter(|request| kind.is_of(&request.held));
    let requests = requests.map(|request| request_entity(request, kind, false));
    list(question, &requests.filter(|known| fits(&conditions, known)).collect::<Vec<Value>>(), pages, 999)
}

pub(super) fn get_request(
    tenant: &Organisation,
    shown: &State,
    question: &Question,
    kind: Kind,
    id: &str,
) -> Answered {
    question.options_are(&[])?;
    licensed(tenant)?;
    let found = shown.requests.iter().find(|known| known.id == id && kind.is_of(&known.held));
    Ok(Answer::ok(request_entity(found.ok_or_else(|| not_found(id))?, kind, true)))
}

pub(super) fn cancel(tenant: &mut Organisation, question: &Question, id: &str) -> Answered {
    question.options_are(&[])?;
    licensed(tenant)?;
    let now = tenant.now();
    let found = tenant.state.requests.iter_mut().find(|known| known.id == id);
    let request = found.ok_or_else(|| not_found(id))?;
    if !request.waits() && request.status != "Granted" {
        return Err(refusal(400, "RoleAssignmentRequestCannotBeCancelled", "The request is not pending."));
    }
    if request.status == "Granted" {
        return Err(own_refusal("a request that was granted for later is taken back"));
    }
    request.status = "Canceled".to_owned();
    request.completed = Some(now);
    Ok(Answer::done())
}
