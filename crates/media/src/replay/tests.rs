use bytes::Bytes;
use proptest::prelude::*;

use super::group::GROUP_COST;
use super::*;
use crate::access_unit::{Track, TrackId};
use crate::tag::{TAG_COST, TagKind};
use crate::time::UnixMillis;

const LIMITS: ReplayLimits = ReplayLimits { bytes: 1 << 20, duration: Duration::from_secs(60) };

fn period(number: u32, video: bool) -> TimelineEvent {
    TimelineEvent::Period(Period {
        number: PeriodNumber(number),
        first_sequence: None,
        origin: SourceTime(0),
        wall_clock: UnixMillis(0),
        tracks: Period::tracks_of(
            video.then(|| Bytes::from_static(b"avcC")),
            Some(Bytes::from_static(b"asc")),
        ),
    })
}

fn track(kind: TagKind) -> TrackId {
    if kind == TagKind::Audio { Period::AUDIO_TRACK } else { Period::VIDEO_TRACK }
}

fn tag(kind: TagKind, time: u64) -> TimelineEvent {
    let payload = Bytes::from(vec![0; 100]);
    TimelineEvent::Tag(Tag {
        track: track(kind),
        kind,
        time: SourceTime::from_millis(time),
        composition_offset_us: 0,
        drift: 0,
        payload,
    })
}

/// Ten pictures a second, a keyframe every second.
fn pictures(buffer: &mut ReplayBuffer, from: u64, to: u64) {
    for time in (from..to).step_by(100) {
        buffer.push(&tag(TagKind::Video { keyframe: time % 1_000 == 0 }, time));
        buffer.push(&tag(TagKind::Audio, time));
    }
}

fn times(buffer: &ReplayBuffer) -> Vec<u64> {
    let tags = buffer.events(PeriodNumber(0)).filter_map(|event| match event {
        TimelineEvent::Tag(tag) if tag.is_video() => Some(tag.time.as_millis()),
        _ => None,
    });
    tags.collect()
}

#[test]
fn a_commit_leaves_everything_from_a_keyframe_before_it() {
    let mut buffer = ReplayBuffer::new(LIMITS);
    buffer.push(&period(0, true));
    pictures(&mut buffer, 0, 5_000);
    buffer.commit(PeriodNumber(0), MediaTime::from_millis(3_500));
    assert_eq!(times(&buffer).first(), Some(&2_000));
    assert!(matches!(buffer.events(PeriodNumber(0)).next(), Some(TimelineEvent::Period(_))));
    // Three groups, with the configuration of both tracks.
    let bytes = 3 * (GROUP_COST + 2 * size_of::<Track>() + 4 + 3) + 60 * (TAG_COST + 100);
    assert_eq!((buffer.lost(), buffer.bytes()), (Loss::default(), bytes));
}

#[test]
fn a_commit_of_a_later_period_lets_earlier_ones_go() {
    let mut buffer = ReplayBuffer::new(LIMITS);
    buffer.push(&period(0, true));
    pictures(&mut buffer, 0, 3_000);
    buffer.push(&period(1, true));
    pictures(&mut buffer, 0, 3_000);
    let periods = |from| {
        let events = buffer.events(PeriodNumber(from));
        events.filter(|event| matches!(event, TimelineEvent::Period(_))).count()
    };
    assert_eq!((periods(0), periods(1)), (2, 1));
    buffer.commit(PeriodNumber(1), MediaTime::from_millis(0));
    assert_eq!(buffer.start(), Some((PeriodNumber(1), SourceTime(0))));
    buffer.commit(PeriodNumber(0), MediaTime::from_millis(9_000));
    assert_eq!(buffer.start(), Some((PeriodNumber(1), SourceTime(0))), "an old commit changes nothing");
}

#[test]
fn what_exceeds_a_limit_goes_oldest_first_and_is_counted() {
    for limits in [
        ReplayLimits { bytes: 15_000, ..LIMITS },
        ReplayLimits { duration: Duration::from_millis(2_500), ..LIMITS },
    ] {
        let mut buffer = ReplayBuffer::new(limits);
        buffer.push(&period(0, true));
        pictures(&mut buffer, 0, 6_000);
        assert!(buffer.bytes() <= limits.bytes && buffer.duration <= limits.duration);
        assert_eq!(times(&buffer)[0] % 1_000, 0, "it starts with a keyframe");
        let kept = buffer.events(PeriodNumber(0)).count() - 1;
        assert_eq!(
            buffer.lost(),
            Loss { tags: 120 - kept as u64, duration: Duration::from_millis(times(&buffer)[0]) }
        );
    }
}

