//! What it means where Entra ID refuses a person's sign-in, or its renewal. Told by the number, then by the word, never by the text.

use ticketgate_access::config::{Entra, Proof};

use super::{TokenError, of_sign_in};
use crate::DirectoryError;

/// What it means for people of this tenant, who asked for something in `tenant`, and what an administrator does about it.
pub(in crate::entra) fn of_person(
    status: u16,
    said: &TokenError,
    settings: &Entra,
    tenant: &str,
) -> DirectoryError {
    let number = said.error_codes.first().copied().unwrap_or_default();
    let client = settings.client_id.as_str();
    let trace = format!("({} AADSTS{number}, trace {})", said.error, said.trace_id);
    let again = |why: &str| sign_in_again(settings, format!("{why} {trace}"));
    match number {
        50_173 => again("it was revoked, or the password was changed"),
        70_008 | 70_043 | 700_082 | 700_084 => again("it is over"),
        50_053 | 50_057 => {
            again("the account is locked or disabled; an administrator of its tenant can say why")
        }
        50_072 | 50_074 | 50_076 | 50_079 | 50_158 => again("a further factor is wanted"),
        50_020 => DirectoryError::Bind(format!(
            "the account of the person is not known in the tenant {tenant} {trace}; a guest, or a GDAP relationship with a role for a group \
             that the person is in, makes it known"
        )),
        65_001 => DirectoryError::Bind(format!(
            "the application's delegated permissions are not consented in this tenant {trace}; an administrator of the tenant does it \
             at /{tenant}/adminconsent?client_id={client}"
        )),
        7_000_218 | 700_025 | 90_023 => DirectoryError::Bind(format!(
            "the application {client} is none for people {trace}; under Authentication, add the platform \"Mobile and desktop \
             applications\" with http://localhost, and allow public client flows"
        )),
        53_000..=53_004 | 530_003 | 530_002 => DirectoryError::Bind(format!(
            "conditional access of the tenant keeps the person out {trace}; see the sign-in log of users"
        )),
        // These are of an application as well.
        90_002 | 900_023 | 900_021 | 700_016 | 7_000_112 => of_sign_in(status, said, tenant, client),
        _ if said.is_over() => again("Entra ID does not take it any more"),
        _ => of_sign_in(status, said, tenant, client),
    }
}

impl TokenError {
    /// Whether only the person can mend it, by signing in (OAuth 2.0, RFC 6749 §5.2; OpenID Connect Core §3.1.2.6).
    fn is_over(&self) -> bool {
        ["invalid_grant", "interaction_required", "login_required", "consent_required"]
            .contains(&self.error.as_str())
    }
}

/// Somebody has to sign in.
pub(in crate::entra) fn sign_in_again(settings: &Entra, why: String) -> DirectoryError {
    let directory = match &settings.proof {
        Proof::Technician { directory, .. } => directory.to_string(),
        Proof::Certificate { .. } | Proof::Secret(_) => String::new(),
    };
    DirectoryError::SignInNeeded { directory, why }
}

#[cfg(test)]
mod tests {
    use ticketgate_access::config::{Cloud, SignIn};

    use super::*;

    fn settings() -> Entra {
        let id = |last: u8| format!("9f4c6d1e-0000-4000-8000-00000000000{last}").parse().unwrap();
        Entra {
            tenant: id(1),
            client_id: id(2),
            proof: Proof::Technician { home: id(3), directory: "acme-entra".parse().unwrap() },
            account_domain: "acme.onmicrosoft.com".into(),
            account_name: "jit-{technician}".into(),
            sign_in: SignIn::Password,
            pim_only: false,
            cloud: Cloud::Global,
            login_url: "https://login.example".into(),
            graph_url: "https://graph.example".into(),
            ca_file: None,
            timeout_s: 10,
        }
    }

    #[test]
    fn every_refusal_of_a_person_says_whether_they_sign_in_again_or_what_an_administrator_does() {
        use DirectoryError as E;
        type Expected = fn(&DirectoryError) -> bool;
        let again: Expected = |e| matches!(e, E::SignInNeeded { directory, .. } if directory == "acme-entra");
        let rows: &[(u16, &str, i64, Expected)] = &[
            (400, "invalid_grant", 50_173, again),
            (400, "invalid_grant", 700_082, again),
            (400, "invalid_grant", 70_043, again),
            (400, "interaction_required", 50_076, again),
            (400, "invalid_grant", 50_057, again),
            (400, "invalid_grant", 9_002_313, again),
            (400, "login_required", 0, again),
            (
                400,
                "invalid_grant",
                65_001,
                |e| matches!(e, E::Bind(w) if w.contains("/t-1/adminconsent?client_id=9f4c6d1e")),
            ),
            (400, "invalid_grant", 50_020, |e| matches!(e, E::Bind(w) if w.contains("GDAP"))),
            (400, "invalid_grant", 53_003, |e| matches!(e, E::Bind(w) if w.contains("conditional access"))),
            (
                401,
                "invalid_client",
                7_000_218,
                |e| matches!(e, E::Bind(w) if w.contains("public client flows")),
            ),
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
                |e| matches!(e, E::Bind(w) if w.contains("not in this tenant")),
            ),
            (503, "temporarily_unavailable", 0, |e| matches!(e, E::Busy(_))),
            (400, "something_new", 1, |e| matches!(e, E::Bind(_))),
        ];
        for (status, error, number, expected) in rows {
            let said =
                TokenError { error: (*error).into(), error_codes: vec![*number], ..TokenError::default() };
            let meant = of_person(*status, &said, &settings(), "t-1");
            assert!(expected(&meant), "{number}: {meant:?}");
        }
    }
}
