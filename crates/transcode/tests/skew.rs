//! Encoders whose sound and picture arrive apart, or come from two clocks.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use headwater_media::{Tag, TimelineEvent};
use support::source::{AAC, picture, tone};
use support::sync::{beeps, flashes, flashes_and_beeps, loudness};
use support::{Output, Source, attempt, start, transcode};

const SECONDS: u32 = 12;
/// How long a beep lasts, with what an encoder adds.
const BEEP_MS: u64 = 120;

#[test]
fn what_arrives_apart_is_shown_together_and_nothing_is_lost() {
    let source = flashes_and_beeps(SECONDS).later(60_000);
    for ahead in [1_500, 3_000, 4_800, -1_500, -4_800] {
        let output = shown(&source.clone().with_sound_ahead(ahead), &format!("sound ahead by {ahead} ms"));
        let last = output.periods.len() - 1;
        // All of a period that has a picture; where the sound is far ahead one without it comes first.
        assert_eq!(pictures(&output), source.pictures(), "{ahead}");
        check_together(&output, last, 20, &format!("{ahead}"));
    }
}

#[test]
fn tracks_on_two_clocks_are_brought_together() {
    let source = flashes_and_beeps(SECONDS);
    for (video, audio) in [(0, 10_000), (20_000, 0), (0, 1_500_000_000)] {
        let clock = |tag: &Tag| tag.time.as_millis() + if tag.is_video() { video } else { audio };
        let output = shown(&source.clone().on_clocks(clock), &format!("{video} {audio}"));
        assert_eq!((output.periods.len(), pictures(&output)), (1, source.pictures()), "{video} {audio}");
        // How exactly is not known: as interleaving says.
        check_together(&output, 0, 70, &format!("{video} {audio}"));
    }
}

#[test]
fn a_camera_that_starts_to_count_anew_stays_in_the_picture() {
    let source = flashes_and_beeps(SECONDS);
    let clock = |tag: &Tag| {
        tag.time.as_millis() - if tag.is_video() && tag.time.as_millis() >= 5_000 { 5_000 } else { 0 }
    };
    let output = shown(&source.clone().on_clocks(clock), "camera");
    assert_eq!(output.periods.len(), 1);
    // Its picture is late by what it takes to see that the sound goes on.
    assert!(pictures(&output) + 2 >= source.pictures(), "{}", pictures(&output));
    check_together(&output, 0, 70, "camera");
}

#[test]
fn a_composition_time_beyond_all_bounds_does_not_hide_the_picture() {
    let mut source = flashes_and_beeps(SECONDS);
    source
        .tags
        .iter_mut()
        .filter(|tag| tag.is_video())
        .for_each(|tag| tag.composition_offset_us += 20_000_000);
    let output = shown(&source, "composition");
    assert_eq!(pictures(&output), source.pictures());
    check_together(&output, 0, 20, "composition");
}

/// With a keyframe every ten seconds, or none at all: it does not wait for one.
#[test]
fn sound_that_begins_late_is_heard_at_once() {
    let h264 = "-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 300 -sc_threshold 0";
    let source = Source::ffmpeg(&format!("{} {} {h264} {AAC}", picture("320x180", 30, 8), tone(8)));
    let source = source.filtered(|tag| tag.is_video() || tag.time.as_millis() >= 3_300);
    let output = transcode(start(), source.through_timeline_with_late_sound());
    output.check();
    assert_eq!((output.periods.len(), pictures(&output)), (2, source.pictures()));
    assert!(output.names(0).iter().all(|name| name != "audio"));
    let begins = output.periods[1].origin.as_millis();
    assert!((3_300..3_400).contains(&begins), "{begins}");
    let loud = loudness(&output.file(1, "audio")).iter().position(|volume| *volume > 0.05).unwrap();
    assert!(loud < 100, "{loud} ms after it begins");
}

