//! The broadcasts of this server, by stream.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use headwater_hls::{Segment, WindowError};
use headwater_media::broadcast::Policy;
use headwater_media::{
    BroadcastId, Epoch, MediaEvent, MediaSequence, Opening, RenditionId, ResumePoint, SegmentSettings,
    StreamId,
};
use headwater_platform::store::Key;
use headwater_recordings::Layout;
use headwater_registry::{Registry, ServerId};
use headwater_runtime::clock;
use headwater_runtime::config::Config;
use headwater_wire::Channels;
use headwater_wire::v2::{Failure, failure::Code};
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::feed::Published;
use super::handoff::HandoffSource;
use super::lease::{Lease, Standing};
use super::lifecycle::Life;
use super::{Attachment, Feed, Place};
use crate::admission::{self, Admission};
use crate::failure;
use crate::recording::{Keeper, Recorder, Safe, Storage};
use crate::worker::Starter;

/// Rest of the grace in which uploads are not waited for any longer: objects that are not stored go to the disk.
const FAREWELL: Duration = Duration::from_secs(6);

/// Settings of every broadcast of this server.
#[derive(Clone, Debug)]
pub struct Settings {
    pub segments: SegmentSettings,
    pub window_segments: u32,
    pub(crate) starter: Arc<Starter>,
    /// Longest time for which a worker takes media without giving any.
    pub worker_stall_timeout: Duration,
    /// Longest time in which a worker finishes the media that it has.
    pub worker_stop_timeout: Duration,
    /// Number of times that the workers of one broadcast may fail before the broadcast is ended.
    pub worker_restarts: u32,
    /// Time without a byte after which a publisher may be replaced by another one.
    pub silent_publisher: Duration,
    /// Time in which the process ends once it was told to.
    pub grace: Duration,
    /// Time for which a lease of the registry holds.
    pub lease: Duration,
}

/// The address and the name of this server, as the registry has them.
#[derive(Clone, Debug)]
pub struct Home {
    pub server: ServerId,
    /// Host and port of its gRPC.
    pub address: String,
}

/// A broadcast that viewers can follow.
#[derive(Clone)]
pub struct OnAir {
    pub id: BroadcastId,
    pub feed: Arc<Feed>,
    pub place: Place,
    pub(crate) lease: Arc<Lease>,
    /// Recorder of the broadcast, where it is stored.
    pub(crate) recorder: Option<Arc<Recorder>>,
    /// Closed when no publisher is taken any more; viewers may still follow for a while.
    sessions: mpsc::Sender<Attachment>,
    /// Cancelled when another server owns the stream, or has owned it meanwhile.
    fenced: CancellationToken,
}

/// The broadcasts of this server, and all that they share.
pub struct Broadcasts {
    pub settings: Settings,
    pub admission: Admission,
    pub(super) registry: Arc<dyn Registry>,
    pub(super) home: Home,
    /// Channels to the other servers.
    channels: Arc<Channels>,
    /// Settings of single streams.
    pub(super) config: Arc<Config>,
    /// The store of recordings, if there is one.
    pub(super) storage: Option<Storage>,
    /// Cancelled when the server stops.
    pub(super) stop: CancellationToken,
    tasks: TaskTracker,
    table: Mutex<HashMap<StreamId, OnAir>>,
}

impl Broadcasts {
    /// An empty table.
    #[expect(clippy::too_many_arguments, reason = "all that a server consists of")]
    pub fn new(
        settings: Settings,
        admission: Admission,
        registry: Arc<dyn Registry>,
        home: Home,
        channels: Channels,
        config: Arc<Config>,
        storage: Option<Storage>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let channels = Arc::new(channels);
        let tasks = TaskTracker::new();
        let table = Mutex::default();
        Arc::new(Self { settings, admission, registry, home, channels, config, storage, stop, tasks, table })
    }

    /// The broadcast of a stream.
    pub fn get(&self, stream: &StreamId) -> Option<OnAir> {
        self.table().get(stream).cloned()
    }

    /// All broadcasts with their streams, in no order.
    pub fn list(&self) -> Vec<(StreamId, OnAir)> {
        self.table().iter().map(|(stream, on_air)| (stream.clone(), on_air.clone())).collect()
    }

