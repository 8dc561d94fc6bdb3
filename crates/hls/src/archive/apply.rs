//! Taking records, and dropping what has become too old.

use std::sync::Arc;

use headwater_media::{MediaSequence, MediaTime, PeriodStart, Piece, Record, StoredSegment};

use super::Archive;
use crate::window::{LiveWindow, is_discontinuity};

/// Why a record does not fit the archive, which is as it was before.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ArchiveError {
    #[error("segment {expected} comes next, not {got}")]
    OutOfOrder { expected: MediaSequence, got: MediaSequence },
    #[error("segment {0} comes before any period")]
    NoPeriod(MediaSequence),
    #[error("segment {0} has no rendition")]
    Empty(MediaSequence),
    #[error("{missing} segments are missing before segment {got}, too many for a gap")]
    HoleTooLarge { missing: u64, got: MediaSequence },
}

/// Segments that may be missing in a row: a day of segments of one second.
const LARGEST_HOLE: u64 = 86_400;

impl Archive {
    /// Takes one record; true when it was new. Segments that nothing is known of, before it, become gaps.
    ///
    /// # Errors
    /// When it cannot come next.
    pub fn apply(&mut self, record: &Record) -> Result<bool, ArchiveError> {
        match record {
            Record::Period(period) => self.apply_period(period),
            Record::Segment(segment) => self.apply_segment(segment),
        }
    }

    /// Takes what a live window of the same broadcast has whole and this archive has not, as long as it comes next.
    /// True when there was something.
    pub fn follow(&mut self, window: &LiveWindow) -> bool {
        let Some(committed) = window.committed() else { return false };
        let mut next = self.next_sequence().unwrap_or(window.opening().first_sequence);
        let mut grew = false;
        while next <= committed
            && let Some((period, segment)) = window.stored(next)
        {
            let taken = self.apply_period(period).and_then(|_| self.apply_segment(&segment));
            grew |= taken == Ok(true);
            next = next.next();
        }
        grew
    }

    fn apply_period(&mut self, period: &PeriodStart) -> Result<bool, ArchiveError> {
        if self.periods.back().is_some_and(|last| period.number <= last.number) {
            return Ok(false);
        }
        if let Some(expected) = self.next_sequence()
            && period.first_sequence < expected
        {
            return Err(ArchiveError::OutOfOrder { expected, got: period.first_sequence });
        }
        // A period without a segment was never seen by anybody.
        if self.periods.back().is_some_and(|last| !self.has_segment_from(last.first_sequence)) {
            self.periods.pop_back();
        }
        self.periods.push_back(Arc::new(period.clone()));
        Ok(true)
    }

    /// A segment that is held may turn out to be lost after all, or not to be: the newest word counts.
    fn correct(&mut self, segment: &StoredSegment) -> bool {
        let Some(first) = self.first_sequence() else { return false };
        let nth = segment.sequence.0.checked_sub(first.0).and_then(|nth| usize::try_from(nth).ok());
        let held = nth.and_then(|nth| self.segments.get_mut(nth));
        match held.filter(|held| !segment.pieces.is_empty() && held.as_ref() != segment) {
            Some(held) => {
                *held = Arc::new(segment.clone());
                true
            }
            None => false,
        }
    }

    fn has_segment_from(&self, first: MediaSequence) -> bool {
        self.segments.back().is_some_and(|last| last.sequence >= first)
    }

    fn apply_segment(&mut self, segment: &StoredSegment) -> Result<bool, ArchiveError> {
        let got = segment.sequence;
        if self.next_sequence().is_some_and(|next| got < next) {
            return Ok(self.correct(segment));
        }
        if segment.pieces.is_empty() {
            return Err(ArchiveError::Empty(got));
        }
        self.period_of(got).ok_or(ArchiveError::NoPeriod(got))?;
        self.fill_hole(segment)?;
        self.segments.push_back(Arc::new(segment.clone()));
        Ok(true)
    }

    /// Lists what is missing before a segment as gaps, so that numbers and times go on.
    fn fill_hole(&mut self, next: &StoredSegment) -> Result<(), ArchiveError> {
        let Some(expected) = self.next_sequence() else { return Ok(()) };
        let missing = next.sequence.0 - expected.0;
        if missing > LARGEST_HOLE {
            return Err(ArchiveError::HoleTooLarge { missing, got: next.sequence });
        }
        let nominal = MediaTime::from_millis(u64::from(self.settings.segment_ms));
        for sequence in (expected.0..next.sequence.0).map(MediaSequence) {
            let Some(period) = self.period_of(sequence) else { break };
            let before = self.segments.back().filter(|last| last.sequence >= period.first_sequence);
            let start = before.map_or(period.origin, |last| last.start() + last.duration());
            // Up to a segment of the same period, the hole's length is known.
            let duration = if self.is_newest(period) {
                MediaTime(next.start().saturating_sub(start).0 / (next.sequence.0 - sequence.0))
            } else {
                nominal
            };
            let gap =
                |piece: &Piece| Piece { rendition: piece.rendition.clone(), start, duration, size: None };
            let pieces = next.pieces.iter().map(gap).collect();
            let drift = next.drift;
            self.segments.push_back(Arc::new(StoredSegment { sequence, pieces, drift }));
        }
        Ok(())
    }

    fn is_newest(&self, period: &PeriodStart) -> bool {
        self.periods.back().is_some_and(|last| last.number == period.number)
    }

    /// Keeps the last `window` of it, in whole segments, and gives what was dropped, oldest first.
    pub fn trim(&mut self, window: MediaTime) -> Vec<Arc<StoredSegment>> {
        let mut length = self.duration();
        let mut dropped = Vec::new();
        while let Some(first) = self.segments.front()
            && length.saturating_sub(first.duration()) >= window
        {
            length = length - first.duration();
            dropped.extend(self.drop_first());
        }
        dropped
    }

    fn drop_first(&mut self) -> Option<Arc<StoredSegment>> {
        let first = self.segments.pop_front()?;
        let starts =
            |period: &Arc<PeriodStart>| is_discontinuity(period) && period.first_sequence == first.sequence;
        if self.periods.front().is_some_and(starts) {
            self.discontinuity_sequence += 1;
        }
        let next = first.sequence.next();
        while self.periods.get(1).is_some_and(|second| second.first_sequence <= next) {
            self.periods.pop_front();
        }
        Some(first)
    }
}
