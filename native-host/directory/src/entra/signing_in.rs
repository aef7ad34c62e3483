//! How a person signs in: in the browser (authorization code with PKCE, RFC 7636, to an address of this machine, RFC 8252) or on
//! another device by a code (RFC 8628). What proves that a code is ours stays here; only the code itself comes from outside.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use ticketgate_access::config::{Entra, Proof};
use ticketgate_credentials::Secret;
use tokio::time::Instant;

use super::authority::{self, Granted, Refused};
use super::failure::{of_person, unanswered};
use super::people::{Grant, SignIns, scope};
use crate::DirectoryError;

/// For so long a browser is waited for, in seconds; Entra ID's codes last as long.
const BROWSER_LASTS_S: u32 = 600;

/// A device's code is believed to last so long at most, in seconds.
const DEVICE_LASTS_MAX_S: u32 = 3600;

/// A device asks no more often than this, and after `slow_down` by this more seldom, in seconds (RFC 8628 §3.5).
const PAUSE_S: u32 = 5;

/// As many may be under way at once; the oldest gives way.
const UNDER_WAY_MAX: usize = 16;

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// How somebody wants to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// In a browser of this machine, which is sent back to this port of it.
    Browser {
        /// The port.
        port: u16,
    },
    /// In any browser, by a code.
    Device,
}

/// What the person does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// By this it goes on.
    pub id: String,
    /// The page to open.
    pub address: String,
    /// The browser comes back with this, or it is another's answer.
    pub state: Option<String>,
    /// What is typed into the page.
    pub user_code: Option<String>,
    /// Seconds for which it can be done.
    pub lasts_s: u32,
    /// Seconds after which to ask whether it is done.
    pub after_s: u32,
}

/// Where a sign-in stands.
#[derive(Debug)]
pub enum Stands {
    /// The person has not answered yet.
    Waits {
        /// Seconds after which to ask again.
        after_s: u32,
    },
    /// The person signed in, and nothing is kept yet.
    Granted(Grant),
}

/// Why nobody was signed in. The sign-in before, if any, is still good.
#[derive(Debug, thiserror::Error)]
pub enum NoSignIn {
    /// It was never begun, is done already, or took too long.
    #[error("this sign-in was not begun here, or its time is over")]
    Unknown,
    /// The browser came back with an answer to another question.
    #[error("the browser came back from another sign-in")]
    AnothersAnswer,
    /// The person said no.
    #[error("it was declined")]
    Declined,
    /// The person did not answer in time.
    #[error("the code's time is over")]
    TooLate,
    /// Entra ID, or the key store, refuses.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// A sign-in that is under way.
pub(super) struct Begun {
    id: String,
    /// Whose it is, by the name in the key store.
    of: String,
    until: Instant,
    how: How,
}

#[derive(Clone)]
enum How {
    Browser { state: String, verifier: Secret, redirect: String },
    Device { code: Secret, after_s: u32 },
}

/// What the login says to a device that wants a code.
#[derive(Deserialize)]
struct DeviceCode {
    device_code: String,
    user_code: String,
    verification_uri: String,
    expires_in: u32,
    interval: Option<u32>,
}

impl SignIns {
    pub(super) async fn begin(
        &self,
        http: &reqwest::Client,
        settings: &Entra,
        by: By,
    ) -> Result<Asked, DirectoryError> {
        let (asked, how) = match by {
            By::Browser { port } => self.for_browser(settings, port)?,
            By::Device => for_device(http, settings).await?,
        };
        let until = Instant::now() + Duration::from_secs(asked.lasts_s.into());
        let of = settings.sign_in_name().unwrap_or_default();
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.retain(|begun| begun.until > Instant::now());
        if begun.len() >= UNDER_WAY_MAX {
            begun.remove(0);
        }
        begun.push(Begun { id: asked.id.clone(), of, until, how });
        Ok(asked)
    }

