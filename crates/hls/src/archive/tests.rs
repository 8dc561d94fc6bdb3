use bytes::Bytes;
use headwater_media::{PeriodNumber, Piece, RenditionKind};

use super::*;

const SETTINGS: SegmentSettings = SegmentSettings { segment_ms: 2_000, part_ms: 334 };

fn rendition(id: &str) -> Rendition {
    let kind = match id {
        "audio" => RenditionKind::Audio { channels: 2, sample_rate: 48_000 },
        _ => RenditionKind::Video { width: 1280, height: 720, frame_rate: 30.0 },
    };
    Rendition { id: id.parse().unwrap(), kind, codecs: "avc1.64001f".into(), declared_bitrate: 1 }
}

fn period(number: u32, first: u64) -> Record {
    let init = |id| (rendition(id), Bytes::from(format!("init {id} {number}")));
    Record::Period(PeriodStart {
        number: PeriodNumber(number),
        first_sequence: MediaSequence(first),
        origin: MediaTime::from_millis(u64::from(number) * 1_000_000),
        wall_clock: UnixMillis(1_800_000_000_000 + u64::from(number) * 100_000),
        renditions: vec![init("720p"), init("audio")],
        ladder: None,
    })
}

/// The `nth` segment of a period.
fn segment(period: u32, sequence: u64, nth: u64) -> Record {
    let piece = |id: &str| Piece {
        rendition: id.parse().unwrap(),
        start: MediaTime::from_millis(u64::from(period) * 1_000_000 + nth * 2_000),
        duration: MediaTime::from_millis(2_000),
        size: Some(1_000),
    };
    let pieces = vec![piece("720p"), piece("audio")];
    Record::Segment(StoredSegment { sequence: MediaSequence(sequence), pieces, drift: 0 })
}

fn archive(records: &[Record]) -> Archive {
    let mut archive = empty(0);
    for record in records {
        assert_eq!(archive.apply(record), Ok(true), "{record:?}");
    }
    archive
}

fn empty(discontinuity_sequence: u64) -> Archive {
    Archive::new(BroadcastId::from_bytes([7; 16]), SETTINGS, discontinuity_sequence)
}

fn two_periods() -> Archive {
    let first = (0..3).map(|nth| segment(0, 10 + nth, nth));
    let second = (0..2).map(|nth| segment(1, 13 + nth, nth));
    let records: Vec<_> =
        [period(0, 10)].into_iter().chain(first).chain([period(1, 13)]).chain(second).collect();
    archive(&records)
}

#[test]
fn it_says_how_long_how_large_and_when() {
    let archive = two_periods();
    assert_eq!(archive.duration(), MediaTime::from_millis(10_000));
    assert_eq!(archive.size(), 10_000);
    assert_eq!(archive.started_at(), Some(UnixMillis(1_800_000_000_000)));
    let last = archive.segment(MediaSequence(14)).unwrap();
    assert_eq!(archive.wall_clock(last), Some(UnixMillis(1_800_000_102_000)));
    assert_eq!(archive.renditions().len(), 2);
}

#[test]
fn a_moment_is_found_across_periods() {
    let archive = two_periods();
    let at = |millis| {
        let (segment, within) = archive.at(MediaTime::from_millis(millis)).unwrap();
        (segment.sequence.0, within.as_millis())
    };
    assert_eq!((at(0), at(1_999), at(2_000), at(6_500)), ((10, 0), (10, 1_999), (11, 0), (13, 500)));
    assert_eq!(at(1_000_000), (14, 2_000));
}

#[test]
fn records_make_an_equal_archive_and_change_nothing_twice() {
    let mut archive = two_periods();
    for record in archive.records() {
        assert_eq!(archive.apply(&record), Ok(false));
    }
    archive.trim(MediaTime::from_millis(5_000));
    let mut copy = empty(archive.discontinuity_sequence());
    archive.records().iter().for_each(|record| assert_eq!(copy.apply(record), Ok(true)));
    assert_eq!(copy, archive);
}

#[test]
fn trimming_keeps_whole_segments_and_counts_discontinuities() {
    let mut archive = two_periods();
    assert!(archive.trim(MediaTime::from_millis(10_000)).is_empty());
    let dropped: Vec<_> =
        archive.trim(MediaTime::from_millis(3_500)).iter().map(|segment| segment.sequence.0).collect();
    assert_eq!((dropped, archive.duration()), (vec![10, 11, 12], MediaTime::from_millis(4_000)));
    // The second period's discontinuity stands before the first segment that is left, and is still listed.
    assert_eq!((archive.discontinuity_sequence(), archive.periods().len()), (0, 1));
    archive.trim(MediaTime::from_millis(2_000));
    assert_eq!((archive.discontinuity_sequence(), archive.first_sequence()), (1, Some(MediaSequence(14))));
}

#[test]
fn what_is_missing_is_a_gap_of_the_right_length() {
    let mut archive = archive(&[period(0, 10), segment(0, 10, 0)]);
    assert_eq!(archive.apply(&segment(0, 13, 3)), Ok(true));
    assert_eq!(archive.duration(), MediaTime::from_millis(8_000));
    let sizes: Vec<_> = archive.segments().map(|segment| segment.size(&"720p".parse().unwrap())).collect();
    assert_eq!(sizes, [Some(1_000), None, None, Some(1_000)]);
    let starts: Vec<_> = archive.segments().map(|segment| segment.start().as_millis()).collect();
    assert_eq!(starts, [0, 2_000, 4_000, 6_000]);
}

#[test]
fn a_segment_that_turns_out_to_be_lost_is_a_gap() {
    let mut archive = two_periods();
    let Record::Segment(mut lost) = segment(0, 11, 1) else { unreachable!() };
    lost.pieces[0].size = None;
    assert_eq!(archive.apply(&Record::Segment(lost.clone())), Ok(true));
    assert_eq!(archive.apply(&Record::Segment(lost)), Ok(false));
    assert_eq!(archive.segment(MediaSequence(11)).unwrap().size(&"720p".parse().unwrap()), None);
    assert_eq!(archive.duration(), MediaTime::from_millis(10_000));
}

#[test]
fn a_period_that_nobody_saw_is_no_discontinuity() {
    let archive =
        archive(&[period(0, 10), segment(0, 10, 0), period(1, 11), period(2, 11), segment(2, 11, 0)]);
    let numbers: Vec<_> = archive.periods().map(|period| period.number.0).collect();
    assert_eq!(numbers, [0, 2]);
}

#[test]
fn what_can_not_come_next_is_refused() {
    let mut archive = two_periods();
    let before = archive.clone();
    assert_eq!(
        archive.apply(&period(2, 12)),
        Err(ArchiveError::OutOfOrder { expected: MediaSequence(15), got: MediaSequence(12) })
    );
    let nothing = StoredSegment { sequence: MediaSequence(15), pieces: Vec::new(), drift: 0 };
    assert_eq!(archive.apply(&Record::Segment(nothing)), Err(ArchiveError::Empty(MediaSequence(15))));
    assert!(matches!(archive.apply(&segment(1, 1_000_000, 2)), Err(ArchiveError::HoleTooLarge { .. })));
    assert_eq!(archive, before);
    assert_eq!(empty(0).apply(&segment(0, 10, 0)), Err(ArchiveError::NoPeriod(MediaSequence(10))));
}
