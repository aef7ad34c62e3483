//! Linux: X11 tells when another program takes the clipboard; Wayland is looked at now and then (not run by our tests).

use std::time::Instant;

use arboard::{Clipboard, SetExtLinux};

use super::holder::{HoldsText, same};

/// The X11 or Wayland clipboard.
pub(super) struct Board(Clipboard);

impl HoldsText for Board {
    fn open() -> Option<Self> {
        Clipboard::new().ok().map(Self)
    }

    fn put(&mut self, text: &str) -> bool {
        self.0.set().exclude_from_history().text(text).is_ok()
    }

    fn wait(&mut self, text: &str, deadline: Instant) {
        // Waiting needs another put. Whoever copied in the meantime is not overwritten.
        if self.has(text) {
            let _ = self.0.set().exclude_from_history().wait_until(deadline).text(text);
        }
    }

    fn has(&mut self, text: &str) -> bool {
        same(self.0.get_text().ok(), text)
    }

    fn clear(&mut self) {
        // Before the process ends: a clipboard manager would be offered what is still there.
        let _ = self.0.clear();
    }
}
