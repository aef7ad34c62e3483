//! Ends sessions whose ticket was closed, where their policy says so: asks each ticket system about the tickets of its live
//! sessions, and shortens those of a closed one to a last minute. The end itself is the same as every other.
//!
//! While no such session is live nothing is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use ticketgate_access::config::{self, Config};
use ticketgate_access::decide::ticket::{asked_number, is_same_number, system_of};
use ticketgate_access::session::{Account, Session, state_of};
use ticketgate_ledger::{Change, LedgerError, OnTicket};
use ticketgate_protocol::api::{EndCause, Notice, State};
use ticketgate_protocol::ids::{PsaId, SessionId};
use ticketgate_psa::{Psa, PsaError, Ticket};
use tokio::sync::watch;
use tokio::time::timeout;

use super::converge::UNRECORDED_PAUSE;
use super::parts::{accounts_of, rows_of};
use super::service::TRIES;
use super::{Broker, Snapshot, records};

/// What is left of a session once its ticket is known to be closed: to save one's work, and to be told.
const LAST: TimeDelta = TimeDelta::seconds(60);

/// A ticket that is not there any more counts as closed when it was missed so often in a row: once can be a system's own trouble.
const GONE_AFTER: u32 = 2;

/// The longest pause that a system which fails is given, unless it asks for more.
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(15);

/// Failures in a row after which everybody is told.
const TOLD_AFTER: u32 = 3;

/// One question to a ticket system takes no longer.
const LONGEST: Duration = Duration::from_secs(60);

/// How often is looked for what other brokers on the ledger began.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Whom to wake, and what everybody should know.
#[derive(Default)]
pub(super) struct Closing {
    changed: watch::Sender<()>,
    /// Systems that do not say whether tickets are closed, and why.
    silent: Mutex<BTreeMap<PsaId, String>>,
}

impl Closing {
    /// A session became active, or the configuration is another one.
    pub(super) fn wake(&self) {
        self.changed.send_replace(());
    }

    /// What everybody should know.
    pub(super) fn notices(&self) -> Vec<Notice> {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        let told = silent.iter().map(|(psa, why)| Notice {
            level: "warning".into(),
            text: format!(
                "Whether tickets are closed cannot be asked of {psa}: {why}. Sessions that should end with their ticket go on to their own end meanwhile."
            ),
        });
        told.collect()
    }
}

/// What is remembered of one system from one look to the next.
#[derive(Default)]
struct Watching {
    /// When it is asked next; nothing while no session needs it.
    at: Option<DateTime<Utc>>,
    /// Questions in a row that it did not answer.
    failures: u32,
    /// How often in a row the ticket of a session was missed.
    missed: BTreeMap<SessionId, u32>,
}

/// What is told of one ticket.
enum Told {
    Open,
    Closed(String),
    Gone,
    /// Nothing that can be used.
    Nothing,
}

impl Broker {
    /// Watches tickets for as long as the broker runs. Each system is watched for itself: one that does not answer delays no other.
    pub(super) async fn run_closing(self: Arc<Self>) {
        loop {
            // Of several brokers on one ledger one asks.
            let asking = self.lead("closing").await;
            tokio::select! {
                () = Arc::clone(&self).watch_all_tickets() => {}
                () = asking.until_lost() => {}
            }
        }
    }

    async fn watch_all_tickets(self: Arc<Self>) {
        let mut changed = self.closing.changed.subscribe();
        let mut known = BTreeSet::new();
        let mut systems = FuturesUnordered::new();
        // Whether tickets may have been closed unseen, since nobody looked before.
        let mut unseen = true;
        loop {
            if let Some(config) = self.settings().config.as_ref() {
                let new = config.psas.keys().filter(|id| known.insert((*id).clone()));
                systems.extend(new.map(|id| Arc::clone(&self).watch_tickets(id.clone(), unseen)));
                unseen = false;
            }
            tokio::select! {
                _ = changed.changed() => {}
                Some(()) = systems.next() => {}
                // A session became active at another broker, perhaps.
                () = tokio::time::sleep(LOOK_EVERY), if self.ledger.shared().is_some() => self.closing.wake(),
            }
        }
    }

