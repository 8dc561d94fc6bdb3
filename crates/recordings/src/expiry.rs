//! Deletion of recordings that are old enough.
//!
//! The configuration says how long the recordings of a stream are kept, and a live input may say it for those of its own
//! broadcasts: then the recording's summary holds the time, and a mark beside the recordings, which is written when the
//! recording is finished, says when it is over. Marks sort by that time, so a look for recordings that are due costs the same
//! however many there are.

use std::time::Duration;

use headwater_hls::Archive;
use headwater_media::{BroadcastId, StreamId, UnixMillis};
use headwater_platform::store::{Key, ObjectStore, StoreError};

use crate::Layout;
use crate::delete::{RUIN_GRACE, close_recording, delete_objects};
use crate::layout::{EXPIRY_FOLDER, UNFINISHED_FOLDER, stream_folder};
use crate::list::{is_live, is_watched, read_summary};
use crate::pages::all_folders;
use crate::summary::{State, Summary};

const TEXT_TYPE: &str = "text/plain";

/// Notes when a recording with a retention of its own is to be deleted.
pub(crate) async fn mark_expiry(
    store: &dyn ObjectStore,
    layout: &Layout,
    kept: &Archive,
    retention: Option<Duration>,
) -> Result<(), StoreError> {
    let Some(retention) = retention else { return Ok(()) };
    let due = due_after(Summary::of(&layout.stream, kept, State::Complete).end(), retention);
    store.put(&layout.expiry_marker(due), "".into(), TEXT_TYPE).await.map(drop)
}

/// Deletes the recordings that are older than they are kept for, and gives them. `retention` is how long those of a stream are
/// kept after their end, unless a recording has a retention of its own; none for ever.
///
/// # Errors
/// When the store does not do it; the rest is for the next time.
pub async fn expire(
    store: &dyn ObjectStore,
    retention: impl Fn(&StreamId) -> Option<Duration>,
    now: UnixMillis,
) -> Result<Vec<Layout>, StoreError> {
    let mut expired = expire_marked(store, now).await?;
    expired.extend(expire_configured(store, retention, now).await?);
    Ok(expired)
}

/// Deletes the recordings whose own retention is over.
async fn expire_marked(store: &dyn ObjectStore, now: UnixMillis) -> Result<Vec<Layout>, StoreError> {
    let marks = Key::new(EXPIRY_FOLDER).expect("it is a name of an object");
    let mut expired = Vec::new();
    let mut after = None;
    loop {
        let page = store.list(&marks, after.as_ref()).await?;
        for entry in &page.entries {
            let Some((due, layout)) = Layout::of_expiry_marker(&entry.key) else { continue };
            if due >= now {
                return Ok(expired);
            }
            if expire_one(store, &layout, &entry.key, now).await? {
                expired.push(layout);
            }
        }
        after = page.entries.last().map(|entry| entry.key.clone());
        if !page.is_truncated || after.is_none() {
            return Ok(expired);
        }
    }
}

/// Deletes a recording whose mark is due; false where it stays for now, or is gone.
async fn expire_one(
    store: &dyn ObjectStore,
    layout: &Layout,
    mark: &Key,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let summary = read_summary(store, layout).await?;
    let retention = summary.as_ref().and_then(Summary::retention);
    let is_due = match retention {
        Some(retention) => is_expired(store, layout, retention, now).await?,
        None => false,
    };
    if is_due && close_recording(store, layout).await? {
        delete_objects(store, layout).await?;
        store.delete(std::slice::from_ref(mark)).await?;
        return Ok(true);
    }
    // An owner that went on with it has written another mark at the end, or will.
    let later = summary.zip(retention).map(|(summary, retention)| due_after(summary.end(), retention));
    if later.is_none_or(|later| later >= now) {
        store.delete(std::slice::from_ref(mark)).await?;
    }
    Ok(false)
}

/// Deletes the recordings that are older than the configuration keeps them.
async fn expire_configured(
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

/// Whether a recording is over for longer than its own retention, or else than this one.
async fn is_expired(
    store: &dyn ObjectStore,
    layout: &Layout,
    retention: Duration,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let is_over = |end: UnixMillis, after: Duration| now > due_after(end, after);
    // It has not ended before it began, which its name tells without a request.
    if !is_over(layout.broadcast.made_at(), retention) || is_live(store, layout).await? {
        return Ok(false);
    }
    // Viewers of its DVR window are behind its end.
    if is_watched(store, layout).await? {
        return Ok(false);
    }
    Ok(match read_summary(store, layout).await? {
        Some(summary) => is_over(summary.end(), summary.retention().unwrap_or(retention)),
        None => is_over(layout.broadcast.made_at(), retention.max(RUIN_GRACE)),
    })
}

fn due_after(end: UnixMillis, retention: Duration) -> UnixMillis {
    UnixMillis(end.0.saturating_add(retention.as_millis() as u64))
}
