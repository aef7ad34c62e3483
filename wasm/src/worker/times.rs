//! When the worker has something to do next: a timer while it lives, one alarm that wakes it when it was stopped.

use chrono::{DateTime, TimeDelta, Utc};

use super::job::Job;
use super::overview::FRESH_MIN;
use super::{Effect, Worker, remaining};

/// The shortest alarm that the browser keeps, in seconds.
const ALARM_MIN_S: i64 = 30;

/// The earliest of several times.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Soonest(pub(super) Option<DateTime<Utc>>);

impl Soonest {
    pub(super) fn add(&mut self, at: DateTime<Utc>) {
        self.0 = Some(self.0.map_or(at, |so_far| so_far.min(at)));
    }

    pub(super) fn hear(&mut self, at: Option<DateTime<Utc>>) {
        if let Some(at) = at {
            self.add(at);
        }
    }
}

impl Worker {
    pub(super) fn settle_times(&mut self, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        let offset = self.last.clock.ahead();
        let broker_now = now + offset;
        let needed = self.needs_port();
        let mut important = Soonest::default();
        for s in self.last.sessions.iter() {
            if s.state == ticketgate_protocol::api::State::Active && s.expires_at > broker_now {
                important.add(now + remaining::until_change(s.expires_at, broker_now));
            }
        }
        if let Some(at) = self.last.overview_at.filter(|_| !self.curious && self.keeps_looking()) {
            important.add(at + TimeDelta::minutes(FRESH_MIN));
        }
        important.hear(self.link.next(needed));
        important.hear(self.last.warnings.next(&self.last.sessions).map(|at| at - offset));
        if self.link.is_open() {
            if !self.link.is_asking("overview") {
                important.hear(self.overview_due);
            }
            if let Some(s) = self.last.sessions.soonest() {
                let overdue = s.expires_at - offset + TimeDelta::seconds(3);
                important.add(overdue.max(now + TimeDelta::seconds(5)));
            }
        }
        important.hear(self.last.job.as_ref().and_then(Job::until));
        let mut fine = important;
        fine.hear(self.last.sessions.next());
        fine.hear(self.last.lookups.next());
        for asked in self.asked.values() {
            fine.add(asked.until);
        }
        for doing in self.doing.values() {
            fine.hear(doing.next(now));
        }
        if !self.popups.is_empty() {
            fine.add(now + self.next_second(now));
        }
        let (important, fine) = (important.0, fine.0);
        // Timers are for a living worker; the one alarm wakes a stopped one.
        let timer = fine.map(|at| at.max(now + TimeDelta::milliseconds(1)));
        if timer != self.shown.timer {
            let after = timer
                .map(|at| u32::try_from((at - now).num_milliseconds()).unwrap_or(u32::MAX).min(86_400_000));
            out.push(Effect::Timer { after });
            self.shown.timer = timer;
        }
        let alarm = important.map(|at| at.max(now + TimeDelta::seconds(ALARM_MIN_S)));
        // An alarm that goes off a little early does no harm; setting it again every second would.
        let keeps = match (self.shown.alarm, alarm) {
            (Some(set), Some(wanted)) => set > now && set <= wanted,
            (None, None) => true,
            _ => false,
        };
        if !keeps {
            out.push(Effect::Alarm { at: alarm.map(|at| at.timestamp_millis()) });
            self.shown.alarm = alarm;
        }
    }

    /// To the next full second of the soonest session, so that a popup's clock and the badge move together.
    fn next_second(&self, now: DateTime<Utc>) -> TimeDelta {
        let broker_now = self.broker_now(now);
        let until = self.last.sessions.soonest().map_or(broker_now, |s| s.expires_at);
        let part = (until - broker_now).num_milliseconds().rem_euclid(1000);
        TimeDelta::milliseconds(if part == 0 { 1000 } else { part })
    }
}
