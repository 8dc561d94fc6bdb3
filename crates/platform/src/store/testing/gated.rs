//! A store behind a gate: each request of a client passes it on its way.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::super::{Folders, Key, ObjectStore, Page, Put, Replaced, Seen, StoreError, Version};

/// Kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The request changes nothing.
    Read,
    /// The request may change objects.
    Write,
}

/// Gate between one client and a store, which may delay a request, drop it, or lose its answer.
pub trait Gate: Send + Sync {
    /// Passes a request on, or fails.
    fn pass<T: Send>(
        &self,
        access: Access,
        request: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send;
}

/// Store as a client behind a gate reaches it. Addresses are signed without a request.
pub struct GatedStore<G> {
    store: Arc<dyn ObjectStore>,
    gate: G,
}

impl<G> GatedStore<G> {
    /// Puts a gate before a store.
    pub fn new(store: Arc<dyn ObjectStore>, gate: G) -> Self {
        Self { store, gate }
    }
}

impl<G> std::fmt::Debug for GatedStore<G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatedStore").field("store", &self.store).finish_non_exhaustive()
    }
}

#[async_trait]
impl<G: Gate> ObjectStore for GatedStore<G> {
    async fn put(&self, key: &Key, body: Bytes, content_type: &str) -> Result<Version, StoreError> {
        self.gate.pass(Access::Write, self.store.put(key, body, content_type)).await
    }

    async fn replace(
        &self,
        key: &Key,
        body: Bytes,
        content_type: &str,
        version: &Version,
    ) -> Result<Replaced, StoreError> {
        self.gate.pass(Access::Write, self.store.replace(key, body, content_type, version)).await
    }

    async fn put_new(&self, key: &Key, body: Bytes, content_type: &str) -> Result<Put, StoreError> {
        self.gate.pass(Access::Write, self.store.put_new(key, body, content_type)).await
    }

    async fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
        self.gate.pass(Access::Read, self.store.get(key)).await
    }

    async fn look(&self, key: &Key) -> Result<Seen, StoreError> {
        self.gate.pass(Access::Read, self.store.look(key)).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.gate.pass(Access::Read, self.store.get_range(key, range)).await
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>, StoreError> {
        self.gate.pass(Access::Read, self.store.size(key)).await
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>) -> Result<Page, StoreError> {
        self.gate.pass(Access::Read, self.store.list(prefix, after)).await
    }

    async fn folders(&self, prefix: &Key, after: Option<&str>) -> Result<Folders, StoreError> {
        self.gate.pass(Access::Read, self.store.folders(prefix, after)).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<(), StoreError> {
        self.gate.pass(Access::Write, self.store.delete(keys)).await
    }

    async fn presign(&self, key: &Key, expires: Duration) -> Result<Option<String>, StoreError> {
        self.store.presign(key, expires).await
    }
}
