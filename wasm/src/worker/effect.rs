//! What the worker wants done. JavaScript carries it out as it stands and decides nothing.

use std::rc::Rc;

use ticketgate_protocol::native::Request;
use ticketgate_protocol::page::{Questions, ToPage};
use ticketgate_protocol::tree::ToTree;

use super::view::View;

/// What the badge shows from an instant on.
#[derive(Debug, Clone, PartialEq, Eq, ToTree)]
pub struct ComingBadge {
    /// From when on, in milliseconds since 1970 by the browser's clock.
    pub at: i64,
    /// Its text.
    pub text: String,
    /// Its background colour.
    pub color: &'static str,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, ToTree)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Open the native port.
    OpenPort {
        /// The native messaging host's name.
        host: &'static str,
    },
    /// Close the native port.
    ClosePort {},
    /// Send a frame over the native port.
    Send {
        /// The frame.
        frame: Request,
    },
    /// Set the toolbar's badge and title, for every tab.
    Badge {
        /// At most four characters.
        text: String,
        /// Background colour, `#rrggbb`.
        color: &'static str,
        /// The tool tip, spelled out.
        title: String,
        /// What it shows from now on while nothing new is heard: a worker that wakes draws it before its core is there.
        coming: Vec<ComingBadge>,
    },
    /// Set a tab's own icon and title.
    TabIcon {
        /// Which tab.
        tab: i32,
        /// Whether the icon is lit.
        lit: bool,
        /// The tool tip.
        title: String,
    },
    /// Show a notification, or replace the one with this id.
    Notify {
        /// Its id.
        id: String,
        /// First line.
        title: String,
        /// Text.
        message: String,
        /// At most two.
        buttons: Vec<String>,
        /// Whether it stays until the person reacts.
        stay: bool,
    },
    /// Take a notification away.
    ClearNotice {
        /// Its id.
        id: String,
    },
    /// Set the one alarm, or clear it.
    Alarm {
        /// When, in milliseconds since 1970.
        at: Option<i64>,
    },
    /// Set the one timer, or clear it. Carried out in Rust.
    Timer {
        /// In how many milliseconds.
        after: Option<u32>,
    },
    /// Show this in a popup.
    Push {
        /// Over which port.
        port: u32,
        /// All that it shows.
        view: Rc<View>,
    },
    /// Keep what a popup for this tab would show, for one that opens while the worker sleeps; nothing where it would show what
    /// changes by itself.
    KeepView {
        /// The tab, and all that a popup shows for it.
        view: Option<(i32, Rc<View>)>,
    },
    /// Close a page's port.
    Refuse {
        /// Which.
        port: u32,
    },
    /// Tell a document something.
    Tell {
        /// Its tab.
        tab: i32,
        /// The document.
        document: String,
        /// What.
        message: ToPage,
    },
    /// Ask a document what it shows now; the response comes back as [`super::Input::PageRead`].
    Read {
        /// Its tab.
        tab: i32,
        /// The document.
        document: String,
        /// Its frame: one that the browser keeps for "back" does not answer, but nobody is in its frame then.
        frame: i32,
        /// Number of the question.
        ask: u32,
    },
    /// Open the toolbar's popup, or a window with the same page where the browser refuses.
    OpenPopup {
        /// About which tab.
        tab: Option<i32>,
        /// In which window.
        window: Option<i32>,
    },
    /// Save for this browser run.
    SaveSession {
        /// JSON text.
        text: String,
    },
    /// Save the broker's recognition rules for this browser run. They change rarely and may be large, so they stand alone.
    SaveRules {
        /// JSON text.
        text: String,
    },
    /// Save for good.
    SaveLocal {
        /// JSON text.
        text: String,
    },
    /// Run the content scripts once in a tab that the person pointed at.
    Inject {
        /// Which tab.
        tab: i32,
    },
    /// Have the content scripts run on exactly these sites beside the manifest's.
    Register {
        /// Match patterns.
        patterns: Vec<String>,
    },
    /// Run the content scripts in the open tabs of these sites.
    InjectInto {
        /// Match patterns; none: all that the extension has.
        patterns: Option<Vec<String>>,
    },
    /// Start the extension's new version.
    Reload {},
    /// The response to the message that is being handled.
    Answer {
        /// The response.
        questions: Option<Questions>,
    },
}
