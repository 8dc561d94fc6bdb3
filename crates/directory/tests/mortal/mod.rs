//! A store whose client dies at one of its writes.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use headwater_platform::store::{Folders, Key, ObjectStore, Page, Put, Replaced, Seen, StoreError, Version};

/// Moment of the client's death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The write does not reach the store.
    Before,
    /// The write is done, and its answer arrives nowhere.
    After,
}

/// Store for a client that does some writes and dies at the next one: nothing reaches the store from then on.
#[derive(Debug)]
pub struct MortalStore {
    store: Arc<dyn ObjectStore>,
    left: AtomicUsize,
    death: Death,
}

impl MortalStore {
    pub fn new(store: Arc<dyn ObjectStore>, writes: usize, death: Death) -> Self {
        Self { store, left: AtomicUsize::new(writes + 1), death }
    }

    fn is_alive(&self) -> Result<(), StoreError> {
        if self.left.load(Ordering::Relaxed) == 0 { Err(dead()) } else { Ok(()) }
    }

    async fn write<T>(&self, write: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.is_alive()?;
        if self.left.fetch_sub(1, Ordering::Relaxed) > 1 {
            return write.await;
        }
        if self.death == Death::After {
            let _ = write.await;
        }
        Err(dead())
    }
}

fn dead() -> StoreError {
    StoreError::Unavailable("the client is dead".into())
}

#[async_trait::async_trait]
impl ObjectStore for MortalStore {
    async fn put(&self, key: &Key, body: Bytes, content_type: &str) -> Result<Version, StoreError> {
        self.write(self.store.put(key, body, content_type)).await
    }

    async fn replace(
        &self,
        key: &Key,
        body: Bytes,
        content_type: &str,
        version: &Version,
    ) -> Result<Replaced, StoreError> {
        self.write(self.store.replace(key, body, content_type, version)).await
    }

    async fn put_new(&self, key: &Key, body: Bytes, content_type: &str) -> Result<Put, StoreError> {
        self.write(self.store.put_new(key, body, content_type)).await
    }

    async fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
        self.is_alive()?;
        self.store.get(key).await
    }

    async fn look(&self, key: &Key) -> Result<Seen, StoreError> {
        self.is_alive()?;
        self.store.look(key).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.is_alive()?;
        self.store.get_range(key, range).await
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>, StoreError> {
        self.is_alive()?;
        self.store.size(key).await
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>) -> Result<Page, StoreError> {
        self.is_alive()?;
        self.store.list(prefix, after).await
    }

    async fn folders(&self, prefix: &Key, after: Option<&str>) -> Result<Folders, StoreError> {
        self.is_alive()?;
        self.store.folders(prefix, after).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<(), StoreError> {
        self.write(self.store.delete(keys)).await
    }

    async fn presign(&self, key: &Key, expires: Duration) -> Result<Option<String>, StoreError> {
        self.store.presign(key, expires).await
    }
}
