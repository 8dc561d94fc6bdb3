//! Tests of the points at which another producer continues, or may.

use headwater_hls::*;
use headwater_media::*;

use crate::broadcast::*;

/// The window of whole periods.
fn ended(plans: &[Plan]) -> LiveWindow {
    window_of(opening(10), &events(MediaSequence(100), plans))
}

/// The window while its last period goes on: without what only its end says.
fn going_on(plans: &[Plan], end: u64) -> LiveWindow {
    let mut window = LiveWindow::new(opening(10));
    let is_before = |event: &MediaEvent| match event {
        MediaEvent::Part { sequence, .. } | MediaEvent::SegmentEnd { sequence, .. } => sequence.0 < end,
        _ => true,
    };
    for event in events(MediaSequence(100), plans).iter().filter(|event| is_before(event)) {
        window.apply(event).unwrap();
    }
    window
}

/// Period, start, next sequence, discontinuity sequence, number of renditions.
fn place(point: &ResumePoint) -> (u32, Option<u64>, u64, u64, usize) {
    let ResumePoint { period, start, next_sequence, discontinuity_sequence, kept, .. } = point;
    (period.0, start.map(|start| start.as_millis()), next_sequence.0, *discontinuity_sequence, kept.len())
}

#[test]
fn without_anything_it_is_the_beginning() {
    let window = LiveWindow::new(opening(10));
    let point = window.resume_point();
    assert_eq!(place(&point), (0, None, 100, 0, 0));
    assert_eq!((point.broadcast, point.settings), (opening(10).broadcast, opening(10).settings));
    assert_eq!(window.starting_point(), point);
    assert_eq!(window.rejoin(&point), Some(point));
}

#[test]
fn with_nothing_whole_it_is_the_period() {
    let window = window_of(opening(10), &[period_start(0, MediaSequence(100), &Plan::steady(40, 0))]);
    assert_eq!(place(&window.resume_point()), (0, None, 100, 0, 3));
    assert_eq!(place(&window.starting_point()), (1, None, 100, 0, 3));
}

#[test]
fn within_a_period_it_is_the_boundary_after_what_every_rendition_has() {
    let mut window = going_on(&[Plan::steady(40, 9_000)], 102);
    assert_eq!(place(&window.resume_point()), (0, Some(2_360), 102, 0, 3));
    let others = |event: &MediaEvent| {
        matches!(event, MediaEvent::Part { rendition, sequence, .. } | MediaEvent::SegmentEnd { rendition, sequence }
            if sequence.0 == 102 && rendition.as_str() != "360p")
    };
    for event in events(MediaSequence(100), &[Plan::steady(40, 9_000)]).iter().filter(|event| others(event)) {
        window.apply(event).unwrap();
    }
    assert_eq!(place(&window.resume_point()), (0, Some(2_360), 102, 0, 3), "one rendition lacks it");
    assert_eq!(place(&window.starting_point()), (1, None, 103, 0, 3), "others have begun it");
}

#[test]
fn where_a_period_has_just_started_it_is_that_period() {
    let plans = [Plan::steady(40, 5_000), Plan::steady(90_000, 5_000)];
    let window = going_on(&plans, 104);
    assert_eq!(place(&window.resume_point()), (1, None, 104, 0, 3));
    let window = going_on(&plans, 105);
    assert_eq!(place(&window.resume_point()), (1, Some(90_320), 105, 1, 3));
}

#[test]
fn after_a_short_last_segment_it_is_the_boundary_that_the_segment_did_not_reach() {
    let window = ended(&[Plan::steady(40, 5_000)]);
    assert_eq!(place(&window.resume_point()), (0, Some(6_360), 104, 0, 3));
    assert_eq!(place(&window.starting_point()), (1, None, 104, 0, 3));
}

#[test]
fn a_window_that_has_gone_on_is_joined_where_it_is_now() {
    let plan = [Plan::steady(40, 9_000)];
    let before = going_on(&plan, 102).resume_point();
    let now = going_on(&plan, 104);
    assert_eq!(now.rejoin(&before), Some(now.resume_point()));
    assert_eq!(now.rejoin(&now.resume_point()), Some(now.resume_point()));
    let ahead = ResumePoint { next_sequence: MediaSequence(105), ..before };
    assert_eq!(now.rejoin(&ahead), None, "what lies between is missing");
}

#[test]
fn whoever_began_a_period_that_nothing_came_of_begins_it_again() {
    let window = going_on(&[Plan::steady(40, 9_000)], 102);
    let point = window.starting_point();
    assert_eq!(window.rejoin(&point), Some(point.clone()));
    let late = ResumePoint { next_sequence: MediaSequence(101), ..point };
    assert_eq!(window.rejoin(&late), None);
}

