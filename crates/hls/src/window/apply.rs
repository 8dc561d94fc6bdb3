//! Taking events, in the order in which they happened to each rendition.

use std::sync::Arc;

use bytes::Bytes;
use headwater_media::{MediaEvent, MediaSequence, MediaTime, PartIndex, PeriodStart, RenditionId};

use super::segment::{Part, Segment};
use super::{LiveWindow, MAX_BYTES, MAX_INIT_BYTES, MAX_PART_BYTES, MAX_PARTS, MAX_RENDITIONS, WindowError};

/// Change that an event made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// No change: the event was applied already, or is older than anything held.
    Nothing,
    Period,
    Part,
    /// A segment became whole in one rendition; [`LiveWindow::committed`] may have moved.
    Segment,
    /// Dates of what is to come.
    Drift,
    End,
}

impl LiveWindow {
    /// Takes one event.
    ///
    /// # Errors
    /// When it cannot be the next one, or something exceeds its limit. The window is then as it was before.
    pub fn apply(&mut self, event: &MediaEvent) -> Result<Change, WindowError> {
        match event {
            MediaEvent::PeriodStart(period) => self.apply_period(period),
            MediaEvent::Part { rendition, sequence, index, start, duration, independent, bytes } => {
                let start = *start;
                let duration = *duration;
                let independent = *independent;
                let bytes = bytes.clone();
                let part = Part { start, duration, independent, bytes };
                self.apply_part(rendition, *sequence, *index, part)
            }
            MediaEvent::SegmentEnd { rendition, sequence } => self.apply_segment_end(rendition, *sequence),
            MediaEvent::Drift { period, from, drift } => Ok(self.apply_drift((*period, *from), *drift)),
            MediaEvent::BroadcastEnd => Ok(self.apply_broadcast_end()),
        }
    }

    fn apply_period(&mut self, period: &PeriodStart) -> Result<Change, WindowError> {
        if self.periods.back().is_some_and(|last| period.number <= last.number) {
            return Ok(Change::Nothing);
        }
        self.check_period(period)?;
        if self.has_segments_in_newest_period() {
            self.close_period(self.next_sequence());
        } else {
            // A period without a single part was never seen by anybody.
            if let Some(unseen) = self.periods.pop_back() {
                self.drifts.split_off(&(unseen.number, MediaTime::ZERO));
            }
            self.tracks.retain(|_, track| !track.is_empty());
        }
        self.leave_out(period.first_sequence);
        for (rendition, _) in &period.renditions {
            self.tracks.entry(rendition.id.clone()).or_default();
        }
        self.periods.push_back(Arc::new(period.clone()));
        self.retain();
        Ok(Change::Period)
    }

    fn check_period(&self, period: &PeriodStart) -> Result<(), WindowError> {
        if self.ended {
            return Err(WindowError::AfterBroadcastEnd);
        }
        let expected = self.next_sequence();
        let got = period.first_sequence;
        // The first period of a window may have begun before the window. Any period may leave out numbers that viewers have
        // elsewhere, from a producer that was lost in the middle of them. One that is not heard may have made many at once.
        let is_early = got < expected && !self.periods.is_empty();
        let fits = !is_early && got.0 <= expected.0 + self.most_left_out();
        if !fits {
            return Err(WindowError::SequenceSkipped { expected, got });
        }
        check_renditions(&period.renditions)
    }

    fn has_segments_in_newest_period(&self) -> bool {
        self.periods.back().is_some() && self.next_sequence() > self.period_first()
    }

    /// Closes the newest period, which ends before `end`: its renditions are evened out.
    fn close_period(&mut self, end: MediaSequence) {
        let Some(period) = self.periods.back().cloned() else { return };
        self.close_open_segments();
        for (rendition, _) in &period.renditions {
            let mut next = self.next_of(&rendition.id);
            while next < end {
                self.fill_gap(&period, &rendition.id, next);
                next = next.next();
            }
        }
    }

    fn close_open_segments(&mut self) {
        for track in self.tracks.values_mut() {
            if let Some(mut last) = track.last_entry()
                && !last.get().is_whole()
            {
                Arc::make_mut(last.get_mut()).close();
            }
        }
    }

    /// A period begins with this sequence; what is left out before it is a gap.
    fn leave_out(&mut self, first: MediaSequence) {
        if first <= self.next_sequence() {
            return;
        }
        if self.periods.is_empty() {
            (self.opening.first_sequence, self.listed_from) = (first, first);
        }
        self.skip_to(first);
    }

    /// Skips the rest of the newest period before this sequence.
    pub(super) fn skip_to(&mut self, first: MediaSequence) {
        let Some(period) = self.periods.back().cloned() else { return };
        for (rendition, _) in &period.renditions {
            let Some(track) = self.tracks.get_mut(&rendition.id) else { continue };
            if let Some(mut last) = track.last_entry()
                && *last.key() < first
            {
                Arc::make_mut(last.get_mut()).close();
            }
            let mut next = self.next_of(&rendition.id);
            while next < first {
                let gap = Arc::new(self.nominal_gap(&period, next));
                self.tracks.entry(rendition.id.clone()).or_default().insert(next, gap);
                next = next.next();
            }
        }
        self.retain();
    }

