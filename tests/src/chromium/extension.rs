//! What a browser shows of the extension under test outside of pages: its id, worker, popup, badge, notifications, hosts.

use super::cdp::Target;
use super::{Chromium, Page};
use crate::Result;
use crate::patience::{LIMIT, until};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::PoisonError;

impl Chromium {
    /// The id of the first extension; empty when there is none.
    pub fn extension_id(&self) -> &str {
        self.extension.as_deref().unwrap_or_default()
    }

    /// The address of one of the first extension's own pages.
    pub fn extension_url(&self, path: &str) -> String {
        format!("chrome-extension://{}/{path}", self.extension_id())
    }

    /// The extension's worker, once its script has run. While the answer is held the worker does not go to sleep.
    /// It fails when the worker sleeps: [`Chromium::wake`] first.
    ///
    /// # Errors
    /// There is no running worker.
    pub fn worker(&self) -> Result<Page> {
        let worker = self.attach("the extension's worker", |target| self.is_worker(target))?;
        worker.until("typeof chrome === 'object' && !!chrome.runtime?.id && registration.active?.state === 'activated'")?;
        Ok(worker)
    }

    /// Whether the extension's worker runs now. Looking does not keep it awake.
    ///
    /// # Errors
    /// The browser is gone.
    pub fn worker_runs(&self) -> Result<bool> {
        Ok(self.targets()?.iter().any(|target| self.is_worker(target)))
    }

    /// Stops every extension's worker at once, as the browser does after 30 idle seconds. Nothing that this does wakes one.
    ///
    /// # Errors
    /// It goes on.
    pub fn stop_worker(&self) -> Result<()> {
        let mut place = self.stopper.lock().unwrap_or_else(PoisonError::into_inner);
        let stopper = match place.take() {
            Some(stopper) => stopper,
            // In the background, so that the tab that the test is about keeps the focus; and it stays, since an extension
            // that listens for tabs would be woken by its closing.
            None => self.create_tab("about:blank", true)?,
        };
        stopper.call("ServiceWorker.enable", json!({}))?;
        stopper.call("ServiceWorker.stopAllWorkers", json!({}))?;
        *place = Some(stopper);
        until("the workers to stop", LIMIT, || {
            Ok(!self.targets()?.iter().any(|target| target.kind == "service_worker"))
        })
    }

    /// Wakes a stopped worker by a message from one of the extension's own pages, and waits until it runs.
    /// `page` is the path of any page of the extension.
    ///
    /// # Errors
    /// It does not wake.
    pub fn wake(&self, page: &str) -> Result<Page> {
        let tab = self.create_tab(&self.extension_url(page), true)?;
        tab.until("document.readyState === 'complete' && !!chrome.runtime")?;
        // Nobody needs to understand the message: the browser starts the worker to ask it.
        tab.eval("chrome.runtime.sendMessage({}).catch(() => null).then(() => true)")?;
        let worker = self.worker()?;
        tab.close()?;
        Ok(worker)
    }

    /// Opens the toolbar popup, the real one, and returns when it has loaded.
    ///
    /// # Errors
    /// The browser refuses, or the extension has no popup.
    pub fn open_popup(&self) -> Result<Page> {
        self.worker()?.eval("chrome.action.openPopup().then(() => true)")?;
        self.popup()
    }

    /// The toolbar popup that is open, or opens soon: after a shortcut, or a click in a page.
    ///
    /// # Errors
    /// It does not open.
    pub fn popup(&self) -> Result<Page> {
        let path = self.popup_path()?;
        let url = self.extension_url(&path);
        let popup =
            self.attach("the popup", |target| target.kind == "page" && target.url.starts_with(&url))?;
        popup.until("document.readyState === 'complete'")?;
        Ok(popup)
    }

    fn popup_path(&self) -> Result<String> {
        let path = self.worker()?.eval("chrome.action.getPopup({})")?;
        let path = path.as_str().unwrap_or_default().trim_start_matches(&self.extension_url("")).to_owned();
        if path.is_empty() {
            bail!("the extension has no popup");
        }
        Ok(path)
    }

    /// Clicks the extension's icon in the toolbar while this tab is in front: opens the popup and lets the extension into
    /// this one page (`activeTab`).
    ///
    /// # Errors
    /// The browser refuses.
    pub fn click_toolbar(&self, page: &Page) -> Result<()> {
        self.click_icon(self.extension_id(), &self.tab_of(page)?)
    }

    /// The tab that a page is in: an icon in the toolbar is clicked in a tab.
    ///
    /// # Errors
    /// The page is gone.
    pub fn tab_of(&self, page: &Page) -> Result<Target> {
        let url = page.url()?;
        // A page's target is below its tab's, and only the tab's will do.
        let tab = self.targets()?.into_iter().find(|target| target.kind == "tab" && target.url == url);
        tab.with_context(|| format!("no tab shows {url}"))
    }

    /// Clicks the icon of any extension in the toolbar, in one call: for who measures what follows.
    ///
    /// # Errors
    /// The browser refuses.
    pub fn click_icon(&self, extension: &str, tab: &Target) -> Result<()> {
        let parameters = json!({"id": extension, "targetId": tab.id});
        self.connection.call(None, "Extensions.triggerAction", parameters).map(drop)
    }

