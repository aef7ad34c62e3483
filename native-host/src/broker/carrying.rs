//! Carrying out a plan: step after step, and side by side where the directory says so.

use futures_util::future::join_all;
use ticketgate_access::desired::{Observed, Step};
use ticketgate_access::session::Account;
use ticketgate_directory::{Directory, DirectoryError, generate_for};
use ticketgate_protocol::problem::Problem;

use super::Broker;
use super::leases::{Held, Unheld};
use super::problems::directory_problem;

/// How far a plan got.
pub(super) enum Carried {
    Whole,
    /// The last step may or may not have been done: look again.
    Unknown(Problem),
    /// Something was not done.
    Refused(Problem),
    /// Nothing more was sent: the account is another broker's, or may be.
    Unheld(Unheld),
}

impl Broker {
    /// Carries out a plan as far as it can be. What cannot be taken away does not keep the rest; but nothing is given on
    /// top of it.
    ///
    /// Steps that go [side by side](Directory::side_by_side) are all sent, and each answer is waited for: no write is left under way.
    /// What stops the plan, and what is told, is the first of them in the plan's order.
    pub(super) async fn carry_out(
        &self,
        held: &Held,
        directory: &dyn Directory,
        account: &Account,
        seen: &Observed,
        steps: &[Step],
        sent: &mut Vec<String>,
    ) -> Carried {
        let mut refused = None;
        for together in steps.chunk_by(|one, next| directory.side_by_side() && go_together(one, next)) {
            let going: Vec<_> =
                together.iter().filter(|step| refused.is_none() || takes_away(step)).collect();
            if let Err(why) = held.may_send().await {
                return Carried::Unheld(why);
            }
            sent.extend(going.iter().map(|step| described(step)));
            let applied = going.iter().map(|step| self.apply(held, directory, account, seen, step));
            let mut stopped = None;
            for (step, done) in going.iter().zip(join_all(applied).await) {
                let Err(error) = done else {
                    // With the account went whatever else of it could not be taken away.
                    if **step == Step::Delete {
                        refused = None;
                    }
                    continue;
                };
                let problem = directory_problem(&error);
                if error.is_ambiguous() {
                    tracing::warn!(step = step.name(), %error, "a step's outcome is not known; looking again");
                    stopped.get_or_insert(Carried::Unknown(problem));
                    continue;
                }
                tracing::warn!(step = step.name(), account = %account.key.0, %error, "a step failed");
                if error.is_passing() {
                    stopped.get_or_insert(Carried::Refused(problem));
                } else {
                    refused.get_or_insert(problem);
                }
            }
            if let Some(stopped) = stopped {
                return stopped;
            }
        }
        refused.map_or(Carried::Whole, Carried::Refused)
    }

    pub(super) async fn apply(
        &self,
        held: &Held,
        directory: &dyn Directory,
        account: &Account,
        seen: &Observed,
        step: &Step,
    ) -> Result<(), DirectoryError> {
        held.sends(step);
        let Step::Open { marker, .. } = step else {
            if matches!(step, Step::Close | Step::Rotate(_) | Step::Delete) {
                self.passwords.forget(&account.key);
            }
            return directory.apply(account, seen, step, None).await;
        };
        if !directory.has_passwords() {
            return directory.apply(account, seen, step, None).await;
        }
        let password = generate_for(&account.name).map_err(DirectoryError::BadValue)?;
        // Kept before the write: a write whose answer was lost may have set it.
        self.passwords.put(&account.key, marker.generation, password.clone());
        let result = directory.apply(account, seen, step, Some(&password)).await;
        if let Some(made) = directory.take_credential(account) {
            self.passwords.put(&account.key, marker.generation, made);
        }
        if result.as_ref().is_err_and(|e| !e.is_ambiguous()) {
            self.passwords.forget(&account.key);
        }
        result
    }
}

/// Whether neither of two steps needs the other: rights are independent of one another, everything else has its order.
const fn go_together(one: &Step, next: &Step) -> bool {
    matches!((one, next), (Step::Grant { .. }, Step::Grant { .. }) | (Step::Revoke(_), Step::Revoke(_)))
}

/// Whether a step only takes away: it may be done whatever else could not be.
const fn takes_away(step: &Step) -> bool {
    matches!(step, Step::Close | Step::Revoke(_) | Step::ResetPrimaryGroup | Step::Rotate(_) | Step::Delete)
}

/// A step as it stands in the audit log.
pub(super) fn described(step: &Step) -> String {
    match step {
        Step::Grant { right, .. } | Step::Revoke(right) => format!("{} {}", step.name(), right.0),
        _ => step.name().to_owned(),
    }
}
