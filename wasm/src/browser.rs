//! The thin layer between the state machine and JavaScript: values in and out, the timer, random keys, local time.
//! Decides nothing.

use std::cell::RefCell;
use std::rc::Rc;

use chrono::{DateTime, Utc};
use gloo::timers::callback::Timeout;
use js_sys::Date;
use serde::Serialize;
use ticketgate_protocol::page::Facts;
use ticketgate_protocol::ticket::Ticket;
use ticketgate_protocol::tree::{Fault, FromJson, ToTree, Written};
use wasm_bindgen::prelude::*;

use crate::worker::{Effect, Input, Surroundings, Worker};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = "export interface Shell { carryOut(effect: any): void; }";

#[wasm_bindgen]
extern "C" {
    /// JavaScript's side: what carries out effects.
    #[wasm_bindgen(typescript_type = "Shell")]
    pub type Shell;

    /// Carries out one effect.
    #[wasm_bindgen(method, catch, js_name = carryOut)]
    fn carry_out(this: &Shell, effect: JsValue) -> Result<(), JsValue>;
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = crypto, js_name = randomUUID)]
    fn random_uuid() -> String;
}

/// The worker's core, as JavaScript holds it.
#[wasm_bindgen]
pub struct Core {
    inner: Rc<Inner>,
}

struct Inner {
    worker: RefCell<Worker>,
    shell: Shell,
    timer: RefCell<Option<Timeout>>,
}

struct Browser;

impl Surroundings for Browser {
    fn new_key(&mut self) -> String {
        random_uuid()
    }

    fn clock_text(&self, at: DateTime<Utc>) -> String {
        #[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
        let date = Date::new(&JsValue::from_f64(at.timestamp_millis() as f64));
        date.to_locale_time_string("default").into()
    }
}

fn now() -> DateTime<Utc> {
    #[allow(clippy::cast_possible_truncation, reason = "whole milliseconds since 1970")]
    let ms = Date::now() as i64;
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

#[wasm_bindgen]
impl Core {
    /// A core that knows nothing yet. The first that happens to it is `started`, with what was saved.
    #[wasm_bindgen(constructor)]
    pub fn new(shell: Shell) -> Self {
        let worker = RefCell::new(Worker::new(Box::new(Browser)));
        Self { inner: Rc::new(Inner { worker, shell, timer: RefCell::new(None) }) }
    }

    /// Something happened; the response to it, if it asks for one.
    pub fn handle(&self, input: &JsValue) -> JsValue {
        match read(input) {
            Ok(input) => Inner::take(&self.inner, input),
            Err(fault) => {
                web_sys::console::error_2(&"unknown input".into(), &fault.to_string().into());
                JsValue::NULL
            }
        }
    }

    /// The number of the ticket that the facts of a page at `url` amount to. Changes nothing; for measuring.
    pub fn recognise(&self, url: &str, facts: &str) -> Option<String> {
        let found = self.inner.worker.borrow().recognise(url, &Facts::from_json(facts).ok()?);
        found.ticket().map(|ticket| ticket.number.clone())
    }

    /// The ticket that a tab shows: `{number, summary, customer, contact, status}` or `null`.
    #[wasm_bindgen(js_name = recognisedTicket)]
    pub fn recognised_ticket(&self, tab: i32) -> JsValue {
        ticket_to_js(self.inner.worker.borrow().recognised_ticket(tab))
    }
}

fn ticket_to_js(ticket: Option<&Ticket>) -> JsValue {
    let Some(ticket) = ticket else { return JsValue::NULL };
    let mut members = Written::new();
    members.put("number", &ticket.number);
    members.put("summary", &ticket.summary);
    members.put("customer", &ticket.customer);
    members.put("contact", &ticket.contact);
    members.put("status", &ticket.status);
    to_js(&members.done())
}

impl Inner {
    fn take(this: &Rc<Self>, input: Input) -> JsValue {
        let effects = this.worker.borrow_mut().handle(input, now());
        let mut answer = JsValue::NULL;
        for effect in effects {
            match effect {
                Effect::Timer { after } => Self::set_timer(this, after),
                Effect::Answer { questions } => answer = to_js(&questions),
                effect => {
                    if let Err(error) = this.shell.carry_out(to_js(&effect)) {
                        web_sys::console::error_2(&"effect failed".into(), &error);
                    }
                }
            }
        }
        answer
    }

    fn set_timer(this: &Rc<Self>, after: Option<u32>) {
        let weak = Rc::downgrade(this);
        let timer = after.map(|ms| {
            Timeout::new(ms, move || {
                if let Some(this) = weak.upgrade() {
                    // It has gone off: forgotten rather than cancelled.
                    if let Some(timer) = this.timer.borrow_mut().take() {
                        timer.forget();
                    }
                    Self::take(&this, Input::Timer {});
                }
            })
        });
        *this.timer.borrow_mut() = timer;
    }
}

/// By way of JSON text: it comes over in one piece, where a walk through the value would cross over for every member.
fn read(input: &JsValue) -> Result<Input, Fault> {
    let text = js_sys::JSON::stringify(input).ok().and_then(|text| text.as_string());
    Input::parse(&text.unwrap_or_default())
}

/// Directly: JavaScript's own values hold what JSON text cannot.
fn to_js(value: &dyn ToTree) -> JsValue {
    value.to_tree().serialize(&serde_wasm_bindgen::Serializer::json_compatible()).unwrap_or(JsValue::NULL)
}
