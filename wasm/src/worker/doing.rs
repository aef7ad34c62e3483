//! What is being done with a session that is there: extending, ending, copying its password; and how it went.

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_protocol::api::Session;
use ticketgate_protocol::ids::{DirectoryId, SessionId};
use ticketgate_protocol::native::{Clipboard, CopyPassword, EndSession, ExtendSession, Method};
use ticketgate_protocol::problem::{Code, Problem};

use super::view::{Note, Tone};
use super::{Effect, Worker, remaining, warnings};

/// How long "done" stays on a session's card, in seconds.
const DONE_S: i64 = 6;
/// How long the button in the page says that the account is ready, in seconds.
const READY_S: i64 = 10;

/// How the last thing that was done with a session went.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Doing {
    /// How the last thing went.
    pub(super) note: Option<Note>,
    /// When the note goes.
    until: Option<DateTime<Utc>>,
    /// That the account is ready, for the button in the page, and until when it says so.
    ready: Option<(String, DateTime<Utc>)>,
}

/// Something done with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Its end is moved.
    Extend,
    /// It is ended.
    End,
    /// Its password is copied.
    Copy,
}

impl Doing {
    fn nothing() -> Self {
        Self { note: None, until: None, ready: None }
    }

    /// When what it says changes next.
    pub(super) fn next(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let ready = self.ready.as_ref().map(|(_, until)| *until);
        self.until.into_iter().chain(ready).filter(|until| now < *until).min()
    }

    /// That the account is ready, right after the activation.
    pub(super) fn ready_at(&self, now: DateTime<Utc>) -> Option<&str> {
        self.ready.as_ref().filter(|(_, until)| now < *until).map(|(text, _)| text.as_str())
    }

    /// The note, while it is shown.
    pub(super) fn note_at(&self, now: DateTime<Utc>) -> Option<&Note> {
        self.note.as_ref().filter(|_| self.until.is_none_or(|until| now < until))
    }
}

impl Worker {
    /// Says in the page, where the person clicked, which account is ready and whether its password is at hand; where no
    /// button shows it, or the password has to be fetched, a notification does.
    pub(super) fn say_ready(
        &mut self,
        session: &Session,
        clipboard: &Clipboard,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) {
        let who = session.account.as_ref().unwrap_or(&session.policy_name);
        let text = match clipboard {
            Clipboard::Copied { .. } => format!("{who} is ready · password copied"),
            Clipboard::Unavailable { .. } => format!("{who} is ready · password not copied"),
            Clipboard::NotNeeded | Clipboard::Unknown => format!("{who} is ready"),
        };
        let is_told = session.ticket.as_ref().is_some_and(|ticket| self.last.pages.has_button_for(ticket));
        let is_missing = matches!(clipboard, Clipboard::Unavailable { .. });
        if self.popups.is_empty() && (is_missing || !is_told) {
            out.push(warnings::ready(session, &text, is_missing));
        }
        let doing = self.doing.or_insert_with(session.id.clone(), Doing::nothing);
        doing.ready = Some((text, now + TimeDelta::seconds(READY_S)));
    }

    pub(super) fn say_clipboard(&mut self, session: &SessionId, clipboard: Clipboard, now: DateTime<Utc>) {
        let (tone, text, until) = match clipboard {
            Clipboard::Copied { clears_at } => {
                let left = remaining::seconds(clears_at, self.broker_now(now)).max(1);
                let until = now + TimeDelta::seconds(left);
                (Tone::Good, format!("Password copied; cleared after {left} s."), Some(until))
            }
            Clipboard::Unavailable { problem } if problem.code == Code::WrongState => {
                (Tone::Amber, sentence(&problem), None)
            }
            Clipboard::Unavailable { problem } => {
                let text = format!("{} Run: ticketgate password {session}", problem.detail);
                (Tone::Amber, text, None)
            }
            Clipboard::NotNeeded => {
                let text = "Your own account has the rights. Log on again where they do not show yet.";
                (Tone::Good, text.to_owned(), Some(now + TimeDelta::seconds(30)))
            }
            Clipboard::Unknown => return,
        };
        let doing = self.doing.or_insert_with(session.clone(), Doing::nothing);
        doing.note = Some(Note { tone, text });
        doing.until = until;
    }

    /// By how long Extend moves a session's end now, in seconds.
    pub(super) fn extends_by(&self, session: &SessionId) -> Option<i64> {
        warnings::extension(self.last.sessions.get(session)?, self.last.overview.as_ref())
    }

