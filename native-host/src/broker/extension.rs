//! Extension: the later end is durable first; an end that the directory does not take is shown to nobody.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use ticketgate_access::decide::{self, Asker};
use ticketgate_access::session::{Account, Session};
use ticketgate_ledger::{Change, LedgerError, NoteChange};
use ticketgate_protocol::api::{self, EndCause, State};
use ticketgate_protocol::ids::{IdempotencyKey, SessionId, TechnicianId};
use ticketgate_protocol::problem::{Code, Problem};

use super::notes::Told;
use super::parts::{accounts_of, lock_all, rows_of};
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
        let keys = accounts_of(&self.own(caller, id).await?);
        let _one_at_a_time = lock_all(&self.extending, &keys).await;
        for _ in 0..TRIES {
            if let Some(again) = self.repeated(caller, key, fingerprint).await? {
                return again;
            }
            let parts = self.own(caller, id).await?;
            let Some((session, _)) = parts.first() else { break };
            let snapshot = self.settings();
            let (until, asked) = match self.longer(&snapshot, caller.asker()?, &rows_of(&parts), by_s).await?
            {
                Ok(longer) => longer,
                Err(problem) => {
                    let more = records::details([("code", json!(problem.code)), ("by_s", json!(by_s))]);
                    let actor = caller.actor();
                    let record =
                        records::about_whole(&parts, "session.extension_refused", &actor, "refused", more);
                    if let Some(record) = record {
                        self.audit_refusal(record, &session.technician).await?;
                    }
                    return Err(problem);
                }
            };
            let before = session.until;
            let mut more = records::details([("by_s", json!(by_s)), ("until_before", json!(before))]);
            more.extend(asked.details());
            // One whose ticket was closed goes on: it is open again.
            let longer: Vec<_> = parts
                .iter()
                .map(|(part, account)| {
                    let part = Session { until, end_cause: None, ..part.clone() };
                    (part, Account { settled: false, ..account.clone() })
                })
                .collect();
            let note = self.note(&rows_of(&longer), Told::Longer(before), self.clock.now());
            let noted = note.as_ref().map(|note| note.mark.clone());
            let change = Change {
                name: "ledger.session_extended",
                at: self.clock.now(),
                audit: records::about_whole(&longer, "session.extended", &caller.actor(), "ok", more)
                    .into_iter()
                    .collect(),
                sessions: rows_of(&longer),
                accounts: longer.into_iter().map(|(_, account)| account).collect(),
                answers: self.answer(caller, key, fingerprint, id),
                notes: NoteChange { new: note.into_iter().collect(), ..NoteChange::default() },
                guard: self.counted(&session.technician),
                widens: true,
                ..Change::default()
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
            if let Some(problem) = self.converge_after(&keys, begun.elapsed()).await {
                let request = caller.person.clone().map(|technician| (technician, key.clone()));
                self.shorten_again(Untaken { id: session.of().clone(), until, before, request, noted }).await;
                return Err(problem);
            }
            return self.seen(session.of()).await;
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
        asker: Asker<'_>,
        parts: &[Session],
        by_s: i64,
    ) -> Result<Result<(DateTime<Utc>, Asked), Problem>, Problem> {
        let config = Self::config(snapshot)?;
        let decide = || decide::decide_extension(config, asker, parts, by_s, self.clock.now());
        let extended = match decide() {
            Ok(extended) => extended,
            Err(problem) => return Ok(Err(problem)),
        };
        let closing = parts.iter().find(|part| part.end_cause == Some(EndCause::TicketClosed));
        let Some(check) = extended.ticket_check else {
            return Ok(closing.map_or(Ok((extended.until, Asked::Nobody)), |closed| Err(is_closed(closed))));
        };
        self.may_ask(config, &check).await?;
        let asked = match self.ask(snapshot, &check).await {
            Ok(asked) => asked,
            Err(problem) => return Ok(Err(problem)),
        };
        if let Some(closed) = closing
            && !matches!(asked, Asked::Verified { .. })
        {
            return Ok(Err(is_closed(closed)));
        }
        // It may have come to its end meanwhile.
        Ok(decide().map(|extended| (extended.until, asked)))
    }

    /// A directory did not take the later end: no part keeps it, since nobody may be shown one that it does not keep, nor be given one that he was
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
        let parts = self.ledger.parts(&untaken.id).await?;
        let keys = accounts_of(&parts);
        let soon = || {
            for key in &keys {
                self.ends.at_latest(key, untaken.before.min(self.clock.now() + TimeDelta::seconds(1)));
            }
        };
        if parts.iter().any(|(part, _)| part.until != untaken.until || part.state != State::Active) {
            // Perhaps by an attempt whose answer was lost.
            soon();
            return Ok(());
        }
        let shorter = |(part, account): (Session, Account)| {
            (Session { until: untaken.before, ..part }, Account { settled: false, ..account })
        };
        let shorter: Vec<_> = parts.into_iter().map(shorter).collect();
        let none = records::Details::new();
        let record = records::about_whole(&shorter, "session.extension_failed", "broker", "failed", none);
        let (sessions, accounts) = shorter.into_iter().unzip();
        let change = Change {
            name: "ledger.extension_undone",
            at: self.clock.now(),
            audit: record.into_iter().collect(),
            accounts,
            sessions,
            withdraws: untaken.request.clone(),
            notes: NoteChange { withdrawn: untaken.noted.iter().cloned().collect(), ..NoteChange::default() },
            ..Change::default()
        };
        self.commit(change).await?;
        soon();
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
