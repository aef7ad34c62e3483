//! Tabs and their documents: what they show, which button stands in them, and how much they may say.
//! Sender, tab and document are always the browser's word; the page's own word is only [`Facts`](ticketgate_protocol::page::Facts).

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_protocol::ids::{CustomerId, PolicyId};
use ticketgate_protocol::page::ChipView;
use ticketgate_protocol::ticket::Ticket;
use ticketgate_protocol::tree::{FromJson, ToTree};

use super::customers;
use super::form::Chosen;
use super::input::{Sender, Tab};
use super::shelf::Shelf;
use ticketgate_recognise::{Certainty, FieldCertainty, Recognised, rank};

/// Messages that a tab may send within [`WINDOW_S`]. A busy ticket page sends one or two a second.
const MESSAGES_MAX: u32 = 60;
/// The window of [`MESSAGES_MAX`], in seconds.
const WINDOW_S: i64 = 10;
/// The most frames of a tab that are kept.
const FRAMES_MAX: usize = 32;
/// The most tabs that are kept.
const TABS_MAX: usize = 300;

/// A recognised ticket, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, FromJson, ToTree)]
pub(super) struct Found {
    /// The ticket.
    pub ticket: Ticket,
    certainty: [u8; 5],
    shown: bool,
}

impl From<&Recognised> for Found {
    fn from(found: &Recognised) -> Self {
        let c = &found.certainty;
        let level = |c: Certainty| match c {
            Certainty::Missing => 0,
            Certainty::Guessed => 1,
            Certainty::Likely => 2,
            Certainty::Sure => 3,
        };
        Self {
            ticket: found.ticket.clone(),
            certainty: [c.number, c.summary, c.customer, c.contact, c.status].map(level),
            shown: found.shown,
        }
    }
}

impl Found {
    /// Whether the customer was read from a place that only often means the customer.
    #[must_use]
    pub(super) fn customer_is_guessed(&self) -> bool {
        matches!(self.customer_certainty(), Certainty::Guessed | Certainty::Likely)
    }

    /// Whether what was read may choose the customer in this way without being looked at: a name that fits exactly is not one
    /// by chance; an address or an earlier choice needs the field that says it and nothing else, and no company that
    /// nobody knows beside the address.
    #[must_use]
    pub(super) fn is_beyond_doubt(&self, by: Chosen) -> bool {
        match by {
            Chosen::Ticket => self.customer_certainty() != Certainty::Guessed,
            Chosen::Before => self.customer_certainty() == Certainty::Sure,
            Chosen::Domain => match self.ticket.customer.as_deref() {
                Some(company) => {
                    customers::is_address(company) && self.customer_certainty() == Certainty::Sure
                }
                None => self.contact_certainty() == Certainty::Sure,
            },
            // It is not the page that says so.
            Chosen::System => true,
            Chosen::Nobody | Chosen::Memory | Chosen::Guess | Chosen::Person => false,
        }
    }

    /// Whether the number was read from the place that the system has for it.
    #[must_use]
    pub(super) fn number_is_sure(&self) -> bool {
        let [number, ..] = self.certainty;
        certainty_of(number) == Certainty::Sure
    }

    /// Whether the summary was read from a place that only often has it.
    #[must_use]
    pub(super) fn summary_is_guessed(&self) -> bool {
        let [_, summary, ..] = self.certainty;
        matches!(certainty_of(summary), Certainty::Guessed | Certainty::Likely)
    }

    /// What of the ticket has to be looked at because it may be something else. `told`: its system says the summary.
    #[must_use]
    pub(super) fn guess(&self, told: bool) -> Option<&'static str> {
        match (self.number_is_sure(), self.summary_is_guessed() && !told) {
            (false, true) => Some("Number and summary were guessed from this page: check them."),
            (false, false) => Some("The number was guessed from this page: check it."),
            (true, true) => Some("The summary was guessed from this page: check the reason."),
            (true, false) => None,
        }
    }

    fn contact_certainty(&self) -> Certainty {
        let [_, _, _, contact, _] = self.certainty;
        certainty_of(contact)
    }

    fn customer_certainty(&self) -> Certainty {
        let [_, _, customer, _, _] = self.certainty;
        certainty_of(customer)
    }

    fn certainty(&self) -> FieldCertainty {
        let [number, summary, customer, contact, status] = self.certainty.map(certainty_of);
        FieldCertainty { number, summary, customer, contact, status }
    }
}

