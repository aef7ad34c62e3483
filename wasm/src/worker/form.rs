//! What the person is about to activate: filled from the ticket and from memory, changed by hand, never guessed silently.

use ticketgate_protocol::api::{Activate, Customer, Overview, Policy, TicketTold};
use ticketgate_protocol::ids::{CustomerId, PolicyId};
use ticketgate_protocol::text::{self, NUMBER_MAX, REASON_MAX};
use ticketgate_protocol::ticket::Ticket;
use ticketgate_protocol::tree::{FromJson, ToTree};

use super::customers::{Said, said};
use super::lookup::{Answer, Filled};
use super::memory::Memory;
use ticketgate_recognise::letters::joined;

/// Who chose a field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromJson, ToTree)]
#[serde(rename_all = "snake_case")]
pub(super) enum Chosen {
    /// Nobody yet.
    #[default]
    Nobody,
    /// The ticket names it exactly.
    Ticket,
    /// An e-mail address in the ticket has its domain.
    Domain,
    /// The person chose it before for this company at this site.
    Before,
    /// The ticket system says so.
    System,
    /// It was used last time.
    Memory,
    /// There is only one; the ticket does not say so. Marked on the screen.
    Guess,
    /// The person.
    Person,
}

/// Where a form's ticket was read.
#[derive(Debug, Clone, PartialEq, Eq, FromJson, ToTree)]
pub(super) struct Source {
    /// The tab.
    pub tab: i32,
    /// The document.
    pub document: String,
}

/// The form of the popup.
#[derive(Debug, Clone, Default, PartialEq, FromJson, ToTree)]
pub(super) struct Form {
    /// Changes when the form stands for something else, so that a click counts only for what was seen, and typed text is
    /// replaced only then.
    pub serial: u32,
    /// Where the ticket was read.
    pub source: Option<Source>,
    /// The ticket as it was read, filled in with what its system says.
    pub page: Option<Ticket>,
    /// What its system was heard to say.
    pub answer: Option<Answer>,
    /// The ticket's number as it stands in the field.
    pub number: String,
    /// For which customer.
    pub customer: Option<CustomerId>,
    /// Who chose it.
    pub customer_by: Chosen,
    /// By which policy.
    pub policy: Option<PolicyId>,
    /// Who chose it.
    pub policy_by: Chosen,
    /// For how long, in seconds.
    pub duration_s: u32,
    /// Why.
    pub reason: String,
    /// Whether the person wrote in the reason.
    pub reason_touched: bool,
    /// Whether the person changed anything.
    pub touched: bool,
    /// What the person should look at before activating.
    pub caution: Option<String>,
}

/// What still keeps a form from being activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// No customer.
    Customer,
    /// No policy.
    Policy,
    /// No ticket, and the policy requires one.
    Ticket,
    /// The ticket's number cannot be used.
    BadNumber(text::BadText),
    /// No reason, or one that cannot be used.
    Reason(text::BadText),
}

impl Missing {
    /// What to do about it.
    #[must_use]
    pub(super) fn text(self) -> String {
        match self {
            Self::Customer => "Pick the customer.".into(),
            Self::Policy => "Pick the rights.".into(),
            Self::Ticket => "These rights need a ticket: type its number.".into(),
            Self::BadNumber(bad) => format!("The ticket number {bad}."),
            Self::Reason(text::BadText::Empty) => "Say why you need the rights.".into(),
            Self::Reason(bad) => format!("The reason {bad}."),
        }
    }
}

/// Whom the page names, or where nobody says otherwise the only one there is.
fn by_page<'a>(overview: &'a Overview, said: &Said<'a>, may_guess: bool) -> Option<(&'a Customer, Chosen)> {
    match (said, overview.customers.as_slice()) {
        (Said::Named(one), _) => Some((one, Chosen::Ticket)),
        (Said::Domain(one, _), _) => Some((one, Chosen::Domain)),
        (Said::Before(one), _) => Some((one, Chosen::Before)),
        (Said::Nothing, [only]) if may_guess => Some((only, Chosen::Guess)),
        _ => None,
    }
}

