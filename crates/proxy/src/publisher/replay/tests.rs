use std::time::Duration;

use bytes::Bytes;
use headwater_media::{BroadcastId, MediaSequence, SegmentSettings, TagKind};
use metrics_exporter_prometheus::PrometheusBuilder;

use super::*;

const LIMITS: ReplayLimits = ReplayLimits { bytes: 1 << 20, duration: Duration::from_secs(5) };

fn point(period: u32, start: Option<u64>) -> ResumePoint {
    point_at(period, start, 100)
}

/// Point at which another server would go on, after one has begun there.
fn point_at(period: u32, start: Option<u64>, next: u64) -> ResumePoint {
    ResumePoint {
        broadcast: BroadcastId::new(UnixMillis(0), &[1; 10]),
        settings: SegmentSettings::default(),
        window_segments: 10,
        period: PeriodNumber(period),
        start: start.map(SourceTime::from_millis),
        next_sequence: MediaSequence(next),
        discontinuity_sequence: 0,
        kept: Vec::new(),
        begun_as: None,
        free: MediaSequence(next + 2),
        policy: None,
    }
}

fn period(number: u32, origin: u64) -> TimelineEvent {
    period_from(number, None, origin)
}

/// Period that begins behind a loss, with this segment.
fn period_from(number: u32, first_sequence: Option<u64>, origin: u64) -> TimelineEvent {
    TimelineEvent::Period(Period {
        number: PeriodNumber(number),
        first_sequence: first_sequence.map(MediaSequence),
        origin: SourceTime::from_millis(origin),
        wall_clock: UnixMillis(1_000_000 + origin),
        tracks: Period::tracks_of(Some(Bytes::from_static(b"avcC")), None),
    })
}

/// Keyframes, one a second, of 100 bytes and a picture after each.
fn pictures(replay: &mut Replay, times: std::ops::Range<u64>) {
    for time in times.step_by(500) {
        push(replay, picture(time, time.is_multiple_of(1_000)));
    }
}

fn picture(time: u64, keyframe: bool) -> TimelineEvent {
    let kind = TagKind::Video { keyframe };
    let payload = Bytes::from_static(&[7; 100]);
    TimelineEvent::Tag(Tag {
        track: Period::VIDEO_TRACK,
        kind,
        time: SourceTime::from_millis(time),
        composition_offset_us: 0,
        drift: 0,
        payload,
    })
}

/// Events that the server is sent.
fn push(replay: &mut Replay, event: TimelineEvent) -> Vec<TimelineEvent> {
    replay.push(event).collect()
}

/// Events that a server gets which goes on there, and the loss before them.
fn from(replay: &mut Replay, point: &mut ResumePoint) -> (Vec<TimelineEvent>, Option<Loss>) {
    let Replayed { events, lost } = replay.events_from(point);
    (events, lost)
}

/// Numbers of the periods, the first segments that they are given, origins, and the times of their first tags.
fn periods(events: &[TimelineEvent]) -> Vec<(u32, Option<u64>, u64, Option<u64>)> {
    let first_of = |nth: usize| match events.get(nth + 1) {
        Some(TimelineEvent::Tag(tag)) => Some(tag.time.as_millis()),
        _ => None,
    };
    let described = events.iter().enumerate().filter_map(|(nth, event)| match event {
        TimelineEvent::Period(period) => {
            assert_eq!(period.wall_clock.0, 1_000_000 + period.origin.as_millis());
            let first_sequence = period.first_sequence.map(|first| first.0);
            Some((period.number.0, first_sequence, period.origin.as_millis(), first_of(nth)))
        }
        TimelineEvent::Tag(_) => None,
    });
    described.collect()
}

#[test]
fn without_a_duration_nothing_is_kept() {
    let mut replay = Replay::new(ReplayLimits { duration: Duration::ZERO, ..LIMITS });
    assert_eq!(push(&mut replay, period(3, 0)), [period(3, 0)]);
    pictures(&mut replay, 0..4_000);
    assert!(!replay.is_on() && from(&mut replay, &mut point(3, None)) == (Vec::new(), None));
    assert_eq!((replay.buffer.bytes(), replay.buffer.lost()), (0, Loss::default()));
}

