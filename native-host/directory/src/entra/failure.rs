//! What an answer of Entra ID means. Told by its code, never by its text, but for the two of PIM that leave no choice.

mod person;

use serde::Deserialize;
use ticketgate_https::HttpError;
use ticketgate_protocol::text;

pub(super) use self::person::{of_person, sign_in_again};
use crate::DirectoryError;

/// Longest text of a server in a log.
pub(super) const SAID_MAX: usize = 400;

/// Longest code or id of a server in a log.
pub(super) const WORD_MAX: usize = 100;

/// What a server says, for a log or an administrator's terminal: one line without control characters, and no longer than this.
pub(super) fn told(said: &str, max: usize) -> String {
    text::fold(said, max).unwrap_or_default().into_owned()
}

/// An answer of Microsoft Graph that is no success.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct GraphError {
    pub(super) status: u16,
    pub(super) code: String,
    /// Whether it says in its details that the name is another object's (`ObjectConflict`).
    pub(super) name_taken: bool,
    /// For logs and administrators only.
    pub(super) message: String,
    /// `request-id`: Microsoft's support asks for it.
    pub(super) request: String,
    /// Seconds, where it says for how long it is busy.
    pub(super) after_s: Option<u32>,
    /// Whether it was asked by a person's sign-in.
    pub(super) by_person: bool,
}

/// Why a call came to nothing.
#[derive(Debug)]
pub(super) enum Failed {
    /// Graph said so.
    Graph(GraphError),
    /// It was never asked, or gave no answer.
    Other(DirectoryError),
}

impl From<DirectoryError> for Failed {
    fn from(error: DirectoryError) -> Self {
        Self::Other(error)
    }
}

impl From<HttpError> for Failed {
    fn from(error: HttpError) -> Self {
        Self::Other(unanswered(error))
    }
}

pub(super) fn unanswered(error: HttpError) -> DirectoryError {
    match error {
        HttpError::Certificate(why) => DirectoryError::Certificate(why),
        HttpError::Unreachable(why) => DirectoryError::Unreachable(why),
        HttpError::Ambiguous(why) => DirectoryError::Ambiguous(why),
        HttpError::Unreadable(why) => {
            DirectoryError::Refused(format!("an answer that cannot be read: {why}"))
        }
    }
}

/// What a call is about: what a refusal of it then means.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) what: What<'a>,
    /// The application permission that it needs.
    pub(super) needs: &'static str,
    /// Whether it changes anything.
    pub(super) writes: bool,
}

