use headwater_platform::store::testing::MemoryStore;

use super::*;
use crate::testing::{SETTINGS, layout, period, segment, sized};

fn writer(epoch: u64) -> JournalWriter {
    JournalWriter::new(layout(1), Epoch(epoch), SETTINGS, None)
}

/// Appends each record, and writes after each as a recorder does. Gives how many bytes were written for each.
async fn write(
    store: &MemoryStore,
    writer: &mut JournalWriter,
    records: impl IntoIterator<Item = Record>,
) -> Vec<usize> {
    let mut sizes = Vec::new();
    for record in records {
        writer.append(record);
        let (key, bytes) = writer.block();
        sizes.push(bytes.len());
        store.put(&key, bytes, "application/octet-stream").await.unwrap();
    }
    sizes
}

async fn load(store: &MemoryStore) -> Recording {
    Recording::load(store, &layout(1)).await.unwrap().unwrap()
}

fn sizes(archive: &Archive) -> Vec<(u64, u64)> {
    archive
        .segments()
        .map(|segment| (segment.sequence.0, segment.size(&"720p".parse().unwrap()).unwrap_or(0)))
        .collect()
}

#[tokio::test]
async fn what_was_written_is_read() {
    let store = MemoryStore::new();
    assert_eq!(Recording::load(&store, &layout(1)).await.unwrap(), None);
    let records: Vec<_> = std::iter::once(period(0, 7)).chain((7..300).map(segment)).collect();
    write(&store, &mut writer(3), records.clone()).await;
    let recording = load(&store).await;
    assert_eq!(recording.archive.records(), records);
    assert_eq!((recording.epoch, recording.kept), (Epoch(3), None));
    assert_eq!(store.keys().len(), 5, "{:?}", store.keys());
    assert_eq!(Recording::load(&store, &layout(2)).await.unwrap(), None, "another broadcast has its own");
}

/// Two hours of three renditions: each segment costs as much as those an hour before.
#[tokio::test]
async fn the_journal_costs_the_same_for_every_segment_however_long_the_broadcast() {
    let store = MemoryStore::new();
    let records =
        std::iter::once(period(0, 1_800_000_000)).chain((1_800_000_000..1_800_003_600).map(segment));
    let sizes = write(&store, &mut writer(1), records).await;
    let total = |sizes: &[usize]| sizes.iter().sum::<usize>();
    let (first, second) = sizes[1..].split_at(1_800);
    // Numbers and times take a byte more now and then.
    assert!(total(second) * 100 <= total(first) * 101, "{} and then {}", total(first), total(second));
    assert!(total(&sizes) / 3_600 < 6_000, "{} bytes a segment", total(&sizes) / 3_600);
    assert!(*sizes.iter().max().unwrap() < 12_000);
    assert_eq!(load(&store).await.archive.segments().len(), 3_600);
}

/// The tables of a segment as an encoder makes them: so many bytes for each rendition.
fn tables(sequence: u64, bytes: usize) -> SegmentSamples {
    let table = |id: &str| (id.parse().unwrap(), Bytes::from(vec![sequence as u8; bytes]));
    let tables = crate::testing::RENDITIONS.map(table).to_vec();
    SegmentSamples { sequence: MediaSequence(sequence), tables }
}

