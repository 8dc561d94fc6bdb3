//! Budget of new periods: each one costs players a discontinuity and takes media sequence numbers of its own.

use std::time::Duration;

use crate::segmentation::SegmentSettings;

/// Time that must pass for one more period.
pub const PERIOD_INTERVAL: Duration = Duration::from_secs(5);
/// Media sequence numbers that a period takes beyond those of its segments of full length: a short one at each end.
const PERIOD_NUMBERS: u128 = 2;
// Segments of the default length and all these periods come to less than one number a second.
const _: () = {
    let segment_ms = SegmentSettings::DEFAULT.segment_ms as u128;
    assert!(
        PERIOD_INTERVAL.as_millis() / segment_ms + 1 + PERIOD_NUMBERS <= PERIOD_INTERVAL.as_secs() as u128
    );
};

/// Token bucket of periods: a few may begin at once, and then one in each [`PERIOD_INTERVAL`]. It has no clock of its own:
/// the time may be that of media or of the wall.
#[derive(Clone, Debug)]
pub struct PeriodBudget {
    burst: Duration,
    /// Time that has to pass until no period counts any more.
    spent: Duration,
}

impl PeriodBudget {
    /// Budget of which so many periods may begin at once.
    pub fn new(burst_periods: u32) -> Self {
        Self { burst: burst_periods * PERIOD_INTERVAL, spent: Duration::ZERO }
    }

    /// Notes that time has passed.
    pub fn pass_time(&mut self, time: Duration) {
        self.spent = self.spent.saturating_sub(time);
    }

    /// Time until a period may begin: none as a rule.
    pub fn time_to_wait(&self) -> Duration {
        (self.spent + PERIOD_INTERVAL).saturating_sub(self.burst)
    }

    /// Counts a period that begins. One that begins too early makes the next one wait for longer.
    pub fn count_period(&mut self) {
        self.spent += PERIOD_INTERVAL;
    }
}
