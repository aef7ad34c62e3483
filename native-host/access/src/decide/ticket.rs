//! The ticket of a wish: what may be claimed of it, which ticket system is asked about it, whose it is there, and whether what the
//! system tells fits the policy. Nothing is guessed: what cannot be told apart is a refusal that says what to do.

use std::collections::BTreeSet;

use ticketgate_protocol::ids::{CustomerId, PsaId, TechnicianId};
use ticketgate_protocol::problem::{Code, Problem};
use ticketgate_protocol::ticket::Ticket;

use crate::config::{Config, Customer, Policy, Psa, PsaKind, TicketRule, Verified, folded, host_of};
use crate::ticket::{self as told, is_same_person};

/// What has to be asked of a ticket system before anything is granted, and what the answer has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketCheck {
    /// Whom to ask.
    pub psa: PsaId,
    /// For the ticket of this number.
    pub number: String,
    /// What the policy wants of it.
    pub rule: TicketRule,
    /// Whose it has to be.
    pub customer: CustomerId,
    /// Who asks.
    pub technician: TechnicianId,
}

/// The ticket that was named, every field trimmed, bounded and clean.
pub(super) fn claimed(policy: &Policy, named: Option<&Ticket>) -> Result<Option<Ticket>, Problem> {
    match named {
        None if policy.ticket.required => {
            Err(Problem::new(Code::TicketRequired, format!("The policy \"{}\" needs a ticket.", policy.name))
                .remedy("Open the ticket and activate from there, or type its number."))
        }
        None => Ok(None),
        Some(ticket) => ticket.clone().checked().map(Some).map_err(|bad| {
            let mut detail = bad.to_string();
            detail.replace_range(..1, "T");
            Problem::new(Code::BadTicket, format!("{detail}."))
                .remedy("Read the ticket again, or type its number by hand.")
        }),
    }
}

/// What has to be asked about a ticket under a policy of this customer; nothing where the policy does not ask.
///
/// # Errors
/// [`Code::TicketRequired`] where there is no ticket to ask about, [`Code::TicketUnverified`] where it cannot be told whom to ask,
/// [`Code::TicketNotYours`] where the technician has no name there that an owner could be compared with.
pub fn check_of(
    config: &Config,
    policy: &Policy,
    technician: &TechnicianId,
    ticket: Option<&Ticket>,
) -> Result<Option<TicketCheck>, Problem> {
    if policy.ticket.verified == Verified::Never {
        return Ok(None);
    }
    // Who names none is not asked, but for what `required` says: the two come together in a checked configuration.
    let Some(ticket) = ticket else { return claimed(policy, None).map(|_| None) };
    let customer = config.customer_of(policy).ok_or_else(gone)?;
    let psa = system_of(config, ticket)?;
    let check = TicketCheck {
        psa: psa.id.clone(),
        number: asked_number(psa, ticket).to_owned(),
        rule: policy.ticket,
        customer: customer.id.clone(),
        technician: technician.clone(),
    };
    if check.rule.must_be_mine && name_in(config, &check).is_none() {
        return Err(Problem::new(
            Code::TicketNotYours,
            format!(
                "The policy needs a ticket of yours, and what you are called in {} is not configured.",
                psa.kind.name()
            ),
        )
        .remedy(format!("Ask an administrator to add {} to `psa` of your [[technician]].", psa.id)));
    }
    Ok(Some(check))
}

/// The ticket system in which a ticket has to be looked up: the one that shows the page it was seen at; for a number typed by hand
/// the only one.
///
/// # Errors
/// [`Code::TicketUnverified`] where there is none, or where it could be several.
pub fn system_of<'c>(config: &'c Config, ticket: &Ticket) -> Result<&'c Psa, Problem> {
    // A rule of one's own may have any name; then the page decides.
    let of_known_kind = PsaKind::ALL.iter().any(|kind| kind.is_system(&ticket.system));
    let of_kind = |psa: &&Psa| !of_known_kind || psa.kind.is_system(&ticket.system);
    let shows = |psa: &&Psa| match &ticket.url {
        None => true,
        Some(url) => host_of(url).is_some_and(|host| psa.pages.contains(&host.to_lowercase())),
    };
    let found: Vec<&Psa> = config.psas.values().filter(of_kind).filter(shows).collect();
    match (found.as_slice(), &ticket.url) {
        ([psa], _) => Ok(psa),
        ([], Some(_)) => Err(unverified("The policy needs a verified ticket, and no ticket system is configured for the page that this one was seen at.")
            .remedy("Activate from the ticket's own page; an administrator can add its host to `pages` of the [[psa]].")),
        ([], None) => Err(unverified("The policy needs a verified ticket, and no ticket system of this kind is configured.")
            .remedy("Activate from the ticket's own page, or ask an administrator to add the [[psa]].")),
        (_, _) => Err(unverified("The ticket could be in several ticket systems.")
            .remedy("Activate from the ticket's own page, or give its address with its number (`--ticket-url`).")),
    }
}

