//! `ticketgate check` of a tenant: tries everything that sessions will need, and changes nothing. What is wrong is a finding, with
//! what an administrator does about it.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_access::config::SignIn;
use ticketgate_access::entra::{EntraRight, RoleName};
use ticketgate_https::segment;
use ticketgate_protocol::api::Finding;

use super::failure::{About, SAID_MAX, WORD_MAX, What, told};
use super::graph::Ask;
use super::rights::Target;
use super::roles::no_role;
use super::wire::{Group, Organization};
use super::{
    EntraTenant, WRITES_GROUPS, WRITES_PIM_GROUPS, WRITES_ROLES, WRITES_ROLES_FOR_GOOD, WRITES_USERS, pass,
    tokens,
};
use crate::active_directory::{SKEW_REFUSED, SKEW_SHOWN};
use crate::{DirectoryError, RightUse};

/// A certificate that ends sooner than this is told.
const ENDS_SOON: TimeDelta = TimeDelta::days(30);

/// Names are asked for anew by every check.
const NOW: Duration = Duration::ZERO;

const CONSENT: &str = "Add it as a permission of Microsoft Graph under API permissions (application; delegated where people sign in), \
                       and grant admin consent.";

pub(super) async fn check(tenant: &EntraTenant, rights: &[RightUse]) -> Vec<Finding> {
    let mut found =
        Findings { subject: format!("tenant {}", tenant.graph.settings().tenant), list: Vec::new() };
    if !tenant.graph.is_by_person() {
        found.certificate(tenant);
    }
    match tenant.graph.token().await {
        Ok(token) => {
            found.signed_in(tenant);
            found.pim(tenant, token.person.as_deref()).await;
            found.permissions(tenant, rights, tokens::permissions(&token.text));
            if let Some(person) = &token.person {
                found.ways(tenant, rights, person).await;
            }
        }
        Err(error) => {
            found.failed(&error, "The message says what to do; the set-up is in docs/entra.md.");
            return found.list;
        }
    }
    found.organization(tenant).await;
    found.roles(tenant, rights).await;
    found.groups(tenant, rights).await;
    found.passes(tenant).await;
    found.list
}

struct Findings {
    subject: String,
    list: Vec<Finding>,
}

impl Findings {
    fn add(&mut self, level: &str, text: impl Into<String>, remedy: impl Into<String>) {
        self.list.push(Finding {
            level: level.into(),
            subject: self.subject.clone(),
            text: text.into(),
            remedy: remedy.into(),
        });
    }

    fn ok(&mut self, text: impl Into<String>) {
        self.add("ok", text, "");
    }

    fn failed(&mut self, error: &DirectoryError, remedy: &str) {
        self.add("error", error.to_string(), remedy);
    }

    fn signed_in(&mut self, tenant: &EntraTenant) {
        if !tenant.graph.is_by_person() {
            return self.ok("the application can sign in");
        }
        let account = tenant.graph.people().account(tenant.graph.settings());
        self.ok(format!("{} is signed in", account.as_deref().unwrap_or("a person")));
        self.add(
            "warning",
            "the broker acts by the sign-in of a person: when that is over, it cannot end what Entra ID does not end by itself",
            "Sign in again before it is over (90 days without use, a changed password), or use sign_in = \"app\".",
        );
    }

    fn certificate(&mut self, tenant: &EntraTenant) {
        let remedy = "Make a new pair, upload its certificate beside the old one, then replace both files.";
        match tokens::signer(tenant.graph.settings(), tenant.graph.secrets()) {
            Ok(Some(signer)) => {
                let (ends, now) = (signer.not_after(), DateTime::<Utc>::from(SystemTime::now()));
                let text = format!("the certificate ends on {}", ends.format("%Y-%m-%d"));
                match ends - now {
                    left if left <= TimeDelta::zero() => self.add("error", text, remedy),
                    left if left < ENDS_SOON => self.add("warning", text, remedy),
                    _ => self.ok(text),
                }
            }
            Ok(None) => self.add(
                "warning",
                "the application signs in with a secret, which whoever reads it can use from anywhere",
                "Register a certificate instead: `certificate` and `key`.",
            ),
            Err(error) => self.failed(&error, remedy),
        }
    }

