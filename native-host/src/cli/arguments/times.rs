//! How long something lasts, as people type it.

/// Reads `1h30m`, `90s`, `45m`.
pub(super) fn seconds(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is not a time: write 30m, 1h, 1h30m or 90s");
    let mut total: i64 = 0;
    let mut number = String::new();
    for c in text.trim().chars() {
        let unit = match c {
            '0'..='9' => {
                number.push(c);
                continue;
            }
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return Err(wrong()),
        };
        let count: i64 = std::mem::take(&mut number).parse().map_err(|_| wrong())?;
        total = count.checked_mul(unit).and_then(|s| total.checked_add(s)).ok_or_else(wrong)?;
    }
    if number.is_empty() && !text.trim().is_empty() { Ok(total) } else { Err(wrong()) }
}

/// The same with days before it: `30d`, `1d12h`.
pub(super) fn days(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let Some((days, rest)) = text.split_once('d') else { return seconds(text) };
    let wrong = || format!("{text:?} is not a time: write 30d, 12h or 1d12h");
    let days: i64 = days.parse::<u32>().map_err(|_| wrong())?.into();
    let rest = if rest.is_empty() { 0 } else { seconds(rest).map_err(|_| wrong())? };
    days.checked_mul(86_400).and_then(|days| days.checked_add(rest)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_nonsense_is_refused() {
        assert_eq!(seconds("1h30m"), Ok(5400));
        assert_eq!(seconds("45s"), Ok(45));
        for wrong in ["", "1", "h", "1d", "-5m", "1h30", "9999999999999999999h"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn days_come_before_hours() {
        assert_eq!(days("30d"), Ok(30 * 86_400));
        assert_eq!(days("1d12h"), Ok(36 * 3600));
        assert_eq!(days("90m"), Ok(5400));
        for wrong in ["", "d", "-1d", "1d1d", "1d 1", "1h1d"] {
            assert!(days(wrong).is_err(), "{wrong}");
        }
    }
}
