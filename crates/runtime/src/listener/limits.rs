//! How many connections there may be, in total and from one place.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Limits of the connections of one listener. Clones count together.
#[derive(Clone, Debug)]
pub struct Limits {
    total: usize,
    per_address: usize,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there are {limit} connections already")]
    Total { limit: usize },
    #[error("there are {limit} connections from this address already")]
    Address { limit: usize },
}

impl Refusal {
    /// For a metric.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Total { .. } => "total",
            Self::Address { .. } => "address",
        }
    }
}

/// A connection's place within the limits. Dropping it frees the place.
#[derive(Debug)]
pub struct Guard {
    address: IpAddr,
    held: Arc<Mutex<Held>>,
}

impl Limits {
    /// At most this many connections, from anywhere.
    pub fn total(total: usize) -> Self {
        Self::new(total, total)
    }

    /// At most `total` connections, and `per_address` of one IPv4 address or one /64 network of IPv6, which is what
    /// one customer gets.
    pub fn new(total: usize, per_address: usize) -> Self {
        Self { total, per_address, held: Arc::default() }
    }

    /// How many places are taken.
    pub fn held(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).total
    }

    /// Takes a place.
    ///
    /// # Errors
    /// When a limit is reached.
    pub fn admit(&self, address: IpAddr) -> Result<Guard, Refusal> {
        let address = place(address);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.total >= self.total {
            return Err(Refusal::Total { limit: self.total });
        }
        if held.by_address.get(&address).is_some_and(|count| *count >= self.per_address) {
            return Err(Refusal::Address { limit: self.per_address });
        }
        held.total += 1;
        *held.by_address.entry(address).or_default() += 1;
        Ok(Guard { address, held: self.held.clone() })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.total -= 1;
        if let Some(count) = held.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                held.by_address.remove(&self.address);
            }
        }
    }
}

/// Whom an address counts for.
fn place(address: IpAddr) -> IpAddr {
    const NETWORK: u128 = !(u64::MAX as u128);
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn limits_hold_in_total_and_per_address() {
        let limits = Limits::new(3, 2);
        let a = limits.admit(address("10.0.0.1")).unwrap();
        let _b = limits.admit(address("::ffff:10.0.0.1")).unwrap();
        assert_eq!(limits.admit(address("10.0.0.1")).unwrap_err(), Refusal::Address { limit: 2 });
        let _c = limits.admit(address("10.0.0.2")).unwrap();
        assert_eq!(limits.admit(address("10.0.0.3")).unwrap_err(), Refusal::Total { limit: 3 });
        drop(a);
        assert!(limits.admit(address("10.0.0.1")).is_ok());
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let limits = Limits::new(9, 1);
        let _held = limits.admit(address("2001:db8:0:1::1")).unwrap();
        assert!(limits.admit(address("2001:db8:0:1:ffff::2")).is_err());
        assert!(limits.admit(address("2001:db8:0:2::1")).is_ok());
    }

    #[test]
    fn nothing_is_remembered_of_who_left() {
        let limits = Limits::total(9);
        drop(limits.admit(address("10.0.0.1")).unwrap());
        assert_eq!(limits.held(), 0);
        assert!(limits.held.lock().unwrap().by_address.is_empty());
    }
}
