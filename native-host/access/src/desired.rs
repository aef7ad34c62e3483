//! The one mechanism's pure half: what an account has to look like now ([`desired`]), what a directory was seen to have
//! ([`Observed`]), and the shortest safe way between the two ([`plan`]). Carrying it out is the directory's work.
//!
//! Order is safety. On the way up an account is prepared while it is disabled, and the enabling write carries the end with it.
//! On the way down the account is disabled first, in a write of its own that nothing else can make fail.

mod observed;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_protocol::api::Mode;

use crate::session::{Account, Right, Session};

pub use observed::{DirectoryEnd, Marker, Observed, ObservedAccount, SelfEnding};

/// What the directory has to look like for one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// Whether the account has to exist. `None`: it is a person's own account, its existence is not ours to decide.
    pub present: Option<bool>,
    /// Whether somebody may log on with it. `None`: a person's own account.
    pub enabled: Option<bool>,
    /// Exactly these rights for a JIT account; for a person's own account the rights that sessions add.
    pub rights: BTreeSet<Right>,
    /// When the directory itself has to stop it, by the broker's clock: the latest end of the live sessions.
    pub until: Option<DateTime<Utc>>,
    /// Why each right is needed: what the session with its latest end was asked for.
    pub whys: BTreeMap<Right, Why>,
    /// Until when each right is needed, by the broker's clock: the latest end of the live sessions that bring it. Where the
    /// directory can end a right by itself, a short session's right does not wait for a longer session's end.
    pub right_ends: BTreeMap<Right, DateTime<Utc>>,
    /// Which password is valid.
    pub password_generation: u64,
    /// Rights that are not taken from a person's own account whatever the sessions say.
    pub standing: BTreeSet<Right>,
    /// Rights that sessions gave to a person's own account, lately included: only these are ever taken from it.
    pub managed: BTreeSet<Right>,
}

/// What an account has to look like at `now`: the union of the live sessions' rights and the latest of their ends.
///
/// `sessions` are the account's, of a person's own account also those that were over less than [`ANSWERS_FOR`] ago; those of
/// other accounts are a caller's mistake and are ignored.
#[must_use]
pub fn desired(account: &Account, sessions: &[Session], now: DateTime<Utc>) -> Desired {
    let live = || sessions.iter().filter(|s| s.account == account.key && s.is_live(now));
    let any = live().next().is_some();
    let ours = account.mode != Mode::Membership;
    let mut right_ends: BTreeMap<Right, DateTime<Utc>> = BTreeMap::new();
    let mut whys = BTreeMap::new();
    for (right, session) in live().flat_map(|s| s.rights.iter().map(move |right| (right, s))) {
        if right_ends.get(right).is_none_or(|end| *end < session.until) {
            right_ends.insert(right.clone(), session.until);
            whys.insert(right.clone(), Why::of(session));
        }
    }
    Desired {
        present: match account.mode {
            Mode::Dedicated => Some(any || !account.gone),
            Mode::Burner => Some(any),
            Mode::Membership => None,
        },
        enabled: ours.then_some(any),
        rights: live().flat_map(|s| s.rights.iter().cloned()).collect(),
        until: live().map(|s| s.until).max(),
        whys,
        right_ends,
        password_generation: account.password_generation,
        standing: account.standing.iter().cloned().collect(),
        managed: sessions
            .iter()
            .filter(|s| s.account == account.key && answers_for_rights(s, now))
            .flat_map(|s| s.rights.iter().cloned())
            .collect(),
    }
}

/// A right that a session gave to a person's own account can come back after its end: by a domain controller that had not
/// heard of it yet when it was asked. For so long it is still the session's.
pub const ANSWERS_FOR: TimeDelta = TimeDelta::hours(24);

fn answers_for_rights(session: &Session, now: DateTime<Utc>) -> bool {
    session.is_open() || session.ended_at.is_some_and(|at| now - at < ANSWERS_FOR)
}

