//! The button: a person's click and key count, it can be moved and hidden, it comes back and goes with its extension.

use crate::stage::{Button, HOST, LABEL, Stage, look_at_it, view};
use anyhow::Context;
use serde_json::{Value, json};
use std::time::Duration;
use ticketgate_protocol::page::FromPage;
use ticketgate_tests::Result;
use ticketgate_tests::chromium::Key;
use ticketgate_tests::patience::{LIMIT, until};

#[test]
fn a_knowing_click_passes_the_guard_and_names_the_ticket_of_that_moment() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    stage.show(&view("t-1", LABEL))?;
    let button = Button::find(&page)?;
    look_at_it();
    page.eval("document.title = '#4711: Changed just now'")?;
    page.click_at(button.middle.0, button.middle.1)?;
    stage.worker.until("of('click').length + of('refused_click').length > 0")?;
    let click = stage.latest("click")?;
    assert_eq!(click["token"], "t-1", "{}", stage.latest("refused_click")?);
    assert_eq!(click["facts"]["title"], "#4711: Changed just now");
    assert!(matches!(FromPage::from_json(&click.to_string()), Ok(FromPage::Click { .. })));
    // The page itself sees no more than an empty element.
    assert_eq!(page.eval(&format!("{HOST}.shadowRoot === null && {HOST}.childNodes.length === 0"))?, true);
    Ok(())
}

#[test]
fn a_click_too_soon_or_after_a_change_does_not_count() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    stage.show(&view("t-1", LABEL))?;
    let button = Button::find(&page)?;
    look_at_it();
    stage.show(&view("t-2", LABEL))?;
    page.click_at(button.middle.0, button.middle.1)?;
    stage.worker.until("of('refused_click').length === 1")?;
    assert_eq!(stage.latest("refused_click")?["why"], "too_soon");
    look_at_it();
    page.click_at(button.middle.0, button.middle.1)?;
    stage.worker.until("of('click').length === 1")?;
    assert_eq!(stage.latest("click")?["token"], "t-2");
    Ok(())
}

#[test]
fn the_keyboard_reaches_presses_moves_and_hides_the_button() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    stage.show(&view("t-1", LABEL))?;
    Button::find(&page)?;
    look_at_it();
    let tab_to = |name: &str| -> Result<()> {
        for _ in 0..20 {
            page.press(Key::TAB)?;
            if page.has_keyboard("button", name)? {
                return Ok(());
            }
        }
        anyhow::bail!("the tabulator never reaches {name}")
    };
    tab_to("Move the Ticketgate button")?;
    page.press(Key::UP)?;
    page.press(Key::LEFT)?;
    stage.worker.until("of('placement').length === 1")?;
    assert_eq!(stage.latest("placement")?["placement"], json!({"corner": "bottom_right", "x": 40, "y": 40}));

    tab_to(LABEL)?;
    page.press(Key::ENTER)?;
    stage.worker.until("of('refused_click').length === 1")?;
    assert_eq!(stage.latest("refused_click")?["why"], "too_soon");
    look_at_it();
    page.press(Key::SPACE)?;
    stage.worker.until("of('click').length === 1")?;

    tab_to("Hide the Ticketgate button")?;
    page.press(Key::ENTER)?;
    page.wait_for_control("menuitem", "Hide on this whole site")?;
    page.press(Key::DOWN)?;
    page.press(Key::ENTER)?;
    stage.worker.until("of('hide_button').length === 1")?;
    assert_eq!(stage.latest("hide_button")?["for"], "site");
    assert_eq!(page.control("button", LABEL)?, None);
    Ok(())
}

