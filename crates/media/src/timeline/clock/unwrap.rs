//! Timestamps that wrap.

/// Makes 64 bits of a track's timestamps, which wrap at 2^32, or at 2^24 with encoders that know no extended timestamps.
/// The second track begins with a copy of the first one's: most encoders have one clock for both.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unwrapper {
    /// Milliseconds added to a timestamp. A multiple of 2^24; below zero when the first timestamp had just wrapped and
    /// the other track's had not.
    base: i64,
    last: Option<i64>,
}

const WRAP_24: i64 = 1 << 24;
const WRAP_32: i64 = 1 << 32;
/// A wrap is taken for one only when the time goes on within this distance; anything else is a jump.
const WRAP_NEARNESS_MS: u64 = 10_000;

impl Unwrapper {
    pub(super) fn has_begun(&self) -> bool {
        self.last.is_some()
    }

    /// Below zero just before a wrap that the other track is behind.
    pub(super) fn unwrap(&mut self, timestamp: u32) -> i64 {
        let timestamp = i64::from(timestamp);
        let last = self.last.unwrap_or(timestamp);
        let distance = |base: &i64| (timestamp + base).abs_diff(last);
        let shifts: &[i64] = match timestamp < WRAP_24 {
            true => &[0, WRAP_32, -WRAP_32, WRAP_24, -WRAP_24],
            false => &[0, WRAP_32, -WRAP_32],
        };
        let nearest = shifts.iter().map(|shift| self.base + shift).min_by_key(distance);
        let near = nearest.filter(|base| distance(base) <= WRAP_NEARNESS_MS);
        self.base = near.unwrap_or(self.base.max(0));
        self.last = Some(timestamp + self.base);
        timestamp + self.base
    }
}
