//! A store in memory, with faults on demand.

mod gated;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use headwater_media::UnixMillis;
use headwater_media::lock::MutexExt;
use tokio::time::Instant;

pub use gated::{Access, Gate, GatedStore};

use super::{
    Credentials, Entry, Folders, Key, ObjectStore, PAGE_ENTRIES, Page, Put, Replaced, S3Settings, Seen,
    StoreError, Version,
};

/// Settings of the stand-in for S3 (`headwater-store`) at this address, with its only bucket and key.
pub fn stand_in_settings(endpoint: String, timeout: Duration) -> S3Settings {
    S3Settings {
        bucket: "recordings".into(),
        region: Some("us-east-1".into()),
        endpoint: Some(endpoint),
        timeout,
        credentials: Some(Credentials {
            access_key: "test-access-key".into(),
            secret_key: "test-secret-key".into(),
        }),
        ..S3Settings::default()
    }
}

/// Objects in memory. Clones share them, and the faults.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    fault: Arc<Mutex<Fault>>,
    /// Objects that can't be read.
    refused: Arc<Mutex<BTreeSet<Key>>>,
}

/// Simulated fault of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// Every request fails at once with [`StoreError::Unavailable`].
    Away,
    /// Every request fails at once with [`StoreError::Refused`].
    Refusing,
    /// Every request takes that long, and succeeds.
    Slow(Duration),
    /// Every request takes that long, and then fails with [`StoreError::Unavailable`].
    Hanging(Duration),
    /// So many requests fail with [`StoreError::Unavailable`], and no more.
    FailingFor(usize),
    /// Objects are stored, but the answer never arrives: the writer is told [`StoreError::Unavailable`] once.
    LosingOneAnswer,
}

#[derive(Debug)]
struct State {
    objects: BTreeMap<Key, Object>,
    /// Every object that was written, in order.
    written: Vec<Key>,
    /// Every object that was read, as a whole or in part, in order.
    read: Vec<Key>,
    /// Requests of any kind.
    requests: usize,
    at_work: usize,
    most_at_work: usize,
    writes: u64,
    began: Instant,
}

#[derive(Clone, Debug)]
struct Object {
    body: Bytes,
    /// How many writes there were then.
    version: u64,
    written: Instant,
}

impl Default for State {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            written: Vec::new(),
            read: Vec::new(),
            requests: 0,
            at_work: 0,
            most_at_work: 0,
            writes: 0,
            began: Instant::now(),
        }
    }
}

impl MemoryStore {
    /// An empty store without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on this is wrong, and nothing else.
    pub fn set(&self, fault: Fault) {
        *self.current_fault() = fault;
    }

    /// From now on nobody may look at this object.
    pub fn refuse(&self, key: Key) {
        self.refused.lock_ignoring_poison().insert(key);
    }

    fn is_refused(&self, key: &Key) -> bool {
        self.refused.lock_ignoring_poison().contains(key)
    }

    /// The same objects as another machine reaches them, with faults of its own.
    #[must_use]
    pub fn from_elsewhere(&self) -> Self {
        Self { state: self.state.clone(), refused: self.refused.clone(), fault: Arc::default() }
    }

    /// The keys of all objects.
    pub fn keys(&self) -> Vec<String> {
        self.lock_state().objects.keys().map(Key::to_string).collect()
    }

    /// The keys of all objects that were written, in this order; one that was written twice is there twice.
    pub fn written(&self) -> Vec<String> {
        self.lock_state().written.iter().map(Key::to_string).collect()
    }

    /// The keys of all objects that were asked for, as a whole or in part, in this order; missing ones too.
    pub fn keys_read(&self) -> Vec<String> {
        self.lock_state().read.iter().map(Key::to_string).collect()
    }

    /// How many requests there were of any kind, failed ones too.
    pub fn requests(&self) -> usize {
        self.lock_state().requests
    }

    /// How many requests there were at the same time at most.
    pub fn most_at_work(&self) -> usize {
        self.lock_state().most_at_work
    }

    fn current_fault(&self) -> MutexGuard<'_, Fault> {
        self.fault.lock_ignoring_poison()
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock_ignoring_poison()
    }

    /// Does a request as the fault has it.
    async fn do_request<T>(
        &self,
        work: impl FnOnce(&mut State) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.lock_state().count_request();
        let fault = self.current_fault().take_one();
        let _at_work = AtWork(self);
        match fault {
            Fault::Away | Fault::FailingFor(_) => Err(unavailable_error()),
            Fault::Refusing => Err(refused_error()),
            Fault::Slow(delay) => {
                tokio::time::sleep(delay).await;
                work(&mut self.lock_state())
            }
            Fault::Hanging(delay) => {
                tokio::time::sleep(delay).await;
                Err(unavailable_error())
            }
            Fault::LosingOneAnswer => work(&mut self.lock_state()).and(Err(unavailable_error())),
            Fault::None => {
                // So that requests of others come in between, as with a real one.
                tokio::task::yield_now().await;
                work(&mut self.lock_state())
            }
        }
    }
}

fn unavailable_error() -> StoreError {
    StoreError::Unavailable("a fault on demand".into())
}

