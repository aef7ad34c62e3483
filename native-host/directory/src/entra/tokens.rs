//! A tenant's token for Graph: the application's own, or one by the sign-in of a person. It stays in memory and nowhere else; while
//! one is fetched, others wait for it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use ticketgate_access::config::{Entra, Proof};
use ticketgate_credentials::{ReadSecret, Secret};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::assertion::Signer;
use super::authority::{self, Granted, NoToken, Refused, Token};
use super::failure::{of_sign_in, unanswered};
use super::graph::{PATIENCE, busy_for, seconds};
use super::people::SignIns;
use super::throttle::Gate;
use crate::DirectoryError;

/// The token for one tenant, and by which sign-in of a person it was given.
#[derive(Default)]
pub(super) struct Tokens(tokio::sync::Mutex<Option<(Token, u64)>>);

/// A token, and who asks with it.
pub(super) struct Bearer {
    pub(super) text: Secret,
    /// As [`Token::person`] has it.
    pub(super) person: Option<String>,
}

impl Bearer {
    fn of(token: &Token) -> Self {
        Self { text: token.text.clone(), person: token.person.clone() }
    }
}

impl Tokens {
    /// The token, fetched where there is none that lasts.
    ///
    /// # Errors
    /// [`DirectoryError`]
    pub(super) async fn get(
        &self,
        http: &reqwest::Client,
        settings: &Entra,
        secrets: &Arc<dyn ReadSecret>,
        people: &SignIns,
        login: &Gate,
    ) -> Result<Bearer, DirectoryError> {
        let give_up = Instant::now() + PATIENCE;
        let mut kept = self.0.lock().await;
        // Somebody else may sign in, or the same person out: what was given before that is not used after it.
        let sign_in = people.count(settings);
        let lasts = |(token, of): &&(Token, u64)| token.good_until > Instant::now() && *of == sign_in;
        if let Some((token, _)) = kept.as_ref().filter(lasts) {
            return Ok(Bearer::of(token));
        }
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            let seat = login.pass(left, true).await.map_err(busy_for)?;
            let fetched = fetch(http, settings, secrets, people).await;
            drop(seat);
            match fetched {
                Ok(token) => {
                    login.answered();
                    let bearer = Bearer::of(&token);
                    *kept = Some((token, sign_in));
                    return Ok(bearer);
                }
                // Whoever else needs a token waits here, or is told for how long.
                Err(NoToken::Busy(named, error)) => {
                    let pause = login.close(named);
                    if Instant::now() + pause > give_up {
                        return Err(DirectoryError::BusyFor {
                            why: error.to_string(),
                            after_s: seconds(pause),
                        });
                    }
                }
                Err(NoToken::Other(error)) => return Err(error),
            }
        }
    }

    /// The tenant did not take this one: the next is a new one.
    pub(super) async fn forget(&self, refused: &Secret) {
        let mut kept = self.0.lock().await;
        // Compared in memory, and only with what was sent just now.
        if kept.as_ref().is_some_and(|(token, _)| token.text.expose() == refused.expose()) {
            *kept = None;
        }
    }
}

/// The certificate with its key, read anew so that a replaced pair counts without a restart.
pub(super) fn signer(settings: &Entra, secrets: &dyn ReadSecret) -> Result<Option<Signer>, DirectoryError> {
    let Proof::Certificate { certificate, key } = &settings.proof else { return Ok(None) };
    let no_secret = |why: String| {
        DirectoryError::NoSecret(format!(
            "{certificate}: {why}; a new pair: openssl req -x509 -newkey rsa:3072 -nodes -days 365 -subj /CN=ticketgate \
             -keyout acme.key -out acme.crt, and upload the .crt under Certificates & secrets"
        ))
    };
    let pem = std::fs::read(certificate).map_err(|error| no_secret(error.to_string()))?;
    Signer::new(&pem, &secrets.read_text(key)?).map(Some).map_err(no_secret)
}

/// What the application shows at this address. Reads from a key store, which may ask a person first, and from files.
fn proof(settings: &Entra, secrets: &dyn ReadSecret, address: &str) -> Result<Secret, DirectoryError> {
    match (&settings.proof, signer(settings, secrets)?) {
        (Proof::Certificate { certificate, .. }, Some(signer)) => {
            let now = DateTime::<Utc>::from(std::time::SystemTime::now());
            signer.assertion(address, settings.client_id.as_str(), now).map_err(|why| {
                DirectoryError::NoSecret(format!(
                    "{certificate}: {why}; make a new pair and upload its certificate"
                ))
            })
        }
        (Proof::Secret(place), _) | (Proof::Certificate { key: place, .. }, None) => Ok(secrets.read(place)?),
        (Proof::Technician { .. }, _) => Err(DirectoryError::NoSecret("a person signs in here".into())),
    }
}

