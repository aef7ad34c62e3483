//! The world that is measured in: directory, broker and browser as a technician has them, with three extensions. One is the
//! product's, the second has a worker that sets a badge, a popup with a button, and nothing else, and the third is the same with a
//! popup that has its button from the worker. All carry the same two small scripts that note when the browser has drawn
//! something; they are the only difference from the product.

use anyhow::Context;
use serde_json::{Value, json};
use std::time::Duration;
use ticketgate_tests::Result;
use ticketgate_tests::chromium::{Chromium, Options, Page, extension_id};
use ticketgate_tests::product::{self, Product};
use ticketgate_tests::samba::{self, SambaAd};
use ticketgate_tests::site::Site;
use ticketgate_tests::workplace::{TICKET_PATH, saved_ticket, settings};
use ticketgate_tests::world::{Folder, copy};
use ticketgate_tests::xvfb::Xvfb;

/// Notes when the browser has taken a badge's text.
const WATCH_WORKER: &str = "
    globalThis.drawn = [];
    const set = chrome.action.setBadgeText.bind(chrome.action);
    chrome.action.setBadgeText = (badge) => {
        const done = set(badge);
        done.then(() => drawn.push({ text: badge.text, at: performance.timeOrigin + performance.now() }));
        return done;
    };";

/// Notes when a button to activate stands in the popup, can be used, and has been drawn (the second frame after).
const WATCH_POPUP: &str = "
    const usable = () => [...document.querySelectorAll('main button')].some((button) =>
        button.textContent.startsWith('Activate') && button.ariaDisabled !== 'true' && !button.disabled && button.checkVisibility());
    const observer = new MutationObserver(look);
    function look() {
        if (!usable()) return;
        observer.disconnect();
        requestAnimationFrame(() => requestAnimationFrame(() => {
            globalThis.usableAt = performance.timeOrigin + performance.now();
        }));
    }
    observer.observe(document, { subtree: true, childList: true, attributes: true });
    look();";

/// The other extension.
const EMPTY: [(&str, &str); 4] = [
    (
        "worker.js",
        "chrome.runtime.onMessage.addListener((message, sender, respond) => respond(null));
                   chrome.action.setBadgeText({ text: '59m' });",
    ),
    ("content.js", ""),
    (
        "popup.html",
        "<!doctype html><html lang=en><head><meta charset=utf-8><title>Empty</title></head>
                    <body><main><button type=button>Activate</button></main></body></html>",
    ),
    ("popup.js", ""),
];

/// What differs in the third one: no popup that a worker fills can have its button earlier.
const ASKING: [(&str, &str); 3] = [
    (
        "worker.js",
        "chrome.runtime.onConnect.addListener((port) => port.postMessage('Activate'));
                   chrome.action.setBadgeText({ text: '59m' });",
    ),
    (
        "popup.html",
        "<!doctype html><html lang=en><head><meta charset=utf-8><title>Asking</title>
                    <script type=module async src=popup.js></script></head><body><main></main></body></html>",
    ),
    (
        "popup.js",
        "const port = chrome.runtime.connect();
                   port.onMessage.addListener((label) => {
                       const button = document.createElement('button');
                       button.textContent = label;
                       document.querySelector('main').append(button);
                   });",
    ),
];

/// Fields are dropped in this order.
pub(crate) struct Desk {
    pub(crate) page: Page,
    pub(crate) browser: Chromium,
    pub(crate) product: Product,
    /// The id of the other extension.
    pub(crate) empty: String,
    /// The id of the one whose popup asks its worker.
    pub(crate) asking: String,
    _folders: [Folder; 3],
    /// Serves the ticket, and pages of one's own.
    pub(crate) site: Site,
    _ad: SambaAd,
    _display: Xvfb,
}

impl Desk {
    /// Everything started, a ticket open in front.
    pub(crate) fn open() -> Result<Self> {
        let display = Xvfb::start()?;
        // As a domain controller does it: every write is on the disk before it is acknowledged.
        let ad = SambaAd::start(samba::Options { durable: true, ..samba::Options::default() })?;
        let many = "rate = { per_minute = 10000, per_hour = 10000, per_day = 10000 }";
        let product = Product::start(&settings(&ad).broker(many))?;
        let site = Site::start()?;
        let url = format!("{}?id=4711", site.page(TICKET_PATH, saved_ticket()?));
        let (ours, empty) = (watched_product()?, watched_nothing("empty", &[])?);
        let asking = watched_nothing("asking", &ASKING)?;
        let browser = Chromium::start(&Options {
            extensions: [&ours, &empty, &asking].map(|folder| folder.path().to_path_buf()).to_vec(),
            native_host: Some(product.native_host()),
            display: Some(display.display().to_owned()),
            ..Options::default()
        })?;
        browser.allow_host("http://127.0.0.1/*", "options.html")?;
        let page = browser.page(&url)?;
        page.to_front()?;
        page.wait_for_control("button", "Activate")?;
        let (id, asking_id) = (extension_id(empty.path())?, extension_id(asking.path())?);
        Ok(Self {
            page,
            browser,
            product,
            empty: id,
            asking: asking_id,
            _folders: [ours, empty, asking],
            site,
            _ad: ad,
            _display: display,
        })
    }

