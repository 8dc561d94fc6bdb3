//! Tests with the behaviour of real publishers. Times are milliseconds; pictures come every 40, sound every 20.

use super::*;
use crate::testing::{
    AVCC_5K, AVCC_360P, AVCC_720P, FlvTimeline, MONO, STEREO, audio_header, avcc, picture, sound,
    video_header,
};

/// A publisher whose messages arrive as long after `EPOCH` as its clock has run.
struct Publisher {
    timeline: FlvTimeline,
    now: u64,
}

const EPOCH: u64 = 1_800_000_000_000;

impl Publisher {
    fn new() -> Self {
        Self::with(7, Limits::default())
    }

    fn with(first_period: u32, limits: Limits) -> Self {
        let timeline = FlvTimeline::new(Timeline::new(PeriodNumber(first_period), limits));
        Self { timeline, now: EPOCH }
    }

    fn announcing(announced: Announced) -> Self {
        let mut publisher = Self::new();
        publisher.timeline.push_metadata(announced);
        publisher
    }

    /// Has sent the headers of both tracks.
    fn ready() -> Self {
        Self::announcing(Announced::Both).video_header(AVCC_720P).audio_header(STEREO)
    }

    fn video_header(mut self, config: &str) -> Self {
        self.timeline.push_video(UnixMillis(self.now), 0, video_header(config)).unwrap();
        self
    }

    fn audio_header(mut self, config: &[u8]) -> Self {
        self.timeline.push_audio(UnixMillis(self.now), 0, audio_header(config)).unwrap();
        self
    }

    fn keyframe(self, time: u32) -> Self {
        self.picture(true, time, 0)
    }

    fn frame(self, time: u32) -> Self {
        self.picture(false, time, 0)
    }

    fn picture(mut self, keyframe: bool, time: u32, offset: i32) -> Self {
        self.timeline.push_video(UnixMillis(self.now), time, picture(keyframe, offset, b"picture")).unwrap();
        self
    }

    fn sound(mut self, time: u32) -> Self {
        self.timeline.push_audio(UnixMillis(self.now), time, sound(b"sound")).unwrap();
        self
    }

    /// Sends sound in `from..to`.
    fn sounds(self, from: u32, to: u32) -> Self {
        (from..to).step_by(20).fold(self, Self::sound)
    }

    /// Sends pictures that are not keyframes in `from..to`.
    fn frames(self, from: u32, to: u32) -> Self {
        (from..to).step_by(40).fold(self, Self::frame)
    }

    fn later(mut self, by: u64) -> Self {
        self.now += by;
        self
    }

    fn periods(mut self) -> Vec<Seen> {
        let mut seen: Vec<Seen> = Vec::new();
        while let Some(event) = self.timeline.poll() {
            match event {
                TimelineEvent::Period(period) => seen.push(Seen { period, video: vec![], audio: vec![] }),
                TimelineEvent::Tag(tag) => seen.last_mut().expect("a tag has a period").take(&tag),
            }
        }
        seen
    }

    fn only_period(self) -> Seen {
        let mut periods = self.periods();
        assert_eq!(periods.len(), 1, "{periods:#?}");
        periods.remove(0)
    }
}

/// A period and the decoding times of its tags, in milliseconds.
#[derive(Debug)]
struct Seen {
    period: Period,
    video: Vec<u64>,
    audio: Vec<u64>,
}

impl Seen {
    fn take(&mut self, tag: &Tag) {
        assert!(
            !(self.period.video().is_some() && self.video.is_empty()) || tag.is_keyframe(),
            "a keyframe comes first"
        );
        let times = if tag.is_video() { &mut self.video } else { &mut self.audio };
        times.push(tag.time.as_millis());
    }

    fn tracks(&self) -> (bool, bool) {
        (self.period.video().is_some(), self.period.audio().is_some())
    }
}

