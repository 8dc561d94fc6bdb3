//! How many bits one side needs for the quality of the other.

/// Bit rate and quality of some encodings of one source by one encoder.
pub struct Curve(Vec<(f64, f64)>);

impl Curve {
    /// `(bit rate, quality)`, in any order.
    pub fn new(mut points: Vec<(f64, f64)>) -> Self {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self(points)
    }

    /// The bit rate for this quality: between two points, or beyond the last one, the logarithm of the rate grows evenly
    /// with the quality. None where more bits don't make it better, or where it would be far beyond what was measured.
    pub fn rate(&self, quality: f64) -> Option<f64> {
        let rises = self.0.windows(2).all(|pair| pair[1].0 > pair[0].0 && pair[1].1 > pair[0].1);
        if !rises {
            return None;
        }
        let last = self.0.len().checked_sub(2)?;
        let at = self.0.windows(2).position(|pair| quality <= pair[1].1).unwrap_or(last);
        let [(low, worse), (high, better)] = [self.0[at], self.0[at + 1]];
        let part = (quality - worse) / (better - worse);
        (-1.0..=2.0).contains(&part).then(|| low * (high / low).powf(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_for_a_quality_is_read_between_the_points() {
        let curve = Curve::new(vec![(400.0, 92.0), (100.0, 90.0), (200.0, 91.0)]);
        let near = |quality: f64, rate: f64| (curve.rate(quality).unwrap() / rate - 1.0).abs() < 1e-9;
        assert!(near(91.0, 200.0) && near(91.5, 200.0 * 2f64.sqrt()) && near(89.5, 100.0 / 2f64.sqrt()));
        assert!(near(92.5, 400.0 * 2f64.sqrt()));
        assert_eq!((curve.rate(95.0), curve.rate(80.0)), (None, None));
    }

    #[test]
    fn a_curve_that_falls_says_nothing() {
        assert_eq!(Curve::new(vec![(100.0, 90.0), (200.0, 89.0)]).rate(89.5), None);
        assert_eq!(Curve::new(vec![(100.0, 90.0)]).rate(90.0), None);
    }
}
