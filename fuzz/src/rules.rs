//! Recognition rules. A file that is accepted asks a bounded number of questions, the same ones on every address of a site, and
//! whatever a page answers, what is recognised is a clean ticket.

use ticketgate_protocol::page::{Answer, Facts, QUESTIONS_MAX};
use ticketgate_wasm::recognise::Rules;

/// Addresses that the built-in rules know, and one that nobody knows.
const ADDRESSES: [&str; 5] = [
    "https://desk.example/Ticket/Display.html?id=4711",
    "https://acme.halopsa.com/ticket?id=12345&x=%23",
    "https://ww4.autotask.net/Mvc/ServiceDesk/TicketDetail.mvc?ticketId=7#t",
    "https://na.myconnectwise.net/v2025_1/ConnectWise.aspx#XQAACABnAAAAAAAAAAA9iIoG07$U9XZqpLgsNhRsIxDc$32gNxENfYHxm0xR95omyb56g$m_zkPJiA_N_ACb6LQsoCLKgQ67cMJWB7cpsBSszOHQ5_KUOJnE2xwVBmPitbzpYP_723QA??ServiceTicket",
    "https://x.example/t/4711?a=b&number=9;c#/t/4711/x",
];

/// What pages say, in turn: numbers, names, patterns' own characters, nothing.
const SAYINGS: [&str; 5] =
    ["#4711: Outlook \u{202e}crashes (Acme Corp)", "4711", " \u{a0}T20260101.0001 ", "(.*)+[", ""];

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let rules = match Rules::from_files(&[("fuzz.json", text)]) {
        Ok(rules) => rules,
        Err(bad) => return assert!(bad.to_string().starts_with("fuzz.json: ")),
    };
    for address in ADDRESSES {
        let Some(questions) = rules.questions(address) else { continue };
        assert!(questions.ask.len() <= QUESTIONS_MAX);
        for (n, question) in questions.ask.iter().enumerate() {
            let earlier = |gate: u16| questions.ask.iter().take(n).any(|before| before.q == gate);
            assert!(question.only_if.is_none_or(earlier), "it waits for what is asked later or never");
        }
        let say =
            |n: usize| SAYINGS.get(n % SAYINGS.len()).map_or_else(String::new, |text| (*text).to_owned());
        let answers = questions.ask.iter().enumerate().take(64);
        let facts = Facts {
            rules: questions.rules,
            address: address.to_owned(),
            title: say(data.len()),
            shown: true,
            answers: answers
                .map(|(n, question)| Answer { q: question.q, found: vec![say(n), say(n + data.len())] })
                .collect(),
        };
        crate::facts::recognised(address, &rules.recognise(address, &facts));
    }
}
