use bytes::Bytes;

use super::*;
use crate::access_unit::TrackKind::{self, Audio, Video};
use crate::tag::{Period, Tag, TagKind};
use crate::time::UnixMillis;

/// Result of the pushes so far: times of each track in milliseconds, and what else there was.
#[derive(Debug)]
struct Trial {
    clock: Clock,
    video: Vec<u64>,
    audio: Vec<u64>,
    left: usize,
    moved: Vec<(TrackKind, i64)>,
}

impl Trial {
    fn new() -> Self {
        Self { clock: Clock::new(2_000_000, 1_000), video: vec![], audio: vec![], left: 0, moved: vec![] }
    }

    fn push(&mut self, track: TrackKind, millis: i64) {
        let kind = match track {
            Video => TagKind::Video { keyframe: false },
            Audio => TagKind::Audio,
        };
        let payload = Bytes::from_static(b"frame");
        let tag = Tag {
            track: Period::VIDEO_TRACK,
            kind,
            time: SourceTime(0),
            composition_offset_us: 0,
            drift: 0,
            payload,
        };
        self.clock.push_frame(millis * 1_000, HeldFrame { received: UnixMillis(0), tag });
        self.follow();
    }

    fn follow(&mut self) {
        while let Some(step) = self.clock.poll() {
            match step {
                Step::Frame(frame) if frame.tag.is_video() => self.video.push(frame.tag.time.as_millis()),
                Step::Frame(frame) => self.audio.push(frame.tag.time.as_millis()),
                Step::Leave => self.left += 1,
                Step::Moved { track, by_us } => self.moved.push((track, by_us / 1_000)),
            }
        }
    }

    /// Both tracks, from `video` and `audio` on, 40 and 20 ms apart, for so many milliseconds.
    fn both(&mut self, video: i64, audio: i64, millis: i64) {
        for at in (0..millis).step_by(20) {
            if at % 40 == 0 {
                self.push(Video, video + at);
            }
            self.push(Audio, audio + at);
        }
    }

    fn all(&mut self, steps: &[(TrackKind, i64)]) {
        steps.iter().for_each(|(track, timestamp)| self.push(*track, *timestamp));
    }

    /// Of the newest frames: the sound's time from the picture's.
    fn skew(&self) -> i64 {
        *self.audio.last().unwrap() as i64 - *self.video.last().unwrap() as i64
    }
}

#[test]
fn a_start_just_behind_a_wrap_survives_what_was_before_it() {
    let mut trial = Trial::new();
    trial.all(&[(Audio, 3), (Video, -2), (Video, 33)]);
    assert_eq!((&trial.video[..], &trial.audio[..]), (&[0, 33][..], &[3][..]));
}

#[test]
fn small_steps_back_are_clamped() {
    let mut trial = Trial::new();
    trial.all(&[1_000, 1_000, 500, 1_033].map(|time| (Video, time)));
    assert_eq!(trial.video, [1_000, 1_001, 1_002, 1_033]);
}

#[test]
fn a_lone_track_jumps_at_once_in_both_directions() {
    let mut trial = Trial::new();
    trial.all(&[50_000, 51_999, 53_999, 52_998, 0].map(|time| (Video, time)));
    assert_eq!((trial.left, &trial.video[..]), (3, &[50_000, 51_999, 53_999, 52_998, 0][..]));
}

#[test]
fn a_track_that_pauses_does_not_jump() {
    let mut trial = Trial::new();
    trial.push(Video, 0);
    (0..10_000).step_by(20).for_each(|time| trial.push(Audio, time));
    trial.push(Video, 10_000);
    assert_eq!((trial.left, trial.moved.len(), trial.skew()), (0, 0, -20));
}

#[test]
fn where_both_tracks_jump_the_timeline_is_left_and_nothing_is_lost() {
    for (before, after) in [(100_000i64, 0i64), (0, 100_000), (10_000, 12_500), (10_000, 8_500)] {
        let mut trial = Trial::new();
        trial.all(&[(Video, before), (Audio, before + 5), (Audio, after), (Video, before + 33)]);
        trial.all(&[(Audio, after + 21), (Video, before + 66), (Video, after + 10), (Video, after + 43)]);
        let times = |times: &[i64]| times.iter().map(|time| time.unsigned_abs()).collect::<Vec<_>>();
        assert_eq!(trial.left, 1, "{before} to {after}");
        assert_eq!(trial.video, times(&[before, before + 33, before + 66, after + 10, after + 43]));
        assert_eq!(trial.audio, times(&[before + 5, after, after + 21]));
    }
}

#[test]
fn a_track_that_jumps_alone_goes_on_beside_the_other() {
    for after in [0, 50_000, 106_000, 1_500_000_000] {
        for moved in [Video, Audio] {
            let mut trial = Trial::new();
            trial.both(100_000, 100_000, 2_000);
            let skew = trial.skew();
            match moved {
                Video => trial.both(after, 102_000, 10_000),
                Audio => trial.both(102_000, after, 10_000),
            }
            assert_eq!(trial.left, 0, "{after}");
            assert_eq!(
                (trial.video.len(), trial.audio.len()),
                (300, 600),
                "{moved:?} to {after}: nothing is lost"
            );
            assert!(trial.skew().abs_diff(skew) <= 40, "{moved:?} to {after}: {} ms", trial.skew());
            assert!(matches!(trial.moved[..], [(track, _)] if track == moved), "{:?}", trial.moved);
        }
    }
}

