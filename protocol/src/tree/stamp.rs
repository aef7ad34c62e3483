//! Times as text (RFC 3339), as chrono writes them. chrono's own reader knows every format that there is; this one, a
//! twentieth of its size, knows the one on the wire.

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike, Utc};

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
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    let time = date.and_hms_nano_opt(hour, minute, second, nanos)?.and_utc();
    rest.is_empty().then(|| time.checked_add_signed(TimeDelta::minutes(offset))).flatten()
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
    let year = time.year();
    if !(0..=9999).contains(&year) {
        out.push(if year < 0 { '-' } else { '+' });
    }
    digits(&mut out, year.unsigned_abs(), if year.unsigned_abs() > 9999 { 6 } else { 4 });
    for (before, value) in [('-', time.month()), ('-', time.day()), ('T', time.hour()), (':', time.minute())]
    {
        out.push(before);
        digits(&mut out, value, 2);
    }
    let leap = time.nanosecond() / 1_000_000_000;
    let nanos = time.nanosecond() % 1_000_000_000;
    out.push(':');
    digits(&mut out, time.second() + leap, 2);
    if nanos != 0 {
        out.push('.');
        match (nanos % 1_000_000, nanos % 1_000) {
            (0, _) => digits(&mut out, nanos / 1_000_000, 3),
            (_, 0) => digits(&mut out, nanos / 1_000, 6),
            _ => digits(&mut out, nanos, 9),
        }
    }
    out.push('Z');
    out
}

fn digits(out: &mut String, value: u32, count: u32) {
    for at in (0..count).rev() {
        out.push(char::from(b'0' + u8::try_from(value / 10u32.pow(at) % 10).unwrap_or_default()));
    }
}
