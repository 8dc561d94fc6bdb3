//! Streams on air, at servers that only have `Operator`.

use std::sync::Arc;

use headwater_control::KnownServers;
use headwater_directory::{InputSettings, Scope};
use headwater_media::{BroadcastId, UnixMillis};
use headwater_registry::{MemoryRegistry, OriginId, Registry, ServerRecord, ViewerReport};
use headwater_runtime::clock;
use headwater_wire::broadcast_bytes;
use headwater_wire::v2::disconnect_response::Disconnected;
use headwater_wire::v2::operator_server::{Operator, OperatorServer};
use headwater_wire::v2::publish_request::Facts;
use headwater_wire::v2::publish_response::{Stats, stats};
use headwater_wire::v2::{self, broadcast};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::api::Api;

/// Servers that the API knows while the registry does not answer.
pub struct Known(pub Vec<String>);

impl KnownServers for Known {
    fn addresses(&self) -> Vec<String> {
        self.0.clone()
    }
}

/// Server that has these streams on air.
struct Server {
    address: String,
    disconnects: mpsc::UnboundedReceiver<v2::DisconnectRequest>,
}

struct Stub {
    streams: Vec<&'static str>,
    epoch: u64,
    is_confirming: bool,
    disconnects: mpsc::UnboundedSender<v2::DisconnectRequest>,
}

