//! Sequences of events played against the state machine, with a clock that the test moves.

#![allow(clippy::needless_pass_by_value, reason = "JSON is handed over as it is written, for short tests")]

mod badges;
mod customers;
mod failures;
mod kept;
mod links;
mod lookups;
mod pages;
mod parts;
mod popup;
mod restarts;
mod rules;
mod signing_in;
mod warnings;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use ticketgate_protocol::EXTENSION_ID;
use ticketgate_protocol::native::Method;
use ticketgate_protocol::page::{ChipState, ChipView, ToPage};
use ticketgate_protocol::problem::Code;

use super::view::View;
use super::*;
use ticketgate_recognise::Rules;

const DESK: &str = "https://desk.example";

struct Around(u32);

impl Surroundings for Around {
    fn new_key(&mut self) -> String {
        self.0 += 1;
        format!("key-{}", self.0)
    }

    fn clock_text(&self, at: DateTime<Utc>) -> String {
        at.format("%H:%M:%S").to_string()
    }
}

/// A worker, its clock, and what it last had the browser do.
struct Play {
    worker: Worker,
    now: DateTime<Utc>,
    effects: Vec<Effect>,
    sent: Vec<ticketgate_protocol::native::Request>,
    saved: Option<String>,
    memory: Option<String>,
    view: Option<View>,
    timer: Option<DateTime<Utc>>,
}

fn start_of_time() -> DateTime<Utc> {
    "2026-11-23T09:00:00Z".parse().unwrap()
}

impl Play {
    /// A worker that just started, with a host that is not asked yet.
    fn new() -> Self {
        let mut play = Self::unstarted();
        play.start(None, None);
        play
    }

    fn unstarted() -> Self {
        Self {
            worker: Worker::new(Box::new(Around(0))),
            now: start_of_time(),
            effects: Vec::new(),
            sent: Vec::new(),
            saved: None,
            memory: None,
            view: None,
            timer: None,
        }
    }

    fn start(&mut self, session: Option<String>, local: Option<String>) {
        self.happen(Input::Started(Started {
            id: EXTENSION_ID.into(),
            version: "0.1.0".into(),
            session,
            local,
            tabs: vec![1, 2],
            ..Started::default()
        }));
    }

    /// A worker with a greeted host and this overview.
    fn with(overview: Value) -> Self {
        let mut play = Self::new();
        play.greet();
        play.answer("overview", overview);
        play
    }

    fn happen(&mut self, input: Input) -> &mut Self {
        self.effects = self.worker.handle(input, self.now);
        for effect in &self.effects {
            match effect {
                Effect::Send { frame } => self.sent.push(frame.clone()),
                Effect::SaveSession { text } => self.saved = Some(text.clone()),
                Effect::SaveLocal { text } => self.memory = Some(text.clone()),
                Effect::Push { view, .. } => self.view = Some((**view).clone()),
                Effect::Timer { after } => {
                    self.timer = after.map(|ms| self.now + TimeDelta::milliseconds(i64::from(ms)));
                }
                _ => {}
            }
        }
        self
    }

    /// Lets time go by, with every timer on the way going off.
    fn wait(&mut self, seconds: i64) -> Vec<Effect> {
        self.wait_ms(seconds * 1000)
    }

