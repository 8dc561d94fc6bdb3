//! One period: its tracks, started together, kept together, ended in the same segment.

use std::sync::Arc;

use headwater_hls::PeriodStart;
use headwater_media::{Grid, Ladder, MediaSequence, MediaTime, Period, SourceTime, Tag};

use crate::audio::{self, Audio, Pace};
use crate::cast::{Cast, Model};
use crate::error::Result;
use crate::fault::{Fault, Flow};
use crate::outlet::{Outlet, Way};
use crate::progress::Progress;
use crate::video::{self, Follower, FrameRate, Video};

/// How far one track may fall behind the other, in source milliseconds, before it goes on without its source: more
/// than interleaving and B-frames ever make, and less than a player has in store.
const STALL_MS: u64 = 1_000;
/// Composition offsets beyond this are damage; believed, they would stop the picture for as long as they say.
const MAX_OFFSET_MS: u32 = 10_000;
/// How long the frames of a source that does not declare its frame rate are measured at most.
const MEASURE_MS: u64 = 2_000;
/// An AAC frame, rounded up: no segment of sound is empty when the sound reaches this far into it.
const AUDIO_FRAME: MediaTime = MediaTime::from_millis(22);

/// What is needed to make anything.
#[derive(Clone)]
pub(crate) struct Tools {
    pub(crate) ladder: Arc<Ladder>,
    pub(crate) way: Way,
    pub(crate) progress: Arc<Progress>,
    pub(crate) fault: Arc<Fault>,
}

/// A period that is running.
pub(crate) struct Running {
    period: Period,
    cast: Cast,
    grid: Grid,
    /// Where another producer began it.
    model: Option<Model>,
    tools: Tools,
    stage: Stage,
    newest: Option<Newest>,
}

enum Stage {
    /// The source does not say its frame rate; its first tags wait.
    Measuring(Vec<Tag>),
    Tracks(Box<Tracks>),
}

struct Tracks {
    video: Option<Video>,
    audio: Option<Audio>,
    outlet: Arc<Outlet>,
}

/// The newest presentation time of each track; from the period's first tag on, whichever track it was of.
#[derive(Clone, Copy, Debug)]
struct Newest {
    first: SourceTime,
    video: SourceTime,
    audio: SourceTime,
}

impl Running {
    pub(crate) fn start(
        period: Period,
        cast: Cast,
        grid: Grid,
        model: Option<Model>,
        tools: Tools,
    ) -> Result<Self> {
        tools.progress.begin();
        let declared = match &period.video {
            Some(record) => video::picture(record)?.frame_rate.and_then(FrameRate::declared),
            None => Some(FrameRate::DEFAULT),
        };
        let known = model.as_ref().and_then(Model::frame_rate).or(declared);
        let mut running =
            Self { period, cast, grid, model, tools, stage: Stage::Measuring(Vec::new()), newest: None };
        if let Some(rate) = known {
            running.stage = Stage::Tracks(Box::new(running.tracks(rate)?));
        }
        Ok(running)
    }

    fn tracks(&self, rate: FrameRate) -> Result<Tracks> {
        let head =
            PeriodStart { ladder: Some(self.tools.ladder.as_ref().clone()), ..head(&self.period, self.grid) };
        let count = self.cast.pictures.len() + usize::from(self.cast.sound);
        let outlet =
            Outlet::new(head, count, self.model.as_ref().map(Model::renditions), self.tools.way.clone());
        Tracks::start(&self.period, &self.cast, self.grid, rate, outlet, &self.tools)
    }

    pub(crate) fn tag(&mut self, mut tag: Tag) -> Result<()> {
        if tag.composition_offset.unsigned_abs() > MAX_OFFSET_MS {
            tag.composition_offset = 0;
        }
        let shown = tag.presentation_time();
        let newest = self.newest.get_or_insert(Newest { first: shown, video: shown, audio: shown });
        newest.take(&tag);
        let newest = *newest;
        self.tools.progress.took(shown, tag.is_video());
        match &mut self.stage {
            Stage::Tracks(tracks) => tracks.tag(tag, newest).map_err(|_| self.tools.fault.take()),
            Stage::Measuring(tags) => {
                tags.push(tag);
                match is_measured(tags, newest) {
                    true => self.begin(),
                    false => Ok(()),
                }
            }
        }
    }

    /// Lets everything come out, and gives the last segment; none where nothing was put out.
    pub(crate) fn finish(mut self) -> Result<Option<MediaSequence>> {
        self.begin()?;
        let Stage::Tracks(tracks) = &self.stage else { return Ok(None) };
        if let (None, Some(video), Some(newest)) = (&self.period.video, &tracks.video, self.newest) {
            video.stalled(newest.audio);
        }
        tracks.finish(self.grid).map_err(|_| self.tools.fault.take())
    }

