//! Broadcasts on their way into a store with faults, in paused time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headwater_hls::Archive;
use headwater_hls::cmaf::{self, Sample, read};
use headwater_media::broadcast::{Policy, RecordedRenditions};
use headwater_media::{
    BroadcastId, Epoch, Ladder, MediaEvent, MediaSequence, MediaTime, Opening, PartIndex, PeriodNumber,
    PeriodStart, Rendition, RenditionKind, ResumePoint, SegmentSettings, UnixMillis,
};
use headwater_platform::store::ObjectStore;
use headwater_platform::store::testing::{Fault, MemoryStore};
use headwater_recordings::uploads::{UploadSettings, Uploads};
use headwater_recordings::{Layout, Recording, Samples, State, clear, describe, is_live};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::{Durability, Recorder, Storage, UploadTracker};
use crate::broadcast::{HandoffSource, LiveFeed};

mod handed_off;
mod orphaned;

const SETTINGS: SegmentSettings = SegmentSettings { segment_ms: 2_000, part_ms: 334 };
const RENDITIONS: [&str; 3] = ["720p", "360p", "audio"];
const SIZE: usize = 1_000;
const SEGMENT: Duration = Duration::from_secs(2);
/// Longer than any backoff.
const LONG: Duration = Duration::from_secs(120);

fn policy() -> Policy {
    Policy {
        ladder: Ladder::default(),
        recording: Some(RecordedRenditions::All),
        dvr_window: Duration::from_secs(3_600),
        reconnect_window: Duration::from_secs(60),
        retention: None,
    }
}

fn layout() -> Layout {
    let broadcast = BroadcastId::new(UnixMillis(1_800_000_000_000), &[1; 10]);
    Layout { stream: "demo".parse().unwrap(), broadcast }
}

/// The first segment of every broadcast here.
fn first() -> u64 {
    layout().broadcast.first_sequence().0
}

fn rendition(id: &str) -> Rendition {
    let kind = match id {
        "audio" => RenditionKind::Audio { channels: 2, sample_rate: 48_000 },
        _ => RenditionKind::Video { width: 1280, height: 720, frame_rate: 30.0 },
    };
    Rendition { id: id.parse().unwrap(), kind, codecs: "avc1.64001f".into(), declared_bitrate: 1 }
}

/// A broadcast on one server.
struct OnAir {
    feed: Arc<LiveFeed>,
    recorder: Arc<Recorder>,
    keeper: JoinHandle<()>,
    next: u64,
}

async fn storage(store: &MemoryStore, memory: u64) -> Storage {
    let settings = UploadSettings { memory, ..UploadSettings::default() };
    let store: Arc<dyn ObjectStore> = Arc::new(store.clone());
    Storage { uploads: Uploads::start(store.clone(), &settings).await, store }
}

impl OnAir {
    async fn begin(store: &MemoryStore, policy: &Policy) -> Self {
        Self::with(&storage(store, 32 << 20).await, policy, Epoch(1), None)
    }

    fn with(storage: &Storage, policy: &Policy, epoch: Epoch, resume: Option<ResumePoint>) -> Self {
        let next = resume.as_ref().map_or(first(), |resume| resume.next_sequence.0);
        let opening = Opening {
            broadcast: layout().broadcast,
            epoch,
            settings: SETTINGS,
            window_segments: 10,
            first_sequence: MediaSequence(next),
            discontinuity_sequence: 0,
        };
        let feed =
            Arc::new(LiveFeed::new(opening.clone(), resume.clone(), policy.clone(), policy.dvr_window));
        let handoffs = Arc::new(HandoffSource::new(feed.clone(), policy.reconnect_window));
        let (recorder, entries) = Recorder::new(storage, layout(), &opening, policy, &[], handoffs).unwrap();
        let recorder = Arc::new(recorder);
        let taken_over = resume.map(|resume| resume.next_sequence);
        let keeper = UploadTracker::new(recorder.clone(), feed.clone(), storage.clone(), taken_over);
        Self { feed, recorder, keeper: tokio::spawn(keeper.run(entries)), next }
    }

