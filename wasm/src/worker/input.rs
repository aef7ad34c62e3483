//! What the browser tells the worker. Wire types of JavaScript's side only; nothing is decided here.
//!
//! Enums are written with their variant's name outside (`{"alarm": {}}`).

use ticketgate_protocol::ids::{CustomerId, DirectoryId, PolicyId, SessionId};
use ticketgate_protocol::tree::{FromJson, ToTree};

/// Something happened.
#[derive(Debug, Clone, PartialEq, FromJson)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// The worker's script runs: after installation, a browser start, or a wake.
    Started(Started),
    /// The extension was installed or updated: open ticket pages have no live content script yet.
    Installed {},
    /// A message that came over `runtime.onMessage`.
    Page {
        /// Who sent it, as the browser says.
        sender: Sender,
        /// Its JSON text.
        message: String,
    },
    /// A document's response to a push that asked it to read itself again.
    PageRead {
        /// Which [`super::Effect::Read`] this answers.
        ask: u32,
        /// Its JSON text, or nothing when the document is gone.
        #[serde(default)]
        facts: Option<String>,
    },
    /// A page connected a port.
    Connected {
        /// Number that JavaScript gave the port.
        port: u32,
        /// The port's name.
        name: String,
        /// Who connected, as the browser says.
        sender: Sender,
        /// The tab that the person has in front of them.
        #[serde(default)]
        front: Option<Tab>,
    },
    /// A page's port closed.
    Disconnected {
        /// Its number.
        port: u32,
    },
    /// An extension page says what the person wants.
    Intent {
        /// Over which port.
        port: u32,
        /// What.
        intent: Intent,
    },
    /// A frame from the relay.
    Frame {
        /// Its JSON text.
        text: String,
    },
    /// The native port closed or could not be opened.
    PortClosed {
        /// Chrome's `lastError` text.
        #[serde(default)]
        error: Option<String>,
    },
    /// An alarm went off.
    Alarm {},
    /// The timer that was asked for went off.
    Timer {},
    /// The keyboard shortcut.
    Shortcut {
        /// The tab in front.
        #[serde(default)]
        tab: Option<Tab>,
    },
    /// A click on a notification.
    NotificationClicked {
        /// Its id.
        id: String,
        /// Which button, or the notification itself.
        #[serde(default)]
        button: Option<u32>,
    },
    /// A tab navigated (or a single-page app moved on).
    TabUpdated {
        /// Its id.
        tab: i32,
    },
    /// A tab is gone.
    TabRemoved {
        /// Its id.
        tab: i32,
    },
    /// The host permissions changed.
    Origins {
        /// All that are granted now, required ones included.
        origins: Vec<String>,
    },
    /// The administrator's settings changed.
    Managed {
        /// All of them.
        settings: Managed,
    },
    /// A newer version of the extension waits.
    UpdateAvailable {},
}

/// What the worker finds when it starts.
#[derive(Debug, Clone, Default, PartialEq, FromJson)]
pub struct Started {
    /// The extension's id.
    pub id: String,
    /// The extension's version.
    pub version: String,
    /// What was saved for this browser run.
    #[serde(default)]
    pub session: Option<String>,
    /// The broker's recognition rules, as they were saved for this browser run.
    #[serde(default)]
    pub rules: Option<String>,
    /// What was saved for good.
    #[serde(default)]
    pub local: Option<String>,
    /// Host permissions that are granted, required ones included.
    #[serde(default)]
    pub origins: Vec<String>,
    /// The administrator's settings.
    #[serde(default)]
    pub managed: Managed,
    /// Tabs that exist.
    #[serde(default)]
    pub tabs: Vec<i32>,
}

/// The administrator's settings (`extension/managed.json`).
#[derive(Debug, Clone, Default, PartialEq, FromJson)]
pub struct Managed {
    /// Match patterns that the administrator suggests.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// How a reason is made from a ticket.
    pub template: Option<String>,
    /// Recognition rules, a JSON text each.
    #[serde(default)]
    pub rules: Vec<String>,
}

/// Who sent a message, as the browser says; nothing of it comes from the message.
#[derive(Debug, Clone, Default, PartialEq, FromJson)]
pub struct Sender {
    /// The extension that the sender belongs to.
    #[serde(default)]
    pub id: Option<String>,
    /// The sender's origin.
    #[serde(default)]
    pub origin: Option<String>,
    /// The sending document's address.
    #[serde(default)]
    pub url: Option<String>,
    /// The sender's tab, if it is in one.
    #[serde(default)]
    pub tab: Option<Tab>,
    /// The sender's frame.
    #[serde(default)]
    pub frame: Option<i32>,
    /// The sender's document.
    #[serde(default)]
    pub document: Option<String>,
}

/// A tab as the browser describes it.
#[derive(Debug, Clone, Default, PartialEq, FromJson, ToTree)]
pub struct Tab {
    /// Its id.
    pub id: i32,
    /// Its window.
    #[serde(default)]
    pub window: i32,
    /// Whether it is the one shown in its window.
    #[serde(default)]
    pub active: bool,
    /// Its address, when a permission lets us see it.
    #[serde(default)]
    pub url: Option<String>,
}

/// What a person wants, said by a click or a key in one of the extension's own pages.
#[derive(Debug, Clone, PartialEq, Eq, FromJson, ToTree)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Intent {
    /// Activate what the form shows.
    Activate {
        /// The form that the person saw.
        serial: u32,
    },
    /// Extend a session by the amount that its button shows.
    Extend {
        /// Which.
        session: SessionId,
    },
    /// End a session now.
    End {
        /// Which.
        session: SessionId,
    },
    /// Have the relay put a session's password into the clipboard.
    CopyPassword {
        /// Which.
        session: SessionId,
        /// In which of its directories, where it has parts.
        #[serde(default)]
        directory: Option<DirectoryId>,
    },
    /// Choose the customer.
    PickCustomer {
        /// Which; none to choose again.
        #[serde(default)]
        customer: Option<CustomerId>,
    },
    /// Choose the policy.
    PickPolicy {
        /// Which; none to choose again.
        #[serde(default)]
        policy: Option<PolicyId>,
    },
    /// Choose the duration.
    PickDuration {
        /// How long.
        seconds: u32,
    },
    /// Change the reason.
    EditReason {
        /// The whole text.
        text: String,
        /// The form that was shown when it was written.
        serial: u32,
    },
    /// Change the ticket's number.
    EditTicket {
        /// The whole text.
        text: String,
    },
    /// Take the ticket that the page shows now.
    UsePageTicket {},
    /// Connect and ask the broker again.
    Reconnect {},
    /// Sign in to the broker.
    SignIn {},
    /// Repeat the activation that failed.
    RetryJob {},
    /// Put a failed activation aside and show the form again.
    Dismiss {},
    /// Bring the in-page button back on this site.
    ShowButtonAgain {},
}
