//! Which recordings there are.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use headwater_media::{BroadcastId, StreamId};
use headwater_platform::store::{Key, ObjectStore, StoreError};

use crate::Layout;
use crate::layout::{UNFINISHED_FOLDER, stream_folder};
use crate::pages::{all_below, all_folders};
use crate::pulse::Pulse;
use crate::summary::Summary;

/// Summaries that are fetched at the same time.
const CONCURRENT_READS: usize = 8;

/// The recordings of a stream, the newest first: those before `before` if it is given, `limit` at most. Whether there are
/// older ones.
///
/// # Errors
/// When the store does not say.
pub async fn list(
    store: &dyn ObjectStore,
    stream: &StreamId,
    before: Option<BroadcastId>,
    limit: usize,
) -> Result<(Vec<Summary>, bool), StoreError> {
    // Names of broadcasts begin with the time of their start.
    let mut broadcasts: Vec<BroadcastId> = Vec::new();
    for name in all_folders(store, &stream_folder(stream)).await? {
        broadcasts.extend(name.parse::<BroadcastId>().ok());
    }
    broadcasts.retain(|id| before.is_none_or(|before| id.as_bytes() < before.as_bytes()));
    broadcasts.reverse();
    let rest = broadcasts.len() > limit;
    broadcasts.truncate(limit);
    let read = |broadcast| async move {
        let layout = Layout { stream: stream.clone(), broadcast };
        describe(store, &layout).await
    };
    let found: Vec<_> = stream::iter(broadcasts).map(read).buffered(CONCURRENT_READS).try_collect().await?;
    Ok((found.into_iter().flatten().collect(), rest))
}

/// The summary of a recording; none where there is no such recording.
///
/// # Errors
/// When the store does not say.
pub async fn describe(store: &dyn ObjectStore, layout: &Layout) -> Result<Option<Summary>, StoreError> {
    if let Some(summary) = read_summary(store, layout).await? {
        return Ok(Some(summary));
    }
    Ok(is_live(store, layout).await?.then(|| Summary::begun(&layout.stream, layout.broadcast)))
}

/// Whether a recording is unfinished: by its mark, or by an owner that lives, should the mark be gone.
///
/// # Errors
/// When the store does not say.
pub async fn is_live(store: &dyn ObjectStore, layout: &Layout) -> Result<bool, StoreError> {
    Ok(store.size(&layout.marker()).await?.is_some()
        || Pulse::of(store, layout).await?.is_beating(Duration::ZERO))
}

/// Whether viewers may still be in the DVR window of a broadcast that has ended.
pub(crate) async fn is_watched(store: &dyn ObjectStore, layout: &Layout) -> Result<bool, StoreError> {
    Ok(store.size(&layout.dvr_marker()).await?.is_some())
}

/// All recordings that are unfinished.
///
/// # Errors
/// When the store does not say.
pub async fn unfinished(store: &dyn ObjectStore) -> Result<Vec<Layout>, StoreError> {
    let prefix = Key::new(UNFINISHED_FOLDER).expect("it is a name of an object");
    let marks = all_below(store, &prefix).await?;
    Ok(marks.iter().filter_map(|mark| Layout::of_marker(&mark.key)).collect())
}

/// The summary that is stored with a recording; none where it can't be read.
pub(crate) async fn read_summary(
    store: &dyn ObjectStore,
    layout: &Layout,
) -> Result<Option<Summary>, StoreError> {
    match store.get(&layout.summary()).await {
        Ok(bytes) => Ok(Summary::decode(&bytes)
            .inspect_err(|error| tracing::error!(key = %layout.summary(), %error, "a summary can't be read"))
            .ok()),
        Err(StoreError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}
