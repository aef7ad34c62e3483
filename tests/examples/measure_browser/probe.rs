//! What the scripts in a ticket page cost the page: CPU time of its main thread, as the browser itself counts it per task.
//!
//! The ticket page is Request Tracker's own. It loads and comes to rest; then the extension puts its scripts in, the page
//! changes, the page changes without end. In turn the same is done with an empty script. Whatever is not the scripts' (the
//! putting in itself, the page's layout, the counting) is in both, so the difference is theirs, paint and garbage included.

use super::desk::rest;
use super::figures::{Pairs, quantile};
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use ticketgate_tests::Result;
use ticketgate_tests::chromium::{Chromium, Options, Page, extension_id};
use ticketgate_tests::rt::RequestTracker;
use ticketgate_tests::world::{Folder, fixture, workspace};
use ticketgate_wasm::recognise::Rules;

/// Each sample is the mean of [`CHANGES`] changes.
const ROUNDS: usize = 5;
/// Further changes in a round. A page that says more than twenty things in half a minute is heard less often.
const CHANGES: usize = 10;
/// Every so many rounds the page changes a thousand times a second, for so long.
const STORM_EVERY: usize = 2;
const STORM_MS: u64 = 5000;

/// What telling somebody of a change costs at least: the browser's own message and its answer.
const BARE: &str = "new MutationObserver(() => chrome.runtime.sendMessage({ page: 'barrier' }))
    .observe(document.querySelector('title'), { childList: true, characterData: true, subtree: true });";

/// A probe that does nothing but what no probe can leave out: it says that it is there and waits for the answer, looks through
/// the document once for something that it does not have, says what it found, and the same again after each change.
const LEAST: &str = "(() => {
    const read = () => ({ page: 'least', title: document.title, found: document.querySelectorAll('.of-no-page').length });
    const report = () => { watch(); void chrome.runtime.sendMessage(read()); };
    let timer;
    const mutations = new MutationObserver(() => { mutations.disconnect(); timer = setTimeout(report, 150); });
    const watch = () => mutations.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
    chrome.runtime.sendMessage({ page: 'barrier' }).then(report);
})();";

/// Scripts of one extension, on the page.
struct Side {
    worker: Page,
    files: &'static [&'static str],
    /// Nothing but what it tells is compared.
    only_tells: bool,
    in_put: Vec<f64>,
    quiet: Vec<f64>,
    telling: Vec<f64>,
    storm: Vec<f64>,
}

pub(crate) fn measure() -> Result<()> {
    let rt = RequestTracker::start()?;
    let folders = [extension(&rt.url())?, extension(&rt.url())?];
    let browser = Chromium::start(&Options {
        extensions: folders.iter().map(|folder| folder.path().to_path_buf()).collect(),
        ..Options::default()
    })?;
    let mut sides = [
        side(&browser, &folders[0], &["probe.js"])?,
        side(&browser, &folders[1], &["empty.js"])?,
        Side { only_tells: true, ..side(&browser, &folders[1], &["bare.js"])? },
        Side { only_tells: true, ..side(&browser, &folders[1], &["least.js"])? },
    ];
    let page = browser.new_tab("about:blank")?;
    rt.log_in(&page, &rt.ticket_url(1))?;
    page.to_front()?;
    page.call("Performance.enable", json!({"timeDomain": "threadTicks"}))?;
    // What the page is made of.
    let elements = page.eval("document.getElementsByTagName('*').length")?;
    for round in 0..=ROUNDS {
        for side in &mut sides {
            side.play(&page, round)?;
        }
    }
    let [ours, empty, bare, least] = &sides;
    let pairs = |of: fn(&Side) -> &Vec<f64>| Pairs { value: of(ours).clone(), baseline: of(empty).clone() };
    let how = format!(
        "main thread's CPU time on Request Tracker's ticket page ({elements} elements), baseline: an empty script put in the same way"
    );
    pairs(|side| &side.in_put).figure("probe put in, first reading, p50", "ms", 0.5, 2.0, &how);
    pairs(|side| &side.quiet).figure(
        "probe, a further change, p50",
        "ms",
        0.5,
        0.3,
        &format!("it says nothing new of the ticket; {how}"),
    );
    let told = Pairs { value: ours.telling.clone(), baseline: bare.telling.clone() };
    let note = format!(
        "a new title; baseline: a script that sends one bare message for it ({:.2} ms), an empty one takes {:.2} ms; {how}",
        quantile(&bare.telling, 0.5),
        quantile(&empty.telling, 0.5)
    );
    told.figure("probe, a further change that is reported, p50", "ms", 0.5, 0.3, &note);
    let floor = "the least that a probe can do: two messages, one look through the document for one selector";
    Pairs { value: least.in_put.clone(), baseline: empty.in_put.clone() }.figure(
        "least probe put in, p50",
        "ms",
        0.5,
        None,
        &format!("{floor}; {how}"),
    );
    Pairs { value: least.telling.clone(), baseline: bare.telling.clone() }.figure(
        "least probe, a further change that is reported, p50",
        "ms",
        0.5,
        None,
        &format!("{floor}, after a timer; baseline: a script that sends one bare message for it; {how}"),
    );
    pairs(|side| &side.storm).figure(
        "probe, page of 1000 changes a second, p50",
        "% of a core",
        0.5,
        2.0,
        &how,
    );
    Ok(())
}

