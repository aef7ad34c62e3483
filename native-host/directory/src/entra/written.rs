//! What this process was acknowledged lately and a look does not show yet: Entra ID answers a read from a copy that may not have
//! heard of a write. Nothing is added to a look from here; a look that lags is only called so.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use ticketgate_access::desired::{END_TOLERANCE, Marker, ObservedAccount};
use ticketgate_access::session::{AccountKey, Right};
use tokio::time::Instant;

use super::failure::KEPT_S;

/// After this time a look is believed, whatever was written.
const KEPT: Duration = Duration::from_secs(120);

/// After this time what may have been written and is not shown counts as not written.
const MAYBE: Duration = Duration::from_secs(20);

/// For so long it is remembered when a right was given.
const YOUNG: Duration = Duration::from_secs(KEPT_S as u64);

/// A write that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrote {
    /// The account was made, with this id.
    Made(String),
    /// It was deleted.
    Gone,
    /// It was enabled or disabled.
    Enabled(bool),
    /// Its note.
    Note(Marker),
    /// A right with its end, or without one.
    Given(Right, Option<DateTime<Utc>>),
    /// A right that may have been given: the answer was lost.
    MaybeGiven(Right),
    /// A right that was taken away.
    Taken(Right),
}

/// The writes of the last two minutes, account by account.
#[derive(Default)]
pub(super) struct Written(Mutex<HashMap<AccountKey, Lately>>);

/// What was done with a right.
#[derive(Clone, Copy)]
enum OfRight {
    /// It was given with this end, or without one.
    Given(Option<DateTime<Utc>>),
    /// Nobody knows whether it was given.
    Maybe,
    Taken,
}

/// The last write of each kind.
#[derive(Default)]
struct Lately {
    exists: Option<(Wrote, Instant)>,
    enabled: Option<(bool, Instant)>,
    note: Option<(Marker, Instant)>,
    rights: BTreeMap<Right, (OfRight, Instant)>,
    /// When a right was given: PIM keeps it for its first minutes, whether it is shown or not.
    given: BTreeMap<Right, Instant>,
}

/// What a look lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Behind {
    /// How old the oldest write is that it does not show.
    pub(super) for_: Duration,
    /// Whether the account is enabled for all that this process knows.
    pub(super) enabled: bool,
}

impl Written {
    /// Keeps what was acknowledged just now.
    pub(super) fn keep(&self, account: &AccountKey, wrote: Wrote) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        kept.retain(|_, lately| !lately.is_over(now));
        let lately = kept.entry(account.clone()).or_default();
        match wrote {
            Wrote::Made(_) | Wrote::Gone => {
                *lately = Lately { exists: Some((wrote, now)), ..Lately::default() };
            }
            Wrote::Enabled(enabled) => lately.enabled = Some((enabled, now)),
            Wrote::Note(note) => lately.note = Some((note, now)),
            Wrote::Given(right, end) => {
                lately.given.entry(right.clone()).or_insert(now);
                lately.rights.insert(right, (OfRight::Given(end), now));
            }
            Wrote::MaybeGiven(right) => {
                lately.given.entry(right.clone()).or_insert(now);
                lately.rights.insert(right, (OfRight::Maybe, now));
            }
            Wrote::Taken(right) => {
                lately.given.remove(&right);
                lately.rights.insert(right, (OfRight::Taken, now));
            }
        }
    }

    /// The id of an account that this process made lately.
    pub(super) fn made(&self, account: &AccountKey) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.get(account)?.exists.as_ref()? {
            (Wrote::Made(id), at) if at.elapsed() < KEPT => Some(id.clone()),
            _ => None,
        }
    }

    /// For how long a right has been there, where this process gave it in the last five minutes.
    pub(super) fn given_for(&self, account: &AccountKey, right: &Right) -> Option<Duration> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(account)?.given.get(right).map(Instant::elapsed)
    }

    /// Compares a look with what was written, and forgets what it shows.
    pub(super) fn compared(
        &self,
        account: &AccountKey,
        seen: Option<&ObservedAccount>,
        self_ending: bool,
    ) -> Option<Behind> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = kept.get_mut(account)?;
        let oldest = lately.lacking(seen, self_ending, Instant::now())?;
        let seen = seen.is_some_and(|seen| seen.enabled);
        let enabled = lately.enabled.as_ref().map_or(seen, |(enabled, _)| *enabled);
        Some(Behind { for_: oldest.elapsed(), enabled })
    }
}