#[test]
fn a_period_begins_with_the_first_keyframe() {
    let seen = Publisher::ready()
        .frame(0)
        .sounds(0, 60)
        .later(500)
        .picture(true, 40, 80)
        .frame(80)
        .sounds(60, 200)
        .only_period();
    assert_eq!(seen.period.number, PeriodNumber(7));
    assert_eq!(seen.period.origin, SourceTime::from_millis(120), "its presentation time");
    assert_eq!(seen.period.wall_clock, UnixMillis(EPOCH + 500));
    assert_eq!(seen.period.tracks, Period::tracks_of(Some(avcc(AVCC_720P)), Some(STEREO.into())));
    assert_eq!(seen.video, [40, 80]);
    assert_eq!(seen.audio, [120, 140, 160, 180], "nothing before the origin");
}

#[test]
fn sound_that_ran_ahead_of_the_first_keyframe_is_kept() {
    let seen = Publisher::ready().sounds(0, 300).keyframe(200).only_period();
    assert_eq!(seen.audio, [200, 220, 240, 260, 280]);
}

#[test]
fn frames_are_held_until_both_headers_came() {
    let publisher = Publisher::new().video_header(AVCC_720P).keyframe(0).frames(40, 1_000);
    let seen = publisher.audio_header(STEREO).sounds(0, 100).only_period();
    assert_eq!((seen.tracks(), seen.video.len(), seen.audio.len()), ((true, true), 25, 5));
}

#[test]
fn a_promised_track_that_never_comes_is_not_waited_for_long() {
    let held = Publisher::announcing(Announced::Both).video_header(AVCC_720P).keyframe(0).frames(40, 1_480);
    assert!(held.periods().is_empty());
    let publisher = Publisher::announcing(Announced::Both).video_header(AVCC_720P).keyframe(0);
    let seen = publisher.frames(40, 2_000).only_period();
    assert_eq!((seen.tracks(), seen.video.len()), ((true, false), 50));

    let seen = Publisher::announcing(Announced::Both).audio_header(STEREO).sounds(0, 2_000).only_period();
    assert_eq!((seen.tracks(), seen.audio.len()), ((false, true), 100));
}

#[test]
fn a_promised_track_that_never_comes_is_not_waited_for_in_bytes() {
    let limits = Limits { hold_bytes: 10_000, ..Limits::default() };
    let mut publisher = Publisher::with(0, limits);
    publisher = publisher.video_header(AVCC_720P);
    publisher.timeline.push_video(UnixMillis(EPOCH), 0, picture(true, 0, &[0; 10_000])).unwrap();
    assert_eq!(publisher.only_period().video, [0]);
}

#[test]
fn a_frame_holds_on_to_nothing_but_itself() {
    let mut timeline = Publisher::ready().timeline;
    let picture = picture(true, 0, b"picture");
    let sound = sound(b"sound");
    timeline.push_video(UnixMillis(EPOCH), 0, picture.clone()).unwrap();
    timeline.push_audio(UnixMillis(EPOCH), 0, sound.clone()).unwrap();
    let of_tag = |event| if let TimelineEvent::Tag(tag) = event { Some(tag.payload) } else { None };
    let payloads: Vec<Bytes> = std::iter::from_fn(|| timeline.poll()).filter_map(of_tag).collect();
    assert_eq!(payloads, [&b"picture"[..], b"sound"]);
    for message in [picture, sound] {
        let range = message.as_ptr_range();
        assert!(payloads.iter().all(|payload| !range.contains(&payload.as_ptr())));
    }
}

#[test]
fn frames_that_wait_are_counted_with_what_they_cost_besides_their_payloads() {
    let limits = Limits { hold_bytes: 10_000, hold_ms: 10_000, ..Limits::default() };
    let publisher = Publisher::with(0, limits).audio_header(STEREO);
    // Of five bytes each; the video that is waited for does not come.
    let publisher = publisher.sounds(0, 2_000);
    assert!((40..=50).contains(&publisher.timeline.held.len()), "{}", publisher.timeline.held.len());
}

