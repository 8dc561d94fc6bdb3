//! The life of recordings in a store: written down, listed, deleted.

use std::time::Duration;

use bytes::Bytes;
use headwater_media::{Epoch, MediaSequence, Record, RenditionId, UnixMillis};
use headwater_platform::store::testing::{Fault, MemoryStore};
use headwater_platform::store::{ObjectStore, StoreError};

use crate::testing::{BEGIN, RENDITIONS, SETTINGS, as_owner, layout, period, segment};
use crate::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Stores a broadcast of so many segments, as its owner does while it is live.
async fn broadcast(store: &MemoryStore, nth: u8, segments: u64, kept: Option<Vec<RenditionId>>) -> Layout {
    let layout = layout(nth);
    store.put(&layout.marker(), Bytes::new(), "").await.unwrap();
    let mut journal = JournalWriter::new(layout.clone(), Epoch(4), SETTINGS, kept);
    for record in std::iter::once(period(0, 7)).chain((7..7 + segments).map(segment)) {
        for id in RENDITIONS.map(|id| id.parse().unwrap()) {
            let key = match &record {
                Record::Period(period) => layout.init(&id, period.first_sequence),
                Record::Segment(segment) => layout.segment(&id, segment.sequence),
            };
            store.put(&key, Bytes::from_static(&[0; 1_000]), "").await.unwrap();
        }
        journal.append(record);
        let (key, block) = journal.block();
        store.put(&key, block, "").await.unwrap();
    }
    layout
}

/// Finishes it as anybody does once its owner is dead.
async fn orphaned(store: &MemoryStore, layout: &Layout) -> Result<Finished, StoreError> {
    let last = Pulse::of(store, layout).await?;
    finish(store, layout, Finisher::Heir(&last)).await
}

