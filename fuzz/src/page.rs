//! A saved page. Whatever HTML it is, it is read in time, what the questions find is within every cap of a page's message, and
//! what is recognised in it is a clean ticket.

use std::sync::LazyLock;
use std::time::Duration;

use ticketgate::saved_page::SavedPage;
use ticketgate_protocol::page::{Facts, Questions};
use ticketgate_wasm::recognise::Rules;

static RULES: LazyLock<Rules> = LazyLock::new(Rules::built_in);

/// A page of this size is read in milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

const ADDRESSES: [&str; 3] = [
    "https://desk.example/Ticket/Display.html?id=4711",
    "https://acme.zendesk.com/agent/tickets/4711",
    "https://ww4.autotask.net/Mvc/ServiceDesk/TicketDetail.mvc?ticketId=7",
];

pub(crate) fn run(data: &[u8]) {
    let page = SavedPage::read(data, PATIENCE).unwrap();
    for address in ADDRESSES {
        let Some(questions) = RULES.questions(address) else { continue };
        // No question waits for another, so that every one is asked.
        let ask = questions.ask.into_iter().map(|mut question| {
            question.only_if = None;
            question
        });
        let questions = Questions { ask: ask.collect(), ..questions };
        let reading = page.answers(&questions, address, PATIENCE).unwrap();
        assert!(reading.unclear.is_empty());
        assert_eq!(
            Facts::from_json(&serde_json::to_string(&reading.facts).unwrap()),
            Ok(reading.facts.clone())
        );
        crate::facts::recognised(address, &RULES.recognise(address, &reading.facts));
    }
}
