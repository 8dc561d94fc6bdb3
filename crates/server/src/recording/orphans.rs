//! Recordings whose owner is gone: how they are told, and brought to their end.
//!
//! An owner is taken for dead when nobody has the stream by the registry, **and** nothing was written of the recording for
//! as long as an owner may be silent, while the store answered this server throughout. Neither alone proves anything: a
//! registry may be empty, away or another one, and an owner may be cut off from the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use headwater_media::StreamId;
use headwater_platform::store::{ObjectStore, StoreError};
use headwater_recordings::{Finished, Finisher, Layout, Pulse, finish, unfinished};
use tokio::time::Instant;

/// Time between two looks for unfinished recordings.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// Time between two looks at a recording whose owner is silent.
const RECHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Longest time between two looks that count as one watch: of more, too little was seen.
const MAX_LOOK_GAP: Duration = Duration::from_secs(60);

/// The unfinished recordings that nobody owns by the registry.
pub(super) struct Orphans {
    store: Arc<dyn ObjectStore>,
    watched: HashMap<Layout, Watched>,
    /// The last look that the store has answered.
    looked: Option<Instant>,
}

struct Watched {
    pulse: Pulse,
    /// Time when it was first seen like this.
    since: Instant,
}

impl Orphans {
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, watched: HashMap::new(), looked: None }
    }

    /// Looks at all unfinished recordings, and finishes those that are dead. `is_owned` says whether somebody has a broadcast, or
    /// may have it; `reconnect_window` how long an owner may be without a publisher. Gives when to look again.
    ///
    /// # Errors
    /// When the store does not answer: all that was seen so far is void then. A recording that it refuses is left out.
    pub(super) async fn look<F: Future<Output = bool>>(
        &mut self,
        is_owned: impl Fn(Layout) -> F,
        reconnect_window: impl Fn(&StreamId) -> Duration,
    ) -> Result<Duration, StoreError> {
        if self.looked.take().is_none_or(|looked| looked.elapsed() > MAX_LOOK_GAP) {
            self.watched.clear();
        }
        let marked = unfinished(self.store.as_ref()).await?;
        self.watched.retain(|layout, _| marked.contains(layout));
        let mut next = LOOK_INTERVAL;
        for layout in marked {
            if is_owned(layout.clone()).await {
                self.watched.remove(&layout);
                continue;
            }
            match self.look_at(&layout, reconnect_window(&layout.stream)).await {
                Ok(true) => {}
                Ok(false) => next = RECHECK_INTERVAL,
                Err(error @ StoreError::Unavailable(_)) => return Err(error),
                Err(error) => {
                    let Layout { stream, broadcast } = &layout;
                    tracing::warn!(%stream, %broadcast, %error, "an unfinished recording can't be looked after");
                    self.watched.remove(&layout);
                }
            }
        }
        self.looked = Some(Instant::now());
        Ok(next)
    }

    /// Whether its owner lives, or it is finished.
    async fn look_at(&mut self, layout: &Layout, reconnect_window: Duration) -> Result<bool, StoreError> {
        let pulse = Pulse::of(self.store.as_ref(), layout).await?;
        let seen = self.watched.get(layout).filter(|seen| seen.pulse.is_still(&pulse));
        let since = seen.map_or_else(Instant::now, |seen| seen.since);
        let is_beating = pulse.is_beating(reconnect_window);
        if is_beating || since.elapsed() < pulse.patience(reconnect_window) {
            self.watched.insert(layout.clone(), Watched { pulse, since });
            return Ok(is_beating);
        }
        let finished = finish(self.store.as_ref(), layout, Finisher::Heir(&pulse)).await?;
        self.watched.remove(layout);
        if finished != Finished::Superseded {
            let Layout { stream, broadcast } = layout;
            tracing::info!(%stream, %broadcast, "finished a recording that its server has left");
        }
        Ok(true)
    }
}
