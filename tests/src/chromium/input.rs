//! Mouse and keyboard events in the protocol's words.

use serde_json::{Value, json};

/// A key with modifiers. `Key::ENTER`, or `Key::letter('J').alt().shift()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    key: Named,
    modifiers: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// A letter in upper case.
    Letter(char),
    /// Key, Windows virtual key code, text that it types.
    Special(&'static str, u32, &'static str),
}

const ALT: u8 = 1;
const CONTROL: u8 = 2;
const SHIFT: u8 = 8;

impl Key {
    /// Enter.
    pub const ENTER: Self = Self::special("Enter", 13, "\r");
    /// Tab.
    pub const TAB: Self = Self::special("Tab", 9, "");
    /// Escape.
    pub const ESCAPE: Self = Self::special("Escape", 27, "");
    /// The space bar.
    pub const SPACE: Self = Self::special(" ", 32, " ");
    /// Arrow down.
    pub const DOWN: Self = Self::special("ArrowDown", 40, "");
    /// Arrow up.
    pub const UP: Self = Self::special("ArrowUp", 38, "");
    /// Arrow left.
    pub const LEFT: Self = Self::special("ArrowLeft", 37, "");
    /// Arrow right.
    pub const RIGHT: Self = Self::special("ArrowRight", 39, "");

    const fn special(key: &'static str, code: u32, text: &'static str) -> Self {
        Self { key: Named::Special(key, code, text), modifiers: 0 }
    }

    /// A letter of the Latin alphabet.
    pub const fn letter(letter: char) -> Self {
        Self { key: Named::Letter(letter.to_ascii_uppercase()), modifiers: 0 }
    }

    /// With Alt held.
    #[must_use]
    pub const fn alt(self) -> Self {
        Self { modifiers: self.modifiers | ALT, ..self }
    }

    /// With Control held.
    #[must_use]
    pub const fn control(self) -> Self {
        Self { modifiers: self.modifiers | CONTROL, ..self }
    }

    /// With Shift held.
    #[must_use]
    pub const fn shift(self) -> Self {
        Self { modifiers: self.modifiers | SHIFT, ..self }
    }

    pub(super) fn events(self) -> [Value; 2] {
        let (key, code, number, text) = match self.key {
            Named::Letter(letter) => {
                (letter.to_string(), format!("Key{letter}"), u32::from(letter), String::new())
            }
            Named::Special(" ", number, text) => {
                (" ".to_owned(), "Space".to_owned(), number, text.to_owned())
            }
            Named::Special(key, number, text) => (key.to_owned(), key.to_owned(), number, text.to_owned()),
        };
        // Without the native code the browser hands the key to the page and looks for no shortcut.
        let event = |kind: &str| {
            json!({"type": kind, "modifiers": self.modifiers, "key": key, "code": code,
                "windowsVirtualKeyCode": number, "nativeVirtualKeyCode": number})
        };
        let mut down = event(if text.is_empty() { "rawKeyDown" } else { "keyDown" });
        if let (false, Some(fields)) = (text.is_empty(), down.as_object_mut()) {
            fields.insert("text".to_owned(), text.into());
        }
        [down, event("keyUp")]
    }
}

/// A click of the left button.
pub(super) fn click(x: f64, y: f64) -> [Value; 3] {
    ["mouseMoved", "mousePressed", "mouseReleased"]
        .map(|kind| json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}))
}
