//! How often a caller may ask: each has a bucket of requests, which refills.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use moka::sync::Cache;

use crate::problem::Problem;

/// Requests that a caller may make at once, and each second from then on: a page of a dashboard makes some ten, a program
/// that goes through 100,000 inputs needs 1,000 pages.
const BURST_REQUESTS: NonZeroU32 = NonZeroU32::new(200).expect("it is not zero");
const REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).expect("it is not zero");
/// Callers whose buckets are remembered; invented tokens count under their addresses.
const MAX_CALLERS: u64 = 10_000;
/// Time after which a bucket that nobody took from is full again, and need not be remembered.
const IDLE_TIME: Duration = Duration::from_secs(60);

type Bucket<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Buckets of the callers, by their names.
pub(crate) struct Limits<C: Clock = DefaultClock> {
    clock: C,
    buckets: Cache<String, Arc<Bucket<C>>>,
}

impl<C> Limits<C>
where
    C: Clock<Instant: Send + Sync + 'static> + Clone + Send + Sync + 'static,
{
    /// Limits by a clock; all buckets are full.
    pub(crate) fn new(clock: C) -> Self {
        let buckets = Cache::builder().max_capacity(MAX_CALLERS).time_to_idle(IDLE_TIME).build();
        Self { clock, buckets }
    }

    /// Takes a request out of the caller's bucket.
    pub(crate) fn count_request(&self, caller: &str) -> Result<(), Problem> {
        let bucket = self.buckets.get_with_by_ref(caller, || {
            let quota = Quota::per_second(REQUESTS_PER_SECOND).allow_burst(BURST_REQUESTS);
            Arc::new(RateLimiter::direct_with_clock(quota, self.clock.clone()))
        });
        bucket.check().map_err(|until| Problem::too_fast(until.wait_time_from(self.clock.now())))
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn a_caller_that_asks_too_often_is_answered_again_later() {
        let clock = FakeRelativeClock::default();
        let limits = Limits::new(clock.clone());
        for _ in 0..BURST_REQUESTS.get() {
            limits.count_request("a").unwrap();
        }
        limits.count_request("a").unwrap_err();
        limits.count_request("b").expect("each caller has a bucket of its own");
        clock.advance(Duration::from_secs(1));
        for _ in 0..REQUESTS_PER_SECOND.get() {
            limits.count_request("a").unwrap();
        }
        limits.count_request("a").unwrap_err();
    }
}
