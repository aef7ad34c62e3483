//! A ticket system's companies beside the configuration's customers: which are known, which are new, and which a person
//! has to look at. Exact matches decide; likeness only suggests. How that is printed: `report.rs`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use ticketgate_access::config::{Config, Customer, folded, is_anybodys};
use ticketgate_protocol::ids::{CustomerId, PsaId};
use ticketgate_protocol::{likeness, text};

use super::ids::free_id;

/// The longest name or id that the configuration takes, in characters.
pub(in crate::cli) const NAME_MAX: usize = 200;
/// The most customers that are suggested for one company.
const SUGGESTED_MAX: usize = 3;

/// A company as it was listed; no id where the list has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) domains: Vec<String>,
}

/// What to do about a list of companies.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Import {
    /// Companies that no customer is and that are like none.
    pub(super) new: Vec<New>,
    /// What customers lack by which their companies would be found.
    pub(super) add: Vec<Add>,
    /// Companies that a person has to look at.
    pub(super) unclear: Vec<Unclear>,
    /// How many companies need nothing.
    pub(super) known: usize,
    /// What was not used, and why.
    pub(super) left_out: Vec<String>,
}

/// A customer to be.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct New {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) companies: Vec<String>,
    pub(super) domains: Vec<String>,
}

/// What a customer lacks.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Add {
    pub(super) customer: CustomerId,
    pub(super) aliases: Vec<String>,
    pub(super) companies: Vec<String>,
    pub(super) domains: Vec<String>,
}

/// A company that may be one of several customers, or new.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Unclear {
    pub(super) why: String,
    /// As it would be written if it is new.
    pub(super) company: New,
    /// Those that it may be.
    pub(super) customers: Vec<CustomerId>,
}

/// Whether two names are the same name.
pub(super) fn same_name(a: &str, b: &str) -> bool {
    folded(a) == folded(b)
}

/// Compares a list with the configuration. Ids count only where it is said whose they are.
pub(super) fn compare(config: &Config, psa: Option<&PsaId>, companies: &[Listed]) -> Import {
    let mut found = Import::default();
    let companies = sound(companies, psa, &mut found.left_out);
    let mut of_name: BTreeMap<String, usize> = BTreeMap::new();
    let mut of_domain: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (at, company) in companies.iter().enumerate() {
        *of_name.entry(folded(&company.name)).or_default() += 1;
        for domain in &company.domains {
            of_domain.entry(domain).or_default().insert(at);
        }
    }
    let names: Vec<(usize, String)> = config
        .customers
        .values()
        .enumerate()
        .flat_map(|(at, c)| {
            std::iter::once(&c.name).chain(&c.aliases).map(move |name| (at, name.to_lowercase()))
        })
        .collect();
    let mut ids: BTreeSet<String> = config.customers.keys().map(ToString::to_string).collect();
    let mut add: BTreeMap<CustomerId, Add> = BTreeMap::new();
    for company in &companies {
        let by_id = psa.and_then(|psa| customer_of_company(config, psa, &company.id));
        let by_name =
            config.customers_named(&company.name).into_iter().next().and_then(|id| config.customers.get(id));
        let twins = of_name.get(&folded(&company.name)).copied().unwrap_or_default();
        let certain = match (by_id, by_name) {
            (Some(a), Some(b)) if a.id != b.id => {
                let why = format!(
                    "its id is one of customer {:?}, its name of customer {:?}",
                    a.id.as_str(),
                    b.id.as_str()
                );
                let customers = vec![a.id.clone(), b.id.clone()];
                let domains = usable(config, &of_domain, company, None, &mut found.left_out);
                found.unclear.push(Unclear { why, company: new(company, domains, &mut ids), customers });
                continue;
            }
            (Some(customer), _) => Some(customer),
            // Which of them is meant, a name alone does not say.
            (None, _) if twins > 1 => {
                let why = format!("{twins} companies of the list have this name");
                let customers = by_name.map(|c| c.id.clone()).into_iter().collect();
                let domains = usable(config, &of_domain, company, None, &mut found.left_out);
                found.unclear.push(Unclear { why, company: new(company, domains, &mut ids), customers });
                continue;
            }
            (None, by_name) => by_name,
        };
        let mut domains = usable(config, &of_domain, company, certain, &mut found.left_out);
        match certain {
            Some(customer) => {
                let entry = add.entry(customer.id.clone()).or_insert_with(|| Add {
                    customer: customer.id.clone(),
                    aliases: Vec::new(),
                    companies: Vec::new(),
                    domains: Vec::new(),
                });
                let before = entry.aliases.len() + entry.companies.len() + entry.domains.len();
                // Found by its id under a name that pages show and no customer has.
                if by_name.is_none() && twins == 1 {
                    entry.aliases.push(company.name.clone());
                }
                if by_id.is_none() && psa.is_some() && !company.id.is_empty() {
                    entry.companies.push(company.id.clone());
                }
                domains.retain(|domain| !customer.domains.contains(domain));
                entry.domains.append(&mut domains);
                if before == entry.aliases.len() + entry.companies.len() + entry.domains.len() {
                    found.known += 1;
                }
            }
            None => {
                let alike = likeness::most_alike(&company.name.to_lowercase(), &names, SUGGESTED_MAX);
                let company = new(company, domains, &mut ids);
                if alike.is_empty() {
                    found.new.push(company);
                } else {
                    let customers: Vec<CustomerId> =
                        alike.iter().filter_map(|at| config.customers.keys().nth(*at)).cloned().collect();
                    found.unclear.push(Unclear {
                        why: "no customer has this name, but one like it".into(),
                        company,
                        customers,
                    });
                }
            }
        }
    }
    found.add = add
        .into_values()
        .filter(|a| !(a.aliases.is_empty() && a.companies.is_empty() && a.domains.is_empty()))
        .collect();
    found
}

