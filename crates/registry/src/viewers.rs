//! Viewers as origins report them.

use std::fmt;
use std::time::Duration;

use headwater_media::StreamId;

/// Time between two reports of an origin.
pub const VIEWER_REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Time for which an origin's report counts, so that two of them may get lost.
pub const VIEWERS_TTL: Duration = VIEWER_REPORT_INTERVAL.saturating_mul(3);

/// Streams of a report at most: an origin mirrors fewer.
pub const MAX_REPORTED_STREAMS: usize = 10_000;

/// Id that tells one run of an origin from others: a random number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginId(pub u64);

impl fmt::Display for OriginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Viewers of each stream at one origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewerReport {
    pub origin: OriginId,
    /// Streams with viewers, [`MAX_REPORTED_STREAMS`] at most.
    pub streams: Vec<(StreamId, u32)>,
    /// Whether there are more streams with viewers than the report names: nothing is known of those.
    pub is_cut: bool,
}

impl ViewerReport {
    /// Viewers of a stream at the origin; none where they are not known.
    pub(crate) fn count(&self, stream: &StreamId) -> Option<u64> {
        let named = self.streams.iter().find(|(name, _)| name == stream);
        let unnamed = (!self.is_cut).then_some(0);
        named.map(|(_, viewers)| u64::from(*viewers)).or(unnamed)
    }
}
