//! The machine's ways to write an end, and the one way by which an end of a request gets there ([`Second::end`]).

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use super::FarError;

/// The longest that a session may last (24 h), and an hour for clocks that differ across a change of the time zone rules.
const LONGEST: TimeDelta = TimeDelta::hours(25);

/// `yyyymmddHHMMSSZ`, UTC: what `sudoers(5)` calls a generalized time and `sshd(8)` takes for `expiry-time`. Always with the `Z`:
/// without it sudo reads the time in the caller's own time zone (CVE-2026-96512), and `visudo` sees nothing wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Second(DateTime<Utc>);

impl Second {
    /// An end that a request asks for: after `now`, and no more than 25 hours after it.
    ///
    /// # Errors
    /// [`FarError::BadValue`]
    pub(super) fn end(until: DateTime<Utc>, now: DateTime<Utc>) -> Result<Self, FarError> {
        let refuse = |why| FarError::BadValue(format!("the end {until} {why} (the machine's time is {now})"));
        if until - now > LONGEST {
            return Err(refuse("is more than 25 hours away"));
        }
        let second = Self::of(until).ok_or_else(|| refuse("cannot be written"))?;
        if second.0 <= now {
            return Err(refuse("is not in the future"));
        }
        Ok(second)
    }

    /// The second in which a time falls, between 1970 and 9999.
    pub(super) fn of(at: DateTime<Utc>) -> Option<Self> {
        let second = DateTime::from_timestamp(at.timestamp(), 0).map(Self)?;
        second.to_string().parse().ok()
    }

    /// The time at its beginning.
    pub(super) fn time(self) -> DateTime<Utc> {
        self.0
    }
}

impl fmt::Display for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y%m%d%H%M%SZ"))
    }
}

impl FromStr for Second {
    type Err = NoTime;

    /// Reads exactly what is written.
    fn from_str(text: &str) -> Result<Self, NoTime> {
        let digits = text.strip_suffix('Z').filter(|digits| digits.len() == 14).ok_or(NoTime)?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NoTime);
        }
        let time = NaiveDateTime::parse_from_str(digits, "%Y%m%d%H%M%S").map_err(|_| NoTime)?.and_utc();
        let second = DateTime::from_timestamp(time.timestamp(), 0)
            .filter(|s| s.timestamp() >= 0)
            .map(Self)
            .ok_or(NoTime)?;
        // A 60th second is read as the 59th.
        (second.to_string() == text).then_some(second).ok_or(NoTime)
    }
}

/// The machine's clock.
pub(super) fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

/// A text is no time of this form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoTime;

/// A time of the broker's clock in a note, to the nanosecond: `20261126T103000.250Z`.
pub(super) fn exact(at: DateTime<Utc>) -> String {
    at.format("%Y%m%dT%H%M%S%.fZ").to_string()
}

/// Reads exactly what [`exact`] writes.
pub(super) fn of_exact(text: &str) -> Option<DateTime<Utc>> {
    let at = NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S%.fZ").ok()?.and_utc();
    (exact(at) == text).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn morning() -> DateTime<Utc> {
        "20261126093000Z".parse::<Second>().unwrap().time()
    }

    #[test]
    fn an_end_is_written_in_utc_and_says_so() {
        let end = Second::end(morning() + TimeDelta::milliseconds(3_600_900), morning()).unwrap();
        assert_eq!(end.to_string(), "20261126103000Z");
    }

    #[test]
    fn an_end_outside_the_next_25_hours_is_refused() {
        let end = |seconds| Second::end(morning() + TimeDelta::seconds(seconds), morning());
        assert!(end(1).is_ok() && end(24 * 3600).is_ok() && end(25 * 3600).is_ok());
        for bad in [0, -1, 25 * 3600 + 1, -500 * 365 * 86_400, 1000 * 365 * 86_400] {
            assert!(matches!(end(bad), Err(FarError::BadValue(_))), "{bad}");
        }
        assert!(
            Second::end(morning() + TimeDelta::milliseconds(900), morning()).is_err(),
            "cut to a second that is over"
        );
        assert!(Second::end(DateTime::<Utc>::MAX_UTC, morning()).is_err());
        assert!(Second::end(DateTime::<Utc>::MIN_UTC, morning()).is_err());
    }

    #[test]
    fn a_time_of_another_form_is_no_time() {
        for bad in [
            "",
            "Z",
            "20261126103000",
            "20261126103000z",
            "20261126103000+0100",
            "20261126103000.5Z",
            "2026112610300Z",
            "20261326103000Z",
            "20261126103060Z",
            "20261126240000Z",
            "2026112610300 Z",
            "+2026112610300Z",
            "19691231235959Z",
            "２０２６1126103000Z",
        ] {
            assert_eq!(bad.parse::<Second>(), Err(NoTime), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_end_that_is_written_is_in_the_future_and_read_back(from in 0_i64..200_000_000_000, span in -100_i64..100_000) {
            let now = DateTime::from_timestamp(from, 0).unwrap();
            if let Ok(end) = Second::end(now + TimeDelta::seconds(span), now) {
                prop_assert_eq!(end.to_string().parse(), Ok(end));
                prop_assert!(end.time() > now);
            }
        }

        #[test]
        fn a_time_of_the_broker_survives_to_the_nanosecond(seconds in 0_i64..200_000_000_000, nanos in 0_u32..1_000_000_000) {
            let at = DateTime::from_timestamp(seconds, nanos).unwrap();
            prop_assert_eq!(of_exact(&exact(at)), Some(at));
        }

        #[test]
        fn no_text_makes_a_reader_panic(text in "[0-9TZ.+-]{0,24}|\\PC{0,20}") {
            if let Ok(second) = text.parse::<Second>() {
                prop_assert_eq!(second.to_string(), text.clone());
            }
            if let Some(at) = of_exact(&text) {
                prop_assert_eq!(exact(at), text);
            }
        }
    }
}
