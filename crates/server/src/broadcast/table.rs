//! The broadcasts of this server, by stream.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headwater_hls::Opening;
use headwater_media::{BroadcastId, Epoch, Ladder, SegmentSettings, StreamId, UnixMillis};
use headwater_registry::{Registry, ServerId};
use headwater_wire::v1::{Failure, failure::Code};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::life::Life;
use super::{Attachment, Feed, Publisher};
use crate::admission::{self, Admission};
use crate::failure;
use crate::worker::WorkerCommand;

/// What holds for every broadcast of this server.
#[derive(Clone, Debug)]
pub struct Settings {
    pub segments: SegmentSettings,
    pub window_segments: u32,
    pub ladder: Ladder,
    pub worker: WorkerCommand,
    /// How long a worker may take until it can be spoken to.
    pub worker_start_timeout: Duration,
    /// How long a worker may take media without giving any.
    pub worker_stall_timeout: Duration,
    /// How long a worker may take to finish what it has.
    pub worker_stop_timeout: Duration,
    /// How often the workers of one broadcast may fail before the broadcast is ended.
    pub worker_restarts: u32,
    /// How long a publisher may be away.
    pub reconnect_window: Duration,
    /// After how long without a byte a publisher may be replaced by another one.
    pub silent_publisher: Duration,
    /// How long a lease of the registry holds.
    pub lease: Duration,
}

/// Where this server is reached, and by which name the registry knows it.
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
    pub epoch: Epoch,
    pub feed: Arc<Feed>,
    sessions: mpsc::Sender<Attachment>,
    publisher: Arc<Mutex<Option<Publisher>>>,
}

pub struct Broadcasts {
    pub settings: Settings,
    pub admission: Admission,
    registry: Arc<dyn Registry>,
    home: Home,
    /// Cancelled when the server stops.
    stop: CancellationToken,
    tasks: TaskTracker,
    table: Mutex<HashMap<StreamId, OnAir>>,
}

impl Broadcasts {
    pub fn new(
        settings: Settings,
        admission: Admission,
        registry: Arc<dyn Registry>,
        home: Home,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let (tasks, table) = (TaskTracker::new(), Mutex::default());
        Arc::new(Self { settings, admission, registry, home, stop, tasks, table })
    }

    pub fn get(&self, stream: &StreamId) -> Option<OnAir> {
        self.table().get(stream).cloned()
    }

    pub fn list(&self) -> Vec<(StreamId, OnAir)> {
        self.table().iter().map(|(stream, on_air)| (stream.clone(), on_air.clone())).collect()
    }

    /// Gives a publisher its broadcast: the one that is on air, or a new one.
    pub fn open(
        self: &Arc<Self>,
        stream: &StreamId,
        epoch: Epoch,
        publisher: &Publisher,
    ) -> Result<OnAir, Failure> {
        if self.stop.is_cancelled() {
            return Err(failure(Code::Draining, "this server is stopping"));
        }
        let mut table = self.table();
        let on_air = match table.get(stream) {
            Some(on_air) if epoch < on_air.epoch => {
                return Err(failure(Code::Fenced, format!("epoch {epoch} is older than {}", on_air.epoch)));
            }
            Some(on_air) => on_air.clone(),
            None => {
                let on_air = self.start(stream, epoch)?;
                table.insert(stream.clone(), on_air.clone());
                on_air
            }
        };
        on_air.take_over(publisher, self.settings.silent_publisher)?;
        Ok(on_air)
    }

    fn start(self: &Arc<Self>, stream: &StreamId, epoch: Epoch) -> Result<OnAir, Failure> {
        let estimate = admission::estimate(&self.settings.ladder);
        let reservation = self
            .admission
            .reserve(estimate)
            .ok_or_else(|| failure(Code::NoCapacity, "this server has no room for another broadcast"))?;
        let id = BroadcastId::new(now(), &rand::random());
        let feed = Arc::new(Feed::new(Opening {
            broadcast: id,
            epoch,
            settings: self.settings.segments,
            window_segments: self.settings.window_segments,
            first_sequence: id.first_sequence(&self.settings.segments),
            discontinuity_sequence: 0,
        }));
        // One connection waits for its turn; a further one replaces nobody and is refused.
        let (sessions, queue) = mpsc::channel(1);
        let on_air = OnAir { id, epoch, feed, sessions, publisher: Arc::default() };
        let life = Life {
            stream: stream.clone(),
            on_air: on_air.clone(),
            settings: self.settings.clone(),
            registry: self.registry.clone(),
            home: self.home.clone(),
            stop: self.stop.clone(),
            reservation,
        };
        let span = tracing::info_span!("broadcast", %stream, %epoch, broadcast = %id);
        let (broadcasts, stream) = (Arc::clone(self), stream.clone());
        let task = async move {
            life.run(queue).await;
            broadcasts.table().remove(&stream);
        };
        self.tasks.spawn(task.instrument(span));
        Ok(on_air)
    }

    /// Waits until every broadcast has come to its end; they do so when the server's token is cancelled.
    pub async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn table(&self) -> MutexGuard<'_, HashMap<StreamId, OnAir>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OnAir {
    pub fn is_publishing(&self) -> bool {
        self.publisher().is_some()
    }

    /// Hands an accepted publisher's call to the broadcast.
    pub async fn attach(&self, attachment: Attachment) -> Result<(), Failure> {
        let ended = |_| failure(Code::WorkerFailed, "the broadcast has just ended; publish again");
        self.sessions.send(attachment).await.map_err(ended)
    }

    /// Makes this publisher the one, unless another one is heard from.
    fn take_over(&self, publisher: &Publisher, silent: Duration) -> Result<(), Failure> {
        let mut current = self.publisher();
        if let Some(other) = current.as_ref() {
            if other.silent_for() < silent {
                return Err(failure(Code::StreamInUse, "another encoder is publishing this stream"));
            }
            other.replaced.cancel();
        }
        *current = Some(publisher.clone());
        Ok(())
    }

    /// Notes that this publisher has gone, unless another one has its place already.
    pub(super) fn leave(&self, publisher: &Publisher) {
        self.publisher().take_if(|current| current.id == publisher.id);
    }

    fn publisher(&self) -> MutexGuard<'_, Option<Publisher>> {
        self.publisher.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(since.as_millis() as u64)
}
