//! A page that lures a click: it shows something else where our button is, or nothing, or brings the button under the
//! pointer or the keyboard at the last moment. In every such page a plain click counts first, so that what stops the lured
//! one is the guard and not the harness; and what a person would have seen is compared as pictures.

use crate::stage::{Button, HOST, LABEL, Stage, fixture_page, look_at_it, view};
use anyhow::{Context, bail};
use serde_json::json;
use std::time::{Duration, Instant};
use ticketgate_tests::Result;
use ticketgate_tests::chromium::{Key, Page, Target};
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::site::Served;

/// What becomes of a trick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Becomes {
    /// The click does not count.
    Refused,
    /// It does not reach the button, which stays in full view: a click on it is a knowing one.
    NoTrick,
}
use Becomes::{NoTrick, Refused};

/// A name, what becomes of it, and the page's script.
type Trick = (&'static str, Becomes, String);

/// The token of a button that a page plays a trick on.
const LURED: &str = "lured";

/// A box of the page's over everything, in the top layer above our button. `more` are further styles.
fn cover(more: &str) -> String {
    format!(
        "{{ const c = document.createElement('div'); c.setAttribute('popover', 'manual'); document.body.append(c); c.showPopover();
            c.style.cssText = 'position:fixed;inset:0;width:100vw;height:100vh;margin:0;border:0;padding:0;{more}'; }}"
    )
}

/// A style of the root element, which holds the page and our button.
fn on_html(style: &str) -> String {
    format!("document.documentElement.style.cssText += ';{style}';")
}

/// Our button outside of the top layer, again and again.
fn not_on_top() -> String {
    format!("setInterval(() => {{ const h = {HOST}; if (h.matches(':popover-open')) h.hidePopover(); }}, 5);")
}

/// Our button inside a box of the page's, again and again.
fn inside(style: &str) -> String {
    format!(
        "{{ const b = document.createElement('div'); b.style.cssText = '{style}'; document.body.append(b); const h = {HOST};
            setInterval(() => {{ if (h.parentNode !== b) b.append(h); }}, 5); }}"
    )
}

/// A style of the button's own host, as strong as a page can make it.
fn on_host(style: &str) -> String {
    format!("{HOST}.setAttribute('style', '{style}');")
}

/// Plays each trick in a page of its own.
fn play(tricks: &[Trick]) -> Result<()> {
    let stage = Stage::new()?;
    // Styles are allowed here: a page that attacks sets its own policy.
    let url = stage.site.page("/Ticket/Display.html", Served::html(fixture_page("request-tracker-5.html")?));
    for (number, (name, becomes, script)) in tricks.iter().enumerate() {
        let page = stage.browser.page(&format!("{url}?id=4711&trick={number}"))?;
        page.to_front()?;
        stage.worker.until(&format!("of('report').some(one => one.from.url.endsWith('trick={number}'))"))?;
        let counted = |token: &str| {
            stage.worker.eval(&format!("of('click').filter(one => one.message.token === '{token}').length"))
        };

        // The button's token before and after the page began to play its trick, another in each page.
        let (plain, lured) = (format!("plain-{number}"), format!("lured-{number}"));
        stage.show(&view(&plain, LABEL))?;
        let button = Button::find(&page)?;
        let counts = until("a plain click to count", LIMIT, || {
            page.click_at(button.middle.0, button.middle.1)?;
            stage.barrier(&page)?;
            Ok(counted(&plain)? == 1)
        });
        counts.with_context(|| format!("{name}: {:?}", stage.latest("refused_click")))?;

        stage.show(&view(&lured, LABEL))?;
        let before = button.picture(&page)?;
        page.eval_with_gesture(&format!("(() => {{ {script} }})()"))?;
        look_at_it();
        let during = button.picture(&page)?;
        page.click_at(button.middle.0, button.middle.1)?;
        stage.barrier(&page)?;
        let got_through = counted(&lured)? == 1;
        // What a person sees decides, whatever the page tried.
        assert!(!got_through || before == during, "{name}: a click on a button that was not in view counted");
        assert_eq!(got_through, *becomes == NoTrick, "{name}; {}", stage.latest("refused_click")?);
        page.close()?;
    }
    Ok(())
}

#[test]
fn no_click_is_lured_by_opacity() -> Result<()> {
    let clear = "opacity:.01!important";
    play(&[
        ("opacity on the root", NoTrick, on_html(clear)),
        ("opacity on the host", NoTrick, on_host(clear)),
        ("opacity by a transition", NoTrick, "document.head.append(Object.assign(document.createElement('style'), { textContent: '* { transition: opacity 1s; opacity: 0 !important }' }));".to_owned()),
        ("opacity by an animation", NoTrick, format!("{HOST}.animate([{{opacity: .01}}, {{opacity: .01}}], {{duration: 1e6, iterations: Infinity}});")),
        ("opacity on the root, the button outside of the top layer", Refused, not_on_top() + &on_html(clear)),
        ("opacity on a box that the button was moved into", Refused, inside("opacity:.01;position:fixed;inset:0")),
    ])
}

