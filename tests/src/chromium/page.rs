//! One thing in the browser that runs scripts: a tab, the popup, a side panel, a worker. Reading it, writing in it,
//! clicking in it as a person does, taking its picture.

use super::cdp::{Connection, exception};
use super::{input, nodes};
use crate::Result;
use crate::patience::{LIMIT, until, wait_for};
use anyhow::{Context, bail};
use base64::Engine;
use serde_json::{Value, json};
use std::path::Path;

pub use super::input::Key;
pub use super::nodes::Node;

/// A held tab, popup or worker. Dropping the handle lets go of it; the tab stays open.
#[derive(Debug)]
pub struct Page {
    connection: Connection,
    target: String,
    session: String,
}

/// A script in a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Where it came from; empty for one that is in no file.
    pub url: String,
    /// How long its text is, in UTF-8.
    pub bytes: usize,
}

impl Page {
    pub(super) fn attach(connection: &Connection, target: &str) -> Result<Self> {
        let parameters = json!({"targetId": target, "flatten": true});
        let answer = connection.call(None, "Target.attachToTarget", parameters)?;
        let session = answer.get("sessionId").and_then(Value::as_str).context("no session")?.to_owned();
        let page = Self { connection: connection.clone(), target: target.to_owned(), session };
        page.call("Runtime.enable", json!({}))?;
        page.call("Log.enable", json!({}))?;
        Ok(page)
    }

    /// Any call of the DevTools protocol, on this page.
    ///
    /// # Errors
    /// The browser refuses it, or the page is gone.
    pub fn call(&self, method: &str, parameters: Value) -> Result<Value> {
        self.connection.call(Some(&self.session), method, parameters)
    }

    /// The id of its target.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Goes to an address and returns when the page there has loaded.
    ///
    /// # Errors
    /// It does not load.
    pub fn open(&self, url: &str) -> Result<()> {
        // A mark in the old document tells it from the new one, also when both have the same address.
        let _ = self.eval("globalThis.leaving = true");
        let answer = self.call("Page.navigate", json!({"url": url}))?;
        if let Some(error) = answer.get("errorText").and_then(Value::as_str) {
            bail!("cannot open {url}: {error}");
        }
        // Without a loader only the fragment changed: the document stays.
        let fresh = if answer.get("loaderId").is_some() { "typeof leaving === 'undefined' && " } else { "" };
        self.until(&format!("{fresh}document.readyState === 'complete'"))
    }

    /// Loads the page again and returns when it has loaded.
    ///
    /// # Errors
    /// It does not load.
    pub fn reload(&self) -> Result<()> {
        self.eval("globalThis.leaving = true")?;
        self.call("Page.reload", json!({}))?;
        self.until("typeof leaving === 'undefined' && document.readyState === 'complete'")
    }

    /// Where it is.
    ///
    /// # Errors
    /// It is gone.
    pub fn url(&self) -> Result<String> {
        Ok(self.eval("location.href")?.as_str().unwrap_or_default().to_owned())
    }

    /// The value of an expression in the page's own world. A promise is awaited.
    ///
    /// # Errors
    /// The script throws; the sentence says what.
    pub fn eval(&self, expression: &str) -> Result<Value> {
        self.evaluate(json!({"expression": expression}))
    }

    /// [`Page::eval`] as if a person had just clicked.
    ///
    /// # Errors
    /// As there.
    pub fn eval_with_gesture(&self, expression: &str) -> Result<Value> {
        self.evaluate(json!({"expression": expression, "userGesture": true}))
    }

    /// [`Page::eval`] in the world of an extension's content script, waiting for that to be there.
    ///
    /// # Errors
    /// As there, or the extension has no content script in this page.
    pub fn eval_in_content_script(&self, extension_id: &str, expression: &str) -> Result<Value> {
        let origin = format!("chrome-extension://{extension_id}");
        let world = wait_for("the content script", LIMIT, || {
            // Events arrive only along with an answer.
            self.eval("0")?;
            let worlds = self.connection.worlds(&self.session);
            let ours = |kind: &str, from: &str| kind == "isolated" && from == origin;
            Ok(worlds.into_iter().find(|world| ours(&world.kind, &world.origin)))
        })?;
        self.evaluate(json!({"expression": expression, "contextId": world.id}))
            .with_context(|| format!("in the content script of {}", world.name))
    }

    /// Whether an extension has a world of its own in the document that is shown now: without one no script of it ran.
    ///
    /// # Errors
    /// The page is gone.
    pub fn has_world_of(&self, extension_id: &str) -> Result<bool> {
        // Events arrive only along with an answer; those of a script that was there first come before this one.
        self.eval("0")?;
        let origin = format!("chrome-extension://{extension_id}");
        let worlds = self.connection.worlds(&self.session);
        Ok(worlds.iter().any(|world| world.kind == "isolated" && world.origin == origin))
    }

