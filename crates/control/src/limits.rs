//! How often a caller may ask: each has a bucket of requests, which refills.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use http::{HeaderMap, HeaderName};
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

type Bucket<C> = RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>;

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
    pub(crate) fn count_request(&self, caller: &str) -> Allowance {
        let bucket = self.buckets.get_with_by_ref(caller, || {
            let quota = Quota::per_second(REQUESTS_PER_SECOND).allow_burst(BURST_REQUESTS);
            Arc::new(RateLimiter::direct_with_clock(quota, self.clock.clone()).with_middleware())
        });
        match bucket.check() {
            Ok(state) => Allowance { remaining: state.remaining_burst_capacity(), wait: None },
            Err(until) => Allowance { remaining: 0, wait: Some(until.wait_time_from(self.clock.now())) },
        }
    }
}

/// Bucket of a caller after a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// Requests that the caller may make at once.
    remaining: u32,
    /// Time until there is another one, where the bucket was empty.
    wait: Option<Duration>,
}

impl Allowance {
    /// Refuses the request that found the bucket empty.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        self.wait.map_or(Ok(()), |wait| Err(Problem::too_fast(wait)))
    }

    /// Tells the caller of its bucket (draft-ietf-httpapi-ratelimit-headers-10): `r` requests are left, and it is full again
    /// in `t` seconds; a full one of `q` requests fills in `w` seconds.
    pub(crate) fn write_to(&self, headers: &mut HeaderMap) {
        let seconds = |requests: u32| requests.div_ceil(REQUESTS_PER_SECOND.get());
        let full = BURST_REQUESTS.get();
        let policy = format!("\"requests\";q={full};w={}", seconds(full));
        let left = self.remaining;
        let limit = format!("\"requests\";r={left};t={}", seconds(full - left));
        for (name, text) in [("ratelimit-policy", policy), ("ratelimit", limit)] {
            let value = text.try_into().expect("names and numbers are visible ASCII");
            headers.insert(HeaderName::from_static(name), value);
        }
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
            limits.count_request("a").check().unwrap();
        }
        limits.count_request("a").check().unwrap_err();
        limits.count_request("b").check().expect("each caller has a bucket of its own");
        clock.advance(Duration::from_secs(1));
        for _ in 0..REQUESTS_PER_SECOND.get() {
            limits.count_request("a").check().unwrap();
        }
        limits.count_request("a").check().unwrap_err();
    }

    #[test]
    fn a_caller_is_told_how_often_it_may_ask() {
        let limits = Limits::new(FakeRelativeClock::default());
        let headers = || {
            let mut headers = HeaderMap::new();
            limits.count_request("a").write_to(&mut headers);
            ["ratelimit-policy", "ratelimit"].map(|name| headers[name].to_str().unwrap().to_owned())
        };
        assert_eq!(headers(), ["\"requests\";q=200;w=4", "\"requests\";r=199;t=1"]);
        for _ in 1..BURST_REQUESTS.get() {
            headers();
        }
        assert_eq!(headers()[1], "\"requests\";r=0;t=4");
    }
}
