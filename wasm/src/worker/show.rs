//! What the browser shows outside the popup: badge, icons, titles, and the buttons in pages.

use chrono::{DateTime, Utc};
use ticketgate_protocol::api::{Session, State};
use ticketgate_protocol::page::{ChipState, ChipView, ToPage};

use super::effect::ComingBadge;
use super::job::Job;
use super::pages::{Chip, Found, Meaning, Page};
use super::remaining::{self, color};
use super::sessions::is_stuck;
use super::{Effect, Worker, link, trouble};

const NAME: &str = "Ticketgate";
/// The browser's number for a tab's outermost document.
const MAIN_FRAME: i32 = 0;
/// How many changes of the badge are told in advance: half an hour of minutes, or half a minute of seconds. The browser
/// wakes the worker for each important one, and that tells the next.
const COMING_MAX: usize = 30;

impl Worker {
    pub(super) fn settle_toolbar(&mut self, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        let (text, color, title) = self.badge(now);
        let badge = (text, color, title);
        if self.shown.badge.as_ref() != Some(&badge) {
            let (text, color, title) = badge.clone();
            out.push(Effect::Badge { text, color, title, coming: self.coming_badges(now) });
            self.shown.badge = Some(badge.clone());
        }
        // A tab's own title hides the general one, so it says both.
        let general = (badge.2 != NAME).then_some(badge.2);
        let mut wanted = Vec::new();
        for (tab, _) in self.last.pages.tabs() {
            if let Some((_, _, found)) = self.last.pages.ticket_of(tab) {
                let ticket = format!("Ticket #{} recognised", found.ticket.number);
                let title =
                    general.clone().map_or_else(|| format!("{NAME}: {ticket}"), |g| format!("{g}\n{ticket}"));
                wanted.push((tab, (true, title)));
            }
        }
        let dark: Vec<i32> = self
            .shown
            .icons
            .keys()
            .filter(|tab| !wanted.iter().any(|(lit, _)| lit == *tab))
            .copied()
            .collect();
        for tab in dark {
            let title = general.clone().unwrap_or_else(|| NAME.to_owned());
            let is_dark = (false, title.clone());
            if self.shown.icons.get(&tab) != Some(&is_dark) {
                out.push(Effect::TabIcon { tab, lit: false, title });
                self.shown.icons.insert(tab, is_dark);
            }
        }
        for (tab, (lit, title)) in wanted {
            if self.shown.icons.get(&tab) != Some(&(lit, title.clone())) {
                out.push(Effect::TabIcon { tab, lit, title: title.clone() });
                self.shown.icons.insert(tab, (lit, title));
            }
        }
    }

    /// What the badge shows now, and at its next changes while nothing new is heard.
    pub(super) fn coming_badges(&self, now: DateTime<Utc>) -> Vec<ComingBadge> {
        let mut all: Vec<ComingBadge> = Vec::new();
        let mut at = now;
        for _ in 0..COMING_MAX {
            let (text, color, _) = self.badge(at);
            if all.last().is_none_or(|last| (&last.text, last.color) != (&text, color)) {
                all.push(ComingBadge { at: at.timestamp_millis(), text, color });
            }
            let broker_at = self.broker_now(at);
            match self.last.sessions.soonest().filter(|soonest| soonest.expires_at > broker_at) {
                Some(soonest) => at += remaining::until_change(soonest.expires_at, broker_at),
                None => break,
            }
        }
        all
    }

