//! Carrying out one step. What has to be done is decided elsewhere, and whether it was done shows the look that follows a plan.

use std::time::Duration;

use serde_json::{Value, json};
use ticketgate_access::config::SignIn;
use ticketgate_access::desired::{Marker, Observed, Step, is_ours};
use ticketgate_access::session::Account;
use ticketgate_credentials::Secret;
use ticketgate_https::segment;
use ticketgate_protocol::api::Mode;

use super::failure::{About, What};
use super::graph::Ask;
use super::replicated::REPLICATION_S;
use super::wire::User;
use super::written::Wrote;
use super::{EntraTenant, WRITES_USERS, pass};
use crate::{DirectoryError, generate_for, note};

impl EntraTenant {
    /// The contract of [`crate::Directory::apply`].
    pub(super) async fn carry_out(
        &self,
        account: &Account,
        seen: &Observed,
        step: &Step,
        password: Option<&Secret>,
    ) -> Result<(), DirectoryError> {
        if account.mode == Mode::Membership && !matches!(step, Step::Grant { .. } | Step::Revoke(_)) {
            return Err(DirectoryError::BadValue(format!("{} on a person's own account", step.name())));
        }
        let id = match step {
            // Whether the name is taken is what the request itself tells.
            Step::Create(_) if seen.account.is_none() => None,
            _ => self.target(account, seen).await?,
        };
        match (step, id) {
            // Made by an earlier attempt whose answer was lost; the plan goes on from what it is like.
            (Step::Create(_), Some(_)) | (Step::Delete | Step::Revoke(_), None) => Ok(()),
            (Step::Create(marker), None) => self.create(account, marker).await,
            (_, None) => Err(DirectoryError::NoSuchAccount(account.name.clone())),
            (Step::Grant { right, until, why }, Some(id)) => {
                self.grant(account, seen, &id, (right, *until, why)).await
            }
            (Step::Revoke(right), Some(id)) => self.revoke(account, &id, right).await,
            (Step::ResetPrimaryGroup, Some(_)) => Ok(()),
            (Step::Open { until, marker }, Some(id)) => {
                let password = password
                    .ok_or_else(|| DirectoryError::BadValue("an account is opened with a password".into()))?;
                if let SignIn::Pass { once } = self.graph.settings().sign_in {
                    let made = pass::issue(&self.graph, &id, *until, once).await?;
                    // Kept before the write: one whose answer is lost may have opened the account.
                    self.keep_pass(&account.key, made);
                }
                let change = json!({ "accountEnabled": true, "passwordProfile": profile(password) });
                self.change(account, &id, change, Some(marker)).await?;
                self.written.keep(&account.key, Wrote::Enabled(true));
                Ok(())
            }
            (Step::SetEnd { marker, .. }, Some(id)) => {
                self.change(account, &id, json!({}), Some(marker)).await
            }
            (Step::Close, Some(id)) => {
                self.change(account, &id, json!({ "accountEnabled": false }), None).await?;
                self.written.keep(&account.key, Wrote::Enabled(false));
                Ok(())
            }
            (Step::Rotate(marker), Some(id)) => {
                // The note of a closed account stands for all of it, so it is the last write.
                let passes = pass::take_all(&self.graph, &id, self.graph.settings().sign_in);
                let (signed_out, passes) = tokio::join!(self.end_sign_ins(&id), passes);
                signed_out?;
                passes?;
                let password = generate_for(local_part(&account.name)).map_err(DirectoryError::BadValue)?;
                self.change(account, &id, json!({ "passwordProfile": profile(&password) }), Some(marker))
                    .await
            }
            (Step::Delete, Some(id)) => {
                if let Err(error) = self.end_sign_ins(&id).await {
                    // Without the account there is nothing to be signed in as.
                    tracing::warn!(%error, account = %account.key.0, "sign-ins could not be ended before the deletion");
                }
                self.delete(account, &id).await
            }
        }
    }

    /// The id of the account as it was seen, or as it is found now where it was not there then; if it is ours to change.
    async fn target(&self, account: &Account, seen: &Observed) -> Result<Option<String>, DirectoryError> {
        let not_ours = |id: &str| {
            DirectoryError::NameTaken(format!("{}: {id} is not a JIT account of this broker", account.name))
        };
        if let Some(seen) = &seen.account {
            let ours = account.mode == Mode::Membership || is_ours(account, seen);
            return if ours { Ok(Some(seen.identity.clone())) } else { Err(not_ours(&seen.identity)) };
        }
        if let Some(id) = self.written.made(&account.key) {
            return Ok(Some(id));
        }
        match self.user(account.identity.as_deref().unwrap_or(&account.name)).await? {
            (None, _) => Ok(None),
            (Some(user), _) if self.is_this(account, &user) => Ok(Some(user.id)),
            (Some(user), _) => Err(not_ours(&user.id)),
        }
    }

