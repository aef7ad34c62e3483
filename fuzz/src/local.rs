//! What the machine's own side of local accounts reads: a broker's request, `passwd`, `shadow` and `group`, a rule of sudo, a file of
//! keys, a note. What is taken for ours can be written again as the same, to the letter
//! (`ticketgate_directory::local::fuzzing`).

use ticketgate_directory::local::fuzzing;

pub(crate) fn run(data: &[u8]) {
    fuzzing::readers(data);
}
