//! Limits on a technician, as arithmetic: how many sessions count, which requests are in a window. No statement is run here.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_access::config::RateLimits;
use ticketgate_access::session::Session;
use ticketgate_protocol::api::State;

use crate::columns::{time, time_text};
use crate::{Change, Guard, LedgerError, Limit};

/// How long answers, counted requests and events are kept: the longest window of the rate limits.
const KEPT: TimeDelta = TimeDelta::days(1);

/// What is from then or before is forgotten.
pub(crate) fn kept_since(now: DateTime<Utc>) -> DateTime<Utc> {
    now.checked_sub_signed(KEPT).unwrap_or(now)
}

/// Whether the limit on sessions at once has to be looked at: it stands in the way of new sessions only, since a change to an
/// old one never adds to what is open.
pub(crate) fn adds_sessions(guard: &Guard, change: &Change) -> bool {
    guard.sessions_at_once.is_some() && of_change(guard, change).any(|session| session.version == 0)
}

/// Refuses a change that would leave more sessions open than there may be. `open` are the technician's rows that are not over:
/// their ids, and those of the sessions that they are parts of.
pub(crate) fn sessions(guard: &Guard, change: &Change, open: &[(String, String)]) -> Result<(), LedgerError> {
    let Some(most) = guard.sessions_at_once else { return Ok(()) };
    // Those that this very change ends or reopens count as they will stand. The parts of a session count as one.
    let unchanged = open.iter().filter(|(id, _)| !change.sessions.iter().any(|s| s.id.as_str() == id));
    let changed = of_change(guard, change).map(|session| session.of().as_str());
    let count = unchanged.map(|(_, whole)| whole.as_str()).chain(changed).collect::<BTreeSet<_>>().len();
    if count > usize::try_from(most).unwrap_or(usize::MAX) {
        return Err(LedgerError::TooMany { limit: Limit::Sessions, retry_after_s: 0 });
    }
    Ok(())
}

fn of_change<'a>(guard: &'a Guard, change: &'a Change) -> impl Iterator<Item = &'a Session> {
    let is_of = |session: &&Session| session.technician == guard.technician && is_not_over(session.state);
    change.sessions.iter().filter(is_of)
}

/// Whether a session still stands between `pending` and `ending`; a state that nobody knows counts as open.
fn is_not_over(state: State) -> bool {
    !matches!(state, State::Ended | State::Denied | State::Lapsed | State::Failed)
}

/// A sliding window: a request is in it for exactly its length.
pub(crate) struct Window {
    /// Requests after this time are in it; those "after" now (the clock was set back) as well.
    pub(crate) since: String,
    /// Of these, the newest first, so many come before the one that has to leave before the next request fits. `None`:
    /// nothing ever fits.
    pub(crate) skip: Option<u32>,
}

/// The windows in which requests are counted: a minute, an hour, a day.
pub(crate) fn windows(rate: &RateLimits, now: DateTime<Utc>) -> Result<[Window; 3], LedgerError> {
    let window = |(_, most, length): (Limit, u32, TimeDelta)| {
        let since = time_text(now.checked_sub_signed(length).unwrap_or(now))?;
        Ok::<_, LedgerError>(Window { since, skip: most.checked_sub(1) })
    };
    let [minute, hour, day] = lengths(rate);
    Ok([window(minute)?, window(hour)?, window(day)?])
}

/// Refuses one request more where a window is full. `in_the_way` is what [`Window::skip`] finds in each. Of several limits
/// reached, the one that stands in the way longest is named.
pub(crate) fn requests(
    rate: &RateLimits,
    now: DateTime<Utc>,
    in_the_way: &[Option<String>; 3],
) -> Result<(), LedgerError> {
    let mut reached: Option<(Limit, u32)> = None;
    for ((limit, most, length), found) in lengths(rate).into_iter().zip(in_the_way) {
        let wait = match found {
            _ if most == 0 => u32::try_from(length.num_seconds()).unwrap_or(u32::MAX),
            None => 0,
            Some(found) => {
                let wait = (time(found)? + length) - now;
                let seconds = wait.num_seconds() + i64::from(wait.subsec_nanos() > 0);
                u32::try_from(seconds.max(1)).unwrap_or(u32::MAX)
            }
        };
        if wait > reached.map_or(0, |(_, longest)| longest) {
            reached = Some((limit, wait));
        }
    }
    match reached {
        Some((limit, retry_after_s)) => Err(LedgerError::TooMany { limit, retry_after_s }),
        None => Ok(()),
    }
}

fn lengths(rate: &RateLimits) -> [(Limit, u32, TimeDelta); 3] {
    [
        (Limit::Minute, rate.per_minute, TimeDelta::minutes(1)),
        (Limit::Hour, rate.per_hour, TimeDelta::hours(1)),
        (Limit::Day, rate.per_day, KEPT),
    ]
}
