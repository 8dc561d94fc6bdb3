//! Statistics of a session for its publisher's proxy: the source as it comes in, and the encoder.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use headwater_media::lock::MutexExt;
use headwater_media::{EncoderStats, PublisherStats, SourceMeter, TimelineEvent};
use tokio::time::Instant;

use crate::worker::Stats;

/// Time between two reports to the proxy: as long as a segment by default, so a change shows with the segment that it is in,
/// and the reports of thousands of publishers are no load.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(2);

/// Statistics since the session began, and since the last report.
pub(super) struct Health(Mutex<State>);

struct State {
    source: SourceMeter,
    /// Whether media has come in since the last report.
    is_fresh: bool,
    /// Begin of the present report's time.
    began: Instant,
    /// Time since then in which media waited for the encoder.
    waited: Duration,
    /// Begin of the wait that has not ended.
    waits_since: Option<Instant>,
    /// Media that came out since the last report, and the time that this took.
    made: Duration,
    took: Duration,
    /// Encoder as of the last report that it had put media out for.
    encoder: Option<EncoderStats>,
    delay: Duration,
}

impl Default for Health {
    fn default() -> Self {
        Self(Mutex::new(State {
            source: SourceMeter::default(),
            is_fresh: false,
            began: Instant::now(),
            waited: Duration::ZERO,
            waits_since: None,
            made: Duration::ZERO,
            took: Duration::ZERO,
            encoder: None,
            delay: Duration::ZERO,
        }))
    }
}

impl Health {
    /// Measures media that came in, which is offered to the encoder from now on.
    pub(super) fn record_input(&self, event: &TimelineEvent) {
        let mut state = self.lock_state();
        state.source.push_event(event);
        state.is_fresh = true;
        state.waits_since = Some(Instant::now());
    }

    /// Notes that the encoder has taken the last of it.
    pub(super) fn record_taken(&self) {
        let mut state = self.lock_state();
        let waits = state.waits_since.take();
        state.waited += waits.map_or(Duration::ZERO, |since| since.elapsed());
    }

    /// Measures the encoder by two reports of its worker, which lie so far apart. A worker that had put out nothing before
    /// the first one, or has begun another period since, says nothing of its speed.
    pub(super) fn record_progress(&self, stats: &Stats, last: &Stats, took: Duration) {
        let mut state = self.lock_state();
        state.delay = delay_of(stats).unwrap_or(state.delay);
        if last.newest_out_us > 0 && stats.newest_out_us >= last.newest_out_us {
            state.made += Duration::from_micros(stats.newest_out_us - last.newest_out_us);
            state.took += took;
        }
    }

    /// Statistics for the proxy; none where no media has come in since the last ones.
    pub(super) fn next_report(&self) -> Option<PublisherStats> {
        let mut state = self.lock_state();
        let now = Instant::now();
        let saturation = state.finish_interval(now);
        if let Some(speed) = state.take_speed() {
            state.encoder = Some(EncoderStats { speed, delay: state.delay, saturation });
        }
        let encoder = state.encoder.map(|encoder| EncoderStats { saturation, ..encoder });
        let source = state.source.source_stats();
        std::mem::take(&mut state.is_fresh).then_some(PublisherStats { source, encoder })
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.0.lock_ignoring_poison()
    }
}

/// Media that a worker is behind; none before its first output: a period whose first picture is still to come is not behind
/// by its whole timeline.
pub(super) fn delay_of(stats: &Stats) -> Option<Duration> {
    let behind_us = stats.newest_in_us.saturating_sub(stats.newest_out_us);
    (stats.newest_out_us > 0).then(|| Duration::from_micros(behind_us))
}

impl State {
    /// Begins the next report's time, and gives the share of the last one's in which media waited.
    fn finish_interval(&mut self, now: Instant) -> f64 {
        if let Some(since) = &mut self.waits_since {
            self.waited += now - std::mem::replace(since, now);
        }
        let waited = std::mem::take(&mut self.waited);
        let passed = now - std::mem::replace(&mut self.began, now);
        if passed.is_zero() { 0.0 } else { (waited.as_secs_f64() / passed.as_secs_f64()).min(1.0) }
    }

    fn take_speed(&mut self) -> Option<f64> {
        let made = std::mem::take(&mut self.made);
        let took = std::mem::take(&mut self.took);
        (!took.is_zero()).then(|| made.as_secs_f64() / took.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use headwater_media::{Period, SourceTime, Tag, TagKind};

    use super::*;

    fn picture() -> TimelineEvent {
        TimelineEvent::Tag(Tag {
            track: Period::VIDEO_TRACK,
            kind: TagKind::Video { keyframe: true },
            time: SourceTime(0),
            composition_offset_us: 0,
            drift: 0,
            payload: bytes::Bytes::new(),
        })
    }

    fn progress(newest_in_us: u64, newest_out_us: u64) -> Stats {
        Stats { newest_in_us, newest_out_us, ..Stats::default() }
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_encoder_that_keeps_up_is_reported_with_its_speed_and_delay() {
        let health = Health::default();
        assert_eq!(health.next_report(), None);
        health.record_input(&picture());
        health.record_taken();
        assert_eq!(health.next_report().unwrap().encoder, None, "it has put out nothing");
        pass(2).await;
        let second = Duration::from_secs(1);
        health.record_progress(&progress(1_000_000, 700_000), &Stats::default(), second);
        health.record_progress(&progress(2_000_000, 1_650_000), &progress(1_000_000, 700_000), second);
        health.record_input(&picture());
        health.record_taken();
        let encoder = health.next_report().unwrap().encoder.unwrap();
        let expected = EncoderStats { speed: 0.95, delay: Duration::from_millis(350), saturation: 0.0 };
        assert_eq!(encoder, expected);
        assert_eq!(health.next_report(), None, "no media has come in since");
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_media_waits_for_the_encoder_counts_also_before_the_wait_ends() {
        let health = Health::default();
        health.record_progress(
            &progress(2_000_000, 2_000_000),
            &progress(1, 1_000_000),
            Duration::from_secs(2),
        );
        health.record_input(&picture());
        pass(1).await;
        health.record_taken();
        pass(1).await;
        let encoder = health.next_report().unwrap().encoder.unwrap();
        assert_eq!((encoder.speed, encoder.saturation), (0.5, 0.5));
        health.record_input(&picture());
        pass(2).await;
        assert_eq!(health.next_report().unwrap().encoder.unwrap().saturation, 1.0);
        pass(1).await;
        health.record_taken();
        pass(1).await;
        health.record_input(&picture());
        let encoder = health.next_report().unwrap().encoder.unwrap();
        assert_eq!(
            (encoder.speed, encoder.saturation),
            (0.5, 0.5),
            "the speed is the last one that is known"
        );
    }

    #[test]
    fn a_period_that_begins_says_nothing_of_the_speed() {
        let health = Health::default();
        let second = Duration::from_secs(1);
        health.record_progress(&progress(5_000_000, 0), &progress(90_000_000, 89_000_000), second);
        health.record_progress(&progress(6_000_000, 5_800_000), &progress(5_000_000, 0), second);
        health.record_input(&picture());
        assert_eq!(health.next_report().unwrap().encoder, None);
    }
}
