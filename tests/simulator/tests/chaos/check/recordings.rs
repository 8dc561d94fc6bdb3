//! Recordings in the store, against what viewers were shown.

use std::collections::BTreeSet;
use std::pin::pin;

use bytes::Bytes;
use futures::FutureExt as _;
use headwater_media::BroadcastId;
use headwater_platform::store::testing::MemoryStore;
use headwater_platform::store::{Key, ObjectStore, StoreError};
use headwater_recordings::{State, Summary};

use super::Checker;

const ENDED: &str = "a recording that is on air is ended by nobody (5.8)";
const WHOLE: &str = "a recording holds every segment that viewers were shown whole (6)";
/// Recordings of a stream that are looked at.
const MAX_RECORDINGS: usize = 100;
/// Requests that are made side by side wake each other.
const MAX_POLLS: usize = 1_000;

/// Checks that no recording of these streams has an end yet.
pub fn check_live(store: &MemoryStore, streams: &[&'static str], checker: &Checker) {
    for summary in streams.iter().flat_map(|stream| recordings(store, stream)) {
        if summary.state != State::Live {
            checker.fail(ENDED, &format!("{summary:?}"));
        }
    }
}

/// Checks that all recordings are finished, and hold what viewers were shown.
pub fn check_whole(store: &MemoryStore, checker: &Checker) {
    let mut missing: BTreeSet<(BroadcastId, u64)> = BTreeSet::new();
    for (seat, shown) in checker.seats() {
        for (broadcast, sequence, bytes) in shown.whole_segments() {
            if !segments(store, seat.stream, broadcast, sequence).any(|stored| stored == bytes) {
                missing.insert((broadcast, sequence));
            }
        }
        for summary in recordings(store, seat.stream) {
            if summary.state != State::Complete {
                checker.fail(WHOLE, &format!("it is not complete: {summary:?}"));
            }
        }
    }
    if !missing.is_empty() {
        checker.fail(WHOLE, &format!("not stored: {missing:?}"));
    }
}

fn recordings(store: &MemoryStore, stream: &str) -> Vec<Summary> {
    let stream = stream.parse().expect("a stream's name");
    at_once(headwater_recordings::list(store, &stream, None, MAX_RECORDINGS))
        .map_or(Vec::new(), |found| found.0)
}

/// Stored segments of this number, one for each rendition.
fn segments(
    store: &MemoryStore,
    stream: &str,
    broadcast: BroadcastId,
    sequence: u64,
) -> impl Iterator<Item = Bytes> {
    let below = format!("{stream}/{broadcast}/");
    let name = format!("/{sequence}.m4s");
    let keys = store.keys().into_iter().filter(move |key| key.starts_with(&below) && key.ends_with(&name));
    keys.filter_map(|key| at_once(store.get(&Key::new(key).ok()?)).ok())
}

/// The store's own contents are there without waiting.
fn at_once<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let mut answer = pin!(answer);
    let mut polls = (0..MAX_POLLS).map(|_| answer.as_mut().now_or_never());
    polls.find_map(|answer| answer).expect("the store in memory waits for nothing")
}
