//! Object store for all machines, each of which reaches it by its own link: the store in memory, with the network's delays
//! and cuts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use headwater_media::lock::MutexExt;
use headwater_platform::store::testing::{Access, Gate, GatedStore, MemoryStore};
use headwater_platform::store::{ObjectStore, StoreError};

use super::chance::Chance;
use super::net::{Host, Net};

/// The store's host.
pub const HOST: Host = "store";
/// How long a request may take before its client gives up.
const TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Clone)]
pub struct Depot {
    net: Net,
    chance: Arc<Mutex<Chance>>,
    memory: MemoryStore,
}

impl Depot {
    pub fn new(net: Net, chance: Chance) -> Self {
        Self { net, chance: Arc::new(Mutex::new(chance)), memory: MemoryStore::new() }
    }

    /// As this machine sees it.
    pub fn client(&self, host: Host) -> Arc<dyn ObjectStore> {
        Arc::new(GatedStore::new(Arc::new(self.memory.clone()), Link { host, depot: self.clone() }))
    }

    /// The store's own contents.
    pub fn memory(&self) -> &MemoryStore {
        &self.memory
    }
}

/// Way of one machine to the store, and back. The answer of a request that was done may be lost.
struct Link {
    host: Host,
    depot: Depot,
}

impl Gate for Link {
    async fn pass<T: Send>(
        &self,
        _: Access,
        request: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.travel().await?;
        let answer = request.await;
        self.travel().await?;
        answer
    }
}

impl Link {
    async fn travel(&self) -> Result<(), StoreError> {
        let delay = self.depot.chance.lock_ignoring_poison().between(3, 40);
        tokio::time::sleep(Duration::from_millis(delay)).await;
        if !self.depot.net.is_cut(self.host, HOST) {
            return Ok(());
        }
        tokio::time::sleep(TIMEOUT).await;
        Err(StoreError::Unavailable("it does not answer".into()))
    }
}
