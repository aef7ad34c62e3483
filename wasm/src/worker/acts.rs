//! What the person does: activation, extension, end, copying, choices in the form, shortcut and notifications.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use ticketgate_protocol::api::{Activate, Session};
use ticketgate_protocol::ids::{IdempotencyKey, SessionId};
use ticketgate_protocol::native::{Activated, Clipboard, CopyPassword, EndSession, ExtendSession, Method};
use ticketgate_protocol::problem::{Code, Problem};
use ticketgate_protocol::text::{NUMBER_MAX, REASON_MAX};
use ticketgate_protocol::ticket::Ticket;

use super::form::{Form, Source};
use super::memory::Choice;
use super::pages::Meaning;
use super::remaining;
use super::view::{Note, Tone};
use super::warnings::{self, About};
use super::{Asked, Effect, Intent, Purpose, READ_MS, Sender, Tab, Worker};

/// How long a failed activation is shown and can be repeated, in minutes.
const FAILED_MIN: i64 = 10;
/// How long the button in the page says that the account is ready, in seconds.
const READY_S: i64 = 10;
/// How long "done" stays on a session's card, in seconds.
const DONE_S: i64 = 6;

/// An activation, from the click to its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Job {
    /// What was asked for.
    pub(super) wanted: Activate,
    /// Its key; kept for a repeat when the first attempt may have been carried out.
    pub(super) key: IdempotencyKey,
    /// The customer's name.
    pub(super) customer: String,
    /// The policy's name.
    pub(super) policy: String,
    /// How it failed, if it did.
    pub(super) failed: Option<Failure>,
}

/// How an activation failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Failure {
    /// Why.
    pub(super) problem: Problem,
    /// When.
    at: DateTime<Utc>,
}

impl Job {
    /// Whether its answer is still awaited.
    pub(super) fn is_working(&self) -> bool {
        self.failed.is_none()
    }

    /// Whether it is for this ticket.
    pub(super) fn is_for(&self, ticket: &Ticket) -> bool {
        self.wanted.ticket.as_ref().is_some_and(|wanted| wanted.is_same_as(ticket))
    }

    /// When a failed one is no news any more.
    pub(super) fn until(&self) -> Option<DateTime<Utc>> {
        self.failed.as_ref().map(|failure| failure.at + TimeDelta::minutes(FAILED_MIN))
    }
}

/// What is being done with a session, and how the last thing went.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Doing {
    /// What is under way.
    pub(super) busy: Option<Act>,
    /// The key of an act that may have been carried out without an answer.
    retry_key: Option<(Act, IdempotencyKey)>,
    /// How the last thing went.
    pub(super) note: Option<Note>,
    /// When the note goes.
    until: Option<DateTime<Utc>>,
    /// That the account is ready, for the button in the page, and until when it says so.
    ready: Option<(String, DateTime<Utc>)>,
}

/// Something done with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Its end is moved by so many seconds.
    Extend(i64),
    /// It is ended.
    End,
    /// Its password is copied.
    Copy,
}

impl Doing {
    fn nothing() -> Self {
        Self { busy: None, retry_key: None, note: None, until: None, ready: None }
    }

    /// When what it says changes next.
    pub(super) fn next(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let ready = self.ready.as_ref().map(|(_, until)| *until);
        self.until.into_iter().chain(ready).filter(|until| now < *until).min()
    }

    /// That the account is ready, right after the activation.
    pub(super) fn ready_at(&self, now: DateTime<Utc>) -> Option<&str> {
        self.ready.as_ref().filter(|(_, until)| now < *until).map(|(text, _)| text.as_str())
    }

    /// The note, while it is shown.
    pub(super) fn note_at(&self, now: DateTime<Utc>) -> Option<&Note> {
        self.note.as_ref().filter(|_| self.until.is_none_or(|until| now < until))
    }
}

/// Whether a request with this answer may have been carried out all the same, so that a repeat needs the same key.
fn may_have_happened(problem: &Problem) -> bool {
    matches!(
        problem.code,
        Code::TimedOut
            | Code::BrokerUnreachable
            | Code::Internal
            | Code::Stopping
            | Code::MalformedRequest
            | Code::Unknown
    )
}

