//! Reads the publisher's timestamps: unwraps them, and tells what goes on from what jumps.

use crate::time::SourceTime;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Track {
    Video,
    Audio,
}

/// What a timestamp means. Times of one track always grow until one of them jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Continues(SourceTime),
    /// The first one of a new timeline.
    Jumps(SourceTime),
    /// The other track has jumped already; this one is still from before.
    Leftover,
}

#[derive(Debug)]
pub(super) struct Clock {
    max_gap_ms: u64,
    unwrapper: Unwrapper,
    /// The latest time of any track on the present timeline.
    newest: Option<u64>,
    video: TrackClock,
    audio: TrackClock,
}

#[derive(Clone, Copy, Debug)]
enum TrackClock {
    /// Nothing was read on the present timeline.
    Unseen,
    /// On the timeline before the present one, which the other track left when this one was at `since`.
    Behind {
        since: u64,
        last: u64,
    },
    Current {
        last: u64,
    },
}

/// A track may step back by this much (encoders that correct their clock); more is a jump.
const MAX_STEP_BACK_MS: u64 = 1_000;
/// How much of the old timeline may still come after the other track jumped. Encoders interleave more closely than
/// this; a track that goes on longer has not jumped at all.
const MAX_LEFTOVER_MS: u64 = 2_000;

impl Clock {
    pub(super) fn new(max_gap_ms: u64) -> Self {
        let unwrapper = Unwrapper::default();
        Self { max_gap_ms, unwrapper, newest: None, video: TrackClock::Unseen, audio: TrackClock::Unseen }
    }

    pub(super) fn read(&mut self, track: Track, timestamp: u32) -> Reading {
        let time = self.unwrapper.unwrap(timestamp);
        let state = *self.track(track);
        match state {
            TrackClock::Behind { since, last } if self.is_leftover(time, last) => {
                self.leave_behind(track, time, since, last)
            }
            TrackClock::Current { last } if time + MAX_STEP_BACK_MS < last => self.jump(track, time),
            _ if self.newest.is_some_and(|newest| time >= newest + self.max_gap_ms) => self.jump(track, time),
            TrackClock::Current { last } => self.advance(track, time.max(last + 1)),
            TrackClock::Behind { .. } | TrackClock::Unseen => self.advance(track, time),
        }
    }

    /// A leftover, unless the track has gone on for too long to be one: then it has not jumped, and is taken as it is.
    fn leave_behind(&mut self, track: Track, time: u64, since: u64, last: u64) -> Reading {
        if time >= since + MAX_LEFTOVER_MS {
            return self.advance(track, time);
        }
        *self.track(track) = TrackClock::Behind { since, last: time.max(last) };
        Reading::Leftover
    }

    fn advance(&mut self, track: Track, time: u64) -> Reading {
        self.newest = self.newest.max(Some(time));
        *self.track(track) = TrackClock::Current { last: time };
        Reading::Continues(SourceTime(time))
    }

    fn jump(&mut self, track: Track, time: u64) -> Reading {
        let other = match track {
            Track::Video => Track::Audio,
            Track::Audio => Track::Video,
        };
        let gap = self.max_gap_ms;
        let other = self.track(other);
        *other = match *other {
            TrackClock::Current { last } | TrackClock::Behind { last, .. } if follows(time, last, gap) => {
                TrackClock::Unseen
            }
            TrackClock::Current { last } => TrackClock::Behind { since: last, last },
            unmoved => unmoved,
        };
        self.newest = Some(time);
        *self.track(track) = TrackClock::Current { last: time };
        Reading::Jumps(SourceTime(time))
    }

    /// Whether `time` goes on from the old timeline's `last` rather than from the present one.
    fn is_leftover(&self, time: u64, last: u64) -> bool {
        let newest = self.newest.unwrap_or(last);
        follows(time, last, self.max_gap_ms) && time.abs_diff(last) < time.abs_diff(newest)
    }

    fn track(&mut self, track: Track) -> &mut TrackClock {
        match track {
            Track::Video => &mut self.video,
            Track::Audio => &mut self.audio,
        }
    }
}

fn follows(time: u64, last: u64, max_gap_ms: u64) -> bool {
    time + MAX_STEP_BACK_MS >= last && time < last + max_gap_ms
}

/// Makes 64 bits of a timestamp that wraps at 2^32, or at 2^24 with encoders that know no extended timestamps. One
/// for all tracks: they share the encoder's clock.
#[derive(Debug, Default)]
struct Unwrapper {
    /// What is added to a timestamp. A multiple of 2^24; below zero when the first timestamp had just wrapped and
    /// another track's had not.
    base: i64,
    last: Option<i64>,
}

const WRAP_24: i64 = 1 << 24;
const WRAP_32: i64 = 1 << 32;
/// A wrap is taken for one only when the time goes on within this distance; anything else is a jump.
const WRAP_NEARNESS_MS: u64 = 10_000;

