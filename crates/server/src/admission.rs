//! Admission of broadcasts by the machine's room. A broadcast reserves the expected cost of its ladder before it starts; once
//! it runs, its measured use counts. A server that can't start workers has no room.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use headwater_media::Ladder;
use headwater_media::lock::MutexExt;
use tokio::sync::Notify;

/// CPU that one million pixels a second cost in the default ladder, decoding included, in thousandths of a core.
/// Measured: three rungs of 720p30, 47 Mpx/s, take half a core.
const MILLICORES_PER_MEGAPIXEL_RATE: f64 = 11.0;
/// The frame rate that an estimate is made for, as the source is not known yet.
const EXPECTED_FRAME_RATE: f64 = 30.0;

/// Capacity and load of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    pub capacity_millicores: u32,
    pub used_millicores: u32,
    pub broadcasts: u32,
}

/// Admission of this server. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Admission(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    capacity_millicores: u32,
    max_broadcasts: u32,
    /// Whether workers can be started.
    able: AtomicBool,
    /// Wakes the heartbeat when that has changed.
    changed: Notify,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    used: HashMap<u64, u32>,
}

/// Room for one broadcast, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    shared: Arc<Shared>,
    number: u64,
}

impl Admission {
    /// Admission of a server without broadcasts.
    pub fn new(capacity_millicores: u32, max_broadcasts: u32) -> Self {
        let able = AtomicBool::new(true);
        let changed = Notify::new();
        let table = Mutex::default();
        Self(Arc::new(Shared { capacity_millicores, max_broadcasts, able, changed, table }))
    }

    /// Whether workers can be started, as far as is known.
    pub fn is_able(&self) -> bool {
        self.0.able.load(Ordering::Relaxed)
    }

    /// Notes whether workers can be started from now on.
    pub fn set_able(&self, able: bool) {
        if self.0.able.swap(able, Ordering::Relaxed) != able {
            self.0.changed.notify_one();
        }
    }

    /// Waits until workers can be started that could not, or the reverse.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Takes room for a broadcast of this estimated cost; `None` when there is none.
    ///
    /// An idle server takes any broadcast, even one that is estimated above its capacity: refusing it for ever would
    /// help nobody.
    pub fn reserve(&self, estimate_millicores: u32) -> Option<Reservation> {
        let mut table = self.0.table();
        let used = table.used_millicores();
        let broadcasts = table.used.len();
        let fits = used.saturating_add(estimate_millicores) <= self.0.capacity_millicores;
        let has_room = broadcasts < self.0.max_broadcasts as usize && (fits || broadcasts == 0);
        if !has_room || !self.is_able() {
            return None;
        }
        table.next += 1;
        let number = table.next;
        table.used.insert(number, estimate_millicores);
        Some(Reservation { shared: self.0.clone(), number })
    }

    /// Capacity and load now.
    pub fn load(&self) -> Load {
        let table = self.0.table();
        Load {
            capacity_millicores: if self.is_able() { self.0.capacity_millicores } else { 0 },
            used_millicores: table.used_millicores(),
            broadcasts: table.used.len() as u32,
        }
    }
}

impl Table {
    fn used_millicores(&self) -> u32 {
        self.used.values().fold(0, |sum, used| sum.saturating_add(*used))
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock_ignoring_poison()
    }
}

impl Reservation {
    /// Replaces the estimate by what was measured.
    pub fn measured(&self, millicores: u32) {
        self.shared.table().used.insert(self.number, millicores);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shared.table().used.remove(&self.number);
    }
}

/// Expected cost of a broadcast with this ladder, in thousandths of a core.
pub fn estimate(ladder: &Ladder) -> u32 {
    let pixels: f64 = ladder.rungs.iter().map(|rung| f64::from(rung.width) * f64::from(rung.height)).sum();
    let rate = EXPECTED_FRAME_RATE.min(f64::from(ladder.max_frame_rate));
    (pixels * rate / 1e6 * MILLICORES_PER_MEGAPIXEL_RATE) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_until_it_is_gone_and_given_back() {
        let admission = Admission::new(1_000, 10);
        let first = admission.reserve(600).unwrap();
        assert!(admission.reserve(600).is_none());
        first.measured(300);
        let second = admission.reserve(600).unwrap();
        assert_eq!(admission.load().used_millicores, 900);
        drop((first, second));
        assert_eq!(admission.load().broadcasts, 0);
    }

    #[test]
    fn an_idle_server_takes_a_broadcast_of_any_size_but_only_one() {
        let admission = Admission::new(500, 10);
        let _first = admission.reserve(2_000).unwrap();
        assert!(admission.reserve(1).is_none());
    }

    #[tokio::test]
    async fn there_is_no_room_where_no_worker_starts() {
        let admission = Admission::new(1_000, 10);
        let _running = admission.reserve(100).unwrap();
        admission.set_able(false);
        admission.changed().await;
        assert!(admission.reserve(100).is_none());
        let Load { capacity_millicores, used_millicores, .. } = admission.load();
        assert_eq!((capacity_millicores, used_millicores), (0, 100));
        admission.set_able(true);
        admission.changed().await;
        assert!(admission.reserve(100).is_some());
    }

    #[test]
    fn the_number_of_broadcasts_is_bounded_too() {
        let admission = Admission::new(100_000, 1);
        let _first = admission.reserve(1).unwrap();
        assert!(admission.reserve(1).is_none());
    }
}