    fn wait_ms(&mut self, ms: i64) -> Vec<Effect> {
        let end = self.now + TimeDelta::milliseconds(ms);
        let mut all = Vec::new();
        while let Some(at) = self.timer.filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.timer = None;
            self.happen(Input::Timer {});
            all.append(&mut self.effects.clone());
        }
        self.now = end;
        all
    }

    fn greet(&mut self) -> &mut Self {
        let now = self.now;
        let broker = json!({"version": "0.1.0", "protocol_min": 1, "protocol_max": 1, "technician": "tech1",
            "administrator": false, "now": now});
        self.frame(&json!({"id": "hello", "ok": {"protocol": 1, "host_version": "0.1.0", "broker": broker}}))
    }

    fn frame(&mut self, frame: &Value) -> &mut Self {
        self.happen(Input::Frame { text: frame.to_string() })
    }

    fn last_sent(&self, method: &str) -> Option<&ticketgate_protocol::native::Request> {
        self.sent.iter().rev().find(|r| r.method.name() == method)
    }

    fn count_sent(&self, method: &str) -> usize {
        self.sent.iter().filter(|r| r.method.name() == method).count()
    }

    fn answer(&mut self, method: &str, ok: Value) -> &mut Self {
        let id = self.last_sent(method).unwrap_or_else(|| panic!("{method} was not sent")).id.clone();
        self.frame(&json!({"id": id, "ok": ok}))
    }

    fn refuse(&mut self, method: &str, code: &str) -> &mut Self {
        let id = self.last_sent(method).unwrap().id.clone();
        let status = serde_json::from_value::<Code>(json!(code)).unwrap().status();
        self.frame(
            &json!({"id": id, "error": {"code": code, "status": status, "detail": "It is so.", "remedy": "", "request_id": "r-7"}}),
        )
    }

    fn open_popup(&mut self) -> &mut Self {
        let front = Tab { id: 1, window: 1, active: true, url: None };
        self.happen(Input::Connected {
            port: 1,
            name: "popup".into(),
            sender: own_page(),
            front: Some(front),
        })
    }

    fn intend(&mut self, intent: Intent) -> &mut Self {
        self.happen(Input::Intent { port: 1, intent })
    }

    /// The person writes a reason into the form that is shown.
    fn write_reason(&mut self, text: &str) -> &mut Self {
        let serial = self.view().form.as_ref().unwrap().serial;
        self.intend(Intent::EditReason { text: text.into(), serial })
    }

    fn press_activate(&mut self) -> &mut Self {
        let serial = self.view.as_ref().unwrap().form.as_ref().unwrap().serial;
        self.intend(Intent::Activate { serial })
    }

    fn view(&self) -> &View {
        self.view.as_ref().unwrap()
    }

    fn page(&mut self, sender: Sender, message: &Value) -> &mut Self {
        self.happen(Input::Page { sender, message: message.to_string() })
    }

    /// A Request Tracker page with this ticket reports from tab 1.
    fn show_ticket(&mut self, number: &str, queue: &str) -> &mut Self {
        self.page(from_desk(), &json!({"page": "arrived"}));
        self.page(from_desk(), &json!({"page": "report", "facts": facts(number, queue)}))
    }

    fn click(&mut self, token: &str, number: &str, queue: &str) -> &mut Self {
        self.page(from_desk(), &json!({"page": "click", "token": token, "facts": facts(number, queue)}))
    }

    /// The button as it was last told to stand in the page.
    fn chip(&self) -> Option<ChipView> {
        self.worker
            .last
            .pages
            .document(1, "doc-1")
            .and_then(|page| page.chip.as_ref())
            .map(|chip| chip.view.clone())
    }

    fn opens_popup(&self) -> bool {
        self.effects.iter().any(|e| matches!(e, Effect::OpenPopup { .. }))
    }
}

fn own_page() -> Sender {
    Sender {
        id: Some(EXTENSION_ID.into()),
        origin: Some(format!("chrome-extension://{EXTENSION_ID}")),
        url: Some(format!("chrome-extension://{EXTENSION_ID}/popup.html")),
        ..Sender::default()
    }
}

fn from_desk() -> Sender {
    Sender {
        id: Some(EXTENSION_ID.into()),
        origin: Some(DESK.into()),
        url: Some(format!("{DESK}/Ticket/Display.html?id=4711")),
        tab: Some(Tab { id: 1, window: 1, active: true, url: None }),
        frame: Some(0),
        document: Some("doc-1".into()),
    }
}