fn refused_error() -> StoreError {
    StoreError::Refused("403 AccessDenied: a fault on demand".into())
}

struct AtWork<'a>(&'a MemoryStore);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.lock_state().at_work -= 1;
    }
}

impl Fault {
    /// Takes the fault that one more request meets.
    fn take_one(&mut self) -> Self {
        let fault = *self;
        match fault {
            Self::FailingFor(0 | 1) | Self::LosingOneAnswer => *self = Self::None,
            Self::FailingFor(times) => *self = Self::FailingFor(times - 1),
            _ => {}
        }
        if fault == Self::FailingFor(0) { Self::None } else { fault }
    }
}

impl State {
    /// Counts a request.
    fn count_request(&mut self) {
        self.requests += 1;
        self.at_work += 1;
        self.most_at_work = self.most_at_work.max(self.at_work);
    }

    fn write_object(&mut self, key: &Key, body: Bytes) -> Result<Version, StoreError> {
        if key.is_root() {
            return Err(StoreError::Refused("the root is no object".into()));
        }
        self.writes += 1;
        self.written.push(key.clone());
        let object = Object { body, version: self.writes, written: Instant::now() };
        let version = object.object_version();
        self.objects.insert(key.clone(), object);
        Ok(version)
    }
}

impl Object {
    fn object_version(&self) -> Version {
        Version(self.version.to_string())
    }
}

/// When the clock of every store in memory begins.
const BEGIN: u64 = 1_800_000_000_000;

#[async_trait]
impl ObjectStore for MemoryStore {
    async fn put(&self, key: &Key, body: Bytes, _content_type: &str) -> Result<Version, StoreError> {
        self.do_request(|state| state.write_object(key, body)).await
    }

    async fn replace(
        &self,
        key: &Key,
        body: Bytes,
        _content_type: &str,
        version: &Version,
    ) -> Result<Replaced, StoreError> {
        self.do_request(|state| match state.objects.get(key) {
            Some(object) if object.object_version() == *version => {
                state.write_object(key, body).map(Replaced::Stored)
            }
            _ => Ok(Replaced::Changed),
        })
        .await
    }

    async fn put_new(&self, key: &Key, body: Bytes, _content_type: &str) -> Result<Put, StoreError> {
        self.do_request(|state| match state.objects.get(key) {
            Some(object) => Ok(Put::Existed { size: object.body.len() as u64 }),
            None => state.write_object(key, body).map(|_| Put::Stored),
        })
        .await
    }

    async fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
        self.get_range(key, 0..u64::MAX).await
    }

    async fn look(&self, key: &Key) -> Result<Seen, StoreError> {
        self.do_request(|state| {
            if self.is_refused(key) {
                return Err(refused_error());
            }
            state.read.push(key.clone());
            let object = state.objects.get(key).ok_or(StoreError::NotFound)?;
            let body = object.body.clone();
            let version = object.object_version();
            Ok(Seen { body, version, age: object.written.elapsed() })
        })
        .await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.do_request(|state| {
            state.read.push(key.clone());
            let body = &state.objects.get(key).ok_or(StoreError::NotFound)?.body;
            let end = range.end.min(body.len() as u64);
            Ok(body.slice(range.start.min(end) as usize..end as usize))
        })
        .await
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>, StoreError> {
        self.do_request(|state| Ok(state.objects.get(key).map(|object| object.body.len() as u64))).await
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>) -> Result<Page, StoreError> {
        self.do_request(|state| {
            let wanted = |key: &Key| key.below(prefix).is_some() && after.is_none_or(|after| key > after);
            let mut found = state.objects.iter().filter(|(key, _)| wanted(key));
            let began = state.began;
            let entry = |(key, object): (&Key, &Object)| Entry {
                key: key.clone(),
                size: object.body.len() as u64,
                modified: UnixMillis(BEGIN + (object.written - began).as_millis() as u64),
            };
            let entries = found.by_ref().take(PAGE_ENTRIES).map(entry).collect();
            Ok(Page { entries, is_truncated: found.next().is_some() })
        })
        .await
    }

    async fn folders(&self, prefix: &Key, after: Option<&str>) -> Result<Folders, StoreError> {
        let after = after.map(|name| format!("{name}/"));
        self.do_request(|state| {
            let below = state.objects.keys().filter_map(|key| Some(key.below(prefix)?.split_once('/')?.0));
            let mut names: Vec<_> = below.map(|name| format!("{name}/")).collect();
            names.dedup();
            names.retain(|name| after.as_ref().is_none_or(|after| name > after));
            let is_truncated = names.len() > PAGE_ENTRIES;
            names.truncate(PAGE_ENTRIES);
            let names = names.iter().map(|name| name.trim_end_matches('/').to_owned()).collect();
            Ok(Folders { names, is_truncated })
        })
        .await
    }

    async fn delete(&self, keys: &[Key]) -> Result<(), StoreError> {
        self.do_request(|state| {
            for key in keys {
                state.objects.remove(key);
            }
            Ok(())
        })
        .await
    }

    async fn presign(&self, _key: &Key, _expires: Duration) -> Result<Option<String>, StoreError> {
        Ok(None)
    }
}
