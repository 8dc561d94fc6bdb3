//! Broadcasts that nothing but the store knows of: each server here has a registry of its own, as `headwater up` has one each
//! time that it is started.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use headwater_media::{BroadcastId, MediaSequence};
use headwater_platform::store::{DirectoryStore, ObjectStore};
use headwater_recordings::{Layout, Recording};
use headwater_runtime::config::StoreUrl;
use headwater_wire::v2::failure::Code;

use crate::support::{Source, TestServer, Watcher, eventually};

/// A directory for recordings.
struct Store(PathBuf);

impl Store {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("headwater-taking-over-{}", uuid::Uuid::now_v7())))
    }

    /// A server that knows of broadcasts by this directory only.
    async fn server(&self) -> TestServer {
        TestServer::with(|config| {
            config.store.url = StoreUrl::Directory(self.0.clone());
            config.recording.spool_size.0 = 0;
        })
        .await
    }

    /// The numbers that a broadcast's journal names.
    async fn recorded(&self, broadcast: &[u8]) -> Vec<u64> {
        let store: Arc<dyn ObjectStore> = Arc::new(DirectoryStore::open(self.0.clone()).await.unwrap());
        let broadcast = BroadcastId::from_bytes(broadcast.try_into().unwrap());
        let layout = Layout { stream: "demo".parse().unwrap(), broadcast };
        let recording = Recording::load(store.as_ref(), &layout).await.unwrap().unwrap();
        let there =
            recording.archive.segments().filter(|s| s.pieces.iter().all(|piece| piece.size.is_some()));
        there.map(|segment| segment.sequence.0).collect()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A publisher with so many segments on air, and the number of the next one.
async fn on_air(server: &TestServer, segments: u64) -> (Source, u64) {
    let mut source = Source::publish(server, "demo").await;
    source.period().await;
    source.keyframes(segments).await;
    let mut next = 0;
    for _ in 0..segments {
        next = source.committed().await.next_sequence;
    }
    (source, next)
}

#[tokio::test]
async fn a_broadcast_goes_on_by_its_journal_when_no_registry_knows_it() {
    let store = Store::new();
    let before = store.server().await;
    let (lost, next) = on_air(&before, 3).await;
    let begun = lost.accepted.clone();
    lost.break_off();
    let after = store.server().await;
    let (mut source, _) = on_air(&after, 2).await;
    let point = source.accepted.clone();
    assert_eq!(point.broadcast, begun.broadcast);
    assert!(
        source.epoch > before.owner("demo").await.unwrap().epoch,
        "whoever has it last has the newest epoch"
    );
    let watcher = Watcher::join(&after, "demo").await;
    let first = watcher.opening.first_sequence;
    assert!((MediaSequence(next + 1)..MediaSequence(next + 10)).contains(&first), "{first} after {next}");
    let named = store.recorded(&begun.broadcast).await;
    let both: Vec<_> = (next - 3..next).chain(first.0..first.0 + 2).collect();
    assert_eq!(named, both, "one recording has it all");
    // The server before turns out to live, and its publisher comes back to it.
    let mut late = Source::publish(&before, "demo").await;
    assert_eq!(late.accepted.broadcast, begun.broadcast);
    late.period().await;
    assert_eq!(late.until_sent_away().await.code(), Code::Fenced);
    eventually("the registry of the server before has nothing to go on with", async || {
        before.owner("demo").await.is_none().then_some(())
    })
    .await;
    source.keyframes(1).await;
    source.committed().await;
    assert_eq!(store.recorded(&begun.broadcast).await.len(), both.len() + 1);
}

#[tokio::test]
async fn a_broadcast_that_another_server_still_writes_stays_there() {
    let store = Store::new();
    let one = store.server().await;
    let (mut source, _) = on_air(&one, 1).await;
    let begun = source.accepted.broadcast.clone();
    let publishing = tokio::spawn(async move {
        while source.keyframe().await {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    });
    let other = store.server().await;
    let second = Source::publish(&other, "demo").await;
    assert_ne!(second.accepted.broadcast, begun);
    assert!(!publishing.is_finished());
    assert_eq!(one.broadcast("demo").await.unwrap().broadcast, begun);
    publishing.abort();
}

#[tokio::test]
async fn one_of_two_servers_goes_on_with_it() {
    let store = Store::new();
    let before = store.server().await;
    let (lost, _) = on_air(&before, 2).await;
    let begun = lost.accepted.broadcast.clone();
    lost.break_off();
    let one = store.server().await;
    let other = store.server().await;
    let (one, other) = tokio::join!(Source::publish(&one, "demo"), Source::publish(&other, "demo"));
    let goes_on = [&one, &other].map(|source| source.accepted.broadcast == begun);
    assert!(goes_on[0] != goes_on[1], "{goes_on:?}");
}
