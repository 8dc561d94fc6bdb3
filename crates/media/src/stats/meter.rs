//! Meter of a source.

use std::collections::VecDeque;
use std::time::Duration;

use super::{AudioStats, SourceStats, VideoStats};
use crate::aac::AudioConfig;
use crate::avc::AvcConfig;
use crate::tag::{Period, Tag, TimelineEvent};
use crate::time::SourceTime;

/// Media that rates are measured over. It holds whole groups of pictures of 1, 2 and 3 s, so that the bit rate does not rise
/// and fall with each keyframe.
const RATE_WINDOW: Duration = Duration::from_secs(6);
/// Access units of a track that are kept at most: 6 s of 240 pictures a second, and of every AAC frame, are fewer.
const MAX_UNITS: usize = 2_048;

/// Meter of a source: takes its periods and tags, and gives the rates of the last seconds. It goes by the timestamps of the
/// media alone, so media that is replayed faster than real time has the same rates.
#[derive(Clone, Debug, Default)]
pub struct SourceMeter {
    video: Option<VideoMeter>,
    audio: Option<AudioMeter>,
}

#[derive(Clone, Debug)]
struct VideoMeter {
    /// Codec string and size of the period; the rates are filled in when they are asked for.
    format: VideoStats,
    window: Window,
    last_keyframe: Option<SourceTime>,
    /// Time between the last two keyframes.
    keyframe_interval: Option<Duration>,
}

#[derive(Clone, Debug)]
struct AudioMeter {
    codecs: String,
    window: Window,
}

impl SourceMeter {
    /// Takes the next event of the source's timeline. A period begins all measurements anew.
    pub fn push_event(&mut self, event: &TimelineEvent) {
        match event {
            TimelineEvent::Period(period) => *self = Self::of_period(period),
            TimelineEvent::Tag(tag) => self.push_tag(tag),
        }
    }

    /// Statistics of the last seconds of the period.
    pub fn source_stats(&self) -> SourceStats {
        SourceStats {
            video: self.video.as_ref().map(VideoMeter::video_stats),
            audio: self.audio.as_ref().map(AudioMeter::audio_stats),
        }
    }

    fn of_period(period: &Period) -> Self {
        let video = period.video().map(|record| AvcConfig::parse(record).ok());
        let audio = period.audio().map(|config| AudioConfig::parse(config).ok());
        Self {
            video: video.map(|config| VideoMeter::new(config.as_ref())),
            audio: audio.map(|config| AudioMeter::new(config.as_ref())),
        }
    }

    fn push_tag(&mut self, tag: &Tag) {
        if !tag.is_video() {
            self.audio.iter_mut().for_each(|audio| audio.window.push_unit(tag));
        } else if let Some(video) = &mut self.video {
            video.push_picture(tag);
        }
    }
}

impl VideoMeter {
    fn new(config: Option<&AvcConfig>) -> Self {
        let picture = config.and_then(|config| config.picture().ok());
        let format = VideoStats {
            codecs: config.map(AvcConfig::codec).unwrap_or_default(),
            width: picture.map_or(0, |picture| picture.width),
            height: picture.map_or(0, |picture| picture.height),
            ..VideoStats::default()
        };
        Self { format, window: Window::default(), last_keyframe: None, keyframe_interval: None }
    }

    fn push_picture(&mut self, tag: &Tag) {
        self.window.push_unit(tag);
        if tag.is_keyframe() {
            let before = self.last_keyframe.replace(tag.time);
            self.keyframe_interval = before.map(|before| tag.time.since(before));
        }
    }

    fn video_stats(&self) -> VideoStats {
        VideoStats {
            bitrate: self.window.bitrate(),
            frame_rate: self.window.unit_rate(),
            keyframe_interval: self.keyframe_interval(),
            ..self.format.clone()
        }
    }

