//! Records of a broadcast that is stored: entries of its journal, without the media.

use super::event::PeriodStart;
use crate::ids::{MediaSequence, RenditionId};
use crate::time::MediaTime;

/// Entry of a recording's journal. In the order of the media; a segment is named when it can be fetched.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    Period(PeriodStart),
    Segment(StoredSegment),
}

/// A segment that is stored in every rendition that it says, or lost in it for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSegment {
    pub sequence: MediaSequence,
    pub pieces: Vec<Piece>,
    /// Milliseconds that the wall clock is later than the period's at the beginning; see [`MediaEvent::Drift`].
    ///
    /// [`MediaEvent::Drift`]: super::MediaEvent::Drift
    pub drift: i32,
}

/// Rendition of a stored segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub rendition: RenditionId,
    /// Media time of its first frame.
    pub start: MediaTime,
    pub duration: MediaTime,
    /// Bytes of the object. None where there is none: `EXT-X-GAP`.
    pub size: Option<u64>,
}

impl StoredSegment {
    /// The segment's part in a rendition.
    pub fn piece(&self, rendition: &RenditionId) -> Option<&Piece> {
        self.pieces.iter().find(|piece| piece.rendition == *rendition)
    }

    /// Bytes of the object of a rendition, if there is one.
    pub fn size(&self, rendition: &RenditionId) -> Option<u64> {
        self.piece(rendition)?.size
    }

    /// Start and length of the segment in a rendition; in the others, where it is not stored in this one.
    pub fn place(&self, rendition: &RenditionId) -> (MediaTime, MediaTime) {
        let piece = self.piece(rendition).map(|piece| (piece.start, piece.duration));
        piece.unwrap_or_else(|| (self.start(), self.duration()))
    }

    /// Media time of its first frame, in the rendition that begins first.
    pub fn start(&self) -> MediaTime {
        self.pieces.iter().map(|piece| piece.start).min().unwrap_or_default()
    }

    /// The length of the best rendition.
    pub fn duration(&self) -> MediaTime {
        self.pieces.first().map(|piece| piece.duration).unwrap_or_default()
    }
}
