//! The marks beside the form's fields: where a customer and a policy come from, and what to look at.

use ticketgate_protocol::api::{Overview, Policy, TicketTold};

use super::Worker;
use super::customers::{self, Said};
use super::form::{Chosen, Form};
use super::lookup::Answer;
use super::pages::Found;
use super::view::{Note, Tone};

impl Worker {
    /// Where the customer comes from.
    pub(super) fn customer_mark(
        &self,
        form: &Form,
        overview: &Overview,
        shown: Option<&Found>,
    ) -> Option<Note> {
        let amber = |text: String| Some(Note { tone: Tone::Amber, text });
        let is_guessed = shown.is_some_and(Found::customer_is_guessed);
        let company = form.page.as_ref().and_then(|t| t.customer.as_deref());
        match form.customer_by {
            Chosen::Guess => amber(match &form.answer {
                Some(Answer::NoWord(said)) if !said.is_empty() => {
                    format!("the only one; {}: check", said.trim_end_matches('.'))
                }
                _ => "the only one, not named by the ticket: check".into(),
            }),
            Chosen::Ticket if is_guessed => amber("guessed from the ticket: check".into()),
            Chosen::Ticket => Some(Note { tone: Tone::Good, text: "from the ticket".into() }),
            Chosen::Domain => {
                let domain = match self.said(form, overview) {
                    Said::Domain(_, domain) => domain,
                    _ => String::new(),
                };
                let text = format!("by the address at {domain}");
                if shown.is_some_and(|found| found.is_beyond_doubt(Chosen::Domain)) {
                    Some(Note { tone: Tone::Good, text })
                } else {
                    amber(text + ": check")
                }
            }
            Chosen::Before => {
                let text = format!("as you chose for {}", quoted(company.unwrap_or_default()));
                if is_guessed { amber(text + ": check") } else { Some(Note { tone: Tone::Calm, text }) }
            }
            Chosen::System => form.answer.as_ref().and_then(Answer::told).map(system_mark),
            Chosen::Nobody if let Some(text) = form.answer.as_ref().and_then(|a| unsaid(a, company)) => {
                amber(text)
            }
            Chosen::Nobody => match (self.said(form, overview), company) {
                (Said::Several(_), Some(company)) => {
                    amber(format!("{} may be one of several: pick the customer", quoted(company)))
                }
                (Said::Several(_), None) => amber("the addresses are of several: pick the customer".into()),
                (_, Some(company)) if overview.customers.is_empty() => {
                    amber(format!("{} is not configured", quoted(company)))
                }
                (_, Some(company)) => {
                    amber(format!("the ticket says {}: pick the customer", quoted(company)))
                }
                _ => None,
            },
            Chosen::Memory | Chosen::Person => None,
        }
    }

    fn said<'a>(&self, form: &Form, overview: &'a Overview) -> Said<'a> {
        form.page.as_ref().map_or(Said::Nothing, |ticket| customers::said(overview, &self.memory, ticket))
    }
}

/// How the policy was chosen, and what happens before it grants.
pub(super) fn policy_mark(form: &Form, policy: Option<&Policy>) -> Option<Note> {
    let text = match (form.policy_by == Chosen::Memory, policy.is_some_and(|p| p.ticket_verified)) {
        (true, true) => "as last time · the ticket is verified first",
        (true, false) => "as last time",
        (false, true) => "the ticket is verified first",
        (false, false) => return None,
    };
    Some(Note { tone: Tone::Calm, text: text.into() })
}

/// The customer is the ticket system's word.
fn system_mark(told: &TicketTold) -> Note {
    let system = &told.system_name;
    if told.open {
        Note { tone: Tone::Good, text: format!("from {system}") }
    } else {
        Note { tone: Tone::Amber, text: format!("from {system}, where the ticket is closed: check") }
    }
}

/// Why the ticket system's word chose no customer; nothing where it has no part in it.
fn unsaid(answer: &Answer, company: Option<&str>) -> Option<String> {
    let said = match (answer, company) {
        (Answer::NotTheirs(said), _) => said.trim_end_matches('.').to_owned(),
        // The page's own company says more.
        (Answer::NoWord(said), None) if !said.is_empty() => said.trim_end_matches('.').to_owned(),
        (Answer::NoWord(_), _) => return None,
        (Answer::Told(told), Some(company)) if told.customers.len() > 1 => {
            format!("{} may be one of several", quoted(company))
        }
        (Answer::Told(told), _) if told.customers.len() > 1 => {
            format!("{} has it as one of several", told.system_name)
        }
        (Answer::Told(told), Some(_)) => {
            format!("{} and the page name different customers", told.system_name)
        }
        (Answer::Told(_), None) => return None,
    };
    Some(format!("{said}: pick the customer"))
}

/// The most characters of a company's name in a mark.
const COMPANY_SHOWN: usize = 40;

fn quoted(company: &str) -> String {
    match company.char_indices().nth(COMPANY_SHOWN) {
        Some((end, _)) => format!("“{}…”", company.get(..end).unwrap_or_default().trim_end()),
        None => format!("“{company}”"),
    }
}