/// The domains of a company by which its customer can be found: no other customer's, and of no other company of the list.
fn usable(
    config: &Config,
    of_domain: &BTreeMap<&str, BTreeSet<usize>>,
    company: &Listed,
    customer: Option<&Customer>,
    left_out: &mut Vec<String>,
) -> Vec<String> {
    let mut usable = Vec::new();
    for domain in &company.domains {
        let owner = config.customers.values().find(|c| c.domains.contains(domain));
        let shared = of_domain.get(domain.as_str()).is_some_and(|of| of.len() > 1);
        match owner {
            Some(owner) if customer.is_some_and(|c| c.id == owner.id) => usable.push(domain.clone()),
            Some(owner) => left_out.push(format!(
                "the domain {domain} of {:?}: it is customer {:?}'s",
                company.name,
                owner.id.as_str()
            )),
            None if shared => left_out.push(format!(
                "the domain {domain} of {:?}: another company of the list has it, too",
                company.name
            )),
            None => usable.push(domain.clone()),
        }
    }
    usable
}

/// The companies that can be used, each once; ids only where it is known whose they are.
fn sound(companies: &[Listed], psa: Option<&PsaId>, left_out: &mut Vec<String>) -> Vec<Listed> {
    let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
    let mut sound = Vec::new();
    for company in companies {
        let name = match text::line(&company.name, NAME_MAX) {
            Ok(name) => name,
            Err(bad) => {
                left_out.push(format!("a company whose name {bad} (id {:?})", company.id));
                continue;
            }
        };
        let id = match psa {
            Some(_) if !company.id.is_empty() => match text::line(&company.id, NAME_MAX) {
                Ok(id) => id,
                Err(bad) => {
                    left_out.push(format!("the company {name:?}, whose id {bad}"));
                    continue;
                }
            },
            _ => String::new(),
        };
        let mut domains: Vec<String> = Vec::new();
        for domain in company.domains.iter().map(|domain| domain.trim().to_lowercase()) {
            if !is_domain(&domain) {
                left_out.push(format!("{domain:?} of {name:?}, which is no domain"));
            } else if is_anybodys(&domain) {
                left_out.push(format!("the domain {domain} of {name:?}: anybody can have an address there"));
            } else if !domains.contains(&domain) {
                domains.push(domain);
            }
        }
        if seen.insert((id.clone(), folded(&name))) {
            sound.push(Listed { id, name, domains });
        }
    }
    sound
}

fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(is_label)
}

fn customer_of_company<'c>(config: &'c Config, psa: &PsaId, company: &str) -> Option<&'c Customer> {
    let has =
        |c: &&Customer| c.psa.get(psa).is_some_and(|ids| ids.iter().any(|id| folded(id) == folded(company)));
    config.customers.values().find(has).filter(|_| !company.is_empty())
}

