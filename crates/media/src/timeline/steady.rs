//! Bounds how often a publisher may begin a new period. Each one costs players a discontinuity and takes media sequence
//! numbers of its own, so a clock that jumps all the time is kept going instead: the jump is taken out of its timestamps.

use super::clock::Track;

/// Periods that may begin at once, however long none has: an encoder that is being set up changes its mind a few times.
const BURST: u64 = 4;
/// Media that must pass for one more, in milliseconds. A period takes two numbers more than its segments of full length,
/// so that segments of two seconds and all these periods come to less than one number a second.
const INTERVAL_MS: u64 = 5_000;
/// How much a clock may step back and still go on, as [`super::clock::Clock`] has it.
const MAX_STEP_BACK_MS: i32 = 1_000;
/// Between two frames of a track of which only one was seen.
const USUAL_STEP_MS: u32 = 20;

/// Position of a track's clock, in front of the timeline's.
#[derive(Debug)]
pub(super) struct Steady {
    max_gap_ms: i32,
    /// Milliseconds of media that count towards new periods.
    credit_ms: u64,
    video: Course,
    audio: Course,
    rebased: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Course {
    /// Milliseconds added to the publisher's timestamps.
    shift: u32,
    last: Option<u32>,
    step: u32,
    /// Milliseconds that it has gone on in all.
    run_ms: u64,
}

impl Steady {
    pub(super) fn new(max_gap_ms: u64) -> Self {
        Self {
            max_gap_ms: i32::try_from(max_gap_ms).unwrap_or(i32::MAX),
            credit_ms: BURST * INTERVAL_MS,
            video: Course::default(),
            audio: Course::default(),
            rebased: 0,
        }
    }

    /// A timestamp without the jumps that come too often.
    pub(super) fn read(&mut self, track: Track, timestamp: u32) -> u32 {
        let (mut own, other) = match track {
            Track::Video => (self.video, self.audio),
            Track::Audio => (self.audio, self.video),
        };
        let time = self.place(&mut own, other, timestamp);
        let run_ms = own.run_ms.max(other.run_ms);
        own.go_on(time, self.max_gap_ms);
        self.credit_ms = (self.credit_ms + own.run_ms.saturating_sub(run_ms)).min(BURST * INTERVAL_MS);
        *match track {
            Track::Video => &mut self.video,
            Track::Audio => &mut self.audio,
        } = own;
        time
    }

    fn place(&mut self, own: &mut Course, other: Course, timestamp: u32) -> u32 {
        let time = timestamp.wrapping_add(own.shift);
        let Some(last) = own.last else {
            own.shift = other.shift;
            return timestamp.wrapping_add(other.shift);
        };
        // On its own course, or on the other track's, which has jumped before.
        if own.is_followed_by(time, self.max_gap_ms) || other.is_followed_by(time, self.max_gap_ms) {
            return time;
        }
        let together = timestamp.wrapping_add(other.shift);
        if own.is_followed_by(together, self.max_gap_ms) {
            own.shift = other.shift;
            return together;
        }
        if self.may_begin() {
            return time;
        }
        self.rebased += 1;
        let next = last.wrapping_add(own.step.max(1));
        own.shift = next.wrapping_sub(timestamp);
        next
    }

    /// Whether a period may begin now; it has begun then.
    pub(super) fn may_begin(&mut self) -> bool {
        let left = self.credit_ms.checked_sub(INTERVAL_MS);
        self.credit_ms = left.unwrap_or(self.credit_ms);
        left.is_some()
    }

    /// Jumps that were taken out.
    pub(super) fn rebased(&self) -> u64 {
        self.rebased
    }
}

impl Course {
    fn is_followed_by(&self, time: u32, max_gap_ms: i32) -> bool {
        let Some(last) = self.last else { return false };
        (-MAX_STEP_BACK_MS..max_gap_ms).contains(&(time.wrapping_sub(last) as i32))
    }

    fn go_on(&mut self, time: u32, max_gap_ms: i32) {
        let passed = self.last.map_or(0, |last| time.wrapping_sub(last) as i32);
        self.step = match u32::try_from(passed)
            .ok()
            .filter(|passed| *passed > 0 && passed.cast_signed() < max_gap_ms)
        {
            Some(passed) => {
                self.run_ms += u64::from(passed);
                passed
            }
            None if self.last.is_none() => USUAL_STEP_MS,
            None => self.step,
        };
        self.last = Some(time);
    }
}

#[cfg(test)]
mod tests {
    use super::Track::{Audio, Video};
    use super::*;

    #[test]
    fn a_few_jumps_pass_and_more_of_them_once_media_has_passed() {
        let mut steady = Steady::new(2_000);
        let passed = (0..20).map(|nth| nth * 1_000_000).filter(|time| steady.read(Video, *time) == *time);
        assert_eq!(passed.count(), 1 + BURST as usize);
        let at = steady.video.last.unwrap_or_default().wrapping_sub(steady.video.shift);
        for time in (0..2 * INTERVAL_MS as u32 + 40).step_by(40) {
            steady.read(Video, at + time);
        }
        let before = steady.rebased();
        for time in (0..20).map(|nth| 50_000_000 + nth * 1_000_000) {
            steady.read(Video, time);
        }
        assert_eq!(steady.rebased() - before, 18);
    }

    #[test]
    fn sound_and_pictures_stay_together_however_often_they_jump() {
        let mut steady = Steady::new(2_000);
        for nth in 0u32..2_000 {
            // Every eight frames the clock is another one.
            let clock = (nth / 8).wrapping_mul(2_654_435_761);
            let time = nth * 40;
            let video = steady.read(Video, clock.wrapping_add(time));
            let audio = steady.read(Audio, clock.wrapping_add(time + 7));
            assert_eq!(audio.wrapping_sub(video), 7, "{nth}");
        }
        assert!(steady.rebased() > 200);
        assert!(steady.video.run_ms > 70_000, "no time is lost: {}", steady.video.run_ms);
    }

    #[test]
    fn what_the_other_track_left_behind_is_no_jump() {
        let mut steady = Steady::new(2_000);
        steady.credit_ms = INTERVAL_MS;
        for (track, time) in
            [(Video, 90_000), (Audio, 90_010), (Video, 0), (Audio, 90_030), (Audio, 20), (Video, 40)]
        {
            assert_eq!(steady.read(track, time), time);
        }
        assert_eq!((steady.rebased(), steady.credit_ms < INTERVAL_MS), (0, true));
    }
}
