//! An origin behind its listener.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use headwater_control::Control;
use headwater_hls::LiveWindow;
use headwater_media::{MediaTime, StreamId};
use headwater_platform::store::ObjectStore;
use headwater_registry::Registry;
use headwater_runtime::config::Config;
use headwater_runtime::readiness::Readiness;
use headwater_wire::Channels;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::http::{Body, Interrupted, Policy, Service};
use crate::library::Library;
use crate::metrics::Metrics;
use crate::mirror::{Mirrors, Settings, View};
use crate::stills::Stills;
use crate::upstream::Upstream;

/// How long a stream that was on air is shown though nobody can be found who has it, beyond the lease of its owner and
/// beyond the time for which its proxy keeps media for the next one: starting it takes some seconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often viewers are counted.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

/// What follows streams and answers requests.
pub struct Core {
    pub(crate) service: Arc<Service>,
    tasks: TaskTracker,
    /// Ends the tasks; also when an origin is dropped in the middle of something.
    stop: DropGuard,
}

impl Core {
    /// Begins to learn what the registry knows; `channels` lead to the servers, and `store` is what
    /// recordings are read from. Uses of `config`: its sections `origin`
    /// and `registry`, `proxy.replay_duration` and `server.worker_sandbox`. Readiness waits for the registry's first answer.
    pub fn start(
        config: &Config,
        registry: Arc<dyn Registry>,
        channels: Channels,
        store: Option<Arc<dyn ObjectStore>>,
        readiness: &Readiness,
    ) -> Self {
        let (tasks, stop, metrics) = (TaskTracker::new(), CancellationToken::new(), Arc::new(Metrics::new()));
        let latch = readiness.latch("origin: the registry (Redis) does not answer");
        let upstream = Arc::new(Upstream::new(registry, channels, latch, metrics.clone()));
        let patience = config.registry.lease.max(config.proxy.replay_duration) + PATIENCE;
        let settings = Settings {
            linger: config.origin.mirror_linger,
            patience,
            dvr_window: config.recording.dvr_window.into(),
            dvr_windows: dvr_windows(config),
        };
        let mirrors = Mirrors::start(upstream, settings, metrics.clone(), tasks.clone(), stop.clone());
        let public_url = config.store.public_url.as_ref().map(|url| url.as_str().to_owned());
        let policy = Policy::new(public_url.as_deref());
        let library = Arc::new(Library::new(store, public_url, metrics.clone()));
        let (stills, viewers, downloads) = (Stills::new(config), Default::default(), Default::default());
        let service = Arc::new(Service { library, mirrors, viewers, metrics, stills, policy, downloads });
        tasks.spawn(stop.clone().run_until_cancelled_owned(keep_moving(service.clone())));
        tasks.spawn(stop.clone().run_until_cancelled_owned(count_viewers(service.clone())));
        Self { service, tasks, stop: stop.drop_guard() }
    }

    /// What the control API works on. Uses of `config`: its section `control` and `origin.public_url`.
    pub(crate) fn control(&self, config: &Config) -> Control {
        Control {
            store: self.service.library.store().ok().cloned(),
            cache: self.service.library.clone(),
            token: config.control.token.clone(),
            public_url: config.origin.public_url.as_ref().map_or("", |url| url.as_str()).to_owned(),
        }
    }

    /// Answers one request from this address. A request's body is never read.
    pub async fn respond<B>(
        &self,
        from: IpAddr,
        request: http::Request<B>,
    ) -> http::Response<impl http_body::Body<Data = bytes::Bytes, Error = Interrupted> + use<B>> {
        let response: http::Response<Body> = self.service.respond(from, request).await;
        response
    }

    /// Looks at what is shown of a stream, which counts as asking for it; none where nothing is.
    pub fn look<T>(&self, stream: &StreamId, at: impl FnOnce(Option<&LiveWindow>) -> T) -> T {
        match self.service.mirrors.held(stream) {
            Some(mirror) => mirror.look(|view: &View| at(view.window())),
            None => {
                self.service.mirrors.ask(stream);
                at(None)
            }
        }
    }

    /// Stops to follow streams.
    pub async fn stop(self) {
        drop(self.stop);
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Of the streams that have their own.
fn dvr_windows(config: &Config) -> HashMap<StreamId, MediaTime> {
    let window = |stream: &StreamId| (stream.clone(), config.policy(stream).dvr_window.into());
    config.streams.iter().map(|own| window(&own.stream)).collect()
}

async fn keep_moving(service: Arc<Service>) {
    service.downloads.keep_moving().await;
}

async fn count_viewers(service: Arc<Service>) {
    let mut interval = tokio::time::interval(COUNT_INTERVAL);
    loop {
        interval.tick().await;
        service.metrics.viewers.set(service.viewers.count() as f64);
    }
}
