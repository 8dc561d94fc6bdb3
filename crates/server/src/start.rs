//! The run of a server, from its start to its end.

use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use headwater_platform::store::StoreError;
use headwater_platform::{Advertised, METADATA_VARIABLE, OwnAddressError, own_address};
use headwater_recordings::Layout;
use headwater_registry::{Registry, ServerId, ServerIdError};
use headwater_runtime::config::{ClusterConfig, ServerConfig};
use headwater_runtime::listener::{BindError, Listener};
use headwater_runtime::process::Process;
use headwater_runtime::readiness;
use headwater_runtime::tls::{ClusterTls, ClusterTlsError, keep_current};
use headwater_transcode::launch::WorkerCommand;
use headwater_wire::{Channels, ClusterSecrets};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;
use uuid::Uuid;

use crate::admission::Admission;
use crate::broadcast::{BroadcastSettings, Broadcasts, Home};
use crate::grpc;
use crate::heartbeat::Heartbeat;
use crate::incoming::{incoming, limits};
use crate::recording::{Housekeeping, Storage};
use crate::settings::Settings;
use crate::worker::{Processes, Starter, TranscodeSpec, Workers};

/// Longest time in which peers read the rest of their responses when the server has nothing more to do.
const LAST_RESPONSES_TIME: Duration = Duration::from_secs(5);

