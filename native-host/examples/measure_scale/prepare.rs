//! A ledger with many open sessions, as they are an hour into a busy day, and the configuration that goes with it.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use ticketgate::places::Places;
use ticketgate_access::desired::ObservedAccount;
use ticketgate_access::session::{Account, AccountKey, Right, Session};
use ticketgate_ledger::{Change, Ledger, NewAudit, SqliteLedger};
use ticketgate_protocol::api::{Mode, State};
use ticketgate_protocol::ids::{CustomerId, DirectoryId, PolicyId, SessionId, TechnicianId};
use ticketgate_protocol::ticket::Ticket;

use super::Result;
use super::stub::{RIGHT, Untouched, open_account};

/// As many sessions as one technician may have at once; more technicians hold more sessions.
const EACH: usize = 100;

/// Sessions written in one transaction while a ledger is prepared.
const AT_ONCE: usize = 2_000;

/// Open sessions, each with an account of its own (mode `burner`, which costs most), by number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prepared {
    pub(super) sessions: usize,
    /// So many end before the others.
    pub(super) early: usize,
    /// The end of session 0; each further one that is early ends `apart` after the one before.
    pub(super) first: DateTime<Utc>,
    /// The same for the others.
    pub(super) others: DateTime<Utc>,
    pub(super) apart: TimeDelta,
}

impl Prepared {
    pub(super) fn until(&self, number: usize) -> DateTime<Utc> {
        let after = |number| self.apart * i32::try_from(number).unwrap_or(i32::MAX);
        match number.checked_sub(self.early) {
            None => self.first + after(number),
            Some(number) => self.others + after(number),
        }
    }

    /// The prepared session that an account belongs to.
    pub(super) fn number(key: &AccountKey) -> Option<usize> {
        key.0.strip_prefix("acme-ad/burner/s-prepared-")?.parse().ok()
    }

    /// The number of a prepared session.
    pub(super) fn number_of(session: &SessionId) -> Option<usize> {
        session.as_str().strip_prefix("s-prepared-")?.parse().ok()
    }

    /// The account of a prepared session, as the ledger has it.
    pub(super) fn account(&self, number: usize) -> Account {
        Account {
            key: AccountKey(format!("acme-ad/burner/s-prepared-{number}")),
            directory: id(DirectoryId::new, "acme-ad"),
            mode: Mode::Burner,
            technician: technician(number),
            name: format!("jit-p-{number}"),
            identity: Some(format!("00000000-0000-4000-8000-{number:012}")),
            display_name: Some(format!("ACME\\jit-p-{number}")),
            token: format!("token-of-26-letters-{number:06}"),
            password_generation: 1,
            standing: Vec::new(),
            settled: true,
            attempts: 0,
            next_try: None,
            gone: false,
            version: 0,
        }
    }

    fn session(&self, number: usize) -> Session {
        // Before any end, so that the session has a length.
        let from = self.first.min(self.others) - TimeDelta::hours(1);
        Session {
            id: id(SessionId::new, &format!("s-prepared-{number}")),
            state: State::Active,
            technician: technician(number),
            customer: id(CustomerId::new, "acme"),
            directory: id(DirectoryId::new, "acme-ad"),
            policy: id(PolicyId::new, "acme-burner"),
            policy_name: "Server Admin".into(),
            mode: Mode::Burner,
            account: AccountKey(format!("acme-ad/burner/s-prepared-{number}")),
            rights: vec![Right(RIGHT.into())],
            reason: format!("#{number} The printer on the second floor prints nothing (Acme Corp)"),
            ticket: Some(Ticket { number: number.to_string(), ..Ticket::default() }),
            requested_at: from,
            from,
            until: self.until(number),
            whole: None,
            latest_end: self.until(number) + TimeDelta::hours(3),
            active_at: Some(from),
            end_cause: None,
            ended_at: None,
            trouble: None,
            version: 0,
        }
    }