#[test]
fn what_a_commit_covers_is_not_lost() {
    let mut buffer = ReplayBuffer::new(ReplayLimits { duration: Duration::from_millis(2_500), ..LIMITS });
    buffer.push(&period(0, true));
    pictures(&mut buffer, 0, 2_000);
    buffer.commit(PeriodNumber(0), MediaTime::from_millis(1_500));
    pictures(&mut buffer, 2_000, 3_500);
    assert_eq!(
        (buffer.start(), buffer.lost()),
        (Some((PeriodNumber(0), SourceTime::from_millis(1_000))), Loss::default())
    );
    pictures(&mut buffer, 3_500, 4_500);
    let lost = Loss { tags: 10, duration: Duration::from_millis(500) };
    assert_eq!(
        (buffer.start(), buffer.lost()),
        (Some((PeriodNumber(0), SourceTime::from_millis(2_000))), lost)
    );
}

#[test]
fn where_every_picture_is_a_keyframe_time_is_counted_too() {
    let mut buffer = ReplayBuffer::new(ReplayLimits { duration: Duration::from_millis(2_000), ..LIMITS });
    buffer.push(&period(0, true));
    for time in (0..10_000).step_by(40) {
        buffer.push(&tag(TagKind::Video { keyframe: true }, time));
    }
    assert_eq!(times(&buffer).first(), Some(&(9_960 - 2_000)));
}

#[test]
fn a_group_that_is_too_large_is_lost_up_to_the_next_keyframe() {
    for limits in [
        ReplayLimits { bytes: 15_000, ..LIMITS },
        ReplayLimits { duration: Duration::from_millis(3_000), ..LIMITS },
    ] {
        let mut buffer = ReplayBuffer::new(limits);
        buffer.push(&period(0, true));
        buffer.push(&tag(TagKind::Video { keyframe: true }, 0));
        for time in (100..9_000).step_by(100) {
            buffer.push(&tag(TagKind::Video { keyframe: false }, time));
        }
        assert_eq!((buffer.start(), buffer.bytes()), (None, 0));
        assert!(buffer.period().is_some() && buffer.events(PeriodNumber(0)).next().is_none());
        pictures(&mut buffer, 9_000, 9_500);
        assert_eq!(buffer.start(), Some((PeriodNumber(0), SourceTime::from_millis(9_000))));
        assert_eq!(buffer.lost(), Loss { tags: 90, duration: Duration::from_millis(9_000) });
    }
}

#[test]
fn a_new_period_is_kept_where_the_last_one_was_too_large() {
    let mut buffer = ReplayBuffer::new(ReplayLimits { bytes: 2_000, ..LIMITS });
    buffer.push(&period(0, true));
    pictures(&mut buffer, 0, 1_000);
    assert_eq!(buffer.start(), None);
    buffer.push(&period(1, true));
    buffer.push(&tag(TagKind::Audio, 50_000));
    assert_eq!(buffer.start(), Some((PeriodNumber(1), SourceTime(0))));
    assert_eq!(buffer.events(PeriodNumber(0)).count(), 2);
    assert!(buffer.lost().duration < Duration::from_secs(1), "nothing of the time between the two");
}

#[test]
fn sound_alone_is_kept_in_groups_of_a_second() {
    let mut buffer = ReplayBuffer::new(LIMITS);
    buffer.push(&period(0, false));
    for time in (0..10_000).step_by(20) {
        buffer.push(&tag(TagKind::Audio, time));
    }
    buffer.commit(PeriodNumber(0), MediaTime::from_millis(8_000));
    assert_eq!(buffer.start(), Some((PeriodNumber(0), SourceTime::from_millis(7_000))));
}

/// The counted costs are no less than the memory that is really used.
#[test]
fn the_costs_cover_the_memory() {
    assert!(3 * size_of::<Tag>() + 32 <= TAG_COST);
    assert!(2 * size_of::<Group>() + 4 * size_of::<Tag>() <= GROUP_COST);
}