/// The probe, an empty script, and the tests' worker, which answers the probe and shows no button.
fn extension(origin: &str) -> Result<Folder> {
    let folder = Folder::new("scripts")?;
    let mut manifest: Value =
        serde_json::from_slice(&std::fs::read(fixture("page_side").join("manifest.json"))?)?;
    manifest.as_object_mut().context("a manifest")?.remove("content_scripts");
    folder.write("manifest.json", manifest.to_string())?;
    folder.write("worker.js", std::fs::read(fixture("page_side").join("worker.js"))?)?;
    folder.write("empty.js", "")?;
    folder.write("bare.js", BARE)?;
    folder.write("least.js", LEAST)?;
    folder.write("probe.js", std::fs::read(workspace().join("extension/probe.js"))?)?;
    let questions = serde_json::to_value(Rules::built_in().questions(&format!("{origin}/")))?;
    folder.write("questions.json", json!({origin: questions}).to_string())?;
    Ok(folder)
}

fn side(browser: &Chromium, folder: &Folder, files: &'static [&'static str]) -> Result<Side> {
    let mark = format!("chrome-extension://{}/", extension_id(folder.path())?);
    let worker = browser
        .attach("a worker", |target| target.kind == "service_worker" && target.url.starts_with(&mark))?;
    worker.until("typeof seen === 'object'")?;
    Ok(Side {
        worker,
        files,
        only_tells: false,
        in_put: Vec::new(),
        quiet: Vec::new(),
        telling: Vec::new(),
        storm: Vec::new(),
    })
}

impl Side {
    fn play(&mut self, page: &Page, round: usize) -> Result<()> {
        page.reload()?;
        come_to_rest(page)?;
        self.worker.eval("seen.length = 0")?;
        let before = cpu_ms(page)?;
        self.worker.eval(&format!(
            "chrome.tabs.query({{ active: true, lastFocusedWindow: true }}).then(([tab]) =>
                chrome.scripting.executeScript({{ target: {{ tabId: tab.id }}, files: {} }})).then(() => true)",
            json!(self.files)
        ))?;
        rest(700);
        let put_in = cpu_ms(page)?;
        let telling = self.change(page, "document.title = '#1: change ' + n", CHANGES)?;
        if round > 0 {
            self.in_put.push(put_in - before);
            self.telling.push(telling);
        }
        if self.only_tells {
            return Ok(());
        }
        // A page whose changes say nothing is read less and less often: these come last.
        let quiet = self.change(
            page,
            "document.querySelector('#header h1').dataset.n = n; document.body.lastElementChild.append(n)",
            0,
        )?;
        if round > 0 {
            self.quiet.push(quiet);
        }
        if round % STORM_EVERY == 1 {
            page.eval(
                "{ let n = 0; globalThis.storm = setInterval(() => { for (let i = 0; i < 10; i++) {
                    n += 1; document.body.dataset.n = n; document.body.className = 'n' + n; document.title = '#1: ' + n; } }, 10); void 0 }",
            )?;
            rest(300);
            let (from, at) = (cpu_ms(page)?, std::time::Instant::now());
            rest(STORM_MS);
            let used = cpu_ms(page)? - from;
            self.storm.push(100.0 * used / (at.elapsed().as_secs_f64() * 1e3));
            page.eval("clearInterval(storm)")?;
        }
        Ok(())
    }
}

impl Side {
    /// CPU time per change of a page that changes every quarter of a second; `told` is how often the probe has to say so.
    fn change(&self, page: &Page, script: &str, told: usize) -> Result<f64> {
        let reports =
            || Ok::<_, anyhow::Error>(self.worker.eval("of('report').length")?.as_u64().unwrap_or_default());
        let (heard, before) = (reports()?, cpu_ms(page)?);
        page.eval(&format!(
            "{{ let n = 0; const change = () => {{ n += 1; {script}; if (n < {CHANGES}) setTimeout(change, 250); }};
                setTimeout(change, 0); void 0 }}"
        ))?;
        rest(250 * CHANGES as u64 + 300);
        let used = cpu_ms(page)? - before;
        let news = reports()? - heard;
        if self.files.contains(&"probe.js") {
            ensure!(news == told as u64, "{news} reports instead of {told}");
        }
        Ok(used / CHANGES as f64)
    }
}

/// Waits until the page does nothing by itself any more: what its loading started, and the garbage of the document before,
/// whose scripts were another side's.
fn come_to_rest(page: &Page) -> Result<()> {
    page.call("HeapProfiler.collectGarbage", json!({}))?;
    let mut before = cpu_ms(page)?;
    for _ in 0..75 {
        rest(400);
        let now = cpu_ms(page)?;
        if now - before < 1.0 {
            return Ok(());
        }
        before = now;
    }
    bail!("the page does not come to rest")
}

/// CPU time of the page's main thread so far.
fn cpu_ms(page: &Page) -> Result<f64> {
    let answer = page.call("Performance.getMetrics", json!({}))?;
    let metrics = answer["metrics"].as_array().context("no metrics")?;
    let duration = metrics.iter().find(|one| one["name"] == "TaskDuration").context("no task duration")?;
    Ok(duration["value"].as_f64().context("no number")? * 1e3)
}