/// What it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What<'a> {
    /// An account.
    User(&'a str),
    /// A right, by its text.
    Right(&'a str),
    /// A Temporary Access Pass of an account.
    Pass(&'a str),
    /// The tenant itself.
    Tenant,
}

impl What<'_> {
    fn text(&self) -> &str {
        match self {
            Self::User(text) | Self::Right(text) | Self::Pass(text) => text,
            Self::Tenant => "the tenant",
        }
    }
}

/// For so long PIM takes no right away that it gave, in seconds.
pub(super) const KEPT_S: u32 = 300;

impl Failed {
    /// The code that Graph gave, or none.
    pub(super) fn code(&self) -> &str {
        match self {
            Self::Graph(error) => &error.code,
            Self::Other(_) => "",
        }
    }

    /// The status that Graph gave, or none.
    pub(super) const fn status(&self) -> u16 {
        match self {
            Self::Graph(error) => error.status,
            Self::Other(_) => 0,
        }
    }

    /// Whether the name is another object's.
    pub(super) const fn is_name_taken(&self) -> bool {
        matches!(self, Self::Graph(error) if error.name_taken)
    }

    /// Whether it was about something that is not there.
    pub(super) const fn is_absent(&self) -> bool {
        self.status() == 404
    }

    /// Whether what was asked for may have been done all the same.
    pub(super) const fn is_lost(&self) -> bool {
        match self {
            Self::Graph(error) => error.status >= 500 && error.status != 503,
            Self::Other(error) => error.is_ambiguous(),
        }
    }

    /// Whether the tenant has no PIM. Told with more than one status.
    pub(super) fn is_without_pim(&self) -> bool {
        ["aadpremiumlicenserequired", "tenantmissinglicense"].contains(&self.code().to_lowercase().as_str())
    }

    /// What it means.
    pub(super) fn meaning(self, about: &About<'_>) -> DirectoryError {
        match self {
            Self::Other(error) => error,
            Self::Graph(error) => error.meaning(about),
        }
    }
}

impl GraphError {
    /// Whether whoever asks has to show more than it did.
    pub(super) fn is_challenge(&self) -> bool {
        self.message.contains("insufficient_claims")
            || self.code.eq_ignore_ascii_case("RoleAssignmentRequestAcrsValidationFailed")
    }

    fn meaning(self, about: &About<'_>) -> DirectoryError {
        let what = about.what.text();
        let said = format!(
            "{what}: status {} {}: {} (request-id {})",
            self.status, self.code, self.message, self.request
        );
        let is = |code: &str| self.code.eq_ignore_ascii_case(code);
        if self.status == 429 || self.status == 503 || (self.status == 504 && !about.writes) {
            return match self.after_s {
                Some(after_s) => DirectoryError::BusyFor { why: said, after_s },
                None => DirectoryError::Busy(said),
            };
        }
        if self.status >= 500 {
            return if about.writes { DirectoryError::Ambiguous(said) } else { DirectoryError::Busy(said) };
        }
        if is("AadPremiumLicenseRequired") || is("TenantMissingLicense") {
            return DirectoryError::NoLicence(format!(
                "{said}; rights that end by themselves need Entra ID P2 or ID Governance"
            ));
        }
        if is("ActiveDurationTooShort") {
            return DirectoryError::NotYet { why: said, after_s: KEPT_S };
        }
        if is("PendingRoleAssignmentRequest") {
            return DirectoryError::Waiting(format!("another request for it waits: {said}"));
        }
        if is("RoleAssignmentRequestPolicyValidationFailed") {
            let rules = rules_of(&self.message).join(", ");
            return DirectoryError::TenantPolicy(format!(
                "the settings of the role refuse it ({rules}): {said}"
            ));
        }
        if is("RoleAssignmentRequestAcrsValidationFailed") {
            return DirectoryError::TenantPolicy(format!(
                "the settings of the role demand an authentication context, which an application has not: {said}"
            ));
        }
        if self.status == 401
            || self.message.contains("insufficient_claims")
            || is("InvalidAuthenticationToken")
        {
            return DirectoryError::Bind(format!(
                "the tenant does not take the application's token (conditional access for workload identities, or a consent \
                 taken back): {said}"
            ));
        }
        if self.status == 403 && self.by_person {
            return DirectoryError::NotDelegated(format!(
                "{said}; it needs the delegated permission {}, consented in this tenant, and a directory role of the person who is \
                 signed in",
                about.needs
            ));
        }
        if self.status == 403 {
            return DirectoryError::NotDelegated(format!(
                "{said}; it needs the application permission {}, consented in this tenant, and for accounts and groups that \
                 hold administrator roles a directory role of the application itself",
                about.needs
            ));
        }
        match (about.what, self.status) {
            (What::Right(_), 404) => DirectoryError::NoSuchRight(said),
            (What::Right(_), 400)
                if is("RoleNotFound") || is("RoleDefinitionDoesNotExist") || is("ResourceNotFound") =>
            {
                DirectoryError::NoSuchRight(said)
            }
            (What::User(_) | What::Pass(_), 404) => DirectoryError::NoSuchAccount(said),
            (What::Pass(_), 400) => {
                DirectoryError::TenantPolicy(format!("the tenant allows no pass of this kind: {said}"))
            }
            _ => DirectoryError::Refused(said),
        }
    }
}

/// The rules that PIM names in its text, such as `ExpirationRule`: nowhere else does it say them.
fn rules_of(message: &str) -> Vec<&str> {
    message.split('"').skip(1).step_by(2).filter(|rule| rule.ends_with("Rule")).collect()
}

/// What the token's endpoint answers instead of a token.
#[derive(Debug, Default, Deserialize)]
pub(super) struct TokenError {
    #[serde(default)]
    pub(super) error: String,
    #[serde(default)]
    error_codes: Vec<i64>,
    #[serde(default)]
    trace_id: String,
    /// What a person has to show besides, to be sent along with the next sign-in.
    pub(super) claims: Option<String>,
}

/// What it means, and what an administrator does about it. Its description is not repeated: it holds ids and times, and it is
/// Microsoft's to change.
pub(super) fn of_sign_in(status: u16, said: &TokenError, tenant: &str, client: &str) -> DirectoryError {
    let number = said.error_codes.first().copied().unwrap_or_default();
    let [error, trace] = [&said.error, &said.trace_id].map(|word| told(word, WORD_MAX));
    let trace = format!("({error} AADSTS{number}, trace {trace})");
    match number {
        90_002 | 900_023 | 900_021 => DirectoryError::Misconfigured(format!(
            "there is no tenant {tenant} {trace}; `tenant` is the Directory (tenant) ID that the portal's overview shows"
        )),
        700_016 | 7_000_229 => DirectoryError::Bind(format!(
            "the application {client} is not in this tenant {trace}; an administrator of the tenant consents to it at \
             /{tenant}/adminconsent?client_id={client}, or registers one there"
        )),
        700_025 => DirectoryError::Bind(format!(
            "the application {client} is registered as one for people {trace}; under Authentication, switch \"Allow public client flows\" off"
        )),
        700_027 | 7_000_272 => DirectoryError::Bind(format!(
            "the certificate is not registered with the application {client} {trace}; upload it under Certificates & secrets"
        )),
        7_000_215 => DirectoryError::Bind(format!(
            "the secret is wrong {trace}; a secret's value is shown once, when it is made, and is not its id"
        )),
        7_000_222 => DirectoryError::Bind(format!(
            "the application's secret is over {trace}; make a new one, or better register a certificate"
        )),
        7_000_112 => {
            DirectoryError::Bind(format!("the application {client} is disabled in this tenant {trace}"))
        }
        53_003 | 530_003 => DirectoryError::Bind(format!(
            "conditional access of the tenant keeps the application out {trace}; see the sign-in log of service principals"
        )),
        _ if status == 429 || said.error == "temporarily_unavailable" || status >= 500 => {
            DirectoryError::Busy(format!("sign-in {trace}"))
        }
        _ => DirectoryError::Bind(format!("sign-in was refused with status {status} {trace}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: &str = "RoleAssignmentSchedule.ReadWrite.Directory";

    type Expected = fn(&DirectoryError) -> bool;

    fn meaning(what: What<'_>, status: u16, code: &str, message: &str) -> DirectoryError {
        let error = GraphError {
            status,
            code: code.into(),
            message: message.into(),
            name_taken: false,
            request: "r-1".into(),
            after_s: (status == 429).then_some(3),
            by_person: false,
        };
        let error = Failed::Graph(error).meaning(&About { what, needs: NEEDS, writes: true });
        assert!(error.to_string().contains("r-1"), "{error}");
        error
    }

    #[test]
    fn every_answer_of_graph_has_one_meaning() {
        use DirectoryError as E;
        let right = What::Right("role:Exchange Administrator");
        let rows: &[(What<'_>, u16, &str, &str, Expected)] = &[
            (right, 429, "TooManyRequests", "", |e| matches!(e, E::BusyFor { after_s: 3, .. })),
            (right, 503, "serviceNotAvailable", "", |e| matches!(e, E::Busy(_))),
            (right, 504, "UnknownError", "", |e| matches!(e, E::Ambiguous(_))),
            (right, 500, "InternalServerError", "", |e| matches!(e, E::Ambiguous(_))),
            (
                right,
                400,
                "AadPremiumLicenseRequired",
                "",
                |e| matches!(e, E::NoLicence(w) if w.contains("P2")),
            ),
            (right, 403, "AadPremiumLicenseRequired", "", |e| matches!(e, E::NoLicence(_))),
            (right, 400, "ActiveDurationTooShort", "", |e| matches!(e, E::NotYet { after_s: 300, .. })),
            (right, 400, "PendingRoleAssignmentRequest", "", |e| matches!(e, E::Waiting(_))),
            (
                right,
                400,
                "RoleAssignmentRequestPolicyValidationFailed",
                "The following policy rules failed: [\"ExpirationRule\",\"TicketingRule\"]",
                |e| matches!(e, E::TenantPolicy(w) if w.contains("(ExpirationRule, TicketingRule)")),
            ),
            (
                right,
                400,
                "RoleAssignmentRequestAcrsValidationFailed",
                "&claims=%7B%22access_token%22%3A%7B%22acrs%22%3A%7B%7D%7D%7D",
                |e| matches!(e, E::TenantPolicy(w) if w.contains("authentication context")),
            ),
            (right, 401, "InvalidAuthenticationToken", "", |e| matches!(e, E::Bind(_))),
            (right, 403, "Forbidden", "error=\"insufficient_claims\"", |e| matches!(e, E::Bind(_))),
            (
                right,
                403,
                "Authorization_RequestDenied",
                "",
                |e| matches!(e, E::NotDelegated(w) if w.contains(NEEDS)),
            ),
            (right, 404, "Request_ResourceNotFound", "", |e| matches!(e, E::NoSuchRight(_))),
            (right, 400, "RoleNotFound", "", |e| matches!(e, E::NoSuchRight(_))),
            (right, 400, "Request_BadRequest", "", |e| matches!(e, E::Refused(_))),
            (What::User("u"), 404, "Request_ResourceNotFound", "", |e| matches!(e, E::NoSuchAccount(_))),
            (What::User("u"), 400, "Request_BadRequest", "", |e| matches!(e, E::Refused(_))),
            (What::Pass("u"), 400, "badRequest", "", |e| matches!(e, E::TenantPolicy(_))),
            (What::Pass("u"), 404, "resourceNotFound", "", |e| matches!(e, E::NoSuchAccount(_))),
            (What::Tenant, 409, "Conflict", "", |e| matches!(e, E::Refused(_))),
        ];
        for (what, status, code, message, expected) in rows {
            let error = meaning(*what, *status, code, message);
            assert!(expected(&error), "{status} {code}: {error:?}");
        }
    }

    #[test]
    fn what_a_server_says_comes_into_no_log_as_more_than_a_line() {
        assert_eq!(told(" a\u{1b}[2J\r\nb\u{202e} ", SAID_MAX), "a [2J b");
        assert_eq!(told(&"x".repeat(5000), WORD_MAX).len(), WORD_MAX);
        let said = TokenError {
            error: "a\nb".into(),
            error_codes: vec![1],
            trace_id: "t".repeat(5000),
            ..TokenError::default()
        };
        let error = of_sign_in(400, &said, "t-1", "c-1").to_string();
        assert!(error.contains("(a b AADSTS1, ") && error.len() < 300, "{error}");
    }

    #[test]
    fn a_read_that_failed_at_the_server_changed_nothing() {
        let about = About { what: What::Tenant, needs: NEEDS, writes: false };
        let error = Failed::Graph(GraphError { status: 502, ..GraphError::default() });
        assert!(matches!(error.meaning(&about), DirectoryError::Busy(_)));
        let error = Failed::Graph(GraphError { status: 504, after_s: Some(7), ..GraphError::default() });
        assert!(matches!(error.meaning(&about), DirectoryError::BusyFor { after_s: 7, .. }));
    }

    #[test]
    fn every_refusal_of_a_sign_in_says_what_an_administrator_does() {
        use DirectoryError as E;
        let rows: &[(u16, &str, i64, Expected)] = &[
            (
                400,
                "invalid_request",
                90_002,
                |e| matches!(e, E::Misconfigured(w) if w.contains("no tenant t-1")),
            ),
            (
                400,
                "unauthorized_client",
                700_016,
                |e| matches!(e, E::Bind(w) if w.contains("/t-1/adminconsent?client_id=c-1")),
            ),
            (
                400,
                "unauthorized_client",
                7_000_229,
                |e| matches!(e, E::Bind(w) if w.contains("adminconsent?client_id=c-1")),
            ),
            (
                401,
                "invalid_client",
                700_025,
                |e| matches!(e, E::Bind(w) if w.contains("public client flows") && !w.contains("upload")),
            ),
            (401, "invalid_client", 700_027, |e| matches!(e, E::Bind(w) if w.contains("upload it"))),
            (401, "invalid_client", 7_000_215, |e| matches!(e, E::Bind(w) if w.contains("secret is wrong"))),
            (401, "invalid_client", 7_000_222, |e| matches!(e, E::Bind(w) if w.contains("secret is over"))),
            (400, "unauthorized_client", 7_000_112, |e| matches!(e, E::Bind(w) if w.contains("disabled"))),
            (400, "invalid_grant", 53_003, |e| matches!(e, E::Bind(w) if w.contains("conditional access"))),
            (503, "temporarily_unavailable", 0, |e| matches!(e, E::Busy(_))),
            (400, "something_new", 1, |e| matches!(e, E::Bind(_))),
        ];
        for (status, error, number, expected) in rows {
            let said =
                TokenError { error: (*error).into(), error_codes: vec![*number], ..TokenError::default() };
            let meant = of_sign_in(*status, &said, "t-1", "c-1");
            assert!(expected(&meant), "{number}: {meant:?}");
        }
    }
}
