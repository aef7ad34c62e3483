//! Times as text (RFC 3339), as chrono writes them. chrono's own reader knows every format that there is; this one, a
//! twentieth of its size, knows the one on the wire.

use chrono::{DateTime, Utc};

const DAY_S: i64 = 86_400;

/// Reads `2026-11-25T23:19:00.5Z`, or the same with an offset.
pub(super) fn read(text: &str) -> Option<DateTime<Utc>> {
    let mut rest = text.as_bytes();
    let year = number(&mut rest, 4)?;
    sign(&mut rest, b"-")?;
    let month = number(&mut rest, 2)?;
    sign(&mut rest, b"-")?;
    let day = number(&mut rest, 2)?;
    sign(&mut rest, b"Tt ")?;
    let hour = number(&mut rest, 2)?;
    sign(&mut rest, b":")?;
    let minute = number(&mut rest, 2)?;
    sign(&mut rest, b":")?;
    let mut second = number(&mut rest, 2)?;
    let mut nanos = fraction(&mut rest)?;
    if second == 60 {
        // A leap second is a part of the one before it.
        second = 59;
        nanos += 1_000_000_000;
    }
    let offset = match sign(&mut rest, b"Zz+-")? {
        b'+' => -i64::from(clock(&mut rest)?),
        b'-' => i64::from(clock(&mut rest)?),
        _ => 0,
    };
    if !(1..=12).contains(&month) || day < 1 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_before(i64::from(year), i64::from(month)) + i64::from(day) - 1;
    if days >= days_before(i64::from(year), i64::from(month) + 1) {
        return None;
    }
    let seconds = days * DAY_S + i64::from(hour * 3600 + minute * 60 + second);
    rest.is_empty().then(|| DateTime::from_timestamp(seconds + offset * 60, nanos)).flatten()
}

/// Days from the begin of 1970 to the begin of a month (13: the next year's first). A year is taken to begin in March,
/// so that the leap day is its last and the months before it follow one rule
/// (<https://howardhinnant.github.io/date_algorithms.html>).
fn days_before(year: i64, month: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5
        - 719_468
}

/// Year, month and day of a day since the begin of 1970.
fn date(day: i64) -> (i64, i64, i64) {
    // A year and a month that are nearly right, then the right ones.
    let mut year = day.div_euclid(365) + 1970;
    while days_before(year, 1) > day {
        year -= 1;
    }
    while days_before(year + 1, 1) <= day {
        year += 1;
    }
    let mut month = (day - days_before(year, 1)) / 32 + 1;
    if days_before(year, month + 1) <= day {
        month += 1;
    }
    (year, month, day - days_before(year, month) + 1)
}

/// The hours and minutes of an offset, in minutes.
fn clock(rest: &mut &[u8]) -> Option<u32> {
    let hours = number(rest, 2)?;
    sign(rest, b":")?;
    let minutes = number(rest, 2)?;
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

/// Exactly so many digits.
fn number(rest: &mut &[u8], digits: usize) -> Option<u32> {
    let (head, tail) = rest.split_at_checked(digits)?;
    *rest = tail;
    head.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
}

/// One of these.
fn sign(rest: &mut &[u8], wanted: &[u8]) -> Option<u8> {
    let (first, tail) = rest.split_first()?;
    *rest = tail;
    wanted.contains(first).then_some(*first)
}

/// A fraction of a second, if there is one, in nanoseconds; what is finer is cut.
fn fraction(rest: &mut &[u8]) -> Option<u32> {
    let Some(digits) = rest.strip_prefix(b".") else { return Some(0) };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, tail) = digits.split_at_checked(count)?;
    *rest = tail;
    let nanos = (0..9).fold(0, |sum, at| sum * 10 + digits.get(at).map_or(0, |byte| u32::from(byte - b'0')));
    (count > 0).then_some(nanos)
}

/// Writes `2026-11-25T23:19:00.500Z`: no fraction, or three, six or nine digits of it.
pub(super) fn write(time: &DateTime<Utc>) -> String {
    let mut out = String::with_capacity(30);
    let seconds = time.timestamp();
    let (year, month, day) = date(seconds.div_euclid(DAY_S));
    let clock = seconds.rem_euclid(DAY_S);
    let subsecond = time.timestamp_subsec_nanos();
    let nanos = subsecond % 1_000_000_000;
    if !(0..=9999).contains(&year) {
        out.push(if year < 0 { '-' } else { '+' });
    }
    digits(
        &mut out,
        year.unsigned_abs(),
        if year.unsigned_abs() > 99_999 {
            6
        } else if year.unsigned_abs() > 9999 {
            5
        } else {
            4
        },
    );
    let second = clock % 60 + i64::from(subsecond / 1_000_000_000);
    for (before, value) in
        [('-', month), ('-', day), ('T', clock / 3600), (':', clock / 60 % 60), (':', second)]
    {
        out.push(before);
        digits(&mut out, value.unsigned_abs(), 2);
    }
    if nanos != 0 {
        out.push('.');
        match (nanos % 1_000_000, nanos % 1_000) {
            (0, _) => digits(&mut out, u64::from(nanos / 1_000_000), 3),
            (_, 0) => digits(&mut out, u64::from(nanos / 1_000), 6),
            _ => digits(&mut out, u64::from(nanos), 9),
        }
    }
    out.push('Z');
    out
}

fn digits(out: &mut String, value: u64, count: u32) {
    for at in (0..count).rev() {
        out.push(char::from(b'0' + u8::try_from(value / 10u64.pow(at) % 10).unwrap_or_default()));
    }
}
