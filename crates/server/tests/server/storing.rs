//! Media that a server stores of a broadcast.

use std::sync::Arc;
use std::time::Duration;

use headwater_platform::store::testing::MemoryStore;
use headwater_recordings::{Layout, State, describe};
use headwater_runtime::config::Size;

use crate::support::{Source, TestServer, eventually};

#[tokio::test]
async fn a_server_records_into_the_store_that_it_was_handed() {
    let store = MemoryStore::new();
    let server = TestServer::with_store(Arc::new(store.clone()), |config| {
        config.server.reconnect_window = Duration::ZERO;
        config.recording.spool_size = Size(0);
    });
    let server = server.await;
    let mut source = Source::publish(&server, "demo").await;
    source.period().await;
    source.keyframes(2).await;
    let broadcast = headwater_wire::broadcast_id(&source.accepted.broadcast).unwrap();
    let layout = Layout { stream: "demo".parse().unwrap(), broadcast };
    source.end().await;
    let recording = eventually("the recording is complete", async || {
        describe(&store, &layout).await.unwrap().filter(|recording| recording.state == State::Complete)
    });
    assert_eq!(recording.await.renditions.len(), 2);
}
