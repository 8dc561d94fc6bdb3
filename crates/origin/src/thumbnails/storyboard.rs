//! The storyboard: small pictures of a broadcast, one about every ten seconds, on sheets of 25.
//!
//! Which segment a tile shows follows from the segment's number alone, so that origins agree on it, and the sheets that are
//! made while a broadcast is live are those of its recording.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use headwater_hls::{Archive, LiveWindow, Segment};
use headwater_media::StoredSegment;
use headwater_media::{
    BroadcastId, MediaSequence, MediaTime, PeriodStart, Rendition, RenditionId, RenditionKind,
    SegmentSettings,
};

use super::frame::on_air;

pub(crate) const SHEET_COLUMNS: u32 = 5;
pub(crate) const SHEET_ROWS: u32 = 5;
/// Tiles of a sheet.
const SHEET_TILES: u64 = (SHEET_COLUMNS * SHEET_ROWS) as u64;
/// From one tile to the next, in milliseconds; in whole segments.
const TILE_INTERVAL_MS: u64 = 10_000;
/// The room that a tile has, in pixels.
const TILE_WIDTH_PX: u32 = 192;
const TILE_HEIGHT_PX: u32 = 108;

/// Origin of a storyboard's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// The moment at which the broadcast began, by the wall clock.
    Live,
    /// The first segment, one after the other, as a player of the recording counts.
    Recording,
}

/// Everything that a storyboard shows, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Storyboard {
    pub(crate) broadcast: BroadcastId,
    clock: Clock,
    /// Segments of a tile.
    stride: u64,
    tiles: BTreeMap<u64, Tile>,
    /// The first segment that may still change.
    open_from: MediaSequence,
    /// The end of the newest segment.
    end: u64,
    /// Of a tile, in pixels.
    size: (u32, u32),
}

#[derive(Clone, Debug)]
pub(crate) struct Tile {
    pub(crate) rendition: RenditionId,
    pub(crate) sequence: MediaSequence,
    pub(crate) init: Bytes,
    /// The beginning of its segment; nothing where that has to be fetched.
    pub(crate) media: Option<Bytes>,
    /// Microseconds by the board's clock.
    begins: u64,
}

/// A sheet to be made.
#[derive(Clone, Debug)]
pub(crate) struct Sheet {
    /// Row by row; nothing where there is no picture.
    pub(crate) tiles: Vec<Option<Tile>>,
    pub(crate) size: (u32, u32),
    /// No tile will come to it or change.
    pub(crate) is_complete: bool,
}

impl Storyboard {
    /// Of what is stored and of the live window behind it, either of which may be missing; of the same broadcast. None
    /// without any segment.
    pub(crate) fn of(archive: Option<&Archive>, window: Option<&LiveWindow>, clock: Clock) -> Option<Self> {
        let (broadcast, settings) = match (window, archive) {
            (Some(window), _) => (window.opening().broadcast, window.opening().settings),
            (None, Some(archive)) => (archive.broadcast(), archive.settings()),
            (None, None) => return None,
        };
        let mut board = Self::empty(broadcast, settings, clock);
        let held_from = window.map(|window| window.opening().first_sequence);
        if let Some(archive) = archive {
            let before = |segment: &&std::sync::Arc<StoredSegment>| {
                held_from.is_none_or(|held| segment.sequence < held)
            };
            archive.segments().filter(before).for_each(|segment| board.add_stored(archive, segment));
        }
        if let Some(window) = window {
            board.add_window(window);
        }
        if window.is_none_or(LiveWindow::ended) {
            board.open_from = MediaSequence(u64::MAX);
        }
        (board.end > 0).then_some(board)
    }

    /// More is to come behind what is stored.
    pub(crate) fn growing(self, archive: &Archive) -> Self {
        Self { open_from: archive.next_sequence().unwrap_or_default(), ..self }
    }

    fn empty(broadcast: BroadcastId, settings: SegmentSettings, clock: Clock) -> Self {
        let stride = (TILE_INTERVAL_MS / u64::from(settings.segment_ms.max(1))).max(1);
        let tiles = BTreeMap::new();
        let open_from = broadcast.first_sequence();
        Self { broadcast, clock, stride, tiles, open_from, end: 0, size: (TILE_WIDTH_PX, TILE_HEIGHT_PX) }
    }

