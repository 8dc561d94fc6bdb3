//! DESIGN §4: the timeline is a pure function of the source.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::sync::{Arc, Mutex};

use headwater_hls::{LiveWindow, Packager, WindowError};
use headwater_media::{
    BroadcastId, Epoch, Ladder, MediaEvent, MediaSequence, Opening, Period, PeriodStart, RenditionKind,
    SegmentSettings, SourceTime, TimelineEvent, UnixMillis,
};
use headwater_transcode::{Error, Report, Result, Sink, Start};
use support::source::{self, picture, tone};
use support::{Output, Source, attempt, feed, ladder, resume, start, transcode};

/// From the boundary on, the producer that starts later makes the same as the one that saw everything.
fn check(source: &Source, segments: u64) {
    let boundary = SourceTime(source.origin().0 + SegmentSettings::default().cell_start(segments).0);
    let sequence = 1_000 + segments;
    let whole = transcode(start(), source.events(0));
    let late = transcode(resume(boundary, MediaSequence(sequence)), source.replay(0, boundary));
    whole.check();
    late.check();
    assert_eq!(whole.periods, late.periods, "same renditions, same init segments");
    for name in whole.names(0) {
        let rest: Vec<_> =
            whole.cuts(0, &name).into_iter().filter(|(number, ..)| *number >= sequence).collect();
        assert!(!rest.is_empty());
        assert_eq!(late.cuts(0, &name), rest, "{name}");
        assert_eq!(late.stored_times(0, &name), times_from(&whole, &name, boundary), "{name}");
    }
}

/// The server was replaced by one of another configuration: with a rung more, a better one, and fewer frames. It counts
/// from the next period on.
#[test]
fn a_period_is_gone_on_with_as_it_was_begun() {
    // Of an encoder that declares no frame rate: measured where the second producer begins, it would be another one.
    let source = Source::usual("320x180", 30, 7);
    let boundary = SourceTime(source.origin().0 + SegmentSettings::default().cell_start(2).0);
    let whole = transcode(start(), source.events(0));
    let mut rungs = ladder().rungs;
    rungs.insert(0, "426x240@600k".parse().unwrap());
    let ladder = Ladder { rungs, crf: 30.0, max_frame_rate: 15, preset: "veryfast".into(), ..ladder() };
    let begun_as = Some(whole.periods[0].clone());
    let updated = Start { ladder, begun_as, ..resume(boundary, MediaSequence(1_002)) };
    let then = source.clone().later(90_000);
    let late = transcode(updated, source.replay(0, boundary).into_iter().chain(then.events(1)));
    assert_eq!(late.periods[0], whole.periods[0]);
    for name in whole.names(0) {
        let rest: Vec<_> = whole.cuts(0, &name).into_iter().filter(|(number, ..)| *number >= 1_002).collect();
        assert_eq!(late.cuts(0, &name), rest, "{name}");
    }
    let frame_rate = |period: &PeriodStart| match period.renditions[0].0.kind {
        RenditionKind::Video { frame_rate, .. } => frame_rate,
        RenditionKind::Audio { .. } => 0.0,
    };
    assert_eq!((frame_rate(&whole.periods[0]), frame_rate(&late.periods[1])), (30.0, 15.0));
    assert_eq!(late.periods[1].ladder.as_ref().map(|ladder| ladder.crf), Some(30.0));
}

/// Such as by another version of the encoder.
#[test]
fn what_would_need_other_init_segments_is_not_gone_on_with() {
    let source = Source::usual("320x180", 30, 5);
    let boundary = SourceTime(source.origin().0 + SegmentSettings::default().cell_start(1).0);
    let mut begun = transcode(start(), source.events(0)).periods.remove(0);
    begun.renditions[1].1 = b"init".as_slice().into();
    let other = Start { begun_as: Some(begun.clone()), ..resume(boundary, MediaSequence(1_001)) };
    let (result, output) = attempt(other, source.replay(0, boundary));
    let name = begun.renditions[1].0.id.to_string();
    assert!(matches!(result.unwrap_err(), Error::PeriodDiffers { rendition } if rendition == name));
    assert!(output.periods.is_empty() && output.parts.is_empty(), "nobody is shown anything");
}

