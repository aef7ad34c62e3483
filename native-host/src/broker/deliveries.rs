//! Brings the notes that wait in the ledger into their tickets: oldest first for each session, none twice, and no session ever
//! waits for it. What they say is in `notes.rs`.
//!
//! A note is marked as being sent before anything is asked about it. From then on it may be in the ticket, so whoever takes it up
//! again, this broker after a lost answer or the next one, asks for its mark first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use ticketgate_access::config::TicketNotes;
use ticketgate_access::decide::ticket::{customers_of, is_same_number};
use ticketgate_ledger::{Change, LedgerError, NoteChange, NoteQueue, NoteTry, WaitingNote};
use ticketgate_protocol::api::Notice;
use ticketgate_protocol::ids::{CustomerId, PsaId};
use ticketgate_psa::{Note, Psa, PsaError, Ticket};
use tokio::sync::watch;
use tokio::time::timeout;

use super::clock::since_boot;
use super::converge::UNRECORDED_PAUSE;
use super::{Broker, Snapshot, records};

/// Pauses after a try, in seconds; the last one goes on. Not shorter: some systems find a new note only after a while.
const PAUSES: [i64; 6] = [30, 60, 120, 300, 600, 900];

/// A note older than this is given up: by then nobody reads it as news.
const GIVEN_UP_AFTER: TimeDelta = TimeDelta::days(7);

/// Notes that wait longer than this are told to everybody.
const TOLD_AFTER: TimeDelta = TimeDelta::hours(1);

/// One question to a ticket system takes no longer, however many requests its connector needs for it.
const LONGEST: Duration = Duration::from_secs(60);

/// Where several brokers share the ledger, a try is over after so long: shorter than the first of the pauses, after which another
/// broker takes the note up and asks whether it is there.
const SENT_IN: Duration = Duration::from_secs(25);

/// When to look again for notes after another broker took one.
const OTHERS_SEND: TimeDelta = TimeDelta::seconds(1);

/// How often is looked for what other brokers on the ledger left.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How the delivery stands.
#[derive(Default)]
pub(super) struct Deliveries {
    changed: watch::Sender<()>,
    waits: AtomicBool,
    systems: Mutex<BTreeMap<PsaId, Standing>>,
}

/// How it stands with one ticket system.
#[derive(Debug, Clone, Default)]
struct Standing {
    /// Tries in a row that failed for reasons of the system's.
    failures: usize,
    /// It is not asked before.
    not_before: Option<DateTime<Utc>>,
    /// What was the matter last.
    trouble: Option<String>,
    waiting: u64,
    oldest: Option<DateTime<Utc>>,
}

/// What became of a try.
enum Tried {
    /// It is in the ticket.
    Sent,
    /// It never will be.
    Hopeless(String),
    /// Not yet, because of this note or its ticket.
    Later(String),
    /// Not yet, because of the system; at least for so many seconds.
    Down(String, u32),
}

impl Deliveries {
    /// There is something new, or something may work now that did not.
    pub(super) fn wake(&self) {
        self.changed.send_replace(());
    }

    /// The configuration is another one: what did not work may.
    pub(super) fn try_anew(&self) {
        for standing in self.systems.lock().unwrap_or_else(PoisonError::into_inner).values_mut() {
            (standing.failures, standing.not_before) = (0, None);
        }
        self.wake();
    }

