use bytes::Bytes;
use headwater_hls::*;
use headwater_media::*;

use crate::broadcast::*;

fn part(rendition: &str, sequence: u64, index: u32) -> MediaEvent {
    let start = MediaTime::from_millis((sequence - 100) * 2_000 + u64::from(index) * 334);
    MediaEvent::Part {
        rendition: id(rendition),
        sequence: MediaSequence(sequence),
        index: PartIndex(index),
        start,
        duration: MediaTime::from_millis(334),
        independent: index == 0,
        bytes: Bytes::from_static(b"part"),
    }
}

fn end(rendition: &str, sequence: u64) -> MediaEvent {
    MediaEvent::SegmentEnd { rendition: id(rendition), sequence: MediaSequence(sequence) }
}

fn started() -> LiveWindow {
    window_of(opening(3), &[period_start(0, MediaSequence(100), &Plan::steady(0, 0))])
}

#[test]
fn what_can_not_come_next_is_refused_and_changes_nothing() {
    let mut window = started();
    window.apply(&part("720p", 100, 0)).unwrap();
    let before = window.clone();
    let sequence = |expected, got| WindowError::SequenceSkipped {
        expected: MediaSequence(expected),
        got: MediaSequence(got),
    };
    let expected = PartIndex(1);
    let got = PartIndex(2);
    let skipped_part = WindowError::PartSkipped { sequence: MediaSequence(100), expected, got };
    let too_late = 101 + window.most_left_out() + 1;
    let later_period = period_start(1, MediaSequence(too_late), &Plan::steady(0, 0));
    let cases = [
        (part("720p", 100, 2), skipped_part),
        (part("720p", 101, 0), sequence(100, 101)),
        (part("360p", 101, 0), sequence(100, 101)),
        (part("4k", 100, 0), WindowError::UnknownRendition(id("4k"))),
        (end("360p", 100), WindowError::NotOpen(MediaSequence(100))),
        (later_period, sequence(101, too_late)),
    ];
    for (event, error) in cases {
        assert_eq!(window.apply(&event), Err(error));
    }
    assert_eq!(window, before);
}

#[test]
fn an_event_again_changes_nothing() {
    let mut window = started();
    let events = [part("720p", 100, 0), part("720p", 100, 1), end("720p", 100)];
    let changes = |window: &mut LiveWindow| events.each_ref().map(|event| window.apply(event).unwrap());
    assert_eq!(changes(&mut window), [Change::Part, Change::Part, Change::Segment]);
    let before = window.clone();
    assert_eq!(changes(&mut window), [Change::Nothing; 3]);
    assert_eq!(window, before);
    assert_eq!(window.apply(&part("720p", 100, 2)), Err(WindowError::AfterSegmentEnd(MediaSequence(100))));
}

#[test]
fn a_segment_is_committed_when_every_rendition_has_it() {
    let mut window = started();
    for rendition in ["720p", "360p", "audio"] {
        assert_eq!(window.committed(), None);
        window.apply(&part(rendition, 100, 0)).unwrap();
        window.apply(&end(rendition, 100)).unwrap();
    }
    assert_eq!(window.committed(), Some(MediaSequence(100)));
}

#[test]
fn one_rendition_can_not_run_away() {
    let mut window = started();
    let run = (100..).find_map(|sequence| {
        window.apply(&part("720p", sequence, 0)).err().or_else(|| window.apply(&end("720p", sequence)).err())
    });
    assert_eq!(run, Some(WindowError::TooFarAhead(id("720p"))));
}

#[test]
fn limits_hold() {
    let mut window = started();
    let MediaEvent::Part { rendition, sequence, index, start, duration, independent, .. } =
        part("720p", 100, 0)
    else {
        panic!()
    };
    let bytes = Bytes::from(vec![0; window::MAX_PART_BYTES + 1]);
    let big = MediaEvent::Part { rendition, sequence, index, start, duration, independent, bytes };
    assert!(matches!(window.apply(&big), Err(WindowError::TooLarge { .. })));
    let many = (0..).find_map(|index| window.apply(&part("720p", 100, index)).err());
    assert!(matches!(many, Some(WindowError::TooLarge { limit: window::MAX_PARTS, .. })));
}

#[test]
fn a_period_without_parts_leaves_no_trace() {
    let mut window = started();
    window.apply(&period_start(1, MediaSequence(100), &Plan::steady(0, 0))).unwrap();
    window.apply(&part("720p", 100, 0)).unwrap();
    assert_eq!(window.init(&id("720p"), MediaSequence(100)).unwrap(), "init 1 720p");
    assert_eq!(window.apply(&period_start(0, MediaSequence(100), &Plan::steady(0, 0))), Ok(Change::Nothing));
}