/// Viewers have some parts of the interrupted segment from the producer before, and go on with any of the others.
#[test]
fn every_part_of_the_interrupted_segment_can_be_joined() {
    let source = Source::usual("320x180", 30, 7);
    let boundary = SourceTime(source.origin().0 + SegmentSettings::default().cell_start(1).0);
    let mut late = transcode(resume(boundary, MediaSequence(1_001)), source.replay(0, boundary));
    for part in late.parts_of(0, "180p") {
        let is_entry = part.sequence == 1_001 || part.index == 0;
        assert_eq!(part.independent, is_entry, "{}.{}", part.sequence, part.index);
    }
    let all = late.decoded_times(0, "180p").len();
    late.parts.retain(|part| (part.sequence, part.index) >= (1_001, 3));
    assert_eq!(
        late.decoded_times(0, "180p").len(),
        all - 30,
        "three parts are missing, and no picture but theirs"
    );
}

/// The window as a server keeps it, and the first thing that did not fit.
#[derive(Clone)]
struct Server(Arc<Mutex<(Packager, LiveWindow, Option<WindowError>)>>);

impl Sink for Server {
    fn report(&self, report: Report) -> Result<()> {
        let (packager, window, error) = &mut *self.0.lock().unwrap();
        let made = match report {
            Report::PeriodStart(start) => {
                packager.begin(&start).unwrap();
                vec![MediaEvent::PeriodStart(start)]
            }
            Report::Frame(frame) => packager.push(frame).unwrap(),
            Report::RenditionEnd(rendition) => packager.end(rendition).unwrap(),
            Report::Stats(_) => Vec::new(),
        };
        if let Some(wrong) = made.iter().find_map(|event| window.apply(event).err()) {
            error.get_or_insert(wrong);
        }
        Ok(())
    }
}

/// All that a proxy keeps comes at once: sound and pictures stay together, though sound is made much faster. Of a source of
/// two frames a second, many seconds wait for the decoder.
#[test]
fn a_long_replay_is_made_in_step() {
    for rate in [30, 2] {
        let source = Source::usual("320x180", rate, 34);
        let boundary = SourceTime(source.origin().0 + SegmentSettings::default().cell_start(1).0);
        let opening = Opening {
            broadcast: BroadcastId::new(UnixMillis(1_800_000_000_000), &[7; 10]),
            epoch: Epoch(1),
            settings: SegmentSettings::default(),
            // The shortest window that there is.
            window_segments: 3,
            first_sequence: MediaSequence(1_001),
            discontinuity_sequence: 0,
        };
        let server = Server(Arc::new(Mutex::new((Packager::default(), LiveWindow::new(opening), None))));
        feed(resume(boundary, MediaSequence(1_001)), source.replay(0, boundary), server.clone()).unwrap();
        let (packager, window, error) = &*server.0.lock().unwrap();
        packager.check_ended().unwrap();
        assert_eq!(*error, None, "{rate} frames a second");
        assert!(window.committed() >= Some(MediaSequence(1_016)), "{:?}", window.committed());
    }
}

fn times_from(output: &Output, name: &str, boundary: SourceTime) -> Vec<f64> {
    let times = output.stored_times(0, name);
    times.into_iter().filter(|time| time * 1_000_000.0 >= boundary.0 as f64 - 10.0).collect()
}

#[test]
fn a_producer_that_starts_at_a_keyframe_on_the_boundary() {
    let h264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -force_key_frames 0.333,2.333,4.333";
    let source = format!("{} {} {h264} {}", picture("320x180", 30, 7), tone(7), source::AAC);
    check(&Source::ffmpeg(&source).later(90_000), 2);
}