    fn permissions(&mut self, tenant: &EntraTenant, rights: &[RightUse], has: Option<Vec<String>>) {
        let Some(has) = has else {
            self.add("warning", "the token does not tell its permissions; each call will", "");
            return;
        };
        let has: BTreeSet<String> = has.into_iter().collect();
        // A permission, or one that holds it.
        let mut needed: Vec<&[&str]> = vec![
            &[WRITES_USERS, "Directory.ReadWrite.All"],
            &["User-PasswordProfile.ReadWrite.All"],
            &["User.RevokeSessions.All", "Directory.ReadWrite.All"],
            &[
                "RoleManagement.Read.Directory",
                "RoleManagement.ReadWrite.Directory",
                "RoleManagement.Read.All",
            ],
            &[WRITES_ROLES, "RoleManagement.ReadWrite.Directory"],
            &["GroupMember.Read.All", WRITES_GROUPS, "Group.Read.All", "Group.ReadWrite.All"],
        ];
        let is_group = |right: &RightUse| matches!(right.right.0.parse(), Ok(EntraRight::Group(_)));
        let without_pim = tenant.has_pim() == Some(false);
        // From a JIT account every group is taken that somebody puts it into.
        if rights.iter().any(|right| right.on_jit_accounts || is_group(right)) {
            if !without_pim {
                needed.push(&[WRITES_PIM_GROUPS]);
            }
            needed.push(&[WRITES_GROUPS, "Group.ReadWrite.All"]);
        }
        if without_pim && !tenant.graph.settings().pim_only {
            needed.push(&[WRITES_ROLES_FOR_GOOD]);
        }
        if tenant.graph.settings().sign_in != SignIn::Password {
            needed.push(&[pass::NEEDS, "UserAuthenticationMethod.ReadWrite.All"]);
        }
        let missing: Vec<&str> = needed
            .into_iter()
            .filter(|any| !any.iter().any(|one| has.contains(*one)))
            .filter_map(|any| any.first().copied())
            .collect();
        if missing.is_empty() {
            self.ok("every permission that sessions need is consented");
        }
        for permission in missing {
            self.add(
                "error",
                format!("the permission {permission} is not consented in this tenant"),
                CONSENT,
            );
        }
    }

    async fn organization(&mut self, tenant: &EntraTenant) {
        let about = About { what: What::Tenant, needs: "Organization.Read.All", writes: false };
        let domain = &tenant.graph.settings().account_domain;
        match tenant.graph.list::<Organization>(&Ask::get("/organization").in_the_background()).await {
            Ok((organizations, time)) => {
                let names =
                    organizations.iter().flat_map(|o| &o.verified_domains).filter_map(|d| d.name.as_deref());
                let known: Vec<&str> = names.collect();
                let name = organizations.iter().find_map(|o| o.display_name.as_deref()).unwrap_or_default();
                let name = told(name, WORD_MAX);
                self.ok(format!("it is the tenant of {name}"));
                if !known.iter().any(|name| name.eq_ignore_ascii_case(domain)) {
                    self.add(
                        "error",
                        format!("`account_domain` {domain} is no verified domain of the tenant"),
                        format!("It has {}.", told(&known.join(", "), SAID_MAX)),
                    );
                }
                self.clocks(time);
            }
            Err(failed) => {
                let text = failed.meaning(&about).to_string();
                self.add(
                    "warning",
                    format!("whether `account_domain` is the tenant's cannot be read: {text}"),
                    CONSENT,
                );
                let time = tenant.graph.now();
                self.clocks(time);
            }
        }
    }

    fn clocks(&mut self, time: Option<DateTime<Utc>>) {
        let Some(time) = time else { return };
        let skew = time - DateTime::<Utc>::from(SystemTime::now());
        let text = format!("the tenant's clock differs from this one's by {} s", skew.num_seconds());
        let mend = "Let this machine follow a time server: timedatectl set-ntp true.";
        if skew.abs() > SKEW_REFUSED {
            self.add(
                "error",
                format!("{text}; beyond {} s nothing is granted", SKEW_REFUSED.num_seconds()),
                mend,
            );
        } else if skew.abs() > SKEW_SHOWN {
            self.add("warning", text, mend);
        } else {
            self.ok("both clocks agree");
        }
    }

    /// Asked for the application itself, which holds no role by PIM, or for the person who is signed in, whom everybody may ask for: the
    /// answer is short, and only whether there is one counts.
    async fn pim(&mut self, tenant: &EntraTenant, person: Option<&str>) {
        let filter = super::graph::equals("principalId", tenant.graph.settings().client_id.as_str());
        let path = "/roleManagement/directory/roleAssignmentScheduleInstances";
        let ask = match person {
            Some(person) => EntraTenant::my_own(path, person),
            None => Ask::get(path).option("$filter", &filter),
        };
        let ask = ask.in_the_background();
        match tenant.graph.send(&ask).await {
            Ok(_) => {
                tenant.learn_pim(true);
                self.ok("the tenant has PIM: Entra ID itself takes roles and groups away at the end");
            }
            Err(failed) if failed.is_without_pim() => {
                tenant.learn_pim(false);
                let remedy = "Entra ID P2 or ID Governance gives rights an end of their own.";
                if tenant.graph.settings().pim_only {
                    self.add(
                        "error",
                        "the tenant has no PIM, and pim = \"always\" is set: nothing can be granted",
                        remedy,
                    );
                } else {
                    self.add(
                        "warning",
                        "the tenant has no PIM: roles and groups are given for good, and taken away by the broker alone",
                        remedy,
                    );
                }
            }
            Err(failed) => {
                let error = failed.meaning(&About { what: What::Tenant, needs: WRITES_ROLES, writes: false });
                self.failed(&error, CONSENT);
            }
        }
    }

