//! Names of groups of Windows that no language changes: security identifiers (MS-DTYP 2.4.2.1).

use std::fmt;
use std::str::FromStr;

use super::{GroupName, LocalRight};

/// `S-1-5-32-544`. Only as Windows itself writes it, so that equal ones are equal texts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(String);

/// A text is no such name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no SID as Windows writes it, such as S-1-5-32-544")]
pub struct BadSid;

/// Groups that every Windows has, by the names that an English one has for them.
const BUILT_IN: [(&str, &str); 17] = [
    ("Administrators", "S-1-5-32-544"),
    ("Users", "S-1-5-32-545"),
    ("Guests", "S-1-5-32-546"),
    ("Power Users", "S-1-5-32-547"),
    ("Backup Operators", "S-1-5-32-551"),
    ("Replicator", "S-1-5-32-552"),
    ("Remote Desktop Users", "S-1-5-32-555"),
    ("Network Configuration Operators", "S-1-5-32-556"),
    ("Performance Monitor Users", "S-1-5-32-558"),
    ("Performance Log Users", "S-1-5-32-559"),
    ("Distributed COM Users", "S-1-5-32-562"),
    ("IIS_IUSRS", "S-1-5-32-568"),
    ("Cryptographic Operators", "S-1-5-32-569"),
    ("Event Log Readers", "S-1-5-32-573"),
    ("Hyper-V Administrators", "S-1-5-32-578"),
    ("Access Control Assistance Operators", "S-1-5-32-579"),
    ("Remote Management Users", "S-1-5-32-580"),
];

impl Sid {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last of its numbers, by which an account is known on its machine.
    #[must_use]
    pub fn relative_id(&self) -> &str {
        self.0.rsplit('-').next().unwrap_or_default()
    }

    /// The group that an English Windows calls so, on any.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        let found = BUILT_IN.iter().find(|(english, _)| english.eq_ignore_ascii_case(name))?;
        Some(Self(found.1.to_owned()))
    }

    /// What an English Windows calls it, where every Windows has it.
    #[must_use]
    pub fn english(&self) -> Option<&'static str> {
        BUILT_IN.iter().find(|(_, sid)| *sid == self.0).map(|(english, _)| *english)
    }

    /// The group as a right.
    #[must_use]
    pub fn right(&self) -> String {
        format!("group:{self}")
    }

    /// The group that a right is.
    #[must_use]
    pub fn of_right(right: &LocalRight) -> Option<Self> {
        match right {
            LocalRight::Group(name) => name.as_str().parse().ok(),
            LocalRight::Sudo(_) | LocalRight::Key(_) => None,
        }
    }

    /// The group that a policy names: by its SID, or as an English Windows calls it (`group:Remote Desktop Users`).
    #[must_use]
    pub fn of_written(right: &str) -> Option<Self> {
        let group = right.strip_prefix("group:")?;
        group.parse().ok().or_else(|| Self::built_in(group))
    }
}

impl FromStr for Sid {
    type Err = BadSid;

    fn from_str(text: &str) -> Result<Self, BadSid> {
        let number = |text: &str, most: u64| {
            let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
            text.parse::<u64>().ok().filter(|value| plain && *value <= most).ok_or(BadSid)
        };
        let mut parts = text.strip_prefix("S-1-").ok_or(BadSid)?.split('-');
        // From 2^32 on Windows writes the authority otherwise; there is none.
        number(parts.next().ok_or(BadSid)?, u32::MAX.into())?;
        let parts: Vec<_> = parts.collect();
        if parts.is_empty() || parts.len() > 15 {
            return Err(BadSid);
        }
        for part in parts {
            number(part, u32::MAX.into())?;
        }
        Ok(Self(text.to_owned()))
    }
}

impl From<Sid> for LocalRight {
    fn from(sid: Sid) -> Self {
        Self::Group(GroupName::of_sid(sid))
    }
}

impl From<Sid> for String {
    fn from(sid: Sid) -> Self {
        sid.0
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_group_of_every_windows_is_known_by_its_english_name_and_by_its_number() {
        for (english, sid) in BUILT_IN {
            let parsed: Sid = sid.parse().unwrap();
            assert_eq!(Sid::built_in(english), Some(parsed.clone()));
            assert_eq!(Sid::of_written(&format!("group:{english}")), Some(parsed.clone()));
            assert_eq!(Sid::of_written(&format!("group:{sid}")), Some(parsed.clone()));
            assert_eq!(parsed.english(), Some(english));
            assert_eq!(Sid::of_right(&parsed.clone().into()), Some(parsed));
        }
        assert_eq!(Sid::of_written("group:administrators"), Sid::built_in("Administrators"));
        assert_eq!(Sid::of_written("group:Administratoren"), None, "it would be another on another machine");
        assert_eq!(Sid::of_written("Administrators"), None);
    }

    #[test]
    fn a_group_of_one_machine_is_known_by_its_number() {
        let own: Sid = "S-1-5-21-3623811015-3361044348-30300820-1013".parse().unwrap();
        assert_eq!((own.relative_id(), own.english()), ("1013", None));
        assert_eq!(own.right().parse::<LocalRight>().unwrap(), own.into());
    }

    #[test]
    fn a_text_that_windows_would_write_otherwise_is_no_sid() {
        for bad in [
            "",
            "S-1",
            "S-1-",
            "S-1-5",
            "s-1-5-32",
            "S-2-5-32",
            "S-1-5-032",
            "S-1-05-32",
            "S-1-5-32-",
            "S-1-5--32",
            "S-1-5-4294967296",
            "S-1-4294967296-1",
            "S-1-5-+32",
            "S-1-5-32 ",
            " S-1-5-32",
            "S-1-0x5-1",
            "S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16",
        ] {
            assert_eq!(bad.parse::<Sid>(), Err(BadSid), "{bad}");
        }
        assert!("S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15".parse::<Sid>().is_ok());
    }

    proptest! {
        #[test]
        fn what_is_a_sid_is_a_right_and_comes_back(numbers in proptest::collection::vec(any::<u32>(), 1..=15), authority in 0_u32..100) {
            let numbers: Vec<_> = numbers.iter().map(u32::to_string).collect();
            let text = format!("S-1-{authority}-{}", numbers.join("-"));
            let sid: Sid = text.parse().unwrap();
            let right: LocalRight = sid.right().parse().unwrap();
            prop_assert_eq!(Sid::of_right(&right), Some(sid));
            prop_assert_eq!(right.to_string(), format!("group:{text}"));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "(S-1-)?[0-9S -]{0,40}|\\PC{0,20}") {
            if let Ok(sid) = text.parse::<Sid>() {
                prop_assert_eq!(sid.to_string(), text);
            }
        }
    }
}
