//! A server that has one broadcast on air, as one stream or as many, of which the benchmark says what comes and when. It
//! knows how often it was called.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::{Result, bail};
use headwater_hls::LiveWindow;
use headwater_media::lock::MutexExt;
use headwater_media::{BroadcastId, Epoch, MediaEvent, Opening, StreamId};
use headwater_registry::{Claim, Ownership, Registry, ServerId, ServerRecord};
use headwater_wire::v2::delivery_server::{Delivery, DeliveryServer};
use headwater_wire::{WatchMessage, v2};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_stream::{Stream, StreamExt, iter};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::broadcast::broadcast_id;

pub const STREAM: &str = "load";
/// Events that an origin may be behind: some seconds.
const EVENTS: usize = 1_024;
/// Of a real server.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Runs until it is dropped.
pub struct Stub {
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    window: Mutex<LiveWindow>,
    stored: Vec<WatchMessage>,
    events: broadcast::Sender<MediaEvent>,
    calls: AtomicU64,
}

impl Stub {
    /// Goes on air with a window of this kind.
    pub async fn start(
        registry: Arc<dyn Registry>,
        opening: impl FnOnce(BroadcastId, Epoch) -> Opening,
    ) -> Result<Self> {
        Self::start_with(registry, &[STREAM.parse()?], Vec::new(), opening).await
    }

    /// Goes on air with the same broadcast as all of these streams, and says that this is stored of it.
    pub async fn start_with(
        registry: Arc<dyn Registry>,
        streams: &[StreamId],
        stored: Vec<WatchMessage>,
        opening: impl FnOnce(BroadcastId, Epoch) -> Opening,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let record = record(address)?;
        let mut owned = Vec::new();
        for stream in streams {
            owned.push((stream.clone(), own(&*registry, stream, &record).await?));
        }
        let Some(Ownership { broadcast: Some(broadcast), epoch, .. }) = owned.first().map(|(_, own)| own)
        else {
            bail!("there is no stream")
        };
        let window = Mutex::new(LiveWindow::new(opening(*broadcast, *epoch)));
        let events = broadcast::Sender::new(EVENTS);
        let calls = AtomicU64::new(0);
        let shared = Arc::new(Shared { window, stored, events, calls });
        let mut tasks = JoinSet::new();
        tasks.spawn(keep(registry, record, owned));
        let server = tonic::transport::Server::builder()
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .add_service(DeliveryServer::new(Service(shared.clone())));
        // As of a real server: a part must not wait for the acknowledgement of what went before it.
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        tasks.spawn(async move {
            // It ends with the benchmark.
            let _ = server.serve_with_incoming(incoming).await;
        });
        Ok(Self { shared, _tasks: tasks })
    }

    /// Tells who watches, at once.
    pub fn play(&self, events: impl IntoIterator<Item = MediaEvent>) -> Result<()> {
        let mut window = self.shared.window();
        for event in events {
            window.apply(&event)?;
            // Nobody may be watching yet.
            let _ = self.shared.events.send(event);
        }
        Ok(())
    }

    /// Calls so far, of any kind.
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn window(&self) -> MutexGuard<'_, LiveWindow> {
        self.window.lock_ignoring_poison()
    }
}

fn record(address: SocketAddr) -> Result<ServerRecord> {
    Ok(ServerRecord {
        id: "stub".parse::<ServerId>()?,
        address: address.to_string(),
        capacity_millicores: 1_000_000,
        used_millicores: 0,
        broadcasts: 1,
        draining: false,
        version: env!("CARGO_PKG_VERSION").into(),
    })
}

async fn own(registry: &dyn Registry, stream: &StreamId, record: &ServerRecord) -> Result<Ownership> {
    let before = registry.owner(stream).await?.map(|owner| owner.epoch);
    let claim = registry.claim(stream, &record.id, &record.address, before).await?;
    let Claim::Granted(ownership) = claim else { bail!("somebody else has the stream: {claim:?}") };
    let broadcast = Some(broadcast_id());
    let ownership = Ownership { broadcast, ..ownership };
    registry.renew(stream, &ownership).await?;
    registry.register_server(record).await?;
    Ok(ownership)
}

/// As a server does it.
async fn keep(registry: Arc<dyn Registry>, record: ServerRecord, owned: Vec<(StreamId, Ownership)>) {
    loop {
        tokio::time::sleep(headwater_registry::HEARTBEAT_INTERVAL).await;
        // The next one will do as well.
        let _ = registry.register_server(&record).await;
        for (stream, ownership) in &owned {
            let _ = registry.renew(stream, ownership).await;
        }
    }
}

struct Service(Arc<Shared>);

#[tonic::async_trait]
impl Delivery for Service {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v2::MediaEvent, Status>> + Send>>;

    async fn locate(&self, _: Request<v2::LocateRequest>) -> Result<Response<v2::LocateResponse>, Status> {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        let window = self.0.window();
        let broadcast = headwater_wire::broadcast_bytes(window.opening().broadcast);
        Ok(Response::new(v2::LocateResponse { broadcast, epoch: window.opening().epoch.0 }))
    }

    async fn watch(&self, _: Request<v2::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        let window = self.0.window();
        let held = std::iter::once(window.opening().clone().into());
        let held = held.chain(self.0.stored.iter().cloned().map(Into::into));
        let held = held.chain(window.events().into_iter().map(Into::into));
        let held: Vec<v2::MediaEvent> = held.chain([WatchMessage::CaughtUp.into()]).collect();
        let following = BroadcastStream::new(self.0.events.subscribe()).map(|event| match event {
            Ok(event) => Ok(event.into()),
            Err(BroadcastStreamRecvError::Lagged(_)) => Err(Status::data_loss("too slow")),
        });
        Ok(Response::new(Box::pin(iter(held).map(Ok).chain(following))))
    }

    type FetchStream = Pin<Box<dyn Stream<Item = Result<v2::Chunk, Status>> + Send>>;

    async fn fetch(&self, _: Request<v2::FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        Err(Status::not_found("it is not here"))
    }
}