#[test]
fn a_video_header_without_pictures_does_not_stop_the_sound() {
    let publisher = Publisher::ready().sounds(0, 3_000).keyframe(3_000).sounds(3_000, 3_100);
    let periods = publisher.periods();
    assert_eq!(periods.iter().map(Seen::tracks).collect::<Vec<_>>(), [(false, true), (true, true)]);
    assert_eq!((periods[0].audio.len(), periods[1].audio.len()), (150, 5));
}

#[test]
fn a_single_announced_track_starts_at_once() {
    let seen = Publisher::announcing(Announced::VideoOnly).video_header(AVCC_720P).keyframe(0).only_period();
    assert_eq!(seen.tracks(), (true, false));
    let seen = Publisher::announcing(Announced::AudioOnly).audio_header(STEREO).sound(5).only_period();
    assert_eq!((seen.tracks(), seen.period.origin), ((false, true), SourceTime::from_millis(5)));
}

#[test]
fn metadata_that_comes_last_ends_the_wait() {
    let mut publisher = Publisher::new().audio_header(STEREO).sounds(0, 100);
    publisher.timeline.push_metadata(Announced::AudioOnly);
    assert_eq!(publisher.only_period().audio.len(), 5);
}

#[test]
fn a_short_broadcast_is_let_go_at_its_end() {
    let mut publisher = Publisher::new().audio_header(STEREO).sounds(0, 100);
    publisher.timeline.finish();
    assert_eq!(publisher.only_period().audio.len(), 5);
}

#[test]
fn an_empty_audio_header_is_no_header() {
    let seen = Publisher::new()
        .video_header(AVCC_720P)
        .audio_header(&[])
        .keyframe(0)
        .sounds(0, 60)
        .audio_header(STEREO)
        .sounds(60, 100)
        .only_period();
    assert_eq!((seen.tracks(), seen.audio), ((true, true), vec![60, 80]));
}

#[test]
fn pictures_without_a_header_are_dropped() {
    let seen = Publisher::new()
        .audio_header(STEREO)
        .keyframe(0)
        .sounds(0, 1_000)
        .video_header(AVCC_720P)
        .frame(1_000)
        .keyframe(1_040)
        .only_period();
    assert_eq!((seen.video, seen.period.origin), (vec![1_040], SourceTime::from_millis(1_040)));
}

#[test]
fn a_repeated_header_changes_nothing() {
    let publisher =
        Publisher::ready().keyframe(0).video_header(AVCC_720P).audio_header(STEREO).keyframe(40).sound(40);
    assert_eq!(publisher.only_period().video, [0, 40]);
}

#[test]
fn sound_that_begins_late_begins_a_period_with_the_next_picture() {
    let periods = Publisher::announcing(Announced::VideoOnly)
        .video_header(AVCC_720P)
        .keyframe(0)
        .audio_header(STEREO)
        .keyframe(1_000)
        .frame(1_040)
        .sounds(1_060, 1_100)
        .frame(1_080)
        .sounds(1_100, 1_200)
        .frame(1_120)
        .periods();
    assert_eq!(periods.iter().map(Seen::tracks).collect::<Vec<_>>(), [(true, false), (true, true)]);
    assert_eq!(periods[0].video, [0, 1_000, 1_040], "a header alone is no track");
    assert_eq!(
        (periods[1].period.number, periods[1].period.origin),
        (PeriodNumber(8), SourceTime::from_millis(1_080))
    );
    assert_eq!(periods[1].video, [1_000, 1_040, 1_080, 1_120], "with what leads up to it");
    assert_eq!(periods[1].audio, (1_080..1_200).step_by(20).collect::<Vec<_>>());
}

