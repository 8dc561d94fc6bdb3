//! Reads from the object store: recordings, and the segments that viewers of a live broadcast go back to.

mod losses;
mod plans;
mod recording;

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use headwater_control::RecordingCache;
use headwater_hls::mp4::Mp4;
use headwater_media::{MediaSequence, RenditionId, StreamId};
use headwater_platform::store::{Key, ObjectStore, StoreError};
use headwater_recordings::{Layout, Summary};
use moka::Expiry;
use moka::future::Cache;
use tracing::warn;

use losses::Losses;
pub(crate) use losses::Lost;
use plans::Plans;
pub(crate) use recording::Recorded;

use crate::metrics::Metrics;

/// Bytes of media that are kept: what a crowd asks for is asked of the store once. Half a minute of DVR for 25 streams.
const KEPT_BYTES: u64 = 256 << 20;
/// Media that nobody asks for is not kept for longer.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Recordings whose index is kept. That of an hour takes a megabyte.
const KEPT_RECORDINGS: u64 = 64;
/// How old the index of a recording may be that still grows: players ask again after a target duration.
const GROWING_FOR: Duration = Duration::from_secs(1);
/// And that much older for each hour that it lasts already, as reading it takes 30 requests an hour.
const GROWING_HOUR_FOR: Duration = Duration::from_secs(1);
/// And of one that does not: it can only be deleted.
const COMPLETE_FOR: Duration = Duration::from_secs(30);
/// How long a question that was answered with "there is none" is not asked again.
const MISSING_FOR: Duration = Duration::from_secs(1);
/// Recordings of a list.
const LISTED_RECORDINGS: usize = 100;

/// Reads the object store for viewers: each object and each index once for all who ask at the same time, and within
/// bounds of memory.
pub(crate) struct Library {
    store: Option<Arc<dyn ObjectStore>>,
    public_url: Option<String>,
    objects: Cache<Key, Bytes>,
    recordings: Cache<Layout, Option<Arc<Recorded>>>,
    losses: Losses,
    /// Files for downloading, by their tracks.
    plans: Plans,
    lists: Cache<StreamId, Arc<Vec<Summary>>>,
    metrics: Arc<Metrics>,
}

/// Why something can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// No store is configured.
    NoStore,
    Missing,
    /// The store is away, or refuses.
    Away,
}

impl Library {
    /// Without a store there are no recordings, and no rewinding. `public_url` is where viewers reach its objects by
    /// themselves.
    pub(crate) fn new(
        store: Option<Arc<dyn ObjectStore>>,
        public_url: Option<String>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let weight = |_: &Key, object: &Bytes| u32::try_from(object.len()).unwrap_or(u32::MAX);
        Self {
            objects: Cache::builder().weigher(weight).max_capacity(KEPT_BYTES).time_to_idle(KEPT_FOR).build(),
            recordings: Cache::builder().max_capacity(KEPT_RECORDINGS).expire_after(Freshness).build(),
            losses: Losses::default(),
            plans: Plans::default(),
            lists: Cache::builder().max_capacity(KEPT_RECORDINGS).time_to_live(MISSING_FOR).build(),
            store,
            public_url,
            metrics,
        }
    }

    /// A recording with its index.
    pub(crate) async fn recording(&self, layout: &Layout) -> Result<Arc<Recorded>, Unread> {
        let store = self.store.as_ref().ok_or(Unread::NoStore)?;
        let load = async {
            let loaded =
                Recorded::load(store.as_ref(), layout, self.losses.of_recording(layout), &self.metrics).await;
            loaded.map_err(|error| unread(&layout.folder(), error))
        };
        let loaded = self.recordings.try_get_with(layout.clone(), load).await;
        loaded.map_err(|error: Arc<Unread>| error.as_ref().clone())?.ok_or(Unread::Missing)
    }

    /// Notes that the store has not given segments of a complete recording, which it says are not there. The recording is
    /// listed without them from here on, unless the store has nothing else of it either: then it is the store that is not
    /// the one it was.
    pub(crate) async fn note_losses(
        &self,
        layout: &Layout,
        lost: impl IntoIterator<Item = (MediaSequence, RenditionId)>,
    ) {
        let Ok(store) = self.store() else { return };
        let known = self.losses.of_recording(layout);
        let mut lost = lost.into_iter().filter(|lost| !known.contains(lost)).peekable();
        if lost.peek().is_none() {
            return;
        }
        if !matches!(store.size(&layout.summary()).await, Ok(Some(_))) || !self.losses.add(layout, lost) {
            return;
        }
        let Layout { stream, broadcast } = layout;
        warn!(%stream, %broadcast, "segments of a recording are missing in the store, and left out from here on");
        self.recordings.invalidate(layout).await;
        self.plans.forget(layout);
    }