    /// The present group of pictures counts before it has ended, once it is longer than the last one.
    fn keyframe_interval(&self) -> Option<Duration> {
        let since = self.window.newest_time()?.since(self.last_keyframe?);
        let is_longer = since > self.keyframe_interval.unwrap_or(RATE_WINDOW);
        if is_longer { Some(since) } else { self.keyframe_interval }
    }
}

impl AudioMeter {
    fn new(config: Option<&AudioConfig>) -> Self {
        Self { codecs: config.map(AudioConfig::codec).unwrap_or_default(), window: Window::default() }
    }

    fn audio_stats(&self) -> AudioStats {
        AudioStats { codecs: self.codecs.clone(), bitrate: self.window.bitrate() }
    }
}

/// Access units of one track in the last [`RATE_WINDOW`] of media.
#[derive(Clone, Debug, Default)]
struct Window {
    /// Decoding time and bytes of each unit, oldest first.
    units: VecDeque<(SourceTime, usize)>,
    /// Bytes of all units.
    bytes: usize,
}

impl Window {
    fn push_unit(&mut self, tag: &Tag) {
        self.units.push_back((tag.time, tag.payload.len()));
        self.bytes += tag.payload.len();
        while self.window_span() > RATE_WINDOW || self.units.len() > MAX_UNITS {
            let oldest = self.units.pop_front();
            self.bytes -= oldest.map_or(0, |(_, bytes)| bytes);
        }
    }

    fn newest_time(&self) -> Option<SourceTime> {
        self.units.back().map(|(time, _)| *time)
    }

    /// Time from the oldest unit to the newest.
    fn window_span(&self) -> Duration {
        let oldest = self.units.front().map(|(time, _)| *time);
        self.newest_time().zip(oldest).map_or(Duration::ZERO, |(newest, oldest)| newest.since(oldest))
    }

    /// Units a second. The newest one is not counted: how long it lasts is not known.
    fn unit_rate(&self) -> f64 {
        per_second(self.units.len().saturating_sub(1), self.window_span())
    }

    /// Bits a second, of the same units.
    fn bitrate(&self) -> u64 {
        let newest = self.units.back().map_or(0, |(_, bytes)| *bytes);
        per_second(8 * (self.bytes - newest), self.window_span()).round() as u64
    }
}

