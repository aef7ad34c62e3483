//! What the ticket system says of a ticket whose page does not say enough: the broker is asked once, before the click, and its
//! answer remembered for some minutes, and as long as a page shows the ticket. It fills in, and never takes what the page or the
//! person said; without one the person types as ever.

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_protocol::api::{Overview, TicketQuestion, TicketTold};
use ticketgate_protocol::ids::CustomerId;
use ticketgate_protocol::native::Method;
use ticketgate_protocol::problem::{Code, Problem};
use ticketgate_protocol::text::{self, FIELD_MAX, NUMBER_MAX};
use ticketgate_protocol::ticket::Ticket;
use ticketgate_protocol::tree::{FromJson, ToTree};
use ticketgate_recognise::letters::lower_case;

use super::customers::{Said, said};
use super::form::{Chosen, Form};
use super::memory::Memory;
use super::pages::Found;
use super::{Effect, Worker, hosts, link};

/// How old an answer gets whose ticket no page shows, in minutes.
const KEPT_MIN: i64 = 10;
/// The most answers that are kept. While pages show as many, nothing more is asked.
const KEPT_MAX: usize = 64;
/// How old an answer may be when the person looks at its ticket in the popup, in seconds; an answer that says nothing is asked for
/// again sooner.
const FRESH_S: i64 = 300;
const AGAIN_S: i64 = 30;
/// How long a page may take to say the rest by itself, in milliseconds: many fill in what they show step by step.
const PATIENCE_MS: i64 = 600;

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq, FromJson, ToTree)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// The ticket.
    Told(Box<TicketTold>),
    /// That there is no such ticket of a customer of the technician's, in a sentence.
    NotTheirs(String),
    /// No word that could be used, in a sentence; an empty one where the ticket system has no part in it.
    NoWord(String),
}

impl Answer {
    /// What was told.
    #[must_use]
    pub(super) fn told(&self) -> Option<&TicketTold> {
        if let Self::Told(told) = self { Some(told) } else { None }
    }

    /// Whether the ticket system knows something of the ticket that a person has to look at before it is used.
    #[must_use]
    pub(super) fn gives_pause(&self) -> bool {
        match self {
            Self::Told(told) => !told.open,
            Self::NotTheirs(_) => true,
            Self::NoWord(_) => false,
        }
    }

    /// Whose the ticket is by its system, if that is known for sure.
    #[must_use]
    pub(super) fn customer(&self) -> Option<&CustomerId> {
        match self.told().map(|told| told.customers.as_slice()) {
            Some([one]) => Some(one),
            _ => None,
        }
    }
}

/// An answer, and to what.
#[derive(Debug, Clone, PartialEq, FromJson, ToTree)]
struct Kept {
    question: TicketQuestion,
    at: DateTime<Utc>,
    answer: Answer,
}

/// The answers so far.
#[derive(Debug, Clone, Default, PartialEq, FromJson, ToTree)]
pub(super) struct Lookups {
    kept: Vec<Kept>,
    /// What pages do not say enough of, and since when; nothing while a question is under way, so that the next one waits, too.
    #[serde(skip)]
    wanted: Vec<(TicketQuestion, DateTime<Utc>)>,
}

impl Lookups {
    fn get(&self, question: &TicketQuestion) -> Option<&Kept> {
        self.kept.iter().find(|known| known.question == *question)
    }

    /// What came of asking about this ticket.
    #[must_use]
    pub(super) fn answer(&self, ticket: &Ticket) -> Option<&Answer> {
        let url = ticket.url.as_ref()?;
        let is_about =
            |q: &TicketQuestion| q.url == *url && q.number == ticket.number && q.system == ticket.system;
        self.kept.iter().find(|known| is_about(&known.question)).map(|known| &known.answer)
    }

    fn keep(&mut self, question: TicketQuestion, answer: Answer, at: DateTime<Utc>) {
        self.kept.retain(|known| known.question != question);
        self.kept.push(Kept { question, at, answer });
    }

    /// When the next question is due.
    #[must_use]
    pub(super) fn next(&self) -> Option<DateTime<Utc>> {
        self.wanted.iter().map(|(_, since)| *since + TimeDelta::milliseconds(PATIENCE_MS)).min()
    }

