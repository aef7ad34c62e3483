//! `rules test`: recognition rules, without a broker or a browser. What each subcommand does is in the file of its name.

mod test;

use std::io::Write;
use std::process::ExitCode;

use super::arguments;

pub(super) fn run(out: &mut dyn Write, json: bool, what: arguments::Rules) -> anyhow::Result<ExitCode> {
    match what {
        arguments::Rules::Test(how) => test::run(out, json, &how),
    }
}