    /// Notes the scripts of every document that is loaded from now on, for [`Page::scripts_of`].
    ///
    /// # Errors
    /// The page is gone.
    pub fn note_scripts(&self) -> Result<()> {
        self.call("Debugger.enable", json!({})).map(drop)
    }

    /// The scripts that an extension has put into the document that is shown now, frames of the same process included,
    /// since [`Page::note_scripts`]: its files, and whatever else runs in its world, what
    /// [`Page::eval_in_content_script`] evaluates included.
    ///
    /// # Errors
    /// The page is gone.
    pub fn scripts_of(&self, extension_id: &str) -> Result<Vec<Script>> {
        // Events arrive only along with an answer.
        self.eval("0")?;
        let origin = format!("chrome-extension://{extension_id}");
        let worlds = self.connection.worlds(&self.session);
        let is_ours = |world: Option<i64>| {
            worlds.iter().any(|one| Some(one.id) == world && one.kind == "isolated" && one.origin == origin)
        };
        let mut scripts = Vec::new();
        for script in self.connection.scripts(&self.session) {
            if is_ours(script.world) || script.url.starts_with(&format!("{origin}/")) {
                let source = self.call("Debugger.getScriptSource", json!({"scriptId": script.id}))?;
                let source = source.get("scriptSource").and_then(Value::as_str).context("no source")?;
                scripts.push(Script { url: script.url, bytes: source.len() });
            }
        }
        Ok(scripts)
    }

    fn evaluate(&self, mut parameters: Value) -> Result<Value> {
        if let Some(fields) = parameters.as_object_mut() {
            fields.insert("awaitPromise".to_owned(), true.into());
            fields.insert("returnByValue".to_owned(), true.into());
        }
        let mut answer = self.call("Runtime.evaluate", parameters)?;
        if let Some(details) = answer.get("exceptionDetails") {
            bail!("the script failed: {}", exception(details));
        }
        Ok(answer.pointer_mut("/result/value").map(Value::take).unwrap_or_default())
    }

    /// Waits until an expression is `true`. A script that fails meanwhile (nothing there yet) counts as not yet.
    ///
    /// # Errors
    /// It never is; the sentence says what the last look gave.
    pub fn until(&self, expression: &str) -> Result<()> {
        let mut last = String::new();
        until(expression, LIMIT, || {
            let value = self.eval(expression);
            let done = matches!(value, Ok(Value::Bool(true)));
            last = value.map_or_else(|error| error.to_string(), |value| value.to_string());
            Ok(done)
        })
        .with_context(|| format!("the last look gave {last}"))
    }

    /// The text that a person reads on the page, outside of shadow roots.
    ///
    /// # Errors
    /// It is gone.
    pub fn text(&self) -> Result<String> {
        Ok(self.eval("document.body.innerText")?.as_str().unwrap_or_default().to_owned())
    }

    /// Finds a DOM node anywhere in the page, closed shadow roots and frames of the same process included.
    /// `fits` sees nodes as `DOM.Node` of the protocol.
    ///
    /// # Errors
    /// The page is gone.
    pub fn node(&self, fits: impl Fn(&Value) -> bool) -> Result<Option<Node>> {
        let document = self.call("DOM.getDocument", json!({"depth": -1, "pierce": true}))?;
        Ok(nodes::in_document(document.get("root").unwrap_or(&Value::Null), &fits))
    }

    /// Finds a control by role and by a part of its name, as a screen reader does; closed shadow roots included.
    ///
    /// # Errors
    /// The page is gone.
    pub fn control(&self, role: &str, name: &str) -> Result<Option<Node>> {
        let tree = self.call("Accessibility.getFullAXTree", json!({}))?;
        Ok(nodes::in_accessibility_tree(&tree, role, name))
    }

    /// [`Page::control`], waiting for it.
    ///
    /// # Errors
    /// It does not appear.
    pub fn wait_for_control(&self, role: &str, name: &str) -> Result<Node> {
        wait_for(&format!("a {role} \"{name}\""), LIMIT, || self.control(role, name))
    }

    /// Whether a control has the keyboard, waiting for the control; closed shadow roots included.
    ///
    /// # Errors
    /// It does not appear.
    pub fn has_keyboard(&self, role: &str, name: &str) -> Result<bool> {
        let control = self.wait_for_control(role, name)?;
        let focused = |one: &Value| {
            one.get("name").is_some_and(|name| name == "focused")
                && one.pointer("/value/value") == Some(&Value::Bool(true))
        };
        Ok(control.raw.get("properties").and_then(Value::as_array).is_some_and(|all| all.iter().any(focused)))
    }

