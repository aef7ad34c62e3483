//! Takes pictures of the extension, and checks of each what a machine can: it says what it should, nothing is cut off
//! sideways also at 200 % zoom, every text has the contrast of WCAG 2.2 (1.4.3), every control has a name.

use serde_json::{Value, json};
use std::path::PathBuf;
use ticketgate_tests::Result;
use ticketgate_tests::chromium::{Chromium, Options, Page};
use ticketgate_tests::product::ScriptedHost;
use ticketgate_tests::product::scripted::overview;
use ticketgate_tests::site::{Served, Site};
use ticketgate_tests::world::{target, workspace};

/// The popup's width, and half of it: what a person sees who zooms to 200 %.
const WIDTH: u32 = 380;
const ZOOMED: u32 = 190;

/// Texts whose contrast is below 4.5 (3 for large ones), as `text (ratio)`; disabled controls may be pale.
const PALE: &str = r"(() => {
  const parts = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const light = (colour) => {
    const scale = colour.startsWith('color(') ? 1 : 255;
    const [r, g, b] = parts(colour).slice(0, 3).map((v) => v / scale)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      const [, , , alpha = 1] = parts(colour);
      if (alpha === 1) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const pale = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || element.closest('[aria-disabled=true], .unseen, option') || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(style.color), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) pale.push(`${element.textContent.trim().slice(0, 40)} (${ratio.toFixed(2)})`);
  }
  return pale;
})()";

/// Controls without a name, by their outer HTML.
const NAMELESS: &str = r"[...document.querySelectorAll('button, a, input, select, textarea, summary')]
  .filter((one) => one.checkVisibility())
  .filter((one) => !(one.ariaLabel || one.textContent.trim() || [...(one.labels ?? [])].some((l) => l.textContent.trim())))
  .map((one) => one.outerHTML)";

/// A browser whose extension may read `desk.example`, and a host that says what a test wants.
pub(crate) struct Stage {
    pub(crate) browser: Chromium,
    pub(crate) host: ScriptedHost,
    pub(crate) site: Site,
    /// What the checks found, for the end of the test.
    pub(crate) wrong: Vec<String>,
}

impl Stage {
    pub(crate) fn open() -> Result<Self> {
        let site = Site::start()?;
        let host = ScriptedHost::new(&json!({"overview": overview(&json!([]))}))?;
        let at = |name: &str| (name.to_owned(), site.address().to_string());
        let hosts = vec![at("desk.example"), at("other.example")];
        let browser = host.browser(Options { hosts, ..Options::default() })?;
        browser.allow_host("http://desk.example/*", "options.html")?;
        Ok(Self { browser, host, site, wrong: Vec::new() })
    }

    /// A ticket page of Request Tracker in a tab, and the tab's number.
    pub(crate) fn ticket(&self, name: &str, number: &str, customer: &str) -> Result<(Page, i64)> {
        let html =
            std::fs::read_to_string(workspace().join("wasm/tests/fixtures/pages/request-tracker-5.html"))?;
        let html = html.replace("Acme Corp", customer).replace("4711", number);
        let url = self.site.page_at(name, "/Ticket/Display.html", Served::html(html));
        let page = self.browser.page(&format!("{url}?id={number}"))?;
        let tab = self.tab(&page)?;
        Ok((page, tab))
    }

    pub(crate) fn tab(&self, page: &Page) -> Result<i64> {
        let url = json!(page.url()?);
        let found = self.browser.worker()?.eval(&format!(
            "chrome.tabs.query({{}}).then(all => all.find(tab => tab.url === {url} || tab.pendingUrl === {url})?.id
               ?? all.findLast(tab => tab.active).id)"
        ))?;
        found.as_i64().ok_or_else(|| anyhow::anyhow!("no tab for {url}"))
    }

    /// The popup's page about a tab, as wide as the real one.
    pub(crate) fn popup(&self, tab: i64) -> Result<Page> {
        let popup = self.browser.new_tab("about:blank")?;
        popup.look("light", WIDTH, 600, 2.0)?;
        popup.open(&self.browser.extension_url(&format!("popup.html?tab={tab}")))?;
        Ok(popup)
    }

    /// Takes a picture of a page of ours in both schemes, and checks what can be checked.
    pub(crate) fn picture(&mut self, page: &Page, name: &str, says: &[&str]) -> Result<()> {
        for part in says {
            let part = json!(part);
            let there = format!(
                "document.body.innerText.includes({part}) || {part} + ' is not in: ' + document.body.innerText"
            );
            page.until(&there)?;
        }
        let mut find = |what: &str, found: &Value| {
            if found.as_array().is_none_or(|all| !all.is_empty()) {
                self.wrong.push(format!("{name}: {what}: {found}"));
            }
        };
        let width = if name.starts_with("popup") { WIDTH } else { 720 };
        for scheme in ["light", "dark"] {
            page.look(scheme, width, 160, 2.0)?;
            let height = page.eval("document.body.getBoundingClientRect().bottom")?;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a page's height")]
            let height = height.as_f64().unwrap_or(600.0).ceil() as u32;
            page.look(scheme, width, height.max(160), 2.0)?;
            page.screenshot_to(&pictures().join(format!("{name}-{scheme}.png")))?;
            find(&format!("too little contrast, {scheme}"), &page.eval(PALE)?);
        }
        find("controls without a name", &page.eval(NAMELESS)?);
        page.look("light", ZOOMED.min(width / 2), 400, 2.0)?;
        let wide = "[...document.querySelectorAll('body *')].filter(one => one.getBoundingClientRect().right > innerWidth + 1)
            .filter(one => one.checkVisibility() && !one.closest('.unseen')).map(one => one.outerHTML.slice(0, 80))";
        find("cut off at 200 %", &page.eval(wide)?);
        page.look("light", width, 600, 2.0)
    }
}

/// Where they are put.
pub(crate) fn pictures() -> PathBuf {
    target().join("pictures")
}

/// An error as a broker answers it.
pub(crate) fn problem(code: &str, status: u16, detail: &str, remedy: &str) -> Value {
    json!({"code": code, "status": status, "detail": detail, "remedy": remedy})
}
