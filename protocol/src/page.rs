//! What a ticket page and the extension's worker say to each other. What comes from the page is untrusted: every field
//! is a claim, and nothing on this channel can do more than name a ticket. No rules and no decisions here.
//!
//! Content script → worker (`chrome.runtime.sendMessage`): [`FromPage`], made from JSON by [`FromPage::from_json`], which
//! checks every count and length once. Worker → content script (`chrome.tabs.sendMessage`): [`ToPage`]. The response to
//! `arrived` is [`Questions`] or `null`, the response to `{"read":true}` is the JSON of `facts`, and that
//! to `show` `{"missing":"chip"}` where the button's script is not there yet; all others have none.
//!
//! Tab, frame, document and origin come from the browser's `sender`, never from here. [`Facts::address`] says only
//! where inside the sender's origin a single-page app is now (`sender.url` is as old as the document).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::is_longer;
use crate::tree::{FromJson, ToTree};

/// The longest message from a page, in bytes of JSON. A full set of facts is about 4 KiB.
pub const MESSAGE_MAX: usize = 64 * 1024;
/// The most questions asked of one page. On an unknown host all systems that can be self-hosted ask (see
/// [`Question::only_if`]: most of them ask once and stop).
pub const QUESTIONS_MAX: usize = 512;
/// The most answers taken from one page. No page is two systems at once.
pub const ANSWERS_MAX: usize = 96;
/// The most texts in one answer.
pub const FOUND_MAX: usize = 8;
/// The longest text in an answer, and the longest title, in characters. The probe cuts what it reads to this.
pub const TEXT_MAX: usize = 1_000;
/// The longest address, in bytes: single-page apps keep kilobytes of state behind the `#`.
pub const ADDRESS_MAX: usize = 16 * 1024;
/// The longest token of a button.
pub const TOKEN_MAX: usize = 64;

/// What to read on a page: the response to `arrived`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(deny_unknown_fields)]
pub struct Questions {
    /// Fingerprint of the rules that ask; the facts carry it back.
    pub rules: u32,
    /// What to read, at most [`QUESTIONS_MAX`].
    pub ask: Vec<Question>,
}

/// One thing to read. Selectors are CSS; ` >>> ` steps into the open shadow root of what stands left of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Its number within the rules.
    pub q: u16,
    /// Ask only where that question, which stands earlier in the list, found something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_if: Option<u16>,
    /// The elements, or the rows where `label` is given. Invisible ones are skipped unless `hidden_too`.
    pub selector: String,
    /// Only inside the first visible element that matches this (the open one of several mounted tickets).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Only rows whose label says one of these words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The value inside the element or row, or, as `+ b`, right behind it; without it the element itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What of it.
    #[serde(default)]
    pub read: Read,
    /// Only texts that hold this, compared without case and with white space folded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holding: Option<String>,
    /// Descendants whose text does not count (buttons, badges).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<String>,
    /// Also elements that are not visible (`meta`, hidden inputs).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden_too: bool,
    /// At most this many texts, 1 to [`FOUND_MAX`].
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub many: u8,
}

fn one() -> u8 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_one(many: &u8) -> bool {
    *many == 1
}

/// Finds a value by the words next to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// The label inside the row; without it the row itself is the label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Words it may say, compared without case, surrounding space, `:` and `*`.
    pub words: Vec<String>,
    /// Read the control that a `<label>` belongs to instead of something inside the row.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub control: bool,
}

/// What to read of an element.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(rename_all = "snake_case")]
pub enum Read {
    /// Its text with all descendants'.
    #[default]
    Text,
    /// Only its own text nodes.
    OwnText,
    /// What a control shows: an input's value, a select's chosen words.
    Value,
    /// Only whether it is there; the answer is one empty text.
    Present,
    /// An attribute.
    Attribute(String),
}

/// What a page says: the answers to [`Questions`]. Checked; texts are bounded but not yet folded into lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The fingerprint out of [`Questions`].
    pub rules: u32,
    /// `location.href`. Believed only within the sender's origin.
    pub address: String,
    /// `document.title`.
    pub title: String,
    /// Whether the frame is laid out and visible in its parent.
    pub shown: bool,
    /// Questions that found something.
    pub answers: Vec<Answer>,
}

/// What one question found, in document order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromJson)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The question.
    pub q: u16,
    /// 1 to [`FOUND_MAX`] texts.
    pub found: Vec<String>,
}

/// A message from a content script, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromPage {
    /// A document is there; the response says what to read.
    Arrived,
    /// What the page shows now.
    Report(Facts),
    /// The pointer or the keyboard came to the in-page button: a click may follow, and a sleeping worker wakes meanwhile.
    Near,
    /// A click on the in-page button that passed the guard.
    Click {
        /// The token of the view that was clicked.
        token: String,
        /// What the page showed at that moment.
        facts: Facts,
    },
    /// A click that the guard refused, and why. It causes nothing: the person was told in the page.
    RefusedClick(Refused),
    /// The person moved the button.
    Placement(Placement),
    /// The person hid the button.
    HideButton(HideFor),
}

/// Why the guard refused a click.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// Made by a script.
    NotTrusted,
    /// The window or the document has no focus, or is hidden.
    NoFocus,
    /// Not in the top layer.
    NotOnTop,
    /// Covered, transparent or transformed.
    NotVisible,
    /// Clipped or partly off screen.
    Clipped,
    /// Something else would take a click somewhere on it.
    Covered,
    /// Smaller than a person can hit knowingly.
    TooSmall,
    /// Not long enough in sight, or (keyboard) in focus.
    TooSoon,
}

