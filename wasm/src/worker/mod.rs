//! The worker's state machine: what happened goes in, what is to be done comes out. Pure: no browser, no clock, no
//! randomness of its own, so that every sequence of events can be played in a native test.
//!
//! Effects are the difference between what is wanted and what was last shown ([`Worker::settle`]): badge, icons,
//! buttons, timers, notifications and saved state are computed whole after every input, never changed step by step.

mod acts;
mod answers;
mod attempts;
mod broker_clock;
mod cards;
mod channel;
mod compose;
mod customers;
mod doing;
mod effect;
mod form;
mod hosts;
mod input;
mod job;
mod kept;
mod link;
mod lookup;
mod marks;
mod memory;
mod overview;
mod pages;
pub mod remaining;
mod rules;
mod sessions;
mod shelf;
mod show;
mod signing_in;
mod sites;
mod times;
mod trouble;
pub mod view;
mod warnings;

use chrono::{DateTime, Utc};
use ticketgate_protocol::api::{Activate, Overview, Session};
use ticketgate_protocol::page::Facts;
use ticketgate_protocol::problem::Problem;
use ticketgate_protocol::ticket::Ticket;
use ticketgate_protocol::tree::{FromJson, Json, ToTree, Tree};

pub use effect::Effect;
pub use input::{Input, Intent, Sender, Started, Tab};

use broker_clock::BrokerClock;
use doing::Doing;
use form::Form;
use job::Job;
use link::{Link, Saved};
use lookup::Lookups;
use memory::Memory;
use pages::Pages;
use rules::AllRules;
use sessions::Sessions;
use shelf::Shelf;
use sites::Sites;
use warnings::Warnings;

use crate::reason::Template;
use ticketgate_recognise::Recognition;

/// How long a document may take to say what it shows, in milliseconds.
const READ_MS: i64 = 800;
/// What the state machine takes from the browser besides events.
pub trait Surroundings {
    /// A new random key (a UUID).
    fn new_key(&mut self) -> String;
    /// A time of day as the person writes it, with seconds.
    fn clock_text(&self, at: DateTime<Utc>) -> String;
}

/// What survives a restart of the worker but not of the browser.
#[derive(Debug, Clone, Default, PartialEq, FromJson, ToTree)]
struct Lasting {
    #[serde(default)]
    clock: BrokerClock,
    overview: Option<Overview>,
    overview_at: Option<DateTime<Utc>>,
    #[serde(default)]
    sessions: Sessions,
    #[serde(default)]
    warnings: Warnings,
    #[serde(default)]
    pages: Pages,
    #[serde(default)]
    sites: Sites,
    #[serde(default)]
    lookups: Lookups,
    form: Option<Form>,
    job: Option<Job>,
    /// The tab that the popup is about, and that it would be about while none is open.
    front: Option<Tab>,
    #[serde(default)]
    pending: Vec<Saved>,
    /// See [`attempts`].
    #[serde(default)]
    unsure: Vec<Saved>,
    /// The broker last said that nobody is signed in.
    #[serde(default)]
    signed_out: bool,
}

/// A question put to a document, and what its answer is for.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    tab: i32,
    document: String,
    /// How often the document had spoken when it was asked.
    spoken: Option<u32>,
    purpose: Purpose,
    until: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq)]
enum Purpose {
    /// Whether it is still there, and what it shows now.
    Look,
    /// The shortcut: activate, or open the popup.
    Shortcut { meant: Box<pages::Meaning>, window: Option<i32> },
    /// The popup's Activate: go on if the form still stands for this and the page still shows its ticket.
    Activate { wanted: Box<Activate> },
}

