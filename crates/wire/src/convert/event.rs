//! Events of media: a worker makes them, and origins show them.

use bytes::Bytes;
use headwater_media::{
    Epoch, MediaEvent, MediaSequence, MediaTime, Opening, PartIndex, PeriodNumber, PeriodStart, Rendition,
    RenditionId, RenditionKind, ResumePoint, SegmentSettings, SourceTime, UnixMillis,
};

use super::{ConvertError, WatchMessage, broadcast_bytes, broadcast_id, invalid_field};
use crate::v2;
use v2::media_event as m;

impl From<Opening> for v2::Opening {
    fn from(opening: Opening) -> Self {
        Self {
            broadcast: broadcast_bytes(opening.broadcast),
            epoch: opening.epoch.0,
            settings: Some(opening.settings.into()),
            window_segments: opening.window_segments,
            first_sequence: opening.first_sequence.0,
            discontinuity_sequence: opening.discontinuity_sequence,
        }
    }
}

impl TryFrom<v2::Opening> for Opening {
    type Error = ConvertError;
    fn try_from(message: v2::Opening) -> Result<Self, ConvertError> {
        let settings: SegmentSettings =
            message.settings.ok_or(ConvertError::Missing("settings"))?.try_into()?;
        Ok(Self {
            broadcast: broadcast_id(&message.broadcast)?,
            epoch: Epoch(message.epoch),
            settings,
            window_segments: message.window_segments,
            first_sequence: MediaSequence(message.first_sequence),
            discontinuity_sequence: message.discontinuity_sequence,
        })
    }
}

impl From<ResumePoint> for v2::ResumePoint {
    fn from(point: ResumePoint) -> Self {
        Self {
            broadcast: broadcast_bytes(point.broadcast),
            settings: Some(point.settings.into()),
            window_segments: point.window_segments,
            period: point.period.0,
            start_us: point.start.map(|start| start.0),
            next_sequence: point.next_sequence.0,
            discontinuity_sequence: point.discontinuity_sequence,
            kept: point.kept.into_iter().map(Into::into).collect(),
            begun_as: point.begun_as.map(Into::into),
            free_sequence: point.free.0,
            policy: point.policy.map(Into::into),
        }
    }
}

