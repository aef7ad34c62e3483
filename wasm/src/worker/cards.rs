//! The popup's cards: one for each session, with what can be done with it and how the last thing went.

use chrono::{DateTime, Utc};
use ticketgate_protocol::api::{Mode, Part, Session, State};

use super::compose::{limits_text, ticket_line};
use super::doing::{Act, Doing};
use super::sessions::is_stuck;
use super::view::{Button, Card, Note, PartCard, Ring, Tone};
use super::{Intent, Worker, remaining, warnings};
use ticketgate_recognise::letters::joined;

impl Worker {
    pub(super) fn cards(&self, now: DateTime<Utc>) -> Vec<Card> {
        let mut cards = Vec::new();
        for session in self.last.sessions.iter() {
            cards.push(self.card(session, now));
        }
        for session in self.last.sessions.over() {
            cards.push(over_card(session));
        }
        cards
    }

    fn card(&self, session: &Session, now: DateTime<Utc>) -> Card {
        let broker_now = self.broker_now(now);
        let left = remaining::seconds(session.expires_at, broker_now);
        let is_running = session.state == State::Active && left > 0;
        let doing = self.doing.get(&session.id);
        let tone = match session.state {
            State::Active if left == 0 => Tone::Working,
            State::Active => match remaining::closeness(left) {
                remaining::Closeness::Far => Tone::Calm,
                remaining::Closeness::Near => Tone::Amber,
                remaining::Closeness::Last => Tone::Red,
            },
            State::Ending if is_stuck(session) => Tone::Red,
            _ => Tone::Working,
        };
        let state = match session.state {
            State::Active if left == 0 => Some("Ending"),
            State::Active => None,
            State::Pending => Some("Waits for approval"),
            State::Approved => Some("Approved, not yet used"),
            State::Activating => Some("Activating"),
            State::Ending if is_stuck(session) => Some("End does not succeed"),
            State::Ending => Some("Ending"),
            _ => Some("In a state that this version does not know"),
        };
        let ring = is_running.then(|| {
            let whole =
                session.from.map_or(3_600_000, |from| (session.expires_at - from).num_milliseconds()).max(1);
            let rest = (session.expires_at - broker_now).num_milliseconds();
            #[allow(clippy::cast_precision_loss, reason = "milliseconds of a session are far below 2^52")]
            let part = (rest as f64 / whole as f64).clamp(0.0, 1.0);
            // Three digits are finer than a pixel, and an unchanged view is not sent.
            let part = (part * 1000.0).round() / 1000.0;
            Ring { part, clock: remaining::clock(left), words: format!("{} left", remaining::words(left)) }
        });
        let busy = self.busy_with(&session.id);
        let is_one = session.parts.is_empty();
        Card {
            id: session.id.to_string(),
            tone,
            title: session.customer_name.clone(),
            subtitle: session.policy_name.clone(),
            state: state.map(str::to_owned),
            ring,
            ends: is_running.then(|| format!("Ends at {}", self.around.clock_text(session.expires_at))),
            account: is_one.then(|| session.account.clone()).flatten(),
            rights: if is_one { session.rights.clone() } else { Vec::new() },
            parts: session.parts.iter().map(|part| self.part(session, part, is_running)).collect(),
            ticket: session.ticket.as_ref().map(ticket_line),
            note: self.card_note(session, doing, now),
            counts: self.what_still_counts(session, now),
            copy_password: self.copy_button(session, busy, is_running && is_one),
            extend: is_running.then(|| self.extend_button(session, busy)),
            end: matches!(session.state, State::Active).then(|| Button {
                label: "End now".into(),
                intent: Intent::End { session: session.id.clone() },
                disabled: None,
                busy: busy == Some(Act::End),
            }),
            limits: self.limits(session),
        }
    }

