//! The renditions of the simulated worker: the numbers of the tags, cut where the real ones cut.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use headwater_media::{
    Cutter, Grid, MediaEvent, MediaSequence, MediaTime, Period, PeriodNumber, PeriodStart, Placement,
    Rendition, RenditionId, RenditionKind, SourceTime, TrackId, UnixMillis,
};
use headwater_wire::v1::worker_input::Start;
use headwater_wire::v1::{self, Tag};

use super::tag::{self, FRAME_MS};

pub const RENDITIONS: [&str; 2] = ["720p", "audio"];

/// The rung that broadcasts of servers have that were updated, and how many others all of them have.
pub const MORE: &str = "240p";
const UPDATED_FROM: usize = 3;

/// Something that a rendition has made.
pub struct Made {
    pub track: usize,
    pub event: MediaEvent,
}

/// Position of the output.
#[derive(Default)]
pub struct Packaging {
    start: Start,
    next: MediaSequence,
    tracks: Vec<Track>,
    /// Whether the period has one rung more.
    has_more: bool,
}

struct Track {
    rendition: RenditionId,
    cutter: Cutter,
    open: Option<Open>,
    /// When the newest frame begins.
    newest: SourceTime,
}

/// A part that is being made.
struct Open {
    placement: Placement,
    start: SourceTime,
    independent: bool,
    numbers: BytesMut,
}

impl Packaging {
    pub fn start(&mut self, start: Start) {
        self.next = MediaSequence(start.first_sequence);
        self.start = start;
    }

    pub fn begin(&mut self, period: v1::Period) -> MediaEvent {
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
        self.tracks = RENDITIONS.map(|name| Track::new(name, grid)).into();
        MediaEvent::PeriodStart(PeriodStart {
            number: PeriodNumber(period.number),
            first_sequence: first,
            origin: origin.into(),
            wall_clock: UnixMillis(period.wall_clock_unix_ms),
            renditions: self.renditions(period.number),
            ladder: None,
        })
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
            of.push(time, is_key, &tag.payload, |event| made.extend(in_all(track, event, has_more)));
            self.note_next();
        }
        made
    }

    pub fn finish(&mut self) -> Vec<Made> {
        let mut made = Vec::new();
        for (track, of) in self.tracks.iter_mut().enumerate() {
            let has_more = self.has_more && track == 0;
            of.finish(|event| made.extend(in_all(track, event, has_more)));
        }
        self.tracks.clear();
        made
    }

    fn note_next(&mut self) {
        let open =
            self.tracks.iter().filter_map(|track| Some(track.open.as_ref()?.placement.sequence.next()));
        self.next = open.max().unwrap_or_default().max(self.next);
    }
}

impl Track {
    fn new(name: &str, grid: Grid) -> Self {
        let rendition = name.parse().expect("a rendition's name");
        Self { rendition, cutter: Cutter::video(grid), open: None, newest: grid.start() }
    }

    fn push(&mut self, time: SourceTime, is_key: bool, payload: &[u8], mut give: impl FnMut(MediaEvent)) {
        if time < self.cutter.grid().start() {
            return;
        }
        let placement = self.cutter.place(time.into());
        let is_other = |open: &Open| {
            (open.placement.sequence, open.placement.part) != (placement.sequence, placement.part)
        };
        if self.open.as_ref().is_some_and(is_other) {
            self.end_part(time, &mut give);
        }
        if let Some(before) = self.open.as_ref().map(|open| open.placement.sequence)
            && before != placement.sequence
        {
            self.end_segment(before, &mut give);
        }
        self.newest = time;
        let new = || Open { placement, start: time, independent: is_key, numbers: BytesMut::new() };
        self.open.get_or_insert_with(new).add(placement, time, is_key, payload);
    }

    /// Its last frame lasts up to this time.
    fn end_part(&mut self, end: SourceTime, give: &mut impl FnMut(MediaEvent)) {
        let Some(open) = self.open.as_mut().filter(|open| !open.numbers.is_empty()) else { return };
        give(MediaEvent::Part {
            rendition: self.rendition.clone(),
            sequence: open.placement.sequence,
            index: open.placement.part,
            start: open.start.into(),
            duration: MediaTime::from(end).saturating_sub(open.start.into()),
            independent: open.independent,
            bytes: open.numbers.split().freeze(),
        });
    }

    fn end_segment(&mut self, sequence: MediaSequence, give: &mut impl FnMut(MediaEvent)) {
        give(MediaEvent::SegmentEnd { rendition: self.rendition.clone(), sequence });
        self.open = None;
    }

    fn finish(&mut self, mut give: impl FnMut(MediaEvent)) {
        self.end_part(self.newest + Duration::from_millis(FRAME_MS), &mut give);
        if let Some(open) = self.open.take() {
            self.end_segment(open.placement.sequence, &mut give);
        }
    }
}

impl Open {
    fn add(&mut self, placement: Placement, time: SourceTime, is_key: bool, payload: &[u8]) {
        if self.numbers.is_empty() {
            (self.placement, self.start, self.independent) = (placement, time, is_key);
        }
        self.numbers.extend_from_slice(&payload[..tag::LENGTH.min(payload.len())]);
    }
}

/// Events that a rendition has made, and the same of the other rung.
fn in_all(track: usize, event: MediaEvent, has_more: bool) -> impl Iterator<Item = Made> {
    let mut other = event.clone();
    if let MediaEvent::Part { rendition, .. } | MediaEvent::SegmentEnd { rendition, .. } = &mut other {
        *rendition = MORE.parse().expect("a rendition's name");
    }
    let made = move |event| Made { track, event };
    has_more.then_some(other).into_iter().chain([event]).map(made)
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
