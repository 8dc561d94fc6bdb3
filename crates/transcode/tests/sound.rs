//! Sound: alone, late, missing, and beside pictures.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use headwater_media::RenditionKind;
use support::sync::{beeps, flashes, flashes_and_beeps, loudness};
use support::{Source, start, transcode};

#[test]
fn sound_alone_is_a_broadcast() {
    let source = Source::usual("320x180", 30, 5).without_video();
    let output = transcode(start(), source.events(0));
    output.check();
    assert_eq!(output.names(0), ["audio"]);
    let kind = &output.renditions(0)[0].kind;
    assert_eq!(*kind, RenditionKind::Audio { channels: 2, sample_rate: 48_000 });
    let (first, last) = ends(&output.stored_times(0, "audio"));
    assert!((0.0..0.05).contains(&first) && (4.95..5.1).contains(&last), "{first} {last}");
}

#[test]
fn every_aac_frame_lies_on_one_grid() {
    let output = transcode(start(), Source::usual("320x180", 30, 4).later(123_457).events(0));
    for time in output.stored_times(0, "audio") {
        let frames = time * 48_000.0 / 1_024.0;
        assert!((frames - frames.round()).abs() < 0.01, "{time}");
    }
}

#[test]
fn pictures_alone_are_a_broadcast() {
    let output = transcode(start(), Source::usual("320x180", 30, 3).without_audio().events(0));
    output.check();
    assert_eq!(output.names(0), ["180p", "90p"]);
}

#[test]
fn sound_that_starts_late_is_silent_before() {
    let source =
        Source::usual("320x180", 30, 6).filtered(|tag| tag.is_video() || tag.time.as_millis() >= 2_500);
    let output = transcode(start(), source.events(0));
    output.check();
    let loud = loudness(&output.file(0, "audio"));
    let first = loud.iter().position(|volume| *volume > 0.01).unwrap() as f64 / 1_000.0;
    assert!((first - 2.5).abs() < 0.05, "{first}");
}

#[test]
fn sound_that_stops_goes_on_as_silence() {
    let source =
        Source::usual("320x180", 30, 8).filtered(|tag| tag.is_video() || tag.time.as_millis() < 3_000);
    let output = transcode(start(), source.events(0));
    output.check();
    let (_, last) = ends(&output.stored_times(0, "audio"));
    assert!(last > 7.9, "{last}");
}

#[test]
fn mono_and_other_rates_become_stereo_at_48_khz() {
    for (rate, channels) in [(8_000, 1), (22_050, 2), (48_000, 1), (96_000, 2)] {
        let sound =
            format!("-f lavfi -i sine=sample_rate={rate}:duration=3 -ac {channels} -ar {rate} -c:a aac -vn");
        let mut source = Source::ffmpeg(&format!("{sound} -flags +global_header"));
        source.video = None;
        let output = transcode(start(), source.events(0));
        output.check();
        let (first, last) = ends(&output.stored_times(0, "audio"));
        assert!((2.85..3.2).contains(&(last - first)), "{rate} {channels}: {first} {last}");
    }
}

/// A flash and a beep at the same moment, once a second.
#[test]
fn flashes_and_beeps_stay_together() {
    let source = flashes_and_beeps(6).later(7_777);
    let output = transcode(start(), source.events(0));
    output.check();
    for name in output.video_names(0) {
        let flashes = flashes(&output, 0, &name);
        let beeps = beeps(&output, 0);
        assert_eq!((flashes.len(), beeps.len()), (6, 6), "{name}: {flashes:?} {beeps:?}");
        for (flash, beep) in flashes.iter().zip(&beeps) {
            // 40 ms are allowed; less than an AAC frame, so that a mistake with the priming is seen.
            assert!(flash.abs_diff(*beep) <= 20, "{name}: {flash} ms, {beep} ms");
        }
    }
}

fn ends(times: &[f64]) -> (f64, f64) {
    (times[0], *times.last().unwrap())
}
