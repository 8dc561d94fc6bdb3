//! The delivery edge. It looks a stream up in the registry, mirrors its live window from the server that has it by one
//! `Watch` call however many viewers there are, and answers HLS over HTTP from memory.
//!
//! The trip of a part: `upstream` receives it, `mirror::follow` applies it to the window of its stream and wakes who
//! waits for it, `http` sends it to each of them from the one copy.
//!
//! What viewers were given keeps its bytes: when a stream moves to another server, its window goes on, and a server
//! with a lower epoch than one that was heard is refused.

mod http;
mod metrics;
mod mirror;
mod upstream;
mod viewers;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use headwater_registry::Registry;
use headwater_runtime::config::Config;
use headwater_runtime::listener::{BindError, Limits, Listener};
use headwater_runtime::process::Process;
use headwater_runtime::readiness::Readiness;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::http::Service;
use crate::metrics::Metrics;
use crate::mirror::{Mirrors, Settings};
use crate::upstream::Upstream;

/// How long, beyond the lease of its owner, a stream that was on air is shown though nobody can be found who has it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often viewers are counted.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("the HTTP listener broke: {0}")]
    Accept(#[from] io::Error),
}

/// Runs an origin until the process is told to stop and every request under way is answered.
///
/// # Errors
/// When it can't start, or its listener breaks.
pub async fn run(process: Process, registry: Arc<dyn Registry>) -> Result<(), OriginError> {
    let origin = Origin::start(&process.config, registry, &process.readiness).await?;
    Ok(origin.serve(process.drain).await?)
}

/// An origin that listens.
pub struct Origin {
    listener: Listener,
    service: Arc<Service>,
    tasks: TaskTracker,
    /// Ends the tasks; also when an origin is dropped in the middle of something.
    stop: DropGuard,
}

impl Origin {
    /// Listens on `origin.http_listen` and begins to learn what the registry knows. Uses of `config`: its sections
    /// `origin` and `registry`. Readiness waits for the registry's first answer.
    ///
    /// # Errors
    /// When the address can't be listened on.
    pub async fn start(
        config: &Config,
        registry: Arc<dyn Registry>,
        readiness: &Readiness,
    ) -> Result<Self, BindError> {
        let limits = Limits::total(config.origin.max_connections);
        let listener = Listener::bind(config.origin.http_listen, "origin.http_listen", limits).await?;
        let (tasks, stop, metrics) = (TaskTracker::new(), CancellationToken::new(), Arc::new(Metrics::new()));
        let upstream =
            Arc::new(Upstream::new(registry, readiness.latch("origin: registry"), metrics.clone()));
        let settings =
            Settings { linger: config.origin.mirror_linger, patience: config.registry.lease + PATIENCE };
        let mirrors = Mirrors::start(upstream, settings, metrics.clone(), tasks.clone(), stop.clone());
        let service = Arc::new(Service { mirrors, viewers: Default::default(), metrics });
        tasks.spawn(stop.clone().run_until_cancelled_owned(count_viewers(service.clone())));
        Ok(Self { listener, service, tasks, stop: stop.drop_guard() })
    }

    /// The address that is really listened on.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Answers viewers until `drain` is cancelled, and then until the requests under way are answered; the streams are
    /// followed as long as that takes.
    ///
    /// # Errors
    /// When the listener is broken.
    pub async fn serve(self, drain: CancellationToken) -> io::Result<()> {
        info!(address = %self.address(), "the origin listens");
        let served = http::serve(self.service, self.listener, drain).await;
        drop(self.stop);
        self.tasks.close();
        self.tasks.wait().await;
        served
    }
}

async fn count_viewers(service: Arc<Service>) {
    let mut interval = tokio::time::interval(COUNT_INTERVAL);
    loop {
        interval.tick().await;
        service.metrics.viewers.set(service.viewers.count() as f64);
    }
}
