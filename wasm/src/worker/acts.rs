//! What the person does: opening the popup, choices in the form, shortcut and notifications.

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_protocol::text::{NUMBER_MAX, REASON_MAX};

use super::form::{Chosen, Form, Source};
use super::lookup::Filled;
use super::warnings::{self, About};
use super::{Asked, Effect, Intent, Purpose, READ_MS, Sender, Tab, Worker, customers};

impl Worker {
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
            self.last.front = Some(front);
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
            .last
            .front
            .as_ref()
            .and_then(|tab| self.last.pages.ticket_of(tab.id).map(|found| (tab.id, found)));
        let ticket = shown.as_ref().map(|(_, (_, _, found))| self.filled(found));
        let source =
            shown.as_ref().map(|(tab, (_, page, _))| Source { tab: *tab, document: page.document.clone() });
        if let Some(form) = &self.last.form {
            let same = match (&form.page, &ticket) {
                (Some(a), Some(b)) => a.is_same_as(&b.ticket),
                (None, None) => true,
                _ => false,
            };
            if same {
                if let Some(form) = &mut self.last.form
                    && form.touched
                {
                    form.source = source;
                    self.fill_touched_form();
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
        ticket: Option<Filled>,
        source: Option<Source>,
        caution: Option<String>,
    ) {
        let reason = ticket.as_ref().and_then(|t| self.template.reason(&t.ticket)).unwrap_or_default();
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
            Intent::CopyPassword { session, directory } => self.copy_password(&session, directory, now, out),
            Intent::PickCustomer { customer } => {
                if let (Some(form), Some(overview)) = (&mut self.last.form, &self.last.overview) {
                    // What was chosen before is no longer meant.
                    if form.customer_by == Chosen::Before
                        && form.customer != customer
                        && let Some(company) = form.page.as_ref().and_then(customers::company_of)
                    {
                        self.memory.forget_company(&overview.technician, &company);
                    }
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
            Intent::EditReason { text, serial } => self.edit_reason(&text, serial),
            Intent::EditTicket { text } => self.edit_ticket(text),
            Intent::UsePageTicket {} => {
                self.last.form = None;
                self.prepare_form(now);
            }
            Intent::Reconnect {} => self.reconnect(now),
            Intent::SignIn {} => self.sign_in(now, out),
            Intent::RetryJob {} => self.retry_job(now, out),
            Intent::Dismiss {} => {
                if self.last.job.as_ref().is_some_and(|job| !job.is_working()) {
                    self.last.job = None;
                }
            }
            Intent::ShowButtonAgain {} => self.show_button_again(),
        }
    }

    fn edit_reason(&mut self, text: &str, serial: u32) {
        let Some(form) = self.last.form.as_mut().filter(|_| text.len() <= 8 * REASON_MAX) else { return };
        form.write_reason(text);
        if form.serial != serial {
            // Another text came while this one was on its way: what the person wrote counts, and is drawn again.
            form.serial = self.next_serial;
            self.next_serial += 1;
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
        let Some(tab) = self.last.front.as_ref().map(|tab| tab.id) else { return };
        let Some((_, page, _)) = self.last.pages.ticket_of(tab) else { return };
        let (origin, document) = (page.origin.clone(), page.document.clone());
        self.memory.unhide(&origin);
        if let Some(page) = self.last.pages.document_mut(tab, &document) {
            page.hidden_for = None;
        }
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

    fn reconnect(&mut self, now: DateTime<Utc>) {
        self.link.retry();
        self.overview_due = Some(now);
        self.overview_failures = 0;
    }

    pub(super) fn shortcut(&mut self, tab: Option<Tab>, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        let Some(tab) = tab else {
            out.push(Effect::OpenPopup { tab: None, window: None });
            return;
        };
        let (id, window) = (tab.id, tab.window);
        self.last.front = Some(tab);
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
        let tab = self.last.front.as_ref().map(|tab| tab.id);
        out.push(Effect::OpenPopup { tab, window: None });
    }

    pub(super) fn tab_updated(&mut self, tab: i32, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        // The browser takes a tab's own icon away when it navigates.
        self.shown.icons.remove(&tab);
        self.look_at_all(tab, now, out);
    }

    /// Asks every document of a tab what it shows; those that are gone with an old page do not answer and are forgotten.
    pub(super) fn look_at_all(&mut self, tab: i32, now: DateTime<Utc>, out: &mut Vec<Effect>) {
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
