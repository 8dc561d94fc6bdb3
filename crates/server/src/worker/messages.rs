//! Messages of the worker's pipes, as the rest of the server has them. A message of the worker is checked here.

use std::io;

use headwater_media::{
    EncodedFrame, Ladder, MediaSequence, PeriodStart, Rendition, SegmentSettings, SourceTime, TimelineEvent,
};
use headwater_wire::ConvertError;
use headwater_wire::v2::worker_input::{End, Message as Input, Start};
use headwater_wire::v2::worker_output::Message as Output;
use headwater_wire::v2::{self, failure::Code as WireCode};

use crate::failure::{Code, Failure};

pub(crate) use v2::worker_output::Stats;

/// Point at which a worker begins, and the ladder that it makes.
#[derive(Clone, Debug)]
pub(crate) struct TranscodeSpec {
    pub(crate) settings: SegmentSettings,
    pub(crate) ladder: Ladder,
    /// Number of the first segment.
    pub(crate) first_sequence: MediaSequence,
    /// Start of that segment, where another worker has begun its period.
    pub(crate) resume: Option<SourceTime>,
    /// Renditions that every period has, as viewers know them.
    pub(crate) kept: Vec<Rendition>,
    /// The period that is gone on with, as it was begun.
    pub(crate) begun_as: Option<PeriodStart>,
}

impl TranscodeSpec {
    /// Beginning of a new broadcast.
    pub(crate) fn new(settings: SegmentSettings, ladder: Ladder) -> Self {
        let first_sequence = MediaSequence(0);
        Self { settings, ladder, first_sequence, resume: None, kept: Vec::new(), begun_as: None }
    }
}

/// Message to a worker.
pub(crate) enum ToWorker {
    Start(TranscodeSpec),
    Media(TimelineEvent),
    /// No more media comes.
    End,
}

/// Message of a worker.
#[derive(Debug)]
pub(crate) enum FromWorker {
    /// It can work.
    Ready,
    PeriodStart(PeriodStart),
    Frame(EncodedFrame),
    /// End of the rendition at this position of the period.
    RenditionEnd(usize),
    Stats(Stats),
    /// It exits after this.
    Failed(Failure),
    /// All that it was given has come out.
    Finished,
}

/// Reason why nothing more can be read from a worker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    #[error(transparent)]
    Pipe(#[from] io::Error),
    #[error(transparent)]
    Message(#[from] ConvertError),
}

impl From<ToWorker> for v2::WorkerInput {
    fn from(message: ToWorker) -> Self {
        let message = match message {
            ToWorker::Start(spec) => Input::Start(spec.into()),
            ToWorker::Media(TimelineEvent::Period(period)) => Input::Period(period.into()),
            ToWorker::Media(TimelineEvent::Tag(tag)) => Input::Tag(tag.into()),
            ToWorker::End => Input::End(End {}),
        };
        Self { message: Some(message) }
    }
}

impl From<TranscodeSpec> for Start {
    fn from(spec: TranscodeSpec) -> Self {
        Self {
            settings: Some(spec.settings.into()),
            ladder: Some(spec.ladder.into()),
            first_sequence: spec.first_sequence.0,
            resume_us: spec.resume.map(|start| start.0),
            kept: spec.kept.into_iter().map(Into::into).collect(),
            begun_as: spec.begun_as.map(Into::into),
        }
    }
}

impl TryFrom<Output> for FromWorker {
    type Error = ConvertError;

    fn try_from(message: Output) -> Result<Self, ConvertError> {
        Ok(match message {
            Output::Ready(_) => Self::Ready,
            Output::PeriodStart(start) => Self::PeriodStart(start.try_into()?),
            Output::Frame(frame) => Self::Frame(frame.try_into()?),
            Output::RenditionEnd(end) => Self::RenditionEnd(end.rendition as usize),
            Output::Stats(stats) => Self::Stats(stats),
            Output::Failed(failure) => Self::Failed(failure.into()),
            Output::Finished(_) => Self::Finished,
        })
    }
}

impl From<v2::Failure> for Failure {
    /// A worker knows what is wrong with its media; all else is a failure of the worker.
    fn from(failure: v2::Failure) -> Self {
        let code = match failure.code() {
            WireCode::UnsupportedMedia => Code::UnsupportedMedia,
            WireCode::PeriodDiffers => Code::PeriodDiffers,
            WireCode::Protocol => Code::Protocol,
            _ => Code::WorkerFailed,
        };
        Self { code, message: failure.message }
    }
}
