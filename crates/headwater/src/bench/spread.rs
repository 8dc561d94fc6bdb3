//! How durations are spread, in a fixed amount of memory.

use std::sync::Mutex;
use std::time::Duration;

use hdrhistogram::Histogram;
use headwater_media::lock::MutexExt;
use serde::Serialize;

/// Microseconds that are told apart at most: an hour. What is longer counts as that.
const MAX_VALUE_US: u64 = 3_600_000_000;
/// Significant digits: values are right to one per cent, and it takes 23 KB.
const SIGNIFICANT_DIGITS: u8 = 2;

/// Durations of which only their spread is kept.
pub struct Spread(Mutex<Histogram<u64>>);

/// The middle and the end of a spread, in milliseconds. All zero where nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

impl Default for Spread {
    fn default() -> Self {
        let empty = Histogram::new_with_bounds(1, MAX_VALUE_US, SIGNIFICANT_DIGITS);
        Self(Mutex::new(empty.expect("the bounds are fixed, and fit each other")))
    }
}

impl Spread {
    /// Counts one duration.
    pub fn count_duration(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.0.lock_ignoring_poison().saturating_record(micros);
    }

    /// Quantiles of the counted durations, in milliseconds.
    pub fn read_quantiles(&self) -> Quantiles {
        let spread = self.0.lock_ignoring_poison();
        let at = |quantile| spread.value_at_quantile(quantile) as f64 / 1_000.0;
        if spread.is_empty() {
            Quantiles::default()
        } else {
            Quantiles { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1.0) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_one_per_cent() {
        let spread = Spread::default();
        assert_eq!(spread.read_quantiles(), Quantiles::default());
        (1..=1_000).for_each(|ms| spread.count_duration(Duration::from_millis(ms)));
        let Quantiles { p50, p95, p99, max } = spread.read_quantiles();
        for (measured, true_value) in [(p50, 500.0), (p95, 950.0), (p99, 990.0), (max, 1_000.0)] {
            assert!((measured - true_value).abs() <= true_value / 100.0, "{measured} for {true_value}");
        }
        spread.count_duration(Duration::MAX);
        assert!(spread.read_quantiles().max >= 3_600_000.0);
    }
}