    fn add_stored(&mut self, archive: &Archive, segment: &StoredSegment) {
        let Some(period) = archive.period_of(segment.sequence) else { return };
        let smallest = smallest(period, |rendition| segment.size(rendition).is_some());
        let picture = smallest.map(|(rendition, init)| (rendition, init, None));
        let begins = on_air(period, segment.start(), segment.drift);
        self.add(begins, segment.sequence, segment.duration(), picture);
    }

    fn add_window(&mut self, window: &LiveWindow) {
        let Some(best) = window.renditions().next().map(|rendition| rendition.id.clone()) else { return };
        let leading: Vec<_> = window.kept(&best).collect();
        for (sequence, segment) in leading {
            let Some(period) = window.period_of(sequence) else { continue };
            let held = |rendition: &RenditionId| {
                let segment = window.kept(rendition).find(|(other, _)| *other == sequence)?.1;
                beginning(segment)
            };
            let picture = smallest(period, |rendition| held(rendition).is_some())
                .map(|(rendition, init)| (rendition, init, held(&rendition.id)));
            let begins = on_air(period, segment.start(), window.drift_of(period, segment.start()));
            self.add(begins, sequence, segment.duration(), picture);
        }
        self.open_from = window.committed().map_or(self.open_from, MediaSequence::next);
    }

    fn add(
        &mut self,
        on_air: u64,
        sequence: MediaSequence,
        duration: MediaTime,
        picture: Option<(&Rendition, &Bytes, Option<Bytes>)>,
    ) {
        let begins = match self.clock {
            Clock::Live => on_air.saturating_sub(self.broadcast.made_at().0 * 1_000),
            Clock::Recording => self.end,
        };
        self.end = begins + duration.0;
        let Some((rendition, init, media)) = picture else { return };
        self.size = fitted(rendition);
        let number = sequence.0.saturating_sub(self.broadcast.first_sequence().0) / self.stride;
        let rendition = rendition.id.clone();
        let init = init.clone();
        self.tiles.entry(number).or_insert(Tile { rendition, sequence, init, media, begins });
    }

    /// The index of all sheets (WebVTT, with `#xywh` of Media Fragments). `folder` leads from its address to that of the
    /// broadcast, with a slash at its end.
    pub(crate) fn vtt(&self, folder: &str) -> String {
        let mut out = String::from("WEBVTT\n\n");
        if self.clock == Clock::Live {
            let start = i64::try_from(self.broadcast.made_at().0).unwrap_or(i64::MAX);
            let start = jiff::Timestamp::from_millisecond(start).unwrap_or_default();
            let _ = write!(out, "NOTE Times count from {start:.3}, when the broadcast began.\n\n");
        }
        let mut next = self.tiles.iter().skip(1).map(|(_, tile)| tile.begins);
        let (width, height) = self.size;
        for (number, tile) in &self.tiles {
            let end = next.next().unwrap_or(self.end).max(tile.begins + 1_000);
            let sheet = number / SHEET_TILES;
            let place = (number % SHEET_TILES) as u32;
            let x = place % SHEET_COLUMNS * width;
            let y = place / SHEET_COLUMNS * height;
            let _ = write!(
                out,
                "{} --> {}\n{folder}storyboard/{sheet}.jpg{}#xywh={x},{y},{width},{height}\n\n",
                timestamp(tile.begins),
                timestamp(end),
                self.version(sheet)
            );
        }
        out
    }

    /// A sheet that grows has another address with each tile.
    fn version(&self, sheet: u64) -> String {
        if self.is_complete(sheet) { String::new() } else { format!("?tiles={}", self.count(sheet)) }
    }

    /// How far a sheet is filled.
    fn count(&self, sheet: u64) -> u64 {
        let last = self.tiles.range(..(sheet + 1) * SHEET_TILES).next_back();
        last.map_or(0, |(number, _)| (number + 1).saturating_sub(sheet * SHEET_TILES))
    }

    fn is_complete(&self, sheet: u64) -> bool {
        let end = self
            .broadcast
            .first_sequence()
            .0
            .saturating_add((sheet + 1).saturating_mul(SHEET_TILES * self.stride));
        self.open_from.0 >= end
    }

