//! What somebody may do, and at which customers. Somebody whom no `[[role]]` names is a technician everywhere, as it was before there
//! were roles; somebody named has what is written, and nothing else.

use std::collections::BTreeSet;

use ticketgate_protocol::ids::{CustomerId, TechnicianId};

use crate::config::{Config, Role};

/// At which customers something holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// At every one, and for what belongs to none.
    Everywhere,
    /// At these alone; at none where it is empty.
    At(BTreeSet<CustomerId>),
}

impl Reach {
    /// Nowhere.
    #[must_use]
    pub const fn nowhere() -> Self {
        Self::At(BTreeSet::new())
    }

    /// Whether it holds at this customer.
    #[must_use]
    pub fn is_at(&self, customer: &CustomerId) -> bool {
        match self {
            Self::Everywhere => true,
            Self::At(customers) => customers.contains(customer),
        }
    }

    /// Whether it holds anywhere.
    #[must_use]
    pub fn is_somewhere(&self) -> bool {
        *self != Self::nowhere()
    }

    /// Here or there.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::At(here), Self::At(there)) => Self::At(here.union(there).cloned().collect()),
            _ => Self::Everywhere,
        }
    }
}

/// Somebody's roles, each with its reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    reaches: [Reach; 4],
}

impl Roles {
    /// None.
    #[must_use]
    pub const fn none() -> Self {
        Self { reaches: [Reach::nowhere(), Reach::nowhere(), Reach::nowhere(), Reach::nowhere()] }
    }

    /// Those of a technician of the configuration, who is also in `groups`: those that the provider says. Nobody's: none.
    #[must_use]
    pub fn of(config: &Config, id: &TechnicianId, groups: &BTreeSet<String>) -> Self {
        let mut roles = Self::none();
        let Some(technician) = config.technicians.get(id) else { return roles };
        let is_in = |group: &String| technician.groups.contains(group) || groups.contains(group);
        let mut named = false;
        for rule in &config.roles {
            if rule.technicians.contains(id) || rule.groups.iter().any(is_in) {
                named = true;
                let reach = rule.customers.clone().map_or(Reach::Everywhere, Reach::At);
                roles.add(rule.role, &reach);
            }
        }
        if !named {
            roles.add(Role::Technician, &Reach::Everywhere);
        }
        if config.broker.administrators.contains(id) {
            roles.add(Role::Administrator, &Reach::Everywhere);
        }
        roles
    }

    /// The same with one more.
    #[must_use]
    pub fn with(mut self, role: Role, reach: &Reach) -> Self {
        self.add(role, reach);
        self
    }

    fn add(&mut self, role: Role, reach: &Reach) {
        let [technician, approver, administrator, auditor] = &mut self.reaches;
        let mine = match role {
            Role::Technician => technician,
            Role::Approver => approver,
            Role::Administrator => administrator,
            Role::Auditor => auditor,
        };
        *mine = mine.or(reach);
    }

    /// Where somebody has this one.
    #[must_use]
    pub const fn reach(&self, role: Role) -> &Reach {
        let [technician, approver, administrator, auditor] = &self.reaches;
        match role {
            Role::Technician => technician,
            Role::Approver => approver,
            Role::Administrator => administrator,
            Role::Auditor => auditor,
        }
    }

    /// Whether somebody has one of these anywhere.
    #[must_use]
    pub fn has_any(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.reach(*role).is_somewhere())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read;

    const BASE: &str = "[broker]\nadministrators = [\"boss\"]\n[[technician]]\nid = \"tech1\"\ngroups = [\"tier2\"]\n[[technician]]\nid = \"boss\"\n\
        [[technician]]\nid = \"eva\"\ngroups = [\"audit\"]\n[[customer]]\nid = \"acme\"\nname = \"Acme\"\n[[customer]]\nid = \"globex\"\nname = \"Globex\"\n";

    fn roles(more: &str, id: &str, groups: &[&str]) -> Roles {
        let config = read(&format!("{BASE}{more}")).unwrap_or_else(|faults| panic!("{faults}"));
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Roles::of(&config, &id.parse().unwrap(), &groups)
    }

    fn at(roles: &Roles, role: Role) -> [bool; 2] {
        ["acme", "globex"].map(|id| roles.reach(role).is_at(&id.parse().unwrap()))
    }

    #[test]
    fn whom_no_role_names_is_a_technician_everywhere_and_administrators_stay_what_they_were() {
        for (id, administrates) in [("tech1", false), ("boss", true), ("eva", false)] {
            let roles = roles("", id, &[]);
            assert_eq!(at(&roles, Role::Technician), [true, true]);
            assert_eq!(at(&roles, Role::Administrator), [administrates; 2], "{id}");
            assert!(!roles.has_any(&[Role::Auditor, Role::Approver]));
        }
        assert_eq!(roles("", "nobody", &["tier2"]), Roles::none());
    }

    #[test]
    fn who_is_named_has_what_is_written_and_nothing_else_but_all_of_it() {
        let audit = "[[role]]\nrole = \"auditor\"\ngroups = [\"audit\"]\ncustomers = [\"acme\"]\n";
        let eva = roles(audit, "eva", &[]);
        assert_eq!((at(&eva, Role::Auditor), at(&eva, Role::Technician)), ([true, false], [false, false]));
        assert_eq!(at(&roles(audit, "tech1", &[]), Role::Technician), [true, true]);
        // By a group that the provider says.
        assert_eq!(roles(audit, "tech1", &["audit"]), eva);
        let more = format!(
            "{audit}[[role]]\nrole = \"auditor\"\ntechnicians = [\"eva\"]\ncustomers = [\"globex\"]\n\
             [[role]]\nrole = \"technician\"\ntechnicians = [\"eva\", \"boss\"]\n"
        );
        let eva = roles(&more, "eva", &[]);
        assert_eq!((at(&eva, Role::Auditor), at(&eva, Role::Technician)), ([true, true], [true, true]));
        assert!(
            *eva.reach(Role::Auditor) != Reach::Everywhere,
            "what belongs to no customer is not among them"
        );
        assert_eq!(at(&roles(&more, "boss", &[]), Role::Administrator), [true, true]);
    }
}
