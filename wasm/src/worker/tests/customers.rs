//! Which customer a ticket is about: what is exactly so, what was chosen before, and what is asked.

use proptest::prelude::*;
use ticketgate_protocol::api::Overview;
use ticketgate_protocol::tree::FromJson;

use super::*;
use crate::worker::customers::{Said, said};
use crate::worker::memory::Memory;
use ticketgate_protocol::ids::CustomerId;

/// A ConnectWise page with these values in its fields of company and contact, which say nothing else.
fn in_connectwise(number: &str, company: &str, contact: &str) -> (Sender, Value) {
    let url = format!(
        "https://na.myconnectwise.net/v4_6_release/services/system_io/Service/fv_sr100_request.rails?service_recid={number}"
    );
    let questions = Rules::built_in().questions(&url).unwrap();
    let q = |selector: &str| {
        questions.ask.iter().find(|q| q.selector.split(", ").any(|one| one == selector)).unwrap().q
    };
    let mut answers = vec![json!({"q": q("input.cw_summary"), "found": ["Printer is out"]})];
    for (selector, text) in [("input.cw_company", company), ("input.cw_contact", contact)] {
        if !text.is_empty() {
            answers.push(json!({"q": q(selector), "found": [text]}));
        }
    }
    let facts =
        json!({"rules": questions.rules, "address": url, "title": "", "shown": true, "answers": answers});
    (Sender { url: Some(url), origin: Some("https://na.myconnectwise.net".into()), ..from_desk() }, facts)
}

/// An overview whose customers have domains, and a third whose name is like the first's.
fn known() -> Value {
    with(
        overview(&[]),
        json!({
            "customers": [
                {"id": "acme", "name": "Acme Corp", "aliases": ["ACME"], "domains": ["acme.example", "acme.test"]},
                {"id": "bakery", "name": "Acme Bakery Ltd"},
                {"id": "globex", "name": "Globex", "aliases": [], "domains": ["globex.example"]},
            ],
            "policies": [
                policy("acme-domain-admin", "Domain Admin", "acme", true),
                policy("bakery-admin", "Admin", "bakery", true),
                policy("globex-domain-admin", "Domain Admin", "globex", true),
            ],
        }),
    )
}

fn show(play: &mut Play, number: &str, company: &str, contact: &str) {
    let (sender, facts) = in_connectwise(number, company, contact);
    play.page(sender.clone(), &json!({"page": "arrived"}));
    play.page(sender, &json!({"page": "report", "facts": facts}));
}

/// The popup's form for a ticket of this company and contact.
fn form(play: &mut Play, company: &str, contact: &str) -> view::FormView {
    show(play, "4711", company, contact);
    play.open_popup();
    play.view().form.clone().unwrap()
}

fn chosen(form: &view::FormView) -> Option<&str> {
    form.customers.iter().find(|c| c.chosen).map(|c| c.label.as_str())
}

fn mark(form: &view::FormView) -> (view::Tone, &str) {
    form.customer_mark.as_ref().map_or((view::Tone::Calm, ""), |mark| (mark.tone, mark.text.as_str()))
}

fn labels(choices: &[view::Choice]) -> Vec<&str> {
    choices.iter().map(|c| c.label.as_str()).collect()
}

fn pick(play: &mut Play, customer: &str) {
    play.intend(Intent::PickCustomer { customer: Some(customer.parse().unwrap()) });
}

/// Picks a customer for a company, activates, and the session is over again.
fn choose(play: &mut Play, company: &str, customer: &str) {
    form(play, company, "");
    pick(play, customer);
    let ticket = activate(play, company);
    answer(play, customer, &ticket);
}

fn activate(play: &mut Play, company: &str) -> Value {
    play.press_activate();
    let ask =
        play.effects.iter().find_map(|e| if let Effect::Read { ask, .. } = e { Some(*ask) } else { None });
    let (_, facts) = in_connectwise("4711", company, "");
    play.happen(Input::PageRead { ask: ask.unwrap(), facts: Some(facts.to_string()) });
    let Method::Activate(wanted) = &play.last_sent("activate").unwrap().method else { panic!() };
    serde_json::to_value(&wanted.ticket).unwrap()
}

