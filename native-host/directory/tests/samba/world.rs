//! What the tests share: a directory, the connector on it, and accounts as the ledger would have them.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_access::config::{self, SecretRef};
use ticketgate_access::desired::{Marker, Observed, ObservedAccount, Step};
use ticketgate_access::session::{Account, AccountKey, Right};
use ticketgate_credentials::{NoSecret, ReadSecret, Secret};
use ticketgate_directory::{ActiveDirectory, Directory, DirectoryError};
use ticketgate_protocol::api::Mode;
use ticketgate_tests::samba::{Options, SambaAd};
use tokio::runtime::Runtime;

pub const TOKEN: &str = "token-of-the-ledger";
pub const GROUPS: [&str; 14] = [
    "domain_admins",
    "tier1",
    "helpdesk",
    "nested_inner",
    "nested_outer",
    "big",
    "untouchable",
    "comma",
    "quotes",
    "umlaut",
    "backslash",
    "hash",
    "space",
    "brackets",
];

/// A secret that the test sets.
pub struct Given(pub std::sync::Mutex<String>);

impl ReadSecret for Given {
    fn read(&self, _: &SecretRef) -> Result<Secret, NoSecret> {
        Ok(Secret::new(self.0.lock().unwrap().clone()))
    }
}

pub struct World {
    pub ad: SambaAd,
    pub runtime: Runtime,
    pub directory: ActiveDirectory,
}

impl World {
    pub fn new(options: Options) -> Self {
        Self::with(options, |_| {})
    }

    /// A world whose unit lacks the right to put a primary group back.
    pub fn in_sparse_unit() -> Self {
        let ad = SambaAd::start(Options::default()).unwrap();
        let config = config::ActiveDirectory { account_unit: ad.sparse_unit().to_owned(), ..config(&ad) };
        let directory = ActiveDirectory::new(&config, rights(&ad)).unwrap();
        Self { ad, runtime: runtime(), directory }
    }

    /// A world whose configuration the test changed.
    pub fn with(options: Options, change: impl FnOnce(&mut config::ActiveDirectory)) -> Self {
        let ad = SambaAd::start(options).unwrap();
        let mut config = config(&ad);
        change(&mut config);
        let directory = ActiveDirectory::new(&config, rights(&ad)).unwrap();
        Self { ad, runtime: runtime(), directory }
    }

    pub fn observe(&self, account: &Account) -> Result<Observed, DirectoryError> {
        self.runtime.block_on(self.directory.observe(account))
    }

    /// The account as it is seen; it has to be there.
    pub fn seen(&self, account: &Account) -> ObservedAccount {
        self.observe(account).unwrap().account.expect("the account is there")
    }

    pub fn try_step(
        &self,
        account: &Account,
        step: &Step,
        password: Option<&Secret>,
    ) -> Result<(), DirectoryError> {
        let seen = self.observe(account)?;
        self.runtime.block_on(self.directory.apply(account, &seen, step, password))
    }

    pub fn step(&self, account: &Account, step: &Step) {
        self.try_step(account, step, None).unwrap_or_else(|error| panic!("{}: {error}", step.name()));
    }

    pub fn grant(&self, account: &Account, group: &str) {
        let right = Right(self.ad.group(group).to_owned());
        self.step(
            account,
            &Step::Grant {
                right,
                until: Some(self.in_(3600)),
                why: ticketgate_access::desired::Why::default(),
            },
        );
    }

    pub fn open(&self, account: &Account, seconds: i64) -> Secret {
        let password = ticketgate_directory::generate_for(&account.name).unwrap();
        let until = self.in_(seconds);
        let step = Step::Open { until, marker: marker(1, Some(until)) };
        self.try_step(account, &step, Some(&password)).unwrap();
        password
    }

    /// A time by the directory's clock.
    pub fn in_(&self, seconds: i64) -> DateTime<Utc> {
        self.runtime.block_on(self.directory.time()).unwrap() + TimeDelta::seconds(seconds)
    }

    /// Tries to log on as the account; AD's own reason where it is refused, empty where it is not.
    pub fn logon(&self, account: &Account, password: &Secret) -> String {
        self.ad.bind(&account.name, password.expose()).unwrap().reason
    }
}

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

pub fn config(ad: &SambaAd) -> config::ActiveDirectory {
    config::ActiveDirectory {
        servers: vec![ad.url()],
        bind_dn: ad.service_account().to_owned(),
        password: SecretRef::File(ad.service_password_file().display().to_string()),
        ca_file: Some(ad.ca().display().to_string()),
        account_unit: ad.account_unit().to_owned(),
        account_name: "jit-{technician}".into(),
        timeout_s: 10,
    }
}

pub fn rights(ad: &SambaAd) -> BTreeSet<Right> {
    GROUPS.iter().map(|group| Right(ad.group(group).to_owned())).collect()
}

pub fn given(password: &str) -> Arc<Given> {
    Arc::new(Given(std::sync::Mutex::new(password.to_owned())))
}

pub fn account(name: &str, mode: Mode) -> Account {
    Account {
        key: AccountKey(format!("acme-ad/test/{name}")),
        directory: "acme-ad".parse().unwrap(),
        mode,
        technician: "tech1".parse().unwrap(),
        name: name.to_owned(),
        identity: None,
        display_name: None,
        token: TOKEN.into(),
        password_generation: 1,
        standing: Vec::new(),
        settled: false,
        attempts: 0,
        next_try: None,
        gone: false,
        version: 0,
    }
}

pub fn marker(generation: u64, until: Option<DateTime<Utc>>) -> Marker {
    Marker { token: TOKEN.into(), owner: "tech1".into(), generation, until }
}
