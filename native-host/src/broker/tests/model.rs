//! A directory and a clock that a test holds in its hands: they fail when told to. The real directory is
//! tested end to end; here it is the order of things when something breaks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use ticketgate_access::config;
use ticketgate_access::desired::{DirectoryEnd, Observed, ObservedAccount, SelfEnding, Step};
use ticketgate_access::session::{Account, Right};
use ticketgate_credentials::Secret;
use ticketgate_directory::{Directory, DirectoryError, ListedAccount, Listing, Promises, RightUse};
use ticketgate_protocol::api::{Finding, Mode};
use ticketgate_psa::Psa;

use super::tickets::Scripted;
use super::together::Together;
use crate::broker::{BuildConnectors, Clock};

/// What the next calls of a directory do instead of working.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    Down,
    /// Looks wait for another mood.
    Held,
    /// Looks at what is closed or gone wait for another mood.
    HeldOnceClosed,
    /// A look takes this many seconds.
    Slow(i64),
    /// Steps of this name are refused.
    Refuses(&'static str),
    /// Steps of this name are refused, after so many seconds.
    RefusesAfter(&'static str, i64),
    /// Taking this right away is refused.
    KeepsRight(&'static str),
    /// Giving this right is refused.
    RefusesRight(&'static str),
    /// No right is taken away before so many seconds.
    NotYet(u32),
    /// Steps of this name are done, but the answer is lost.
    LosesAnswerOf(&'static str),
}

pub(super) struct Model {
    pub(super) accounts: Mutex<BTreeMap<String, ObservedAccount>>,
    pub(super) passwords: Mutex<BTreeMap<String, String>>,
    pub(super) steps: Mutex<Vec<&'static str>>,
    /// How often it was looked at.
    pub(super) looks: AtomicU32,
    /// So many looks more do not show the last writes.
    pub(super) lags: AtomicU32,
    pub(super) mood: Mutex<Mood>,
    pub(super) skew: Mutex<TimeDelta>,
    /// The rights that its connector was last told of.
    pub(super) known: Mutex<BTreeSet<Right>>,
    /// Which steps are under way at one time.
    pub(super) together: Together,
    /// Milliseconds that each step takes.
    pub(super) takes_ms: AtomicU64,
    /// The directory `acme-two`, where a test has a second one.
    pub(super) second: OnceLock<Arc<Model>>,
    clock: Arc<TestClock>,
}

impl Model {
    pub(super) fn new(clock: Arc<TestClock>) -> Arc<Self> {
        Arc::new(Self {
            accounts: Mutex::default(),
            passwords: Mutex::default(),
            steps: Mutex::default(),
            looks: AtomicU32::new(0),
            lags: AtomicU32::new(0),
            mood: Mutex::new(Mood::Well),
            skew: Mutex::new(TimeDelta::zero()),
            known: Mutex::default(),
            together: Together::default(),
            takes_ms: AtomicU64::default(),
            second: OnceLock::new(),
            clock,
        })
    }

    pub(super) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub(super) fn account(&self, name: &str) -> Option<ObservedAccount> {
        self.accounts.lock().unwrap().get(name).cloned()
    }

    pub(super) fn only(&self) -> ObservedAccount {
        let accounts = self.accounts.lock().unwrap();
        assert_eq!(accounts.len(), 1, "{accounts:?}");
        accounts.values().next().unwrap().clone()
    }

    /// As an administrator would by hand.
    pub(super) fn by_hand(&self, name: &str, change: impl FnOnce(&mut ObservedAccount)) {
        change(self.accounts.lock().unwrap().get_mut(name).unwrap());
    }

    /// A person's account.
    pub(super) fn person(&self, name: &str, rights: &[&str]) {
        let account = ObservedAccount {
            identity: format!("person-{name}"),
            place: format!("CN={name}"),
            display_name: format!("ACME\\{name}"),
            enabled: true,
            end: DirectoryEnd::Never,
            rights: rights.iter().map(|r| Right((*r).into())).collect(),
            right_ends: Vec::new(),
            marker: None,
            own: BTreeSet::new(),
            ordinary_primary_group: true,
        };
        self.accounts.lock().unwrap().insert(name.into(), account);
    }

    fn holds(&self, account: &Account) -> bool {
        let mood = *self.mood.lock().unwrap();
        let is_open = || self.account(&account.name).is_some_and(|seen| seen.enabled);
        mood == Mood::Held || (mood == Mood::HeldOnceClosed && !is_open())
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now() + *self.skew.lock().unwrap()
    }

    fn carry_out(
        &self,
        account: &Account,
        step: &Step,
        password: Option<&Secret>,
    ) -> Result<(), DirectoryError> {
        let mut accounts = self.accounts.lock().unwrap();
        if let Step::Create(marker) = step {
            if accounts.contains_key(&account.name) {
                return Err(DirectoryError::NameTaken(account.name.clone()));
            }
            let made = ObservedAccount {
                identity: crate::random::letters(8),
                place: format!("CN={}", account.name),
                display_name: format!("ACME\\{}", account.name),
                enabled: false,
                end: DirectoryEnd::At(DateTime::UNIX_EPOCH),
                rights: BTreeSet::new(),
                right_ends: Vec::new(),
                marker: Some(marker.clone()),
                own: BTreeSet::new(),
                ordinary_primary_group: true,
            };
            accounts.insert(account.name.clone(), made);
            return Ok(());
        }
        let by_identity = accounts.iter().find(|(_, a)| account.identity.as_ref() == Some(&a.identity));
        let name = by_identity.map_or_else(|| account.name.clone(), |(name, _)| name.clone());
        if matches!(step, Step::Delete) {
            accounts.remove(&name);
            return Ok(());
        }
        let seen =
            accounts.get_mut(&name).ok_or_else(|| DirectoryError::NoSuchAccount(account.name.clone()))?;
        match step {
            Step::Create(_) | Step::Delete => {}
            // A directory keeps the spelling that it has, and takes any.
            Step::Grant { right, .. } => {
                if !seen.rights.iter().any(|r| self.right_key(r) == self.right_key(right)) {
                    seen.rights.insert(right.clone());
                }
            }
            Step::Revoke(right) => seen.rights.retain(|r| self.right_key(r) != self.right_key(right)),
            Step::ResetPrimaryGroup => seen.ordinary_primary_group = true,
            Step::Open { until, marker } => {
                seen.enabled = true;
                seen.end = DirectoryEnd::At(*until);
                seen.marker = Some(marker.clone());
                self.passwords
                    .lock()
                    .unwrap()
                    .insert(account.name.clone(), password.unwrap().expose().to_owned());
            }
            Step::SetEnd { until, marker } => {
                seen.end = DirectoryEnd::At(*until);
                seen.marker = Some(marker.clone());
            }
            Step::Close => {
                seen.enabled = false;
                seen.end = DirectoryEnd::At(DateTime::UNIX_EPOCH);
            }
            Step::Rotate(marker) => {
                seen.marker = Some(marker.clone());
                self.passwords.lock().unwrap().remove(&account.name);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Directory for Model {
    async fn observe(&self, account: &Account) -> Result<Observed, DirectoryError> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        while self.holds(account) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        match *self.mood.lock().unwrap() {
            Mood::Down => return Err(DirectoryError::Unreachable("down".into())),
            Mood::Slow(seconds) => self.clock.pass(seconds),
            _ => {}
        }
        let seen = match &account.identity {
            Some(id) => self.accounts.lock().unwrap().values().find(|a| a.identity == *id).cloned(),
            _ => self.account(&account.name),
        };
        // As a domain controller tells it, in whole seconds.
        let directory_time = self.now().trunc_subsecs(0);
        let behind = self.lags.load(Ordering::SeqCst) > 0;
        if behind {
            self.lags.fetch_sub(1, Ordering::SeqCst);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        Ok(Observed { directory_time, self_ending: SelfEnding::None, account: seen, behind })
    }

    async fn apply(
        &self,
        account: &Account,
        _: &Observed,
        step: &Step,
        password: Option<&Secret>,
    ) -> Result<(), DirectoryError> {
        self.together.on_the_way(step.name()).await;
        let takes = self.takes_ms.load(Ordering::SeqCst);
        tokio::time::sleep(std::time::Duration::from_millis(takes)).await;
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Down => return Err(DirectoryError::Unreachable("down".into())),
            Mood::Refuses(name) if name == step.name() => {
                return Err(DirectoryError::NotDelegated(name.into()));
            }
            Mood::RefusesAfter(name, seconds) if name == step.name() => {
                self.clock.pass(seconds);
                return Err(DirectoryError::Refused("the account is stopped".into()));
            }
            Mood::NotYet(after_s) if matches!(step, Step::Revoke(_)) => {
                return Err(DirectoryError::NotYet { why: "too young".into(), after_s });
            }
            Mood::KeepsRight(kept) if matches!(step, Step::Revoke(right) if right.0 == kept) => {
                return Err(DirectoryError::NotDelegated(kept.into()));
            }
            Mood::RefusesRight(refused) if matches!(step, Step::Grant { right, .. } if right.0 == refused) => {
                return Err(DirectoryError::NotDelegated(refused.into()));
            }
            _ => {}
        }
        self.steps.lock().unwrap().push(step.name());
        self.carry_out(account, step, password)?;
        if mood == Mood::LosesAnswerOf(step.name()) {
            self.set(Mood::Well);
            return Err(DirectoryError::Ambiguous("cut".into()));
        }
        Ok(())
    }

    fn side_by_side(&self) -> bool {
        self.together.is_allowed()
    }

    async fn list(&self) -> Result<Listing, DirectoryError> {
        let accounts = self.accounts.lock().unwrap();
        let in_unit = accounts.iter().filter(|(name, _)| name.starts_with("jit-"));
        let listed = in_unit.map(|(name, seen)| ListedAccount { name: name.clone(), seen: seen.clone() });
        Ok(Listing { directory_time: self.now(), accounts: listed.collect() })
    }

    async fn check(&self, _: &[RightUse]) -> Vec<Finding> {
        Vec::new()
    }

    async fn rehearse(&self) -> Vec<Finding> {
        Vec::new()
    }

    fn promises(&self, _: Mode) -> Promises {
        Promises { guarantee: "It ends by itself.".into(), limits: "Open connections live on.".into() }
    }

    fn right_name(&self, right: &Right) -> String {
        right.0.clone()
    }

    fn right_key(&self, right: &Right) -> String {
        right.0.to_lowercase()
    }
}

/// One directory and one ticket system, however many are configured.
pub(super) struct One {
    pub(super) directory: Arc<Model>,
    pub(super) psa: Arc<Scripted>,
}

impl One {
    /// With a ticket system that nobody asks.
    pub(super) fn only(directory: Arc<Model>) -> Self {
        Self { directory, psa: Arc::default() }
    }
}

impl BuildConnectors for One {
    fn directory(
        &self,
        of: &config::Directory,
        known: BTreeSet<Right>,
    ) -> Result<Arc<dyn Directory>, String> {
        *self.directory.known.lock().unwrap() = known;
        let second = self.directory.second.get().filter(|_| of.id.as_str() == "acme-two");
        Ok(second.unwrap_or(&self.directory).clone())
    }

    fn psa(&self, psa: &config::Psa) -> Result<Arc<dyn Psa>, String> {
        self.psa.connected(&psa.id)
    }
}

/// A clock that a test moves.
pub(super) struct TestClock {
    now: Mutex<DateTime<Utc>>,
    /// How far the wall clock stands behind.
    behind: Mutex<TimeDelta>,
    moved: tokio::sync::Notify,
}

impl TestClock {
    pub(super) fn new() -> Arc<Self> {
        let start = DateTime::from_timestamp(1_900_000_000, 0).unwrap();
        Arc::new(Self { now: Mutex::new(start), behind: Mutex::default(), moved: tokio::sync::Notify::new() })
    }

    /// The wall clock is set back; the time goes on until the clock is followed.
    pub(super) fn set_back(&self, seconds: i64) {
        *self.behind.lock().unwrap() = TimeDelta::seconds(seconds);
    }

    pub(super) fn pass(&self, seconds: i64) {
        *self.now.lock().unwrap() += TimeDelta::seconds(seconds);
        self.moved.notify_waiters();
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        *self.now.lock().unwrap()
    }

    async fn wait_until(&self, at: DateTime<Utc>) {
        while self.now() < at {
            let moved = self.moved.notified();
            if self.now() >= at {
                return;
            }
            // A move between look and wait is caught by the time-out.
            let _ = tokio::time::timeout(std::time::Duration::from_millis(20), moved).await;
        }
    }

    fn follow_wall_clock(&self) {
        *self.now.lock().unwrap() -= std::mem::take(&mut *self.behind.lock().unwrap());
    }

    fn set_back_by(&self) -> TimeDelta {
        *self.behind.lock().unwrap()
    }
}