    fn publish(&self, event: MediaEvent) -> Durability {
        self.recorder.record(self.feed.publish_event(event).unwrap().whole)
    }

    /// Begins a period with the next segment; `first` is where it really began.
    fn period(&self, number: u32, first: u64) {
        let init = |id: &&str| (rendition(id), Bytes::from_static(b"init"));
        self.publish(MediaEvent::PeriodStart(PeriodStart {
            number: PeriodNumber(number),
            first_sequence: MediaSequence(first),
            origin: MediaTime::ZERO,
            wall_clock: UnixMillis(1_800_000_000_000),
            renditions: RENDITIONS.iter().map(init).collect(),
            ladder: None,
        }));
    }

    /// Makes a segment in every rendition.
    fn segment(&mut self) -> Durability {
        let byte = (self.next + 1) as u8;
        self.parts(|_| Bytes::from(vec![byte; SIZE / 2]))
    }

    /// Makes a segment of two parts in every rendition.
    fn parts(&mut self, part: impl Fn(u64) -> Bytes) -> Durability {
        let sequence = MediaSequence(self.next);
        let start = MediaTime::from_millis((self.next - first()) * 2_000);
        self.next += 1;
        let mut safe = Durability::default();
        for id in RENDITIONS {
            let rendition = id.parse::<headwater_media::RenditionId>().unwrap();
            for index in 0..2 {
                let half = MediaTime::from_millis(1_000);
                let start = if index == 0 { start } else { start + half };
                self.publish(MediaEvent::Part {
                    rendition: rendition.clone(),
                    sequence,
                    index: PartIndex(index),
                    start,
                    duration: half,
                    independent: index == 0,
                    bytes: part(index.into()),
                });
            }
            safe = self.publish(MediaEvent::SegmentEnd { rendition, sequence });
        }
        safe
    }

    /// As many, in the time that they last.
    async fn segments(&mut self, count: u64) {
        for _ in 0..count {
            self.segment();
            tokio::time::sleep(SEGMENT).await;
        }
    }

    async fn end(self) {
        self.publish(MediaEvent::BroadcastEnd);
        self.recorder.close(true);
        timeout(LONG, self.keeper).await.expect("the keeper ends").unwrap();
    }

    /// Segments that viewers can go back to: their numbers, counted from the first, and whether each is there.
    fn history(&self) -> Vec<(u64, bool)> {
        self.feed.subscribe().history.map(|archive| there(&archive)).unwrap_or_default()
    }
}

fn there(archive: &Archive) -> Vec<(u64, bool)> {
    let is_there = |segment: &Arc<headwater_media::StoredSegment>| {
        (segment.sequence.0 - first(), segment.pieces.iter().all(|piece| piece.size == Some(SIZE as u64)))
    };
    archive.segments().map(is_there).collect()
}

fn all(count: u64) -> Vec<(u64, bool)> {
    (0..count).map(|sequence| (sequence, true)).collect()
}

async fn recorded(store: &MemoryStore) -> Archive {
    Recording::load(store, &layout()).await.unwrap().unwrap().archive
}

/// A recording that is finished, and all there.
async fn is_complete(store: &MemoryStore, count: u64) {
    assert_eq!(there(&recorded(store).await), all(count));
    assert!(!is_live(store, &layout()).await.unwrap());
    let summary = describe(store, &layout()).await.unwrap().unwrap();
    assert_eq!((summary.state, summary.bytes), (State::Complete, count * 3 * SIZE as u64));
}