    /// The broker answers again: what it could not say before is worth another question.
    pub(super) fn forget_outages(&mut self) {
        self.kept.retain(|known| !matches!(&known.answer, Answer::NoWord(why) if why.is_empty()));
    }

    /// Forgets what no page shows and is old, or too much.
    fn forget_old(&mut self, shown: &[TicketQuestion], now: DateTime<Utc>) {
        let is_new = |known: &Kept| now >= known.at && now - known.at < TimeDelta::minutes(KEPT_MIN);
        self.kept.retain(|known| is_new(known) || shown.contains(&known.question));
        while self.kept.len() >= KEPT_MAX
            && let Some(at) = self.kept.iter().position(|known| !shown.contains(&known.question))
        {
            self.kept.remove(at);
        }
    }
}

/// A ticket as its page and its system have it together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Filled {
    /// The ticket.
    pub ticket: Ticket,
    /// What its system was heard to say.
    pub answer: Option<Answer>,
}

impl Worker {
    /// A page's ticket, filled in with what its system says.
    pub(super) fn filled(&self, found: &Found) -> Filled {
        let mut ticket = found.ticket.clone();
        let answer = self.last.lookups.answer(&ticket).cloned();
        if let (Some(told), Some(overview)) = (answer.as_ref().and_then(Answer::told), &self.last.overview) {
            if !names_its_customer(overview, &self.memory, found) {
                replace(&mut ticket.customer, told.company.as_ref());
            }
            if ticket.summary.is_none() || found.summary_is_guessed() {
                replace(&mut ticket.summary, told.summary.as_ref());
            }
            if ticket.status.is_none() {
                replace(&mut ticket.status, told.status.as_ref());
            }
        }
        Filled { ticket, answer }
    }

    /// Asks about the next ticket that a page shows and does not say enough of, one at a time and not at once.
    pub(super) fn settle_lookups(&mut self, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        let before = std::mem::take(&mut self.last.lookups.wanted);
        let Some(overview) = self.last.overview.as_ref().filter(|o| !o.ticket_hosts.is_empty()) else {
            return;
        };
        let mut shown = Vec::new();
        let mut wanted = Vec::new();
        for (tab, _) in self.last.pages.tabs() {
            let Some((_, _, found)) = self.last.pages.ticket_of(tab) else { continue };
            let Some(question) = question(overview, &found.ticket) else { continue };
            let is_enough =
                found.ticket.summary.is_some() && names_its_customer(overview, &self.memory, found);
            if !is_enough && self.is_worth_asking(tab, &question, now) {
                let since = before.iter().find(|(q, _)| *q == question).map_or(now, |(_, since)| *since);
                wanted.push((question.clone(), since));
            }
            shown.push(question);
        }
        self.last.lookups.forget_old(&shown, now);
        let is_away = matches!(self.link.state(), link::State::Stopped(_) | link::State::Waiting { .. });
        if is_away || self.link.is_asking("ticket") {
            return;
        }
        let has_room = self.last.lookups.kept.len() < KEPT_MAX;
        wanted.retain(|(q, _)| has_room || self.last.lookups.get(q).is_some());
        let is_due = |since: DateTime<Utc>| now - since >= TimeDelta::milliseconds(PATIENCE_MS);
        match wanted.iter().find(|(_, since)| is_due(*since)) {
            Some((question, _)) => self.link.ask(Method::Ticket(question.clone()), None, now, out),
            None => self.last.lookups.wanted = wanted,
        }
    }

    /// Whether nothing is known yet, or what is known is old and the person looks at it.
    fn is_worth_asking(&self, tab: i32, question: &TicketQuestion, now: DateTime<Utc>) -> bool {
        let Some(known) = self.last.lookups.get(question) else { return true };
        let is_looked_at =
            !self.popups.is_empty() && self.last.front.as_ref().is_some_and(|front| front.id == tab);
        let fresh_s = if known.answer.told().is_some() { FRESH_S } else { AGAIN_S };
        is_looked_at && now - known.at >= TimeDelta::seconds(fresh_s)
    }