/// Whether a ticket, as its system tells it, is what was asked for and what the policy wants.
///
/// # Errors
/// The first thing that differs: [`Code::TicketUnverified`] for an answer about another ticket,
/// [`Code::TicketOfAnotherCustomer`], [`Code::TicketClosed`], [`Code::TicketNotYours`]. Whose it is comes before what else is
/// told of it.
pub fn fits(config: &Config, check: &TicketCheck, told: &told::Ticket) -> Result<(), Problem> {
    let Some(psa) = config.psas.get(&check.psa) else { return Err(gone()) };
    let Some(customer) = config.customers.get(&check.customer) else { return Err(gone()) };
    let (system, number) = (psa.kind.name(), &check.number);
    if !is_same_number(&told.number, number) {
        return Err(unverified(&format!(
            "{system} was asked about ticket {number} and answered about another one."
        ))
        .remedy("Check the number; if it is right, tell an administrator."));
    }
    belongs(config, psa, customer, number, told)?;
    if (check.rule.must_be_open || check.rule.end_when_closed) && told.closed {
        return Err(Problem::new(
            Code::TicketClosed,
            format!("Ticket {number} is closed: its status in {system} is \"{}\".", told.status),
        )
        .remedy("Reopen it there if the work goes on, or use the ticket that the work is for."));
    }
    if check.rule.must_be_mine {
        let mine = name_in(config, check).is_some_and(|name| is_same_person(name, told.owner.iter()));
        if !mine {
            let owner = shown_owner(told)
                .map_or_else(|| "nobody's".to_owned(), |owner| format!("owned by \"{owner}\""));
            return Err(Problem::new(
                Code::TicketNotYours,
                format!("Ticket {number} is {owner} in {system}, and the policy needs one of yours."),
            )
            .remedy("Take it there, then try again; if it is yours, an administrator can correct `psa` of your [[technician]]."));
        }
    }
    Ok(())
}

/// The customers whose ticket this can be, going by its company's id, then by its company's name, then by the domains of company and
/// contact. A customer that has ids in this system is not known by anything less where the company has one, too: two companies can
/// have one name.
#[must_use]
pub fn customers_of<'c>(config: &'c Config, psa: &PsaId, told: &told::Ticket) -> Vec<&'c Customer> {
    let company = told.company.as_ref();
    let id = company.map(|c| folded(if c.id.is_empty() { &c.name } else { &c.id })).unwrap_or_default();
    let name = company.map(|c| folded(&c.name)).unwrap_or_default();
    let by = |known: &dyn Fn(&Customer) -> bool| -> Vec<&'c Customer> {
        config.customers.values().filter(|customer| known(customer)).collect()
    };
    let ids = |customer: &Customer| customer.psa.get(psa).cloned().unwrap_or_default();
    let found = by(&|customer| !id.is_empty() && ids(customer).iter().any(|known| folded(known) == id));
    if !found.is_empty() {
        return found;
    }
    let by_id_alone =
        |customer: &Customer| company.is_some_and(|c| !c.id.is_empty()) && !ids(customer).is_empty();
    let found = by(&|customer| {
        let mut names = std::iter::once(&customer.name).chain(&customer.aliases);
        !name.is_empty() && !by_id_alone(customer) && names.any(|known| folded(known) == name)
    });
    if !found.is_empty() {
        return found;
    }
    let contact = told.contact_email.as_deref().and_then(|address| address.rsplit_once('@'));
    let domains: BTreeSet<String> = company
        .into_iter()
        .flat_map(|c| c.domains.iter().map(String::as_str))
        .chain(contact.map(|(_, domain)| domain))
        .map(str::to_lowercase)
        .collect();
    by(&|customer| !by_id_alone(customer) && customer.domains.iter().any(|domain| domains.contains(domain)))
}