    /// The badge's text in a tab (`None`: everywhere).
    ///
    /// # Errors
    /// The worker does not answer.
    pub fn badge_text(&self, tab: Option<i64>) -> Result<String> {
        let text = self.worker()?.eval(&format!("chrome.action.getBadgeText({})", json!({"tabId": tab})))?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// The badge's background as red, green, blue, alpha.
    ///
    /// # Errors
    /// The worker does not answer.
    pub fn badge_color(&self, tab: Option<i64>) -> Result<[u8; 4]> {
        let color = self
            .worker()?
            .eval(&format!("chrome.action.getBadgeBackgroundColor({})", json!({"tabId": tab})))?;
        serde_json::from_value(color).context("no colour")
    }

    /// The ids of the notifications that are shown now.
    ///
    /// # Errors
    /// The worker does not answer.
    pub fn notifications(&self) -> Result<Vec<String>> {
        let all = self.worker()?.eval("chrome.notifications.getAll().then(all => Object.keys(all))")?;
        serde_json::from_value(all).context("no list of notifications")
    }

    /// From now on every notification that the browser took is kept as the extension asked for it, for as long as its worker lives.
    ///
    /// # Errors
    /// The worker does not answer.
    pub fn keep_notices(&self) -> Result<()> {
        let keep = "{ globalThis.notices = []; const create = chrome.notifications.create;
             chrome.notifications.create = async (...what) => { const id = await create(...what); notices.push(what); return id; }; }";
        self.worker()?.eval(keep).map(drop)
    }

    /// The notifications with this id since [`Chromium::keep_notices`]: title, message, buttons.
    ///
    /// # Errors
    /// The worker does not answer.
    pub fn notices(&self, id: &str) -> Result<Vec<Value>> {
        let id = json!(id);
        let all = format!("notices.filter(([id]) => id === {id}).map(([, what]) => what)");
        serde_json::from_value(self.worker()?.eval(&all)?).context("no list of notices")
    }

    /// Presses a button (from 0) of a notification, as far as the extension can tell.
    ///
    /// # Errors
    /// The worker does not answer.
    pub fn press_notification(&self, id: &str, button: u32) -> Result<()> {
        let id = json!(id);
        self.worker()?
            .eval(&format!("chrome.notifications.onButtonClicked.dispatch({id}, {button})"))
            .map(drop)
    }

    /// Answers in advance the question that the browser asks when the extension requests this host (a match pattern
    /// such as `https://psa.example/*`). The request itself still has to be made, with a trusted click.
    ///
    /// # Errors
    /// The browser refuses the pattern.
    pub fn grant_host(&self, pattern: &str) -> Result<()> {
        let page = self.create_tab("chrome://extensions", true)?;
        page.until("document.readyState === 'complete' && !!chrome.developerPrivate")?;
        let (id, pattern) = (json!(self.extension_id()), json!(pattern));
        page.eval(&format!("chrome.developerPrivate.addHostPermission({id}, {pattern}).then(() => true)"))?;
        page.close()
    }

    /// Gives the extension a host that it lists as optional, as if it had asked and the person had said yes. `page` is
    /// the path of any page of the extension.
    ///
    /// # Errors
    /// The manifest does not list the host.
    pub fn allow_host(&self, pattern: &str, page: &str) -> Result<()> {
        self.grant_host(pattern)?;
        let tab = self.create_tab(&self.extension_url(page), true)?;
        tab.until("document.readyState === 'complete' && !!chrome.permissions")?;
        let request = format!("chrome.permissions.request({})", json!({"origins": [pattern]}));
        if tab.eval_with_gesture(&request)? != Value::Bool(true) {
            bail!("the extension was not given {pattern}");
        }
        tab.close()
    }

    pub(super) fn is_worker(&self, target: &Target) -> bool {
        target.kind == "service_worker" && target.url.starts_with(&self.extension_url(""))
    }
}

fn manifest(extension: &Path) -> Result<Value> {
    let file = extension.join("manifest.json");
    let text =
        std::fs::read(&file).with_context(|| format!("no extension: {} is not there", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", file.display()))
}

pub(super) fn has_worker(extension: &Path) -> Result<bool> {
    Ok(manifest(extension)?.pointer("/background/service_worker").is_some())
}

/// Chromium's own rule: the SHA-256 of the public key in the manifest, or without one of the folder's path; its first
/// 16 bytes in hex, with the digits 0 to f written as a to p.
pub fn extension_id(extension: &Path) -> Result<String> {
    use base64::Engine;
    use std::os::unix::ffi::OsStrExt;
    let manifest = manifest(extension)?;
    let identity = match manifest.get("key").and_then(Value::as_str) {
        Some(key) => base64::engine::general_purpose::STANDARD.decode(key).context("the manifest's key")?,
        None => extension.canonicalize()?.as_os_str().as_bytes().to_vec(),
    };
    let letter = |digit: u8| char::from(b'a' + digit);
    Ok(Sha256::digest(&identity)
        .iter()
        .take(16)
        .flat_map(|byte| [letter(byte >> 4), letter(byte & 15)])
        .collect())
}
