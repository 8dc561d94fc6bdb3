//! More than one period, and media that is broken.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use bytes::Bytes;
use headwater_media::{MediaSequence, RenditionKind, Tag, TagKind};
use headwater_transcode::Start;
use support::{Source, attempt, start, transcode};

fn after(first: &Source, second: &Source) -> support::Output {
    transcode(start(), first.events(0).into_iter().chain(second.events(1)))
}

#[test]
fn a_new_period_goes_on_with_the_next_number() {
    let output = after(&Source::usual("320x180", 30, 3), &Source::usual("160x90", 25, 3).later(60_000));
    output.check();
    assert_eq!(output.periods[1].first_sequence.0, 1_003);
    assert_eq!(output.decoded_times(0, "180p").len(), 90);
    assert_eq!(output.decoded_times(1, "180p").len(), 75);
}

/// A playlist that viewers have must go on, whatever the publisher comes back with.
#[test]
fn renditions_stay_when_the_picture_gets_smaller_and_are_never_enlarged() {
    let output = after(&Source::usual("320x180", 30, 2), &Source::usual("160x90", 25, 2).later(60_000));
    output.check();
    assert_eq!(output.names(1), output.names(0));
    for rendition in output.renditions(1) {
        let RenditionKind::Video { width, height, .. } = rendition.kind else { continue };
        assert_eq!((width, height), (160, 90), "{}", rendition.id);
    }
}

#[test]
fn renditions_that_another_worker_made_stay() {
    let first = transcode(start(), Source::usual("320x180", 30, 2).events(0));
    let known = Start { kept: first.renditions(0), first_sequence: MediaSequence(1_001), ..start() };
    let second = transcode(known, Source::usual("160x90", 30, 2).without_audio().events(1));
    second.check();
    assert_eq!(second.names(0), first.names(0));
}

#[test]
fn a_period_whose_clock_starts_anew() {
    let source = Source::usual("320x180", 30, 3);
    let output = after(&source.clone().later(9_000_000), &source);
    output.check();
    assert_eq!(output.decoded_times(1, "180p").len(), 90);
}

#[test]
fn tracks_of_different_length_end_in_the_same_segment() {
    let source = Source::usual("320x180", 30, 7);
    for (video, audio) in [(2_500, 7_000), (7_000, 2_500), (3_900, 4_700), (4_100, 3_900)] {
        let cut =
            source.clone().filtered(|tag| tag.time.as_millis() < if tag.is_video() { video } else { audio });
        let output = after(&cut, &source.clone().later(60_000));
        output.check();
    }
}

#[test]
fn tracks_that_come_and_go() {
    let source = Source::usual("320x180", 30, 3);
    let output = after(&source.clone().without_audio(), &source.clone().without_video().later(60_000));
    output.check();
    // Where there was a picture, a black one stands in for it; sound is new.
    assert_eq!((output.names(0).len(), output.names(1).len()), (2, 3));
    let picture = &output.names(0)[0];
    let pixels = support::output::decode(&output.file(1, picture), "-map 0:v -f rawvideo -pix_fmt gray");
    assert!(pixels.iter().all(|luma| *luma <= 20), "not black");
    let output = after(&source.clone(), &source.clone().without_audio().later(60_000));
    output.check();
    assert_eq!(output.names(1), output.names(0));
    let samples = support::output::decode(&output.file(1, "audio"), "-map 0:a -f s16le");
    assert!(samples.len() > 400_000 && samples.iter().all(|byte| *byte == 0 || *byte == 255), "not silent");
}

#[test]
fn a_period_without_media_takes_no_number() {
    let source = Source::usual("320x180", 30, 3);
    let empty = source.events(0).into_iter().take(1);
    let output = transcode(start(), empty.chain(source.clone().later(60_000).events(1)));
    output.check();
    assert_eq!(output.periods[0].first_sequence.0, 1_000);
}

/// Damage on the way: some frames are noise.
#[test]
fn garbage_between_frames_is_survived() {
    let mut source = Source::usual("320x180", 30, 6);
    for (at, tag) in source.tags.iter_mut().enumerate().filter(|(at, _)| at % 17 == 9) {
        let noise = (0..tag.payload.len()).map(|n| (n * 31 + at * 7) as u8);
        tag.payload = noise.collect::<Vec<_>>().into();
    }
    let output = transcode(start(), source.events(0));
    output.check();
    assert_eq!(output.parts_of(0, "180p").last().unwrap().sequence, 1_003);
}

#[test]
fn a_timestamp_far_in_the_future_does_not_stop_the_picture() {
    let mut source = Source::usual("320x180", 30, 4);
    let wrong: &mut Tag = source.tags.iter_mut().filter(|tag| tag.is_video()).nth(30).unwrap();
    wrong.composition_offset_us = 2_000_000_000;
    let output = transcode(start(), source.events(0));
    output.check();
    assert_eq!(output.decoded_times(0, "180p").len(), 120);
}

#[test]
fn a_picture_that_never_decodes_is_refused_with_words() {
    let mut source = Source::usual("320x180", 30, 8);
    let noise = Bytes::from_static(&[0, 0, 0, 4, 0x61, 0xff, 0xff, 0xff]);
    source.tags.iter_mut().filter(|tag| tag.is_video()).for_each(|tag| tag.payload = noise.clone());
    let (result, _) = attempt(start(), source.events(0));
    let error = result.unwrap_err();
    assert!(error.is_unsupported_media() && error.to_string().contains("no picture"), "{error}");
}

#[test]
fn a_damaged_configuration_is_refused_with_words() {
    let mut source = Source::usual("320x180", 30, 1);
    source.video = Some(Bytes::from_static(b"\x01\x64\x00"));
    let error = attempt(start(), source.events(0)).0.unwrap_err();
    assert!(error.is_unsupported_media() && error.to_string().contains("H.264"), "{error}");
}

/// An encoder that changes its size and says so only inside the stream: everything goes on in the old size.
#[test]
fn a_size_that_changes_inside_the_stream_is_scaled() {
    let large = Source::usual("320x180", 30, 2);
    let small = Source::usual("160x90", 30, 2);
    let sets = |config: &Bytes| {
        let parsed = headwater_media::AvcConfig::parse(config).unwrap();
        let units = parsed.sps.iter().chain(&parsed.pps).cloned().collect::<Vec<_>>();
        units
            .iter()
            .flat_map(|unit| [&(unit.len() as u32).to_be_bytes()[..], unit].concat())
            .collect::<Vec<u8>>()
    };
    let mut source = large;
    let header = sets(small.video.as_ref().unwrap());
    for mut tag in small.later(2_000).tags {
        if tag.kind == (TagKind::Video { keyframe: true }) {
            tag.payload = [&header[..], &tag.payload].concat().into();
        }
        source.tags.push(tag);
    }
    let output = transcode(start(), source.events(0));
    output.check();
    assert_eq!(output.decoded_times(0, "180p").len(), 120);
}