    /// Starts the tracks, if they still wait, with what waits for them.
    fn begin(&mut self) -> Result<()> {
        let Stage::Measuring(tags) = &mut self.stage else { return Ok(()) };
        let tags = std::mem::take(tags);
        let times: Vec<_> = tags.iter().filter(|tag| tag.is_video()).map(Tag::presentation_time).collect();
        let rate = FrameRate::measured(&times);
        let tracks = self.tracks(rate)?;
        let mut newest = tags.first().map(|tag| tag.presentation_time()).map(Newest::from);
        self.stage = Stage::Tracks(Box::new(tracks));
        let Stage::Tracks(tracks) = &self.stage else { return Ok(()) };
        for tag in tags {
            if let Some(newest) = &mut newest {
                newest.take(&tag);
                tracks.tag(tag, *newest).map_err(|_| self.tools.fault.take())?;
            }
        }
        Ok(())
    }
}

fn is_measured(tags: &[Tag], newest: Newest) -> bool {
    tags.iter().filter(|tag| tag.is_video()).count() >= FrameRate::SAMPLES
        || newest.video.max(newest.audio).since(newest.first) >= MEASURE_MS
}

impl Tracks {
    fn start(
        period: &Period,
        cast: &Cast,
        grid: Grid,
        rate: FrameRate,
        outlet: Outlet,
        tools: &Tools,
    ) -> Result<Self> {
        let Tools { ladder, progress, fault, .. } = tools;
        let (rungs, outlet) = (cast.pictures.clone(), Arc::new(outlet));
        let pace = if rungs.is_empty() { Pace::Alone } else { Pace::BehindPictures };
        let sound = cast.sound.then(|| {
            let config = period.audio.clone().unwrap_or(audio::SILENCE);
            let plan = audio::Plan { config, grid, bitrate: ladder.audio_bitrate, place: rungs.len(), pace };
            let track = plan.track(&outlet, progress, fault);
            (plan, track)
        });
        let follower = sound.as_ref().map(|(_, track)| track.clone() as Arc<dyn Follower>);
        let source = period.video.clone().map_or(video::Source::Black, video::Source::H264);
        let video = (!rungs.is_empty()).then(|| {
            let frame_rate = rate.capped(ladder.max_frame_rate);
            let plan = video::Plan { source, grid, origin: period.origin, frame_rate, rungs, ladder };
            Video::start(&plan, &outlet, follower, progress, fault)
        });
        let audio = sound.map(|(plan, track)| Audio::start(&plan, track, fault));
        Ok(Self { video: video.transpose()?, audio: audio.transpose()?, outlet })
    }

    /// Each tag to its track; and the track that it leaves behind is told.
    fn tag(&self, tag: Tag, newest: Newest) -> Flow {
        match (tag.is_video(), &self.video, &self.audio) {
            (true, Some(video), audio) => {
                video.tag(tag)?;
                if let Some((audio, until)) =
                    audio.as_ref().zip(newest.left_behind(newest.audio, newest.video))
                {
                    audio.stalled(until);
                }
            }
            (false, video, Some(audio)) => {
                audio.tag(tag)?;
                if let Some((video, until)) =
                    video.as_ref().zip(newest.left_behind(newest.video, newest.audio))
                {
                    video.stalled(until);
                }
            }
            (true, None, _) | (false, _, None) => {}
        }
        Ok(())
    }

    fn finish(&self, grid: Grid) -> Flow<Option<MediaSequence>> {
        let end = match &self.video {
            Some(video) => {
                video.finish()?;
                video.end()
            }
            None => None,
        };
        if let Some(audio) = &self.audio {
            audio.finish(end.map(|(time, last)| (time.max(grid.boundary(last) + AUDIO_FRAME), last)))?;
        }
        let last = end.map(|(_, last)| last).or_else(|| self.audio.as_ref().and_then(Audio::last));
        Ok(last.filter(|_| self.outlet.is_open()))
    }
}

impl Newest {
    fn take(&mut self, tag: &Tag) {
        let newest = if tag.is_video() { &mut self.video } else { &mut self.audio };
        *newest = tag.presentation_time().max(*newest);
    }

    /// Up to where a track must go on by itself.
    fn left_behind(self, track: SourceTime, other: SourceTime) -> Option<SourceTime> {
        (other.since(track) > STALL_MS).then(|| other.offset(-(STALL_MS as i64)))
    }
}

impl From<SourceTime> for Newest {
    fn from(first: SourceTime) -> Self {
        Self { first, video: first, audio: first }
    }
}

/// The period's first segment is the same for everybody who makes a part of the period.
fn head(period: &Period, grid: Grid) -> PeriodStart {
    PeriodStart {
        number: period.number,
        first_sequence: grid.sequence(period.origin.into()),
        origin: period.origin.into(),
        wall_clock: period.wall_clock,
        renditions: Vec::new(),
        ladder: None,
    }
}