async fn fetch(
    http: &reqwest::Client,
    settings: &Entra,
    secrets: &Arc<dyn ReadSecret>,
    people: &SignIns,
) -> Result<Token, NoToken> {
    let address = authority::address(settings, settings.tenant.as_str(), "token");
    let scope = format!("{}/.default", settings.cloud.graph_host());
    let client = settings.client_id.as_str();
    if matches!(settings.proof, Proof::Technician { .. }) {
        return people.token(http, settings).await;
    }
    let (of, secrets, at) = (settings.clone(), Arc::clone(secrets), address.clone());
    // Other tenants, and everything else here, go on meanwhile.
    let proof = tokio::task::spawn_blocking(move || proof(&of, secrets.as_ref(), &at));
    let proof = proof.await.map_err(|error| DirectoryError::NoSecret(error.to_string()))??;
    let mut form =
        vec![("grant_type", "client_credentials"), ("client_id", client), ("scope", scope.as_str())];
    // To the tenant's token endpoint, inside TLS.
    match &settings.proof {
        Proof::Certificate { .. } => form.extend([
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", proof.expose()),
        ]),
        Proof::Secret(_) | Proof::Technician { .. } => form.push(("client_secret", proof.expose())),
    }
    let asked = Instant::now();
    let answer = authority::post(http, &address, &form).await?;
    given(answer, settings.tenant.as_str(), client, asked)
}

fn given(
    answer: Result<Zeroizing<Vec<u8>>, Refused>,
    tenant: &str,
    client: &str,
    asked: Instant,
) -> Result<Token, NoToken> {
    match answer {
        Ok(body) => {
            let mut granted: Granted = ticketgate_https::json(&body).map_err(unanswered)?;
            Ok(granted.token(asked)?)
        }
        Err(refused) => Err(refused.meaning(of_sign_in(refused.status, &refused.said, tenant, client))),
    }
}

/// The token that an answer holds.
///
/// # Errors
/// [`DirectoryError`]
#[cfg(feature = "fuzzing")]
pub(super) async fn granted(
    response: reqwest::Response,
    tenant: &str,
    client: &str,
    asked: Instant,
) -> Result<Token, DirectoryError> {
    Ok(given(authority::answered(response).await?, tenant, client, asked)?)
}

/// The permissions that a token names, for `check` alone: an application's (`roles`), or those of a person's sign-in (`scp`).
pub(super) fn permissions(token: &Secret) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Claims {
        #[serde(default)]
        roles: Vec<String>,
        scp: Option<String>,
    }
    // Into the decoder, for the list of permissions only.
    let claims: Claims = authority::claims(token.expose())?;
    Some(match claims.scp {
        Some(scopes) => scopes.split(' ').map(str::to_owned).collect(),
        None => claims.roles,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use ticketgate_access::config::{Cloud, SecretRef, SignIn};
    use ticketgate_credentials::NoSecret;

    use super::*;

    struct Slow;

    impl ReadSecret for Slow {
        fn read(&self, _: &SecretRef) -> Result<Secret, NoSecret> {
            std::thread::sleep(Duration::from_millis(300));
            Err(NoSecret("locked".into()))
        }
    }

    #[tokio::test]
    async fn nobody_else_waits_for_a_key_store_that_asks_somebody_first() {
        let id = "9f4c6d1e-0000-4000-8000-000000000001";
        let settings = Entra {
            tenant: id.parse().unwrap(),
            client_id: id.parse().unwrap(),
            proof: Proof::Secret(SecretRef::Keyring("acme".into())),
            account_domain: "acme.example".into(),
            account_name: "jit-{technician}".into(),
            sign_in: SignIn::Password,
            pim_only: false,
            cloud: Cloud::Global,
            login_url: "https://login.example".into(),
            graph_url: "https://graph.example".into(),
            ca_file: None,
            timeout_s: 10,
        };
        let http = ticketgate_https::client(None, Duration::from_secs(1)).unwrap();
        let secrets: Arc<dyn ReadSecret> = Arc::new(Slow);
        let (tokens, people, begun) = (Tokens::default(), SignIns::default(), Instant::now());
        let login = Gate::new();
        let other = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            begun.elapsed()
        };
        let (token, waited) = tokio::join!(tokens.get(&http, &settings, &secrets, &people, &login), other);
        assert!(matches!(token, Err(DirectoryError::NoSecret(_))));
        assert!(waited < Duration::from_millis(300), "{waited:?}");
    }
}