    async fn roles(&mut self, tenant: &EntraTenant, rights: &[RightUse]) {
        let named: BTreeSet<RoleName> = rights
            .iter()
            .filter_map(|used| match used.right.0.parse() {
                Ok(EntraRight::Role(name)) => Some(name),
                _ => None,
            })
            .collect();
        if named.is_empty() {
            return;
        }
        let table = match tenant.roles.table(&tenant.graph, NOW).await {
            Ok(table) => table,
            Err(error) => return self.failed(&error, CONSENT),
        };
        for role in named {
            match table.id(&role).filter(|id| table.name(id).is_some()) {
                Some(id) => self
                    .ok(format!("there is the role {}", told(table.name(&id).unwrap_or_default(), WORD_MAX))),
                None => self.add(
                    "error",
                    no_role(&table, &role),
                    "Name it as the portal does in English, or by its id.",
                ),
            }
        }
    }

    /// Which way the rights that people's own accounts get would be given to whoever is signed in.
    async fn ways(&mut self, tenant: &EntraTenant, rights: &[RightUse], person: &str) {
        if tenant.has_pim() == Some(false) {
            return;
        }
        let account = tenant.graph.people().account(tenant.graph.settings());
        let account = account.as_deref().unwrap_or("the person who is signed in");
        for used in rights.iter().filter(|used| !used.on_jit_accounts) {
            // What there is not is told elsewhere.
            let Ok(target) = tenant.resolved(&used.right).await else { continue };
            let kind = target.kind();
            let what = match &target {
                Target::Role(id) => {
                    let table = tenant.roles.known();
                    let name = table.as_ref().and_then(|table| table.name(id)).unwrap_or(id);
                    format!("the role {}", told(name, WORD_MAX))
                }
                Target::Group(id) => format!("the group {id}"),
            };
            match tenant.eligible_of(person, kind).await {
                Ok(eligible) if eligible.contains(&target.right()) => self.ok(format!(
                    "{account} may activate {what}: a session gives it to their own account that way (selfActivate), by the \
                     delegated permissions {} and {}",
                    target.needs(),
                    kind.reads_eligible()
                )),
                Ok(_) => self.ok(format!(
                    "{account} is not eligible for {what}: a session gives it to their own account as an administrator does \
                     (adminAssign), by the delegated permission {} and the directory role Privileged Role Administrator, or, of \
                     a group that can hold no roles, one that may change its members",
                    target.needs()
                )),
                Err(failed) => {
                    let about =
                        About { what: What::Tenant, needs: kind.reads_eligible(), writes: false };
                    let why = failed.meaning(&about);
                    self.add("warning", format!("what {account} may activate cannot be read: {why}"), CONSENT);
                }
            }
        }
    }

    async fn groups(&mut self, tenant: &EntraTenant, rights: &[RightUse]) {
        let groups: BTreeSet<String> = rights
            .iter()
            .filter_map(|used| match used.right.0.parse() {
                Ok(EntraRight::Group(id)) => Some(id.to_string()),
                _ => None,
            })
            .collect();
        for id in groups {
            let what = format!("group {id}");
            let ask = Ask::get(format!("/groups/{}", segment(&id))).in_the_background();
            let about = About { what: What::Right(&what), needs: WRITES_GROUPS, writes: false };
            let group: Group = match tenant.graph.send(&ask).await.and_then(|answer| answer.json()) {
                Ok(group) => group,
                Err(failed) => {
                    self.failed(&failed.meaning(&about), "The id is the group's Object ID in the portal.");
                    continue;
                }
            };
            let name = group.display_name.as_ref().map_or_else(|| id.clone(), |name| told(name, WORD_MAX));
            let by_rule =
                group.group_types.iter().flatten().any(|t| t.eq_ignore_ascii_case("DynamicMembership"));
            if by_rule {
                self.add(
                    "error",
                    format!("a rule decides who is in the group {name}"),
                    "Use a group with assigned members.",
                );
            } else if group.on_premises_sync_enabled == Some(true) {
                let remedy = "Grant it there (kind = \"active_directory\"), or use a cloud group.";
                self.add("error", format!("the group {name} comes from Active Directory"), remedy);
            } else if group.is_assignable_to_role == Some(true) {
                self.add(
                    "warning",
                    format!("the group {name} can hold roles, so the application itself needs a directory role to change it"),
                    "Give the application Privileged Role Administrator.",
                );
            } else {
                self.ok(format!("there is the group {name}"));
            }
        }
    }

    async fn passes(&mut self, tenant: &EntraTenant) {
        let SignIn::Pass { once } = tenant.graph.settings().sign_in else { return };
        match pass::policy(&tenant.graph).await {
            Ok(policy) => {
                let on = policy.state.as_ref().is_some_and(|state| state.as_str() == "enabled");
                let only_once = policy.is_usable_once == Some(true) && !once;
                let text = pass::described(&policy);
                if on && !only_once {
                    self.ok(text);
                } else {
                    self.add(
                        "error",
                        text,
                        "Change the tenant's policy, or `login` and `pass` of the directory.",
                    );
                }
            }
            Err(error) => self.failed(&error, CONSENT),
        }
    }
}