    /// Watches the tickets of one system.
    async fn watch_tickets(self: Arc<Self>, id: PsaId, unseen: bool) {
        let mut changed = self.closing.changed.subscribe();
        let mut watching = Watching { at: unseen.then(|| self.clock.now()), ..Watching::default() };
        loop {
            changed.mark_unchanged();
            match self.look_at_tickets(&id, &mut watching).await {
                Some(at) => tokio::select! {
                    () = self.clock.wait_until(at) => {}
                    _ = changed.changed() => {}
                },
                None => drop(changed.changed().await),
            }
        }
    }

    /// Asks what is due of a system; answers when it has to be asked next.
    async fn look_at_tickets(self: &Arc<Self>, id: &PsaId, watching: &mut Watching) -> Option<DateTime<Utc>> {
        let snapshot = self.settings();
        let config = snapshot.config.as_ref()?;
        let sessions = match self.watched(config, id).await {
            Ok(sessions) => sessions,
            Err(error) => {
                tracing::error!(%error, "whose tickets have to be watched cannot be read");
                return Some(self.clock.now() + UNRECORDED_PAUSE);
            }
        };
        let Some(settings) = config.psas.get(id).filter(|_| !sessions.is_empty()) else {
            *watching = Watching::default();
            self.answers(id);
            return None;
        };
        watching.missed.retain(|id, _| sessions.iter().any(|session| session.id == *id));
        let poll = TimeDelta::seconds(settings.poll_s.into());
        let now = self.clock.now();
        let due = *watching.at.get_or_insert(now + poll);
        if due > now {
            return Some(due);
        }
        let asked = self.ask_about(&snapshot, settings, &sessions, &mut watching.missed).await;
        let pause = match asked {
            Ok(()) => {
                watching.failures = 0;
                self.answers(id);
                poll
            }
            Err(error) => {
                tracing::warn!(psa = %id, %error, "whether tickets are closed could not be asked");
                watching.failures = watching.failures.saturating_add(1);
                if watching.failures == TOLD_AFTER {
                    self.is_silent(id, &error);
                }
                let pause =
                    (poll * 2_i32.saturating_pow(watching.failures.min(8))).min(LONGEST_PAUSE.max(poll));
                match error {
                    PsaError::Busy { retry_after_s } => pause.max(TimeDelta::seconds(retry_after_s.into())),
                    _ => pause,
                }
            }
        };
        let next = self.clock.now() + pause;
        watching.at = Some(next);
        Some(next)
    }

    /// Keeps in mind that a system does not say whether tickets are closed.
    fn is_silent(&self, id: &PsaId, why: &PsaError) {
        let mut silent = self.closing.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.insert(id.clone(), why.to_string());
        drop(silent);
        self.events.overview();
    }

    /// Forgets of a system that it does not answer: it does again, or nobody asks.
    fn answers(&self, id: &PsaId) {
        let mut silent = self.closing.silent.lock().unwrap_or_else(PoisonError::into_inner);
        let was_silent = silent.remove(id).is_some();
        drop(silent);
        if was_silent {
            self.events.overview();
        }
    }

    /// The live sessions that end with a ticket of this system and have not been told so.
    async fn watched(&self, config: &Config, id: &PsaId) -> Result<Vec<OnTicket>, LedgerError> {
        if !config.policies.values().any(|policy| policy.ticket.end_when_closed) {
            return Ok(Vec::new());
        }
        let mut sessions = self.ledger.on_tickets().await?;
        sessions.retain(|session| {
            let policy = config.policies.get(&session.policy);
            policy.is_some_and(|policy| policy.ticket.end_when_closed)
                && system_of(config, &session.ticket).is_ok_and(|psa| psa.id == *id)
        });
        // A session in several directories is asked about once.
        let mut wholes = BTreeSet::new();
        sessions.retain(|session| wholes.insert(session.of.clone()));
        Ok(sessions)
    }

