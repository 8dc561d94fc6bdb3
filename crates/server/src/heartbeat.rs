//! Says that this server is there, with its load, once a second.

use std::sync::Arc;

use headwater_registry::{HEARTBEAT_INTERVAL, Registry, ServerRecord};
use headwater_runtime::outage::Outage;
use headwater_runtime::readiness::Latch;
use tokio_util::sync::CancellationToken;

use crate::broadcast::{Broadcasts, Home};

pub(crate) struct Heartbeat {
    pub registry: Arc<dyn Registry>,
    pub home: Home,
    pub broadcasts: Arc<Broadcasts>,
}

impl Heartbeat {
    /// Beats until the server stops, then takes it out. The latch is set with the first beat that was heard: from
    /// then on the server works without the registry too.
    pub async fn beat_until(&self, stop: &CancellationToken, registered: Latch) {
        let mut tick = tokio::time::interval(HEARTBEAT_INTERVAL);
        let mut outage = Outage::default();
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
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

    fn measure(&self, record: &ServerRecord) {
        let on_air = self.broadcasts.list();
        let live = || on_air.iter().map(|(_, on_air)| on_air).filter(|on_air| !on_air.is_over());
        let publishers = live().filter(|on_air| on_air.place.is_taken()).count();
        let renditions: usize = live().map(|on_air| on_air.feed.renditions()).sum();
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
            draining: false,
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}
