//! Linux: X11 tells when another program takes the clipboard; Wayland is looked at now and then (not run by our tests).

use std::time::{Duration, Instant};

use arboard::{Clipboard, Error, SetExtLinux};
use zeroize::Zeroize;

use super::holder::{Holds, HoldsText, compare};

/// The X11 or Wayland clipboard.
pub(super) struct Board {
    clipboard: Clipboard,
    tells: bool,
}

impl HoldsText for Board {
    fn open() -> Option<Self> {
        // `arboard` prefers Wayland where there is one; only its X11 side tells when it loses the clipboard.
        let tells = std::env::var_os("WAYLAND_DISPLAY").is_none_or(|name| name.is_empty());
        Clipboard::new().ok().map(|clipboard| Self { clipboard, tells })
    }

    fn put(&mut self, text: &str) -> bool {
        self.clipboard.set().exclude_from_history().text(text).is_ok()
    }

    fn replaced(&mut self, text: &str, deadline: Instant) -> bool {
        if !self.tells || self.holds(text) != Holds::Ours {
            return false; // The second put, which the wait needs, never overwrites another's text.
        }
        end_with_the_screen();
        let _ = self.clipboard.set().exclude_from_history().wait_until(deadline).text(text);
        // Before the deadline it returns only when another program copied, also when that was the same text again.
        Instant::now() < deadline
    }

    fn holds(&mut self, text: &str) -> Holds {
        match compare(self.clipboard.get_text(), text) {
            // On X11 the text is this process's own to give out: it goes with the process, as it went with a lost screen.
            Holds::Unknown if self.tells => Holds::Another,
            found => found,
        }
    }

    fn clear(&mut self) -> bool {
        // Before the process ends: a clipboard manager would be offered what is still there.
        self.clipboard.clear().is_ok()
    }
}

/// Ends this process when its screen is gone: the wait for another program's copy would not notice, and a later screen
/// of the same name is none of ours.
fn end_with_the_screen() {
    let watch = || {
        let Ok(mut clipboard) = Clipboard::new() else { return };
        loop {
            std::thread::sleep(Duration::from_secs(1));
            match clipboard.get_text() {
                Ok(mut text) => text.zeroize(),
                Err(Error::ContentNotAvailable | Error::ConversionFailure | Error::ClipboardOccupied) => {}
                Err(_) => std::process::exit(0),
            }
        }
    };
    let _ = std::thread::Builder::new().name("screen".into()).spawn(watch);
}
