use headwater_hls::playlist::{self, MediaOptions, media, multivariant};
use headwater_hls::*;
use headwater_media::*;
use quick_m3u8::HlsLine;
use quick_m3u8::tag::KnownTag;
use quick_m3u8::tag::hls::Tag;

use crate::broadcast::*;
use crate::reader::{read, tags};

fn live(plans: &[Plan]) -> LiveWindow {
    window_of(opening(10), &events(MediaSequence(100), plans))
}

fn text(window: &LiveWindow, rendition: &str) -> String {
    media(window, &id(rendition), MediaOptions::default()).unwrap()
}

#[test]
fn the_first_part_is_listed_at_once_and_is_a_segment() {
    let all = events(MediaSequence(100), &[Plan::steady(3_600_000, 4_000)]);
    let first_of_all = |events: &[MediaEvent]| window_of(opening(10), events).is_playable();
    let some = (1..).find(|n| first_of_all(&all[..*n])).unwrap();
    let window = window_of(opening(10), &all[..some]);
    let expected = "#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.050000,HOLD-BACK=6,CAN-SKIP-UNTIL=12
#EXT-X-PART-INF:PART-TARGET=0.350000
#EXT-X-MEDIA-SEQUENCE:100
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI=\"03030303-init-100.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:00.000Z
#EXT-X-PART:DURATION=0.320000,URI=\"03030303-100.0.m4s\",INDEPENDENT=YES
#EXTINF:0.320000,
03030303-100.m4s
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"03030303-101.0.m4s\"
#EXT-X-RENDITION-REPORT:URI=\"../360p/index.m3u8\",LAST-MSN=100,LAST-PART=0
#EXT-X-RENDITION-REPORT:URI=\"../audio/index.m3u8\",LAST-MSN=100,LAST-PART=0
";
    assert_eq!(text(&window, "720p"), expected);
}

#[test]
fn a_new_period_is_a_discontinuity_with_its_own_init_segment_and_clock() {
    let window = live(&[Plan::steady(5_000, 3_320), Plan::steady(0, 2_000)]);
    let expected = "#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI=\"03030303-init-103.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2027-01-15T09:00:00.000Z
#EXT-X-PART:DURATION=0.320000,URI=\"03030303-103.0.m4s\",INDEPENDENT=YES
";
    let text = text(&window, "360p");
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("#EXTINF:1.000000,\n03030303-102.m4s\n"), "{text}");
    assert!(text.contains("PROGRAM-DATE-TIME:2027-01-15T08:00:02.320Z"), "{text}");
}

#[test]
fn no_part_is_promised_that_the_grid_has_no_room_for() {
    let all = events(MediaSequence(100), &[Plan::steady(7, 4_000)]);
    let is_last = |event: &MediaEvent| {
        matches!(event, MediaEvent::Part { rendition, sequence, index, .. }
            if *rendition == id("720p") && (sequence.0, index.0) == (101, 6))
    };
    let last = all.iter().position(is_last).unwrap();
    let window = window_of(opening(10), &all[..=last]);
    assert!(window.segment(&id("720p"), MediaSequence(101)).is_none(), "its end is not said yet");
    assert!(text(&window, "720p").contains("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"03030303-102.0.m4s\""));
}

#[test]
fn parts_are_listed_for_three_target_durations() {
    let list = read(&text(&live(&[Plan::steady(0, 21_000)]), "720p"));
    let with_parts: Vec<_> =
        list.segments.iter().filter(|s| !s.parts.is_empty()).map(|s| s.sequence).collect();
    assert_eq!(with_parts, [108, 109, 110, 111]);
    assert_eq!(list.segments[0].sequence, 102);
}

#[test]
fn a_delta_update_skips_what_is_further_from_the_end_than_the_boundary() {
    let window = live(&[Plan::steady(0, 21_000)]);
    let skip = MediaOptions { skip: Some(Skip::Segments), ..MediaOptions::default() };
    let text = media(&window, &id("720p"), skip).unwrap();
    assert!(text.contains("#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXT-X-PROGRAM-DATE-TIME"), "{text}");
    let short = media(&live(&[Plan::steady(0, 8_000)]), &id("720p"), skip).unwrap();
    assert!(!short.contains("SKIP:"), "{short}");
}

#[test]
fn without_low_latency_only_whole_segments_are_listed() {
    let mut all = events(MediaSequence(100), &[Plan::steady(0, 5_000)]);
    all.truncate(all.len() - 4);
    let plain = MediaOptions { low_latency: false, ..MediaOptions::default() };
    let text = media(&window_of(opening(10), &all), &id("720p"), plain).unwrap();
    assert!(!text.contains("PART") && !text.contains("RENDITION-REPORT"), "{text}");
    assert!(text.ends_with("03030303-102.m4s\n"), "{text}");
}