#[test]
fn the_note_goes_by_escape_and_only_a_refusal_is_spoken() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    page.look("light", 760, 400, 1.0)?;
    stage.show(&view("t-1", LABEL))?;
    let button = Button::find(&page)?;
    let picture = || page.screenshot();
    page.point_at(1.0, 1.0)?;
    std::thread::sleep(Duration::from_millis(300));
    // The note changes pixels above the button and nothing that a screen reader is told: the button's name has it.
    let spoken = || -> Result<String> {
        let status = page.wait_for_control("status", "")?;
        let tree = page.call("Accessibility.getFullAXTree", json!({}))?;
        let nodes = tree["nodes"].as_array().context("no tree")?;
        let of = |node: &&Value| node["backendDOMNodeId"] == status.raw["backendDOMNodeId"];
        let child = nodes.iter().find(of).and_then(|node| node["childIds"][0].as_str());
        let text = child.and_then(|id| nodes.iter().find(|node| node["nodeId"] == id));
        Ok(text.map(|node| node["name"]["value"].as_str().unwrap_or_default().to_owned()).unwrap_or_default())
    };
    let without = picture()?;
    page.point_at(button.middle.0, button.middle.1)?;
    until("the note", LIMIT, || Ok(picture()? != without))?;
    assert_eq!(spoken()?, "");
    std::thread::sleep(Duration::from_millis(300));
    let with_note = picture()?;
    page.press(Key::ESCAPE)?;
    until("the note to go", LIMIT, || Ok(picture()? != with_note))?;
    // A refused click is spoken, and Escape takes the hint away, too.
    stage.show(&view("t-2", LABEL))?;
    page.click_at(button.middle.0, button.middle.1)?;
    stage.worker.until("of('refused_click').length === 1")?;
    until("the hint to be spoken", LIMIT, || Ok(spoken()?.starts_with("The button has only just appeared")))?;
    page.press(Key::ESCAPE)?;
    until("the hint to go", LIMIT, || Ok(spoken()?.is_empty()))
}

#[test]
fn a_drag_moves_the_button_and_is_no_click() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    stage.show(&view("t-1", LABEL))?;
    let button = Button::find(&page)?;
    look_at_it();
    let (x, y) = button.middle;
    let mouse = |kind: &str, x: f64, y: f64| {
        let event = json!({"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1});
        page.call("Input.dispatchMouseEvent", event)
    };
    mouse("mousePressed", x, y)?;
    for step in 1..=10 {
        mouse("mouseMoved", x - f64::from(step) * 20.0, y - f64::from(step) * 10.0)?;
    }
    mouse("mouseReleased", x - 200.0, y - 100.0)?;
    stage.worker.until("of('placement').length === 1")?;
    assert_eq!(
        stage.latest("placement")?["placement"],
        json!({"corner": "bottom_right", "x": 224, "y": 124})
    );
    assert_eq!(stage.count("click")? + stage.count("refused_click")?, 0);
    // Where it is now it works as before.
    look_at_it();
    page.click_at(x - 200.0, y - 100.0)?;
    stage.worker.until("of('click').length === 1")
}

#[test]
fn a_removed_button_comes_back_but_the_page_is_not_fought_for_ever() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    page.eval("globalThis.count = 0; new MutationObserver(records => records.forEach(r => count += r.addedNodes.length)).observe(document.documentElement, {childList: true})")?;
    stage.show(&view("t-1", LABEL))?;
    Button::find(&page)?;
    page.eval(&format!("{HOST}.remove()"))?;
    page.until("count === 2")?;
    Button::find(&page)?;
    page.eval(&format!("globalThis.war = setInterval(() => {{ const h = {HOST}; if (h.localName === 'div') h.remove(); }}, 5); void 0"))?;
    std::thread::sleep(Duration::from_secs(5));
    let times = page.eval("count")?.as_u64().unwrap_or_default();
    assert!((3..=10).contains(&times), "put back {times} times in 5 s");
    Ok(())
}

#[test]
fn hide_takes_the_button_away_and_show_brings_it_back() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    stage.show(&view("t-1", LABEL))?;
    Button::find(&page)?;
    stage.worker.eval("push({hide: true})")?;
    until("the button to go", LIMIT, || Ok(page.control("button", LABEL)?.is_none()))?;
    stage.show(&view("t-2", LABEL))?;
    Button::find(&page)?;
    let facts = stage.worker.eval("push({read: true})")?;
    assert!(
        ticketgate_protocol::page::Facts::from_json(&facts.to_string())
            .is_ok_and(|facts| facts.title.starts_with("#4711"))
    );
    Ok(())
}

#[test]
fn a_page_without_a_button_has_none_of_its_script() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    let script = || page.eval_in_content_script(stage.browser.extension_id(), "typeof ticketgateButton");
    stage.worker.eval("push({hide: true})")?;
    assert_eq!(script()?, "undefined");
    stage.show(&view("t-1", LABEL))?;
    Button::find(&page)?;
    assert_eq!(script()?, "function");
    Ok(())
}

