//! The broker: policy, ledger, clock, audit and the directories' credentials. This file is what its parts share;
//! the parts are one file each.
//!
//! Architecture invariant: nothing here writes to a directory except [`converge`], and [`converge`] writes nothing that
//! the ledger does not already hold.

mod accounts;
mod activation;
pub(crate) mod aside;
mod behind;
mod carrying;
mod claims;
pub mod clock;
mod closing;
mod connectors;
mod converge;
mod deliveries;
mod early_end;
mod ends;
mod events;
mod extension;
mod failures;
mod glance;
mod heard;
pub mod http;
pub mod identity;
mod leases;
pub(crate) mod ledgers;
mod listen;
mod lookup;
mod lost;
mod monitor;
mod notes;
mod on_record;
mod overtaken;
mod parts;
mod password;
mod people;
mod problems;
mod records;
mod refusals;
mod remembered;
mod rules;
mod service;
mod settings;
mod settle;
mod sign_in;
mod signed_in;
mod start;
mod strays;
#[cfg(test)]
mod tests;
mod tickets;
mod traces;
mod upkeep;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_access::config::Config;
use ticketgate_access::session::{Account, Session};
use ticketgate_directory::Directory;
use ticketgate_ledger::{Change, Ledger, LedgerError};
use ticketgate_protocol::api::{EndCause, Notice, Session as SessionView, State};
use ticketgate_protocol::ids::{DirectoryId, SessionId, TechnicianId};
use ticketgate_protocol::problem::{Code, Problem};

pub use self::clock::Clock;
pub use self::events::{Events, Hint};
pub use self::ledgers::copy_ledger;
pub use self::lost::recover;
pub use self::people::{By, Caller, Scope};
pub use self::rules::RulesInForce;
pub use self::settings::{BuildConnectors, Snapshot};
pub use self::start::{Role, Serving, StartError, Started, start, start_with};

use self::accounts::{AccountLocks, Passwords};
use self::claims::Away;
use self::closing::Closing;
use self::deliveries::Deliveries;
use self::ends::Ends;
use self::identity::Identity;
use self::leases::Leases;
use self::monitor::Monitor;
use self::remembered::Remembered;

/// A broker. All of its state that matters is in the ledger; what is in memory can be lost at any moment.
pub struct Broker {
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    build: Arc<dyn BuildConnectors>,
    settings: RwLock<Arc<Snapshot>>,
    passwords: Passwords,
    remembered: Remembered,
    /// Held while a configuration is being changed, or a clock that was set back followed, so that no session begins by one that
    /// is gone.
    reload: tokio::sync::RwLock<()>,
    locks: AccountLocks,
    /// By the session's id: whether a part was the last is found by one at a time.
    wholes: AccountLocks,
    /// Parts being granted for which nothing was sent to their directory yet.
    untouched: Mutex<HashSet<SessionId>>,
    /// One extension at a time of an account: one that fails is undone to the end before it, which must not be another's.
    extending: AccountLocks,
    ends: Ends,
    /// The same beyond this process, where several brokers share the ledger.
    leases: Arc<Leases>,
    /// Activations of this broker's own that are under way: in a shared ledger those of others are left to them, or taken back.
    granting: Mutex<HashSet<SessionId>>,
    /// Since when the shared ledger cannot be asked.
    away: Away,
    events: Events,
    deliveries: Deliveries,
    closing: Closing,
    monitor: Arc<Monitor>,
    skews: Mutex<BTreeMap<DirectoryId, TimeDelta>>,
    /// What is over though the ledger could not be told, and why.
    abandoned: Mutex<BTreeMap<SessionId, EndCause>>,
    /// What the time was before the clock was set back, until that is on record.
    clock_was: Mutex<Option<DateTime<Utc>>>,
    floods: Mutex<BTreeMap<String, DateTime<Utc>>>,
    /// When ticket systems were asked for each technician, in the last minute.
    asks: Mutex<BTreeMap<TechnicianId, VecDeque<DateTime<Utc>>>>,
    /// When each technician looked tickets up, in the last hour.
    lookups: Mutex<BTreeMap<TechnicianId, VecDeque<DateTime<Utc>>>>,
    /// One sign-in to a tenant is kept at a time, from its first record to its last.
    signing_in: tokio::sync::Mutex<()>,
    identity: Identity,
    /// What is to be said while a ledger before this one is not read.
    unread: Mutex<Option<Notice>>,
}

