//! Passwords that nobody has to remember: random, typable from a screen, and accepted by a domain's usual password rules.

use zeroize::Zeroizing;

use ticketgate_credentials::Secret;

/// 24 characters of 64: about 143 bits, and within what every logon screen takes.
pub(crate) const LENGTH: usize = 24;

/// Without the letters and digits that look alike (`I l 1`, `O 0`), and with marks that every keyboard layout has and no
/// shell, web form or double click breaks at. 64 of them, so that a random byte picks one without favour.
const CLASSES: [&[u8]; 4] =
    [b"ABCDEFGHJKLMNPQRSTUVWXYZ", b"abcdefghijkmnopqrstuvwxyz", b"23456789", b"-.+=@_%"];

/// A new password.
///
/// # Errors
/// A sentence, when the operating system gives no randomness.
pub fn generate() -> Result<Secret, String> {
    generate_for("")
}

/// A new password for the account of this name.
///
/// It has a character of each class, and neither the account's name nor a word of it (the domain's complexity rule refuses
/// those). What does not fit is thrown away whole, so that every fitting password is equally likely.
///
/// # Errors
/// A sentence, when the operating system gives no randomness.
pub fn generate_for(account_name: &str) -> Result<Secret, String> {
    let alphabet: Vec<u8> = CLASSES.concat();
    // A bound for a broken source of randomness; one attempt in three fits.
    for _ in 0..10_000 {
        let mut random = Zeroizing::new([0_u8; LENGTH]);
        getrandom::fill(random.as_mut_slice())
            .map_err(|error| format!("no randomness for a password: {error}"))?;
        let mut password = Zeroizing::new(Vec::with_capacity(LENGTH));
        password.extend(random.iter().filter_map(|byte| alphabet.get(usize::from(*byte % 64)).copied()));
        if fits(&password, account_name) {
            return Ok(Secret::new(String::from_utf8_lossy(&password).into_owned()));
        }
    }
    Err("the operating system's randomness is broken".into())
}

fn fits(password: &[u8], account_name: &str) -> bool {
    let has_each = CLASSES.iter().all(|class| password.iter().any(|c| class.contains(c)));
    let lower = Zeroizing::new(String::from_utf8_lossy(password).to_lowercase());
    let name = account_name.to_lowercase();
    // Shorter words are not looked at by the domain either, and would be in every other password.
    let mut words =
        name.split(|c: char| !c.is_alphanumeric()).chain([name.as_str()]).filter(|word| word.len() >= 3);
    has_each && !words.any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn the_alphabet_has_64_characters_each_once() {
        let all: Vec<u8> = CLASSES.concat();
        assert_eq!(all.len(), 64);
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 64);
    }

    #[test]
    fn every_password_has_each_class_and_none_comes_twice() {
        let mut seen = BTreeSet::new();
        for _ in 0..500 {
            let password = generate_for("jit-tech1").unwrap();
            assert!(fits(password.expose().as_bytes(), "jit-tech1"));
            assert_eq!(password.expose().len(), LENGTH);
            assert!(seen.insert(password.expose().to_owned()));
        }
    }

    #[test]
    fn every_character_is_about_as_frequent_as_any_other() {
        let mut counts = BTreeMap::new();
        for _ in 0..4000 {
            for c in generate_for("jit-tech1").unwrap().expose().chars() {
                *counts.entry(c).or_insert(0) += 1;
            }
        }
        // 96,000 characters, 1,500 of each; that each class must occur favours the two small ones a little.
        assert_eq!(counts.len(), 64);
        assert!(counts.values().all(|n| (1200..2000).contains(n)), "{counts:?}");
    }

    #[test]
    fn a_password_with_the_accounts_name_in_it_does_not_fit() {
        assert!(fits(b"AAAbbb222---", "jit-tech1"));
        assert!(!fits(b"xJIT-tech1.A", "jit-tech1"));
        assert!(!fits(b"xTech1.Abc-2", "jit-tech1"));
        assert!(!fits(b"AAAbbb---...", "jit-tech1"));
    }
}
