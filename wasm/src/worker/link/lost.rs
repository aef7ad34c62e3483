//! Why there is no port, and the same as a problem that a person can mend.

use ticketgate_protocol::problem::{Code, Problem};

/// Why no more attempts are made until the person asks for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::worker) enum Stop {
    /// The browser finds no host manifest.
    NotInstalled,
    /// The host manifest does not list this extension.
    Forbidden,
    /// The host itself does not serve this extension; the problem says who can change that.
    Refused(Problem),
    /// Extension and host share no protocol; the problem says which side to update.
    Mismatch(Problem),
}

/// Why the port was lost; it is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::worker) enum Lost {
    /// The host's process ended.
    Exited,
    /// The host sent something that is not a frame, or too much.
    Garbled,
    /// The browser could not start the host.
    NotStarted,
    /// The host did not answer the greeting.
    Silent,
    /// The host refused the greeting.
    Refused(Problem),
    /// A text that this version does not know.
    Other,
}

impl Stop {
    /// The same as a problem.
    #[must_use]
    pub(in crate::worker) fn problem(&self) -> Problem {
        match self {
            Self::NotInstalled => Problem::new(
                Code::BrokerUnreachable,
                "The Ticketgate program is not installed on this computer.",
            )
            .remedy("Install it, then run: ticketgate install"),
            Self::Forbidden => Problem::new(
                Code::OriginRefused,
                "The Ticketgate program on this computer does not serve this extension.",
            )
            .remedy("Run: ticketgate install"),
            Self::Refused(problem) | Self::Mismatch(problem) => problem.clone(),
        }
    }
}

impl Lost {
    /// The same as a problem.
    #[must_use]
    pub(in crate::worker) fn problem(&self) -> Problem {
        let detail = match self {
            Self::Exited => "The Ticketgate program on this computer stopped.",
            Self::Garbled => "The Ticketgate program on this computer sent something that cannot be read.",
            Self::NotStarted => "The browser could not start the Ticketgate program.",
            Self::Silent => "The Ticketgate program on this computer does not answer.",
            Self::Refused(problem) => return problem.clone(),
            Self::Other => "The connection to the Ticketgate program was lost.",
        };
        Problem::new(Code::BrokerUnreachable, detail).remedy("If it stays so, run: ticketgate doctor")
    }
}
