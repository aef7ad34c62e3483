use super::*;

const TICKET: &str =
    "<title>#4711: Outlook \u{202e}crashes</title><style></style><body id=comp-Ticket-Display>
    <div id=header><h1>#4711: Outlook \u{1b}[2J crashes</h1></div><iframe></iframe>";
const ADDRESS: &str = "https://desk.example/Ticket/Display.html?id=4711";

/// What is printed, and whether it ended well.
fn said(html: &str, url: &str, system: Option<&str>, json: bool) -> (String, bool) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), html).unwrap();
    let (page, url, system) = (file.path().to_path_buf(), url.to_owned(), system.map(str::to_owned));
    let mut out = Vec::new();
    let code = run(&mut out, json, &RulesTest { page, url, rules: None, system }).unwrap();
    (String::from_utf8(out).unwrap(), format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS))
}

#[test]
fn every_step_to_a_ticket_is_told_and_nothing_of_the_page_reaches_the_terminal_raw() {
    let (text, recognised) = said(TICKET, ADDRESS, None, false);
    assert!(recognised, "{text}");
    for part in [
        "1 stylesheets are not applied",
        "1 frames are not followed",
        "no form of address fits; --system glpi says what failed",
        "Request Tracker (request-tracker): applies, on any host",
        "address 1 fits",
        "id = “4711”",
        "elsewhere body[id^='comp-'] #header h1 holds",
        "“#4711: Outlook [2J crashes” gives “4711”",
        "one before it counts",
        "contact: nothing",
        "Does not apply, hosts does not have this one",
        "summary   Outlook [2J crashes   (sure)",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert!(!text.chars().any(|c| c != '\n' && text::is_forbidden(c)), "{text:?}");
}

#[test]
fn what_failed_is_told_and_ends_with_a_failure() {
    for (url, html, part) in [
        (
            "https://desk.example/Ticket/Create.html?id=4711",
            TICKET,
            "the path /Ticket/Create.html is another",
        ),
        ("https://desk.example/Ticket/Display.html?id=new", TICKET, "the parameter id is another: new"),
        ("https://desk.example/Ticket/Display.html", TICKET, "the parameter id is not there"),
        (ADDRESS, "<h1>#4711: x", "elsewhere: body[id^='comp-'] #header h1 does not hold"),
    ] {
        let (text, recognised) = said(html, url, Some("request-tracker"), false);
        assert!(!recognised && text.contains(part), "{part} is missing:\n{text}");
        assert!(text.ends_with("This page was not recognised.\n"), "{text}");
    }
}

#[test]
fn programs_get_the_same_as_json() {
    let (text, recognised) = said(TICKET, ADDRESS, Some("request-tracker"), true);
    let told: Value = serde_json::from_str(&text).unwrap();
    assert!(recognised);
    assert_eq!(told["recognised"]["ticket"]["number"], "4711");
    assert_eq!(told["recognised"]["certainty"]["summary"], "sure");
    let number = &told["rules"][0]["tried"]["fields"][0];
    assert_eq!((&number["field"], &number["value"]), (&json!("number"), &json!("4711")));
    assert_eq!(number["candidates"][0]["taken"], true);
    assert_eq!(number["candidates"][0]["found"][0]["gives"], "4711");
    let (text, recognised) = said("<p>", ADDRESS, Some("request-tracker"), true);
    assert!(!recognised && serde_json::from_str::<Value>(&text).unwrap()["recognised"].is_null());
}