/// Action of a publisher.
#[derive(Clone, Debug)]
enum Step {
    Period { video: bool },
    Tag { kind: TagKind, after_ms: u64, bytes: usize },
    Commit { back_ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        4 => Just(TagKind::Audio),
        4 => Just(TagKind::Video { keyframe: false }),
        1 => Just(TagKind::Video { keyframe: true }),
    ];
    let bytes = prop_oneof![20 => 0..500_usize, 1 => 0..20_000_usize];
    let after = prop_oneof![20 => 0..100_u64, 1 => 0..6_000_u64];
    prop_oneof![
        1 => any::<bool>().prop_map(|video| Step::Period { video }),
        50 => (kind, after, bytes).prop_map(|(kind, after_ms, bytes)| Step::Tag { kind, after_ms, bytes }),
        2 => (0..8_000_u64).prop_map(|back_ms| Step::Commit { back_ms }),
    ]
}

/// The kept events, counted anew: bytes, and the time from the first tag to the last of each period.
fn measured(buffer: &ReplayBuffer) -> (usize, Duration) {
    let mut bytes = 0;
    let mut duration = Duration::ZERO;
    let mut since = None;
    let mut last = SourceTime(0);
    for event in buffer.events(PeriodNumber(0)) {
        match event {
            TimelineEvent::Period(_) => {
                duration += since.map_or(Duration::ZERO, |since: SourceTime| last.since(since));
                since = None;
                bytes += GROUP_COST;
            }
            TimelineEvent::Tag(tag) => {
                since = since.or(Some(tag.time));
                last = tag.time;
                bytes += TAG_COST + tag.payload.len();
            }
        }
    }
    (bytes, duration + since.map_or(Duration::ZERO, |since: SourceTime| last.since(since)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever is sent and committed: the limits hold after every step, and what is kept is all that was sent since a
    /// point where decoding can start.
    #[test]
    fn the_limits_hold_whatever_comes(
        steps in prop::collection::vec(step(), 1..400),
        video in any::<bool>(),
        bytes in 5_000..40_000_usize,
        duration_ms in 500..8_000_u64,
    ) {
        let limits = ReplayLimits { bytes, duration: Duration::from_millis(duration_ms) };
        let mut buffer = ReplayBuffer::new(limits);
        let mut sent = Vec::new();
        let mut number = 0;
        let mut now = 10_000;
        let mut covered = 0;
        let mut has_committed = false;
        buffer.push(&period(0, video));
        for step in steps {
            let kept_before = buffer.events(PeriodNumber(0)).filter(is_tag).count();
            match step {
                Step::Period { video } => {
                    number += 1;
                    buffer.push(&period(number, video));
                }
                Step::Tag { kind, after_ms, bytes } => {
                    now += after_ms;
                    let payload = Bytes::from(vec![sent.len() as u8; bytes]);
                    let tag = Tag { track: track(kind), kind, time: SourceTime::from_millis(now), composition_offset_us: 0, drift: 0, payload };
                    sent.push(tag.clone());
                    buffer.push(&TimelineEvent::Tag(tag));
                }
                Step::Commit { back_ms } => {
                    has_committed = true;
                    buffer.commit(PeriodNumber(number), MediaTime::from_millis(now.saturating_sub(back_ms)));
                    covered += kept_before - buffer.events(PeriodNumber(0)).filter(is_tag).count();
                }
            }
            prop_assert!(buffer.bytes() <= limits.bytes && buffer.duration <= limits.duration);
            let (bytes, duration) = measured(&buffer);
            prop_assert!(bytes <= buffer.bytes(), "{bytes} bytes are counted as {}", buffer.bytes());
            prop_assert!(duration <= buffer.duration, "{duration:?} are counted as {:?}", buffer.duration);
            let kept: Vec<_> = buffer.events(PeriodNumber(0)).filter_map(tag_of).collect();
            prop_assert_eq!(&kept[..], &sent[sent.len() - kept.len()..], "all since its start");
            let gone = buffer.lost().tags as usize + covered;
            prop_assert!(kept.len() + gone <= sent.len());
            prop_assert!(has_committed || kept.len() + gone == sent.len(), "nothing is forgotten");
            if let Some(TimelineEvent::Tag(first)) = buffer.events(PeriodNumber(0)).nth(1)
                && sent.len() > kept.len()
                && buffer.groups[0].start != buffer.groups[0].period.origin
            {
                prop_assert!(can_begin(&buffer.groups[0].period, &first));
            }
        }
        prop_assert!(buffer.lost().duration <= Duration::from_millis(now));
    }
}

fn is_tag(event: &TimelineEvent) -> bool {
    matches!(event, TimelineEvent::Tag(_))
}

fn tag_of(event: TimelineEvent) -> Option<Tag> {
    match event {
        TimelineEvent::Tag(tag) => Some(tag),
        TimelineEvent::Period(_) => None,
    }
}
