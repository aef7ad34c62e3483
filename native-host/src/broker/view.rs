//! Sessions as people see them: names instead of ids' rows, and whether the password can still be had.

use ticketgate_access::session::{Account, Session, state_of};
use ticketgate_ledger::LedgerError;
use ticketgate_protocol::api;
use ticketgate_protocol::ids::SessionId;

use super::parts::rows_of;
use super::{Broker, Snapshot};

impl Broker {
    /// One session as people see it.
    pub(super) async fn view(&self, id: &SessionId) -> Result<Option<api::Session>, LedgerError> {
        let session = match self.ledger.session(id).await? {
            Some(session) if session.whole.is_none() => session,
            // Also where the row that it is named by was lost: what is left of it is shown.
            known => {
                let parts = self.ledger.parts(known.as_ref().map_or(id, Session::of)).await?;
                return Ok(self.show_whole(&self.settings(), &parts));
            }
        };
        let account = self.ledger.account(&session.account).await?.map(|(account, _)| account);
        Ok(Some(self.show(&self.settings(), &session, account.as_ref())))
    }

    /// A session and its account as people see them.
    pub(super) fn show(
        &self,
        snapshot: &Snapshot,
        session: &Session,
        account: Option<&Account>,
    ) -> api::Session {
        let directory = snapshot.directories.get(&session.directory);
        let customer = snapshot.config.as_ref().and_then(|c| c.customers.get(&session.customer));
        api::Session {
            id: session.id.clone(),
            state: session.state,
            technician: session.technician.clone(),
            customer: session.customer.clone(),
            customer_name: customer.map_or_else(|| session.customer.to_string(), |c| c.name.clone()),
            policy: session.policy.clone(),
            policy_name: session.policy_name.clone(),
            directory: session.directory.clone(),
            mode: session.mode,
            account: account.and_then(|a| a.display_name.clone()),
            rights: session
                .rights
                .iter()
                .map(|right| directory.map_or_else(|| right.0.clone(), |d| d.right_name(right)))
                .collect(),
            reason: session.reason.clone(),
            ticket: session.ticket.clone(),
            requested_at: session.requested_at,
            from: session.active_at.map(|_| session.from),
            expires_at: session.until,
            latest_end: session.latest_end,
            end_cause: session.end_cause,
            ended_at: session.ended_at,
            trouble: session.trouble.clone().map(|problem| api::Trouble {
                problem,
                attempts: account.map_or(0, |a| a.attempts),
                next_try: account.and_then(|a| a.next_try),
            }),
            password_held: session.state == api::State::Active
                && account.is_some_and(|a| self.passwords.holds(&a.key, a.password_generation)),
            passwordless: session.mode == api::Mode::Membership
                || directory.is_some_and(|d| !d.has_passwords()),
            version: session.version,
            parts: Vec::new(),
        }
    }

    /// All parts of a session as people see them: by the first, and each for itself. Nothing where there is none.
    pub(super) fn show_whole(
        &self,
        snapshot: &Snapshot,
        parts: &[(Session, Account)],
    ) -> Option<api::Session> {
        let (first, _) = parts.first()?;
        let rows = rows_of(parts);
        let shown: Vec<_> =
            parts.iter().map(|(part, account)| self.show(snapshot, part, Some(account))).collect();
        let mut whole = shown.first()?.clone();
        whole.id = first.of().clone();
        whole.state = state_of(&rows);
        if rows.iter().any(|part| part.active_at.is_none()) {
            whole.from = None;
        }
        let is_over = !rows.iter().any(Session::is_open);
        whole.ended_at = rows.iter().filter_map(|part| part.ended_at).max().filter(|_| is_over);
        whole.end_cause = rows.iter().find_map(|part| part.end_cause);
        whole.trouble = shown.iter().find_map(|part| {
            let mut trouble = part.trouble.clone()?;
            trouble.problem.detail = format!("{}: {}", part.directory, trouble.problem.detail);
            Some(trouble)
        });
        whole.password_held = shown.iter().any(|part| part.password_held);
        whole.passwordless = shown.iter().all(|part| part.passwordless);
        // Each grows, so their sum does with every change of any.
        whole.version = rows.iter().map(|part| part.version).sum();
        whole.parts = shown.into_iter().map(part).collect();
        Some(whole)
    }
}

fn part(shown: api::Session) -> api::Part {
    api::Part {
        directory: shown.directory,
        mode: shown.mode,
        account: shown.account,
        rights: shown.rights,
        state: shown.state,
        ended_at: shown.ended_at,
        trouble: shown.trouble,
        password_held: shown.password_held,
        passwordless: shown.passwordless,
    }
}
