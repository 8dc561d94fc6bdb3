//! Sheets of recordings whose segments are in the store, with a server, or nowhere for a while.

use std::pin::Pin;
use std::sync::Arc;

use headwater_hls::cmaf::{Sample, chunk};
use headwater_media::{
    BroadcastId, Epoch, MediaSequence, MediaTime, PeriodNumber, PeriodStart, Piece, Record, Rendition,
    RenditionId, RenditionKind, SegmentSettings, StoredSegment, UnixMillis,
};
use headwater_platform::store::ObjectStore as _;
use headwater_platform::store::testing::{Fault, MemoryStore};
use headwater_recordings::{JournalWriter, State, Summary};
use headwater_registry::{MemoryRegistry, Registry as _, Ttls};
use headwater_runtime::readiness::Readiness;
use headwater_wire::v2;
use headwater_wire::v2::delivery_server::{Delivery, DeliveryServer};
use http::{HeaderMap, Method, Response};
use http_body_util::BodyExt as _;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;

use super::*;
use crate::http::handlers::thumbnail;
use crate::http::response::body::Body;
use crate::metrics::Metrics;
use crate::mirror::{Mirrors, Settings};
use crate::thumbnails::Thumbnails;
use crate::upstream::Upstream;

/// Of two seconds each: a tile every five of them.
const SEGMENTS: u64 = 20;
const SETTINGS: SegmentSettings = SegmentSettings { segment_ms: 2_000, part_ms: 334 };

fn layout() -> Layout {
    let broadcast = BroadcastId::new(UnixMillis(1_800_000_000_000), &[7; 10]);
    Layout { stream: "demo".parse().unwrap(), broadcast }
}

fn rendition() -> RenditionId {
    "360p".parse().unwrap()
}

fn nth(nth: u64) -> MediaSequence {
    MediaSequence(layout().broadcast.first_sequence().0 + nth)
}

fn media(number: MediaSequence) -> Bytes {
    format!("<segment {number}>").into()
}

/// A complete recording.
async fn recording() -> MemoryStore {
    let store = MemoryStore::new();
    let kind = RenditionKind::Video { width: 640, height: 360, frame_rate: 30.0 };
    let of = Rendition { id: rendition(), kind, codecs: "avc1.64001f".into(), declared_bitrate: 1 };
    let mut journal = JournalWriter::new(layout(), Epoch(1), SETTINGS, None);
    journal.append(Record::Period(PeriodStart {
        number: PeriodNumber(0),
        first_sequence: nth(0),
        origin: MediaTime::ZERO,
        wall_clock: UnixMillis(1_800_000_000_000),
        renditions: vec![(of, Bytes::from_static(b"init"))],
        ladder: None,
    }));
    for number in 0..SEGMENTS {
        let bytes = media(nth(number));
        let piece = Piece {
            rendition: rendition(),
            start: MediaTime::from_millis(number * 2_000),
            duration: MediaTime::from_millis(2_000),
            size: Some(bytes.len() as u64),
        };
        journal.append(Record::Segment(StoredSegment {
            sequence: nth(number),
            pieces: vec![piece],
            drift: 0,
        }));
        put(&store, number).await;
    }
    let (key, block) = journal.block();
    store.put(&key, block, "").await.unwrap();
    let summary = Summary { state: State::Complete, ..Summary::begun(&layout().stream, layout().broadcast) };
    store.put(&layout().summary(), summary.encode(), "").await.unwrap();
    store
}

async fn put(store: &MemoryStore, number: u64) {
    store.put(&layout().segment(&rendition(), nth(number)), media(nth(number)), "").await.unwrap();
}

async fn remove(store: &MemoryStore, number: u64) {
    store.delete(&[layout().segment(&rendition(), nth(number))]).await.unwrap();
}

fn kept(store: &MemoryStore) -> usize {
    store.keys().iter().filter(|key| key.contains("/storyboard/")).count()
}

/// An origin, whose pictures are what a script writes.
struct Origin {
    library: Library,
    mirrors: Arc<Mirrors>,
    thumbnails: Thumbnails,
}

