//! Messages of content scripts. They name a ticket and nothing more: sender, tab, frame and document are the browser's
//! word, and the only thing a message can start is what the button in that document stood for when it was drawn.

use chrono::{DateTime, Utc};
use ticketgate_protocol::api::Activate;
use ticketgate_protocol::page::{ChipState, Facts, FromPage, HideFor, ToPage};
use ticketgate_protocol::ticket::Ticket;

use super::form::{self, Chosen, Form, Source};
use super::lookup::Answer;
use super::pages::{Found, Known, Meaning};
use super::{Asked, Effect, Purpose, Sender, Worker};
use ticketgate_recognise::Recognition;

impl Worker {
    pub(super) fn hear_page(
        &mut self,
        sender: &Sender,
        message: &str,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) {
        let Some(from) = Known::from(sender, &self.id) else { return };
        if !self.last.pages.may_speak(from.tab, now) || self.is_taken_back(&from) {
            return;
        }
        let Ok(message) = FromPage::from_json(message) else { return };
        match message {
            FromPage::Arrived => {
                let questions = self.rules().questions(&from.url);
                if from.frame == 0 {
                    // A page's frames may speak before the page itself; those of the page before do not answer any more.
                    self.look_at_all(from.tab, now, out);
                }
                if questions.is_some()
                    && let Some(page) = self.last.pages.arrived(&from)
                {
                    // Scripts that are put in anew take the button of those before away.
                    page.chip = None;
                }
                out.push(Effect::Answer { questions });
            }
            FromPage::Report(facts) => self.report(&from, &facts, now),
            // Whoever is about to click should find the broker's door open.
            FromPage::Near => self.curious |= self.last.pages.document(from.tab, &from.document).is_some(),
            FromPage::Click { token, facts } => self.click(&from, &token, &facts, now, out),
            FromPage::RefusedClick(_) => {}
            FromPage::Placement(placement) => {
                if self.last.pages.document(from.tab, &from.document).is_some() {
                    self.memory.place(&from.origin, placement);
                }
            }
            FromPage::HideButton(hide) => self.hide_button(&from, hide),
        }
    }

    fn found(&self, url: &str, facts: &Facts) -> Option<Found> {
        match self.rules().recognise(url, facts) {
            Recognition::Ticket(found) => Some(Found::from(&*found)),
            Recognition::NotATicketPage => None,
        }
    }

    fn report(&mut self, from: &Known, facts: &Facts, now: DateTime<Utc>) {
        let found = self.found(&from.url, facts);
        let Some(page) = self.last.pages.arrived(from) else { return };
        if page.hidden_for.is_some()
            && page.hidden_for.as_deref() != found.as_ref().map(|f| f.ticket.number.as_str())
        {
            page.hidden_for = None;
        }
        page.found = found;
        if from.active && self.popups.is_empty() {
            self.last.front = Some(from.tab_in_front());
        }
        self.page_changed(from.tab, now);
    }

    /// A popup that is open follows the page, unless the person has begun to type.
    pub(super) fn page_changed(&mut self, tab: i32, now: DateTime<Utc>) {
        if !self.popups.is_empty()
            && self.last.front.as_ref().is_some_and(|front| front.id == tab)
            && self.last.form.as_ref().is_none_or(|form| !form.touched)
        {
            self.prepare_form(now);
        }
    }