    /// Whether a note waits.
    pub(super) fn wait(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// What everybody should know: notes that cannot be delivered for long.
    pub(super) fn notices(&self, now: DateTime<Utc>) -> Vec<Notice> {
        let systems = self.systems.lock().unwrap_or_else(PoisonError::into_inner);
        let late = |standing: &Standing| standing.oldest.is_some_and(|oldest| now - oldest > TOLD_AFTER);
        let told = systems.iter().filter(|(_, standing)| late(standing)).map(|(psa, standing)| {
            let why = standing.trouble.as_deref().unwrap_or("they are being sent");
            Notice {
                level: "warning".into(),
                text: format!(
                    "Notes about sessions wait for the ticket system {psa} for more than an hour ({} of them): {why}. They are tried for 7 days; sessions do not wait for them.",
                    standing.waiting
                ),
            }
        });
        told.collect()
    }

    /// Takes in what waits; answers whether other systems are late than before.
    fn note(&self, queues: &[NoteQueue], now: DateTime<Utc>) -> bool {
        let late = |systems: &BTreeMap<PsaId, Standing>| {
            let late = |standing: &Standing| standing.oldest.is_some_and(|oldest| now - oldest > TOLD_AFTER);
            systems.iter().filter(|(_, s)| late(s)).map(|(psa, _)| psa.clone()).collect::<Vec<_>>()
        };
        self.waits.store(!queues.is_empty(), Ordering::Relaxed);
        let mut systems = self.systems.lock().unwrap_or_else(PoisonError::into_inner);
        let before = late(&systems);
        for standing in systems.values_mut() {
            (standing.waiting, standing.oldest) = (0, None);
        }
        for queue in queues {
            let standing = systems.entry(queue.psa.clone()).or_default();
            (standing.waiting, standing.oldest) = (queue.waiting, Some(queue.oldest));
        }
        before != late(&systems)
    }

    fn not_before(&self, psa: &PsaId) -> Option<DateTime<Utc>> {
        self.systems.lock().unwrap_or_else(PoisonError::into_inner).get(psa)?.not_before
    }

    fn tried(&self, psa: &PsaId, tried: &Tried, now: DateTime<Utc>) {
        let mut systems = self.systems.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = systems.entry(psa.clone()).or_default();
        match tried {
            Tried::Sent | Tried::Hopeless(_) => {
                *standing =
                    Standing { waiting: standing.waiting, oldest: standing.oldest, ..Standing::default() };
            }
            Tried::Later(why) => standing.trouble = Some(why.clone()),
            Tried::Down(why, seconds) => {
                let pause = pause(standing.failures).max(TimeDelta::seconds((*seconds).into()));
                standing.failures += 1;
                standing.not_before = Some(now + pause);
                standing.trouble = Some(why.clone());
            }
        }
    }
}

/// The pause after so many tries that failed before this one.
fn pause(failures: usize) -> TimeDelta {
    TimeDelta::seconds(PAUSES.get(failures).or(PAUSES.last()).copied().unwrap_or(900))
}

impl Broker {
    /// Sends what waits, for as long as the broker runs. Systems are worked off side by side, each one note at a time: one that
    /// does not answer delays no other.
    pub(super) async fn run_deliveries(self: Arc<Self>) {
        let mut changed = self.deliveries.changed.subscribe();
        let mut known = BTreeSet::new();
        let mut systems = FuturesUnordered::new();
        loop {
            changed.mark_unchanged();
            let again = match self.count_notes().await {
                Ok(queues) => {
                    let new =
                        queues.into_iter().map(|queue| queue.psa).filter(|psa| known.insert(psa.clone()));
                    systems.extend(new.map(|psa| Arc::clone(&self).run_deliveries_to(psa)));
                    None
                }
                Err(error) => Some(self.wait_for_ledger(&error)),
            };
            tokio::select! {
                _ = changed.changed() => {}
                () = self.clock.wait_until(again.unwrap_or_default()), if again.is_some() => {}
                Some(()) = systems.next() => {}
                // Of a broker that shares the ledger, and is no more.
                () = tokio::time::sleep(LOOK_EVERY), if self.ledger.shared().is_some() => self.deliveries.wake(),
            }
        }
    }

    /// Sends what waits for one system.
    async fn run_deliveries_to(self: Arc<Self>, psa: PsaId) {
        let mut changed = self.deliveries.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let next = self.deliver_to(&psa).await.unwrap_or_else(|error| Some(self.wait_for_ledger(&error)));
            match next {
                Some(at) => tokio::select! {
                    () = self.clock.wait_until(at) => {}
                    _ = changed.changed() => {}
                },
                None => drop(changed.changed().await),
            }
        }
    }

