//! Sources that ffmpeg makes, and what the transcoder makes of them.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses another part")]

pub mod output;
pub mod probe;
pub mod source;
pub mod sync;

use std::sync::{Arc, Mutex};

use headwater_media::{Ladder, MediaSequence, SegmentSettings, SourceTime, TimelineEvent};
use headwater_transcode::{Report, Result, Sink, Start, Transcoder};

pub use output::Output;
pub use source::Source;

/// A small and quick ladder.
pub fn ladder() -> Ladder {
    Ladder {
        rungs: ["320x180@400k", "160x90@150k"].map(|rung| rung.parse().unwrap()).into(),
        preset: "ultrafast".into(),
        ..Ladder::default()
    }
}

pub fn start() -> Start {
    Start {
        kept: Vec::new(),
        begun_as: None,
        settings: SegmentSettings::default(),
        ladder: ladder(),
        first_sequence: MediaSequence(1_000),
        resume: None,
    }
}

#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<Report>>>);

impl Sink for Collected {
    fn report(&self, report: Report) -> Result<()> {
        self.0.lock().unwrap().push(report);
        Ok(())
    }
}

/// Everything that comes out, whether it ends well or not.
pub fn attempt(start: Start, input: impl IntoIterator<Item = TimelineEvent>) -> (Result<()>, Output) {
    let collected = Collected::default();
    let result = feed(start, input, collected.clone());
    let reports = std::mem::take(&mut *collected.0.lock().unwrap());
    (result, Output::new(reports))
}

pub fn transcode(start: Start, input: impl IntoIterator<Item = TimelineEvent>) -> Output {
    let (result, output) = attempt(start, input);
    result.expect("the transcoder works");
    output
}

/// Gives all of it as fast as it is taken.
pub fn feed(start: Start, input: impl IntoIterator<Item = TimelineEvent>, sink: impl Sink) -> Result<()> {
    let mut transcoder = Transcoder::new(start, sink)?;
    for event in input {
        match event {
            TimelineEvent::Period(period) => transcoder.begin_period(period)?,
            TimelineEvent::Tag(tag) => transcoder.tag(tag)?,
        }
    }
    transcoder.finish()
}

/// A start that goes on with segment `sequence` at `time`.
pub fn resume(time: SourceTime, sequence: MediaSequence) -> Start {
    Start { first_sequence: sequence, resume: Some(time), ..start() }
}