impl Unwrapper {
    fn unwrap(&mut self, timestamp: u32) -> u64 {
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
        u64::try_from(timestamp + self.base).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Reading::{Continues, Jumps, Leftover};
    use super::Track::{Audio, Video};
    use super::*;

    fn at(time: u64) -> SourceTime {
        SourceTime(time)
    }

    /// Feeds readings and compares.
    fn expect(clock: &mut Clock, steps: &[(Track, u32, Reading)]) {
        for (number, (track, timestamp, reading)) in steps.iter().enumerate() {
            assert_eq!(clock.read(*track, *timestamp), *reading, "step {number}");
        }
    }

    #[test]
    fn wraps_at_24_and_at_32_bits_go_on() {
        for wrap in [1u64 << 24, 1 << 32] {
            let mut clock = Clock::new(2_000);
            let before = |ms: u64| ((wrap - ms) as u32, Continues(at(wrap - ms)));
            let (old, reading) = before(40);
            expect(&mut clock, &[(Video, old, reading), (Audio, 3, Continues(at(wrap + 3)))]);
            let (late, reading) = before(7);
            expect(&mut clock, &[(Video, late, reading), (Video, 26, Continues(at(wrap + 26)))]);
        }
    }

    #[test]
    fn extended_timestamps_pass_24_bits_without_a_wrap() {
        let steps =
            [0x00ff_fff0u32, 0x0100_0010, 0x0100_0031].map(|t| (Video, t, Continues(at(u64::from(t)))));
        expect(&mut Clock::new(2_000), &steps);
    }

    #[test]
    fn the_second_wrap_is_a_wrap_too() {
        let mut clock = Clock::new(2_000);
        let mut last = 0;
        for time in (0u64..40_000_000).step_by(1_500) {
            let Continues(SourceTime(read)) = clock.read(Video, (time & 0x00ff_ffff) as u32) else {
                panic!("{time}")
            };
            assert!(read > last || time == 0);
            last = read;
        }
        assert_eq!(last, 39_999_000);
    }

    #[test]
    fn a_start_just_behind_a_wrap_survives_what_was_before_it() {
        let steps = [
            (Audio, 3, Continues(at(3))),
            (Video, 0x00ff_fffe, Continues(at(0))),
            (Video, 33, Continues(at(33))),
        ];
        expect(&mut Clock::new(2_000), &steps);
    }

    #[test]
    fn small_steps_back_are_clamped() {
        let steps = [
            (Video, 1_000, Continues(at(1_000))),
            (Video, 1_000, Continues(at(1_001))),
            (Video, 500, Continues(at(1_002))),
            (Video, 1_033, Continues(at(1_033))),
        ];
        expect(&mut Clock::new(2_000), &steps);
    }

    #[test]
    fn jumps_in_both_directions() {
        let steps = [
            (Video, 50_000, Continues(at(50_000))),
            (Video, 51_999, Continues(at(51_999))),
            (Video, 53_999, Jumps(at(53_999))),
            (Video, 52_998, Jumps(at(52_998))),
            (Video, 0, Jumps(at(0))),
        ];
        expect(&mut Clock::new(2_000), &steps);
    }

    #[test]
    fn a_track_that_pauses_does_not_jump() {
        let mut clock = Clock::new(2_000);
        clock.read(Video, 0);
        for time in (0..10_000).step_by(21) {
            assert_eq!(clock.read(Audio, time), Continues(at(u64::from(time))));
        }
        assert_eq!(clock.read(Video, 10_000), Continues(at(10_000)));
    }

    #[test]
    fn what_the_other_track_left_behind_is_recognised() {
        for (before, after) in [(100_000u32, 0u32), (0, 100_000), (10_000, 12_500), (10_000, 8_500)] {
            let time = |t: u32| at(u64::from(t));
            let steps = [
                (Video, before, Continues(time(before))),
                (Audio, before + 5, Continues(time(before + 5))),
                (Audio, after, Jumps(time(after))),
                (Video, before + 33, Leftover),
                (Audio, after + 21, Continues(time(after + 21))),
                (Video, before + 66, Leftover),
                (Video, after + 10, Continues(time(after + 10))),
                (Video, after + 43, Continues(time(after + 43))),
            ];
            expect(&mut Clock::new(2_000), &steps);
        }
    }

    #[test]
    fn a_track_that_never_follows_is_taken_back() {
        let mut clock = Clock::new(2_000);
        expect(&mut clock, &[(Video, 90_000, Continues(at(90_000))), (Audio, 90_000, Continues(at(90_000)))]);
        assert_eq!(clock.read(Audio, 100), Jumps(at(100)));
        let readings: Vec<_> = (1..100).map(|n| clock.read(Video, 90_000 + n * 40)).collect();
        let leftovers = readings.iter().filter(|reading| **reading == Leftover).count();
        assert_eq!(leftovers, 49);
        assert!(readings[49..].iter().all(|reading| matches!(reading, Continues(_))));
    }

    #[test]
    fn one_wrong_timestamp_costs_the_other_track_nothing() {
        let steps = [
            (Video, 10_000, Continues(at(10_000))),
            (Audio, 10_000, Continues(at(10_000))),
            (Audio, 9_999_999, Jumps(at(9_999_999))),
            (Audio, 10_042, Jumps(at(10_042))),
            (Video, 10_033, Continues(at(10_033))),
        ];
        expect(&mut Clock::new(2_000), &steps);
    }
}