#[test]
fn no_click_is_lured_by_a_cover() -> Result<()> {
    let through = "pointer-events:none";
    play(&[
        ("a cover below the top layer", NoTrick, "{ const c = document.createElement('div'); c.style.cssText = 'position:fixed;inset:0;z-index:2147483647;background:white;pointer-events:none'; document.body.append(c); }".to_owned()),
        ("an opaque cover that lets the pointer through", Refused, cover(&format!("background:white;{through}"))),
        ("a cover of almost nothing", Refused, cover(&format!("background:white;opacity:.01;{through}"))),
        ("a cover of one corner", Refused, cover(&format!("background:white;inset:auto 20px 20px auto;width:70px;height:70px;{through}"))),
        ("a cover that paints nothing and takes the pointer", Refused, cover("background:transparent;opacity:0")),
        ("a frame as a cover", Refused, format!("{} document.body.lastElementChild.innerHTML = '<iframe srcdoc=Win style=\"width:100%;height:100%;background:white\"></iframe>';", cover(&format!("background:white;{through}")))),
        ("a cover that flickers", Refused, format!("{} {{ const c = document.body.lastElementChild; setInterval(() => {{ c.style.visibility = c.style.visibility ? '' : 'hidden'; }}, 40); }}", cover(&format!("background:white;{through}")))),
    ])
}

#[test]
fn no_click_is_lured_by_what_stands_in_the_top_layer() -> Result<()> {
    play(&[
        ("a dialog that nobody sees", Refused, "{ const d = document.createElement('dialog'); d.style.cssText = 'opacity:0;width:1px;height:1px;border:0;padding:0'; document.body.append(d); d.showModal(); }".to_owned()),
        ("a dialog over everything", Refused, "{ const d = document.createElement('dialog'); d.textContent = 'You have won'; d.style.cssText = 'position:fixed;inset:0;width:100vw;height:100vh;max-width:none;max-height:none;pointer-events:none'; document.body.append(d); d.showModal(); }".to_owned()),
        ("only a pop-over's backdrop", Refused, format!("document.head.append(Object.assign(document.createElement('style'), {{ textContent: '::backdrop {{ background: white !important; opacity: 1 !important }}' }})); {}", cover("inset:auto;width:1px;height:1px;pointer-events:none"))),
        ("an element in full screen", Refused, "{ const f = document.createElement('div'); f.style.background = 'white'; document.body.append(f); return f.requestFullscreen(); }".to_owned()),
        ("everything else inert", Refused, format!("{HOST}.hidden = true; document.documentElement.inert = true;")),
        ("clicks made by script on a button that is covered", Refused, format!("{{ const h = {HOST}; {} h.click(); h.dispatchEvent(new MouseEvent('click', {{ bubbles: true, composed: true, clientX: 1, clientY: 1 }})); }}", cover(""))),
    ])
}

#[test]
fn no_click_is_lured_by_filters_masks_and_clipping() -> Result<()> {
    let mask = "mask-image:linear-gradient(transparent,transparent)!important";
    play(&[
        ("a filter on the root", NoTrick, on_html("filter:opacity(1%)!important")),
        (
            "every style on the host",
            NoTrick,
            on_host(&format!(
                "opacity:.01!important;filter:opacity(1%)!important;transform:scale(.1)!important;{mask};clip-path:inset(50%)!important;display:none!important;inset:0 0 auto auto!important"
            )),
        ),
        ("a filter in a cover", Refused, cover("backdrop-filter:blur(40px);pointer-events:none")),
        ("a mask, the button outside of the top layer", Refused, not_on_top() + &on_html(mask)),
        (
            "a mask, the button no pop-over",
            Refused,
            format!("setInterval(() => {HOST}.removeAttribute('popover'), 5); {}", on_html(mask)),
        ),
        ("a masked box", Refused, inside(&format!("{mask};position:fixed;inset:0"))),
        ("a box that clips", Refused, inside("position:fixed;inset:0;clip-path:inset(0 60px 0 0)")),
        (
            "a box that overflows",
            Refused,
            inside("position:fixed;right:0;bottom:0;width:40px;height:40px;overflow:hidden;contain:paint"),
        ),
    ])
}

