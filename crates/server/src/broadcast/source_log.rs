//! Publisher of a broadcast as operators are shown it: facts, and the health of its media over the last hour.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use headwater_media::broadcast::PublisherReport;
use headwater_media::lock::MutexExt;
use headwater_media::stats::{HealthHistory, HealthSample};
use headwater_media::{PublisherFacts, PublisherStats, UnixMillis};

/// Log of a broadcast's publishers on this server. It outlives each of them, and ends with the broadcast here.
#[derive(Default)]
pub struct SourceLog(Mutex<State>);

#[derive(Default)]
struct State {
    /// Publisher that came last, by the id of its connection.
    newest: Option<(Arc<str>, PublisherReport)>,
    history: HealthHistory,
    /// Pictures that were dropped since the last report.
    dropped: u64,
}

/// State of a publisher's health at one time.
pub struct SourceHealth {
    /// Newest sample; none before the first one.
    pub sample: Option<HealthSample>,
    /// Time since the newest statistics, or zero before the first ones.
    pub silent: Duration,
}

impl SourceLog {
    /// Notes that a publisher has taken the broadcast's place for one.
    pub fn set_publisher(&self, id: &Arc<str>, report: PublisherReport) {
        self.lock_state().newest = Some((id.clone(), report));
    }

    /// Replaces the facts about a publisher, unless another one has come since.
    pub fn update_facts(&self, id: &Arc<str>, facts: PublisherFacts) {
        if let Some((newest, report)) = &mut self.lock_state().newest
            && newest == id
        {
            report.facts = Some(facts);
        }
    }

    /// Publisher that came last.
    pub fn newest_publisher(&self) -> Option<PublisherReport> {
        self.lock_state().newest.as_ref().map(|(_, report)| report.clone())
    }

    /// Counts pictures that came too late to be shown.
    pub fn count_dropped(&self, frames: u64) {
        self.lock_state().dropped += frames;
    }

    /// Takes the statistics of the time since the last ones.
    pub fn record_stats(&self, now: UnixMillis, stats: &PublisherStats) {
        let mut state = self.lock_state();
        let dropped = std::mem::take(&mut state.dropped);
        state.history.push_report(now, stats, dropped);
    }

    /// Health of the publisher.
    pub fn current_health(&self, now: UnixMillis) -> SourceHealth {
        let state = self.lock_state();
        SourceHealth {
            sample: state.history.newest_sample().cloned(),
            silent: state.history.time_without_report(now).unwrap_or_default(),
        }
    }

    /// Samples of the last hour, oldest first.
    pub fn health_samples(&self, now: UnixMillis) -> Vec<HealthSample> {
        self.lock_state().history.samples_until(now).cloned().collect()
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.0.lock_ignoring_poison()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_facts_of_a_publisher_are_not_taken_for_those_of_the_next_one() {
        let log = SourceLog::default();
        let facts =
            |protocol: &str| PublisherFacts { protocol: protocol.into(), ..PublisherFacts::default() };
        let [first, second] = ["first", "second"].map(Arc::<str>::from);
        log.set_publisher(&first, PublisherReport::default());
        log.update_facts(&first, facts("rtmp"));
        assert_eq!(log.newest_publisher().unwrap().facts, Some(facts("rtmp")));
        log.set_publisher(&second, PublisherReport::default());
        log.update_facts(&first, facts("rtmp"));
        assert_eq!(log.newest_publisher().unwrap().facts, None);
    }

    #[test]
    fn dropped_pictures_are_those_of_the_reports_time() {
        let log = SourceLog::default();
        log.count_dropped(2);
        log.record_stats(UnixMillis(10_000), &PublisherStats::default());
        log.record_stats(UnixMillis(20_000), &PublisherStats::default());
        let dropped: Vec<_> =
            log.health_samples(UnixMillis(20_000)).iter().map(|sample| sample.frames_dropped).collect();
        assert_eq!(dropped, [2, 0]);
        assert_eq!(log.current_health(UnixMillis(23_000)).silent, Duration::from_secs(3));
    }
}
