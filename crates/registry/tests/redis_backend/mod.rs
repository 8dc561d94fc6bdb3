//! A Redis of its own for each test.

// Each test binary uses its share of these.
#![allow(dead_code)]

use std::sync::Arc;

use fred::prelude::*;
use headwater_registry::testing::RedisServer;
use headwater_registry::{RedisRegistry, RedisSettings, Registry, RegistryEvent, Ttls};
use tokio::time::timeout;

use crate::contract::{Backend, DEADLINE};

pub(crate) struct Redis {
    pub(crate) server: RedisServer,
}

impl Redis {
    pub(crate) fn start() -> Self {
        Self { server: RedisServer::start() }
    }

    /// A client that sees what is really there.
    pub(crate) async fn raw(&self) -> Client {
        let config = Config::from_url(&self.server.url_text()).unwrap();
        let client = Builder::from_config(config).build().unwrap();
        client.init().await.unwrap();
        client
    }
}

impl Backend for Redis {
    async fn open(&self, ttls: Ttls) -> Arc<dyn Registry> {
        connect(RedisSettings { ttls, ..RedisSettings::new(self.server.url()) }).await
    }
}

/// Connects, and waits until the registry listens: it says so by telling to look again.
pub(crate) async fn connect(settings: RedisSettings) -> Arc<dyn Registry> {
    let registry = RedisRegistry::connect(settings).unwrap();
    let mut watch = registry.watch();
    let listening = timeout(DEADLINE, watch.next()).await.expect("connects in time");
    assert_eq!(listening, Some(RegistryEvent::Missed));
    Arc::new(registry)
}
