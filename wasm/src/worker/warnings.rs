//! Notifications: which are due, each once per session and end, also over restarts of the worker.

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_protocol::api::{EndCause, Overview, Session, State};
use ticketgate_protocol::ids::SessionId;
use ticketgate_protocol::problem::Problem;
use ticketgate_protocol::tree::{FromJson, ToTree};

use super::Effect;
use super::remaining;
use super::sessions::{Sessions, is_stuck};
use super::shelf::Shelf;

/// How long before the end a warning is due, in seconds, longest first.
const WARN_AT_S: [i64; 2] = [300, 60];
/// A warning so shortly before the next threshold counts for that one, too.
const SOON_S: i64 = 5;
/// An extension shorter than this is not worth a button, in seconds.
pub(super) const EXTEND_MIN_S: i64 = 60;

/// What has been said about each session.
#[derive(Debug, Clone, Default, PartialEq, Eq, FromJson, ToTree)]
pub(super) struct Warnings {
    said: Shelf<SessionId, Said>,
}

#[derive(Debug, Clone, PartialEq, Eq, FromJson, ToTree)]
struct Said {
    until: DateTime<Utc>,
    /// The nearest threshold that needs no more warning, in seconds.
    warned_at: i64,
    stuck: bool,
    /// The buttons of the warning that stands, in order.
    buttons: Vec<Button>,
}

/// What a click on a notification is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    /// A session that runs out; its buttons: [`Warnings::pressed`].
    Ending(SessionId),
    /// Something to look at in the popup.
    Look,
}

/// By how long the Extend button of a session moves its end, in seconds; none when it is at its maximum.
#[must_use]
pub(super) fn extension(session: &Session, overview: Option<&Overview>) -> Option<i64> {
    let room = (session.latest_end - session.expires_at).num_seconds();
    let usual = overview
        .and_then(|o| o.policies.iter().find(|p| p.id == session.policy))
        .map_or(3600, |p| i64::from(p.default_s));
    let by = usual.min(room);
    (session.state == State::Active && by >= EXTEND_MIN_S).then_some(by)
}

/// A button of a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromJson, ToTree)]
#[serde(rename_all = "snake_case")]
pub(super) enum Button {
    /// Move the end by so many seconds.
    Extend(i64),
    /// End now.
    End,
}

impl Button {
    /// Those of a warning, in order.
    fn of(session: &Session, overview: Option<&Overview>) -> Vec<Self> {
        match extension(session, overview) {
            // Refused as long as the ticket is closed; the popup has it for one that is open again.
            Some(_) if is_closing(session) => vec![Self::End],
            Some(by) => vec![Self::Extend(by), Self::End],
            None => vec![Self::End],
        }
    }

    fn label(self) -> String {
        match self {
            Self::Extend(by) => {
                format!("Extend by {}", remaining::duration(u32::try_from(by).unwrap_or_default()))
            }
            Self::End => "End now".to_owned(),
        }
    }
}

fn warning_id(id: &SessionId) -> String {
    format!("warning {id}")
}

fn end_id(id: &SessionId) -> String {
    format!("end {id}")
}

fn ready_id(id: &SessionId) -> String {
    format!("ready {id}")
}

/// What the notification with this id is about.
#[must_use]
pub(super) fn about(id: &str) -> Option<About> {
    let (what, session) = id.split_once(' ')?;
    match what {
        "warning" => SessionId::new(session).ok().map(About::Ending),
        "end" | "ready" | "activation" => Some(About::Look),
        _ => None,
    }
}

impl Warnings {
    /// Says what is due. `now` is the broker's.
    pub(super) fn settle(
        &mut self,
        sessions: &Sessions,
        overview: Option<&Overview>,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) {
        for session in sessions.iter().filter(|s| matches!(s.state, State::Active | State::Ending)) {
            let left = remaining::seconds(session.expires_at, now);
            let said = self.said.or_insert_with(session.id.clone(), || Said::first(session, left));
            if said.until != session.expires_at {
                // Extended (or shortened): warned anew, but not of what lies behind the new end already.
                let stuck = said.stuck;
                *said = Said { stuck, ..Said::first(session, left) };
                out.push(Effect::ClearNotice { id: warning_id(&session.id) });
            }
            if session.state == State::Active {
                let due = WARN_AT_S.into_iter().filter(|at| left <= *at).min();
                if due.is_some_and(|at| at < said.warned_at && left > 0) {
                    // What is due in a moment would only say the same again.
                    let soon = WARN_AT_S.into_iter().filter(|at| left <= *at + SOON_S).min();
                    said.warned_at = soon.unwrap_or(said.warned_at);
                    said.buttons = Button::of(session, overview);
                    out.push(warning(session, left, &said.buttons));
                }
            } else if is_stuck(session) && !said.stuck {
                said.stuck = true;
                out.push(stuck(session));
            }
        }
        let known = |id: &SessionId| sessions.get(id).is_some();
        self.said.retain(|id, _| known(id));
    }