/// The picture that it begins with is shown after all of the period before; others that are decoded behind it are left out.
#[test]
fn late_sound_does_not_show_a_picture_twice() {
    let periods = Publisher::announcing(Announced::VideoOnly)
        .video_header(AVCC_720P)
        .picture(true, 0, 80)
        .picture(false, 40, 160)
        .audio_header(STEREO)
        .sounds(60, 100)
        .picture(false, 80, 0)
        .picture(false, 120, 0)
        .picture(false, 160, 160)
        .periods();
    assert_eq!(
        (&periods[0].video[..], periods[1].period.origin),
        (&[0, 40, 80, 120][..], SourceTime::from_millis(320))
    );
    assert_eq!(periods[1].video, [0, 40, 80, 120, 160]);
}

#[test]
fn what_late_sound_may_need_is_bounded_in_bytes() {
    let limits = Limits { hold_bytes: 10_000, ..Limits::default() };
    let mut publisher = Publisher::with(7, limits);
    publisher.timeline.push_metadata(Announced::VideoOnly);
    publisher = publisher.video_header(AVCC_720P).keyframe(0).frames(40, 40_000).audio_header(STEREO);
    let periods = publisher.sound(40_000).frame(40_000).keyframe(40_040).sound(40_040).periods();
    assert_eq!(periods[1].period.origin, SourceTime::from_millis(40_040), "at the next keyframe");
}

#[test]
fn a_new_picture_size_begins_a_period_at_the_next_keyframe() {
    let periods = Publisher::ready()
        .keyframe(0)
        .sounds(0, 40)
        .video_header(AVCC_360P)
        .frame(40)
        .sounds(40, 80)
        .later(80)
        .keyframe(80)
        .sounds(80, 120)
        .periods();
    assert_eq!(periods[1].period.video(), Some(&avcc(AVCC_360P)));
    assert_eq!((&periods[0].video[..], &periods[1].video[..]), (&[0][..], &[80][..]), "40 can't be decoded");
    assert_eq!((&periods[0].audio[..], &periods[1].audio[..]), (&[0, 20, 40, 60][..], &[80, 100][..]));
    // 86 ms of media came within 80: the clock of the periods is so much ahead.
    assert_eq!(periods[1].period.wall_clock, UnixMillis(EPOCH + 86));
}

#[test]
fn new_audio_begins_a_period_with_the_next_picture() {
    let periods = Publisher::ready()
        .keyframe(0)
        .sounds(0, 40)
        .audio_header(MONO)
        .frame(40)
        .sounds(40, 100)
        .frame(80)
        .sounds(100, 140)
        .frame(120)
        .audio_header(STEREO)
        .sounds(140, 180)
        .keyframe(160)
        .frame(200)
        .periods();
    assert_eq!(periods.len(), 3);
    assert_eq!(periods[1].period.audio(), Some(&MONO.into()));
    assert_eq!((&periods[0].audio[..], &periods[1].audio[..]), (&[0, 20][..], &[80, 100, 120][..]));
    assert_eq!(
        (&periods[0].video[..], periods[1].period.origin),
        (&[0, 40][..], SourceTime::from_millis(80))
    );
    assert_eq!(periods[1].video, [0, 40, 80, 120], "with what leads up to it");
    assert_eq!(
        (&periods[2].video[..], &periods[2].audio[..]),
        (&[160, 200][..], &[160][..]),
        "at a keyframe"
    );
}

/// The sound before is not shown twice, nor any of it after the new one.
#[test]
fn new_audio_begins_behind_all_sound_before_it() {
    let periods = Publisher::ready()
        .keyframe(0)
        .sounds(0, 200)
        .audio_header(MONO)
        .sounds(200, 240)
        .frames(40, 320)
        .periods();
    assert_eq!(periods[1].period.origin, SourceTime::from_millis(200));
    assert_eq!((&periods[0].video[..], periods[0].audio.len()), (&[0, 40, 80, 120, 160][..], 10));
    assert_eq!(periods[1].audio, [200, 220]);
}

