//! An origin on a free port, and servers that play what a test tells them to.
#![allow(dead_code, clippy::unwrap_used, reason = "every test binary uses a part of it, and only tests do")]

pub mod broadcast;
pub mod client;
pub mod metrics;
pub mod server;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use headwater_media::{BroadcastId, Epoch, StreamId};
use headwater_origin::{Origin, Settings};
use headwater_registry::{Claim, MemoryRegistry, Ownership, Registry, ServerId, ServerRecord, Ttls};
use headwater_runtime::config::{self, Service};
use headwater_runtime::readiness::Readiness;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A test that waits longer hangs.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub struct TestOrigin {
    pub address: SocketAddr,
    pub served: JoinHandle<std::io::Result<()>>,
    pub drain: DropGuard,
}

impl TestOrigin {
    /// An origin without an object store.
    pub async fn start(registry: Arc<dyn Registry>) -> Self {
        Self::start_with(registry, "none").await
    }

    /// An origin that reads from this store.
    pub async fn start_with(registry: Arc<dyn Registry>, store: &str) -> Self {
        Self::start_set(registry, &[("STORE_URL", store)]).await
    }

    /// An origin with these settings.
    pub async fn start_set(registry: Arc<dyn Registry>, settings: &[(&str, &str)]) -> Self {
        let defaults = [("ORIGIN_HTTP_LISTEN", "127.0.0.1:0"), ("STORE_URL", "none")];
        // The later one of two is taken.
        let settings: BTreeMap<_, _> = defaults.iter().chain(settings).copied().collect();
        let variables =
            settings.into_iter().map(|(name, value)| (format!("HEADWATER_{name}"), value.to_owned()));
        let config = config::load(Service::AllInOne, None, variables).unwrap().config;
        let origin = Origin::start(&Settings::from(config), registry, &Readiness::default()).await.unwrap();
        let address = origin.address();
        let drain = CancellationToken::new();
        let served = tokio::spawn(origin.serve(drain.clone()));
        Self { address, served, drain: drain.drop_guard() }
    }
}

pub fn stream() -> StreamId {
    "demo".parse().unwrap()
}

pub fn registry() -> MemoryRegistry {
    MemoryRegistry::new(Ttls::default())
}

/// Gives the stream to the server at this address, taking it from whoever has it.
pub async fn own(registry: &MemoryRegistry, address: SocketAddr, broadcast: BroadcastId) -> Epoch {
    let server: ServerId = format!("server-{}", address.port()).parse().unwrap();
    let before = registry.owner(&stream()).await.unwrap().map(|owner| owner.epoch);
    let claim = registry.claim(&stream(), &server, &address.to_string(), before).await.unwrap();
    let Claim::Granted(ownership) = claim else { panic!("{claim:?}") };
    let ownership = Ownership { broadcast: Some(broadcast), ..ownership };
    registry.renew(&stream(), &ownership).await.unwrap();
    register(registry, server, address).await;
    ownership.epoch
}

async fn register(registry: &MemoryRegistry, id: ServerId, address: SocketAddr) {
    let record = ServerRecord {
        id,
        address: address.to_string(),
        capacity_millicores: 2_000,
        used_millicores: 0,
        broadcasts: 1,
        draining: false,
        version: "0.1.0".into(),
    };
    registry.register_server(&record).await.unwrap();
}

/// Asks again until `found` finds something.
pub async fn eventually<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = async {
        loop {
            if let Some(found) = found().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asked).await.unwrap_or_else(|_| panic!("never: {what}"))
}
