//! Recordings whose owner can't be found, and servers that look after them.

use headwater_media::StreamId;
use tokio::time::sleep;

use super::*;
use crate::recording::orphans::Orphans;

const MINUTE: Duration = Duration::from_secs(60);

/// A server without a broadcast, whose registry knows of nobody: it is another one, empty, or was told nothing.
struct Other {
    task: JoinHandle<()>,
}

impl Other {
    /// Server that reaches the store like this.
    fn start(store: &MemoryStore) -> Self {
        let mut orphans = Orphans::new(Arc::new(store.clone()));
        let look = async move {
            loop {
                let window = |_: &StreamId| policy().reconnect_window;
                let next = orphans.look(|_| std::future::ready(false), window).await;
                sleep(next.unwrap_or(Duration::from_secs(10))).await;
            }
        };
        Self { task: tokio::spawn(look) }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn state(store: &MemoryStore) -> State {
    describe(store, &layout()).await.unwrap().unwrap().state
}

async fn finished(store: &MemoryStore) -> Duration {
    let began = Instant::now();
    while is_live(store, &layout()).await.unwrap() {
        assert!(began.elapsed() < 10 * MINUTE, "nobody finishes it");
        sleep(Duration::from_secs(1)).await;
    }
    began.elapsed()
}

/// Its server is cut off from the registry, or has one of its own.
#[tokio::test(start_paused = true)]
async fn a_broadcast_on_air_that_no_registry_knows_keeps_its_recording() {
    let store = MemoryStore::new();
    let _other = Other::start(&store);
    let mut on_air = OnAir::begin(&store, &policy()).await;
    on_air.period(0, first());
    on_air.segments(100).await;
    sleep(MINUTE).await;
    on_air.segments(10).await;
    assert_eq!((state(&store).await, is_live(&store, &layout()).await), (State::Live, Ok(true)));
    on_air.end().await;
    is_complete(&store, 110).await;
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_is_connected_and_silent_keeps_its_recording() {
    let store = MemoryStore::new();
    let _other = Other::start(&store);
    let mut on_air = OnAir::begin(&store, &policy()).await;
    sleep(10 * MINUTE).await;
    assert_eq!(state(&store).await, State::Live, "before its first segment");
    on_air.period(0, first());
    on_air.segments(5).await;
    sleep(10 * MINUTE).await;
    assert_eq!((state(&store).await, is_live(&store, &layout()).await), (State::Live, Ok(true)));
    let marks = store.written().iter().filter(|key| key.starts_with(".live")).count();
    assert!(marks <= 42, "{marks} marks");
    on_air.end().await;
    is_complete(&store, 5).await;
}

#[tokio::test(start_paused = true)]
async fn a_recording_whose_owner_is_dead_is_finished_when_it_could_not_have_been_silent_for_so_long() {
    let store = MemoryStore::new();
    let mut on_air = OnAir::begin(&store, &policy()).await;
    on_air.period(0, first());
    on_air.segments(5).await;
    on_air.keeper.abort();
    let _other = Other::start(&store);
    let took = finished(&store).await;
    assert!((90..=130).contains(&took.as_secs()), "{took:?}");
    assert_eq!(state(&store).await, State::Interrupted);
    assert_eq!(there(&recorded(&store).await), all(5));
}

#[tokio::test(start_paused = true)]
async fn while_the_store_answers_nobody_nothing_is_dead() {
    let store = MemoryStore::new();
    let mut on_air = OnAir::begin(&store, &policy()).await;
    let elsewhere = store.from_elsewhere();
    let _other = Other::start(&elsewhere);
    on_air.period(0, first());
    on_air.segments(5).await;
    for _ in 0..5 {
        // The owner finds out last that the store is back.
        store.set(Fault::Away);
        elsewhere.set(Fault::Away);
        sleep(2 * MINUTE).await;
        elsewhere.set(Fault::None);
        sleep(MINUTE / 2).await;
        store.set(Fault::None);
        on_air.segments(10).await;
        assert_eq!(state(&store).await, State::Live);
    }
    on_air.end().await;
    is_complete(&store, 55).await;
}

/// Cut off from the registry and from the store, and on air all the same: within a block of its journal, and between two.
#[tokio::test(start_paused = true)]
async fn an_owner_that_was_taken_for_dead_takes_its_recording_back() {
    for before in [60, 70] {
        let store = MemoryStore::new();
        let mut on_air = OnAir::begin(&store, &policy()).await;
        let elsewhere = store.from_elsewhere();
        let _other = Other::start(&elsewhere);
        on_air.period(0, first());
        on_air.segments(before).await;
        store.set(Fault::Away);
        on_air.segments(150).await;
        assert_eq!(
            (state(&elsewhere).await, is_live(&elsewhere, &layout()).await),
            (State::Interrupted, Ok(false))
        );
        store.set(Fault::None);
        on_air.segments(10).await;
        assert_eq!((state(&elsewhere).await, is_live(&elsewhere, &layout()).await), (State::Live, Ok(true)));
        let playlist = store.get(&layout().media_playlist(&"720p".parse().unwrap())).await.unwrap();
        assert!(!String::from_utf8(playlist.to_vec()).unwrap().contains("ENDLIST"));
        on_air.end().await;
        is_complete(&store, before + 160).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_cannot_be_read_keeps_nobody_from_finishing_others() {
    let store = MemoryStore::new();
    let mut on_air = OnAir::begin(&store, &policy()).await;
    on_air.period(0, first());
    on_air.segments(5).await;
    on_air.keeper.abort();
    let broadcast = BroadcastId::new(UnixMillis(1_700_000_000_000), &[2; 10]);
    let refused = Layout { broadcast, ..layout() };
    store.put(&refused.marker(), Bytes::new(), "").await.unwrap();
    store.refuse(refused.marker());
    let _other = Other::start(&store);
    let took = finished(&store).await;
    assert!((90..=130).contains(&took.as_secs()), "{took:?}");
    assert_eq!(there(&recorded(&store).await), all(5));
    assert!(store.keys().contains(&refused.marker().to_string()));
}