    /// When to look again after the ledger could not be read or written.
    fn wait_for_ledger(&self, error: &LedgerError) -> DateTime<Utc> {
        tracing::error!(%error, "notes to tickets wait for the ledger");
        self.clock.now() + UNRECORDED_PAUSE
    }

    /// Which systems notes wait for, and how many.
    async fn count_notes(&self) -> Result<Vec<NoteQueue>, LedgerError> {
        let queues = self.ledger.note_queues().await?;
        if self.deliveries.note(&queues, self.clock.now()) {
            self.events.overview();
        }
        Ok(queues)
    }

    /// One note; answers when the next is due.
    async fn deliver_to(&self, psa: &PsaId) -> Result<Option<DateTime<Utc>>, LedgerError> {
        self.count_notes().await?;
        let Some(waiting) = self.ledger.next_note(psa).await? else { return Ok(None) };
        let now = self.clock.now();
        if now - waiting.at > GIVEN_UP_AFTER {
            self.give_up(&waiting, "it could not be delivered for 7 days").await?;
            return Ok(Some(now));
        }
        let due = self.deliveries.not_before(psa).map_or(waiting.note.due, |at| at.max(waiting.note.due));
        if due > now {
            return Ok(Some(due));
        }
        let attempts = usize::try_from(waiting.attempts).unwrap_or(usize::MAX);
        let again = NoteTry { mark: waiting.note.mark.clone(), again: now + pause(attempts) };
        let begun = since_boot();
        let sending = NoteChange { sending: vec![again], ..NoteChange::default() };
        match self.change_notes("ledger.note_sending", sending).await {
            // Another broker on the same ledger was quicker.
            Err(LedgerError::Conflict(_)) => return Ok(Some(now + OTHERS_SEND)),
            written => written?,
        }
        let tried = self.send(&self.settings(), &waiting, begun).await;
        let now = self.clock.now();
        self.deliveries.tried(psa, &tried, now);
        let mark = &waiting.note.mark;
        match tried {
            Tried::Sent => {
                let sent = NoteChange { sent: vec![mark.clone()], ..NoteChange::default() };
                self.change_notes("ledger.note_sent", sent).await?;
            }
            Tried::Hopeless(why) => self.give_up(&waiting, &why).await?,
            Tried::Later(why) | Tried::Down(why, _) => {
                tracing::warn!(%psa, note = %mark, why, "a note is not in its ticket yet");
            }
        }
        Ok(Some(now))
    }

    async fn change_notes(&self, name: &'static str, notes: NoteChange) -> Result<(), LedgerError> {
        self.commit(Change { name, at: self.clock.now(), notes, ..Change::default() }).await
    }

    /// One try.
    async fn send(&self, snapshot: &Snapshot, waiting: &WaitingNote, begun: Duration) -> Tried {
        let note = &waiting.note;
        let (Some(config), Some(psa)) = (&snapshot.config, snapshot.psas.get(&note.psa)) else {
            return Tried::Down("it is not configured, or cannot be connected".into(), 0);
        };
        let Some(settings) = config.psas.get(&note.psa) else {
            return Tried::Down("it is not configured".into(), 0);
        };
        if settings.notes == TicketNotes::Off {
            return Tried::Hopeless("the ticket system gets no notes any more".into());
        }
        let ticket = match in_time(psa.ticket(&note.ticket)).await {
            Ok(ticket) if is_same_number(&ticket.number, &note.ticket) => ticket,
            Ok(_) => return Tried::Later("it told of another ticket than the one asked for".into()),
            Err(error) => return not_yet(&error),
        };
        let session = match self.ledger.session(&note.session).await {
            Ok(Some(session)) => session,
            Ok(None) => return Tried::Hopeless("its session is not known".into()),
            Err(error) => return Tried::Later(error.to_string()),
        };
        let owners: Vec<_> = customers_of(config, &note.psa, &ticket).into_iter().map(|c| &c.id).collect();
        // What the customer sees is correspondence in many systems, and opens a closed ticket again.
        let public = settings.notes == TicketNotes::Public && !ticket.closed;
        if !may_read(&owners, &session.customer, public) {
            return Tried::Hopeless("the ticket is not known as this customer's".into());
        }
        if waiting.sending {
            match in_time(psa.has_note(&ticket, &note.mark)).await {
                Ok(true) => return Tried::Sent,
                Ok(false) => {}
                Err(error) => return not_yet(&error),
            }
        }
        let longest = match self.ledger.shared() {
            None => LONGEST,
            Some(_) => SENT_IN.saturating_sub(since_boot().saturating_sub(begun)),
        };
        if longest.is_zero() {
            return Tried::Later("it took too long, and another broker may be sending it".into());
        }
        add(psa.as_ref(), &ticket, waiting, public, longest).await
    }

