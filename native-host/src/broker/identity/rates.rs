//! How often somebody may ask who is not known yet, and how often a token of automation. Counted in memory: nothing is written for
//! people whom nobody knows.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_protocol::problem::{Code, Problem};

/// Requests a minute from one address (of IPv6: one network). An office that signs in at nine comes from one.
const OF_ADDRESS: u32 = 240;

/// Requests a minute of all who are not known.
const OF_ALL: u32 = 2_400;

/// Requests a minute with one token of automation.
const OF_TOKEN: u32 = 600;

/// As many addresses are told apart.
const APART_MAX: usize = 10_000;

/// What was asked in this minute.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<Minute>);

#[derive(Debug, Default)]
struct Minute {
    since: Option<DateTime<Utc>>,
    all: u32,
    each: HashMap<String, u32>,
}

impl Rates {
    /// Counts a request of somebody who is not known.
    ///
    /// # Errors
    /// [`Code::RateLimited`]
    pub(super) fn of_nobody(&self, address: SocketAddr, now: DateTime<Utc>) -> Result<(), Problem> {
        let mut minute = self.minute(now);
        minute.all = minute.all.saturating_add(1);
        let all = minute.all;
        if all > OF_ALL {
            return Err(too_many());
        }
        minute.count(network(address.ip()), OF_ADDRESS)
    }

    /// Counts a request with a token of automation.
    ///
    /// # Errors
    /// [`Code::RateLimited`]
    pub(super) fn of_token(&self, id: &str, now: DateTime<Utc>) -> Result<(), Problem> {
        self.minute(now).count(format!("token {id}"), OF_TOKEN)
    }

    fn minute(&self, now: DateTime<Utc>) -> std::sync::MutexGuard<'_, Minute> {
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |since| now - since >= TimeDelta::minutes(1) || now < since;
        if minute.since.is_none_or(over) {
            *minute = Minute { since: Some(now), ..Minute::default() };
        }
        minute
    }
}

impl Minute {
    fn count(&mut self, whom: String, most: u32) -> Result<(), Problem> {
        if self.each.len() >= APART_MAX && !self.each.contains_key(&whom) {
            // Then all others are one.
            return self.count_as(String::new(), most);
        }
        self.count_as(whom, most)
    }

    fn count_as(&mut self, whom: String, most: u32) -> Result<(), Problem> {
        let count = self.each.entry(whom).or_default();
        *count = count.saturating_add(1);
        if *count > most { Err(too_many()) } else { Ok(()) }
    }
}

fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.to_string(),
            None => format!("{:?}", address.segments().first_chunk::<4>()),
        },
    }
}

fn too_many() -> Problem {
    Problem::new(Code::RateLimited, "Too many requests came from where you are.")
        .remedy("Try again in a minute.")
        .retry_after(60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_too_often_waits_for_the_next_minute_and_others_do_not() {
        let (rates, now) = (Rates::default(), DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let at = |text: &str| text.parse().unwrap();
        for _ in 0..OF_ADDRESS {
            rates.of_nobody(at("[2001:db8::1]:1"), now).unwrap();
        }
        let refused = rates.of_nobody(at("[2001:db8::ffff]:2"), now).unwrap_err();
        assert_eq!((refused.code, refused.retry_after_s), (Code::RateLimited, Some(60)));
        for other in ["[2001:db8:0:1::1]:1", "192.0.2.1:1", "[::ffff:192.0.2.2]:1"] {
            assert!(rates.of_nobody(at(other), now).is_ok(), "{other}");
        }
        assert!(rates.of_nobody(at("[2001:db8::1]:1"), now + TimeDelta::minutes(1)).is_ok());
        let mut refused = 0;
        for n in 0..20_000_u32 {
            let address = SocketAddr::from((n.to_be_bytes(), 1));
            refused += u32::from(rates.of_nobody(address, now + TimeDelta::minutes(2)).is_err());
        }
        assert_eq!(refused, 20_000 - OF_ALL);
    }

    #[test]
    fn a_token_has_a_rate_of_its_own() {
        let (rates, now) = (Rates::default(), DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        assert!((0..OF_TOKEN).all(|_| rates.of_token("t-1", now).is_ok()));
        assert!(rates.of_token("t-1", now).is_err() && rates.of_token("t-2", now).is_ok());
    }
}
