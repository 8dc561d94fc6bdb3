//! Health of a publisher's source and encoder, as its server measures them: in the metrics, and in the log where something
//! has to be changed.

use std::time::Duration;

use headwater_media::PublisherStats;
use headwater_media::stats::are_keyframes_rare;
use metrics::{Gauge, Histogram};

use crate::gauge_guard::GaugeGuard;

/// Reports in a row that make an encoder slow: six seconds. A shorter load on the machine is made good without a trace.
const SLOW_REPORTS: u32 = 3;

/// Newest statistics of a publisher, and its faults.
pub(super) struct Health {
    newest: Rates,
    /// Reports in a row by which the encoder was at its limit and below real time.
    slow_reports: u32,
    slow_encoder: Fault,
    rare_keyframes: Fault,
    metrics: Metrics,
}

/// Rates that are added up over all publishers.
#[derive(Clone, Copy, Default)]
struct Rates {
    /// Bits a second.
    video: f64,
    /// Bits a second.
    audio: f64,
    /// Pictures a second.
    frames: f64,
}

/// Fault of one publisher, which is told once and counted for as long as it lasts.
struct Fault {
    gauge: &'static str,
    lasts: Option<GaugeGuard>,
    was_told: bool,
}

/// Metrics, looked up once.
struct Metrics {
    video: Gauge,
    audio: Gauge,
    frames: Gauge,
    keyframe_interval: Histogram,
}

impl Health {
    /// Health of a publisher that no server has measured yet.
    pub(super) fn new() -> Self {
        Self {
            newest: Rates::default(),
            slow_reports: 0,
            slow_encoder: Fault::new("headwater_proxy_slow_encoders"),
            rare_keyframes: Fault::new("headwater_proxy_rare_keyframes"),
            metrics: Metrics {
                video: metrics::gauge!("headwater_proxy_source_bits_per_second", "kind" => "video"),
                audio: metrics::gauge!("headwater_proxy_source_bits_per_second", "kind" => "audio"),
                frames: metrics::gauge!("headwater_proxy_source_frames_per_second"),
                keyframe_interval: metrics::histogram!("headwater_proxy_source_keyframe_interval_seconds"),
            },
        }
    }

    /// Takes the server's newest statistics of a broadcast whose segments are so long.
    pub(super) fn record_stats(&mut self, stats: &PublisherStats, segment: Duration) {
        self.set_rates(Rates::of(stats));
        self.check_encoder(stats);
        self.check_keyframes(stats, segment);
    }

    fn check_encoder(&mut self, stats: &PublisherStats) {
        let Some(encoder) = stats.encoder else { return };
        self.slow_reports = if encoder.is_slow() { self.slow_reports.saturating_add(1) } else { 0 };
        if self.slow_encoder.is_first(self.slow_reports >= SLOW_REPORTS) {
            tracing::warn!(
                speed = encoder.speed,
                delay = ?encoder.delay,
                "the server encodes this stream more slowly than it comes, and viewers fall behind: lower the source's frame \
                 rate or picture size, choose a smaller ladder or a faster `ladder.preset`, or add servers"
            );
        }
    }

    fn check_keyframes(&mut self, stats: &PublisherStats, segment: Duration) {
        let video = stats.source.video.as_ref();
        let Some(interval) = video.and_then(|video| video.keyframe_interval) else { return };
        self.metrics.keyframe_interval.record(interval.as_secs_f64());
        if self.rare_keyframes.is_first(are_keyframes_rare(interval, segment)) {
            tracing::warn!(
                ?interval,
                ?segment,
                "the source's keyframes are farther apart than segments are long: a failover replays all media since the last \
                 one, and takes longer. Set the encoder's keyframe interval to the length of a segment"
            );
        }
    }

    fn set_rates(&mut self, rates: Rates) {
        let before = std::mem::replace(&mut self.newest, rates);
        self.metrics.video.increment(rates.video - before.video);
        self.metrics.audio.increment(rates.audio - before.audio);
        self.metrics.frames.increment(rates.frames - before.frames);
    }
}

/// A publisher that leaves takes its share out of the sums.
impl Drop for Health {
    fn drop(&mut self) {
        self.set_rates(Rates::default());
    }
}

impl Rates {
    fn of(stats: &PublisherStats) -> Self {
        let video = stats.source.video.as_ref();
        Self {
            video: video.map_or(0.0, |video| video.bitrate as f64),
            audio: stats.source.audio.as_ref().map_or(0.0, |audio| audio.bitrate as f64),
            frames: video.map_or(0.0, |video| video.frame_rate),
        }
    }
}

impl Fault {
    fn new(gauge: &'static str) -> Self {
        Self { gauge, lasts: None, was_told: false }
    }

