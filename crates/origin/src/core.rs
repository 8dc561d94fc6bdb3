//! An origin behind its listener.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use headwater_control::{Control, KnownServers, PublicUrls};
use headwater_directory::Directory;
use headwater_hls::LiveWindow;
use headwater_media::StreamId;
use headwater_platform::store::ObjectStore;
use headwater_registry::{OriginId, Registry};
use headwater_runtime::readiness::Readiness;
use headwater_wire::Channels;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::http::{Body, Interrupted, Policy, Service};
use crate::library::Library;
use crate::metrics::Metrics;
use crate::mirror::{self, Mirrors, View};
use crate::settings::Settings;
use crate::thumbnails::Thumbnails;
use crate::upstream::Upstream;
use crate::viewers::{Viewers, report_viewers};

/// How long a stream that was on air is shown though nobody can be found who has it, beyond the lease of its owner and
/// beyond the time for which its proxy keeps media for the next one: starting it takes some seconds.
const OFFLINE_GRACE_RESERVE: Duration = Duration::from_secs(10);
/// How often viewers are counted.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

/// An origin behind its listener: follows streams and answers requests.
pub struct Core {
    pub(crate) service: Arc<Service>,
    channels: Arc<Channels>,
    servers: Arc<dyn KnownServers>,
    tasks: TaskTracker,
    /// Ends the tasks; also when an origin is dropped in the middle of something.
    stop: DropGuard,
}

impl Core {
    /// Begins to learn what the registry knows; `channels` lead to the servers, and `store` is what
    /// recordings are read from. Readiness waits for the registry's first answer.
    pub fn start(
        settings: &Settings,
        registry: Arc<dyn Registry>,
        channels: Channels,
        store: Option<Arc<dyn ObjectStore>>,
        readiness: &Readiness,
    ) -> Self {
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let metrics = Arc::new(Metrics::new());
        let latch = readiness.latch("origin: the registry (Redis) does not answer");
        let channels = Arc::new(channels);
        let upstream = Arc::new(Upstream::new(registry.clone(), channels.clone(), latch, metrics.clone()));
        let servers = upstream.clone();
        let offline_grace = settings.lease.max(settings.replay_duration) + OFFLINE_GRACE_RESERVE;
        let of_mirrors = mirror::Settings {
            linger: settings.origin.mirror_linger,
            offline_grace,
            dvr_window: settings.dvr_window,
            dvr_windows: settings.dvr_windows.clone(),
        };
        let mirrors = Mirrors::start(upstream, of_mirrors, metrics.clone(), tasks.clone(), stop.clone());
        let public_url = settings.store.public_url.as_ref().map(|url| url.as_str().to_owned());
        let policy = Policy::new(public_url.as_deref());
        let library = Arc::new(Library::new(store, public_url, metrics.clone()));
        let thumbnails = Thumbnails::new(settings.worker_sandbox);
        let viewers = Viewers::default();
        let downloads = Default::default();
        let service = Arc::new(Service { library, mirrors, viewers, metrics, thumbnails, policy, downloads });
        tasks.spawn(stop.clone().run_until_cancelled_owned(keep_moving(service.clone())));
        tasks.spawn(stop.clone().run_until_cancelled_owned(count_viewers(service.clone())));
        let reporting = service.clone();
        let report = move |origin| reporting.viewers.report(origin);
        let reports = report_viewers(OriginId(rand::random()), registry, report);
        tasks.spawn(stop.clone().run_until_cancelled_owned(reports));
        Self { service, channels, servers, tasks, stop: stop.drop_guard() }
    }

    /// The control API of this origin's recordings and of the directory, whose changes the registry is told of.
    pub(crate) fn control(
        &self,
        settings: &Settings,
        directory: Option<Directory>,
        registry: Arc<dyn Registry>,
    ) -> Control {
        Control {
            store: self.service.library.store().ok().cloned(),
            cache: self.service.library.clone(),
            directory,
            registry,
            servers: self.servers.clone(),
            channels: self.channels.clone(),
            file_inputs: settings.file_inputs.clone(),
            input_mode: settings.input_mode,
            token: settings.control.token.clone(),
            public: PublicUrls {
                playback_url: settings.origin.public_url.as_ref().map(|url| url.as_str().to_owned()),
                ..PublicUrls::default()
            },
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
