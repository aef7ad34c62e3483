use super::*;

fn part(state: State) -> Session {
    let at = DateTime::UNIX_EPOCH;
    Session {
        id: "s-1".parse().unwrap(),
        whole: None,
        state,
        technician: "tech1".parse().unwrap(),
        customer: "acme".parse().unwrap(),
        directory: "acme-ad".parse().unwrap(),
        policy: "all".parse().unwrap(),
        policy_name: "All".into(),
        mode: Mode::Dedicated,
        account: AccountKey("acme-ad/dedicated/tech1".into()),
        rights: Vec::new(),
        reason: String::new(),
        ticket: None,
        requested_at: at,
        from: at,
        until: at,
        latest_end: at,
        active_at: None,
        end_cause: None,
        ended_at: None,
        trouble: None,
        version: 1,
    }
}

#[test]
fn a_session_stands_where_its_parts_let_it() {
    use State::{Activating, Active, Ended, Ending, Failed};
    let cases: &[(&[State], State)] = &[
        (&[Activating], Activating),
        (&[Failed], Failed),
        (&[Activating, Activating], Activating),
        (&[Active, Activating], Activating),
        (&[Active, Active], Active),
        (&[Active, Active, Activating], Activating),
        (&[Active, Ending], Ending),
        (&[Activating, Ending], Ending),
        (&[Activating, Failed], Ending),
        (&[Active, Ended], Ending),
        (&[Ending, Ended], Ending),
        (&[Ending, Failed], Ending),
        (&[Ended, Ended], Ended),
        (&[Ended, Failed], Failed),
        (&[Failed, Failed], Failed),
    ];
    for (states, whole) in cases {
        let mut parts: Vec<_> = states.iter().copied().map(part).collect();
        assert_eq!(state_of(&parts), *whole, "{states:?}");
        parts.reverse();
        assert_eq!(state_of(&parts), *whole, "{states:?} the other way round");
    }
}

#[test]
fn a_session_of_one_part_stands_where_that_stands() {
    let all = [State::Pending, State::Approved, State::Denied, State::Lapsed, State::Ended, State::Unknown];
    for state in all {
        assert_eq!(state_of(&[part(state)]), state);
    }
    assert_eq!(state_of(&[]), State::Unknown, "of none nothing is known");
}