/// The encoder goes on with another sample rate and another number of channels, in the middle of ten seconds without a
/// keyframe.
#[test]
fn sound_of_another_format_is_heard_at_once() {
    let h264 = "-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 300 -sc_threshold 0";
    let before = Source::ffmpeg(&format!("{} {} {h264} {AAC}", picture("320x180", 30, 8), tone(8)));
    let stereo = "-f lavfi -i aevalsrc=0.5*sin(2*PI*600*t)|0.5*sin(2*PI*600*t):s=48000:d=8";
    let after = Source::ffmpeg(&format!("{stereo} {AAC}"));
    assert_ne!(before.audio, after.audio);
    let changes = 3_300;
    let source = before.clone().filtered(|tag| tag.is_video() || tag.time.as_millis() < changes);
    let output = transcode(start(), source.through_timeline_with_sound_of(&after, changes));
    output.check();
    assert_eq!((output.periods.len(), pictures(&output)), (2, source.pictures()));
    let begins = output.periods[1].origin.as_millis();
    assert!((changes..changes + 100).contains(&begins), "{begins}");
    let [old, new] = [0, 1].map(|period| loudness(&output.file(period, "audio")));
    // The sine of ffmpeg has an eighth of full scale. All but what the codec and the change take.
    let heard = |volumes: &[f64], least: f64| volumes.iter().filter(|volume| **volume > least).count();
    assert!(heard(&old, 0.03) + 200 > changes as usize, "{}", heard(&old, 0.03));
    let first = new.iter().position(|volume| *volume > 0.3).unwrap();
    assert!(first < 100, "{first} ms after it begins");
    let mean = new[first + 100..4_000].iter().sum::<f64>() / (4_000 - first - 100) as f64;
    // Half of full scale on both sides, which are mixed to be measured.
    assert!((0.65..0.75).contains(&mean), "{mean}");
    assert!(heard(&new[..4_000], 0.5) > 3_000);
}

/// The timeline never lets it pass; what lies between would have to be filled.
#[test]
fn a_gap_of_days_within_a_period_is_refused_and_not_filled() {
    for is_video in [true, false] {
        let source = Source::usual("320x180", 30, 2);
        let later = |tag: &Tag| {
            tag.time.as_millis()
                + if tag.is_video() == is_video && tag.time.as_millis() > 1_000 { 1_500_000_000 } else { 0 }
        };
        let (result, _) = attempt(start(), source.clone().on_clocks(later).events(0));
        let error = result.unwrap_err().to_string();
        assert!(error.contains("a gap of 1500"), "{error}");
    }
}

fn shown(source: &Source, what: &str) -> Output {
    let events = source.through_timeline();
    let periods = events.iter().filter(|event| matches!(event, TimelineEvent::Period(_))).count();
    assert!(periods <= 2, "{what}: {periods} periods");
    let output = transcode(start(), events);
    output.check();
    output
}

fn pictures(output: &Output) -> usize {
    let has_pictures = |period: &usize| !output.video_names(*period).is_empty();
    let periods = (0..output.periods.len()).filter(has_pictures);
    periods.map(|period| output.decoded_times(period, &output.video_names(period)[0]).len()).sum()
}

/// Every flash has its beep, within so many milliseconds.
fn check_together(output: &Output, period: usize, within: u64, what: &str) {
    let name = &output.video_names(period)[0];
    let flashes = flashes(output, period, name);
    let beeps = beeps(output, period);
    assert!(flashes.len() + 1 >= SECONDS as usize, "{what}: {flashes:?}");
    // Before the first picture, sound was heard in a period of its own; and a track that stops last has silence at its end.
    let together =
        flashes.iter().filter(|flash| beeps.iter().any(|beep| beep.abs_diff(**flash) <= within)).count();
    assert!(together + 5 >= flashes.len(), "{what}: {flashes:?} {beeps:?}");
    // Of the first beep the beginning may be missing.
    let within = |nth: usize| if nth == 0 { within.max(BEEP_MS) } else { within };
    let is_apart =
        |(nth, beep): &(usize, &u64)| flashes.iter().all(|flash| flash.abs_diff(**beep) > within(*nth));
    assert_eq!(beeps.iter().enumerate().filter(is_apart).count(), 0, "{what}: {flashes:?} {beeps:?}");
}
