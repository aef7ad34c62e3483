//! The plainest native messaging host there can be, as a baseline: `bare_host` sends every frame back as it came,
//! `bare_host SOCKET` asks the broker for the overview for each and answers with the body, without looking at either. And
//! `bare_host --least` does what no relay can leave out: it waits for the broker as well as for the browser, reads what came as
//! JSON, and answers with an id and a text.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    if std::env::args_os().nth(1).is_some_and(|first| first == "--least") {
        return least();
    }
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut broker = match std::env::args_os().nth(1) {
        Some(socket) => Some(BufReader::new(UnixStream::connect(socket)?)),
        None => None,
    };
    let mut length = [0; 4];
    while input.read_exact(&mut length).is_ok() {
        let mut frame = vec![0; usize::try_from(u32::from_ne_bytes(length))?];
        input.read_exact(&mut frame)?;
        if let Some(broker) = &mut broker {
            frame = overview(broker)?;
        }
        let mut answer = u32::try_from(frame.len())?.to_ne_bytes().to_vec();
        answer.append(&mut frame);
        output.write_all(&answer)?;
        output.flush()?;
    }
    Ok(())
}

/// See above; what stands for the broker never says anything, and the measured frames come whole.
fn least() -> Result<()> {
    let (input, output) = (std::io::stdin(), std::io::stdout());
    let (broker, _other) = UnixStream::pair()?;
    let mut read = [0; 8192];
    loop {
        let mut both = [PollFd::new(&input, PollFlags::IN), PollFd::new(&broker, PollFlags::IN)];
        poll(&mut both, None)?;
        let count = rustix::io::read(&input, &mut read)?;
        let Some(text) = read.get(4..count) else { return Ok(()) };
        let frame: serde_json::Value = serde_json::from_slice(text)?;
        let answer =
            serde_json::json!({"id": frame.get("id"), "error": {"detail": "A text as long as the relay's."}})
                .to_string();
        let mut bytes = u32::try_from(answer.len())?.to_ne_bytes().to_vec();
        bytes.extend_from_slice(answer.as_bytes());
        rustix::io::write(&output, &bytes)?;
    }
}

/// One request on a connection that is kept.
fn overview(broker: &mut BufReader<UnixStream>) -> Result<Vec<u8>> {
    broker.get_mut().write_all(b"GET /v1/overview HTTP/1.1\r\nhost: ticketgate\r\n\r\n")?;
    let (mut line, mut length) = (String::new(), None);
    loop {
        line.clear();
        broker.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = Some(value.trim().parse()?);
            }
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length.ok_or("an answer without a length")?];
    broker.read_exact(&mut body)?;
    Ok(body)
}
