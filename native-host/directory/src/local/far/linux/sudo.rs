//! A rule of `sudoers(5)` as this product writes it, one in a file, and the reader that takes exactly that and nothing else.
//!
//! `visudo` is no judge of a time: it accepts one without `Z`, which sudo then reads in the caller's time zone. So the only
//! writer of it is [`text`], and what stands in the folder counts as ours only when [`read`] takes it to the letter.

use sha2::{Digest, Sha256};

use super::clock::Second;
use crate::local::request::SudoAsks;
use crate::local::{AccountName, LocalRight, SudoCommand, Token};

const FIRST_LINE: &str = "# Ticketgate made this for a session and takes it away at its end. token=";
/// What every file's name begins with.
const FILE: &str = "ticketgate_";
/// The longest file that can be one of ours: 512 bytes of command, and the rest.
pub(super) const LONGEST: u64 = 1024;

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) account: AccountName,
    pub(super) token: Token,
    pub(super) command: SudoCommand,
    pub(super) asks: SudoAsks,
    pub(super) not_before: Second,
    /// The last second in which sudo takes it.
    pub(super) not_after: Second,
}

impl Rule {
    /// The right that it gives.
    pub(super) fn right(&self) -> LocalRight {
        LocalRight::Sudo(self.command.clone())
    }

    /// The file that it stands in.
    pub(super) fn file(&self) -> String {
        file(&self.account, &self.right().to_string())
    }
}

/// The file as text.
pub(super) fn text(rule: &Rule) -> String {
    let Rule { account, token, command, asks, not_before, not_after } = rule;
    // The order is sudo's grammar: times stand behind the users that a command runs as and before the tag.
    format!(
        "{FIRST_LINE}{token}\n{account} ALL=(ALL:ALL) NOTBEFORE={not_before} NOTAFTER={not_after} {} {command}\n",
        tag(*asks)
    )
}

/// The rule that a file holds; none when anything in it is not as [`text`] writes it.
pub(super) fn read(file: &str) -> Option<Rule> {
    let (first, rest) = file.split_once('\n')?;
    let token = Token::new(first.strip_prefix(FIRST_LINE)?).ok()?;
    let mut words = rest.strip_suffix('\n')?.splitn(6, ' ');
    let account = AccountName::new(words.next()?).ok()?;
    if words.next()? != "ALL=(ALL:ALL)" {
        return None;
    }
    let not_before = words.next()?.strip_prefix("NOTBEFORE=")?.parse().ok()?;
    let not_after = words.next()?.strip_prefix("NOTAFTER=")?.parse().ok()?;
    let written = words.next()?;
    let asks = [SudoAsks::Password, SudoAsks::Nothing].into_iter().find(|asks| tag(*asks) == written)?;
    let command = SudoCommand::new(words.next()?).ok()?;
    let rule = Rule { account, token, command, asks, not_before, not_after };
    (text(&rule) == file).then_some(rule)
}

/// The tag is always there: a `Defaults !authenticate` of the machine does not make a rule of ours a freer one.
fn tag(asks: SudoAsks) -> &'static str {
    match asks {
        SudoAsks::Password => "PASSWD:",
        SudoAsks::Nothing => "NOPASSWD:",
    }
}

/// The file for a right of an account. sudo skips names with a `.`, and neither part has one.
pub(super) fn file(account: &AccountName, right: &str) -> String {
    format!("{FILE}{account}_{}", mark(right))
}

/// The account and the mark of the right, when a file's name is one of ours.
pub(super) fn file_name(name: &str) -> Option<(AccountName, &str)> {
    let (account, mark) = name.strip_prefix(FILE)?.rsplit_once('_')?;
    let is_mark = mark.len() == 8 && mark.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    is_mark.then_some((AccountName::new(account).ok()?, mark))
}

