//! The broadcasts of this server, by stream.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use headwater_hls::Segment;
use headwater_media::lock::MutexExt;
use headwater_media::{MediaSequence, RenditionId, StreamId};
use headwater_platform::store::Key;
use headwater_recordings::Layout;
use headwater_registry::Registry;
use headwater_wire::Channels;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{BroadcastSettings, Home, LiveFeed, OnAir};
use crate::admission::Admission;
use crate::recording::Storage;
use crate::settings::Policies;

/// The broadcasts of this server, and all that they share.
pub struct Broadcasts {
    pub settings: BroadcastSettings,
    pub admission: Admission,
    pub(super) registry: Arc<dyn Registry>,
    pub(super) home: Home,
    /// Channels to the other servers.
    pub(super) channels: Arc<Channels>,
    pub(super) policies: Arc<Policies>,
    /// The store of recordings, if there is one.
    pub(super) storage: Option<Storage>,
    /// Cancelled when the server stops.
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    table: Mutex<HashMap<StreamId, OnAir>>,
}

impl Broadcasts {
    /// An empty table.
    #[expect(clippy::too_many_arguments, reason = "all that a server consists of")]
    pub fn new(
        settings: BroadcastSettings,
        admission: Admission,
        registry: Arc<dyn Registry>,
        home: Home,
        channels: Channels,
        policies: Arc<Policies>,
        storage: Option<Storage>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let channels = Arc::new(channels);
        let tasks = TaskTracker::new();
        let table = Mutex::default();
        Arc::new(Self {
            settings,
            admission,
            registry,
            home,
            channels,
            policies,
            storage,
            stop,
            tasks,
            table,
        })
    }

    /// The broadcast of a stream.
    pub fn get(&self, stream: &StreamId) -> Option<OnAir> {
        self.lock_table().get(stream).cloned()
    }

    /// All broadcasts with their streams, in no order.
    pub fn list(&self) -> Vec<(StreamId, OnAir)> {
        self.lock_table().iter().map(|(stream, on_air)| (stream.clone(), on_air.clone())).collect()
    }

    /// Whether a broadcast is on air here.
    pub(crate) fn is_on_air(&self, layout: &Layout) -> bool {
        self.get(&layout.stream).is_some_and(|on_air| on_air.id == layout.broadcast)
    }

    /// A segment of a broadcast that is on air here, as long as viewers of the live window may ask for it.
    pub(crate) fn in_window(
        &self,
        layout: &Layout,
        rendition: &RenditionId,
        sequence: MediaSequence,
    ) -> Option<Arc<Segment>> {
        let on_air = self.get(&layout.stream).filter(|on_air| on_air.id == layout.broadcast)?;
        on_air.feed.find_segment(rendition, sequence)
    }

    /// An object that waits here for the store.
    pub(crate) async fn in_spool(&self, key: &Key) -> Option<Bytes> {
        self.storage.as_ref()?.uploads.read(key).await
    }

    /// Waits until every broadcast has come to its end; they do so when the server's token is cancelled.
    pub async fn wait_until_finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Takes no more broadcasts, and has those that are there moved to other servers; the server ends with the last one.
    pub fn start_draining(&self) {
        self.stop.cancel();
    }

    /// Forgets a broadcast, unless the stream has a newer one by now, or the same one anew.
    pub(super) fn forget_broadcast(&self, stream: &StreamId, feed: &Arc<LiveFeed>) {
        let mut table = self.lock_table();
        if table.get(stream).is_some_and(|on_air| Arc::ptr_eq(&on_air.feed, feed)) {
            table.remove(stream);
        }
    }

    pub(super) fn lock_table(&self) -> MutexGuard<'_, HashMap<StreamId, OnAir>> {
        self.table.lock_ignoring_poison()
    }
}