impl Origin {
    fn new(store: &MemoryStore, registry: Arc<MemoryRegistry>, script: &str) -> Self {
        let metrics = Arc::new(Metrics::new());
        let registered = Readiness::default().latch("registry");
        let upstream = Arc::new(Upstream::new(registry, Default::default(), registered, metrics.clone()));
        let settings = Settings {
            linger: std::time::Duration::ZERO,
            offline_grace: std::time::Duration::ZERO,
            dvr_window: MediaTime::ZERO,
            dvr_windows: Default::default(),
        };
        let library = Library::new(Some(Arc::new(store.clone())), None, metrics.clone());
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let mirrors = Mirrors::start(upstream, settings, metrics, tasks, stop);
        Self { library, mirrors, thumbnails: Thumbnails::scripted(script) }
    }

    /// A setup whose stream nobody has.
    fn alone(store: &MemoryStore, script: &str) -> Self {
        Self::new(store, Arc::new(MemoryRegistry::new(Ttls::default())), script)
    }

    fn segment_source(&self) -> SegmentSource<'_> {
        SegmentSource { library: &self.library, mirrors: &self.mirrors }
    }

    async fn sheet(&self) -> Response<Body> {
        let answer = sheet(
            self.segment_source(),
            self.thumbnails.asked_from([127, 0, 0, 1].into()),
            &layout(),
            (0, ""),
        )
        .await;
        answer.unwrap_or_else(Answer::from).respond(&Method::GET, HeaderMap::new())
    }
}

async fn bytes(response: Response<Body>) -> Bytes {
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.unwrap().to_bytes()
}

fn max_age(response: &Response<Body>) -> u32 {
    let cache = response.headers()["cache-control"].to_str().unwrap();
    cache.rsplit_once("max-age=").unwrap().1.parse().unwrap()
}

/// Each picture is another one.
const PICTURES: &str = "cat >/dev/null; cat /proc/sys/kernel/random/uuid";

#[test]
fn a_sheet_is_asked_for_by_how_far_it_is_filled() {
    assert_eq!((tiles(""), tiles("tiles=7"), tiles("x=1&tiles=25")), (Ok(None), Ok(Some(7)), Ok(Some(25))));
    for query in ["tiles=0", "tiles=26", "tiles=", "tiles=x"] {
        assert!(matches!(tiles(query), Err(Problem::Query(_))), "{query}");
    }
}

#[tokio::test]
async fn a_sheet_that_was_made_is_read_by_other_origins() {
    let store = recording().await;
    let made = Origin::alone(&store, PICTURES).sheet().await;
    assert_eq!(max_age(&made), SHEET_SECONDS);
    let etag = made.headers()["etag"].clone();
    let made = bytes(made).await;
    assert_eq!(kept(&store), 1);
    for number in 0..SEGMENTS {
        remove(&store, number).await;
    }
    let other = Origin::alone(&store, "exit 1");
    let read = other.sheet().await;
    assert_eq!(read.headers()["etag"], etag);
    assert_eq!(bytes(read).await, made);
}

#[tokio::test]
async fn a_complete_recording_needs_no_mirror() {
    let store = recording().await;
    let origin = with_server(&store).await;
    bytes(origin.sheet().await).await;
    assert!(origin.mirrors.held(&layout().stream).is_none());
}

#[tokio::test]
async fn a_sheet_that_misses_a_picture_is_not_kept() {
    let store = recording().await;
    remove(&store, 5).await;
    let origin = Origin::alone(&store, PICTURES);
    let missing = origin.sheet().await;
    assert_eq!(max_age(&missing), LIVE_SECONDS);
    let missing = bytes(missing).await;
    assert_eq!(kept(&store), 0, "another origin would think that it is all");
    assert_ne!(bytes(origin.sheet().await).await, missing, "it is made again");
    put(&store, 5).await;
    let whole = origin.sheet().await;
    assert_eq!((max_age(&whole), kept(&store)), (SHEET_SECONDS, 1));
    let whole = bytes(whole).await;
    assert_eq!(bytes(origin.sheet().await).await, whole);
}

#[tokio::test]
async fn a_sheet_is_not_made_without_the_store() {
    let store = recording().await;
    let origin = Origin::alone(&store, PICTURES);
    let _recording = origin.library.recording(&layout()).await.unwrap();
    store.set(Fault::Away);
    assert_eq!(origin.sheet().await.status(), 503);
    store.set(Fault::None);
    bytes(origin.sheet().await).await;
    assert_eq!(kept(&store), 1);
}

