use headwater_hls::cmaf::{self, Sample, table};
use headwater_media::{
    BroadcastId, Epoch, PeriodNumber, PeriodStart, Piece as Stored, Record, SegmentSettings, StoredSegment,
    UnixMillis,
};
use headwater_platform::store::Key;
use headwater_platform::store::testing::MemoryStore;
use headwater_recordings::{JournalWriter, State, Summary};
use headwater_wire::SegmentSamples;

use super::*;
use crate::metrics::Metrics;

const SEGMENTS: u64 = 3;

fn layout() -> Layout {
    let broadcast = BroadcastId::new(UnixMillis(1_800_000_000_000), &[7; 10]);
    Layout { stream: "demo".parse().unwrap(), broadcast }
}

fn id() -> RenditionId {
    "720p".parse().unwrap()
}

/// A second of two frames, whose bytes say which segment it is.
fn media(sequence: u64) -> Bytes {
    let sample = |n: u64| Sample {
        decode_time: sequence * 90_000 + n * 45_000,
        duration: 45_000,
        composition_offset: 0,
        keyframe: n == 0,
        data: format!("picture {n} of {sequence};").into(),
    };
    cmaf::chunk(1, &[sample(0), sample(1)])
}

fn records(segments: u64) -> Vec<Record> {
    let kind = RenditionKind::Video { width: 1280, height: 720, frame_rate: 2.0 };
    let rendition = Rendition { id: id(), kind, codecs: "avc1.64001f".into(), declared_bitrate: 1 };
    let period = PeriodStart {
        number: PeriodNumber(0),
        first_sequence: MediaSequence(0),
        origin: MediaTime::ZERO,
        wall_clock: UnixMillis(1_800_000_000_000),
        renditions: vec![(rendition, cmaf::video_init(b"avcc", 1280, 720, 90_000))],
        ladder: None,
    };
    let segment = |sequence: u64| {
        let start = MediaTime::from_millis(sequence * 1_000);
        let duration = MediaTime::from_millis(1_000);
        let size = Some(media(sequence).len() as u64);
        let pieces = vec![Stored { rendition: id(), start, duration, size }];
        Record::Segment(StoredSegment { sequence: MediaSequence(sequence), pieces, drift: 0 })
    };
    std::iter::once(Record::Period(period)).chain((0..segments).map(segment)).collect()
}

const SETTINGS: SegmentSettings = SegmentSettings { segment_ms: 1_000, part_ms: 334 };

/// A recording of so many segments, all of which are in its store.
struct Kept {
    store: MemoryStore,
    recorded: Arc<Recorded>,
    library: Arc<Library>,
}

impl Kept {
    async fn of(segments: u64) -> Self {
        let store = MemoryStore::new();
        let mut archive = Archive::new(layout().broadcast, SETTINGS, 0);
        for record in records(segments) {
            archive.apply(&record).unwrap();
        }
        for sequence in 0..segments {
            store.put(&key(sequence), media(sequence), "").await.unwrap();
        }
        let recorded = Arc::new(Recorded::new(archive, State::Complete, Arc::new(Metrics::new())));
        let summary = Summary::of(&layout().stream, &recorded.archive, State::Complete);
        store.put(&layout().summary(), summary.encode(), "").await.unwrap();
        let library = Library::new(Some(Arc::new(store.clone())), None, Arc::new(Metrics::new()));
        Self { store, recorded, library: Arc::new(library) }
    }

    /// Writes its journal as a server does, with sample tables.
    async fn journal(&self) {
        let mut journal = JournalWriter::new(layout(), Epoch(1), SETTINGS, None);
        for record in records(self.recorded.archive.segments().len() as u64) {
            journal.append(record.clone());
            if let Record::Segment(StoredSegment { sequence, .. }) = record {
                let tables = vec![(id(), table::table_of(&media(sequence.0)).unwrap())];
                journal.add_samples(SegmentSamples { sequence, tables });
            }
            let (key, block) = journal.block();
            self.store.put(&key, block, "").await.unwrap();
        }
    }

    async fn plan(&self) -> Result<Mp4, Unread> {
        let place: (Arc<dyn ObjectStore>, _) = (Arc::new(self.store.clone()), Arc::downgrade(&self.library));
        plan(place, layout(), self.recorded.clone(), vec![id()]).await
    }

