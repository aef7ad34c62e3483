//! Frames from the browser: read whole within the cap, checked once, turned into a request or a fault with a stable code.

use std::io::{self, ErrorKind, Read};

use native_messaging::host::{NmError, decode_message_opt};
use serde_json::{Map, Value};
use ticketgate_protocol::native::{FRAME_IN_MAX, Method, REQUEST_ID_MAX, Request};
use ticketgate_protocol::problem::{Code, Problem};
use ticketgate_protocol::text;
use tokio::sync::mpsc;

/// Frames read ahead. The reader then waits, and so does the browser.
const AHEAD: usize = 16;
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

/// Reads on a thread of its own, because a read of stdin cannot be called off. Ends when the input does.
pub(super) fn read_in_background(input: impl Read + Send + 'static) -> mpsc::Receiver<Inbound> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let read = move || {
        let mut input = Patient(input);
        while let Some(inbound) = next(&mut input) {
            let last = matches!(inbound, Inbound::Fault { last: true, .. });
            if sender.blocking_send(inbound).is_err() || last {
                return;
            }
        }
    };
    // Without a thread the receiver ends at once, and with it the port.
    let _ = std::thread::Builder::new().name("stdin".into()).spawn(read);
    receiver
}

/// Repeats reads that a signal interrupted: the codec reads a frame's first byte without doing so.
struct Patient<R>(R);

impl<R: Read> Read for Patient<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

/// The next frame; `None` at the end of the input between two frames.
pub(super) fn next(input: &mut impl Read) -> Option<Inbound> {
    let last = |code, detail: String| Inbound::Fault {
        id: String::new(),
        problem: Box::new(Problem::new(code, detail).remedy("Reload the extension.")),
        last: true,
    };
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
    let Value::Object(fields) = value else {
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
    let Ok(request) = serde_json::from_value::<Request>(Value::Object(fields)) else {
        return malformed(&id, "The parameters are not those of the method.");
    };
    if request.method.mutates() && request.key.is_none() {
        return malformed(&id, "A request that changes something needs a key.");
    }
    Inbound::Request(Box::new(request))
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

    #[test]
    fn a_frame_over_the_cap_is_refused_without_being_read() {
        let mut announced = u32::MAX.to_ne_bytes().to_vec();
        announced.extend_from_slice(b"{}");
        let (_, code, last) = fault_of(next(&mut announced.as_slice()).unwrap());
        assert_eq!((code, last), (Code::TooLarge, true));
    }

    #[test]
    fn a_frame_of_exactly_the_cap_is_read() {
        let mut body = br#"{"id":"1","method":"overview"}"#.to_vec();
        body.resize(FRAME_IN_MAX, b' ');
        assert!(matches!(next(&mut frame(&body).as_slice()), Some(Inbound::Request(_))));
        body.push(b' ');
        assert_eq!(fault_of(next(&mut frame(&body).as_slice()).unwrap()).1, Code::TooLarge);
    }

    #[test]
    fn a_cut_frame_is_told_from_a_clean_end() {
        assert!(next(&mut [].as_slice()).is_none());
        let whole = frame(b"{}");
        for cut in 1..whole.len() {
            assert_eq!(fault_of(next(&mut &whole[..cut]).unwrap()).1, Code::FrameCut, "{cut} bytes");
        }
    }

    #[test]
    fn after_a_frame_that_is_not_utf8_the_next_one_is_read() {
        let mut bytes = frame(&[0xff, 0xfe]);
        bytes.extend(frame(br#"{"id":"2","method":"diagnose"}"#));
        let mut input = bytes.as_slice();
        assert_eq!(fault_of(next(&mut input).unwrap()), (String::new(), Code::MalformedRequest, false));
        assert!(matches!(next(&mut input), Some(Inbound::Request(request)) if request.id == "2"));
    }

    proptest! {
        #[test]
        fn no_bytes_whatever_make_the_reader_panic_or_loop(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut input = bytes.as_slice();
            let mut frames = 0;
            while let Some(inbound) = next(&mut input) {
                frames += 1;
                prop_assert!(frames <= bytes.len());
                if matches!(inbound, Inbound::Fault { last: true, .. }) { break; }
            }
        }

        #[test]
        fn no_text_whatever_makes_the_parser_panic(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
