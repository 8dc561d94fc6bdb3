//! Registry for all machines, each of which reaches it by its own link. What Redis does when it is slow, away, or has
//! lost everything is done here to the memory registry.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use headwater_media::lock::MutexExt;
use headwater_media::{Epoch, StreamId};
use headwater_registry::{
    Claim, Handoff, MemoryRegistry, Ownership, Registry, RegistryError, RegistryEvent, ServerId,
    ServerRecord, Ttls, ViewerReport, Watch,
};
use tokio::sync::broadcast;

use super::chance::Chance;
use super::net::{Host, Net};
use super::system;

/// The registry's host.
pub const HOST: Host = "registry";
/// How long a command may take before its client gives up.
const TIMEOUT: Duration = Duration::from_secs(1);
const BACKLOG: usize = 1_024;

#[derive(Clone)]
pub struct Hub(Arc<Mutex<State>>);

struct State {
    net: Net,
    chance: Chance,
    memory: MemoryRegistry,
    changes: Watch,
    clients: BTreeMap<Host, Client>,
}

struct Client {
    events: broadcast::Sender<RegistryEvent>,
    /// Its connection broke: when it is back, it has to look at everything.
    missed: bool,
}

impl Hub {
    pub fn new(net: Net, chance: Chance) -> Self {
        let memory = MemoryRegistry::new(Ttls::default());
        let changes = memory.watch();
        Self(Arc::new(Mutex::new(State { net, chance, memory, changes, clients: BTreeMap::new() })))
    }

    /// As this machine sees it.
    pub fn client(&self, host: Host) -> Arc<dyn Registry> {
        let client = Client { events: broadcast::Sender::new(BACKLOG), missed: false };
        self.state().clients.entry(host).or_insert(client);
        Arc::new(Remote { host, hub: self.clone() })
    }

    /// Loses everything. Epochs go on from the clock, as in Redis.
    pub fn empty(&self) {
        let mut state = self.state();
        state.memory = MemoryRegistry::above(Ttls::default(), Epoch(1_000_000 + system::now()));
        state.changes = state.memory.watch();
        state.clients.values_mut().for_each(|client| client.missed = true);
    }

    /// Tells every machine what has changed.
    pub fn tell(&self) {
        let mut state = self.state();
        let State { net, changes, clients, .. } = &mut *state;
        let mut events = Vec::new();
        while let Some(Some(event)) = changes.next().now_or_never() {
            events.push(event);
        }
        for (host, client) in clients {
            client.missed |= net.is_cut(host, HOST);
            if client.missed && !net.is_cut(host, HOST) {
                client.missed = false;
                let _ = client.events.send(RegistryEvent::Missed);
            }
            for event in events.iter().filter(|_| !net.is_cut(host, HOST)) {
                let _ = client.events.send(event.clone());
            }
        }
    }

    /// The registry's own contents.
    pub fn memory(&self) -> MemoryRegistry {
        self.state().memory.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock_ignoring_poison()
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(self.state().chance.between(1, 9))
    }

    fn is_cut(&self, host: Host) -> bool {
        let net = self.state().net.clone();
        net.is_cut(host, HOST)
    }
}

struct Remote {
    host: Host,
    hub: Hub,
}

impl Remote {
    /// The way there; the answer may still be lost on the way back.
    async fn go(&self) -> Result<MemoryRegistry, RegistryError> {
        let delay = self.hub.delay();
        tokio::time::sleep(delay).await;
        self.arrive().await?;
        Ok(self.hub.memory())
    }

    async fn back<T>(&self, answer: Result<T, RegistryError>) -> Result<T, RegistryError> {
        let delay = self.hub.delay();
        tokio::time::sleep(delay).await;
        self.arrive().await?;
        answer
    }

    async fn arrive(&self) -> Result<(), RegistryError> {
        if !self.hub.is_cut(self.host) {
            return Ok(());
        }
        tokio::time::sleep(TIMEOUT).await;
        Err(RegistryError::Unavailable { backend: HOST.into(), cause: "it does not answer".into() })
    }
}

#[async_trait]
impl Registry for Remote {
    async fn claim(
        &self,
        stream: &StreamId,
        server: &ServerId,
        address: &str,
        expected: Option<Epoch>,
    ) -> Result<Claim, RegistryError> {
        let answer = self.go().await?.claim(stream, server, address, expected).await;
        self.back(answer).await
    }

    async fn renew(&self, stream: &StreamId, ownership: &Ownership) -> Result<(), RegistryError> {
        let answer = self.go().await?.renew(stream, ownership).await;
        self.back(answer).await
    }

    async fn next_turn(&self, stream: &StreamId, ownership: &Ownership) -> Result<Epoch, RegistryError> {
        let answer = self.go().await?.next_turn(stream, ownership).await;
        self.back(answer).await
    }

    async fn release(&self, stream: &StreamId, server: &ServerId, epoch: Epoch) -> Result<(), RegistryError> {
        let answer = self.go().await?.release(stream, server, epoch).await;
        self.back(answer).await
    }

    async fn hand_off(
        &self,
        stream: &StreamId,
        ownership: &Ownership,
        handoff: Option<&Handoff>,
    ) -> Result<(), RegistryError> {
        let answer = self.go().await?.hand_off(stream, ownership, handoff).await;
        self.back(answer).await
    }

    async fn handoff(&self, stream: &StreamId) -> Result<Option<Handoff>, RegistryError> {
        let answer = self.go().await?.handoff(stream).await;
        self.back(answer).await
    }

    async fn owner(&self, stream: &StreamId) -> Result<Option<Ownership>, RegistryError> {
        let answer = self.go().await?.owner(stream).await;
        self.back(answer).await
    }

    async fn register_server(&self, record: &ServerRecord) -> Result<(), RegistryError> {
        let answer = self.go().await?.register_server(record).await;
        self.back(answer).await
    }

    async fn unregister_server(&self, server: &ServerId) -> Result<(), RegistryError> {
        let answer = self.go().await?.unregister_server(server).await;
        self.back(answer).await
    }

    async fn servers(&self) -> Result<Vec<ServerRecord>, RegistryError> {
        let answer = self.go().await?.servers().await;
        self.back(answer).await
    }

    async fn report_viewers(&self, report: &ViewerReport) -> Result<(), RegistryError> {
        let answer = self.go().await?.report_viewers(report).await;
        self.back(answer).await
    }

    async fn viewers(&self, streams: &[StreamId]) -> Result<Vec<Option<u64>>, RegistryError> {
        let answer = self.go().await?.viewers(streams).await;
        self.back(answer).await
    }

    async fn announce_input(&self, uid: &StreamId) -> Result<(), RegistryError> {
        let answer = self.go().await?.announce_input(uid).await;
        self.back(answer).await
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn watch(&self) -> Watch {
        let state = self.hub.state();
        let client = state.clients.get(self.host).expect("a remote is made with its client");
        client.events.subscribe().into()
    }

    async fn ready(&self) -> Result<(), RegistryError> {
        self.go().await?;
        self.back(Ok(())).await
    }
}