fn answer(play: &mut Play, customer: &str, ticket: &Value) {
    let over = with(session("s-1", 3600), json!({"customer": customer, "ticket": ticket, "state": "ended"}));
    play.answer("activate", json!({"session": over, "clipboard": {"state": "not_needed"}}));
}

#[test]
fn a_name_an_alias_or_the_domain_of_an_address_is_the_customer() {
    for (company, contact, customer, says, one_click) in [
        ("Acme Corp", "", "Acme Corp", "from the ticket", true),
        (" acme  CORP ", "Pat Doe", "Acme Corp", "from the ticket", true),
        ("ACME", "pat@acme.example", "Acme Corp", "from the ticket", true),
        ("Globex", "pat@hooli.example", "Globex", "from the ticket", true),
        ("", "pat@acme.example", "Acme Corp", "by the address at acme.example", true),
        ("", "Pat Doe <Pat@GLOBEX.example>", "Globex", "by the address at globex.example", true),
        ("Pat (pat@acme.test)", "", "Acme Corp", "by the address at acme.test", true),
        // Nobody knows the company: it may be another that the same person writes for.
        ("Hooli", "pat@acme.example", "Acme Corp", "by the address at acme.example: check", false),
    ] {
        let mut play = Play::with(known());
        let form = form(&mut play, company, contact);
        assert_eq!(chosen(&form), Some(customer), "{company} {contact}");
        assert_eq!(mark(&form).1, says, "{company} {contact}");
        assert!(form.suggested.is_empty(), "{company} {contact}");
        assert_eq!(play.chip().unwrap().one_click, one_click, "{company} {contact}");
    }
}

#[test]
fn what_names_several_or_none_is_asked_with_suggestions_and_nothing_is_chosen() {
    for (company, contact, says, suggested) in [
        (
            "Acme (HQ)",
            "",
            "the ticket says “Acme (HQ)”: pick the customer",
            &["Acme Corp", "Acme Bakery Ltd"][..],
        ),
        ("Hooli", "", "the ticket says “Hooli”: pick the customer", &[]),
        ("Hooli", "pat@hooli.example", "the ticket says “Hooli”: pick the customer", &[]),
        ("pat@globex.test", "", "the ticket says “pat@globex.test”: pick the customer", &["Globex"]),
        // A part of a domain is no domain, and one is not another's.
        ("", "pat@mail.acme.example", "", &[]),
        ("", "acme.example", "", &[]),
        ("", "pat@acme.example.evil", "", &[]),
        (
            "Globex",
            "pat@acme.example",
            "“Globex” may be one of several: pick the customer",
            &["Globex", "Acme Corp"],
        ),
        (
            "",
            "pat@acme.example, kim@globex.example",
            "the addresses are of several: pick the customer",
            &["Acme Corp", "Globex"],
        ),
    ] {
        let mut play = Play::with(known());
        let form = form(&mut play, company, contact);
        assert_eq!(chosen(&form), None, "{company} {contact}");
        assert_eq!(form.customer_mark.as_ref().map_or("", |m| &m.text), says, "{company} {contact}");
        assert_eq!(labels(&form.suggested), suggested, "{company} {contact}");
        assert!(form.suggested.iter().all(|c| !c.chosen));
        assert_eq!(form.activate.disabled.as_deref(), Some("Pick the customer."));
        let chip = play.chip().unwrap();
        assert!(!chip.one_click && chip.label == "Activate …", "{company} {contact}: {chip:?}");
    }
}

#[test]
fn two_customers_of_one_name_are_asked_about() {
    let twins =
        json!([{"id": "acme", "name": "Acme Corp"}, {"id": "globex", "name": "acme corp", "aliases": []}]);
    let mut play = Play::with(with(known(), json!({"customers": twins})));
    let form = form(&mut play, "Acme Corp", "");
    assert_eq!(chosen(&form), None);
    assert_eq!(labels(&form.suggested), ["Acme Corp", "acme corp"]);
}

