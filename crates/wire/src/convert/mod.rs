//! Conversions between messages and the house's own types. Out of the house they can't fail; into it each one says
//! which field was wrong.

mod event;
mod facts;
mod frame;
mod handoff;
mod ladder;
mod output;
mod policy;
mod report;
mod source;
mod stats;
mod stored;

use std::time::Duration;

use bytes::Bytes;
use headwater_media::{BroadcastId, MediaEvent, MediaTime, Opening, Record, SegmentSettings};

pub use handoff::Handoff;
pub use output::output_tag_of;
pub use source::tag_of;
pub use stored::{JournalBlock, JournalIndex, SampleIndex, SegmentSamples};

use crate::v2;

/// A message that the contract does not allow.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConvertError {
    #[error("the field `{0}` is missing")]
    Missing(&'static str),
    #[error("the field `{field}` is wrong: {reason}")]
    Invalid { field: &'static str, reason: String },
}

impl From<ConvertError> for tonic::Status {
    fn from(error: ConvertError) -> Self {
        Self::invalid_argument(error.to_string())
    }
}

fn invalid_field(field: &'static str, reason: impl ToString) -> ConvertError {
    ConvertError::Invalid { field, reason: reason.to_string() }
}

/// Whole milliseconds of a duration.
fn whole_millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

/// Message of a `Watch` answer.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchMessage {
    /// The first one, once.
    Opening(Opening),
    Event(MediaEvent),
    /// Stored segments are told from the start: before each broadcast's first record.
    StoredFrom {
        discontinuity_sequence: u64,
        /// Time that viewers can go back; none where the configuration of the origin counts.
        dvr_window: Option<MediaTime>,
    },
    /// Record of a segment that is stored.
    Stored(Record),
    /// The segments that the window held at the beginning have been told, once.
    CaughtUp,
}

/// Sixteen bytes on the wire.
pub fn broadcast_id(bytes: &[u8]) -> Result<BroadcastId, ConvertError> {
    let bytes = bytes.try_into().map_err(|_| invalid_field("broadcast", "it takes 16 bytes"))?;
    Ok(BroadcastId::from_bytes(bytes))
}

/// Bytes of a broadcast's id, as messages carry them.
pub fn broadcast_bytes(id: BroadcastId) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

impl From<SegmentSettings> for v2::SegmentSettings {
    fn from(settings: SegmentSettings) -> Self {
        Self { segment_ms: settings.segment_ms, part_ms: settings.part_ms }
    }
}

impl TryFrom<v2::SegmentSettings> for SegmentSettings {
    type Error = ConvertError;
    fn try_from(message: v2::SegmentSettings) -> Result<Self, ConvertError> {
        let v2::SegmentSettings { segment_ms, part_ms } = message;
        if part_ms > 0 && part_ms <= segment_ms && segment_ms <= Self::MAX_SEGMENT_MS {
            Ok(Self { segment_ms, part_ms })
        } else {
            Err(invalid_field("settings", format!("segments of {segment_ms} ms, parts of {part_ms} ms")))
        }
    }
}
