use proptest::prelude::*;

use super::*;

fn ticket(summary: Option<&str>, customer: Option<&str>, contact: Option<&str>) -> Ticket {
    let own = |text: Option<&str>| text.map(str::to_owned);
    Ticket {
        number: "4711".into(),
        summary: own(summary),
        customer: own(customer),
        contact: own(contact),
        ..Ticket::default()
    }
}

#[test]
fn the_default_template_says_number_summary_customer_and_contact() {
    let whole = ticket(Some("Outlook crashes on start"), Some("Acme Corp"), Some("reception"));
    assert_eq!(
        Template::default().reason(&whole).as_deref(),
        Some("#4711 Outlook crashes on start (Acme Corp, reception)")
    );
    assert_eq!("#{number} {summary} ({customer}, {contact})".parse(), Ok(Template::default()));
}

#[test]
fn missing_parts_vanish_with_their_punctuation() {
    for (template, ticket, expected) in [
        ("#{number} {summary} ({customer}, {contact})", ticket(Some("A"), None, Some("c")), "#4711 A (c)"),
        ("#{number} {summary} ({customer}, {contact})", ticket(Some("A"), Some("b"), None), "#4711 A (b)"),
        ("#{number} {summary} ({customer}, {contact})", ticket(None, None, None), "#4711"),
        ("#{number} {summary} ({customer}, {contact})", ticket(None, Some("b"), None), "#4711 (b)"),
        ("{customer}: {summary} [#{number}]", ticket(Some("A"), None, None), "A [#4711]"),
        ("#{number} - {summary} - {customer}", ticket(None, Some("b"), None), "#4711 - b"),
        ("{customer} · {summary} · {contact}", ticket(Some("A"), None, None), "A"),
        ("Ticket {number}: {summary}", ticket(None, None, None), "Ticket 4711"),
        ("{system}/{number} for {contact}", ticket(None, None, None), "/4711 for"),
    ] {
        let template: Template = template.parse().unwrap();
        assert_eq!(template.reason(&ticket).as_deref(), Some(expected), "{template:?}");
    }
}

#[test]
fn a_ticket_that_says_nothing_gives_no_reason() {
    let template: Template = "for {customer}".parse().unwrap();
    assert_eq!(template.reason(&ticket(Some("A"), None, None)), None);
    assert_eq!(Template::default().reason(&Ticket::default()), None);
}

#[test]
fn a_value_with_braces_is_not_filled_in_again() {
    let trick = ticket(Some("{customer} ({contact})"), Some("Acme"), None);
    assert_eq!(Template::default().reason(&trick).as_deref(), Some("#4711 {customer} ({contact}) (Acme)"));
}

#[test]
fn bad_templates_are_refused_with_what_to_change() {
    for (template, expected) in [
        ("", BadTemplate::Text(text::BadText::Empty)),
        ("a\nb", BadTemplate::Text(text::BadText::Control)),
        ("{nr}", BadTemplate::UnknownPart("nr".into())),
        ("{number", BadTemplate::Unbalanced),
        ("number}", BadTemplate::Unbalanced),
        ("({number}", BadTemplate::Unbalanced),
        ("({number} ({customer}))", BadTemplate::Unbalanced),
        ("work", BadTemplate::NoPart),
    ] {
        assert_eq!(template.parse::<Template>(), Err(expected), "{template:?}");
    }
}

#[test]
fn a_long_reason_loses_the_end_of_its_longest_part_at_a_word() {
    let template: Template = "#{number} {summary} {summary} ({customer}, {contact})".parse().unwrap();
    let long = "printer jams again ".repeat(20);
    let reason = template.reason(&ticket(Some(&long), Some("Acme Corp"), Some("reception"))).unwrap();
    assert!(reason.chars().count() <= REASON_MAX, "{reason}");
    assert!(reason.ends_with(" (Acme Corp, reception)"), "{reason}");
    let before = reason.split('…').next().unwrap();
    assert!(["printer", "jams", "again"].iter().any(|word| before.ends_with(word)), "{reason}");
}

#[test]
fn shortening_keeps_accents_joined_emoji_and_flags_whole() {
    for (text, max, expected) in [
        ("aaaae\u{301}bbb", 6, "aaaa…"),
        ("aaaa\u{1f469}\u{200d}\u{1f4bb}bbb", 6, "aaaa…"),
        ("aaaa\u{1f1e9}\u{1f1ea}bbb", 6, "aaaa…"),
        ("one two three four", 14, "one two three…"),
        ("one two three four", 13, "one two…"),
        ("short", 5, "short"),
    ] {
        assert_eq!(shorten(text, max), expected, "{text:?} {max}");
    }
}

proptest! {
    #[test]
    fn whatever_the_page_says_the_reason_is_a_line_or_none(
        number in any::<String>(),
        summary in proptest::option::of("(?s).{0,700}"),
        customer in proptest::option::of(any::<String>()),
        contact in proptest::option::of("[ -~\u{200d}\u{301}\u{202e}]{0,400}"),
        template in prop_oneof![
            Just("#{number} {summary} ({customer}, {contact})"),
            Just("{customer}: {summary}{summary} - {summary} [{number}]"),
            Just("{contact}"),
        ],
    ) {
        let ticket = Ticket { number, summary, customer, contact, ..Ticket::default() };
        let template: Template = template.parse().unwrap();
        if let Some(reason) = template.reason(&ticket) {
            prop_assert_eq!(text::line(&reason, REASON_MAX), Ok(reason.clone()));
        }
    }

    #[test]
    fn no_template_can_upset_it(template in "[a-z{}()\\[\\], #·-]{0,60}") {
        if let Ok(template) = template.parse::<Template>() {
            let _ = template.reason(&ticket(Some("A"), None, Some("c")));
        }
    }
}
