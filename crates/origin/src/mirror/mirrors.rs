//! All mirrors of this origin: one for each stream that somebody watches.

use std::collections::HashMap;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use headwater_media::lock::MutexExt;
use headwater_media::{MediaTime, StreamId};
use headwater_registry::{RegistryEvent, Watch};
use headwater_wire::v2;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info_span};

use super::follow::Follower;
use super::lookups::{Found, Lookups};
use super::{Mirror, View};
use crate::metrics::Metrics;
use crate::upstream::Upstream;

/// Streams that are followed at the same time at most: only those that somebody has had lately.
const MAX_MIRRORS: usize = 10_000;
/// A mirror lives at least so long after its last request: players ask again within a target duration, which is 10 s
/// at most.
const MIN_LINGER: Duration = Duration::from_secs(12);
/// A stream that is not live any more is forgotten sooner: it answers a crowd that polls, and nothing is lost with it.
pub(super) const NOT_LIVE_LINGER: Duration = Duration::from_secs(5);
/// The longest wait of a request for a stream while it can't be said whether anybody has it.
const LOOKUP_LIMIT: Duration = Duration::from_secs(3);

/// Settings of mirrors.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// How long a stream that nobody asks for stays mirrored.
    pub(crate) linger: Duration,
    /// How long a stream that was on air is shown while nobody can be found who has it.
    pub(crate) offline_grace: Duration,
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

/// Why a stream has no mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoMirror {
    /// Nobody has it.
    Nobody,
    /// It can't be said whether anybody has it: the registry is away, and no server that is known has it.
    Unknown,
    /// As many streams are followed as can be, and all are on air.
    Full,
}

/// The end of the wait of a request for a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Await {
    /// The answer whether anybody has it.
    Answer,
    /// A server that has the stream.
    Owner,
}

