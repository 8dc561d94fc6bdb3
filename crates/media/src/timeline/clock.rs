//! Reads the source's timestamps: brings both tracks onto one timeline, and tells what goes on from what jumps.

mod aside;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::held::HeldFrame;
use super::limits::MAX_TRACK_DISTANCE;
use crate::access_unit::TrackKind;
use crate::time::SourceTime;
use aside::Aside;

/// Outcome of pushed frames, in order. Times of one track always grow until the timeline is left.
#[derive(Debug)]
pub(super) enum Step {
    /// A frame of the present timeline, with its time.
    Frame(HeldFrame),
    /// The timeline is left: what follows is on a new one.
    Leave,
    /// The track's clock did not fit. From here on its times are moved by so many microseconds, all in all.
    Moved { track: TrackKind, by_us: i64 },
}

/// Both tracks on one timeline.
///
/// Each track has an offset from its timestamps to the timeline; zero, as long as its clock is the other track's. What one
/// track is ahead of the other when it arrives is believed up to [`MAX_TRACK_DISTANCE`]; a track that is farther apart, at its
/// first frame, slowly or after a pause, is moved to where the other one is.
///
/// A track whose timestamps jump is set aside for up to [`DECIDE_US`] of media, until the other one shows whether it
/// jumps too: then the timeline is left; otherwise the track is moved to where it would have been without the jump.
#[derive(Debug)]
pub(super) struct Clock {
    max_gap_us: i64,
    max_aside_bytes: usize,
    video: TrackClock,
    audio: TrackClock,
    aside: Option<Aside>,
    steps: VecDeque<Step>,
}

#[derive(Debug, Default)]
struct TrackClock {
    /// From the timestamps to the timeline, in microseconds.
    offset: i64,
    /// The latest time on the present timeline.
    last: Option<i64>,
    /// How much later than the other track's latest time it was.
    lead: i64,
}

const MAX_TRACK_DISTANCE_US: u64 = MAX_TRACK_DISTANCE.as_micros() as u64;
/// A track may step back by this much (encoders that correct their clock); more is a jump.
pub(super) const MAX_STEP_BACK_US: i64 = 1_000_000;
/// The least step of a track, so that its times grow: what protocols that count milliseconds can say.
pub(super) const MIN_STEP_US: i64 = 1_000;
/// How much media shows whether one track has jumped or both: encoders interleave more closely than this. Where they
/// don't, both tracks are moved, one after the other, and nothing is lost.
const DECIDE_US: i64 = 1_000_000;
/// Lead or lag that a track keeps when it is moved because it fell too far behind: as much as interleaving makes.
const INTERLEAVING_US: i64 = 1_000_000;

/// How a timestamp fits what came before.
enum Fit {
    At(i64),
    /// It goes on, but too far from the other track.
    Apart,
    Jumps,
}

impl Clock {
    /// `max_aside_bytes` is how much is set aside at most.
    pub(super) fn new(max_gap_us: i64, max_aside_bytes: usize) -> Self {
        let video = TrackClock::default();
        let audio = TrackClock::default();
        Self { max_gap_us, max_aside_bytes, video, audio, aside: None, steps: VecDeque::new() }
    }

    /// Takes the next frame, with its timestamp; its own time is not looked at.
    pub(super) fn push_frame(&mut self, raw: i64, frame: HeldFrame) {
        let track = frame.track_kind();
        match self.aside.take() {
            None => self.take_frame(track, raw, frame),
            Some(aside) if aside.track == track => self.take_more(aside, raw, frame),
            Some(aside) => self.take_beside(aside, track, raw, frame),
        }
    }

