//! A person's click on the button in the page: how long until the badge shows the session's time.

use super::desk::{Desk, rest};
use super::figures::{Pairs, now_ms};
use anyhow::{Context, ensure};
use serde_json::json;
use std::time::Duration;
use ticketgate_tests::Result;
use ticketgate_tests::product::asking::wish;

const ROUNDS: usize = 12;
/// How long a pointer rests on the button before the click: as long as the keystroke-level model gives for pressing a mouse
/// button and letting it go, which the person does after seeing that the pointer has arrived.
const POINTED_MS: u64 = 200;

/// What goes before a click.
#[derive(Clone, Copy, PartialEq)]
enum Press {
    /// The worker runs.
    Awake,
    /// The worker sleeps until the pointer comes.
    Pointed,
    /// The worker sleeps until the click.
    AtOnce,
}

pub(crate) fn measure() -> Result<()> {
    let desk = Desk::open()?;
    let (mut awake, mut asleep, mut tapped) = (Pairs::default(), Pairs::default(), Pairs::default());
    // The first activation makes the account and the connection.
    at_the_api(&desk)?;
    for _ in 0..ROUNDS {
        for (pairs, press) in
            [(&mut awake, Press::Awake), (&mut asleep, Press::Pointed), (&mut tapped, Press::AtOnce)]
        {
            pairs.baseline.push(at_the_api(&desk)?);
            pairs.value.push(in_the_page(&desk, press)?);
        }
    }
    let note = "from the click to the session's time in the badge, password in the clipboard; baseline: the activation at the API";
    let pointed = format!("{note}; the pointer comes to the button {POINTED_MS} ms before");
    let at_once = format!("{note}; nothing announces the click, as on a touch screen");
    for (pairs, what, note) in [
        (&awake, "click to active badge, worker awake", note),
        (&asleep, "click to active badge, worker asleep", &*pointed),
        (&tapped, "tap to active badge, worker asleep", &*at_once),
    ] {
        pairs.figure(&format!("{what}, p50"), "ms", 0.5, 100.0, note);
        pairs.figure(&format!("{what}, p95"), "ms", 0.95, 200.0, note);
    }
    Ok(())
}

fn at_the_api(desk: &Desk) -> Result<f64> {
    let wish = wish("acme-domain-admin");
    let begun = now_ms();
    let answer = desk.product.ask_for(&wish)?.json()?;
    let time = now_ms() - begun;
    ensure!(answer["state"] == "active", "{answer}");
    desk.end_all()?;
    Ok(time)
}

fn in_the_page(desk: &Desk, press: Press) -> Result<f64> {
    let ours = desk.browser.extension_id();
    if press == Press::Pointed {
        // A button that told the worker of a pointer just now takes it to be awake still.
        desk.page.reload()?;
        rest(2000);
    }
    let node = desk.page.wait_for_control("button", "Activate · Acme Corp")?;
    let (x, y) = desk.page.middle(&node)?;
    // Away first, or it would not come.
    desk.page.point_at(1.0, 1.0)?;
    if press != Press::Pointed {
        desk.page.point_at(x, y)?;
        rest(POINTED_MS);
    }
    if press != Press::Awake {
        desk.stop_workers()?;
        desk.page.to_front()?;
    }
    // In sight for long enough: that is the person's time, not ours.
    rest(1200);
    if press == Press::Pointed {
        desk.page.point_at(x, y)?;
        rest(POINTED_MS);
    }
    let mouse = |kind: &str| {
        let event = json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1});
        desk.page.call("Input.dispatchMouseEvent", event)
    };
    mouse("mousePressed")?;
    let clicked = now_ms();
    mouse("mouseReleased")?;
    // Nothing looks meanwhile, which would keep the machine busy.
    rest(500);
    let worker = desk.worker_of(ours)?;
    let is_time = |text: &str| text == "1h" || text == "59m";
    let drawn = desk.drawn(&worker, clicked, is_time, Duration::from_secs(5))?;
    let drawn = drawn.with_context(|| format!("no active badge: {:?}", worker.eval("drawn")))?;
    desk.end_all()?;
    Ok(drawn - clicked)
}
