//! macOS: the text stays without us; the holder only waits to clear it. Not run by our tests.

use std::time::Instant;

use arboard::{Clipboard, SetExtApple};

use super::holder::{HoldsText, same};

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

    fn has(&mut self, text: &str) -> bool {
        same(self.0.get_text().ok(), text)
    }

    fn clear(&mut self) {
        let _ = self.0.clear();
    }
}