/// Whose ticket this can be, as far as this technician may hear of it: customers at which some policy can be offered, all of
/// them. Nobody where the system's word fits no customer, or one of the others too.
#[must_use]
pub fn told_to<'a>(
    config: &Config,
    asker: impl Into<super::Asker<'a>>,
    psa: &PsaId,
    told: &told::Ticket,
) -> Vec<CustomerId> {
    let theirs = super::customers_for(config, asker);
    let found = customers_of(config, psa, told);
    if found.iter().any(|customer| !theirs.iter().any(|their| their.id == customer.id)) {
        return Vec::new();
    }
    found.into_iter().map(|customer| customer.id.clone()).collect()
}

/// Refuses a ticket that is not this customer's, or not its alone.
fn belongs(
    config: &Config,
    psa: &Psa,
    customer: &Customer,
    number: &str,
    told: &told::Ticket,
) -> Result<(), Problem> {
    let found = customers_of(config, &psa.id, told);
    if let [only] = found.as_slice()
        && only.id == customer.id
    {
        return Ok(());
    }
    let system = psa.kind.name();
    // In the system's own words: which customers are configured is not told.
    let said = shown_company(told);
    let problem = |detail: String| Problem::new(Code::TicketOfAnotherCustomer, detail);
    Err(match (found.as_slice(), said) {
        ([_], Some(said)) => problem(format!("Ticket {number} belongs to {said}, not to {}.", customer.name))
            .remedy("Use a ticket of this customer, or rights at the ticket's own customer."),
        (_, None) => problem(format!("{system} does not say which customer ticket {number} belongs to."))
            .remedy("Give the ticket its company or contact there, then try again."),
        ([], Some(said)) => {
            problem(format!("Ticket {number} belongs to {said} in {system}, which is not known as {}.", customer.name))
                .remedy(format!(
                    "If it is the same, an administrator can add it to `aliases`, `domains` or `psa = {{ {} = … }}` of the [[customer]].",
                    psa.id
                ))
        }
        (_, Some(said)) => {
            problem(format!("Ticket {number} belongs to {said} in {system}, and that is more than one customer here."))
                .remedy(format!(
                    "An administrator can name the company's id at one of them: `psa = {{ {} = … }}` of the [[customer]].",
                    psa.id
                ))
        }
    })
}

/// What the technician is called in the system that is asked.
fn name_in<'c>(config: &'c Config, check: &TicketCheck) -> Option<&'c String> {
    config.technicians.get(&check.technician)?.psa.get(&check.psa)
}

/// The company, or where there is none the contact's domain: what people can compare with.
fn shown_company(told: &told::Ticket) -> Option<String> {
    let company = told.company.iter().flat_map(|c| [&c.name, &c.id]).find(|text| !text.is_empty());
    let contact = || {
        let (_, domain) = told.contact_email.as_deref()?.rsplit_once('@')?;
        Some(format!("a contact at {domain}"))
    };
    company.map(|name| format!("\"{name}\"")).or_else(contact)
}

/// The owner's name, or what is most like one.
fn shown_owner(told: &told::Ticket) -> Option<&String> {
    let is_name = |text: &&String| text.contains(' ');
    let is_word = |text: &&String| text.contains(|c: char| c.is_alphabetic());
    let mut owner = told.owner.iter();
    owner.clone().find(is_name).or_else(|| owner.clone().find(is_word)).or_else(|| owner.next())
}

/// Whether two texts are one ticket's number.
#[must_use]
pub fn is_same_number(one: &str, other: &str) -> bool {
    folded(bare(one)) == folded(bare(other))
}

/// A ticket's number as its system has it, whatever people write before it: a sign, and the zeros that some systems show.
#[must_use]
pub fn asked_number<'t>(psa: &Psa, ticket: &'t Ticket) -> &'t str {
    let number = bare(&ticket.number);
    let plain = number.trim_start_matches('0');
    let is_padded = psa.kind.pads_numbers() && !plain.is_empty() && plain.bytes().all(|b| b.is_ascii_digit());
    if is_padded { plain } else { number }
}

/// A number without the sign that people write before it.
fn bare(number: &str) -> &str {
    let bare = number.trim_start_matches('#').trim_start();
    if bare.is_empty() { number } else { bare }
}

fn unverified(detail: &str) -> Problem {
    Problem::new(Code::TicketUnverified, detail)
}

/// What was asked for has left the configuration.
fn gone() -> Problem {
    unverified("The ticket could not be verified: the configuration has changed.").remedy("Try again.")
}

#[cfg(test)]
mod tests;
