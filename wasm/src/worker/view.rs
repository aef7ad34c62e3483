//! What the popup shows, complete, all texts included. `popup.js` draws it and knows nothing else.

use ticketgate_protocol::tree::ToTree;

use super::input::Intent;

/// The whole popup.
#[derive(Debug, Clone, Default, PartialEq, ToTree)]
pub struct View {
    /// Said to a screen reader when it changes.
    pub announce: String,
    /// What stands in the way, if anything.
    pub trouble: Option<Trouble>,
    /// Sessions, soonest end first, then those that just ended.
    pub sessions: Vec<Card>,
    /// The form, or what became of it.
    pub form: Option<FormView>,
    /// An activation under way or failed.
    pub job: Option<JobView>,
    /// Smaller things that the person should know.
    pub notices: Vec<Note>,
    /// An offer to read tickets on the site in front.
    pub allow: Option<Allow>,
    /// An offer to save how the page in front is built.
    pub report: Option<Report>,
    /// One line at the bottom.
    pub foot: String,
    /// Whether nothing is known yet.
    pub loading: bool,
}

/// How something is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ToTree)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// Ordinary.
    #[default]
    Calm,
    /// Should be looked at.
    Amber,
    /// Is wrong, or nearly over.
    Red,
    /// At work.
    Working,
    /// Over.
    Quiet,
    /// Went well.
    Good,
}

/// A short text.
#[derive(Debug, Clone, PartialEq, Eq, ToTree)]
pub struct Note {
    /// How it is drawn.
    pub tone: Tone,
    /// What it says.
    pub text: String,
}

/// What stands in the way, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, ToTree)]
pub struct Trouble {
    /// How it is drawn.
    pub tone: Tone,
    /// What is the matter.
    pub title: String,
    /// One or two sentences more.
    pub text: String,
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// A button.
    pub button: Option<Button>,
}

/// One step of a remedy.
#[derive(Debug, Clone, PartialEq, Eq, ToTree)]
pub struct Step {
    /// What to do.
    pub text: String,
    /// The exact command, if there is one; it can be copied.
    pub command: Option<String>,
}

/// A button that sends an intent.
#[derive(Debug, Clone, PartialEq, Eq, ToTree)]
pub struct Button {
    /// What it says.
    pub label: String,
    /// What it does.
    pub intent: Intent,
    /// Why it cannot be used at the moment.
    pub disabled: Option<String>,
    /// Whether it works at the moment.
    pub busy: bool,
}

/// A session.
#[derive(Debug, Clone, PartialEq, ToTree)]
pub struct Card {
    /// The session's id.
    pub id: String,
    /// How it is drawn.
    pub tone: Tone,
    /// The customer.
    pub title: String,
    /// The policy.
    pub subtitle: String,
    /// One word for its state when no time runs.
    pub state: Option<String>,
    /// The time that is left.
    pub ring: Option<Ring>,
    /// `Ends at 14:05:10`.
    pub ends: Option<String>,
    /// The account to log on with.
    pub account: Option<String>,
    /// Its rights.
    pub rights: Vec<String>,
    /// What it has in each directory, where there are several; account, rights and password are then theirs.
    pub parts: Vec<PartCard>,
    /// The ticket.
    pub ticket: Option<TicketLine>,
    /// What went well or wrong.
    pub note: Option<Note>,
    /// What counts all the same, while no broker says how it stands.
    pub counts: Option<Note>,
    /// Put the password into the clipboard.
    pub copy_password: Option<Button>,
    /// Move the end.
    pub extend: Option<Button>,
    /// End now.
    pub end: Option<Button>,
    /// What an end does and does not stop.
    pub limits: Option<String>,
}

/// What a session has in one of its directories.
#[derive(Debug, Clone, PartialEq, Eq, ToTree)]
pub struct PartCard {
    /// Which directory.
    pub directory: String,
    /// How it is drawn.
    pub tone: Tone,
    /// One word for its state, where that is not the whole's.
    pub state: Option<String>,
    /// The account to log on with there.
    pub account: Option<String>,
    /// Its rights.
    pub rights: Vec<String>,
    /// Put its password into the clipboard.
    pub copy_password: Option<Button>,
}

