//! What stands in the way, said so that a person can mend it. Texts only.

use ticketgate_protocol::problem::{Code, Problem};
use ticketgate_protocol::{EXTENSION_ID, PROTOCOL};

use super::Intent;
use super::link::{Lost, Stop};
use super::view::{Button, Step, Tone, Trouble};
use ticketgate_recognise::letters;

fn retry() -> Option<Button> {
    Some(Button { label: "Try again".into(), intent: Intent::Reconnect {}, disabled: None, busy: false })
}

fn step(text: &str, command: &str) -> Step {
    Step { text: text.into(), command: (!command.is_empty()).then(|| command.to_owned()) }
}

/// No attempt is made until the person asks for one.
pub(super) fn of_stop(stop: &Stop, own_id: &str) -> Trouble {
    match stop {
        Stop::NotInstalled => Trouble {
            tone: Tone::Red,
            title: "Ticketgate is not installed on this computer".into(),
            text: "The extension needs the Ticketgate program, and the browser does not find it.".into(),
            steps: vec![
                step("Install the program, then make it known to your browsers:", "ticketgate install"),
                step("If it is installed already, find out what is wrong:", "ticketgate doctor"),
            ],
            button: retry(),
        },
        Stop::Forbidden => Trouble {
            tone: Tone::Red,
            title: "The Ticketgate program does not serve this extension".into(),
            text: if own_id == EXTENSION_ID {
                "Its entry in the browser does not list this extension.".into()
            } else {
                format!("Its entry in the browser does not list this extension's id, {own_id}.")
            },
            steps: vec![
                step("Write the entry anew:", "ticketgate install"),
                step("See what is written where:", "ticketgate doctor"),
            ],
            button: retry(),
        },
        Stop::Refused(problem) => Trouble {
            tone: Tone::Red,
            title: "The Ticketgate program does not serve this extension".into(),
            text: format!("{} The extension's id is {own_id}.", problem.detail),
            steps: remedy_then(problem, ("See which extensions it serves:", "ticketgate doctor")),
            button: retry(),
        },
        Stop::Mismatch(problem) => Trouble {
            tone: Tone::Red,
            title: "Extension and Ticketgate program do not fit together".into(),
            text: problem.detail.clone(),
            steps: vec![
                step(
                    if problem.remedy.is_empty() {
                        "Update the one that is older; one release apart is fine."
                    } else {
                        &problem.remedy
                    },
                    "",
                ),
                step(
                    &format!("The extension speaks protocol {PROTOCOL}. The program's version:"),
                    "ticketgate --version",
                ),
            ],
            button: retry(),
        },
    }
}

/// The port was lost and is tried again in `seconds`.
pub(super) fn of_loss(lost: &Lost, seconds: i64) -> Trouble {
    let problem = lost.problem();
    let more = ("If it stays so, find out what is wrong:", "ticketgate doctor");
    Trouble {
        tone: Tone::Amber,
        steps: match lost {
            Lost::Refused(said) => remedy_then(said, more),
            _ => vec![step(more.0, more.1)],
        },
        title: problem.detail,
        text: if seconds > 0 { format!("Trying again in {seconds} s.") } else { "Trying again now.".into() },
        button: retry(),
    }
}

/// The remedy that came with the problem, then where to find out more. The same command is not said twice: one that ends the remedy
/// stands below it, to be copied.
fn remedy_then(problem: &Problem, more: (&str, &str)) -> Vec<Step> {
    let remedy = problem.remedy.trim_end_matches(['.', '`']);
    if let Some(before) = remedy.strip_suffix(more.1).map(|before| before.trim_end_matches(['`', ' '])) {
        return vec![step(if before.is_empty() { more.0 } else { before }, more.1)];
    }
    if letters::holds(remedy, more.1) {
        return vec![step(&problem.remedy, more.1)];
    }
    let mut steps = Vec::new();
    if !remedy.is_empty() {
        steps.push(step(&problem.remedy, ""));
    }
    steps.push(step(more.0, more.1));
    steps
}

/// The relay answers, but the broker refused or failed.
pub(super) fn of_problem(problem: &Problem) -> Trouble {
    let (tone, title, more) = match problem.code {
        _ if is_silence(problem) => {
            (Tone::Red, "The broker does not answer", ("Find out what is wrong:", "ticketgate doctor"))
        }
        Code::Unsupported => {
            (Tone::Red, "That does not work on this system", ("Find out more:", "ticketgate doctor"))
        }
        Code::NotATechnician => (
            Tone::Amber,
            "You are not set up as a technician",
            ("This is what the broker sees:", "ticketgate status"),
        ),
        Code::LedgerDown => (
            Tone::Red,
            "The broker's ledger is out of reach",
            ("Your administrator sees why with:", "ticketgate doctor"),
        ),
        Code::BadConfiguration => (
            Tone::Red,
            "The broker's configuration has a fault",
            ("Your administrator sees every fault with:", "ticketgate check"),
        ),
        _ => (Tone::Red, "That did not work", ("Find out what is wrong:", "ticketgate doctor")),
    };
    let steps = with_request(remedy_then(problem, more), problem);
    Trouble { tone, title: title.into(), text: problem.detail.clone(), steps, button: retry() }
}

/// And by which id whoever reads the broker's log finds it.
fn with_request(mut steps: Vec<Step>, problem: &Problem) -> Vec<Step> {
    if let Some(id) = problem.request_to_name() {
        steps.push(step("In the broker's log this is request:", id));
    }
    steps
}

/// Whether the broker is not there, or says nothing.
pub(super) fn is_silence(problem: &Problem) -> bool {
    matches!(problem.code, Code::BrokerUnreachable | Code::TimedOut | Code::Stopping)
}

/// Whether the person has to sign in to the broker. That a tenant of a customer needs somebody's sign-in has the same code.
pub(super) fn is_signed_out(problem: &Problem) -> bool {
    problem.code == Code::SignInNeeded && problem.status == 401
}

/// What to do after a sign-in that did not succeed.
pub(super) fn steps_to_sign_in(problem: &Problem) -> Vec<Step> {
    remedy_then(problem, ("If no page opens, sign in from a terminal:", "ticketgate sign-in --device"))
}

/// Whether the same wish meets the same answer, as far as can be told: what is wrong is the wish, not the moment.
pub(super) fn stays(problem: &Problem) -> bool {
    let passes = matches!(problem.code, Code::RateLimited | Code::TooManySessions);
    matches!(problem.status, 400..=499) && !passes
}

/// What to do after a failed activation.
pub(super) fn steps_after(problem: &Problem) -> Vec<Step> {
    let command = match problem.code {
        Code::BrokerUnreachable | Code::TimedOut | Code::DirectoryDown | Code::ClockSkew => {
            "ticketgate doctor"
        }
        Code::CertificateRefused
        | Code::BindRefused
        | Code::NotDelegated
        | Code::UnknownRight
        | Code::NameClash
        | Code::TicketUnverified
        | Code::BadConfiguration => "ticketgate check",
        _ => "",
    };
    let is_said = !command.is_empty() && letters::holds(&problem.remedy, command);
    // That is on the button.
    let steps = match (problem.remedy.is_empty() || problem.remedy == "Try again.", command) {
        (true, "") => Vec::new(),
        (true, command) => vec![step("Find out what is wrong:", command)],
        (false, "") => vec![step(&problem.remedy, "")],
        (false, command) if is_said => vec![step(&problem.remedy, command)],
        (false, command) => vec![step(&problem.remedy, ""), step("Find out what is wrong:", command)],
    };
    with_request(steps, problem)
}