    /// Writes ledger and configuration into `folder`.
    pub(super) async fn write(&self, folder: &Path, login: &str) -> Result<Places> {
        let state = folder.join("state");
        std::fs::create_dir_all(&state)?;
        let places = Places {
            config: folder.join("ticketgate.toml"),
            socket: folder.join("run/s"),
            state: state.clone(),
        };
        let configuration = configuration(self.sessions.div_ceil(EACH), login);
        ticketgate_access::config::read(&configuration).map_err(|faults| faults.to_string())?;
        std::fs::write(&places.config, configuration)?;
        let ledger = SqliteLedger::open(&state.join("ledger.sqlite"), &state.join("audit.key"))?;
        let numbers: Vec<_> = (0..self.sessions).collect();
        for numbers in numbers.chunks(AT_ONCE) {
            let sessions: Vec<_> = numbers.iter().map(|number| self.session(*number)).collect();
            let change = Change {
                name: "ledger.bench",
                at: sessions.iter().map(|session| session.from).max().unwrap_or_default(),
                accounts: numbers.iter().map(|number| self.account(*number)).collect(),
                audit: sessions.iter().map(granted).collect(),
                sessions,
                ..Change::default()
            };
            ledger.commit(change).await?;
        }
        Ok(places)
    }
}

impl Untouched for Prepared {
    fn seen(&self, account: &Account) -> Option<ObservedAccount> {
        let number = Self::number(&account.key)?;
        Some(open_account(account, account.identity.clone()?, self.until(number)))
    }

    fn accounts(&self) -> Box<dyn Iterator<Item = Account> + Send + '_> {
        Box::new((0..self.sessions).map(|number| self.account(number)))
    }
}

fn granted(session: &Session) -> NewAudit {
    NewAudit {
        customer: Some(session.customer.clone()),
        action: "activation.granted",
        actor: "broker".into(),
        outcome: "ok",
        details: [("session", json!(session.id)), ("until", json!(session.until))].into(),
    }
}

fn technician(number: usize) -> TechnicianId {
    id(TechnicianId::new, &format!("tech{}", number / EACH))
}

fn id<T, E: std::fmt::Debug>(new: impl Fn(String) -> std::result::Result<T, E>, text: &str) -> T {
    new(text.to_owned()).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn configuration(technicians: usize, login: &str) -> String {
    let mut text = format!(
        "[broker]\nsessions_at_once = {EACH}\nrate = {{ per_minute = 10000, per_hour = 10000, per_day = 10000 }}\n\
         [[technician]]\nid = \"measuring\"\nlogin = \"{login}\"\ngroups = [\"tier2\"]\n\
         [[customer]]\nid = \"acme\"\nname = \"Acme Corp\"\n\
         [[directory]]\nid = \"acme-ad\"\ncustomer = \"acme\"\nkind = \"active_directory\"\n\
         servers = [\"ldaps://dc1.acme.example\"]\nbind_dn = \"CN=svc,DC=acme,DC=example\"\npassword = {{ file = \"/none\" }}\n\
         account_unit = \"OU=JIT,DC=acme,DC=example\"\n"
    );
    for (policy, mode) in [("acme-burner", "burner"), ("acme-dedicated", "dedicated")] {
        text.push_str(&format!(
            "[[policy]]\nid = \"{policy}\"\nname = \"Server Admin ({mode})\"\ndirectory = \"acme-ad\"\nmode = \"{mode}\"\n\
             rights = [\"{RIGHT}\"]\nduration = {{ default = \"1h\", max = \"4h\", choices = [\"1h\", \"4h\"] }}\n\
             eligible = {{ groups = [\"tier2\"] }}\n"
        ));
    }
    for number in 0..technicians {
        text.push_str(&format!("[[technician]]\nid = \"tech{number}\"\ngroups = [\"tier2\"]\n"));
    }
    text
}

/// A folder that lives as long as its broker; short, since a socket's path has room for 107 bytes.
pub(super) fn folder() -> Result<tempfile::TempDir> {
    Ok(tempfile::Builder::new().prefix("tg-scale-").tempdir()?)
}