    /// One look at a system's tickets, and what follows from it.
    async fn ask_about(
        self: &Arc<Self>,
        snapshot: &Snapshot,
        settings: &config::Psa,
        sessions: &[OnTicket],
        missed: &mut BTreeMap<SessionId, u32>,
    ) -> Result<(), PsaError> {
        let id = &settings.id;
        let Some(psa) = snapshot.psas.get(id) else {
            return Err(PsaError::Unreachable("it cannot be connected".into()));
        };
        let mut of_ticket: BTreeMap<&str, Vec<&OnTicket>> = BTreeMap::new();
        for session in sessions {
            of_ticket.entry(asked_number(settings, &session.ticket)).or_default().push(session);
        }
        let numbers: Vec<_> = of_ticket.keys().map(|number| (*number).to_owned()).collect();
        let told = in_time(psa.tickets(&numbers)).await?;
        let mut others = Vec::new();
        for (number, sessions) in of_ticket {
            match told.iter().find(|ticket| is_same_number(&ticket.number, number)) {
                Some(ticket) => self.follow(id, &sessions, &word(ticket), missed).await,
                None => others.push((number, sessions)),
            }
        }
        // Asked about by themselves, since a list can be cut short; last, since each may take its time.
        for (number, sessions) in others {
            let told = alone(psa.as_ref(), number).await;
            self.follow(id, &sessions, &told, missed).await;
        }
        Ok(())
    }

    /// What follows for a ticket's sessions from what was told of it.
    async fn follow(
        self: &Arc<Self>,
        id: &PsaId,
        sessions: &[&OnTicket],
        told: &Told,
        missed: &mut BTreeMap<SessionId, u32>,
    ) {
        for session in sessions {
            match told {
                Told::Open => drop(missed.remove(&session.id)),
                Told::Nothing => {}
                Told::Closed(status) => self.shorten(id, session, status).await,
                Told::Gone => {
                    let times = missed.entry(session.id.clone()).or_default();
                    *times += 1;
                    if *times >= GONE_AFTER {
                        self.shorten(id, session, "gone").await;
                    }
                }
            }
        }
    }

    /// Writes that a session has one minute left, which nothing lengthens, and has the directory's end moved. What cannot be
    /// written now is found again by the next look.
    async fn shorten(self: &Arc<Self>, psa: &PsaId, session: &OnTicket, status: &str) {
        for _ in 0..TRIES {
            let Ok(parts) = self.ledger.parts(&session.of).await else { return };
            let now = self.clock.now();
            let Some(before) = parts.iter().map(|(part, _)| part.until).min() else { return };
            let until = before.min(now + LAST);
            let told = parts.iter().any(|(part, _)| part.end_cause.is_some());
            if state_of(&rows_of(&parts)) != State::Active || told || until == before {
                return;
            }
            let more = records::details([
                ("psa", json!(psa)),
                ("ticket_status", json!(records::printable(status))),
                ("until_before", json!(before)),
            ]);
            let shorter = |(part, account): (Session, Account)| {
                let part = Session { until, end_cause: Some(EndCause::TicketClosed), ..part };
                (part, Account { settled: false, ..account })
            };
            let shorter: Vec<_> = parts.into_iter().map(shorter).collect();
            let record = records::about_whole(&shorter, "session.ticket_closed", "broker", "ok", more);
            let keys = accounts_of(&shorter);
            let (sessions, accounts) = shorter.into_iter().unzip();
            let change = Change {
                name: "ledger.ticket_closed",
                at: now,
                audit: record.into_iter().collect(),
                accounts,
                sessions,
                ..Change::default()
            };
            match self.commit(change).await {
                Ok(()) => {
                    tracing::info!(%psa, status, accounts = ?keys, "a ticket was closed; its session ends");
                    for key in &keys {
                        self.ends.at_latest(key, now);
                    }
                    return;
                }
                Err(LedgerError::Conflict(_)) => {}
                Err(_) => return,
            }
        }
    }
}

fn word(ticket: &Ticket) -> Told {
    if ticket.closed { Told::Closed(ticket.status.clone()) } else { Told::Open }
}

async fn alone(psa: &dyn Psa, number: &str) -> Told {
    match in_time(psa.ticket(number)).await {
        Ok(ticket) if is_same_number(&ticket.number, number) => word(&ticket),
        Err(PsaError::NoSuchTicket) => Told::Gone,
        Ok(_) | Err(_) => Told::Nothing,
    }
}

async fn in_time<T>(question: impl Future<Output = Result<T, PsaError>>) -> Result<T, PsaError> {
    let late = |_| Err(PsaError::Ambiguous("no answer in time".into()));
    timeout(LONGEST, question).await.unwrap_or_else(late)
}
