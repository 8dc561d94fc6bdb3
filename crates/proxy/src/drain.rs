//! Drain of a proxy: no new publisher is taken, and those on air may leave by themselves for a limited time.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Drain in two steps: the proxy is told to stop, and later its publishers have to leave.
pub struct Drain {
    told: CancellationToken,
    over: CancellationToken,
    /// Time that publishers may stay.
    limit: Duration,
    publishers: TaskTracker,
}

impl Drain {
    /// Drain that begins when `told` is cancelled, and takes `limit` at most. With a limit of zero the two steps are
    /// one.
    pub fn new(told: CancellationToken, limit: Duration) -> Self {
        let over = if limit.is_zero() { told.clone() } else { CancellationToken::new() };
        Self { told, over, limit, publishers: TaskTracker::new() }
    }

    /// Whether publishers may stay for a while, and so can be asked to leave by themselves.
    pub fn has_time(&self) -> bool {
        !self.limit.is_zero()
    }

    /// Whether no new publisher is taken any more.
    pub fn has_begun(&self) -> bool {
        self.told.is_cancelled()
    }

    /// Waits until no new publisher is taken any more.
    pub async fn begun(&self) {
        self.told.cancelled().await;
    }

    /// Waits until every connection has to be closed.
    pub async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Counts a publisher, on air or about to be, until the token is dropped.
    pub fn track_publisher(&self) -> TaskTrackerToken {
        self.publishers.token()
    }

    /// Waits until the last publisher has left or the time is over, and then closes every connection.
    pub async fn wait_for_publishers(&self) {
        self.publishers.close();
        if !self.publishers.is_empty() && self.has_time() {
            tracing::info!(publishers = self.publishers.len(), "publishers may stay for {:?}", self.limit);
        }
        if timeout(self.limit, self.publishers.wait()).await.is_err() && self.has_time() {
            tracing::warn!(publishers = self.publishers.len(), "the time is over: publishers are sent away");
        }
        self.over.cancel();
    }

    /// Guard that closes every connection when it is dropped: a listener that breaks never comes to
    /// [`wait_for_publishers`](Self::wait_for_publishers).
    pub fn close_on_drop(&self) -> DropGuard {
        self.over.clone().drop_guard()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(90);

    #[tokio::test(start_paused = true)]
    async fn it_lasts_until_the_last_publisher_has_left() {
        let drain = Drain::new(CancellationToken::new(), LIMIT);
        let publisher = drain.track_publisher();
        let began = Instant::now();
        let leaving = async {
            tokio::time::sleep(LIMIT / 3).await;
            assert!(!drain.over.is_cancelled());
            drop(publisher);
        };
        tokio::join!(drain.wait_for_publishers(), leaving);
        assert_eq!(began.elapsed(), LIMIT / 3);
        assert!(drain.over.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_stays_for_longer_than_the_limit() {
        let drain = Drain::new(CancellationToken::new(), LIMIT);
        let _publisher = drain.track_publisher();
        let began = Instant::now();
        drain.wait_for_publishers().await;
        assert!(drain.over.is_cancelled());
        assert_eq!(began.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_it_is_over_when_it_begins() {
        let told = CancellationToken::new();
        let drain = Drain::new(told.clone(), Duration::ZERO);
        let _publisher = drain.track_publisher();
        told.cancel();
        drain.over().await;
        drain.wait_for_publishers().await;
        assert!(drain.has_begun() && !drain.has_time());
    }
}
