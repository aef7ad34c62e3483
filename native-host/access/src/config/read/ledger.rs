//! `[ledger]`: the database of brokers that share one. Read with the whole file, and once alone when a broker starts.

use super::tree::{At, Notes, Section};
use super::{Faults, directory, parsed, sorted};
use crate::config::LedgerPlace;

/// `[ledger]` alone, `None` where there is none. Faults elsewhere in the file do not matter to it: what is open has to end.
///
/// # Errors
/// [`Faults`] of the table itself, or of a file that is no TOML.
pub fn ledger(text: &str) -> Result<Option<LedgerPlace>, Faults> {
    let mut notes = Notes::new(text);
    let tree = parsed(text, &mut notes)?;
    let ledger = read(&Section::whole_file(tree.get_ref()), &mut notes);
    if notes.faults.is_empty() { Ok(ledger) } else { Err(sorted(notes.faults)) }
}

pub(super) fn read(file: &Section<'_>, notes: &mut Notes) -> Option<LedgerPlace> {
    let section = file.table("ledger", notes)?;
    section.only(&["postgres", "password", "ca_file"], notes);
    let password =
        if section.has("password") { directory::secret(&section, "password", notes) } else { None };
    let ca_file = section.text("ca_file", 4096, notes).map(|At { line, value }| {
        if !directory::is_absolute(&value) {
            notes.fault(
                line,
                "`ca_file` of [ledger] must be the whole path of a file, such as \"/etc/ticketgate/db-ca.crt\"",
            );
        }
        value
    });
    if !section.has("postgres") {
        notes.fault(
            section.line,
            "[ledger] has no `postgres`; write \"host=db.example dbname=ticketgate user=ticketgate\", or leave the table out",
        );
    }
    let At { line, value: postgres } = section.text("postgres", 4096, notes)?;
    if has_password(&postgres) {
        notes.fault(
            line,
            "`postgres` of [ledger] holds a password; secrets never stand in this file: use password = { file = … }",
        );
    }
    Some(LedgerPlace { postgres, password, ca_file })
}

/// `password=` among the words, or `user:password@` in an address.
fn has_password(postgres: &str) -> bool {
    let written = postgres.to_ascii_lowercase();
    let after_scheme = written.split_once("://").map_or("", |(_, rest)| rest);
    let user =
        after_scheme.split(['/', '?']).next().and_then(|place| place.rsplit_once('@')).map(|(user, _)| user);
    written.contains("password") || user.is_some_and(|user| user.contains(':'))
}