impl Worker {
    fn new_idempotency_key(&mut self) -> Option<IdempotencyKey> {
        IdempotencyKey::new(self.around.new_key()).ok()
    }

    pub(super) fn connected(
        &mut self,
        port: u32,
        name: &str,
        sender: &Sender,
        front: Option<Tab>,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) {
        let own = format!("chrome-extension://{}/", self.id);
        let is_own = sender.id.as_deref() == Some(self.id.as_str())
            && sender.url.as_deref().is_some_and(|url| url.starts_with(&own));
        if !is_own || name != "popup" {
            out.push(Effect::Refuse { port });
            return;
        }
        self.popups.push(port);
        if let Some(front) = front {
            if !self.last.pages.has_script(front.id) {
                // A click on the toolbar allows this one tab; without that it fails and nothing is lost.
                self.last.sites.point_at(front.id);
                out.push(Effect::Inject { tab: front.id });
            }
            self.front = Some(front);
        }
        // The person looks: whatever kept us from trying is worth another attempt now.
        self.link.retry();
        let is_fresh = self.last.overview_at.is_some_and(|at| now - at < TimeDelta::seconds(5));
        if !is_fresh || self.overview_problem.is_some() {
            self.overview_due = Some(now);
            self.overview_failures = 0;
        }
        self.prepare_form(now);
    }

    /// The form for the tab in front, unless one that the person works on is about the same ticket.
    pub(super) fn prepare_form(&mut self, _now: DateTime<Utc>) {
        let shown = self
            .front
            .as_ref()
            .and_then(|tab| self.last.pages.ticket_of(tab.id).map(|found| (tab.id, found)));
        let ticket = shown.as_ref().map(|(_, (_, _, found))| found.ticket.clone());
        let source =
            shown.as_ref().map(|(tab, (_, page, _))| Source { tab: *tab, document: page.document.clone() });
        if let Some(form) = &self.last.form {
            let same = match (&form.page, &ticket) {
                (Some(a), Some(b)) => a.is_same_as(b),
                (None, None) => true,
                _ => false,
            };
            if same {
                if let Some(form) = &mut self.last.form
                    && form.touched
                {
                    form.source = source;
                    return;
                }
            } else if form.caution.is_some() && form.touched {
                return;
            }
        }
        self.new_form(ticket, source, None);
    }

    pub(super) fn new_form(
        &mut self,
        ticket: Option<Ticket>,
        source: Option<Source>,
        caution: Option<String>,
    ) {
        let reason = ticket.as_ref().and_then(|t| self.template.reason(t)).unwrap_or_default();
        let mut form =
            Form::new(self.next_serial, ticket, source, reason, self.last.overview.as_ref(), &self.memory);
        form.caution = caution;
        // The same content keeps its number, so that a field that is being read is not drawn anew.
        if let Some(old) = &self.last.form {
            form.serial = old.serial;
            if *old == form {
                return;
            }
            form.serial = self.next_serial;
        }
        self.next_serial += 1;
        self.last.form = Some(form);
    }