#[test]
fn a_suggestion_that_was_taken_stays_to_be_changed() {
    let mut play = Play::with(known());
    form(&mut play, "Acme (HQ)", "");
    pick(&mut play, "bakery");
    let form = play.view().form.clone().unwrap();
    assert_eq!(labels(&form.suggested), ["Acme Corp", "Acme Bakery Ltd"]);
    assert_eq!(chosen(&form), Some("Acme Bakery Ltd"));
    assert!(form.suggested[1].chosen && form.activate.disabled.is_none());
}

#[test]
fn a_choice_that_was_activated_is_used_again_for_this_company_at_this_site_and_says_so() {
    let mut play = Play::with(known());
    choose(&mut play, "Acme (HQ)", "acme");
    let form = form(&mut play, "ACME  (hq)", "");
    assert_eq!(chosen(&form), Some("Acme Corp"));
    assert_eq!(mark(&form), (view::Tone::Calm, "as you chose for “ACME (hq)”"));
    assert!(form.suggested.is_empty());
    // The field says the company and nothing else, and the policy permits it.
    assert!(play.chip().unwrap().one_click);

    // A restart of the browser keeps it.
    let mut again = Play::unstarted();
    again.start(None, play.memory.clone());
    again.greet();
    again.answer("overview", known());
    assert_eq!(chosen(&self::form(&mut again, "Acme (HQ)", "")), Some("Acme Corp"));
    // Another company, another site and another technician are asked.
    assert_eq!(chosen(&self::form(&mut again, "Acme (HQ 2)", "")), None);
    let mut other = Play::unstarted();
    other.start(None, play.memory.clone());
    other.greet();
    other.answer("overview", with(known(), json!({"technician": "tech2"})));
    assert_eq!(chosen(&self::form(&mut other, "Acme (HQ)", "")), None);
    let company = |url: &str, system: &str| {
        let ticket = Ticket {
            system: system.into(),
            number: "1".into(),
            url: Some(url.into()),
            customer: Some("Acme (HQ)".into()),
            ..Ticket::default()
        };
        crate::worker::customers::company_of(&ticket)
    };
    let here = company("https://na.myconnectwise.net/a", "connectwise");
    assert!(here.is_some());
    assert_eq!(here, company("https://na.myconnectwise.net/b?c", "connectwise"));
    assert_ne!(here, company("https://eu.myconnectwise.net/a", "connectwise"));
    assert_ne!(here, company("https://na.myconnectwise.net/a", "autotask"));
    assert_eq!(company("https://na.myconnectwise.net/a", ""), None, "a typed ticket");
}

#[test]
fn a_choice_that_was_not_activated_or_that_the_ticket_makes_itself_is_not_remembered() {
    let mut play = Play::with(known());
    choose(&mut play, "Globex", "bakery");
    form(&mut play, "Acme (HQ)", "");
    pick(&mut play, "acme");
    activate(&mut play, "Acme (HQ)");
    play.refuse("activate", "directory_down");
    let mut again = Play::unstarted();
    again.start(None, play.memory.clone());
    again.greet();
    again.answer("overview", known());
    assert_eq!(chosen(&form(&mut again, "Acme (HQ)", "")), None);
    assert_eq!(chosen(&form(&mut again, "Globex", "")), Some("Globex"));
}

#[test]
fn choosing_another_customer_forgets_the_choice_before() {
    let mut play = Play::with(known());
    choose(&mut play, "Acme (HQ)", "acme");
    form(&mut play, "Acme (HQ)", "");
    pick(&mut play, "bakery");
    let form = play.view().form.clone().unwrap();
    assert_eq!((chosen(&form), mark(&form).1), (Some("Acme Bakery Ltd"), ""));
    assert!(!play.memory.as_ref().unwrap().contains("(hq)"), "{:?}", play.memory);
    let ticket = activate(&mut play, "Acme (HQ)");
    answer(&mut play, "bakery", &ticket);
    assert_eq!(chosen(&self::form(&mut play, "Acme (HQ)", "")), Some("Acme Bakery Ltd"));
}

#[test]
fn an_address_of_another_customer_stands_against_an_earlier_choice() {
    let mut play = Play::with(known());
    choose(&mut play, "Service Desk", "acme");
    let form = form(&mut play, "Service Desk", "pat@globex.example");
    assert_eq!(chosen(&form), None);
    assert_eq!(labels(&form.suggested), ["Globex", "Acme Corp"]);
    assert!(!play.chip().unwrap().one_click);
    assert_eq!(chosen(&self::form(&mut play, "Service Desk", "pat@acme.example")), Some("Acme Corp"));
}