    /// Text, colour and title of the badge.
    pub(super) fn badge(&self, now: DateTime<Utc>) -> (String, &'static str, String) {
        let broker_now = self.broker_now(now);
        if self.last.job.as_ref().is_some_and(Job::is_working) {
            return ("…".into(), color::WORKING, format!("{NAME}: activating"));
        }
        if let Some(stuck) = self.last.sessions.iter().find(|s| is_stuck(s)) {
            let title = format!("{} · the end does not succeed, tried again", name(stuck));
            return ("!".into(), color::RED, title);
        }
        let failed =
            self.last.job.as_ref().map(|job| format!("not activated: {} at {}", job.policy, job.customer));
        let Some(soonest) = self.last.sessions.soonest() else {
            if let Some(failed) = failed {
                return ("!".into(), color::RED, format!("{NAME}: {failed}"));
            }
            return match self
                .last
                .sessions
                .iter()
                .find(|s| matches!(s.state, State::Activating | State::Ending))
            {
                Some(s) if s.state == State::Ending => {
                    ("…".into(), color::WORKING, format!("{} · ending", name(s)))
                }
                Some(s) => ("…".into(), color::WORKING, format!("{} · activating", name(s))),
                None if self.last.signed_out => {
                    ("!".into(), color::AMBER, format!("{NAME}: sign in to activate rights"))
                }
                None => (String::new(), color::CALM, NAME.into()),
            };
        };
        let left = remaining::seconds(soonest.expires_at, broker_now);
        let mut title = if left == 0 {
            format!("{} · ending", name(soonest))
        } else {
            format!("{} · {} left", name(soonest), remaining::words(left))
        };
        let others = self.last.sessions.iter().filter(|s| s.state == State::Active).count() - 1;
        if others > 0 {
            title.push_str(&format!(" · {others} more"));
        }
        if !self.link.is_open()
            && !matches!(self.link.state(), link::State::Greeting { .. } | link::State::Idle)
        {
            title.push_str(" · the Ticketgate program does not answer");
        } else if self.last.signed_out {
            title.push_str(" · sign in to extend or end it");
        } else if self.overview_problem.as_ref().is_some_and(trouble::is_silence) {
            title.push_str(" · the broker does not answer");
        }
        // The time that runs is worth more than a failure that holds no rights.
        if let Some(failed) = failed {
            title.push_str(&format!(" · {failed}"));
        }
        if left == 0 {
            return ("…".into(), color::WORKING, title);
        }
        (remaining::badge(left), remaining::badge_color(left), title)
    }

    pub(super) fn settle_chips(&mut self, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        let shown_in: Vec<(i32, String)> = self
            .last
            .pages
            .tabs()
            .filter_map(|(tab, _)| {
                self.last.pages.ticket_of(tab).map(|(_, page, _)| (tab, page.document.clone()))
            })
            .collect();
        let mut wanted: Vec<(i32, String, Option<Chip>)> = Vec::new();
        for (tab, pages) in self.last.pages.tabs() {
            for (frame, page) in pages.frames.iter() {
                let counts = shown_in.contains(&(tab, page.document.clone()));
                let chip = page
                    .found
                    .as_ref()
                    .filter(|_| counts)
                    .and_then(|found| self.chip(*frame, page, found, now));
                let is_same = match (&chip, &page.chip) {
                    (Some(a), Some(b)) => a.view == b.view && a.meaning == b.meaning,
                    (None, None) => true,
                    _ => false,
                };
                if !is_same {
                    wanted.push((tab, page.document.clone(), chip));
                }
            }
        }
        for (tab, document, mut chip) in wanted {
            let new_token = self.around.new_key();
            let Some(page) = self.last.pages.document_mut(tab, &document) else { continue };
            if let Some(chip) = &mut chip {
                let keeps = page
                    .chip
                    .as_ref()
                    .filter(|old| old.meaning == chip.meaning && old.view.state == chip.view.state);
                chip.view.token = keeps.map_or(new_token, |old| old.view.token.clone());
            }
            let message = chip.as_ref().map_or(ToPage::Hide(true), |chip| ToPage::Show(chip.view.clone()));
            page.chip = chip;
            out.push(Effect::Tell { tab, document, message });
        }
    }

    /// The button for a page, with the token of the one that stands there.
    fn chip(&self, frame: i32, page: &Page, found: &Found, now: DateTime<Utc>) -> Option<Chip> {
        let meaning = self.meaning(found)?;
        // The page around a frame can cover or move it unseen by the guard inside, so a click there only opens the popup.
        let meaning = Meaning { one_click: meaning.one_click && frame == MAIN_FRAME, ..meaning };
        let ticket = &found.ticket;
        if self.memory.is_hidden(&page.origin) || page.hidden_for.as_deref() == Some(ticket.number.as_str()) {
            return None;
        }
        let (state, label, detail, one_click) = self.chip_texts(&meaning, now)?;
        let token = page.chip.as_ref().map(|chip| chip.view.token.clone()).unwrap_or_default();
        let placement = self.memory.placement(&page.origin);
        let meaning = Meaning { one_click, ..meaning };
        Some(Chip { view: ChipView { token, label, detail, state, one_click, placement }, meaning })
    }

