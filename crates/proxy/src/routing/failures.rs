//! Failures of workers on one publisher's media, by server.

use std::collections::VecDeque;

use headwater_registry::ServerId;
use headwater_runtime::config::MAX_WORKER_RESTARTS;
use headwater_wire::publish::FAILURE_WINDOW;
use tokio::time::Instant;

/// Failures that are remembered: more than any server is told to allow (`server.worker_restarts`).
const MAX_FAILURES: usize = 128;
const _: () = assert!(MAX_FAILURES > MAX_WORKER_RESTARTS as usize);

/// Workers that one publisher's media has lately cost.
#[derive(Clone, Debug, Default)]
pub struct Failures(VecDeque<(Instant, ServerId)>);

impl Failures {
    /// Counts a worker of this server that has failed.
    pub fn record(&mut self, server: &ServerId) {
        let now = Instant::now();
        self.0.retain(|(then, _)| now.duration_since(*then) < FAILURE_WINDOW);
        if self.0.len() == MAX_FAILURES {
            self.0.pop_front();
        }
        self.0.push_back((now, server.clone()));
    }

    /// Number of workers that failed lately on other servers than this one, which counts its own.
    pub fn count_elsewhere(&self, server: &ServerId) -> u32 {
        let elsewhere = self.0.iter().filter(|(then, at)| then.elapsed() < FAILURE_WINDOW && at != server);
        elsewhere.count() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str) -> ServerId {
        name.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn each_server_is_told_what_the_others_had_to_bear_lately() {
        let mut failures = Failures::default();
        failures.record(&server("a"));
        tokio::time::advance(FAILURE_WINDOW / 2).await;
        failures.record(&server("a"));
        failures.record(&server("b"));
        let told = |failures: &Failures| ["a", "b", "c"].map(|name| failures.count_elsewhere(&server(name)));
        assert_eq!(told(&failures), [1, 2, 3]);
        tokio::time::advance(FAILURE_WINDOW / 2).await;
        assert_eq!(told(&failures), [1, 1, 2], "the first is forgotten");
        tokio::time::advance(FAILURE_WINDOW).await;
        assert_eq!(told(&failures), [0, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn their_number_is_bounded() {
        let mut failures = Failures::default();
        (0..3 * MAX_FAILURES).for_each(|_| failures.record(&server("a")));
        assert_eq!(failures.count_elsewhere(&server("b")), MAX_FAILURES as u32);
    }
}
