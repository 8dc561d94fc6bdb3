//! Running period: its tracks, started together, kept together, ended in the same segment.

use std::sync::Arc;
use std::time::Duration;

use headwater_media::timeline::MAX_COMPOSITION;
use headwater_media::{Grid, Ladder, MediaSequence, MediaTime, Period, PeriodStart, SegmentSettings, Tag};

use crate::audio::{self, Audio, Pace};
use crate::error::{Error, Result};
use crate::fault::{Fault, Flow};
use crate::interleaving::{Interleaving, MAX_STEP};
use crate::output_collector::{OutputCollector, ReportSender};
use crate::progress::Progress;
use crate::rendition_set::{Model, RenditionSet};
use crate::video::{self, Follower, FrameRate, Video};

/// How long the frames of a source that does not declare its frame rate are measured at most.
const MEASURE_LIMIT: Duration = Duration::from_secs(2);
/// An AAC frame, rounded up: no segment of sound is empty when the sound reaches this far into it.
const AUDIO_FRAME: MediaTime = MediaTime::from_millis(22);
const _: () = assert!(
    AUDIO_FRAME.0 * SegmentSettings::AUDIO_RATE_HZ as u64
        > SegmentSettings::AUDIO_FRAME_SAMPLES as u64 * 1_000_000
);

/// Tools of every period.
#[derive(Clone)]
pub(crate) struct Tools {
    pub(crate) ladder: Arc<Ladder>,
    pub(crate) sender: ReportSender,
    pub(crate) progress: Arc<Progress>,
    pub(crate) fault: Arc<Fault>,
}

/// A period that is running.
pub(crate) struct Running {
    period: Period,
    rendition_set: RenditionSet,
    grid: Grid,
    /// Period as another producer began it, where one did.
    model: Option<Model>,
    tools: Tools,
    stage: Stage,
    interleaving: Interleaving,
}

enum Stage {
    /// The source does not say its frame rate; its first tags wait.
    Measuring(Vec<Tag>),
    Tracks(Box<Tracks>),
}

struct Tracks {
    video: Option<Video>,
    audio: Option<Audio>,
    collector: Arc<OutputCollector>,
}

impl Running {
    pub(crate) fn start_period(
        period: Period,
        rendition_set: RenditionSet,
        grid: Grid,
        model: Option<Model>,
        tools: Tools,
    ) -> Result<Self> {
        tools.progress.begin_period();
        let declared = match period.video() {
            Some(record) => video::read_picture(record)?.frame_rate.and_then(FrameRate::from_declared),
            None => Some(FrameRate::DEFAULT),
        };
        let known = model.as_ref().and_then(Model::frame_rate).or(declared);
        let interleaving = Interleaving::new(&period);
        let stage = Stage::Measuring(Vec::new());
        let mut running = Self { period, rendition_set, grid, model, tools, stage, interleaving };
        if let Some(rate) = known {
            running.stage = Stage::Tracks(Box::new(running.start_tracks(rate)?));
        }
        Ok(running)
    }

    fn start_tracks(&self, rate: FrameRate) -> Result<Tracks> {
        let head = PeriodStart {
            ladder: Some(self.tools.ladder.as_ref().clone()),
            ..period_start(&self.period, self.grid)
        };
        let count = self.rendition_set.pictures.len() + usize::from(self.rendition_set.sound);
        let collector = OutputCollector::new(
            head,
            count,
            self.model.as_ref().map(Model::announced_renditions),
            self.tools.sender.clone(),
        );
        Tracks::start_tracks(&self.period, &self.rendition_set, self.grid, rate, collector, &self.tools)
    }

    pub(crate) fn period(&self) -> &Period {
        &self.period
    }

    /// # Errors
    /// A time that the timeline never gives: what lies between would have to be filled.
    pub(crate) fn push_tag(&mut self, mut tag: Tag) -> Result<()> {
        if u128::from(tag.composition_offset_us.unsigned_abs()) > MAX_COMPOSITION.as_micros() {
            tag.composition_offset_us = 0;
        }
        let shown = tag.presentation_time();
        if let Some(step) = self.interleaving.time_step(shown).filter(|step| *step > MAX_STEP) {
            return Err(Error::Protocol(format!("a gap of {} ms within a period", step.as_millis())));
        }
        self.tools.progress.count_input(shown, tag.is_video());
        match &mut self.stage {
            Stage::Tracks(tracks) => {
                self.interleaving.observe_tag(&tag);
                tracks.push_tag(tag, &self.interleaving).map_err(|_| self.tools.fault.take_error())
            }
            Stage::Measuring(tags) => {
                tags.push(tag);
                if is_measured(tags) { self.begin_tracks() } else { Ok(()) }
            }
        }
    }