/// What a right was asked for, for a directory that keeps it beside the right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Why {
    /// The reason.
    pub reason: String,
    /// The ticket's number, if there is one.
    pub ticket: Option<String>,
    /// The ticket system, where it is known.
    pub system: Option<String>,
}

impl Why {
    fn of(session: &Session) -> Self {
        let system = session.ticket.as_ref().map(|ticket| ticket.system.clone());
        Self {
            reason: session.reason.clone(),
            ticket: session.ticket.as_ref().map(|ticket| ticket.number.clone()),
            system: system.filter(|system| !system.is_empty()),
        }
    }
}

/// One change of a directory. Each is one call, and each has a name at which a test can stop the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Create the account, disabled, its end in the past, without a password, with its marker.
    Create(Marker),
    /// Give a right; where the directory can, it takes it away by itself at `until` (directory's clock).
    Grant {
        /// Which.
        right: Right,
        /// The directory's own end for it.
        until: Option<DateTime<Utc>>,
        /// What it is for.
        why: Why,
    },
    /// Take a right away. "Already gone" is success.
    Revoke(Right),
    /// Put the ordinary primary group back, so that no right hides there.
    ResetPrimaryGroup,
    /// Password, end (directory's clock), enabling and marker in one write.
    Open {
        /// The end by the directory's clock.
        until: DateTime<Utc>,
        /// The marker to write.
        marker: Marker,
    },
    /// Move the end of an enabled account (directory's clock), and its marker, in one write.
    SetEnd {
        /// The end by the directory's clock.
        until: DateTime<Utc>,
        /// The marker to write.
        marker: Marker,
    },
    /// Disable it and put its end into the past, in one write.
    Close,
    /// Set a random password that nobody knows, refuse the one before it, and write the marker of the closed account.
    Rotate(Marker),
    /// Delete the account. "Already gone" is success.
    Delete,
}

impl Step {
    /// The step's stable name, for logs, audit and the stops of the tests.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "directory.create",
            Self::Grant { .. } => "directory.grant",
            Self::Revoke(_) => "directory.revoke",
            Self::ResetPrimaryGroup => "directory.reset_primary_group",
            Self::Open { .. } => "directory.open",
            Self::SetEnd { .. } => "directory.set_end",
            Self::Close => "directory.close",
            Self::Rotate(_) => "directory.rotate",
            Self::Delete => "directory.delete",
        }
    }
}

/// Why no plan can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The directory has an account of this name that is not ours. It is never touched.
    #[error("an account of this name exists in the directory and is not a JIT account of this broker")]
    ForeignAccount,
    /// The person's own account is not there.
    #[error("the technician has no account of this name in the directory")]
    NoOwnAccount,
}

/// The shortest safe list of steps from what was seen to what has to be; empty when nothing differs.
///
/// Ends are translated to the directory's clock: `until` keeps its distance from `now`.
///
/// # Errors
/// [`PlanError`] when the account is not ours to change, or a person's own account is missing.
pub fn plan(
    account: &Account,
    desired: &Desired,
    observed: &Observed,
    now: DateTime<Utc>,
) -> Result<Vec<Step>, PlanError> {
    let skew = observed.directory_time - now;
    // A directory tells its time in whole seconds: below that resolution both clocks are one, and ends stay exact.
    let skew = if skew.abs() <= CLOCK_RESOLUTION { TimeDelta::zero() } else { skew };
    let by_directory_clock = |until: DateTime<Utc>| floor_to_second(until + skew);
    let end = desired.until.map(by_directory_clock);
    let needed =
        || desired.right_ends.iter().map(|(right, until)| (right.clone(), by_directory_clock(*until)));
    let needed: BTreeMap<_, _> = needed().filter(|(right, _)| !desired.standing.contains(right)).collect();
    let seen = observed.account.as_ref();
    if account.mode == Mode::Membership {
        return match (seen, end) {
            (Some(seen), _) => Ok(membership_plan(desired, observed, seen, &needed)),
            (None, Some(_)) => Err(PlanError::NoOwnAccount),
            (None, None) => Ok(Vec::new()),
        };
    }
    if seen.is_some_and(|s| !is_ours(account, s)) {
        // Where none of ours was ever seen there is nothing to take away, and an end must not wait for somebody else's.
        let nothing_of_ours = account.identity.is_none() && end.is_none();
        return if nothing_of_ours { Ok(Vec::new()) } else { Err(PlanError::ForeignAccount) };
    }
    let marker = |generation, until| Marker {
        token: account.token.clone(),
        owner: account.technician.to_string(),
        generation,
        until,
    };
    let generation = desired.password_generation;
    Ok(match (end, seen) {
        (None, None) => Vec::new(),
        (None, Some(seen)) => closing_plan(desired, seen, observed.directory_time, marker(generation, None)),
        (Some(end), Some(seen)) => {
            let marker = marker(generation, desired.until);
            opening_plan(desired, seen, missing(desired, &needed, observed), end, marker)
        }
        (Some(end), None) => {
            let mut steps = vec![Step::Create(marker(0, None))];
            steps.extend(missing(desired, &needed, observed));
            steps.push(Step::Open { until: end, marker: marker(generation, desired.until) });
            steps
        }
    })
}