#[test]
fn a_rendition_that_comes_and_goes_keeps_its_numbers() {
    let all = ladder();
    let fewer = ladder().split_off(1);
    let plan = |origin, renditions: &Vec<Rendition>| Plan {
        renditions: renditions.clone(),
        ..Plan::steady(origin, 4_000)
    };
    let plans = [plan(0, &all), plan(9_000, &fewer), plan(50_000, &all)];
    let events = events(MediaSequence(100), &plans);
    let window = window_of(opening(10), &events);
    let list = |name: &str| {
        let text = playlist::media(&window, &id(name), playlist::MediaOptions::default()).unwrap();
        crate::reader::read(&text)
    };
    let gone = list("720p");
    let steady = list("360p");
    assert_eq!((gone.media_sequence, steady.media_sequence), (106, 100));
    let of_steady = |sequence| steady.segments.iter().find(|s| s.sequence == sequence).unwrap();
    for segment in &gone.segments {
        let other = of_steady(segment.sequence);
        assert_eq!((segment.discontinuity, &segment.date), (other.discontinuity, &other.date));
    }
    assert!(window.segment(&id("720p"), MediaSequence(101)).is_some());
    assert_eq!(window_of(window.opening().clone(), &window.events()), window);
}

#[test]
fn a_newer_owner_of_the_same_broadcast_is_adopted() {
    let plan = [Plan::steady(0, 9_000)];
    let all = events(MediaSequence(100), &plan);
    let mut window = window_of(opening(10), &all[..all.len() / 2]);
    let newer = Opening { epoch: Epoch(5), first_sequence: MediaSequence(102), ..opening(10) };
    window.adopt(&newer).unwrap();
    let stale = WindowError::Fenced { held: Epoch(5), offered: Epoch(4) };
    assert_eq!(window.adopt(&opening(10)), Err(stale));
    let ahead = Opening { first_sequence: MediaSequence(120), ..newer.clone() };
    assert!(matches!(window.adopt(&ahead), Err(WindowError::SequenceSkipped { .. })));
    let broadcast = BroadcastId::new(UnixMillis(1), &[0; 10]);
    assert_eq!(window.adopt(&Opening { broadcast, ..newer }), Err(WindowError::OtherBroadcast));
    for event in &all {
        window.apply(event).unwrap();
    }
    assert_eq!(window.events(), window_of(opening(10), &all).events());
    assert_eq!(window.opening().epoch, Epoch(5));
}

/// Its own watch broke before the last parts came, and the owner that had them died.
#[test]
fn what_a_newer_owner_does_not_have_either_is_a_gap() {
    let all = events(MediaSequence(100), &[Plan::steady(0, 13_000)]);
    let is_first_of = |event: &MediaEvent, at: (u64, u32)| matches!(event, MediaEvent::Part { rendition, sequence, index, .. } if *rendition == id("720p") && (sequence.0, index.0) == at);
    let broke = all.iter().position(|event| is_first_of(event, (102, 3))).unwrap();
    let later = |event: &&MediaEvent| match event {
        MediaEvent::Part { sequence, .. } | MediaEvent::SegmentEnd { sequence, .. } => sequence.0 >= 104,
        _ => true,
    };
    let mut window = window_of(opening(10), &all[..broke]);
    let before: Vec<_> = (100..102).map(|n| window.segment(&id("720p"), MediaSequence(n)).cloned()).collect();
    let newer = Opening { epoch: Epoch(5), first_sequence: MediaSequence(104), ..opening(10) };
    window.adopt(&newer).unwrap();
    for event in all.iter().filter(later) {
        window.apply(event).unwrap();
    }
    for rendition in ["720p", "360p", "audio"] {
        let text = playlist::media(&window, &id(rendition), playlist::MediaOptions::default()).unwrap();
        let list = crate::reader::read(&text);
        let numbers: Vec<_> = list.segments.iter().map(|segment| segment.sequence).collect();
        assert_eq!(numbers, (100..=107).collect::<Vec<_>>(), "{text}");
        assert!(text.contains("#EXT-X-GAP\n#EXTINF:2.000000,\n03030303-103.m4s\n"), "{text}");
        assert!(
            text.contains("#EXTINF:0.9") || text.contains("#EXTINF:1.0"),
            "the rest of 102 is missing: {text}"
        );
    }
    let after: Vec<_> = (100..102).map(|n| window.segment(&id("720p"), MediaSequence(n)).cloned()).collect();
    assert_eq!(before, after, "what was there keeps its bytes");
}

#[test]
fn a_time_beyond_all_clocks_is_no_segment() {
    let window = window_of(opening(10), &events(MediaSequence(100), &[Plan::steady(0, 8_000)]));
    for ticks in [u64::MAX, 1_660_206_966_633_859, 1_660_206_966_633_859_645] {
        let named = window.timed(&id("720p"), MediaSequence(100), ticks);
        assert!(
            !named
                .is_some_and(|named| matches!(named, headwater_hls::window::Timed::Segment(n) if n.0 < 110)),
            "{named:?}"
        );
    }
}
