//! Statistics of a publisher.

use std::time::Duration;

use headwater_media::{AudioStats, EncoderStats, PublisherStats, SourceStats, VideoStats};

use super::{ConvertError, invalid_field, whole_millis};
use crate::v2::publish_response::Stats;
use crate::v2::publish_response::stats::{Audio, Encoder, Source, Video};

impl From<PublisherStats> for Stats {
    fn from(PublisherStats { source, encoder }: PublisherStats) -> Self {
        let source = Source { video: source.video.map(Into::into), audio: source.audio.map(Into::into) };
        Self { source: Some(source), encoder: encoder.map(Into::into) }
    }
}

impl TryFrom<Stats> for PublisherStats {
    type Error = ConvertError;
    fn try_from(message: Stats) -> Result<Self, ConvertError> {
        let Source { video, audio } = message.source.ok_or(ConvertError::Missing("stats.source"))?;
        let video = video.map(VideoStats::try_from).transpose()?;
        let encoder = message.encoder.map(EncoderStats::try_from).transpose()?;
        Ok(Self { source: SourceStats { video, audio: audio.map(Into::into) }, encoder })
    }
}

impl From<VideoStats> for Video {
    fn from(video: VideoStats) -> Self {
        Self {
            codecs: video.codecs,
            width: video.width,
            height: video.height,
            bitrate: video.bitrate,
            frame_rate: video.frame_rate,
            keyframe_interval_ms: video.keyframe_interval.map(whole_millis),
        }
    }
}

impl TryFrom<Video> for VideoStats {
    type Error = ConvertError;
    fn try_from(message: Video) -> Result<Self, ConvertError> {
        Ok(Self {
            codecs: message.codecs,
            width: message.width,
            height: message.height,
            bitrate: message.bitrate,
            frame_rate: positive("stats.video.frame_rate", message.frame_rate)?,
            keyframe_interval: message.keyframe_interval_ms.map(Duration::from_millis),
        })
    }
}

impl From<AudioStats> for Audio {
    fn from(AudioStats { codecs, bitrate }: AudioStats) -> Self {
        Self { codecs, bitrate }
    }
}

impl From<Audio> for AudioStats {
    fn from(Audio { codecs, bitrate }: Audio) -> Self {
        Self { codecs, bitrate }
    }
}

impl From<EncoderStats> for Encoder {
    fn from(EncoderStats { speed, delay, saturation }: EncoderStats) -> Self {
        Self { speed, delay_ms: whole_millis(delay), saturation }
    }
}

impl TryFrom<Encoder> for EncoderStats {
    type Error = ConvertError;
    fn try_from(message: Encoder) -> Result<Self, ConvertError> {
        Ok(Self {
            speed: positive("stats.encoder.speed", message.speed)?,
            delay: Duration::from_millis(message.delay_ms),
            saturation: positive("stats.encoder.saturation", message.saturation)?.min(1.0),
        })
    }
}

fn positive(field: &'static str, value: f64) -> Result<f64, ConvertError> {
    let value = Some(value).filter(|value| value.is_finite() && *value >= 0.0).ok_or(value);
    value.map_err(|value| invalid_field(field, format!("{value} is no ratio")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats() -> PublisherStats {
        let video = VideoStats {
            codecs: "avc1.64001f".into(),
            width: 1280,
            height: 720,
            bitrate: 4_500_000,
            frame_rate: 29.97,
            keyframe_interval: Some(Duration::from_millis(2_002)),
        };
        let audio = AudioStats { codecs: "mp4a.40.2".into(), bitrate: 128_000 };
        let encoder = EncoderStats { speed: 0.98, delay: Duration::from_millis(340), saturation: 0.25 };
        let source = SourceStats { video: Some(video), audio: Some(audio) };
        PublisherStats { source, encoder: Some(encoder) }
    }

    #[test]
    fn statistics_survive_the_wire() {
        for stats in [stats(), PublisherStats::default()] {
            assert_eq!(PublisherStats::try_from(Stats::from(stats.clone())), Ok(stats));
        }
    }

    #[test]
    fn figures_that_are_none_are_refused() {
        let refused = |change: fn(&mut Stats)| {
            let mut message = Stats::from(stats());
            change(&mut message);
            PublisherStats::try_from(message).unwrap_err().to_string()
        };
        assert_eq!(refused(|stats| stats.source = None), "the field `stats.source` is missing");
        assert_eq!(
            refused(|stats| stats.encoder.as_mut().unwrap().speed = f64::NAN),
            "the field `stats.encoder.speed` is wrong: NaN is no ratio"
        );
        assert_eq!(
            refused(|stats| stats.source.as_mut().unwrap().video.as_mut().unwrap().frame_rate = -1.0),
            "the field `stats.video.frame_rate` is wrong: -1 is no ratio"
        );
    }
}