    pub(super) fn intend(&mut self, intent: Intent, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        match intent {
            Intent::Activate { serial } => self.activate_form(serial, now, out),
            Intent::Extend { session } => self.extend(&session, now, out),
            Intent::End { session } => self.end(&session, now, out),
            Intent::CopyPassword { session } => self.copy_password(&session, now, out),
            Intent::PickCustomer { customer } => {
                if let (Some(form), Some(overview)) = (&mut self.last.form, &self.last.overview) {
                    form.pick_customer(customer, overview, &self.memory);
                }
            }
            Intent::PickPolicy { policy } => {
                if let (Some(form), Some(overview)) = (&mut self.last.form, &self.last.overview) {
                    form.pick_policy(policy, overview, &self.memory);
                }
            }
            Intent::PickDuration { seconds } => {
                if let (Some(form), Some(overview)) = (&mut self.last.form, &self.last.overview) {
                    form.pick_duration(seconds, overview);
                }
            }
            Intent::EditReason { text } => {
                if let Some(form) = self.last.form.as_mut().filter(|_| text.len() <= 8 * REASON_MAX) {
                    form.write_reason(&text);
                }
            }
            Intent::EditTicket { text } => self.edit_ticket(text),
            Intent::UsePageTicket {} => {
                self.last.form = None;
                self.prepare_form(now);
            }
            Intent::Reconnect {} => self.reconnect(now),
            Intent::RetryJob {} => self.retry_job(now, out),
            Intent::Dismiss {} => {
                if self.last.job.as_ref().is_some_and(|job| !job.is_working()) {
                    self.last.job = None;
                }
            }
            Intent::ShowButtonAgain {} => self.show_button_again(),
        }
    }

    fn edit_ticket(&mut self, text: String) {
        if text.len() > 8 * NUMBER_MAX {
            return;
        }
        let Some(form) = &mut self.last.form else { return };
        form.number = text;
        form.touched = true;
        if !form.reason_touched {
            form.reason = form.ticket().and_then(|t| self.template.reason(&t)).unwrap_or_default();
        }
    }

    fn show_button_again(&mut self) {
        let Some(tab) = self.front.as_ref().map(|tab| tab.id) else { return };
        let Some((_, page, _)) = self.last.pages.ticket_of(tab) else { return };
        let (origin, document) = (page.origin.clone(), page.document.clone());
        self.memory.unhide(&origin);
        if let Some(page) = self.last.pages.document_mut(tab, &document) {
            page.hidden_for = None;
        }
    }

    fn activate_form(&mut self, serial: u32, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        // The form changed under the click: the person has not seen what would be activated.
        if self.is_activating() || self.last.form.as_ref().is_none_or(|form| form.serial != serial) {
            return;
        }
        let Some(source) = self.last.form.as_ref().and_then(|form| form.source.clone()) else {
            self.activate_form_now(now, out);
            return;
        };
        // What the page shows at the click counts: it may have moved on under the popup, or been loaded again.
        let shows = self.last.pages.ticket_of(source.tab).map(|(_, page, _)| page.document.clone());
        self.look(source.tab, &shows.unwrap_or(source.document), Purpose::Activate, now, out);
    }

    /// Forgets a failed activation that is no news any more.
    pub(super) fn forget_old_job(&mut self, now: DateTime<Utc>) {
        if self.last.job.as_ref().and_then(Job::until).is_some_and(|until| until <= now) {
            self.last.job = None;
        }
    }

    /// Whether an activation is under way or about to be.
    fn is_activating(&self) -> bool {
        self.last.job.as_ref().is_some_and(Job::is_working)
            || self.asked.values().any(|a| !matches!(a.purpose, Purpose::Look))
    }

    pub(super) fn look(
        &mut self,
        tab: i32,
        document: &str,
        purpose: Purpose,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) {
        let ask = self.next_ask;
        self.next_ask += 1;
        let until = now + TimeDelta::milliseconds(READ_MS);
        let spoken = self.last.pages.document(tab, document).map(|page| page.spoken);
        self.asked.insert(ask, Asked { tab, document: document.to_owned(), spoken, purpose, until });
        let frame = self.last.pages.frame_of(tab, document).unwrap_or_default();
        out.push(Effect::Read { tab, document: document.to_owned(), frame, ask });
    }

    pub(super) fn activate_form_now(&mut self, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        let Some(wanted) = self.form_request() else { return };
        self.activate(wanted, now, out);
    }

    fn form_request(&self) -> Option<Activate> {
        let overview = self.last.overview.as_ref()?;
        self.last.form.as_ref()?.request(overview).ok()
    }