#[test]
fn a_button_whose_script_comes_late_shows_what_was_said_last() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    let tell = |message: Value| stage.worker.eval(&format!("tell({message})"));
    assert_eq!(tell(json!({"show": view("t-1", LABEL)}))?, json!({"missing": "chip"}));
    tell(json!({"hide": true}))?;
    stage.worker.eval("putIn('chip.js')")?;
    assert_eq!(page.eval("document.documentElement.childElementCount")?, 2, "it was taken back meanwhile");
    stage.worker.eval("putIn('probe.js')")?;
    stage.worker.until("of('report').length === 2")?;
    tell(json!({"show": view("t-2", "Activate · Somebody else")}))?;
    tell(json!({"show": view("t-3", LABEL)}))?;
    for _ in 0..2 {
        stage.worker.eval("putIn('chip.js')")?;
    }
    let button = Button::find(&page)?;
    assert_eq!(
        page.eval("document.documentElement.childElementCount")?,
        3,
        "a script that came twice shows one"
    );
    look_at_it();
    page.click_at(button.middle.0, button.middle.1)?;
    stage.worker.until("of('click').length === 1")?;
    assert_eq!(stage.latest("click")?["token"], "t-3");
    Ok(())
}

#[test]
fn scripts_put_in_a_second_time_replace_the_first() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    stage.show(&view("t-1", LABEL))?;
    Button::find(&page)?;
    stage.worker.eval("putIn('probe.js')")?;
    stage.worker.until("of('arrived').length === 2")?;
    stage.worker.until("of('report').length === 2")?;
    assert_eq!(page.control("button", LABEL)?, None, "the first one's button went with it");
    stage.show(&view("t-2", LABEL))?;
    let button = Button::find(&page)?;
    assert_eq!(page.eval("document.documentElement.childElementCount")?, 3);
    look_at_it();
    page.click_at(button.middle.0, button.middle.1)?;
    stage.worker.until("of('click').length === 1")?;
    Ok(())
}

#[test]
fn scripts_whose_extension_is_gone_leave_without_a_trace() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    stage.show(&view("t-1", LABEL))?;
    Button::find(&page)?;
    let _ = stage.worker.eval("chrome.runtime.reload()");
    until("the button to go", LIMIT, || Ok(page.eval("document.documentElement.childElementCount")? == 2))
}

/// Pictures of the button for people to look at, in `target/pictures/`.
#[test]
fn the_button_looks_right() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    let folder = ticketgate_tests::world::target().join("pictures/chip");
    for scheme in ["light", "dark"] {
        page.look(scheme, 760, 240, 2.0)?;
        for (state, label) in [
            ("ready", LABEL),
            ("working", "Activating · Acme Corp · Domain Admin 1 h"),
            ("active", "Domain Admin · Acme Corp · 59 min left"),
            ("attention", "Could not activate · Acme Corp · the directory does not answer"),
        ] {
            let mut view = view(&format!("{scheme}-{state}"), label);
            view["state"] = state.into();
            stage.show(&view)?;
            let node = page.wait_for_control("button", label)?;
            page.point_at(1.0, 1.0)?;
            std::thread::sleep(Duration::from_millis(300));
            page.screenshot_to(&folder.join(format!("{scheme}-{state}.png")))?;
            if state == "ready" {
                let (x, y) = page.middle(&node)?;
                page.point_at(x, y)?;
                std::thread::sleep(Duration::from_millis(300));
                page.screenshot_to(&folder.join(format!("{scheme}-hover.png")))?;
                page.click_at(x, y)?;
                std::thread::sleep(Duration::from_millis(200));
                page.screenshot_to(&folder.join(format!("{scheme}-clicked.png")))?;
                page.click("button", "Hide the Ticketgate button")?;
                page.wait_for_control("menuitem", "Hide for this ticket")?;
                page.screenshot_to(&folder.join(format!("{scheme}-menu.png")))?;
                page.press(Key::ESCAPE)?;
            }
        }
        let long = "Activate · Müller & Söhne Maschinenbau GmbH & Co. KG (Niederlassung Süd) · Exchange and File Server Administrator 4 h";
        stage.show(&view(&format!("{scheme}-long"), long))?;
        page.wait_for_control("button", long)?;
        page.look(scheme, 360, 240, 2.0)?;
        std::thread::sleep(Duration::from_millis(300));
        page.screenshot_to(&folder.join(format!("{scheme}-narrow.png")))?;
    }
    Ok(())
}