/// When a person's own account has to be looked at again, by the directory's clock, though nothing differs: a right that a session
/// brings is the person's own until then.
#[must_use]
pub fn own_until(desired: &Desired, observed: &Observed) -> Option<DateTime<Utc>> {
    let seen = observed.account.as_ref()?;
    let needed = |right: &Right| desired.rights.contains(right) && !desired.standing.contains(right);
    let own = seen.right_ends.iter().filter(|(right, _)| seen.own.contains(right) && needed(right));
    own.map(|(_, end)| *end).min()
}

/// Whether an account that was seen is the one in the ledger: by its identity, or by the token in its marker.
#[must_use]
pub fn is_ours(account: &Account, seen: &ObservedAccount) -> bool {
    account.identity.as_ref().is_some_and(|id| *id == seen.identity)
        || seen.marker.as_ref().is_some_and(|m| m.token == account.token)
}

/// Up: everything is prepared before the one write that opens the account and carries its end.
fn opening_plan(
    desired: &Desired,
    seen: &ObservedAccount,
    grants: Vec<Step>,
    end: DateTime<Utc>,
    marker: Marker,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let password_is_set =
        seen.marker.as_ref().is_some_and(|m| m.generation == marker.generation && m.token == marker.token);
    let stays_open = seen.enabled && password_is_set;
    // An enabled account with the wrong end must not stay so for even one more write.
    if stays_open && !same_end(seen, end, &marker) {
        steps.push(Step::SetEnd { until: end, marker: marker.clone() });
    } else if seen.enabled && !stays_open && !ends_by(seen, end, &marker) {
        steps.push(Step::Close);
    }
    steps.extend(seen.rights.difference(&desired.rights).cloned().map(Step::Revoke));
    if !seen.ordinary_primary_group {
        steps.push(Step::ResetPrimaryGroup);
    }
    steps.extend(grants);
    if !stays_open {
        steps.push(Step::Open { until: end, marker });
    }
    steps
}

/// Down: disable first, then every right, then the password; a burner account goes altogether.
fn closing_plan(
    desired: &Desired,
    seen: &ObservedAccount,
    directory_time: DateTime<Utc>,
    marker: Marker,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let stopped = match seen.end {
        DirectoryEnd::At(at) => at <= directory_time,
        // Disabled is all that such a directory has.
        DirectoryEnd::NotKept => true,
        DirectoryEnd::Never => false,
    };
    if seen.enabled || !stopped {
        steps.push(Step::Close);
    }
    steps.extend(seen.rights.iter().cloned().map(Step::Revoke));
    if !seen.ordinary_primary_group {
        steps.push(Step::ResetPrimaryGroup);
    }
    if desired.present == Some(false) {
        steps.push(Step::Delete);
    } else if seen.enabled || seen.marker.as_ref() != Some(&marker) {
        // Whoever enabled it by hand may have set a password as well.
        steps.push(Step::Rotate(marker));
    }
    steps
}