    fn for_browser(&self, settings: &Entra, port: u16) -> Result<(Asked, How), DirectoryError> {
        let person = self.person(settings)?;
        let (id, state, verifier) = (random()?, random()?, random()?);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        // The port is any, the rest is what is registered (RFC 8252 §7.3, and Microsoft's "Redirect URI restrictions").
        let redirect = format!("http://localhost:{port}");
        let mut address = authority::address(settings, home(settings)?, "authorize");
        let scope = scope(settings);
        let claims = person.claims();
        let mut parameters = vec![
            ("client_id", settings.client_id.as_str()),
            ("response_type", "code"),
            ("redirect_uri", &redirect),
            ("scope", &scope),
            ("state", &state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            // Whoever administrates says which account it is, and shows all that it takes.
            ("prompt", "login"),
        ];
        if let Some(claims) = &claims {
            parameters.push(("claims", claims));
        }
        for (at, (name, value)) in parameters.iter().enumerate() {
            let before = if at == 0 { '?' } else { '&' };
            address.push_str(&format!("{before}{name}={}", ticketgate_https::segment(value)));
        }
        let asked = Asked {
            id,
            address,
            state: Some(state.clone()),
            user_code: None,
            lasts_s: BROWSER_LASTS_S,
            after_s: 0,
        };
        Ok((asked, How::Browser { state, verifier: Secret::new(verifier), redirect }))
    }

    /// Whether it is done. `came` is what a browser came back with: its state and its code.
    pub(super) async fn finish(
        &self,
        http: &reqwest::Client,
        settings: &Entra,
        id: &str,
        came: Option<(&str, &Secret)>,
    ) -> Result<Stands, NoSignIn> {
        let person = self.person(settings)?;
        let how = self.under_way(settings, id).ok_or(NoSignIn::Unknown)?;
        let home = home(settings)?;
        let address = authority::address(settings, home, "token");
        let client = settings.client_id.as_str();
        let answer = match (&how, came) {
            (How::Browser { state, verifier, redirect }, Some((came_with, code))) => {
                // A code can be shown once, and so can an answer that is not ours.
                self.done(id);
                if came_with != state {
                    return Err(NoSignIn::AnothersAnswer);
                }
                let form = [
                    ("grant_type", "authorization_code"),
                    ("client_id", client),
                    // Both to the token's endpoint, inside TLS.
                    ("code", code.expose()),
                    ("code_verifier", verifier.expose()),
                    ("redirect_uri", redirect),
                ];
                authority::post(http, &address, &form).await?
            }
            (How::Device { code, .. }, None) => {
                let form = [
                    ("grant_type", DEVICE_GRANT),
                    ("client_id", client),
                    // To the token's endpoint, inside TLS.
                    ("device_code", code.expose()),
                ];
                authority::post(http, &address, &form).await?
            }
            _ => return Err(NoSignIn::Unknown),
        };
        let body = match (answer, how) {
            (Ok(body), _) => body,
            (Err(Refused { status, said, .. }), How::Browser { .. }) => {
                return Err(of_person(status, &said, settings, home).into());
            }
            (Err(Refused { status, said, .. }), How::Device { after_s, .. }) => match said.error.as_str() {
                "authorization_pending" => return Ok(Stands::Waits { after_s }),
                "slow_down" => return Ok(Stands::Waits { after_s: self.slow_down(id) }),
                error => {
                    let after = match error {
                        // Microsoft's name for it, and the standard's.
                        "authorization_declined" | "access_denied" => NoSignIn::Declined,
                        "expired_token" => NoSignIn::TooLate,
                        "bad_verification_code" => NoSignIn::Unknown,
                        _ => of_person(status, &said, settings, home).into(),
                    };
                    // A login that is away for a moment does not cost the code.
                    if !matches!(&after, NoSignIn::Directory(error) if error.is_passing()) {
                        self.done(id);
                    }
                    return Err(after);
                }
            },
        };
        self.done(id);
        let granted: Granted = ticketgate_https::json(&body).map_err(unanswered)?;
        Ok(Stands::Granted(Grant::new(person, Arc::clone(&self.keep), granted)?))
    }

    fn under_way(&self, settings: &Entra, id: &str) -> Option<How> {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let of = settings.sign_in_name();
        let found = begun.iter().find(|begun| begun.id == id && Some(&begun.of) == of.as_ref())?;
        (found.until > Instant::now()).then(|| found.how.clone())
    }

    fn done(&self, id: &str) {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).retain(|begun| begun.id != id);
    }

    /// Answers the new pause in seconds.
    fn slow_down(&self, id: &str) -> u32 {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        match begun.iter_mut().find(|begun| begun.id == id).map(|begun| &mut begun.how) {
            Some(How::Device { after_s, .. }) => {
                *after_s = after_s.saturating_add(PAUSE_S);
                *after_s
            }
            _ => PAUSE_S,
        }
    }
}

async fn for_device(http: &reqwest::Client, settings: &Entra) -> Result<(Asked, How), DirectoryError> {
    let home = home(settings)?;
    let scope = scope(settings);
    let form = [("client_id", settings.client_id.as_str()), ("scope", scope.as_str())];
    let answer = authority::post(http, &authority::address(settings, home, "devicecode"), &form).await?;
    let body = answer.map_err(|refused| of_person(refused.status, &refused.said, settings, home))?;
    let told: DeviceCode = ticketgate_https::json(&body).map_err(unanswered)?;
    let after_s = told.interval.unwrap_or(PAUSE_S).clamp(1, 60);
    let shown = |text: String| -> String {
        text.chars().filter(|c| !ticketgate_protocol::text::is_forbidden(*c)).take(200).collect()
    };
    let asked = Asked {
        id: random()?,
        address: shown(told.verification_uri),
        state: None,
        user_code: Some(shown(told.user_code)),
        lasts_s: told.expires_in.min(DEVICE_LASTS_MAX_S),
        after_s,
    };
    Ok((asked, How::Device { code: Secret::new(told.device_code), after_s }))
}

/// The tenant in which people sign in.
fn home(settings: &Entra) -> Result<&str, DirectoryError> {
    match &settings.proof {
        Proof::Technician { home, .. } => Ok(home.as_str()),
        Proof::Certificate { .. } | Proof::Secret(_) => {
            Err(DirectoryError::Misconfigured("nobody signs in to this tenant: sign_in is \"app\"".into()))
        }
    }
}

/// 256 bits, as a text of 43 letters: also what PKCE asks for (RFC 7636 §4.1).
fn random() -> Result<String, DirectoryError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| DirectoryError::BadValue(format!("no randomness: {error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
