//! Extension: the later end is durable first; an end that the directory does not take is shown to nobody.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use ticketgate_access::decide::{self};
use ticketgate_access::session::{Account, AccountKey, Session};
use ticketgate_ledger::{Change, LedgerError, NoteChange};
use ticketgate_protocol::api::{self, EndCause, State};
use ticketgate_protocol::ids::{IdempotencyKey, SessionId, TechnicianId};
use ticketgate_protocol::problem::{Code, Problem};

use super::notes::Told;
use super::service::{TRIES, fingerprint};
use super::tickets::Asked;
use super::{Broker, Caller, Snapshot, ledger_problem, records};

/// Between the attempts to undo an extension while its technician waits, and afterwards.
const UNDO_PAUSE: Duration = Duration::from_millis(100);
const UNDO_LATER: Duration = Duration::from_secs(2);

impl Broker {
    /// Moves a session's end, at most to the policy's maximum.
    ///
    /// # Errors
    /// Why not. The session then ends when it would have.
    pub async fn extend(
        self: &Arc<Self>,
        caller: &Caller,
        key: &IdempotencyKey,
        id: &SessionId,
        by_s: i64,
    ) -> Result<api::Session, Problem> {
        let begun = Instant::now();
        let fingerprint = fingerprint("extend", &(id, by_s));
        let (session, _) = self.own(caller, id).await?;
        let lock = self.extending.of(&session.account);
        let _one_at_a_time = lock.lock().await;
        for _ in 0..TRIES {
            if let Some(again) = self.repeated(caller, key, fingerprint).await? {
                return again;
            }
            let (session, account) = self.own(caller, id).await?;
            let snapshot = self.settings();
            let (until, asked) = match self.longer(&snapshot, &session, by_s).await? {
                Ok(longer) => longer,
                Err(problem) => {
                    let more = records::details([("code", json!(problem.code)), ("by_s", json!(by_s))]);
                    let actor = caller.actor();
                    let record = records::about(
                        &session,
                        Some(&account),
                        "session.extension_refused",
                        &actor,
                        "refused",
                        more,
                    );
                    self.audit_refusal(record, &session.technician).await?;
                    return Err(problem);
                }
            };
            let before = session.until;
            let mut more = records::details([("by_s", json!(by_s)), ("until_before", json!(before))]);
            more.extend(asked.details());
            // One whose ticket was closed goes on: it is open again.
            let longer = Session { until, end_cause: None, ..session.clone() };
            let note = self.note(&longer, Told::Longer(before), self.clock.now());
            let noted = note.as_ref().map(|note| note.mark.clone());
            let change = Change {
                name: "ledger.session_extended",
                at: self.clock.now(),
                audit: vec![records::about(
                    &longer,
                    Some(&account),
                    "session.extended",
                    &caller.actor(),
                    "ok",
                    more,
                )],
                sessions: vec![longer],
                accounts: vec![Account { settled: false, ..account.clone() }],
                answers: self.answer(caller, key, fingerprint, id),
                notes: NoteChange { new: note.into_iter().collect(), ..NoteChange::default() },
                guard: self.counted(&session.technician),
                withdraws: None,
                widens: true,
                follows_clock: false,
            };
            match self.commit(change).await {
                Ok(()) => {}
                Err(LedgerError::Conflict(_)) => continue,
                Err(LedgerError::Seen(answered)) => return self.answer_again(&answered, fingerprint).await,
                Err(LedgerError::TooMany { limit, retry_after_s }) => {
                    return Err(self.flooded(&session.technician, limit, retry_after_s).await);
                }
                Err(error) => return Err(ledger_problem(&error)),
            }
            if let Some(problem) = self.converge_after(&account.key, begun.elapsed()).await {
                let request = caller.technician.clone().map(|technician| (technician, key.clone()));
                self.shorten_again(Untaken { id: id.clone(), until, before, request, noted }).await;
                return Err(problem);
            }
            return self.seen(id).await;
        }
        Err(ledger_problem(&LedgerError::Conflict(String::new())))
    }