    fn part(&self, session: &Session, part: &Part, is_running: bool) -> PartCard {
        let (tone, state) = match part.state {
            State::Active => (Tone::Calm, None),
            State::Activating => (Tone::Working, Some("Activating")),
            State::Ending if part.trouble.is_some() => (Tone::Red, Some("End does not succeed")),
            State::Ending => (Tone::Working, Some("Ending")),
            State::Ended => (Tone::Quiet, Some("Ended")),
            State::Failed => (Tone::Red, Some("Failed")),
            _ => (Tone::Working, None),
        };
        let has_password = part.mode != Mode::Membership && !part.passwordless;
        PartCard {
            directory: part.directory.to_string(),
            tone,
            state: state.map(str::to_owned),
            account: part.account.clone(),
            rights: part.rights.clone(),
            copy_password: (is_running && has_password).then(|| Button {
                label: if part.password_held { "Copy password" } else { "New password" }.into(),
                intent: Intent::CopyPassword {
                    session: session.id.clone(),
                    directory: Some(part.directory.clone()),
                },
                disabled: None,
                busy: self.is_copying(&session.id, &part.directory),
            }),
        }
    }

    fn card_note(&self, session: &Session, doing: Option<&Doing>, now: DateTime<Utc>) -> Option<Note> {
        if let Some(trouble) = session.trouble.as_ref().filter(|_| is_stuck(session)) {
            let next = trouble.next_try.map_or_else(
                || "It is tried again until it succeeds.".to_owned(),
                |at| format!("Next attempt at {}.", self.around.clock_text(at)),
            );
            let tried = if trouble.attempts == 1 {
                "1 attempt".into()
            } else {
                format!("{} attempts", trouble.attempts)
            };
            let failing = session.parts.iter().find(|part| part.trouble.is_some());
            let place = failing.map_or_else(String::new, |part| format!("{}: ", part.directory));
            let text = format!(
                "{place}{} {} The rights may still be there ({tried}). {next}",
                trouble.problem.detail, trouble.problem.remedy
            );
            return Some(Note { tone: Tone::Red, text: joined(&mut text.split_whitespace(), " ") });
        }
        doing.and_then(|d| d.note_at(now)).cloned()
    }

    /// What the policy's directories promised, while nobody answers who could say how the session stands.
    fn what_still_counts(&self, session: &Session, now: DateTime<Utc>) -> Option<Note> {
        let policies = &self.last.overview.as_ref()?.policies;
        let policy = policies.iter().find(|p| p.id == session.policy)?;
        let counts = session.state == State::Active && self.trouble(now).is_some();
        counts.then(|| Note { tone: Tone::Calm, text: policy.end_guarantee.clone() })
    }

    fn copy_button(&self, session: &Session, busy: Option<Act>, is_running: bool) -> Option<Button> {
        (is_running && session.mode != Mode::Membership && !session.passwordless).then(|| Button {
            label: if session.password_held { "Copy password" } else { "New password" }.into(),
            intent: Intent::CopyPassword { session: session.id.clone(), directory: None },
            disabled: None,
            busy: busy == Some(Act::Copy),
        })
    }

    fn extend_button(&self, session: &Session, busy: Option<Act>) -> Button {
        let by = warnings::extension(session, self.last.overview.as_ref());
        let label = by.map_or_else(
            || "Extend".to_owned(),
            |by| format!("Extend by {}", remaining::duration(u32::try_from(by).unwrap_or_default())),
        );
        Button {
            label,
            intent: Intent::Extend { session: session.id.clone() },
            disabled: by.is_none().then(|| "This session is at the policy's maximum.".into()),
            busy: busy == Some(Act::Extend),
        }
    }

    fn limits(&self, session: &Session) -> Option<String> {
        let policies = &self.last.overview.as_ref()?.policies;
        policies.iter().find(|p| p.id == session.policy).map(|p| limits_text(&p.end_guarantee, &p.end_limits))
    }
}

fn over_card(session: &Session) -> Card {
    let (tone, state, note) = match session.state {
        State::Ended => (Tone::Quiet, "Ended, the rights are taken away", None),
        State::Denied => (Tone::Amber, "Denied", session.trouble.as_ref()),
        State::Lapsed => (Tone::Quiet, "Lapsed", None),
        _ => (Tone::Red, "Failed", session.trouble.as_ref()),
    };
    Card {
        id: session.id.to_string(),
        tone,
        title: session.customer_name.clone(),
        subtitle: session.policy_name.clone(),
        state: Some(state.into()),
        ring: None,
        ends: None,
        account: None,
        rights: Vec::new(),
        parts: Vec::new(),
        ticket: session.ticket.as_ref().map(ticket_line),
        note: note.map(|trouble| Note { tone, text: trouble.problem.detail.clone() }),
        counts: None,
        copy_password: None,
        extend: None,
        end: None,
        limits: None,
    }
}