    /// Activates what a button or the shortcut stands for.
    pub(super) fn activate_meaning(
        &mut self,
        meaning: &Meaning,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) -> bool {
        if self.is_activating() {
            return true;
        }
        let (Some(customer), Some(policy)) = (&meaning.customer, &meaning.policy) else { return false };
        let Some(reason) = self.template.reason(&meaning.ticket) else { return false };
        let wanted = Activate {
            customer: Some(customer.clone()),
            policy: policy.clone(),
            duration_s: i64::from(meaning.duration_s),
            reason,
            ticket: Some(meaning.ticket.clone()),
        };
        self.activate(wanted, now, out);
        true
    }

    fn activate(&mut self, wanted: Activate, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        let old = self.last.job.take();
        let key = match old {
            // The same wish again after an attempt that may have succeeded: the broker finds the first result.
            Some(job)
                if job.wanted == wanted
                    && job.failed.as_ref().is_some_and(|f| may_have_happened(&f.problem)) =>
            {
                Some(job.key)
            }
            _ => self.new_idempotency_key(),
        };
        let Some(key) = key else { return };
        let name = |found: Option<String>, id: &str| found.unwrap_or_else(|| id.to_owned());
        let overview = self.last.overview.as_ref();
        let customer =
            overview.and_then(|o| o.customers.iter().find(|c| Some(&c.id) == wanted.customer.as_ref()));
        let policy = overview.and_then(|o| o.policies.iter().find(|p| p.id == wanted.policy));
        self.last.job = Some(Job {
            customer: customer.map(|c| c.name.clone()).unwrap_or_default(),
            policy: name(policy.map(|p| p.name.clone()), wanted.policy.as_str()),
            wanted: wanted.clone(),
            key: key.clone(),
            failed: None,
        });
        self.link.retry();
        self.link.ask(Method::Activate(wanted), Some(key), now, out);
    }

    pub(super) fn activated(
        &mut self,
        wanted: &Activate,
        key: Option<&IdempotencyKey>,
        result: Result<Activated, Problem>,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) {
        let is_current = self.last.job.as_ref().is_some_and(|job| Some(&job.key) == key);
        match result {
            Ok(activated) => {
                if is_current {
                    self.last.job = None;
                    self.last.form = None;
                }
                if let Some(overview) = &self.last.overview
                    && let Ok(duration_s) = u32::try_from(wanted.duration_s)
                {
                    let choice = Choice { policy: wanted.policy.clone(), duration_s };
                    let customer = activated.session.customer.clone();
                    self.memory.remember(overview.technician.clone(), customer, choice);
                }
                let Activated { session, clipboard } = activated;
                self.hear(session.clone(), now, out);
                self.say_ready(&session, &clipboard, now, out);
                self.say_clipboard(&session.id, clipboard, now);
                self.prepare_form(now);
            }
            Err(problem) => {
                if let Some(job) = self.last.job.as_mut().filter(|_| is_current) {
                    if self.popups.is_empty() {
                        out.push(warnings::not_activated(&job.policy, &job.customer, &problem));
                    }
                    job.failed = Some(Failure { problem, at: now });
                }
            }
        }
    }

    /// Says in the page, where the person clicked, which account is ready and whether its password is at hand; where no
    /// button shows it, or the password has to be fetched, a notification does.
    fn say_ready(
        &mut self,
        session: &Session,
        clipboard: &Clipboard,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) {
        let who = session.account.as_ref().unwrap_or(&session.policy_name);
        let text = match clipboard {
            Clipboard::Copied { .. } => format!("{who} is ready · password copied"),
            Clipboard::Unavailable { .. } => format!("{who} is ready · password not copied"),
            Clipboard::NotNeeded | Clipboard::Unknown => format!("{who} is ready"),
        };
        let is_told = session.ticket.as_ref().is_some_and(|ticket| self.last.pages.has_button_for(ticket));
        let is_missing = matches!(clipboard, Clipboard::Unavailable { .. });
        if self.popups.is_empty() && (is_missing || !is_told) {
            out.push(warnings::ready(session, &text, is_missing));
        }
        let doing = self.doing.or_insert_with(session.id.clone(), Doing::nothing);
        doing.ready = Some((text, now + TimeDelta::seconds(READY_S)));
    }