    /// A sheet as far as it is asked for; none where nothing of it is here.
    pub(crate) fn sheet(&self, sheet: u32, tiles: Option<u64>) -> Option<Sheet> {
        let sheet = u64::from(sheet);
        let first = sheet * SHEET_TILES;
        let count = self.count(sheet).min(tiles.unwrap_or(SHEET_TILES));
        let tiles: Vec<_> = (first..first + count).map(|number| self.tiles.get(&number).cloned()).collect();
        let is_complete = self.is_complete(sheet);
        tiles.iter().any(Option::is_some).then_some(Sheet { tiles, size: self.size, is_complete })
    }
}

/// The smallest rendition with pictures that there is something of, and its init segment.
fn smallest(period: &PeriodStart, is_there: impl Fn(&RenditionId) -> bool) -> Option<(&Rendition, &Bytes)> {
    let mut pictures = period.renditions.iter().rev();
    let found = pictures.find(|(rendition, _)| {
        matches!(rendition.kind, RenditionKind::Video { .. }) && is_there(&rendition.id)
    });
    found.map(|(rendition, init)| (rendition, init))
}

/// The part of a segment that begins with its keyframe.
fn beginning(segment: &Segment) -> Option<Bytes> {
    segment.parts().first().filter(|part| part.independent).map(|part| part.bytes.clone())
}

/// The size of a tile: as large as its room allows, even, and of the picture's aspect.
fn fitted(rendition: &Rendition) -> (u32, u32) {
    let RenditionKind::Video { width, height, .. } = rendition.kind else {
        return (TILE_WIDTH_PX, TILE_HEIGHT_PX);
    };
    let width = f64::from(width.max(1));
    let height = f64::from(height.max(1));
    let scale = (f64::from(TILE_WIDTH_PX) / width).min(f64::from(TILE_HEIGHT_PX) / height);
    let even = |side: f64, most: u32| (((side * scale / 2.0).round() * 2.0) as u32).clamp(2, most);
    (even(width, TILE_WIDTH_PX), even(height, TILE_HEIGHT_PX))
}