    /// Notes that a segment that was missing is there again.
    pub(crate) async fn note_found(&self, layout: &Layout, found: &(MediaSequence, RenditionId)) {
        self.losses.remove(layout, found);
        self.recordings.invalidate(layout).await;
        self.plans.forget(layout);
    }

    /// URL of an object at the CDN, where `store.public_url` names one.
    pub(crate) fn public_url(&self, key: &Key) -> Option<String> {
        Some(format!("{}/{key}", self.public_url.as_ref()?))
    }

    /// A whole object: a segment, say. What is not in the store may be `elsewhere`.
    pub(crate) async fn object(
        &self,
        key: &Key,
        elsewhere: impl Future<Output = Option<Bytes>>,
    ) -> Result<Bytes, Unread> {
        let get = async {
            match self.read(key).await {
                Err(unread) => elsewhere.await.ok_or(unread),
                read => read,
            }
        };
        let got = self.objects.try_get_with(key.clone(), get).await;
        got.map_err(|error: Arc<Unread>| error.as_ref().clone())
    }

    /// A whole object that nobody else is about to ask for: it is not kept.
    pub(crate) async fn read(&self, key: &Key) -> Result<Bytes, Unread> {
        read(self.store()?.as_ref(), key).await
    }

    /// The same of a part of an object.
    pub(crate) async fn read_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, Unread> {
        self.store()?.get_range(key, range).await.map_err(|error| unread(key, error))
    }

    /// The plan of a file of these tracks, for a viewer at this address; it is made once for all who ask, whoever of them goes away.
    pub(crate) async fn plan<F>(
        &self,
        layout: &Layout,
        tracks: &[RenditionId],
        from: IpAddr,
        make: impl FnOnce() -> F,
    ) -> Result<Arc<Mp4>, Unread>
    where
        F: Future<Output = Result<Mp4, Unread>> + Send + 'static,
    {
        self.plans.get((layout.clone(), tracks.to_vec()), from, make).await
    }

    /// The newest recordings of a stream, newest first.
    pub(crate) async fn list(&self, stream: &StreamId) -> Result<Arc<Vec<Summary>>, Unread> {
        let store = self.store.as_ref().ok_or(Unread::NoStore)?;
        let list = async {
            let listed = headwater_recordings::list(store.as_ref(), stream, None, LISTED_RECORDINGS).await;
            let (list, _) = listed.map_err(|error| unread(&Key::root(), error))?;
            Ok(Arc::new(list))
        };
        let listed = self.lists.try_get_with(stream.clone(), list).await;
        listed.map_err(|error: Arc<Unread>| error.as_ref().clone())
    }

    /// The store itself, for what is not done often.
    pub(crate) fn store(&self) -> Result<&Arc<dyn ObjectStore>, Unread> {
        self.store.as_ref().ok_or(Unread::NoStore)
    }
}

#[async_trait]
impl RecordingCache for Library {
    async fn forget(&self, layout: &Layout) {
        self.recordings.invalidate(layout).await;
        self.lists.invalidate(&layout.stream).await;
        self.plans.forget(layout);
        self.losses.forget(layout);
    }
}

/// A whole object.
pub(crate) async fn read(store: &dyn ObjectStore, key: &Key) -> Result<Bytes, Unread> {
    store.get(key).await.map_err(|error| unread(key, error))
}

pub(crate) fn unread(key: &Key, error: StoreError) -> Unread {
    match error {
        StoreError::NotFound => Unread::Missing,
        StoreError::Refused(_) | StoreError::Unavailable(_) => {
            warn!(%key, %error, "the object store can't be read");
            Unread::Away
        }
    }
}

/// How long an index is fresh.
struct Freshness;

impl Expiry<Layout, Option<Arc<Recorded>>> for Freshness {
    fn expire_after_create(
        &self,
        _: &Layout,
        recorded: &Option<Arc<Recorded>>,
        _: Instant,
    ) -> Option<Duration> {
        Some(match recorded {
            None => MISSING_FOR,
            Some(recorded) if recorded.is_complete() => COMPLETE_FOR,
            Some(recorded) => {
                let hours = recorded.archive.duration().as_secs_f64() / 3_600.0;
                GROWING_FOR + GROWING_HOUR_FOR.mul_f64(hours)
            }
        })
    }
}
