//! Count of the workers of a broadcast that have failed lately.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use headwater_media::lock::MutexExt;
use headwater_wire::publish::FAILURE_WINDOW;
use tokio::time::Instant;

/// The failures of one broadcast, those on other servers included.
pub(super) struct WorkerFailures {
    /// The least number that is too many.
    limit: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Never more than one above the limit.
    here: VecDeque<Instant>,
    /// Number of workers that the newest publisher's media has cost other servers, and when its proxy said so.
    elsewhere: Option<(u32, Instant)>,
}

impl WorkerFailures {
    /// `allowed` is how many there may be within a minute.
    pub(super) fn new(allowed: u32) -> Self {
        Self { limit: allowed.saturating_add(1), state: Mutex::default() }
    }

    /// A publisher comes whose media has cost other servers so many workers lately.
    pub(super) fn come_with(&self, elsewhere: u32) {
        self.lock_state().elsewhere = Some((elsewhere, Instant::now()));
    }

    /// A worker has failed.
    pub(super) fn note_failure(&self) {
        let mut state = self.lock_state();
        state.here.push_back(Instant::now());
        if state.here.len() > self.limit as usize {
            state.here.pop_front();
        }
    }

    /// Their number, if there are too many.
    pub(super) fn too_many(&self) -> Option<u32> {
        Some(self.count_recent()).filter(|count| *count >= self.limit)
    }

    fn count_recent(&self) -> u32 {
        let mut state = self.lock_state();
        state.here.retain(|then| then.elapsed() < FAILURE_WINDOW);
        let elsewhere = state.elsewhere.filter(|(_, then)| then.elapsed() < FAILURE_WINDOW);
        elsewhere.map_or(0, |(count, _)| count).saturating_add(state.here.len() as u32)
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock_ignoring_poison()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_those_of_the_last_minute_count() {
        let failures = WorkerFailures::new(2);
        for _ in 0..10 {
            failures.note_failure();
            assert_eq!(failures.too_many(), None);
            tokio::time::advance(FAILURE_WINDOW / 2).await;
        }
        failures.note_failure();
        failures.note_failure();
        assert_eq!(failures.too_many(), Some(3));
        tokio::time::advance(FAILURE_WINDOW).await;
        assert_eq!(failures.too_many(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn those_on_other_servers_count_too() {
        let failures = WorkerFailures::new(2);
        failures.come_with(2);
        assert_eq!(failures.too_many(), None);
        failures.note_failure();
        assert_eq!(failures.too_many(), Some(3));
        failures.come_with(0);
        assert_eq!(failures.too_many(), None, "another publisher has its own");
        failures.come_with(3);
        assert_eq!(failures.too_many(), Some(4));
        tokio::time::advance(FAILURE_WINDOW).await;
        assert_eq!(failures.too_many(), None);
    }
}