/// An Autotask page whose title bar ends in these words in parentheses.
fn in_autotask(number: &str, last: &str) -> (Sender, Value) {
    let url = format!("https://ww5.autotask.net/Mvc/ServiceDesk/TicketDetail.mvc?ticketId={number}");
    let questions = Rules::built_in().questions(&url).unwrap();
    let q = questions.ask.iter().find(|q| q.selector == ".TitleBarItem.Title .SecondaryText").unwrap().q;
    let facts = json!({
        "rules": questions.rules, "address": url, "title": "", "shown": true,
        "answers": [{"q": q, "found": [format!("T20261123.0042 - Printer is out ({last})")]}],
    });
    (Sender { url: Some(url), origin: Some("https://ww5.autotask.net".into()), ..from_desk() }, facts)
}

fn facts(number: &str, queue: &str) -> Value {
    let url = format!("{DESK}/Ticket/Display.html?id={number}");
    let questions = Rules::built_in().questions(&url).unwrap();
    let find = |part: &str| questions.ask.iter().find(|q| q.selector.contains(part)).unwrap().q;
    json!({
        "rules": questions.rules,
        "address": url,
        "title": format!("#{number}: Outlook crashes"),
        "shown": true,
        "answers": [
            {"q": find("body[id^='comp-']"), "found": [format!("#{number}: Outlook crashes")]},
            {"q": find(".ticket-info-basics .queue"), "found": [queue]},
        ],
    })
}

fn overview(sessions: &[Value]) -> Value {
    json!({
        "technician": "tech1",
        "now": start_of_time(),
        "customers": [
            {"id": "acme", "name": "Acme Corp", "aliases": ["ACME"]},
            {"id": "globex", "name": "Globex", "aliases": []},
        ],
        "policies": [
            policy("acme-domain-admin", "Domain Admin", "acme", true),
            policy("globex-domain-admin", "Domain Admin", "globex", true),
            policy("globex-careful", "Careful Admin", "globex", false),
        ],
        "sessions": sessions,
        "notices": [],
    })
}

fn policy(id: &str, name: &str, customer: &str, one_click: bool) -> Value {
    json!({"id": id, "name": name, "customer": customer, "mode": "dedicated", "default_s": 3600, "max_s": 14400,
        "choices_s": [1800, 3600, 14400], "ticket_required": true, "one_click": one_click,
        "end_guarantee": "It stops by itself.", "end_limits": "Open connections live on."})
}

/// An active session with so many seconds left at the start of time.
fn session(id: &str, left: i64) -> Value {
    let from = start_of_time() - TimeDelta::seconds(3600 - left.min(3600));
    json!({"id": id, "state": "active", "technician": "tech1", "customer": "acme", "customer_name": "Acme Corp",
        "policy": "acme-domain-admin", "policy_name": "Domain Admin", "directory": "acme-ad", "mode": "dedicated",
        "account": "ACME\\jit-tech1", "rights": ["Domain Admins"], "reason": "#4711", "requested_at": from, "from": from,
        "expires_at": start_of_time() + TimeDelta::seconds(left),
        "latest_end": start_of_time() + TimeDelta::seconds(left + 7200), "password_held": true, "version": 1})
}

fn with(mut value: Value, changes: Value) -> Value {
    for (name, change) in changes.as_object().unwrap() {
        value[name] = change.clone();
    }
    value
}

fn badges(effects: &[Effect]) -> Vec<String> {
    effects
        .iter()
        .filter_map(|e| match e {
            Effect::Badge { text, .. } => Some(text.clone()),
            _ => None,
        })
        .collect()
}

/// The texts of notifications.
fn told(effects: &[Effect]) -> Vec<String> {
    effects
        .iter()
        .filter_map(|e| match e {
            Effect::Notify { message, .. } => Some(message.clone()),
            _ => None,
        })
        .collect()
}

fn notices(effects: &[Effect]) -> Vec<String> {
    effects
        .iter()
        .filter_map(|e| match e {
            Effect::Notify { title, .. } => Some(title.clone()),
            _ => None,
        })
        .collect()
}
