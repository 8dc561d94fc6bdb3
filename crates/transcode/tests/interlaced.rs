//! Sources of fields: what is shown has no comb in it.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use headwater_media::{AvcConfig, Ladder};
use headwater_transcode::Start;
use support::output::decode;
use support::{Output, Source, ladder, start, transcode};

const WIDTH: usize = 320;
const HEIGHT: usize = 192;
/// A row that differs by so much from both of its neighbours, in the same direction, may be the tooth of a comb.
const TOOTH: i32 = 24;

#[test]
fn fields_of_either_order_become_whole_pictures() {
    for (order, weave) in [("tff", "interleave_top"), ("bff", "interleave_bottom")] {
        let source = fields(order, weave, "yuv420p");
        assert!(worst(&combs(&woven(weave))) > 0.1, "the measure finds combs");
        let output = transcode(same_size(), source.events(0));
        output.check();
        check_pictures(&source, &output, order);
    }
}

#[test]
fn fields_of_more_than_eight_bits_become_whole_pictures() {
    for format in ["yuv420p10le", "yuv422p10le", "yuv422p"] {
        let source = fields("tff", "interleave_top", format);
        let output = transcode(same_size(), source.events(0));
        check_pictures(&source, &output, format);
    }
}

/// As encoders mark film in an interlaced stream: every picture is whole.
#[test]
fn whole_pictures_of_a_stream_that_may_have_fields_stay_as_they_are() {
    let h264 = format!("{H264} -x264-params fake-interlaced=1 -pix_fmt yuv420p");
    let size = format!("{WIDTH}x{HEIGHT}");
    let [fake, plain] = [h264, format!("{H264} -pix_fmt yuv420p")]
        .map(|h264| Source::ffmpeg(&format!("-f lavfi -i testsrc2=size={size}:rate=30:duration=2 {h264}")));
    assert!(is_interlaced(&fake) && !is_interlaced(&plain));
    let [fake, plain] = [fake, plain].map(|source| luma(&transcode(same_size(), source.events(0))));
    assert_eq!(fake.len(), plain.len());
    let difference = fake.iter().zip(&plain).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>();
    assert!(difference / fake.len() as u64 <= 3, "{difference}");
}

const H264: &str = "-c:v libx264 -preset ultrafast -crf 12 -tune zerolatency -g 30 -sc_threshold 0";

/// 60 fields a second, each of another moment, as 30 frames.
fn fields(order: &str, weave: &str, format: &str) -> Source {
    let interlaced = "-flags +ildct+ilme";
    let x264 = format!("-x264-params {order}=1");
    let source = Source::ffmpeg(&format!("{} {H264} -pix_fmt {format} {interlaced} {x264}", picture(weave)));
    assert!(is_interlaced(&source));
    source
}

fn picture(weave: &str) -> String {
    format!(
        "-f lavfi -i testsrc2=size={WIDTH}x{HEIGHT}:rate=60:duration=3 -vf scroll=h=0.02,tinterlace={weave}"
    )
}

fn is_interlaced(source: &Source) -> bool {
    AvcConfig::parse(source.video.as_ref().unwrap()).unwrap().picture().unwrap().interlaced
}

/// Settings with a rung of the source's size: without scaling, a comb would stay one.
fn same_size() -> Start {
    let rungs = vec![format!("{WIDTH}x{HEIGHT}@4000k").parse().unwrap()];
    Start { ladder: Ladder { rungs, crf: 15.0, ..ladder() }, ..start() }
}

fn check_pictures(source: &Source, output: &Output, what: &str) {
    let name = &output.video_names(0)[0];
    let expected: Vec<_> = source
        .tags
        .iter()
        .filter(|tag| tag.is_video())
        .map(|tag| tag.presentation_time().as_millis())
        .collect();
    let shown: Vec<_> =
        output.decoded_times(0, name).iter().map(|time| (time * 1_000.0).round() as u64).collect();
    assert_eq!(shown, expected, "{what}");
    let combs = combs(&luma(output));
    assert!(worst(&combs) < 0.03, "{what}: {combs:.3?}");
}

fn luma(output: &Output) -> Vec<u8> {
    decode(&output.file(0, &output.video_names(0)[0]), "-f rawvideo -pix_fmt gray")
}

/// The source's pictures before anything was encoded.
fn woven(weave: &str) -> Vec<u8> {
    let arguments = picture(weave);
    let output = std::process::Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin"])
        .args(arguments.split_whitespace())
        .args(["-f", "rawvideo", "-pix_fmt", "gray", "-"])
        .output()
        .unwrap();
    output.stdout
}

/// For each picture the share of samples that stick out of the rows above and below.
fn combs(luma: &[u8]) -> Vec<f64> {
    let pictures = luma.chunks_exact(WIDTH * HEIGHT);
    pictures.map(comb).collect()
}

fn comb(picture: &[u8]) -> f64 {
    let sample = |at: usize| i32::from(picture[at]);
    let is_tooth = |at: &usize| {
        let above = sample(*at) - sample(at - WIDTH);
        let below = sample(*at) - sample(at + WIDTH);
        above.signum() == below.signum() && above.abs().min(below.abs()) > TOOTH
    };
    let inner = WIDTH..WIDTH * (HEIGHT - 1);
    inner.clone().filter(is_tooth).count() as f64 / inner.len() as f64
}

fn worst(combs: &[f64]) -> f64 {
    combs.iter().copied().fold(0.0, f64::max)
}