#[test]
fn no_click_is_lured_by_transforms() -> Result<()> {
    play(&[
        ("a scaled root", Refused, not_on_top() + &on_html("transform:scale(.9)!important")),
        ("a turned box", Refused, inside("position:fixed;inset:0;transform:rotate(8deg)")),
        (
            "a box that is moved about",
            Refused,
            format!(
                "{} {{ const b = document.body.lastElementChild; let n = 0; setInterval(() => {{ b.style.translate = (n++ % 7) + 'px'; }}, 16); }}",
                inside("position:fixed;inset:0;transform:translate(0)")
            ),
        ),
        ("a page that is too small to read", Refused, on_html("zoom:.05!important")),
    ])
}

/// A view transition that does not end by itself; `more` are further styles.
fn transition(more: &str) -> String {
    let still = "::view-transition{pointer-events:none} ::view-transition-group(*),::view-transition-old(*),::view-transition-new(*){animation-duration:1e6s!important}";
    format!(
        "document.head.append(Object.assign(document.createElement('style'), {{ textContent: '{still} {more}' }})); document.startViewTransition(() => {{}});"
    )
}

#[test]
fn no_click_is_lured_by_a_view_transition() -> Result<()> {
    let blank = "::view-transition{background:white}";
    play(&[
        ("a picture of the page from before", Refused, transition("::view-transition-new(root){opacity:0}")),
        (
            "a transition that shows nothing",
            Refused,
            transition(&format!("{blank} ::view-transition-group(root){{opacity:0}}")),
        ),
        (
            "a transition of something else, over everything",
            Refused,
            transition(&format!(
                "{blank} html{{view-transition-name:none!important}} body{{view-transition-name:other}}"
            )),
        ),
    ])
}

/// A ticket page in a window that another page opened, and can move.
struct Opened {
    stage: Stage,
    opener: Page,
    page: Page,
    middle: (f64, f64),
}

impl Opened {
    fn new() -> Result<Self> {
        let stage = Stage::new()?;
        let opener = stage.strict_ticket()?;
        opener.eval_with_gesture(
            "globalThis.w = open(`${location.href}&opened`, '_blank', 'popup,left=120,top=100,width=620,height=400'); void 0",
        )?;
        let is_opened = |target: &Target| target.kind == "page" && target.url.ends_with("&opened");
        let page = stage.browser.attach("the opened window", is_opened)?;
        stage.worker.until("latest('report').from.url.endsWith('&opened')")?;
        page.to_front()?;
        // This browser's windows begin as large as its screen, where none can be moved.
        let window = page.call("Browser.getWindowForTarget", json!({}))?["windowId"].clone();
        for bounds in
            [json!({"windowState": "normal"}), json!({"left": 100, "top": 100, "width": 620, "height": 400})]
        {
            page.call("Browser.setWindowBounds", json!({"windowId": window, "bounds": bounds}))?;
        }
        stage.show(&view(LURED, LABEL))?;
        let middle = Button::find(&page)?.middle;
        Ok(Self { stage, opener, page, middle })
    }

    fn slides(&self) -> Result<()> {
        let place = self.page.eval("[screenX, screenY]")?;
        self.opener.eval("w.moveBy(0, -20)")?;
        until("the window to move", LIMIT, || Ok(self.page.eval("[screenX, screenY]")? != place))
    }
}

#[test]
fn a_window_that_slides_under_the_pointer_brings_no_click_that_counts() -> Result<()> {
    let opened = Opened::new()?;
    let (x, y) = opened.middle;
    opened.page.point_at(x, y)?;
    look_at_it();
    opened.slides()?;
    opened.page.click_at(x, y)?;
    opened.stage.barrier(&opened.page)?;
    let why = opened.stage.latest("refused_click")?["why"].clone();
    assert_eq!((opened.stage.count("click")?, why), (0, json!("too_soon")));
    Ok(())
}

#[test]
fn in_a_window_that_was_moved_before_the_pointer_came_a_plain_click_counts() -> Result<()> {
    let opened = Opened::new()?;
    let (x, y) = opened.middle;
    opened.slides()?;
    opened.page.point_at(x, y)?;
    look_at_it();
    opened.page.click_at(x, y)?;
    opened.stage.barrier(&opened.page)?;
    assert_eq!(opened.stage.count("click")?, 1, "{}", opened.stage.latest("refused_click")?);
    Ok(())
}

/// Plays something that the guard stops only while it is quicker than the guard's wait, again until it was: a busy machine
/// shows nothing by being slow. `play` answers when its hurry began, and what it has left to be looked at.
fn in_a_hurry<T>(play: impl Fn() -> Result<(Instant, T)>) -> Result<T> {
    for _ in 0..5 {
        let (begun, left) = play()?;
        if begun.elapsed() < Duration::from_millis(500) {
            return Ok(left);
        }
    }
    bail!("the machine was too slow for this test five times")
}