/// Reason why a server can't start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("this server's address can't be told: set server.advertise ({0})")]
    Address(#[from] OwnAddressError),
    #[error("the address can't be part of a server id: {0}")]
    Id(#[from] ServerIdError),
    #[error("the store can't be used (store.url): {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Tls(#[from] ClusterTlsError),
    #[error("the gRPC server failed: {0}")]
    Grpc(#[from] tonic::transport::Error),
}

/// Runs a server until the process is told to stop and every broadcast has come to its end.
///
/// # Errors
/// When it can't start, or its listener breaks.
pub async fn run(
    process: Process<Settings>,
    registry: Arc<dyn Registry>,
    worker: WorkerCommand,
) -> Result<(), ServerError> {
    let settings = &process.config;
    let tls = ClusterTls::load(&settings.cluster)?;
    let listener = listen(settings, tls.as_ref()).await?;
    let home = home(&settings.server, listener.local_addr()).await?;
    tracing::info!(listen = %listener.local_addr(), advertised = home.address, id = %home.server, "server starts");
    warn_of_strangers(&settings.cluster, listener.local_addr());
    let workers =
        Processes::new(worker, &settings.server, settings.policies.general_policy().ladder.rungs.len());
    let confined = process.readiness.latch("worker sandbox");
    if let Err(error) = workers.check().await {
        // It stays up to say why it takes nothing: restarting it would not help.
        tracing::error!("{error}");
        process.drain.cancelled().await;
        return Ok(());
    }
    let caller = tls.as_ref().map(ClusterTls::caller).transpose()?;
    let channels = Channels::to_cluster(&ClusterSecrets::new(settings.cluster.secrets()), caller);
    process.tasks.spawn(keep_current(tls, process.drain.clone()));
    let served = run_at(home, process, registry, Arc::new(workers), channels, incoming(listener));
    // Second, so that the server's other latches are there when this one is set.
    futures::join!(served, async { confined.set() }).0
}

/// Runs a server that is reached at `home` until the process is told to stop and every broadcast has come to its end:
/// `incoming` are the connections to it, and `channels` lead to the other servers.
///
/// # Errors
/// When its listener breaks.
pub async fn run_at<C>(
    home: Home,
    process: Process<Settings>,
    registry: Arc<dyn Registry>,
    workers: Arc<dyn Workers>,
    channels: Channels,
    incoming: impl stream::Stream<Item = io::Result<C>>,
) -> Result<(), ServerError>
where
    C: AsyncRead
        + AsyncWrite
        + Connected<ConnectInfo: Clone + Send + Sync + 'static>
        + Unpin
        + Send
        + 'static,
{
    let settings = &process.config;
    let admission = admission(&settings.server);
    let starter = Arc::new(starter(settings, workers, admission.clone()));
    let able = process.readiness.latch("server: no worker can be started");
    let stop = process.drain.clone();
    let storage = Storage::open(&settings.store, &settings.recording).await?;
    let policies = Arc::new(settings.policies.clone());
    let broadcasts = Broadcasts::new(
        broadcast_settings(settings, starter.clone()),
        admission,
        registry.clone(),
        home.clone(),
        channels,
        policies.clone(),
        storage.clone(),
        stop.clone(),
    );
    let housekeeping = storage.clone().map(|storage| Housekeeping {
        storage,
        registry: registry.clone(),
        is_on_air: is_on_air(broadcasts.clone()),
        policies,
    });
    let heartbeat = Heartbeat { registry, home, broadcasts: broadcasts.clone(), stop: stop.clone() };
    // The listener outlives the drain: the last viewers get the last seconds.
    let closed = CancellationToken::new();
    let secrets = ClusterSecrets::new(settings.cluster.secrets());
    let served = grpc::services(&broadcasts, &secrets)
        .serve_with_incoming_shutdown(incoming, closed.clone().cancelled_owned());
    let lived = async {
        // The first beat says whether there is room. If there is none, the watch says why.
        let _known = stop.run_until_cancelled(starter.try_out(&able)).await;
        let finished = CancellationToken::new();
        let end = async {
            stop.cancelled().await;
            broadcasts.wait_until_finished().await;
            finished.cancel();
        };
        let latch = process.readiness.latch("server: the registry (Redis) does not answer");
        process.readiness.started(readiness::SERVER_STARTING);
        tokio::select! {
            _ = async { tokio::join!(heartbeat.beat_until(&finished, latch), end) } => {}
            () = starter.watch_starts(&able) => {}
        }
        closed.cancel();
        tokio::join!(tokio::time::sleep(LAST_RESPONSES_TIME), leave_to_spool(storage));
    };
    tokio::select! {
        result = served => Ok(result?),
        () = lived => Ok(()),
        () = keep_house(housekeeping) => Ok(()),
    }
}

/// Leaves the objects that the store has not taken to the next process.
async fn leave_to_spool(storage: Option<Storage>) {
    if let Some(storage) = storage {
        storage.uploads.close(Duration::ZERO).await;
    }
}

fn is_on_air(broadcasts: Arc<Broadcasts>) -> Box<dyn Fn(&Layout) -> bool + Send + Sync> {
    Box::new(move |layout| broadcasts.is_on_air(layout))
}

/// Never ends.
async fn keep_house(housekeeping: Option<Housekeeping>) {
    match housekeeping {
        Some(housekeeping) => housekeeping.run().await,
        None => std::future::pending().await,
    }
}

/// Listens for proxies, origins and other servers.
async fn listen(settings: &Settings, tls: Option<&ClusterTls>) -> Result<Listener, ServerError> {
    let listener = Listener::bind(settings.server.grpc_listen, "server.grpc_listen", limits()).await?;
    Ok(match tls {
        Some(tls) => listener.encrypt(tls.server_config()?),
        None => listener,
    })
}

/// Says that strangers may do all that proxies, origins and operators do, where they can reach the listener.
fn warn_of_strangers(cluster: &ClusterConfig, listening: SocketAddr) {
    let is_open = cluster.secret.is_none() && cluster.tls_certificate.is_none();
    if is_open && !listening.ip().is_loopback() {
        tracing::warn!(
            listen = %listening,
            "whoever reaches this port can publish, watch and stop the server: set cluster.secret \
             (HEADWATER_CLUSTER_SECRET) for all services, or let nobody else reach it"
        );
    }
}

async fn home(server: &ServerConfig, listening: SocketAddr) -> Result<Home, ServerError> {
    let advertise = server.advertise.as_ref();
    let advertised = advertise.map(|advertise| Advertised { host: &advertise.host, port: advertise.port });
    let metadata = std::env::var(METADATA_VARIABLE).ok();
    let address = own_address(advertised, listening, metadata.as_deref()).await?.to_string();
    let server = ServerId::from_str(&format!("{}-{}", host_name(&address), short(Uuid::now_v7())))?;
    Ok(Home { server, address })
}

/// An address without the brackets that an IPv6 one has.
fn host_name(address: &str) -> String {
    address.chars().filter(|c| !matches!(c, '[' | ']')).collect()
}

/// The end of an id, by which one run of a server on an address is told from the next one.
fn short(id: Uuid) -> String {
    id.simple().to_string()[20..].to_owned()
}

fn broadcast_settings(settings: &Settings, starter: Arc<Starter>) -> BroadcastSettings {
    let server = &settings.server;
    BroadcastSettings {
        segments: settings.hls.segments(),
        window_segments: settings.hls.window_segments,
        starter,
        worker_stall_timeout: server.worker_stall_timeout,
        worker_stop_timeout: server.worker_stop_timeout,
        worker_restarts: server.worker_restarts,
        silent_publisher: server.silent_publisher,
        grace: settings.drain_timeout,
        lease: settings.lease,
    }
}

fn starter(settings: &Settings, workers: Arc<dyn Workers>, admission: Admission) -> Starter {
    let trial =
        TranscodeSpec::new(settings.hls.segments(), settings.policies.general_policy().ladder.clone());
    Starter::new(workers, settings.server.worker_start_timeout, trial, admission)
}

fn admission(server: &ServerConfig) -> Admission {
    let millicores = (server.capacity.cores() * 1_000.0) as u32;
    Admission::new(millicores, server.max_broadcasts as u32)
}
