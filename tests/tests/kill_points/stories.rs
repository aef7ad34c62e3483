//! What can happen: the stories, in which account modes each is told, and what a story may have come to.

use std::time::Duration;

use serde_json::Value;

use crate::Fault;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const LONGER_BY: Duration = Duration::from_secs(1800);
/// No session of any story is longer.
pub(crate) const LONGEST: Duration = HOUR.saturating_add(LONGER_BY);
/// Long enough that a slow machine hears of the grant before the end; then the clocks are moved.
pub(crate) const SHORT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Dedicated,
    Burner,
    Membership,
    /// Dedicated accounts in two directories, by one session.
    Several,
}

impl Mode {
    pub(crate) const ALL: [Self; 4] = [Self::Several, Self::Dedicated, Self::Burner, Self::Membership];

    /// As a policy names it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Dedicated | Self::Several => "dedicated",
            Self::Burner => "burner",
            Self::Membership => "membership",
        }
    }
}

/// What the person who asked was told.
#[derive(Debug, Clone)]
pub(crate) enum Heard {
    Nothing,
    Refused,
    /// The answer.
    Granted(Value),
}

impl Heard {
    pub(crate) const fn granted(&self) -> Option<&Value> {
        match self {
            Self::Granted(answer) => Some(answer),
            Self::Nothing | Self::Refused => None,
        }
    }

    /// What is known after another answer under the same key: what was granted stays so.
    pub(crate) fn and_then(self, again: Self) -> Self {
        if self.granted().is_some() { self } else { again }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Story {
    /// The first one of an account.
    Activation,
    /// One on an account that had a session before, which is over.
    Again,
    /// One on an account that has a session.
    Overlap,
    /// An activation that the directory refuses when half of it is done.
    Failure,
    /// A new password for a session.
    Renewal,
    Extension,
    /// An extension while the directory cannot be reached.
    Outage,
    End,
    /// The end of one of two sessions of an account.
    EndOfOne,
    Expiry,
    /// A sweep after somebody changed a session's account by hand: hid its right as the primary group, or took it.
    Meddling,
    /// A start after a broker that died when half of an activation was done.
    Recovery,
    /// A start while a session is open.
    Restart,
    /// A check of everything while a session is open.
    Check,
    /// A wish that is refused.
    Refusal,
    /// A wish too many.
    Flood,
    /// A clock that is set back while nothing is open.
    SetBack,
}

impl Story {
    /// Those that wait longest first, so that the others fill the time.
    pub(crate) const ALL: [Self; 17] = [
        Self::Outage,
        Self::Expiry,
        Self::Activation,
        Self::Again,
        Self::Overlap,
        Self::Failure,
        Self::Renewal,
        Self::Extension,
        Self::End,
        Self::EndOfOne,
        Self::Meddling,
        Self::Recovery,
        Self::Restart,
        Self::Check,
        Self::Refusal,
        Self::Flood,
        Self::SetBack,
    ];

    /// Whether it is told of accounts of this mode: not where there is no such thing, nor where it is no other story than that of
    /// another mode.
    pub(crate) fn is_told_of(self, mode: Mode) -> bool {
        match self {
            Self::Activation
            | Self::Failure
            | Self::Extension
            | Self::End
            | Self::Expiry
            | Self::Recovery => true,
            // A person's own password is not ours. That of one of several accounts is no other story.
            Self::Renewal => !matches!(mode, Mode::Membership | Mode::Several),
            // A burner account has one session.
            Self::EndOfOne => mode != Mode::Burner,
            Self::Again | Self::Overlap | Self::Meddling => !matches!(mode, Mode::Burner | Mode::Several),
            Self::Outage | Self::Restart | Self::Check | Self::Refusal | Self::Flood | Self::SetBack => {
                mode == Mode::Dedicated
            }
        }
    }

    /// Whether a person asks for it, and asks again when nothing was heard.
    pub(crate) fn is_asked_for(self) -> bool {
        !matches!(
            self,
            Self::Expiry | Self::Meddling | Self::Recovery | Self::Restart | Self::Check | Self::SetBack
        )
    }

    /// Whether a session is begun by it.
    pub(crate) fn begins_one(self) -> bool {
        matches!(self, Self::Activation | Self::Again | Self::Overlap | Self::Failure)
    }

    /// Whether the last session that was there before is what it is about.
    pub(crate) fn is_about_one(self) -> bool {
        !self.begins_one()
            && !matches!(
                self,
                Self::Restart | Self::Meddling | Self::Check | Self::Refusal | Self::Flood | Self::SetBack
            )
    }

    /// The states that its session may be in once everything is settled, by what was `heard`, and by the fault that killed the
    /// broker, as long as nobody asked again.
    pub(crate) fn may_come_to(
        self,
        mode: Mode,
        heard: &Heard,
        killed: Option<&Fault>,
    ) -> &'static [&'static str] {
        // That the last part was granted.
        let whole = if mode == Mode::Several { 2 } else { 1 };
        match self {
            Self::Activation | Self::Again | Self::Overlap => match (heard, killed) {
                (Heard::Granted(answer), _) if answer["state"] == "active" => &["active"],
                (Heard::Granted(_), _) => &["active", "failed"],
                (Heard::Refused, _) => &["failed"],
                // The person's click was lost, so it is taken back, unless it was recorded as done.
                (Heard::Nothing, Some(killed))
                    if killed.is("ledger.session_active", "after") && killed.passage >= whole =>
                {
                    &["active"]
                }
                (Heard::Nothing, Some(_)) => &["failed"],
                (Heard::Nothing, None) => &["active", "failed"],
            },
            Self::Failure | Self::Recovery => &["failed"],
            Self::Extension | Self::Outage | Self::Renewal => &["active"],
            Self::End | Self::EndOfOne => match (heard, killed) {
                (Heard::Granted(_), _) => &["ended"],
                (_, Some(killed)) if killed.is("ledger.session_ending", "before") => &["active"],
                (_, Some(_)) => &["ended"],
                (_, None) => &["active", "ended"],
            },
            Self::Expiry => &["ended"],
            Self::Restart | Self::Meddling | Self::Check | Self::Refusal | Self::Flood | Self::SetBack => &[],
        }
    }
}
