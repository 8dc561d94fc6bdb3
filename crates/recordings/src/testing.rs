//! Broadcasts for tests.

use headwater_media::{
    BroadcastId, Epoch, MediaSequence, MediaTime, PeriodNumber, PeriodStart, Piece, Record, Rendition,
    RenditionKind, SegmentSettings, StoredSegment, UnixMillis,
};

use crate::{Finisher, Layout};

pub(crate) const SETTINGS: SegmentSettings = SegmentSettings { segment_ms: 2_000, part_ms: 334 };
/// When the broadcasts of tests begin.
pub(crate) const BEGIN: UnixMillis = UnixMillis(1_800_000_000_000);

pub(crate) fn layout(nth: u8) -> Layout {
    let made = UnixMillis(BEGIN.0 + u64::from(nth) * 1_000);
    Layout { stream: "demo".parse().unwrap(), broadcast: BroadcastId::new(made, &[nth; 10]) }
}

/// The owner under this epoch, which finishes all that it has made.
pub(crate) fn as_owner(epoch: u64) -> Finisher<'static> {
    Finisher::Owner { epoch: Epoch(epoch), is_whole: true }
}

fn rendition(id: &str) -> Rendition {
    let kind = match id {
        "audio" => RenditionKind::Audio { channels: 2, sample_rate: 48_000 },
        _ => RenditionKind::Video { width: 1280, height: 720, frame_rate: 30.0 },
    };
    Rendition { id: id.parse().unwrap(), kind, codecs: "avc1.64001f".into(), declared_bitrate: 1 }
}

pub(crate) const RENDITIONS: [&str; 3] = ["720p", "360p", "audio"];

pub(crate) fn period(number: u32, first: u64) -> Record {
    let init = |id: &&str| (rendition(id), format!("init {id} {number}").into());
    Record::Period(PeriodStart {
        number: PeriodNumber(number),
        first_sequence: MediaSequence(first),
        origin: MediaTime::from_millis(first % 100_000 * 2_000),
        wall_clock: UnixMillis(BEGIN.0 + u64::from(number) * 100_000),
        renditions: RENDITIONS.iter().map(init).collect(),
        ladder: None,
    })
}

/// Each rendition of it has `size` bytes.
pub(crate) fn sized(sequence: u64, size: Option<u64>) -> Record {
    let piece = |id: &&str| Piece {
        rendition: id.parse().unwrap(),
        start: MediaTime::from_millis(sequence % 100_000 * 2_000),
        duration: MediaTime::from_millis(2_000),
        size,
    };
    let pieces = RENDITIONS.iter().map(piece).collect();
    Record::Segment(StoredSegment { sequence: MediaSequence(sequence), pieces, drift: 0 })
}

pub(crate) fn segment(sequence: u64) -> Record {
    sized(sequence, Some(1_000))
}
