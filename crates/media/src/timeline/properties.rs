//! Properties that hold for every publisher.

use proptest::prelude::*;

use super::*;
use crate::testing::{
    AVCC_360P, AVCC_720P, FlvTimeline, MONO, STEREO, audio_header, picture, sound, video_header,
};

/// Message with its time from the publisher's start.
#[derive(Clone, Debug)]
enum Message {
    Video { time: u64, keyframe: bool, offset: i32 },
    Audio { time: u64 },
    VideoHeader(&'static str),
    AudioHeader(&'static [u8]),
}

/// Step of a publisher: how far a track goes on, or which header is sent.
#[derive(Clone, Debug)]
enum Step {
    Video { by: i64, keyframe: bool, offset: i32 },
    Audio { by: i64 },
    Header(Message),
}

/// The messages of a publisher whose two tracks are interleaved by time, and whose keyframes are presented in the
/// order in which they are decoded, as encoders do.
fn well_behaved() -> impl Strategy<Value = Vec<Message>> {
    let video = prop::collection::vec((20u64..60, prop::bool::weighted(0.1), 0i32..200), 20..150);
    let audio = prop::collection::vec(18u64..26, 20..200);
    (video, audio).prop_map(|(video, audio)| {
        let mut time = 0;
        let video = video.into_iter().map(move |(by, keyframe, offset)| {
            time += by;
            (time, Message::Video { time, keyframe, offset: if keyframe { 80 } else { offset } })
        });
        let mut time = 0;
        let audio = audio.into_iter().map(move |by| {
            time += by;
            (time, Message::Audio { time })
        });
        let mut messages: Vec<_> = video.chain(audio).collect();
        messages.sort_by_key(|(time, _)| *time);
        let headers = [Message::VideoHeader(AVCC_720P), Message::AudioHeader(STEREO)];
        headers.into_iter().chain(messages.into_iter().map(|(_, message)| message)).collect()
    })
}

/// Whatever a publisher may come up with.
fn wild() -> impl Strategy<Value = Vec<Step>> {
    let by = || prop_oneof![20 => 0i64..60, 2 => -1_500i64..0, 1 => -100_000i64..100_000, 1 => Just(1 << 24)];
    let step = prop_oneof![
        10 => (by(), prop::bool::weighted(0.2), -100i32..200)
            .prop_map(|(by, keyframe, offset)| Step::Video { by, keyframe, offset }),
        10 => by().prop_map(|by| Step::Audio { by }),
        1 => prop::sample::select(vec![AVCC_720P, AVCC_360P]).prop_map(|c| Step::Header(Message::VideoHeader(c))),
        1 => prop::sample::select(vec![STEREO, MONO, &[]]).prop_map(|c| Step::Header(Message::AudioHeader(c))),
    ];
    prop::collection::vec(step, 1..400)
}

fn walked(steps: Vec<Step>) -> Vec<Message> {
    let mut video = 200_000i64;
    let mut audio = 200_000i64;
    let walk = |clock: &mut i64, by: i64| {
        *clock = (*clock + by).max(0);
        *clock as u64
    };
    let steps = steps.into_iter().map(|step| match step {
        Step::Video { by, keyframe, offset } => {
            Message::Video { time: walk(&mut video, by), keyframe, offset }
        }
        Step::Audio { by } => Message::Audio { time: walk(&mut audio, by) },
        Step::Header(header) => header,
    });
    steps.collect()
}

/// Feeds the messages with their times moved by `start`, and cut to `bits` bits.
fn fed(messages: &[Message], start: u64, bits: u32) -> Vec<TimelineEvent> {
    let mut timeline = FlvTimeline::new(Timeline::new(PeriodNumber(0), Limits::default()));
    let stamp = |time: u64| ((start + time) & ((1 << bits) - 1)) as u32;
    let mut events = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        let now = UnixMillis(1_000_000);
        let name = number.to_be_bytes();
        match *message {
            Message::Video { time, keyframe, offset } => {
                timeline.push_video(now, stamp(time), picture(keyframe, offset, &name))
            }
            Message::Audio { time } => timeline.push_audio(now, stamp(time), sound(&name)),
            Message::VideoHeader(config) => timeline.push_video(now, 0, video_header(config)),
            Message::AudioHeader(config) => timeline.push_audio(now, 0, audio_header(config)),
        }
        .unwrap();
        events.extend(std::iter::from_fn(|| timeline.poll()));
    }
    timeline.finish();
    events.extend(std::iter::from_fn(|| timeline.poll()));
    events
}

/// The same events on a clock that started `by` earlier.
fn moved_back(events: Vec<TimelineEvent>, by: u64) -> Vec<TimelineEvent> {
    let back = |time: SourceTime| SourceTime(time.0 - by * 1_000);
    let event = |event| match event {
        TimelineEvent::Period(period) => {
            TimelineEvent::Period(Period { origin: back(period.origin), ..period })
        }
        TimelineEvent::Tag(tag) => TimelineEvent::Tag(Tag { time: back(tag.time), ..tag }),
    };
    events.into_iter().map(event).collect()
}

/// A start such that the clock passes `wrap` somewhere, or anywhere else; the first message is before it.
fn start(wrap: u64) -> impl Strategy<Value = u64> {
    prop_oneof![0..wrap - 100, (wrap - 10_000)..wrap - 100]
}

fn tags(events: &[TimelineEvent]) -> impl Iterator<Item = &Tag> {
    events.iter().filter_map(|event| match event {
        TimelineEvent::Tag(tag) => Some(tag),
        TimelineEvent::Period(_) => None,
    })
}

proptest! {
    #[test]
    fn the_start_of_the_clock_does_not_matter(messages in well_behaved(), start in start(1 << 32)) {
        prop_assert_eq!(moved_back(fed(&messages, start, 32), start), fed(&messages, 0, 32));
    }

    #[test]
    fn a_clock_of_24_bits_does_not_matter(messages in well_behaved(), start in start(1 << 24)) {
        prop_assert_eq!(moved_back(fed(&messages, start, 24), start), fed(&messages, 0, 32));
    }

    #[test]
    fn a_start_at_a_later_keyframe_gives_the_same_tags(messages in well_behaved(), from in 2usize..350) {
        let keyframe = |message: &Message| matches!(message, Message::Video { keyframe: true, .. });
        let Some(at) = (from.min(messages.len())..messages.len()).find(|at| keyframe(&messages[*at])) else {
            return Ok(());
        };
        // Every payload is the number of its message; messages left out are replaced by headers that change nothing.
        let mut rest = messages.clone();
        rest[2..at].fill(Message::VideoHeader(AVCC_720P));
        let whole = fed(&messages, 5_000, 32);
        let late = fed(&rest, 5_000, 32);
        let Some(TimelineEvent::Period(period)) = late.first() else { panic!("a period") };
        // How far the clocks are apart is counted from the first frame on.
        let alike = |tag: &Tag| Tag { drift: 0, ..tag.clone() };
        let expected: Vec<_> = tags(&whole)
            .filter(|tag| tag.payload[..] >= at.to_be_bytes()[..])
            .filter(|tag| tag.is_video() || tag.time >= period.origin)
            .map(alike)
            .collect();
        prop_assert_eq!(tags(&late).map(alike).collect::<Vec<_>>(), expected);
    }

    /// Also: what a period promises holds for everything in it.
    #[test]
    fn whatever_is_sent_periods_are_sound(steps in wild(), bits in prop_oneof![Just(24u32), Just(32)]) {
        let messages = walked(steps);
        let headers = [Message::VideoHeader(AVCC_720P), Message::AudioHeader(STEREO)];
        let messages: Vec<_> = headers.into_iter().chain(messages).collect();
        let mut period: Option<Period> = None;
        let mut last = [None::<SourceTime>; 2];
        let forward = |step: &Message| matches!(step, Message::Video { .. } | Message::Audio { .. });
        let steps = messages.iter().filter(|step| forward(step)).count();
        let events = fed(&messages, 0, bits);
        let begun = events.iter().filter(|event| matches!(event, TimelineEvent::Period(_))).count();
        // A step forward is less than two seconds of media, anything else no media at all. A jump of one track may be
        // followed by one back to the other.
        prop_assert!(begun <= 1 + 2 * (4 + steps * 2 / 5), "{} periods", begun);
        for event in events {
            match event {
                TimelineEvent::Period(next) => {
                    prop_assert!(next.video().is_some() || next.audio().is_some());
                    prop_assert_eq!(next.number.0, period.as_ref().map_or(0, |before| before.number.0 + 1));
                    prop_assert!(period.as_ref().is_none_or(|before| before.wall_clock <= next.wall_clock));
                    (period, last) = (Some(next), [None; 2]);
                }
                TimelineEvent::Tag(tag) => {
                    let period = period.as_ref().expect("a period comes first");
                    let begins = last == [None; 2];
                    // New sound begins a period in the middle of a group of pictures, which leads up to it.
                    let leads_up = period.audio().is_some() && tag.presentation_time() < period.origin;
                    prop_assert!(!begins || leads_up || tag.presentation_time() == period.origin);
                    prop_assert!(!begins || tag.is_keyframe() == period.video().is_some());
                    prop_assert!(tag.is_video() || tag.time >= period.origin);
                    let config = if tag.is_video() { period.video() } else { period.audio() };
                    prop_assert!(config.is_some());
                    let last = &mut last[usize::from(tag.is_video())];
                    prop_assert!(last.is_none_or(|last| last < tag.time));
                    *last = Some(tag.time);
                }
            }
        }
    }
}
