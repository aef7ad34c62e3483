//! Ends in days, which is all that `shadow(5)` knows of an account.

use chrono::{DateTime, Utc};

use super::FarError;
use super::clock::Second;

const DAY: i64 = 86_400;

/// The first day on which an account with this end cannot be used, as `shadow(5)` counts days: from 00:00 UTC of that day it is
/// closed. No earlier than the end, and less than a day after it.
pub(super) fn expiry_day(end: Second) -> i64 {
    let seconds = end.time().timestamp();
    seconds.div_euclid(DAY) + i64::from(seconds.rem_euclid(DAY) > 0)
}

/// The beginning of a day that `shadow(5)` names.
pub(super) fn day_begins(day: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(day.checked_mul(DAY)?, 0)
}

/// A day as `usermod --expiredate` takes it. Not as a number: those that are not a day would mean "never".
pub(super) fn day_text(day: i64) -> Result<String, FarError> {
    let text = day_begins(day).map(|at| at.format("%Y-%m-%d").to_string());
    text.filter(|text| day > 0 && text.len() == 10)
        .ok_or_else(|| FarError::BadValue(format!("{day} is no day")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use proptest::prelude::*;

    #[test]
    fn the_day_on_which_an_account_expires_begins_at_its_end_or_after_it() {
        for (end, day) in [
            ("20261126103000Z", "2026-11-27"),
            ("20261126000000Z", "2026-11-26"),
            ("20261126000001Z", "2026-11-27"),
            ("20261231235959Z", "2027-01-01"),
        ] {
            assert_eq!(day_text(expiry_day(end.parse().unwrap())).unwrap(), day);
        }
    }

    #[test]
    fn a_number_that_usermod_takes_for_never_is_no_day() {
        for bad in [0, -1, i64::MIN, i64::MAX, 100_000_000] {
            assert!(day_text(bad).is_err(), "{bad}");
        }
        assert_eq!(day_text(1).unwrap(), "1970-01-02");
    }

    proptest! {
        #[test]
        fn every_end_that_is_written_stops_the_account_within_a_day(from in 0_i64..200_000_000_000, span in -100_i64..100_000) {
            let now = DateTime::from_timestamp(from, 0).unwrap();
            if let Ok(end) = Second::end(now + TimeDelta::seconds(span), now) {
                let stops = day_begins(expiry_day(end)).unwrap();
                prop_assert!(end.time() > now && stops >= end.time() && stops - end.time() < TimeDelta::days(1));
            }
        }
    }
}