impl Broker {
    /// A broker on this ledger. It grants nothing until [`Broker::load_settings`] gave it a configuration.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>, build: Arc<dyn BuildConnectors>) -> Arc<Self> {
        let leases = Leases::new(Arc::clone(&ledger));
        Arc::new(Self {
            ledger,
            clock,
            build,
            settings: RwLock::new(Arc::new(Snapshot::none())),
            passwords: Passwords::default(),
            remembered: Remembered::default(),
            reload: tokio::sync::RwLock::default(),
            locks: AccountLocks::default(),
            wholes: AccountLocks::default(),
            untouched: Mutex::default(),
            extending: AccountLocks::default(),
            ends: Ends::default(),
            leases,
            granting: Mutex::default(),
            away: Away::default(),
            events: Events::default(),
            deliveries: Deliveries::default(),
            closing: Closing::default(),
            monitor: Arc::default(),
            skews: Mutex::default(),
            abandoned: Mutex::default(),
            clock_was: Mutex::default(),
            floods: Mutex::default(),
            asks: Mutex::default(),
            lookups: Mutex::default(),
            signing_in: tokio::sync::Mutex::default(),
            identity: Identity::default(),
            unread: Mutex::default(),
        })
    }

    /// The ledger, for reading the audit log.
    #[must_use]
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    /// The broker's clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// What happened since, for one technician.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> Arc<Snapshot> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn config(snapshot: &Snapshot) -> Result<&Config, Problem> {
        snapshot.config.as_ref().ok_or_else(|| {
            Problem::new(
                Code::BadConfiguration,
                "The broker has no valid configuration, so nothing can be granted.",
            )
            .remedy("Ask an administrator to run `ticketgate check`.")
        })
    }

    fn directory(snapshot: &Snapshot, id: &DirectoryId) -> Result<Arc<dyn Directory>, Problem> {
        snapshot.directories.get(id).cloned().ok_or_else(|| {
            Problem::new(
                Code::BadConfiguration,
                format!("The directory {id} is no longer in the configuration."),
            )
            .remedy("An administrator has to put it back until its sessions have ended.")
        })
    }

    /// Writes to the ledger and tells every open browser of the technicians concerned.
    async fn commit(&self, mut change: Change) -> Result<(), LedgerError> {
        on_record::sign(&mut change.audit);
        let whose: BTreeSet<_> = change.sessions.iter().map(|s| s.technician.clone()).collect();
        let since = Instant::now();
        let (name, on_record) = (change.name, !change.audit.is_empty());
        let has_note = !change.notes.new.is_empty();
        let is_active = change.sessions.iter().any(|session| session.state == State::Active);
        let rows = Rows { sessions: change.sessions.clone(), accounts: change.accounts.clone() };
        let leases = change.leases.clone();
        traces::note_sessions(&rows.sessions);
        let span = self.monitor.traces.call(name);
        let written = traces::spanned(span, monitor::refusal, self.ledger.commit(change)).await;
        self.monitor.wrote(&written, since);
        match written {
            Ok(()) => {}
            Err(LedgerError::Unavailable(why) | LedgerError::Damaged(why))
                if self.are_written_for_good(&rows).await =>
            {
                tracing::warn!(write = name, why, "the ledger's answer was lost; the write is there");
            }
            Err(error) => {
                if matches!(error, LedgerError::LeaseLost(_)) {
                    self.leases.lost(&leases);
                }
                match &error {
                    LedgerError::Unavailable(_) | LedgerError::Damaged(_) => {
                        tracing::error!(write = name, %error, "the ledger refused a write");
                    }
                    _ => tracing::debug!(write = name, %error, "the ledger refused a write"),
                }
                return Err(error);
            }
        }
        if on_record {
            on_record::note();
        }
        if has_note {
            self.deliveries.wake();
        }
        if is_active {
            self.closing.wake();
        }
        self.monitor.committed(name, &rows);
        for technician in whose {
            self.events.changed(technician);
        }
        Ok(())
    }

    /// Whether the rows of a write whose answer was lost stand in the ledger, and will.
    async fn are_written_for_good(&self, rows: &Rows) -> bool {
        let is_confirmed = async || match self.ledger.shared() {
            Some(shared) => shared.confirm().await.is_ok() && self.are_written(rows).await,
            None => true,
        };
        self.are_written(rows).await && is_confirmed().await
    }

    /// Whether they stand there now. A write is whole or not at all, so one tells.
    async fn are_written(&self, rows: &Rows) -> bool {
        if let Some(session) = rows.sessions.first() {
            let stored = self.ledger.session(&session.id).await.ok().flatten();
            return stored == Some(Session { version: session.version + 1, ..session.clone() });
        }
        let Some(account) = rows.accounts.first() else { return false };
        let stored = self.ledger.account(&account.key).await.ok().flatten();
        stored.map(|(stored, _)| stored) == Some(Account { version: account.version + 1, ..account.clone() })
    }

    /// What everybody should know now: faults of the configuration, skewed clocks.
    fn notices(&self, snapshot: &Snapshot) -> Vec<Notice> {
        let mut notices = snapshot.notices.clone();
        notices.extend(snapshot.rules.notice.clone());
        for (directory, skew) in self.skews.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if skew.abs() > TimeDelta::seconds(60) && snapshot.directories.contains_key(directory) {
                notices.push(Notice {
                    level: "warning".into(),
                    text: format!(
                        "The clocks of this machine and of the directory {directory} are {} seconds apart. Above 300 nothing is granted.",
                        skew.num_seconds().abs()
                    ),
                });
            }
        }
        if let Some(trouble) = self.ledger.trouble() {
            notices.push(Notice {
                level: "error".into(),
                text: format!("Nothing is granted: {trouble}. What is open still ends."),
            });
        }
        notices.extend(self.unread.lock().unwrap_or_else(PoisonError::into_inner).clone());
        notices.extend(self.deliveries.notices(self.clock.now()));
        notices.extend(self.closing.notices());
        notices.extend(self.away.notice());
        if self.ledger.shared().is_some() {
            notices.extend(heard::not_for_several(snapshot));
        }
        notices.extend(self.clock.notice().map(|text| Notice { level: "warning".into(), text }));
        notices.extend(self.monitor.notices());
        notices.extend(self.sign_in_notice());
        notices
    }
}

/// The rows of a write.
struct Rows {
    sessions: Vec<Session>,
    accounts: Vec<Account>,
}

/// A ledger that cannot be used, as people meet it.
fn ledger_problem(error: &LedgerError) -> Problem {
    match error {
        LedgerError::LeaseLost(_) => overtaken::unheld_problem(leases::Unheld::Lost),
        LedgerError::Conflict(_) => {
            Problem::new(Code::Internal, "Something else changed the session at the same moment.")
                .remedy("Try again.")
        }
        _ => Problem::new(
            Code::LedgerDown,
            "The broker cannot write its ledger, so nothing is granted or changed.",
        )
        .remedy(
            "Ask an administrator to look at the disk or the database of the ledger: `ticketgate doctor`.",
        ),
    }
}

/// Whether the holder may see this session.
fn may_see(caller: &Caller, session: &SessionView) -> bool {
    caller.person.as_ref() == Some(&session.technician) || caller.sees_sessions().is_at(&session.customer)
}
