use std::sync::Mutex;

use headwater_media::UnixMillis;
use headwater_platform::store::testing::{Fault, MemoryStore};
use headwater_platform::store::{Key, ObjectStore as _};
use headwater_recordings::State as Condition;
use headwater_runtime::config::{File, Service, load};
use http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;

pub(super) const TOKEN: &str = "0123456789abcdef-token";

pub(super) fn token() -> Secret {
    let text = format!("control.token = \"{TOKEN}\"");
    let file = File { path: "test.toml", text: &text };
    load(Service::AllInOne, Some(file), []).unwrap().config.control.token.unwrap()
}

/// Recordings that a cache was told to forget.
#[derive(Default)]
struct Forgotten(Mutex<Vec<Layout>>);

#[async_trait]
impl RecordingCache for Forgotten {
    async fn forget(&self, layout: &Layout) {
        self.0.lock().unwrap().push(layout.clone());
    }
}

struct TestApi {
    store: MemoryStore,
    forgotten: Arc<Forgotten>,
    router: Router,
}

impl TestApi {
    fn new() -> Self {
        let store = MemoryStore::new();
        let forgotten = Arc::new(Forgotten::default());
        let control = Control {
            store: Some(Arc::new(store.clone())),
            cache: forgotten.clone(),
            token: Some(token()),
            public_url: "https://cdn.example".into(),
        };
        Self { store, forgotten, router: router(Arc::new(control)) }
    }

    /// Makes a recording that began at this second.
    async fn record(&self, second: u64, state: Condition) -> Layout {
        let layout = Layout {
            stream: "demo".parse().unwrap(),
            broadcast: BroadcastId::new(UnixMillis(second * 1_000), &[7; 10]),
        };
        let summary = Summary { state, bytes: 9, ..Summary::begun(&layout.stream, layout.broadcast) };
        self.put(&layout.summary(), &summary.encode()).await;
        self.put(&layout.multivariant(), b"#EXTM3U").await;
        if state == Condition::Live {
            self.put(&layout.marker(), b"").await;
        }
        layout
    }

    async fn put(&self, key: &Key, body: &[u8]) {
        self.store.put(key, body.to_vec().into(), "text/plain").await.unwrap();
    }

    async fn ask(&self, method: Method, path: &str, token: &str) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        let request = request.header("authorization", format!("Bearer {token}"));
        let response = self.router.clone().oneshot(request.body(axum::body::Body::empty()).unwrap());
        let response = response.await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.ask(Method::GET, path, TOKEN).await
    }
}

#[tokio::test]
async fn recordings_are_listed_in_pages_newest_first() {
    let api = TestApi::new();
    for second in [1_000, 2_000, 3_000] {
        api.record(second, Condition::Complete).await;
    }
    let (status, first) = api.get("/streams/demo/recordings?limit=2").await;
    assert_eq!(status, StatusCode::OK);
    let starts = |page: &Value| -> Vec<String> {
        let list = page["recordings"].as_array().unwrap().iter();
        list.map(|recording| recording["start"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(starts(&first), ["1970-01-01T00:50:00.000Z", "1970-01-01T00:33:20.000Z"]);
    let next = first["next"].as_str().unwrap();
    let (_, second) = api.get(&format!("/streams/demo/recordings?limit=2&before={next}")).await;
    assert_eq!((starts(&second).len(), &second["next"]), (1, &Value::Null));
    let id = second["recordings"][0]["broadcast"].as_str().unwrap();
    assert_eq!(second["recordings"][0]["mp4"], format!("https://cdn.example/demo/vod-{id}.mp4"));
    assert_eq!(api.get("/streams/other/recordings").await.1["recordings"], json!([]));
}

#[tokio::test]
async fn a_recording_is_deleted_once_its_broadcast_has_ended() {
    let api = TestApi::new();
    let live = api.record(2_000, Condition::Live).await;
    let old = api.record(1_000, Condition::Complete).await;
    let path = |layout: &Layout| format!("/streams/demo/recordings/{}", layout.broadcast);
    assert_eq!(api.get(&path(&old)).await.1["state"], "complete");
    let (status, problem) = api.ask(Method::DELETE, &path(&live), TOKEN).await;
    assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &json!("urn:headwater:problem:live")));
    for _ in 0..2 {
        assert_eq!(api.ask(Method::DELETE, &path(&old), TOKEN).await.0, StatusCode::NO_CONTENT);
    }
    assert_eq!(api.get(&path(&old)).await.0, StatusCode::NOT_FOUND);
    assert_eq!(*api.forgotten.0.lock().unwrap(), [live.clone(), old.clone(), old.clone()]);
    assert!(api.store.keys().iter().all(|key| !key.contains(&old.broadcast.to_string())));
    assert_eq!(api.get(&path(&live)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn nobody_without_the_token_gets_anything() {
    let api = TestApi::new();
    let old = api.record(1_000, Condition::Complete).await;
    let path = format!("/streams/demo/recordings/{}", old.broadcast);
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(api.ask(method, &path, "wrong").await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(api.get(&path).await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let api = TestApi::new();
    assert_eq!(api.get("/streams/demo/recordings?limit=0").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(api.get("/streams/demo/recordings?page=2").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(api.get("/streams/demo").await.0, StatusCode::NOT_FOUND);
    assert_eq!(
        api.ask(Method::POST, "/streams/demo/recordings", TOKEN).await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
    api.store.set(Fault::Away);
    let (status, problem) = api.get("/streams/demo/recordings").await;
    assert_eq!((status, &problem["status"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(503)));
}

/// The document names every path and method of the router, and what a recording has.
#[tokio::test]
async fn the_description_is_true() {
    let api = TestApi::new();
    let old = api.record(1_000, Condition::Complete).await;
    let (status, document) = api.ask(Method::GET, "/openapi.json", "none").await;
    assert_eq!(status, StatusCode::OK);
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace("{stream}", "demo").replace("{broadcast}", &old.broadcast.to_string());
        let path = path.strip_prefix("/api/v1").unwrap();
        for method in ["get", "delete", "put", "post"] {
            let asked = api.ask(method.to_uppercase().parse().unwrap(), path, TOKEN).await.0;
            let is_described = methods.get(method).is_some();
            assert_eq!(asked != StatusCode::METHOD_NOT_ALLOWED, is_described, "{method} {path}");
        }
        api.record(1_000, Condition::Complete).await;
    }
    let (_, recording) = api.get(&format!("/streams/demo/recordings/{}", old.broadcast)).await;
    let described = document["components"]["schemas"]["Recording"]["properties"].as_object().unwrap();
    assert!(recording.as_object().unwrap().keys().eq(described.keys()), "{recording}");
}