fn new(company: &Listed, domains: Vec<String>, ids: &mut BTreeSet<String>) -> New {
    let companies = Some(company.id.clone()).filter(|id| !id.is_empty()).into_iter().collect();
    New { id: free_id(&company.name, ids), name: company.name.clone(), companies, domains }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ticketgate_access::config;

    use super::super::report::text;
    use super::*;

    const KNOWN: &str = "[[customer]]\nid = \"acme\"\nname = \"Acme Corp\"\naliases = [\"ACME\"]\ndomains = [\"acme.example\"]\n\
        psa = { cw = [\"19\"] }\n[[customer]]\nid = \"globex\"\nname = \"Globex\"\n\
        [[psa]]\nid = \"cw\"\nkind = \"request_tracker\"\nurl = \"https://rt.example\"\nsecret = { env = \"RT\" }\n";

    fn known() -> Config {
        config::read(KNOWN).unwrap_or_else(|faults| panic!("{faults}"))
    }

    fn cw() -> PsaId {
        "cw".parse().unwrap()
    }

    fn listed(id: &str, name: &str, domains: &[&str]) -> Listed {
        Listed { id: id.into(), name: name.into(), domains: domains.iter().map(|d| (*d).into()).collect() }
    }

    #[test]
    fn what_is_exactly_a_customer_is_known_or_completed_and_the_rest_is_new_or_unclear() {
        let companies = [
            listed("19", "acme  corp", &["acme.example"]),
            listed("27", "GLOBEX", &["globex.example", "gmail.com", "acme.example"]),
            listed("30", "Hooli Müller & Co. KG", &["hooli.example"]),
            listed("31", "Acme (HQ)", &[]),
            listed("32", "Initech", &["init.example"]),
            listed("33", "initech", &["init.example"]),
        ];
        let found = compare(&known(), Some(&cw()), &companies);
        assert_eq!(found.known, 1);
        let [add] = found.add.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            (add.customer.as_str(), &add.companies, &add.domains),
            ("globex", &vec!["27".into()], &vec!["globex.example".into()])
        );
        let [new] = found.new.as_slice() else { panic!("{found:?}") };
        assert_eq!((new.id.as_str(), &new.companies), ("hooli-mueller", &vec!["30".into()]));
        let whys: Vec<_> = found
            .unclear
            .iter()
            .map(|u| (u.company.name.as_str(), u.customers.len(), u.why.as_str()))
            .collect();
        assert_eq!(
            whys,
            [
                ("Acme (HQ)", 1, "no customer has this name, but one like it"),
                ("Initech", 0, "2 companies of the list have this name"),
                ("initech", 0, "2 companies of the list have this name"),
            ]
        );
        let text = text(&found, &known(), Some(&cw()), "/etc/x.toml");
        for part in [
            "# 1 new, 1 to be completed, 3 unclear, 1 need nothing.",
            "[[customer]]\nid = \"hooli-mueller\"\nname = \"Hooli Müller & Co. KG\"\ndomains = [\"hooli.example\"]\npsa = { cw = [\"30\"] }",
            "# globex (Globex)\n#   domains = [\"globex.example\"]\n#   psa = { cw = [\"27\"] }",
            "# If it is acme (Acme Corp):\n#   aliases = [\"ACME\", \"Acme (HQ)\"]\n#   psa = { cw = [\"19\", \"31\"] }\n# If it is new:\n#   [[customer]]",
            "# the domain gmail.com of \"GLOBEX\": anybody can have an address there",
            "# the domain acme.example of \"GLOBEX\": it is customer \"acme\"'s",
        ] {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
    }

    #[test]
    fn an_id_of_one_customer_under_the_name_of_another_is_unclear_and_a_new_name_an_alias() {
        let found = compare(&known(), Some(&cw()), &[listed("19", "Globex", &[])]);
        assert_eq!(found.unclear[0].customers.len(), 2, "{found:?}");
        let found = compare(&known(), Some(&cw()), &[listed("19", "Acme Holding", &[])]);
        assert_eq!(found.add[0].aliases, ["Acme Holding"], "{found:?}");
    }

    #[test]
    fn without_a_ticket_system_ids_are_not_used() {
        let found = compare(&known(), None, &[listed("19", "Initech", &[]), listed("20", "Globex", &[])]);
        assert_eq!((found.known, found.new[0].companies.len()), (1, 0), "{found:?}");
        assert!(!text(&found, &known(), None, "x").contains("psa"));
    }

    proptest! {
        #[test]
        fn whatever_is_listed_the_text_is_a_configuration_that_adds_each_new_customer_once(
            companies in prop::collection::vec(
                ("[0-9]{0,2}", "(Acme|Globex|Hooli|[ -~é\u{202e}]{0,12})( Corp| \\(HQ\\))?", prop::collection::vec("[a-z]{1,2}\\.(example|com)|gmail.com|.{0,5}", 0..3)),
                0..8,
            ),
            with_psa in any::<bool>(),
        ) {
            let companies: Vec<_> = companies.into_iter().map(|(id, name, domains)| Listed { id, name, domains }).collect();
            let psa = with_psa.then(cw);
            let found = compare(&known(), psa.as_ref(), &companies);
            let text = text(&found, &known(), psa.as_ref(), "x");
            let whole = config::read(&format!("{KNOWN}{text}"));
            // Two companies of one id under different names are the list's own contradiction.
            let mut of_id: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
            for company in &companies {
                of_id.entry(company.id.trim()).or_default().insert(folded(&company.name));
            }
            if of_id.iter().all(|(id, names)| id.is_empty() || names.len() == 1) {
                let whole = whole.unwrap_or_else(|faults| panic!("{faults}\n{text}"));
                prop_assert_eq!(whole.customers.len(), known().customers.len() + found.new.len());
            }
        }
    }
}
