//! The frame reader for the fuzz targets (`fuzz/`). Not in any shipped binary.

use std::io::Read;

use ticketgate_protocol::native::Request;
use ticketgate_protocol::problem::Problem;

use super::frames::{self, Inbound};

/// What the reader made of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A well-formed request.
    Request(Box<Request>),
    /// Something else.
    Fault {
        /// The request's id, where one could be read.
        id: String,
        /// What is the matter.
        problem: Box<Problem>,
        /// Whether the port ends.
        last: bool,
    },
}

impl From<Inbound> for Frame {
    fn from(inbound: Inbound) -> Self {
        match inbound {
            Inbound::Request(request) => Self::Request(request),
            Inbound::Fault { id, problem, last } => Self::Fault { id, problem, last },
        }
    }
}

/// The next frame; `None` at the end of the input between two frames.
pub fn next(input: &mut impl Read) -> Option<Frame> {
    frames::decode(input).map(Frame::from)
}

/// One frame's text.
#[must_use]
pub fn parse(text: &str) -> Frame {
    frames::parse(text).into()
}