#[test]
fn what_is_all_there_is_given_as_it_was() {
    let mut replay = Replay::new(LIMITS);
    push(&mut replay, period(3, 0));
    pictures(&mut replay, 0..4_000);
    let mut begun = point(3, None);
    let (events, lost) = from(&mut replay, &mut begun);
    assert_eq!((periods(&events), lost), (vec![(3, None, 0, Some(0))], None));
    let mut later = point(3, Some(2_000));
    replay.commit(&later);
    let (events, lost) = from(&mut replay, &mut later);
    assert_eq!((periods(&events), lost), (vec![(3, None, 0, Some(1_000))], None));
    assert_eq!((begun, later), (point(3, None), point(3, Some(2_000))));
}

#[test]
fn what_is_left_after_a_loss_begins_a_period() {
    let mut replay = Replay::new(LIMITS);
    push(&mut replay, period(3, 0));
    pictures(&mut replay, 0..20_000);
    let mut to = point(3, Some(2_000));
    let (events, lost) = from(&mut replay, &mut to);
    assert_eq!(lost, Some(Loss { tags: 30, duration: Duration::from_millis(13_000) }));
    // Viewers may have parts of the segments 100 and 101.
    assert_eq!(periods(&events), [(4, Some(102), 15_000, Some(15_000))], "it begins with a keyframe");
    assert_eq!(to, point_at(4, None, 102));
    // That server is lost while it is sent this.
    let (events, lost) = from(&mut replay, &mut to);
    assert_eq!((periods(&events), lost), (vec![(4, Some(102), 15_000, Some(15_000))], None), "once");
    // The timeline does not know of it.
    assert_eq!(push(&mut replay, period(4, 90_000)), [period(5, 90_000)]);
    pictures(&mut replay, 90_000..110_000);
    let (events, lost) = from(&mut replay, &mut to);
    assert_eq!(
        (periods(&events)[0].0, to),
        (6, point_at(6, None, 104)),
        "the whole period before it is lost, and more"
    );
    assert_eq!(lost, Some(Loss { tags: 10 + 30, duration: Duration::from_millis(4_500 + 15_000) }));
}

/// A server was sent seven seconds, and its commits were not heard.
#[test]
fn what_a_lost_server_may_have_made_is_not_made_again() {
    let mut replay = Replay::new(LIMITS);
    push(&mut replay, period(3, 0));
    pictures(&mut replay, 0..9_500);
    let mut to = point(3, Some(2_320));
    assert_eq!(replay.first_unseen(&to).0, 100 + 4, "up to 4320, 6320, 8320, and what comes then");
    to.free = replay.first_unseen(&to);
    pictures(&mut replay, 9_500..20_000);
    let (events, _) = from(&mut replay, &mut to);
    assert_eq!((periods(&events)[0].1, to.next_sequence.0), (Some(104), 104));
    assert_eq!(replay.first_unseen(&to).0, 104 + 4, "of the new period");
    push(&mut replay, period(4, 90_000));
    pictures(&mut replay, 90_000..91_000);
    assert_eq!(replay.first_unseen(&to).0, 104 + 4 + 2, "of both");
    pictures(&mut replay, 91_000..120_000);
    assert_eq!(replay.first_unseen(&to).0, 104 + 10, "no more than a live window");
    replay.commit(&point_at(5, None, 200));
    assert_eq!(replay.first_unseen(&point_at(5, None, 200)).0, 200 + 10);
}

/// Another version of the encoder makes other parameter sets.
#[test]
fn a_period_that_no_server_goes_on_with_is_left_without_a_loss() {
    let mut replay = Replay::new(LIMITS);
    push(&mut replay, period(3, 0));
    pictures(&mut replay, 0..4_500);
    let mut to = point(3, Some(2_360));
    replay.restart_period(&mut to);
    assert_eq!(to, point_at(4, None, 102));
    let (events, lost) = from(&mut replay, &mut to);
    // It begins where the other one was left, and is decoded from the keyframe before that.
    assert_eq!((periods(&events), lost), (vec![(4, Some(102), 2_360, Some(0))], None));
    assert_eq!(push(&mut replay, period(4, 90_000)), [period(5, 90_000)], "the timeline does not know of it");
    let mut gone = point(3, Some(2_360));
    replay.restart_period(&mut gone);
    assert_eq!(gone, point(3, Some(2_360)), "there is no such period any more");
}

