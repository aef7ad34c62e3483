//! The team's broker, where one is named: who says so, whether each of its addresses answers, and who is signed in.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use ticketgate_protocol::api::{BrokerInfo, Finding};
use ticketgate_protocol::problem::{Code, Problem};

use super::{Addresses, error, ok, warning};
use crate::client::identity::{Identity, SignedIn};
use crate::client::{Client, Endpoint};
use crate::places::Places;
use crate::team::{Address, BadTeam, Team};

/// How long one address may take. Names, connection and certificate have their own, shorter limit.
const PATIENCE: Duration = Duration::from_secs(6);
const SUBJECT: &str = "team's broker";

/// What is asked of one address, and of the key store.
struct Asked {
    answers: Vec<Result<BrokerInfo, Problem>>,
    signed_in: Result<Option<Arc<SignedIn>>, String>,
}

/// What cannot be followed.
pub(super) fn misled(bad: &BadTeam) -> Vec<Finding> {
    vec![error(SUBJECT, format!("It is not clear where it is. {bad}."), bad.remedy.clone())]
}

/// Looks at every address. With [`Addresses::Unnamed`] none of them is said.
pub(super) fn look(team: &Team, places: &Places, names: Addresses) -> Vec<Finding> {
    let Some(asked) = ask(team, places) else {
        return vec![error(SUBJECT, "It cannot be asked from here.", "Run: ticketgate doctor")];
    };
    let subject = |at: usize, address: &Address| match names {
        Addresses::Named => format!("{SUBJECT} {address}"),
        Addresses::Unnamed => format!("{SUBJECT}, address {} of {}", at + 1, team.addresses.len()),
    };
    let mut findings = Vec::new();
    for ((at, address), answer) in team.addresses.iter().enumerate().zip(&asked.answers) {
        findings.push(judge(subject(at, address), team, answer));
    }
    findings.push(match &asked.signed_in {
        Ok(Some(signed_in)) if signed_in.until() > Utc::now() => {
            let until = signed_in.until().format("%Y-%m-%d %H:%M UTC");
            ok(
                "sign-in",
                format!("{} is signed in until {until}; it is renewed before.", signed_in.technician()),
            )
        }
        Ok(Some(_)) => ok("sign-in", "It is over, and renewed at the next request where it can be."),
        Ok(None) => warning("sign-in", "Nobody is signed in on this machine.", "Run: ticketgate sign-in"),
        Err(why) => error(
            "sign-in",
            format!("The key store cannot be asked: {why}."),
            "Mend that, then run: ticketgate sign-in",
        ),
    });
    findings
}

fn judge(subject: String, team: &Team, answer: &Result<BrokerInfo, Problem>) -> Finding {
    match answer {
        Ok(info) if info.version != env!("CARGO_PKG_VERSION") => warning(
            subject,
            format!("answers in version {}; this is another one.", info.version),
            "One release apart is fine; else update the older one.",
        ),
        // That nobody is signed in is said by the broker itself.
        Err(problem) if problem.code != Code::SignInNeeded => {
            let from = format!("It is named by {}.", team.said_by);
            error(subject, format!("{} {from}", problem.detail), problem.remedy.clone())
        }
        Ok(_) | Err(_) => ok(subject, format!("answers; it is named by {}.", team.said_by)),
    }
}

/// On a thread of its own, because who asks the doctor may be inside a runtime already. All addresses at once.
fn ask(team: &Team, places: &Places) -> Option<Asked> {
    let clients: Vec<Client> = team
        .addresses
        .iter()
        .map(|address| {
            let one = Team { addresses: vec![address.clone()], ..team.clone() };
            Client::new(Endpoint::Https(Arc::new(one))).with_limit(PATIENCE)
        })
        .collect();
    let identity = Identity::of_this_machine(team, places);
    let asking = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        Some(runtime.block_on(async {
            let asked: Vec<_> = clients
                .into_iter()
                .map(|client| tokio::spawn(async move { client.broker().await }))
                .collect();
            let signed_in = identity.current().await.map_err(|why| why.to_string());
            let mut answers = Vec::new();
            for asked in asked {
                let broken = |_| Err(Problem::new(Code::Internal, "It was not asked."));
                answers.push(asked.await.unwrap_or_else(broken));
            }
            Asked { answers, signed_in }
        }))
    };
    std::thread::spawn(asking).join().ok().flatten()
}