    fn is_this(&self, account: &Account, user: &User) -> bool {
        let text =
            user.on_premises_extension_attributes.as_ref().and_then(|attributes| attributes.note.as_deref());
        let token = text.and_then(note::parse).map(|marker| marker.token);
        account.mode == Mode::Membership
            || account.identity.as_ref() == Some(&user.id)
            || token.as_ref() == Some(&account.token)
    }

    async fn create(&self, account: &Account, marker: &Marker) -> Result<(), DirectoryError> {
        let name = local_part(&account.name);
        let password = generate_for(name).map_err(DirectoryError::BadValue)?;
        let user = json!({
            "accountEnabled": false,
            "displayName": name,
            "mailNickname": name,
            "userPrincipalName": account.name,
            "passwordProfile": profile(&password),
            "onPremisesExtensionAttributes": noted(marker)?,
        });
        let about = About { what: What::User(&account.name), needs: WRITES_USERS, writes: true };
        match self.graph.send(&Ask::post("/users", user)).await {
            Ok(answer) => {
                let made: User = answer.json().map_err(|failed| failed.meaning(&about))?;
                self.written.keep(&account.key, Wrote::Made(made.id));
                Ok(())
            }
            // The name is taken: by an earlier attempt of ours that is not shown yet, or by somebody else.
            Err(failed) if failed.status() == 400 || failed.status() == 409 => {
                for pause in REPLICATION_S.iter().take(3) {
                    if let (Some(user), _) = self.user(&account.name).await? {
                        if !self.is_this(account, &user) {
                            return Err(DirectoryError::NameTaken(format!(
                                "{} is {}",
                                account.name, user.id
                            )));
                        }
                        self.written.keep(&account.key, Wrote::Made(user.id));
                        return Ok(());
                    }
                    if !failed.is_name_taken() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_secs(*pause)).await;
                }
                Err(DirectoryError::Misconfigured(format!(
                    "{}; `account_domain` has to be a verified domain of the tenant, and the name free, also in its recycle bin",
                    failed.meaning(&about)
                )))
            }
            Err(failed) => Err(failed.meaning(&about)),
        }
    }

    async fn change(
        &self,
        account: &Account,
        id: &str,
        mut change: Value,
        marker: Option<&Marker>,
    ) -> Result<(), DirectoryError> {
        if let (Some(marker), Some(change)) = (marker, change.as_object_mut()) {
            change.insert("onPremisesExtensionAttributes".into(), noted(marker)?);
        }
        let about = About { what: What::User(&account.name), needs: WRITES_USERS, writes: true };
        let ask = Ask::patch(format!("/users/{}", segment(id)), change);
        self.when_replicated(account, &ask, None).await.map_err(|failed| failed.meaning(&about))?;
        if let Some(marker) = marker {
            self.written.keep(&account.key, Wrote::Note(marker.clone()));
        }
        Ok(())
    }

    async fn delete(&self, account: &Account, id: &str) -> Result<(), DirectoryError> {
        let about = About { what: What::User(&account.name), needs: WRITES_USERS, writes: true };
        match self.graph.send(&Ask::delete(format!("/users/{}", segment(id)))).await {
            Ok(_) => {}
            Err(failed) if failed.is_absent() => {}
            Err(failed) => return Err(failed.meaning(&about)),
        }
        self.written.keep(&account.key, Wrote::Gone);
        Ok(())
    }

    /// Refresh tokens and browser sessions go; what was signed in is asked again within minutes.
    async fn end_sign_ins(&self, id: &str) -> Result<(), DirectoryError> {
        let about = About { what: What::User(id), needs: "User.RevokeSessions.All", writes: true };
        match self.graph.send(&Ask::call(format!("/users/{}/revokeSignInSessions", segment(id)))).await {
            Ok(_) => Ok(()),
            // Also where a copy does not know the account: what is signed in would stay so.
            Err(failed) => Err(failed.meaning(&about)),
        }
    }
}

/// What stands before the domain.
fn local_part(name: &str) -> &str {
    name.split('@').next().unwrap_or(name)
}

/// People do not choose a password of their own here: it is the session's.
fn profile(password: &Secret) -> Value {
    // Into the request's body, inside TLS.
    json!({ "password": password.expose(), "forceChangePasswordNextSignIn": false })
}

fn noted(marker: &Marker) -> Result<Value, DirectoryError> {
    Ok(json!({ "extensionAttribute15": note::format(marker)? }))
}
