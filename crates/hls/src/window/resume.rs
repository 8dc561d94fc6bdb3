//! Points at which another producer continues a window.

use headwater_media::{MediaSequence, MediaTime, PeriodStart, ResumePoint, SourceTime};

use super::LiveWindow;

impl LiveWindow {
    /// Point at which another producer continues the broadcast: the first segment that is not whole in every
    /// rendition.
    pub fn resume_point(&self) -> ResumePoint {
        let next = self.next_uncommitted();
        let within = self.period_of(next).filter(|period| period.first_sequence < next);
        match (within, self.periods.back()) {
            (Some(period), _) => {
                let start = Some(SourceTime(self.boundary(period, next).0));
                ResumePoint { start, ..self.point_within(period, next) }
            }
            (None, Some(period)) => self.point_within(period, next),
            (None, None) => self.fresh_point(next),
        }
    }

    fn point_within(&self, period: &PeriodStart, next: MediaSequence) -> ResumePoint {
        let begun_as = Some(period.clone());
        ResumePoint { period: period.number, begun_as, ..self.fresh_point(next) }
    }

    /// Point at which a new publisher begins: a new period.
    pub fn starting_point(&self) -> ResumePoint {
        self.fresh_point(self.next_sequence())
    }

    /// Point at which a producer that was sent to `point` continues here: after the media made since. `None` where that does
    /// not join on: another producer has begun a period, or has ended a segment early.
    pub fn rejoin(&self, point: &ResumePoint) -> Option<ResumePoint> {
        let here = self.resume_point();
        let anew = self.starting_point();
        if point.period == anew.period {
            return (point.next_sequence == anew.next_sequence).then_some(anew);
        }
        let is_behind = point.period == here.period && point.next_sequence <= here.next_sequence;
        let mut since = (point.next_sequence.0..here.next_sequence.0).map(MediaSequence);
        (is_behind && since.all(|sequence| self.is_complete(sequence))).then_some(here)
    }

    /// Whether a segment goes up to the next boundary in every rendition.
    fn is_complete(&self, sequence: MediaSequence) -> bool {
        let mut held = self.renditions().map(|rendition| self.held(&rendition.id, sequence));
        held.all(|segment| segment.is_some_and(|segment| self.is_full(sequence, segment)))
    }

    fn fresh_point(&self, next: MediaSequence) -> ResumePoint {
        ResumePoint {
            broadcast: self.opening.broadcast,
            settings: self.opening.settings,
            window_segments: self.opening.window_segments,
            period: self.next_period(),
            start: None,
            next_sequence: next,
            discontinuity_sequence: self.discontinuities_before(next),
            kept: self.renditions().cloned().collect(),
            begun_as: None,
            free: self.next_sequence(),
            policy: None,
        }
    }

    /// Start of a segment on its period's grid.
    pub(super) fn boundary(&self, period: &PeriodStart, sequence: MediaSequence) -> MediaTime {
        period.origin + self.opening.settings.cell_start(sequence.0 - period.first_sequence.0)
    }
}