/// `01:02:03.004` (WebVTT §3.3), of microseconds.
fn timestamp(micros: u64) -> String {
    let millis = micros / 1_000;
    let seconds = millis / 1_000;
    let millis = millis % 1_000;
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use headwater_media::{Epoch, MediaEvent, Opening, PartIndex, PeriodNumber, UnixMillis};
    use headwater_media::{Piece, Record};

    use super::*;

    const START: u64 = 1_800_000_000_000;
    const SETTINGS: SegmentSettings = SegmentSettings { segment_ms: 2_000, part_ms: 500 };

    fn broadcast() -> BroadcastId {
        BroadcastId::new(UnixMillis(START), &[7; 10])
    }

    fn first() -> u64 {
        broadcast().first_sequence().0
    }

    fn period() -> PeriodStart {
        let rendition = |id: &str, width, height| {
            let kind = RenditionKind::Video { width, height, frame_rate: 25.0 };
            let rendition =
                Rendition { id: id.parse().unwrap(), kind, codecs: "avc1".into(), declared_bitrate: 1 };
            (rendition, Bytes::from(format!("init {id}")))
        };
        PeriodStart {
            number: PeriodNumber(0),
            first_sequence: MediaSequence(first()),
            origin: MediaTime(0),
            wall_clock: UnixMillis(START),
            renditions: vec![rendition("720p", 1280, 720), rendition("360p", 640, 360)],
            ladder: None,
        }
    }

    fn archive(segments: u64) -> Archive {
        let mut archive = Archive::new(broadcast(), SETTINGS, 0);
        archive.apply(&Record::Period(period())).unwrap();
        for nth in 0..segments {
            let piece = |id: &str| Piece {
                rendition: id.parse().unwrap(),
                start: MediaTime::from_millis(nth * 2_000),
                duration: MediaTime::from_millis(2_000),
                size: Some(1_000),
            };
            let pieces = vec![piece("720p"), piece("360p")];
            let sequence = MediaSequence(first() + nth);
            archive.apply(&Record::Segment(StoredSegment { sequence, pieces, drift: 0 })).unwrap();
        }
        archive
    }

    /// Whole segments from the `from`th to the `to`th.
    fn window(from: u64, to: u64) -> LiveWindow {
        let mut window = LiveWindow::new(Opening {
            broadcast: broadcast(),
            epoch: Epoch(1),
            settings: SETTINGS,
            window_segments: 10,
            first_sequence: MediaSequence(first() + from),
            discontinuity_sequence: 0,
        });
        let mut apply = |event| window.apply(&event).map(drop).unwrap();
        apply(MediaEvent::PeriodStart(period()));
        for (nth, id) in (from..to).flat_map(|nth| ["720p", "360p"].map(|id| (nth, id))) {
            let (rendition, sequence): (RenditionId, _) = (id.parse().unwrap(), MediaSequence(first() + nth));
            for index in 0..4 {
                apply(MediaEvent::Part {
                    rendition: rendition.clone(),
                    sequence,
                    index: PartIndex(index),
                    start: MediaTime::from_millis(nth * 2_000 + u64::from(index) * 500),
                    duration: MediaTime::from_millis(500),
                    independent: index == 0,
                    bytes: Bytes::from(format!("{id} {nth}.{index}")),
                });
            }
            apply(MediaEvent::SegmentEnd { rendition, sequence });
        }
        window
    }

    #[test]
    fn a_tile_stands_for_ten_seconds_and_a_sheet_for_25_tiles() {
        let board = Storyboard::of(Some(&archive(130)), None, Clock::Recording).unwrap();
        let vtt = board.vtt("id/");
        assert!(
            vtt.starts_with(
                "WEBVTT\n\n00:00:00.000 --> 00:00:10.000\nid/storyboard/0.jpg#xywh=0,0,192,108\n\n"
            ),
            "{vtt}"
        );
        assert!(
            vtt.contains("00:01:10.000 --> 00:01:20.000\nid/storyboard/0.jpg#xywh=384,108,192,108\n"),
            "{vtt}"
        );
        assert!(
            vtt.ends_with("00:04:10.000 --> 00:04:20.000\nid/storyboard/1.jpg#xywh=0,0,192,108\n\n"),
            "{vtt}"
        );
        assert_eq!(vtt.matches("-->").count(), 26);
        let sheet = board.sheet(1, None).unwrap();
        assert_eq!((sheet.tiles.len(), sheet.is_complete), (1, true));
        assert_eq!(board.sheet(0, None).unwrap().tiles[1].as_ref().unwrap().sequence.0, first() + 5);
        assert!(board.sheet(2, None).is_none());
    }

    #[test]
    fn what_is_live_is_taken_from_the_window_and_what_is_older_from_the_store() {
        let board = Storyboard::of(Some(&archive(20)), Some(&window(12, 23)), Clock::Live).unwrap();
        let sheet = board.sheet(0, None).unwrap();
        assert!(!sheet.is_complete);
        let media: Vec<_> = sheet.tiles.iter().flatten().map(|tile| tile.media.clone()).collect();
        assert_eq!(media, [None, None, None, Some("360p 15.0".into()), Some("360p 20.0".into())]);
        let vtt = board.vtt("id/");
        assert!(vtt.contains("NOTE Times count from 2027-01-15T08:00:00.000Z"), "{vtt}");
        assert!(
            vtt.contains("00:00:40.000 --> 00:00:46.000\nid/storyboard/0.jpg?tiles=5#xywh=768,0,192,108\n"),
            "{vtt}"
        );
        assert_eq!(board.sheet(0, Some(2)).unwrap().tiles.len(), 2);
    }

    #[test]
    fn without_a_store_the_window_is_all() {
        let board = Storyboard::of(None, Some(&window(123, 134)), Clock::Live).unwrap();
        let numbers: Vec<_> =
            board.tiles.iter().map(|(number, tile)| (*number, tile.sequence.0 - first())).collect();
        assert_eq!(numbers, [(24, 123), (25, 125), (26, 130)]);
        let front = board.sheet(0, None).unwrap();
        assert_eq!(
            (front.tiles.len(), front.tiles.iter().flatten().count(), front.is_complete),
            (25, 1, true)
        );
        assert!(Storyboard::of(None, None, Clock::Live).is_none());
    }

    #[test]
    fn tiles_have_the_aspect_of_the_picture() {
        let size = |width, height| {
            let kind = RenditionKind::Video { width, height, frame_rate: 25.0 };
            fitted(&Rendition { id: "x".parse().unwrap(), kind, codecs: String::new(), declared_bitrate: 1 })
        };
        assert_eq!(
            [size(640, 360), size(360, 640), size(640, 268), size(640, 480)],
            [(192, 108), (60, 108), (192, 80), (144, 108)]
        );
    }
}
