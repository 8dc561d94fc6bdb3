//! History of a publisher's health: one sample for every ten seconds of the last hour.

use std::collections::VecDeque;
use std::time::Duration;

use super::{AudioStats, EncoderStats, PublisherStats, VideoStats};
use crate::time::UnixMillis;

/// Health of a publisher over one interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthSample {
    /// Begin of the interval, a multiple of [`HealthHistory::SAMPLE_INTERVAL`].
    pub time: UnixMillis,
    /// Means of the interval; its longest keyframe interval, and its last codecs and size.
    pub stats: PublisherStats,
    /// Pictures that came too late to be shown.
    pub frames_dropped: u64,
}

/// Samples of the last hour, oldest first. They take some 100 KiB at most. An interval without statistics has none.
#[derive(Clone, Debug, Default)]
pub struct HealthHistory {
    samples: VecDeque<HealthSample>,
    /// Reports that the newest sample is made of.
    reports: u32,
    /// Time of the newest report.
    reported: Option<UnixMillis>,
}

impl HealthHistory {
    /// Time that a sample stands for.
    pub const SAMPLE_INTERVAL: Duration = Duration::from_secs(10);
    /// Samples that are kept: those of an hour.
    pub const MAX_SAMPLES: usize = 360;

    /// Takes a report of the time since the last one.
    pub fn push_report(&mut self, now: UnixMillis, stats: &PublisherStats, frames_dropped: u64) {
        self.reported = Some(now);
        let time = interval_begin(now);
        match self.samples.back_mut() {
            // A clock that was set back makes the sample longer.
            Some(newest) if newest.time >= time => {
                self.reports += 1;
                newest.add_report(stats, self.reports);
                newest.frames_dropped += frames_dropped;
            }
            _ => {
                if self.samples.len() == Self::MAX_SAMPLES {
                    self.samples.pop_front();
                }
                self.samples.push_back(HealthSample { time, stats: stats.clone(), frames_dropped });
                self.reports = 1;
            }
        }
    }

    /// Newest sample; its interval may go on.
    pub fn newest_sample(&self) -> Option<&HealthSample> {
        self.samples.back()
    }

    /// Samples of the hour before this time, oldest first.
    pub fn samples_until(&self, now: UnixMillis) -> impl Iterator<Item = &HealthSample> {
        let hour = Self::SAMPLE_INTERVAL.as_millis() as u64 * Self::MAX_SAMPLES as u64;
        self.samples.iter().filter(move |sample| sample.time.0 + hour >= now.0)
    }

    /// Time since the last report; none before the first one.
    pub fn time_without_report(&self, now: UnixMillis) -> Option<Duration> {
        self.reported.map(|reported| Duration::from_millis(now.0.saturating_sub(reported.0)))
    }
}

impl HealthSample {
    /// Adds the report that is the `count`th one.
    fn add_report(&mut self, report: &PublisherStats, count: u32) {
        let before = std::mem::replace(&mut self.stats, report.clone());
        let share = 1.0 / f64::from(count);
        if let (Some(video), Some(before)) = (&mut self.stats.source.video, before.source.video) {
            video.blend_with(&before, share);
        }
        if let (Some(audio), Some(before)) = (&mut self.stats.source.audio, before.source.audio) {
            audio.blend_with(&before, share);
        }
        match (&mut self.stats.encoder, before.encoder) {
            (Some(encoder), Some(before)) => encoder.blend_with(&before, share),
            (encoder @ None, before) => *encoder = before,
            (Some(_), None) => {}
        }
    }
}

impl VideoStats {
    fn blend_with(&mut self, before: &Self, share: f64) {
        self.bitrate = blend_counts(before.bitrate, self.bitrate, share);
        self.frame_rate = blend(before.frame_rate, self.frame_rate, share);
        self.keyframe_interval = self.keyframe_interval.max(before.keyframe_interval);
    }
}

