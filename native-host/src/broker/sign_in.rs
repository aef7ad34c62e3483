//! A person signs in to a tenant, and out, for the broker: who may, and what they are told. What is recorded stands in `signed_in.rs`, and
//! how it is done is the connector's.

use std::sync::Arc;

use ticketgate_credentials::Secret;
use ticketgate_directory::{By, Directory, DirectoryError, EntraTenant, NoSignIn, Stands};
use ticketgate_protocol::ids::DirectoryId;
use ticketgate_protocol::problem::{Code, Problem};

use super::problems::directory_problem;
use super::signed_in::Told;
use super::{Broker, Caller, Snapshot, ledger_problem};
use crate::sign_in::{PartnerTenant, SignInAsked, SignInGoesOn, SignInStands, SignInWanted};

impl Broker {
    /// Begins a sign-in.
    ///
    /// # Errors
    /// Neither administrator nor the broker's own user; no such tenant; the application itself signs in there; Entra ID refuses.
    pub async fn begin_sign_in(
        &self,
        caller: &Caller,
        id: &DirectoryId,
        wanted: SignInWanted,
    ) -> Result<SignInAsked, Problem> {
        caller.require_own_or_administrator()?;
        let directory = self.tenant(id)?;
        let by = wanted.port.map_or(By::Device, |port| By::Browser { port });
        let asked = entra(&directory, id)?.begin_sign_in(by).await.map_err(|error| refused(id, &error))?;
        Ok(SignInAsked {
            id: asked.id,
            address: asked.address,
            state: asked.state,
            user_code: asked.user_code,
            lasts_s: asked.lasts_s,
            after_s: asked.after_s,
        })
    }

    /// Goes on with one. What is done is on record, or undone.
    ///
    /// # Errors
    /// As [`Broker::begin_sign_in`]; the person declined or took too long; the ledger cannot be written.
    pub async fn finish_sign_in(
        &self,
        caller: &Caller,
        id: &DirectoryId,
        on: &SignInGoesOn,
    ) -> Result<SignInStands, Problem> {
        caller.require_own_or_administrator()?;
        let directory = self.tenant(id)?;
        let tenant = entra(&directory, id)?;
        let code = on.came.as_ref().map(|came| Secret::new(came.code.to_string()));
        let came = on.came.as_ref().zip(code.as_ref()).map(|(came, code)| (came.state.as_str(), code));
        let stands = tenant.finish_sign_in(&on.id, came).await.map_err(|error| unfinished(id, &error))?;
        match stands {
            Stands::Waits { after_s } => Ok(SignInStands { account: None, after_s: Some(after_s) }),
            Stands::Granted(grant) => self.keep_sign_in(&caller.actor(), id, tenant, grant).await,
        }
    }

    /// Forgets a sign-in, unless sessions need it for their end.
    ///
    /// # Errors
    /// As [`Broker::begin_sign_in`]; sessions are open; the ledger cannot be written; the key store fails.
    pub async fn sign_out(&self, caller: &Caller, id: &DirectoryId) -> Result<SignInStands, Problem> {
        caller.require_own_or_administrator()?;
        let directory = self.tenant(id)?;
        let tenant = entra(&directory, id)?;
        // No session begins meanwhile.
        let _alone = self.reload.write().await;
        let snapshot = self.settings();
        let name = tenant.sign_in_name();
        let shares = |known: &Arc<dyn Directory>| known.entra().and_then(EntraTenant::sign_in_name) == name;
        let open = self.ledger.open_by_directory().await.map_err(|e| ledger_problem(&e))?;
        let open: u64 = open
            .iter()
            .filter(|(of, _)| *of == id || snapshot.directories.get(of).is_some_and(shares))
            .map(|(_, sessions)| sessions)
            .sum();
        if name.is_some() && open > 0 {
            let (what, is) = if open == 1 { ("session", "is") } else { ("sessions", "are") };
            let detail =
                format!("{open} {what} {is} open by this sign-in; without it the broker cannot end them.");
            return Err(Problem::new(Code::WrongState, detail)
                .remedy("End them first: `ticketgate sessions` lists them."));
        }
        let out = Told { action: "tenant.signed_out", write: "ledger.sign_in", ..Told::default() };
        self.record_sign_in(&caller.actor(), id, out).await?;
        tenant.sign_out().await.map_err(|error| refused(id, &error))?;
        Ok(SignInStands { account: None, after_s: None })
    }