/// Eight hex digits that stand for a text: of a right in a file's name, of a line that is not ours in the name of a right.
pub(super) fn mark(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOKEN: &str = "k3v9k3v9k3v9k3v9k3v9k3v9k3";

    fn rule(command: &str) -> Rule {
        Rule {
            account: AccountName::new("jit-tech1").unwrap(),
            token: Token::new(TOKEN).unwrap(),
            command: SudoCommand::new(command).unwrap(),
            asks: SudoAsks::Nothing,
            not_before: "20261126093000Z".parse().unwrap(),
            not_after: "20261126103000Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_rule_stands_in_two_lines_and_is_read_back() {
        let rule = rule("/usr/bin/systemctl restart nginx");
        let text = text(&rule);
        assert_eq!(
            text,
            "# Ticketgate made this for a session and takes it away at its end. token=k3v9k3v9k3v9k3v9k3v9k3v9k3\n\
             jit-tech1 ALL=(ALL:ALL) NOTBEFORE=20261126093000Z NOTAFTER=20261126103000Z NOPASSWD: /usr/bin/systemctl restart nginx\n"
        );
        assert_eq!(read(&text), Some(rule));
    }

    #[test]
    fn a_file_that_differs_in_anything_is_not_ours() {
        let good = text(&rule("ALL"));
        for bad in [
            String::new(),
            good.replace("103000Z", "103000"),
            good.replace("103000Z", "103000+0100"),
            good.replace("103000Z", "103000.5Z"),
            good.replace("20261126103000Z", "20261326103000Z"),
            good.replace(" NOTAFTER=20261126103000Z", ""),
            good.replace("NOTBEFORE=20261126093000Z ", ""),
            good.replace("jit-tech1", "alice"),
            good.replace("jit-tech1", "ALL"),
            good.replace("NOPASSWD:", "NOPASSWD:SETENV:"),
            good.replace("NOPASSWD: ", ""),
            good.replace("NOPASSWD: ALL", "NOPASSWD: ALL, /bin/sh"),
            good.replace(" ALL=", "  ALL="),
            good.replace(TOKEN, "short"),
            good.trim_end().to_owned(),
            format!("{good}\n"),
            format!("{good}alice ALL=(ALL:ALL) ALL\n"),
            good.replace('\n', "\r\n"),
        ] {
            assert_eq!(read(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_file_is_named_after_account_and_right_in_a_way_that_sudo_reads() {
        let rule = rule("ALL");
        let name = rule.file();
        assert_eq!(file_name(&name), Some((rule.account.clone(), mark("sudo:ALL").as_str())));
        assert!(!name.contains(['.', '~', '/']), "{name}");
        let odd = AccountName::new("jit-a_b").unwrap();
        assert_eq!(file_name(&file(&odd, "sudo:ALL")).unwrap().0, odd);
        for other in [
            "README",
            "ticketgate",
            "ticketgate_jit-a",
            "ticketgate_jit-a_1234567G",
            "ticketgate_alice_12345678",
            "ticketgate__12345678",
        ] {
            assert_eq!(file_name(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_rule_is_read_as_it_is_written(
            account in "jit-[a-z0-9_-]{1,28}", token in "[a-z0-9]{26}",
            command in "ALL|(/[A-Za-z0-9_.@%+-]{1,8}){1,4}( [A-Za-z0-9_./@%+-]{1,8}){0,4}",
            password: bool, from in 0_i64..200_000_000_000, span in 0_i64..100_000,
        ) {
            let Ok(command) = SudoCommand::new(&command) else { return Ok(()) };
            let second = |at| Second::of(chrono::DateTime::from_timestamp(at, 0).unwrap()).unwrap();
            let rule = Rule {
                account: AccountName::new(account).unwrap(),
                token: Token::new(token).unwrap(),
                command,
                asks: if password { SudoAsks::Password } else { SudoAsks::Nothing },
                not_before: second(from),
                not_after: second(from + span),
            };
            let text = text(&rule);
            prop_assert_eq!(text.lines().count(), 2);
            prop_assert!(u64::try_from(text.len()).unwrap() <= LONGEST);
            prop_assert_eq!(file_name(&rule.file()).map(|(account, _)| account), Some(rule.account.clone()));
            prop_assert_eq!(read(&text), Some(rule));
        }

        #[test]
        fn no_change_of_one_byte_passes_but_as_another_rule_of_ours(at in 0_usize..200, byte: u8) {
            let good = text(&rule("/usr/bin/id -u"));
            let mut bytes = good.into_bytes();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            if let Ok(changed) = String::from_utf8(bytes)
                && let Some(rule) = read(&changed)
            {
                prop_assert_eq!(text(&rule), changed);
            }
        }
    }
}
