//! The file of one account's SSH keys, as this product writes it: outside the home, whose owner could put a link in its place.
//! `sshd` ends a line by itself after its `expiry-time`.

use super::clock::Second;
use super::sudo::mark;
use crate::local::PublicKey;

const FIRST_LINE: &str =
    "# Ticketgate keeps this file for sessions. What is added here by hand is taken away again.";
/// A longer file is not read: it is nothing of ours.
pub(super) const LONGEST: u64 = 256 * 1024;

/// A key and until when it is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) key: PublicKey,
    pub(super) until: Second,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// As we write it.
    Ours(Key),
    /// Anything else that is not empty and no comment: `sshd` may take it for a key without an end. Its mark.
    Other(String),
}

/// The file as text.
pub(super) fn text(keys: &[Key]) -> String {
    let mut text = format!("{FIRST_LINE}\n");
    for key in keys {
        text.push_str(&line(key));
        text.push('\n');
    }
    text
}

/// The lines that count.
pub(super) fn read(file: &str) -> Vec<Line> {
    let counts = |line: &&str| !line.trim_start().is_empty() && !line.trim_start().starts_with('#');
    let read = |text: &str| key(text).map_or_else(|| Line::Other(mark(text)), Line::Ours);
    file.split('\n').filter(counts).map(read).collect()
}

fn line(Key { key, until }: &Key) -> String {
    format!("expiry-time=\"{until}\" {key}")
}

fn key(text: &str) -> Option<Key> {
    let (until, rest) = text.strip_prefix("expiry-time=\"")?.split_once("\" ")?;
    let key = Key { key: PublicKey::new(rest).ok()?, until: until.parse().ok()? };
    (line(&key) == text).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    fn a_key() -> Key {
        Key { key: PublicKey::new(KEY).unwrap(), until: "20261126103000Z".parse().unwrap() }
    }

    #[test]
    fn a_key_stands_in_a_line_with_its_end() {
        let text = text(&[a_key()]);
        assert_eq!(text.lines().nth(1), Some(format!("expiry-time=\"20261126103000Z\" {KEY}").as_str()));
        assert_eq!(read(&text), [Line::Ours(a_key())]);
    }

    #[test]
    fn a_line_that_could_be_a_key_without_our_end_is_told_apart() {
        let ours = line(&a_key());
        for other in [
            KEY.to_owned(),
            ours.replace("103000Z", "103000"),
            format!("command=\"sh\",{ours}"),
            format!("{ours} alice"),
            format!(" {ours}"),
            format!("{ours}\r"),
            ours.replace("\" ", "\"  "),
            ours.replace("\" ", "\",restrict "),
        ] {
            let lines = read(&format!("# a comment\n\n{other}\n{ours}\n"));
            assert_eq!(lines, [Line::Other(mark(&other)), Line::Ours(a_key())], "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_file_makes_the_reader_panic_and_no_line_that_counts_is_lost(file in "(expiry-time=\"20261126103000Z\" )?[ -~\\n]{0,80}|\\PC{0,60}") {
            let lines = read(&file);
            let wanted = file.split('\n').filter(|l| !l.trim_start().is_empty() && !l.trim_start().starts_with('#')).count();
            prop_assert_eq!(lines.len(), wanted);
        }
    }
}