/// A ring that empties.
#[derive(Debug, Clone, PartialEq, ToTree)]
pub struct Ring {
    /// Part that is left, 0 to 1.
    pub part: f64,
    /// `43:10`.
    pub clock: String,
    /// The same for a screen reader, in minutes.
    pub words: String,
}

/// A ticket in one line.
#[derive(Debug, Clone, PartialEq, Eq, ToTree)]
pub struct TicketLine {
    /// `#4711 Outlook crashes on start`.
    pub text: String,
    /// Where it can be seen.
    pub url: Option<String>,
}

/// An activation under way or failed.
#[derive(Debug, Clone, PartialEq, Eq, ToTree)]
pub struct JobView {
    /// How it is drawn.
    pub tone: Tone,
    /// `Activating Domain Admin at Acme Corp`.
    pub title: String,
    /// What is the matter, or what happens.
    pub text: String,
    /// What to do.
    pub steps: Vec<Step>,
    /// Repeat.
    pub retry: Option<Button>,
    /// Back to the form.
    pub dismiss: Option<Button>,
    /// Nothing but another wish can succeed: `dismiss` comes first.
    pub change_first: bool,
}

/// The form.
#[derive(Debug, Clone, PartialEq, ToTree)]
pub struct FormView {
    /// Typed text is replaced only when this changes.
    pub serial: u32,
    /// `Ticket on this page`, `Another ticket`, that there is none, or what the folded form is for.
    pub title: String,
    /// The recognised ticket.
    pub ticket: Option<TicketLine>,
    /// The ticket's customer and contact as the page writes them.
    pub said: Option<String>,
    /// What to look at first.
    pub caution: Option<Note>,
    /// Take the ticket that the page shows.
    pub use_page: Option<Button>,
    /// The number's field.
    pub number: String,
    /// Whether the number's field is drawn (no ticket was recognised, its number was guessed, or another was typed).
    pub number_shown: bool,
    /// Whether the policy requires a ticket.
    pub number_required: bool,
    /// Customers.
    pub customers: Vec<Choice>,
    /// A mark beside the customer (`guessed from the ticket: check`).
    pub customer_mark: Option<Note>,
    /// Customers that the person may have in mind, best first; also among [`Self::customers`].
    pub suggested: Vec<Choice>,
    /// Policies of the customer.
    pub policies: Vec<Choice>,
    /// A mark beside the policy (`as last time`, `the ticket is verified first`).
    pub policy_mark: Option<Note>,
    /// Durations of the policy.
    pub durations: Vec<Choice>,
    /// The reason.
    pub reason: String,
    /// The most characters of a reason.
    pub reason_max: usize,
    /// What the directory ends by itself, and what an end does not stop.
    pub limits: Option<String>,
    /// `Activate Domain Admin for 1 h`.
    pub activate: Button,
    /// Whether the form is folded because a session for this ticket runs.
    pub folded: bool,
    /// Bring the in-page button back.
    pub show_button: Option<Button>,
}

/// Something that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, ToTree)]
pub struct Choice {
    /// What it says.
    pub label: String,
    /// What choosing it does.
    pub intent: Intent,
    /// Whether it is chosen.
    pub chosen: bool,
}

/// An offer to read tickets on a site.
#[derive(Debug, Clone, PartialEq, Eq, ToTree)]
pub struct Allow {
    /// The match pattern to ask for.
    pub pattern: String,
    /// What it is about.
    pub text: String,
    /// The button.
    pub label: String,
}

/// An offer to save how a page is built, without what it says, for a report.
#[derive(Debug, Clone, PartialEq, Eq, ToTree)]
pub struct Report {
    /// The page's tab.
    pub tab: i32,
    /// When it is of use.
    pub title: String,
    /// What happens.
    pub text: String,
    /// The button.
    pub label: String,
}
