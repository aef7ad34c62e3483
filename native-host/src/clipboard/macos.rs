//! macOS: the text stays without us; the holder only waits to clear it. Not run by our tests.

use std::time::Instant;

use arboard::{Clipboard, SetExtApple};

use super::holder::{Holds, HoldsText, compare};

/// The general pasteboard.
pub(super) struct Board(Clipboard);

impl HoldsText for Board {
    fn open() -> Option<Self> {
        Clipboard::new().ok().map(Self)
    }

    fn put(&mut self, text: &str) -> bool {
        self.0.set().exclude_from_history().text(text).is_ok()
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
