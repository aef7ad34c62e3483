//! The frame reader for the fuzz targets (`fuzz/`). Not in any shipped binary.

use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use ticketgate_protocol::native::Request;
use ticketgate_protocol::problem::Problem;

use tokio::io::{AsyncRead, ReadBuf};

use super::frames::{self, Frames, Inbound};

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

/// A pipe that hands out pieces of at most so many bytes.
struct Pieces<'a>(&'a [u8], usize);

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let most = self.1.max(1).min(self.0.len()).min(buffer.remaining());
        if let Some((piece, rest)) = self.0.split_at_checked(most) {
            buffer.put_slice(piece);
            self.0 = rest;
        }
        Poll::Ready(Ok(()))
    }
}

/// Every frame of an input that comes in pieces of at most so many bytes, up to the last that the port has.
#[must_use]
pub fn all(data: &[u8], piece: usize) -> Vec<Frame> {
    let (mut frames, mut all) = (Frames::new(Pieces(data, piece)), Vec::new());
    while let Some(Some(inbound)) = frames.next().now_or_never() {
        let frame = Frame::from(inbound);
        let last = matches!(frame, Frame::Fault { last: true, .. });
        all.push(frame);
        if last {
            break;
        }
    }
    all
}
