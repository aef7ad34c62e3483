//! The customers, technicians and accounts of a run: each technician has an account in each customer's directory that was used
//! before and is closed, and every activation opens another one.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use ticketgate_access::desired::{DirectoryEnd, Marker, ObservedAccount};
use ticketgate_access::session::{Account, AccountKey};
use ticketgate_ledger::{Change, Ledger, PostgresLedger};
use ticketgate_protocol::api::{Activate, Mode};
use ticketgate_protocol::ids::{CustomerId, DirectoryId, PolicyId, TechnicianId};

use super::Result;
use super::stub::{RIGHT, Untouched, open_account};

pub(super) const TECHNICIANS: usize = 250;
/// With one more than the technicians it has no divisor in common, so that every pair comes once.
pub(super) const CUSTOMERS: usize = 50;
/// As many activations as a run has accounts for.
pub(super) const PAIRS: usize = TECHNICIANS * CUSTOMERS;

/// Accounts written in one transaction while a ledger is prepared.
const AT_ONCE: usize = 500;

/// A technician at a customer. Numbers that follow one another are of different technicians and customers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) technician: usize,
    pub(super) customer: usize,
}

impl Pair {
    pub(super) const fn of(number: usize) -> Self {
        Self { technician: number % TECHNICIANS, customer: (number + number / TECHNICIANS) % CUSTOMERS }
    }

    /// As [`Pair::of`], for `pgbench`.
    pub(super) fn sql() -> String {
        format!(
            "\\set technician :pair % {TECHNICIANS}\n\\set customer (:pair + :pair / {TECHNICIANS}) % {CUSTOMERS}"
        )
    }

    pub(super) fn technician(self) -> String {
        format!("technician-{}", self.technician)
    }

    pub(super) fn customer(self) -> String {
        format!("customer-{}", self.customer)
    }

    pub(super) fn wish(self) -> Activate {
        let customer = self.customer();
        Activate {
            customer: Some(id(CustomerId::new, &customer)),
            policy: id(PolicyId::new, &format!("{customer}-admin")),
            duration_s: 3600,
            reason: "#4711 The printer on the second floor prints nothing".into(),
            ticket: None,
        }
    }

    fn account(self) -> Account {
        let (technician, customer) = (self.technician(), self.customer());
        let directory = id(DirectoryId::new, &format!("{customer}-ad"));
        Account {
            key: AccountKey(format!("{directory}/dedicated/{technician}")),
            directory,
            mode: Mode::Dedicated,
            name: format!("jit-{technician}"),
            identity: Some(format!("identity of {technician} at {customer}")),
            display_name: Some(format!("ACME\\jit-{technician}")),
            token: format!("token-{technician}-{customer}"),
            technician: id(TechnicianId::new, &technician),
            password_generation: 1,
            standing: Vec::new(),
            settled: true,
            attempts: 0,
            next_try: None,
            gone: false,
            version: 0,
        }
    }
}

fn id<T, E: std::fmt::Debug>(new: impl Fn(String) -> std::result::Result<T, E>, text: &str) -> T {
    new(text.to_owned()).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

/// All accounts, closed.
pub(super) struct Closed;

impl Untouched for Closed {
    fn seen(&self, account: &Account) -> Option<ObservedAccount> {
        let mut seen = open_account(account, account.identity.clone()?, DateTime::UNIX_EPOCH);
        seen.enabled = false;
        seen.end = DirectoryEnd::At(DateTime::UNIX_EPOCH);
        seen.rights = BTreeSet::new();
        let (token, owner) = (account.token.clone(), account.technician.to_string());
        seen.marker = Some(Marker { token, owner, generation: 1, until: None });
        Some(seen)
    }

    // What a sweep lists is what may be there without the ledger's knowing: nothing.
    fn accounts(&self) -> Box<dyn Iterator<Item = Account> + Send + '_> {
        Box::new(std::iter::empty())
    }
}

/// Writes all accounts into a new ledger.
pub(super) async fn fill(ledger: &PostgresLedger) -> Result<()> {
    let numbers: Vec<_> = (0..PAIRS).collect();
    for numbers in numbers.chunks(AT_ONCE) {
        let accounts = numbers.iter().map(|number| Pair::of(*number).account()).collect();
        ledger.commit(Change { name: "ledger.bench", at: Utc::now(), accounts, ..Change::default() }).await?;
    }
    Ok(())
}

/// The configuration of every broker.
pub(super) fn configuration(address: &str) -> String {
    let mut text = format!(
        "[ledger]\npostgres = \"{address}\"\n\
         [broker]\nsessions_at_once = 100\nrate = {{ per_minute = 10000, per_hour = 10000, per_day = 10000 }}\n"
    );
    for number in 0..TECHNICIANS {
        text.push_str(&format!("[[technician]]\nid = \"technician-{number}\"\ngroups = [\"tier2\"]\n"));
    }
    for number in 0..CUSTOMERS {
        let id = format!("customer-{number}");
        text.push_str(&format!(
            "[[customer]]\nid = \"{id}\"\nname = \"Customer {number}\"\n\
             [[directory]]\nid = \"{id}-ad\"\ncustomer = \"{id}\"\nkind = \"active_directory\"\n\
             servers = [\"ldaps://dc1.{id}.example\"]\nbind_dn = \"CN=svc,DC=acme,DC=example\"\npassword = {{ file = \"/none\" }}\n\
             account_unit = \"OU=JIT,DC=acme,DC=example\"\n\
             [[policy]]\nid = \"{id}-admin\"\nname = \"Server Admin\"\ndirectory = \"{id}-ad\"\nmode = \"dedicated\"\n\
             rights = [\"{RIGHT}\"]\nduration = {{ default = \"1h\", max = \"4h\", choices = [\"1h\", \"4h\"] }}\n\
             eligible = {{ groups = [\"tier2\"] }}\n"
        ));
    }
    text
}