/// A person's own account: only what sessions added, never what the person had before.
fn membership_plan(
    desired: &Desired,
    observed: &Observed,
    seen: &ObservedAccount,
    needed: &BTreeMap<Right, DateTime<Utc>>,
) -> Vec<Step> {
    let mut steps: Vec<_> = seen
        .rights
        .intersection(&desired.managed)
        .filter(|right| !desired.rights.contains(*right) && !desired.standing.contains(*right))
        .filter(|right| !seen.own.contains(*right))
        .cloned()
        .map(Step::Revoke)
        .collect();
    steps.extend(missing(desired, needed, observed));
    steps
}

/// Grants of rights that are missing, or whose own end in the directory is another than wanted. Where the directory can end a
/// right by itself, one that it holds for good is as wrong as one with another end.
fn missing(desired: &Desired, needed: &BTreeMap<Right, DateTime<Utc>>, observed: &Observed) -> Vec<Step> {
    let timely = |right: &Right, end: DateTime<Utc>| {
        let self_ending = observed.self_ending.ends(right);
        let is_over = self_ending && end <= observed.directory_time;
        observed.account.as_ref().is_some_and(|seen| {
            // In the last moments of a session the directory would take at once what it is given.
            if is_over && !seen.rights.contains(right) {
                return true;
            }
            // The person's own for now; what is left of the session is given when that is over.
            if seen.own.contains(right) {
                return true;
            }
            let mut ends = seen.right_ends.iter().filter(|(r, _)| r == right).peekable();
            let ended_by_itself = ends.peek().is_some() || !self_ending;
            seen.rights.contains(right)
                && ended_by_itself
                && ends.all(|(_, at)| (*at - end).abs() <= END_TOLERANCE)
        })
    };
    needed
        .iter()
        .filter(|(right, end)| !timely(right, **end))
        .map(|(right, end)| Step::Grant {
            right: right.clone(),
            until: Some(*end),
            why: desired.whys.get(right).cloned().unwrap_or_default(),
        })
        .collect()
}

/// A directory tells its time in whole seconds, and the answer takes a moment to arrive.
const CLOCK_RESOLUTION: TimeDelta = TimeDelta::seconds(2);

/// Two readings of one end through a clock of that resolution differ by less than this. Two ends can be closer than that:
/// an account's are told apart by its marker. A right carries none, so the directory's own end of it may be another session's
/// that is this close; the broker's is exact.
pub const END_TOLERANCE: TimeDelta = TimeDelta::seconds(3);

/// Whether an account's end is the wanted one: written for the same time of the broker's clock, and not moved since.
fn same_end(seen: &ObservedAccount, wanted: DateTime<Utc>, marker: &Marker) -> bool {
    seen.marker.as_ref().is_some_and(|m| m.until == marker.until)
        && match seen.end {
            DirectoryEnd::At(at) => (at - wanted).abs() <= END_TOLERANCE,
            DirectoryEnd::NotKept => true,
            DirectoryEnd::Never => false,
        }
}

/// Whether the account is stopped no later than wanted: by the directory, or, where that keeps no ends, by the broker, which wrote
/// into the note for how long it is open.
fn ends_by(seen: &ObservedAccount, wanted: DateTime<Utc>, marker: &Marker) -> bool {
    match seen.end {
        DirectoryEnd::At(at) => at <= wanted + END_TOLERANCE,
        DirectoryEnd::NotKept => {
            let noted = seen.marker.as_ref().filter(|m| m.token == marker.token).and_then(|m| m.until);
            noted.is_some_and(|noted| marker.until.is_some_and(|until| noted <= until))
        }
        DirectoryEnd::Never => false,
    }
}

fn floor_to_second(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp(at.timestamp(), 0).unwrap_or(at)
}

#[cfg(test)]
mod tests;
