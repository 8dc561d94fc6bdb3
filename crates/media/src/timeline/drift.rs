//! How far an encoder's clock has drifted from the wall clock.

use crate::time::UnixMillis;

/// Follows the difference between the wall clock and the clock of the periods, which counts as the encoder does: a camera
/// on its sound card's clock loses a second in some hours, one with the wrong frame rate in its settings 4 % of all time.
///
/// What the network holds up comes late and is followed by more at once, so of each [`SPAN_MS`] only the frame that came
/// earliest counts. Within a period the drift never jumps: dates of segments grow, and players follow.
#[derive(Debug, Default)]
pub(super) struct Drift {
    shown: i64,
    /// Clock of the periods, when `shown` was last moved.
    at: u64,
    /// Since when the frames of `least` have come, by the clock of the periods.
    since: u64,
    /// The least difference since then.
    least: i64,
    /// The least of the span before.
    before: i64,
}

/// Milliseconds of media within which one frame at least comes without having been held up.
const SPAN_MS: u64 = 2_000;
/// So many milliseconds of media pass while the drift changes by one: nobody drifts faster for long, and dates are right
/// by a tenth.
const MEDIA_MS_PER_DRIFT_MS: u64 = 10;

impl Drift {
    /// The clock of the periods at this moment.
    pub(super) fn period_clock(&self, now: UnixMillis) -> UnixMillis {
        UnixMillis(now.0.saturating_add_signed(-self.shown))
    }

    /// A period begins: its clock is so late when its first frame comes.
    pub(super) fn begin_period(&mut self, clock: UnixMillis, now: UnixMillis) {
        let difference = clock_difference(clock, now);
        *self =
            Self { shown: difference, at: clock.0, since: clock.0, least: difference, before: difference };
    }

    /// The drift when the clock of the period has come this far.
    pub(super) fn read_drift(&mut self, clock: UnixMillis, now: UnixMillis) -> i32 {
        if clock.0 >= self.since + SPAN_MS {
            (self.since, self.before, self.least) = (clock.0, self.least, i64::MAX);
        }
        self.least = self.least.min(clock_difference(clock, now));
        let most = clock.0.saturating_sub(self.at) / MEDIA_MS_PER_DRIFT_MS;
        self.at += most * MEDIA_MS_PER_DRIFT_MS;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let wanted = self.least.min(self.before);
        self.shown += (wanted - self.shown).clamp(-most, most);
        self.shown_drift()
    }

    /// The drift as of the last reading.
    pub(super) fn shown_drift(&self) -> i32 {
        i32::try_from(self.shown).unwrap_or(if self.shown < 0 { i32::MIN } else { i32::MAX })
    }
}

fn clock_difference(clock: UnixMillis, now: UnixMillis) -> i64 {
    now.0.cast_signed().wrapping_sub(clock.0.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: u64 = 1_800_000_000_000;

    /// Readings after so many milliseconds of media whose clock runs at `rate`, where each frame is held up for as long
    /// as `late` says.
    fn after(millis: u64, rate: f64, late: impl Fn(u64) -> u64) -> (i64, i64) {
        let mut drift = Drift::default();
        drift.begin_period(UnixMillis(BEGAN), UnixMillis(BEGAN));
        let real = |time: u64| (time as f64 / rate) as u64;
        let read = |time: u64| {
            drift.read_drift(UnixMillis(BEGAN + time), UnixMillis(BEGAN + real(time) + late(time)))
        };
        let last = (0..millis).step_by(40).map(read).last().unwrap();
        (last.into(), real(millis).cast_signed() - millis.cast_signed())
    }

    #[test]
    fn it_follows_encoders_that_are_slow_or_fast() {
        const DAY: u64 = 24 * 3_600_000;
        for (rate, millis, off) in
            [(0.96, 600_000, 180), (1.04, 600_000, 20), (1.0 - 200e-6, DAY, 2), (1.0 + 200e-6, DAY, 2)]
        {
            let (read, real) = after(millis, rate, |_| 0);
            assert!((read - real).abs() <= off, "{rate}: {read} instead of {real}");
        }
    }

    #[test]
    fn what_is_held_up_on_the_way_is_no_drift() {
        let jitter = |time: u64| if time.is_multiple_of(1_000) { 0 } else { time * 7_919 % 400 };
        assert_eq!(after(60_000, 1.0, jitter), (0, 0));
        // Nothing comes for three seconds, and then everything at once.
        let stalled = |time: u64| (33_000u64).saturating_sub(time) * u64::from(time >= 30_000);
        assert!(after(33_000, 1.0, stalled).0 <= 300, "no jump");
        assert_eq!(after(60_000, 1.0, stalled), (0, 0));
    }

    #[test]
    fn it_never_moves_faster_than_dates_grow() {
        let mut drift = Drift::default();
        drift.begin_period(UnixMillis(BEGAN), UnixMillis(BEGAN));
        // A file that is sent as fast as the network takes it.
        let read: Vec<_> = (0..60_000)
            .step_by(40)
            .map(|time| drift.read_drift(UnixMillis(BEGAN + time), UnixMillis(BEGAN)))
            .collect();
        assert!(read.windows(2).all(|two| (-4..=0).contains(&(two[1] - two[0]))), "{read:?}");
        assert_eq!(read.last(), Some(&-5_996));
    }

    #[test]
    fn the_next_period_goes_on_with_it() {
        let mut drift = Drift::default();
        drift.begin_period(UnixMillis(BEGAN), UnixMillis(BEGAN + 70));
        assert_eq!(drift.period_clock(UnixMillis(BEGAN + 1_070)), UnixMillis(BEGAN + 1_000));
        drift.begin_period(UnixMillis(BEGAN + 5_000), UnixMillis(BEGAN + 1_000));
        assert_eq!(drift.read_drift(UnixMillis(BEGAN + 5_000), UnixMillis(BEGAN + 1_000)), -4_000);
    }
}