impl Lately {
    fn is_over(&self, now: Instant) -> bool {
        let fresh = |at: &Instant| now.duration_since(*at) < KEPT;
        !(self.exists.as_ref().is_some_and(|(_, at)| fresh(at))
            || self.enabled.as_ref().is_some_and(|(_, at)| fresh(at))
            || self.note.as_ref().is_some_and(|(_, at)| fresh(at))
            || self.rights.values().any(|(_, at)| fresh(at))
            || self.given.values().any(|at| now.duration_since(*at) < YOUNG))
    }

    /// Drops what is shown or old, and answers when the oldest of the rest was written.
    fn lacking(
        &mut self,
        seen: Option<&ObservedAccount>,
        self_ending: bool,
        now: Instant,
    ) -> Option<Instant> {
        let fresh = |at: &Instant| now.duration_since(*at) < KEPT;
        if let Some((Wrote::Gone, at)) = &self.exists {
            let at = *at;
            if seen.is_none() || !fresh(&at) {
                *self = Self::default();
                return None;
            }
            return Some(at);
        }
        let Some(seen) = seen else {
            // Made, and not shown at all: what else was written to it is shown later still.
            return self.exists.as_ref().map(|(_, at)| *at).filter(fresh);
        };
        // The id is still told to whoever asks for it while it is fresh; it lacks nothing any more.
        self.enabled = self.enabled.filter(|(enabled, at)| *enabled != seen.enabled && fresh(at));
        self.note = self.note.take().filter(|(note, at)| seen.marker.as_ref() != Some(note) && fresh(at));
        self.rights.retain(|right, (done, at)| {
            let holds = seen.rights.contains(right);
            let (shown, kept) = match done {
                OfRight::Taken => (!holds, KEPT),
                OfRight::Given(end) => (holds && (!self_ending || ends_so(seen, right, *end)), KEPT),
                OfRight::Maybe => (holds, MAYBE),
            };
            !shown && now.duration_since(*at) < kept
        });
        let times = self.enabled.iter().map(|(_, at)| *at).chain(self.note.iter().map(|(_, at)| *at));
        times.chain(self.rights.values().map(|(_, at)| *at)).min()
    }
}

