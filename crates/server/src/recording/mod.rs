//! The recordings of this server's broadcasts. No viewer and no encoder waits for anything here: objects that the store does
//! not take in time wait in the spool.
//!
//! [`Recorder`] hands over each segment when it is whole, and the journal's record that names it after it. [`UploadTracker`] follows
//! them to the store, one task a broadcast: it tells the feed which segments can be fetched, corrects the journal where one is
//! lost, and finishes the recording. [`Housekeeping`] finishes the recordings of servers that are gone.

mod housekeeping;
mod orphans;
mod recorder;
#[cfg(test)]
mod tests;
mod upload_tracker;

use std::sync::Arc;
use std::time::Duration;

use headwater_hls::Archive;
use headwater_media::{Record, StoredSegment};
use headwater_platform::store::{self, ObjectStore, StoreError, store_settings};
use headwater_recordings::upload_settings;
use headwater_recordings::uploads::Uploads;
use headwater_runtime::config::RecordingConfig;
use headwater_wire::Handoff;

use crate::settings::StoreSource;

pub(crate) use housekeeping::Housekeeping;
pub(crate) use recorder::{Durability, Recorder};
pub(crate) use upload_tracker::UploadTracker;

/// Segments that viewers can go back to, as they are told of them.
pub(crate) trait DvrHistory: Send + Sync {
    /// Adds a record of what is stored. Gives the segments that viewers can't go back to any more.
    fn add_record(&self, record: &Record) -> Vec<Arc<StoredSegment>>;
    /// Adds the segments that other servers have stored before. Gives those that viewers can't go back to any more.
    fn load_history(&self, before: Option<Archive>) -> Vec<Arc<StoredSegment>>;
}

/// Source of the handoff that stands in the journal.
pub(crate) trait JournalHandoff: Send + Sync {
    /// The handoff as it is now, if the broadcast may go on. `late` is how many more segments may be made before it reaches its
    /// readers.
    fn handoff(&self, late: u64) -> Option<Handoff>;
}

/// The store of this server, and the way there.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) uploads: Uploads,
}

impl Storage {
    /// Opens the store of a server, and begins to upload what is in its spool; none where nothing is to be stored.
    pub(crate) async fn open(
        source: &StoreSource,
        recording: &RecordingConfig,
    ) -> Result<Option<Self>, StoreError> {
        let Some(store) = open_store(source).await? else { return Ok(None) };
        let uploads = Uploads::start(store.clone(), &upload_settings(recording, store_timeout(source))).await;
        Ok(Some(Self { store, uploads }))
    }
}

/// Time that one request to the store may take; zero for a store that keeps to none.
fn store_timeout(source: &StoreSource) -> Duration {
    match source {
        StoreSource::Opened(_) => Duration::ZERO,
        StoreSource::Configured(config) => config.timeout,
    }
}

async fn open_store(source: &StoreSource) -> Result<Option<Arc<dyn ObjectStore>>, StoreError> {
    match source {
        StoreSource::Opened(store) => Ok(Some(store.clone())),
        StoreSource::Configured(config) => match store_settings(config) {
            Some(settings) => store::open(&settings).await.map(Some),
            None => Ok(None),
        },
    }
}
