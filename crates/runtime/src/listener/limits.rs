//! How many connections there may be, in total and from one place, and which of them give way.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};

use headwater_media::lock::MutexExt;

use super::activity::{Activity, Place};

/// Limits of the connections of one listener. Clones count together.
///
/// Where a limit is reached, a newcomer takes the place of the connection that has been idle the longest, of those that
/// may give way ([`Guard::give_way`]); where none may, it is refused.
#[derive(Clone, Debug)]
pub struct Limits {
    total: usize,
    per_address: usize,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    total: usize,
    /// By whom they count for, and in the order in which they came.
    by_party: HashMap<Party, BTreeMap<u64, Arc<Place>>>,
    next: u64,
}

/// Party that connections count for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Party {
    /// Address or network, as [`counted_as`] has it.
    Address(IpAddr),
    /// Clients behind trusted load balancers, until their addresses are known. Only the total limits them.
    Unknown,
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
    pub(super) fn metric_label(self) -> &'static str {
        match self {
            Self::Total { .. } => "total",
            Self::Address { .. } => "address",
        }
    }
}

/// A connection's place within the limits. Dropping it frees the place.
#[derive(Debug)]
pub struct Guard {
    party: Party,
    number: u64,
    place: Arc<Place>,
    /// Whether another connection gave way to this one.
    pub(super) displaces: bool,
    limits: Limits,
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
        lock_held(&self.held).total
    }

    /// Takes a place for a connection from `address`.
    ///
    /// # Errors
    /// When a limit is reached, and no connection may give way.
    pub fn admit(&self, address: IpAddr) -> Result<Guard, Refusal> {
        self.admit_party(Party::Address(counted_as(address)))
    }

    /// Takes a place for a client behind a load balancer, which [`Guard::count_for`] is told the address of.
    ///
    /// # Errors
    /// When the limit of all connections is reached, and none may give way.
    pub fn admit_unknown(&self) -> Result<Guard, Refusal> {
        self.admit_party(Party::Unknown)
    }

    fn admit_party(&self, party: Party) -> Result<Guard, Refusal> {
        let mut held = lock_held(&self.held);
        let mut displaces = self.make_room_for(party, &mut held)?;
        if held.total >= self.total {
            displaces = held.displace_idle(None);
            if !displaces {
                return Err(Refusal::Total { limit: self.total });
            }
        }
        let (number, place) = held.add_place(party);
        Ok(Guard { party, number, place, displaces, limits: self.clone() })
    }

    /// Makes room for one more connection of a party. Gives whether another one had to give way.
    fn make_room_for(&self, party: Party, held: &mut Held) -> Result<bool, Refusal> {
        if party == Party::Unknown || held.count_party(party) < self.per_address {
            return Ok(false);
        }
        if held.displace_idle(Some(party)) {
            Ok(true)
        } else {
            Err(Refusal::Address { limit: self.per_address })
        }
    }
}

impl Held {
    /// Number of places that a party has.
    fn count_party(&self, party: Party) -> usize {
        self.by_party.get(&party).map_or(0, BTreeMap::len)
    }

    fn add_place(&mut self, party: Party) -> (u64, Arc<Place>) {
        let number = self.next;
        let place = Arc::new(Place::default());
        self.next += 1;
        self.insert(party, number, place.clone());
        (number, place)
    }

    fn insert(&mut self, party: Party, number: u64, place: Arc<Place>) {
        self.total += 1;
        self.by_party.entry(party).or_default().insert(number, place);
    }

    fn remove_place(&mut self, party: Party, number: u64) -> Option<Arc<Place>> {
        let places = self.by_party.get_mut(&party)?;
        let place = places.remove(&number)?;
        if places.is_empty() {
            self.by_party.remove(&party);
        }
        self.total -= 1;
        Some(place)
    }

    /// Takes the place of the connection that has been idle the longest, of this party or of any. A look at 10,000 takes
    /// some 0.1 ms, about what it takes to accept a connection.
    fn displace_idle(&mut self, party: Option<Party>) -> bool {
        let parties = self.by_party.iter().filter(|(of, _)| party.is_none_or(|party| **of == party));
        let places =
            parties.flat_map(|(of, places)| places.iter().map(|(number, place)| (*of, *number, place)));
        let idle = places.filter_map(|(of, number, place)| Some((place.idle_since()?, of, number)));
        let Some((_, of, number)) = idle.min_by_key(|(since, _, number)| (*since, *number)) else {
            return false;
        };
        let displaced = self.remove_place(of, number);
        displaced.inspect(|place| place.give_up()).is_some()
    }
}