fn certainty_of(level: u8) -> Certainty {
    match level {
        0 => Certainty::Missing,
        1 => Certainty::Guessed,
        2 => Certainty::Likely,
        _ => Certainty::Sure,
    }
}

/// What a click on a button means; a new token is made whenever it changes.
#[derive(Debug, Clone, PartialEq, Eq, FromJson, ToTree)]
pub(super) struct Meaning {
    /// For which ticket.
    pub ticket: Ticket,
    /// For which customer, when the ticket names one exactly.
    pub customer: Option<CustomerId>,
    /// By which policy, when one is remembered or the only one.
    pub policy: Option<PolicyId>,
    /// For how long, in seconds.
    pub duration_s: u32,
    /// Whether the click activates.
    pub one_click: bool,
}

impl Meaning {
    /// Whether a click that was meant so may be carried out as `other`. [`Self::one_click`] is another question: it
    /// depends on where the button stands, too.
    #[must_use]
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.ticket.is_same_as(&other.ticket)
            && (&self.customer, &self.policy, self.duration_s)
                == (&other.customer, &other.policy, other.duration_s)
    }
}

/// The button in a document.
#[derive(Debug, Clone, PartialEq, FromJson, ToTree)]
pub(super) struct Chip {
    /// As it is drawn.
    pub view: ChipView,
    /// What a click on it means.
    pub meaning: Meaning,
}

/// A document with a content script.
#[derive(Debug, Clone, PartialEq, FromJson, ToTree)]
pub(super) struct Page {
    /// The document.
    pub document: String,
    /// Its address when it arrived, as the browser says.
    pub url: String,
    /// Its origin, as the browser says.
    pub origin: String,
    /// The ticket that it shows.
    pub found: Option<Found>,
    /// The button that stands in it.
    pub chip: Option<Chip>,
    /// The ticket for which the person hid the button here.
    pub hidden_for: Option<String>,
    /// How often it spoke: an older question that found nobody does not count against it.
    #[serde(default)]
    pub spoken: u32,
}

/// A tab.
#[derive(Debug, Clone, Default, PartialEq, FromJson, ToTree)]
pub(super) struct TabPages {
    /// Its window.
    pub window: i32,
    /// Its frames with content scripts.
    pub frames: Shelf<i32, Page>,
}

/// A sender whose identity is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// The tab.
    pub tab: i32,
    /// Its window.
    pub window: i32,
    /// Its address, where a permission lets us see it.
    tab_url: Option<String>,
    /// Whether the tab is the one shown in its window.
    pub active: bool,
    /// The frame.
    pub frame: i32,
    /// The document.
    pub document: String,
    /// Its address.
    pub url: String,
    /// Its origin.
    pub origin: String,
}

impl Known {
    /// The sender as a content script of ours in a tab; `None` for anything else.
    #[must_use]
    pub(super) fn from(sender: &Sender, own_id: &str) -> Option<Self> {
        if sender.id.as_deref() != Some(own_id) {
            return None;
        }
        let tab = sender.tab.as_ref()?;
        let url = sender.url.clone()?;
        // The extension's own pages have another channel.
        if url.starts_with("chrome-extension:") {
            return None;
        }
        Some(Self {
            tab: tab.id,
            window: tab.window,
            tab_url: tab.url.clone(),
            active: tab.active,
            frame: sender.frame?,
            document: sender.document.clone()?,
            origin: sender.origin.clone()?,
            url,
        })
    }

    /// Its tab, as the one in front of the person.
    #[must_use]
    pub(super) fn tab_in_front(&self) -> Tab {
        let own = (self.frame == 0).then(|| self.url.clone());
        Tab { id: self.tab, window: self.window, active: true, url: self.tab_url.clone().or(own) }
    }
}

/// All tabs with content scripts.
#[derive(Debug, Clone, Default, PartialEq, FromJson, ToTree)]
pub(super) struct Pages {
    tabs: Shelf<i32, TabPages>,
    #[serde(skip)]
    said: Shelf<i32, (DateTime<Utc>, u32)>,
}

