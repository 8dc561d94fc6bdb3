use headwater_media::{Epoch, Record};
use headwater_platform::store::testing::MemoryStore;
use headwater_wire::JournalBlock;

use super::*;
use crate::testing::{RENDITIONS, SETTINGS, as_owner, layout, period, segment};
use crate::{
    Finished, Finisher, JournalWriter, Pulse, Recording, Samples, delete, describe, finish, mark_text,
};

/// Bytes of a sample table: those of 2 s of sound, or of 60 pictures.
const TABLE: usize = 200;

/// An owner that writes as a recorder does; each table says of which segment it is, and by whom.
struct Owner {
    store: MemoryStore,
    journal: JournalWriter,
    epoch: u64,
}

impl Owner {
    async fn begin(store: &MemoryStore, epoch: u64) -> Self {
        store.put(&layout(1).marker(), mark_text(Some(Epoch(epoch))), "").await.unwrap();
        let journal = JournalWriter::new(layout(1), Epoch(epoch), SETTINGS, None);
        let mut owner = Self { store: store.clone(), journal, epoch };
        owner.journal.append(period(0, 7));
        owner
    }

    async fn segments(&mut self, sequences: std::ops::Range<u64>) {
        for sequence in sequences {
            self.journal.append(segment(sequence));
            self.journal.add_samples(samples(sequence, self.epoch));
            let (key, block) = self.journal.block();
            self.store.put(&key, block, "").await.unwrap();
        }
    }
}

fn table(sequence: u64, epoch: u64) -> Bytes {
    let mut table = vec![0; TABLE];
    table[..16].copy_from_slice(&[sequence.to_be_bytes(), epoch.to_be_bytes()].concat());
    table.into()
}

fn samples(sequence: u64, epoch: u64) -> SegmentSamples {
    let of = |id: &str| (id.parse().unwrap(), table(sequence, epoch));
    SegmentSamples { sequence: MediaSequence(sequence), tables: RENDITIONS.map(of).to_vec() }
}

async fn load(store: &MemoryStore) -> Recording {
    Recording::load(store, &layout(1)).await.unwrap().unwrap()
}

async fn load_finished(store: &MemoryStore) -> Recording {
    Recording::load_finished(store, &layout(1)).await.unwrap().unwrap()
}

fn journal(store: &MemoryStore) -> Vec<String> {
    let keys = store.keys();
    let journal = keys.iter().filter_map(|key| Some(key.split_once("/journal/")?.1.to_owned()));
    journal.collect()
}

/// Whose the tables of these segments are, in every rendition.
async fn tables_of(store: &MemoryStore, sequences: std::ops::Range<u64>) -> Vec<u64> {
    let mut owners = Vec::new();
    for id in RENDITIONS.map(|id| id.parse::<RenditionId>().unwrap()) {
        let found = read_tables(store, &layout(1), &id).await.unwrap().unwrap();
        let named = found.iter().map(|(sequence, of, _)| (sequence.0, of.clone()));
        assert_eq!(named.collect::<Vec<_>>(), sequences.clone().map(|n| (n, id.clone())).collect::<Vec<_>>());
        owners =
            found.iter().map(|(_, _, table)| u64::from_be_bytes(table[8..16].try_into().unwrap())).collect();
        let all = found.iter().zip(sequences.clone()).zip(&owners);
        assert!(all.clone().all(|(((_, _, found), n), owner)| *found == table(n, *owner)));
    }
    owners
}

async fn finished_by_owner(store: &MemoryStore, epoch: u64) {
    assert_eq!(finish(store, &layout(1), as_owner(epoch)).await, Ok(Finished::Done));
}

/// Half an hour of three owners.
async fn finished() -> (MemoryStore, Recording) {
    let store = MemoryStore::new();
    for (epoch, sequences) in [(4, 7..300), (5, 300..310), (9, 310..900)] {
        Owner::begin(&store, epoch).await.segments(sequences).await;
    }
    let before = load(&store).await;
    assert!(journal(&store).len() > 15);
    finished_by_owner(&store, 9).await;
    (store, before)
}

#[tokio::test]
async fn the_index_of_a_finished_recording_is_one_read() {
    let (store, before) = finished().await;
    let read = store.keys_read().len();
    assert_eq!(load_finished(&store).await, before);
    assert_eq!(store.keys_read()[read..], [layout(1).journal_index().to_string()]);
    let newest = ["4-000004", "5-000000", "9-000009"].map(|name| format!("{:0>27}", name));
    assert_eq!(
        journal(&store),
        [&newest[..], &["index".to_owned()]].concat(),
        "and what an owner would write over"
    );
    assert_eq!(load(&store).await, before, "both together say the same");
    let owners = tables_of(&store, 7..900).await;
    assert_eq!(owners.iter().filter(|owner| **owner == 9).count(), 590);
}

#[tokio::test]
async fn the_tables_of_a_finished_recording_are_read_alone() {
    let (store, _) = finished().await;
    let read = store.keys_read().len();
    let ids: Vec<RenditionId> = ["720p", "audio"].map(|id| id.parse().unwrap()).to_vec();
    Samples::load(&store, &layout(1), &ids).await.unwrap();
    let keys: Vec<_> = ids.iter().map(|id| layout(1).sample_tables(id).to_string()).collect();
    assert_eq!(store.keys_read()[read..], keys);
}