    fn click(&mut self, from: &Known, token: &str, facts: &Facts, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        // Nobody can click in a tab that is not in front.
        if !from.active {
            return;
        }
        let Some(chip) = self.last.pages.document(from.tab, &from.document).and_then(|p| p.chip.clone())
        else {
            return;
        };
        let found = self.found(&from.url, facts);
        if let Some(page) = self.last.pages.document_mut(from.tab, &from.document) {
            page.found.clone_from(&found);
        }
        if chip.view.token != token {
            // A click on a view that is no longer there; the button is drawn again, nothing else happens.
            out.push(Effect::Tell {
                tab: from.tab,
                document: from.document.clone(),
                message: ToPage::Show(chip.view),
            });
            return;
        }
        self.last.front = Some(from.tab_in_front());
        let fresh = found.as_ref().and_then(|found| self.meaning(found));
        let is_same = fresh.as_ref().is_some_and(|fresh| fresh.is_same_as(&chip.meaning));
        if chip.view.state == ChipState::Ready
            && is_same
            && chip.meaning.one_click
            && fresh.is_some_and(|fresh| fresh.one_click)
            && self.activate_meaning(&chip.meaning, now, out)
        {
            return;
        }
        let caution = (!is_same).then(|| changed(&chip.meaning.ticket, found.as_ref().map(|f| &f.ticket)));
        self.open_about(from.tab, Some(from.window), caution, now, out);
    }

    /// Opens the popup for what a tab shows, with a caution if something has to be looked at first.
    pub(super) fn open_about(
        &mut self,
        tab: i32,
        window: Option<i32>,
        caution: Option<String>,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) {
        match caution {
            None => self.prepare_form(now),
            Some(caution) => {
                let shown = self.last.pages.ticket_of(tab);
                let ticket = shown.map(|(_, _, found)| self.filled(found));
                let source = shown.map(|(_, page, _)| Source { tab, document: page.document.clone() });
                self.new_form(ticket, source, Some(caution));
                if let Some(form) = &mut self.last.form {
                    // Kept when the popup connects.
                    form.touched = true;
                }
            }
        }
        out.push(Effect::OpenPopup { tab: Some(tab), window });
    }

    fn hide_button(&mut self, from: &Known, hide: HideFor) {
        let Some(page) = self.last.pages.document_mut(from.tab, &from.document) else { return };
        page.hidden_for = page.found.as_ref().map(|f| f.ticket.number.clone());
        if hide == HideFor::Site {
            self.memory.hide(&from.origin);
        }
    }

    /// A document said what it shows now, or is gone.
    pub(super) fn page_read(
        &mut self,
        ask: u32,
        facts: Option<&str>,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) {
        let Some(asked) = self.asked.remove(&ask) else { return };
        let facts = facts.and_then(|text| Facts::from_json(text).ok());
        let page = self.last.pages.document(asked.tab, &asked.document);
        let url = page.map(|page| page.url.clone());
        // Its script was just being put in, or replaced, and has spoken since.
        let is_there = page.is_some_and(|page| Some(page.spoken) != asked.spoken);
        if let (Some(facts), Some(url)) = (&facts, &url) {
            let found = self.found(url, facts);
            if let Some(page) = self.last.pages.document_mut(asked.tab, &asked.document) {
                page.found = found;
            }
        } else if !is_there {
            self.last.pages.forget_document(asked.tab, &asked.document);
        }
        self.carry_on(asked, facts.is_some(), now, out);
    }

    /// Goes on with what a document was asked for. `is_fresh`: it has just said what it shows.
    pub(super) fn carry_on(
        &mut self,
        asked: Asked,
        is_fresh: bool,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) {
        let page = self.last.pages.document(asked.tab, &asked.document);
        let found = page.and_then(|page| page.found.clone());
        match asked.purpose {
            Purpose::Look => self.page_changed(asked.tab, now),
            Purpose::Shortcut { meant, window } => {
                let fresh = found.as_ref().and_then(|found| self.meaning(found));
                let is_same = fresh.as_ref().is_some_and(|fresh| fresh.is_same_as(&meant));
                let may = is_fresh && is_same && fresh.is_some_and(|fresh| fresh.one_click);
                if may && self.activate_meaning(&meant, now, out) {
                    return;
                }
                let caution = (!is_same).then(|| changed(&meant.ticket, found.as_ref().map(|f| &f.ticket)));
                self.open_about(asked.tab, window, caution, now, out);
            }
            Purpose::Activate { wanted } => {
                if self.still_holds(&wanted, is_fresh, found.as_ref()) {
                    self.activate(*wanted, now, out);
                }
            }
        }
    }