#[test]
fn without_anything_to_start_with_the_next_keyframe_begins_a_period() {
    let mut replay = Replay::new(LIMITS);
    push(&mut replay, period(3, 0));
    push(&mut replay, picture(0, true));
    for time in (500..10_000).step_by(500) {
        let event = picture(time, false);
        assert_eq!(push(&mut replay, event.clone()), [event], "the server that has all goes on with it");
    }
    let mut to = point(3, Some(2_000));
    let (events, lost) = from(&mut replay, &mut to);
    assert_eq!((periods(&events), &to), (vec![], &point_at(4, None, 102)));
    assert_eq!(lost, Some(Loss { tags: 20, duration: Duration::from_millis(9_500) }));
    assert_eq!(push(&mut replay, picture(10_000, false)), [], "it could not be decoded");
    let (events, lost) = from(&mut replay, &mut to);
    assert_eq!((events, lost, &to), (Vec::new(), None, &point_at(4, None, 102)), "once");
    let keyframe = picture(11_000, true);
    assert_eq!(push(&mut replay, keyframe.clone()), [period_from(4, Some(102), 11_000), keyframe]);
    assert_eq!(push(&mut replay, picture(11_500, false)).len(), 1);
    let (events, lost) = from(&mut replay, &mut to);
    assert_eq!((periods(&events), lost), (vec![(4, Some(102), 11_000, Some(11_000))], None));
    assert_eq!(push(&mut replay, period(4, 0)), [period(5, 0)], "the timeline does not know of it");
}

#[test]
fn a_period_of_the_timeline_is_one_to_start_with() {
    let mut replay = Replay::new(LIMITS);
    push(&mut replay, period(3, 0));
    (0..20).for_each(|nth| drop(push(&mut replay, picture(nth * 500, nth == 0))));
    let mut to = point(3, Some(2_000));
    from(&mut replay, &mut to);
    assert_eq!(push(&mut replay, period(4, 50_000)), [period_from(4, Some(102), 50_000)]);
    assert_eq!((push(&mut replay, picture(50_000, true)).len(), to), (1, point_at(4, None, 102)));
}

#[test]
fn who_has_sent_nothing_has_lost_nothing() {
    let mut replay = Replay::new(LIMITS);
    let mut to = point(3, None);
    assert_eq!(from(&mut replay, &mut to), (Vec::new(), None));
    assert_eq!(to, point(3, None));
    assert_eq!(push(&mut replay, period(3, 0)), [period(3, 0)]);
}

#[test]
fn its_size_and_losses_are_counted() {
    /// Bytes of a group: itself, its codec configuration, two tags.
    const GROUP_BYTES: u64 = 640 + size_of::<headwater_media::Track>() as u64 + 4 + 2 * (200 + 100);
    let recorder = PrometheusBuilder::new().build_recorder();
    let text = || recorder.handle().render();
    let shows = |name: &str, value: u64| {
        assert!(text().contains(&format!("headwater_proxy_replay_{name} {value}\n")), "{}", text())
    };
    metrics::with_local_recorder(&recorder, || {
        let mut replay = Replay::new(LIMITS);
        push(&mut replay, period(0, 0));
        pictures(&mut replay, 0..4_000);
        shows("bytes", 4 * GROUP_BYTES);
        replay.commit(&point(0, Some(2_000)));
        shows("bytes", 3 * GROUP_BYTES);
        shows("lost_tags_total", 0);
        pictures(&mut replay, 4_000..20_000);
        let lost = replay.buffer.lost().tags;
        assert!(lost > 0);
        shows("lost_tags_total", lost);
        let (_, missing) = from(&mut replay, &mut point(0, Some(2_000)));
        assert!(missing.is_some());
        pictures(&mut replay, 20_000..30_000);
        assert!(replay.buffer.lost().tags > 0);
        shows("lost_tags_total", lost + replay.buffer.lost().tags);
        drop(replay);
    });
    shows("bytes", 0);
}
