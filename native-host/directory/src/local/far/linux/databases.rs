//! The three files that say who there is: `passwd(5)`, `shadow(5)`, `group(5)`. Readers only, and only of lines: shadow-utils
//! write them. A line that cannot be read still counts where it takes a name.

/// A line of `passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User<'a> {
    pub(super) name: &'a str,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// The first field of the comment, which its owner cannot change.
    pub(super) note: &'a str,
    pub(super) home: &'a str,
}

/// A line of `group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group<'a> {
    pub(super) name: &'a str,
    pub(super) gid: u32,
    pub(super) members: Vec<&'a str>,
}

/// When a line of `shadow` closes an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    /// Not, or nobody can tell: the unsafe case.
    Never,
    /// From the beginning of this day on (days since 1970, UTC).
    Day(i64),
}

/// Several lines have one name: which of them counts is the reader's guess, so none does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Twice;

/// The lines of `passwd` that can be read.
pub(super) fn users(passwd: &str) -> impl Iterator<Item = User<'_>> {
    passwd.lines().filter_map(user)
}

/// The account of this name; a line of this name that cannot be read counts as two.
pub(super) fn user_named<'a>(passwd: &'a str, name: &str) -> Result<Option<User<'a>>, Twice> {
    match (lines_named(passwd, name).next(), lines_named(passwd, name).nth(1)) {
        (None, _) => Ok(None),
        (Some(line), None) => user(line).map(Some).ok_or(Twice),
        (Some(_), Some(_)) => Err(Twice),
    }
}

/// Whether another account has the same number, and so the same files and processes.
pub(super) fn has_twin(passwd: &str, user: &User<'_>) -> bool {
    users(passwd).any(|other| other.uid == user.uid && other.name != user.name)
}

/// The lines of `group` that can be read.
pub(super) fn groups(group: &str) -> impl Iterator<Item = Group<'_>> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _, gid, members) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let members = members.split(',').filter(|member| !member.is_empty()).collect();
        (fields.next().is_none() && !name.is_empty()).then_some(Group { name, gid: number(gid)?, members })
    })
}

/// Whether a file has a line of this name, readable or not.
pub(super) fn has_name(file: &str, name: &str) -> bool {
    lines_named(file, name).next().is_some()
}

/// When an account is closed by its line of `shadow`.
pub(super) fn expiry(shadow: &str, name: &str) -> Expiry {
    let mut lines = lines_named(shadow, name);
    let (Some(line), None) = (lines.next(), lines.next()) else { return Expiry::Never };
    let day = line.split(':').nth(7).filter(|_| line.split(':').count() == 9);
    let is_number = |day: &&str| !day.is_empty() && day.bytes().all(|b| b.is_ascii_digit());
    day.filter(is_number).and_then(|day| day.parse().ok()).map_or(Expiry::Never, Expiry::Day)
}

/// A number of `login.defs(5)`.
pub(super) fn setting(login_defs: &str, name: &str) -> Option<u32> {
    let mut values = login_defs.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == name).then(|| words.next())?
    });
    values.next().and_then(number)
}

fn user(line: &str) -> Option<User<'_>> {
    let mut fields = line.split(':');
    let mut next = || fields.next();
    let (name, _, uid, gid) = (next()?, next()?, next()?, next()?);
    let (comment, home, _) = (next()?, next()?, next()?);
    let note = comment.split(',').next().unwrap_or_default();
    (next().is_none() && !name.is_empty()).then_some(User {
        name,
        uid: number(uid)?,
        gid: number(gid)?,
        note,
        home,
    })
}

fn lines_named<'a>(file: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    file.lines().filter(move |line| line.split(':').next() == Some(name))
}

