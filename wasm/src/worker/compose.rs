//! The popup's view, put together from the state; its cards of sessions: `cards.rs`, the marks beside its fields: `marks.rs`.

use std::rc::Rc;

use chrono::{DateTime, Utc};
use ticketgate_protocol::api::{Customer, Overview, Policy};
use ticketgate_protocol::ids::CustomerId;
use ticketgate_protocol::problem::Code;
use ticketgate_protocol::text::REASON_MAX;
use ticketgate_protocol::ticket::Ticket;
use ticketgate_protocol::tree::ToTree;

use super::customers;
use super::form::{Chosen, Form, durations, policies_of};
use super::job::{Failure, Job};
use super::lookup::Answer;
use super::marks::policy_mark;
use super::view::{
    Allow, Button, Card, Choice, FormView, JobView, Note, Report, TicketLine, Tone, Trouble, View,
};
use super::{Effect, Intent, Worker, hosts, link, remaining, trouble};
use ticketgate_recognise::letters::joined;

impl Worker {
    pub(super) fn settle_popups(&mut self, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        if self.popups.is_empty() {
            return;
        }
        let view = Rc::new(self.view(now));
        let tree = view.to_tree();
        for port in &self.popups {
            if self.shown.views.get(port) != Some(&tree) {
                out.push(Effect::Push { port: *port, view: Rc::clone(&view) });
                self.shown.views.insert(*port, tree.clone());
            }
        }
    }

    pub(super) fn view(&self, now: DateTime<Utc>) -> View {
        let trouble = self.trouble(now);
        let sessions = self.cards(now);
        let overview = self.last.overview.as_ref();
        let knows = overview.is_some() && !self.is_shut_out();
        let job = self.last.job.as_ref();
        // What failed for one ticket does not stand in the way of another.
        let is_aside = job.is_some_and(|job| self.is_for_another(job));
        let form = match (overview, &self.last.form) {
            (Some(overview), Some(form)) if knows && (job.is_none() || is_aside) => {
                Some(self.form_view(form, overview))
            }
            _ => None,
        };
        let job = job.map(|job| if is_aside { job_aside(job) } else { job_view(job) });
        let report = form.as_ref().and_then(|_| self.offer_report());
        let loading = trouble.is_none() && job.is_none() && (overview.is_none() || self.last.signed_out);
        // What was told before something came in the way may have passed.
        let mut notices = overview.filter(|_| trouble.is_none()).map(notices).unwrap_or_default();
        notices.extend(self.rule_notes());
        View {
            announce: self.announce(trouble.as_ref(), &sessions, job.as_ref()),
            trouble,
            sessions,
            form,
            job,
            notices,
            allow: self.allow(),
            report,
            foot: self.foot(),
            loading,
        }
    }

    /// Whether an activation failed for another ticket than the form's.
    fn is_for_another(&self, job: &Job) -> bool {
        let page = self.last.form.as_ref().and_then(|form| form.page.as_ref());
        !job.is_working() && page.is_some_and(|page| !job.is_for(page))
    }

    /// Whether what was known before is no longer ours to offer.
    fn is_shut_out(&self) -> bool {
        matches!(self.link.state(), link::State::Stopped(_))
            || self.last.signed_out
            || self.overview_problem.as_ref().is_some_and(|p| p.code == Code::NotATechnician)
    }

    pub(super) fn trouble(&self, now: DateTime<Utc>) -> Option<Trouble> {
        match self.link.state() {
            link::State::Stopped(stop) => Some(trouble::of_stop(stop, &self.id)),
            link::State::Waiting { until, why } => {
                Some(trouble::of_loss(why, remaining::seconds(*until, now)))
            }
            link::State::Greeting { .. } if self.link.lost().is_some() => {
                self.link.lost().map(|why| trouble::of_loss(why, 0))
            }
            _ => self.overview_problem.as_ref().map(|problem| {
                if trouble::is_signed_out(problem) {
                    self.signing_in(problem)
                } else {
                    trouble::of_problem(problem)
                }
            }),
        }
    }

    fn announce(&self, trouble: Option<&Trouble>, sessions: &[Card], job: Option<&JobView>) -> String {
        if let Some(job) = job {
            return format!("{}. {}", job.title, job.text).replace('`', "");
        }
        let mut said: Vec<String> = trouble.map(|t| t.title.clone()).into_iter().collect();
        for card in sessions {
            let what = format!("{} {}", card.title, card.subtitle);
            match (&card.note, &card.state, &card.ring) {
                (Some(note), _, _) => said.push(format!("{what}: {}", note.text)),
                (None, Some(state), _) => said.push(format!("{what}: {state}")),
                (None, None, Some(_)) => said.push(format!("{what} is active")),
                _ => {}
            }
        }
        // A sentence brings its own full stop.
        joined(&mut said.iter().map(|text| text.trim_end_matches('.')), ". ").replace('`', "")
    }

