//! The holder process: takes a text on stdin, holds it in the clipboard, clears it on time if it is still ours, ends.

use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use arboard::Error;
use zeroize::{Zeroize, Zeroizing};

use super::CLEAR_MAX_S;
use super::board::Board;
use crate::platform::{Here, Platform};

/// Said on stdout once the text is in the clipboard.
pub(super) const HELD: &str = "held";
/// Said on stdout when no clipboard can be reached.
pub(super) const NONE: &str = "none";

/// The longest order. Passwords have some dozens of bytes.
const ORDER_MAX: usize = 4096;
/// How often it is looked whether the text is still ours, where the system does not tell.
const LOOK: Duration = Duration::from_millis(500);
/// How long it is tried to look and to clear when the time is over and the clipboard does not let us.
const CLEAR_PATIENCE: Duration = Duration::from_secs(10);

/// What is in the clipboard, as far as it can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// The text that we put there.
    Ours,
    /// Something else, or nothing.
    Another,
    /// It cannot be read now: another program has it open, or does not answer. It may still be ours.
    Unknown,
}

/// A clipboard, as a file per platform knows it.
pub(super) trait HoldsText: Sized {
    /// Opens it.
    fn open() -> Option<Self>;

    /// Puts a text there, marked so that histories leave it out where the system knows such a mark.
    fn put(&mut self, text: &str) -> bool;

    /// Where the system tells: waits until another program copies (then `true`, whatever it copied) or until `deadline`.
    /// Where it does not, returns `false` at once.
    fn replaced(&mut self, text: &str, deadline: Instant) -> bool;

    /// Whether this text is there now.
    fn holds(&mut self, text: &str) -> Holds;

    /// Empties it; whether that could be done.
    fn clear(&mut self) -> bool;
}

/// Runs as the holder (`ticketgate clipboard-holder`).
#[must_use]
pub fn holder_main() -> ExitCode {
    Here::leave_session();
    Here::guard_memory();
    let Some((seconds, text)) = order(&mut std::io::stdin().lock()) else {
        return ExitCode::from(2);
    };
    let mut board = Board::open();
    let held = board.as_mut().is_some_and(|board| board.put(&text));
    let deadline = Instant::now() + Duration::from_secs(seconds.into());
    report(if held { HELD } else { NONE });
    let (true, Some(mut board)) = (held, board) else { return ExitCode::FAILURE };
    hold(&mut board, &text, deadline, CLEAR_PATIENCE);
    ExitCode::SUCCESS
}

/// Keeps the text until its time is over or somebody copies another; then leaves nothing of it.
fn hold(board: &mut impl HoldsText, text: &str, deadline: Instant, patience: Duration) {
    while Instant::now() < deadline {
        if board.replaced(text, deadline) || board.holds(text) == Holds::Another {
            return;
        }
        sleep_until(deadline);
    }
    let last = deadline + patience;
    loop {
        let over = Instant::now() >= last;
        match board.holds(text) {
            Holds::Another => return,
            Holds::Ours if board.clear() => return,
            // What cannot be read for so long may be a password: a lost text of another's is the smaller harm.
            Holds::Unknown if over => {
                board.clear();
                return;
            }
            Holds::Ours if over => return,
            Holds::Ours | Holds::Unknown => sleep_until(last),
        }
    }
}

fn sleep_until(end: Instant) {
    std::thread::sleep(end.saturating_duration_since(Instant::now()).min(LOOK));
}

/// Reads seconds and text. Nothing of it stays behind in a buffer that is not wiped.
fn order(input: &mut impl Read) -> Option<(u32, Zeroizing<String>)> {
    let mut bytes = Zeroizing::new(vec![0_u8; ORDER_MAX + 1]);
    let mut length = 0;
    loop {
        match input.read(bytes.get_mut(length..)?) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
        if length > ORDER_MAX {
            return None;
        }
    }
    let whole = std::str::from_utf8(bytes.get(..length)?).ok()?;
    let (seconds, text) = whole.split_once('\n')?;
    let seconds = seconds.parse().ok().filter(|s| (1..=CLEAR_MAX_S).contains(s))?;
    (!text.is_empty()).then(|| (seconds, Zeroizing::new(text.to_owned())))
}

/// Says the word. Nothing is ever said after it.
fn report(word: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{word}").and_then(|()| out.flush());
}

/// What the clipboard answered when asked, wiped after the comparison.
pub(super) fn compare(answer: Result<String, Error>, text: &str) -> Holds {
    match answer {
        Ok(mut answer) => {
            let same = answer == text;
            answer.zeroize();
            if same { Holds::Ours } else { Holds::Another }
        }
        Err(Error::ContentNotAvailable | Error::ConversionFailure) => Holds::Another,
        Err(_) => Holds::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Fake {
        now: Option<String>,
        replaced_at: Option<Instant>,
        /// So many looks find the clipboard occupied.
        occupied: u32,
    }

    impl HoldsText for Fake {
        fn open() -> Option<Self> {
            Some(Self::default())
        }
        fn put(&mut self, text: &str) -> bool {
            self.now = Some(text.into());
            true
        }
        fn replaced(&mut self, _: &str, _: Instant) -> bool {
            if self.replaced_at.is_some_and(|at| at <= Instant::now()) {
                self.now = Some("another text".into());
            }
            false
        }
        fn holds(&mut self, text: &str) -> Holds {
            if self.occupied > 0 {
                self.occupied -= 1;
                return compare(Err(Error::ClipboardOccupied), text);
            }
            compare(self.now.clone().ok_or(Error::ContentNotAvailable), text)
        }
        fn clear(&mut self) -> bool {
            self.now = None;
            true
        }
    }

    #[test]
    fn our_text_is_gone_at_the_deadline() {
        let mut board = Fake::default();
        board.put("secret");
        let deadline = Instant::now() + Duration::from_millis(30);
        hold(&mut board, "secret", deadline, Duration::ZERO);
        assert!(Instant::now() >= deadline);
        assert_eq!(board.now, None);
    }

    #[test]
    fn another_text_is_left_alone_and_ends_the_wait() {
        let mut board = Fake { replaced_at: Some(Instant::now()), ..Fake::default() };
        board.put("secret");
        let started = Instant::now();
        hold(&mut board, "secret", started + Duration::from_secs(60), Duration::ZERO);
        assert!(started.elapsed() < Duration::from_secs(1));
        assert_eq!(board.now.as_deref(), Some("another text"));
    }

    #[test]
    fn a_clipboard_that_cannot_be_read_is_neither_given_up_nor_forgotten() {
        for occupied in [1, 2, 1000] {
            let mut board = Fake { occupied, ..Fake::default() };
            board.put("secret");
            let deadline = Instant::now() + Duration::from_millis(30);
            hold(&mut board, "secret", deadline, Duration::from_millis(600));
            assert_eq!(board.now, None, "{occupied} looks in vain");
        }
    }

    #[test]
    fn an_order_is_seconds_and_a_text_of_any_characters() {
        let read = |bytes: &[u8]| order(&mut &bytes[..]).map(|(s, t)| (s, t.to_string()));
        assert_eq!(read(b"30\np\xc3\xa4ss\nw\"ord "), Some((30, "päss\nw\"ord ".into())));
        for bad in [&b"0\nx"[..], b"601\nx", b"x\nx", b"30", b"30\n", b"30\n\xff"] {
            assert_eq!(read(bad), None);
        }
        assert_eq!(read(&[b"1\n".as_slice(), &[b'x'; ORDER_MAX]].concat()), None, "too long");
    }
}
