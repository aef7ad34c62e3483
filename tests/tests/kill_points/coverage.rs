//! Whether every point that the code has is played. A new write or call that no story passes fails the run.

use std::collections::BTreeSet;

use anyhow::ensure;
use ticketgate_tests::world::workspace;
use ticketgate_tests::{Result, points};

/// Points that no story of this matrix passes: each with the file and the name of the test that makes it fail.
const ELSEWHERE: [(&str, &str, &str); 20] = [
    (
        "ledger.account_gone",
        "native-host/src/broker/tests/leavers.rs",
        "an_account_whose_deletion_cannot_be_recorded_is_closed_and_stays_until_it_can",
    ),
    (
        "ledger.account_overtaken",
        "native-host/src/broker/tests/many/paused.rs",
        "a_late_write_whose_record_fails_at_first_is_undone_once_it_is_on_record",
    ),
    (
        "ledger.account_recovered",
        "tests/tests/kill_points/recovery.rs",
        "a_recovery_whose_first_write_fails_is_made_whole_by_the_next",
    ),
    (
        "ledger.begun",
        "tests/tests/kill_points/recovery.rs",
        "that_a_ledger_was_lost_is_told_also_where_it_cannot_be_recorded",
    ),
    (
        "ledger.note_given_up",
        "native-host/src/broker/tests/notes.rs",
        "giving_up_is_on_record_once_however_the_ledger_answers",
    ),
    (
        "ledger.note_sending",
        "native-host/src/broker/tests/notes.rs",
        "a_write_that_fails_or_whose_answer_is_lost_makes_no_second_note_and_loses_none",
    ),
    (
        "ledger.note_sent",
        "native-host/src/broker/tests/notes.rs",
        "a_write_that_fails_or_whose_answer_is_lost_makes_no_second_note_and_loses_none",
    ),
    (
        "ledger.put_aside",
        "tests/tests/recover.rs",
        "a_recovery_from_damage_that_is_killed_at_any_point_is_made_whole_by_the_next",
    ),
    (
        "ledger.read_aside",
        "tests/tests/recover.rs",
        "a_recovery_from_damage_that_is_killed_at_any_point_is_made_whole_by_the_next",
    ),
    (
        "ledger.sign_in",
        "tests/tests/technicians_sign_in.rs",
        "a_sign_in_that_cannot_be_recorded_is_forgotten_again",
    ),
    (
        "ledger.sign_in_ended",
        "native-host/src/broker/tests/unrecorded.rs",
        "an_end_of_a_sign_in_that_cannot_be_recorded_is_not_said_to_be_done_whoever_asks",
    ),
    (
        "ledger.sign_in_failed",
        "native-host/src/broker/tests/sign_ins.rs",
        "a_key_store_that_takes_nothing_leaves_the_sign_in_before_and_is_on_record",
    ),
    (
        "ledger.sign_in_found",
        "tests/tests/technicians_sign_in.rs",
        "of_a_sign_in_in_which_the_broker_was_killed_the_next_one_records_what_became_of_it",
    ),
    (
        "ledger.sign_in_refused",
        "native-host/src/broker/tests/unrecorded.rs",
        "a_refused_sign_in_that_cannot_be_recorded_is_still_refused_and_the_next_is_on_record",
    ),
    (
        "ledger.signing_in",
        "tests/tests/technicians_sign_in.rs",
        "of_a_sign_in_in_which_the_broker_was_killed_the_next_one_records_what_became_of_it",
    ),
    (
        "ledger.team_sign_in",
        "native-host/src/broker/tests/unrecorded.rs",
        "a_sign_in_that_cannot_be_recorded_gives_no_token_and_none_is_good",
    ),
    (
        "ledger.technician_removed",
        "native-host/src/broker/tests/leavers.rs",
        "a_removal_that_cannot_be_recorded_ends_and_deletes_nothing_and_can_be_asked_again",
    ),
    (
        "ledger.ticket_closed",
        "native-host/src/broker/tests/closing.rs",
        "a_shortening_that_cannot_be_written_is_made_by_the_next_look_and_one_whose_answer_was_lost_counts",
    ),
    (
        "ledger.token_refused",
        "native-host/src/broker/tests/unrecorded.rs",
        "a_token_that_is_over_is_refused_also_where_that_cannot_be_recorded_and_the_next_time_on_record",
    ),
    (
        "ledger.tokens",
        "native-host/src/broker/tests/unrecorded.rs",
        "a_token_that_cannot_be_recorded_does_not_exist_and_one_whose_end_cannot_be_is_not_revoked",
    ),
];

/// Compares what was played with what there is.
pub(crate) fn every_point_is_played<'a>(played: impl Iterator<Item = &'a str>) -> Result<()> {
    let played: BTreeSet<_> = played.map(str::to_owned).collect();
    let points = points::all()?;
    let unknown: Vec<_> = played.difference(&points).collect();
    ensure!(unknown.is_empty(), "a broker passed {unknown:?}, which `points::all` does not find in the code");
    let elsewhere = |point: &String| ELSEWHERE.iter().any(|(other, ..)| point == other);
    let forgotten: Vec<_> = points.iter().filter(|one| !played.contains(*one) && !elsewhere(one)).collect();
    ensure!(
        forgotten.is_empty(),
        "no story plays {forgotten:?}; add one, or name the test that makes them fail"
    );
    for (point, file, test) in ELSEWHERE {
        ensure!(points.contains(point) && !played.contains(point), "{point} is not one for {test} any more");
        let text = std::fs::read_to_string(workspace().join(file))?;
        ensure!(
            text.contains(&format!("fn {test}(")) && text.contains(point),
            "{file} does not test {point} in {test}"
        );
    }
    Ok(())
}