impl Server {
    async fn start(streams: &[&'static str], epoch: u64) -> Self {
        Self::start_with(streams, epoch, true).await
    }

    async fn start_with(streams: &[&'static str], epoch: u64, is_confirming: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, disconnects) = mpsc::unbounded_channel();
        let stub = Stub { streams: streams.to_vec(), epoch, is_confirming, disconnects: sender };
        let served =
            headwater_wire::http2::server(&Default::default()).add_service(OperatorServer::new(stub));
        tokio::spawn(served.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { address, disconnects }
    }

    async fn register(&self, api: &Api, name: &str) {
        register(&api.registry, name, &self.address).await;
    }
}

async fn register(registry: &MemoryRegistry, name: &str, address: &str) {
    let record = ServerRecord {
        id: name.parse().unwrap(),
        address: address.into(),
        capacity_millicores: 2_000,
        used_millicores: 0,
        broadcasts: 0,
        draining: false,
        version: "0.2.0".into(),
    };
    registry.register_server(&record).await.unwrap();
}

impl Stub {
    fn broadcast(&self, stream: &str) -> v2::Broadcast {
        let facts = Facts {
            connected_unix_ms: 1_800_000_000_000,
            address: "192.0.2.7".into(),
            protocol: "rtmps".into(),
            encoder: Some("obs-output module".into()),
            frame_rate: Some(30.0),
            video_bitrate: None,
        };
        v2::Broadcast {
            stream: stream.into(),
            broadcast: broadcast_bytes(BroadcastId::new(UnixMillis(1_800_000_000_000), &[1; 10])),
            epoch: self.epoch,
            publishing: true,
            next_media_sequence: 1,
            publisher: Some(broadcast::Publisher { facts: Some(facts), proxy: "192.0.2.9".into() }),
            health: Some(sample()),
            silent_ms: 500,
            settings: Some(v2::SegmentSettings { segment_ms: 2_000, part_ms: 334 }),
            top_bitrate: 2_800_000,
        }
    }
}

fn sample() -> v2::HealthSample {
    let video = stats::Video {
        codecs: "avc1.64001f".into(),
        width: 1280,
        height: 720,
        bitrate: 4_500_000,
        frame_rate: 29.97,
        keyframe_interval_ms: Some(8_340),
    };
    let source = stats::Source { video: Some(video), audio: None };
    let stats = Some(Stats { source: Some(source), encoder: None });
    v2::HealthSample { unix_ms: 1_800_000_010_000, stats, frames_dropped: 3 }
}

#[tonic::async_trait]
impl Operator for Stub {
    async fn status(&self, _: Request<v2::StatusRequest>) -> Result<Response<v2::StatusResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn drain(&self, _: Request<v2::DrainRequest>) -> Result<Response<v2::DrainResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_broadcasts(
        &self,
        _: Request<v2::ListBroadcastsRequest>,
    ) -> Result<Response<v2::ListBroadcastsResponse>, Status> {
        let broadcasts = self.streams.iter().map(|stream| self.broadcast(stream)).collect();
        Ok(Response::new(v2::ListBroadcastsResponse { broadcasts }))
    }

    async fn describe_broadcast(
        &self,
        call: Request<v2::DescribeBroadcastRequest>,
    ) -> Result<Response<v2::DescribeBroadcastResponse>, Status> {
        let stream = &call.get_ref().stream;
        let known = self.streams.iter().find(|known| *known == stream).ok_or(Status::not_found(""))?;
        let broadcast = Some(self.broadcast(known));
        Ok(Response::new(v2::DescribeBroadcastResponse { broadcast, history: vec![sample(), sample()] }))
    }

    async fn disconnect(
        &self,
        call: Request<v2::DisconnectRequest>,
    ) -> Result<Response<v2::DisconnectResponse>, Status> {
        self.disconnects.send(call.into_inner()).unwrap();
        let disconnected = Some(Disconnected { proxy: "192.0.2.9".into(), confirmed: self.is_confirming });
        Ok(Response::new(v2::DisconnectResponse { disconnected }))
    }
}

fn names(page: &Value) -> Vec<&str> {
    page["streams"].as_array().unwrap().iter().map(|stream| stream["uid"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_stream_is_described_with_its_publisher_its_health_and_what_to_change() {
    let api = Api::start().await;
    let server = Server::start(&["demo"], 7).await;
    server.register(&api, "one").await;
    let streams = vec![("demo".parse().unwrap(), 12)];
    let report = ViewerReport { origin: OriginId(1), streams, is_cut: false };
    let unknown = api.get("/streams/demo").await;
    assert_eq!(unknown.body["viewersAtOrigins"], Value::Null, "no origin has reported");
    api.registry.report_viewers(&report).await.unwrap();
    let found = api.get("/streams/demo").await;
    assert_eq!(found.status, StatusCode::OK);
    let sample = json!({
        "time": "2027-01-15T08:00:10.000Z",
        "video": {
            "codecs": "avc1.64001f", "width": 1280, "height": 720, "bitrate": 4_500_000, "frameRate": 29.97,
            "keyframeIntervalSeconds": 8.34,
        },
        "audio": null, "framesDropped": 3, "encoder": null,
    });
    let expected = json!({
        "uid": "demo",
        "broadcast": BroadcastId::new(UnixMillis(1_800_000_000_000), &[1; 10]).to_string(),
        "state": "live", "since": "2027-01-15T08:00:00.000Z", "server": server.address,
        "publisher": {
            "since": "2027-01-15T08:00:00.000Z", "address": "192.0.2.7", "protocol": "rtmps",
            "encoder": "obs-output module", "proxy": "192.0.2.9",
        },
        "health": sample,
        "warnings": [{"code": "keyframeInterval", "text": "keyframe every 8.3 s: set 2 s in your encoder"}],
        "viewersAtOrigins": 12,
    });
    assert_eq!(found.body, expected);
    let health = api.get("/streams/demo/health").await;
    assert_eq!((&health.body["uid"], &health.body["intervalSeconds"]), (&json!("demo"), &json!(10)));
    assert_eq!(health.body["samples"], json!([sample, sample]));
    assert_eq!(health.body["warnings"], expected["warnings"]);
}

#[tokio::test]
async fn streams_of_all_servers_are_listed_in_pages_and_each_once() {
    let api = Api::start().await;
    let old = Server::start(&["a", "c"], 7).await;
    let new = Server::start(&["b", "c", "d"], 8).await;
    old.register(&api, "old").await;
    new.register(&api, "new").await;
    let all = api.get("/streams").await;
    assert_eq!(names(&all.body), ["a", "b", "c", "d"]);
    assert_eq!(all.body["streams"][2]["server"], json!(new.address), "the newer epoch counts");
    let page = api.get("/streams?limit=3").await;
    assert_eq!((names(&page.body), &page.body["next"]), (vec!["a", "b", "c"], &json!("c")));
    let rest = api.get("/streams?limit=3&after=c").await;
    assert_eq!((names(&rest.body), &rest.body["next"]), (vec!["d"], &Value::Null));
}

#[tokio::test]
async fn a_server_that_does_not_answer_makes_absence_unknown() {
    let api = Api::start().await;
    let off = api.get("/streams/demo").await;
    assert_eq!((off.status, off.problem()), (StatusCode::NOT_FOUND, "off-air"));
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    register(&api.registry, "gone", &gone).await;
    let unknown = api.get("/streams/demo").await;
    assert_eq!((unknown.status, unknown.problem()), (StatusCode::SERVICE_UNAVAILABLE, "servers-away"));
    assert_eq!(api.get("/streams").await.body["serversNotHeard"], json!([gone]));
}

#[tokio::test]
async fn servers_that_are_known_are_asked_too() {
    let server = Server::start(&["demo"], 7).await;
    let known = Known(vec![server.address.clone()]);
    let api = Api::start_with(|control| control.servers = Arc::new(known)).await;
    assert_eq!(api.get("/streams/demo").await.status, StatusCode::OK);
    assert_eq!(names(&api.get("/streams").await.body), ["demo"]);
}

#[tokio::test]
async fn a_publisher_is_disconnected_for_a_reason_and_that_is_audited() {
    let api = Api::start().await;
    let mut server = Server::start(&["demo"], 7).await;
    server.register(&api, "one").await;
    let ended = api.ask("POST", "/streams/demo/disconnect", r#"{"reason": "the show is over"}"#).await;
    assert_eq!(ended.status, StatusCode::OK);
    assert_eq!(ended.body, json!({"proxiesNotConfirmed": [], "serversNotHeard": []}));
    let told = server.disconnects.recv().await.unwrap();
    assert_eq!(
        (told.stream.as_str(), told.reason.as_str(), told.blocked),
        ("demo", "the show is over", false)
    );
    assert!(api.audit()[0].contains("stream.disconnected"), "{:?}", api.audit());
    let off = api.ask("POST", "/streams/other/disconnect", "").await;
    assert_eq!((off.status, off.problem()), (StatusCode::NOT_FOUND, "off-air"));
    let long = format!(r#"{{"reason": "{}"}}"#, "a".repeat(201));
    let refused = api.ask("POST", "/streams/demo/disconnect", &long).await;
    assert_eq!((refused.status, refused.pointers()), (StatusCode::UNPROCESSABLE_ENTITY, vec!["/reason"]));
}

#[tokio::test]
async fn a_proxy_that_has_not_confirmed_is_named() {
    let api = Api::start().await;
    let server = Server::start_with(&["demo"], 7, false).await;
    server.register(&api, "one").await;
    let told = api.ask("POST", "/streams/demo/disconnect", "").await;
    assert_eq!(told.status, StatusCode::ACCEPTED);
    assert_eq!(told.body["proxiesNotConfirmed"], json!(["192.0.2.9"]));
}

#[tokio::test]
async fn a_block_is_kept_and_told_until_it_is_lifted() {
    let api = Api::start().await;
    let input = api.directory.create_input(None, InputSettings::default(), clock::now()).await.unwrap();
    let path = format!("/streams/{}", input.uid);
    let blocked = api.ask("POST", &format!("{path}/block"), r#"{"reason": "a claim"}"#).await;
    assert_eq!((blocked.status, &blocked.body["blocked"]["reason"]), (StatusCode::OK, &json!("a claim")));
    assert_eq!(api.directory.read_input(&input.uid).await.unwrap().blocked.unwrap().reason, "a claim");
    let shown = api.get(&format!("/live-inputs/{}", input.uid)).await;
    assert_eq!(shown.body["blocked"]["reason"], "a claim");
    let free = api.ask("POST", &format!("{path}/unblock"), "").await;
    assert_eq!((free.status, &free.body["blocked"]), (StatusCode::OK, &Value::Null));
    assert_eq!(api.directory.read_input(&input.uid).await.unwrap().blocked, None);
    let audit = api.audit();
    assert!(
        audit[0].contains("live-input.blocked") && audit[1].contains("live-input.unblocked"),
        "{audit:?}"
    );
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    register(&api.registry, "gone", &gone).await;
    let unsure = api.ask("POST", &format!("{path}/block"), "").await;
    assert_eq!((unsure.status, &unsure.body["serversNotHeard"]), (StatusCode::ACCEPTED, &json!([gone])));
}

#[tokio::test]
async fn inputs_that_are_none_of_the_directorys_are_not_blocked() {
    let api = Api::start().await;
    let file = api.ask("POST", "/streams/studio/block", "").await;
    assert_eq!((file.status, file.problem()), (StatusCode::CONFLICT, "read-only"));
    let unknown = api.ask("POST", "/streams/unknown/block", "").await;
    assert_eq!((unknown.status, unknown.problem()), (StatusCode::NOT_FOUND, "no-input"));
}

#[tokio::test]
async fn an_input_shows_whether_its_publisher_is_connected_unless_nobody_knows() {
    let api = Api::start().await;
    let server = Server::start(&["studio"], 7).await;
    server.register(&api, "one").await;
    let current = api.get("/live-inputs/studio").await.body["status"]["current"].clone();
    let connected = json!({
        "state": "connected", "reason": "connected", "statusEnteredAt": "2027-01-15T08:00:00.000Z",
        "statusLastSeen": current["statusLastSeen"], "ingestProtocol": "rtmps", "encoder": "obs-output module",
    });
    assert_eq!(current, connected);
    assert!(current["statusLastSeen"].is_string());
    let input = api.ask("POST", "/live-inputs", "{}").await;
    assert_eq!(input.body["status"]["current"]["state"], "disconnected");
    let list = api.get("/live-inputs").await;
    let states: Vec<_> = list.body["liveInputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|input| &input["status"]["current"]["state"])
        .collect();
    assert_eq!(states.len(), 2);
    assert!(states.contains(&&json!("connected")) && states.contains(&&json!("disconnected")), "{states:?}");
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    register(&api.registry, "gone", &gone).await;
    let path = format!("/live-inputs/{}", input.body["uid"].as_str().unwrap());
    assert_eq!(api.get(&path).await.body["status"], Value::Null);
}

#[tokio::test]
async fn each_right_is_asked_for() {
    let api = Api::start().await;
    let reader = api.token(&[Scope::StreamsRead]).await;
    assert_eq!(api.ask_as(&reader, "GET", "/streams", "").await.status, StatusCode::OK);
    for action in ["disconnect", "block", "unblock"] {
        let refused = api.ask_as(&reader, "POST", &format!("/streams/demo/{action}"), "").await;
        assert_eq!((refused.status, refused.problem()), (StatusCode::FORBIDDEN, "scope"), "{action}");
    }
}
