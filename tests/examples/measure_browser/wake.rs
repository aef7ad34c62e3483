//! A stopped worker that a page's message wakes: how long until the browser has drawn its badge.

use super::desk::{Desk, rest};
use super::figures::Pairs;
use anyhow::Context;
use std::time::Duration;
use ticketgate_tests::Result;
use ticketgate_tests::product::asking::wish;

const ROUNDS: usize = 20;

pub(crate) fn measure() -> Result<()> {
    let desk = Desk::open()?;
    // Something to draw: a session with most of its hour left.
    desk.product.granted(&wish("acme-domain-admin"))?;
    let worker = desk.worker_of(desk.browser.extension_id())?;
    desk.drawn(&worker, 0.0, is_hour, Duration::from_secs(10))?.context("the session is not in the badge")?;
    drop(worker);
    let (ours, empty) = (desk.browser.extension_id().to_owned(), desk.empty.clone());
    let mut pairs = Pairs::default();
    // The first wake after an installation is slower, of both.
    for round in 0..=ROUNDS {
        let (a, b) = (wake(&desk, &empty)?, wake(&desk, &ours)?);
        if round > 0 {
            pairs.baseline.push(a);
            pairs.value.push(b);
        }
    }
    let note = "from a page's message to a stopped worker, no page of the extension open; baseline: an empty worker that sets a badge";
    pairs.figure("cold wake to a drawn badge, p50", "ms", 0.5, 10.0, note);
    pairs.figure("cold wake to a drawn badge, p95", "ms", 0.95, 10.0, note);
    Ok(())
}

fn is_hour(text: &str) -> bool {
    text == "1h" || text.ends_with('m')
}

/// Milliseconds from the message in the page to the badge.
fn wake(desk: &Desk, extension: &str) -> Result<f64> {
    desk.stop_workers()?;
    let sent = desk.page.eval_in_content_script(
        extension,
        "(() => { const at = performance.timeOrigin + performance.now();
            void chrome.runtime.sendMessage({ page: 'arrived' }); return at; })()",
    )?;
    let sent = sent.as_f64().context("no time")?;
    rest(400);
    let worker = desk.worker_of(extension)?;
    let drawn = desk.drawn(&worker, sent, is_hour, Duration::from_secs(5))?;
    Ok(drawn.context("no badge after the wake")? - sent)
}
