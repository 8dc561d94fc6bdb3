//! Records of stored segments, in a recording's journal and for origins.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use headwater_media::{
    BroadcastId, Epoch, MediaSequence, MediaTime, Piece, Record, RenditionId, SegmentSettings, StoredSegment,
};
use prost::Message;

use super::event::rendition_id;
use super::{
    ConvertError, Handoff, WatchMessage, broadcast_bytes, broadcast_id, invalid_field, whole_millis,
};
use crate::v2;
use v2::media_event::Event;
use v2::stored;

impl From<Record> for v2::Stored {
    fn from(record: Record) -> Self {
        let record = match record {
            Record::Period(period) => stored::Record::Period(period.into()),
            Record::Segment(segment) => stored::Record::Segment(segment.into()),
        };
        Self { record: Some(record), dvr_window_ms: None }
    }
}

impl From<StoredSegment> for v2::StoredSegment {
    fn from(segment: StoredSegment) -> Self {
        let piece = |piece: Piece| v2::stored_segment::Piece {
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

impl TryFrom<v2::StoredSegment> for StoredSegment {
    type Error = ConvertError;
    fn try_from(message: v2::StoredSegment) -> Result<Self, ConvertError> {
        let piece = |piece: v2::stored_segment::Piece| {
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

impl TryFrom<v2::Stored> for WatchMessage {
    type Error = ConvertError;
    fn try_from(message: v2::Stored) -> Result<Self, ConvertError> {
        let record = match message.record.ok_or(ConvertError::Missing("record"))? {
            stored::Record::DiscontinuitySequence(discontinuity_sequence) => {
                let dvr_window = message.dvr_window_ms.map(MediaTime::from_millis);
                return Ok(Self::StoredFrom { discontinuity_sequence, dvr_window });
            }
            stored::Record::Period(period) => Record::Period(period.try_into()?),
            stored::Record::Segment(segment) => Record::Segment(segment.try_into()?),
        };
        Ok(Self::Stored(record))
    }
}

impl From<WatchMessage> for v2::MediaEvent {
    fn from(message: WatchMessage) -> Self {
        let stored = match message {
            WatchMessage::Opening(opening) => return opening.into(),
            WatchMessage::Event(event) => return event.into(),
            WatchMessage::CaughtUp => {
                return Self { event: Some(Event::CaughtUp(v2::media_event::CaughtUp {})) };
            }
            WatchMessage::StoredFrom { discontinuity_sequence, dvr_window } => {
                let record = Some(stored::Record::DiscontinuitySequence(discontinuity_sequence));
                v2::Stored { record, dvr_window_ms: dvr_window.map(|window| window.as_millis()) }
            }
            WatchMessage::Stored(record) => record.into(),
        };
        Self { event: Some(Event::Stored(stored)) }
    }
}

/// The sample tables of one segment; `hls::cmaf::table` makes and reads them. A rendition without one has to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentSamples {
    pub sequence: MediaSequence,
    pub tables: Vec<(RenditionId, Bytes)>,
}

impl From<SegmentSamples> for v2::SegmentSamples {
    fn from(samples: SegmentSamples) -> Self {
        let table = |(id, table): (RenditionId, Bytes)| v2::segment_samples::Table {
            rendition: id.to_string(),
            table,
        };
        Self { sequence: samples.sequence.0, tables: samples.tables.into_iter().map(table).collect() }
    }
}

impl TryFrom<v2::SegmentSamples> for SegmentSamples {
    type Error = ConvertError;
    fn try_from(message: v2::SegmentSamples) -> Result<Self, ConvertError> {
        let table = |table: v2::segment_samples::Table| Ok((rendition_id(&table.rendition)?, table.table));
        let tables = message.tables.into_iter().map(table).collect::<Result<_, ConvertError>>()?;
        Ok(Self { sequence: MediaSequence(message.sequence), tables })
    }
}

/// Object of a recording's journal.
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
    /// How long the recording is kept after its end; none where the configuration counts.
    pub retention: Option<Duration>,
    /// The point at which the next owner goes on; none where nobody does.
    pub handoff: Option<Handoff>,
    /// Sample tables of segments that the records name.
    pub samples: Vec<SegmentSamples>,
    /// Epoch under which another server has begun to go on with the broadcast: the owner stops then.
    pub successor: Option<Epoch>,
}

impl JournalBlock {
    /// Bytes of the object.
    pub fn encode(&self) -> Bytes {
        v2::JournalBlock::from(self).encode_to_vec().into()
    }

    /// # Errors
    /// When the bytes are none, or say what can't be.
    pub fn decode(bytes: Bytes) -> Result<Self, ConvertError> {
        v2::JournalBlock::decode(bytes).map_err(|error| invalid_field("journal block", error))?.try_into()
    }
}

impl From<&JournalBlock> for v2::JournalBlock {
    fn from(block: &JournalBlock) -> Self {
        Self {
            broadcast: broadcast_bytes(block.broadcast),
            settings: Some(block.settings.into()),
            records: block.records.iter().cloned().map(Into::into).collect(),
            kept: block.kept.as_ref().map(|kept| v2::journal_block::Kept {
                renditions: kept.iter().map(ToString::to_string).collect(),
            }),
            revision: block.revision,
            is_closed: block.is_closed,
            reconnect_window_ms: whole_millis(block.reconnect_window),
            dvr_window_ms: whole_millis(block.dvr_window),
            retention_ms: block.retention.map(whole_millis),
            handoff: block.handoff.clone().map(Into::into),
            successor: block.successor.map_or(0, |epoch| epoch.0),
            samples: block.samples.iter().cloned().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v2::JournalBlock> for JournalBlock {
    type Error = ConvertError;
    fn try_from(block: v2::JournalBlock) -> Result<Self, ConvertError> {
        let record = |stored: v2::Stored| match WatchMessage::try_from(stored)? {
            WatchMessage::Stored(record) => Ok(record),
            _ => Err(invalid_field("records", "a journal holds periods and segments only")),
        };
        let kept = |kept: v2::journal_block::Kept| {
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
            retention: block.retention_ms.map(Duration::from_millis),
            // The segments count without it.
            handoff: block.handoff.and_then(|handoff| handoff.try_into().ok()),
            samples: block.samples.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            successor: Some(Epoch(block.successor)).filter(|epoch| epoch.0 > 0),
        })
    }
}

/// All blocks of a journal in one object, by the epoch of their owner and their number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JournalIndex {
    pub blocks: BTreeMap<(Epoch, u32), JournalBlock>,
}

impl JournalIndex {
    /// Bytes of the object.
    pub fn encode(&self) -> Bytes {
        let block = |((epoch, number), block): (&(Epoch, u32), &JournalBlock)| v2::journal_index::Block {
            epoch: epoch.0,
            number: *number,
            block: Some(block.into()),
        };
        v2::JournalIndex { blocks: self.blocks.iter().map(block).collect() }.encode_to_vec().into()
    }

    /// Reads the bytes of such an object.
    ///
    /// # Errors
    /// When they are none, or say what can't be.
    pub fn decode(bytes: Bytes) -> Result<Self, ConvertError> {
        let index = v2::JournalIndex::decode(bytes).map_err(|error| invalid_field("journal index", error))?;
        let block = |of: v2::journal_index::Block| {
            let block = of.block.ok_or(ConvertError::Missing("block"))?;
            Ok(((Epoch(of.epoch), of.number), block.try_into()?))
        };
        Ok(Self { blocks: index.blocks.into_iter().map(block).collect::<Result<_, ConvertError>>()? })
    }
}

/// The sample tables of a rendition in one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SampleIndex {
    pub segments: Vec<SegmentSamples>,
}

impl SampleIndex {
    /// Bytes of the object.
    pub fn encode(self) -> Bytes {
        let segments = self.segments.into_iter().map(Into::into).collect();
        v2::SampleIndex { segments }.encode_to_vec().into()
    }

    /// Reads the bytes of such an object.
    ///
    /// # Errors
    /// When they are none, or say what can't be.
    pub fn decode(bytes: Bytes) -> Result<Self, ConvertError> {
        let index = v2::SampleIndex::decode(bytes).map_err(|error| invalid_field("sample index", error))?;
        let segments = index.segments.into_iter().map(TryInto::try_into);
        Ok(Self { segments: segments.collect::<Result<_, _>>()? })
    }
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

    const HOUR: MediaTime = MediaTime::from_millis(3_600_000);

    fn stored_from(dvr_window: Option<MediaTime>) -> WatchMessage {
        WatchMessage::StoredFrom { discontinuity_sequence: 3, dvr_window }
    }

    #[test]
    fn records_survive_the_wire() {
        for message in [stored_from(None), stored_from(Some(HOUR)), WatchMessage::Stored(segment())] {
            let sent = v2::MediaEvent::from(message.clone());
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
                retention: Some(Duration::from_secs(86_400)),
                handoff: None,
                successor: Some(Epoch(9)),
                samples: vec![SegmentSamples {
                    sequence: MediaSequence(4),
                    tables: vec![("720p".parse().unwrap(), Bytes::from_static(b"table"))],
                }],
            };
            assert_eq!(JournalBlock::decode(block.encode()), Ok(block.clone()));
            let blocks = [((Epoch(3), 0), block.clone()), ((Epoch(3), 1), block)].into();
            let index = JournalIndex { blocks };
            assert_eq!(JournalIndex::decode(index.encode()), Ok(index));
        }
        let segment = SegmentSamples { sequence: MediaSequence(4), tables: Vec::new() };
        let samples = SampleIndex { segments: vec![segment] };
        assert_eq!(SampleIndex::decode(samples.clone().encode()), Ok(samples));
        assert!(JournalBlock::decode(Bytes::from_static(b"\xff\xff")).is_err());
    }
}
