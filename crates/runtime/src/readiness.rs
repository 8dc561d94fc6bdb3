//! Whether a process can do its work: latches, one for each thing that it needs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// The services of a process, as [`Readiness::expecting`] knows them.
pub const PROXY_STARTING: &str = "proxy: starting";
/// Latch of the server.
pub const SERVER_STARTING: &str = "server: starting";
/// Latch of the origin.
pub const ORIGIN_STARTING: &str = "origin: starting";

/// All latches of a process. It is ready while every one of them is set, and every service that it consists of has made
/// its own.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    latches: Arc<watch::Sender<Latches>>,
    made: Arc<AtomicU64>,
    /// Set by [`started`](Self::started).
    services: Arc<[(&'static str, Latch)]>,
}

type Latches = BTreeMap<u64, (&'static str, bool)>;

/// Condition that a process needs to be ready. It counts as missing until it is set, and for good when the latch is dropped unset.
#[derive(Debug)]
pub struct Latch {
    number: u64,
    latches: Arc<watch::Sender<Latches>>,
}

impl Readiness {
    /// The readiness of a process that consists of these services: none is there before each of them has
    /// [`started`](Self::started).
    pub fn expecting(services: &[&'static str]) -> Self {
        let readiness = Self::default();
        let latches = services.iter().map(|service| (*service, readiness.latch(service))).collect();
        Self { services: latches, ..readiness }
    }

    /// Notes that a service has made all its latches, which are to be set by then or later.
    pub fn started(&self, service: &str) {
        self.services.iter().filter(|(name, _)| *name == service).for_each(|(_, latch)| latch.set());
    }

    /// Makes a latch that is not set yet.
    pub fn latch(&self, name: &'static str) -> Latch {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        self.latches.send_modify(|latches| {
            latches.insert(number, (name, false));
        });
        Latch { number, latches: self.latches.clone() }
    }

    /// Names of the conditions that are missing, in the order in which the latches were made.
    pub fn missing(&self) -> Vec<&'static str> {
        self.latches.borrow().values().filter(|(_, set)| !set).map(|(name, _)| *name).collect()
    }

    /// Whether no condition is missing.
    pub fn is_ready(&self) -> bool {
        all_set(&self.latches.borrow())
    }

    /// Waits until every latch is set.
    pub async fn ready(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.latches.subscribe().wait_for(all_set).await;
    }
}

impl Latch {
    /// Says that the condition is met.
    pub fn set(&self) {
        self.change_latch(true);
    }

    /// Says that the condition is not met any more.
    pub fn unset(&self) {
        self.change_latch(false);
    }

    fn change_latch(&self, set: bool) {
        self.latches.send_if_modified(|latches| {
            let latch = latches.get_mut(&self.number);
            latch.is_some_and(|(_, current)| std::mem::replace(current, set) != set)
        });
    }
}

fn all_set(latches: &Latches) -> bool {
    latches.values().all(|(_, set)| *set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_while_all_its_latches_are_set() {
        let readiness = Readiness::default();
        assert!(readiness.is_ready());
        let redis = readiness.latch("redis");
        let listener = readiness.latch("listener");
        assert_eq!(readiness.missing(), ["redis", "listener"]);
        redis.set();
        assert_eq!(readiness.missing(), ["listener"]);
        listener.set();
        assert!(readiness.is_ready());
        redis.unset();
        assert_eq!(readiness.missing(), ["redis"]);
    }

    #[test]
    fn a_latch_that_is_set_before_the_next_one_exists_makes_nothing_ready() {
        let readiness = Readiness::expecting(&[PROXY_STARTING, SERVER_STARTING]);
        assert_eq!(readiness.missing(), [PROXY_STARTING, SERVER_STARTING]);
        readiness.latch("listener").set();
        readiness.started(PROXY_STARTING);
        assert_eq!(readiness.missing(), [SERVER_STARTING]);
        let redis = readiness.latch("redis");
        readiness.started(SERVER_STARTING);
        assert_eq!(readiness.missing(), ["redis"]);
        redis.set();
        assert!(readiness.is_ready());
    }

    #[test]
    fn latches_of_one_name_are_all_needed() {
        let readiness = Readiness::default();
        let one = readiness.latch("redis");
        let _two = readiness.latch("redis");
        one.set();
        assert_eq!(readiness.missing(), ["redis"]);
    }

    #[tokio::test]
    async fn waiting_ends_when_the_last_latch_is_set() {
        let readiness = Readiness::default();
        let latch = readiness.latch("listener");
        let waiting = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.ready().await }
        });
        latch.set();
        tokio::time::timeout(std::time::Duration::from_secs(5), waiting).await.unwrap().unwrap();
    }
}
