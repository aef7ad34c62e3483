//! Ends sessions whose ticket was closed, where their policy says so: asks each ticket system about the tickets of its live
//! sessions, and shortens those of a closed one to a last minute. The end itself is the same as every other.
//!
//! While no such session is live nothing is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use ticketgate_access::config::Config;
use ticketgate_access::decide::ticket::{bare, is_same_number, system_of};
use ticketgate_access::session::{Account, Session};
use ticketgate_ledger::{Change, LedgerError, SessionFilter};
use ticketgate_protocol::api::{EndCause, Notice, State};
use ticketgate_protocol::ids::{PsaId, SessionId};
use ticketgate_psa::{Psa, PsaError, Ticket};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::converge::UNRECORDED_PAUSE;
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

/// Whom to wake, and what everybody should know.
#[derive(Default)]
pub(super) struct Closing {
    changed: Notify,
    /// Systems that do not say whether tickets are closed, and why.
    silent: Mutex<BTreeMap<PsaId, String>>,
}

impl Closing {
    /// A session became active, or the configuration is another one.
    pub(super) fn wake(&self) {
        self.changed.notify_one();
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

/// What the watcher remembers from one look to the next.
#[derive(Default)]
struct Watching {
    systems: BTreeMap<PsaId, Due>,
    /// How often in a row the ticket of a session was missed.
    missed: BTreeMap<SessionId, u32>,
    /// Whether this is not the first look, before which tickets may have been closed unseen.
    begun: bool,
}

/// When a system is asked next.
#[derive(Debug, Clone, Copy)]
struct Due {
    at: DateTime<Utc>,
    failures: u32,
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
    /// Watches tickets for as long as the broker runs.
    pub(super) async fn run_closing(self: Arc<Self>) {
        let mut watching = Watching::default();
        loop {
            match self.look_at_tickets(&mut watching).await {
                Some(at) => tokio::select! {
                    () = self.clock.wait_until(at) => {}
                    () = self.closing.changed.notified() => {}
                },
                None => self.closing.changed.notified().await,
            }
        }
    }

    /// Asks what is due; answers when the next is.
    async fn look_at_tickets(self: &Arc<Self>, watching: &mut Watching) -> Option<DateTime<Utc>> {
        let snapshot = self.settings();
        let config = snapshot.config.as_ref()?;
        if !config.policies.values().any(|policy| policy.ticket.end_when_closed) {
            *watching = Watching { begun: true, ..Watching::default() };
            self.silence(&watching.systems);
            return None;
        }
        let active = SessionFilter { state: Some(State::Active), ..SessionFilter::default() };
        let sessions = match self.ledger.sessions(active).await {
            Ok(sessions) => sessions,
            Err(error) => {
                tracing::error!(%error, "whose tickets have to be watched cannot be read");
                return Some(self.clock.now() + UNRECORDED_PAUSE);
            }
        };
        let live = watched(config, sessions);
        let known: BTreeSet<_> = live.values().flatten().map(|session| session.id.clone()).collect();
        watching.missed.retain(|id, _| known.contains(id));
        watching.systems.retain(|psa, _| live.contains_key(psa));
        let first = !std::mem::replace(&mut watching.begun, true);
        for (id, sessions) in &live {
            let poll = config
                .psas
                .get(id)
                .map_or(TimeDelta::minutes(1), |psa| TimeDelta::seconds(psa.poll_s.into()));
            let now = self.clock.now();
            let due = Due { at: if first { now } else { now + poll }, failures: 0 };
            let due = *watching.systems.entry(id.clone()).or_insert(due);
            if due.at > now {
                continue;
            }
            let asked = self.ask_about(&snapshot, id, sessions, &mut watching.missed).await;
            let now = self.clock.now();
            let next = match asked {
                Ok(()) => Due { at: now + poll, failures: 0 },
                Err(error) => {
                    tracing::warn!(psa = %id, %error, "whether tickets are closed could not be asked");
                    let failures = due.failures.saturating_add(1);
                    let pause = (poll * 2_i32.saturating_pow(failures.min(8))).min(LONGEST_PAUSE.max(poll));
                    let wanted = match &error {
                        PsaError::Busy { retry_after_s } => TimeDelta::seconds((*retry_after_s).into()),
                        _ => TimeDelta::zero(),
                    };
                    if failures == TOLD_AFTER {
                        let mut silent = self.closing.silent.lock().unwrap_or_else(PoisonError::into_inner);
                        silent.insert(id.clone(), error.to_string());
                        drop(silent);
                        self.events.overview();
                    }
                    Due { at: now + pause.max(wanted), failures }
                }
            };
            watching.systems.insert(id.clone(), next);
        }
        self.silence(&watching.systems);
        watching.systems.values().map(|due| due.at).min()
    }

    /// Forgets of systems that they do not answer, where they do again or nobody asks.
    fn silence(&self, systems: &BTreeMap<PsaId, Due>) {
        let mut silent = self.closing.silent.lock().unwrap_or_else(PoisonError::into_inner);
        let before = silent.len();
        silent.retain(|psa, _| systems.get(psa).is_some_and(|due| due.failures >= TOLD_AFTER));
        let changed = silent.len() != before;
        drop(silent);
        if changed {
            self.events.overview();
        }
    }

    /// One look at a system's tickets, and what follows from it.
    async fn ask_about(
        self: &Arc<Self>,
        snapshot: &Snapshot,
        id: &PsaId,
        sessions: &[Session],
        missed: &mut BTreeMap<SessionId, u32>,
    ) -> Result<(), PsaError> {
        let Some(psa) = snapshot.psas.get(id) else {
            return Err(PsaError::Unreachable("it cannot be connected".into()));
        };
        let numbers: BTreeSet<_> = sessions.iter().filter_map(number).collect();
        let numbers: Vec<_> = numbers.into_iter().collect();
        let told = in_time(psa.tickets(&numbers)).await?;
        for number in &numbers {
            let told = match about(&told, number) {
                Some(ticket) => word(ticket),
                // Not among them: asked about by itself, since a list can be cut short.
                None => alone(psa.as_ref(), number).await,
            };
            let of_it = sessions.iter().filter(|session| self::number(session).as_ref() == Some(number));
            for session in of_it {
                match &told {
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
        Ok(())
    }

    /// Writes that a session has one minute left, which nothing lengthens, and has the directory's end moved. What cannot be
    /// written now is found again by the next look.
    async fn shorten(self: &Arc<Self>, psa: &PsaId, session: &Session, status: &str) {
        for _ in 0..TRIES {
            let Ok(Some(session)) = self.ledger.session(&session.id).await else { return };
            let Ok(Some((account, _))) = self.ledger.account(&session.account).await else { return };
            let now = self.clock.now();
            let until = session.until.min(now + LAST);
            if session.state != State::Active || session.end_cause.is_some() || until == session.until {
                return;
            }
            let more = records::details([
                ("psa", json!(psa)),
                ("ticket_status", json!(records::printable(status))),
                ("until_before", json!(session.until)),
            ]);
            let shorter = Session { until, end_cause: Some(EndCause::TicketClosed), ..session };
            let change = Change {
                name: "ledger.ticket_closed",
                at: now,
                audit: vec![records::about(
                    &shorter,
                    Some(&account),
                    "session.ticket_closed",
                    "broker",
                    "ok",
                    more,
                )],
                accounts: vec![Account { settled: false, ..account.clone() }],
                sessions: vec![shorter],
                ..Change::default()
            };
            match self.commit(change).await {
                Ok(()) => {
                    tracing::info!(%psa, status, account = %account.key.0, "a ticket was closed; its session ends");
                    self.ends.at_latest(&account.key, now);
                    return;
                }
                Err(LedgerError::Conflict(_)) => {}
                Err(_) => return,
            }
        }
    }
}

/// The live sessions that end with their ticket and have not been told so, by the system that has it.
fn watched(config: &Config, sessions: Vec<Session>) -> BTreeMap<PsaId, Vec<Session>> {
    let mut found: BTreeMap<PsaId, Vec<Session>> = BTreeMap::new();
    for session in sessions {
        let asks = config.policies.get(&session.policy).is_some_and(|policy| policy.ticket.end_when_closed);
        let Some(ticket) = session.ticket.as_ref().filter(|_| asks && session.end_cause.is_none()) else {
            continue;
        };
        if let Ok(psa) = system_of(config, ticket) {
            found.entry(psa.id.clone()).or_default().push(session);
        }
    }
    found
}

fn number(session: &Session) -> Option<String> {
    session.ticket.as_ref().map(|ticket| bare(&ticket.number).to_owned())
}

fn about<'t>(told: &'t [Ticket], number: &str) -> Option<&'t Ticket> {
    told.iter().find(|ticket| is_same_number(&ticket.number, number))
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