fn per_second(count: usize, span: Duration) -> f64 {
    if span.is_zero() { 0.0 } else { count as f64 / span.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::ids::PeriodNumber;
    use crate::tag::TagKind;
    use crate::testing::{AVCC_360P, STEREO, avcc};
    use crate::time::UnixMillis;

    fn period(video: Option<Bytes>, audio: Option<Bytes>) -> TimelineEvent {
        TimelineEvent::Period(Period {
            number: PeriodNumber(0),
            first_sequence: None,
            origin: SourceTime(0),
            wall_clock: UnixMillis(0),
            tracks: Period::tracks_of(video, audio),
        })
    }

    fn tag(kind: TagKind, time: SourceTime, bytes: usize) -> TimelineEvent {
        let track = if kind == TagKind::Audio { Period::AUDIO_TRACK } else { Period::VIDEO_TRACK };
        let payload = vec![0; bytes].into();
        TimelineEvent::Tag(Tag { track, kind, time, composition_offset_us: 0, drift: 0, payload })
    }

    /// Time of a picture as RTMP carries it: in whole milliseconds.
    fn picture_time(number: u64) -> SourceTime {
        SourceTime::from_millis((number * 1_000 + 15) / 30)
    }

    /// Picture of a source of 30 pictures a second, and a keyframe of 9,000 bytes among pictures of 1,000.
    fn picture(number: u64, group: u64) -> TimelineEvent {
        let keyframe = number.is_multiple_of(group);
        tag(TagKind::Video { keyframe }, picture_time(number), if keyframe { 9_000 } else { 1_000 })
    }

    fn meter(events: impl IntoIterator<Item = TimelineEvent>) -> SourceMeter {
        let mut meter = SourceMeter::default();
        events.into_iter().for_each(|event| meter.push_event(&event));
        meter
    }

    fn both() -> TimelineEvent {
        period(Some(avcc(AVCC_360P)), Some(Bytes::from_static(STEREO)))
    }

    #[test]
    fn a_source_of_30_pictures_a_second_and_groups_of_2_s_is_measured_exactly() {
        let pictures = (0..400).map(|number| picture(number, 60));
        // 1024 samples at 48 kHz, 341 bytes: 127,875 bits a second.
        let sound =
            (0..600).map(|frame| tag(TagKind::Audio, SourceTime(frame * 1_024_000_000 / 48_000), 341));
        let stats = meter([both()].into_iter().chain(pictures).chain(sound)).source_stats();
        let video = stats.video.unwrap();
        assert_eq!((video.codecs.as_str(), video.width, video.height), ("avc1.64001e", 640, 360));
        // In 6 s: 3 keyframes and 177 other pictures.
        assert_eq!((video.bitrate, video.frame_rate), (8 * (3 * 9_000 + 177 * 1_000) / 6, 30.0));
        assert_eq!(video.keyframe_interval, Some(Duration::from_secs(2)));
        let audio = stats.audio.unwrap();
        assert_eq!(audio.codecs, "mp4a.40.2");
        assert!(audio.bitrate.abs_diff(127_875) <= 1, "{}", audio.bitrate);
    }

    #[test]
    fn the_rates_are_those_of_the_last_six_seconds() {
        let slow = (0..60)
            .map(|number| tag(TagKind::Video { keyframe: number == 0 }, SourceTime(number * 100_000), 1));
        let fast = (0..=240).map(|number| {
            tag(TagKind::Video { keyframe: false }, SourceTime(6_000_000 + number * 25_000), 500)
        });
        let video = meter([both()].into_iter().chain(slow).chain(fast)).source_stats().video.unwrap();
        assert_eq!((video.frame_rate, video.bitrate), (40.0, 40 * 500 * 8));
    }

    #[test]
    fn nothing_is_said_before_it_is_known() {
        assert_eq!(SourceMeter::default().source_stats(), SourceStats::default());
        let video = meter([both(), picture(0, 60)]).source_stats().video.unwrap();
        assert_eq!((video.bitrate, video.frame_rate, video.keyframe_interval), (0, 0.0, None));
        let unreadable = meter([period(Some(Bytes::from_static(b"?")), None)]).source_stats();
        assert_eq!(unreadable, SourceStats { video: Some(VideoStats::default()), audio: None });
    }

    #[test]
    fn a_group_of_pictures_that_does_not_end_shows_before_its_end() {
        let interval = |group: u64, count: u64| {
            let pictures = (0..count).map(|number| picture(number, group));
            meter([both()].into_iter().chain(pictures)).source_stats().video.unwrap().keyframe_interval
        };
        assert_eq!(interval(1_000, 180), None, "6 s say nothing yet");
        assert_eq!(interval(1_000, 301), Some(Duration::from_secs(10)));
        assert_eq!(interval(60, 119), Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_period_begins_all_measurements_anew() {
        let pictures = (0..300).map(|number| picture(number, 60));
        let again = [period(None, Some(Bytes::from_static(STEREO)))];
        let stats = meter([both()].into_iter().chain(pictures).chain(again)).source_stats();
        assert_eq!(stats.video, None);
        assert_eq!(stats.audio, Some(AudioStats { codecs: "mp4a.40.2".into(), bitrate: 0 }));
    }

    #[test]
    fn units_without_end_at_one_time_are_not_kept() {
        let flood = (0..2 * MAX_UNITS).map(|_| tag(TagKind::Audio, SourceTime(0), 1));
        let meter = meter([both()].into_iter().chain(flood));
        assert_eq!(meter.audio.unwrap().window.units.len(), MAX_UNITS);
    }
}