    /// The broker answered, or will not.
    pub(super) fn looked_up(
        &mut self,
        question: &TicketQuestion,
        result: Result<TicketTold, Problem>,
        now: DateTime<Utc>,
    ) {
        let answer = match result {
            Ok(told) => clean(question, told),
            Err(problem) => match problem.code {
                Code::TicketUnknown => Answer::NotTheirs(line(&problem.detail)),
                Code::TicketSystemDown | Code::RateLimited => Answer::NoWord(line(&problem.detail)),
                // An older program that does not know the question, or none that answers: said elsewhere, or no news.
                _ => Answer::NoWord(String::new()),
            },
        };
        self.last.lookups.keep(question.clone(), answer, now);
        let Some(front) = self.last.front.as_ref().map(|tab| tab.id) else { return };
        self.page_changed(front, now);
        self.fill_touched_form();
    }

    /// What came late fills in what the person left open, and nothing else.
    pub(super) fn fill_touched_form(&mut self) {
        let shown = self.last.front.as_ref().and_then(|tab| self.last.pages.ticket_of(tab.id));
        let Some(filled) = shown.map(|(_, _, found)| self.filled(found)) else { return };
        let (Some(form), Some(overview)) = (&mut self.last.form, &self.last.overview) else { return };
        let is_about_it = form
            .page
            .as_ref()
            .is_some_and(|page| page.is_same_as(&filled.ticket) && page.number == form.number.trim());
        if !form.touched || !is_about_it || filled.answer == form.answer {
            return;
        }
        let before = form.request(overview).ok();
        let reason = self.template.reason(&filled.ticket).filter(|_| !form.reason_touched);
        form.take(filled, reason, overview, &self.memory);
        if before.is_some() && form.request(overview).ok() != before {
            // A click on what stood there before is under way, perhaps.
            form.serial = self.next_serial;
            self.next_serial += 1;
        }
    }
}

/// The question about a ticket, where the broker can be asked it.
fn question(overview: &Overview, ticket: &Ticket) -> Option<TicketQuestion> {
    let url = ticket.url.as_ref()?;
    let host = lower_case(hosts::host_of(url)?);
    overview.ticket_hosts.contains(&host).then(|| TicketQuestion {
        system: ticket.system.clone(),
        number: ticket.number.clone(),
        url: url.clone(),
    })
}

/// Whether a page itself says for sure whose its ticket is.
fn names_its_customer(overview: &Overview, memory: &Memory, found: &Found) -> bool {
    match said(overview, memory, &found.ticket) {
        Said::Named(_) => true,
        Said::Domain(..) => found.is_beyond_doubt(Chosen::Domain),
        Said::Before(_) => found.is_beyond_doubt(Chosen::Before),
        Said::Nothing | Said::Unknown | Said::Several(_) => false,
    }
}

fn replace(field: &mut Option<String>, told: Option<&String>) {
    if let Some(text) = told {
        *field = Some(text.clone());
    }
}

/// What was told, every text one clean line like those that a page shows.
fn clean(question: &TicketQuestion, told: TicketTold) -> Answer {
    if told.number != question.number || told.customers.is_empty() {
        return Answer::NoWord(String::new());
    }
    let folded = |text: Option<String>| text.map(|text| line(&text)).filter(|text| !text.is_empty());
    let name: String = line(&told.system_name).chars().take(NUMBER_MAX).collect();
    Answer::Told(Box::new(TicketTold {
        system_name: if name.is_empty() { "the ticket system".into() } else { name },
        summary: folded(told.summary),
        company: folded(told.company),
        status: folded(told.status),
        ..told
    }))
}

fn line(text: &str) -> String {
    text::fold(text, FIELD_MAX).map(std::borrow::Cow::into_owned).unwrap_or_default()
}

impl Form {
    /// Takes what is known of the page's ticket by now. What the person chose or wrote stays.
    fn take(&mut self, filled: Filled, reason: Option<String>, overview: &Overview, memory: &Memory) {
        self.page = Some(filled.ticket);
        self.answer = filled.answer;
        if let Some(reason) = reason {
            self.reason = reason;
        }
        // A guess was for want of a word.
        if self.customer_by == Chosen::Guess && !matches!(self.answer, None | Some(Answer::NoWord(_))) {
            self.customer = None;
            self.customer_by = Chosen::Nobody;
        }
        self.fill(overview, memory);
    }
}
