use headwater_media::{MediaSequence, Record};
use headwater_platform::store::testing::{Fault, MemoryStore};
use tokio::time::sleep;

use super::*;
use crate::testing::{SETTINGS, as_owner, layout, period, segment};
use crate::{DeleteError, Finished, Finisher, JournalWriter, Recording, State, delete, describe, finish};

const WINDOW: Duration = Duration::from_secs(60);
const SEGMENT: Duration = Duration::from_secs(2);

/// An owner that writes its journal as a recorder does.
struct Owner {
    store: MemoryStore,
    journal: JournalWriter,
    next: u64,
}

impl Owner {
    async fn begin(store: &MemoryStore, epoch: u64, first: u64) -> Self {
        let epoch = Epoch(epoch);
        store.put(&layout(1).marker(), mark_text(Some(epoch)), "").await.unwrap();
        let mut journal = JournalWriter::new(layout(1), epoch, SETTINGS, None).waiting_for(WINDOW);
        journal.append(period(0, 7));
        Self { store: store.clone(), journal, next: first }
    }

    async fn segment(&mut self) {
        self.append(segment(self.next)).await;
        self.next += 1;
    }

    async fn append(&mut self, record: Record) {
        self.journal.append(record);
        let (key, block) = self.journal.block();
        self.store.put(&key, block, "").await.unwrap();
    }
}

async fn pulse(store: &MemoryStore) -> Pulse {
    Pulse::of(store, &layout(1)).await.unwrap()
}

async fn segments(store: &MemoryStore) -> usize {
    Recording::load(store, &layout(1)).await.unwrap().unwrap().archive.segments().len()
}