async fn text(store: &MemoryStore, key: &headwater_platform::store::Key) -> String {
    String::from_utf8(store.get(key).await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn a_recording_grows_and_is_finished() {
    let store = MemoryStore::new();
    let layout = broadcast(&store, 1, 3, None).await;
    let playlist = layout.media_playlist(&"360p".parse().unwrap());
    refresh(&store, &layout).await.unwrap();
    assert!(text(&store, &playlist).await.contains("TYPE:EVENT"));
    assert_eq!(describe(&store, &layout).await.unwrap().unwrap().state, State::Live);
    assert_eq!(finish(&store, &layout, as_owner(4)).await, Ok(Finished::Done));
    let finished = text(&store, &playlist).await;
    assert!(finished.ends_with("9.m4s\n#EXT-X-ENDLIST\n"), "{finished}");
    assert!(
        text(&store, &layout.multivariant()).await.contains(&format!("{}/360p/index.m3u8", layout.broadcast))
    );
    let summary = describe(&store, &layout).await.unwrap().unwrap();
    assert_eq!((summary.state, summary.duration_ms, summary.bytes), (State::Complete, 6_000, 9_000));
    assert_eq!((summary.start_unix_ms, summary.renditions.len()), (BEGIN.0, 3));
    assert!(!is_live(&store, &layout).await.unwrap());
    assert_eq!(unfinished(&store).await.unwrap(), []);
}

#[tokio::test]
async fn an_orphan_is_finished_and_again_when_more_turns_up() {
    let store = MemoryStore::new();
    let layout = broadcast(&store, 1, 3, None).await;
    assert_eq!(unfinished(&store).await.unwrap(), std::slice::from_ref(&layout));
    assert_eq!(orphaned(&store, &layout).await, Ok(Finished::Done));
    assert_eq!(describe(&store, &layout).await.unwrap().unwrap().state, State::Interrupted);
    broadcast(&store, 1, 4, None).await;
    assert_eq!(orphaned(&store, &layout).await, Ok(Finished::Done));
    assert_eq!(describe(&store, &layout).await.unwrap().unwrap().duration_ms, 8_000);
}

#[tokio::test]
async fn whoever_was_succeeded_finishes_nothing() {
    let store = MemoryStore::new();
    let layout = broadcast(&store, 1, 3, None).await;
    assert_eq!(finish(&store, &layout, as_owner(3)).await, Ok(Finished::Superseded));
    assert!(is_live(&store, &layout).await.unwrap());
    assert_eq!(describe(&store, &layout).await.unwrap().unwrap().duration_ms, 0, "nothing was written");
}

#[tokio::test]
async fn finishing_that_fails_half_way_is_done_again() {
    let store = MemoryStore::new();
    let layout = broadcast(&store, 1, 3, None).await;
    store.set(Fault::Away);
    assert!(matches!(finish(&store, &layout, as_owner(4)).await, Err(StoreError::Unavailable(_))));
    for _ in 0..40 {
        store.set(Fault::FailingFor(1));
        if finish(&store, &layout, as_owner(4)).await == Ok(Finished::Done) {
            break;
        }
        assert!(is_live(&store, &layout).await.is_ok_and(|live| live), "the mark stays to the end");
    }
    store.set(Fault::None);
    assert_eq!(finish(&store, &layout, as_owner(4)).await, Ok(Finished::Done));
    assert!(!is_live(&store, &layout).await.unwrap());
}

#[tokio::test]
async fn without_a_dvr_window_what_is_not_kept_is_deleted_at_the_end() {
    let store = MemoryStore::new();
    let kept = vec!["720p".parse().unwrap(), "audio".parse().unwrap()];
    let layout = broadcast(&store, 1, 3, Some(kept)).await;
    finish(&store, &layout, as_owner(4)).await.unwrap();
    let has = |name: &str| store.keys().iter().any(|key| key.contains(name));
    assert!(has("/720p/9.m4s") && has("/audio/init-7.mp4") && !has("/360p/"), "{:?}", store.keys());
    assert_eq!(describe(&store, &layout).await.unwrap().unwrap().renditions.len(), 2);
    let nothing = broadcast(&store, 2, 3, Some(Vec::new())).await;
    assert_eq!(finish(&store, &nothing, as_owner(4)).await, Ok(Finished::Nothing));
    assert!(
        !store.keys().iter().any(|key| key.contains(&nothing.broadcast.to_string())),
        "{:?}",
        store.keys()
    );
}

#[tokio::test]
async fn recordings_are_listed_from_the_newest_on() {
    let store = MemoryStore::new();
    for nth in 1..=3 {
        let layout = broadcast(&store, nth, u64::from(nth), None).await;
        if nth < 3 {
            finish(&store, &layout, as_owner(4)).await.unwrap();
        }
    }
    let stream = layout(1).stream;
    let (all, rest) = list(&store, &stream, None, 10).await.unwrap();
    let states: Vec<_> = all.iter().map(|summary| (summary.state, summary.duration_ms)).collect();
    assert_eq!(states, [(State::Live, 0), (State::Complete, 4_000), (State::Complete, 2_000)]);
    assert!(!rest);
    let (second, rest) = list(&store, &stream, Some(layout(3).broadcast), 1).await.unwrap();
    assert_eq!((second[0].broadcast.clone(), rest), (layout(2).broadcast.to_string(), true));
    assert_eq!(list(&store, &"other".parse().unwrap(), None, 10).await.unwrap(), (Vec::new(), false));
}

#[tokio::test]
async fn a_recording_is_deleted_and_a_live_one_is_not() {
    let store = MemoryStore::new();
    let kept = broadcast(&store, 1, 2, None).await;
    let gone = broadcast(&store, 2, 700, None).await;
    assert!(matches!(delete(&store, &gone).await, Err(DeleteError::Live)));
    for layout in [&kept, &gone] {
        finish(&store, layout, as_owner(4)).await.unwrap();
    }
    let before = store.keys().len();
    delete(&store, &gone).await.unwrap();
    assert!(!store.keys().iter().any(|key| key.contains(&gone.broadcast.to_string())));
    assert!(
        before > 2_100
            && store.size(&kept.segment(&"720p".parse().unwrap(), MediaSequence(8))).await.unwrap().is_some()
    );
    assert!(matches!(delete(&store, &gone).await, Err(DeleteError::NotFound)));
    assert_eq!(list(&store, &gone.stream, None, 10).await.unwrap().0.len(), 1);
}

#[tokio::test]
async fn old_recordings_expire_and_live_ones_never() {
    let store = MemoryStore::new();
    let old = broadcast(&store, 1, 30, None).await;
    let live = broadcast(&store, 2, 30, None).await;
    finish(&store, &old, as_owner(4)).await.unwrap();
    let at = |after: Duration| UnixMillis(BEGIN.0 + 60_000 + after.as_millis() as u64);
    let day = |_: &headwater_media::StreamId| Some(DAY);
    assert_eq!(expire(&store, day, at(DAY)).await.unwrap(), [], "it ended a minute after its begin");
    let ever = |_: &headwater_media::StreamId| None;
    assert_eq!(expire(&store, ever, at(1_000 * DAY)).await.unwrap(), []);
    let expired = expire(&store, day, at(DAY + Duration::from_millis(1))).await.unwrap();
    assert_eq!(expired, [old]);
    assert_eq!(expire(&store, day, at(1_000 * DAY)).await.unwrap(), []);
    assert!(store.keys().iter().all(|key| key.contains(&live.broadcast.to_string())), "{:?}", store.keys());
}

/// Stores a broadcast of a minute that is kept for this long, and ends it.
async fn ended_and_kept_for(store: &MemoryStore, nth: u8, retention: Duration) -> Layout {
    let layout = broadcast(store, nth, 30, None).await;
    let journal = JournalWriter::new(layout.clone(), Epoch(4), SETTINGS, None).kept_for(Some(retention));
    put_last_block(store, journal, 30).await;
    assert_eq!(finish(store, &layout, as_owner(4)).await, Ok(Finished::Done));
    layout
}

/// Writes the records of so many segments in one block of the journal.
async fn put_last_block(store: &MemoryStore, mut journal: JournalWriter, segments: u64) {
    for record in std::iter::once(period(0, 7)).chain((7..7 + segments).map(segment)) {
        journal.append(record);
    }
    let (key, block) = journal.block();
    store.put(&key, block, "").await.unwrap();
}

fn never(_: &headwater_media::StreamId) -> Option<Duration> {
    None
}

/// A minute and this time after the begin of the broadcasts.
fn after_the_end(time: Duration) -> UnixMillis {
    UnixMillis(BEGIN.0 + 60_000 + time.as_millis() as u64)
}

#[tokio::test]
async fn a_recording_with_a_retention_of_its_own_is_kept_for_that_time() {
    let store = MemoryStore::new();
    let short = ended_and_kept_for(&store, 1, 2 * DAY).await;
    let long = ended_and_kept_for(&store, 2, 60 * DAY).await;
    let month = |_: &headwater_media::StreamId| Some(30 * DAY);
    assert_eq!(expire(&store, never, after_the_end(2 * DAY)).await.unwrap(), []);
    let later = after_the_end(2 * DAY + Duration::from_millis(1));
    assert_eq!(expire(&store, month, later).await.unwrap(), std::slice::from_ref(&short));
    assert!(!store.keys().iter().any(|key| key.contains(&short.broadcast.to_string())), "{:?}", store.keys());
    assert_eq!(expire(&store, month, after_the_end(31 * DAY)).await.unwrap(), [], "its own time counts");
    assert_eq!(expire(&store, never, after_the_end(61 * DAY)).await.unwrap(), [long]);
    assert_eq!(store.keys(), [""; 0]);
}

#[tokio::test]
async fn looking_for_recordings_that_are_due_reads_none_of_those_that_are_not() {
    let store = MemoryStore::new();
    for nth in 1..=20 {
        ended_and_kept_for(&store, nth, DAY).await;
    }
    let read = store.keys_read().len();
    assert_eq!(expire(&store, never, after_the_end(Duration::ZERO)).await.unwrap(), []);
    assert_eq!(store.keys_read().len(), read);
}

#[tokio::test]
async fn a_recording_that_goes_on_after_its_end_is_due_after_the_later_one() {
    let store = MemoryStore::new();
    let layout = ended_and_kept_for(&store, 1, DAY).await;
    store.put(&layout.marker(), mark_text(Some(Epoch(4))), "").await.unwrap();
    let journal = JournalWriter::new(layout.clone(), Epoch(4), SETTINGS, None).kept_for(Some(DAY));
    put_last_block(&store, journal, 60).await;
    let earlier = after_the_end(DAY + Duration::from_secs(1));
    assert_eq!(expire(&store, never, earlier).await.unwrap(), [], "it is live");
    assert_eq!(finish(&store, &layout, as_owner(4)).await, Ok(Finished::Done));
    assert_eq!(expire(&store, never, earlier).await.unwrap(), []);
    let later = after_the_end(DAY + Duration::from_secs(61));
    assert_eq!(expire(&store, never, later).await.unwrap(), [layout]);
    assert_eq!(store.keys(), [""; 0]);
}

#[tokio::test]
async fn the_mark_of_a_recording_that_was_deleted_before_goes_when_it_is_due() {
    let store = MemoryStore::new();
    let layout = ended_and_kept_for(&store, 1, DAY).await;
    delete(&store, &layout).await.unwrap();
    assert_eq!(store.keys().len(), 1, "{:?}", store.keys());
    assert_eq!(expire(&store, never, after_the_end(2 * DAY)).await.unwrap(), []);
    assert_eq!(store.keys(), [""; 0]);
}

/// Stores a broadcast whose viewers can go back by an hour, and ends it.
async fn ended(store: &MemoryStore, nth: u8, kept: Option<Vec<RenditionId>>) -> Layout {
    let layout = broadcast(store, nth, 3, kept.clone()).await;
    let mut journal = JournalWriter::new(layout.clone(), Epoch(4), SETTINGS, kept).reaching_back(HOUR);
    for record in std::iter::once(period(0, 7)).chain((7..10).map(segment)) {
        journal.append(record);
    }
    let (key, block) = journal.block();
    store.put(&key, block, "").await.unwrap();
    finish(store, &layout, as_owner(4)).await.unwrap();
    layout
}

const HOUR: Duration = Duration::from_secs(3_600);

fn media(store: &MemoryStore, layout: &Layout, rendition: &str) -> usize {
    let folder = layout.rendition(&rendition.parse().unwrap()).to_string();
    store.keys().iter().filter(|key| key.starts_with(&folder) && !key.ends_with("m3u8")).count()
}

/// The last list that viewers have names it all, and is given for an hour (RFC 8216bis §6.2.2).
#[tokio::test(start_paused = true)]
async fn what_only_the_dvr_window_keeps_outlives_the_lists_of_it() {
    let store = MemoryStore::new();
    let top = Some(vec!["720p".parse().unwrap(), "audio".parse().unwrap()]);
    let some = ended(&store, 1, top).await;
    let nothing = ended(&store, 2, Some(Vec::new())).await;
    let all = ended(&store, 3, None).await;
    let count = |layout: &Layout| RENDITIONS.map(|id| media(&store, layout, id));
    for layout in [&some, &nothing, &all] {
        assert_eq!(count(layout), [4; 3]);
        assert!(!is_live(&store, layout).await.unwrap());
    }
    assert_eq!(describe(&store, &nothing).await.unwrap(), None, "no recording, and not live");
    let summary = describe(&store, &some).await.unwrap().unwrap();
    assert_eq!((summary.state, summary.renditions.len()), (State::Complete, 2));
    // A viewer that begins to play an hour after the end needs another one.
    tokio::time::sleep(2 * HOUR).await;
    assert_eq!(clear(&store).await, Ok(Vec::new()));
    assert_eq!((count(&some), count(&nothing)), ([4; 3], [4; 3]));
    tokio::time::sleep(Duration::from_secs(21 * 60)).await;
    // By any server, or by several at once.
    let elsewhere = store.from_elsewhere();
    let (one, other) = tokio::join!(clear(&store), clear(&elsewhere));
    let mut cleared = [one.unwrap(), other.unwrap()].concat();
    cleared.sort_by_key(|layout| layout.broadcast.to_string());
    cleared.dedup();
    assert_eq!(cleared, [some.clone(), nothing.clone()]);
    assert_eq!((count(&some), count(&nothing), count(&all)), ([4, 0, 4], [0; 3], [4; 3]));
    assert!(
        !store.keys().iter().any(|key| key.contains(&nothing.broadcast.to_string())),
        "{:?}",
        store.keys()
    );
    assert!(!store.keys().iter().any(|key| key.starts_with(".dvr")), "{:?}", store.keys());
    assert_eq!(clear(&store).await, Ok(Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn clearing_that_fails_half_way_is_done_again() {
    let store = MemoryStore::new();
    let nothing = ended(&store, 1, Some(Vec::new())).await;
    tokio::time::sleep(3 * HOUR).await;
    store.set(Fault::Away);
    assert!(matches!(clear(&store).await, Err(StoreError::Unavailable(_))));
    store.set(Fault::None);
    // The journal goes before the rest of the folder does.
    let journal = store.keys().into_iter().find(|key| key.contains("/journal/")).unwrap();
    store.delete(&[headwater_platform::store::Key::new(journal).unwrap()]).await.unwrap();
    assert_eq!(clear(&store).await, Ok(vec![nothing]));
    assert_eq!(store.keys(), [""; 0]);
}

/// Its owner was taken for dead, and has come back since.
#[tokio::test(start_paused = true)]
async fn what_is_on_air_again_is_not_cleared() {
    let store = MemoryStore::new();
    let layout = ended(&store, 1, Some(Vec::new())).await;
    tokio::time::sleep(3 * HOUR).await;
    store.put(&layout.marker(), mark_text(Some(Epoch(4))), "").await.unwrap();
    let mut journal =
        JournalWriter::new(layout.clone(), Epoch(4), SETTINGS, Some(Vec::new())).reaching_back(HOUR);
    journal.append(period(0, 7));
    (7..11).for_each(|number| journal.append(segment(number)));
    let (key, block) = journal.block();
    store.put(&key, block, "").await.unwrap();
    assert_eq!(clear(&store).await, Ok(Vec::new()));
    assert_eq!(media(&store, &layout, "720p"), 4);
    assert_eq!(finish(&store, &layout, as_owner(4)).await, Ok(Finished::Nothing));
    assert_eq!(clear(&store).await, Ok(Vec::new()), "the hours are counted anew");
    tokio::time::sleep(3 * HOUR).await;
    assert_eq!(clear(&store).await, Ok(vec![layout]));
    assert_eq!(store.keys(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_is_old_enough_waits_for_those_who_are_behind_its_end() {
    let store = MemoryStore::new();
    let layout = ended(&store, 1, Some(vec!["720p".parse().unwrap()])).await;
    let minute = |_: &headwater_media::StreamId| Some(Duration::from_secs(60));
    let later = UnixMillis(BEGIN.0 + 30 * DAY.as_millis() as u64);
    assert_eq!(expire(&store, minute, later).await.unwrap(), []);
    tokio::time::sleep(3 * HOUR).await;
    clear(&store).await.unwrap();
    assert_eq!(expire(&store, minute, later).await.unwrap(), [layout]);
    assert_eq!(store.keys(), [""; 0]);
}
