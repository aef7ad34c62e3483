//! Remaining time as people read it: badge, sentence, and the instant at which either changes next.
//! Always computed from the end; nothing here counts down.

use chrono::{DateTime, TimeDelta, Utc};

/// Seconds left from which on the badge is amber.
const AMBER_S: i64 = 300;

/// Badge colours; each keeps white text above a contrast of 4.5 : 1.
pub mod color {
    /// Time is plenty.
    pub const CALM: &str = "#1b6e4f";
    /// Five minutes or less.
    pub const AMBER: &str = "#9a5b00";
    /// The last minute, or something is wrong.
    pub const RED: &str = "#b3261e";
    /// At work.
    pub const WORKING: &str = "#3b5b8c";
}

/// How close the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closeness {
    /// More than five minutes.
    Far,
    /// Five minutes or less.
    Near,
    /// The last minute.
    Last,
}

/// Whole seconds left, rounded up, so that zero means over.
#[must_use]
pub fn seconds(until: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    let ms = (until - now).num_milliseconds();
    if ms <= 0 { 0 } else { (ms + 999) / 1000 }
}

/// The badge's text: `2h`, `59m`, `45s`. Rounded down, so that it never promises more than there is.
#[must_use]
pub fn badge(seconds: i64) -> String {
    match seconds {
        ..=0 => "0s".into(),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        _ => format!("{}h", (seconds / 3600).min(999)),
    }
}

/// How close the end is.
#[must_use]
pub fn closeness(seconds: i64) -> Closeness {
    match seconds {
        ..60 => Closeness::Last,
        60..=AMBER_S => Closeness::Near,
        _ => Closeness::Far,
    }
}

/// The badge's colour.
#[must_use]
pub fn badge_color(seconds: i64) -> &'static str {
    match closeness(seconds) {
        Closeness::Far => color::CALM,
        Closeness::Near => color::AMBER,
        Closeness::Last => color::RED,
    }
}

/// In how long [`words`] says something else, and so at the latest [`badge`], or the colour changes; never zero.
#[must_use]
pub fn until_change(until: DateTime<Utc>, now: DateTime<Utc>) -> TimeDelta {
    let left = seconds(until, now);
    let holds_from = match left {
        ..60 => left,
        60..=AMBER_S => left / 60 * 60,
        _ => (left / 60 * 60).max(AMBER_S + 1),
    };
    // The text holds while `seconds` is at least `holds_from`; one second less is shown when so much is left.
    let change = until - TimeDelta::seconds((holds_from - 1).max(0));
    (change - now).max(TimeDelta::milliseconds(1))
}

/// Remaining time in words for a title or a label: `1 h 12 min`, `43 min`, `45 s`.
#[must_use]
pub fn words(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..60 => format!("{s} s"),
        s => duration(u32::try_from(s - s % 60).unwrap_or(u32::MAX)),
    }
}

/// Remaining time beside a ring: `1:12:05`, `43:10`, `0:45`.
#[must_use]
pub fn clock(seconds: i64) -> String {
    let s = seconds.max(0);
    if s >= 3600 {
        format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    } else {
        format!("{}:{:02}", s / 60, s % 60)
    }
}

/// A length of time: `30 min`, `1 h`, `1 h 30 min`, `90 s`.
#[must_use]
pub fn duration(seconds: u32) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes, rest) {
        (0, _, rest) if seconds < 600 && rest != 0 => format!("{seconds} s"),
        (0, m, _) => format!("{m} min"),
        (h, 0, _) => format!("{h} h"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_800_000_000_000 + ms).unwrap()
    }

    #[test]
    fn the_badge_is_right_at_every_boundary() {
        let cases = [
            (7200, "2h", color::CALM),
            (7199, "1h", color::CALM),
            (3600, "1h", color::CALM),
            (3599, "59m", color::CALM),
            (360, "6m", color::CALM),
            (301, "5m", color::CALM),
            (300, "5m", color::AMBER),
            (299, "4m", color::AMBER),
            (60, "1m", color::AMBER),
            (59, "59s", color::RED),
            (45, "45s", color::RED),
            (1, "1s", color::RED),
            (0, "0s", color::RED),
            (-5, "0s", color::RED),
        ];
        for (left, text, color) in cases {
            assert_eq!((badge(left).as_str(), badge_color(left)), (text, color), "{left} s");
        }
    }

    #[test]
    fn the_badge_never_has_more_than_four_characters() {
        for left in (0..200_000).chain([i64::from(u32::MAX)]) {
            assert!(badge(left).len() <= 4, "{left}");
        }
    }

    #[test]
    fn a_part_of_a_second_still_counts_as_one() {
        assert_eq!(seconds(at(59_001), at(0)), 60);
        assert_eq!(seconds(at(59_000), at(0)), 59);
        assert_eq!(seconds(at(1), at(0)), 1);
        assert_eq!(seconds(at(0), at(0)), 0);
    }

    #[test]
    fn badge_and_words_hold_until_the_next_change_and_they_or_the_colour_change_there() {
        let until = at(8_000_000);
        let mut now = at(0);
        let mut changes = 0;
        while seconds(until, now) > 0 {
            let left = seconds(until, now);
            let wait = until_change(until, now);
            let before = seconds(until, now + wait - TimeDelta::milliseconds(1));
            let shown = |left: i64| (badge(left), words(left), badge_color(left));
            assert_eq!(shown(before), shown(left), "before, at {now}");
            now += wait;
            assert_ne!(shown(seconds(until, now)), shown(left), "after, at {now}");
            changes += 1;
        }
        // 8,000 s: 133 whole minutes, amber in one of them, then 59 seconds, then over.
        assert_eq!(changes, 133 + 1 + 59);
    }

    #[test]
    fn durations_read_as_people_say_them() {
        let cases = [
            (90, "90 s"),
            (300, "5 min"),
            (1800, "30 min"),
            (3600, "1 h"),
            (5400, "1 h 30 min"),
            (14_400, "4 h"),
        ];
        for (s, text) in cases {
            assert_eq!(duration(s), text);
        }
        assert_eq!(words(59), "59 s");
        assert_eq!(words(2_639), "43 min");
        assert_eq!(words(4_350), "1 h 12 min");
        assert_eq!(clock(4_325), "1:12:05");
        assert_eq!(clock(45), "0:45");
    }
}