/// With intra refresh no keyframe ever comes, and the group of pictures is too long to be sent once more.
#[test]
fn new_audio_that_can_not_be_heard_is_refused_after_a_while() {
    let limits = Limits { hold_bytes: 10_000, ..Limits::default() };
    let publisher = Publisher::with(7, limits).video_header(AVCC_720P).audio_header(STEREO).keyframe(0);
    let both = |publisher: Publisher, from: u32, to: u32| {
        (from..to)
            .step_by(40)
            .fold(publisher, |publisher, time| publisher.sounds(time, time + 40).frame(time + 40))
    };
    let mut publisher = both(both(publisher, 0, 40_000).audio_header(MONO), 40_000, 59_960);
    let refused = (60_000..60_120).step_by(40).find_map(|time| {
        publisher.timeline.push_video(UnixMillis(EPOCH), time, picture(false, 0, b"picture")).err()
    });
    assert_eq!(refused, Some(MediaError::NoKeyframe { seconds: 20 }));
}

#[test]
fn new_audio_without_video_begins_a_period_at_once() {
    let publisher = Publisher::announcing(Announced::AudioOnly).audio_header(STEREO).sounds(0, 40);
    let periods = publisher.audio_header(MONO).sounds(40, 80).periods();
    assert_eq!((&periods[0].audio[..], &periods[1].audio[..]), (&[0, 20][..], &[40, 60][..]));
}

#[test]
fn a_restarted_clock_begins_one_period() {
    let start = 100_000;
    let periods = Publisher::ready()
        .keyframe(start)
        .sounds(start, start + 200)
        .frames(start + 40, start + 200)
        .sound(0)
        .frame(start + 200)
        .sound(20)
        .keyframe(start + 240)
        .keyframe(0)
        .frames(40, 120)
        .sounds(40, 120)
        .periods();
    assert_eq!(periods.len(), 2, "{periods:#?}");
    assert_eq!(
        periods[0].video.last(),
        Some(&u64::from(start + 240)),
        "what is left of the old time belongs to the old period"
    );
    assert_eq!(
        (periods[1].period.number, periods[1].period.origin),
        (PeriodNumber(8), SourceTime::from_millis(0))
    );
    assert_eq!((&periods[1].video[..], periods[1].audio.len()), (&[0, 40, 80][..], 6));
}

#[test]
fn when_the_video_jumps_first_the_old_sound_is_kept() {
    for (before, after) in [(100_000, 0), (0, 100_000), (20_000, 22_500)] {
        let periods = Publisher::ready()
            .keyframe(before)
            .sounds(before, before + 100)
            .keyframe(after)
            .sounds(before + 100, before + 200)
            .sounds(after, after + 100)
            .keyframe(after + 40)
            .periods();
        assert_eq!(periods.len(), 2, "{before} to {after}");
        assert_eq!((periods[0].audio.len(), periods[1].audio.len()), (10, 5), "{before} to {after}");
        assert_eq!(periods[1].video, [u64::from(after), u64::from(after) + 40]);
    }
}

#[test]
fn after_a_gap_the_next_keyframe_is_waited_for() {
    let periods = Publisher::ready()
        .keyframe(0)
        .sounds(0, 40)
        .sounds(2_100, 2_200)
        .frames(2_120, 2_200)
        .keyframe(2_200)
        .sounds(2_200, 2_300)
        .periods();
    assert_eq!((periods[1].period.origin, periods[1].audio.len()), (SourceTime::from_millis(2_200), 5));
}

#[test]
fn a_gap_shorter_than_a_segment_is_no_jump() {
    let seen = Publisher::ready().keyframe(0).sound(0).frame(1_999).sound(1_999).only_period();
    assert_eq!(seen.video, [0, 1_999]);
}