    /// A session is over: says so, unless the person just ended it in front of an open popup.
    pub(super) fn over(&mut self, session: &Session, watched: bool, out: &mut Vec<Effect>) {
        let had = self.said.remove(&session.id).is_some();
        for id in [warning_id(&session.id), ready_id(&session.id)] {
            out.push(Effect::ClearNotice { id });
        }
        if !had || session.state != State::Ended {
            return;
        }
        let (by_hand, why) = match session.end_cause {
            Some(EndCause::Technician) => (true, "You ended it."),
            Some(EndCause::Administrator) => (false, "An administrator ended it."),
            Some(EndCause::PolicyGone) => (false, "Its policy is no longer configured."),
            Some(EndCause::ClockSetBack) => (false, "The broker's clock was set back."),
            Some(EndCause::TicketClosed) => (false, "Its ticket was closed."),
            Some(EndCause::Expired) => (false, "Its time was over."),
            // Nobody told: it was gone when the broker was asked.
            Some(EndCause::GrantFailed | EndCause::Unknown) | None => (false, "It was ended."),
        };
        if by_hand && watched {
            out.push(Effect::ClearNotice { id: end_id(&session.id) });
            return;
        }
        out.push(Effect::Notify {
            id: end_id(&session.id),
            title: format!("{} ended", name(session)),
            message: format!("{why} The rights are taken away."),
            buttons: Vec::new(),
            stay: false,
        });
    }

    /// The button of a session's warning at this place, as it stands on the screen: what the policy allows by now may
    /// be something else.
    #[must_use]
    pub(super) fn pressed(&self, session: &SessionId, index: u32) -> Option<Button> {
        self.said.get(session)?.buttons.get(usize::try_from(index).ok()?).copied()
    }

    /// When [`Self::settle`] has something to say next, by the broker's clock.
    #[must_use]
    pub(super) fn next(&self, sessions: &Sessions) -> Option<DateTime<Utc>> {
        let due = |s: &Session| {
            let warned_at = self.said.get(&s.id).map_or(i64::MAX, |said| said.warned_at);
            let at = WARN_AT_S.into_iter().find(|at| *at < warned_at)?;
            Some(s.expires_at - TimeDelta::seconds(at))
        };
        sessions.iter().filter(|s| s.state == State::Active).filter_map(due).min()
    }
}

impl Said {
    /// A session seen for the first time with this end: thresholds that lie behind it are not warned of. A session of
    /// four minutes needs no word that five are left, nor does one that is seen again after a browser start.
    fn first(session: &Session, left: i64) -> Self {
        // That a ticket was closed is news at whatever end.
        let behind = WARN_AT_S.into_iter().filter(|at| left <= *at && !is_closing(session)).min();
        let warned_at = behind.unwrap_or(i64::MAX);
        Self { until: session.expires_at, warned_at, stuck: false, buttons: Vec::new() }
    }
}

/// Whether its ticket was closed, and its last minute runs.
fn is_closing(session: &Session) -> bool {
    session.state == State::Active && session.end_cause == Some(EndCause::TicketClosed)
}

fn name(session: &Session) -> String {
    format!("{} · {}", session.customer_name, session.policy_name)
}

fn warning(session: &Session, left: i64, buttons: &[Button]) -> Effect {
    // Timers are a few milliseconds late: `300` and `299` are both five minutes to a person.
    let left = if left >= 55 {
        remaining::duration(u32::try_from((left + 5) / 60 * 60).unwrap_or(60))
    } else {
        remaining::words(left)
    };
    Effect::Notify {
        id: warning_id(&session.id),
        title: format!("{}: {left} left", name(session)),
        message: match (&session.account, &session.ticket) {
            (_, Some(ticket)) if is_closing(session) => {
                format!(
                    "Ticket #{} was closed: this session ends in {left}.",
                    ticket.number.trim_start_matches('#')
                )
            }
            (None, _) => "The rights end then.".to_owned(),
            (Some(account), _) => format!("The rights of {account} end then."),
        },
        buttons: buttons.iter().map(|button| button.label()).collect(),
        stay: true,
    }
}

/// An account is ready where no button says so, or its password has to be fetched.
pub(super) fn ready(session: &Session, title: &str, password_is_missing: bool) -> Effect {
    let message = if password_is_missing {
        format!("The clipboard cannot be reached. Run: ticketgate password {}", session.id)
    } else {
        name(session)
    };
    Effect::Notify {
        id: ready_id(&session.id),
        title: title.to_owned(),
        message,
        buttons: Vec::new(),
        stay: password_is_missing,
    }
}

/// An activation failed where no popup shows it.
pub(super) fn not_activated(policy: &str, customer: &str, problem: &Problem) -> Effect {
    Effect::Notify {
        id: "activation failed".into(),
        title: format!("Not activated: {policy} at {customer}"),
        message: problem.detail.replace('`', ""),
        buttons: Vec::new(),
        stay: false,
    }
}

fn stuck(session: &Session) -> Effect {
    let detail = session.trouble.as_ref().map(|t| t.problem.detail.clone()).unwrap_or_default();
    Effect::Notify {
        id: end_id(&session.id),
        title: format!("{}: the end does not succeed", name(session)),
        message: format!("{detail} The rights may still be there. It is tried again until it succeeds."),
        buttons: Vec::new(),
        stay: true,
    }
}