/// A user's or a group's number. `strtoul` takes more spellings; a line with one of them is not written by a tool.
fn number(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // The greatest stands for "none".
    text.parse().ok().filter(|number| plain && *number != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000:Alice Example,Room 1,,:/home/alice:/bin/bash\n\
                          jit-a:x:1001:1001:ticketgate token=x,7,:/home/jit-a:/bin/bash\n";

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let found = user_named(PASSWD, "jit-a").unwrap().unwrap();
        assert_eq!(
            (found.uid, found.gid, found.note, found.home),
            (1001, 1001, "ticketgate token=x", "/home/jit-a")
        );
        assert_eq!(user_named(PASSWD, "jit-"), Ok(None));
        assert_eq!(user_named(PASSWD, "jit-ab"), Ok(None));
        assert_eq!(user_named("", "jit-a"), Ok(None));
    }

    #[test]
    fn a_name_that_stands_twice_or_in_a_line_that_cannot_be_read_is_nobodys() {
        for more in ["jit-a:x:0:0::/root:/bin/sh", "jit-a", "jit-a:x:1001:1001"] {
            assert_eq!(user_named(&format!("{PASSWD}{more}\n"), "jit-a"), Err(Twice), "{more}");
        }
        for line in [
            "jit-a",
            "jit-a:x:-1:0::/:/bin/sh",
            "jit-a:x::0::/:/bin/sh",
            "jit-a:x:4294967295:0::/:/bin/sh",
            "jit-a:x:+5:0::/:/bin/sh",
            "jit-a:x:0x5:0::/:/bin/sh",
            "jit-a:x:5:0::/:/bin/sh:",
            "jit-a:x:99999999999:0::/:/bin/sh",
        ] {
            assert_eq!(user_named(line, "jit-a"), Err(Twice), "{line}");
            assert!(has_name(line, "jit-a"), "{line}");
        }
    }

    #[test]
    fn two_accounts_with_one_number_are_seen() {
        let user = user_named(PASSWD, "jit-a").unwrap().unwrap();
        assert!(!has_twin(PASSWD, &user));
        assert!(has_twin(&format!("{PASSWD}bob:x:1001:5::/:/bin/sh\n"), &user));
    }

    #[test]
    fn an_expiry_that_is_no_day_counts_as_never() {
        let line = |day: &str| format!("jit-ab:!:1:0:99999:7:::\njit-a:*:20000:0:99999:7::{day}:\n");
        assert_eq!(expiry(&line("1"), "jit-a"), Expiry::Day(1));
        assert_eq!(expiry(&line("20784"), "jit-a"), Expiry::Day(20784));
        for never in ["", "-1", " 1", "+1", "1x", "99999999999999999999"] {
            assert_eq!(expiry(&line(never), "jit-a"), Expiry::Never, "{never}");
        }
        assert_eq!(expiry("", "jit-a"), Expiry::Never);
        assert_eq!(expiry("jit-a:*:20000:0:99999:7:", "jit-a"), Expiry::Never);
        assert_eq!(expiry(&line("1").repeat(2), "jit-a"), Expiry::Never);
    }

    #[test]
    fn groups_show_their_members() {
        let found: Vec<_> = groups("root:x:0:\ndocker:x:998:alice,jit-a\nbroken\nodd:x:y:jit-a\n").collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[1], Group { name: "docker", gid: 998, members: vec!["alice", "jit-a"] });
        assert!(found[0].members.is_empty());
    }

    #[test]
    fn a_setting_is_the_first_line_with_its_name() {
        assert_eq!(
            setting("#UID_MIN 5\nSYS_UID_MIN 101\nUID_MIN\t\t 1000\nUID_MIN 7\n", "UID_MIN"),
            Some(1000)
        );
        assert_eq!(setting("UID_MIN\nUID_MAX x\n", "UID_MIN"), None);
        assert_eq!(setting("UID_MAX x\n", "UID_MAX"), None);
    }

    proptest! {
        #[test]
        fn no_file_makes_a_reader_panic(file in "(jit-a)?[a-z0-9:,\\n-]{0,120}|\\PC{0,80}") {
            let _ = (users(&file).count(), groups(&file).count(), expiry(&file, "jit-a"), setting(&file, "UID_MIN"));
            if let Ok(Some(user)) = user_named(&file, "jit-a") {
                prop_assert_eq!(user.name, "jit-a");
                prop_assert!(has_name(&file, "jit-a"));
                let _ = has_twin(&file, &user);
            }
        }
    }
}