#[test]
fn a_producer_that_starts_before_the_boundary() {
    let h264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 75 -bf 2";
    let source = format!("{} {} {h264} {}", picture("320x180", 25, 9), tone(9), source::AAC);
    check(&Source::ffmpeg(&source), 2);
}

#[test]
fn a_rate_that_does_not_fit_into_seconds() {
    let h264 = "-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 45";
    let picture = "-f lavfi -i testsrc2=size=320x180:rate=30000/1001:duration=8";
    check(&Source::ffmpeg(&format!("{picture} {} {h264} {}", tone(8), source::AAC)), 3);
}

#[test]
fn a_source_of_two_frames_a_second() {
    check(&Source::usual("320x180", 2, 8), 2);
}

#[test]
fn a_camera_that_is_off_across_the_boundary() {
    let source = Source::usual("320x180", 30, 8);
    check(&source.filtered(|tag| !tag.is_video() || !(3_200..5_100).contains(&tag.time.as_millis())), 2);
}

#[test]
fn sound_that_is_missing_across_the_boundary() {
    let source = Source::usual("320x180", 30, 8);
    check(&source.filtered(|tag| tag.is_video() || !(2_200..5_100).contains(&tag.time.as_millis())), 2);
}

#[test]
fn pictures_alone_and_sound_alone() {
    let source = Source::usual("320x180", 30, 7);
    check(&source.clone().without_audio(), 1);
    check(&source.without_video(), 1);
}

/// The proxy has not kept for so long what it was to go on with.
#[test]
fn a_period_that_leaves_out_what_is_lost_begins_anew() {
    let source = Source::usual("320x180", 30, 3);
    let awaited = resume(SourceTime(source.origin().0 + 2_000_000), MediaSequence(1_001));
    let first_sequence = Some(MediaSequence(1_003));
    let late = source.later(90_000);
    let events = late.events(1).into_iter().map(|event| match event {
        TimelineEvent::Period(period) => TimelineEvent::Period(Period { first_sequence, ..period }),
        tag @ TimelineEvent::Tag(_) => tag,
    });
    let output = transcode(awaited, events);
    output.check();
    assert_eq!(output.periods.len(), 1);
    let period = &output.periods[0];
    assert_eq!((period.number.0, period.first_sequence.0, period.origin), (1, 1_003, late.origin().into()));
    assert_eq!(output.parts_of(0, "180p").first().map(|part| part.sequence), Some(1_003));
    assert_eq!(output.decoded_times(0, "180p").len(), 90);
}

/// Such a period is kept as it is, and some other producer goes on in it.
#[test]
fn a_period_that_left_something_out_is_gone_on_with() {
    let source = Source::usual("320x180", 30, 7);
    let boundary = SourceTime(source.origin().0 + SegmentSettings::default().cell_start(1).0);
    let first_sequence = Some(MediaSequence(1_000));
    let marked = source.replay(0, boundary).into_iter().map(|event| match event {
        TimelineEvent::Period(period) => TimelineEvent::Period(Period { first_sequence, ..period }),
        tag @ TimelineEvent::Tag(_) => tag,
    });
    let late = transcode(resume(boundary, MediaSequence(1_001)), marked);
    late.check();
    assert_eq!(late.periods[0].first_sequence, MediaSequence(1_000));
    assert_eq!(late.parts_of(0, "180p").first().map(|part| part.sequence), Some(1_001));
}

#[test]
fn a_start_that_is_no_boundary_is_refused() {
    let source = Source::usual("320x180", 30, 1);
    for (time, sequence) in
        [(source.origin().as_millis() + 2_001, 1_001), (source.origin().as_millis() + 4_000, 1)]
    {
        let (result, _) =
            attempt(resume(SourceTime::from_millis(time), MediaSequence(sequence)), source.events(0));
        assert!(result.unwrap_err().to_string().contains("boundary"));
    }
}
