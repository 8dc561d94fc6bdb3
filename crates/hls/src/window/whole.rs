//! Segments that are complete in every rendition, for those who store them.

use std::sync::Arc;

use headwater_media::{MediaSequence, MediaTime, PeriodStart, RenditionId};

use super::{LiveWindow, Segment};

/// A segment that nothing will be added to, in every rendition of its period.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeSegment {
    pub sequence: MediaSequence,
    pub period: Arc<PeriodStart>,
    /// Milliseconds that the wall clock is later than the period's at its beginning.
    pub drift: i32,
    /// In the order of the period. None where the rendition does not have it.
    pub renditions: Vec<(RenditionId, Option<Arc<Segment>>)>,
}

impl WholeSegment {
    /// Start and length of the segment, in a rendition that has it.
    pub fn place(&self) -> (MediaTime, MediaTime) {
        let mut held = self.renditions.iter().filter_map(|(_, segment)| segment.as_ref());
        held.next().map(|segment| (segment.start(), segment.duration())).unwrap_or_default()
    }
}

impl LiveWindow {
    /// The segments from this one on that are whole in every rendition; all that there are once the broadcast has ended.
    pub fn whole_from(&self, from: MediaSequence) -> Vec<WholeSegment> {
        let end = if self.ended { self.next_sequence() } else { self.next_uncommitted() };
        let from = from.max(self.opening.first_sequence);
        (from.0..end.0).map(MediaSequence).filter_map(|sequence| self.whole(sequence)).collect()
    }

    fn whole(&self, sequence: MediaSequence) -> Option<WholeSegment> {
        let period = self.period_of(sequence)?.clone();
        let held = |id: &RenditionId| self.held(id, sequence).filter(|segment| segment.is_whole()).cloned();
        let renditions: Vec<_> = period
            .renditions
            .iter()
            .map(|(rendition, _)| (rendition.id.clone(), held(&rendition.id)))
            .collect();
        let starts = renditions.iter().filter_map(|(_, segment)| segment.as_ref());
        let start = starts.map(|segment| segment.start()).min()?;
        Some(WholeSegment { sequence, drift: self.drift_of(&period, start), period, renditions })
    }
}
