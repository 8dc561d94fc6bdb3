use headwater_hls::Readiness::{Ready, TooFarAhead, Wait};
use headwater_hls::*;
use headwater_media::*;

use crate::broadcast::*;

#[test]
fn directives_are_read_and_wrong_ones_refused() {
    let parse = Directives::parse;
    let part = Until::Part(MediaSequence(7), PartIndex(2));
    let both = Directives { until: Some(part), skip: Some(Skip::Segments) };
    assert_eq!(parse(""), Ok(Directives::default()));
    assert_eq!(parse("token=a%20b&_HLS_msn=7&_HLS_part=2&_HLS_skip=YES"), Ok(both));
    assert_eq!(parse("_HLS_skip=v2").unwrap().skip, Some(Skip::SegmentsAndDateRanges));
    assert_eq!(parse("_HLS_msn=0").unwrap().until, Some(Until::Segment(MediaSequence(0))));
    assert_eq!(parse("_HLS_part=2"), Err(DirectivesError::PartWithoutSequence));
    assert_eq!(parse("_HLS_msn=1&_HLS_msn=1"), Err(DirectivesError::Repeated));
    assert_eq!(parse("_HLS_skip=NO"), Err(DirectivesError::Skip));
    for wrong in ["", "-1", "+1", "1.0", "a", "18446744073709551616"] {
        assert_eq!(parse(&format!("_HLS_msn={wrong}")), Err(DirectivesError::Number), "{wrong}");
    }
    assert_eq!(parse("_HLS_msn=1&_HLS_part=4294967296"), Err(DirectivesError::Number));
}

/// Segment 100 whole with one part, segment 101 whole with seven (0 to 6), segment 102 open with parts 0 and 1.
fn window() -> LiveWindow {
    let plan = Plan { renditions: vec![ladder().remove(0)], ..Plan::steady(0, 3_320) };
    let all = events(MediaSequence(100), &[plan]);
    let is_last = |event: &MediaEvent| matches!(event, MediaEvent::Part { sequence, index, .. } if (sequence.0, index.0) == (102, 1));
    let last = all.iter().position(is_last).unwrap();
    window_of(opening(10), &all[..=last])
}

fn readiness(window: &LiveWindow, sequence: u64, part: Option<u32>) -> Readiness {
    let sequence = MediaSequence(sequence);
    let until = part.map_or(Until::Segment(sequence), |part| Until::Part(sequence, PartIndex(part)));
    window.readiness(&id("720p"), &Directives { until: Some(until), skip: None })
}

#[test]
fn a_request_waits_for_what_comes_next_and_for_no_more_than_that() {
    let window = window();
    assert_eq!(window.readiness(&id("720p"), &Directives::default()), Ready);
    let cases = [
        (3, None, Ready),
        (101, None, Ready),
        (101, Some(6), Ready),
        (101, Some(99), Ready), // the first part of 102
        (102, Some(1), Ready),
        (102, Some(2), Wait),
        (102, None, Wait),
        (102, Some(10), Wait),
        (102, Some(11), TooFarAhead), // nine parts of a third of a second are three seconds
        (103, Some(0), Wait),
        (104, None, Wait),
        (105, None, TooFarAhead),
        (u64::MAX, Some(0), TooFarAhead),
    ];
    for (sequence, part, expected) in cases {
        assert_eq!(readiness(&window, sequence, part), expected, "{sequence} {part:?}");
    }
}

#[test]
fn a_part_beyond_the_end_of_a_segment_is_the_first_of_the_next() {
    let plan = Plan { renditions: vec![ladder().remove(0)], ..Plan::steady(0, 2_320) };
    let mut window = window_of(opening(10), &events(MediaSequence(100), &[plan]));
    assert_eq!(readiness(&window, 101, Some(6)), Ready);
    assert_eq!(readiness(&window, 101, Some(7)), Wait);
    assert_eq!(readiness(&window, 102, Some(0)), Wait);
    window.apply(&MediaEvent::BroadcastEnd).unwrap();
    assert_eq!(readiness(&window, 102, Some(0)), Ready);
    assert_eq!(readiness(&window, 900, None), Ready);
}