    fn form_view(&self, form: &Form, overview: &Overview) -> FormView {
        let found = self.last.front.as_ref().and_then(|tab| self.last.pages.ticket_of(tab.id));
        let shown = found.map(|(_, _, found)| found);
        let policy = form.policy_in(overview);
        let request = form.request(overview);
        let ticket = form.page.as_ref().filter(|page| page.number == form.number.trim());
        let number_shown = ticket.is_none_or(|page| {
            // What was guessed can be put right where it is said.
            shown.is_some_and(|found| found.ticket.is_same_as(page) && !found.number_is_sure())
        });
        let folded = !form.touched
            && form.caution.is_none()
            && match ticket {
                Some(ticket) => self.session_for(ticket).is_some(),
                None => self.last.sessions.iter().next().is_some(),
            };
        let differs = match (shown, &form.page) {
            (Some(found), Some(page)) => !found.ticket.is_same_as(page),
            (Some(_), None) => true,
            (None, _) => false,
        };
        let told = form.answer.as_ref().and_then(Answer::told);
        let label = policy.map_or_else(
            || "Activate".to_owned(),
            |p| format!("Activate {} for {}", p.name, remaining::duration(form.duration_s)),
        );
        FormView {
            serial: form.serial,
            title: match (ticket, folded) {
                (_, true) => "Activate more rights".into(),
                (Some(_), _) => "Ticket on this page".into(),
                (None, _) if form.page.is_some() => "Another ticket".into(),
                (None, _) => "No ticket recognised on this page".into(),
            },
            ticket: ticket.map(ticket_line),
            said: ticket.and_then(|t| {
                let source = told.map(|told| format!("from {}", told.system_name));
                let parts = [&t.customer, &t.contact, &source];
                let said = joined(&mut parts.into_iter().filter_map(|f| f.as_deref()), " · ");
                (!said.is_empty()).then_some(said)
            }),
            caution: form
                .caution
                .clone()
                .or_else(|| {
                    let same = shown.filter(|found| ticket.is_some_and(|page| found.ticket.is_same_as(page)));
                    let is_told = told.is_some_and(|told| told.summary.is_some());
                    same.and_then(|found| found.guess(is_told)).map(str::to_owned)
                })
                .map(|text| Note { tone: Tone::Amber, text }),
            use_page: shown.filter(|_| differs).map(|found| Button {
                label: format!("Use ticket #{}", found.ticket.number),
                intent: Intent::UsePageTicket {},
                disabled: None,
                busy: false,
            }),
            number: form.number.clone(),
            number_shown,
            number_required: policy.is_some_and(|p| p.ticket_required),
            customers: overview.customers.iter().map(|c| customer_choice(form, c)).collect(),
            customer_mark: self.customer_mark(form, overview, shown),
            suggested: self.suggested(form, overview),
            policies: form.customer.as_ref().map(|c| policy_choices(form, overview, c)).unwrap_or_default(),
            policy_mark: policy_mark(form, policy),
            durations: policy
                .map(|p| {
                    durations(p)
                        .into_iter()
                        .map(|seconds| Choice {
                            label: remaining::duration(seconds),
                            intent: Intent::PickDuration { seconds },
                            chosen: seconds == form.duration_s,
                        })
                        .collect()
                })
                .unwrap_or_default(),
            reason: form.reason.clone(),
            reason_max: REASON_MAX,
            limits: policy.map(|p| limits_text(&p.end_guarantee, &p.end_limits)),
            activate: Button {
                label,
                intent: Intent::Activate { serial: form.serial },
                disabled: request.err().map(super::form::Missing::text),
                busy: self.is_asked_to_activate(),
            },
            folded,
            show_button: self.hidden_button(),
        }
    }

    /// Suggestions, as long as it is the person who chooses.
    fn suggested(&self, form: &Form, overview: &Overview) -> Vec<Choice> {
        let Some(ticket) = form.page.as_ref().filter(|page| page.number == form.number.trim()) else {
            return Vec::new();
        };
        if !matches!(form.customer_by, Chosen::Nobody | Chosen::Person) {
            return Vec::new();
        }
        let mut ids = customers::suggested(overview, &self.memory, ticket);
        for id in form.answer.as_ref().and_then(Answer::told).into_iter().flat_map(|told| &told.customers) {
            if !ids.contains(id) {
                ids.push(id.clone());
            }
        }
        let find = |id: &CustomerId| overview.customers.iter().find(|c| c.id == *id);
        ids.iter().filter_map(find).map(|c| customer_choice(form, c)).collect()
    }

    fn is_asked_to_activate(&self) -> bool {
        self.asked.values().any(|a| matches!(a.purpose, super::Purpose::Activate { .. }))
    }

    fn hidden_button(&self) -> Option<Button> {
        let (_, page, found) = self.last.pages.ticket_of(self.last.front.as_ref()?.id)?;
        let is_hidden = self.memory.is_hidden(&page.origin)
            || page.hidden_for.as_deref() == Some(found.ticket.number.as_str());
        is_hidden.then(|| Button {
            label: "Show the button in the page again".into(),
            intent: Intent::ShowButtonAgain {},
            disabled: None,
            busy: false,
        })
    }

