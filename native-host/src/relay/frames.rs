//! Frames from the browser: read whole within the cap, checked once, turned into a request or a fault with a stable code.

use std::io::{ErrorKind, Read};

use native_messaging::host::{NmError, decode_message_opt};
use serde_json::{Map, Value};
use ticketgate_protocol::ids::IdempotencyKey;
use ticketgate_protocol::native::{FRAME_IN_MAX, Method, REQUEST_ID_MAX, Request};
use ticketgate_protocol::problem::{Code, Problem};
use ticketgate_protocol::text;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of a frame's length.
const LENGTH: usize = 4;
/// Room for reading; most frames come whole in one read.
const ROOM: usize = 8 * 1024;
/// What stands beside one another in a request.
const FIELDS: &[&str] = &["id", "key", "method", "params"];

/// What came in.
#[derive(Debug)]
pub(super) enum Inbound {
    /// A well-formed request.
    Request(Box<Request>),
    /// Something else.
    Fault {
        /// The request's id, empty where none could be read.
        id: String,
        /// What is the matter.
        problem: Box<Problem>,
        /// Whether the place of the next frame is unknown, so that the port has to end.
        last: bool,
    },
}

/// Frames as they come in.
pub(super) struct Frames<R> {
    input: R,
    /// What was read and is not a whole frame yet.
    read: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, read: Vec::with_capacity(ROOM) }
    }

    /// What is still to be read, for a port whose next frame has no known place.
    pub(super) fn into_input(self) -> R {
        self.input
    }

    /// The next frame; `None` at the end of the input between two frames. After a fault that says that it is the last nothing
    /// more can be read.
    pub(super) async fn next(&mut self) -> Option<Inbound> {
        loop {
            if let Some(length) = self.whole() {
                let inbound = decode(&mut self.read.get(..length)?);
                self.read.drain(..length);
                return inbound;
            }
            self.read.reserve(ROOM);
            match self.input.read_buf(&mut self.read).await {
                Ok(0) => return decode(&mut self.read.as_slice()),
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Some(last(Code::FrameCut, "The input cannot be read.".into())),
            }
        }
    }

    /// How much of what was read is the next frame, or enough of it to say what is wrong with it.
    fn whole(&self) -> Option<usize> {
        let length = self.read.first_chunk::<LENGTH>()?;
        match usize::try_from(u32::from_ne_bytes(*length)) {
            Ok(length) if length <= FRAME_IN_MAX => {
                let whole = LENGTH + length;
                (self.read.len() >= whole).then_some(whole)
            }
            // Refused by its length alone.
            _ => Some(LENGTH),
        }
    }
}

fn last(code: Code, detail: String) -> Inbound {
    let problem = Box::new(Problem::new(code, detail).remedy("Reload the extension."));
    Inbound::Fault { id: String::new(), problem, last: true }
}

/// One frame out of its bytes; `None` where there are none.
pub(super) fn decode(input: &mut impl Read) -> Option<Inbound> {
    Some(match decode_message_opt(input, FRAME_IN_MAX) {
        Ok(None) | Err(NmError::Disconnected) => return None,
        Ok(Some(text)) => parse(&text),
        Err(NmError::IncomingTooLarge { len, max }) => {
            last(Code::TooLarge, format!("The frame has {len} bytes; {max} are allowed."))
        }
        Err(NmError::IncomingNotUtf8(_)) => fault("", Code::MalformedRequest, "The frame is not UTF-8."),
        Err(NmError::Io(e)) if e.kind() == ErrorKind::UnexpectedEof => {
            last(Code::FrameCut, "The frame ended before its announced length.".into())
        }
        Err(_) => last(Code::FrameCut, "The input cannot be read.".into()),
    })
}

fn fault(id: &str, code: Code, detail: &str) -> Inbound {
    let remedy = match code {
        Code::UnknownMethod => "Update the host; the extension is newer than it.",
        _ => "Reload the extension; if it happens again, update extension and host.",
    };
    let problem = Box::new(Problem::new(code, detail).remedy(remedy));
    Inbound::Fault { id: id.to_owned(), problem, last: false }
}

/// Checks one frame's text. Details never repeat what came in.
pub(super) fn parse(text: &str) -> Inbound {
    let malformed = |id: &str, detail: &str| fault(id, Code::MalformedRequest, detail);
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return malformed("", "The frame is not JSON.");
    };
    let Value::Object(mut fields) = value else {
        return malformed("", "The frame is not a JSON object.");
    };
    let Some(id) = id_of(&fields) else {
        return malformed("", "The frame has no id of 1 to 64 plain characters.");
    };
    if fields.keys().any(|name| !FIELDS.contains(&name.as_str())) {
        return malformed(&id, "The frame has a field that is not known.");
    }
    match fields.get("method").and_then(Value::as_str) {
        None => return malformed(&id, "The frame names no method."),
        Some(name) if !Method::NAMES.contains(&name) => {
            return fault(&id, Code::UnknownMethod, "This host does not know the method.");
        }
        Some(_) => {}
    }
    // What stands beside the method is taken out first: the method is then read as it stands, without a copy of everything.
    fields.remove("id");
    let key = fields.remove("key").map_or(Ok(None), serde_json::from_value::<Option<IdempotencyKey>>);
    let (Ok(key), Ok(method)) = (key, serde_json::from_value::<Method>(Value::Object(fields))) else {
        return malformed(&id, "The parameters are not those of the method.");
    };
    if method.mutates() && key.is_none() {
        return malformed(&id, "A request that changes something needs a key.");
    }
    Inbound::Request(Box::new(Request { id, key, method }))
}