    fn chip_texts(&self, meaning: &Meaning, now: DateTime<Utc>) -> Option<(ChipState, String, String, bool)> {
        let ticket = &meaning.ticket;
        if let Some(job) = self.last.job.as_ref().filter(|job| job.is_for(ticket)) {
            let what = format!("{} · {}", job.customer, job.policy);
            return Some(if job.is_working() {
                (
                    ChipState::Working,
                    format!("Activating · {what}"),
                    "The rights are being granted.".into(),
                    false,
                )
            } else {
                let detail = job.failed.as_ref().map(|f| f.problem.detail.clone()).unwrap_or_default();
                (ChipState::Attention, format!("Not activated · {what}"), detail, false)
            });
        }
        if let Some(session) = self.session_for(ticket) {
            return Some(self.chip_of_session(session, now));
        }
        if self.last.signed_out {
            let detail = "Opens Ticketgate, where you sign in. Nothing is activated by that.";
            return Some((ChipState::Attention, "Sign in to activate …".into(), detail.into(), false));
        }
        let overview = self.last.overview.as_ref()?;
        let customer =
            meaning.customer.as_ref().and_then(|id| overview.customers.iter().find(|c| c.id == *id));
        let policy = meaning.policy.as_ref().and_then(|id| overview.policies.iter().find(|p| p.id == *id));
        let number = &ticket.number;
        Some(match (customer, policy) {
            (Some(c), Some(p)) => {
                let time = remaining::duration(meaning.duration_s);
                let dots = if meaning.one_click { "" } else { " …" };
                let detail = if meaning.one_click {
                    format!("Activates {} at {} for {time}, for ticket #{number}.", p.name, c.name)
                } else {
                    format!("Opens Ticketgate: {} at {} for {time}, for ticket #{number}.", p.name, c.name)
                };
                (
                    ChipState::Ready,
                    format!("Activate · {} · {} {time}{dots}", c.name, p.name),
                    detail,
                    meaning.one_click,
                )
            }
            (Some(c), None) => (
                ChipState::Ready,
                format!("Activate · {} …", c.name),
                format!("Opens Ticketgate to pick rights at {} for ticket #{number}.", c.name),
                false,
            ),
            _ => (
                ChipState::Ready,
                "Activate …".into(),
                format!("Opens Ticketgate to pick customer and rights for ticket #{number}."),
                false,
            ),
        })
    }

    fn chip_of_session(&self, session: &Session, now: DateTime<Utc>) -> (ChipState, String, String, bool) {
        let what = name(session);
        let open = "Opens Ticketgate.";
        match session.state {
            State::Active => {
                let left = remaining::seconds(session.expires_at, self.broker_now(now));
                let time = remaining::words(left);
                let ready = self.doing.get(&session.id).and_then(|doing| doing.ready_at(now));
                let label = ready.map_or_else(|| format!("Active · {what} · {time}"), str::to_owned);
                let log_on = session.account.as_ref().map(|a| format!("Log on as {a}. ")).unwrap_or_default();
                (ChipState::Active, label, format!("{log_on}{time} left. {open}"), false)
            }
            State::Ending if is_stuck(session) => (
                ChipState::Attention,
                format!("End does not succeed · {what}"),
                format!("The rights may still be there; it is tried again. {open}"),
                false,
            ),
            State::Ending => (ChipState::Working, format!("Ending · {what}"), open.into(), false),
            State::Pending => {
                (ChipState::Working, format!("Waits for approval · {what}"), open.into(), false)
            }
            _ => (ChipState::Working, format!("Activating · {what}"), open.into(), false),
        }
    }
}

fn name(session: &Session) -> String {
    format!("{} · {}", session.customer_name, session.policy_name)
}