    /// Waits for a control and clicks it, as a person does (`isTrusted` is true).
    ///
    /// # Errors
    /// It does not appear, or has no place on the screen.
    pub fn click(&self, role: &str, name: &str) -> Result<()> {
        // Found anew each time: a form that is drawn anew meanwhile has another node there.
        let (x, y) = self.settled(&format!("a {role} \"{name}\""), || self.control(role, name))?;
        self.click_at(x, y)
    }

    /// Clicks in the middle of a node, as a person does.
    ///
    /// # Errors
    /// It has no place on the screen.
    pub fn click_node(&self, node: &Node) -> Result<()> {
        let (x, y) = self.middle(node)?;
        self.click_at(x, y)
    }

    /// Where the middle of a node is now, in CSS pixels from the page's corner. A node that still moves (an opening
    /// popup, a page that lays itself out) is waited for.
    ///
    /// # Errors
    /// It has no place on the screen.
    pub fn middle(&self, node: &Node) -> Result<(f64, f64)> {
        self.settled(&format!("\"{}\"", node.name), || Ok(Some(node.clone())))
    }

    /// Where a node's middle is once it is twice in a row in the same place.
    fn settled(&self, what: &str, find: impl Fn() -> Result<Option<Node>>) -> Result<(f64, f64)> {
        let mut before = None;
        wait_for(&format!("a place on the screen for {what}"), LIMIT, || {
            let now = find()?.and_then(|node| {
                let _ = self.call("DOM.scrollIntoViewIfNeeded", json!({"backendNodeId": node.id}));
                let quads = self.call("DOM.getContentQuads", json!({"backendNodeId": node.id})).ok()?;
                Some((node.id, nodes::middle_of_quad(&quads)?))
            });
            let settled = now.is_some() && now == before;
            before = now;
            Ok(now.filter(|_| settled).map(|(_, middle)| middle))
        })
    }

    /// Clicks at a point, in CSS pixels from the page's corner.
    ///
    /// # Errors
    /// The page is gone.
    pub fn click_at(&self, x: f64, y: f64) -> Result<()> {
        for event in input::click(x, y) {
            self.call("Input.dispatchMouseEvent", event)?;
        }
        Ok(())
    }

    /// Moves the pointer to a point.
    ///
    /// # Errors
    /// The page is gone.
    pub fn point_at(&self, x: f64, y: f64) -> Result<()> {
        self.call("Input.dispatchMouseEvent", json!({"type": "mouseMoved", "x": x, "y": y})).map(drop)
    }

    /// Presses a key, with modifiers, as a person does. Extension shortcuts answer to it.
    ///
    /// # Errors
    /// The page is gone.
    pub fn press(&self, key: Key) -> Result<()> {
        for event in key.events() {
            self.call("Input.dispatchKeyEvent", event)?;
        }
        Ok(())
    }

    /// Types a text into what has the focus.
    ///
    /// # Errors
    /// The page is gone.
    pub fn type_text(&self, text: &str) -> Result<()> {
        self.call("Input.insertText", json!({"text": text})).map(drop)
    }

    /// Brings its tab to the front.
    ///
    /// # Errors
    /// The page is gone.
    pub fn to_front(&self) -> Result<()> {
        self.call("Page.bringToFront", json!({})).map(drop)
    }

    /// Shows the page in a colour scheme (`light` or `dark`) and at a width and height in CSS pixels.
    ///
    /// # Errors
    /// The page is gone.
    pub fn look(&self, scheme: &str, width: u32, height: u32, scale: f64) -> Result<()> {
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", scheme)?;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size).map(drop)
    }

    /// Its picture, PNG.
    ///
    /// # Errors
    /// It cannot be drawn.
    pub fn screenshot(&self) -> Result<Vec<u8>> {
        let answer = self.call("Page.captureScreenshot", json!({"format": "png"}))?;
        let data = answer.get("data").and_then(Value::as_str).context("no picture")?;
        Ok(base64::engine::general_purpose::STANDARD.decode(data)?)
    }

    /// Writes its picture to a file, making the folder.
    ///
    /// # Errors
    /// It cannot be drawn or written.
    pub fn screenshot_to(&self, file: &Path) -> Result<()> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(file, self.screenshot()?)?)
    }

    /// Closes it: the tab, the popup.
    ///
    /// # Errors
    /// The browser is gone.
    pub fn close(self) -> Result<()> {
        self.connection.call(None, "Target.closeTarget", json!({"targetId": self.target})).map(drop)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // Gone already when it was closed, or the browser was.
        let _ = self.connection.call(None, "Target.detachFromTarget", json!({"sessionId": self.session}));
    }
}