    /// Notes whether the fault is there. True for the first time that it is.
    fn is_first(&mut self, is_there: bool) -> bool {
        if !is_there {
            self.lasts = None;
            return false;
        }
        self.lasts.get_or_insert_with(|| GaugeGuard::new(self.gauge));
        !std::mem::replace(&mut self.was_told, true)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use headwater_media::{AudioStats, EncoderStats, SourceStats, VideoStats};
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    const SEGMENT: Duration = Duration::from_secs(2);

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Runs `body` with a log and metrics of its own, and gives the log. `body` reads the metrics by the function it is given.
    fn observe(body: impl FnOnce(&dyn Fn(&str) -> Option<f64>)) -> String {
        let log = Log::default();
        let written = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || written.clone()).finish();
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let value = |name: &str| {
            let text = handle.render();
            let line =
                text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
            line.map(|number| number.parse().unwrap())
        };
        tracing::subscriber::with_default(subscriber, || {
            metrics::with_local_recorder(&recorder, || body(&value));
        });
        String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
    }

    fn stats(keyframe_interval_ms: u64, speed: f64, saturation: f64) -> PublisherStats {
        let video = VideoStats {
            bitrate: 4_000_000,
            frame_rate: 30.0,
            keyframe_interval: Some(Duration::from_millis(keyframe_interval_ms)),
            ..VideoStats::default()
        };
        let audio = AudioStats { codecs: "mp4a.40.2".into(), bitrate: 128_000 };
        let encoder = EncoderStats { speed, delay: Duration::from_millis(400), saturation };
        let source = SourceStats { video: Some(video), audio: Some(audio) };
        PublisherStats { source, encoder: Some(encoder) }
    }

    #[test]
    fn rates_are_added_up_over_the_publishers_that_are_there() {
        let log = observe(|value| {
            let mut first = Health::new();
            let mut second = Health::new();
            first.record_stats(&stats(2_000, 1.0, 0.1), SEGMENT);
            second.record_stats(&PublisherStats::default(), SEGMENT);
            second.record_stats(&stats(2_002, 1.0, 0.1), SEGMENT);
            second.record_stats(&stats(2_002, 1.0, 0.1), SEGMENT);
            assert_eq!(value("headwater_proxy_source_bits_per_second{kind=\"video\"}"), Some(8_000_000.0));
            assert_eq!(value("headwater_proxy_source_bits_per_second{kind=\"audio\"}"), Some(256_000.0));
            assert_eq!(value("headwater_proxy_source_frames_per_second"), Some(60.0));
            drop(first);
            assert_eq!(value("headwater_proxy_source_frames_per_second"), Some(30.0));
            drop(second);
            assert_eq!(value("headwater_proxy_source_frames_per_second"), Some(0.0));
            assert_eq!(value("headwater_proxy_source_keyframe_interval_seconds_count"), Some(3.0));
        });
        assert_eq!(log, "");
    }

    #[test]
    fn an_encoder_below_real_time_is_told_once_and_counted_while_it_lasts() {
        let log = observe(|value| {
            let slow = || value("headwater_proxy_slow_encoders");
            let mut health = Health::new();
            for (speed, saturation) in
                [(0.9, 1.0), (0.9, 1.0), (2.0, 1.0), (0.5, 0.2), (0.9, 1.0), (0.9, 1.0)]
            {
                health.record_stats(&stats(2_000, speed, saturation), SEGMENT);
            }
            assert_eq!(slow(), None, "a moment, a replay and a slow source are no fault of the encoder");
            health.record_stats(&stats(2_000, 0.8, 0.95), SEGMENT);
            assert_eq!(slow(), Some(1.0));
            health.record_stats(&stats(2_000, 1.1, 0.95), SEGMENT);
            assert_eq!(slow(), Some(0.0));
            (0..5).for_each(|_| health.record_stats(&stats(2_000, 0.8, 0.95), SEGMENT));
            assert_eq!(slow(), Some(1.0));
            drop(health);
            assert_eq!(slow(), Some(0.0));
        });
        assert_eq!(log.matches("lower the source's frame rate").count(), 1, "{log}");
        assert_eq!(log.lines().count(), 1, "{log}");
    }

    #[test]
    fn keyframes_that_are_farther_apart_than_segments_are_told_once() {
        let log = observe(|value| {
            let mut health = Health::new();
            health.record_stats(&stats(3_000, 1.0, 0.1), SEGMENT);
            assert_eq!(value("headwater_proxy_rare_keyframes"), None);
            health.record_stats(&stats(8_333, 1.0, 0.1), SEGMENT);
            health.record_stats(&stats(8_333, 1.0, 0.1), SEGMENT);
            assert_eq!(value("headwater_proxy_rare_keyframes"), Some(1.0));
        });
        assert_eq!(log.matches("Set the encoder's keyframe interval").count(), 1, "{log}");
        assert!(log.contains("interval=8.333s segment=2s"), "{log}");
    }
}
