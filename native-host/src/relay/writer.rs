//! Stdout's one owner. Frames are written whole and flushed, in the order in which they came; one that is too large
//! becomes a problem, because the browser would close the port.

use std::io::Write;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use native_messaging::host::encode_message;
use ticketgate_protocol::native::{FRAME_OUT_MAX, Frame};
use ticketgate_protocol::problem::{Code, Problem};
use tokio::sync::mpsc;

/// Frames that wait for the browser to read. Senders then wait too.
const WAITING: usize = 64;
/// How long the last frames may take at the end.
const LAST_FRAME: Duration = Duration::from_millis(250);

/// Takes frames for stdout.
#[derive(Debug, Clone)]
pub(super) struct Outbox(mpsc::Sender<Vec<u8>>);

/// The writing thread.
pub(super) struct Writer(Option<JoinHandle<()>>);

/// Starts the writer. It ends when every [`Outbox`] is dropped, or when the browser no longer reads.
pub(super) fn start(mut output: impl Write + Send + 'static) -> (Outbox, Writer) {
    let (sender, mut receiver) = mpsc::channel::<Vec<u8>>(WAITING);
    let write = move || {
        while let Some(frame) = receiver.blocking_recv() {
            if output.write_all(&frame).and_then(|()| output.flush()).is_err() {
                return;
            }
        }
    };
    (Outbox(sender), Writer(std::thread::Builder::new().name("stdout".into()).spawn(write).ok()))
}

impl Writer {
    /// Waits until the last frame is out, but not for a browser that no longer reads.
    pub(super) fn finish(self) {
        let end = Instant::now() + LAST_FRAME;
        while self.0.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Outbox {
    /// Sends a frame. One for a browser that is gone is lost, as it must be.
    pub(super) async fn send(&self, frame: &Frame) {
        if let Some(bytes) = encode(frame) {
            let _ = self.0.send(bytes).await;
        }
    }

    /// The same outside a runtime.
    pub(super) fn send_blocking(&self, frame: &Frame) {
        if let Some(bytes) = encode(frame) {
            let _ = self.0.blocking_send(bytes);
        }
    }

    /// Whether the browser still reads.
    pub(super) fn is_open(&self) -> bool {
        !self.0.is_closed()
    }
}

/// The frame's bytes with their length. `None` for an event that cannot be sent: the next overview has its contents.
fn encode(frame: &Frame) -> Option<Vec<u8>> {
    let fits = |bytes: &Vec<u8>| bytes.len() <= FRAME_OUT_MAX + 4;
    if let Some(bytes) = encode_message(frame).ok().filter(fits) {
        return Some(bytes);
    }
    let id = match frame {
        Frame::Ok { id, .. } | Frame::Error { id, .. } => id.clone(),
        Frame::Event(_) => return None,
    };
    let error = Problem::new(Code::TooLarge, format!("The answer is larger than {FRAME_OUT_MAX} bytes."))
        .remedy("End sessions that are no longer needed, or use the command line: `ticketgate sessions`.");
    encode_message(&Frame::Error { id, error }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_over_the_cap_becomes_a_problem_with_its_id() {
        let ok = serde_json::Value::String("x".repeat(FRAME_OUT_MAX));
        let bytes = encode(&Frame::Ok { id: "9".into(), ok }).unwrap();
        assert!(bytes.len() < 1000);
        let Frame::Error { id, error } = serde_json::from_slice(&bytes[4..]).unwrap() else {
            panic!("no problem")
        };
        assert_eq!((id.as_str(), error.code), ("9", Code::TooLarge));
    }

    #[test]
    fn an_answer_of_exactly_the_cap_is_sent() {
        let empty = encode(&Frame::Ok { id: "9".into(), ok: "".into() }).unwrap().len() - 4;
        let ok = serde_json::Value::String("x".repeat(FRAME_OUT_MAX - empty));
        assert_eq!(encode(&Frame::Ok { id: "9".into(), ok }).unwrap().len(), FRAME_OUT_MAX + 4);
    }
}
