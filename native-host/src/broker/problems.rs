//! What directories, ticket systems and plans fail with, as people meet it: no server names, no answers of a server.

use chrono::TimeDelta;
use ticketgate_access::desired::PlanError;
use ticketgate_access::session::Account;
use ticketgate_directory::DirectoryError;
use ticketgate_protocol::problem::{Code, Problem};
use ticketgate_psa::PsaError;

use super::converge::SKEW_MAX;

pub(super) fn skew_problem(skew: TimeDelta) -> Problem {
    Problem::new(
        Code::ClockSkew,
        format!(
            "The clocks of the broker and of the directory are {} seconds apart; above {} an end cannot be trusted.",
            skew.num_seconds().abs(),
            SKEW_MAX.num_seconds()
        ),
    )
    .remedy("Set the clock that is wrong (NTP), then try again.")
}

pub(super) fn plan_problem(error: PlanError, account: &Account) -> Problem {
    match error {
        PlanError::ForeignAccount => Problem::new(
            Code::NameClash,
            format!("The directory already has an account {} that is not a JIT account.", account.name),
        )
        .remedy("It was left alone. An administrator can rename it or choose another `account_name`; where the broker's ledger was lost, `ticketgate recover` takes its accounts in again."),
        PlanError::NoOwnAccount => Problem::new(
            Code::NotEligible,
            format!("The directory has no account {} of yours.", account.name),
        )
        .remedy("An administrator can name it under `accounts` of your [[technician]]."),
    }
}

/// A directory's failure, as people meet it: no server names, no answers of the server.
pub(super) fn directory_problem(error: &DirectoryError) -> Problem {
    let (code, detail, remedy) = match error {
        DirectoryError::Unreachable(_) => (
            Code::DirectoryDown,
            "The directory cannot be reached.",
            "Try again in a moment; if it stays, tell an administrator.",
        ),
        DirectoryError::Ambiguous(_) => (
            Code::DirectoryDown,
            "The directory did not answer in time.",
            "Try again in a moment; if it stays, tell an administrator.",
        ),
        DirectoryError::Busy(_) | DirectoryError::BusyFor { .. } => {
            (Code::DirectoryDown, "The directory is busy.", "Try again in a moment.")
        }
        DirectoryError::Certificate(_) => (
            Code::CertificateRefused,
            "The directory's certificate cannot be trusted.",
            "Tell an administrator: `ticketgate check` says what is wrong with it.",
        ),
        DirectoryError::NotYet { after_s, .. } => {
            let detail = "The directory does not take the right away yet: Entra ID keeps one for its first five minutes.";
            // The same for an end and for the activation that finds it unfinished.
            let remedy = format!(
                "What has ended goes by itself, and a JIT account is closed until then. To activate anything else, try again in {} min.",
                after_s.div_ceil(60)
            );
            return Problem::new(Code::DirectoryDown, detail).remedy(remedy).retry_after(*after_s);
        }
        DirectoryError::Misconfigured(_) => (
            Code::BadConfiguration,
            "The directory is set up wrongly in Ticketgate.",
            "Tell an administrator: `ticketgate check` says what is wrong.",
        ),
        DirectoryError::TooShort(_) => (
            Code::BadDuration,
            "What is left of the session is too short for that in this directory.",
            "Extend the session, or begin a new one when it is over.",
        ),
        DirectoryError::NoLicence(_) => (
            Code::LicenceMissing,
            "The tenant has no licence for rights that end by themselves, and the directory's settings demand it.",
            "Tell an administrator: `ticketgate check` names the licence.",
        ),
        DirectoryError::TenantPolicy(_) => (
            Code::TenantPolicy,
            "The tenant's own rules forbid this.",
            "Tell an administrator: the broker's log and `ticketgate check` name the rule.",
        ),
        DirectoryError::Waiting(_) => (
            Code::DirectoryWaits,
            "The directory asks somebody to approve this right, so it was not given.",
            "Tell an administrator: the tenant's settings of this right ask for an approval.",
        ),
        DirectoryError::HostKey(_) => (
            Code::HostKeyRefused,
            "The machine's host key is not the one that was checked.",
            "Tell an administrator: another machine may answer in its place. `ticketgate check` says how to compare.",
        ),
        DirectoryError::Bind(_) | DirectoryError::NoSecret(_) => (
            Code::BindRefused,
            "The directory refused the broker's service account.",
            "Tell an administrator: `ticketgate check` says why.",
        ),
        DirectoryError::SignInNeeded { directory, .. } => {
            return Problem::new(
                Code::SignInNeeded,
                format!("Nobody is signed in to {directory} any more, so the broker cannot act there."),
            )
            .remedy(format!("Sign in again: ticketgate entra sign-in {directory}"));
        }
        DirectoryError::NotDelegated(_) => (
            Code::NotDelegated,
            "The broker's service account may not grant this right.",
            "Tell an administrator: `ticketgate check` shows the delegation that is missing.",
        ),
        DirectoryError::NoSuchRight(_) => (
            Code::UnknownRight,
            "The policy names a right that the directory does not have.",
            "Tell an administrator: `ticketgate check` names it.",
        ),
        DirectoryError::NameTaken(_) => (
            Code::NameClash,
            "The directory already has an account of the JIT account's name.",
            "It was left alone. An administrator can rename it or choose another `account_name`.",
        ),
        DirectoryError::NoSuchAccount(_) | DirectoryError::Refused(_) | DirectoryError::BadValue(_) => (
            Code::DirectoryRefused,
            "The directory refused the change.",
            "Tell an administrator: the broker's log says why.",
        ),
    };
    let problem = Problem::new(code, detail).remedy(remedy);
    match error.retry_after_s() {
        Some(seconds) => problem.retry_after(seconds),
        None => problem,
    }
}

/// Why there is no word of a ticket system that could be used. `system` is what the system is called on screens.
pub(super) fn psa_problem(error: &PsaError, system: &str, number: &str) -> Problem {
    let unverified = |detail: &str| {
        Problem::new(
            Code::TicketUnverified,
            format!("{system} {detail}, and the policy needs a verified ticket."),
        )
    };
    let tell = "Tell an administrator: `ticketgate check` says what is wrong.";
    match error {
        PsaError::NoSuchTicket => Problem::new(
            Code::TicketNotFound,
            format!("{system} has no ticket {number} that the broker may see."),
        )
        .remedy("Check the number; if it is right, an administrator can let the integration's user see it."),
        PsaError::Unreachable(_) => unverified("cannot be reached")
            .remedy("Try again in a moment; if it stays, tell an administrator."),
        PsaError::Ambiguous(_) => unverified("did not answer in time")
            .remedy("Try again in a moment; if it stays, tell an administrator."),
        PsaError::Busy { retry_after_s } => unverified("is busy")
            .remedy(format!("Try again in {retry_after_s} seconds."))
            .retry_after(*retry_after_s),
        PsaError::Failed(_) => unverified("failed on it")
            .remedy("Check the number and try again in a moment; if it stays, tell an administrator."),
        PsaError::Certificate(_) => unverified("has a certificate that cannot be trusted").remedy(tell),
        PsaError::Refused(_) | PsaError::NoSecret(_) => {
            unverified("refused the broker's integration").remedy(tell)
        }
        PsaError::Unreadable(_) | PsaError::NotOffered => {
            unverified("gave an answer that cannot be used").remedy(tell)
        }
    }
}
