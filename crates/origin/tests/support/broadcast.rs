//! A broadcast of one video and one audio rendition: segments of 2 s, parts of 0.5 s.

use bytes::Bytes;
use headwater_media::{
    BroadcastId, Epoch, MediaEvent, MediaSequence, MediaTime, Opening, PartIndex, PeriodNumber, PeriodStart,
    Piece, Record, Rendition, RenditionId, RenditionKind, SegmentSettings, StoredSegment, UnixMillis,
};

pub const PARTS: u32 = 4;
pub const VIDEO: &str = "720p";
pub const AUDIO: &str = "audio";
/// Start of a period's second segment in microseconds: the first one is short, and not played here.
const LEAD: u64 = 480_000;
/// Number of the first segment.
pub const FIRST: u64 = 100;

/// A stream's broadcasts; the tags are `a0a0a0a0`, `a1a1a1a1` and so on.
pub fn id(nth: u8) -> BroadcastId {
    BroadcastId::new(UnixMillis(1_800_000_000_000 + u64::from(nth)), &[0xa0 + nth; 10])
}

pub fn opening(broadcast: BroadcastId, epoch: Epoch, first: u64) -> Opening {
    Opening {
        broadcast,
        epoch,
        settings: SegmentSettings { segment_ms: 2_000, part_ms: 500 },
        window_segments: 4,
        first_sequence: MediaSequence(first),
        discontinuity_sequence: 0,
    }
}

pub fn period(first: u64) -> MediaEvent {
    let kinds = [
        (VIDEO, RenditionKind::Video { width: 1280, height: 720, frame_rate: 30.0 }, "avc1.64001f"),
        (AUDIO, RenditionKind::Audio { channels: 2, sample_rate: 48_000 }, "mp4a.40.2"),
    ];
    let rendition = |(id, kind, codecs): (&str, RenditionKind, &str)| {
        let init = Bytes::from(format!("init of {id}"));
        (Rendition { id: rendition(id), kind, codecs: codecs.into(), declared_bitrate: 1_000_000 }, init)
    };
    MediaEvent::PeriodStart(PeriodStart {
        number: PeriodNumber(0),
        first_sequence: MediaSequence(first),
        origin: MediaTime(0),
        wall_clock: UnixMillis(1_800_000_000_000),
        renditions: kinds.into_iter().map(rendition).collect(),
        ladder: None,
    })
}

pub fn rendition(id: &str) -> RenditionId {
    id.parse().unwrap()
}

/// A part; `by` says who made it, so that two makers' bytes differ.
pub fn part(id: &str, sequence: u64, index: u32, by: &str) -> MediaEvent {
    let start = LEAD + (sequence - FIRST) * 2_000_000 + u64::from(index) * 500_000;
    MediaEvent::Part {
        rendition: rendition(id),
        sequence: MediaSequence(sequence),
        index: PartIndex(index),
        start: MediaTime(start),
        duration: MediaTime(500_000),
        independent: index == 0,
        bytes: bytes(id, sequence, index, by),
    }
}

pub fn bytes(id: &str, sequence: u64, index: u32, by: &str) -> Bytes {
    Bytes::from(format!("<{id} {sequence}.{index} of {by}>"))
}

pub fn end(id: &str, sequence: u64) -> MediaEvent {
    MediaEvent::SegmentEnd { rendition: rendition(id), sequence: MediaSequence(sequence) }
}

/// Whole segments of both renditions.
pub fn segments(sequences: std::ops::Range<u64>, by: &str) -> Vec<MediaEvent> {
    let of = |id, sequence| {
        let parts = (0..PARTS).map(move |index| part(id, sequence, index, by));
        parts.chain([end(id, sequence)])
    };
    sequences
        .flat_map(|sequence| of(VIDEO, sequence).chain(of(AUDIO, sequence)).collect::<Vec<_>>())
        .collect()
}

/// A segment of both renditions as an index names it.
pub fn stored(sequence: u64) -> Record {
    let piece = |id| Piece {
        rendition: rendition(id),
        start: MediaTime((sequence - FIRST) * 2_000_000),
        duration: MediaTime(2_000_000),
        size: Some(7),
    };
    let pieces = [VIDEO, AUDIO].map(piece).into();
    Record::Segment(StoredSegment { sequence: MediaSequence(sequence), pieces, drift: 0 })
}
