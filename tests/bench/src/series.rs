//! Repeated measurements, and the ratio of two sides that were measured in turns.

use std::fmt;

/// Measurements of one thing, in the order that they were made. Never empty where it is shown.
#[derive(Clone, Debug, Default)]
pub struct Series(Vec<f64>);

impl Series {
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            length if length % 2 == 1 => sorted[middle],
            _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
        }
    }

    /// The value that this share of all is not above (nearest rank).
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    pub fn iter(&self) -> impl Iterator<Item = f64> {
        self.0.iter().copied()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// This side against the other, turn by turn: what disturbs the machine for a while disturbs both.
    pub fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a / b).collect())
    }

    /// With this many digits behind the point: median, and least to greatest.
    pub fn show(&self, digits: usize) -> String {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{:.digits$} ({least:.digits$}–{greatest:.digits$})", self.median())
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<T: IntoIterator<Item = f64>>(values: T) -> Self {
        Self(values.into_iter().collect())
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_spread_are_shown() {
        assert_eq!(Series(vec![3.0, 1.0, 2.0]).to_string(), "2.00 (1.00–3.00)");
        assert_eq!(Series(vec![4.0, 1.0, 2.0, 3.0]).median(), 2.5);
    }

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let all: Series = (1..=100).rev().map(f64::from).collect();
        assert_eq!((all.quantile(0.5), all.quantile(0.95), all.quantile(1.0)), (50.0, 95.0, 100.0));
        assert_eq!(Series(vec![7.0]).quantile(0.5), 7.0);
    }

    #[test]
    fn ratios_are_taken_turn_by_turn() {
        let a = Series(vec![2.0, 20.0, 4.0]);
        let b = Series(vec![1.0, 10.0, 4.0]);
        assert_eq!(a.over(&b).show(1), "2.0 (1.0–2.0)");
    }
}
