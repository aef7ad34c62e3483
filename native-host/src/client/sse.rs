//! Server-sent events, parsed as they arrive (WHATWG HTML, 9.2.6). Bounded; no I/O.

use ticketgate_protocol::api::Event;

/// The largest single event. A session is about two kilobytes.
const EVENT_MAX: usize = 512 * 1024;

/// An event grew over [`EVENT_MAX`]: whatever sends this is no broker of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {EVENT_MAX} bytes")]
pub struct Oversize;

/// One event as it stood on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RawEvent {
    /// `event:`, empty where there was none.
    pub name: String,
    /// The `data:` lines, joined by line feeds.
    pub data: String,
    /// The last `id:` seen.
    pub id: Option<String>,
}

impl RawEvent {
    /// The event that it stands for. What cannot be read is [`Event::Unknown`]: a newer broker may send it.
    #[must_use]
    pub fn decode(&self) -> Event {
        let data = serde_json::from_str::<serde_json::Value>(&self.data);
        let whole = match (self.name.as_str(), data) {
            ("" | "message", Ok(whole)) => whole,
            (name, Ok(data)) if is_unit(name) || data.is_null() => {
                let _ = data;
                serde_json::json!({ "event": name })
            }
            (name, Ok(data)) => serde_json::json!({ "event": name, "data": data }),
            (name, Err(_)) => serde_json::json!({ "event": name }),
        };
        serde_json::from_value(whole).unwrap_or(Event::Unknown)
    }
}

/// Events without contents.
fn is_unit(name: &str) -> bool {
    matches!(name, "overview" | "resync")
}

/// Takes bytes in pieces of any size, gives whole events.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    after_return: bool,
    event: RawEvent,
    has_data: bool,
    last_id: Option<String>,
}

impl Parser {
    /// Feeds the next bytes and answers the events that they completed, in order.
    ///
    /// # Errors
    /// [`Oversize`]; the stream has to be given up then.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<RawEvent>, Oversize> {
        let mut done = Vec::new();
        for &byte in bytes {
            let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    self.take_line(&line, &mut done);
                }
                _ => self.line.push(byte),
            }
            if self.line.len() + self.event.data.len() > EVENT_MAX {
                return Err(Oversize);
            }
        }
        Ok(done)
    }

    fn take_line(&mut self, line: &[u8], done: &mut Vec<RawEvent>) {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) {
                done.push(RawEvent { id: self.last_id.clone(), ..event });
            }
            return;
        }
        let line = String::from_utf8_lossy(line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            "id" if !value.contains('\0') => self.last_id = Some(value.to_owned()),
            _ => {} // A comment (empty field name), `retry`, or something newer.
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = ": hello\n\nevent: overview\nid: 7\ndata:\n\nevent: resync\r\ndata: null\r\n\r\n\
                          data: {\"event\":\"overview\"}\n\nevent: brand_new\ndata: {\"a\":1}\n\n";

    fn decoded(pieces: &[&[u8]]) -> Vec<Event> {
        let mut parser = Parser::default();
        pieces.iter().flat_map(|piece| parser.feed(piece).unwrap()).map(|raw| raw.decode()).collect()
    }

    #[test]
    fn events_are_read_in_order_and_unknown_ones_are_known_as_such() {
        assert_eq!(
            decoded(&[STREAM.as_bytes()]),
            [Event::Overview, Event::Resync, Event::Overview, Event::Unknown]
        );
    }

    #[test]
    fn an_event_that_never_ends_is_given_up() {
        let mut parser = Parser::default();
        assert_eq!(parser.feed(&vec![b'x'; EVENT_MAX + 1]), Err(Oversize));
    }

    #[test]
    fn an_unfinished_event_is_not_delivered() {
        assert_eq!(decoded(&[b"event: overview\ndata: null\n"]), []);
    }

    proptest! {
        #[test]
        fn cutting_the_stream_anywhere_changes_nothing(cut in 0usize..150) {
            let cut = cut.min(STREAM.len());
            let (a, b) = STREAM.as_bytes().split_at(cut);
            prop_assert_eq!(decoded(&[a, b]), decoded(&[STREAM.as_bytes()]));
        }

        #[test]
        fn no_bytes_whatever_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut parser = Parser::default();
            for raw in parser.feed(&bytes).unwrap() {
                let _ = raw.decode();
            }
        }
    }
}
