//! Windows: the text stays without us; the holder only waits to clear it. Kept out of history and cloud clipboard.
//! Cross-built and checked; not run on a real Windows by our tests.

use std::time::Instant;

use arboard::{Clipboard, SetExtWindows};

use super::holder::{Holds, HoldsText, compare};

/// The clipboard of the session.
pub(super) struct Board(Clipboard);

impl HoldsText for Board {
    fn open() -> Option<Self> {
        Clipboard::new().ok().map(Self)
    }

    fn put(&mut self, text: &str) -> bool {
        self.0.set().exclude_from_history().exclude_from_cloud().text(text).is_ok()
    }

    fn replaced(&mut self, _text: &str, _deadline: Instant) -> bool {
        false
    }

    fn holds(&mut self, text: &str) -> Holds {
        compare(self.0.get_text(), text)
    }

    fn clear(&mut self) -> bool {
        self.0.clear().is_ok()
    }
}