    /// A segment that is missing, as long as its cell of the grid.
    fn nominal_gap(&self, period: &PeriodStart, sequence: MediaSequence) -> Segment {
        let start = self.boundary(period, sequence);
        Segment::gap(start, self.boundary(period, sequence.next()).saturating_sub(start))
    }

    fn fill_gap(&mut self, period: &PeriodStart, rendition: &RenditionId, sequence: MediaSequence) {
        let segment_of = |other: &RenditionId| self.held(other, sequence).filter(|segment| !segment.is_gap());
        let like = period.renditions.iter().find_map(|(other, _)| segment_of(&other.id));
        let Some(gap) = like.map(|like| Segment::gap(like.start(), like.duration())) else { return };
        if let Some(track) = self.tracks.get_mut(rendition) {
            track.insert(sequence, Arc::new(gap));
        }
    }

    fn apply_part(
        &mut self,
        rendition: &RenditionId,
        sequence: MediaSequence,
        index: PartIndex,
        part: Part,
    ) -> Result<Change, WindowError> {
        if self.is_past(rendition, sequence) {
            return Ok(Change::Nothing);
        }
        if let Some(segment) = self.held(rendition, sequence) {
            if index < segment.next_index() {
                return Ok(Change::Nothing);
            }
            if segment.is_whole() {
                return Err(WindowError::AfterSegmentEnd(sequence));
            }
        }
        self.check_next(rendition, sequence, index)?;
        self.check_size(index, &part.bytes)?;
        self.add_part(rendition, sequence, part);
        Ok(Change::Part)
    }

    /// Whether a sequence is older than what this window holds of the rendition.
    fn is_past(&self, rendition: &RenditionId, sequence: MediaSequence) -> bool {
        sequence < self.period_first() && self.held(rendition, sequence).is_none()
    }

    fn check_next(
        &self,
        rendition: &RenditionId,
        sequence: MediaSequence,
        got: PartIndex,
    ) -> Result<(), WindowError> {
        if self.ended {
            return Err(WindowError::AfterBroadcastEnd);
        }
        if !self.is_current(rendition) {
            return Err(WindowError::UnknownRendition(rendition.clone()));
        }
        let (expected, index) = match self.open_segment(rendition) {
            Some((open, segment)) => (open, segment.next_index()),
            None => (self.next_of(rendition), PartIndex(0)),
        };
        if sequence != expected {
            return Err(WindowError::SequenceSkipped { expected, got: sequence });
        }
        if got != index {
            return Err(WindowError::PartSkipped { sequence, expected: index, got });
        }
        let lead = sequence.0.saturating_sub(self.next_uncommitted().0);
        if lead > u64::from(self.window_segments()) {
            return Err(WindowError::TooFarAhead(rendition.clone()));
        }
        Ok(())
    }

    fn check_size(&self, index: PartIndex, bytes: &Bytes) -> Result<(), WindowError> {
        within("a part's size", bytes.len(), MAX_PART_BYTES)?;
        within("the number of parts of a segment", index.0 as usize + 1, MAX_PARTS)?;
        within("the size of the live window", self.bytes + bytes.len(), MAX_BYTES)
    }

    fn add_part(&mut self, rendition: &RenditionId, sequence: MediaSequence, part: Part) {
        let Some(track) = self.tracks.get_mut(rendition) else { return };
        self.bytes += part.bytes.len();
        match track.get_mut(&sequence) {
            Some(segment) => Arc::make_mut(segment).add(part),
            None => drop(track.insert(sequence, Arc::new(Segment::open(part)))),
        }
    }

    fn apply_segment_end(
        &mut self,
        rendition: &RenditionId,
        sequence: MediaSequence,
    ) -> Result<Change, WindowError> {
        if self.is_past(rendition, sequence) {
            return Ok(Change::Nothing);
        }
        match self.tracks.get_mut(rendition).and_then(|track| track.get_mut(&sequence)) {
            Some(segment) if segment.is_whole() => Ok(Change::Nothing),
            Some(segment) => {
                Arc::make_mut(segment).close();
                self.retain();
                Ok(Change::Segment)
            }
            None => Err(WindowError::NotOpen(sequence)),
        }
    }

    fn apply_broadcast_end(&mut self) -> Change {
        if self.ended {
            return Change::Nothing;
        }
        self.close_open_segments();
        self.ended = true;
        self.retain();
        Change::End
    }
}

fn check_renditions(renditions: &[(headwater_media::Rendition, Bytes)]) -> Result<(), WindowError> {
    within("the number of renditions", renditions.len(), MAX_RENDITIONS)?;
    for (nth, (rendition, init)) in renditions.iter().enumerate() {
        within("an init segment's size", init.len(), MAX_INIT_BYTES)?;
        if renditions[..nth].iter().any(|(other, _)| other.id == rendition.id) {
            return Err(WindowError::Renditions);
        }
    }
    if renditions.is_empty() { Err(WindowError::Renditions) } else { Ok(()) }
}

fn within(what: &'static str, value: usize, limit: usize) -> Result<(), WindowError> {
    if value > limit { Err(WindowError::TooLarge { what, limit }) } else { Ok(()) }
}
