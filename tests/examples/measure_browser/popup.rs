//! A click on the icon in the toolbar: how long until the popup's Activate can be used and has been drawn.

use super::desk::{Desk, rest};
use super::figures::{Pairs, now_ms};
use anyhow::Context;
use ticketgate_tests::Result;
use ticketgate_tests::chromium::Target;

const ROUNDS: usize = 12;

pub(crate) fn measure() -> Result<()> {
    let desk = Desk::open()?;
    rest(1000);
    let tab = desk.browser.tab_of(&desk.page)?;
    let ours = desk.browser.extension_id().to_owned();
    let (mut awake, mut asleep, mut least) = (Pairs::default(), Pairs::default(), Pairs::default());
    for round in 0..=ROUNDS {
        for (pairs, sleeps) in [(&mut awake, false), (&mut asleep, true)] {
            let a = open(&desk, &tab, &desk.empty, sleeps)?;
            // Before the product, whose worker has to run when the next round begins.
            let c = if sleeps { Some(open(&desk, &tab, &desk.asking, sleeps)?) } else { None };
            let b = open(&desk, &tab, &ours, sleeps)?;
            if round == 0 {
                continue;
            }
            pairs.baseline.push(a);
            pairs.value.push(b);
            if let Some(c) = c {
                least.baseline.push(a);
                least.value.push(c);
            }
        }
    }
    for (pairs, worker) in [(&awake, "worker awake"), (&asleep, "worker asleep")] {
        let note = "from the click on the icon to the second frame after Activate can be used; baseline: an empty popup with a button";
        pairs.figure(&format!("popup to usable, {worker}, p50"), "ms", 0.5, 50.0, note);
        pairs.figure(&format!("popup to usable, {worker}, p95"), "ms", 0.95, 50.0, note);
    }
    let note = "the least that a popup can take that has its button from a worker: a worker without core or host posts it; the same baseline";
    least.figure("popup that an empty worker fills, asleep, p50", "ms", 0.5, None, note);
    least.figure("popup that an empty worker fills, asleep, p95", "ms", 0.95, None, note);
    Ok(())
}

/// Milliseconds from the click to the button.
fn open(desk: &Desk, tab: &Target, extension: &str, sleeps: bool) -> Result<f64> {
    if sleeps {
        desk.stop_workers()?;
    }
    desk.page.to_front()?;
    rest(200);
    let clicked = now_ms();
    desk.browser.click_icon(extension, tab)?;
    rest(300);
    let mark = format!("chrome-extension://{extension}/popup.html");
    let popup = desk.browser.attach("the popup", |one| one.kind == "page" && one.url.starts_with(&mark))?;
    popup.until("typeof usableAt === 'number'")?;
    let usable = popup.eval("usableAt")?.as_f64().context("no time")?;
    popup.close()?;
    rest(200);
    Ok(usable - clicked)
}
