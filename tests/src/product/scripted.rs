//! A host that says what a test wants, in the place of relay and broker: for screens and states that the real ones have
//! only for a moment, or that only another version has. What the real ones do is tested with [`super::Product`].

use crate::Result;
use crate::chromium::{self, Chromium, NativeHost};
use crate::world::{Folder, script};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::path::Path;
use ticketgate_protocol::HOST_NAME;

/// Answers by method: `{"overview": {"ok": …}, "activate": {"error": …}}`. Methods without one get no answer. Times may
/// be written as `{"$in": 60}`, seconds from the writing on.
#[derive(Debug)]
pub struct ScriptedHost {
    folder: Folder,
    answers: RefCell<Value>,
}

impl ScriptedHost {
    /// With these answers, and one to `hello`.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn new(answers: &Value) -> Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new("scripted")?;
        let program = folder.write(
            "host",
            format!(
                "#!/bin/sh\nexec /usr/bin/python3 -I '{}' '{}'\n",
                script("scripted_host.py").display(),
                folder.path().display()
            ),
        )?;
        std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o700))?;
        let host = Self { folder, answers: RefCell::new(json!({})) };
        host.answer("hello", welcome(1))?;
        host.answer_all(answers)?;
        Ok(host)
    }

    /// Changes one answer; the extension hears that there is news.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn answer(&self, method: &str, answer: Value) -> Result<()> {
        self.answer_all(&Value::Object([(method.to_owned(), answer)].into_iter().collect()))
    }

    /// Changes these answers.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn answer_all(&self, answers: &Value) -> Result<()> {
        let mut all = self.answers.borrow_mut();
        if let (Some(all), Some(answers)) = (all.as_object_mut(), answers.as_object()) {
            all.extend(answers.clone());
        }
        let new = self.folder.write("answers.json.new", all.to_string())?;
        Ok(std::fs::rename(new, self.folder.join("answers.json"))?)
    }

    /// The host's process ends.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn leave(&self) -> Result<()> {
        let times = self.answers.borrow().get("leave").and_then(Value::as_u64).unwrap_or_default();
        self.answer("leave", json!(times + 1))
    }

    /// The parameters of every request of a method so far.
    ///
    /// # Errors
    /// The file holds something else.
    pub fn heard(&self, method: &str) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(self.folder.join("heard.jsonl")).unwrap_or_default();
        let frames: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(frames.into_iter().filter(|frame| frame.get("method").is_some_and(|m| m == method)).collect())
    }

    /// The program for the browser's host manifest.
    pub fn native_host(&self) -> NativeHost {
        NativeHost { name: HOST_NAME.to_owned(), program: self.folder.join("host") }
    }

    /// A browser with the extension under test and this host.
    ///
    /// # Errors
    /// The extension was not built, or the browser does not start.
    pub fn browser(&self, mut options: chromium::Options) -> Result<Chromium> {
        options.extensions.insert(0, super::extension()?);
        options.native_host = Some(self.native_host());
        Chromium::start(&options)
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The answer to `hello` of a host that speaks this protocol.
pub fn welcome(protocol: u32) -> Value {
    json!({"ok": {
        "protocol": protocol,
        "host_version": "0.1.0",
        "capabilities": ["clipboard"],
        "broker": {
            "version": "0.1.0", "protocol_min": protocol, "protocol_max": protocol, "technician": "tech1",
            "administrator": false, "now": {"$now": 0}, "notices": []
        },
    }})
}

/// A policy that activates by one click, for tickets.
pub fn policy(id: &str, customer: &str, name: &str) -> Value {
    json!({
        "id": id, "name": name, "customer": customer, "mode": "dedicated", "default_s": 3600, "max_s": 14400,
        "choices_s": [1800, 3600, 14400], "ticket_required": true, "one_click": true,
        "end_guarantee": "The directory itself stops the account at the end, also when Ticketgate is away.",
        "end_limits": "A connection or a window that was opened before lives on until it is closed.",
    })
}

/// Two customers, one policy at the first and two at the other, and these sessions.
pub fn overview(sessions: &Value) -> Value {
    json!({"ok": {
        "technician": "tech1",
        "now": {"$now": 0},
        "customers": [
            {"id": "acme", "name": "Acme Corp", "aliases": ["ACME"]},
            {"id": "globex", "name": "Globex", "aliases": []},
        ],
        "policies": [
            policy("acme-domain-admin", "acme", "Domain Admin"),
            policy("globex-server-admin", "globex", "Server Admin"),
            policy("globex-helpdesk", "globex", "Helpdesk"),
        ],
        "sessions": sessions,
        "notices": [],
    }})
}

/// An hour of Domain Admin for ticket 4711 with so many seconds left, and whatever `more` says.
pub fn session(id: &str, left_s: i64, more: &Value) -> Value {
    let mut session = json!({
        "id": format!("s-01jd8q3v6e8t0k5n2m4p7r9x{id}"), "state": "active", "technician": "tech1", "customer": "acme",
        "customer_name": "Acme Corp", "policy": "acme-domain-admin", "policy_name": "Domain Admin",
        "directory": "acme-ad", "mode": "dedicated", "account": "ACME\\jit-tech1", "rights": ["Domain Admins"],
        "reason": "#4711 Outlook crashes on start (Acme Corp, Reception)",
        "ticket": {"system": "request-tracker", "number": "4711", "url": "http://desk.example/Ticket/Display.html?id=4711",
            "summary": "Outlook crashes on start", "customer": "Acme Corp", "contact": "Reception", "status": "new"},
        "requested_at": {"$in": left_s - 3600}, "from": {"$in": left_s - 3600}, "expires_at": {"$in": left_s},
        "latest_end": {"$in": left_s + 10_800}, "password_held": true, "version": 3
    });
    if let (Some(all), Some(more)) = (session.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    session
}