    fn allow(&self) -> Option<Allow> {
        let front = self.last.front.as_ref()?;
        let url = front.url.as_deref()?;
        if hosts::is_allowed(self.last.sites.granted(), url)
            || self.last.pages.ticket_of(front.id).is_none() && !self.is_suggested(url)
        {
            return None;
        }
        let host = hosts::host_of(url)?;
        let why = if self.is_suggested(url) {
            "Your administrator suggests it."
        } else {
            "Only this site, nothing else."
        };
        Some(Allow {
            pattern: hosts::pattern_for(url)?,
            text: format!("Recognise tickets on {host} without a click on the toolbar? {why}"),
            label: "Allow on this site".into(),
        })
    }

    /// Nothing is read for it before the person asks.
    fn offer_report(&self) -> Option<Report> {
        let front = self.last.front.as_ref()?;
        hosts::host_of(front.url.as_deref()?)?;
        let is_found = self.last.pages.ticket_of(front.id).is_some();
        Some(Report {
            tab: front.id,
            title: if is_found { "Recognised wrongly?" } else { "This page was not recognised" }.into(),
            text: "See how the page is built, without what it says, and attach it to a report.".into(),
            label: "Save the page's structure for a report".into(),
        })
    }

    fn is_suggested(&self, url: &str) -> bool {
        hosts::is_allowed(&self.managed, url)
    }

    fn foot(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        if let Some(overview) = self.last.overview.as_ref().filter(|_| !self.last.signed_out) {
            parts.push(format!("Signed in as {}", overview.technician));
        }
        parts.push(match self.link.welcome() {
            Some(welcome) if welcome.host_version != self.version => {
                format!("extension {} · program {}", self.version, welcome.host_version)
            }
            _ => format!("version {}", self.version),
        });
        joined(&mut parts.iter().map(String::as_str), " · ")
    }
}

fn job_view(job: &Job) -> JobView {
    let what = format!("{} at {}", job.policy, job.customer);
    match &job.failed {
        None => JobView {
            tone: Tone::Working,
            title: format!("Activating {what}"),
            text: "The broker grants the rights with their end already set.".into(),
            steps: Vec::new(),
            retry: None,
            dismiss: None,
            change_first: false,
        },
        Some(Failure { problem, .. }) => JobView {
            tone: Tone::Red,
            title: format!("Not activated: {what}"),
            text: problem.detail.clone(),
            steps: trouble::steps_after(problem),
            retry: Some(Button {
                label: "Try again".into(),
                intent: Intent::RetryJob {},
                disabled: None,
                busy: false,
            }),
            dismiss: Some(Button {
                label: "Change".into(),
                intent: Intent::Dismiss {},
                disabled: None,
                busy: false,
            }),
            change_first: trouble::stays(problem),
        },
    }
}

/// An activation that failed for another ticket: told, but not repeated from here.
fn job_aside(job: &Job) -> JobView {
    let view = job_view(job);
    let ticket = job.wanted.ticket.as_ref().map(|t| format!(" · #{}", t.number)).unwrap_or_default();
    let dismiss = view.dismiss.map(|button| Button { label: "Dismiss".into(), ..button });
    JobView { title: view.title + &ticket, retry: None, steps: Vec::new(), dismiss, ..view }
}

pub(super) fn ticket_line(ticket: &Ticket) -> TicketLine {
    let summary = ticket.summary.as_deref().unwrap_or_default();
    TicketLine {
        text: format!("#{} {summary}", ticket.number).trim_end().to_owned(),
        url: ticket.url.clone(),
    }
}

pub(super) fn limits_text(guarantee: &str, limits: &str) -> String {
    format!("{guarantee} {limits}").trim().to_owned()
}

fn notices(overview: &Overview) -> Vec<Note> {
    let tone = |level: &str| match level {
        "error" => Tone::Red,
        "warning" => Tone::Amber,
        _ => Tone::Calm,
    };
    overview.notices.iter().map(|n| Note { tone: tone(&n.level), text: n.text.clone() }).collect()
}

fn customer_choice(form: &Form, customer: &Customer) -> Choice {
    Choice {
        label: customer.name.clone(),
        intent: Intent::PickCustomer { customer: Some(customer.id.clone()) },
        chosen: form.customer.as_ref() == Some(&customer.id),
    }
}

fn policy_choices(form: &Form, overview: &Overview, customer: &CustomerId) -> Vec<Choice> {
    let choice = |p: &Policy| Choice {
        label: p.name.clone(),
        intent: Intent::PickPolicy { policy: Some(p.id.clone()) },
        chosen: form.policy.as_ref() == Some(&p.id),
    };
    policies_of(overview, customer).into_iter().map(choice).collect()
}