fn ends_so(seen: &ObservedAccount, right: &Right, end: Option<DateTime<Utc>>) -> bool {
    let Some(end) = end else { return true };
    let mut ends = seen.right_ends.iter().filter(|(held, _)| held == right);
    ends.any(|(_, at)| (*at - end).abs() <= END_TOLERANCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ticketgate_access::desired::DirectoryEnd;

    fn key() -> AccountKey {
        AccountKey("acme-entra/dedicated/tech1".into())
    }

    fn role() -> Right {
        Right("role:Exchange Administrator".into())
    }

    fn seen(enabled: bool) -> ObservedAccount {
        ObservedAccount {
            identity: "u-1".into(),
            place: "jit".into(),
            display_name: "jit".into(),
            enabled,
            end: DirectoryEnd::NotKept,
            rights: Default::default(),
            right_ends: Vec::new(),
            marker: None,
            own: Default::default(),
            ordinary_primary_group: true,
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_does_not_show_a_write_is_behind_until_it_does_and_no_longer_than_two_minutes() {
        let holding =
            |end| ObservedAccount { rights: [role()].into(), right_ends: vec![(role(), end)], ..seen(false) };
        let note = |generation| Marker { token: "t".into(), owner: "o".into(), generation, until: None };
        let noted = ObservedAccount { marker: Some(note(2)), ..seen(false) };
        let cases: Vec<(Wrote, Option<ObservedAccount>, Option<ObservedAccount>)> = vec![
            (Wrote::Made("u-1".into()), None, Some(seen(false))),
            (Wrote::Gone, Some(seen(false)), None),
            (Wrote::Enabled(true), Some(seen(false)), Some(seen(true))),
            (Wrote::Enabled(false), Some(seen(true)), Some(seen(false))),
            (Wrote::Note(note(2)), Some(seen(false)), Some(noted)),
            (Wrote::Given(role(), Some(at(60))), Some(seen(false)), Some(holding(at(60)))),
            (Wrote::Given(role(), Some(at(60))), Some(holding(at(600))), Some(holding(at(61)))),
            (Wrote::Taken(role()), Some(holding(at(60))), Some(seen(false))),
        ];
        for (wrote, before, after) in cases {
            let written = Written::default();
            written.keep(&key(), wrote.clone());
            tokio::time::advance(Duration::from_secs(5)).await;
            let behind = written.compared(&key(), before.as_ref(), true);
            assert_eq!(behind.map(|behind| behind.for_), Some(Duration::from_secs(5)), "{wrote:?}");
            assert_eq!(written.compared(&key(), after.as_ref(), true), None, "{wrote:?}");
            // Once shown it is what others do that counts.
            assert!(
                matches!(wrote, Wrote::Made(_)) || written.compared(&key(), before.as_ref(), true).is_none()
            );

            let written = Written::default();
            written.keep(&key(), wrote.clone());
            tokio::time::advance(KEPT).await;
            assert_eq!(written.compared(&key(), before.as_ref(), true), None, "{wrote:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn when_a_right_was_given_is_known_until_it_is_taken() {
        let written = Written::default();
        written.keep(&key(), Wrote::Given(role(), Some(at(60))));
        tokio::time::advance(Duration::from_secs(70)).await;
        // A moved end is no new right.
        written.keep(&key(), Wrote::Given(role(), Some(at(90))));
        assert_eq!(written.given_for(&key(), &role()), Some(Duration::from_secs(70)));
        written.keep(&key(), Wrote::Taken(role()));
        assert_eq!(written.given_for(&key(), &role()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_that_was_opened_counts_as_open_while_a_look_lags() {
        let written = Written::default();
        written.keep(&key(), Wrote::Made("u-1".into()));
        written.keep(&key(), Wrote::Enabled(true));
        assert_eq!(written.made(&key()).as_deref(), Some("u-1"));
        assert!(written.compared(&key(), Some(&seen(false)), true).unwrap().enabled);
        written.keep(&key(), Wrote::Enabled(false));
        assert!(!written.compared(&key(), None, true).unwrap().enabled);
        // Closed, and shown as open still: it is not closed once more at every look.
        assert!(!written.compared(&key(), Some(&seen(true)), true).unwrap().enabled);
        // Opened by somebody while something else is not shown.
        let written = Written::default();
        written.keep(&key(), Wrote::Taken(role()));
        let holding = ObservedAccount { rights: [role()].into(), ..seen(true) };
        assert!(written.compared(&key(), Some(&holding), true).unwrap().enabled);
    }

    #[tokio::test(start_paused = true)]
    async fn a_right_that_may_have_been_given_is_waited_for_and_not_for_long() {
        let written = Written::default();
        written.keep(&key(), Wrote::MaybeGiven(role()));
        assert!(written.given_for(&key(), &role()).is_some());
        tokio::time::advance(MAYBE - Duration::from_secs(1)).await;
        assert!(written.compared(&key(), Some(&seen(false)), true).is_some());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(written.compared(&key(), Some(&seen(false)), true), None);
        written.keep(&key(), Wrote::MaybeGiven(role()));
        let holding = ObservedAccount { rights: [role()].into(), ..seen(false) };
        assert_eq!(written.compared(&key(), Some(&holding), true), None);
    }
}