#[tokio::test(start_paused = true)]
async fn an_owner_is_alive_for_as_long_as_it_may_be_silent() {
    let store = MemoryStore::new();
    assert!(!pulse(&store).await.is_beating(WINDOW), "there is nothing");
    let mut owner = Owner::begin(&store, 4, 7).await;
    sleep(WINDOW).await;
    assert!(pulse(&store).await.is_beating(Duration::ZERO + WINDOW), "its mark says so");
    owner.segment().await;
    let before = pulse(&store).await;
    sleep(WINDOW + SILENT_OWNER_GRACE - SEGMENT).await;
    assert!(pulse(&store).await.is_beating(Duration::ZERO), "the block says how long it waits");
    assert!(before.is_still(&pulse(&store).await));
    sleep(SEGMENT).await;
    assert!(!pulse(&store).await.is_beating(WINDOW));
    assert!(pulse(&store).await.is_beating(2 * WINDOW), "whoever looks may wait for longer");
    owner.segment().await;
    assert!(!before.is_still(&pulse(&store).await) && pulse(&store).await.is_beating(WINDOW));
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_writes_the_same_again_is_alive() {
    let store = MemoryStore::new();
    let mut owner = Owner::begin(&store, 4, 7).await;
    owner.segment().await;
    let (key, first) = owner.journal.block();
    let (_, again) = owner.journal.block();
    assert_ne!(first, again, "stores whose versions follow from the bytes tell them apart: {key}");
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_writes_in_time_keeps_its_recording() {
    let store = MemoryStore::new();
    let mut owner = Owner::begin(&store, 4, 7).await;
    owner.segment().await;
    sleep(2 * WINDOW).await;
    let last = pulse(&store).await;
    owner.segment().await;
    let keys = store.keys();
    assert_eq!(finish(&store, &layout(1), Finisher::Heir(&last)).await, Ok(Finished::Superseded));
    assert_eq!((store.keys(), segments(&store).await), (keys, 2), "nothing was written or deleted");
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_was_closed_is_gone_on_with_by_an_owner_that_writes() {
    let store = MemoryStore::new();
    let mut owner = Owner::begin(&store, 4, 7).await;
    owner.segment().await;
    sleep(2 * WINDOW).await;
    let last = pulse(&store).await;
    assert_eq!(finish(&store, &layout(1), Finisher::Heir(&last)).await, Ok(Finished::Done));
    assert_eq!(describe(&store, &layout(1)).await.unwrap().unwrap().state, State::Interrupted);
    assert!(pulse(&store).await.is_closed() && !pulse(&store).await.is_beating(WINDOW));
    owner.segment().await;
    assert!(pulse(&store).await.is_beating(WINDOW), "without its mark, too");
    assert!(matches!(delete(&store, &layout(1)).await, Err(DeleteError::Live)));
    assert_eq!(segments(&store).await, 2);
}

/// As two servers do that share a store and no registry: each one sees no owner.
#[tokio::test(start_paused = true)]
async fn what_is_live_is_not_deleted_whoever_has_taken_its_mark_away() {
    let store = MemoryStore::new();
    let mut owner = Owner::begin(&store, 4, 7).await;
    owner.segment().await;
    crate::refresh(&store, &layout(1)).await.unwrap();
    store.delete(&[layout(1).marker()]).await.unwrap();
    assert!(matches!(delete(&store, &layout(1)).await, Err(DeleteError::Live)));
    let day = |_: &headwater_media::StreamId| Some(Duration::from_secs(1));
    let later = headwater_media::UnixMillis(crate::testing::BEGIN.0 * 2);
    assert_eq!(crate::expire(&store, day, later).await.unwrap(), []);
    sleep(2 * WINDOW).await;
    assert_eq!(crate::expire(&store, day, later).await.unwrap(), [layout(1)]);
}

#[tokio::test(start_paused = true)]
async fn an_owner_whose_successor_has_made_nothing_yet_finishes_nothing() {
    let store = MemoryStore::new();
    let mut owner = Owner::begin(&store, 4, 7).await;
    owner.segment().await;
    Owner::begin(&store, 5, 8).await;
    let finished = finish(&store, &layout(1), as_owner(4)).await;
    assert_eq!(finished, Ok(Finished::Superseded));
    let mut later = Owner::begin(&store, 5, 8).await;
    later.segment().await;
    assert_eq!(finish(&store, &layout(1), as_owner(5)).await, Ok(Finished::Done));
    let recording = Recording::load(&store, &layout(1)).await.unwrap().unwrap();
    assert!(recording.archive.segment(MediaSequence(8)).is_some());
}

/// Waits until the store looks like this.
async fn until(store: &MemoryStore, wanted: impl AsyncFn() -> bool) {
    for _ in 0..10_000 {
        if wanted().await {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it never comes to that: {:?}", store.keys());
}

/// Heir that is far from the store, so that others can do something between two of its requests.
fn slow_heir(store: &MemoryStore, last: Pulse) -> tokio::task::JoinHandle<Result<Finished, StoreError>> {
    let slow = store.from_elsewhere();
    slow.set(Fault::Slow(Duration::from_secs(1)));
    tokio::spawn(async move { finish(&slow, &layout(1), Finisher::Heir(&last)).await })
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_is_made_while_the_rest_is_deleted_stays() {
    for epoch in [4, 5] {
        let store = MemoryStore::new();
        let mut owner = Owner::begin(&store, 4, 7).await;
        owner.journal.keep(vec!["720p".parse().unwrap()]);
        owner.segment().await;
        let unkept = layout(1).segment(&"360p".parse().unwrap(), MediaSequence(7));
        store.put(&unkept, "media".into(), "").await.unwrap();
        sleep(2 * WINDOW).await;
        let heir = slow_heir(&store, pulse(&store).await);
        until(&store, async || store.size(&unkept).await.unwrap().is_none()).await;
        Owner::begin(&store, epoch, 8).await;
        assert_eq!(heir.await.unwrap(), Ok(Finished::Superseded));
        assert_eq!(
            pulse(&store).await.marked_epoch(),
            Some(Epoch(epoch)),
            "whoever made it may die from here on"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_is_made_while_everything_is_deleted_stays() {
    let store = MemoryStore::new();
    let mut owner = Owner::begin(&store, 4, 7).await;
    owner.journal.keep(Vec::new());
    owner.segment().await;
    sleep(2 * WINDOW).await;
    let heir = slow_heir(&store, pulse(&store).await);
    until(&store, async || pulse(&store).await.newest.is_none()).await;
    Owner::begin(&store, 5, 8).await;
    assert_eq!(heir.await.unwrap(), Ok(Finished::Superseded));
    assert_eq!(pulse(&store).await.marked_epoch(), Some(Epoch(5)));
}

#[tokio::test(start_paused = true)]
async fn what_a_late_heir_has_written_over_is_finished_again() {
    let store = MemoryStore::new();
    let mut owner = Owner::begin(&store, 4, 7).await;
    owner.segment().await;
    sleep(2 * WINDOW).await;
    let heir = slow_heir(&store, pulse(&store).await);
    until(&store, async || pulse(&store).await.is_closed()).await;
    owner.segment().await;
    assert_eq!(finish(&store, &layout(1), as_owner(4)).await, Ok(Finished::Done));
    assert_eq!(heir.await.unwrap(), Ok(Finished::Superseded));
    assert_eq!(crate::unfinished(&store).await.unwrap(), [layout(1)], "somebody has to look at it");
    let last = pulse(&store).await;
    assert_eq!(finish(&store, &layout(1), Finisher::Heir(&last)).await, Ok(Finished::Done));
    assert_eq!(describe(&store, &layout(1)).await.unwrap().unwrap().duration_ms, 4_000);
}

#[test]
fn no_mark_is_like_another_and_each_says_whose_it_is() {
    let [one, other] = [(); 2].map(|()| mark_text(Some(Epoch(7))));
    assert_ne!(one, other, "stores whose versions follow from the bytes tell them apart");
    assert_eq!(
        (epoch_of(&one), epoch_of(b"7"), epoch_of(&mark_text(None))),
        (Some(Epoch(7)), Some(Epoch(7)), None)
    );
}
