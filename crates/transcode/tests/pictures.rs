//! Real media through real pipelines.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use headwater_media::{RenditionKind, SegmentSettings};
use support::source::{self, picture, tone};
use support::{Source, attempt, start, transcode};

#[test]
fn every_frame_comes_out_once_in_every_rendition() {
    let source = Source::usual("320x180", 30, 5).later(5_000_000_000);
    let output = transcode(start(), source.events(0));
    output.check();
    assert_eq!(output.names(0), ["180p", "90p", "audio"]);
    let times: Vec<_> = source
        .tags
        .iter()
        .filter(|tag| tag.is_video())
        .map(|tag| tag.presentation_time().as_millis())
        .collect();
    for name in output.video_names(0) {
        let decoded: Vec<_> =
            output.decoded_times(0, &name).iter().map(|time| (time * 1_000.0).round() as u64).collect();
        assert_eq!(decoded, times, "{name}");
    }
    assert_eq!(output.periods[0].first_sequence.0, 1_000);
    let kind = &output.renditions(0)[0].kind;
    assert_eq!(*kind, RenditionKind::Video { width: 320, height: 180, frame_rate: 30.0 });
    let codecs: Vec<_> = output.renditions(0).into_iter().map(|rendition| rendition.codecs).collect();
    assert!(codecs[0].starts_with("avc1.6400") && codecs[2] == "mp4a.40.2", "{codecs:?}");
}

#[test]
fn b_frames_are_shown_in_their_order() {
    let h264 = "-c:v libx264 -preset fast -bf 3 -b_strategy 0 -pix_fmt yuv420p -g 50";
    let source = Source::ffmpeg(&format!("{} {} {h264} {}", picture("320x180", 25, 5), tone(5), source::AAC));
    assert!(source.tags.iter().any(|tag| tag.composition_offset_us > 0));
    let output = transcode(start(), source.events(0));
    output.check();
    let mut times: Vec<_> = source
        .tags
        .iter()
        .filter(|tag| tag.is_video())
        .map(|tag| tag.presentation_time().as_millis())
        .collect();
    times.sort_unstable();
    assert_eq!(millis(&output.decoded_times(0, "180p")), times);
}

#[test]
fn odd_sizes_and_portrait_are_fitted() {
    for (size, expected) in [("853x479", (320, 180)), ("180x320", (180, 320)), ("121x67", (120, 66))] {
        let h264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv444p -g 30";
        let source = Source::ffmpeg(&format!("{} {h264}", picture(size, 30, 3)));
        let output = transcode(start(), source.events(0));
        output.check();
        let RenditionKind::Video { width, height, .. } = output.renditions(0)[0].kind else { panic!() };
        assert_eq!((width, height), expected, "{size}");
        assert_eq!(output.decoded_times(0, &output.names(0)[0]).len(), 90, "{size}");
    }
}

#[test]
fn every_chroma_format_and_depth_is_decoded() {
    for format in ["yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "gray", "yuvj420p"] {
        let h264 = format!("-c:v libx264 -preset ultrafast -pix_fmt {format} -g 30");
        let source = Source::ffmpeg(&format!("{} {h264}", picture("320x180", 30, 2)));
        let output = transcode(start(), source.events(0));
        output.check();
        assert_eq!(output.decoded_times(0, "180p").len(), 60, "{format}");
    }
    let source =
        Source::ffmpeg(&format!("{} -c:v libx264rgb -preset ultrafast -g 30", picture("320x180", 30, 2)));
    assert_eq!(transcode(start(), source.events(0)).decoded_times(0, "180p").len(), 60);
}

#[test]
fn a_slow_source_fills_every_part() {
    let source = Source::usual("320x180", 2, 7);
    let output = transcode(start(), source.events(0));
    output.check();
    let times = millis(&output.decoded_times(0, "180p"));
    let longest = SegmentSettings::default().part_target().as_millis();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= longest));
    for tag in source.tags.iter().filter(|tag| tag.is_video()) {
        assert!(times.contains(&tag.presentation_time().as_millis()));
    }
}

#[test]
fn a_fast_source_is_capped() {
    let mut start = start();
    start.ladder.max_frame_rate = 30;
    let source = Source::usual("320x180", 60, 3);
    let output = transcode(start, source.events(0));
    output.check();
    assert_eq!(output.decoded_times(0, "180p").len(), 90);
    assert!(matches!(output.renditions(0)[0].kind, RenditionKind::Video { frame_rate: 30.0, .. }));
}

#[test]
fn frames_that_were_lost_are_replaced_by_the_last_one() {
    let source = Source::usual("320x180", 30, 6);
    let lost =
        source.clone().filtered(|tag| !tag.is_video() || !(2_000..4_000).contains(&tag.time.as_millis()));
    let output = transcode(start(), lost.events(0));
    output.check();
    let times = millis(&output.decoded_times(0, "180p"));
    let longest = SegmentSettings::default().part_target().as_millis();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= longest));
    assert!(times.len() < source.pictures() && output.stats.last().unwrap().frames_repeated >= 4);
}

/// The picture stops, the sound goes on: the segments must not wait for the picture.
#[test]
fn a_camera_that_is_switched_off_leaves_its_last_picture() {
    let source =
        Source::usual("320x180", 30, 8).filtered(|tag| !tag.is_video() || tag.time.as_millis() < 2_500);
    let output = transcode(start(), source.events(0));
    output.check();
    let last = *millis(&output.decoded_times(0, "180p")).last().unwrap();
    assert!((6_500..=7_100).contains(&last), "{last}");
}

#[test]
fn a_source_that_says_no_sane_frame_rate_is_measured() {
    let timing = "-bsf:v h264_metadata=tick_rate=900000";
    let h264 = source::h264(25);
    let source =
        Source::ffmpeg(&format!("{} {} {h264} {timing} {}", picture("320x180", 25, 3), tone(3), source::AAC));
    let output = transcode(start(), source.events(0));
    output.check();
    assert_eq!(output.decoded_times(0, "180p").len(), 75);
    assert!(matches!(output.renditions(0)[0].kind, RenditionKind::Video { frame_rate: 25.0, .. }));
}

fn millis(seconds: &[f64]) -> Vec<u64> {
    seconds.iter().map(|time| (time * 1_000.0).round() as u64).collect()
}

/// The record that the proxy has looked at says 320x180.
#[test]
fn a_picture_that_grows_beyond_the_limit_within_the_stream_is_refused() {
    let small = Source::usual("320x180", 30, 2).without_audio();
    let h264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -bsf:v dump_extra=freq=keyframe";
    let mut source = Source::ffmpeg(&format!("{} {h264}", picture("4112x64", 30, 2)));
    source.video = small.video;
    let (result, _) = attempt(start(), source.events(0));
    let error = result.unwrap_err();
    assert!(error.is_unsupported_media(), "{error}");
    assert!(error.to_string().contains("4112x64"), "{error}");
}