#[test]
fn a_choice_goes_with_its_customer() {
    let mut play = Play::with(known());
    choose(&mut play, "Acme (HQ)", "bakery");
    play.frame(&json!({"event": "resync"}));
    let mut fewer = known();
    fewer["customers"].as_array_mut().unwrap().remove(1);
    fewer["policies"].as_array_mut().unwrap().remove(1);
    play.answer("overview", fewer);
    assert_eq!(chosen(&form(&mut play, "Acme (HQ)", "")), None);
    play.frame(&json!({"event": "resync"}));
    play.answer("overview", known());
    assert_eq!(chosen(&form(&mut play, "Acme (HQ)", "")), None, "it does not come back by itself");
}

#[test]
fn a_choice_for_what_was_guessed_from_the_page_only_fills_the_popup() {
    let mut play = Play::with(known());
    play.show_ticket("4711", "Support").open_popup();
    pick(&mut play, "globex");
    play.press_activate();
    let ask =
        play.effects.iter().find_map(|e| if let Effect::Read { ask, .. } = e { Some(*ask) } else { None });
    play.happen(Input::PageRead { ask: ask.unwrap(), facts: Some(facts("4711", "Support").to_string()) });
    answer(&mut play, "globex", &json!(null));
    play.show_ticket("4712", "support").open_popup();
    let form = play.view().form.clone().unwrap();
    assert_eq!(chosen(&form), Some("Globex"));
    assert_eq!(mark(&form), (view::Tone::Amber, "as you chose for “support”: check"));
    assert!(!play.chip().unwrap().one_click, "a queue is not surely the customer");
}

#[test]
fn a_number_that_was_guessed_is_said_to_be_and_never_activates_by_one_click() {
    let mut play = Play::with(known());
    let at = |page: &str| format!("https://bms.kaseya.com/{page}");
    let mut show = |url: String, number: &str| {
        let questions = Rules::built_in().questions(&url).unwrap();
        let q = |part: &str| questions.ask.iter().find(|q| q.selector == part).unwrap().q;
        let mut answers = vec![json!({"q": q(".psa-ticket-info-summary-account"), "found": ["Acme Corp"]})];
        if !number.is_empty() {
            answers.push(json!({"q": q(".TicketTitle em span"), "found": [number]}));
        }
        let facts =
            json!({"rules": questions.rules, "address": url, "title": "", "shown": true, "answers": answers});
        let sender = Sender { url: Some(url), origin: Some("https://bms.kaseya.com".into()), ..from_desk() };
        play.page(sender.clone(), &json!({"page": "arrived"}));
        play.page(sender, &json!({"page": "report", "facts": facts}));
        play.open_popup();
        (play.view().form.clone().unwrap(), play.chip().unwrap().one_click)
    };
    let (form, one_click) = show(at("react/servicedesk/tickets/977"), "");
    assert_eq!(form.ticket.map(|t| t.text).as_deref(), Some("#977"));
    assert!(form.caution.is_some_and(|note| note.text.contains("number was guessed")) && !one_click);
    let (form, one_click) = show(at("msp/ticketedit.aspx?ID=977"), "Ticket# 4711 Printer is out");
    assert!(form.caution.is_none() && one_click, "{:?}", form.caution);
}