#[test]
fn the_end_of_a_broadcast_is_said_and_nothing_more_is_promised() {
    let mut window = live(&[Plan::steady(0, 21_000)]);
    window.apply(&MediaEvent::BroadcastEnd).unwrap();
    let skip = MediaOptions { skip: Some(Skip::Segments), ..MediaOptions::default() };
    let list = read(&media(&window, &id("720p"), skip).unwrap());
    assert!(list.ended && list.hint.is_none() && list.reports.is_empty() && list.skipped == 0);
}

#[test]
fn a_rendition_that_ends_early_has_a_gap() {
    let ends_early = Plan { audio_excess: -1_500, ..Plan::steady(0, 3_320) };
    let window = live(&[ends_early, Plan::steady(0, 2_000)]);
    let text = text(&window, "audio");
    assert!(
        text.contains("#EXT-X-GAP\n#EXTINF:1.000000,\n03030303-102.m4s\n#EXT-X-DISCONTINUITY\n"),
        "{text}"
    );
    assert!(window.segment(&id("audio"), MediaSequence(102)).is_none());
}

#[test]
fn no_such_rendition_no_playlist() {
    assert_eq!(media(&live(&[Plan::steady(0, 2_000)]), &id("4k"), MediaOptions::default()), None);
    assert_eq!(multivariant(&LiveWindow::new(opening(10))), None);
}

#[test]
fn the_multivariant_playlist_has_a_variant_for_each_video_and_a_group_for_the_audio() {
    let window = live(&[Plan::steady(0, 2_000)]);
    // 4,000 bytes a keyframe, 200 a frame more: far below what was declared.
    let text = multivariant(&window).unwrap();
    let expected = "#EXTM3U
#EXT-X-VERSION:9
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"audio\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"audio/index.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=2928000,AVERAGE-BANDWIDTH=AVERAGE,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=29.970,AUDIO=\"audio\"
720p/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=928000,AVERAGE-BANDWIDTH=AVERAGE,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=640x360,FRAME-RATE=29.970,AUDIO=\"audio\"
360p/index.m3u8
";
    let bytes = |name| {
        let segments = [100, 101].map(|n| window.segment(&id(name), MediaSequence(n)).unwrap());
        let bits: usize = segments.iter().map(|segment| segment.size() * 8).sum();
        let seconds: f64 = segments.iter().map(|segment| segment.duration().as_secs_f64()).sum();
        (bits as f64 / seconds).ceil() as u64
    };
    let average = (bytes("720p") + bytes("audio")).to_string();
    assert_eq!(text, expected.replace("AVERAGE-BANDWIDTH=AVERAGE", &format!("AVERAGE-BANDWIDTH={average}")));
}

#[test]
fn bandwidth_is_never_below_what_was_sent() {
    let lean = |mut rendition: Rendition| {
        rendition.declared_bitrate = 1;
        rendition
    };
    let plan = Plan { renditions: ladder().into_iter().map(lean).collect(), ..Plan::steady(0, 20_000) };
    let window = live(&[plan]);
    let declared: Vec<_> = tags(&multivariant(&window).unwrap()).into_iter().filter_map(bandwidth).collect();
    // The first segment is short, and counts together with the second one.
    let runs: Vec<_> =
        std::iter::once(vec![100, 101]).chain((101..110).map(|sequence| vec![sequence])).collect();
    let rate = |name: &str, run: &[u64]| {
        let of = |sequence: &u64| window.segment(&id(name), MediaSequence(*sequence)).unwrap();
        let bits: usize = run.iter().map(|sequence| of(sequence).size() * 8).sum();
        bits as f64 / run.iter().map(|sequence| of(sequence).duration().as_secs_f64()).sum::<f64>()
    };
    let peak = |name: &str| runs.iter().map(|run| rate(name, run)).fold(0.0, f64::max);
    assert!(declared[0] as f64 >= peak("720p") + peak("audio"));
    assert!((declared[0] as f64) < 1.1 * (peak("720p") + peak("audio")));
}

fn bandwidth(line: HlsLine<'_>) -> Option<u64> {
    match line {
        HlsLine::KnownTag(KnownTag::Hls(Tag::StreamInf(tag))) => Some(tag.bandwidth()),
        _ => None,
    }
}

