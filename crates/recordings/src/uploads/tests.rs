//! The fate of objects when the store, the disk or the process is not well.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use headwater_platform::store::testing::{Fault, MemoryStore};
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

use super::worker::{FIRST_BACKOFF, MAX_BACKOFF};
use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// Of all objects here.
const SIZE: usize = 1000;
/// Of their files: the head is a line of some 90 bytes.
const FILE_SIZE: u64 = 1200;

/// A disk in memory that is full at some point.
#[derive(Default)]
struct SmallDisk {
    files: Mutex<BTreeMap<u64, Bytes>>,
    most_files: AtomicUsize,
}

impl SmallDisk {
    fn new(most_files: usize) -> Arc<Self> {
        Arc::new(Self { most_files: most_files.into(), ..Self::default() })
    }

    fn len(&self) -> usize {
        self.files.lock().unwrap().len()
    }
}

impl Disk for SmallDisk {
    fn write_file(&self, number: u64, bytes: &[&[u8]]) -> io::Result<()> {
        let mut files = self.files.lock().unwrap();
        if files.len() >= self.most_files.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        files.insert(number, bytes.concat().into());
        Ok(())
    }

    fn read_file(&self, number: u64) -> io::Result<Bytes> {
        self.files.lock().unwrap().get(&number).cloned().ok_or(io::ErrorKind::NotFound.into())
    }

    fn remove_file(&self, number: u64) -> io::Result<()> {
        self.files.lock().unwrap().remove(&number).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }
}

fn uploads(store: &MemoryStore, memory: u64, disk: Option<(Arc<SmallDisk>, u64)>) -> Uploads {
    let settings = UploadSettings { memory, ..UploadSettings::default() };
    let disk = disk.map(|(disk, size)| (disk as Arc<dyn Disk>, size));
    Uploads::with_disk(Arc::new(store.clone()), &settings, disk, Vec::new())
}

/// With room for everything.
fn roomy(store: &MemoryStore) -> Uploads {
    uploads(store, 1 << 20, Some((SmallDisk::new(1000), 1 << 30)))
}

fn key(name: impl std::fmt::Display) -> Key {
    Key::new(name.to_string()).unwrap()
}

fn body(fill: usize) -> Bytes {
    vec![fill as u8; SIZE].into()
}

fn segment(lane: &Lane, number: usize) -> Receipt {
    lane.put_new(key(format_args!("{}/{number:03}", lane.name)), body(number), "video/mp4")
}

async fn settled(receipts: &mut [Receipt]) -> Vec<Progress> {
    let mut all = Vec::new();
    for receipt in receipts {
        all.push(timeout(600 * SECOND, receipt.settled()).await.expect("it is settled some time"));
    }
    all
}

const STORED: Progress = Progress::Stored { size: SIZE as u64 };

fn numbered(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("a/{number:03}")).collect()
}

