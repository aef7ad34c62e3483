use proptest::prelude::*;
use serde_json::json;
use ticketgate_recognise::Rules;

use super::*;

fn page(html: &str) -> SavedPage {
    SavedPage::read(html.as_bytes(), PATIENCE).unwrap()
}

/// What one question finds on a page.
fn found(html: &str, question: &serde_json::Value) -> Vec<String> {
    let mut question = question.clone();
    question["q"] = json!(1);
    let questions: Questions = serde_json::from_value(json!({"rules": 7, "ask": [question]})).unwrap();
    let reading = page(html).answers(&questions, "https://desk.example/", PATIENCE).unwrap();
    assert_eq!(reading.unclear, []);
    reading.facts.answers.into_iter().next().map(|answer| answer.found).unwrap_or_default()
}

#[test]
fn a_question_finds_what_the_probe_would() {
    let rows = "<dl><dt>Customer: *<dd>Acme <b>Corp</b> <button>x</button><dt>Other<dd>No</dl>
        <p class=a hidden>hidden</p><p class=a style='Display: none'>none</p><div style='visibility:hidden'><p class=a>
        unseen<p class=a style='visibility:visible'>seen</div><p class='b a'>last<script>no</script><br>line";
    for (question, expected) in [
        (
            json!({"selector": "dt", "label": {"words": ["customer"]}, "value": "+ dd", "drop": "button"}),
            vec!["Acme Corp"],
        ),
        (json!({"selector": ".a", "many": 8}), vec!["seen", "last line"]),
        (
            json!({"selector": ".a", "many": 8, "hidden_too": true}),
            vec!["hidden", "none", "unseen", "seen", "last line"],
        ),
        (json!({"selector": ".a:not(.b)", "holding": "SEE"}), vec!["seen"]),
        (json!({"selector": "p:has(> br)", "read": "own_text"}), vec!["last line"]),
        (json!({"selector": "dd:is(:first-of-type)", "read": "present"}), vec![""]),
        (json!({"selector": "dd ~ dt + dd"}), vec!["No"]),
        (json!({"selector": "dd", "scope": "dl", "many": 2}), vec!["Acme Corp x", "No"]),
        (json!({"selector": "p", "scope": "div"}), vec![]),
        (json!({"selector": "[class~='b']", "read": {"attribute": "class"}}), vec!["b a"]),
    ] {
        assert_eq!(found(rows, &question), expected, "{question}");
    }
}

#[test]
fn controls_say_what_the_page_wrote_into_them_and_passwords_never_do() {
    let form = "<label for=c>Company</label><input id=c value=' Acme '><label>Kind<select><option>A
        <option selected>B  b</select></label><input type=password class=p value=secret><textarea class=t>
long</textarea><input type=hidden class=h value=7><input type=checkbox class=x>";
    for (question, expected) in [
        (
            json!({"selector": "label", "label": {"words": ["company"], "control": true}, "read": "value"}),
            vec!["Acme"],
        ),
        (json!({"selector": "select", "read": "value"}), vec!["B b"]),
        (json!({"selector": ".p", "read": "value"}), vec![]),
        (json!({"selector": ".t", "read": "value"}), vec!["long"]),
        (json!({"selector": ".h", "read": "value"}), vec![]),
        (json!({"selector": ".h", "read": "value", "hidden_too": true}), vec!["7"]),
        (json!({"selector": ".x", "read": "value"}), vec!["on"]),
    ] {
        assert_eq!(found(form, &question), expected, "{question}");
    }
}

#[test]
fn templates_are_no_part_of_the_page_and_open_shadow_roots_are_one_step_away() {
    let html = "<template><p class=a>inert</template><x-card id=one><template shadowrootmode=open><p class=a>in
        shadow<x-inner><template shadowrootmode=open><p class=a>deeper</template></x-inner><slot></slot></template>
        <p class=a>slotted</p></x-card><x-shut><template shadowrootmode=closed><p class=a>closed</template><p class=a>nowhere";
    let ask = |selector: &str| found(html, &json!({"selector": selector, "many": 8}));
    assert_eq!(ask(".a"), ["slotted"]);
    assert_eq!(ask("x-card >>> .a"), ["in shadow", "deeper"]);
    assert_eq!(ask("#one >>> x-inner >>> .a"), ["deeper"]);
    assert_eq!(ask("#one >>> #one .a"), [""; 0]);
    assert_eq!(ask("x-shut >>> .a"), [""; 0]);
}