#[test]
fn program_date_time_never_goes_back() {
    // 40 s of media in no time at all: a burst after a stall. Then the publisher's clock restarts.
    let mut publisher = Publisher::ready();
    for second in 0..=40 {
        publisher = publisher.keyframe(second * 1_000);
    }
    let periods = publisher.later(1_000).keyframe(0).periods();
    assert_eq!(periods[0].period.wall_clock, UnixMillis(EPOCH));
    assert_eq!(periods[1].period.wall_clock, UnixMillis(EPOCH + 40_000));
}

#[test]
fn a_slow_authorisation_does_not_move_sound_against_pictures() {
    // Everything that piled up meanwhile arrives at once.
    let publisher = Publisher::new().later(5_000).video_header(AVCC_720P).audio_header(STEREO);
    let seen = publisher.sounds(0, 400).keyframe(20).frames(60, 400).sounds(400, 500).only_period();
    assert_eq!((seen.period.origin, seen.audio[0], seen.video[1]), (SourceTime::from_millis(20), 20, 60));
    assert_eq!(seen.period.wall_clock, UnixMillis(EPOCH + 5_000));
}

#[test]
fn composition_offsets_pass() {
    let mut publisher = Publisher::ready().picture(true, 1_000, 80).picture(false, 1_040, 160);
    publisher = publisher.picture(false, 1_080, 0).picture(false, 1_120, -40);
    let mut offsets = Vec::new();
    while let Some(event) = publisher.timeline.poll() {
        if let TimelineEvent::Tag(tag) = event {
            offsets.push((tag.time.as_millis(), tag.composition_offset_us / 1_000));
        }
    }
    assert_eq!(offsets, [(1_000, 80), (1_040, 160), (1_080, 0), (1_120, -40)]);
}

#[test]
fn what_cannot_be_taken_is_refused_with_advice() {
    let mut timeline = FlvTimeline::new(Timeline::new(PeriodNumber(0), Limits::default()));
    let mut video = |payload: Bytes| timeline.push_video(UnixMillis(0), 0, payload).unwrap_err().to_string();
    assert_eq!(
        video(video_header(AVCC_5K)),
        "a picture of 5120x2880 is too large: choose an output resolution of at most 4096x4096 in your encoder"
    );
    assert!(video(Bytes::from_static(b"\x90hvc1")).starts_with("HEVC is not supported"));
    assert!(video(Bytes::from_static(b"\x17\x00\x00\x00\x00\x01")).starts_with("the encoder sent a damaged"));
}

/// A first keyframe that says it is shown 20 s later than it is decoded.
#[test]
fn composition_offsets_beyond_all_bounds_are_taken_off_and_told() {
    let mut publisher = Publisher::ready().picture(true, 1_000, 20_000).sounds(1_000, 1_200);
    publisher = publisher.picture(false, 1_040, 20_080).picture(false, 1_080, 20_000);
    assert_eq!(publisher.timeline.poll_notice(), Some(Notice::CompositionMoved { by_ms: -20_000 }));
    let seen = publisher.only_period();
    assert_eq!(
        (seen.period.origin, seen.video.len(), seen.audio.len()),
        (SourceTime::from_millis(1_000), 3, 10)
    );
}

/// A camera that starts to count at zero again while the sound goes on.
#[test]
fn a_camera_that_comes_back_goes_on_in_its_period() {
    let mut publisher = Publisher::ready().keyframe(60_000).sounds(60_000, 60_400).frames(60_040, 60_400);
    publisher = publisher.sounds(60_400, 70_000).keyframe(0);
    for at in 0..50 {
        publisher = publisher.sounds(70_000 + at * 40, 70_000 + at * 40 + 40).frame((at + 1) * 40);
    }
    let notice = publisher.timeline.poll_notice().expect("it is told");
    assert!(notice.to_string().starts_with("the picture's timestamps don't fit the sound's"), "{notice}");
    let seen = publisher.only_period();
    assert_eq!((seen.video.len(), seen.audio.len()), (10 + 51, 500 + 100));
    assert!(seen.video[10].abs_diff(70_000) <= 40, "{}", seen.video[10]);
}