#[test]
fn without_video_the_audio_is_the_variant() {
    let window = live(&[Plan { renditions: vec![audio()], ..Plan::steady(0, 2_000) }]);
    let text = multivariant(&window).unwrap();
    assert!(
        !text.contains("EXT-X-MEDIA") && !text.contains("RESOLUTION") && !text.contains("AUDIO="),
        "{text}"
    );
    assert!(text.ends_with("CODECS=\"mp4a.40.2\"\naudio/index.m3u8\n"), "{text}");
}

#[test]
fn without_audio_no_group_is_named() {
    let window = live(&[Plan { renditions: vec![ladder().remove(0)], ..Plan::steady(0, 2_000) }]);
    let text = multivariant(&window).unwrap();
    assert!(!text.contains("AUDIO") && text.contains("CODECS=\"avc1.64001f\",RESOLUTION=1280x720"), "{text}");
}

/// Players know segments by their numbers, and take one list for one broadcast's.
#[test]
fn what_another_broadcast_left_is_listed_by_its_own_numbers_or_not_at_all() {
    let plan = Plan::steady(0, 8_000);
    let mut before = window_of(opening(10), &events(MediaSequence(100), std::slice::from_ref(&plan)));
    before.apply(&MediaEvent::BroadcastEnd).unwrap();
    let window = |first: u64, plan: &Plan, settings| {
        let broadcast = BroadcastId::new(UnixMillis(1_800_000_060_000), &[4; 10]);
        let first_sequence = MediaSequence(first);
        let opening = Opening { broadcast, first_sequence, settings, ..opening(10) };
        window_of(opening, &events(first_sequence, std::slice::from_ref(plan)))
    };
    let list = |window: &LiveWindow, name: &str| {
        let list = playlist::media_after(&before, window, &id(name), MediaOptions::default()).unwrap();
        let alone = media(window, &id(name), MediaOptions::default()).unwrap();
        (list != alone).then_some(list)
    };
    let settings = SegmentSettings::default();
    let near = list(&window(107, &plan, settings), "audio").unwrap();
    let uris: Vec<_> = near.lines().filter(|line| !line.starts_with('#')).collect();
    let tag = |number: u64| if number < 107 { "03030303" } else { "04040404" };
    let expected: Vec<_> = (100..112).map(|number| format!("{}-{number}.m4s", tag(number))).collect();
    assert!(near.contains("#EXT-X-MEDIA-SEQUENCE:100\n") && uris == expected, "{near}");
    assert_eq!(near.matches("#EXT-X-GAP\n#EXTINF:2.").count(), 2, "{near}");
    assert_eq!(list(&window(104, &plan, settings), "audio"), None, "a number would be two segments'");
    assert_eq!(list(&window(116, &plan, settings), "audio"), None, "too many would be missing");
    let others = SegmentSettings { part_ms: 500, ..settings };
    assert_eq!(list(&window(107, &plan, others), "audio"), None, "it has other settings");
    let mut larger = plan.clone();
    larger.renditions.insert(0, video("1080p", 1920, 1080, 5_000_000));
    let larger = window(107, &larger, settings);
    assert_eq!(list(&larger, "1080p"), None, "it has no such rendition");
    assert!(list(&larger, "720p").is_some());
}

/// An origin that has shown another broadcast before counts its discontinuities, too, and goes on so when the window does
/// not join on any more and is replaced.
#[test]
fn a_window_that_is_replaced_goes_on_counting_discontinuities() {
    let plan = Plan::steady(0, 8_000);
    let period = Plan::steady(5_000, 4_000);
    let broadcast = BroadcastId::new(UnixMillis(1_800_000_060_000), &[3; 10]);
    let window = |first: u64, discontinuity_sequence, plans: &[Plan]| {
        let first_sequence = MediaSequence(first);
        let opening = Opening { broadcast, first_sequence, discontinuity_sequence, ..opening(10) };
        window_of(opening, &events(first_sequence, plans))
    };
    let sequence = |window: &LiveWindow| {
        let list = text(window, "720p");
        let number = list.lines().find_map(|line| line.strip_prefix("#EXT-X-DISCONTINUITY-SEQUENCE:"));
        number.unwrap().parse::<u64>().unwrap()
    };
    let before = live(&[period.clone(), plan.clone()]);
    let mut shown = window(200, 0, std::slice::from_ref(&plan));
    shown.follow(&before);
    assert_eq!(sequence(&shown), 2, "the one within the broadcast before, and the change to this one");
    // Its next server's window begins behind media that this origin has missed, with a period among it.
    let mut next = window(240, 1, std::slice::from_ref(&plan));
    next.replace(&shown);
    assert_eq!(sequence(&next), 3);
    let mut third = window(280, 4, std::slice::from_ref(&period));
    third.replace(&next);
    assert_eq!(sequence(&third), 6);
}
