//! Times. Each type says which clock it belongs to, so that they cannot be mixed up.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Moment on the source timeline of a period: the publisher's own clock, unwrapped to 64 bits. Unit: microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceTime(pub u64);

impl SourceTime {
    /// The moment so many milliseconds after zero.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000)
    }

    /// Whole milliseconds of it.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// This time moved by `offset` microseconds; never below zero.
    #[must_use]
    pub fn offset_us(self, offset: i64) -> Self {
        Self(self.0.saturating_add_signed(offset))
    }

    /// Duration from `earlier` to this time; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// The later moment.
impl Add<Duration> for SourceTime {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration.as_micros() as u64)
    }
}

/// A position or a length on the output timeline of one period. Unit: microseconds of source time.
///
/// Positions are rounded to whole microseconds once; lengths are differences of positions, so the parts of a
/// segment add up to the segment exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaTime(pub u64);

impl MediaTime {
    /// The timeline's start.
    pub const ZERO: Self = Self(0);

    /// The time of this many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000)
    }

    /// `ticks` of a clock of `timescale` ticks a second, rounded to the nearest microsecond.
    pub fn from_ticks(ticks: u64, timescale: u32) -> Self {
        let scale = u128::from(timescale.max(1));
        Self(((u128::from(ticks) * 1_000_000 + scale / 2) / scale) as u64)
    }

    /// Ticks of a clock of `timescale` ticks a second, rounded to the nearest one. What [`Self::from_ticks`] made of ticks
    /// that are much longer than a microsecond becomes the very same ticks.
    pub fn ticks(self, timescale: u32) -> u64 {
        ((u128::from(self.0) * u128::from(timescale) + 500_000) / 1_000_000) as u64
    }

    /// The time in seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Whole milliseconds of the time.
    pub fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// The time since `other`; zero where `other` is later.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// Whole milliseconds of it.
impl From<Duration> for MediaTime {
    fn from(duration: Duration) -> Self {
        Self::from_millis(duration.as_millis() as u64)
    }
}

impl From<SourceTime> for MediaTime {
    fn from(time: SourceTime) -> Self {
        Self(time.0)
    }
}

impl Add for MediaTime {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

/// The caller orders the operands: `later - earlier`.
impl Sub for MediaTime {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl fmt::Display for MediaTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Wall-clock time in milliseconds since 1970-01-01T00:00:00Z. Taken once per period, where the publisher is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);
