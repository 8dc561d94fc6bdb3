//! Broadcasts that nothing but the store knows of: the registry came back empty when their server died, or was in the memory
//! of the same process.

use std::time::Duration;

use headwater_media::{Epoch, ResumePoint, StreamId};
use headwater_platform::store::StoreError;
use headwater_recordings::{Abandoned, Doubt};
use headwater_registry::{Ownership, RegistryError};
use headwater_runtime::config::ACCEPT_TIMEOUT;
use tokio::time::{sleep, timeout};

use super::Broadcasts;
use crate::recording::Storage;

/// Longest wait of a publisher until it is clear whether its last broadcast goes on: longer than an owner of segments of six
/// seconds is watched, and half of what a proxy waits for, as a worker is to be started after it.
const TAKEOVER_LIMIT: Duration = Duration::from_secs(10);
const _: () = assert!(2 * TAKEOVER_LIMIT.as_secs() <= ACCEPT_TIMEOUT.as_secs());
/// Longest time in which the store says whether there is such a broadcast. There is none, as a rule.
const STORE_ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Time between two looks whether this machine's spool has given away the objects of the broadcast.
const RECHECK_INTERVAL: Duration = Duration::from_millis(100);

/// A broadcast that goes on here.
pub(super) struct TakenOver {
    /// The beginning of its next publisher.
    pub(super) point: ResumePoint,
    /// At least the epoch under which it goes on.
    pub(super) epoch: Epoch,
}

/// Reason why a broadcast in the store does not go on.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error(transparent)]
    Doubt(#[from] Doubt),
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl From<StoreError> for NotTaken {
    fn from(error: StoreError) -> Self {
        Self::Doubt(error.into())
    }
}

impl Broadcasts {
    /// Takes over the broadcast that a dead server has left in the store, if it may go on. A publisher does not wait long for
    /// that: another broadcast begins where it is not clear.
    pub(super) async fn take_over(&self, stream: &StreamId, epoch: Epoch) -> Option<TakenOver> {
        let storage = self.storage.as_ref()?;
        let taken = timeout(TAKEOVER_LIMIT, self.taken_from(storage, stream, epoch)).await;
        taken.unwrap_or_else(|_| Err(slow().into())).unwrap_or_else(|error| {
            tracing::warn!(
                %stream, %error,
                "a broadcast that this stream may have had does not go on: another one begins"
            );
            None
        })
    }

    async fn taken_from(
        &self,
        storage: &Storage,
        stream: &StreamId,
        mut epoch: Epoch,
    ) -> Result<Option<TakenOver>, NotTaken> {
        let store = storage.store.as_ref();
        let found = timeout(STORE_ANSWER_LIMIT, self.abandoned(storage, stream)).await;
        let Some(mut abandoned) = found.unwrap_or_else(|_| Err(slow()))? else { return Ok(None) };
        while storage.uploads.is_waiting(&abandoned.layout().lane()) {
            sleep(RECHECK_INTERVAL).await;
            let Some(found) = self.abandoned(storage, stream).await? else { return Ok(None) };
            abandoned = found;
        }
        abandoned.falls_silent(store).await?;
        if epoch <= abandoned.epoch() {
            let ownership = Ownership {
                server: self.home.server.clone(),
                address: self.home.address.clone(),
                epoch: abandoned.epoch(),
                broadcast: Some(abandoned.layout().broadcast),
            };
            epoch = self.registry.next_turn(stream, &ownership).await?;
        }
        let broadcast = abandoned.layout().broadcast;
        let point = abandoned.take_over(store, epoch).await?;
        tracing::info!(%stream, %broadcast, "goes on with what a server has left in the store");
        Ok(Some(TakenOver { point, epoch }))
    }

    /// The broadcast that may go on by the store; none that has ended here.
    async fn abandoned(&self, storage: &Storage, stream: &StreamId) -> Result<Option<Abandoned>, StoreError> {
        let found = Abandoned::find(storage.store.as_ref(), stream).await?;
        let here = self.get(stream);
        let has_ended = |found: &Abandoned| {
            here.as_ref().is_some_and(|here| here.id == found.layout().broadcast && here.feed.has_ended())
        };
        Ok(found.filter(|found| !has_ended(found)))
    }
}

fn slow() -> StoreError {
    StoreError::Unavailable("it takes too long".into())
}
