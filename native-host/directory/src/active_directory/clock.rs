//! Active Directory's ways to write a time, and the one function that makes an account's end.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use ticketgate_access::desired::DirectoryEnd;

use crate::DirectoryError;

/// From 1601-01-01 to 1970-01-01 in ticks of 100 ns (MS-DTYP 2.3.3, `FILETIME`).
const EPOCH_TICKS: i64 = 116_444_736_000_000_000;
const TICKS_PER_MICROSECOND: i64 = 10;

/// The longest that a session may last (24 h), and an hour for clocks that differ across a change of the time zone rules.
const LONGEST: TimeDelta = TimeDelta::hours(25);

/// A value of `accountExpires` that means "long over". 0 and the greatest value mean "never", and so does a negative one.
pub(crate) const LONG_OVER: &str = "1";

/// The one way by which an end gets into `accountExpires`: its value for `until`, with `now` read from the same directory.
///
/// A server takes 0, a negative value and the greatest one for "never" without complaint, so a wrong number would open an
/// account for good. Anything that is not after `now`, or more than 25 hours after it, is refused here.
///
/// # Errors
/// [`DirectoryError::BadValue`]
pub(crate) fn account_expires(until: DateTime<Utc>, now: DateTime<Utc>) -> Result<i64, DirectoryError> {
    let refuse =
        |why| DirectoryError::BadValue(format!("the end {until} {why} (the directory's time is {now})"));
    if until <= now {
        return Err(refuse("is not in the future"));
    }
    if until - now > LONGEST {
        return Err(refuse("is more than 25 hours away"));
    }
    let ticks = until
        .timestamp_micros()
        .checked_mul(TICKS_PER_MICROSECOND)
        .and_then(|ticks| ticks.checked_add(EPOCH_TICKS))
        .filter(|ticks| *ticks > EPOCH_TICKS && *ticks < i64::MAX);
    ticks.ok_or_else(|| refuse("cannot be written"))
}

/// What a value of `accountExpires` means to the server. One that cannot be read counts as "never": the unsafe case.
pub(crate) fn end_of(value: Option<&str>) -> DirectoryEnd {
    match value.and_then(|value| value.parse::<i64>().ok()) {
        Some(ticks) if ticks > 0 && ticks < i64::MAX => {
            time_of_ticks(ticks).map_or(DirectoryEnd::Never, DirectoryEnd::At)
        }
        _ => DirectoryEnd::Never,
    }
}

/// The time of a `FILETIME`.
pub(crate) fn time_of_ticks(ticks: i64) -> Option<DateTime<Utc>> {
    let since = ticks.checked_sub(EPOCH_TICKS)?;
    let nanos = u32::try_from(since.rem_euclid(10_000_000)).ok()? * 100;
    DateTime::from_timestamp(since.div_euclid(10_000_000), nanos)
}

/// A generalized time as rootDSE's `currentTime` has it: `20261123020405.0Z`.
pub(crate) fn generalized_time(text: &str) -> Option<DateTime<Utc>> {
    let (whole, fraction) = text.strip_suffix('Z')?.split_once('.').unwrap_or((text.strip_suffix('Z')?, "0"));
    if whole.len() != 14 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    NaiveDateTime::parse_from_str(whole, "%Y%m%d%H%M%S").ok().map(|time| time.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn now() -> DateTime<Utc> {
        generalized_time("20261123020405.0Z").unwrap()
    }

    #[test]
    fn an_end_is_written_and_read_to_the_tick() {
        let until = now() + TimeDelta::hours(1);
        let ticks = account_expires(until, now()).unwrap();
        assert_eq!(ticks, 134_398_766_450_000_000);
        assert_eq!(end_of(Some(&ticks.to_string())), DirectoryEnd::At(until));
    }

    #[test]
    fn an_end_outside_the_next_25_hours_is_refused() {
        let hours = |h| account_expires(now() + TimeDelta::hours(h), now());
        assert!(hours(24).is_ok() && hours(25).is_ok());
        for bad in [0, -1, -24 * 365 * 500, 26, 24 * 365 * 1000] {
            assert!(matches!(hours(bad), Err(DirectoryError::BadValue(_))), "{bad}");
        }
        assert!(account_expires(DateTime::<Utc>::MAX_UTC, now()).is_err());
        assert!(account_expires(DateTime::<Utc>::MIN_UTC, now()).is_err());
    }

    #[test]
    fn every_value_that_a_server_takes_for_never_is_read_as_never() {
        for never in ["0", "9223372036854775807", "-5", "-9223372036854775808", "soon", ""] {
            assert_eq!(end_of(Some(never)), DirectoryEnd::Never, "{never}");
        }
        assert_eq!(end_of(None), DirectoryEnd::Never);
        assert!(matches!(end_of(Some(LONG_OVER)), DirectoryEnd::At(at) if at < now()));
    }

    #[test]
    fn a_time_of_another_form_is_no_time() {
        for bad in [
            "",
            "Z",
            "20261123020405",
            "20261123020405+0100",
            "2026112302040Z",
            "20261323020405.0Z",
            "2026112302040x.0Z",
        ] {
            assert_eq!(generalized_time(bad), None, "{bad}");
        }
        assert_eq!(generalized_time("20261123020405Z"), Some(now()));
    }

    proptest! {
        #[test]
        fn no_end_ever_written_means_never(from in i64::MIN..i64::MAX, span in i64::MIN..i64::MAX) {
            let (Some(now), Some(until)) = (DateTime::from_timestamp_micros(from), DateTime::from_timestamp_micros(span)) else {
                return Ok(());
            };
            if let Ok(ticks) = account_expires(until, now) {
                prop_assert!(ticks > EPOCH_TICKS && ticks < i64::MAX);
                prop_assert!(matches!(end_of(Some(&ticks.to_string())), DirectoryEnd::At(at) if at > now));
            }
        }
    }
}
