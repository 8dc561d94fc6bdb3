//! All mirrors of this origin: one for each stream that somebody watches.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use headwater_media::{MediaTime, StreamId};
use headwater_registry::RegistryEvent;
use headwater_wire::v1;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info_span};

use super::follow::Follower;
use super::{Mirror, View};
use crate::metrics::Metrics;
use crate::upstream::Upstream;

/// Streams that are followed at the same time at most, those asked for in vain included. A mirror that shows nothing
/// takes some 4 KB.
const MOST_MIRRORS: usize = 10_000;
/// A mirror lives at least so long after its last request: players ask again within a target duration, which is 10 s
/// at most.
const LEAST_LINGER: Duration = Duration::from_secs(12);
/// A stream that is not live is forgotten sooner: it answers a crowd that polls, and nothing is lost with it.
const NOT_LIVE_LINGER: Duration = Duration::from_secs(5);

/// What the configuration says about mirrors.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// How long a stream that nobody asks for stays mirrored.
    pub(crate) linger: Duration,
    /// How long a stream that was on air is shown while nobody can be found who has it.
    pub(crate) patience: Duration,
    /// How far viewers can go back; zero for not beyond the live window.
    pub(crate) dvr_window: MediaTime,
    /// The same of streams that have it their own way.
    pub(crate) dvr_windows: HashMap<StreamId, MediaTime>,
}

impl Settings {
    fn dvr_window(&self, stream: &StreamId) -> MediaTime {
        self.dvr_windows.get(stream).copied().unwrap_or(self.dvr_window)
    }
}

pub(crate) struct Mirrors {
    mirrors: Mutex<HashMap<StreamId, Arc<Mirror>>>,
    upstream: Arc<Upstream>,
    settings: Settings,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Mirrors {
    /// `stop` ends everything that is spawned on `tasks`.
    pub(crate) fn start(
        upstream: Arc<Upstream>,
        settings: Settings,
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let mirrors = Arc::new(Self { mirrors: Mutex::default(), upstream, settings, metrics, tasks, stop });
        let notified = mirrors.clone();
        mirrors.spawn(async move { notified.heed_registry().await });
        mirrors
    }

    /// A stored segment that only its server has; see [`Upstream::fetch`].
    pub(crate) async fn fetch(&self, segment: v1::FetchRequest) -> Option<Bytes> {
        self.upstream.fetch(segment).await
    }

    /// The mirror of a stream, which is started when there is none; none when there are too many.
    pub(crate) fn get(self: &Arc<Self>, stream: &StreamId) -> Option<Arc<Mirror>> {
        let mut mirrors = self.lock();
        if let Some(mirror) = mirrors.get(stream) {
            mirror.touch();
            return Some(mirror.clone());
        }
        if mirrors.len() >= MOST_MIRRORS {
            return None;
        }
        let mirror =
            Arc::new(Mirror::new(stream.clone(), self.settings.dvr_window(stream), self.metrics.clone()));
        mirrors.insert(stream.clone(), mirror.clone());
        self.metrics.mirrors.set(mirrors.len() as f64);
        drop(mirrors);
        self.follow(mirror.clone());
        Some(mirror)
    }

    fn follow(self: &Arc<Self>, mirror: Arc<Mirror>) {
        let span = info_span!("mirror", stream = %mirror.stream());
        let follower = Follower::new(mirror.clone(), self.upstream.clone(), self.settings.patience);
        let mirrors = self.clone();
        let followed = async move {
            tokio::select! {
                () = mirrors.unused(&mirror) => {}
                () = follower.run() => {}
            }
        };
        self.spawn(followed.instrument(span));
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    /// Waits until nobody has asked for the stream for long, and forgets the mirror.
    async fn unused(&self, mirror: &Arc<Mirror>) {
        while !self.forget_unused(mirror) {
            let looks = mirror.last_used() + NOT_LIVE_LINGER;
            sleep_until(looks.max(Instant::now() + NOT_LIVE_LINGER)).await;
        }
    }

    /// Under the lock that hands mirrors out, so that nobody is left with one that is not followed.
    fn forget_unused(&self, mirror: &Mirror) -> bool {
        let linger = match mirror.look(|view| matches!(view, View::NotLive)) {
            true => NOT_LIVE_LINGER,
            false => self.settings.linger.max(LEAST_LINGER),
        };
        let mut mirrors = self.lock();
        let unused = mirror.last_used() + linger <= Instant::now() && !mirror.is_awaited();
        if unused {
            mirrors.remove(mirror.stream());
            self.metrics.mirrors.set(mirrors.len() as f64);
        }
        unused
    }

    /// Wakes the followers whose stream has a new owner.
    async fn heed_registry(&self) {
        let mut events = self.upstream.events();
        let mut refresh = tokio::time::interval(SERVERS_REFRESH);
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                _ = refresh.tick() => Some(RegistryEvent::ServersChanged),
            };
            match event {
                Some(RegistryEvent::OwnerChanged(stream)) => self.poke(&stream),
                Some(RegistryEvent::ServersChanged) => self.upstream.learn_servers().await,
                Some(RegistryEvent::Missed) => {
                    self.lock().values().for_each(|mirror| mirror.poke.notify_one());
                    self.upstream.learn_servers().await;
                }
                None => return,
            }
        }
    }

    fn poke(&self, stream: &StreamId) {
        if let Some(mirror) = self.lock().get(stream) {
            mirror.poke.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StreamId, Arc<Mirror>>> {
        self.mirrors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Servers are also learnt anew without being told: an event may be lost, and the registry be away when there is one;
/// and none comes for one whose record expires. A stream's lease outlives that record by as long as this.
const SERVERS_REFRESH: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use headwater_registry::{MemoryRegistry, Ttls};
    use headwater_runtime::readiness::Readiness;

    use super::*;

    fn mirrors() -> Arc<Mirrors> {
        let (metrics, readiness) = (Arc::new(Metrics::new()), Readiness::default());
        let registry = Arc::new(MemoryRegistry::new(Ttls::default()));
        let upstream = Arc::new(Upstream::new(
            registry,
            Default::default(),
            readiness.latch("registry"),
            metrics.clone(),
        ));
        let settings = Settings {
            linger: Duration::ZERO,
            patience: Duration::from_secs(20),
            dvr_window: MediaTime::ZERO,
            dvr_windows: HashMap::new(),
        };
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        Mirrors::start(upstream, settings, metrics, tasks, stop)
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_nobody_asks_for_is_forgotten() {
        let mirrors = mirrors();
        let stream = "demo".parse().unwrap();
        let first = mirrors.get(&stream).unwrap();
        for _ in 0..4 {
            tokio::time::sleep(NOT_LIVE_LINGER / 2).await;
            assert!(Arc::ptr_eq(&first, &mirrors.get(&stream).unwrap()));
            assert!(first.look(|view| matches!(view, View::NotLive)));
        }
        tokio::time::sleep(NOT_LIVE_LINGER * 2).await;
        assert!(mirrors.lock().is_empty());
        assert!(!Arc::ptr_eq(&first, &mirrors.get(&stream).unwrap()));
    }
    #[tokio::test(start_paused = true)]
    async fn a_stream_that_somebody_waits_for_is_kept() {
        let mirrors = mirrors();
        let stream = "demo".parse().unwrap();
        let mirror = mirrors.get(&stream).unwrap();
        let never = |_: &View| None::<()>;
        mirror.wait(crate::mirror::Scope::Anything, NOT_LIVE_LINGER * 3, never).await;
        assert!(Arc::ptr_eq(&mirror, &mirrors.get(&stream).unwrap()));
    }
}
