//! Stdout's one owner. Frames are written whole and flushed, in the order in which they came; one that is too large
//! becomes a problem, because the browser would close the port.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use native_messaging::host::encode_message;
use ticketgate_protocol::native::{FRAME_OUT_MAX, Frame};
use ticketgate_protocol::problem::{Code, Problem};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Mutex;

/// Takes frames for stdout. Who sends waits until the browser has read, and a request keeps its room until then: for a browser
/// that does not read no more is kept than what was under way.
#[derive(Clone)]
pub(super) struct Outbox {
    output: Arc<Mutex<Box<dyn AsyncWrite + Send + Unpin>>>,
    closed: Arc<AtomicBool>,
}

impl Outbox {
    pub(super) fn new(output: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { output: Arc::new(Mutex::new(Box::new(output))), closed: Arc::default() }
    }

    /// Sends a frame. One for a browser that is gone is lost, as it must be.
    pub(super) async fn send(&self, frame: &Frame) {
        let Some(bytes) = encode(frame) else { return };
        let mut output = self.output.lock().await;
        let written = async {
            output.write_all(&bytes).await?;
            output.flush().await
        };
        if written.await.is_err() {
            self.closed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the browser still reads.
    pub(super) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Relaxed)
    }
}

/// The frame's bytes with their length. `None` for an event that cannot be sent: the next overview has its contents.
pub(super) fn encode(frame: &Frame) -> Option<Vec<u8>> {
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
