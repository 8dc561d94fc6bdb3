//! Deleting recordings.

use std::time::Duration;

use headwater_platform::store::{ObjectStore, StoreError};

use crate::Layout;
use crate::list::is_live;
use crate::pages::delete_below;
use crate::pulse::Pulse;

/// How long what has neither a summary nor a mark is left alone: a deletion that has not come to its end, or media that an
/// owner of long ago has still had in its spool.
pub(crate) const RUIN_GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a recording is not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    #[error("there is no such recording")]
    NotFound,
    #[error("the broadcast is still live")]
    Live,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Deletes a recording. An interrupted deletion can be done again: the summary goes last.
///
/// # Errors
/// When there is none, when it is not finished, or when the store does not do it.
pub async fn delete(store: &dyn ObjectStore, layout: &Layout) -> Result<(), DeleteError> {
    if is_live(store, layout).await? {
        return Err(DeleteError::Live);
    }
    if store.size(&layout.summary()).await?.is_none() {
        return Err(DeleteError::NotFound);
    }
    if close_recording(store, layout).await? {
        Ok(delete_objects(store, layout).await?)
    } else {
        Err(DeleteError::Live)
    }
}

/// Closes a recording for a deletion; false where its owner turns out to live.
pub(crate) async fn close_recording(store: &dyn ObjectStore, layout: &Layout) -> Result<bool, StoreError> {
    let mut pulse = Pulse::of(store, layout).await?;
    if pulse.is_closed() {
        return Ok(true);
    }
    Ok(!pulse.is_beating(Duration::ZERO) && pulse.close_journal(store, |_| {}).await?)
}

/// Deletes all objects of a broadcast but its mark.
pub(crate) async fn delete_objects(store: &dyn ObjectStore, layout: &Layout) -> Result<(), StoreError> {
    // Nobody can begin to play it from here on.
    store.delete(&[layout.multivariant()]).await?;
    let summary = layout.summary();
    delete_below(store, &layout.folder(), |key| *key == summary).await?;
    store.delete(&[summary]).await
}
