//! Warnings about a publisher, in the words of a broadcaster: a fault that viewers notice or soon will, and the setting that
//! mends it.

use std::time::Duration;

use super::{EncoderStats, PublisherStats, VideoStats};
use crate::publisher::AnnouncedRates;

/// Share of the time in which media waits for an encoder that is at its limit. One that keeps up waits for media itself.
const FULL_SATURATION: f64 = 0.9;
/// Share of the announced frame rate below which frames are missing. Rates are measured over whole frames.
const LOW_FRAME_RATE: f64 = 0.9;
/// Bit rate of a source in bit rates of the best picture that viewers get, above which it is of no use to anybody, and the
/// one that is advised.
const WASTED_RATES: u64 = 5;
const ADVISED_RATES: u64 = 2;
/// Time without media after which a publisher is silent: longer than any encoder waits between two pictures.
const SILENT_TIME: Duration = Duration::from_secs(5);

/// Kind of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarningKind {
    /// No media comes in.
    NoMedia,
    /// Keyframes are farther apart than segments are long.
    KeyframeInterval,
    /// Fewer pictures come than were announced.
    FrameRate,
    /// Far more bits come than the best picture for viewers has.
    Bitrate,
    /// The server's encoder is slower than real time.
    Encoder,
}

/// Fault of a publisher, and the way to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthWarning {
    pub kind: WarningKind,
    /// Text for the broadcaster.
    pub text: String,
}

/// Values that a publisher's health is judged by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expectations {
    pub announced: AnnouncedRates,
    /// Length of a segment.
    pub segment: Duration,
    /// Bits a second of the best picture that viewers get; 0 where that is not known.
    pub top_bitrate: u64,
}

/// Whether keyframes are farther apart than segments are long. Up to one and a half segments are taken for a rounded one:
/// encoders count in pictures.
pub fn are_keyframes_rare(interval: Duration, segment: Duration) -> bool {
    interval > segment * 3 / 2
}

impl EncoderStats {
    /// Whether the encoder is at its limit, and below real time.
    pub fn is_slow(&self) -> bool {
        self.speed < 1.0 && self.saturation >= FULL_SATURATION
    }
}

impl Expectations {
    /// Warnings about a publisher by its statistics, and by the time since the last of them.
    pub fn find_warnings(&self, stats: &PublisherStats, silent: Duration) -> Vec<HealthWarning> {
        if silent >= SILENT_TIME {
            return vec![silence_warning(silent)];
        }
        let video = stats.source.video.as_ref();
        let of_video = video.into_iter().flat_map(|video| {
            [self.keyframe_warning(video), self.frame_rate_warning(video), self.bitrate_warning(video)]
        });
        let of_encoder = stats.encoder.filter(EncoderStats::is_slow).map(encoder_warning);
        of_video.flatten().chain(of_encoder).collect()
    }

    fn keyframe_warning(&self, video: &VideoStats) -> Option<HealthWarning> {
        let interval = video.keyframe_interval?;
        let segment = show_number(self.segment.as_secs_f64());
        are_keyframes_rare(interval, self.segment).then(|| HealthWarning {
            kind: WarningKind::KeyframeInterval,
            text: format!(
                "keyframe every {} s: set {segment} s in your encoder",
                show_number(interval.as_secs_f64())
            ),
        })
    }

    fn frame_rate_warning(&self, video: &VideoStats) -> Option<HealthWarning> {
        let announced = self.announced.frame_rate?;
        let is_low = video.frame_rate > 0.0 && video.frame_rate < announced * LOW_FRAME_RATE;
        is_low.then(|| HealthWarning {
            kind: WarningKind::FrameRate,
            text: format!(
                "{} of {} frames a second arrive: your computer or your connection is too slow, lower the bit rate or the \
                 picture size in your encoder",
                show_number(video.frame_rate),
                show_number(announced)
            ),
        })
    }

    fn bitrate_warning(&self, video: &VideoStats) -> Option<HealthWarning> {
        let is_wasted = self.top_bitrate > 0 && video.bitrate > self.top_bitrate * WASTED_RATES;
        is_wasted.then(|| HealthWarning {
            kind: WarningKind::Bitrate,
            text: format!(
                "bit rate {} Mb/s, of which viewers get {} at most: set {} Mb/s in your encoder",
                show_megabits(video.bitrate),
                show_megabits(self.top_bitrate),
                show_megabits(self.top_bitrate * ADVISED_RATES)
            ),
        })
    }
}

fn silence_warning(silent: Duration) -> HealthWarning {
    HealthWarning {
        kind: WarningKind::NoMedia,
        text: format!(
            "nothing has arrived for {} s: look at your encoder and your connection",
            silent.as_secs()
        ),
    }
}