#[tokio::test]
async fn sample_tables_stand_with_the_segments_and_blocks_stay_small_all_the_same() {
    for (bytes, most) in [(200, 60 << 10), (8 << 10, 80 << 10)] {
        let store = MemoryStore::new();
        let mut writer = writer(1);
        writer.append(period(0, 0));
        for sequence in 0..180 {
            writer.append(segment(sequence));
            writer.add_samples(tables(sequence, bytes));
            let (key, block) = writer.block();
            assert!(block.len() < most, "{} bytes", block.len());
            store.put(&key, block, "").await.unwrap();
        }
        assert_eq!(load(&store).await.archive.segments().len(), 180);
        let blocks = Blocks::read_all(&store, &layout(1)).await.unwrap();
        let found: Vec<_> =
            blocks.sample_tables().map(|(sequence, id, _)| (sequence.0, id.to_string())).collect();
        let all = (0..180).flat_map(|n| crate::testing::RENDITIONS.map(|id| (n, id.to_owned())));
        assert_eq!(found, all.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_a_predecessor_says_of_its_successors_segments_is_void() {
    let store = MemoryStore::new();
    let mut old = writer(5);
    write(&store, &mut old, [period(0, 7), segment(7), segment(8)]).await;
    write(&store, &mut writer(6), [period(0, 7), sized(9, Some(6)), sized(10, Some(6))]).await;
    // It has not noticed, and even sees its publisher come back.
    write(&store, &mut old, [segment(9), segment(10), segment(11), period(1, 12), segment(12)]).await;
    let recording = load(&store).await;
    assert_eq!(sizes(&recording.archive), [(7, 1_000), (8, 1_000), (9, 6), (10, 6)]);
    assert_eq!((recording.archive.periods().len(), recording.epoch), (1, Epoch(6)));
}

#[tokio::test]
async fn what_a_predecessor_stores_late_but_of_its_own_counts() {
    let store = MemoryStore::new();
    let mut old = writer(5);
    write(&store, &mut old, [period(0, 7), segment(7)]).await;
    write(&store, &mut writer(9), [period(0, 7), segment(9)]).await;
    assert_eq!(sizes(&load(&store).await.archive), [(7, 1_000), (8, 0), (9, 1_000)], "8 is a gap");
    write(&store, &mut old, [segment(8)]).await;
    assert_eq!(sizes(&load(&store).await.archive), [(7, 1_000), (8, 1_000), (9, 1_000)]);
}

#[tokio::test]
async fn three_owners_are_merged_in_their_order() {
    let store = MemoryStore::new();
    write(&store, &mut writer(30), [period(0, 7), sized(9, Some(3))]).await;
    write(&store, &mut writer(4), [period(0, 7), sized(7, Some(1)), sized(8, Some(1))]).await;
    write(&store, &mut writer(20), [period(0, 7), sized(8, Some(2)), sized(9, Some(2))]).await;
    assert_eq!(sizes(&load(&store).await.archive), [(7, 1), (8, 2), (9, 3)]);
}

#[tokio::test]
async fn what_turns_out_to_be_lost_is_corrected_in_the_open_block_and_after_it() {
    let store = MemoryStore::new();
    let mut writer = writer(1);
    let records = std::iter::once(period(0, 0)).chain((0..100).map(segment));
    write(&store, &mut writer, records).await;
    // 10 is in a block that is closed, 99 in the open one.
    write(&store, &mut writer, [sized(10, None), sized(99, Some(5)), segment(100)]).await;
    let found = sizes(&load(&store).await.archive);
    assert_eq!((found[9], found[10], found[99], found[100]), ((9, 1_000), (10, 0), (99, 5), (100, 1_000)));
}

#[tokio::test]
async fn a_block_that_is_damaged_costs_its_segments_only() {
    let store = MemoryStore::new();
    let records = std::iter::once(period(0, 0)).chain((0..180).map(segment));
    write(&store, &mut writer(1), records).await;
    store.put(&layout(1).journal(Epoch(1), 1), Bytes::from_static(b"\xff\xff"), "").await.unwrap();
    let archive = load(&store).await.archive;
    assert_eq!(archive.segments().len(), 180);
    let gaps = archive.segments().filter(|segment| segment.size(&"720p".parse().unwrap()).is_none());
    assert_eq!(gaps.count(), 60);
}

#[tokio::test]
async fn what_is_not_kept_is_left_out() {
    let store = MemoryStore::new();
    let kept = Some(vec!["720p".parse().unwrap(), "audio".parse().unwrap()]);
    let mut writer = JournalWriter::new(layout(1), Epoch(1), SETTINGS, kept);
    write(&store, &mut writer, [period(0, 0), segment(0), segment(1)]).await;
    let recording = load(&store).await;
    let names = |archive: &Archive| archive.renditions().iter().map(|r| r.id.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&recording.archive), ["720p", "360p", "audio"]);
    assert_eq!(names(&recording.kept()), ["720p", "audio"]);
    assert_eq!(recording.kept().size(), 4_000);
}
