//! Durations as the file writes them (`90s`, `30m`, `4h30m`). Limits are the caller's.

/// Seconds of a duration: hours, minutes and seconds, in this order, each at most once, no spaces. Nothing for anything else.
pub(super) fn parse(text: &str) -> Option<u32> {
    let mut total: u32 = 0;
    let mut rest = text;
    let mut units = [('h', 3600), ('m', 60), ('s', 1)].into_iter();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.chars().next()?;
        // `units` is used up to and with the one found, so that none comes twice or out of order.
        let (_, seconds) = units.find(|(u, _)| *u == unit)?;
        total = total.checked_add(number.parse::<u32>().ok()?.checked_mul(seconds)?)?;
        rest = tail.get(1..)?;
    }
    Some(total)
}

/// The same the other way round (`4h30m`).
pub(super) fn show(seconds: u32) -> String {
    let parts = [(seconds / 3600, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    let shown: String = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if shown.is_empty() { "0s".into() } else { shown }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hours_minutes_and_seconds_are_added_up() {
        let cases = [
            ("90s", 90),
            ("30m", 1800),
            ("1h", 3600),
            ("4h30m", 16_200),
            ("1h0m1s", 3601),
            ("0s", 0),
            ("01m", 60),
        ];
        for (text, seconds) in cases {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_not_plainly_a_duration_is_refused() {
        let cases = [
            "",
            "1",
            "h",
            "1d",
            "1h 30m",
            " 1h",
            "30m1h",
            "1h1h",
            "-1h",
            "+1h",
            "1.5h",
            "1H",
            "99999999999h",
            "4294967295h",
            "4294967295s1s",
            "1hé",
            "１h",
        ];
        for text in cases {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_read_again(seconds: u32) {
            prop_assert_eq!(parse(&show(seconds)), Some(seconds));
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
