//! What a recording's journal says, and origins are told.

use std::time::Duration;

use bytes::Bytes;
use headwater_hls::{Piece, Record, StoredSegment};
use headwater_media::{BroadcastId, MediaSequence, MediaTime, RenditionId, SegmentSettings};
use prost::Message;

use super::event::rendition_id;
use super::{ConvertError, WatchMessage, broadcast_bytes, broadcast_id, invalid};
use crate::v1;
use v1::media_event::Event;
use v1::stored;

impl From<Record> for v1::Stored {
    fn from(record: Record) -> Self {
        let record = match record {
            Record::Period(period) => stored::Record::Period(period.into()),
            Record::Segment(segment) => stored::Record::Segment(segment.into()),
        };
        Self { record: Some(record) }
    }
}

impl From<StoredSegment> for v1::StoredSegment {
    fn from(segment: StoredSegment) -> Self {
        let piece = |piece: Piece| v1::stored_segment::Piece {
            rendition: piece.rendition.to_string(),
            start_us: piece.start.0,
            duration_us: piece.duration.0,
            size: piece.size,
        };
        Self {
            sequence: segment.sequence.0,
            pieces: segment.pieces.into_iter().map(piece).collect(),
            drift_ms: segment.drift,
        }
    }
}

impl TryFrom<v1::StoredSegment> for StoredSegment {
    type Error = ConvertError;
    fn try_from(message: v1::StoredSegment) -> Result<Self, ConvertError> {
        let piece = |piece: v1::stored_segment::Piece| {
            Ok(Piece {
                rendition: rendition_id(&piece.rendition)?,
                start: MediaTime(piece.start_us),
                duration: MediaTime(piece.duration_us),
                size: piece.size,
            })
        };
        let pieces = message.pieces.into_iter().map(piece).collect::<Result<_, ConvertError>>()?;
        Ok(Self { sequence: MediaSequence(message.sequence), pieces, drift: message.drift_ms })
    }
}

impl TryFrom<v1::Stored> for WatchMessage {
    type Error = ConvertError;
    fn try_from(message: v1::Stored) -> Result<Self, ConvertError> {
        let record = match message.record.ok_or(ConvertError::Missing("record"))? {
            stored::Record::DiscontinuitySequence(discontinuity_sequence) => {
                return Ok(Self::StoredFrom { discontinuity_sequence });
            }
            stored::Record::Period(period) => Record::Period(period.try_into()?),
            stored::Record::Segment(segment) => Record::Segment(segment.try_into()?),
        };
        Ok(Self::Stored(record))
    }
}

impl From<WatchMessage> for v1::MediaEvent {
    fn from(message: WatchMessage) -> Self {
        let stored = match message {
            WatchMessage::Opening(opening) => return opening.into(),
            WatchMessage::Event(event) => return event.into(),
            WatchMessage::CaughtUp => {
                return Self { event: Some(Event::CaughtUp(v1::media_event::CaughtUp {})) };
            }
            WatchMessage::StoredFrom { discontinuity_sequence } => {
                v1::Stored { record: Some(stored::Record::DiscontinuitySequence(discontinuity_sequence)) }
            }
            WatchMessage::Stored(record) => record.into(),
        };
        Self { event: Some(Event::Stored(stored)) }
    }
}

/// One object of a recording's journal.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalBlock {
    pub broadcast: BroadcastId,
    pub settings: SegmentSettings,
    /// The renditions that the recording keeps; none where that is all of them.
    pub kept: Option<Vec<RenditionId>>,
    pub records: Vec<Record>,
    /// How often the owner has written blocks, this one included: no two writings are the same bytes.
    pub revision: u64,
    /// Whether the recording was brought to its end. An owner that writes again afterwards goes on with it.
    pub is_closed: bool,
    /// How long the owner waits for a publisher that is away.
    pub reconnect_window: Duration,
    /// How far viewers can go back.
    pub dvr_window: Duration,
}

impl JournalBlock {
    pub fn encode(&self) -> Bytes {
        let message = v1::JournalBlock {
            broadcast: broadcast_bytes(self.broadcast),
            settings: Some(self.settings.into()),
            records: self.records.iter().cloned().map(Into::into).collect(),
            kept: self.kept.as_ref().map(|kept| v1::journal_block::Kept {
                renditions: kept.iter().map(ToString::to_string).collect(),
            }),
            revision: self.revision,
            is_closed: self.is_closed,
            reconnect_window_ms: millis(self.reconnect_window),
            dvr_window_ms: millis(self.dvr_window),
        };
        message.encode_to_vec().into()
    }

    /// # Errors
    /// When the bytes are none, or say what can't be.
    pub fn decode(bytes: Bytes) -> Result<Self, ConvertError> {
        let block = v1::JournalBlock::decode(bytes).map_err(|error| invalid("journal block", error))?;
        let record = |stored: v1::Stored| match WatchMessage::try_from(stored)? {
            WatchMessage::Stored(record) => Ok(record),
            _ => Err(invalid("records", "a journal holds periods and segments only")),
        };
        let kept = |kept: v1::journal_block::Kept| {
            kept.renditions.iter().map(|id| rendition_id(id)).collect::<Result<_, _>>()
        };
        Ok(Self {
            broadcast: broadcast_id(&block.broadcast)?,
            kept: block.kept.map(kept).transpose()?,
            settings: block.settings.ok_or(ConvertError::Missing("settings"))?.try_into()?,
            records: block.records.into_iter().map(record).collect::<Result<_, _>>()?,
            revision: block.revision,
            is_closed: block.is_closed,
            reconnect_window: Duration::from_millis(block.reconnect_window_ms),
            dvr_window: Duration::from_millis(block.dvr_window_ms),
        })
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> Record {
        let piece = |id: &str, size| Piece {
            rendition: id.parse().unwrap(),
            start: MediaTime(5),
            duration: MediaTime(2_000_000),
            size,
        };
        let pieces = vec![piece("720p", Some(9)), piece("audio", None)];
        Record::Segment(StoredSegment { sequence: MediaSequence(4), pieces, drift: -7 })
    }

    #[test]
    fn records_survive_the_wire() {
        for message in
            [WatchMessage::StoredFrom { discontinuity_sequence: 3 }, WatchMessage::Stored(segment())]
        {
            let sent = v1::MediaEvent::from(message.clone());
            assert_eq!(WatchMessage::try_from(sent), Ok(message));
        }
    }

    #[test]
    fn a_block_of_the_journal_survives_storing() {
        let settings = SegmentSettings { segment_ms: 2_000, part_ms: 334 };
        let broadcast = BroadcastId::from_bytes([3; 16]);
        for kept in [None, Some(Vec::new()), Some(vec!["720p".parse().unwrap()])] {
            let block = JournalBlock {
                broadcast,
                settings,
                kept,
                records: vec![segment()],
                revision: 7,
                is_closed: true,
                reconnect_window: Duration::from_secs(60),
                dvr_window: Duration::from_secs(3_600),
            };
            assert_eq!(JournalBlock::decode(block.encode()), Ok(block));
        }
        assert!(JournalBlock::decode(Bytes::from_static(b"\xff\xff")).is_err());
    }
}
