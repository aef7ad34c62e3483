//! Patterns beside `regex-lite`: the same matches, the same groups.

use proptest::prelude::*;
use regex_lite::{Regex, RegexBuilder};

use super::*;

fn groups(pattern: &str, text: &str, how: How<'_>) -> Option<Vec<Option<String>>> {
    let pattern = Pattern::new(pattern);
    assert_eq!(pattern.fault(), None);
    let found = find(&pattern, text, how)?;
    let count = pattern.program().map_or(0, |program| program.groups);
    Some((0..count).map(|group| found.get(group).map(str::to_owned)).collect())
}

fn of_regex_lite(pattern: &str, text: &str, how: How<'_>) -> Option<Vec<Option<String>>> {
    let pattern = pattern.replace("{number}", &regex_lite::escape(how.number.unwrap_or_default()));
    let pattern = if how.whole { format!("^(?:{pattern})$") } else { pattern };
    let regex: Regex = RegexBuilder::new(&pattern).case_insensitive(how.any_case).build().unwrap();
    let found = regex.captures(text)?;
    Some(found.iter().map(|group| group.map(|group| group.as_str().to_owned())).collect())
}

#[test]
fn every_part_of_the_language_means_what_it_usually_means() {
    let plain = How::default();
    for (pattern, text) in [
        ("b", "abc"),
        ("", "abc"),
        ("a|ab", "ab"),
        ("(a|ab)(c|bcd)?", "abcd"),
        ("a.c", "a\nc a-c"),
        ("(?s)a.c", "a\nc"),
        ("^b|c$", "abc"),
        ("a+?b*", "aabb"),
        ("(a+)(a*)", "aaa"),
        ("(a+?)(a*)", "aaa"),
        ("(?:ab){2,3}", "abababab"),
        ("(?:ab){2}?", "ababab"),
        ("a{2,}", "aaaa"),
        ("[^a-c]+", "abcdef"),
        ("[-x]+", "a-x-"),
        ("[a\\]\\-]+", "x]-a"),
        ("[\\d_]+", "a1_2b"),
        ("\\w+\\W\\s*\\S\\D", "foo-  xy"),
        ("\\bfoo\\b", "afoo foo"),
        ("\\Boo", "oo foo"),
        ("(?i)straße", "STRAßE"),
        ("[–—]\\s", "a — b"),
        ("(?:x(a)|y(b))+", "xayb"),
        ("é{2}", "éé"),
    ] {
        assert_eq!(
            groups(pattern, text, plain),
            of_regex_lite(pattern, text, plain),
            "{pattern} on {text:?}"
        );
    }
}

#[test]
fn what_is_no_pattern_of_rules_is_refused() {
    for pattern in [
        "(",
        ")",
        "a)",
        "(?P<x>a)",
        "(?<X>a)",
        "(?<a>x)(?<a>y)",
        "(?=a)",
        "(?x)a",
        "a(?i)b",
        "[",
        "[]",
        "[a",
        "[b-a]",
        "[[:alpha:]]",
        "*",
        "+a",
        "a**",
        "a{",
        "a{2",
        "a{x}",
        "a{3,2}",
        "a{1001}",
        "\\",
        "\\p{L}",
        "\\x41",
        "(a*)*",
        "(?:a|)+",
        "(?:^)*",
        "(a?){2}",
    ] {
        assert!(Pattern::new(pattern).fault().is_some(), "{pattern}");
        assert!(find(&Pattern::new(pattern), "a", How::default()).is_none(), "{pattern}");
    }
    assert!(Pattern::new(&"(".repeat(1000)).fault().is_some());
    assert!(Pattern::new("(?:a{1000}){1000}").fault().is_some());
}

#[test]
fn a_number_is_a_text_and_no_pattern() {
    let with = |number| How { number: Some(number), ..How::default() };
    assert_eq!(
        groups("^#{number}: (.+)$", "#4711: Outlook", with("4711")).unwrap()[1].as_deref(),
        Some("Outlook")
    );
    assert_eq!(groups("^#{number}: (.+)$", "#4711: Outlook", with(".*")), None);
    assert_eq!(groups("#{number}", "#4711", How::default()), None);
    assert_eq!(groups("{number}{2}", "4747", with("47")).unwrap()[0].as_deref(), Some("4747"));
}

#[test]
fn a_text_made_to_be_slow_is_not() {
    let text = "a".repeat(20_000);
    let pattern = Pattern::new("(?:a|aa)+(?:a+a+)+b");
    let begin = std::time::Instant::now();
    assert!(find(&pattern, &text, How::default()).is_none());
    assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
}

/// Patterns of the language, in which whatever is repeated is something.
fn pattern() -> impl Strategy<Value = String> {
    let one = prop_oneof![
        "[a-cA-C]",
        "\\.",
        Just("\\d".into()),
        Just("[^ab]".into()),
        Just("[a-b1]".into()),
        Just("\\s".into())
    ];
    let leaf = prop_oneof![8 => one, 1 => Just("{number}".to_owned())];
    let any = leaf.prop_recursive(4, 24, 4, |inner| {
        let times =
            prop_oneof![Just(""), Just("*"), Just("+"), Just("?"), Just("{2}"), Just("{1,3}"), Just("{2,}")];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            proptest::collection::vec(inner.clone(), 1..4)
                .prop_map(|parts| format!("(?:{})", parts.join("|"))),
            inner.clone().prop_map(|part| format!("({part})")),
            (inner, times, any::<bool>()).prop_map(|(part, times, lazy)| {
                format!("(?:x{part}){times}{}", if lazy && !times.is_empty() { "?" } else { "" })
            }),
        ]
    });
    (
        prop_oneof![4 => Just(""), 1 => Just("^"), 1 => Just("\\b")],
        any,
        prop_oneof![4 => Just(""), 1 => Just("$"), 1 => Just("\\b")],
    )
        .prop_map(|(before, any, after)| format!("{before}{any}{after}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn matches_and_groups_are_those_of_regex_lite(
        pattern in pattern(), text in "[a-cA-Cx1. é]{0,24}", whole in any::<bool>(), any_case in any::<bool>(), number in "[a1.]{1,2}",
    ) {
        let how = How { whole, any_case, number: Some(&number) };
        prop_assert_eq!(groups(&pattern, &text, how), of_regex_lite(&pattern, &text, how), "{} on {:?}", pattern, text);
    }

    #[test]
    fn whatever_is_given_as_a_pattern_is_compiled_or_refused(pattern in r"[ab(){}\[\]|*+?^$\\.:<>,0-9-]{0,30}", text in "[ab0-9:]{0,12}") {
        let _ = find(&Pattern::new(&pattern), &text, How::default());
    }
}