    /// Takes a note out of the queue that will not be in its ticket, on record.
    async fn give_up(&self, waiting: &WaitingNote, why: &str) -> Result<(), LedgerError> {
        let note = &waiting.note;
        tracing::warn!(psa = %note.psa, note = %note.mark, why, "a note is given up");
        let more = records::details([
            ("psa", json!(note.psa)),
            ("ticket_number", json!(note.ticket)),
            ("note", json!(note.mark)),
            ("attempts", json!(waiting.attempts)),
            ("why", json!(records::printable(why))),
        ]);
        let record = match self.ledger.session(&note.session).await? {
            Some(session) => records::about(&session, None, "ticket.note_given_up", "broker", "failed", more),
            None => records::record(None, "ticket.note_given_up", "broker", "failed", more),
        };
        let change = Change {
            name: "ledger.note_given_up",
            at: self.clock.now(),
            audit: vec![record],
            notes: NoteChange { dropped: vec![note.mark.clone()], ..NoteChange::default() },
            ..Change::default()
        };
        self.commit(change).await
    }
}

async fn add(
    psa: &dyn Psa,
    ticket: &Ticket,
    waiting: &WaitingNote,
    public: bool,
    longest: Duration,
) -> Tried {
    let note = Note { text: waiting.note.text.clone(), mark: waiting.note.mark.clone(), public };
    match within(longest, psa.add_note(ticket, &note)).await {
        Ok(()) => Tried::Sent,
        Err(error) => not_yet(&error),
    }
}

async fn in_time<T>(question: impl Future<Output = Result<T, PsaError>>) -> Result<T, PsaError> {
    within(LONGEST, question).await
}

async fn within<T>(
    longest: Duration,
    question: impl Future<Output = Result<T, PsaError>>,
) -> Result<T, PsaError> {
    let late = |_| Err(PsaError::Ambiguous("no answer in time".into()));
    timeout(longest, question).await.unwrap_or_else(late)
}

fn not_yet(error: &PsaError) -> Tried {
    let why = error.to_string();
    match error {
        PsaError::NoSuchTicket => Tried::Hopeless("there is no such ticket, or it may not be seen".into()),
        PsaError::NotOffered => Tried::Hopeless(why),
        PsaError::Unreadable(_) => Tried::Later(why),
        PsaError::Busy { retry_after_s } => Tried::Down(why, *retry_after_s),
        PsaError::Unreachable(_)
        | PsaError::Failed(_)
        | PsaError::Ambiguous(_)
        | PsaError::Certificate(_)
        | PsaError::Refused(_)
        | PsaError::NoSecret(_) => Tried::Down(why, 0),
    }
}

/// Whoever reads a ticket reads of no other customer's session: a number typed by hand may be another's. Where nobody can tell whose
/// the ticket is, only its technicians may.
fn may_read(owners: &[&CustomerId], customer: &CustomerId, public: bool) -> bool {
    match owners {
        [] => !public,
        [only] => *only == customer,
        several => !public && several.contains(&customer),
    }
}
