//! Whether sound and picture belong together: a flash and a beep at the same moment, once a second.

use super::output::decode;
use super::source::{AAC, h264};
use super::{Output, Source};

pub fn flashes_and_beeps(seconds: u32) -> Source {
    let flash = format!(
        "-f lavfi -i color=black:size=320x180:rate=30:duration={seconds},drawbox=c=white:t=fill:enable=lt(mod(t\\,1)\\,0.1)"
    );
    let beep = format!(
        "-f lavfi -i aevalsrc=if(lt(mod(t\\,1)\\,0.1)\\,0.8*sin(2*PI*1000*t)\\,0):s=44100:d={seconds}"
    );
    Source::ffmpeg(&format!("{flash} {beep} {} {AAC}", h264(30)))
}

/// Milliseconds of source time at which a flash begins.
pub fn flashes(output: &Output, period: usize, rendition: &str) -> Vec<u64> {
    rises(&brightness(&output.file(period, rendition)), start_of(output, period, rendition))
}

/// Milliseconds of source time at which a beep begins.
pub fn beeps(output: &Output, period: usize) -> Vec<u64> {
    rises(&loudness(&output.file(period, "audio")), start_of(output, period, "audio"))
}

/// Milliseconds of source time where a value goes up; `values` has one for each millisecond from `start` on.
fn rises(values: &[f64], start: u64) -> Vec<u64> {
    let is_high = |at: usize| values[at] > 0.2;
    // A beep is a wave: silence is where there was nothing for a while.
    let was_low = |at: usize| (at.saturating_sub(20)..at).all(|before| !is_high(before));
    (0..values.len()).filter(|at| is_high(*at) && was_low(*at)).map(|at| start + at as u64).collect()
}

fn start_of(output: &Output, period: usize, rendition: &str) -> u64 {
    output.parts_of(period, rendition)[0].start.as_millis()
}

/// The mean brightness of the picture shown in each millisecond from the first picture on.
fn brightness(file: &[u8]) -> Vec<f64> {
    let raw = decode(file, "-vf fps=1000,scale=1:1,format=gray -f rawvideo");
    raw.iter().map(|byte| f64::from(*byte) / 255.0).collect()
}

/// The loudest sample in each millisecond from the first one on.
pub fn loudness(file: &[u8]) -> Vec<f64> {
    let raw = decode(file, "-ac 1 -ar 48000 -f f32le");
    let samples: Vec<f64> =
        raw.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect();
    samples
        .chunks(48)
        .map(|chunk| chunk.iter().fold(0.0, |loudest: f64, sample| loudest.max(sample.abs())))
        .collect()
}
