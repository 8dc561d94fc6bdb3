//! The media that only the DVR window of a broadcast keeps, after the end of the broadcast.
//!
//! The last list that viewers are given names all of it. It stays for as long as that list is given, and for as long as
//! the list plays after that (RFC 8216bis §6.2.2); see [`keep_after_end`]. Then it is deleted by any server: a mark beside the
//! recordings says until when, and its age goes by the store's own clock.

use std::time::Duration;

use headwater_platform::store::{Key, ObjectStore, StoreError};
use headwater_runtime::config::{MAX_LEASE, MAX_LIVE_WINDOW, MAX_REPLAY_DURATION};

use crate::journal::Recording;
use crate::layout::WATCHED_FOLDER;
use crate::pages::{all_below, delete_below};
use crate::{Layout, delete};

/// How long origins may show the end of a broadcast as if it were live, before they give its last list: a live window, or
/// their patience with an owner that has gone without a word.
const SHOWN_AFTER_END: Duration = Duration::from_secs(20 * 60);
const _: () = assert!(SHOWN_AFTER_END.as_secs() > MAX_LIVE_WINDOW.as_secs());
const _: () =
    assert!(SHOWN_AFTER_END.as_secs() > MAX_LEASE.as_secs() + MAX_REPLAY_DURATION.as_secs() + SLACK_SECONDS);
/// Time that origins wait beyond a lease and a replay buffer, and more.
const SLACK_SECONDS: u64 = 60;
const TEXT_TYPE: &str = "text/plain";

/// How long after the end of a broadcast its media is kept: origins give the last list for as long as the DVR window is, and
/// the list plays for as long at most.
fn keep_after_end(dvr_window: Duration) -> Duration {
    dvr_window * 2 + SHOWN_AFTER_END
}

/// Notes that what only the DVR window keeps is to be deleted when no viewer can hold a list of it; false where there is
/// nothing of that kind.
pub(crate) async fn mark_watched(
    store: &dyn ObjectStore,
    layout: &Layout,
    recording: &Recording,
) -> Result<bool, StoreError> {
    if recording.dvr_window.is_zero() || recording.kept.is_none() || recording.archive.is_empty() {
        return Ok(false);
    }
    let kept_for = keep_after_end(recording.dvr_window).as_millis().to_string();
    store.put(&layout.dvr_marker(), kept_for.into(), TEXT_TYPE).await?;
    Ok(true)
}

/// Deletes the media that only the DVR windows of broadcasts have kept, where they have ended for so long that no viewer can
/// hold a list of it, and gives the broadcasts. Can be done by several servers at the same time.
///
/// # Errors
/// When the store does not do it; the rest is for the next time. Objects that it refuses to delete are left out.
pub async fn clear(store: &dyn ObjectStore) -> Result<Vec<Layout>, StoreError> {
    let marks = Key::new(WATCHED_FOLDER).expect("it is a name of an object");
    let mut cleared = Vec::new();
    for mark in all_below(store, &marks).await? {
        let Some(layout) = Layout::of_dvr_marker(&mark.key) else { continue };
        match clear_one(store, &layout).await {
            Ok(true) => cleared.push(layout),
            Ok(false) => {}
            Err(error @ StoreError::Unavailable(_)) => return Err(error),
            Err(error) => {
                let Layout { stream, broadcast } = &layout;
                tracing::warn!(%stream, %broadcast, %error, "media of a DVR window that is over can't be deleted");
            }
        }
    }
    Ok(cleared)
}

/// Whether it was due.
async fn clear_one(store: &dyn ObjectStore, layout: &Layout) -> Result<bool, StoreError> {
    let mark = layout.dvr_marker();
    let seen = match store.look(&mark).await {
        // Another server was faster.
        Err(StoreError::NotFound) => return Ok(false),
        seen => seen?,
    };
    let text = std::str::from_utf8(&seen.body).ok();
    // Nobody writes a mark that says nothing; one that was damaged is nothing to keep media for ever for.
    let kept_for = text.and_then(|text| text.parse().ok()).map_or(delete::RUIN_GRACE, Duration::from_millis);
    // An owner that was taken for dead may have come back, and ends the broadcast another time.
    if seen.age < kept_for || !delete::close_recording(store, layout).await? {
        return Ok(false);
    }
    match Recording::load(store, layout).await? {
        Some(recording) if !recording.kept().is_empty() => delete_the_rest(store, layout, &recording).await?,
        // Of a recording whose journal is damaged, all stays.
        _ if store.size(&layout.summary()).await?.is_some() => {}
        _ => delete::delete_objects(store, layout).await?,
    }
    store.delete(&[mark]).await?;
    Ok(true)
}

/// Deletes the renditions that the recording does not keep, and nothing else.
pub(crate) async fn delete_the_rest(
    store: &dyn ObjectStore,
    layout: &Layout,
    recording: &Recording,
) -> Result<(), StoreError> {
    let Some(kept) = &recording.kept else { return Ok(()) };
    let all = recording.archive.periods().flat_map(|period| &period.renditions);
    let mut others: Vec<_> =
        all.map(|(rendition, _)| &rendition.id).filter(|id| !kept.contains(id)).collect();
    others.sort();
    others.dedup();
    for rendition in others {
        delete_below(store, &layout.rendition(rendition), |_| false).await?;
    }
    Ok(())
}