/// Whom the ticket system names, unless the page names another or the system itself cannot tell: then the person is asked.
fn by_system<'a>(
    overview: &'a Overview,
    told: &TicketTold,
    said: &Said<'a>,
) -> Option<(&'a Customer, Chosen)> {
    let [id] = told.customers.as_slice() else { return None };
    let agrees = match said {
        Said::Named(one) | Said::Domain(one, _) => one.id == *id,
        Said::Several(all) => all.iter().any(|one| one.id == *id),
        Said::Nothing | Said::Before(_) | Said::Unknown => true,
    };
    let customer = overview.customers.iter().find(|customer| customer.id == *id);
    customer.filter(|_| agrees).map(|customer| (customer, Chosen::System))
}

/// The policies of a customer that the technician is eligible for.
pub(super) fn policies_of<'a>(overview: &'a Overview, customer: &CustomerId) -> Vec<&'a Policy> {
    overview.policies.iter().filter(|p| p.customer == *customer).collect()
}

/// The durations that a policy offers, ascending, its default among them.
#[must_use]
pub(super) fn durations(policy: &Policy) -> Vec<u32> {
    let mut all: Vec<u32> = Vec::new();
    for s in policy.choices_s.iter().chain([&policy.default_s]) {
        if (1..=policy.max_s).contains(s)
            && let Err(at) = all.binary_search(s)
        {
            all.insert(at, *s);
        }
    }
    all
}

impl Form {
    /// A form for a ticket, or an empty one.
    #[must_use]
    pub(super) fn new(
        serial: u32,
        ticket: Option<Filled>,
        source: Option<Source>,
        reason: String,
        overview: Option<&Overview>,
        memory: &Memory,
    ) -> Self {
        let (page, answer) = ticket.map(|t| (t.ticket, t.answer)).unzip();
        let number = page.as_ref().map(|t| t.number.clone()).unwrap_or_default();
        let answer = answer.flatten();
        let mut form = Self { serial, source, page, answer, number, reason, ..Self::default() };
        if let Some(overview) = overview {
            form.fill(overview, memory);
        }
        form
    }

    /// Chooses what nobody has chosen, and drops choices that are no longer offered.
    pub(super) fn fill(&mut self, overview: &Overview, memory: &Memory) {
        if self.customer.as_ref().is_some_and(|id| !overview.customers.iter().any(|c| c.id == *id)) {
            self.customer = None;
            self.customer_by = Chosen::Nobody;
        }
        if self.customer.is_none() && self.customer_by == Chosen::Nobody {
            let said = match &self.page {
                Some(ticket) => said(overview, memory, ticket),
                None => Said::Nothing,
            };
            let chosen = match &self.answer {
                Some(Answer::Told(told)) => by_system(overview, told, &said),
                answer => by_page(overview, &said, !matches!(answer, Some(Answer::NotTheirs(_)))),
            };
            if let Some((customer, by)) = chosen {
                self.customer = Some(customer.id.clone());
                self.customer_by = by;
            }
        }
        self.fill_policy(overview, memory);
    }

    /// The same for a form that is on the screen: answers whether that replaced what it could be activated for.
    pub(super) fn fill_anew(&mut self, overview: &Overview, memory: &Memory) -> bool {
        let (customer, policy, duration_s) = (self.customer.clone(), self.policy.clone(), self.duration_s);
        self.fill(overview, memory);
        policy.is_some()
            && (customer, policy, duration_s) != (self.customer.clone(), self.policy.clone(), self.duration_s)
    }

