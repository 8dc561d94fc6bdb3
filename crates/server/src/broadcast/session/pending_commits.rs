//! PendingCommits: the proxy is told that it may forget the media that it has sent.

use std::collections::VecDeque;
use std::time::Duration;

use headwater_media::ResumePoint;
use tokio::time::{Instant, timeout_at};

use crate::broadcast::Commit;

/// Segments that are whole, and not yet where they survive this server. A segment waits about as long as it lasts: a store
/// that takes longer is no reason to keep proxies waiting, which hold some seconds only.
pub(super) struct PendingCommits {
    max_wait: Duration,
    waiting: VecDeque<(Commit, Instant)>,
}

impl PendingCommits {
    /// Longest wait for each.
    pub(super) fn new(max_wait: Duration) -> Self {
        Self { max_wait, waiting: VecDeque::new() }
    }

    pub(super) fn add_commit(&mut self, commit: Commit) {
        self.waiting.push_back((commit, Instant::now() + self.max_wait));
    }

    /// Waits until a commit may be said; for ever without any. Can be cancelled without loss.
    pub(super) async fn next_stored(&mut self) -> ResumePoint {
        let Some((commit, until)) = self.waiting.front_mut() else { return std::future::pending().await };
        // An object that takes too long is in memory, and on its way to the disk.
        let _ = timeout_at(*until, commit.safe.wait()).await;
        let said = self.waiting.pop_front().map(|(commit, _)| commit.resume);
        said.expect("the front is there, as nobody else takes it")
    }

    /// The last one, when the session ends: this server goes on storing what it has.
    pub(super) fn take_last(&mut self) -> Option<ResumePoint> {
        self.waiting.drain(..).next_back().map(|(commit, _)| commit.resume)
    }
}
