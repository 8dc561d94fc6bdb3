//! Recordings: listed, described and deleted.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use headwater_control::RecordingCache;
use headwater_directory::Scope;
use headwater_media::{BroadcastId, UnixMillis};
use headwater_platform::store::testing::{Fault, MemoryStore};
use headwater_platform::store::{Key, ObjectStore as _};
use headwater_recordings::{Layout, State, Summary};
use http::StatusCode;
use serde_json::{Value, json};

use crate::api::Api;

const RECORDINGS: &str = "/streams/demo/recordings";

/// Recordings that a cache was told to forget.
#[derive(Clone, Default)]
struct Forgotten(Arc<Mutex<Vec<Layout>>>);

#[async_trait]
impl RecordingCache for Forgotten {
    async fn forget(&self, layout: &Layout) {
        self.0.lock().unwrap().push(layout.clone());
    }
}

/// Store of recordings, and the API over it.
async fn start() -> (MemoryStore, Forgotten, Api) {
    let store = MemoryStore::new();
    let forgotten = Forgotten::default();
    let api = Api::start_with(|control| {
        control.store = Some(Arc::new(store.clone()));
        control.cache = Arc::new(forgotten.clone());
    });
    (store.clone(), forgotten.clone(), api.await)
}

/// Makes a recording that began at this second.
async fn record(store: &MemoryStore, second: u64, state: State) -> Layout {
    let broadcast = BroadcastId::new(UnixMillis(second * 1_000), &[7; 10]);
    let layout = Layout { stream: "demo".parse().unwrap(), broadcast };
    let summary = Summary { state, bytes: 9, ..Summary::begun(&layout.stream, layout.broadcast) };
    put(store, &layout.summary(), &summary.encode()).await;
    put(store, &layout.multivariant(), b"#EXTM3U").await;
    if state == State::Live {
        put(store, &layout.marker(), b"").await;
    }
    layout
}

async fn put(store: &MemoryStore, key: &Key, body: &[u8]) {
    store.put(key, body.to_vec().into(), "text/plain").await.unwrap();
}

fn path_of(layout: &Layout) -> String {
    format!("{RECORDINGS}/{}", layout.broadcast)
}

fn starts(page: &Value) -> Vec<&str> {
    let list = page["recordings"].as_array().unwrap().iter();
    list.map(|recording| recording["start"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn recordings_are_listed_in_pages_newest_first() {
    let (store, _, api) = start().await;
    for second in [1_000, 2_000, 3_000] {
        record(&store, second, State::Complete).await;
    }
    let first = api.get(&format!("{RECORDINGS}?limit=2")).await;
    assert_eq!(starts(&first.body), ["1970-01-01T00:50:00.000Z", "1970-01-01T00:33:20.000Z"]);
    let next = first.body["next"].as_str().unwrap();
    let second = api.get(&format!("{RECORDINGS}?%6cimit=2&before={next}")).await;
    assert_eq!((starts(&second.body).len(), &second.body["next"]), (1, &Value::Null));
    let id = second.body["recordings"][0]["broadcast"].as_str().unwrap();
    let expected = format!("https://cdn.example/demo/vod-{id}.mp4");
    assert_eq!(second.body["recordings"][0]["mp4"], expected);
    assert_eq!(api.get("/streams/other/recordings").await.body["recordings"], json!([]));
}

#[tokio::test]
async fn a_recording_is_deleted_once_its_broadcast_has_ended() {
    let (store, forgotten, api) = start().await;
    let live = record(&store, 2_000, State::Live).await;
    let old = record(&store, 1_000, State::Complete).await;
    assert_eq!(api.get(&path_of(&old)).await.body["state"], "complete");
    let refused = api.ask("DELETE", &path_of(&live), "").await;
    assert_eq!((refused.status, refused.problem()), (StatusCode::CONFLICT, "live"));
    for _ in 0..2 {
        assert_eq!(api.ask("DELETE", &path_of(&old), "").await.status, StatusCode::NO_CONTENT);
    }
    assert_eq!(api.get(&path_of(&old)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(*forgotten.0.lock().unwrap(), [live.clone(), old.clone(), old.clone()]);
    assert!(store.keys().iter().all(|key| !key.contains(&old.broadcast.to_string())));
    assert_eq!(api.get(&path_of(&live)).await.status, StatusCode::OK);
    let audit = api.audit();
    assert!(audit.len() == 1 && audit[0].contains("recording.deleted") && audit[0].contains("token=root"));
}

#[tokio::test]
async fn a_recording_is_safe_from_callers_without_the_right() {
    let (store, _, api) = start().await;
    let old = record(&store, 1_000, State::Complete).await;
    for method in ["GET", "DELETE"] {
        let refused = api.ask_as("wrong", method, &path_of(&old), "").await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    }
    let reader = api.token(&[Scope::RecordingsRead]).await;
    assert_eq!(api.ask_as(&reader, "DELETE", &path_of(&old), "").await.status, StatusCode::FORBIDDEN);
    assert_eq!(api.ask_as(&reader, "GET", &path_of(&old), "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn faults_of_a_request_are_named() {
    let (store, _, api) = start().await;
    for query in ["limit=0", "page=2", "before=yesterday"] {
        let refused = api.get(&format!("{RECORDINGS}?{query}")).await;
        assert_eq!((refused.status, refused.problem()), (StatusCode::BAD_REQUEST, "query"), "{query}");
    }
    assert_eq!(api.get("/streams/demo/nothing").await.problem(), "no-route");
    assert_eq!(api.ask("POST", RECORDINGS, "").await.status, StatusCode::METHOD_NOT_ALLOWED);
    store.set(Fault::Away);
    let away = api.get(RECORDINGS).await;
    assert_eq!((away.status, &away.body["status"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(503)));
}

#[tokio::test]
async fn a_recording_has_what_the_description_says() {
    let (store, _, api) = start().await;
    let old = record(&store, 1_000, State::Complete).await;
    let recording = api.get(&path_of(&old)).await.body;
    let document = api.get("/openapi.json").await.body;
    let described = document["components"]["schemas"]["Recording"]["properties"].as_object().unwrap();
    assert!(recording.as_object().unwrap().keys().eq(described.keys()), "{recording}");
}