impl Guard {
    /// Counts the connection for the client at `address` from now on.
    ///
    /// # Errors
    /// When this client has as many connections as it may, and none of them may give way.
    pub fn count_for(&mut self, address: IpAddr) -> Result<(), Refusal> {
        let party = Party::Address(counted_as(address));
        let mut held = lock_held(&self.limits.held);
        self.displaces = self.limits.make_room_for(party, &mut held)?;
        // None where another connection has the place already.
        if let Some(place) = held.remove_place(self.party, self.number) {
            held.insert(party, self.number, place);
        }
        self.party = party;
        Ok(())
    }

    /// From now on the connection counts as idle except while there is [`Work`](super::Work) on it, and while it is idle, a
    /// newcomer may take its place: [`Guard::given_up`].
    pub fn give_way(&self) -> Activity {
        Activity::new(self.place.clone())
    }

    /// Waits until the place was given to somebody else. The connection is to be closed then.
    pub fn given_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let place = self.place.clone();
        async move { place.given_up().await }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Nothing where somebody else has it already.
        lock_held(&self.limits.held).remove_place(self.party, self.number);
    }
}

fn lock_held(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock_ignoring_poison()
}

/// The address that limits count: this one, or the /64 network of an IPv6 one, which is what one customer gets.
pub fn counted_as(address: IpAddr) -> IpAddr {
    const NETWORK: u128 = !(u64::MAX as u128);
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;
    use tokio::time::advance;

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
        assert!(lock_held(&limits.held).by_party.is_empty());
    }

    #[test]
    fn clients_behind_a_load_balancer_count_for_themselves_once_they_are_known() {
        let limits = Limits::new(4, 1);
        let mut first = limits.admit_unknown().unwrap();
        let mut second = limits.admit_unknown().unwrap();
        let mut third = limits.admit_unknown().unwrap();
        first.count_for(address("192.0.2.1")).unwrap();
        second.count_for(address("192.0.2.2")).unwrap();
        assert_eq!(third.count_for(address("192.0.2.2")).unwrap_err(), Refusal::Address { limit: 1 });
        assert_eq!(limits.admit(address("192.0.2.1")).unwrap_err(), Refusal::Address { limit: 1 });
        let _fourth = limits.admit_unknown().unwrap();
        assert_eq!(limits.admit_unknown().unwrap_err(), Refusal::Total { limit: 4 });
        drop((first, second, third));
        assert_eq!(limits.held(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_been_idle_the_longest_gives_way() {
        let limits = Limits::total(3);
        let kept = limits.admit(address("10.0.0.1")).unwrap();
        let a = limits.admit(address("10.0.0.1")).unwrap();
        let b = limits.admit(address("10.0.0.2")).unwrap();
        let of_a = a.give_way();
        let _of_b = b.give_way();
        advance(Duration::from_secs(1)).await;
        drop(of_a.work());
        let newcomer = limits.admit(address("10.0.0.3")).unwrap();
        assert!(newcomer.displaces && b.given_up().now_or_never().is_some());
        assert!(a.given_up().now_or_never().is_none() && kept.given_up().now_or_never().is_none());
        drop(b);
        assert_eq!(limits.held(), 3, "its place was somebody else's already");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_work_does_not_give_way() {
        let limits = Limits::total(1);
        let held = limits.admit(address("10.0.0.1")).unwrap();
        let activity = held.give_way();
        let one = activity.work();
        let two = activity.work();
        drop(one);
        assert_eq!(limits.admit(address("10.0.0.2")).unwrap_err(), Refusal::Total { limit: 1 });
        drop(two);
        assert!(limits.admit(address("10.0.0.2")).is_ok());
    }

    #[test]
    fn who_has_as_many_as_it_may_only_displaces_its_own() {
        let limits = Limits::new(9, 1);
        let other = limits.admit(address("10.0.0.2")).unwrap();
        other.give_way();
        let own = limits.admit(address("10.0.0.1")).unwrap();
        assert_eq!(limits.admit(address("10.0.0.1")).unwrap_err(), Refusal::Address { limit: 1 });
        own.give_way();
        let _next = limits.admit(address("10.0.0.1")).unwrap();
        assert!(own.given_up().now_or_never().is_some() && other.given_up().now_or_never().is_none());
    }
}