fn id_of(fields: &Map<String, Value>) -> Option<String> {
    let id = fields.get("id")?.as_str()?;
    let plain = !id.is_empty() && id.chars().count() <= REQUEST_ID_MAX && !id.chars().any(text::is_forbidden);
    plain.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(body: &[u8]) -> Vec<u8> {
        let mut frame = u32::try_from(body.len()).unwrap().to_ne_bytes().to_vec();
        frame.extend_from_slice(body);
        frame
    }

    fn fault_of(inbound: Inbound) -> (String, Code, bool) {
        match inbound {
            Inbound::Fault { id, problem, last } => (id, problem.code, last),
            Inbound::Request(request) => panic!("no fault: {request:?}"),
        }
    }

    #[test]
    fn a_faulty_text_gets_a_stable_code_and_its_id_where_one_can_be_read() {
        use Code::{MalformedRequest, UnknownMethod};
        let table = [
            ("", "", MalformedRequest),
            ("{", "", MalformedRequest),
            ("[]", "", MalformedRequest),
            ("null", "", MalformedRequest),
            (r#"{"method":"overview"}"#, "", MalformedRequest),
            (r#"{"id":7,"method":"overview"}"#, "", MalformedRequest),
            (r#"{"id":"","method":"overview"}"#, "", MalformedRequest),
            (r#"{"id":"a\u0000b","method":"overview"}"#, "", MalformedRequest),
            (r#"{"id":"1"}"#, "1", MalformedRequest),
            (r#"{"id":"1","method":7}"#, "1", MalformedRequest),
            (r#"{"id":"1","method":"rm_rf"}"#, "1", UnknownMethod),
            (r#"{"id":"1","method":"overview","evil":1}"#, "1", MalformedRequest),
            (r#"{"id":"1","method":"end","params":{"session":"s-1"}}"#, "1", MalformedRequest),
            (r#"{"id":"1","key":"K!","method":"end","params":{"session":"s-1"}}"#, "1", MalformedRequest),
            (r#"{"id":"1","key":"k1","method":"end","params":{"session":"../x"}}"#, "1", MalformedRequest),
            (
                r#"{"id":"1","key":"k1","method":"end","params":{"session":"s-1","dn":"x"}}"#,
                "1",
                MalformedRequest,
            ),
            (r#"{"id":"1","key":"k1","method":"end"}"#, "1", MalformedRequest),
        ];
        for (text, id, code) in table {
            assert_eq!(fault_of(parse(text)), (id.to_owned(), code, false), "{text}");
        }
        let long_id = format!(r#"{{"id":"{}","method":"overview"}}"#, "x".repeat(65));
        assert_eq!(fault_of(parse(&long_id)).1, MalformedRequest);
    }

    /// All frames of an input that comes in pieces of this size.
    fn all(bytes: &[u8], piece: usize) -> Vec<Inbound> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut browser, input) = tokio::io::duplex(piece);
            let bytes = bytes.to_vec();
            tokio::spawn(async move { tokio::io::AsyncWriteExt::write_all(&mut browser, &bytes).await });
            let (mut frames, mut all) = (Frames::new(input), Vec::new());
            while let Some(inbound) = frames.next().await {
                let last = matches!(inbound, Inbound::Fault { last: true, .. });
                all.push(inbound);
                if last {
                    break;
                }
            }
            all
        })
    }

    fn only(bytes: &[u8]) -> Inbound {
        let mut found = all(bytes, bytes.len().max(1));
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    #[test]
    fn a_frame_over_the_cap_is_refused_without_being_read() {
        let mut announced = u32::MAX.to_ne_bytes().to_vec();
        announced.extend_from_slice(b"{}");
        let (_, code, last) = fault_of(only(&announced));
        assert_eq!((code, last), (Code::TooLarge, true));
    }

    #[test]
    fn a_frame_of_exactly_the_cap_is_read() {
        let mut body = br#"{"id":"1","method":"overview"}"#.to_vec();
        body.resize(FRAME_IN_MAX, b' ');
        assert!(matches!(only(&frame(&body)), Inbound::Request(_)));
        body.push(b' ');
        assert_eq!(fault_of(only(&frame(&body))).1, Code::TooLarge);
    }

    #[test]
    fn a_cut_frame_is_told_from_a_clean_end() {
        assert!(all(&[], 1).is_empty());
        let whole = frame(b"{}");
        for cut in 1..whole.len() {
            assert_eq!(fault_of(only(&whole[..cut])).1, Code::FrameCut, "{cut} bytes");
        }
    }

    #[test]
    fn after_a_frame_that_is_not_utf8_the_next_one_is_read() {
        let mut bytes = frame(&[0xff, 0xfe]);
        bytes.extend(frame(br#"{"id":"2","method":"diagnose"}"#));
        // Also where they come byte by byte, or both at once.
        for piece in [1, 7, bytes.len()] {
            let mut found = all(&bytes, piece);
            assert!(matches!(found.pop(), Some(Inbound::Request(request)) if request.id == "2"));
            assert_eq!(fault_of(found.remove(0)), (String::new(), Code::MalformedRequest, false));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_whatever_make_the_reader_panic_or_loop(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            piece in 1..40_usize,
        ) {
            prop_assert!(all(&bytes, piece).len() <= bytes.len());
        }

        #[test]
        fn no_text_whatever_makes_the_parser_panic(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
