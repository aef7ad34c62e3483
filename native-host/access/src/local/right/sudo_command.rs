//! A command as it may stand in a `sudo` rule. What sudo would read as a pattern, a list or an escape is refused: its `*` matches
//! `/` and blanks, and a comma begins the next command.

use std::fmt;

use super::BadRight;

/// Longer ones are no right but a program.
const LONGEST: usize = 512;

/// `ALL`, or a program from `/` with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SudoCommand(String);

impl SudoCommand {
    /// Checks a text. A program without arguments stands for any arguments, as sudo has it.
    ///
    /// # Errors
    /// [`BadRight::Command`]
    pub fn new(text: &str) -> Result<Self, BadRight> {
        let mut words = text.split(' ');
        let program = words.next().unwrap_or_default();
        let is_plain = |word: &str| !word.is_empty() && word.bytes().all(plain);
        let fits = text == "ALL" || is_program(program) && words.all(is_plain);
        if fits && text.len() <= LONGEST {
            return Ok(Self(text.to_owned()));
        }
        Err(BadRight::Command(text.chars().take(60).collect()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SudoCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_./@%+-".contains(&byte)
}

/// A path to one file: one that ends with `/` would be every program of a folder.
fn is_program(path: &str) -> bool {
    let mut parts = path.split('/');
    let from_root = path.starts_with('/') && parts.next().is_some();
    from_root && parts.all(|part| !matches!(part, "" | "." | "..") && part.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_program_with_plain_arguments_is_taken() {
        for good in [
            "ALL",
            "/usr/bin/id",
            "/usr/bin/systemctl restart nginx@1.service",
            "/usr/bin/apt-get -y install g++",
            "/x %a +b",
        ] {
            assert_eq!(SudoCommand::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn what_sudo_reads_as_more_than_one_command_is_refused() {
        for bad in [
            "",
            "all",
            "id",
            "ALL ",
            " ALL",
            "ALL, /bin/sh",
            "/",
            "/usr/bin/",
            "//bin/sh",
            "/usr/../bin/sh",
            "/usr/./bin/sh",
            "/bin/cat /var/log/*",
            "/bin/cat ?",
            "/bin/[a-z]",
            "!/bin/sh",
            "/bin/sh,/bin/id",
            "/bin/sh:x",
            "/bin/sh a=b",
            "/bin/sh \\",
            "/bin/sh \"\"",
            "/bin/sh #",
            "/bin/sh  a",
            "/bin/sh ",
            "/bin/sh\n/bin/id",
            "/bin/sh\t-c",
            "sudoedit /etc/passwd",
            "ALL /bin/sh",
            "/bin/größe",
            "NOPASSWD:ALL",
            "/bin/sh 'a'",
            "^/bin/sh$",
        ] {
            assert!(matches!(SudoCommand::new(bad), Err(BadRight::Command(_))), "{bad:?}");
        }
        assert!(SudoCommand::new(&format!("/{}", "a".repeat(LONGEST))).is_err());
    }
}
