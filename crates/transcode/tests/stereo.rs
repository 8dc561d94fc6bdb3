//! Stereo as the source has it: levels, side by side, of what comes out.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use support::source::{h264, picture};
use support::{Output, Source, start, transcode};

const RATE: f64 = 48_000.0;
/// What nobody hears beside the other side, in decibels.
const NOTHING: f64 = -40.0;

#[test]
fn what_is_on_one_side_stays_there() {
    for (tones, side) in [("0.5*sin(2*PI*440*t)|0", 0), ("0|0.5*sin(2*PI*440*t)", 1)] {
        let sound = format!("-f lavfi -i aevalsrc={tones}:s=48000:d=4");
        let source = Source::ffmpeg(&format!(
            "{} {sound} {} -c:a aac -b:a 160k -aac_ms 0",
            picture("320x180", 30, 4),
            h264(30)
        ));
        let output = transcode(start(), source.events(0));
        output.check();
        let [heard, other] = [side, 1 - side].map(|side| level(&sides(&output)[side]));
        let expected = 20.0 * (0.5f64 / 2f64.sqrt()).log10();
        assert!((heard - expected).abs() < 0.5, "side {side}: {heard} dB, not {expected}");
        assert!(other < heard + NOTHING, "side {side}: {heard} dB, and {other} on the other one");
    }
}

/// The samples of each side, a second from the middle on.
fn sides(output: &Output) -> [Vec<f64>; 2] {
    let raw = support::output::decode(&output.file(0, "audio"), "-f f32le");
    let samples: Vec<f64> =
        raw.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect();
    let side = |side| {
        samples.chunks_exact(2).map(move |pair: &[f64]| pair[side]).skip(RATE as usize).take(RATE as usize)
    };
    [side(0).collect(), side(1).collect()]
}

/// Decibels below full scale (RMS).
fn level(samples: &[f64]) -> f64 {
    let power = samples.iter().map(|sample| sample * sample).sum::<f64>() / samples.len() as f64;
    10.0 * (power + 1e-12).log10()
}
