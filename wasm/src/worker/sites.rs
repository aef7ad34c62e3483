//! The sites on which the content scripts may run: what is granted, and what was taken back while scripts ran there.
//! A browser does not stop them by itself.

use chrono::{DateTime, Utc};
use ticketgate_protocol::page::ToPage;
use ticketgate_protocol::tree::{FromJson, ToTree};

use super::pages::Known;
use super::{Effect, Worker, hosts};

/// Host permissions over a browser run.
#[derive(Debug, Clone, Default, PartialEq, Eq, FromJson, ToTree)]
pub(super) struct Sites {
    /// Granted as last heard; none before the first word in this browser run.
    granted: Option<Vec<String>>,
    /// Taken back in this browser run.
    #[serde(default)]
    taken_back: Vec<String>,
    /// Tabs whose page the person pointed at since.
    #[serde(default)]
    pointed_at: Vec<i32>,
}

/// What changed with the permissions.
#[derive(Debug, Default, PartialEq, Eq)]
struct Change {
    gained: Vec<String>,
    lost: Vec<String>,
}

impl Sites {
    /// The patterns that are granted, required ones included.
    #[must_use]
    pub(super) fn granted(&self) -> &[String] {
        self.granted.as_deref().unwrap_or_default()
    }

    /// Whether scripts at this address count. Where the site was taken back they do only after another click on the
    /// toolbar: one that was kept for "back", or had something on its way, speaks on.
    #[must_use]
    pub(super) fn may_speak(&self, tab: i32, url: &str) -> bool {
        hosts::is_allowed(self.granted(), url)
            || !hosts::is_allowed(&self.taken_back, url)
            || self.pointed_at.contains(&tab)
    }

    /// The person pointed at a tab's page by a click on the toolbar.
    pub(super) fn point_at(&mut self, tab: i32) {
        if !self.taken_back.is_empty() && !self.pointed_at.contains(&tab) {
            self.pointed_at.push(tab);
        }
    }

    /// A tab is gone.
    pub(super) fn forget(&mut self, tab: i32) {
        self.pointed_at.retain(|id| *id != tab);
    }

    fn hear(&mut self, granted: &[String]) -> Change {
        let Some(before) = self.granted.replace(granted.to_owned()) else { return Change::default() };
        let gained = granted.iter().filter(|pattern| !before.contains(pattern)).cloned().collect();
        let lost: Vec<String> = before.into_iter().filter(|pattern| !granted.contains(pattern)).collect();
        self.taken_back.retain(|pattern| !granted.contains(pattern));
        self.taken_back.extend(lost.iter().cloned());
        if !lost.is_empty() {
            self.pointed_at.clear();
        }
        Change { gained, lost }
    }
}

impl Worker {
    /// The host permissions as they are now: scripts begin where a site was gained and stop where one was lost.
    pub(super) fn hear_sites(&mut self, granted: &[String], now: DateTime<Utc>, out: &mut Vec<Effect>) {
        let change = self.last.sites.hear(granted);
        self.settle_hosts(out);
        let gained = hosts::to_register(&change.gained);
        if !gained.is_empty() {
            out.push(Effect::InjectInto { patterns: Some(gained) });
        }
        if !change.lost.is_empty() {
            self.stop_scripts(now, out);
        }
    }

    fn stop_scripts(&mut self, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        let mut gone = Vec::new();
        for (tab, pages) in self.last.pages.tabs() {
            let unwanted = pages.frames.values().filter(|page| !self.last.sites.may_speak(tab, &page.url));
            gone.extend(unwanted.map(|page| (tab, page.document.clone())));
        }
        for (tab, document) in gone {
            self.last.pages.forget_document(tab, &document);
            out.push(Effect::Tell { tab, document, message: ToPage::Stop(true) });
            self.page_changed(tab, now);
        }
    }

    /// Whether a document's site was taken back.
    pub(super) fn is_taken_back(&self, from: &Known) -> bool {
        !self.last.sites.may_speak(from.tab, &from.url)
    }

    pub(super) fn settle_hosts(&mut self, out: &mut Vec<Effect>) {
        let wanted = hosts::to_register(self.last.sites.granted());
        if self.shown.registered.as_ref() != Some(&wanted) {
            out.push(Effect::Register { patterns: wanted.clone() });
            self.shown.registered = Some(wanted);
        }
    }
}
