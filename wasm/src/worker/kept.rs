//! What is kept for a popup that opens while the worker sleeps: waking takes longer than the popup itself, so it draws what it
//! would have been told, and is told anew as soon as the worker is there. A click counts by the form's number
//! ([`Intent::Activate`](super::Intent::Activate)): one on a form that stands for something else by then does nothing.

use std::rc::Rc;

use chrono::{DateTime, Utc};
use ticketgate_protocol::tree::{ToTree, Tree};

use super::view::View;
use super::{Effect, Worker};

impl Worker {
    /// While no popup is open, keeps what the next one would show. What changes by itself (time that is left, an activation, a
    /// trouble) is not kept, at no time, and nothing is while the person's own words stand in the form.
    pub(super) fn settle_kept(&mut self, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        let is_moving = self.last.job.is_some() || self.last.sessions.iter().next().is_some();
        if !self.popups.is_empty() && !is_moving {
            return;
        }
        if self.popups.is_empty() && self.last.form.as_ref().is_none_or(|form| !form.touched) {
            self.prepare_form(now);
        }
        let view = (!is_moving).then(|| self.kept(now)).flatten().map(|(tab, view)| (tab, Rc::new(view)));
        let tree = view.as_ref().map_or(Tree::default(), ToTree::to_tree);
        if self.shown.kept.as_ref() != Some(&tree) {
            out.push(Effect::KeepView { view });
            self.shown.kept = Some(tree);
        }
    }

    fn kept(&self, now: DateTime<Utc>) -> Option<(i32, View)> {
        let front = self.last.front.as_ref()?;
        self.last.form.as_ref().filter(|form| !form.touched)?;
        let view = self.view(now);
        (view.trouble.is_none() && view.form.is_some()).then_some((front.id, view))
    }
}