/// An index comes after the media that was handed over before it.
fn is_after(written: &[String], index: &str, media: impl IntoIterator<Item = String>) {
    let at = |key: &str| written.iter().rposition(|other| other == key);
    for key in media {
        assert!(at(&key).is_some() && at(&key) < at(index), "{index}, {key}: {written:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_index_waits_for_what_it_names_and_media_for_nothing() {
    let store = MemoryStore::new();
    store.set(Fault::Slow(SECOND));
    let uploads = roomy(&store);
    let lane = uploads.lane("a");
    let started = Instant::now();
    let mut receipts: Vec<_> = (0..4).map(|number| segment(&lane, number)).collect();
    receipts.push(lane.put_guarded(key("a/index"), body(0), "text/plain", &Guard::default()));
    receipts.extend((4..8).map(|number| segment(&lane, number)));
    settled(&mut receipts).await;
    assert_eq!(started.elapsed().as_secs(), 2);
    is_after(&store.written(), "a/index", numbered(0..4));
    let last = store.written().pop();
    assert_eq!(last.as_deref(), Some("a/index"), "media does not wait for it");
}

#[tokio::test(start_paused = true)]
async fn the_next_index_finds_out_that_somebody_has_written_the_last_one() {
    for is_contested in [false, true] {
        let store = MemoryStore::new();
        let lane = roomy(&store).lane("a");
        let guard = Guard::default();
        settled(&mut [lane.put_guarded(key("a/0"), body(0), "text/plain", &guard)]).await;
        if is_contested {
            store.put(&key("a/0"), body(1), "").await.unwrap();
        }
        settled(&mut [lane.put_guarded(key("a/1"), body(2), "text/plain", &guard)]).await;
        assert_eq!(timeout(SECOND, guard.contested()).await.is_ok(), is_contested);
    }
}

#[tokio::test(start_paused = true)]
async fn what_marks_a_recording_is_there_before_its_media() {
    let store = MemoryStore::new();
    store.set(Fault::Slow(SECOND));
    let uploads = roomy(&store);
    let lane = uploads.lane("a");
    let mark = lane.put(key("a/mark"), body(0), "text/plain");
    settled(&mut [segment(&lane, 0), segment(&lane, 1), mark]).await;
    assert_eq!(store.written()[0], "a/mark");
}

/// Four renditions and an index, every two seconds, into a store on the other side of the world.
#[tokio::test(start_paused = true)]
async fn a_broadcast_keeps_up_with_a_store_that_takes_longer_than_half_a_segment() {
    for millis in [650, 1_500, 3_500] {
        let store = MemoryStore::new();
        store.set(Fault::Slow(Duration::from_millis(millis)));
        let uploads = roomy(&store);
        let lane = uploads.lane("a");
        let guard = Guard::default();
        for number in 0..60 {
            (0..4).for_each(|rendition| drop(segment(&lane, 4 * number + rendition)));
            let index = Bytes::from(format!("{number}"));
            drop(lane.put_guarded(key("a/index"), index, "text/plain", &guard));
            sleep(2 * SECOND).await;
        }
        let written = store.written();
        let media = written.iter().filter(|key| *key != "a/index").count();
        assert!(media >= 4 * 57, "{millis} ms: {media} of 240");
        let index: usize =
            String::from_utf8(store.get(&key("a/index")).await.unwrap().to_vec()).unwrap().parse().unwrap();
        assert!(index >= 54, "{millis} ms: the index is at {index}");
        is_after(&written, "a/index", numbered(0..4 * index));
    }
}

#[tokio::test(start_paused = true)]
async fn lanes_are_uploaded_side_by_side() {
    let store = MemoryStore::new();
    store.set(Fault::Slow(SECOND / 10));
    let settings = UploadSettings { at_once: 3, ..UploadSettings::default() };
    let uploads = Uploads::start(Arc::new(store.clone()), &settings).await;
    let lanes: Vec<_> = (0..5).map(|lane| uploads.lane(lane.to_string())).collect();
    let mut receipts: Vec<_> =
        (0..20).flat_map(|number| lanes.iter().map(move |lane| segment(lane, number))).collect();
    assert!(settled(&mut receipts).await.iter().all(|progress| *progress == STORED));
    uploads.finished().await;
    for lane in &lanes {
        let prefix = format!("{}/", lane.name);
        assert_eq!(store.written().iter().filter(|key| key.starts_with(&prefix)).count(), 20);
    }
    assert_eq!(store.most_at_work(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_followed_by_tries_with_growing_pauses() {
    let store = MemoryStore::new();
    store.set(Fault::FailingFor(4));
    let started = Instant::now();
    let mut receipt = segment(&roomy(&store).lane("a"), 1);
    assert_eq!(receipt.settled().await, STORED);
    assert_eq!(store.requests(), 5);
    let pauses = FIRST_BACKOFF * (1 + 2 + 4 + 8);
    let took = started.elapsed();
    assert!(took >= pauses / 2 && took <= pauses + SECOND / 10, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_a_minute_loses_nothing() {
    for fault in [Fault::Away, Fault::Refusing, Fault::Hanging(15 * SECOND)] {
        let store = MemoryStore::new();
        store.set(fault);
        let disk = SmallDisk::new(1000);
        // Memory for four objects.
        let uploads = uploads(&store, 4 * SIZE as u64, Some((disk.clone(), 1 << 30)));
        let lane = uploads.lane("a");
        let mut receipts = Vec::new();
        for number in 0..30 {
            receipts.push(segment(&lane, number));
            sleep(2 * SECOND).await;
            assert_eq!(receipts[number].progress(), Progress::Spooled, "{fault:?} {number}");
        }
        assert_eq!(disk.len(), 30);
        store.set(Fault::None);
        let back = Instant::now();
        assert_eq!(settled(&mut receipts).await, [STORED; 30], "{fault:?}");
        assert!(back.elapsed() <= MAX_BACKOFF + 15 * SECOND, "{:?}", back.elapsed());
        assert_eq!((store.keys(), store.written().len()), (numbered(0..30), 30), "{fault:?}");
        uploads.close(SECOND).await;
        assert_eq!(disk.len(), 0, "what is stored does not stay on the disk");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_does_not_keep_an_object_in_danger() {
    let store = MemoryStore::new();
    store.set(Fault::Slow(10 * SECOND));
    let started = Instant::now();
    let mut receipt = segment(&roomy(&store).lane("a"), 1);
    assert_eq!(receipt.safe().await, Progress::Spooled);
    assert!(started.elapsed() <= queue::SPILL_AFTER + SECOND / 10, "{:?}", started.elapsed());
    assert_eq!(receipt.settled().await, STORED);
    assert!(started.elapsed() < 11 * SECOND, "the request went on: {:?}", started.elapsed());
}

/// Of segments of many megabytes, all that may go at once would be more than the memory of a small machine.
#[tokio::test(start_paused = true)]
async fn little_of_the_spool_is_in_memory_at_a_time() {
    let store = MemoryStore::new();
    let disk = SmallDisk::new(100);
    store.set(Fault::Away);
    let uploads = uploads(&store, 1 << 30, Some((disk.clone(), 1 << 30)));
    let large = Bytes::from(vec![0; 20 << 20]);
    let lanes: Vec<_> = (0..8).map(|lane| uploads.lane(format!("{lane}"))).collect();
    let put = |lane: &Lane| lane.put_new(key(format_args!("{}/0", lane.name)), large.clone(), "video/mp4");
    let mut receipts: Vec<_> = lanes.iter().map(put).collect();
    for receipt in &mut receipts {
        receipt.safe().await;
    }
    assert_eq!(disk.len(), 8);
    store.set(Fault::Slow(SECOND));
    assert_eq!(settled(&mut receipts).await, [Progress::Stored { size: 20 << 20 }; 8]);
    assert_eq!(store.most_at_work(), 3, "of 64 MiB");
}

#[tokio::test(start_paused = true)]
async fn a_full_spool_loses_the_oldest_segments_and_no_index() {
    let store = MemoryStore::new();
    store.set(Fault::Away);
    let disk = SmallDisk::new(1000);
    let uploads = uploads(&store, 1 << 20, Some((disk.clone(), 5 * FILE_SIZE)));
    let lane = uploads.lane("a");
    let mut index = lane.put(key("a/index"), body(0), "text/plain");
    let mut receipts = Vec::new();
    for number in 0..12 {
        receipts.push(segment(&lane, number));
        receipts[number].safe().await;
    }
    assert_eq!(disk.len(), 5);
    store.set(Fault::None);
    let progress = settled(&mut receipts).await;
    assert_eq!(progress[..8], [Progress::Dropped; 8]);
    assert_eq!(progress[8..], [STORED; 4]);
    assert_eq!(index.settled().await, STORED);
    assert_eq!(store.keys(), [numbered(8..12), vec!["a/index".into()]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_like_a_full_spool() {
    let store = MemoryStore::new();
    store.set(Fault::Away);
    let disk = SmallDisk::new(4);
    // Besides, three have room in memory.
    let uploads = uploads(&store, 3 * SIZE as u64, Some((disk.clone(), 1 << 30)));
    let lane = uploads.lane("a");
    let mut receipts = Vec::new();
    for number in 0..10 {
        receipts.push(segment(&lane, number));
        sleep(2 * SECOND).await;
    }
    assert_eq!(disk.len(), 4);
    // Another program takes all the room.
    disk.most_files.store(0, Ordering::Relaxed);
    for number in 10..20 {
        receipts.push(segment(&lane, number));
        sleep(2 * SECOND).await;
    }
    assert_eq!(disk.len(), 0);
    store.set(Fault::None);
    let progress = settled(&mut receipts).await;
    assert_eq!(progress[..17], [Progress::Dropped; 17]);
    assert_eq!(progress[17..], [STORED; 3]);
}

#[tokio::test(start_paused = true)]
async fn without_a_spool_the_memory_is_the_bound() {
    let store = MemoryStore::new();
    store.set(Fault::Away);
    let uploads = uploads(&store, 10 * SIZE as u64, None);
    let lane = uploads.lane("a");
    let mut receipts: Vec<_> = (0..1000).map(|number| segment(&lane, number)).collect();
    let mut large = lane.put_new(key("a/large"), vec![0; 11 * SIZE].into(), "video/mp4");
    assert_eq!(large.settled().await, Progress::Dropped);
    store.set(Fault::None);
    let progress = settled(&mut receipts).await;
    assert_eq!(progress[..990], [Progress::Dropped; 990]);
    assert_eq!(progress[990..], [STORED; 10], "what has no room at all loses nothing else");
}

#[tokio::test(start_paused = true)]
async fn handing_over_never_waits() {
    let store = MemoryStore::new();
    store.set(Fault::Hanging(3600 * SECOND));
    let settings = UploadSettings { memory: 5 * SIZE as u64, at_once: 1, ..UploadSettings::default() };
    let uploads = Uploads::with_disk(Arc::new(store.clone()), &settings, None, Vec::new());
    let started = Instant::now();
    let lanes: Vec<_> = (0..10).map(|lane| uploads.lane(lane.to_string())).collect();
    for number in 0..1000 {
        lanes.iter().for_each(|lane| drop(segment(lane, number)));
        tokio::task::yield_now().await;
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(store.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_object_is_stored_once_even_when_the_answer_is_lost() {
    let store = MemoryStore::new();
    store.set(Fault::LosingOneAnswer);
    let lane = roomy(&store).lane("a");
    assert_eq!(segment(&lane, 1).settled().await, STORED);
    assert_eq!(store.written(), ["a/001"]);
    let mut other = lane.put_new(key("a/001"), "another copy".into(), "video/mp4");
    assert_eq!(other.settled().await, STORED, "the first copy stays, and has its size");
}

#[tokio::test(start_paused = true)]
async fn of_an_index_only_the_newest_is_stored() {
    let store = MemoryStore::new();
    store.set(Fault::Away);
    let disk = SmallDisk::new(1000);
    let uploads = uploads(&store, 1 << 20, Some((disk.clone(), 1 << 30)));
    let lane = uploads.lane("a");
    let mut receipts = Vec::new();
    for number in 0..10 {
        receipts.push(segment(&lane, number));
        receipts.push(lane.put(key("a/index"), Bytes::from(format!("{number}")), "text/plain"));
        sleep(SECOND).await;
    }
    assert_eq!(disk.len(), 11);
    store.set(Fault::None);
    settled(&mut receipts).await;
    assert_eq!(store.written().len(), 11);
    is_after(&store.written(), "a/index", numbered(0..10));
    assert_eq!(store.get(&key("a/index")).await.unwrap(), "9");
    assert!(receipts.iter().all(|receipt| matches!(receipt.progress(), Progress::Stored { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_stored_yet_can_be_read() {
    let store = MemoryStore::new();
    store.set(Fault::Away);
    let uploads = roomy(&store);
    let mut receipt = segment(&uploads.lane("a"), 7);
    assert_eq!(uploads.read(&key("a/007")).await, Some(body(7)));
    assert_eq!(receipt.safe().await, Progress::Spooled);
    assert_eq!(uploads.read(&key("a/007")).await, Some(body(7)), "from the disk");
    assert_eq!(uploads.read(&key("a/008")).await, None);
    store.set(Fault::None);
    receipt.settled().await;
    assert_eq!(uploads.read(&key("a/007")).await, None, "the store has it");
}

/// A process: everything of it is gone when it is dropped.
fn process() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn spooling(directory: &std::path::Path) -> UploadSettings {
    let spool = SpoolSettings { directory: directory.join("spool"), size: 1 << 20 };
    UploadSettings { spool: Some(spool), ..UploadSettings::default() }
}

fn files(directory: &std::path::Path) -> usize {
    let below = std::fs::read_dir(directory).map(|entries| entries.flatten().map(|entry| entry.path()));
    below.map_or(0, |paths| paths.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum())
}

#[test]
fn what_a_process_that_died_has_left_is_uploaded_first() {
    let directory = tempfile::tempdir().unwrap();
    let settings = spooling(directory.path());
    let store = MemoryStore::new();
    store.set(Fault::Away);
    for life in 0..2 {
        process().block_on(async {
            let uploads = Uploads::start(Arc::new(store.clone()), &settings).await;
            let lane = uploads.lane("a");
            for number in 0..5 {
                assert_eq!(segment(&lane, 5 * life + number).safe().await, Progress::Spooled);
            }
            assert_eq!(
                lane.put(key(format_args!("a/journal-{life}")), body(1), "x").safe().await,
                Progress::Spooled
            );
            lane.put_latest(key("a/playlist"), body(2), "text/plain");
            sleep(10 * SECOND).await;
        });
    }
    // Something that died while it wrote, and something that the disk has spoiled.
    let left = std::fs::read_dir(directory.path().join("spool")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(left.join("00000000000000000099.new"), "half").unwrap();
    std::fs::write(left.join("00000000000000000098"), "spoiled").unwrap();

    store.set(Fault::None);
    process().block_on(async {
        let uploads = Uploads::start(Arc::new(store.clone()), &settings).await;
        assert_eq!(segment(&uploads.lane("a"), 10).settled().await, STORED);
        uploads.finished().await;
    });
    let written = store.written();
    is_after(&written, "a/journal-0", numbered(0..5));
    is_after(&written, "a/journal-1", numbered(5..10));
    assert_eq!(written.len(), 13, "the playlist is somebody else's now: {written:?}");
    assert_eq!(process().block_on(store.get(&key("a/007"))).unwrap(), body(7));
    assert_eq!(files(directory.path()), 0);
}

#[tokio::test(start_paused = true)]
async fn processes_that_live_share_a_spool_without_touching_each_others_objects() {
    let directory = tempfile::tempdir().unwrap();
    let settings = spooling(directory.path());
    let store = MemoryStore::new();
    let healthy = MemoryStore::new();
    store.set(Fault::Away);
    let one = Uploads::start(Arc::new(store.clone()), &settings).await;
    let mut receipt = segment(&one.lane("a"), 1);
    assert_eq!(receipt.safe().await, Progress::Spooled);
    let other = Uploads::start(Arc::new(healthy.clone()), &settings).await;
    other.finished().await;
    other.close(SECOND).await;
    assert_eq!(healthy.keys(), [""; 0]);
    store.set(Fault::None);
    assert_eq!(receipt.settled().await, STORED);
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_the_store_and_then_leaves_the_rest_in_the_spool() {
    let directory = tempfile::tempdir().unwrap();
    let settings = UploadSettings { at_once: 1, ..spooling(directory.path()) };
    let store = MemoryStore::new();
    store.set(Fault::Slow(SECOND / 2));
    let uploads = Uploads::start(Arc::new(store.clone()), &settings).await;
    let lane = uploads.lane("a");
    let mut receipts: Vec<_> = (0..10).map(|number| segment(&lane, number)).collect();
    uploads.close(SECOND * 2 + SECOND / 4).await;
    assert_eq!(store.keys(), numbered(0..4));
    assert_eq!(segment(&lane, 99).safe().await, Progress::Waiting, "nobody is there any more");
    for (number, receipt) in receipts.iter_mut().enumerate() {
        let expected = if number < 4 { STORED } else { Progress::Spooled };
        assert_eq!(receipt.settled().await, expected, "{number}");
    }
    drop((uploads, lane));
    store.set(Fault::None);
    Uploads::start(Arc::new(store.clone()), &settings).await.finished().await;
    assert_eq!(store.keys(), numbered(0..10));
}

#[tokio::test(start_paused = true)]
async fn a_spool_that_cannot_be_used_is_done_without() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("spool"), "a file").unwrap();
    let store = MemoryStore::new();
    let uploads = Uploads::start(Arc::new(store.clone()), &spooling(directory.path())).await;
    assert_eq!(segment(&uploads.lane("a"), 1).settled().await, STORED);
}