    fn say_clipboard(&mut self, session: &SessionId, clipboard: Clipboard, now: DateTime<Utc>) {
        let (tone, text, until) = match clipboard {
            Clipboard::Copied { clears_at } => {
                let left = remaining::seconds(clears_at, self.broker_now(now)).max(1);
                let until = now + TimeDelta::seconds(left);
                (Tone::Good, format!("Password copied; cleared after {left} s."), Some(until))
            }
            Clipboard::Unavailable { problem } => {
                let text = format!("{} Run: ticketgate password {session}", problem.detail);
                (Tone::Amber, text, None)
            }
            Clipboard::NotNeeded => {
                let text = "Your own account has the rights. Log on again where they do not show yet.";
                (Tone::Good, text.to_owned(), Some(now + TimeDelta::seconds(30)))
            }
            Clipboard::Unknown => return,
        };
        let doing = self.doing.or_insert_with(session.clone(), Doing::nothing);
        doing.note = Some(Note { tone, text });
        doing.until = until;
    }

    /// By how long Extend moves a session's end now, in seconds.
    fn extends_by(&self, session: &SessionId) -> Option<i64> {
        warnings::extension(self.last.sessions.get(session)?, self.last.overview.as_ref())
    }

    fn extend(&mut self, session: &SessionId, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        let Some(by_s) = self.extends_by(session) else { return };
        let method = Method::Extend(ExtendSession { session: session.clone(), by_s });
        self.act(session, Act::Extend(by_s), method, now, out);
    }

    fn end(&mut self, session: &SessionId, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        if self.last.sessions.get(session).is_none() {
            return;
        }
        let method = Method::End(EndSession { session: session.clone() });
        self.act(session, Act::End, method, now, out);
    }

    fn copy_password(&mut self, session: &SessionId, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        let Some(found) = self.last.sessions.get(session) else { return };
        let renew = !found.password_held;
        let method = Method::CopyPassword(CopyPassword { session: session.clone(), renew });
        self.act(session, Act::Copy, method, now, out);
    }

    fn act(
        &mut self,
        session: &SessionId,
        act: Act,
        method: Method,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) {
        let new_key = self.new_idempotency_key();
        let doing = self.doing.or_insert_with(session.clone(), Doing::nothing);
        if doing.busy.is_some() {
            return;
        }
        let key = match doing.retry_key.take() {
            Some((before, key)) if before == act => Some(key),
            _ => new_key,
        };
        doing.busy = Some(act);
        doing.note = None;
        doing.until = None;
        let key = if method.mutates() { key } else { None };
        doing.retry_key = key.clone().map(|key| (act, key));
        self.link.retry();
        self.link.ask(method, key, now, out);
    }

    pub(super) fn acted(
        &mut self,
        session: &SessionId,
        result: Result<Session, Problem>,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) {
        let clock = result.as_ref().ok().map(|s| self.around.clock_text(s.expires_at));
        let doing = self.doing.or_insert_with(session.clone(), Doing::nothing);
        let act = doing.busy.take();
        match result {
            Ok(heard) => {
                doing.retry_key = None;
                if let (Some(Act::Extend(_)), Some(clock)) = (act, clock) {
                    doing.note =
                        Some(Note { tone: Tone::Good, text: format!("Extended. It ends at {clock} now.") });
                    doing.until = Some(now + TimeDelta::seconds(DONE_S));
                }
                self.hear(heard, now, out);
            }
            Err(problem) => {
                if !may_have_happened(&problem) {
                    doing.retry_key = None;
                }
                if problem.code == Code::UnknownSession {
                    self.overview_due = Some(now);
                }
                let text = sentence(&problem);
                doing.note = Some(Note { tone: Tone::Red, text: text.clone() });
                doing.until = None;
                if self.popups.is_empty() {
                    // Asked for by a notification's button: nobody sees the card.
                    out.push(Effect::Notify {
                        id: format!("end {session}"),
                        title: if matches!(act, Some(Act::Extend(_))) { "Not extended" } else { "Not ended" }
                            .into(),
                        message: text.replace('`', ""),
                        buttons: Vec::new(),
                        stay: true,
                    });
                }
            }
        }
    }