    /// What is under way with a session: what the broker was asked and has not answered, by a worker that was stopped
    /// meanwhile, too.
    pub(super) fn busy_with(&self, session: &SessionId) -> Option<Act> {
        self.link.asked().find_map(|method| {
            let (of, act) = match method {
                Method::Extend(wanted) => (&wanted.session, Act::Extend),
                Method::End(wanted) => (&wanted.session, Act::End),
                Method::CopyPassword(wanted) => (&wanted.session, Act::Copy),
                _ => return None,
            };
            (of == session).then_some(act)
        })
    }

    pub(super) fn extend(&mut self, session: &SessionId, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        let Some(by_s) = self.extends_by(session) else { return };
        let method = Method::Extend(ExtendSession { session: session.clone(), by_s });
        self.act(session, method, now, out);
    }

    pub(super) fn end(&mut self, session: &SessionId, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        if self.last.sessions.get(session).is_none() {
            return;
        }
        let method = Method::End(EndSession { session: session.clone() });
        self.act(session, method, now, out);
    }

    pub(super) fn copy_password(
        &mut self,
        session: &SessionId,
        directory: Option<DirectoryId>,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) {
        let Some(found) = self.last.sessions.get(session) else { return };
        let part = found.parts.iter().find(|part| Some(&part.directory) == directory.as_ref());
        let renew = !part.map_or(found.password_held, |part| part.password_held);
        let method = Method::CopyPassword(CopyPassword { session: session.clone(), renew, directory });
        self.act(session, method, now, out);
    }

    /// Whether the password of this part of a session is on its way.
    pub(super) fn is_copying(&self, session: &SessionId, part: &DirectoryId) -> bool {
        self.link.asked().any(|method| {
            matches!(method, Method::CopyPassword(wanted)
                if wanted.session == *session && wanted.directory.as_ref() == Some(part))
        })
    }

    fn act(&mut self, session: &SessionId, method: Method, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        if self.busy_with(session).is_some() {
            return;
        }
        if let Some(doing) = self.doing.get_mut(session) {
            doing.note = None;
            doing.until = None;
        }
        self.ask_once(method, now, out);
    }

    pub(super) fn acted(
        &mut self,
        session: &SessionId,
        act: Act,
        result: Result<Session, Problem>,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) {
        let clock = result.as_ref().ok().map(|s| self.around.clock_text(s.expires_at));
        let doing = self.doing.or_insert_with(session.clone(), Doing::nothing);
        match result {
            Ok(heard) => {
                if let (Act::Extend, Some(clock)) = (act, clock) {
                    doing.note =
                        Some(Note { tone: Tone::Good, text: format!("Extended. It ends at {clock} now.") });
                    doing.until = Some(now + TimeDelta::seconds(DONE_S));
                }
                self.hear(heard, now, out);
            }
            Err(problem) => {
                if problem.code == Code::UnknownSession {
                    self.overview_due = Some(now);
                }
                let text = sentence(&problem);
                doing.note = Some(Note { tone: Tone::Red, text: text.clone() });
                doing.until = None;
                if self.popups.is_empty() {
                    // Asked for by a notification's button: nobody sees the card.
                    out.push(Effect::Notify {
                        id: format!("end {session}"),
                        title: if act == Act::Extend { "Not extended" } else { "Not ended" }.into(),
                        message: text.replace('`', ""),
                        buttons: Vec::new(),
                        stay: true,
                    });
                }
            }
        }
    }

    pub(super) fn copied(
        &mut self,
        session: &SessionId,
        result: Result<Clipboard, Problem>,
        now: DateTime<Utc>,
    ) {
        match result {
            Ok(clipboard) => self.say_clipboard(session, clipboard, now),
            Err(problem) => {
                if problem.code == Code::PasswordGone {
                    self.overview_due = Some(now);
                }
                let doing = self.doing.or_insert_with(session.clone(), Doing::nothing);
                doing.note = Some(Note { tone: Tone::Red, text: sentence(&problem) });
                doing.until = None;
            }
        }
    }
}

/// A problem in one text.
pub(super) fn sentence(problem: &Problem) -> String {
    if problem.remedy.is_empty() {
        problem.detail.clone()
    } else {
        format!("{} {}", problem.detail, problem.remedy)
    }
}
