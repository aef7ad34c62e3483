//! What the tests play on: a browser with the probe, the button and a worker that only writes down, and a site.

use anyhow::Context;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use ticketgate_protocol::page::{Facts, FromPage, Questions};
use ticketgate_tests::Result;
use ticketgate_tests::chromium::{Chromium, Options, Page};
use ticketgate_tests::site::{Served, Site};
use ticketgate_tests::world::{Folder, fixture, workspace};
use ticketgate_wasm::recognise::{Recognition, Rules};

/// A browser with the probe, the button and the tests' worker, and a site that every host name leads to.
pub(crate) struct Stage {
    pub(crate) browser: Chromium,
    pub(crate) site: Site,
    pub(crate) worker: Page,
    _extension: Folder,
}

impl Stage {
    /// The site, under further names too.
    pub(crate) fn with(hosts: &[&str]) -> Result<Self> {
        let site = Site::start()?;
        let mut origins = vec![format!("http://{}", site.address())];
        origins.extend(hosts.iter().map(|host| format!("http://{host}")));
        Self::on(site, &origins)
    }

    /// The same under addresses such as `https://acme.zendesk.com`.
    pub(crate) fn with_tls(origins: &BTreeSet<String>) -> Result<Self> {
        Self::on(Site::start_tls()?, &origins.iter().cloned().collect::<Vec<_>>())
    }

    fn on(site: Site, origins: &[String]) -> Result<Self> {
        let hosts = origins.iter().filter_map(|origin| origin.split("://").last());
        let hosts: Vec<&str> = hosts.filter(|host| !host.starts_with("127.")).collect();
        let rules = Rules::built_in();
        let questions: serde_json::Map<String, Value> = origins
            .iter()
            .map(|origin| Ok((origin.clone(), serde_json::to_value(rules.questions(&format!("{origin}/")))?)))
            .collect::<Result<_>>()?;
        let extension = Folder::new("page-side")?;
        for file in ["manifest.json", "worker.js"] {
            extension.write(file, std::fs::read(fixture("page_side").join(file))?)?;
        }
        for file in ["probe.js", "chip.js", "structure.js"] {
            extension.write(file, std::fs::read(workspace().join("extension").join(file))?)?;
        }
        extension.write("questions.json", Value::from(questions).to_string())?;
        let browser = Chromium::start(&Options {
            extensions: vec![extension.path().to_path_buf()],
            hosts: hosts.iter().map(|host| ((*host).to_owned(), site.address().to_string())).collect(),
            any_certificate: true,
            ..Options::default()
        })?;
        let worker = browser.worker()?;
        Ok(Self { browser, site, worker, _extension: extension })
    }

    pub(crate) fn new() -> Result<Self> {
        Self::with(&[])
    }

    /// A ticket page of Request Tracker under a strict policy.
    pub(crate) fn strict_ticket(&self) -> Result<Page> {
        let page = Served::html(fixture_page("request-tracker-5.html")?).strict();
        let url = self.site.page("/Ticket/Display.html", page);
        let page = self.browser.page(&format!("{url}?id=4711"))?;
        self.worker.until("latest('report') !== undefined")?;
        Ok(page)
    }

    /// Asks every rule's questions at once on the site's own origin, none of them waiting for another.
    pub(crate) fn ask_everything(&self) -> Result<Questions> {
        let rules = Rules::built_in();
        let origin = format!("http://{}", self.site.address());
        let questions = rules.questions(&origin).context("no rule applies anywhere")?;
        let everything = Questions { ask: rules.all_questions().cloned().collect(), ..questions };
        let json = serde_json::to_value(&everything)?;
        self.worker.eval(&format!("questions.then(all => {{ all['{origin}'] = {json}; }})"))?;
        Ok(everything)
    }

