//! The thin layer between the state machine and JavaScript: values in and out, the timer, random keys, local time.
//! Decides nothing.

use std::cell::RefCell;
use std::rc::Rc;

use chrono::{DateTime, Utc};
use gloo::timers::callback::Timeout;
use js_sys::Date;
use serde::Serialize;
use serde_json::Value;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::WorkerGlobalScope;

use crate::worker::{Effect, Input, Surroundings, Worker};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = "export interface Shell { restore(): Promise<unknown>; carryOut(effect: any): void; }";

#[wasm_bindgen]
extern "C" {
    /// JavaScript's side: what reads the saved state and carries out effects.
    #[wasm_bindgen(typescript_type = "Shell")]
    pub type Shell;

    /// Everything that `started` carries.
    #[wasm_bindgen(method, catch)]
    fn restore(this: &Shell) -> Result<js_sys::Promise, JsValue>;

    /// Carries out one effect.
    #[wasm_bindgen(method, catch, js_name = carryOut)]
    fn carry_out(this: &Shell, effect: JsValue) -> Result<(), JsValue>;
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
        let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
        scope.crypto().map(|crypto| crypto.random_uuid()).unwrap_or_default()
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
    /// Starts the core: restores what was saved, then says what is to be done.
    ///
    /// # Errors
    /// What JavaScript's side threw while restoring.
    pub async fn start(shell: Shell) -> Result<Core, JsValue> {
        let restored = JsFuture::from(shell.restore()?).await?;
        let worker = RefCell::new(Worker::new(Box::new(Browser)));
        let core = Self { inner: Rc::new(Inner { worker, shell, timer: RefCell::new(None) }) };
        core.handle(restored);
        Ok(core)
    }

    /// Something happened; the response to it, if it asks for one.
    pub fn handle(&self, input: JsValue) -> JsValue {
        let input = serde_wasm_bindgen::from_value::<Value>(input)
            .map_err(|error| error.to_string())
            .and_then(|value| serde_json::from_value::<Input>(value).map_err(|error| error.to_string()));
        match input {
            Ok(input) => Inner::take(&self.inner, input),
            Err(error) => {
                web_sys::console::error_2(&"unknown input".into(), &error.into());
                JsValue::NULL
            }
        }
    }

    /// The ticket that a tab shows: `{number, summary, customer, contact, status}` or `null`.
    #[wasm_bindgen(js_name = recognisedTicket)]
    pub fn recognised_ticket(&self, tab: i32) -> JsValue {
        self.inner.worker.borrow().recognised_ticket(tab).map_or(JsValue::NULL, |ticket| {
            to_js(&serde_json::json!({
                "number": ticket.number,
                "summary": ticket.summary,
                "customer": ticket.customer,
                "contact": ticket.contact,
                "status": ticket.status,
            }))
        })
    }
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

/// By way of a plain value: one writer for every type keeps the core small.
fn to_js<T: Serialize>(value: &T) -> JsValue {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.serialize(&serde_wasm_bindgen::Serializer::json_compatible()).unwrap_or(JsValue::NULL)
}
