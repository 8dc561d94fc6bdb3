//! How long to wait before trying again.

use std::time::Duration;

/// Delays that double from the first to the longest. Half of each is random, so that many who failed together do not
/// come back together.
pub struct Backoff<J> {
    first: Duration,
    longest: Duration,
    next: Duration,
    jitter: J,
}

/// A source of random numbers.
pub type Random = fn() -> f64;

impl Backoff<Random> {
    /// A backoff whose pauses grow from `first` to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self::with_jitter(first, longest, rand::random)
    }
}

impl<J: FnMut() -> f64> Backoff<J> {
    /// `jitter` gives numbers from 0 up to and without 1.
    pub fn with_jitter(first: Duration, longest: Duration, jitter: J) -> Self {
        Self { first, longest, next: first.min(longest), jitter }
    }

    /// The delay before the next attempt: from half of the current one to all of it.
    pub fn next_delay(&mut self) -> Duration {
        let current = self.next;
        self.next = current.saturating_mul(2).min(self.longest);
        current.mul_f64(0.5 + (self.jitter)().clamp(0.0, 1.0) / 2.0)
    }

    /// Waits before the next attempt.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_delay()).await;
    }

    /// An attempt succeeded: the next failure is the first one again.
    pub fn reset(&mut self) {
        self.next = self.first.min(self.longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLIS: fn(u64) -> Duration = Duration::from_millis;

    fn delays(jitter: f64) -> Vec<Duration> {
        let mut backoff = Backoff::with_jitter(MILLIS(100), MILLIS(500), || jitter);
        (0..4).map(|_| backoff.next_delay()).collect()
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        assert_eq!(delays(1.0), [MILLIS(100), MILLIS(200), MILLIS(400), MILLIS(500)]);
        assert_eq!(delays(0.0), [MILLIS(50), MILLIS(100), MILLIS(200), MILLIS(250)]);
    }

    #[test]
    fn success_starts_over() {
        let mut backoff = Backoff::with_jitter(MILLIS(100), MILLIS(500), || 1.0);
        backoff.next_delay();
        backoff.reset();
        assert_eq!(backoff.next_delay(), MILLIS(100));
    }
}