#[test]
fn sound_a_second_and_a_half_ahead_of_the_first_picture_waits_for_it() {
    let mut publisher = Publisher::ready().sounds(0, 1_500);
    for at in (0..8_000).step_by(40) {
        publisher = if at == 0 { publisher.keyframe(0) } else { publisher.frame(at) };
        publisher = publisher.sounds(1_500 + at, 1_540 + at);
    }
    let seen = publisher.only_period();
    assert_eq!((seen.tracks(), seen.video.len(), seen.audio.len()), ((true, true), 200, 75 + 400));
}

#[test]
fn a_keyframe_that_never_comes_is_refused_and_costs_no_memory() {
    let mut publisher = Publisher::ready();
    for second in 0..600 {
        publisher = publisher.sounds(second * 1_000, second * 1_000 + 1_000);
        for time in (second * 1_000..second * 1_000 + 1_000).step_by(40) {
            let result =
                publisher.timeline.push_video(UnixMillis(EPOCH), time, picture(false, 0, b"picture"));
            match result {
                Ok(()) => assert!(time < 5_000, "{time}"),
                Err(error) => {
                    assert!(
                        time >= 5_000 && error.to_string().starts_with("no keyframe came in 5 s"),
                        "{error}"
                    );
                }
            }
        }
    }
    assert!(publisher.timeline.held.len() <= 5_000 / 20 + 1, "{}", publisher.timeline.held.len());
    assert!(publisher.periods().is_empty());
}

/// Six media sequence numbers a second came of this, where a broadcast has one a second for itself.
#[test]
fn a_clock_that_jumps_all_the_time_is_kept_going() {
    let mut publisher = Publisher::ready();
    for nth in 0u32..400 {
        let start = nth % 2 * 5_000_000 + nth * 320;
        publisher = publisher.keyframe(start).frames(start + 40, start + 320).sounds(start, start + 320);
    }
    assert!(publisher.timeline.rebased() > 0);
    let periods = publisher.periods();
    assert!((4..=4 + 128 / 5 + 1).contains(&periods.len()), "{} periods in 128 s", periods.len());
    let pictures: usize = periods.iter().map(|seen| seen.video.len()).sum();
    assert!(pictures > 400 * 8 * 9 / 10, "{pictures} of 3200");
    for seen in &periods {
        let apart = seen.video.last().unwrap().abs_diff(*seen.audio.last().unwrap());
        assert!(apart <= 40, "sound and pictures are {apart} ms apart");
    }
}

#[test]
fn headers_that_differ_in_what_says_nothing_are_the_same() {
    let mut publisher = Publisher::ready().keyframe(0);
    for nth in 1u32..20 {
        let mut video = AVCC_720P.to_owned();
        let mut audio = STEREO.to_vec();
        if nth % 2 == 0 {
            video.push_str("00");
            audio.push(0);
        }
        publisher = publisher.video_header(&video).audio_header(&audio).keyframe(nth * 500).sound(nth * 500);
    }
    assert_eq!(publisher.only_period().video.len(), 20);
}

#[test]
fn headers_that_alternate_begin_a_period_now_and_then() {
    let mut publisher = Publisher::ready();
    for nth in 0u32..240 {
        let header = if nth % 2 == 0 { AVCC_720P } else { AVCC_360P };
        publisher = publisher.video_header(header).keyframe(nth * 500).sounds(nth * 500, nth * 500 + 500);
    }
    assert!(publisher.timeline.left_out() > 0);
    let periods = publisher.periods();
    assert!((4..=4 + 120 / 5 + 1).contains(&periods.len()), "{} periods in 120 s", periods.len());
}

#[test]
fn a_keyframe_that_comes_late_is_enough() {
    let publisher = Publisher::ready().frames(0, 4_960).keyframe(4_960).frames(5_000, 30_000);
    assert_eq!(publisher.only_period().video.len(), 1 + 625);
}
