//! The heartbeat: says once a second that this server is there, with its load.

use std::sync::Arc;

use headwater_registry::{HEARTBEAT_INTERVAL, Registry, ServerRecord};
use headwater_runtime::outage::Outage;
use headwater_runtime::readiness::Latch;
use tokio::time::Interval;
use tokio_util::sync::CancellationToken;

use crate::broadcast::{Broadcasts, Home};

/// The heartbeat of this server in the registry.
pub(crate) struct Heartbeat {
    pub registry: Arc<dyn Registry>,
    pub home: Home,
    pub broadcasts: Arc<Broadcasts>,
    /// Cancelled when the server drains: then its record says so at once.
    pub stop: CancellationToken,
}

impl Heartbeat {
    /// Beats until the server has nothing more to do, then takes it out. The latch is set with the first beat that was
    /// heard: from then on the server works without the registry too.
    pub async fn beat_until(&self, finished: &CancellationToken, registered: Latch) {
        let mut tick = tokio::time::interval(HEARTBEAT_INTERVAL);
        let mut outage = Outage::default();
        while finished.run_until_cancelled(self.next(&mut tick)).await.is_some() {
            let record = self.record();
            self.measure(&record);
            match self.registry.register_server(&record).await {
                Ok(()) => {
                    registered.set();
                    if outage.ends() {
                        tracing::info!("the server is registered again");
                    }
                }
                Err(error) if outage.begins() => {
                    tracing::warn!(%error, "the server can't be registered; trying until it can");
                }
                Err(_) => {}
            }
        }
        if let Err(error) = self.registry.unregister_server(&self.home.server).await {
            tracing::warn!(%error, "the server could not be taken out of the registry; it expires by itself");
        }
    }

    /// Waits until it is time for a beat.
    async fn next(&self, tick: &mut Interval) {
        let drains = self.stop.is_cancelled();
        tokio::select! {
            _ = tick.tick() => {}
            () = self.stop.cancelled(), if !drains => {}
            () = self.broadcasts.admission.changed() => {}
        }
    }

    fn measure(&self, record: &ServerRecord) {
        let on_air = self.broadcasts.list();
        let live = || on_air.iter().map(|(_, on_air)| on_air).filter(|on_air| !on_air.is_over());
        let publishers = live().filter(|on_air| on_air.slot.is_taken()).count();
        let renditions: usize = live().map(|on_air| on_air.feed.count_renditions()).sum();
        metrics::gauge!("headwater_server_broadcasts").set(live().count() as f64);
        metrics::gauge!("headwater_server_publishers").set(publishers as f64);
        metrics::gauge!("headwater_server_renditions").set(renditions as f64);
        metrics::gauge!("headwater_server_used_cores").set(f64::from(record.used_millicores) / 1e3);
        metrics::gauge!("headwater_server_capacity_cores").set(f64::from(record.capacity_millicores) / 1e3);
    }

    fn record(&self) -> ServerRecord {
        let load = self.broadcasts.admission.load();
        ServerRecord {
            id: self.home.server.clone(),
            address: self.home.address.clone(),
            capacity_millicores: load.capacity_millicores,
            used_millicores: load.used_millicores,
            broadcasts: load.broadcasts,
            draining: self.stop.is_cancelled(),
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}