#[test]
fn a_period_that_was_ended_or_followed_is_not_joined() {
    let before = going_on(&[Plan::steady(40, 9_000)], 102).resume_point();
    assert_eq!(ended(&[Plan::steady(40, 5_000)]).rejoin(&before), None, "its last segment is short");
    let followed = ended(&[Plan::steady(40, 4_000), Plan::steady(90_000, 4_000)]);
    assert_eq!(followed.rejoin(&before), None, "another period has begun");
}

#[test]
fn what_is_lost_is_left_out_behind_all_that_viewers_may_have() {
    let lost_at = going_on(&[Plan::steady(40, 9_000)], 102).resume_point().begun();
    assert_eq!((place(&lost_at), lost_at.free.0), ((0, Some(2_360), 102, 0, 3), 104));
    let next = lost_at.left_out(PeriodNumber(1));
    assert_eq!((place(&next), next.free.0), ((1, None, 104, 0, 3), 104));
    assert_eq!(
        (next.clone().begun().free.0, next.begun().left_out(PeriodNumber(2)).next_sequence.0),
        (106, 106)
    );
}

/// A server was lost in the middle of segment 102, the next one made nothing of it before it lost its publisher, and begins a
/// new period where nobody has seen anything.
#[test]
fn a_period_after_a_lost_takeover_leaves_out_what_viewers_have_in_part() {
    let plan = Plan::steady(40, 9_000);
    let all = events(MediaSequence(100), &[plan]);
    let part = |event: &MediaEvent| matches!(event, MediaEvent::Part { sequence, index, .. } if (sequence.0, index.0) == (102, 0));
    let mut viewer = going_on(&[Plan::steady(40, 9_000)], 102);
    let lost_at = viewer.resume_point().begun();
    assert_eq!((lost_at.next_sequence.0, lost_at.free.0), (102, 104));
    all.iter().filter(|event| part(event)).for_each(|event| assert!(viewer.apply(event).is_ok()));

    let next = Opening { epoch: Epoch(9), first_sequence: lost_at.next_sequence, ..viewer.opening().clone() };
    let mut server = LiveWindow::new(next.clone());
    viewer.adopt(&next).unwrap();
    for mut event in events(lost_at.free, &[Plan::steady(90_000, 5_000)]) {
        if let MediaEvent::PeriodStart(period) = &mut event {
            period.number = PeriodNumber(1);
        }
        server.apply(&event).unwrap();
        viewer.apply(&event).unwrap();
    }
    assert_eq!((server.opening().first_sequence.0, server.committed()), (104, viewer.committed()));
    let text = playlist::media(&viewer, &"720p".parse().unwrap(), Default::default()).unwrap();
    let files = [102, 103, 104].map(|number| format!("03030303-{number}.m4s"));
    let [made, lost, next] = files.each_ref().map(String::as_str);
    let is_told = |line: &&str| [made, lost, next, "#EXT-X-GAP", "#EXT-X-DISCONTINUITY"].contains(line);
    let told: Vec<_> = text.lines().filter(is_told).collect();
    assert_eq!(told, [made, "#EXT-X-GAP", lost, "#EXT-X-DISCONTINUITY", next], "{text}");
    let copy = window_of(viewer.opening().clone(), &viewer.events());
    assert_eq!(copy, viewer, "a newcomer sees the same");
}

/// Two servers in a row were not heard: the last one made nothing of what it was sent.
#[test]
fn a_period_may_leave_out_as_much_as_a_window_holds() {
    let mut window = going_on(&[Plan::steady(40, 9_000)], 102);
    let first = MediaSequence(window.next_sequence().0 + window.most_left_out());
    for mut event in events(first, &[Plan::steady(90_000, 5_000)]) {
        if let MediaEvent::PeriodStart(period) = &mut event {
            period.number = PeriodNumber(1);
        }
        window.apply(&event).unwrap();
    }
    let text = playlist::media(&window, &"720p".parse().unwrap(), Default::default()).unwrap();
    let files = text.lines().filter_map(LiveObject::parse);
    let listed: Vec<_> = files.map(|file| file.object.sequence().0).collect();
    assert!(listed.windows(2).all(|pair| pair[1] == pair[0] + 1), "{text}");
    assert!(window.committed() > Some(first) && text.contains("#EXT-X-GAP"), "{text}");
    let copy = window_of(window.opening().clone(), &window.events());
    assert_eq!(copy, window, "a newcomer sees the same");
}