    pub(super) fn poll(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// Lets go what was set aside.
    pub(super) fn release_aside(&mut self) {
        if let Some(aside) = self.aside.take() {
            self.decide_aside(aside);
        }
    }

    /// Forgets what was set aside of a track: its configuration has changed.
    pub(super) fn forget_aside(&mut self, track: TrackKind) {
        self.aside.take_if(|aside| aside.track == track);
    }

    fn take_frame(&mut self, track: TrackKind, raw: i64, frame: HeldFrame) {
        match self.check_fit(track, raw) {
            Fit::At(time) => self.advance_track(track, time, frame),
            Fit::Apart => {
                self.move_closer(track, raw);
                self.take_frame(track, raw, frame);
            }
            Fit::Jumps => {
                let aside = Aside::new(track, self.track_clock(other_track(track)).last, raw, frame);
                self.weigh_aside(aside);
            }
        }
    }

    /// Another frame of the track that is set aside.
    fn take_more(&mut self, mut aside: Aside, raw: i64, frame: HeldFrame) {
        let is_back = matches!(self.check_fit(aside.track, raw), Fit::At(_));
        if is_back && self.step_beyond(aside.track, raw).abs() <= (raw - aside.newest_raw()).abs() {
            // The timestamps that jumped were wrong.
            let track = aside.track;
            let start = self.least_next(aside.track) - aside.span_us();
            self.release_frames(aside, start);
            self.take_frame(track, raw, frame);
        } else {
            aside.push_frame(raw, frame, self.max_gap_us);
            self.weigh_aside(aside);
        }
    }

    /// A frame of the other track.
    fn take_beside(&mut self, aside: Aside, track: TrackKind, raw: i64, frame: HeldFrame) {
        if matches!(self.check_fit(track, raw), Fit::Jumps) {
            self.leave_timeline(aside);
            return self.take_frame(track, raw, frame);
        }
        self.take_frame(track, raw, frame);
        let newest = aside.newest_raw();
        match self.check_fit(aside.track, newest) {
            // The other track has gone on to where this one is.
            Fit::At(_) if self.step_beyond(aside.track, newest) > 0 => self.release_unmoved(aside),
            _ if self.moved_since(&aside) >= DECIDE_US => self.move_to_timeline(aside),
            _ => self.aside = Some(aside),
        }
    }

    /// Keeps what is set aside, unless there is nothing to wait for.
    fn weigh_aside(&mut self, aside: Aside) {
        let is_alone = self.track_clock(other_track(aside.track)).last.is_none();
        if is_alone || aside.span_us() >= DECIDE_US || aside.payload_bytes() > self.max_aside_bytes {
            self.decide_aside(aside);
        } else {
            self.aside = Some(aside);
        }
    }

    fn decide_aside(&mut self, aside: Aside) {
        match self.moved_since(&aside) {
            0 => self.leave_timeline(aside),
            _ => self.move_to_timeline(aside),
        }
    }

    /// How far the other track has gone on since.
    fn moved_since(&self, aside: &Aside) -> i64 {
        self.track_clock(other_track(aside.track))
            .last
            .zip(aside.other_was_at)
            .map_or(0, |(now, then)| now - then)
    }

    /// Both tracks have jumped, or there is only one.
    fn leave_timeline(&mut self, aside: Aside) {
        self.steps.push_back(Step::Leave);
        for track in [TrackKind::Video, TrackKind::Audio] {
            let clock = self.track_mut(track);
            (clock.offset, clock.last, clock.lead) = (0, None, 0);
        }
        // What began just behind a wrap may reach back before it.
        let start = (aside.newest_raw() - aside.span_us()).max(0);
        self.track_mut(aside.track).offset = start + aside.span_us() - aside.newest_raw();
        self.release_frames(aside, start);
    }

    /// Moves a track that has jumped to where it would have been without the jump.
    fn move_to_timeline(&mut self, aside: Aside) {
        let expected = aside.other_was_at.unwrap_or(0) + self.track_clock(aside.track).lead;
        let start = expected.max(self.least_next(aside.track));
        let offset = start + aside.span_us() - aside.newest_raw();
        self.set_offset(aside.track, offset);
        self.release_frames(aside, start);
    }

    fn release_unmoved(&mut self, aside: Aside) {
        let start = aside.newest_raw() - aside.span_us() + self.track_clock(aside.track).offset;
        self.release_frames(aside, start);
    }

    /// Puts out what was set aside, from `start` on.
    fn release_frames(&mut self, aside: Aside, start: i64) {
        let track = aside.track;
        for (at, frame) in aside.into_frames() {
            let time = (start + at).max(self.least_next(track));
            self.advance_track(track, time, frame);
        }
    }

    /// The track is too far from the other one.
    fn move_closer(&mut self, track: TrackKind, raw: i64) {
        let there = self.track_clock(other_track(track)).last.unwrap_or(0);
        let clock = self.track_clock(track);
        let lead = if clock.last.is_some() { clock.lead.clamp(-INTERLEAVING_US, INTERLEAVING_US) } else { 0 };
        let time = (there + lead).max(self.least_next(track));
        self.set_offset(track, time - raw);
    }

    fn set_offset(&mut self, track: TrackKind, offset: i64) {
        self.track_mut(track).offset = offset;
        self.steps.push_back(Step::Moved { track, by_us: offset });
    }

    fn advance_track(&mut self, track: TrackKind, time: i64, mut frame: HeldFrame) {
        let there = self.track_clock(other_track(track)).last;
        // Farther apart, the other one is away, and that says nothing of how they arrive.
        let lead =
            there.map(|there| time - there).filter(|lead| lead.unsigned_abs() <= MAX_TRACK_DISTANCE_US);
        let clock = self.track_mut(track);
        (clock.last, clock.lead) = (Some(time), lead.unwrap_or(0));
        frame.tag.time = SourceTime(time.unsigned_abs());
        self.steps.push_back(Step::Frame(frame));
    }

    fn check_fit(&self, track: TrackKind, raw: i64) -> Fit {
        let clock = self.track_clock(track);
        let there = self.track_clock(other_track(track)).last;
        let time = (raw + clock.offset).max(0);
        match (clock.last, there) {
            (None, Some(there)) if time.abs_diff(there) > MAX_TRACK_DISTANCE_US => Fit::Apart,
            (None, _) => Fit::At(time),
            (Some(last), _) if time + MAX_STEP_BACK_US < last => Fit::Jumps,
            (Some(last), there) => {
                // A track that arrives ahead of the other one goes on from there.
                let ahead = there.map_or(last, |there| there + clock.lead.max(0));
                let behind = there.map_or(0, |there| there - time);
                match () {
                    () if time >= last.max(ahead) + self.max_gap_us => Fit::Jumps,
                    () if behind > MAX_TRACK_DISTANCE_US as i64 => Fit::Apart,
                    () => Fit::At(time.max(last + MIN_STEP_US)),
                }
            }
        }
    }

    /// How far a timestamp goes beyond the track's latest one, on the present timeline.
    fn step_beyond(&self, track: TrackKind, raw: i64) -> i64 {
        let clock = self.track_clock(track);
        raw + clock.offset - clock.last.unwrap_or(0)
    }

    /// The least time that the track's next frame may have.
    fn least_next(&self, track: TrackKind) -> i64 {
        self.track_clock(track).last.map_or(0, |last| last + MIN_STEP_US)
    }

    fn track_clock(&self, track: TrackKind) -> &TrackClock {
        match track {
            TrackKind::Video => &self.video,
            TrackKind::Audio => &self.audio,
        }
    }

    fn track_mut(&mut self, track: TrackKind) -> &mut TrackClock {
        match track {
            TrackKind::Video => &mut self.video,
            TrackKind::Audio => &mut self.audio,
        }
    }
}

fn other_track(track: TrackKind) -> TrackKind {
    match track {
        TrackKind::Video => TrackKind::Audio,
        TrackKind::Audio => TrackKind::Video,
    }
}
