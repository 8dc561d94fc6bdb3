//! A proxy on a free port, encoders, and servers that do what a test tells them to.
#![allow(dead_code, unused_imports, reason = "every test binary uses a part of it")]

mod encoder;
pub mod media;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use headwater_proxy::{Proxy, ProxyError, Settings};
use headwater_registry::{MemoryRegistry, Registry, Ttls};
use headwater_runtime::config::Config;
use headwater_runtime::process::Process;
use headwater_runtime::readiness::Readiness;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use encoder::Encoder;
pub use server::{Call, TestServer, failure, resume_point};

/// A test that waits longer hangs.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub struct TestProxy {
    pub registry: MemoryRegistry,
    pub address: SocketAddr,
    pub encrypted_address: Option<SocketAddr>,
    pub drain: CancellationToken,
    pub tasks: TaskTracker,
    pub serving: JoinHandle<Result<(), ProxyError>>,
}

impl TestProxy {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::defaults();
        config.proxy.rtmp_listen = "127.0.0.1:0".parse().unwrap();
        change(&mut config);
        let registry = MemoryRegistry::new(Ttls { server: Duration::from_secs(3600), ..Ttls::default() });
        let drain = CancellationToken::new();
        let tasks = TaskTracker::new();
        let readiness = Readiness::default();
        let config = Settings::from(config);
        let process =
            Process { config, readiness: readiness.clone(), drain: drain.clone(), tasks: tasks.clone() };
        let shared: Arc<dyn Registry> = Arc::new(registry.clone());
        let proxy = Proxy::start(process, shared).await.unwrap();
        let address = proxy.address();
        let encrypted_address = proxy.encrypted_address();
        let serving = tokio::spawn(proxy.serve());
        within("the proxy is ready", readiness.ready()).await;
        Self { registry, address, encrypted_address, drain, tasks, serving }
    }

    /// Waits until everybody has left and the process could end.
    pub async fn ended(self) {
        within("the proxy ends", self.serving).await.unwrap().unwrap();
        self.tasks.close();
        within("its tasks end", self.tasks.wait()).await;
    }

    /// Whom the registry gives a stream to, and under which epoch.
    pub async fn owner(&self, stream: &str) -> Option<(String, u64)> {
        let owner = self.registry.owner(&stream.parse().unwrap()).await.unwrap()?;
        Some((owner.server.to_string(), owner.epoch.0))
    }
}

pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("never: {what}"))
}
