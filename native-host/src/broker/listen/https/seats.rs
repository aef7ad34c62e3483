//! A bound on connections, of all and of each address: what one network floods with connections leaves room for others, and for the
//! descriptors that the broker needs for directories.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Seats to take.
#[derive(Debug, Clone)]
pub(in crate::broker::listen) struct Seats {
    taken: Arc<Mutex<Taken>>,
    most: u32,
    per_address: u32,
}

#[derive(Debug, Default)]
struct Taken {
    all: u32,
    by_address: HashMap<IpAddr, u32>,
}

/// A seat, free again when dropped.
#[derive(Debug)]
pub(in crate::broker::listen) struct Seat {
    taken: Arc<Mutex<Taken>>,
    address: IpAddr,
}

impl Seats {
    pub(in crate::broker::listen) fn new(most: u32, per_address: u32) -> Self {
        Self { taken: Arc::default(), most, per_address }
    }

    /// A seat for a connection from there; `None` where all that it may have are taken.
    pub(in crate::broker::listen) fn take(&self, address: IpAddr) -> Option<Seat> {
        let address = network(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = taken.by_address.get(&address).copied().unwrap_or_default();
        if taken.all >= self.most || of_address >= self.per_address {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(address, of_address + 1);
        Some(Seat { taken: Arc::clone(&self.taken), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        if let Some(count) = taken.by_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// What counts as one address: of IPv6 the 64 bits of a network, within which a host has as many as it likes (RFC 4291 §2.5.1).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_leaves_room_for_another_and_a_seat_is_free_again_when_left() {
        let seats = Seats::new(3, 2);
        let first = seats.take(ip("192.0.2.1")).unwrap();
        let _second = seats.take(ip("::ffff:192.0.2.1")).unwrap();
        assert!(seats.take(ip("192.0.2.1")).is_none());
        let _other = seats.take(ip("192.0.2.2")).unwrap();
        assert!(seats.take(ip("192.0.2.3")).is_none(), "all are taken");
        drop(first);
        assert!(seats.take(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let seats = Seats::new(9, 1);
        let _one = seats.take(ip("2001:db8::1")).unwrap();
        assert!(seats.take(ip("2001:db8::ffff:2")).is_none());
        assert!(seats.take(ip("2001:db8:0:1::1")).is_some());
    }
}
