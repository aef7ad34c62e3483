//! A form that somebody sent (`application/x-www-form-urlencoded`). The other way is `ticketgate_https::form`.

use std::collections::BTreeMap;

/// The pairs of a form that somebody sent.
pub(super) fn decoded(form: &[u8]) -> BTreeMap<String, String> {
    let plain = |text: &[u8]| {
        let mut out = Vec::new();
        let mut rest = text;
        while let Some((first, tail)) = rest.split_first() {
            let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
            match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
                (b'%', Some(byte)) => {
                    out.push(byte);
                    rest = tail.get(2..).unwrap_or_default();
                    continue;
                }
                (b'+', _) => out.push(b' '),
                (byte, _) => out.push(*byte),
            }
            rest = tail;
        }
        String::from_utf8_lossy(&out).into_owned()
    };
    form.split(|byte| *byte == b'&')
        .map(|pair| {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            (plain(parts.next().unwrap_or_default()), plain(parts.next().unwrap_or_default()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_nonsense_is_read_as_it_stands() {
        let pairs = [("code", "a+b/c=&d"), ("scope", "openid profile"), ("empty", ""), ("word", "für")];
        let read = decoded(&ticketgate_https::form(&pairs));
        assert_eq!(read.len(), 4);
        for (name, value) in pairs {
            assert_eq!(read.get(name).map(String::as_str), Some(value));
        }
        let odd = decoded(b"a=%zz&b=%4&c=1+2&d&=e&f=%41");
        for (name, value) in [("a", "%zz"), ("b", "%4"), ("c", "1 2"), ("d", ""), ("f", "A")] {
            assert_eq!(odd.get(name).map(String::as_str), Some(value), "{name}");
        }
    }
}