    /// A worker that runs, without waiting longer than for its being there.
    pub(crate) fn worker_of(&self, extension: &str) -> Result<Page> {
        let mark = format!("chrome-extension://{extension}/");
        let worker = self
            .browser
            .attach("a worker", |target| target.kind == "service_worker" && target.url.starts_with(&mark))?;
        worker.until("typeof drawn === 'object'")?;
        Ok(worker)
    }

    /// When a worker first drew a badge that fits, at or after `from`; waits for it without keeping the machine busy.
    pub(crate) fn drawn(
        &self,
        worker: &Page,
        from: f64,
        fits: impl Fn(&str) -> bool,
        limit: Duration,
    ) -> Result<Option<f64>> {
        let end = std::time::Instant::now() + limit;
        loop {
            let all = worker.eval("drawn")?;
            let found = all.as_array().context("no list")?.iter().find_map(|one| {
                let (text, at) = (one["text"].as_str()?, one["at"].as_f64()?);
                (at >= from && fits(text)).then_some(at)
            });
            if found.is_some() || std::time::Instant::now() >= end {
                return Ok(found);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops all workers, and gives the browser time to end their processes.
    pub(crate) fn stop_workers(&self) -> Result<()> {
        for _ in 0..3 {
            self.browser.stop_worker()?;
            rest(500);
            // Its own alarm may be due just then.
            if !self.browser.worker_runs()? {
                return Ok(());
            }
        }
        anyhow::bail!("something wakes the worker")
    }

    /// Ends every session at the API.
    pub(crate) fn end_all(&self) -> Result<()> {
        for session in self.product.sessions()? {
            if session["state"] == "active" {
                let path = format!("/v1/sessions/{}/end", session["id"].as_str().context("no id")?);
                let key = ticketgate_tests::product::asking::new_key();
                let answer = self.product.api("POST", &path, Some(&key), &json!({}))?.json()?;
                anyhow::ensure!(answer["state"] == "ended", "{answer}");
            }
        }
        Ok(())
    }
}

/// Lets the world come to rest.
pub(crate) fn rest(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// The product's extension as it is shipped, watched.
fn watched_product() -> Result<Folder> {
    let folder = Folder::new("watched")?;
    copy(&product::extension()?, folder.path())?;
    let manifest: Value = serde_json::from_slice(&std::fs::read(folder.join("manifest.json"))?)?;
    let page = std::fs::read_to_string(folder.join("popup.html"))?;
    watch(&folder, manifest, &page)?;
    Ok(folder)
}

/// The empty one with these files instead of its own, watched.
fn watched_nothing(name: &str, instead: &[(&str, &str)]) -> Result<Folder> {
    let folder = Folder::new(name)?;
    for (file, content) in EMPTY.iter().chain(instead) {
        folder.write(file, content)?;
    }
    let page = std::fs::read_to_string(folder.join("popup.html"))?;
    let manifest = json!({
        "manifest_version": 3, "name": name, "version": "1", "permissions": ["storage"],
        "host_permissions": ["http://127.0.0.1/*"],
        "background": {"service_worker": "worker.js", "type": "module"},
        "action": {"default_popup": "popup.html"},
        "content_scripts": [{"matches": ["http://127.0.0.1/*"], "js": ["content.js"], "run_at": "document_idle"}],
    });
    watch(&folder, manifest, &page)?;
    Ok(folder)
}

fn watch(folder: &Folder, mut manifest: Value, popup: &str) -> Result<()> {
    folder.write("watch_worker.js", WATCH_WORKER)?;
    folder.write("watched_worker.js", "import './watch_worker.js'; import './worker.js';")?;
    folder.write("watch_popup.js", WATCH_POPUP)?;
    manifest["background"]["service_worker"] = json!("watched_worker.js");
    folder.write("manifest.json", manifest.to_string())?;
    folder.write(
        "popup.html",
        popup.replace("</head>", "<script type=module src=watch_popup.js></script></head>"),
    )?;
    Ok(())
}
