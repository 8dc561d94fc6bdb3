//! Objects that only their owner writes, unless somebody has taken it for dead.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use headwater_media::lock::MutexExt;
use headwater_platform::store::{Key, ObjectStore, Replaced, StoreError, Version};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How often an object is taken back from somebody who writes it at the same time, before that is a failure like others.
const MAX_ATTEMPTS: usize = 4;

/// Holds the version that the newest object of a sequence has in the store, so that each one is put over just that: an
/// owner finds out that somebody has taken it for dead, and takes the object back; unless that names a successor, to which it
/// yields. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Guard(Arc<Guarded>);

#[derive(Debug, Default)]
struct Guarded {
    stored: Mutex<Option<(Key, Version)>>,
    contested: Notify,
    /// Whether an object that somebody else has written names a successor.
    names_successor: Option<fn(&Bytes) -> bool>,
    /// Cancelled when one does.
    succeeded: CancellationToken,
}

impl Guard {
    /// Guard that yields to the writer of an object which names a successor.
    pub fn yielding(names_successor: fn(&Bytes) -> bool) -> Self {
        Self(Arc::new(Guarded { names_successor: Some(names_successor), ..Guarded::default() }))
    }

    /// Waits until somebody else has succeeded to the sequence. From then on nothing is put any more.
    pub async fn succeeded(&self) {
        self.0.succeeded.cancelled().await;
    }

    /// Waits until an object had to be taken back. Now and then it was only an upload whose answer was lost.
    pub async fn contested(&self) {
        self.0.contested.notified().await;
    }

    pub(super) async fn put_guarded(
        &self,
        store: &dyn ObjectStore,
        key: &Key,
        body: Bytes,
        content_type: &str,
    ) -> Result<(), StoreError> {
        let version = match self.stored_version(key) {
            _ if self.0.succeeded.is_cancelled() => return Ok(()),
            None => {
                self.look_back(store, key).await?;
                if self.0.succeeded.is_cancelled() {
                    return Ok(());
                }
                store.put(key, body, content_type).await?
            }
            Some(version) => match store.replace(key, body.clone(), content_type, &version).await? {
                Replaced::Stored(version) => version,
                Replaced::Changed => self.take_back(store, key, body, content_type).await?,
            },
        };
        self.set_stored(key, version);
        Ok(())
    }

    /// Looks whether the object before a new one is as it was left: an owner that comes back with a new one finds out, too.
    async fn look_back(&self, store: &dyn ObjectStore, key: &Key) -> Result<(), StoreError> {
        let Some((last, version)) = self.lock_stored().clone().filter(|(last, _)| last < key) else {
            return Ok(());
        };
        match store.look(&last).await {
            Ok(seen) if seen.version == version || self.yields_to(&seen.body) => {}
            Ok(_) | Err(StoreError::NotFound) => self.0.contested.notify_one(),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn take_back(
        &self,
        store: &dyn ObjectStore,
        key: &Key,
        body: Bytes,
        content_type: &str,
    ) -> Result<Version, StoreError> {
        for _ in 0..MAX_ATTEMPTS {
            let seen = match store.look(key).await {
                Ok(seen) if seen.body == body || self.yields_to(&seen.body) => return Ok(seen.version),
                Err(StoreError::NotFound) => {
                    self.0.contested.notify_one();
                    return store.put(key, body, content_type).await;
                }
                seen => seen?,
            };
            let replaced = store.replace(key, body.clone(), content_type, &seen.version).await?;
            if let Replaced::Stored(version) = replaced {
                self.0.contested.notify_one();
                return Ok(version);
            }
        }
        Err(StoreError::Unavailable("somebody else writes the same object".into()))
    }

    /// Whether an object names a successor; the owner has nothing more to say then.
    fn yields_to(&self, seen: &Bytes) -> bool {
        let is_successor = self.0.names_successor.is_some_and(|names_successor| names_successor(seen));
        if is_successor {
            self.0.succeeded.cancel();
        }
        is_successor
    }

    fn stored_version(&self, key: &Key) -> Option<Version> {
        self.lock_stored().as_ref().filter(|(of, _)| of == key).map(|(_, version)| version.clone())
    }

    /// Objects of a sequence are in the order of their keys; an older one that is put again changes nothing.
    fn set_stored(&self, key: &Key, version: Version) {
        let mut stored = self.lock_stored();
        if stored.as_ref().is_none_or(|(newest, _)| newest <= key) {
            *stored = Some((key.clone(), version));
        }
    }

    fn lock_stored(&self) -> MutexGuard<'_, Option<(Key, Version)>> {
        self.0.stored.lock_ignoring_poison()
    }
}