    /// A segment of a broadcast that is on air here, as long as viewers of the live window may ask for it.
    pub(crate) fn in_window(
        &self,
        layout: &Layout,
        rendition: &RenditionId,
        sequence: MediaSequence,
    ) -> Option<Arc<Segment>> {
        let on_air = self.get(&layout.stream).filter(|on_air| on_air.id == layout.broadcast)?;
        on_air.feed.segment(rendition, sequence)
    }

    /// An object that waits here for the store.
    pub(crate) async fn in_spool(&self, key: &Key) -> Option<Bytes> {
        self.storage.as_ref()?.uploads.read(key).await
    }

    /// The opening of a broadcast: of a new one, or at the point where another server had to leave it. `before` is the number
    /// that follows all that the stream's last broadcast had here.
    pub(super) fn opening(
        &self,
        epoch: Epoch,
        resume: Option<&ResumePoint>,
        before: Option<MediaSequence>,
    ) -> Opening {
        let taken = before.map_or(MediaSequence(0), |next| MediaSequence(next.0 + ResumePoint::LEAD));
        let new = || BroadcastId::above(clock::now(), taken, &rand::random());
        let broadcast = resume.map_or_else(new, |resume| resume.broadcast);
        let settings = resume.map_or(self.settings.segments, |resume| resume.settings);
        let window = resume.map(|resume| resume.window_segments).filter(|segments| *segments > 0);
        Opening {
            broadcast,
            epoch,
            settings,
            window_segments: window.unwrap_or(self.settings.window_segments),
            first_sequence: resume.map_or_else(|| broadcast.first_sequence(), |resume| resume.next_sequence),
            discontinuity_sequence: resume.map_or(0, |resume| resume.discontinuity_sequence),
        }
    }

    /// Policy of a broadcast that comes on air here: the resume point's where another server has begun the broadcast, else
    /// that of the call, else that of this server's configuration.
    pub(super) fn policy(
        &self,
        stream: &StreamId,
        resume: Option<&ResumePoint>,
        called: Option<&Policy>,
    ) -> Policy {
        let given = resume.and_then(|resume| resume.policy.as_ref()).or(called);
        given.cloned().unwrap_or_else(|| self.config.policy(stream))
    }

    pub(super) fn start(
        self: &Arc<Self>,
        stream: &StreamId,
        opening: Opening,
        resume: Option<&ResumePoint>,
        policy: Policy,
        standing: Standing,
    ) -> Result<OnAir, Failure> {
        let estimate = admission::estimate(&policy.ladder);
        let reservation = self
            .admission
            .reserve(estimate)
            .ok_or_else(|| failure(Code::NoCapacity, "this server has no room for another broadcast"))?;
        let id = opening.broadcast;
        let epoch = opening.epoch;
        let dvr_window = if self.storage.is_some() { policy.dvr_window } else { Duration::ZERO };
        let feed = Arc::new(Feed::new(opening.clone(), resume.cloned(), policy.clone(), dvr_window));
        let span = tracing::info_span!("broadcast", %stream, %epoch, broadcast = %id);
        let handoffs = Arc::new(HandoffSource::new(feed.clone(), policy.reconnect_window));
        let fenced = CancellationToken::new();
        let recorder = self.record(stream, &opening, resume, &policy, &feed, &handoffs, &fenced, &span);
        // Only one publisher at a time has the place, so a second one waits where the first was replaced.
        let (sessions, queue) = mpsc::channel(1);
        let place = Place::default();
        let lease = Arc::new(Lease {
            registry: self.registry.clone(),
            home: self.home.clone(),
            stream: stream.clone(),
            broadcast: id,
            feed: feed.clone(),
            length: self.settings.lease,
            handoffs,
            standing: tokio::sync::Mutex::new(standing),
            news: Notify::new(),
        });
        let on_air = OnAir { id, feed, recorder, sessions, place, lease, fenced: fenced.clone() };
        let life = Life {
            stream: stream.clone(),
            on_air: on_air.clone(),
            settings: self.settings.clone(),
            registry: self.registry.clone(),
            home: self.home.clone(),
            channels: self.channels.clone(),
            stop: self.stop.clone(),
            fenced,
        };
        let broadcasts = Arc::clone(self);
        let stream = stream.clone();
        let feed = on_air.feed.clone();
        let task = async move {
            life.run(queue, reservation).await;
            broadcasts.remove(&stream, &feed);
        };
        self.tasks.spawn(task.instrument(span));
        Ok(on_air)
    }

