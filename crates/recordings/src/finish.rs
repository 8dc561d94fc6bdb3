//! The end of a recording: its playlists and its summary, for readers that know no journal.

use std::time::Duration;

use headwater_hls::Archive;
use headwater_hls::playlist::{vod_media, vod_multivariant};
use headwater_media::Epoch;
use headwater_platform::store::{ObjectStore, StoreError};

use crate::expiry::mark_expiry;
use crate::fold::{clear_blocks, fold_journal};
use crate::journal::{Blocks, Recording};
use crate::pulse::{Pulse, mark_text};
use crate::recover::{Recovered, recover_segments};
use crate::summary::{State, Summary};
use crate::{Layout, delete, dvr};

const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";
const JSON_TYPE: &str = "application/json";
const TEXT_TYPE: &str = "text/plain";

/// Writes the playlists and the summary of a recording that goes on, as far as its journal has come.
///
/// # Errors
/// When the store does not take them.
pub async fn refresh(store: &dyn ObjectStore, layout: &Layout) -> Result<(), StoreError> {
    match Recording::load(store, layout).await? {
        Some(recording) => {
            write_documents(store, layout, &recording.kept(), State::Live, recording.retention).await
        }
        None => Ok(()),
    }
}

/// Outcome of finishing a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// It is complete, as far as it was stored.
    Done,
    /// The recording keeps no segment, or has none: it is gone, or goes with its DVR window (see [`clear`]).
    ///
    /// [`clear`]: crate::clear
    Nothing,
    /// Another server goes on with it.
    Superseded,
}

/// The party that brings a recording to its end.
#[derive(Clone, Copy, Debug)]
pub enum Finisher<'a> {
    /// Its owner, under this epoch. `is_whole` says that the recording holds all that publishers have sent.
    Owner { epoch: Epoch, is_whole: bool },
    /// Any server, as the owner has shown no sign of life since this one, for longer than it may be silent.
    Heir(&'a Pulse),
}

/// Brings a recording to its end: complete playlists, and no mark that it is unfinished. Media that only its DVR window keeps
/// is deleted when viewers can be in that no more (see [`clear`](crate::clear)), and at once where there is none. Can be done
/// again, after more was stored too.
///
/// First the journal is closed, by compare-and-set: an owner that has written in the meantime goes on with its recording,
/// one that writes later finds the block changed. So nothing is deleted of a recording that grows. Then the journal is
/// folded into one object, and its blocks are deleted when that is written.
///
/// # Errors
/// When the store does not do it. The mark stays until everything is done.
pub async fn finish(
    store: &dyn ObjectStore,
    layout: &Layout,
    by: Finisher<'_>,
) -> Result<Finished, StoreError> {
    let mut pulse = match by {
        Finisher::Owner { .. } => Pulse::of(store, layout).await?,
        Finisher::Heir(last) => last.clone(),
    };
    let mut blocks = Blocks::read_all(store, layout).await?;
    let mut recording = Recording::of_blocks(layout, &blocks);
    let mut recovered = Recovered::default();
    match (by, &mut recording) {
        // The mark of a successor is there before its journal.
        (Finisher::Owner { epoch, .. }, _) if pulse.newest_epoch() > Some(epoch) => {
            return Ok(Finished::Superseded);
        }
        (Finisher::Heir(_), Some(recording)) => {
            recovered = recover_segments(store, layout, recording).await?
        }
        _ => {}
    }
    if !pulse.close_journal(store, |block| recovered.add_to(block)).await? {
        return Ok(Finished::Superseded);
    }
    if let Some((place, block)) = pulse.newest_block() {
        blocks.set_block(place, block.clone());
    }
    let kept = recording.as_ref().map(Recording::kept).filter(|kept| !kept.is_empty());
    let is_left = match &recording {
        Some(recording) => dvr::mark_watched(store, layout, recording).await?,
        None => false,
    };
    let Some((recording, kept)) = recording.as_ref().zip(kept) else {
        if is_left {
            return let_go(store, layout, &pulse, Finished::Nothing).await;
        }
        if !pulse.is_still(&Pulse::of(store, layout).await?) {
            return Ok(Finished::Superseded);
        }
        delete::delete_objects(store, layout).await?;
        if !pulse.is_all_there_is(&Pulse::of(store, layout).await?) {
            return Ok(Finished::Superseded);
        }
        store.delete(&[layout.marker()]).await?;
        return Ok(Finished::Nothing);
    };
    let state = match by {
        Finisher::Owner { is_whole: true, .. } => State::Complete,
        _ => State::Interrupted,
    };
    let renditions: Vec<_> = kept.renditions().iter().map(|rendition| rendition.id.clone()).collect();
    // Before anybody is told that it is complete, and so reads the index.
    let folded = fold_journal(store, layout, &blocks, &renditions).await?;
    write_documents(store, layout, &kept, state, recording.retention).await?;
    mark_expiry(store, layout, &kept, recording.retention).await?;
    let later = Pulse::of(store, layout).await?;
    if !pulse.is_still(&later) {
        if let Finisher::Heir(_) = by {
            // An owner that came back may have finished it before all of this was written over that: to be done again.
            store.put(&layout.marker(), mark_text(later.newest_epoch()), TEXT_TYPE).await?;
        }
        return Ok(Finished::Superseded);
    }
    if let Some(folded) = folded {
        clear_blocks(store, folded).await?;
    }
    if !is_left {
        dvr::delete_the_rest(store, layout, recording).await?;
    }
    // That takes a while.
    let_go(store, layout, &pulse, Finished::Done).await
}

/// Takes the mark away, unless it is the one of somebody who has come meanwhile.
async fn let_go(
    store: &dyn ObjectStore,
    layout: &Layout,
    pulse: &Pulse,
    finished: Finished,
) -> Result<Finished, StoreError> {
    if !pulse.is_still(&Pulse::of(store, layout).await?) {
        return Ok(Finished::Superseded);
    }
    store.delete(&[layout.marker()]).await?;
    Ok(finished)
}

/// Media playlists first, then what names them, then what names that.
async fn write_documents(
    store: &dyn ObjectStore,
    layout: &Layout,
    kept: &Archive,
    state: State,
    retention: Option<Duration>,
) -> Result<(), StoreError> {
    for rendition in kept.renditions() {
        if let Some(text) = vod_media(kept, &rendition.id, state.stage()) {
            store.put(&layout.media_playlist(&rendition.id), text.into(), PLAYLIST_TYPE).await?;
        }
    }
    let Some(text) = vod_multivariant(kept) else { return Ok(()) };
    store.put(&layout.multivariant(), text.into(), PLAYLIST_TYPE).await?;
    let summary = Summary::of(&layout.stream, kept, state).kept_for(retention);
    store.put(&layout.summary(), summary.encode(), JSON_TYPE).await.map(drop)
}
