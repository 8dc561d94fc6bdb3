//! Messages of the proxy: periods and tags.

use headwater_media::{
    Codec, MediaSequence, Period, PeriodNumber, SourceTime, Tag, TagKind, TimelineEvent, Track, TrackId,
    TrackKind, UnixMillis,
};

use super::{ConvertError, invalid_field};
use crate::v2;

impl From<Period> for v2::Period {
    fn from(period: Period) -> Self {
        Self {
            number: period.number.0,
            origin_us: period.origin.0,
            wall_clock_unix_ms: period.wall_clock.0,
            tracks: period.tracks.into_iter().map(Into::into).collect(),
            first_sequence: period.first_sequence.map(|first| first.0),
        }
    }
}

impl TryFrom<v2::Period> for Period {
    type Error = ConvertError;
    fn try_from(message: v2::Period) -> Result<Self, ConvertError> {
        let tracks: Vec<Track> =
            message.tracks.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        if tracks.is_empty() {
            return Err(ConvertError::Missing("tracks"));
        }
        for (at, track) in tracks.iter().enumerate() {
            let is_twice = |other: &Track| other.id == track.id || other.kind() == track.kind();
            if tracks[..at].iter().any(is_twice) {
                return Err(invalid_field("tracks", "one of a kind and of a number at most"));
            }
        }
        Ok(Self {
            number: PeriodNumber(message.number),
            first_sequence: message.first_sequence.map(MediaSequence),
            origin: SourceTime(message.origin_us),
            wall_clock: UnixMillis(message.wall_clock_unix_ms),
            tracks,
        })
    }
}

/// Names of codecs on the wire: their sample entries.
const AVC1: &str = "avc1";
const MP4A: &str = "mp4a";

impl From<Track> for v2::Track {
    fn from(track: Track) -> Self {
        let kind = match track.kind() {
            TrackKind::Video => v2::track::Kind::Video,
            TrackKind::Audio => v2::track::Kind::Audio,
        };
        let codec = match track.codec {
            Codec::H264 => AVC1,
            Codec::Aac => MP4A,
        };
        Self {
            id: track.id.0,
            kind: kind.into(),
            codec: codec.to_owned(),
            configuration: track.configuration,
        }
    }
}

impl TryFrom<v2::Track> for Track {
    type Error = ConvertError;
    fn try_from(message: v2::Track) -> Result<Self, ConvertError> {
        let codec = match (message.kind(), message.codec.as_str()) {
            (v2::track::Kind::Video, AVC1) => Codec::H264,
            (v2::track::Kind::Audio, MP4A) => Codec::Aac,
            (kind, codec) => {
                return Err(invalid_field("codec", format!("{codec:?} of {}", kind.as_str_name())));
            }
        };
        Ok(Self { id: TrackId(message.id), codec, configuration: message.configuration })
    }
}

impl From<Tag> for v2::Tag {
    fn from(tag: Tag) -> Self {
        Self {
            track: tag.track.0,
            keyframe: tag.is_keyframe(),
            time_us: tag.time.0,
            composition_offset_us: tag.composition_offset_us,
            drift_ms: tag.drift,
            payload: tag.payload,
        }
    }
}

/// Tag of this period.
///
/// # Errors
/// A track that the period does not have.
pub fn tag_of(period: &Period, message: v2::Tag) -> Result<Tag, ConvertError> {
    let id = TrackId(message.track);
    let track = period.tracks.iter().find(|track| track.id == id);
    let track = track.ok_or_else(|| invalid_field("track", format!("the period has no track {}", id.0)))?;
    let kind = match track.kind() {
        TrackKind::Video => TagKind::Video { keyframe: message.keyframe },
        TrackKind::Audio => TagKind::Audio,
    };
    Ok(Tag {
        track: id,
        kind,
        time: SourceTime(message.time_us),
        composition_offset_us: message.composition_offset_us,
        drift: message.drift_ms,
        payload: message.payload,
    })
}

impl From<TimelineEvent> for v2::publish_request::Message {
    fn from(event: TimelineEvent) -> Self {
        match event {
            TimelineEvent::Period(period) => Self::Period(period.into()),
            TimelineEvent::Tag(tag) => Self::Tag(tag.into()),
        }
    }
}

impl From<TimelineEvent> for v2::WorkerInput {
    fn from(event: TimelineEvent) -> Self {
        let message = match event {
            TimelineEvent::Period(period) => v2::worker_input::Message::Period(period.into()),
            TimelineEvent::Tag(tag) => v2::worker_input::Message::Tag(tag.into()),
        };
        Self { message: Some(message) }
    }
}
