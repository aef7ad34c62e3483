//! What a page says of itself. What is accepted is within every cap and says the same when written and read again; what is
//! recognised in it is a clean ticket of the sender's own origin; and no page speaks for another origin.

use std::sync::LazyLock;

use ticketgate_protocol::page::{ADDRESS_MAX, ANSWERS_MAX, FOUND_MAX, Facts, FromPage, TEXT_MAX, TOKEN_MAX};
use ticketgate_protocol::text::{self, REASON_MAX};
use ticketgate_wasm::reason::Template;
use ticketgate_wasm::recognise::{Recognition, Rules};

static RULES: LazyLock<Rules> = LazyLock::new(Rules::built_in);

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match FromPage::from_json(text) {
        Ok(FromPage::Report(facts)) => accepted(facts),
        Ok(FromPage::Click { token, facts }) => {
            assert!(token.len() <= TOKEN_MAX);
            accepted(facts);
        }
        Ok(_) | Err(_) => {}
    }
    if let Ok(facts) = Facts::from_json(text) {
        accepted(facts);
    }
}

fn accepted(mut facts: Facts) {
    assert!(facts.address.len() <= ADDRESS_MAX && facts.title.chars().count() <= TEXT_MAX);
    assert!(facts.answers.len() <= ANSWERS_MAX);
    for answer in &facts.answers {
        assert!((1..=FOUND_MAX).contains(&answer.found.len()));
        assert!(answer.found.iter().all(|text| text.chars().count() <= TEXT_MAX));
        assert_eq!(facts.answers.iter().filter(|other| other.q == answer.q).count(), 1);
    }
    assert_eq!(Facts::from_json(&serde_json::to_string(&facts).unwrap()).as_ref(), Ok(&facts));
    // The fuzzer need not find the fingerprint of this build's rules.
    if let Some(questions) = RULES.questions(&facts.address) {
        facts.rules = questions.rules;
    }
    assert!(foreign(&facts).is_none(), "a page spoke for another origin");
    recognised(&facts.address, &RULES.recognise(&facts.address, &facts));
}

/// What is recognised when the same facts come from an origin that is not theirs.
fn foreign(facts: &Facts) -> Option<()> {
    let elsewhere = "https://desk.elsewhere.example/Ticket/Display.html?id=4711";
    let theirs = facts.address.split('/').take(3).collect::<Vec<_>>().join("/");
    let absolute = facts.address.starts_with("https://") || facts.address.starts_with("http://");
    if !absolute
        || theirs.eq_ignore_ascii_case("https://desk.elsewhere.example")
        || theirs.contains(['?', '#', '\\'])
    {
        return None;
    }
    // An address that is none is the sender's own: nothing foreign in it.
    RULES.questions(&facts.address)?;
    RULES.recognise(elsewhere, facts).ticket().map(|_| ())
}

/// What holds of everything that is recognised.
pub(crate) fn recognised(sender: &str, found: &Recognition) {
    let Recognition::Ticket(found) = found else { return };
    assert_eq!(found.ticket.clone().checked().as_ref(), Ok(&found.ticket));
    if let Some(url) = &found.ticket.url {
        let origin = sender.split(['/', '?', '#']).take(3).collect::<Vec<_>>().join("/");
        assert!(
            url.len() > origin.len() && url.to_lowercase().starts_with(&origin.to_lowercase()),
            "{url} is not of {origin}"
        );
    }
    if let Some(reason) = Template::default().reason(&found.ticket) {
        assert_eq!(text::line(&reason, REASON_MAX).as_ref(), Ok(&reason));
    }
}
