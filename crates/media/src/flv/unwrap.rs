//! Unwrapping of timestamps.

/// Makes 64 bits of a track's timestamps, which wrap at 2^32, or at 2^24 with encoders that know no extended timestamps.
/// The second track begins with a copy of the first one's: most encoders have one clock for both.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unwrapper {
    /// Milliseconds added to a timestamp: a multiple of 2^24; below zero when the first timestamp had just wrapped and
    /// the other track's had not.
    base: i64,
    last: Option<i64>,
}

const WRAP_24: i64 = 1 << 24;
const WRAP_32: i64 = 1 << 32;
/// A wrap is taken for one only when the time goes on within this distance; anything else is a jump.
const WRAP_NEARNESS_MS: u64 = 10_000;

impl Unwrapper {
    /// Milliseconds; below zero just before a wrap that the other track is behind.
    pub(super) fn unwrap_beside(&mut self, other: &Self, timestamp: u32) -> i64 {
        if self.last.is_none() {
            *self = *other;
        }
        let timestamp = i64::from(timestamp);
        let last = self.last.unwrap_or(timestamp);
        let distance = |base: &i64| (timestamp + base).abs_diff(last);
        let shifts: &[i64] = if timestamp < WRAP_24 {
            &[0, WRAP_32, -WRAP_32, WRAP_24, -WRAP_24]
        } else {
            &[0, WRAP_32, -WRAP_32]
        };
        let nearest = shifts.iter().map(|shift| self.base + shift).min_by_key(distance);
        let near = nearest.filter(|base| distance(base) <= WRAP_NEARNESS_MS);
        self.base = near.unwrap_or(self.base.max(0));
        self.last = Some(timestamp + self.base);
        timestamp + self.base
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unwrapped(timestamps: impl IntoIterator<Item = u32>) -> Vec<i64> {
        let mut own = Unwrapper::default();
        let other = Unwrapper::default();
        timestamps.into_iter().map(|timestamp| own.unwrap_beside(&other, timestamp)).collect()
    }

    #[test]
    fn wraps_at_24_and_at_32_bits_go_on() {
        for wrap in [WRAP_24, WRAP_32] {
            let mut video = Unwrapper::default();
            let mut audio = Unwrapper::default();
            let before = |ms: i64| (wrap - ms) as u32;
            assert_eq!(video.unwrap_beside(&audio, before(40)), wrap - 40);
            assert_eq!(audio.unwrap_beside(&video, 3), wrap + 3, "it begins where the other track is");
            assert_eq!(video.unwrap_beside(&audio, before(7)), wrap - 7);
            assert_eq!(video.unwrap_beside(&audio, 26), wrap + 26);
        }
    }

    #[test]
    fn extended_timestamps_pass_24_bits_without_a_wrap() {
        let times = [0x00ff_fff0, 0x0100_0010, 0x0100_0031];
        assert_eq!(unwrapped(times), times.map(i64::from));
    }

    #[test]
    fn the_second_wrap_is_a_wrap_too() {
        let times: Vec<i64> = (0..40_000_000).step_by(1_500).collect();
        assert_eq!(unwrapped(times.iter().map(|time| (time & 0x00ff_ffff) as u32)), times);
    }

    #[test]
    fn a_start_just_behind_a_wrap_is_before_zero_until_the_wrap() {
        let mut video = Unwrapper::default();
        let mut audio = Unwrapper::default();
        assert_eq!(audio.unwrap_beside(&video, 3), 3);
        assert_eq!([0x00ff_fffe, 33].map(|time| video.unwrap_beside(&audio, time)), [-2, 33]);
    }

    #[test]
    fn timestamps_that_jump_are_no_wraps() {
        assert_eq!(unwrapped([50_000, 0, 70_000, 16_777_000]), [50_000, 0, 70_000, 16_777_000]);
    }
}