/// Frames of 40 ms.
#[tokio::test]
async fn ten_moments_of_a_frame_are_one_picture() {
    let store = recording().await;
    let frame = |number: u64| Sample {
        decode_time: number * 3_600,
        duration: 3_600,
        composition_offset: 0,
        keyframe: number == 0,
        data: Bytes::from_static(b"frame"),
    };
    let segment = chunk(0, &[frame(0), frame(1), frame(2)]);
    store.put(&layout().segment(&rendition(), nth(0)), segment, "").await.unwrap();
    let origin = Origin::alone(&store, PICTURES);
    let asked = origin.thumbnails.asked_from([127, 0, 0, 1].into());
    let mut pictures = Vec::new();
    for millis in (40..80).step_by(4).chain([39, 80]) {
        let query = format!("time=0.{millis:03}");
        let answer = thumbnail::recorded(origin.segment_source(), &layout(), asked, &query).await.unwrap();
        pictures.push(bytes(answer.respond(&Method::GET, HeaderMap::new())).await);
    }
    let (within, beside) = pictures.split_at(10);
    assert!(within.iter().all(|picture| picture == &within[0]) && !beside.contains(&within[0]));
}

/// A server that has every segment, and nothing on air.
struct Server;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Delivery for Server {
    async fn locate(
        &self,
        _: tonic::Request<v2::LocateRequest>,
    ) -> Result<tonic::Response<v2::LocateResponse>, Status> {
        Err(Status::not_found(""))
    }

    type WatchStream = Answers<v2::MediaEvent>;

    async fn watch(
        &self,
        _: tonic::Request<v2::WatchRequest>,
    ) -> Result<tonic::Response<Self::WatchStream>, Status> {
        Err(Status::not_found(""))
    }

    type FetchStream = Answers<v2::Chunk>;

    async fn fetch(
        &self,
        request: tonic::Request<v2::FetchRequest>,
    ) -> Result<tonic::Response<Self::FetchStream>, Status> {
        let asked = request.into_inner();
        assert_eq!((asked.stream.as_str(), asked.rendition.as_str()), ("demo", "360p"));
        assert_eq!(headwater_wire::broadcast_id(&asked.broadcast).unwrap(), layout().broadcast);
        let chunk = v2::Chunk { payload: media(MediaSequence(asked.sequence)) };
        Ok(tonic::Response::new(Box::pin(tokio_stream::iter([Ok(chunk)]))))
    }
}

/// An origin that knows such a server.
async fn with_server(store: &MemoryStore) -> Origin {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let service = tonic::transport::Server::builder().add_service(DeliveryServer::new(Server));
    tokio::spawn(service.serve_with_incoming(TcpListenerStream::new(listener)));
    let registry = Arc::new(MemoryRegistry::new(Ttls::default()));
    registry.claim(&layout().stream, &"one".parse().unwrap(), &address, None).await.unwrap();
    Origin::new(store, registry, PICTURES)
}

#[tokio::test]
async fn what_the_store_does_not_give_comes_from_the_server() {
    let store = recording().await;
    let origin = with_server(&store).await;
    let recorded = origin.library.recording(&layout()).await.unwrap();
    let sheet = recorded_board(&recorded).unwrap().sheet(0, None).unwrap();
    remove(&store, 5).await;
    for fault in [Fault::None, Fault::Away] {
        store.set(fault);
        let request = request(origin.segment_source(), &layout(), &sheet).await.unwrap();
        let got: Vec<_> = request.pictures.into_iter().map(|picture| picture.media).collect();
        assert_eq!(got, [0, 5, 10, 15].map(|number| media(nth(number))), "{fault:?}");
    }
    let segment = origin.segment_source().segment(&layout(), &rendition(), nth(5)).await;
    assert_eq!(segment, Ok(media(nth(5))), "a thumbnail is made of a whole one");
    let beginning = origin.segment_source().beginning(&layout(), &rendition(), nth(5), 4).await;
    assert_eq!(beginning, Ok(Bytes::from_static(b"<seg")));
}