    /// What the probe reads at this moment, and how long it takes, in milliseconds.
    pub(crate) fn read(&self, page: &Page) -> Result<(Facts, f64)> {
        let now = "(() => { const begin = performance.now(); const facts = ticketgatePage.read();
            return [performance.now() - begin, JSON.stringify(facts)]; })()";
        let told = page.eval_in_content_script(self.browser.extension_id(), now)?;
        let facts = Facts::from_json(told[1].as_str().context("no facts")?)?;
        Ok((facts, told[0].as_f64().context("no time")?))
    }

    pub(crate) fn show(&self, view: &Value) -> Result<()> {
        self.worker.eval(&format!("push({})", json!({"show": view}))).map(drop)
    }

    /// How much has been said so far.
    pub(crate) fn said(&self) -> Result<u64> {
        Ok(self.worker.eval("seen.length")?.as_u64().unwrap_or_default())
    }

    pub(crate) fn count(&self, kind: &str) -> Result<u64> {
        Ok(self.worker.eval(&format!("of('{kind}').length"))?.as_u64().unwrap_or_default())
    }

    pub(crate) fn latest(&self, kind: &str) -> Result<Value> {
        self.worker.eval(&format!("latest('{kind}')?.message ?? null"))
    }

    /// Everything that the page's scripts have said so far has been heard: what comes after it on the same way has.
    pub(crate) fn barrier(&self, page: &Page) -> Result<()> {
        let said = "ticketgatePage.send({ page: 'barrier' })";
        let heard = page.eval_in_content_script(self.browser.extension_id(), said)?;
        anyhow::ensure!(heard == "heard", "the tests' worker does not answer: {heard}");
        Ok(())
    }

    /// What the latest report amounts to, by the same check and rules as in the product.
    pub(crate) fn recognised(&self) -> Result<Recognition> {
        let latest = self.worker.eval("latest('report')")?;
        recognise(&latest)
    }
}

pub(crate) fn recognise(report: &Value) -> Result<Recognition> {
    let text = report["message"].to_string();
    let FromPage::Report(facts) = FromPage::from_json(&text)? else { anyhow::bail!("no report: {text}") };
    let url = report["from"]["url"].as_str().context("no sender")?;
    Ok(Rules::built_in().recognise(url, &facts))
}

pub(crate) fn fixture_page(name: &str) -> Result<String> {
    Ok(std::fs::read_to_string(workspace().join("wasm/tests/fixtures/pages").join(name))?)
}

pub(crate) fn view(token: &str, label: &str) -> Value {
    json!({
        "token": token,
        "label": label,
        "detail": "Activate Domain Admin at Acme Corp for 1 hour, for ticket #4711. The account is ready about a second after the click.",
        "state": "ready",
        "one_click": true,
        "placement": {"corner": "bottom_right", "x": 24, "y": 24},
    })
}

pub(crate) const LABEL: &str = "Activate · Acme Corp · Domain Admin 1 h";

/// Waits until the button has been in sight for long enough, as a person does.
pub(crate) fn look_at_it() {
    std::thread::sleep(Duration::from_millis(1900));
}

/// The button: its middle, and its picture without the page around its corners.
pub(crate) struct Button {
    pub(crate) middle: (f64, f64),
    pub(crate) clip: Value,
}

impl Button {
    pub(crate) fn find(page: &Page) -> Result<Self> {
        let node = page.wait_for_control("button", LABEL)?;
        let middle = page.middle(&node)?;
        let answer = page.call("DOM.getContentQuads", json!({"backendNodeId": node.id}))?;
        let corners: Vec<f64> =
            answer["quads"][0].as_array().context("no quad")?.iter().filter_map(Value::as_f64).collect();
        let (left, top, right, bottom) = (corners[0], corners[1], corners[4], corners[5]);
        let clip = json!({"x": left + 4.0, "y": top + 4.0, "width": right - left - 8.0, "height": bottom - top - 8.0, "scale": 1});
        Ok(Self { middle, clip })
    }

    pub(crate) fn picture(&self, page: &Page) -> Result<String> {
        let answer = page.call("Page.captureScreenshot", json!({"format": "png", "clip": self.clip}))?;
        Ok(answer["data"].as_str().context("no picture")?.to_owned())
    }
}

/// The page's way to our host element: it is the last child of the root element.
pub(crate) const HOST: &str = "document.documentElement.lastElementChild";
