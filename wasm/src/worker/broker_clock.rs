//! How far the broker's clock is ahead of ours. An answer was made some time between its question and its arrival, so each
//! exchange bounds the difference from both sides, and all of them together more closely than the quickest.

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_protocol::tree::{FromJson, ToTree};

/// Bounds of broker's clock minus ours, in milliseconds. Nothing heard yet means no difference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromJson, ToTree)]
pub(super) struct BrokerClock {
    at_least: i64,
    at_most: i64,
    #[serde(default)]
    heard: bool,
}

impl BrokerClock {
    /// Takes what the broker's clock `said` in an answer to a question of `asked`, which came at `heard`.
    pub(super) fn hear(&mut self, said: DateTime<Utc>, asked: DateTime<Utc>, heard: DateTime<Utc>) {
        let at_least = (said - heard).num_milliseconds();
        // Our clock is read in whole milliseconds: one more keeps them from contradicting each other.
        let at_most = ((said - asked).num_milliseconds() + 1).max(at_least);
        let (low, high) = (at_least.max(self.at_least), at_most.min(self.at_most));
        // Where nothing fits all exchanges, a clock was moved, and only the last one knows about that.
        let fits = self.heard && low <= high;
        (self.at_least, self.at_most) = if fits { (low, high) } else { (at_least, at_most) };
        self.heard = true;
    }

    /// Broker's clock minus ours: the least that is possible, so that nothing is shown as over which is not over there. It is
    /// too little by the quickest answer's way back.
    pub(super) fn ahead(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.at_least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_790_000_000_000 + ms).unwrap()
    }

    /// How late the clock is after one more exchange with a broker so much ahead, whose question and answer were so long on
    /// their way.
    fn late(clock: &mut BrokerClock, asked: i64, ahead: i64, there: i64, back: i64) -> i64 {
        clock.hear(at(asked + there + ahead), at(asked), at(asked + there + back));
        ahead - clock.ahead().num_milliseconds()
    }

    #[test]
    fn it_is_never_ahead_and_late_by_the_quickest_way_back() {
        let mut clock = BrokerClock::default();
        assert_eq!(late(&mut clock, 0, 5_000, 80, 12), 12);
        assert_eq!(late(&mut clock, 1_000, 5_000, 300, 2), 2);
        assert_eq!(late(&mut clock, 2_000, 5_000, 0, 300), 2);
        assert_eq!(late(&mut clock, 3_000, 5_000, 90, 0), 0);
    }

    #[test]
    fn a_clock_that_was_moved_counts_from_the_next_exchange_on() {
        let mut clock = BrokerClock::default();
        late(&mut clock, 0, 0, 1, 1);
        assert_eq!(late(&mut clock, 1_000, 3_600_000, 4, 0), 0);
        assert_eq!(late(&mut clock, 2_000, -60, 0, 7), 7);
        // Ours went back while the answer was under way.
        clock.hear(at(10_000), at(10_000), at(4_000));
        assert_eq!(clock.ahead().num_milliseconds(), 6_000);
    }
}
