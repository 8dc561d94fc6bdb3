//! A transcode server that only has `Delivery`, and plays a script.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use headwater_hls::LiveWindow;
use headwater_media::{MediaEvent, MediaTime, Opening, Record};
use headwater_wire::v2::delivery_server::{Delivery, DeliveryServer};
use headwater_wire::{WatchMessage, v2};
use tokio::net::TcpListener;
use tokio::sync::{Notify, broadcast};
use tokio_stream::wrappers::{BroadcastStream, TcpListenerStream};
use tonic::{Request, Response, Status};

#[derive(Clone)]
pub struct TestServer {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    on_air: Option<OnAir>,
    watches: usize,
    /// Messages about stored segments.
    stored: Vec<WatchMessage>,
    /// Holds back all but the first messages until it is notified, as a slow way to the origin would.
    slow: Option<Arc<Notify>>,
    /// Segments that the server itself has.
    held: HashMap<(String, u64), Bytes>,
}

struct OnAir {
    window: LiveWindow,
    events: broadcast::Sender<MediaEvent>,
}

impl TestServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let service = DeliveryServer::new(Service(server.clone()));
        let served = headwater_wire::http2::server(&Default::default()).add_service(service);
        tokio::spawn(served.serve_with_incoming(TcpListenerStream::new(listener)));
        server
    }

    /// Goes on air, instead of what was.
    pub fn open(&self, opening: Opening, events: impl IntoIterator<Item = MediaEvent>) {
        let on_air = OnAir { window: LiveWindow::new(opening), events: broadcast::Sender::new(1_024) };
        self.state().on_air = Some(on_air);
        self.play(events);
    }

    pub fn play(&self, events: impl IntoIterator<Item = MediaEvent>) {
        let mut state = self.state();
        let on_air = state.on_air.as_mut().expect("nothing is on air");
        for event in events {
            on_air.window.apply(&event).expect("a broadcast in order");
            let _ = on_air.events.send(event);
        }
    }

    /// Says from now on that this is stored.
    pub fn store(&self, records: impl IntoIterator<Item = Record>) {
        self.store_reaching_back(None, records);
    }

    /// The same, and how far viewers can go back.
    pub fn store_reaching_back(
        &self,
        dvr_window: Option<MediaTime>,
        records: impl IntoIterator<Item = Record>,
    ) {
        let first = WatchMessage::StoredFrom { discontinuity_sequence: 0, dvr_window };
        let records = records.into_iter().map(WatchMessage::Stored);
        self.state().stored = std::iter::once(first).chain(records).collect();
    }

    /// Has a segment that is not in the store.
    pub fn hold(&self, rendition: &str, sequence: u64, bytes: Bytes) {
        self.state().held.insert((rendition.into(), sequence), bytes);
    }

    /// From now on only the beginning of a window arrives, until somebody is notified.
    pub fn slow_down(&self) -> Arc<Notify> {
        let slow = Arc::new(Notify::new());
        self.state().slow = Some(slow.clone());
        slow
    }

    /// Off the air, in the middle of a sentence.
    pub fn die(&self) {
        self.state().on_air = None;
    }

    /// How often somebody began to watch.
    pub fn watches(&self) -> usize {
        self.state().watches
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// Messages of a window that a slow way lets through: the opening, the period, and a segment.
const ARRIVE_AT_ONCE: usize = 12;

struct Service(TestServer);

#[tonic::async_trait]
impl Delivery for Service {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v2::MediaEvent, Status>> + Send>>;

    async fn locate(&self, _: Request<v2::LocateRequest>) -> Result<Response<v2::LocateResponse>, Status> {
        let state = self.0.state();
        let opening = state.on_air.as_ref().ok_or_else(|| Status::not_found("not here"))?.window.opening();
        let broadcast = headwater_wire::broadcast_bytes(opening.broadcast);
        Ok(Response::new(v2::LocateResponse { broadcast, epoch: opening.epoch.0 }))
    }

    async fn watch(&self, _: Request<v2::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let mut state = self.0.state();
        state.watches += 1;
        let on_air = state.on_air.as_ref().ok_or_else(|| Status::not_found("not here"))?;
        let window = std::iter::once(on_air.window.opening().clone().into());
        let stored = state.stored.iter().cloned().map(Into::into);
        let window: Vec<v2::MediaEvent> =
            window.chain(stored).chain(on_air.window.events().into_iter().map(Into::into)).collect();
        let slow = state.slow.clone();
        let window = stream::iter(window.into_iter().chain([WatchMessage::CaughtUp.into()]).enumerate());
        let window = window.then(move |(nth, message)| {
            let slow = slow.clone().filter(|_| nth == ARRIVE_AT_ONCE);
            async move {
                if let Some(slow) = slow {
                    slow.notified().await;
                }
                message
            }
        });
        let following = BroadcastStream::new(on_air.events.subscribe()).map(|event| event.unwrap().into());
        let cut_off = stream::once(async { Err(Status::unavailable("killed")) });
        Ok(Response::new(Box::pin(window.chain(following).map(Ok).chain(cut_off))))
    }

    type FetchStream = Pin<Box<dyn Stream<Item = Result<v2::Chunk, Status>> + Send>>;

    async fn fetch(&self, request: Request<v2::FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        let v2::FetchRequest { rendition, sequence, .. } = request.into_inner();
        let held = self.0.state().held.get(&(rendition, sequence)).cloned();
        let bytes = held.ok_or_else(|| Status::not_found("it is not here"))?;
        let chunks: Vec<_> =
            bytes.chunks(5).map(|chunk| Ok(v2::Chunk { payload: Bytes::copy_from_slice(chunk) })).collect();
        Ok(Response::new(Box::pin(stream::iter(chunks))))
    }
}