#[tokio::test(start_paused = true)]
async fn segments_are_stored_and_then_named() {
    let store = MemoryStore::new();
    let mut on_air = OnAir::begin(&store, &policy()).await;
    on_air.period(0, first());
    on_air.segments(5).await;
    assert_eq!(on_air.history(), all(5));
    let written = store.written();
    let at = |end: &str| {
        written.iter().position(|key| key.ends_with(end)).unwrap_or_else(|| panic!("{end}: {written:?}"))
    };
    assert!(at(&layout().broadcast.to_string()) < at(".m4s"), "the mark comes first");
    for id in RENDITIONS {
        let playlist = at(&format!("{id}/index.m3u8"));
        assert!(at(&format!("{id}/{}.m4s", first())) < at("-000000") && at("-000000") < playlist);
    }
    assert!(at("recording.json") > at("m3u8"));
    on_air.end().await;
    is_complete(&store, 5).await;
}

#[tokio::test(start_paused = true)]
async fn the_journal_says_what_the_samples_of_each_segment_are() {
    let store = MemoryStore::new();
    let mut on_air = OnAir::begin(&store, &policy()).await;
    on_air.period(0, first());
    let sample = |n: u64| Sample {
        decode_time: n * 90_000,
        duration: 90_000,
        composition_offset: 0,
        keyframe: n == 0,
        data: vec![7; 100 + n as usize].into(),
    };
    on_air.parts(|n| cmaf::chunk(1, &[sample(n)]));
    on_air.segment();
    on_air.end().await;
    for id in RENDITIONS.map(|id| id.parse().unwrap()) {
        let tables = Samples::load(&store, &layout(), std::slice::from_ref(&id)).await.unwrap();
        let media = store.get(&layout().segment(&id, MediaSequence(first()))).await.unwrap();
        let samples = tables.samples_of(&id, MediaSequence(first()), media.len() as u64).unwrap();
        assert_eq!((samples.len(), Ok(samples)), (2, read::samples(&media)));
        let damaged = tables.samples_of(&id, MediaSequence(first() + 1), SIZE as u64);
        assert_eq!(damaged, None, "what is no media has none");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_slow_is_waited_for_by_nobody() {
    let store = MemoryStore::new();
    let mut on_air = OnAir::begin(&store, &policy()).await;
    on_air.period(0, first());
    store.set(Fault::Slow(Duration::from_secs(3)));
    let began = Instant::now();
    let mut safe = on_air.segment();
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(timeout(SEGMENT, safe.wait()).await.is_err(), "it is not safe before it is stored");
    timeout(LONG, safe.wait()).await.unwrap();
    store.set(Fault::None);
    on_air.segments(3).await;
    on_air.end().await;
    is_complete(&store, 4).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_a_minute_or_refuses_gets_everything_later() {
    for fault in [Fault::Away, Fault::Refusing, Fault::Hanging(Duration::from_secs(15))] {
        let store = MemoryStore::new();
        let mut on_air = OnAir::begin(&store, &policy()).await;
        on_air.period(0, first());
        on_air.segments(3).await;
        store.set(fault);
        on_air.segments(30).await;
        assert_eq!(on_air.history(), all(3), "{fault:?}: what can't be fetched is not told");
        store.set(Fault::None);
        on_air.segments(20).await;
        assert_eq!(on_air.history().len(), 53, "{fault:?}");
        on_air.end().await;
        is_complete(&store, 53).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_at_the_end_is_waited_for() {
    let store = MemoryStore::new();
    let mut on_air = OnAir::begin(&store, &policy()).await;
    on_air.period(0, first());
    on_air.segments(3).await;
    store.set(Fault::Away);
    on_air.segments(3).await;
    let back = store.clone();
    tokio::spawn(async move {
        tokio::time::sleep(LONG / 2).await;
        back.set(Fault::None);
    });
    on_air.end().await;
    is_complete(&store, 6).await;
}

#[tokio::test(start_paused = true)]
async fn a_recording_whose_end_its_worker_has_not_made_is_not_called_complete() {
    for (is_resumed, state) in [(false, State::Interrupted), (true, State::Complete)] {
        let store = MemoryStore::new();
        let mut on_air = OnAir::begin(&store, &policy()).await;
        on_air.period(0, first());
        on_air.segments(3).await;
        on_air.recorder.set_cut_short(true);
        if is_resumed {
            // The proxy has sent it again.
            on_air.recorder.set_cut_short(false);
            on_air.segments(1).await;
        }
        on_air.end().await;
        assert_eq!(describe(&store, &layout()).await.unwrap().unwrap().state, state);
    }
}

#[tokio::test(start_paused = true)]
async fn what_there_is_no_room_for_is_a_gap() {
    let store = MemoryStore::new();
    // Of 3 KB a segment, and the index.
    let mut on_air = OnAir::with(&storage(&store, 40_000).await, &policy(), Epoch(1), None);
    on_air.period(0, first());
    on_air.segments(3).await;
    store.set(Fault::Away);
    on_air.segments(40).await;
    store.set(Fault::None);
    on_air.segments(10).await;
    let history = on_air.history();
    on_air.end().await;
    let found = there(&recorded(&store).await);
    assert_eq!(history, found, "viewers and the journal are told the same");
    assert_eq!(found.len(), 53);
    let lost: Vec<_> = found.iter().filter(|(_, there)| !there).map(|(sequence, _)| *sequence).collect();
    assert!((20..40).contains(&lost.len()) && lost[0] == 3, "{lost:?}");
    assert!(lost.iter().zip(&lost[1..]).all(|(one, next)| one + 1 == *next), "the oldest go first: {lost:?}");
    let key = layout().media_playlist(&"720p".parse().unwrap());
    let playlist = String::from_utf8(store.get(&key).await.unwrap().to_vec()).unwrap();
    assert!(playlist.contains("#EXT-X-GAP\n"), "{playlist}");
}

/// A publisher comes back while the store is away, and then there is no room even for what the journal says of that.
#[tokio::test(start_paused = true)]
async fn a_block_of_the_journal_that_had_no_room_is_written_again() {
    let store = MemoryStore::new();
    // Of some 5 KB a block of the journal.
    let mut on_air = OnAir::with(&storage(&store, 9_000).await, &policy(), Epoch(1), None);
    on_air.period(0, first());
    on_air.segments(3).await;
    store.set(Fault::Away);
    on_air.segments(10).await;
    on_air.period(1, first() + 13);
    on_air.segments(120).await;
    store.set(Fault::None);
    on_air.segments(10).await;
    on_air.end().await;
    let recorded = recorded(&store).await;
    let begun: Vec<_> = recorded.periods().map(|period| period.first_sequence.0 - first()).collect();
    assert_eq!(begun, [0, 13]);
    let found = there(&recorded);
    assert_eq!(found.len(), 143);
    assert!(found[..3].iter().chain(&found[138..]).all(|(_, there)| *there), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_over_knows_what_was_stored_before() {
    let store = MemoryStore::new();
    let mut old = OnAir::begin(&store, &policy()).await;
    old.period(0, first());
    old.segments(4).await;
    let resume = old.feed.resume_point();
    // It has died: what it does from here on is somebody's who does not know it.
    store.set(Fault::Away);
    let mut new = OnAir::with(&storage(&store, 32 << 20).await, &policy(), Epoch(2), Some(resume));
    new.period(0, first());
    new.segments(3).await;
    assert_eq!(new.history(), [], "what is before is not known yet");
    store.set(Fault::None);
    new.segments(20).await;
    assert_eq!(new.history(), all(27));
    // The old one wakes up, goes on, and thinks that it is the end.
    old.segments(5).await;
    old.end().await;
    assert!(is_live(&store, &layout()).await.unwrap(), "the new one goes on");
    new.end().await;
    is_complete(&store, 27).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_segment_of_a_server_that_leaves_may_come_late() {
    let store = MemoryStore::new();
    let mut old = OnAir::begin(&store, &policy()).await;
    old.period(0, first());
    old.segments(3).await;
    // Its uploads have a store of their own, so to say: the new server begins before they are done.
    store.set(Fault::Slow(Duration::from_secs(1)));
    old.segment();
    let resume = old.feed.resume_point();
    old.recorder.close(false);
    let mut new = OnAir::with(&storage(&store, 32 << 20).await, &policy(), Epoch(2), Some(resume));
    new.period(0, first());
    new.segments(10).await;
    store.set(Fault::None);
    new.segments(10).await;
    assert_eq!(new.history(), all(24));
    timeout(LONG, old.keeper).await.unwrap().unwrap();
    new.end().await;
    is_complete(&store, 24).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_kept_is_there_as_long_as_viewers_can_go_back_to_it() {
    let store = MemoryStore::new();
    let dvr_window = Duration::from_secs(60);
    let top = Policy { recording: Some(RecordedRenditions::Top), dvr_window, ..policy() };
    let mut on_air = OnAir::begin(&store, &top).await;
    on_air.period(0, first());
    on_air.segments(200).await;
    assert_eq!(on_air.history(), (170..200).map(|sequence| (sequence, true)).collect::<Vec<_>>());
    let stored =
        |name: &str| store.keys().iter().filter(|key| key.contains(name) && key.ends_with("m4s")).count();
    assert_eq!((stored("/720p/"), stored("/audio/")), (200, 200));
    assert!((30..100).contains(&stored("/360p/")), "{}", stored("/360p/"));
    on_air.end().await;
    // The last list that viewers were given names them.
    assert!(stored("/360p/") >= 30, "{}", stored("/360p/"));
    is_cleared_after(&store, dvr_window).await;
    assert_eq!((stored("/720p/"), stored("/360p/"), stored("/audio/")), (200, 0, 200));
    let summary = describe(&store, &layout()).await.unwrap().unwrap();
    assert_eq!((summary.duration_ms, summary.renditions.len()), (400_000, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_recorded_is_there_for_going_back_only() {
    let store = MemoryStore::new();
    let off = Policy { recording: None, ..policy() };
    let mut on_air = OnAir::begin(&store, &off).await;
    on_air.period(0, first());
    on_air.segments(5).await;
    assert_eq!(on_air.history(), all(5));
    assert!(
        !store.keys().iter().any(|key| key.ends_with("m3u8") || key.ends_with("json")),
        "{:?}",
        store.keys()
    );
    on_air.end().await;
    assert!(!is_live(&store, &layout()).await.unwrap());
    assert_eq!(store.keys().iter().filter(|key| key.ends_with(".m4s")).count(), 15);
    is_cleared_after(&store, off.dvr_window).await;
    assert_eq!(store.keys(), [""; 0]);
}

/// Waits until nobody can be in a DVR window of this length any more, and looks after the store as any server does.
async fn is_cleared_after(store: &MemoryStore, dvr_window: Duration) {
    tokio::time::sleep(2 * dvr_window).await;
    assert_eq!(clear(store).await, Ok(Vec::new()), "whoever came last still plays");
    tokio::time::sleep(Duration::from_secs(21 * 60)).await;
    assert_eq!(clear(store).await, Ok(vec![layout()]));
}

/// Two hours: what is put for the index of a segment does not grow.
#[tokio::test(start_paused = true)]
async fn the_index_costs_the_same_for_every_segment() {
    let store = MemoryStore::new();
    let mut on_air = OnAir::begin(&store, &policy()).await;
    on_air.period(0, first());
    on_air.segments(3_600).await;
    let written = store.written();
    let count = |part: &str| written.iter().filter(|key| key.contains(part)).count();
    assert_eq!((count(".m4s"), count("/journal/")), (3_600 * 3, 3_600));
    // Written again as it grows by an eighth: 2 hours are 7 minutes of one a minute, and 23 times an eighth.
    assert!((10..40).contains(&count("720p/index.m3u8")), "{}", count("720p/index.m3u8"));
    on_air.end().await;
    is_complete(&store, 3_600).await;
}
