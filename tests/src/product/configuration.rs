//! Configuration files for the product under test, built up piece by piece, so that a test shows only what it is about.

use crate::Result;
use crate::samba::SambaAd;
use anyhow::bail;
use rustix::process::geteuid;

/// A configuration file in the making.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    broker: String,
    rest: String,
}

/// A policy. `Policy::default()` with an id, rights and nothing else is for an hour, four at most, without a ticket.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Its id.
    pub id: &'static str,
    /// Its name as people say it.
    pub name: &'static str,
    /// The directory's id.
    pub directory: &'static str,
    /// `dedicated`, `burner` or `membership`.
    pub mode: &'static str,
    /// The DNs of the groups that it grants.
    pub rights: Vec<String>,
    /// The duration offered first.
    pub default: &'static str,
    /// The longest duration.
    pub max: &'static str,
    /// Durations offered.
    pub choices: Vec<&'static str>,
    /// Groups of technicians.
    pub groups: Vec<&'static str>,
    /// Whether a ticket has to be named.
    pub ticket: bool,
    /// Whether the in-page button activates at once.
    pub one_click: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            id: "policy",
            name: "A policy",
            directory: "acme-ad",
            mode: "dedicated",
            rights: Vec::new(),
            default: "1h",
            max: "4h",
            choices: vec!["30m", "1h", "4h"],
            groups: vec!["tier2"],
            ticket: false,
            one_click: false,
        }
    }
}

impl Configuration {
    /// An empty file.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The world that most tests are about.
    ///
    /// - The technician `tech1` (group `tier2`) is the operating system's user who runs the test.
    /// - Customers `acme`, `globex` and `initech`, named as Request Tracker's queues.
    /// - The directory `acme-ad`.
    /// - Policies: `acme-domain-admin` (dedicated, Domain Admins, needs a ticket, one click), `acme-server-admin`
    ///   (dedicated, Tier1 Server Admins), `acme-burner` (Helpdesk Operators), `acme-member` (membership, Helpdesk
    ///   Operators for the technician's own account). All for an hour, four at most.
    pub fn standard(ad: &SambaAd) -> Self {
        let right = |short| vec![ad.group(short).to_owned()];
        Self::empty()
            .technician("tech1", &login(), &["tier2"], &[("acme-ad", "tech1")])
            .customer("acme", "Acme Corp", &["ACME"])
            .customer("globex", "Globex", &[])
            .customer("initech", "Initech", &[])
            .directory("acme-ad", "acme", ad)
            .policy(&Policy {
                id: "acme-domain-admin",
                name: "Domain Admin",
                rights: right("domain_admins"),
                ticket: true,
                one_click: true,
                ..Policy::default()
            })
            .policy(&Policy {
                id: "acme-server-admin",
                name: "Server Admin",
                rights: right("tier1"),
                ..Policy::default()
            })
            .policy(&Policy {
                id: "acme-burner",
                name: "Helpdesk, disposable account",
                mode: "burner",
                rights: right("helpdesk"),
                ..Policy::default()
            })
            .policy(&Policy {
                id: "acme-member",
                name: "Helpdesk, own account",
                mode: "membership",
                rights: right("helpdesk"),
                ..Policy::default()
            })
    }

    /// Adds a line to `[broker]`, such as `administrators = ["tech1"]`.
    #[must_use]
    pub fn broker(mut self, line: &str) -> Self {
        self.broker.push_str(line);
        self.broker.push('\n');
        self
    }

    /// Limits on requests that no test meets.
    #[must_use]
    pub fn generous(self) -> Self {
        self.broker("rate = { per_minute = 10000, per_hour = 10000, per_day = 10000 }")
    }

    /// Adds a technician; `accounts` names the person's own account per directory.
    #[must_use]
    pub fn technician(self, id: &str, login: &str, groups: &[&str], accounts: &[(&str, &str)]) -> Self {
        let accounts: Vec<_> = accounts.iter().map(|(d, a)| format!("{} = {}", text(d), text(a))).collect();
        self.with(&format!(
            "[[technician]]\nid = {}\nlogin = {}\ngroups = {}\naccounts = {{ {} }}\n",
            text(id),
            text(login),
            list(groups),
            accounts.join(", ")
        ))
    }

    /// Adds a customer.
    #[must_use]
    pub fn customer(self, id: &str, name: &str, aliases: &[&str]) -> Self {
        let (id, name, aliases) = (text(id), text(name), list(aliases));
        self.with(&format!("[[customer]]\nid = {id}\nname = {name}\naliases = {aliases}\n"))
    }

    /// Adds a customer's directory.
    #[must_use]
    pub fn directory(self, id: &str, customer: &str, ad: &SambaAd) -> Self {
        self.with(&format!(
            "[[directory]]\nid = {}\ncustomer = {}\nkind = \"active_directory\"\nservers = [{}]\nbind_dn = {}\n\
             password = {{ file = {} }}\nca_file = {}\naccount_unit = {}\n",
            text(id),
            text(customer),
            text(&ad.url()),
            text(ad.service_account()),
            text(&ad.service_password_file().display().to_string()),
            text(&ad.ca().display().to_string()),
            text(ad.account_unit()),
        ))
    }

    /// Adds a policy.
    #[must_use]
    pub fn policy(self, policy: &Policy) -> Self {
        let Policy { id, name, directory, mode, rights, default, max, choices, groups, ticket, one_click } =
            policy;
        let [id, name, directory, mode, default, max] =
            [id, name, directory, mode, default, max].map(|part| text(part));
        let (rights, choices, groups) = (list(rights), list(choices), list(groups));
        self.with(&format!(
            "[[policy]]\nid = {id}\nname = {name}\ndirectory = {directory}\nmode = {mode}\nrights = {rights}\n\
             duration = {{ default = {default}, max = {max}, choices = {choices} }}\n\
             eligible = {{ groups = {groups} }}\nticket = {{ required = {ticket} }}\none_click = {one_click}\n"
        ))
    }

    /// Adds anything, as it would stand in the file. Not for keys of `[broker]`.
    #[must_use]
    pub fn with(mut self, toml: &str) -> Self {
        self.rest.push('\n');
        self.rest.push_str(toml);
        self
    }

    /// Changes something that stands there.
    ///
    /// # Errors
    /// It does not.
    pub fn replace(mut self, this: &str, by: &str) -> Result<Self> {
        if !self.rest.contains(this) && !self.broker.contains(this) {
            bail!("the configuration does not have {this:?}: {}", self.text());
        }
        self.rest = self.rest.replace(this, by);
        self.broker = self.broker.replace(this, by);
        Ok(self)
    }

    /// The file.
    pub fn text(&self) -> String {
        format!("[broker]\n{}{}", self.broker, self.rest)
    }
}

/// The name of the operating system's user who runs this, as the broker's socket will know it.
pub fn login() -> String {
    let id = geteuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    });
    name.unwrap_or(id)
}

/// A string as TOML writes it; JSON's escapes are all among TOML's.
fn text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

fn list<T: AsRef<str>>(values: &[T]) -> String {
    let values: Vec<_> = values.iter().map(|value| text(value.as_ref())).collect();
    format!("[{}]", values.join(", "))
}