pub(crate) struct Mirrors {
    mirrors: Mutex<HashMap<StreamId, Arc<Mirror>>>,
    lookups: Lookups,
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
        let mirrors = Mutex::default();
        let lookups = Lookups::new();
        let mirrors = Arc::new(Self { mirrors, lookups, upstream, settings, metrics, tasks, stop });
        // Before anything is looked up, so that no news of it is missed.
        let notified = mirrors.clone();
        let events = mirrors.upstream.events();
        mirrors.spawn(async move { notified.heed_registry(events).await });
        mirrors
    }

    /// A stored segment that only its server has; see [`Upstream::fetch`].
    pub(crate) async fn fetch(&self, segment: v2::FetchRequest) -> Option<Bytes> {
        self.upstream.fetch(segment).await
    }

    /// The mirror of a stream that is mirrored already.
    pub(crate) fn held(&self, stream: &StreamId) -> Option<Arc<Mirror>> {
        let mirror = self.lock().get(stream).cloned()?;
        mirror.touch();
        Some(mirror)
    }

    /// The mirror of a stream, which is started where somebody has the stream. Waits for the answer to that, for
    /// [`LOOKUP_LIMIT`] at most.
    pub(crate) async fn find(self: &Arc<Self>, stream: &StreamId) -> Result<Arc<Mirror>, NoMirror> {
        match self.held(stream) {
            Some(mirror) => Ok(mirror),
            None => Box::pin(self.seek(stream, Instant::now() + LOOKUP_LIMIT, Await::Answer)).await,
        }
    }

    /// The same, but until this moment somebody is waited for who has the stream.
    pub(crate) async fn find_by(
        self: &Arc<Self>,
        stream: &StreamId,
        until: Instant,
    ) -> Result<Arc<Mirror>, NoMirror> {
        match self.held(stream) {
            Some(mirror) => Ok(mirror),
            None => Box::pin(self.seek(stream, until, Await::Owner)).await,
        }
    }

    /// Begins to find out who has a stream, where nobody does so already.
    pub(crate) fn ask(self: &Arc<Self>, stream: &StreamId) {
        if self.lookups.is_known(stream) {
            return;
        }
        let mirrors = self.clone();
        let stream = stream.clone();
        self.spawn(async move { drop(mirrors.find(&stream).await) });
    }

    async fn seek(
        self: &Arc<Self>,
        stream: &StreamId,
        until: Instant,
        what: Await,
    ) -> Result<Arc<Mirror>, NoMirror> {
        let mut news = self.lookups.subscribe(stream);
        let mut missing = NoMirror::Unknown;
        loop {
            let looked = timeout_at(until, self.lookups.look(stream, &self.upstream)).await;
            let Ok(answer) = looked else { return Err(missing) };
            missing = match answer.found {
                Found::Owner => return self.start_mirror(stream),
                Found::Nobody if what == Await::Answer => return Err(NoMirror::Nobody),
                Found::Nobody => NoMirror::Nobody,
                Found::Unknown => NoMirror::Unknown,
            };
            // Either ends the wait: there is news, or the answer counts no more.
            let _ = timeout_at(until.min(answer.until), news.changed()).await;
            if Instant::now() >= until {
                return Err(missing);
            }
        }
    }

    /// The mirror of a stream that somebody has.
    fn start_mirror(self: &Arc<Self>, stream: &StreamId) -> Result<Arc<Mirror>, NoMirror> {
        let mut mirrors = self.lock();
        if let Some(mirror) = mirrors.get(stream) {
            mirror.touch();
            return Ok(mirror.clone());
        }
        if mirrors.len() >= MAX_MIRRORS && !make_room(&mut mirrors) {
            return Err(NoMirror::Full);
        }
        let mirror =
            Arc::new(Mirror::new(stream.clone(), self.settings.dvr_window(stream), self.metrics.clone()));
        mirrors.insert(stream.clone(), mirror.clone());
        self.metrics.mirrors.set(mirrors.len() as f64);
        drop(mirrors);
        self.follow(mirror.clone());
        Ok(mirror)
    }

    fn follow(self: &Arc<Self>, mirror: Arc<Mirror>) {
        let span = info_span!("mirror", stream = %mirror.stream());
        let follower = Follower::new(mirror.clone(), self.upstream.clone(), self.settings.offline_grace);
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
            mirror.forget_left();
            let looks = mirror.last_used() + NOT_LIVE_LINGER;
            sleep_until(looks.max(Instant::now() + NOT_LIVE_LINGER)).await;
        }
    }

    /// Under the lock that hands mirrors out, so that nobody is left with one that is not followed.
    fn forget_unused(&self, mirror: &Mirror) -> bool {
        let linger = if mirror.look(|view| matches!(view, View::NotLive)) {
            NOT_LIVE_LINGER
        } else {
            self.settings.linger.max(MIN_LINGER)
        };
        let mut mirrors = self.lock();
        // Another one may have got its place.
        let is_held = mirrors.get(mirror.stream()).is_some_and(|held| ptr::eq(held.as_ref(), mirror));
        let is_unused = mirror.last_used() + linger <= Instant::now() && !mirror.is_awaited();
        let unused = is_unused && !mirror.has_left();
        if is_held && unused {
            mirrors.remove(mirror.stream());
            self.metrics.mirrors.set(mirrors.len() as f64);
        }
        unused || !is_held
    }

    /// Wakes the followers whose stream has a new owner, and has those looked up again that had none.
    async fn heed_registry(self: &Arc<Self>, mut events: Watch) {
        let mut refresh = tokio::time::interval(SERVERS_REFRESH);
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                _ = refresh.tick() => Some(RegistryEvent::ServersChanged),
            };
            match event {
                Some(RegistryEvent::OwnerChanged(stream)) => {
                    self.recheck(&stream);
                    // Whoever asked a moment ago is about to ask again: its window is on the way then.
                    if self.lookups.heed(&stream) {
                        self.ask(&stream);
                    }
                }
                Some(RegistryEvent::ServersChanged) => self.learn_servers().await,
                // Viewers need no live inputs.
                Some(RegistryEvent::InputChanged(_)) => {}
                Some(RegistryEvent::Missed) => {
                    self.lookups.heed_all();
                    self.lock().values().for_each(|mirror| mirror.recheck.notify_one());
                    self.learn_servers().await;
                }
                None => return,
            }
        }
    }

    async fn learn_servers(&self) {
        if self.upstream.learn_servers().await {
            self.lookups.heed_all();
        }
    }

    fn recheck(&self, stream: &StreamId) {
        if let Some(mirror) = self.lock().get(stream) {
            mirror.recheck.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StreamId, Arc<Mirror>>> {
        self.mirrors.lock_ignoring_poison()
    }
}

/// Takes the place of a stream that is not live any more, if there is one. Whoever looks at it still may, its follower ends
/// at the next look.
fn make_room(mirrors: &mut HashMap<StreamId, Arc<Mirror>>) -> bool {
    let over = mirrors.values().find(|mirror| mirror.look(|view| matches!(view, View::NotLive)));
    let Some(over) = over.map(|mirror| mirror.stream().clone()) else { return false };
    mirrors.remove(&over).is_some()
}

/// Servers are also learnt anew without being told: an event may be lost, and the registry be away when there is one;
/// and none comes for one whose record expires. A stream's lease outlives that record by as long as this.
const SERVERS_REFRESH: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