    /// Lets everything come out, and gives the last segment; none where nothing was put out.
    pub(crate) fn finish_period(mut self) -> Result<Option<MediaSequence>> {
        self.begin_tracks()?;
        let Stage::Tracks(tracks) = &self.stage else { return Ok(None) };
        let newest = self.interleaving.newest_sound();
        if let (None, Some(video), Some(newest)) = (self.period.video(), &tracks.video, newest) {
            video.report_stall(newest);
        }
        tracks.finish_tracks(self.grid).map_err(|_| self.tools.fault.take_error())
    }

    /// Starts the tracks, if they still wait, with what waits for them.
    fn begin_tracks(&mut self) -> Result<()> {
        let Stage::Measuring(tags) = &mut self.stage else { return Ok(()) };
        let tags = std::mem::take(tags);
        let times: Vec<_> = tags.iter().filter(|tag| tag.is_video()).map(Tag::presentation_time).collect();
        let rate = FrameRate::from_times(&times);
        let tracks = self.start_tracks(rate)?;
        self.stage = Stage::Tracks(Box::new(tracks));
        let Stage::Tracks(tracks) = &self.stage else { return Ok(()) };
        for tag in tags {
            self.interleaving.observe_tag(&tag);
            tracks.push_tag(tag, &self.interleaving).map_err(|_| self.tools.fault.take_error())?;
        }
        Ok(())
    }
}

fn is_measured(tags: &[Tag]) -> bool {
    let first = tags.first().map(Tag::presentation_time);
    let newest = tags.iter().map(Tag::presentation_time).max();
    tags.iter().filter(|tag| tag.is_video()).count() >= FrameRate::SAMPLES
        || newest.zip(first).is_some_and(|(newest, first)| newest.since(first) >= MEASURE_LIMIT)
}

impl Tracks {
    fn start_tracks(
        period: &Period,
        rendition_set: &RenditionSet,
        grid: Grid,
        rate: FrameRate,
        collector: OutputCollector,
        tools: &Tools,
    ) -> Result<Self> {
        let Tools { ladder, progress, fault, .. } = tools;
        let rungs = rendition_set.pictures.clone();
        let collector = Arc::new(collector);
        let pace = if rungs.is_empty() { Pace::Alone } else { Pace::BehindPictures };
        let sound = rendition_set.sound.then(|| {
            let config = period.audio().cloned().unwrap_or(audio::SILENCE);
            let plan = audio::Plan { config, grid, bitrate: ladder.audio_bitrate, place: rungs.len(), pace };
            let track = plan.make_track(&collector, progress, fault);
            (plan, track)
        });
        let follower = sound.as_ref().map(|(_, track)| track.clone() as Arc<dyn Follower>);
        let source = period.video().cloned().map_or(video::Source::Black, video::Source::H264);
        let video = (!rungs.is_empty()).then(|| {
            let frame_rate = rate.cap_at(ladder.max_frame_rate);
            let plan = video::Plan { source, grid, origin: period.origin, frame_rate, rungs, ladder };
            Video::start_pipelines(&plan, &collector, follower, progress, fault)
        });
        let audio = sound.map(|(plan, track)| Audio::start_pipelines(&plan, track, fault));
        Ok(Self { video: video.transpose()?, audio: audio.transpose()?, collector })
    }

    /// Each tag to its track; and the track that it leaves behind is told.
    fn push_tag(&self, tag: Tag, interleaving: &Interleaving) -> Flow {
        match (tag.is_video(), &self.video, &self.audio) {
            (true, Some(video), audio) => {
                video.push_tag(tag)?;
                if let Some((audio, until)) = audio.as_ref().zip(interleaving.sound_left_behind()) {
                    audio.report_stall(until);
                }
            }
            (false, video, Some(audio)) => {
                audio.push_tag(tag)?;
                if let Some((video, until)) = video.as_ref().zip(interleaving.picture_left_behind()) {
                    video.report_stall(until);
                }
            }
            (true, None, _) | (false, _, None) => {}
        }
        Ok(())
    }

    fn finish_tracks(&self, grid: Grid) -> Flow<Option<MediaSequence>> {
        let end = match &self.video {
            Some(video) => {
                video.finish_track()?;
                video.end_position()
            }
            None => None,
        };
        if let Some(audio) = &self.audio {
            audio
                .finish_track(end.map(|(time, last)| (time.max(grid.boundary(last) + AUDIO_FRAME), last)))?;
        }
        let last = end.map(|(_, last)| last).or_else(|| self.audio.as_ref().and_then(Audio::last_sequence));
        Ok(last.filter(|_| self.collector.is_open()))
    }
}

/// The period's first segment is the same for everybody who makes a part of the period.
fn period_start(period: &Period, grid: Grid) -> PeriodStart {
    PeriodStart {
        number: period.number,
        first_sequence: grid.sequence(period.origin.into()),
        origin: period.origin.into(),
        wall_clock: period.wall_clock,
        renditions: Vec::new(),
        ladder: None,
    }
}
