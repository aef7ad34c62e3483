//! The note of a JIT account, as it stands in the first field of the account's comment (GECOS). Only root writes that field
//! (`CHFN_RESTRICT`), everybody may read it, and the machine alone can do from it what a session's end asks for.
//!
//! `ticketgate token=… owner=… gen=7 until=20261126T103000.250Z end=20261126103000Z proc=own`, and `until=-` on a closed account.
//! Not the form of Active Directory's note: a `:` ends the field.

use ticketgate_protocol::ids::TechnicianId;

use super::clock::{Second, exact, of_exact};
use crate::local::Token;
use crate::local::request::{Note, Processes, Whose, Window};

const SIGN: &str = "ticketgate";
/// More than the longest note.
const LONGEST: usize = 400;

/// The note as text: nothing in it is read otherwise by `passwd(5)`. None when an end cannot be written.
pub(super) fn format(note: &Note) -> Option<String> {
    let Whose { owner, generation } = &note.whose;
    let window = match &note.window {
        None => "until=-".to_owned(),
        Some(Window { until, end, processes }) => {
            let (until, end) = (exact(*until), Second::of(*end)?);
            format!("until={until} end={end} proc={}", word(*processes))
        }
    };
    let text = format!("{SIGN} token={} owner={owner} gen={generation} {window}", note.token);
    (parse(&text)? == *note).then_some(text)
}

/// The note that a comment holds; none when it is not one of ours to the letter.
pub(super) fn parse(text: &str) -> Option<Note> {
    let mut words = text.split(' ');
    if text.len() > LONGEST || words.next()? != SIGN {
        return None;
    }
    let mut next = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
    let token = Token::new(next("token")?).ok()?;
    let owner = TechnicianId::new(next("owner")?).ok()?;
    let written = next("gen")?;
    let generation: u64 = written.parse().ok()?;
    let window = match next("until")? {
        "-" => None,
        until => Some(Window {
            until: of_exact(until)?,
            end: next("end")?.parse::<Second>().ok()?.time(),
            processes: processes_of(next("proc")?)?,
        }),
    };
    let whole = words.next().is_none() && generation.to_string() == written;
    whole.then_some(Note { token, whose: Whose { owner, generation }, window })
}

fn word(processes: Processes) -> &'static str {
    match processes {
        Processes::Stay => "stay",
        Processes::Own => "own",
        Processes::All => "all",
    }
}

fn processes_of(written: &str) -> Option<Processes> {
    [Processes::Stay, Processes::Own, Processes::All]
        .into_iter()
        .find(|processes| word(*processes) == written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use proptest::prelude::*;

    const TOKEN: &str = "k3v9k3v9k3v9k3v9k3v9k3v9k3";

    fn note(window: Option<Window>) -> Note {
        let owner = TechnicianId::new("tech.1").unwrap();
        Note { token: Token::new(TOKEN).unwrap(), whose: Whose { owner, generation: 7 }, window }
    }

    #[test]
    fn a_note_reads_well_and_is_read_back() {
        let until = DateTime::from_timestamp(1_795_689_000, 250_000_000).unwrap();
        let end = DateTime::from_timestamp(1_795_689_000, 0).unwrap();
        let open = note(Some(Window { until, end, processes: Processes::Own }));
        let text = format(&open).unwrap();
        assert_eq!(
            text,
            format!(
                "ticketgate token={TOKEN} owner=tech.1 gen=7 until=20261126T103000.250Z end=20261126103000Z proc=own"
            )
        );
        assert_eq!(parse(&text), Some(open));
        assert_eq!(
            format(&note(None)).unwrap(),
            format!("ticketgate token={TOKEN} owner=tech.1 gen=7 until=-")
        );
    }

    #[test]
    fn a_text_that_is_not_ours_to_the_letter_is_no_note() {
        let good = format!("ticketgate token={TOKEN} owner=tech1 gen=7 until=-");
        assert!(parse(&good).is_some());
        for other in [
            String::new(),
            "Alice Example,Room 1,,".to_owned(),
            format!("{good} "),
            format!("{good},,,"),
            format!(" {good}"),
            good.replace("gen=7", "gen=07"),
            good.replace("gen=7", "gen=+7"),
            good.replace("gen=7", "gen=-7"),
            good.replace("until=-", "until=20261126T103000Z"),
            good.replace("until=-", "until=20261126T103000Z end=20261126103000 proc=own"),
            good.replace("until=-", "until=20261126T103000Z end=20261126103000Z proc=every"),
            good.replace(TOKEN, "short"),
            good.replace("owner=tech1", "owner=Tech 1"),
            good.replace("ticketgate", "Ticketgate"),
        ] {
            assert_eq!(parse(&other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_note_survives_being_written_and_read_and_breaks_no_line(
            owner in "[a-z0-9][a-z0-9._-]{0,63}", token in "[a-z0-9]{26}", generation: u64,
            window in proptest::option::of((0_i64..200_000_000_000, 0_u32..1_000_000_000, 0_i64..200_000_000_000, 0_usize..3)),
        ) {
            let processes = [Processes::Stay, Processes::Own, Processes::All];
            let window = window.map(|(until, nanos, end, p)| Window {
                until: DateTime::from_timestamp(until, nanos).unwrap(),
                end: DateTime::from_timestamp(end, 0).unwrap(),
                processes: processes[p],
            });
            let whose = Whose { owner: TechnicianId::new(owner).unwrap(), generation };
            let note = Note { token: Token::new(token).unwrap(), whose, window };
            let text = format(&note).unwrap();
            prop_assert!(!text.contains([':', ',', '\n', '"', '\\']), "{}", text);
            prop_assert_eq!(parse(&text), Some(note));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "(ticketgate token=k3v9k3v9k3v9k3v9k3v9k3v9k3 owner=a gen=1 )?[a-z0-9=% Z-]{0,60}|\\PC{0,60}") {
            if let Some(note) = parse(&text) {
                prop_assert_eq!(format(&note), Some(text));
            }
        }
    }
}
