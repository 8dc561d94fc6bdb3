//! Archive of one broadcast: the index of its recording and of its DVR window, without the media.

mod apply;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use headwater_media::{
    BroadcastId, MediaSequence, MediaTime, PeriodStart, Record, Rendition, RenditionId, SegmentSettings,
    StoredSegment, UnixMillis,
};

pub use apply::ArchiveError;

/// The index of what is stored: of a whole broadcast, or of its last hour where it is trimmed to a DVR window.
///
/// It is a value: the same records give an equal archive, and a record that is held already changes nothing. What is said
/// anew of a segment replaces what was said before.
///
/// **Bound.** About 120 bytes for each segment of each rendition and 5 KB for each period: with the defaults (segments
/// of 2 s, four renditions), 0.9 MB an hour.
#[derive(Clone, Debug, PartialEq)]
pub struct Archive {
    broadcast: BroadcastId,
    settings: SegmentSettings,
    /// `EXT-X-DISCONTINUITY`s before the first segment that is held.
    discontinuity_sequence: u64,
    /// Oldest first; the first one holds the oldest segment.
    periods: VecDeque<Arc<PeriodStart>>,
    /// Without holes.
    segments: VecDeque<Arc<StoredSegment>>,
    dvr_window: Option<MediaTime>,
}

impl Archive {
    /// An empty one. `discontinuity_sequence` is `EXT-X-DISCONTINUITY-SEQUENCE` of a playlist that begins with the
    /// first record to come: 0 for a broadcast from its start.
    pub fn new(broadcast: BroadcastId, settings: SegmentSettings, discontinuity_sequence: u64) -> Self {
        let periods = VecDeque::new();
        let segments = VecDeque::new();
        Self { broadcast, settings, discontinuity_sequence, periods, segments, dvr_window: None }
    }

    /// The same, of a broadcast that viewers can go back in by so much.
    #[must_use]
    pub fn reaching_back(self, dvr_window: Option<MediaTime>) -> Self {
        Self { dvr_window, ..self }
    }

    /// Time that viewers can go back in the broadcast while it is live; none where that is not known.
    pub fn dvr_window(&self) -> Option<MediaTime> {
        self.dvr_window
    }

    /// The broadcast that is stored.
    pub fn broadcast(&self) -> BroadcastId {
        self.broadcast
    }

    /// Settings of the broadcast's segments.
    pub fn settings(&self) -> SegmentSettings {
        self.settings
    }

    /// `EXT-X-DISCONTINUITY-SEQUENCE` of a playlist that lists all of it.
    pub fn discontinuity_sequence(&self) -> u64 {
        self.discontinuity_sequence
    }

    /// The broadcast follows another one that viewers know, whose discontinuities are behind them.
    pub fn follow_discontinuities(&mut self, before: u64) {
        self.discontinuity_sequence = self.discontinuity_sequence.max(before);
    }

    /// Whether no segment is stored.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The oldest segment's number.
    pub fn first_sequence(&self) -> Option<MediaSequence> {
        self.segments.front().map(|segment| segment.sequence)
    }

    /// The number after that of the newest segment.
    pub fn next_sequence(&self) -> Option<MediaSequence> {
        self.segments.back().map(|segment| segment.sequence.next())
    }

    /// Oldest first.
    pub fn periods(&self) -> impl ExactSizeIterator<Item = &Arc<PeriodStart>> {
        self.periods.iter()
    }

    /// Oldest first, without holes in the numbers.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &Arc<StoredSegment>> + ExactSizeIterator {
        self.segments.iter()
    }

    /// The segment with this number.
    pub fn segment(&self, sequence: MediaSequence) -> Option<&Arc<StoredSegment>> {
        let first = self.first_sequence()?;
        self.segments.get(usize::try_from(sequence.0.checked_sub(first.0)?).ok()?)
    }

    /// The period that a segment belongs to.
    pub fn period_of(&self, sequence: MediaSequence) -> Option<&Arc<PeriodStart>> {
        self.periods.iter().rev().find(|period| period.first_sequence <= sequence)
    }

    /// The number of a segment that is named by its period and its time; see [`LiveWindow::timed`].
    ///
    /// [`LiveWindow::timed`]: crate::LiveWindow::timed
    pub fn timed(&self, rendition: &RenditionId, first: MediaSequence, ticks: u64) -> Option<MediaSequence> {
        let period = self.periods.iter().find(|period| period.first_sequence == first)?;
        let number = period.number_at(rendition, ticks, self.settings)?;
        self.period_of(number).filter(|of| of.number == period.number).map(|_| number)
    }

    /// The init segment of a rendition in the period whose first segment has this number.
    pub fn init(&self, rendition: &RenditionId, first_sequence: MediaSequence) -> Option<&Bytes> {
        let period = self.periods.iter().find(|period| period.first_sequence == first_sequence)?;
        period.renditions.iter().find(|(r, _)| r.id == *rendition).map(|(_, init)| init)
    }

    /// A rendition, as the newest period that has it describes it.
    pub fn rendition(&self, id: &RenditionId) -> Option<&Rendition> {
        let all = self.periods.iter().rev().flat_map(|period| &period.renditions);
        all.map(|(rendition, _)| rendition).find(|rendition| rendition.id == *id)
    }

    /// The renditions that any segment is stored in, as the newest period that has them describes them; best first.
    pub fn renditions(&self) -> Vec<&Rendition> {
        let mut found: Vec<&Rendition> = Vec::new();
        for (rendition, _) in self.periods.iter().rev().flat_map(|period| &period.renditions) {
            let is_stored = || self.segments.iter().any(|segment| segment.size(&rendition.id).is_some());
            if found.iter().all(|other| other.id != rendition.id) && is_stored() {
                found.push(rendition);
            }
        }
        found
    }

    /// The length of all segments together.
    pub fn duration(&self) -> MediaTime {
        MediaTime(self.segments.iter().map(|segment| segment.duration().0).sum())
    }

    /// Bytes of all segments in all renditions.
    pub fn size(&self) -> u64 {
        self.segments.iter().flat_map(|segment| &segment.pieces).filter_map(|piece| piece.size).sum()
    }

    /// When the first segment was on air.
    pub fn started_at(&self) -> Option<UnixMillis> {
        self.segments.front().and_then(|segment| self.wall_clock(segment))
    }

    /// When a segment was on air.
    pub fn wall_clock(&self, segment: &StoredSegment) -> Option<UnixMillis> {
        let period = self.period_of(segment.sequence)?;
        Some(period.wall_clock_at(segment.start(), segment.drift))
    }

    /// The segment that is `offset` after the beginning, and how far into it; the last one where that is past the end.
    pub fn at(&self, offset: MediaTime) -> Option<(&Arc<StoredSegment>, MediaTime)> {
        let mut before = MediaTime::ZERO;
        for segment in &self.segments {
            let end = before + segment.duration();
            if offset < end {
                return Some((segment, offset - before));
            }
            before = end;
        }
        self.segments.back().map(|last| (last, last.duration()))
    }

    /// The records that make an equal archive of an empty one with the same [`Archive::discontinuity_sequence`].
    pub fn records(&self) -> Vec<Record> {
        let mut records = Vec::with_capacity(self.segments.len() + self.periods.len());
        let mut periods = self.periods.iter().peekable();
        for segment in &self.segments {
            while let Some(period) = periods.next_if(|period| period.first_sequence <= segment.sequence) {
                records.push(Record::Period(period.as_ref().clone()));
            }
            records.push(Record::Segment(segment.as_ref().clone()));
        }
        records.extend(periods.map(|period| Record::Period(period.as_ref().clone())));
        records
    }
}
