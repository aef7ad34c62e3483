//! One ticket for a tab out of what its frames show.

use std::cmp::Reverse;

use super::{Certainty, FieldCertainty, Recognised, Recognition};

/// The frame whose ticket counts for the tab, and the ticket. Frame 0 is the page itself.
///
/// A frame that is not visible never counts (a preloaded or cached ticket is not the one the person looks at). Of the
/// others the one of the least [`rank`] does.
#[must_use]
pub fn best_of(frames: &[(i64, Recognition)]) -> Option<(i64, &Recognised)> {
    frames
        .iter()
        .filter_map(|(frame, recognition)| match recognition {
            Recognition::Ticket(found) if found.shown => Some((*frame, &**found)),
            _ => None,
        })
        .min_by_key(|(frame, found)| rank(*frame, &found.certainty))
}

/// Where a frame stands among those that show a ticket; the least one counts. A frame inside the page wins over the page
/// around it (Autotask's shell); then the one that says more for sure; then the one that the browser numbered first, so
/// that the answer does not flicker.
#[must_use]
pub fn rank(frame: i64, certainty: &FieldCertainty) -> (bool, Reverse<usize>, i64) {
    (frame == 0, Reverse(fields_known(certainty)), frame)
}

fn fields_known(certainty: &FieldCertainty) -> usize {
    [certainty.number, certainty.summary, certainty.customer, certainty.contact, certainty.status]
        .into_iter()
        .map(|field| match field {
            Certainty::Missing => 0,
            Certainty::Guessed | Certainty::Likely => 1,
            Certainty::Sure => 2,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use ticketgate_protocol::ticket::Ticket;

    use super::*;
    use crate::FieldCertainty;

    fn ticket(number: &str, shown: bool, summary: Certainty) -> Recognition {
        Recognition::Ticket(Box::new(Recognised {
            ticket: Ticket { number: number.into(), ..Ticket::default() },
            certainty: FieldCertainty { number: Certainty::Sure, summary, ..FieldCertainty::default() },
            shown,
        }))
    }

    fn best(frames: &[(i64, Recognition)]) -> Option<(i64, String)> {
        best_of(frames).map(|(frame, found)| (frame, found.ticket.number.clone()))
    }

    #[test]
    fn a_visible_inner_frame_wins_over_the_page_around_it() {
        let inner = ticket("2", true, Certainty::Missing);
        let outer = ticket("1", true, Certainty::Sure);
        assert_eq!(best(&[(0, outer.clone()), (7, inner)]), Some((7, "2".into())));
        assert_eq!(best(&[(0, outer), (7, Recognition::NotATicketPage)]), Some((0, "1".into())));
    }

    #[test]
    fn hidden_frames_never_count() {
        let hidden = ticket("2", false, Certainty::Sure);
        assert_eq!(
            best(&[(0, ticket("1", true, Certainty::Missing)), (7, hidden.clone())]),
            Some((0, "1".into()))
        );
        assert_eq!(best(&[(7, hidden)]), None);
        assert_eq!(best(&[]), None);
    }

    #[test]
    fn of_two_inner_frames_the_one_that_says_more_wins_whatever_their_order() {
        let (poor, rich) = (ticket("2", true, Certainty::Guessed), ticket("3", true, Certainty::Sure));
        assert_eq!(best(&[(4, poor.clone()), (9, rich.clone())]), Some((9, "3".into())));
        assert_eq!(best(&[(9, rich), (4, poor)]), Some((9, "3".into())));
    }
}
