//! Object store for all machines, each of which reaches it by its own link: the store in memory, with the network's delays
//! and cuts.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use headwater_media::lock::MutexExt;
use headwater_platform::store::testing::MemoryStore;
use headwater_platform::store::{Folders, Key, ObjectStore, Page, Put, Replaced, Seen, StoreError, Version};

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
        Arc::new(Remote { host, depot: self.clone() })
    }

    /// The store's own contents.
    pub fn memory(&self) -> &MemoryStore {
        &self.memory
    }
}

struct Remote {
    host: Host,
    depot: Depot,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the store as {} sees it", self.host)
    }
}

impl Remote {
    /// The way there, the request, and the way back. The answer of a request that was done may be lost.
    async fn ask<T>(&self, request: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.travel().await?;
        let answer = request.await;
        self.travel().await?;
        answer
    }

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

#[async_trait]
impl ObjectStore for Remote {
    async fn put(&self, key: &Key, body: Bytes, content_type: &str) -> Result<Version, StoreError> {
        self.ask(self.depot.memory.put(key, body, content_type)).await
    }

    async fn replace(
        &self,
        key: &Key,
        body: Bytes,
        content_type: &str,
        version: &Version,
    ) -> Result<Replaced, StoreError> {
        self.ask(self.depot.memory.replace(key, body, content_type, version)).await
    }

    async fn put_new(&self, key: &Key, body: Bytes, content_type: &str) -> Result<Put, StoreError> {
        self.ask(self.depot.memory.put_new(key, body, content_type)).await
    }

    async fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
        self.ask(self.depot.memory.get(key)).await
    }

    async fn look(&self, key: &Key) -> Result<Seen, StoreError> {
        self.ask(self.depot.memory.look(key)).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.ask(self.depot.memory.get_range(key, range)).await
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>, StoreError> {
        self.ask(self.depot.memory.size(key)).await
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>) -> Result<Page, StoreError> {
        self.ask(self.depot.memory.list(prefix, after)).await
    }

    async fn folders(&self, prefix: &Key, after: Option<&str>) -> Result<Folders, StoreError> {
        self.ask(self.depot.memory.folders(prefix, after)).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<(), StoreError> {
        self.ask(self.depot.memory.delete(keys)).await
    }

    async fn presign(&self, key: &Key, expires: Duration) -> Result<Option<String>, StoreError> {
        self.depot.memory.presign(key, expires).await
    }
}
