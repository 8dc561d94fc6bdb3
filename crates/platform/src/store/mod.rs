//! The object store: where recordings are kept. S3 and what speaks like it, a directory, and for tests the memory.
//!
//! All of them behave alike, which one contract suite holds them to: an object appears whole or not at all, replaces what
//! was there at once, and is listed as soon as it is stored.

mod config;
#[cfg(test)]
mod contract;
mod directory;
mod error;
mod key;
mod s3;
#[cfg(feature = "testing")]
pub mod testing;

use std::fmt::Debug;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use headwater_media::UnixMillis;

pub use config::{settings_at, store_settings};
pub use directory::DirectoryStore;
pub use error::StoreError;
pub use key::{Key, KeyError};
pub use s3::{Credentials, Encryption, S3Settings, S3Store};

/// How many entries a page of a list has at most: as many as S3 gives.
pub const PAGE_ENTRIES: usize = 1000;

/// A store of whole objects under keys.
#[async_trait]
pub trait ObjectStore: Debug + Send + Sync {
    /// Stores an object whole, instead of one that may be there.
    async fn put(&self, key: &Key, body: Bytes, content_type: &str) -> Result<Version, StoreError>;

    /// Stores an object whole instead of exactly this version of it. Of several who replace the same version one succeeds,
    /// as long as nobody writes the object by [`ObjectStore::put`].
    async fn replace(
        &self,
        key: &Key,
        body: Bytes,
        content_type: &str,
        version: &Version,
    ) -> Result<Replaced, StoreError>;

    /// Stores an object unless there is one, which then stays as it is. Of many who try at once one succeeds.
    async fn put_new(&self, key: &Key, body: Bytes, content_type: &str) -> Result<Put, StoreError>;

    /// The whole object.
    async fn get(&self, key: &Key) -> Result<Bytes, StoreError>;

    /// The whole object, its version, and how long ago it was written by the clock of the store, to the second. So no two
    /// machines' clocks are compared.
    async fn look(&self, key: &Key) -> Result<Seen, StoreError>;

    /// The bytes of a range, as far as the object has them; none where it ends before.
    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError>;

    /// How many bytes an object has; none where there is none.
    async fn size(&self, key: &Key) -> Result<Option<u64>, StoreError>;

    /// The first [`PAGE_ENTRIES`] objects below a prefix (`a` has `a/b` and `a/b/c`, and not `ab`), after the given key if there is
    /// one, in the order of the bytes of their keys.
    async fn list(&self, prefix: &Key, after: Option<&Key>) -> Result<Page, StoreError>;

    /// The first names, [`PAGE_ENTRIES`] at most, that have objects below them one level under a prefix, after the given name if
    /// there is one: `a` has `b` where there is an `a/b/c`. In the order of the keys below them.
    async fn folders(&self, prefix: &Key, after: Option<&str>) -> Result<Folders, StoreError>;

    /// Deletes objects. Those that are not there are fine.
    async fn delete(&self, keys: &[Key]) -> Result<(), StoreError>;

    /// A URL that anybody may read the object by for a while; none where the store has no URLs.
    async fn presign(&self, key: &Key, expires: Duration) -> Result<Option<String>, StoreError>;
}

/// Outcome of [`ObjectStore::put_new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    Stored,
    /// There was one already, of this many bytes.
    Existed {
        size: u64,
    },
}

/// Outcome of [`ObjectStore::replace`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaced {
    Stored(Version),
    /// The object was written or deleted by another client since, and was not replaced.
    Changed,
}

/// A state of an object: its entity tag (RFC 9110 §8.8.3), or what stands for it. Equal for equal bytes in some stores, so
/// an object that tells by its version whether somebody has written it must have other bytes each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(String);

/// An object as [`ObjectStore::look`] finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub body: Bytes,
    pub version: Version,
    /// Since it was written.
    pub age: Duration,
}

/// Some of the objects below a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// Whether there are more after the last one.
    pub is_truncated: bool,
}

/// An object as a list has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: Key,
    /// Bytes.
    pub size: u64,
    pub modified: UnixMillis,
}

/// Some of the names below a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folders {
    pub names: Vec<String>,
    /// Whether there are more after the last one.
    pub is_truncated: bool,
}

/// Which store it is.
#[derive(Clone, Debug)]
pub enum StoreSettings {
    Directory(PathBuf),
    S3(S3Settings),
}

/// Opens a store. One that can't be reached is found out by its first use, as it may be there later.
///
/// # Errors
/// When a directory can't be made.
pub async fn open(settings: &StoreSettings) -> Result<Arc<dyn ObjectStore>, StoreError> {
    Ok(match settings {
        StoreSettings::Directory(root) => Arc::new(DirectoryStore::open(root.clone()).await?),
        StoreSettings::S3(settings) => Arc::new(S3Store::open(settings).await),
    })
}