/// What the browser shows now, as far as we set it.
#[derive(Debug, Default)]
struct Shown {
    badge: Option<(String, &'static str, String)>,
    icons: Shelf<i32, (bool, String)>,
    alarm: Option<DateTime<Utc>>,
    timer: Option<DateTime<Utc>>,
    views: Shelf<u32, Tree>,
    /// What was kept for the next popup; not known after a start.
    kept: Option<Tree>,
    /// As trees, which know how to be compared and copied for every type that is in them.
    lasting: Tree,
    memory: Tree,
    registered: Option<Vec<String>>,
}

/// The state machine.
pub struct Worker {
    around: Box<dyn Surroundings>,
    rules: AllRules,
    template: Template,
    managed_template: Option<String>,
    id: String,
    version: String,
    started: bool,
    last: Lasting,
    memory: Memory,
    link: Link,
    doing: Shelf<ticketgate_protocol::ids::SessionId, Doing>,
    popups: Vec<u32>,
    managed: Vec<String>,
    curious: bool,
    overview_problem: Option<Problem>,
    overview_failures: usize,
    overview_due: Option<DateTime<Utc>>,
    overview_asked: Option<DateTime<Utc>>,
    /// Why the last attempt to sign in did not succeed.
    unsigned: Option<Problem>,
    asked: Shelf<u32, Asked>,
    next_ask: u32,
    next_serial: u32,
    update_waits: bool,
    shown: Shown,
}

impl Worker {
    /// A state machine that has not started yet.
    #[must_use]
    pub fn new(around: Box<dyn Surroundings>) -> Self {
        Self {
            around,
            rules: AllRules::default(),
            template: Template::default(),
            managed_template: None,
            id: String::new(),
            version: String::new(),
            started: false,
            last: Lasting::default(),
            memory: Memory::default(),
            link: Link::default(),
            doing: Shelf::default(),
            popups: Vec::new(),
            managed: Vec::new(),
            curious: false,
            overview_problem: None,
            overview_failures: 0,
            overview_due: None,
            overview_asked: None,
            unsigned: None,
            asked: Shelf::default(),
            next_ask: 1,
            next_serial: 1,
            update_waits: false,
            shown: Shown::default(),
        }
    }

    /// Something happened at `now` (the browser's clock): answers what is to be done, in order.
    pub fn handle(&mut self, input: Input, now: DateTime<Utc>) -> Vec<Effect> {
        let mut out = Vec::new();
        let starts = matches!(input, Input::Started(_));
        // Before the saved state is there nothing can be judged; JavaScript sends `started` first.
        if !self.started && !starts {
            return out;
        }
        self.take(input, now, &mut out);
        // A start has nothing new, and somebody may be waiting for what comes next.
        if !starts {
            self.settle_kept(now, &mut out);
        }
        self.settle(now, &mut out);
        out
    }

    fn take(&mut self, input: Input, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        match input {
            Input::Started(started) => self.start(started, now, out),
            Input::Installed {} => out.push(Effect::InjectInto { patterns: None }),
            Input::Page { sender, message } => self.hear_page(&sender, &message, now, out),
            Input::PageRead { ask, facts } => self.page_read(ask, facts.as_deref(), now, out),
            Input::Connected { port, name, sender, front } => {
                self.connected(port, &name, &sender, front, now, out);
            }
            Input::Disconnected { port } => {
                self.popups.retain(|open| *open != port);
                self.shown.views.remove(&port);
            }
            Input::Intent { port, intent } if self.popups.contains(&port) => self.intend(intent, now, out),
            Input::Intent { .. } => {}
            Input::Frame { text } => {
                let json = Json::read(&text).ok();
                let outcomes = self.link.frame(json.as_ref(), now, out);
                self.take_outcomes(outcomes, now, out);
            }
            Input::PortClosed { error } => {
                let outcomes = self.link.closed(error.as_deref(), now, out);
                self.take_outcomes(outcomes, now, out);
            }
            Input::Alarm {} => {
                self.shown.alarm = None;
                self.on_time(now, out);
            }
            Input::Timer {} => {
                self.shown.timer = None;
                self.on_time(now, out);
            }
            Input::Shortcut { tab } => self.shortcut(tab, now, out),
            Input::NotificationClicked { id, button } => self.notification(&id, button, now, out),
            Input::TabUpdated { tab } => self.tab_updated(tab, now, out),
            Input::TabRemoved { tab } => {
                self.last.pages.forget(tab);
                self.last.sites.forget(tab);
                self.last.front.take_if(|front| front.id == tab);
                self.shown.icons.remove(&tab);
            }
            Input::Origins { origins } => self.hear_sites(&origins, now, out),
            Input::Managed { settings } => {
                self.hear_managed_rules(settings.rules.clone(), out);
                self.administer(settings);
            }
            Input::UpdateAvailable {} => self.update_waits = true,
        }
    }

    fn start(&mut self, started: Started, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        self.started = true;
        self.id = started.id;
        self.version = started.version;
        self.restore_rules(started.rules.as_deref(), started.managed.rules.clone());
        self.administer(started.managed);
        // What cannot be read was written by another version: begin anew, the broker has the truth.
        self.memory = started.local.and_then(|text| saved(&text)).unwrap_or_default();
        self.shown.memory = self.memory.to_tree();
        self.last = started.session.and_then(|text| saved(&text)).unwrap_or_default();
        self.choose_template();
        self.last.pages.keep_only(&started.tabs);
        self.last.front.take_if(|front| !started.tabs.contains(&front.id));
        // The change of permissions that woke the worker is in these already.
        self.hear_sites(&started.origins, now, out);
        self.next_serial = self.last.form.as_ref().map_or(1, |form| form.serial + 1);
        self.link.restore(std::mem::take(&mut self.last.pending));
        if self.last.job.as_ref().is_some_and(Job::is_working) && !self.link.is_asking("activate") {
            // The worker was stopped between the click and the request.
            self.last.job = None;
        }
        self.curious = true;
    }