#[test]
fn an_overlay_that_is_gone_at_the_click_does_not_help() -> Result<()> {
    let (stage, page) = in_a_hurry(|| {
        let stage = Stage::new()?;
        let page = stage.strict_ticket()?;
        stage.show(&view(LURED, LABEL))?;
        let button = Button::find(&page)?;
        look_at_it();
        // The second click of a double click lands where the page took its own thing away at the first.
        page.eval(&format!(
            "{} globalThis.c = document.body.lastElementChild; c.style.background = 'white';
             c.addEventListener('pointerdown', () => c.remove()); void 0",
            cover("")
        ))?;
        std::thread::sleep(Duration::from_millis(800));
        let first = Instant::now();
        page.click_at(button.middle.0, button.middle.1)?;
        std::thread::sleep(Duration::from_millis(120));
        page.click_at(button.middle.0, button.middle.1)?;
        Ok((first, (stage, page)))
    })?;
    assert_eq!(page.eval("c.isConnected")?, false);
    stage.barrier(&page)?;
    assert_eq!((stage.count("click")?, stage.count("refused_click")? > 0), (0, true));
    Ok(())
}

#[test]
fn a_button_that_comes_under_the_pointer_does_not_count_at_once() -> Result<()> {
    let (stage, page, (x, y)) = in_a_hurry(|| {
        let stage = Stage::new()?;
        let page = stage.strict_ticket()?;
        page.look("light", 1000, 700, 1.0)?;
        stage.show(&view(LURED, LABEL))?;
        Button::find(&page)?;
        look_at_it();
        // A page that opened its window itself may resize it: the button keeps to its corner, and so comes along.
        let resized = Instant::now();
        page.look("light", 940, 650, 1.0)?;
        let (x, y) = Button::find(&page)?.middle;
        page.click_at(x, y)?;
        Ok((resized, (stage, page, (x, y))))
    })?;
    stage.barrier(&page)?;
    assert_eq!(
        (stage.count("click")?, stage.latest("refused_click")?["why"].clone()),
        (0, json!("too_soon"))
    );
    look_at_it();
    page.click_at(x, y)?;
    stage.barrier(&page)?;
    assert_eq!(stage.count("click")?, 1, "where it rests, a plain click counts");
    Ok(())
}

#[test]
fn a_page_that_plays_with_the_keyboard_presses_nothing() -> Result<()> {
    let (stage, page) = in_a_hurry(|| {
        let stage = Stage::new()?;
        let page = stage.strict_ticket()?;
        // "Press Tab twice, then Enter": the page puts the keyboard where that leads to our button.
        page.eval(
            "{ const lure = document.createElement('button'); lure.id = 'lure'; document.body.append(lure); }",
        )?;
        stage.show(&view(LURED, LABEL))?;
        Button::find(&page)?;
        look_at_it();
        page.eval("lure.focus()")?;
        let begun = Instant::now();
        for key in [Key::TAB, Key::TAB, Key::ENTER] {
            page.press(key)?;
        }
        Ok((begun, (stage, page)))
    })?;
    stage.barrier(&page)?;
    assert_eq!(
        (stage.count("click")?, stage.latest("refused_click")?["why"].clone()),
        (0, json!("too_soon"))
    );
    assert!(page.has_keyboard("button", LABEL)?, "the keys led to the button");

    // A key that is held down since before.
    look_at_it();
    let held = json!({"type": "keyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r", "autoRepeat": true});
    page.call("Input.dispatchKeyEvent", held)?;
    stage.barrier(&page)?;
    assert_eq!((stage.count("click")?, stage.count("refused_click")?), (0, 2));

    // Keys that nobody pressed, on everything that the page can name.
    page.eval(&format!(
        "for (const target of [{HOST}, document, document.activeElement, window])
            for (const key of ['Enter', ' ']) for (const kind of ['keydown', 'keypress', 'keyup'])
                target.dispatchEvent(new KeyboardEvent(kind, {{ key, bubbles: true, composed: true }}));
         {HOST}.focus(); {HOST}.click()"
    ))?;
    // A page that takes the keyboard away at the key has the key, too.
    page.eval("addEventListener('keydown', () => lure.focus(), { capture: true, once: true })")?;
    page.press(Key::ENTER)?;
    stage.barrier(&page)?;
    assert_eq!((stage.count("click")?, stage.count("refused_click")?), (0, 2));

    until("the keyboard on our button", LIMIT, || {
        page.press(Key::TAB)?;
        page.has_keyboard("button", LABEL)
    })?;
    look_at_it();
    page.press(Key::ENTER)?;
    stage.barrier(&page)?;
    assert_eq!(stage.count("click")?, 1, "a plain key counts");
    Ok(())
}
