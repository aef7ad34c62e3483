//! Native-messaging frames. Whatever the browser's side sends: every frame is within the cap, an accepted request means the same
//! when it is written and read again, a refusal repeats nothing of what came, and the size of the pieces changes nothing.

use std::io::{self, Read};

use ticketgate::relay::fuzzing::{Frame, all, next, parse};
use ticketgate_protocol::native::{FRAME_IN_MAX, REQUEST_ID_MAX, Request};

/// Hands out one byte at a time.
struct Dribble<'a>(&'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(1);
        self.0.read(buffer.get_mut(..most).unwrap_or_default())
    }
}

pub(crate) fn run(data: &[u8]) {
    let together = all(data, data.len());
    assert_eq!(together, all(data, 1), "the size of the pieces changed what the port read");
    let mut one_by_one = data;
    for frame in &together {
        assert_eq!(Some(frame), next(&mut one_by_one).as_ref(), "a frame is another one among others");
    }
    let (mut whole, mut pieces) = (data, Dribble(data));
    loop {
        let before = whole;
        let frame = next(&mut whole);
        assert_eq!(frame, next(&mut pieces), "the size of the pieces changed what was read");
        assert_eq!(whole, pieces.0);
        let Some(frame) = frame else { return };
        let announced = before.first_chunk::<4>().map(|length| u32::from_ne_bytes(*length) as usize);
        let taken = before.len() - whole.len();
        match &frame {
            Frame::Request(request) => {
                assert!(announced.is_some_and(|length| length <= FRAME_IN_MAX && taken == length + 4));
                accepted(request);
            }
            Frame::Fault { id, problem, last } => {
                refused(id, &problem.detail, &problem.remedy);
                if announced.is_some_and(|length| length > FRAME_IN_MAX) {
                    assert!(*last && taken == 4, "a frame over the cap was read");
                }
            }
        }
        if matches!(frame, Frame::Fault { last: true, .. }) {
            return;
        }
        assert!(taken > 0, "nothing was read, so the reader would never end");
    }
}

/// What holds of every request that the relay takes.
pub(crate) fn accepted(request: &Request) {
    assert!(!request.id.is_empty() && request.id.chars().count() <= REQUEST_ID_MAX);
    assert!(!request.id.chars().any(ticketgate_protocol::text::is_forbidden));
    assert!(request.key.is_some() || !request.method.mutates(), "a change without a key");
    let text = serde_json::to_string(request).unwrap();
    assert!(text.len() <= 6 * FRAME_IN_MAX);
    assert_eq!(parse(&text), Frame::Request(Box::new(request.clone())), "it is not read as it was written");
}

/// What holds of every refusal: its words are the relay's own.
fn refused(id: &str, detail: &str, remedy: &str) {
    assert!(id.chars().count() <= REQUEST_ID_MAX);
    assert!(detail.is_ascii() && detail.len() < 100 && remedy.len() < 200, "{detail} {remedy}");
}