    async fn file(&self) -> Result<Vec<u8>, Unread> {
        self.send(self.plan().await?).await.map_err(|_| Unread::Away)
    }

    async fn send(&self, planned: Mp4) -> Result<Vec<u8>, Interrupted> {
        let planned = Arc::new(planned);
        let share = Downloads::default().share(IpAddr::from([192, 0, 2, 1]));
        let range = 0..planned.length;
        let pieces = body(self.library.clone(), layout(), vec![id()], planned, share, range);
        Ok(pieces.try_collect::<Vec<_>>().await?.concat())
    }

    fn segments_read(&self) -> usize {
        self.store.keys_read().iter().filter(|key| key.ends_with(".m4s")).count()
    }
}

fn key(sequence: u64) -> Key {
    layout().segment(&id(), MediaSequence(sequence))
}

/// The segments of those pictures that are in a file.
fn pictures(file: &[u8], segments: u64) -> Vec<u64> {
    let text = String::from_utf8_lossy(file);
    let is_there = |n: u64| [0, 1].map(|frame| text.contains(&format!("picture {frame} of {n};")));
    (0..segments).filter(|n| is_there(*n) == [true, true]).collect()
}

#[tokio::test]
async fn a_segment_that_is_missing_is_left_out_and_the_rest_is_the_file() {
    for has_tables in [false, true] {
        let stored = Kept::of(SEGMENTS).await;
        if has_tables {
            stored.journal().await;
        }
        assert_eq!(pictures(&stored.file().await.unwrap(), SEGMENTS), [0, 1, 2]);
        stored.store.delete(&[key(1)]).await.unwrap();
        assert_eq!(pictures(&stored.file().await.unwrap(), SEGMENTS), [0, 2]);
        stored.store.delete(&[key(0), key(2)]).await.unwrap();
        assert_eq!(stored.file().await, Err(Unread::Missing), "nothing is no file");
    }
}

/// An hour and a half.
#[tokio::test]
async fn a_long_recording_is_planned_without_reading_its_media() {
    const LONG: u64 = 5_400;
    let stored = Kept::of(LONG).await;
    let before = stored.plan().await.unwrap();
    assert_eq!(stored.segments_read(), LONG as usize, "a journal of an older server has no tables");
    stored.journal().await;
    let planned = stored.plan().await.unwrap();
    assert_eq!(stored.segments_read(), LONG as usize);
    assert_eq!((planned.head, planned.pieces), (before.head, before.pieces));
    assert_eq!(pictures(&stored.file().await.unwrap(), LONG).len(), LONG as usize);
}

#[tokio::test]
async fn a_segment_that_another_server_has_stored_is_read() {
    let stored = Kept::of(SEGMENTS).await;
    stored.journal().await;
    let other = |n: u64| Sample {
        decode_time: 90_000 + n * 45_000,
        duration: 45_000,
        composition_offset: 0,
        keyframe: n == 0,
        data: format!("frame {n} of another;").into(),
    };
    stored.store.put(&key(1), cmaf::chunk(1, &[other(0), other(1)]), "").await.unwrap();
    let file = stored.file().await.unwrap();
    assert_eq!(pictures(&file, SEGMENTS), [0, 2]);
    assert!(String::from_utf8_lossy(&file).contains("frame 0 of another;frame 1 of another;"));
}

#[tokio::test]
async fn a_segment_that_is_found_missing_is_a_gap_of_the_recording() {
    for is_found_while_sending in [false, true] {
        let stored = Kept::of(SEGMENTS).await;
        stored.journal().await;
        let size = async || {
            let recorded = stored.library.recording(&layout()).await.unwrap();
            recorded.archive.segment(MediaSequence(1)).and_then(|segment| segment.size(&id()))
        };
        let planned = stored.plan().await.unwrap();
        assert!(size().await.is_some());
        stored.store.delete(&[key(1)]).await.unwrap();
        if is_found_while_sending {
            assert_eq!(stored.send(planned).await, Err(Interrupted::Unread));
        } else {
            stored.plan().await.unwrap();
        }
        assert_eq!(size().await, None);
    }
}
