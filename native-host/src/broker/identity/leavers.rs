//! People who leave: their sign-ins and sessions end, and on request their dedicated accounts go at every customer. Deleting is a
//! state that an account is wanted in, so it is converged like everything else: retried until it is done, and done once.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use ticketgate_access::session::{Account, AccountKey, Session};
use ticketgate_ledger::{Change, LedgerError, SessionFilter, SignInFilter};
use ticketgate_protocol::api::{EndAll, Mode};
use ticketgate_protocol::ids::TechnicianId;
use ticketgate_protocol::problem::{Code, Problem};

use super::super::service::TRIES;
use super::super::{Broker, By, Caller, ledger_problem, records};
use crate::sign_in::team::{AccountLeft, RemoveTechnician, TechnicianRemoved};

impl Broker {
    /// Ends everything of a technician, and with `purge` has the dedicated accounts deleted. Can be asked again: what is done stays
    /// done, and the report says where everything stands.
    ///
    /// # Errors
    /// Not an administrator; nobody of this id is known; ledger down.
    pub(in crate::broker) async fn remove_technician(
        self: &Arc<Self>,
        caller: &Caller,
        id: &TechnicianId,
        how: RemoveTechnician,
    ) -> Result<TechnicianRemoved, Problem> {
        caller.require_administrator()?;
        let still_configured =
            self.settings().config.as_ref().is_some_and(|config| config.technicians.contains_key(id));
        let mine = self.accounts_of_person(id).await?;
        let filter = SignInFilter { technician: Some(id.clone()), ..SignInFilter::default() };
        let mut sign_ins = self.ledger.tokens().sign_ins(filter).await.map_err(|e| ledger_problem(&e))?;
        sign_ins.retain(|sign_in| sign_in.ended.is_none());
        if mine.is_empty() && sign_ins.is_empty() && !still_configured {
            return Err(Problem::new(Code::MalformedRequest, format!("Nobody knows a technician \"{id}\"."))
                .remedy("Name the id of the [[technician]] that was in the configuration."));
        }
        let details = records::details([("technician", json!(id)), ("purge", json!(how.purge))]);
        let record = records::record(None, "technician.removed", &caller.actor(), "ok", details);
        self.record_alone("ledger.technician_removed", record).await?;
        self.end_all_sign_ins(&sign_ins, &caller.actor(), None).await?;
        let ended = self.sessions_of(id).await?;
        let all = EndAll { technician: Some(id.clone()), customer: None };
        // One that cannot be ended yet does not keep the accounts: it is in the report, and goes on being ended.
        if let Err(problem) = self.end_all(caller, &all).await {
            tracing::warn!(%problem, technician = %id, "a session of somebody who leaves goes on being ended");
        }
        if how.purge {
            let dedicated = mine.iter().filter(|account| account.mode == Mode::Dedicated);
            let mut going = Vec::new();
            for account in dedicated {
                self.let_go(caller, &account.key).await?;
                going.push(account.key.clone());
            }
            // What cannot be deleted now stays due, and is tried again for as long as it takes.
            self.converge_patiently(&going).await;
        }
        Ok(TechnicianRemoved {
            technician: id.clone(),
            still_configured,
            sign_ins: u32::try_from(sign_ins.len()).unwrap_or(u32::MAX),
            accounts: self.report(id, &ended).await?,
        })
    }

    /// Ends the sessions of whoever is not in the configuration any more.
    pub(in crate::broker) async fn end_what_leavers_have(self: &Arc<Self>) {
        let snapshot = self.settings();
        let Some(config) = &snapshot.config else { return };
        let Ok(given) = self.ledger.given().await else { return };
        let gone: std::collections::BTreeSet<_> = given
            .iter()
            .map(|given| &given.technician)
            .filter(|technician| !config.technicians.contains_key(*technician))
            .collect();
        for technician in gone {
            tracing::warn!(%technician, "a technician has left the configuration; the sessions end");
            let broker = Caller {
                administrator: true,
                ..Caller::person(None, None, Default::default(), "broker", By::Local)
            };
            let all = EndAll { technician: Some(technician.clone()), customer: None };
            if let Err(problem) = self.end_all(&broker, &all).await {
                tracing::error!(%problem, %technician, "sessions of somebody who left go on being ended");
            }
        }
    }