#[test]
fn the_oldest_choices_are_forgotten_first_and_another_versions_are_not_read() {
    let tech: ticketgate_protocol::ids::TechnicianId = "tech1".parse().unwrap();
    let acme: CustomerId = "acme".parse().unwrap();
    let mut memory = Memory::default();
    for n in 0..250 {
        memory.choose_for(tech.clone(), format!("company {n}"), acme.clone());
        // Chosen again and again: never the oldest.
        memory.choose_for(tech.clone(), "regular".into(), acme.clone());
    }
    assert_eq!(memory.chosen_for(&tech, "regular"), Some(&acme));
    assert_eq!(memory.chosen_for(&tech, "company 249"), Some(&acme));
    assert_eq!(memory.chosen_for(&tech, "company 40"), None);
    let text = memory.to_tree().to_json();
    let read = |text: &str| Memory::parse(text).unwrap();
    assert_eq!(read(&text), memory);
    let newer = text.replace("\"companies_form\":1", "\"companies_form\":2");
    assert_ne!(newer, text);
    assert_eq!(read(&newer).chosen_for(&tech, "regular"), None);
    assert_eq!(
        read(r#"{"choices": [], "placements": [], "hidden": []}"#),
        Memory::default(),
        "the first release's"
    );
}

#[test]
fn what_stands_here_follows_a_new_alias_without_the_choice() {
    let mut play = Play::with(known());
    choose(&mut play, "Acme (HQ)", "bakery");
    play.frame(&json!({"event": "resync"}));
    let mut more = known();
    more["customers"][0]["aliases"] = json!(["Acme (HQ)"]);
    play.answer("overview", more);
    let form = form(&mut play, "Acme (HQ)", "");
    assert_eq!(
        (chosen(&form), mark(&form).1),
        (Some("Acme Corp"), "from the ticket"),
        "the administrator said which"
    );
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "(Acme|ACME|acme corp|Globex|Acme Bakery|Hooli|Corp)( |, )?(Corp|Ltd|\\(HQ\\))?",
        3 => "(Pat )?<?[a-z]{1,3}@(acme|globex|hooli)\\.(example|test|example\\.evil)>?",
        2 => "[ -~]{0,20}",
        1 => ".{0,20}",
    ]
}

proptest! {
    #[test]
    fn whatever_a_page_says_a_customer_is_chosen_only_if_exactly_one_fits_exactly(
        company in prop::option::of(text()), contact in prop::option::of(text()),
        chosen_before in prop::option::of((text(), 0_usize..3)),
    ) {
        let overview = Overview::parse(&known().to_string()).unwrap();
        let ticket = |company: Option<String>| Ticket {
            system: "rt".into(),
            number: "1".into(),
            url: Some("https://desk.example/1".into()),
            customer: company,
            contact: contact.clone(),
            ..Ticket::default()
        };
        let mut memory = Memory::default();
        let before = chosen_before.map(|(text, at)| (text, overview.customers[at].id.clone()));
        if let Some((text, id)) = &before
            && let Some(key) = crate::worker::customers::company_of(&ticket(Some(text.clone())))
        {
            memory.choose_for(overview.technician.clone(), key, id.clone());
        }
        let ticket = ticket(company.clone());
        // Written anew, in other words: what fits is looked for in the texts.
        let fold = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        let wanted = company.as_deref().map(fold).filter(|text| !text.is_empty());
        let fits = |c: &&ticketgate_protocol::api::Customer| {
            let name = wanted.as_ref().is_some_and(|w| fold(&c.name) == *w || c.aliases.iter().any(|a| fold(a) == *w));
            let at = |text: &Option<String>| text.as_ref().is_some_and(|text| {
                let text = text.to_lowercase();
                c.domains.iter().any(|domain| format!("{text} ").replace('>', " ").contains(&format!("@{domain} ")))
            });
            let chosen = before.as_ref().is_some_and(|(text, id)| *id == c.id && wanted.as_ref() == Some(&fold(text)));
            name || at(&company) || at(&contact) || chosen
        };
        let all: Vec<_> = overview.customers.iter().filter(fits).map(|c| &c.id).collect();
        match said(&overview, &memory, &ticket) {
            Said::Named(c) => {
                let named = |c: &ticketgate_protocol::api::Customer| {
                    wanted.as_ref().is_some_and(|w| fold(&c.name) == *w || c.aliases.iter().any(|a| fold(a) == *w))
                };
                prop_assert!(named(c));
                prop_assert_eq!(overview.customers.iter().filter(|c| named(c)).count(), 1);
            }
            Said::Domain(c, _) | Said::Before(c) => prop_assert_eq!(all, vec![&c.id]),
            Said::Several(several) => prop_assert!(several.len() > 1),
            Said::Unknown | Said::Nothing => {}
        }
    }
}
