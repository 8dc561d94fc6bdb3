//! Deleting recordings: because somebody wants it, or because they are old enough.

use std::time::Duration;

use headwater_media::{BroadcastId, StreamId, UnixMillis};
use headwater_platform::store::{Key, ObjectStore, StoreError};

use crate::Layout;
use crate::layout::{UNFINISHED_FOLDER, stream_folder};
use crate::list::{is_live, is_watched, read_summary};
use crate::pages::{all_folders, delete_below};
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

/// Deletes the recordings that are older than they are kept for, and gives them. `retention` is how long those of a stream are
/// kept after their end; none for ever.
///
/// # Errors
/// When the store does not do it; the rest is for the next time.
pub async fn expire(
    store: &dyn ObjectStore,
    retention: impl Fn(&StreamId) -> Option<Duration>,
    now: UnixMillis,
) -> Result<Vec<Layout>, StoreError> {
    let mut expired = Vec::new();
    for stream in all_folders(store, &Key::root()).await? {
        let stream = Some(stream).filter(|stream| stream != UNFINISHED_FOLDER);
        let Some(stream) = stream.and_then(|stream| stream.parse::<StreamId>().ok()) else { continue };
        let Some(retention) = retention(&stream) else { continue };
        for broadcast in all_folders(store, &stream_folder(&stream)).await? {
            let Ok(broadcast) = broadcast.parse::<BroadcastId>() else { continue };
            let layout = Layout { stream: stream.clone(), broadcast };
            if is_expired(store, &layout, retention, now).await? && close_recording(store, &layout).await? {
                delete_objects(store, &layout).await?;
                expired.push(layout);
            }
        }
    }
    Ok(expired)
}

async fn is_expired(
    store: &dyn ObjectStore,
    layout: &Layout,
    retention: Duration,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let is_over = |end: UnixMillis, after: Duration| now.0.saturating_sub(end.0) > after.as_millis() as u64;
    // It has not ended before it began, which its name tells without a request.
    if !is_over(layout.broadcast.made_at(), retention) || is_live(store, layout).await? {
        return Ok(false);
    }
    // Viewers of its DVR window are behind its end.
    if is_watched(store, layout).await? {
        return Ok(false);
    }
    Ok(match read_summary(store, layout).await? {
        Some(summary) => is_over(summary.end(), retention),
        None => is_over(layout.broadcast.made_at(), retention.max(RUIN_GRACE)),
    })
}
