//! How many periods a broadcast may begin, however many publishers follow each other. Each period takes media sequence numbers of its
//! own, and a broadcast must not use more numbers than seconds pass: the stream's next one may begin at a server that knows
//! nothing of it, with the seconds of its start for its first number.

use std::time::Duration;

use headwater_media::timeline::PeriodBudget;
use tokio::time::Instant;

/// Periods that may begin at once, however long none has: an encoder that is being set up, or whose network is bad, comes
/// back some times in a row. They put a broadcast ahead of the clock by 24 numbers.
const BURST_PERIODS: u32 = 12;

/// Budget of the periods of one broadcast, by the clock.
#[derive(Debug)]
pub(super) struct BroadcastBudget {
    periods: PeriodBudget,
    looked: Instant,
}

impl Default for BroadcastBudget {
    fn default() -> Self {
        Self { periods: PeriodBudget::new(BURST_PERIODS), looked: Instant::now() }
    }
}

impl BroadcastBudget {
    /// Time until a period may begin: none as a rule.
    pub(super) fn time_to_wait(&mut self) -> Duration {
        self.look_at_clock();
        self.periods.time_to_wait()
    }

    /// Counts a period that begins. A publisher that is there begins some more; the next one then waits for longer.
    pub(super) fn count_period(&mut self) {
        self.look_at_clock();
        self.periods.count_period();
    }

    fn look_at_clock(&mut self) {
        let now = Instant::now();
        self.periods.pass_time(now - self.looked);
        self.looked = now;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use headwater_media::{BroadcastId, UnixMillis};
    use proptest::prelude::*;

    use super::*;

    const RECONNECT_WINDOW: Duration = Duration::from_secs(60);

    /// An encoder that comes this long after it has left, stays for so long, and begins periods meanwhile, as many as its
    /// timeline allows.
    #[derive(Clone, Debug)]
    struct Visit {
        after: Duration,
        stays: Duration,
        periods: u32,
    }

    fn visit() -> impl Strategy<Value = Visit> {
        let after = prop_oneof![10 => 0u64..400, 2 => 0u64..10_000, 1 => 59_000u64..62_000];
        let stays = prop_oneof![10 => 100u64..500, 2 => 0u64..20_000, 1 => 0u64..120_000];
        (after, stays, 1u32..4).prop_map(|(after, stays, periods)| Visit {
            after: Duration::from_millis(after),
            stays: Duration::from_millis(stays),
            periods,
        })
    }

    /// Lets them come one after the other, and gives every number that is used, and how many visits were refused. Each
    /// broadcast begins at another server, which knows of none before.
    async fn numbers_used(visits: &[Visit]) -> (Vec<u64>, usize) {
        let began = Instant::now();
        let first = || {
            let now = UnixMillis(1_800_000_000_000 + began.elapsed().as_millis() as u64);
            BroadcastId::new(now, &[0; 10]).first_sequence().0
        };
        let mut budget = BroadcastBudget::default();
        let mut next = first();
        let mut refused = 0;
        let mut left = Instant::now();
        let mut used = Vec::new();
        for Visit { after, stays, periods } in visits {
            tokio::time::advance(*after).await;
            if left.elapsed() >= RECONNECT_WINDOW {
                budget = BroadcastBudget::default();
                next = first();
            }
            if !budget.time_to_wait().is_zero() {
                refused += 1;
                continue;
            }
            // A period has a short segment at each end.
            let segments = stays.as_secs() / 2 + 2 * u64::from(*periods);
            (0..*periods).for_each(|_| budget.count_period());
            used.extend(next..next + segments);
            next += segments;
            tokio::time::advance(*stays).await;
            left = Instant::now();
        }
        (used, refused)
    }

    fn in_paused_time<T>(run: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(run)
    }

    proptest! {
        #[test]
        fn no_number_of_a_stream_is_used_twice(visits in prop::collection::vec(visit(), 1..400)) {
            let (used, _) = in_paused_time(numbers_used(&visits));
            let unique: BTreeSet<_> = used.iter().collect();
            prop_assert_eq!(unique.len(), used.len());
        }
    }

    /// Six times a second, for a minute; and once in six seconds, as a bad network does it, for an hour.
    #[test]
    fn only_encoders_that_come_too_often_are_refused() {
        let ms = Duration::from_millis;
        let hasty = vec![Visit { after: ms(16), stays: ms(150), periods: 1 }; 360];
        let (used, refused) = in_paused_time(numbers_used(&hasty));
        assert!(refused > 300 && used.len() < 60, "{refused} refused, {} numbers", used.len());
        let unlucky = vec![Visit { after: ms(1_000), stays: ms(5_000), periods: 1 }; 600];
        assert_eq!(in_paused_time(numbers_used(&unlucky)).1, 0);
    }
}