#[test]
fn every_selector_of_the_built_in_rules_is_understood() {
    let rules = Rules::built_in();
    for (at, question) in rules.all_questions().enumerate() {
        assert_eq!(fault_of(question), None, "question {at}");
    }
}

#[test]
fn what_a_selector_asks_beyond_this_is_refused_by_name() {
    for (selector, part) in [
        ("a:hover", ":hover is not understood"),
        ("a::before", "a name was expected"),
        ("a:nth-child(x)", "2n+1"),
        ("a >", "a selector was expected"),
        ("[a='b]", "not closed"),
        ("", "a selector was expected"),
        (&":not(".repeat(50), "fewer parentheses"),
    ] {
        let fault = Selectors::new(selector).map(|_| ()).expect_err(selector);
        assert!(fault.contains(part), "{selector}: {fault}");
    }
}

#[test]
fn what_only_a_browser_shows_is_counted() {
    let page = page(
        "<link rel='x stylesheet'><style></style><script></script><iframe></iframe><svg><style></style></svg>",
    );
    assert_eq!(page.left_out(), LeftOut { stylesheets: 3, scripts: 1, frames: 1 });
}

/// Pages that somebody wrote to bring a reader down, each read to an end within its patience.
#[test]
fn hostile_pages_are_read_or_refused_in_time() {
    let rules = Rules::built_in();
    let address = "https://desk.example/Ticket/Display.html?id=4711";
    let questions = rules.questions(address).unwrap();
    let nested = |tag: &str, count: usize| format!("<{tag}>").repeat(count);
    let patience = Duration::from_millis(500);
    for (name, html) in [
        ("ten megabytes", format!("<title>x</title>{}", "<p class=a>Lorem ipsum</p>".repeat(400_000))),
        ("a hundred thousand elements", "<i>x</i>".repeat(100_000)),
        ("nested deep", nested("div", 50_000)),
        ("nested as links", nested("a", 20_000)),
        ("nested as formatting", nested("b", 20_000) + &"</p>".repeat(2_000)),
        ("nested tables", nested("table", 20_000)),
        ("a megabyte of title", format!("<title>{}", "#4711: \u{202e}".repeat(100_000))),
        (
            "a hundred thousand attributes",
            format!("<p {}>", (0..100_000).map(|n| format!("a{n}=1 ")).collect::<String>()),
        ),
        ("nothing but brackets", "<".repeat(1 << 20)),
        (
            "prototype names",
            "<form id=__proto__ name=constructor><input name=children id=hasOwnProperty>".repeat(1000),
        ),
        ("control characters", "\0\u{1b}[2J\u{202e}\u{2066}".repeat(10_000)),
    ] {
        let begin = Instant::now();
        if let Ok(page) = SavedPage::read(html.as_bytes(), patience) {
            let _ = page.answers(&questions, address, patience).map(|reading| {
                let text = serde_json::to_string(&reading.facts).unwrap();
                assert_eq!(Facts::from_json(&text), Ok(reading.facts), "{name}");
            });
        }
        let took = begin.elapsed();
        println!("{name}: {took:?}");
        assert!(took < Duration::from_secs(15), "{name} took {took:?}");
    }
}

proptest! {
    #[test]
    fn no_page_can_upset_it(html in "(<(/?[a-z]{1,8}|template shadowrootmode=open|x-a)( [a-z]{1,5}(=('[^']*'|[a-z]*))?)?>|.{0,6}){0,60}") {
        let rules = Rules::built_in();
        let questions = rules.questions("https://desk.example/").unwrap();
        let reading = page(&html).answers(&questions, "https://desk.example/", PATIENCE).unwrap();
        let text = serde_json::to_string(&reading.facts).unwrap();
        prop_assert_eq!(Facts::from_json(&text), Ok(reading.facts));
    }

    #[test]
    fn no_selector_can_upset_it(selector in "[a-z.#:>+~ ,*()='\\[\\]\\\\]{0,30}|:(not|has|is)\\([a-z .>+~]{0,10}\\)") {
        let question = json!({"rules": 1, "ask": [{"q": 1, "selector": selector}]});
        let questions: Questions = serde_json::from_value(question).unwrap();
        let reading = page("<p class=a><b>x</b><i>y").answers(&questions, "https://x.example/", PATIENCE).unwrap();
        prop_assert!(reading.facts.answers.len() + reading.unclear.len() <= 1);
    }
}