/// How long a hidden button stays away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(rename_all = "snake_case")]
pub enum HideFor {
    /// For this ticket page in this tab.
    Page,
    /// For every page of this site, until the popup brings it back.
    Site,
}

/// Where the button is: distances in CSS pixels from a corner of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// The nearest corner.
    pub corner: Corner,
    /// Horizontal distance.
    pub x: u16,
    /// Vertical distance.
    pub y: u16,
}

impl Default for Placement {
    fn default() -> Self {
        Self { corner: Corner::BottomRight, x: 24, y: 24 }
    }
}

/// A corner of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(rename_all = "snake_case")]
pub enum Corner {
    /// Top left.
    TopLeft,
    /// Top right.
    TopRight,
    /// Bottom left.
    BottomLeft,
    /// Bottom right.
    BottomRight,
}

/// A push from the worker to one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(rename_all = "snake_case")]
pub enum ToPage {
    /// Show the button, or change the one that is there.
    Show(ChipView),
    /// Take the button away. Always `true`.
    Hide(bool),
    /// Read the page now and respond with the facts. Always `true`.
    Read(bool),
    /// The person took the site back: take the button away, read nothing more. Always `true`.
    Stop(bool),
}

/// The in-page button as it is to be drawn. No decision is made from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(deny_unknown_fields)]
pub struct ChipView {
    /// Comes back with the click; the worker makes a new one whenever the meaning of a click changes.
    pub token: String,
    /// `Activate · Acme Corp · Domain Admin 1 h`.
    pub label: String,
    /// The same as a sentence: what the click does, for which customer, policy, duration and ticket.
    pub detail: String,
    /// How it is drawn.
    pub state: ChipState,
    /// Whether the click activates; otherwise it opens the popup.
    pub one_click: bool,
    /// Where.
    #[serde(default)]
    pub placement: Placement,
}

/// How the button is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(rename_all = "snake_case")]
pub enum ChipState {
    /// Waits for a click.
    Ready,
    /// Works; clicks are ignored.
    Working,
    /// A session runs; the label says how long.
    Active,
    /// Something needs the person; the label says what.
    Attention,
}

/// A message from a page was refused. Holds no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadPage {
    /// More bytes than [`MESSAGE_MAX`].
    TooLarge,
    /// Not JSON, or of an unknown shape.
    Malformed,
    /// A list is longer than its limit.
    TooMany,
    /// A text is longer than its limit.
    TooLong,
    /// The same question was answered twice.
    Twice,
}

impl fmt::Display for BadPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the page's message is too large",
            Self::Malformed => "the page's message is not of a known shape",
            Self::TooMany => "the page's message lists too much",
            Self::TooLong => "a text in the page's message is too long",
            Self::Twice => "the page answered one question twice",
        })
    }
}

impl std::error::Error for BadPage {}

#[derive(FromJson)]
#[serde(tag = "page", rename_all = "snake_case", deny_unknown_fields)]
enum WireFromPage {
    Arrived {},
    Report { facts: WireFacts },
    Near {},
    Click { token: String, facts: WireFacts },
    RefusedClick { why: Refused },
    Placement { placement: Placement },
    HideButton { r#for: HideFor },
}

#[derive(FromJson)]
#[serde(deny_unknown_fields)]
struct WireFacts {
    rules: u32,
    address: String,
    title: String,
    shown: bool,
    answers: Vec<Answer>,
}

impl FromPage {
    /// Reads and checks a message. The size is checked before anything is parsed.
    ///
    /// # Errors
    /// [`BadPage`] says which rule was broken.
    pub fn from_json(text: &str) -> Result<Self, BadPage> {
        Ok(match parse(text)? {
            WireFromPage::Arrived {} => Self::Arrived,
            WireFromPage::Report { facts } => Self::Report(facts.checked()?),
            WireFromPage::Near {} => Self::Near,
            WireFromPage::Click { token, facts } => {
                if token.len() > TOKEN_MAX {
                    return Err(BadPage::TooLong);
                }
                Self::Click { token, facts: facts.checked()? }
            }
            WireFromPage::RefusedClick { why } => Self::RefusedClick(why),
            WireFromPage::Placement { placement } => Self::Placement(placement),
            WireFromPage::HideButton { r#for } => Self::HideButton(r#for),
        })
    }
}

impl Facts {
    /// Reads and checks facts: the response to `{"read":true}`.
    ///
    /// # Errors
    /// [`BadPage`] says which rule was broken.
    pub fn from_json(text: &str) -> Result<Self, BadPage> {
        parse::<WireFacts>(text)?.checked()
    }
}

fn parse<T: FromJson>(text: &str) -> Result<T, BadPage> {
    if text.len() > MESSAGE_MAX {
        return Err(BadPage::TooLarge);
    }
    T::parse(text).map_err(|_| BadPage::Malformed)
}

impl WireFacts {
    fn checked(self) -> Result<Facts, BadPage> {
        let too_long = |text: &str| is_longer(text, TEXT_MAX);
        if self.address.len() > ADDRESS_MAX || too_long(&self.title) {
            return Err(BadPage::TooLong);
        }
        if self.answers.len() > ANSWERS_MAX {
            return Err(BadPage::TooMany);
        }
        for (at, Answer { q, found }) in self.answers.iter().enumerate() {
            if found.is_empty() || found.len() > FOUND_MAX {
                return Err(BadPage::TooMany);
            }
            if found.iter().any(|text| too_long(text)) {
                return Err(BadPage::TooLong);
            }
            if self.answers.iter().take(at).any(|before| before.q == *q) {
                return Err(BadPage::Twice);
            }
        }
        let Self { rules, address, title, shown, answers } = self;
        Ok(Facts { rules, address, title, shown, answers })
    }
}

#[cfg(test)]
mod tests;