    async fn accounts_of_person(&self, id: &TechnicianId) -> Result<Vec<Account>, Problem> {
        let mut all = self.ledger.accounts().await.map_err(|e| ledger_problem(&e))?;
        all.retain(|account| account.technician == *id);
        Ok(all)
    }

    async fn sessions_of(&self, id: &TechnicianId) -> Result<Vec<Session>, Problem> {
        let open = SessionFilter { technician: Some(id.clone()), open: true, ..SessionFilter::default() };
        self.ledger.sessions(open).await.map_err(|e| ledger_problem(&e))
    }

    /// Writes that an account is to go.
    async fn let_go(&self, caller: &Caller, key: &AccountKey) -> Result<(), Problem> {
        for _ in 0..TRIES {
            let Some((account, _)) = self.ledger.account(key).await.map_err(|e| ledger_problem(&e))? else {
                return Ok(());
            };
            if account.gone {
                return Ok(());
            }
            let snapshot = self.settings();
            let directory = snapshot.config.as_ref().and_then(|c| c.directories.get(&account.directory));
            let details = records::details([
                ("technician", json!(account.technician)),
                ("directory", json!(account.directory)),
                ("account", json!(account.display_name.as_ref().unwrap_or(&account.name))),
            ]);
            let customer = directory.map(|directory| &directory.customer);
            let record = records::record(customer, "account.purge", &caller.actor(), "ok", details);
            let change = Change {
                name: "ledger.account_gone",
                at: self.clock.now(),
                accounts: vec![Account {
                    gone: true,
                    settled: false,
                    attempts: 0,
                    next_try: None,
                    ..account
                }],
                audit: vec![record],
                ..Change::default()
            };
            match self.commit(change).await {
                Err(LedgerError::Conflict(_)) => {}
                done => return done.map_err(|e| ledger_problem(&e)),
            }
        }
        Err(ledger_problem(&LedgerError::Conflict(key.0.clone())))
    }

    async fn report(&self, id: &TechnicianId, ended: &[Session]) -> Result<Vec<AccountLeft>, Problem> {
        let mut open: BTreeMap<AccountKey, Vec<Session>> = BTreeMap::new();
        for session in self.sessions_of(id).await? {
            open.entry(session.account.clone()).or_default().push(session);
        }
        let snapshot = self.settings();
        let customers = snapshot.config.as_ref().map(|config| &config.directories);
        let mut found: Vec<AccountLeft> = Vec::new();
        for account in self.accounts_of_person(id).await? {
            let sessions = ended.iter().filter(|session| session.account == account.key).count();
            let left = open.get(&account.key).map(Vec::as_slice).unwrap_or_default();
            let done = account.settled && left.is_empty();
            if account.mode == Mode::Burner && done && sessions == 0 {
                // Deleted after its session, long ago.
                continue;
            }
            let standing = match (account.mode, done) {
                (_, false) => "waits",
                (Mode::Dedicated, true) if !account.gone => "closed",
                (Mode::Dedicated | Mode::Burner, true) => "deleted",
                (Mode::Membership, true) => "left",
            };
            let trouble = (!done).then(|| self.why_it_waits(&account, left));
            let customer = customers.and_then(|all| all.get(&account.directory)).map(|d| d.customer.clone());
            found.push(AccountLeft {
                customer: customer.or_else(|| left.first().map(|session| session.customer.clone())),
                account: account.display_name.clone().unwrap_or_else(|| account.name.clone()),
                mode: word(account.mode).to_owned(),
                sessions: u32::try_from(sessions).unwrap_or(u32::MAX),
                standing: standing.to_owned(),
                trouble,
                directory: account.directory,
            });
        }
        found.sort_by(|a, b| {
            (&a.customer, &a.directory, &a.account).cmp(&(&b.customer, &b.directory, &b.account))
        });
        Ok(found)
    }

    fn why_it_waits(&self, account: &Account, left: &[Session]) -> String {
        let told = left.iter().find_map(|session| session.trouble.as_ref());
        if let Some(problem) = told {
            return problem.to_string();
        }
        match Self::directory(&self.settings(), &account.directory) {
            Err(problem) => problem.to_string(),
            Ok(_) => "It is tried again until it is done; the audit log and the broker's log say what stands in the way.".into(),
        }
    }
}

const fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Dedicated => "dedicated",
        Mode::Burner => "burner",
        Mode::Membership => "membership",
    }
}
