//! The renditions of the simulated worker: frames that are the numbers of the tags, placed where the real ones are.

use std::time::Duration;

use bytes::Bytes;
use headwater_media::{
    Cutter, EncodedFrame, Grid, MediaSequence, MediaTime, Period, PeriodNumber, PeriodStart, Rendition,
    RenditionKind, SourceTime, TrackId, UnixMillis,
};
use headwater_wire::v2::worker_input::Start;
use headwater_wire::v2::{self, Tag};

use super::tag::{self, FRAME_MS};

pub const RENDITIONS: [&str; 2] = ["720p", "audio"];

/// The rung that broadcasts of servers have that were updated, and how many others all of them have.
pub const MORE: &str = "240p";
const UPDATED_FROM: usize = 3;

/// Something that a rendition has made.
pub struct Made {
    pub track: usize,
    pub output: Output,
}

#[derive(Clone)]
pub enum Output {
    Frame(EncodedFrame),
    /// End of the rendition at this position.
    End(usize),
}

/// Position of the output.
#[derive(Default)]
pub struct Encoding {
    start: Start,
    next: MediaSequence,
    tracks: Vec<Track>,
    /// Whether the period has one rung more.
    has_more: bool,
}

struct Track {
    /// Position in the period.
    rendition: usize,
    timescale: u32,
    cutter: Cutter,
    /// Newest frame, of which it is not known yet what follows it.
    open: Option<EncodedFrame>,
    /// When it begins.
    newest: SourceTime,
}

impl Encoding {
    pub fn start(&mut self, start: Start) {
        self.next = MediaSequence(start.first_sequence);
        self.start = start;
    }

    pub fn begin(&mut self, period: v2::Period) -> PeriodStart {
        let settings = self.start.settings.expect("a server says its settings").try_into();
        let settings = settings.expect("they are valid");
        let origin = SourceTime(period.origin_us);
        if let Some(first) = period.first_sequence.map(MediaSequence).filter(|first| *first > self.next) {
            (self.next, self.start.resume_us) = (first, None);
        }
        let (grid, first) = match self.start.resume_us.take().map(SourceTime) {
            Some(start) => {
                let grid = Grid::resumed(origin, start, self.next, settings);
                (grid, MediaSequence(self.next.0 - grid.cell(start.into())))
            }
            None => (Grid::new(origin, self.next, settings), self.next),
        };
        let renditions = self.renditions(period.number);
        let track = |name: &str| {
            let at = renditions.iter().position(|(rendition, _)| rendition.id.as_str() == name);
            let at = at.expect("every period has them");
            Track::new(at, renditions[at].0.timescale(), grid)
        };
        self.tracks = RENDITIONS.map(track).into();
        PeriodStart {
            number: PeriodNumber(period.number),
            first_sequence: first,
            origin: origin.into(),
            wall_clock: UnixMillis(period.wall_clock_unix_ms),
            renditions,
            ladder: None,
        }
    }

    /// Renditions of the period, those of another server where it has begun it. A broadcast that a server has begun that
    /// was updated has a rung more, which shows the same pictures.
    fn renditions(&mut self, period: u32) -> Vec<(Rendition, Bytes)> {
        let begun = self.start.begun_as.take().map(PeriodStart::try_from);
        let begun = begun.map(|begun| begun.expect("a server says what is valid"));
        let renditions = match begun.filter(|begun| begun.number.0 == period) {
            Some(begun) => begun.renditions,
            None => {
                let rungs = self.start.ladder.as_ref().map_or(0, |ladder| ladder.rungs.len());
                let is_known = self.start.kept.iter().any(|kept| kept.id == MORE);
                self.has_more |= is_known || rungs > UPDATED_FROM;
                let more = self.has_more.then(more);
                let [video, audio] = renditions();
                let all = [Some(video), more, Some(audio)].into_iter().flatten();
                all.map(|rendition| (rendition, Bytes::from_static(b"init"))).collect()
            }
        };
        self.has_more = renditions.iter().any(|(rendition, _)| rendition.id.as_str() == MORE);
        renditions
    }

