//! Tests that every rung labels its colours alike, and as they are.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::process::Command;

use bytes::Bytes;
use headwater_hls::cmaf::read;
use headwater_media::{AvcConfig, Colours};
use support::{Output, Source, start, transcode};

const BT709: Colours = Colours { primaries: 1, transfer: 1, matrix: 1, full_range: false };
const SMPTE170M: Colours = Colours { primaries: 6, transfer: 6, matrix: 6, full_range: false };
const BT2020: Colours = Colours { primaries: 9, transfer: 14, matrix: 9, full_range: false };

/// A second of one colour: limited range, and far from grey.
fn orange(size: &str, labels: &str) -> Source {
    let picture = format!("-f lavfi -i color=c=0xff8000:size={size}:rate=30:duration=1");
    let h264 = "-c:v libx264 -preset ultrafast -tune zerolatency -g 30 -pix_fmt yuv420p";
    Source::ffmpeg(&format!("{picture} {h264} {labels}"))
}

fn labels(primaries: &str, transfer: &str, matrix: &str) -> String {
    format!(
        "-bsf:v h264_metadata=colour_primaries={primaries}:transfer_characteristics={transfer}:matrix_coefficients={matrix}"
    )
}

/// Colours in each rung's parameter set.
fn said(output: &Output) -> Vec<Option<Colours>> {
    let videos = output.video_names(0).len();
    let inits = output.periods[0].renditions.iter().take(videos).map(|(_, init)| init);
    inits.map(|init| colours(&Bytes::copy_from_slice(read::avc_record(init).unwrap()))).collect()
}

fn colours(record: &Bytes) -> Option<Colours> {
    AvcConfig::parse(record).unwrap().picture().unwrap().colours
}

/// Luma and chroma in the middle of the first picture, as they are coded.
fn middle(file: &[u8]) -> [u8; 3] {
    let path = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
    std::fs::write(path.path(), file).unwrap();
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-i"])
        .arg(path.path())
        .args("-frames:v 1 -vf crop=2:2,format=yuv420p|yuvj420p -f rawvideo -".split_whitespace())
        .output()
        .unwrap();
    let [luma, .., blue, red] = output.stdout[..] else { panic!("{output:?}") };
    [luma, blue, red]
}

#[test]
fn all_rungs_say_what_the_source_says() {
    for (labels, wanted) in [
        (labels("1", "1", "1"), BT709),
        (labels("6", "6", "6"), SMPTE170M),
        (labels("9", "14", "9"), BT2020),
        (labels("2", "2", "6"), SMPTE170M),
    ] {
        for size in ["320x180", "1280x720"] {
            let source = orange(size, &labels);
            let output = transcode(start(), source.events(0));
            assert_eq!(said(&output), [Some(wanted); 2], "{size} {labels}");
        }
    }
}

#[test]
fn a_source_that_says_nothing_is_what_is_usual_for_its_size_in_all_rungs() {
    for (size, wanted) in [("1280x720", BT709), ("1280x718", SMPTE170M), ("320x180", SMPTE170M)] {
        let mut start = start();
        start.ladder.rungs = ["1280x720@1M", "160x90@150k"].map(|rung| rung.parse().unwrap()).into();
        let source = orange(size, "");
        assert_eq!(colours(source.video.as_ref().unwrap()), None, "it is a source that says nothing");
        let output = transcode(start, source.events(0));
        let rungs = output.video_names(0);
        assert_eq!(said(&output), vec![Some(wanted); rungs.len()], "{size}");
    }
}

/// The labels change, the numbers that they explain don't: not when they are made smaller, in whichever range.
#[test]
fn scaling_leaves_the_numbers_as_they_are() {
    for (format, range, full_range) in
        [("yuv420p", "tv", false), ("yuv420p", "pc", true), ("gray", "tv", false), ("gray", "pc", true)]
    {
        let picture = "-f lavfi -i color=c=0xff8000:size=1280x720:rate=30:duration=1";
        let scale = format!("-vf scale=out_range={range},format={format}");
        let h264 = "-c:v libx264 -preset ultrafast -qp 4 -g 30";
        let source = Source::ffmpeg(&format!("{picture} {scale} {h264} -color_range {range}"));
        let mut start = start();
        start.ladder.rungs =
            ["1280x720@9M", "640x360@3M", "160x90@1M"].map(|rung| rung.parse().unwrap()).into();
        let output = transcode(start, source.events(0));
        assert_eq!(said(&output), [Some(Colours { full_range, ..BT709 }); 3], "{format} {range}");
        let names = output.video_names(0);
        let middles: Vec<_> = names.iter().map(|name| middle(&output.file(0, name))).collect();
        // 0.299 + 0.587 / 2 of 219 steps, from 16 on; or of 255.
        let luma = if full_range { 151 } else { 146 };
        for [y, blue, red] in &middles {
            let chroma_is_right = (blue.abs_diff(128) <= 3 && red.abs_diff(128) <= 3) == (format == "gray");
            assert!(y.abs_diff(luma) <= 3 && chroma_is_right, "{format} {range}: {middles:?}");
            assert!(blue.abs_diff(middles[0][1]) <= 2 && red.abs_diff(middles[0][2]) <= 2, "{middles:?}");
        }
    }
}
