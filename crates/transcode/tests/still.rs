//! Still pictures of what the transcoder made.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use bytes::Bytes;
use headwater_transcode::{preload, still};
use headwater_wire::v2::StillRequest;
use headwater_wire::v2::still_request::Picture;
use support::output::{Output, decode};
use support::{Source, source, start, transcode};

const RATE: u32 = 25;

/// Frame `n` is a field of grey whose luma is 16 + 4 n; 50 frames.
fn grey() -> Output {
    let picture = "-f lavfi -i color=s=320x180:r=25:d=2,format=yuv420p,geq=lum='16+4*N':cb=128:cr=128";
    let output = transcode(start(), Source::ffmpeg(&format!("{picture} {}", source::h264(RATE))).events(0));
    output.check();
    output
}

/// A segment whole, and where it begins.
fn segment(output: &Output, rendition: &str, sequence: u64) -> (Bytes, u64) {
    let parts: Vec<_> =
        output.parts_of(0, rendition).into_iter().filter(|part| part.sequence == sequence).collect();
    (parts.iter().flat_map(|part| part.bytes.to_vec()).collect(), parts[0].start.0)
}

fn init(output: &Output, rendition: &str) -> Bytes {
    let inits = &output.periods[0].renditions;
    inits.iter().find(|(known, _)| known.id.as_str() == rendition).unwrap().1.clone()
}

fn one(output: &Output, media: Bytes, offset_us: u64, height: u32) -> StillRequest {
    let pictures = vec![Picture { init: init(output, "180p"), media, offset_us }];
    StillRequest { pictures, columns: 1, rows: 1, height, width: 0 }
}

/// The size of a JPEG, and its luma.
fn luma(jpeg: &[u8]) -> (usize, Vec<u8>) {
    let scaled = decode(jpeg, "-f rawvideo -pix_fmt yuvj420p");
    let pixels = scaled.len() / 3 * 2;
    (pixels, scaled[..pixels].to_vec())
}

/// The number of the grey frame that a JPEG shows.
fn frame(jpeg: &[u8]) -> f64 {
    let (pixels, luma) = luma(jpeg);
    let mean = luma.iter().map(|value| f64::from(*value)).sum::<f64>() / pixels as f64;
    mean / 255.0 * 219.0 / 4.0
}

#[test]
fn the_frame_of_any_moment_is_found() {
    preload().unwrap();
    let output = grey();
    let (media, begins) = segment(&output, "180p", 1_001);
    let origin = output.periods[0].origin.0;
    for after in [0, 39_000, 40_000, 200_000, 1_000_000, 60_000_000] {
        let jpeg = still::make(&one(&output, media.clone(), after, 180)).unwrap();
        let last = 49.0;
        let expected = (((begins - origin + after) / 40_000) as f64).min(last);
        assert!((frame(&jpeg) - expected).abs() < 0.5, "{after}: {} and not {expected}", frame(&jpeg));
    }
    // What is cut off is shown up to there.
    let cut = media.slice(..media.len() / 2);
    let half = frame(&still::make(&one(&output, cut, 60_000_000, 180)).unwrap());
    let first = ((begins - origin) / 40_000) as f64;
    assert!(half > first && half < 48.0, "{half}");
}

#[test]
fn sizes_are_even_and_nothing_is_enlarged() {
    preload().unwrap();
    let output = grey();
    let (media, _) = segment(&output, "180p", 1_000);
    for (height, pixels) in
        [(90, 160 * 90), (72, 128 * 72), (50, 88 * 50), (180, 320 * 180), (720, 320 * 180)]
    {
        let jpeg = still::make(&one(&output, media.clone(), 0, height)).unwrap();
        assert_eq!(luma(&jpeg).0, pixels, "{height}");
    }
}

#[test]
fn a_sheet_holds_its_pictures_and_leaves_out_what_is_damaged() {
    preload().unwrap();
    let output = grey();
    let (media, begins) = segment(&output, "180p", 1_001);
    let picture = |offset_us, media| Picture { init: init(&output, "180p"), media, offset_us };
    let damaged = Bytes::from_static(b"not a segment");
    let pictures = vec![picture(0, media.clone()), picture(0, damaged), picture(400_000, media.clone())];
    let request = StillRequest { pictures, columns: 2, rows: 2, height: 60, width: 140 };
    let (pixels, luma) = luma(&still::make(&request).unwrap());
    assert_eq!(pixels, 280 * 120);
    let at = |x: usize, y: usize| f64::from(luma[y * 280 + x]) / 255.0 * 219.0 / 4.0;
    let first = ((begins - output.periods[0].origin.0) / 40_000) as f64;
    assert!((at(70, 30) - first).abs() < 0.7 && (at(70, 90) - first - 10.0).abs() < 0.7);
    assert!(
        at(2, 30) < 1.0 && at(210, 30) < 1.0 && at(210, 90) < 1.0,
        "edges and missing pictures are black"
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    preload().unwrap();
    let output = grey();
    let (media, _) = segment(&output, "180p", 1_001);
    let good = one(&output, media.clone(), 0, 180);
    let late = media.slice(100..);
    for (media, what) in
        [(Bytes::new(), "no whole frame"), (late, "media"), (vec![0xFF; 5_000].into(), "no whole")]
    {
        let error = still::make(&one(&output, media, 0, 180)).unwrap_err();
        assert!(error.is_unsupported_media(), "{what}: {error}");
    }
    let mut flipped = media.to_vec();
    let first = headwater_hls::cmaf::read::samples(&media).unwrap()[0].data.start;
    flipped[first..].iter_mut().for_each(|byte| *byte ^= 0x55);
    let error = still::make(&one(&output, flipped.into(), 0, 180));
    assert!(error.is_err_and(|error| error.is_unsupported_media()));
    for (columns, rows, height, width) in
        [(0, 1, 90, 0), (1, 1, 91, 0), (2, 1, 90, 0), (50, 50, 90, 160), (1, 1, 8_000, 0)]
    {
        let request = StillRequest { columns, rows, height, width, ..good.clone() };
        assert!(still::make(&request).unwrap_err().to_string().contains("no sense"));
    }
}
