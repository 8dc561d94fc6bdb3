//! Wall-clock time in a window.

use headwater_media::{MediaEvent, MediaTime, PeriodNumber, PeriodStart, UnixMillis};

use super::{Change, LiveWindow};

/// Drifts that are kept for each segment of a playlist: a window keeps six times as many segments, and a drift comes with
/// each of them.
const DRIFTS_OF_A_SEGMENT: usize = 8;
/// Drifts that are kept of a window of few segments.
const MIN_DRIFTS: usize = 1_024;

impl LiveWindow {
    /// Milliseconds that the wall clock is later than the newest period's, where its newest media is.
    pub fn drift(&self) -> i32 {
        self.periods.back().map_or(0, |period| self.drift_of(period, MediaTime(u64::MAX)))
    }

    /// The same at a media time of a period.
    pub fn drift_of(&self, period: &PeriodStart, time: MediaTime) -> i32 {
        let until = self.drifts.range((period.number, MediaTime::ZERO)..=(period.number, time));
        until.last().map_or(0, |(_, drift)| *drift)
    }

    /// Wall-clock time at a media time of a period.
    pub(crate) fn wall_clock(&self, period: &PeriodStart, time: MediaTime) -> UnixMillis {
        period.wall_clock_at(time, self.drift_of(period, time))
    }

    /// Applies a drift from this time on. Dates that viewers have been given do not change.
    pub(super) fn apply_drift(&mut self, at: (PeriodNumber, MediaTime), drift: i32) -> Change {
        let is_known = self.drifts.last_key_value().is_some_and(|(last, _)| at <= *last);
        if self.ended || is_known || self.periods.back().is_none_or(|newest| newest.number != at.0) {
            return Change::Nothing;
        }
        self.drifts.insert(at, drift);
        let most = MIN_DRIFTS.max(self.window_segments() as usize * DRIFTS_OF_A_SEGMENT);
        if self.drifts.len() > most {
            self.drifts.pop_first();
        }
        Change::Drift
    }

    /// Forgets what no segment that is kept needs any more.
    pub(super) fn retain_drifts(&mut self) {
        let Some(oldest) = self.periods.front() else { return };
        let kept = oldest.renditions.iter().filter_map(|(rendition, _)| {
            self.tracks.get(&rendition.id)?.first_key_value().map(|(_, segment)| segment.start())
        });
        let from = (oldest.number, kept.min().unwrap_or(oldest.origin));
        let holds = self.drifts.range(..=from).next_back().map(|(at, _)| *at);
        if let Some(holds) = holds {
            self.drifts = self.drifts.split_off(&holds);
        }
    }

    /// Drift events of a period for a newcomer.
    pub(super) fn drift_events(&self, period: PeriodNumber) -> impl Iterator<Item = MediaEvent> {
        let of_period = self.drifts.range((period, MediaTime::ZERO)..=(period, MediaTime(u64::MAX)));
        of_period.map(move |((_, from), drift)| MediaEvent::Drift { period, from: *from, drift: *drift })
    }
}
