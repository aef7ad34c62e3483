//! Which protocol both sides speak. Pure; one release back always works, and a larger gap says which side to update.

use ticketgate_protocol::native::Hello;
use ticketgate_protocol::problem::{Code, Problem};
use ticketgate_protocol::{PROTOCOL, PROTOCOL_MIN};

use crate::platform::{Here, Platform};

/// The highest protocol that extension and host share.
///
/// # Errors
/// `protocol_mismatch` names the side to update.
pub(super) fn negotiate(hello: &Hello) -> Result<u32, Problem> {
    if hello.protocol_min > hello.protocol_max {
        return Err(Problem::new(Code::MalformedRequest, "hello names an empty range of protocols."));
    }
    shared((hello.protocol_min, hello.protocol_max), (PROTOCOL_MIN, PROTOCOL)).map_err(|older| match older {
        Older::Theirs => mismatch("The extension is too old for this host.", "Update the extension."),
        Older::Ours => {
            mismatch("This host is too old for the extension.", "Update the host (the ticketgate package).")
        }
    })
}

/// The same towards the broker, which may be another release that still runs.
pub(super) fn negotiate_with_broker(min: u32, max: u32) -> Result<u32, Problem> {
    shared((min, max), (PROTOCOL_MIN, PROTOCOL)).map_err(|older| match older {
        Older::Theirs => mismatch(
            "The broker that runs is too old for this host.",
            &format!("Run: {}", Here::HOW_TO_RESTART),
        ),
        Older::Ours => mismatch(
            "This host is too old for the broker that runs.",
            "Update the host (the ticketgate package).",
        ),
    })
}

enum Older {
    Theirs,
    Ours,
}

fn shared(theirs: (u32, u32), ours: (u32, u32)) -> Result<u32, Older> {
    if theirs.1 < ours.0 {
        Err(Older::Theirs)
    } else if ours.1 < theirs.0 {
        Err(Older::Ours)
    } else {
        Ok(theirs.1.min(ours.1))
    }
}

fn mismatch(detail: &str, remedy: &str) -> Problem {
    Problem::new(Code::ProtocolMismatch, detail).remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_shared_protocol_is_spoken() {
        for (theirs, ours, spoken) in
            [((1, 1), (1, 1), 1), ((1, 2), (2, 3), 2), ((2, 9), (1, 3), 3), ((3, 4), (2, 3), 3)]
        {
            assert!(matches!(shared(theirs, ours), Ok(n) if n == spoken), "{theirs:?} {ours:?}");
        }
    }

    #[test]
    fn a_gap_names_the_older_side() {
        assert!(matches!(shared((1, 1), (2, 3)), Err(Older::Theirs)));
        assert!(matches!(shared((4, 5), (2, 3)), Err(Older::Ours)));
        let hello = |min, max| Hello {
            protocol_min: min,
            protocol_max: max,
            extension_version: "1".into(),
            capabilities: vec![],
        };
        let newer = negotiate(&hello(PROTOCOL + 1, PROTOCOL + 2)).unwrap_err();
        assert_eq!(newer.code, Code::ProtocolMismatch);
        assert!(newer.remedy.contains("host"));
        let older = negotiate(&hello(0, PROTOCOL_MIN - 1)).unwrap_err();
        assert!(older.remedy.contains("extension"));
        assert_eq!(negotiate(&hello(3, 2)).unwrap_err().code, Code::MalformedRequest);
    }
}
