//! The real server, in this process.

use std::sync::Arc;

use headwater_media::{Epoch, StreamId};
use headwater_platform::store::ObjectStore;
use headwater_registry::{Claim, MemoryRegistry, Ownership, Registry, ServerRecord, Ttls};
use headwater_runtime::config::Config;
use headwater_runtime::process::Process;
use headwater_runtime::readiness::Readiness;
use headwater_server::{ServerError, Settings, StoreSource, WorkerCommand};
use headwater_wire::v2;
use headwater_wire::v2::operator_client::OperatorClient;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::{Channel, Endpoint};

use super::{eventually, stub};

pub struct TestServer {
    pub registry: MemoryRegistry,
    pub record: ServerRecord,
    pub channel: Channel,
    pub drain: CancellationToken,
    pub readiness: Readiness,
    pub running: JoinHandle<Result<(), ServerError>>,
}

impl TestServer {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_worker(stub::command(), change).await
    }

    /// Server whose registry other servers use too.
    pub async fn shared(change: impl FnOnce(&mut Config)) -> Self {
        let registry = MemoryRegistry::new(Ttls::default()).shared();
        Self::run(registry, stub::command(), settings(change)).await
    }

    /// Another one with the same registry.
    pub async fn another(&self) -> Self {
        Self::run(self.registry.clone(), stub::command(), settings(|_| {})).await
    }

    pub async fn with_worker(worker: WorkerCommand, change: impl FnOnce(&mut Config)) -> Self {
        Self::run(MemoryRegistry::new(Ttls::default()), worker, settings(change)).await
    }

    /// Server that is handed a store.
    pub async fn with_store(store: Arc<dyn ObjectStore>, change: impl FnOnce(&mut Config)) -> Self {
        let settings = Settings { store: StoreSource::Opened(store), ..settings(change) };
        Self::run(MemoryRegistry::new(Ttls::default()), stub::command(), settings).await
    }

    async fn run(registry: MemoryRegistry, worker: WorkerCommand, config: Settings) -> Self {
        let known = registry.servers().await.unwrap();
        let drain = CancellationToken::new();
        let readiness = Readiness::default();
        let process =
            Process { config, readiness: readiness.clone(), drain: drain.clone(), tasks: TaskTracker::new() };
        let running = tokio::spawn(headwater_server::run(process, Arc::new(registry.clone()), worker));
        let record = eventually("the server is registered", async || {
            let servers = registry.servers().await.unwrap();
            servers.into_iter().find(|server| known.iter().all(|known| known.id != server.id))
        });
        let record = record.await;
        let channel = Endpoint::from_shared(format!("http://{}", record.address)).unwrap().connect_lazy();
        Self { registry, record, channel, drain, readiness, running }
    }

    /// Claims the stream for this server as a proxy does: taking it from whoever has it.
    pub async fn claim(&self, stream: &str) -> Epoch {
        let before = self.owner(stream).await.map(|owner| owner.epoch);
        let ServerRecord { id, address, .. } = &self.record;
        match self.registry.claim(&self::stream(stream), id, address, before).await.unwrap() {
            Claim::Granted(ownership) => ownership.epoch,
            refused => panic!("somebody else was quicker: {refused:?}"),
        }
    }

    /// Waits until it says that it has room, or none.
    pub async fn offers(&self, room: bool) {
        eventually("what the server offers", async || {
            let servers = self.registry.servers().await.unwrap();
            let record = servers.into_iter().find(|server| server.id == self.record.id)?;
            ((record.capacity_millicores > 0) == room).then_some(())
        })
        .await;
    }

    pub async fn owner(&self, stream: &str) -> Option<Ownership> {
        self.registry.owner(&self::stream(stream)).await.unwrap()
    }

    /// The server's description of a stream; none when it has never had it, or has forgotten it.
    pub async fn broadcast(&self, stream: &str) -> Option<v2::Broadcast> {
        let mut operator = OperatorClient::new(self.channel.clone());
        let list = operator.list_broadcasts(v2::ListBroadcastsRequest::default()).await.unwrap().into_inner();
        list.broadcasts.into_iter().find(|broadcast| broadcast.stream == stream)
    }

    /// Waits until nobody publishes the stream.
    pub async fn unpublished(&self, stream: &str) {
        let left =
            async || self.broadcast(stream).await.is_none_or(|on_air| !on_air.publishing).then_some(());
        eventually("the publisher has left", left).await;
    }
}

fn settings(change: impl FnOnce(&mut Config)) -> Settings {
    let mut config = Config::defaults();
    config.server.grpc_listen = "127.0.0.1:0".parse().unwrap();
    change(&mut config);
    config.into()
}

pub fn stream(name: &str) -> StreamId {
    name.parse().unwrap()
}
