use headwater_hls::cmaf::{self, Sample};
use headwater_hls::{Archive, PeriodStart, Piece as Stored, Record, StoredSegment};
use headwater_media::{BroadcastId, PeriodNumber, SegmentSettings, UnixMillis};
use headwater_platform::store::testing::MemoryStore;
use headwater_recordings::State;

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

fn archive() -> Archive {
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
        let (start, duration) = (MediaTime::from_millis(sequence * 1_000), MediaTime::from_millis(1_000));
        let size = Some(media(sequence).len() as u64);
        let pieces = vec![Stored { rendition: id(), start, duration, size }];
        Record::Segment(StoredSegment { sequence: MediaSequence(sequence), pieces, drift: 0 })
    };
    let settings = SegmentSettings { segment_ms: 1_000, part_ms: 334 };
    let mut archive = Archive::new(layout().broadcast, settings, 0);
    for record in std::iter::once(Record::Period(period)).chain((0..SEGMENTS).map(segment)) {
        archive.apply(&record).unwrap();
    }
    archive
}

/// The file, of those segments that are in the store.
async fn file(there: impl IntoIterator<Item = u64>) -> Result<Vec<u8>, Unread> {
    let store = MemoryStore::new();
    for sequence in there {
        store.put(&layout().segment(&id(), MediaSequence(sequence)), media(sequence), "").await.unwrap();
    }
    let library = Library::new(Some(Arc::new(store.clone())), None, Arc::new(Metrics::new()));
    let recorded = Arc::new(Recorded::new(archive(), State::Complete, Arc::new(Metrics::new())));
    let planned = Arc::new(plan(Arc::new(store), layout(), recorded, vec![id()]).await?);
    let share = Downloads::default().share(IpAddr::from([192, 0, 2, 1]));
    let range = 0..planned.length;
    let pieces = body(Arc::new(library), layout(), vec![id()], planned, share, range);
    Ok(pieces.try_collect::<Vec<_>>().await.unwrap().concat())
}

#[tokio::test]
async fn a_segment_that_is_missing_is_left_out_and_the_rest_is_the_file() {
    let whole = String::from_utf8_lossy(&file(0..SEGMENTS).await.unwrap()).into_owned();
    assert!((0..SEGMENTS).all(|sequence| whole.contains(&format!("picture 1 of {sequence};"))));
    let gap = String::from_utf8_lossy(&file([0, 2]).await.unwrap()).into_owned();
    let there: Vec<_> = (0..SEGMENTS).filter(|n| gap.contains(&format!("picture 0 of {n};"))).collect();
    assert_eq!(there, [0, 2]);
    assert_eq!(file([]).await, Err(Unread::Missing), "nothing is no file");
}
