//! A stream of a broker's events (Server-sent events, as the HTML standard has them in §9.2), as far as a broker uses them: one `data:` each.

use crate::Result;
use std::time::SystemTime;

/// A stream that is open.
#[derive(Debug)]
pub struct Listening {
    answer: reqwest::Response,
    /// What came and is no whole event yet.
    rest: Vec<u8>,
}

/// An event that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// When its last byte was here.
    pub at: SystemTime,
    /// By which a listener goes on after it.
    pub id: Option<String>,
    /// The number of the event among its technician's, where it has one.
    pub number: Option<u64>,
    /// `session`, `overview` or `resync`.
    pub name: String,
    /// What it says, as JSON.
    pub data: String,
}

impl Listening {
    pub(super) fn to(answer: reqwest::Response) -> Self {
        Self { answer, rest: Vec::new() }
    }

    /// The next event; `None` when the stream is over.
    ///
    /// # Errors
    /// The connection breaks.
    pub async fn next(&mut self) -> Result<Option<Told>> {
        loop {
            while let Some(end) = self.rest.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.rest.drain(..end + 2).collect();
                if let Some(told) = read(std::str::from_utf8(&block)?) {
                    return Ok(Some(told));
                }
            }
            let Some(piece) = self.answer.chunk().await? else { return Ok(None) };
            self.rest.extend_from_slice(&piece);
        }
    }
}

/// What an event says; nothing where it is a comment, which only shows that somebody is there.
fn read(block: &str) -> Option<Told> {
    let field = |name: &str| {
        block.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim_start()))
    };
    let id = field("id").map(str::to_owned);
    let number = id.as_deref().and_then(|id| id.rsplit('-').next()?.parse().ok());
    let (name, data) = (field("event")?.to_owned(), field("data")?.to_owned());
    Some(Told { at: SystemTime::now(), id, number, name, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_and_a_comment_is_none() {
        let told = read("event: session\ndata: {\"id\":\"s-1\"}\nid: 0123abcd-17").unwrap();
        assert_eq!((told.name.as_str(), told.data.as_str()), ("session", "{\"id\":\"s-1\"}"));
        assert_eq!(told.number, Some(17));
        assert_eq!(read("event: overview\ndata: null").unwrap().number, None);
        assert!(read(":").is_none());
    }
}