    /// The browser's policy says how reasons are made, else the broker's configuration does. Reasons that nobody has
    /// touched follow.
    fn choose_template(&mut self) {
        let broker = self.last.overview.as_ref().and_then(|o| o.reason_template.as_ref());
        let chosen = self.managed_template.as_ref().or(broker);
        let template = chosen.and_then(|text| text.parse().ok()).unwrap_or_default();
        if template == self.template {
            return;
        }
        self.template = template;
        if let Some(form) = self.last.form.as_mut().filter(|form| !form.reason_touched)
            && let Some(reason) = form.ticket().and_then(|ticket| self.template.reason(&ticket))
        {
            form.reason = reason;
        }
    }

    /// The administrator's settings; a template that is at fault leaves the usual one in force.
    fn administer(&mut self, settings: input::Managed) {
        self.managed = settings.hosts;
        self.managed_template = settings.template;
        self.choose_template();
    }

    fn on_time(&mut self, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        let outcomes = self.link.time(now, out);
        self.take_outcomes(outcomes, now, out);
        let late: Vec<u32> = self.asked.iter().filter(|(_, a)| a.until <= now).map(|(id, _)| *id).collect();
        for ask in late {
            // A busy page is not a page that is gone: what it said last stands.
            if let Some(asked) = self.asked.remove(&ask) {
                self.carry_on(asked, false, now, out);
            }
        }
    }

    fn hear(&mut self, session: Session, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        if let Some(over) = self.last.sessions.hear(session, now) {
            self.is_over(&over, out);
        }
    }

    fn is_over(&mut self, session: &Session, out: &mut Vec<Effect>) {
        self.doing.remove(&session.id);
        self.last.warnings.over(session, !self.popups.is_empty(), out);
    }

    /// The broker's clock.
    fn broker_now(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + self.last.clock.ahead()
    }

    /// What the facts of a page at this address amount to, for support and for measuring.
    #[must_use]
    pub fn recognise(&self, url: &str, facts: &Facts) -> Recognition {
        self.rules().recognise(url, facts)
    }

    /// The ticket that a tab shows, for tests and support.
    #[must_use]
    pub fn recognised_ticket(&self, tab: i32) -> Option<&Ticket> {
        self.last.pages.ticket_of(tab).map(|(_, _, found)| &found.ticket)
    }

    /// Whether something needs the port.
    fn needs_port(&self) -> bool {
        !self.popups.is_empty()
            || self.curious
            || self.last.sessions.any_live()
            || self.last.job.as_ref().is_some_and(Job::is_working)
    }

    fn settle(&mut self, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        self.last.sessions.forget_old(now);
        self.forget_old_job(now);
        self.settle_overview(now, out);
        self.settle_lookups(now, out);
        let needed = self.needs_port();
        let version = self.version.clone();
        self.link.settle(needed, &version, now, out);
        if self.gives_up_curiosity() {
            self.curious = false;
        }
        let broker_now = self.broker_now(now);
        self.last.warnings.settle(&self.last.sessions, self.last.overview.as_ref(), broker_now, out);
        self.settle_hosts(out);
        self.settle_toolbar(now, out);
        self.settle_chips(now, out);
        self.settle_popups(now, out);
        self.settle_times(now, out);
        self.settle_saved(out);
        if self.update_waits && !self.needs_port() && !self.link.is_busy() {
            out.push(Effect::Reload {});
        }
    }

    fn settle_saved(&mut self, out: &mut Vec<Effect>) {
        self.last.pending = self.link.lasting();
        let lasting = self.last.to_tree();
        if self.shown.lasting != lasting {
            out.push(Effect::SaveSession { text: lasting.to_json() });
            self.shown.lasting = lasting;
        }
        let memory = self.memory.to_tree();
        if self.shown.memory != memory {
            out.push(Effect::SaveLocal { text: memory.to_json() });
            self.shown.memory = memory;
        }
    }
}

/// What was saved.
fn saved<T: FromJson>(text: &str) -> Option<T> {
    T::parse(text).ok()
}

#[cfg(test)]
mod tests;