    /// The tenants of a partner's customers.
    ///
    /// # Errors
    /// As [`Broker::begin_sign_in`].
    pub async fn partner_tenants(
        &self,
        caller: &Caller,
        id: &DirectoryId,
    ) -> Result<Vec<PartnerTenant>, Problem> {
        caller.require_own_or_administrator()?;
        let directory = self.tenant(id)?;
        let found = entra(&directory, id)?.partner_tenants().await.map_err(|error| refused(id, &error))?;
        let shown = found.into_iter().map(|of| PartnerTenant {
            tenant: of.tenant,
            name: of.name,
            domain: of.domain,
            until: of.until,
        });
        Ok(shown.collect())
    }

    fn tenant(&self, id: &DirectoryId) -> Result<Arc<dyn Directory>, Problem> {
        let snapshot = self.settings();
        Self::config(&snapshot)?;
        snapshot.directories.get(id).cloned().ok_or_else(|| {
            let detail = format!("There is no directory {id} in the configuration.");
            Problem::new(Code::MalformedRequest, detail).remedy(known(&snapshot))
        })
    }
}

fn known(snapshot: &Snapshot) -> String {
    let tenants = snapshot.directories.iter().filter(|(_, known)| known.entra().is_some());
    let ids: Vec<&str> = tenants.map(|(id, _)| id.as_str()).collect();
    match ids.as_slice() {
        [] => "It has no tenant of Entra ID.".into(),
        ids => format!("Its tenants are: {}.", ids.join(", ")),
    }
}

fn entra<'d>(directory: &'d Arc<dyn Directory>, id: &DirectoryId) -> Result<&'d EntraTenant, Problem> {
    directory.entra().ok_or_else(|| {
        Problem::new(Code::MalformedRequest, format!("The directory {id} is no tenant of Entra ID."))
            .remedy("Name one of kind = \"entra\".")
    })
}

fn unfinished(id: &DirectoryId, error: &NoSignIn) -> Problem {
    let remedy = format!("Sign in again: ticketgate entra sign-in {id}");
    let problem = |detail: &str| Problem::new(Code::SignInNeeded, detail).remedy(remedy);
    match error {
        NoSignIn::Directory(error) => refused(id, error),
        NoSignIn::Unknown => problem("This sign-in was not begun here, is done, or its time is over."),
        NoSignIn::AnothersAnswer => {
            problem("The browser came back from another sign-in, so nobody was signed in.")
        }
        NoSignIn::Declined => problem("The sign-in was declined."),
        NoSignIn::TooLate => problem("The time for this sign-in is over."),
    }
}

/// Whoever signs in administrates this broker, so the connector's own sentence is theirs to read.
pub(super) fn refused(id: &DirectoryId, error: &DirectoryError) -> Problem {
    tracing::warn!(directory = %id, %error, "signing in to a tenant");
    match error {
        DirectoryError::Bind(why) | DirectoryError::Misconfigured(why) | DirectoryError::NoSecret(why) => {
            let problem = directory_problem(error);
            Problem::new(problem.code, format!("That did not work: {why}."))
                .remedy("Mend it, then try again.")
        }
        DirectoryError::NotDelegated(_) => Problem::new(
            Code::NotDelegated,
            "The tenant does not let whoever asks see the customers of a partner.",
        )
        .remedy("Consent to DelegatedAdminRelationship.Read.All in the partner's tenant (docs/entra.md)."),
        _ => directory_problem(error),
    }
}