    /// Starts the recorder of a broadcast that is to be stored. It goes on until everything has arrived, or this server has to
    /// end.
    #[expect(clippy::too_many_arguments, reason = "all that a broadcast consists of")]
    fn record(
        &self,
        stream: &StreamId,
        opening: &Opening,
        resume: Option<&ResumePoint>,
        policy: &Policy,
        feed: &Arc<Feed>,
        handoffs: &Arc<HandoffSource>,
        fenced: &CancellationToken,
        span: &tracing::Span,
    ) -> Option<Arc<Recorder>> {
        let storage = self.storage.as_ref()?;
        let layout = Layout { stream: stream.clone(), broadcast: opening.broadcast };
        let known = resume.map(|resume| resume.kept.as_slice()).unwrap_or_default();
        let (recorder, entries) = Recorder::new(storage, layout, opening, policy, known, handoffs.clone())?;
        let recorder = Arc::new(recorder);
        let taken_over = resume.map(|resume| resume.next_sequence);
        let keeper = Keeper::new(recorder.clone(), feed.clone(), storage.clone(), taken_over);
        let fenced = fenced.clone();
        let succession = recorder.clone();
        let stop = self.stop.clone();
        let grace = self.settings.grace.saturating_sub(FAREWELL);
        let kept = async move {
            tokio::select! {
                () = keeper.run(entries) => {}
                () = succession.succeeded() => {
                    tracing::warn!("another server goes on with this broadcast, as if this one were gone");
                    fenced.cancel();
                }
                () = async { stop.cancelled().await; sleep(grace).await } => {
                    tracing::warn!("the store takes too long: whoever starts next finishes the recording");
                }
            }
        };
        self.tasks.spawn(kept.instrument(span.clone()));
        Some(recorder)
    }

    /// Waits until every broadcast has come to its end; they do so when the server's token is cancelled.
    pub async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Takes no more broadcasts, and has those that are there moved to other servers; the server ends with the last one.
    pub fn drain(&self) {
        self.stop.cancel();
    }

    /// Forgets a broadcast, unless the stream has a newer one by now, or the same one anew.
    fn remove(&self, stream: &StreamId, feed: &Arc<Feed>) {
        let mut table = self.table();
        if table.get(stream).is_some_and(|on_air| Arc::ptr_eq(&on_air.feed, feed)) {
            table.remove(stream);
        }
    }

    pub(super) fn table(&self) -> MutexGuard<'_, HashMap<StreamId, OnAir>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A segment that is whole in every rendition.
pub(crate) struct Commit {
    /// The point at which another server would go on.
    pub(crate) resume: ResumePoint,
    /// Done when the segment need not be made again should this server be lost.
    pub(crate) safe: Safe,
}

impl OnAir {
    /// Shows an event to viewers, and hands over to be stored what it has made whole.
    pub(crate) fn publish(&self, event: MediaEvent) -> Result<Option<Commit>, WindowError> {
        let was_new = self.feed.is_new();
        let Published { committed, whole } = self.feed.publish(event)?;
        let safe = self.recorder.as_ref().map(|recorder| recorder.record(whole)).unwrap_or_default();
        if committed.is_some() || was_new {
            // The handoff for the next owner has changed.
            self.lease.news.notify_one();
        }
        Ok(committed.map(|resume| Commit { resume, safe }))
    }

    /// Notes whether the end of what a publisher has sent is lost.
    pub(crate) fn is_cut_short(&self, is_cut_short: bool) {
        if let Some(recorder) = &self.recorder {
            recorder.is_cut_short(is_cut_short);
        }
    }

    /// Whether no publisher is taken any more.
    pub fn is_over(&self) -> bool {
        self.sessions.is_closed()
    }

    /// Ends it without a word: another server has the stream, or has had it.
    pub(super) fn fence(&self) {
        self.fenced.cancel();
    }

    /// Hands an accepted publisher's call to the broadcast. Waits where a replaced publisher is not done yet.
    pub async fn attach(&self, attachment: Attachment) -> Result<(), Failure> {
        self.sessions.send(attachment).await.map_err(|_| just_ended())
    }
}

pub(super) fn draining() -> Failure {
    failure(Code::Draining, "this server is stopping")
}

/// Under the epoch of a broadcast that is over nobody can publish any more.
pub(super) fn just_ended() -> Failure {
    failure(Code::Fenced, "the broadcast has just ended: claim the stream anew")
}