    fn fill_policy(&mut self, overview: &Overview, memory: &Memory) {
        let Some(customer) = self.customer.clone() else {
            self.policy = None;
            self.policy_by = Chosen::Nobody;
            return;
        };
        let offered = policies_of(overview, &customer);
        if self.policy.as_ref().is_some_and(|id| !offered.iter().any(|p| p.id == *id)) {
            self.policy = None;
            self.policy_by = Chosen::Nobody;
        }
        let last = memory.choice(&overview.technician, &customer);
        if self.policy.is_none() && self.policy_by == Chosen::Nobody {
            let remembered = last.and_then(|c| offered.iter().find(|p| p.id == c.policy));
            if let Some(policy) = remembered {
                self.policy = Some(policy.id.clone());
                self.policy_by = Chosen::Memory;
            } else if let [only] = offered.as_slice() {
                self.policy = Some(only.id.clone());
                self.policy_by = Chosen::Ticket;
            }
        }
        let policy = self.policy.as_ref().and_then(|id| offered.iter().find(|p| p.id == *id));
        if let Some(policy) = policy {
            let offered = durations(policy);
            if !offered.contains(&self.duration_s) {
                let remembered = last.filter(|c| c.policy == policy.id).map(|c| c.duration_s);
                self.duration_s =
                    remembered.filter(|s| offered.contains(s)).unwrap_or(policy.default_s.min(policy.max_s));
            }
        }
    }

    /// The person chose a customer, or wants to choose again.
    pub(super) fn pick_customer(
        &mut self,
        customer: Option<CustomerId>,
        overview: &Overview,
        memory: &Memory,
    ) {
        self.touched = true;
        self.customer = customer.filter(|id| overview.customers.iter().any(|c| c.id == *id));
        self.customer_by = Chosen::Person;
        self.policy = None;
        self.policy_by = Chosen::Nobody;
        self.fill(overview, memory);
    }

    /// The person chose a policy, or wants to choose again.
    pub(super) fn pick_policy(&mut self, policy: Option<PolicyId>, overview: &Overview, memory: &Memory) {
        self.touched = true;
        self.policy = policy;
        self.policy_by = Chosen::Person;
        self.duration_s = 0;
        self.fill(overview, memory);
    }

    /// The person chose a duration.
    pub(super) fn pick_duration(&mut self, seconds: u32, overview: &Overview) {
        if self.policy_in(overview).is_some_and(|p| durations(p).contains(&seconds)) {
            self.touched = true;
            self.duration_s = seconds;
        }
    }

    /// The person changed the reason. Pasted lines become one: it is a line in the audit log.
    pub(super) fn write_reason(&mut self, text: &str) {
        self.reason = joined(&mut text.split(['\n', '\r', '\t']).filter(|part| !part.is_empty()), " ");
        self.reason_touched = true;
        self.touched = true;
    }

    /// The policy that is chosen.
    #[must_use]
    pub(super) fn policy_in<'a>(&self, overview: &'a Overview) -> Option<&'a Policy> {
        let id = self.policy.as_ref()?;
        overview.policies.iter().find(|p| p.id == *id && Some(&p.customer) == self.customer.as_ref())
    }

    /// The customer that is chosen.
    #[must_use]
    pub(super) fn customer_in<'a>(&self, overview: &'a Overview) -> Option<&'a Customer> {
        let id = self.customer.as_ref()?;
        overview.customers.iter().find(|c| c.id == *id)
    }

    /// The ticket that the form names: the page's, or another number typed by hand.
    #[must_use]
    pub(super) fn ticket(&self) -> Option<Ticket> {
        let number = self.number.trim();
        if number.is_empty() {
            return None;
        }
        match &self.page {
            Some(page) if page.number == number => Some(page.clone()),
            _ => Some(Ticket { number: number.to_owned(), ..Ticket::default() }),
        }
    }

    /// The request that the form stands for.
    ///
    /// # Errors
    /// What is still missing.
    pub(super) fn request(&self, overview: &Overview) -> Result<Activate, Missing> {
        let customer = self.customer_in(overview).ok_or(Missing::Customer)?.id.clone();
        let policy = self.policy_in(overview).ok_or(Missing::Policy)?;
        let ticket = self.ticket();
        if policy.ticket_required && ticket.is_none() {
            return Err(Missing::Ticket);
        }
        if let Some(ticket) = &ticket {
            text::line(&ticket.number, NUMBER_MAX).map_err(Missing::BadNumber)?;
        }
        let reason = text::line(&self.reason, REASON_MAX).map_err(Missing::Reason)?;
        Ok(Activate {
            customer: Some(customer),
            policy: policy.id.clone(),
            duration_s: i64::from(self.duration_s),
            reason,
            ticket,
        })
    }
}
