//! A ticket page that is opened: how long after the ticket is on screen until the button stands beside it.

use super::desk::{Desk, rest};
use super::figures::Pairs;
use anyhow::Context;
use serde_json::json;
use ticketgate_tests::Result;

const ROUNDS: usize = 20;

/// Notes when something of the browser's top layer was put into the page and drawn (the second frame after).
const WATCH: &str = "
    new MutationObserver((_, observer) => {
        if (!document.documentElement?.querySelector(':scope > [popover]')) return;
        observer.disconnect();
        requestAnimationFrame(() => requestAnimationFrame(() => { globalThis.shownAt = performance.now(); }));
    }).observe(document, { subtree: true, childList: true });";

pub(crate) fn measure() -> Result<()> {
    let desk = Desk::open()?;
    desk.page.call("Page.enable", json!({}))?;
    desk.page.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": WATCH}))?;
    for (worker, sleeps) in [("worker awake", false), ("worker asleep", true)] {
        let mut pairs = Pairs::default();
        for _ in 0..ROUNDS {
            if sleeps {
                desk.stop_workers()?;
                desk.page.to_front()?;
            }
            desk.page.reload()?;
            desk.page.until("typeof shownAt === 'number'")?;
            let painted =
                desk.page.eval("performance.getEntriesByName('first-contentful-paint')[0].startTime")?;
            let shown = desk.page.eval("shownAt")?;
            pairs.baseline.push(painted.as_f64().context("no paint")?);
            pairs.value.push(shown.as_f64().context("no button")?);
            rest(300);
        }
        let note = "from the begin of the page to the button, drawn; baseline: the page's own first paint";
        pairs.figure(&format!("button beside the ticket, {worker}, p50"), "ms", 0.5, 300.0, note);
        pairs.figure(&format!("button beside the ticket, {worker}, p95"), "ms", 0.95, 300.0, note);
    }
    Ok(())
}
