//! Messages of the proxy: periods and tags.

use headwater_media::{
    MediaSequence, Period, PeriodNumber, SourceTime, Tag, TagKind, TimelineEvent, UnixMillis,
};

use super::{ConvertError, invalid};
use crate::v1;

impl From<Period> for v1::Period {
    fn from(period: Period) -> Self {
        Self {
            number: period.number.0,
            origin_ms: period.origin.0,
            wall_clock_unix_ms: period.wall_clock.0,
            video_config: period.video,
            audio_config: period.audio,
            first_sequence: period.first_sequence.map(|first| first.0),
        }
    }
}

impl TryFrom<v1::Period> for Period {
    type Error = ConvertError;
    fn try_from(message: v1::Period) -> Result<Self, ConvertError> {
        if message.video_config.is_none() && message.audio_config.is_none() {
            return Err(ConvertError::Missing("video_config` or `audio_config"));
        }
        Ok(Self {
            number: PeriodNumber(message.number),
            first_sequence: message.first_sequence.map(MediaSequence),
            origin: SourceTime(message.origin_ms),
            wall_clock: UnixMillis(message.wall_clock_unix_ms),
            video: message.video_config,
            audio: message.audio_config,
        })
    }
}

impl From<Tag> for v1::Tag {
    fn from(tag: Tag) -> Self {
        let kind = match tag.kind {
            TagKind::Video { keyframe: true } => v1::tag::Kind::VideoKeyframe,
            TagKind::Video { keyframe: false } => v1::tag::Kind::Video,
            TagKind::Audio => v1::tag::Kind::Audio,
        };
        Self {
            kind: kind.into(),
            time_ms: tag.time.0,
            composition_offset_ms: tag.composition_offset,
            drift_ms: tag.drift,
            payload: tag.payload,
        }
    }
}

impl TryFrom<v1::Tag> for Tag {
    type Error = ConvertError;
    fn try_from(message: v1::Tag) -> Result<Self, ConvertError> {
        let kind = match message.kind() {
            v1::tag::Kind::Unspecified => return Err(invalid("kind", message.kind)),
            v1::tag::Kind::Video => TagKind::Video { keyframe: false },
            v1::tag::Kind::VideoKeyframe => TagKind::Video { keyframe: true },
            v1::tag::Kind::Audio => TagKind::Audio,
        };
        Ok(Self {
            kind,
            time: SourceTime(message.time_ms),
            composition_offset: message.composition_offset_ms,
            drift: message.drift_ms,
            payload: message.payload,
        })
    }
}

impl From<TimelineEvent> for v1::publish_request::Message {
    fn from(event: TimelineEvent) -> Self {
        match event {
            TimelineEvent::Period(period) => Self::Period(period.into()),
            TimelineEvent::Tag(tag) => Self::Tag(tag.into()),
        }
    }
}

impl From<TimelineEvent> for v1::WorkerInput {
    fn from(event: TimelineEvent) -> Self {
        let message = match event {
            TimelineEvent::Period(period) => v1::worker_input::Message::Period(period.into()),
            TimelineEvent::Tag(tag) => v1::worker_input::Message::Tag(tag.into()),
        };
        Self { message: Some(message) }
    }
}