    /// The later end that a session may have, or why none. Where the policy has the ticket verified, it is asked about again: what
    /// was open and the technician's at the beginning may be neither now.
    ///
    /// # Errors
    /// No configuration; too many requests, which are on record already.
    async fn longer(
        &self,
        snapshot: &Snapshot,
        session: &Session,
        by_s: i64,
    ) -> Result<Result<(DateTime<Utc>, Asked), Problem>, Problem> {
        let config = Self::config(snapshot)?;
        let decide = || decide::decide_extension(config, session, by_s, self.clock.now());
        let extended = match decide() {
            Ok(extended) => extended,
            Err(problem) => return Ok(Err(problem)),
        };
        let closing = session.end_cause == Some(EndCause::TicketClosed);
        let Some(check) = extended.ticket_check else {
            return Ok(if closing { Err(is_closed(session)) } else { Ok((extended.until, Asked::Nobody)) });
        };
        self.may_ask(config, &check).await?;
        let asked = match self.ask(snapshot, &check).await {
            Ok(asked) => asked,
            Err(problem) => return Ok(Err(problem)),
        };
        if closing && !matches!(asked, Asked::Verified { .. }) {
            return Ok(Err(is_closed(session)));
        }
        // It may have come to its end meanwhile.
        Ok(decide().map(|extended| (extended.until, asked)))
    }

    /// The directory did not take the later end: nobody may be shown one that it does not keep, nor be given one that he was
    /// refused. Where that cannot be written now, it is as soon as it can.
    async fn shorten_again(self: &Arc<Self>, untaken: Untaken) {
        for _ in 0..TRIES {
            match self.shorten_once(&untaken).await {
                Ok(()) => return,
                Err(LedgerError::Conflict(_)) => {}
                Err(_) => tokio::time::sleep(UNDO_PAUSE).await,
            }
        }
        tracing::error!(session = %untaken.id, "an extension that the directory did not take could not be undone in the ledger yet");
        let broker = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UNDO_LATER).await;
                let Some(broker) = broker.upgrade() else { return };
                if broker.shorten_once(&untaken).await.is_ok() {
                    return tracing::info!(session = %untaken.id, "the extension is undone");
                }
            }
        });
    }

    async fn shorten_once(&self, untaken: &Untaken) -> Result<(), LedgerError> {
        let Some(session) = self.ledger.session(&untaken.id).await? else { return Ok(()) };
        let soon = |key: &AccountKey| {
            self.ends.at_latest(key, untaken.before.min(self.clock.now() + TimeDelta::seconds(1)))
        };
        if session.until != untaken.until || session.state != State::Active {
            // Perhaps by an attempt whose answer was lost.
            soon(&session.account);
            return Ok(());
        }
        let Some((account, _)) = self.ledger.account(&session.account).await? else { return Ok(()) };
        let shorter = Session { until: untaken.before, ..session };
        let change = Change {
            name: "ledger.extension_undone",
            at: self.clock.now(),
            audit: vec![records::about(
                &shorter,
                Some(&account),
                "session.extension_failed",
                "broker",
                "failed",
                records::Details::new(),
            )],
            accounts: vec![Account { settled: false, ..account.clone() }],
            sessions: vec![shorter],
            withdraws: untaken.request.clone(),
            notes: NoteChange { withdrawn: untaken.noted.iter().cloned().collect(), ..NoteChange::default() },
            ..Change::default()
        };
        self.commit(change).await?;
        soon(&account.key);
        Ok(())
    }
}

/// An extension that is in the ledger and not in the directory.
struct Untaken {
    id: SessionId,
    /// The end that the directory did not take.
    until: DateTime<Utc>,
    /// The one that stays.
    before: DateTime<Utc>,
    /// Whose answer did not come true.
    request: Option<(TechnicianId, IdempotencyKey)>,
    /// The mark of the note that nobody is to read.
    noted: Option<String>,
}

/// Only its system's word that a closed ticket is open again lets its session go on.
fn is_closed(session: &Session) -> Problem {
    let number = session.ticket.as_ref().map_or("", |ticket| &ticket.number);
    Problem::new(Code::TicketClosed, format!("Ticket {number} was closed, so the session ends."))
        .remedy("Reopen the ticket if the work goes on, then activate again.")
}