#[tokio::test]
async fn blocks_that_a_crash_has_left_change_nothing_and_are_cleared_away() {
    let store = MemoryStore::new();
    let mut owner = Owner::begin(&store, 4).await;
    owner.segments(7..200).await;
    // A block that is closed said too much.
    owner.journal.append(crate::testing::sized(10, None));
    owner.segments(200..201).await;
    let before = load(&store).await;
    let blocks: Vec<_> = journal(&store);
    let mut kept = Vec::new();
    for name in &blocks {
        let key = Key::new(format!("{}/{name}", layout(1).journals())).unwrap();
        kept.push((key.clone(), store.get(&key).await.unwrap()));
    }
    finished_by_owner(&store, 4).await;
    for (key, block) in kept.iter().take(kept.len() - 1) {
        store.put(key, block.clone(), "").await.unwrap();
    }
    assert_eq!((load(&store).await, load_finished(&store).await), (before.clone(), before.clone()));
    finished_by_owner(&store, 4).await;
    assert_eq!((journal(&store).len(), load_finished(&store).await), (2, before));
    tables_of(&store, 7..201).await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_comes_back_goes_on_with_a_folded_recording() {
    let store = MemoryStore::new();
    let mut owner = Owner::begin(&store, 4).await;
    owner.segments(7..200).await;
    tokio::time::sleep(crate::SILENT_OWNER_GRACE * 4).await;
    let last = Pulse::of(&store, &layout(1)).await.unwrap();
    assert_eq!(finish(&store, &layout(1), Finisher::Heir(&last)).await, Ok(Finished::Done));
    owner.segments(200..400).await;
    let all = load(&store).await;
    assert_eq!(all.archive.segments().len(), 393);
    assert!(all.archive.segments().all(|segment| segment.pieces.iter().all(|piece| piece.size.is_some())));
    finished_by_owner(&store, 4).await;
    assert_eq!((load_finished(&store).await, journal(&store).len()), (all, 2));
    tables_of(&store, 7..400).await;
}

#[tokio::test]
async fn a_recording_that_is_too_long_for_one_object_stays_in_blocks() {
    let store = MemoryStore::new();
    Owner::begin(&store, 4).await.segments(7..200).await;
    let before = load(&store).await;
    let keys = store.keys();
    let ids = RENDITIONS.map(|id| id.parse().unwrap());
    let blocks = Blocks::read_all(&store, &layout(1)).await.unwrap();
    let too_little = TABLE * 193;
    let folded = fold_within(&store, &layout(1), &blocks, &ids, too_little).await;
    assert_eq!((folded, store.keys(), load_finished(&store).await), (Ok(None), keys, before.clone()));
    // A folded recording has no blocks to go back to.
    let folded = fold_within(&store, &layout(1), &blocks, &ids, usize::MAX).await.unwrap();
    clear_blocks(&store, folded.unwrap()).await.unwrap();
    let blocks = Blocks::read_all(&store, &layout(1)).await.unwrap();
    assert!(fold_within(&store, &layout(1), &blocks, &ids, too_little).await.unwrap().is_some());
    assert_eq!(load_finished(&store).await, before);
    tables_of(&store, 7..200).await;
}

#[tokio::test]
async fn nothing_is_left_of_a_folded_recording_that_is_deleted() {
    let (store, _) = finished().await;
    assert!(describe(&store, &layout(1)).await.unwrap().is_some());
    delete(&store, &layout(1)).await.unwrap();
    assert_eq!(store.keys(), [""; 0]);
}

#[tokio::test]
async fn an_index_that_is_damaged_leaves_what_the_blocks_say() {
    let (store, _) = finished().await;
    store.put(&layout(1).journal_index(), Bytes::from_static(b"\xff\xff"), "").await.unwrap();
    assert!(!load_finished(&store).await.archive.is_empty());
}

/// Twelve hours of three pictures and their sound.
#[test]
fn a_long_recording_takes_a_few_mebibytes() {
    const SEGMENTS: u64 = 12 * 1_800;
    let mut blocks = Blocks::default();
    for number in 0..SEGMENTS / 60 {
        let first = 1_800_000_000 + number * 60;
        let mut records: Vec<_> = (first..first + 60).map(with_four).collect();
        if number == 0 {
            records.insert(0, period(0, first));
        }
        let block = JournalBlock {
            broadcast: layout(1).broadcast,
            settings: SETTINGS,
            kept: None,
            records,
            revision: first,
            is_closed: false,
            reconnect_window: std::time::Duration::from_secs(60),
            dvr_window: std::time::Duration::from_secs(3_600),
            retention: None,
            handoff: None,
            samples: Vec::new(),
            successor: None,
        };
        blocks.set_block((Epoch(1), number as u32), block);
    }
    let mebibytes = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    let index = mebibytes(blocks.to_index().encode().len());
    let tables = (0..SEGMENTS).map(|n| (MediaSequence(1_800_000_000 + n), table(n, 1))).collect();
    let samples = mebibytes(encode_tables(&"1080p".parse().unwrap(), tables).len());
    assert!((2.0..4.0).contains(&index), "{index} MiB");
    assert!((4.0..6.0).contains(&samples), "{samples} MiB");
}

fn with_four(sequence: u64) -> Record {
    let Record::Segment(mut segment) = crate::testing::sized(sequence, Some(1_234_567)) else {
        unreachable!("it is one")
    };
    segment
        .pieces
        .push(headwater_media::Piece { rendition: "1080p".parse().unwrap(), ..segment.pieces[0].clone() });
    Record::Segment(segment)
}
