//! What is on record of sign-ins to tenants. That somebody signs in is written before it is kept, and what became of it after that; a
//! broker that was killed in between is succeeded by one that writes it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use ticketgate_directory::{EntraTenant, Grant};
use ticketgate_ledger::{AuditQuery, Change, LedgerError};
use ticketgate_protocol::api::AuditRecord;
use ticketgate_protocol::ids::DirectoryId;
use ticketgate_protocol::problem::Problem;

use super::sign_in::refused;
use super::{Broker, ledger_problem, records};
use crate::sign_in::SignInStands;

/// The first record of a sign-in.
const BEGUN: &str = "tenant.signing_in";

/// After this, what a broker before left open is looked for once more, where key store or ledger did not answer.
const AGAIN: Duration = Duration::from_secs(60);

/// Of so many records about tenants the newest are looked through. A sign-in that was broken off is the last of its tenant.
const NEWEST: u32 = 1000;

/// What is recorded of a sign-in.
#[derive(Default)]
pub(super) struct Told<'a> {
    pub(super) action: &'static str,
    /// The write's name.
    pub(super) write: &'static str,
    pub(super) failed: bool,
    pub(super) account: Option<&'a str>,
    pub(super) mark: Option<&'a str>,
    /// Found by a broker that was started after it was broken off.
    pub(super) found: bool,
}

/// A sign-in of which it is not on record what became of it.
struct Open {
    account: String,
    mark: String,
}

impl Broker {
    /// Keeps what somebody signed in with. It is on record before; what cannot be recorded after is undone.
    ///
    /// # Errors
    /// The ledger cannot be written; the key store takes nothing.
    pub(super) async fn keep_sign_in(
        &self,
        actor: &str,
        id: &DirectoryId,
        tenant: &EntraTenant,
        grant: Grant,
    ) -> Result<SignInStands, Problem> {
        let _alone = self.signing_in.lock().await;
        // Else nothing would be said of that one any more.
        if let Err(problem) = self.finish_record(id, tenant).await {
            tracing::warn!(%problem, directory = %id, "what became of an earlier sign-in is not known yet");
        }
        let (account, mark) = (grant.account().to_owned(), grant.mark());
        let told = |action, write| Told { action, write, account: Some(&account), ..Told::default() };
        let begun = Told { mark: Some(&mark), ..told(BEGUN, "ledger.signing_in") };
        self.record_sign_in(actor, id, begun).await?;
        if let Err(error) = grant.keep().await {
            let failed = Told { failed: true, ..told("tenant.sign_in_failed", "ledger.sign_in_failed") };
            if let Err(problem) = self.record_sign_in(actor, id, failed).await {
                tracing::error!(%problem, "that a sign-in could not be kept is recorded by the next broker");
            }
            return Err(refused(id, &error));
        }
        if let Err(problem) = self.record_sign_in(actor, id, told("tenant.signed_in", "ledger.sign_in")).await
        {
            // Nobody is told that it went well, so nobody would sign out.
            if let Err(error) = tenant.sign_out().await {
                tracing::error!(%error, "a sign-in that could not be recorded is still in the key store");
            }
            return Err(problem);
        }
        Ok(SignInStands { account: Some(account), after_s: None })
    }

    /// Writes what became of sign-ins that a broker before this one was killed in, for as long as some of it is not known.
    pub(super) async fn run_signed_in(self: Arc<Self>) {
        while !self.finish_records().await {
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Writes what became of them, as far as key store and ledger answer; whether that was all. Where it can be, before anything is asked
    /// of a tenant: a renewal replaces what the sign-in is known by in the key store.
    pub(super) async fn finish_records(&self) -> bool {
        let mut all = true;
        for (id, directory) in &self.settings().directories {
            let Some(tenant) = directory.entra().filter(|tenant| tenant.sign_in_name().is_some()) else {
                continue;
            };
            let _alone = self.signing_in.lock().await;
            if let Err(problem) = self.finish_record(id, tenant).await {
                all = false;
                tracing::warn!(%problem, directory = %id, "what became of a sign-in is not known yet");
            }
        }
        all
    }

    /// Writes what became of the tenant's last sign-in, where that is not on record: the key store tells whether it was kept.
    ///
    /// # Errors
    /// Ledger or key store do not answer.
    async fn finish_record(&self, id: &DirectoryId, tenant: &EntraTenant) -> Result<(), Problem> {
        let Some(open) = self.broken_off(id).await.map_err(|e| ledger_problem(&e))? else { return Ok(()) };
        let kept = tenant.keeps_sign_in(&open.mark).await.map_err(|error| refused(id, &error))?;
        let kept = kept == Some(true);
        let action = if kept { "tenant.signed_in" } else { "tenant.sign_in_failed" };
        let told = Told {
            action,
            write: "ledger.sign_in_found",
            failed: !kept,
            account: Some(&open.account),
            found: true,
            ..Told::default()
        };
        self.record_sign_in("broker", id, told).await
    }

    /// The tenant's last sign-in, where nothing is on record after its beginning.
    async fn broken_off(&self, id: &DirectoryId) -> Result<Option<Open>, LedgerError> {
        let snapshot = self.settings();
        let configured = snapshot.config.as_ref().and_then(|config| config.directories.get(id));
        let query = AuditQuery {
            chain: configured.map(|directory| directory.customer.to_string()),
            actions: Some("tenant."),
            newest: true,
            limit: NEWEST,
            ..AuditQuery::default()
        };
        let records = self.ledger.audit(query).await?;
        let of_it = |record: &&AuditRecord| record.details.get("directory") == Some(&json!(id));
        let last = records.iter().rev().find(of_it);
        let text =
            |name: &str| last.and_then(|record| record.details.get(name)?.as_str()).unwrap_or_default();
        let is_open = last.is_some_and(|record| record.action == BEGUN);
        Ok(is_open.then(|| Open { account: text("account").to_owned(), mark: text("mark").to_owned() }))
    }

    /// # Errors
    /// The ledger cannot be written.
    pub(super) async fn record_sign_in(
        &self,
        actor: &str,
        id: &DirectoryId,
        told: Told<'_>,
    ) -> Result<(), Problem> {
        let snapshot = self.settings();
        let directory = snapshot.config.as_ref().and_then(|config| config.directories.get(id));
        let mut details = records::details([("directory", json!(id))]);
        let more = [("account", told.account), ("mark", told.mark)];
        details.extend(more.into_iter().filter_map(|(name, value)| Some((name, json!(value?)))));
        if told.found {
            details.insert("found_at_start", json!(true));
        }
        let outcome = if told.failed { "failed" } else { "ok" };
        let customer = directory.map(|directory| &directory.customer);
        let change = Change {
            name: told.write,
            at: self.clock.now(),
            audit: vec![records::record(customer, told.action, actor, outcome, details)],
            ..Change::default()
        };
        self.commit(change).await.map_err(|e| ledger_problem(&e))
    }
}