impl AudioStats {
    fn blend_with(&mut self, before: &Self, share: f64) {
        self.bitrate = blend_counts(before.bitrate, self.bitrate, share);
    }
}

impl EncoderStats {
    fn blend_with(&mut self, before: &Self, share: f64) {
        self.speed = blend(before.speed, self.speed, share);
        self.saturation = blend(before.saturation, self.saturation, share);
        self.delay = self.delay.max(before.delay);
    }
}

/// Mean after a value that has this share of it.
fn blend(mean: f64, value: f64, share: f64) -> f64 {
    mean + (value - mean) * share
}

fn blend_counts(mean: u64, value: u64, share: f64) -> u64 {
    blend(mean as f64, value as f64, share).round() as u64
}

fn interval_begin(time: UnixMillis) -> UnixMillis {
    let interval = HealthHistory::SAMPLE_INTERVAL.as_millis() as u64;
    UnixMillis(time.0 / interval * interval)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::SourceStats;

    const BEGIN: u64 = 1_800_000_000_000;

    fn report(bitrate: u64, frame_rate: f64, keyframe_seconds: u64, speed: Option<f64>) -> PublisherStats {
        let video = VideoStats {
            codecs: "avc1.64001f".into(),
            bitrate,
            frame_rate,
            keyframe_interval: Some(Duration::from_secs(keyframe_seconds)),
            ..VideoStats::default()
        };
        let audio = AudioStats { codecs: "mp4a.40.2".into(), bitrate: bitrate / 10 };
        let encoder =
            speed.map(|speed| EncoderStats { speed, delay: Duration::from_millis(300), saturation: 0.5 });
        PublisherStats { source: SourceStats { video: Some(video), audio: Some(audio) }, encoder }
    }

    fn at(seconds: u64) -> UnixMillis {
        UnixMillis(BEGIN + seconds * 1_000)
    }

    #[test]
    fn a_sample_is_the_mean_of_its_reports_with_the_longest_keyframe_interval() {
        let mut history = HealthHistory::default();
        history.push_report(at(0), &report(1_000, 30.0, 2, None), 1);
        history.push_report(at(2), &report(2_000, 20.0, 8, Some(1.0)), 2);
        history.push_report(at(9), &report(6_000, 10.0, 4, Some(0.4)), 0);
        let sample = history.newest_sample().unwrap();
        assert_eq!((sample.time, sample.frames_dropped), (at(0), 3));
        let video = sample.stats.source.video.as_ref().unwrap();
        assert_eq!((video.bitrate, video.frame_rate), (3_000, 20.0));
        assert_eq!(video.keyframe_interval, Some(Duration::from_secs(8)));
        assert_eq!(sample.stats.source.audio.as_ref().unwrap().bitrate, 300);
        let speed = sample.stats.encoder.unwrap().speed;
        assert!((speed - 0.8).abs() < 1e-9, "{speed}");
    }

    #[test]
    fn the_history_holds_an_hour_and_no_more() {
        let mut history = HealthHistory::default();
        for second in (0..7_200).step_by(2) {
            history.push_report(at(second), &report(second, 30.0, 2, None), 0);
        }
        assert_eq!(history.samples_until(at(7_199)).count(), HealthHistory::MAX_SAMPLES);
        assert_eq!(history.samples_until(at(7_199)).next().unwrap().time, at(3_600));
        assert_eq!(history.samples_until(at(7_200 + 1_800)).count(), HealthHistory::MAX_SAMPLES / 2);
        assert_eq!(history.time_without_report(at(7_200)), Some(Duration::from_secs(2)));
    }

    #[test]
    fn an_interval_without_reports_has_no_sample_and_a_clock_that_is_set_back_makes_none() {
        let mut history = HealthHistory::default();
        for second in [0, 30, 12, 31] {
            history.push_report(at(second), &report(1_000, 30.0, 2, None), 0);
        }
        let times: Vec<_> = history.samples_until(at(31)).map(|sample| sample.time).collect();
        assert_eq!(times, [at(0), at(30)]);
    }
}