    pub fn push(&mut self, tag: Tag) -> Vec<Made> {
        let time = SourceTime(tag.time_us);
        let track = usize::from(TrackId(tag.track) == Period::AUDIO_TRACK);
        let is_key = tag.keyframe || track == 1;
        let mut made = Vec::new();
        if let Some(of) = self.tracks.get_mut(track) {
            let has_more = self.has_more && track == 0;
            let output = of.push(time, is_key, &tag.payload).map(Output::Frame);
            made.extend(output.into_iter().flat_map(|output| in_all(track, output, has_more)));
            self.note_next();
        }
        made
    }

    pub fn finish(&mut self) -> Vec<Made> {
        let mut made = Vec::new();
        for (track, of) in self.tracks.iter_mut().enumerate() {
            let has_more = self.has_more && track == 0;
            made.extend(of.finish().flat_map(|output| in_all(track, output, has_more)));
        }
        self.tracks.clear();
        made
    }

    fn note_next(&mut self) {
        let open = self.tracks.iter().filter_map(|track| Some(track.open.as_ref()?.sequence.next()));
        self.next = open.max().unwrap_or_default().max(self.next);
    }
}

impl Track {
    fn new(rendition: usize, timescale: u32, grid: Grid) -> Self {
        Self { rendition, timescale, cutter: Cutter::video(grid), open: None, newest: grid.start() }
    }

    /// Takes the next frame, and gives the one before it.
    fn push(&mut self, time: SourceTime, is_key: bool, payload: &[u8]) -> Option<EncodedFrame> {
        if time < self.cutter.grid().start() {
            return None;
        }
        let placement = self.cutter.place(time.into());
        let ticks = MediaTime::from(time).ticks(self.timescale);
        self.newest = time;
        let frame = EncodedFrame {
            rendition: self.rendition,
            time: ticks,
            end: ticks,
            composition_offset: 0,
            keyframe: is_key,
            sequence: placement.sequence,
            part: placement.part,
            next: None,
            payload: Bytes::copy_from_slice(&payload[..tag::LENGTH.min(payload.len())]),
        };
        let before = self.open.replace(frame)?;
        Some(EncodedFrame { end: ticks, next: Some(placement.cut), ..before })
    }

    fn finish(&mut self) -> impl Iterator<Item = Output> + use<> {
        let end = MediaTime::from(self.newest + Duration::from_millis(FRAME_MS)).ticks(self.timescale);
        let last = self.open.take().map(|last| Output::Frame(EncodedFrame { end, ..last }));
        last.into_iter().chain([Output::End(self.rendition)])
    }
}

/// Output of a rendition, and the same of the other rung, which comes right after it.
fn in_all(track: usize, output: Output, has_more: bool) -> impl Iterator<Item = Made> {
    let other = match output.clone() {
        Output::Frame(frame) => Output::Frame(EncodedFrame { rendition: frame.rendition + 1, ..frame }),
        Output::End(rendition) => Output::End(rendition + 1),
    };
    let made = move |output| Made { track, output };
    has_more.then_some(other).into_iter().chain([output]).map(made)
}

fn more() -> Rendition {
    let [video, _] = renditions();
    Rendition { id: MORE.parse().expect("a rendition's name"), ..video }
}

fn renditions() -> [Rendition; 2] {
    let video = RenditionKind::Video { width: 1280, height: 720, frame_rate: 10.0 };
    let audio = RenditionKind::Audio { channels: 2, sample_rate: 48_000 };
    let rendition = |id: &str, kind, codecs: &str| Rendition {
        id: id.parse().expect("a rendition's name"),
        kind,
        codecs: codecs.into(),
        declared_bitrate: 1_000_000,
    };
    [rendition(RENDITIONS[0], video, "avc1.64001f"), rendition(RENDITIONS[1], audio, "mp4a.40.2")]
}
