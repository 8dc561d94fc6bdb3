//! Stereo as the source has it: levels, side by side, of what comes out.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::f64::consts::TAU;

use headwater_media::AudioConfig;
use support::source::{h264, picture};
use support::{Output, Source, start, transcode};

/// Of the tones that the sources are made of.
const AMPLITUDE: f64 = 0.1;
const RATE: f64 = 48_000.0;
/// Neighbouring channels lie so far apart, in Hz: whole periods in a second, so that tones don't leak into each other.
const STEP: f64 = 170.0;
/// Level that nobody hears beside the other side, in decibels.
const NOTHING: f64 = -40.0;

/// Layouts, and what becomes of their channels, in the order of ffmpeg: `L` and `R` are a side at full level, `C` both
/// at -3 dB, `l` and `r` a side at -3 dB, `c` both at -6 dB, `M` both at full level, `x` nothing, `(` and `)` a side at
/// nearly full level, with some of it on the other one. The bitstream counts, in which ffmpeg puts some channels elsewhere
/// than their layouts' names say.
const LAYOUTS: [(&str, &str); 22] = [
    ("mono", "M"),
    ("stereo", "LR"),
    ("2.1", "LRx"),
    ("3.0", "LRC"),
    ("3.0(back)", "LRc"),
    ("4.0", "LRCc"),
    ("quad", "LRlr"),
    ("quad(side)", "LRlr"),
    ("3.1", "LRCx"),
    ("4.1", "LRCxc"),
    ("5.0", "LRClr"),
    ("5.0(side)", "LRClr"),
    ("5.1", "LRCxlr"),
    ("5.1(side)", "LRCxlr"),
    ("6.0", "LRClrc"),
    ("6.0(front)", "LR()lr"),
    ("hexagonal", "LRClrc"),
    ("6.1", "LRCxlrc"),
    ("7.0", "LRClrlr"),
    ("7.1", "LRCxlrlr"),
    ("7.1(wide)", "LRCxlrlr"),
    ("octagonal", "LRClrlrc"),
];

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

#[test]
fn every_layout_becomes_good_stereo() {
    for (layout, channels) in LAYOUTS {
        let output = transcode(start(), tones(layout, channels).events(0));
        let sides = sides(&output);
        for (index, channel) in channels.chars().enumerate() {
            let expected = levels(channel);
            for side in [0, 1] {
                let heard = tone_level(&sides[side], frequency(index, channel));
                match expected[side] {
                    Some(level) => assert!(
                        (heard - level).abs() < 1.5,
                        "{layout}: channel {index} on side {side}: {heard:.1} dB, not {level:.1}"
                    ),
                    None => assert!(heard < -25.0, "{layout}: channel {index} on side {side}: {heard:.1} dB"),
                }
            }
        }
    }
}

/// Eight channels at full level add up to more than a sample can be.
#[test]
fn loud_surround_is_held_within_what_players_can_play() {
    let tones = ["0.99*sin(2*PI*200*t)"; 6].join("|");
    let source =
        Source::ffmpeg(&format!("-f lavfi -i aevalsrc={tones}:c=5.1:s=48000:d=3 -c:a aac -b:a 512k"));
    let output = transcode(start(), source.events(0));
    for side in sides(&output) {
        let loudest = side.iter().fold(0.0f64, |loudest, sample| loudest.max(sample.abs()));
        assert!((0.8..1.1).contains(&loudest), "{loudest}");
    }
}

fn tones(layout: &str, channels: &str) -> Source {
    let tone = |(index, channel)| format!("{AMPLITUDE}*sin(2*PI*{}*t)", frequency(index, channel));
    let tones: Vec<_> = channels.chars().enumerate().map(tone).collect();
    let bits = 96 * channels.len();
    let sound = format!("-f lavfi -i aevalsrc={}:c={layout}:s=48000:d=3", tones.join("|"));
    let source = Source::ffmpeg(&format!("{sound} -c:a aac -b:a {bits}k -aac_ms 0 -aac_is 0 -aac_pns 0"));
    let config = AudioConfig::parse(source.audio.as_ref().unwrap()).unwrap();
    assert_eq!(usize::from(config.channels), channels.len(), "{layout}");
    source
}

/// A low frequency channel has low frequencies.
fn frequency(index: usize, channel: char) -> f64 {
    if channel == 'x' { 60.0 } else { 300.0 + STEP * index as f64 }
}

/// In decibels below the source, for each side.
fn levels(channel: char) -> [Option<f64>; 2] {
    match channel {
        'M' => [Some(0.0); 2],
        'L' => [Some(0.0), None],
        'R' => [None, Some(0.0)],
        'C' => [Some(-3.0); 2],
        'l' => [Some(-3.0), None],
        'r' => [None, Some(-3.0)],
        'c' => [Some(-6.0); 2],
        '(' => [Some(-0.7), Some(-8.3)],
        ')' => [Some(-8.3), Some(-0.7)],
        _ => [None; 2],
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

/// Decibels of one frequency, from the level that the sources' tones have.
fn tone_level(samples: &[f64], frequency: f64) -> f64 {
    let wave = |function: fn(f64) -> f64| {
        let terms = samples.iter().enumerate();
        terms.map(|(n, sample)| sample * function(TAU * frequency * n as f64 / RATE)).sum::<f64>()
    };
    let amplitude = 2.0 * wave(f64::sin).hypot(wave(f64::cos)) / samples.len() as f64;
    20.0 * (amplitude / AMPLITUDE + 1e-9).log10()
}
