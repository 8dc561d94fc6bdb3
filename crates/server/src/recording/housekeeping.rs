//! Work that any server does for all recordings: it finishes those whose server is gone, and deletes those that are old
//! enough, and the media of DVR windows that no viewer can be in any more.

use std::sync::Arc;
use std::time::Duration;

use headwater_media::StreamId;
use headwater_recordings::{Layout, clear, expire};
use headwater_registry::Registry;
use headwater_runtime::clock;
use headwater_runtime::outage::Outage;
use tokio::time::{sleep, timeout};

use super::Storage;
use super::orphans::Orphans;
use crate::settings::Policies;

/// Time until unfinished recordings are looked for again after the store has failed.
const FAILURE_DELAY: Duration = Duration::from_secs(10);
/// Longest wait for this machine's spool: objects of a recording that it has come first, if they are not many.
const SPOOL_WAIT_LIMIT: Duration = Duration::from_secs(60);
/// Time between two looks for old recordings.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Time until the first of these looks: a server that starts has other things to do.
const FIRST_EXPIRY_DELAY: Duration = Duration::from_secs(60);
/// Time between two looks for media of DVR windows that are over.
const CLEARING_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// The work of this server for all recordings of its store.
pub(crate) struct Housekeeping {
    pub(crate) storage: Storage,
    pub(crate) registry: Arc<dyn Registry>,
    /// Whether a broadcast is on air here.
    pub(crate) is_on_air: Box<dyn Fn(&Layout) -> bool + Send + Sync>,
    pub(crate) policies: Arc<Policies>,
}

impl Housekeeping {
    /// Never ends.
    pub(crate) async fn run(&self) {
        tokio::join!(self.finish_orphans(), self.expire_recordings(), self.clear_windows());
    }

    async fn finish_orphans(&self) {
        let mut orphans = Orphans::new(self.storage.store.clone());
        let mut outage = Outage::default();
        let _ = timeout(SPOOL_WAIT_LIMIT, self.storage.uploads.finished()).await;
        loop {
            let window = |stream: &StreamId| self.policies.policy_of(stream).reconnect_window;
            match orphans.look(|layout| self.is_owned(layout), window).await {
                Ok(next) => {
                    outage.ends();
                    sleep(next).await;
                    continue;
                }
                Err(error) if outage.begins() => {
                    tracing::warn!(%error, "unfinished recordings can't be looked for; trying until they can");
                }
                Err(_) => {}
            }
            sleep(FAILURE_DELAY).await;
        }
    }

    /// Whether a server has the broadcast, or may have it. A registry that knows of none proves nothing.
    async fn is_owned(&self, layout: Layout) -> bool {
        if (self.is_on_air)(&layout) {
            return true;
        }
        match self.registry.owner(&layout.stream).await {
            Ok(Some(owner)) => owner.broadcast.is_none_or(|broadcast| broadcast == layout.broadcast),
            Ok(None) => false,
            Err(_) => true,
        }
    }

    async fn expire_recordings(&self) {
        sleep(FIRST_EXPIRY_DELAY).await;
        loop {
            let retention = |stream: &StreamId| self.policies.retention_of(stream);
            match expire(self.storage.store.as_ref(), retention, clock::now()).await {
                Ok(expired) => {
                    for Layout { stream, broadcast } in expired {
                        tracing::info!(%stream, %broadcast, "deleted a recording that was old enough");
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "old recordings could not be deleted; trying again in an hour")
                }
            }
            sleep(EXPIRY_INTERVAL).await;
        }
    }

    async fn clear_windows(&self) {
        sleep(FIRST_EXPIRY_DELAY).await;
        loop {
            match clear(self.storage.store.as_ref()).await {
                Ok(cleared) => {
                    for Layout { stream, broadcast } in cleared {
                        tracing::debug!(%stream, %broadcast, "deleted media of a DVR window that is over");
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "media of DVR windows that are over could not be deleted; trying again in ten minutes")
                }
            }
            sleep(CLEARING_INTERVAL).await;
        }
    }
}