fn encoder_warning(encoder: EncoderStats) -> HealthWarning {
    HealthWarning {
        kind: WarningKind::Encoder,
        text: format!(
            "the server encodes {} s of each second, and viewers fall behind: lower the frame rate or the picture size in your \
             encoder",
            show_hundredths(encoder.speed)
        ),
    }
}

fn show_megabits(bits: u64) -> String {
    show_number(bits as f64 / 1e6)
}

/// Number with one digit behind the point, unless that is zero.
fn show_number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// Number below one, never rounded up to it.
fn show_hundredths(value: f64) -> String {
    format!("{:.2}", (value * 100.0).floor() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::SourceStats;

    fn expectations() -> Expectations {
        Expectations {
            announced: AnnouncedRates { frame_rate: Some(30.0), video_bitrate: None },
            segment: Duration::from_secs(2),
            top_bitrate: 2_800_000,
        }
    }

    fn stats() -> PublisherStats {
        let video = VideoStats {
            bitrate: 6_000_000,
            frame_rate: 29.97,
            keyframe_interval: Some(Duration::from_secs(2)),
            ..VideoStats::default()
        };
        let encoder = EncoderStats { speed: 1.0, delay: Duration::from_millis(300), saturation: 0.2 };
        PublisherStats { source: SourceStats { video: Some(video), audio: None }, encoder: Some(encoder) }
    }

    /// Kinds and texts of the warnings about statistics that are good but for this.
    fn warnings(spoil: impl FnOnce(&mut VideoStats, &mut EncoderStats)) -> Vec<(WarningKind, String)> {
        let mut stats = stats();
        spoil(stats.source.video.as_mut().unwrap(), stats.encoder.as_mut().unwrap());
        let found = expectations().find_warnings(&stats, Duration::from_secs(1));
        found.into_iter().map(|warning| (warning.kind, warning.text)).collect()
    }

    #[test]
    fn a_healthy_publisher_is_not_warned() {
        assert_eq!(warnings(|_, _| {}), []);
        assert_eq!(expectations().find_warnings(&PublisherStats::default(), Duration::ZERO), []);
    }

    #[test]
    fn rare_keyframes_come_with_the_interval_to_set() {
        let found = warnings(|video, _| video.keyframe_interval = Some(Duration::from_millis(8_340)));
        let text = "keyframe every 8.3 s: set 2 s in your encoder".into();
        assert_eq!(found, [(WarningKind::KeyframeInterval, text)]);
        assert_eq!(warnings(|video, _| video.keyframe_interval = Some(Duration::from_secs(3))), []);
    }

    #[test]
    fn frames_that_are_missing_are_told_by_the_announced_rate() {
        let [(kind, text)] = &warnings(|video, _| video.frame_rate = 21.42)[..] else { panic!() };
        assert_eq!(*kind, WarningKind::FrameRate);
        assert!(text.starts_with("21.4 of 30 frames a second arrive: "), "{text}");
        let unannounced = Expectations { announced: AnnouncedRates::default(), ..expectations() };
        let mut slow = stats();
        slow.source.video.as_mut().unwrap().frame_rate = 5.0;
        assert_eq!(unannounced.find_warnings(&slow, Duration::ZERO), []);
        // Before the second picture there is no rate.
        assert_eq!(warnings(|video, _| video.frame_rate = 0.0), []);
    }

    #[test]
    fn a_bit_rate_far_over_the_best_picture_is_wasted() {
        let [(kind, text)] = &warnings(|video, _| video.bitrate = 40_000_000)[..] else { panic!() };
        assert_eq!(*kind, WarningKind::Bitrate);
        assert_eq!(text, "bit rate 40 Mb/s, of which viewers get 2.8 at most: set 5.6 Mb/s in your encoder");
        assert_eq!(warnings(|video, _| video.bitrate = 12_000_000), []);
    }

    #[test]
    fn a_slow_encoder_is_told_as_long_as_media_waits_for_it() {
        let slow = |encoder: &mut EncoderStats| (encoder.speed, encoder.saturation) = (0.876, 0.95);
        let [(kind, text)] = &warnings(|_, encoder| slow(encoder))[..] else { panic!() };
        assert_eq!(*kind, WarningKind::Encoder);
        assert!(text.starts_with("the server encodes 0.87 s of each second"), "{text}");
        assert_eq!(warnings(|_, encoder| encoder.speed = 0.9), [], "it waits for media");
    }

    #[test]
    fn silence_is_the_only_warning_while_it_lasts() {
        let mut stats = stats();
        stats.source.video.as_mut().unwrap().frame_rate = 1.0;
        let found = expectations().find_warnings(&stats, Duration::from_secs(23));
        let [HealthWarning { kind: WarningKind::NoMedia, text }] = &found[..] else { panic!("{found:?}") };
        assert!(text.starts_with("nothing has arrived for 23 s: "), "{text}");
    }
}