    /// Whether what was clicked may be activated after its page was read again: the page still shows its ticket, and the
    /// form, which follows page and broker meanwhile, still stands for it. Puts a caution on the form if not.
    fn still_holds(&mut self, wanted: &Activate, answered: bool, found: Option<&Found>) -> bool {
        let is_as_clicked = self.form_request().as_ref() == Some(wanted);
        let Some(form) = &mut self.last.form else { return false };
        let now_there = found.map(|f| &f.ticket);
        let caution = match &wanted.ticket {
            Some(before) if !is_typed(before) && !now_there.is_some_and(|now| before.is_same_as(now)) => {
                changed(before, now_there)
            }
            _ if !is_as_clicked => REPLACED.to_owned(),
            Some(before) if !is_typed(before) && !answered => unanswered(before),
            // The person typed the number: the popup shows all that is asked for.
            _ => return true,
        };
        form.caution = Some(caution);
        form.touched = true;
        // The next click is for what is on the screen, whatever the page does.
        form.source = None;
        false
    }

    /// What activating this ticket with one click would mean now; none while nothing is known of the technician's rights.
    pub(super) fn meaning(&self, found: &Found) -> Option<Meaning> {
        let filled = self.filled(found);
        let ticket = filled.ticket.clone();
        let Some(overview) = self.last.overview.as_ref().filter(|_| !self.last.signed_out) else {
            // The button then stands for signing in.
            let nothing = Meaning { ticket, customer: None, policy: None, duration_s: 0, one_click: false };
            return self.last.signed_out.then_some(nothing);
        };
        let gives_pause = filled.answer.as_ref().is_some_and(Answer::gives_pause);
        let form = Form::new(0, Some(filled), None, "-".into(), Some(overview), &self.memory);
        let policy = form.policy_in(overview);
        let is_exact =
            matches!(form.customer_by, Chosen::Ticket | Chosen::Domain | Chosen::Before | Chosen::System);
        Some(Meaning {
            ticket,
            customer: form.customer.clone().filter(|_| is_exact),
            policy: policy.map(|p| p.id.clone()).filter(|_| is_exact),
            duration_s: if is_exact { form.duration_s } else { 0 },
            one_click: is_exact
                && !gives_pause
                && found.number_is_sure()
                && found.is_beyond_doubt(form.customer_by)
                && policy.is_some_and(|p| p.one_click && form::durations(p).contains(&form.duration_s)),
        })
    }

    /// The session that runs for a ticket.
    pub(super) fn session_for(&self, ticket: &Ticket) -> Option<&ticketgate_protocol::api::Session> {
        // One begun by hand names the number alone.
        let is_for = |t: &Ticket| t.is_same_as(ticket) || (t.system.is_empty() && t.number == ticket.number);
        self.last.sessions.iter().find(|s| s.ticket.as_ref().is_some_and(is_for))
    }
}

/// What to tell the person when the form was filled anew under the click.
const REPLACED: &str =
    "What was clicked is no longer what stands here. Check everything, then activate again.";

/// Whether a ticket's number was typed rather than read: it names no system.
fn is_typed(ticket: &Ticket) -> bool {
    ticket.system.is_empty()
}

/// What to tell the person when a page could not be read again at the click.
fn unanswered(before: &Ticket) -> String {
    format!(
        "The page does not answer, so it may have moved on from ticket #{}. Check everything, then activate again.",
        before.number
    )
}

/// What to tell the person when a page no longer shows what was clicked.
fn changed(before: &Ticket, now: Option<&Ticket>) -> String {
    match now {
        Some(now) if now.number != before.number => format!(
            "The page shows ticket #{} now, no longer #{}. Check everything before you activate.",
            now.number, before.number
        ),
        Some(_) => "The ticket on the page changed. Check everything before you activate.".into(),
        None => format!(
            "The page no longer shows ticket #{}. Check everything before you activate.",
            before.number
        ),
    }
}
