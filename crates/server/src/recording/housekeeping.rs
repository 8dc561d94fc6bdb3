//! What any server does for all recordings: it finishes those whose server is gone, and deletes those that are old enough.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use headwater_media::StreamId;
use headwater_platform::store::StoreError;
use headwater_recordings::{Layout, expire, finish, unfinished};
use headwater_registry::Registry;
use headwater_runtime::clock;
use headwater_runtime::config::Config;
use headwater_runtime::outage::Outage;
use tokio::time::{Instant, sleep, timeout};

use super::Storage;
use crate::broadcast::Broadcasts;

/// How often unfinished recordings are looked for.
const LOOK: Duration = Duration::from_secs(60);
/// How often it is looked at one that nobody seems to have.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// What this machine's spool has of a recording comes first, if that is not much.
const LEFTOVERS: Duration = Duration::from_secs(60);
/// How often old recordings are looked for.
const EXPIRE: Duration = Duration::from_secs(60 * 60);
/// Not in the first moments of a server, which has other things to do then.
const FIRST_EXPIRE: Duration = Duration::from_secs(60);

pub(crate) struct Housekeeping {
    pub(crate) storage: Storage,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) broadcasts: Arc<Broadcasts>,
    pub(crate) config: Arc<Config>,
}

impl Housekeeping {
    /// Never ends.
    pub(crate) async fn run(&self) {
        tokio::join!(self.finish_orphans(), self.expire());
    }

    async fn finish_orphans(&self) {
        // Whoever has not gone on with it in this time does not come any more. Since when nobody has:
        let mut alone: HashMap<Layout, Instant> = HashMap::new();
        let mut outage = Outage::default();
        let _ = timeout(LEFTOVERS, self.storage.uploads.finished()).await;
        loop {
            match self.look(&mut alone).await {
                Ok(()) => {
                    outage.ends();
                }
                Err(error) if outage.begins() => {
                    tracing::warn!(%error, "unfinished recordings can't be looked for; trying until they can");
                }
                Err(_) => {}
            }
            sleep(if alone.is_empty() { LOOK } else { LOOK_AGAIN }).await;
        }
    }

    async fn look(&self, alone: &mut HashMap<Layout, Instant>) -> Result<(), StoreError> {
        let marked = unfinished(self.storage.store.as_ref()).await?;
        alone.retain(|layout, _| marked.contains(layout));
        for layout in marked {
            if self.is_owned(&layout).await {
                alone.remove(&layout);
                continue;
            }
            let since = *alone.entry(layout.clone()).or_insert_with(Instant::now);
            if since.elapsed() >= self.patience(&layout.stream) {
                finish(self.storage.store.as_ref(), &layout, None).await?;
                alone.remove(&layout);
                tracing::info!(stream = %layout.stream, broadcast = %layout.broadcast, "finished a recording that its server has left");
            }
        }
        Ok(())
    }

    /// Whether somebody has the broadcast, or may have it.
    async fn is_owned(&self, layout: &Layout) -> bool {
        if self.broadcasts.get(&layout.stream).is_some_and(|on_air| on_air.id == layout.broadcast) {
            return true;
        }
        match self.registry.owner(&layout.stream).await {
            Ok(Some(owner)) => owner.broadcast.is_none_or(|broadcast| broadcast == layout.broadcast),
            Ok(None) => false,
            Err(_) => true,
        }
    }

    fn patience(&self, stream: &StreamId) -> Duration {
        self.config.policy(stream).reconnect_window + self.config.registry.lease
    }

    async fn expire(&self) {
        sleep(FIRST_EXPIRE).await;
        loop {
            let retention = |stream: &StreamId| self.config.policy(stream).retention;
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
            sleep(EXPIRE).await;
        }
    }
}