impl Pages {
    /// Counts a message of a tab and says whether it may be heard.
    pub(super) fn may_speak(&mut self, tab: i32, now: DateTime<Utc>) -> bool {
        let (since, count) = self.said.or_insert_with(tab, || (now, 0));
        if now - *since >= TimeDelta::seconds(WINDOW_S) || now < *since {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= MESSAGES_MAX
    }

    /// The document that speaks, remembered; a frame's former document is forgotten.
    pub(super) fn arrived(&mut self, from: &Known) -> Option<&mut Page> {
        if !self.tabs.contains_key(&from.tab) && self.tabs.len() >= TABS_MAX {
            return None;
        }
        let tab = self.tabs.or_insert_with(from.tab, TabPages::default);
        tab.window = from.window;
        let is_new = tab.frames.get(&from.frame).is_none_or(|page| page.document != from.document);
        if is_new {
            if tab.frames.len() >= FRAMES_MAX {
                if from.frame != 0 {
                    return None;
                }
                tab.frames.clear();
            }
            tab.frames.insert(
                from.frame,
                Page {
                    document: from.document.clone(),
                    url: from.url.clone(),
                    origin: from.origin.clone(),
                    found: None,
                    chip: None,
                    hidden_for: None,
                    spoken: 0,
                },
            );
        }
        let page = tab.frames.get_mut(&from.frame)?;
        page.spoken = page.spoken.wrapping_add(1);
        page.url.clone_from(&from.url);
        Some(page)
    }

    /// The tab that counts for a frame's ticket: which frame shows the tab's ticket, and the page.
    #[must_use]
    pub(super) fn ticket_of(&self, tab: i32) -> Option<(i32, &Page, &Found)> {
        let mut best = None;
        for (frame, page) in self.tabs.get(&tab)?.frames.iter() {
            let Some(found) = page.found.as_ref().filter(|found| found.shown) else { continue };
            let rank = rank(i64::from(*frame), &found.certainty());
            if best.as_ref().is_none_or(|(least, _)| rank < *least) {
                best = Some((rank, (*frame, page, found)));
            }
        }
        best.map(|(_, shows)| shows)
    }

    /// A document of a tab.
    #[must_use]
    pub(super) fn document(&self, tab: i32, document: &str) -> Option<&Page> {
        self.tabs.get(&tab)?.frames.values().find(|page| page.document == document)
    }

    /// The frame that a document of a tab is in.
    #[must_use]
    pub(super) fn frame_of(&self, tab: i32, document: &str) -> Option<i32> {
        let mut frames = self.tabs.get(&tab)?.frames.iter();
        frames.find(|(_, page)| page.document == document).map(|(frame, _)| *frame)
    }

    /// A document of a tab, to change it.
    pub(super) fn document_mut(&mut self, tab: i32, document: &str) -> Option<&mut Page> {
        self.tabs.get_mut(&tab)?.frames.values_mut().find(|page| page.document == document)
    }

    /// Forgets a document that is gone.
    pub(super) fn forget_document(&mut self, tab: i32, document: &str) {
        if let Some(pages) = self.tabs.get_mut(&tab) {
            pages.frames.retain(|_, page| page.document != document);
            if pages.frames.is_empty() {
                self.tabs.remove(&tab);
            }
        }
    }

    /// Forgets a tab.
    pub(super) fn forget(&mut self, tab: i32) {
        self.tabs.remove(&tab);
        self.said.remove(&tab);
    }

    /// Keeps only these tabs.
    pub(super) fn keep_only(&mut self, tabs: &[i32]) {
        self.tabs.retain(|id, _| tabs.contains(id));
    }

    /// Whether a content script speaks in this tab.
    #[must_use]
    pub(super) fn has_script(&self, tab: i32) -> bool {
        self.tabs.contains_key(&tab)
    }

    /// Every tab.
    pub(super) fn tabs(&self) -> impl Iterator<Item = (i32, &TabPages)> {
        self.tabs.iter().map(|(id, pages)| (*id, pages))
    }

    /// Whether a button for this ticket stands in any page.
    #[must_use]
    pub(super) fn has_button_for(&self, ticket: &Ticket) -> bool {
        let chips =
            self.tabs.values().flat_map(|pages| pages.frames.values()).filter_map(|p| p.chip.as_ref());
        chips.into_iter().any(|chip| chip.meaning.ticket.is_same_as(ticket))
    }

    /// Whether any tab shows a ticket.
    #[must_use]
    pub(super) fn any_ticket(&self) -> bool {
        self.tabs.values().any(|pages| pages.frames.values().any(|page| page.found.is_some()))
    }
}
