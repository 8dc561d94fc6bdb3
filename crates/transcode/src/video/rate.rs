//! Frame rates.

use headwater_media::SourceTime;

/// Frames a second, as a fraction with the denominators that video knows: 30/1, 30000/1001.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameRate {
    numerator: u32,
    denominator: u32,
}

/// How far a measured rate may be from a usual one and still be meant to be it: timestamps are whole milliseconds.
const TOLERANCE_RATIO: f64 = 0.01;
/// Frame rates that are believed: below them nobody would call it a moving picture, and no encoder sends more.
const PLAUSIBLE_RATES_HZ: std::ops::RangeInclusive<f64> = 1.0..=240.0;
const COMMON_RATES_HZ: [u32; 12] = [5, 10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 120];

impl FrameRate {
    /// Of a source that says nothing and is too short to be measured.
    pub(crate) const DEFAULT: Self = Self { numerator: 30, denominator: 1 };
    /// How many timestamps a measurement takes: enough to see through B-frames and rounding, few enough to wait for.
    pub(crate) const SAMPLES: usize = 12;

    /// The rate that a stream declares; none when it can't be true.
    pub(crate) fn from_declared(rate: f64) -> Option<Self> {
        PLAUSIBLE_RATES_HZ.contains(&rate).then(|| Self::from_exact(rate))
    }

    /// The rate of frames presented at these times, in any order: the usual one that is near, or whatever it is.
    pub(crate) fn from_times(times: &[SourceTime]) -> Self {
        let mut times: Vec<_> = times.iter().map(|time| time.0).collect();
        times.sort_unstable();
        let mut gaps: Vec<_> =
            times.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > 0).collect();
        gaps.sort_unstable();
        // The middle half: neither a hiccup nor a doubled frame counts, and the mean sees through the rounding.
        let middle = &gaps[gaps.len() / 4..gaps.len() - gaps.len() / 4];
        let mean = middle.iter().sum::<u64>() as f64 / middle.len().max(1) as f64;
        let rate = if mean > 0.0 { 1_000_000.0 / mean } else { return Self::DEFAULT };
        let near = |usual: &&u32| (rate / f64::from(**usual) - 1.0).abs() < TOLERANCE_RATIO * 2.0;
        match COMMON_RATES_HZ.iter().find(near) {
            Some(usual) => Self { numerator: *usual, denominator: 1 },
            None => Self::from_declared(rate.round()).unwrap_or(Self::DEFAULT),
        }
    }

    /// This rate, or the highest that is allowed: a source that is faster is thinned out to it.
    #[must_use]
    pub(crate) fn cap_at(self, max: u32) -> Self {
        if self.exceeds_rate(max) { Self { numerator: max, denominator: 1 } } else { self }
    }

    pub(crate) fn as_f64(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }

    pub(crate) fn fraction(self) -> gst::Fraction {
        gst::Fraction::new(self.numerator as i32, self.denominator as i32)
    }

    fn exceeds_rate(self, max: u32) -> bool {
        self.as_f64() > f64::from(max) * (1.0 + TOLERANCE_RATIO)
    }

    fn from_exact(rate: f64) -> Self {
        let whole = rate.round();
        let ntsc = (rate * 1.001).round();
        match () {
            () if (rate - whole).abs() < 0.002 => Self { numerator: whole as u32, denominator: 1 },
            () if (rate - ntsc / 1.001).abs() < 0.002 => {
                Self { numerator: ntsc as u32 * 1_000, denominator: 1_001 }
            }
            () => Self { numerator: (rate * 1_000.0).round() as u32, denominator: 1_000 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(fps: f64) -> Vec<SourceTime> {
        (0..FrameRate::SAMPLES)
            .map(|n| SourceTime::from_millis((n as f64 * 1_000.0 / fps).round() as u64))
            .collect()
    }

    #[test]
    fn usual_rates_are_recognised_from_whole_milliseconds() {
        for fps in COMMON_RATES_HZ.into_iter().filter(|fps| *fps <= 60) {
            let measured = FrameRate::from_times(&times(f64::from(fps)));
            assert_eq!((measured.numerator, measured.denominator), (fps, 1));
        }
        assert_eq!(FrameRate::from_times(&times(29.97)).numerator, 30);
    }

    #[test]
    fn order_and_single_hiccups_do_not_matter() {
        let mut times = times(25.0);
        times.swap(1, 3);
        times.last_mut().unwrap().0 += 700_000;
        assert_eq!(FrameRate::from_times(&times).as_f64(), 25.0);
    }

    #[test]
    fn nothing_to_measure_is_the_default() {
        assert_eq!(FrameRate::from_times(&[]), FrameRate::DEFAULT);
        assert_eq!(FrameRate::from_times(&[SourceTime(5), SourceTime(5)]), FrameRate::DEFAULT);
    }

    #[test]
    fn declared_rates_keep_their_exact_fraction() {
        let fraction = |rate| FrameRate::from_declared(rate).map(|rate| (rate.numerator, rate.denominator));
        assert_eq!(fraction(30.0), Some((30, 1)));
        assert_eq!(fraction(30_000.0 / 1_001.0), Some((30_000, 1_001)));
        assert_eq!(fraction(24_000.0 / 1_001.0), Some((24_000, 1_001)));
        assert_eq!(fraction(90_000.0), None);
        assert_eq!(fraction(0.0), None);
    }

    #[test]
    fn a_faster_source_is_capped() {
        assert_eq!(FrameRate::from_declared(120.0).unwrap().cap_at(60).as_f64(), 60.0);
        assert_eq!(FrameRate::from_declared(60.0).unwrap().cap_at(60).as_f64(), 60.0);
        assert_eq!(FrameRate::from_declared(60_000.0 / 1_001.0).unwrap().cap_at(60).numerator, 60_000);
    }
}
