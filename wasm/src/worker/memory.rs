//! What the extension remembers for good: choices per technician and customer, which customer a ticket system's company was
//! said to be, and where the in-page button is wanted. No session, no ticket, no secret.

use ticketgate_protocol::api::Overview;
use ticketgate_protocol::ids::{CustomerId, PolicyId, TechnicianId};
use ticketgate_protocol::page::Placement;
use ticketgate_protocol::tree::{FromJson, ToTree};

use super::shelf::Shelf;

/// The most sites whose button was moved or hidden.
const SITES_MAX: usize = 200;
/// The most companies whose customer was chosen; the one that was longest not chosen again goes first.
const COMPANIES_MAX: usize = 200;
/// The form in which companies are written. What was remembered in another is forgotten: a choice that would be read
/// wrongly is worse than one that is asked for again.
const COMPANIES_FORM: u32 = 1;

/// A choice that was activated last.
#[derive(Debug, Clone, PartialEq, Eq, FromJson, ToTree)]
pub(super) struct Choice {
    /// By which policy.
    pub policy: PolicyId,
    /// For how long, in seconds.
    pub duration_s: u32,
}

/// A company for which a person chose the customer.
#[derive(Debug, Clone, PartialEq, Eq, FromJson, ToTree)]
struct Company {
    technician: TechnicianId,
    /// As [`super::customers::company_of`] writes it.
    company: String,
    customer: CustomerId,
}

/// What is remembered for good.
#[derive(Debug, Clone, Default, PartialEq, FromJson, ToTree)]
pub(super) struct Memory {
    #[serde(default)]
    choices: Shelf<TechnicianId, Shelf<CustomerId, Choice>>,
    #[serde(default)]
    placements: Shelf<String, Placement>,
    #[serde(default)]
    hidden: Vec<String>,
    #[serde(default)]
    companies_form: u32,
    /// Those chosen last stand last.
    #[serde(default)]
    companies: Vec<Company>,
}

impl Memory {
    /// What `technician` activated last at `customer`.
    #[must_use]
    pub(super) fn choice(&self, technician: &TechnicianId, customer: &CustomerId) -> Option<&Choice> {
        self.choices.get(technician)?.get(customer)
    }

    /// Remembers what `technician` activated at `customer`.
    pub(super) fn remember(&mut self, technician: TechnicianId, customer: CustomerId, choice: Choice) {
        self.choices.or_insert_with(technician, Shelf::default).insert(customer, choice);
    }

    /// The customer that `technician` chose for this company.
    #[must_use]
    pub(super) fn chosen_for(&self, technician: &TechnicianId, company: &str) -> Option<&CustomerId> {
        if self.companies_form != COMPANIES_FORM {
            return None;
        }
        self.companies
            .iter()
            .find(|c| c.technician == *technician && c.company == company)
            .map(|c| &c.customer)
    }

    /// Remembers which customer `technician` chose for this company.
    pub(super) fn choose_for(&mut self, technician: TechnicianId, company: String, customer: CustomerId) {
        if self.companies_form != COMPANIES_FORM {
            self.companies_form = COMPANIES_FORM;
            self.companies.clear();
        }
        self.forget_company(&technician, &company);
        if self.companies.len() >= COMPANIES_MAX {
            self.companies.remove(0);
        }
        self.companies.push(Company { technician, company, customer });
    }

    /// Forgets which customer `technician` chose for this company.
    pub(super) fn forget_company(&mut self, technician: &TechnicianId, company: &str) {
        self.companies.retain(|c| c.technician != *technician || c.company != company);
    }

    /// Forgets choices of customers that the technician is no longer offered.
    pub(super) fn forget_customers_but(&mut self, overview: &Overview) {
        self.companies.retain(|c| {
            c.technician != overview.technician || overview.customers.iter().any(|o| o.id == c.customer)
        });
    }

    /// Where the button was put on this site.
    #[must_use]
    pub(super) fn placement(&self, origin: &str) -> Placement {
        self.placements.get(origin).copied().unwrap_or_default()
    }

    /// Remembers where the button was put.
    pub(super) fn place(&mut self, origin: &str, placement: Placement) {
        if self.placements.len() < SITES_MAX || self.placements.contains_key(origin) {
            self.placements.insert(origin.to_owned(), placement);
        }
    }

    /// Whether the button is hidden on this site.
    #[must_use]
    pub(super) fn is_hidden(&self, origin: &str) -> bool {
        self.hidden.iter().any(|hidden| hidden == origin)
    }

    /// Hides the button on this site.
    pub(super) fn hide(&mut self, origin: &str) {
        if self.hidden.len() < SITES_MAX && !self.is_hidden(origin) {
            self.hidden.push(origin.to_owned());
        }
    }

    /// Brings the button back.
    pub(super) fn unhide(&mut self, origin: &str) {
        self.hidden.retain(|hidden| hidden != origin);
    }
}