impl TryFrom<v2::ResumePoint> for ResumePoint {
    type Error = ConvertError;
    fn try_from(message: v2::ResumePoint) -> Result<Self, ConvertError> {
        Ok(Self {
            broadcast: broadcast_id(&message.broadcast)?,
            settings: message.settings.ok_or(ConvertError::Missing("settings"))?.try_into()?,
            window_segments: message.window_segments,
            period: PeriodNumber(message.period),
            start: message.start_us.map(SourceTime),
            next_sequence: MediaSequence(message.next_sequence),
            discontinuity_sequence: message.discontinuity_sequence,
            kept: message.kept.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            begun_as: message.begun_as.map(TryInto::try_into).transpose()?,
            free: MediaSequence(message.free_sequence.max(message.next_sequence)),
            policy: message.policy.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<Rendition> for v2::Rendition {
    fn from(rendition: Rendition) -> Self {
        let kind = match rendition.kind {
            RenditionKind::Video { width, height, frame_rate } => {
                v2::rendition::Kind::Video(v2::rendition::Video { width, height, frame_rate })
            }
            RenditionKind::Audio { channels, sample_rate } => {
                v2::rendition::Kind::Audio(v2::rendition::Audio { channels, sample_rate })
            }
        };
        Self {
            id: rendition.id.to_string(),
            codecs: rendition.codecs,
            declared_bitrate: rendition.declared_bitrate,
            kind: Some(kind),
        }
    }
}

impl TryFrom<v2::Rendition> for Rendition {
    type Error = ConvertError;
    fn try_from(message: v2::Rendition) -> Result<Self, ConvertError> {
        let kind = match message.kind.ok_or(ConvertError::Missing("kind"))? {
            v2::rendition::Kind::Video(v2::rendition::Video { width, height, frame_rate }) => {
                RenditionKind::Video { width, height, frame_rate }
            }
            v2::rendition::Kind::Audio(v2::rendition::Audio { channels, sample_rate }) => {
                RenditionKind::Audio { channels, sample_rate }
            }
        };
        let id = rendition_id(&message.id)?;
        Ok(Self { id, kind, codecs: message.codecs, declared_bitrate: message.declared_bitrate })
    }
}

pub(super) fn rendition_id(text: &str) -> Result<RenditionId, ConvertError> {
    text.parse().map_err(|error| invalid_field("rendition", error))
}

impl From<PeriodStart> for m::PeriodStart {
    fn from(period: PeriodStart) -> Self {
        let init = |(rendition, init): (Rendition, Bytes)| m::RenditionInit {
            rendition: Some(rendition.into()),
            init,
        };
        Self {
            number: period.number.0,
            first_sequence: period.first_sequence.0,
            origin_us: period.origin.0,
            wall_clock_unix_ms: period.wall_clock.0,
            renditions: period.renditions.into_iter().map(init).collect(),
            ladder: period.ladder.map(Into::into),
        }
    }
}

impl TryFrom<m::PeriodStart> for PeriodStart {
    type Error = ConvertError;
    fn try_from(message: m::PeriodStart) -> Result<Self, ConvertError> {
        let init = |init: m::RenditionInit| {
            let rendition = init.rendition.ok_or(ConvertError::Missing("rendition"))?.try_into()?;
            Ok((rendition, init.init))
        };
        Ok(Self {
            number: PeriodNumber(message.number),
            first_sequence: MediaSequence(message.first_sequence),
            origin: MediaTime(message.origin_us),
            wall_clock: UnixMillis(message.wall_clock_unix_ms),
            renditions: message.renditions.into_iter().map(init).collect::<Result<_, _>>()?,
            ladder: message.ladder.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<Opening> for v2::MediaEvent {
    fn from(opening: Opening) -> Self {
        Self { event: Some(m::Event::Opening(opening.into())) }
    }
}

impl From<MediaEvent> for v2::MediaEvent {
    fn from(event: MediaEvent) -> Self {
        let event = match event {
            MediaEvent::PeriodStart(period) => m::Event::PeriodStart(period.into()),
            MediaEvent::Part { rendition, sequence, index, start, duration, independent, bytes } => {
                m::Event::Part(m::Part {
                    rendition: rendition.to_string(),
                    sequence: sequence.0,
                    index: index.0,
                    start_us: start.0,
                    duration_us: duration.0,
                    independent,
                    payload: bytes,
                })
            }
            MediaEvent::SegmentEnd { rendition, sequence } => {
                m::Event::SegmentEnd(m::SegmentEnd { rendition: rendition.to_string(), sequence: sequence.0 })
            }
            MediaEvent::Drift { period, from, drift } => {
                m::Event::Drift(m::Drift { period: period.0, from_us: from.0, drift_ms: drift })
            }
            MediaEvent::BroadcastEnd => m::Event::BroadcastEnd(m::BroadcastEnd {}),
        };
        Self { event: Some(event) }
    }
}

impl TryFrom<v2::MediaEvent> for WatchMessage {
    type Error = ConvertError;
    fn try_from(message: v2::MediaEvent) -> Result<Self, ConvertError> {
        let event = match message.event.ok_or(ConvertError::Missing("event"))? {
            m::Event::Opening(opening) => return Ok(Self::Opening(opening.try_into()?)),
            m::Event::PeriodStart(period) => MediaEvent::PeriodStart(period.try_into()?),
            m::Event::Part(part) => part.try_into()?,
            m::Event::SegmentEnd(end) => MediaEvent::SegmentEnd {
                rendition: rendition_id(&end.rendition)?,
                sequence: MediaSequence(end.sequence),
            },
            m::Event::Drift(m::Drift { period, from_us, drift_ms }) => {
                MediaEvent::Drift { period: PeriodNumber(period), from: MediaTime(from_us), drift: drift_ms }
            }
            m::Event::BroadcastEnd(m::BroadcastEnd {}) => MediaEvent::BroadcastEnd,
            m::Event::Stored(stored) => return stored.try_into(),
            m::Event::CaughtUp(m::CaughtUp {}) => return Ok(Self::CaughtUp),
        };
        Ok(Self::Event(event))
    }
}

impl TryFrom<m::Part> for MediaEvent {
    type Error = ConvertError;
    fn try_from(part: m::Part) -> Result<Self, ConvertError> {
        Ok(Self::Part {
            rendition: rendition_id(&part.rendition)?,
            sequence: MediaSequence(part.sequence),
            index: PartIndex(part.index),
            start: MediaTime(part.start_us),
            duration: MediaTime(part.duration_us),
            independent: part.independent,
            bytes: part.payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use headwater_media::Ladder;

    use super::*;

    fn round_trip(event: MediaEvent) {
        let message = v2::MediaEvent::from(event.clone());
        assert_eq!(WatchMessage::try_from(message), Ok(WatchMessage::Event(event)));
    }

    #[test]
    fn events_survive_the_wire() {
        let video = RenditionKind::Video { width: 1280, height: 720, frame_rate: 29.97 };
        let rendition = Rendition {
            id: "720p".parse().unwrap(),
            kind: video,
            codecs: "avc1.64001f".into(),
            declared_bitrate: 2_800_000,
        };
        round_trip(MediaEvent::PeriodStart(PeriodStart {
            number: PeriodNumber(3),
            first_sequence: MediaSequence(9),
            origin: MediaTime(40_000),
            wall_clock: UnixMillis(1_800_000_000_123),
            renditions: vec![(rendition, Bytes::from_static(b"init"))],
            ladder: Some(Ladder::default()),
        }));
        round_trip(MediaEvent::Part {
            rendition: "audio".parse().unwrap(),
            sequence: MediaSequence(9),
            index: PartIndex(2),
            start: MediaTime(1),
            duration: MediaTime(333_333),
            independent: true,
            bytes: Bytes::from_static(b"moof"),
        });
        round_trip(MediaEvent::SegmentEnd { rendition: "720p".parse().unwrap(), sequence: MediaSequence(9) });
        round_trip(MediaEvent::BroadcastEnd);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let empty = v2::MediaEvent { event: None };
        assert_eq!(WatchMessage::try_from(empty), Err(ConvertError::Missing("event")));
        let end = m::Event::SegmentEnd(m::SegmentEnd { rendition: "../x".into(), sequence: 1 });
        let error = WatchMessage::try_from(v2::MediaEvent { event: Some(end) }).unwrap_err();
        assert!(error.to_string().contains("`rendition`"), "{error}");
    }
}