    pub(super) fn copied(
        &mut self,
        session: &SessionId,
        result: Result<Clipboard, Problem>,
        now: DateTime<Utc>,
    ) {
        if let Some(doing) = self.doing.get_mut(session) {
            doing.busy = None;
        }
        match result {
            Ok(clipboard) => self.say_clipboard(session, clipboard, now),
            Err(problem) => {
                if problem.code == Code::PasswordGone {
                    self.overview_due = Some(now);
                }
                let doing = self.doing.or_insert_with(session.clone(), Doing::nothing);
                doing.note = Some(Note { tone: Tone::Red, text: sentence(&problem) });
                doing.until = None;
            }
        }
    }

    fn reconnect(&mut self, now: DateTime<Utc>) {
        self.link.retry();
        self.overview_due = Some(now);
        self.overview_failures = 0;
    }

    fn retry_job(&mut self, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        let failed = self.last.job.as_ref().filter(|job| !job.is_working()).map(|job| job.wanted.clone());
        if let Some(wanted) = failed {
            self.activate(wanted, now, out);
        }
    }

    pub(super) fn shortcut(&mut self, tab: Option<Tab>, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        let Some(tab) = tab else {
            out.push(Effect::OpenPopup { tab: None, window: None });
            return;
        };
        let (id, window) = (tab.id, tab.window);
        self.front = Some(tab);
        let shown =
            self.last.pages.ticket_of(id).map(|(_, page, found)| (page.document.clone(), found.clone()));
        if let Some((document, found)) = shown
            && let Some(meant) = self.meaning(&found).filter(|m| m.one_click)
            && self.session_for(&meant.ticket).is_none()
        {
            let purpose = Purpose::Shortcut { meant: Box::new(meant), window: Some(window) };
            self.look(id, &document, purpose, now, out);
            return;
        }
        self.prepare_form(now);
        out.push(Effect::OpenPopup { tab: Some(id), window: Some(window) });
    }

    pub(super) fn notification(
        &mut self,
        id: &str,
        button: Option<u32>,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) {
        out.push(Effect::ClearNotice { id: id.to_owned() });
        match (warnings::about(id), button) {
            (Some(About::Ending(session)), Some(index)) => {
                match self.last.warnings.pressed(&session, index) {
                    Some(warnings::Button::End) => self.end(&session, now, out),
                    Some(warnings::Button::Extend(by)) if self.extends_by(&session) == Some(by) => {
                        self.extend(&session, now, out);
                    }
                    // The policy has changed since: the popup says what it allows now.
                    Some(warnings::Button::Extend(_)) | None => self.open_popup(out),
                }
            }
            (Some(_), _) => self.open_popup(out),
            (None, _) => {}
        }
    }

    fn open_popup(&self, out: &mut Vec<Effect>) {
        let tab = self.front.as_ref().map(|tab| tab.id);
        out.push(Effect::OpenPopup { tab, window: None });
    }

    pub(super) fn tab_updated(&mut self, tab: i32, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        // The browser takes a tab's own icon away when it navigates.
        self.shown.icons.remove(&tab);
        let documents: Vec<String> = self
            .last
            .pages
            .tabs()
            .filter(|(id, _)| *id == tab)
            .flat_map(|(_, pages)| pages.frames.values().map(|page| page.document.clone()))
            .collect();
        for document in documents {
            let is_asked = self
                .asked
                .values()
                .any(|a| a.tab == tab && a.document == document && a.purpose == Purpose::Look);
            if !is_asked {
                self.look(tab, &document, Purpose::Look, now, out);
            }
        }
    }
}

/// A problem in one text.
pub(super) fn sentence(problem: &Problem) -> String {
    if problem.remedy.is_empty() {
        problem.detail.clone()
    } else {
        format!("{} {}", problem.detail, problem.remedy)
    }
}