/// A camera that was unplugged, and counts from zero when it is back.
#[test]
fn a_camera_comes_back_where_the_sound_is() {
    let mut trial = Trial::new();
    trial.both(0, 0, 60_000);
    (60_000..70_000).step_by(20).for_each(|time| trial.push(Audio, time));
    trial.both(0, 70_000, 5_000);
    assert_eq!((trial.left, trial.video.len()), (0, 1_500 + 125));
    assert!(trial.skew().abs() <= 40, "{}", trial.skew());
    let back = trial.video[1_500];
    assert!((69_900..70_100).contains(&back), "{back}");
}

#[test]
fn tracks_up_to_five_seconds_apart_are_believed() {
    for skew in [1_500, 3_000, 4_900] {
        for (video, audio) in [(10_000, 10_000 + skew), (10_000 + skew, 10_000)] {
            let mut trial = Trial::new();
            trial.both(video, audio, 20_000);
            assert_eq!((trial.left, trial.moved.len()), (0, 0), "{skew}");
            assert_eq!((trial.video.len(), trial.audio.len()), (500, 1_000));
            assert_eq!(trial.skew(), audio - video + 20);
        }
    }
}

#[test]
fn tracks_farther_apart_are_brought_together() {
    for (video, audio) in [(0, 10_000), (10_000, 0), (0, 1_500_000_000), (4_000_000_000, 7)] {
        let mut trial = Trial::new();
        trial.both(video, audio, 20_000);
        assert_eq!((trial.left, trial.moved.len()), (0, 1), "{video} {audio}");
        assert_eq!((trial.video.len(), trial.audio.len()), (500, 1_000));
        assert!(trial.skew().abs() <= 40, "{video} {audio}: {}", trial.skew());
    }
}

/// A sound card that is one per cent fast: it is moved whenever it has run away too far, and nothing is lost.
#[test]
fn clocks_that_run_apart_are_brought_together_again() {
    let mut trial = Trial::new();
    for frame in 0..75_000 {
        trial.push(Video, frame * 40);
        trial.all(&[(Audio, frame * 2 * 2_020 / 100), (Audio, (frame * 2 + 1) * 2_020 / 100)]);
    }
    assert_eq!((trial.left, trial.video.len(), trial.audio.len()), (0, 75_000, 150_000));
    assert!((5..10).contains(&trial.moved.len()), "{}", trial.moved.len());
    assert!(trial.skew().unsigned_abs() <= MAX_TRACK_DISTANCE.as_millis() as u64 + 40, "{}", trial.skew());
}

#[test]
fn one_wrong_timestamp_moves_nothing_and_loses_nothing() {
    let mut trial = Trial::new();
    trial.both(10_000, 10_000, 1_000);
    trial.all(&[(Audio, 9_999_999), (Audio, 11_020), (Video, 11_000)]);
    assert_eq!((trial.left, trial.moved.len()), (0, 0));
    assert_eq!(trial.audio[trial.audio.len() - 3..], [10_980, 10_981, 11_020]);
}

#[test]
fn a_pause_of_both_that_one_ends_a_little_sooner_moves_nothing() {
    let mut trial = Trial::new();
    trial.both(0, 0, 100);
    trial.all(&[(Audio, 2_100), (Video, 2_070), (Audio, 2_120), (Video, 2_110)]);
    assert_eq!((trial.left, trial.moved.len()), (0, 0));
    assert_eq!(
        (trial.audio[5..].to_vec(), trial.video[3..].to_vec()),
        (vec![2_100, 2_120], vec![2_070, 2_110])
    );
}

#[test]
fn what_is_set_aside_is_bounded_in_bytes() {
    let mut trial = Trial::new();
    trial.both(0, 0, 1_000);
    (0..1_000).for_each(|n| trial.push(Audio, 100_000 + n / 10));
    assert!(trial.clock.aside.as_ref().is_none_or(|aside| aside.payload_bytes() <= 1_000 + 5));
    assert_eq!((trial.left, trial.audio.len()), (1, 1_050));
}

#[test]
fn timestamps_that_jump_all_the_time_are_survived() {
    let mut trial = Trial::new();
    trial.both(0, 0, 1_000);
    for n in 0..200u32 {
        trial.push(Audio, i64::from(n.wrapping_mul(2_654_435_761)));
        trial.push(Video, 1_000 + i64::from(n) * 40);
    }
    trial.clock.release_aside();
    trial.follow();
    assert_eq!((trial.video.len(), trial.audio.len()), (225, 250));
}

#[test]
fn a_track_that_was_alone_for_a_minute_may_not_jump_by_one_when_the_other_is_back() {
    let mut trial = Trial::new();
    trial.both(0, 0, 1_000);
    (1_000..=60_980).step_by(20).for_each(|at| trial.push(Audio, at));
    trial.push(Video, 61_000);
    trial.push(Audio, 120_000);
    // It is moved, or a new period begins once the other one has jumped too; it does not make a gap of a minute.
    trial.both(61_040, 120_020, 1_000);
    assert!(trial.skew().abs() < 6_000, "{:?} {:?} {:?}", trial.moved, trial.left, trial.skew());
    let steps = trial.audio.windows(2).map(|two| two[1].saturating_sub(two[0]));
    assert!(steps.max().unwrap() < 7_001, "{:?}", trial.moved);
}
