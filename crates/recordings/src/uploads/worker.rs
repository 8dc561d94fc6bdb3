//! Stores what waits, lane by lane.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use headwater_media::SegmentSettings;
use headwater_media::lock::MutexExt;
use headwater_platform::store::{ObjectStore, Put, StoreError};
use headwater_runtime::backoff::{Backoff, Random};
use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::SILENT_OWNER_GRACE;

use super::job::{Body, Job, PutMode};
use super::queue::{NextJob, OutageChange, Queue};
use super::spool::{Disk, body_of};

/// The first try after a failure; the next ones double up to [`MAX_BACKOFF`].
pub(super) const FIRST_BACKOFF: Duration = Duration::from_millis(250);
/// So soon a store that is back is found out, at most; a hundred lanes then are twenty requests a second at a store that is
/// away.
pub(super) const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// Objects of one lane at the same time: two segments of four renditions. So one PUT may take as long as a segment, and a broadcast
/// with a long backlog leaves room for others.
const CONCURRENT_LANE_PUTS: usize = 8;
/// Least time that all requests of one object together are given: a store without limits of its own, a directory of a network,
/// must not hold its lane for ever. The requests of a store that has limits may take longer together
/// ([`upload_settings`](crate::upload_settings)).
pub(super) const MIN_PUT_LIMIT: Duration = Duration::from_secs(120);
// An owner whose store fails for a while is not taken for dead before the next try.
const _: () = assert!(
    2 * SegmentSettings::MAX_SEGMENT_MS as u128 + MAX_BACKOFF.as_millis() < SILENT_OWNER_GRACE.as_millis()
);

/// Size of all objects that are read back from the disk and on their way, in KiB: as much as two segments of 32 MiB, and a few
/// dozen of the usual ones.
pub(super) const READ_BACK_KIB: u32 = 64 << 10;

/// State that all tasks share.
pub(super) struct Inner {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) queue: Mutex<Queue>,
    pub(super) disk: Option<Arc<dyn Disk>>,
    /// Held while an object is written to the disk.
    pub(super) writing: tokio::sync::Mutex<()>,
    pub(super) at_once: Semaphore,
    /// Time that all requests of one object may take together.
    pub(super) longest_put: Duration,
    /// KiB that may be read back from the disk.
    pub(super) read_back: Semaphore,
    /// The disk may have work.
    pub(super) changed: Notify,
    /// There is more for some lane.
    pub(super) arrived: Notify,
    /// A lane that failed works again, so others may.
    pub(super) recovered: Notify,
    pub(super) is_empty: watch::Sender<bool>,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uploads").field("store", &self.store).finish_non_exhaustive()
    }
}

/// Why an attempt did not work.
enum Failure {
    /// Worth another one.
    Store(StoreError),
    /// The disk has not kept the object.
    Lost(io::Error),
}

impl Inner {
    pub(super) fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock_ignoring_poison()
    }

    pub(super) fn push_job(self: &Arc<Self>, job: Job) {
        if self.stop.is_cancelled() {
            return;
        }
        self.with_losses(|queue| queue.push_job(job));
        self.start_lanes();
        self.arrived.notify_waiters();
        self.changed.notify_one();
        self.publish_gauges();
    }

    pub(super) fn start_lanes(self: &Arc<Self>) {
        for metric_name in self.lock_queue().idle_lanes() {
            let inner = self.clone();
            self.tasks.spawn(async move {
                let stop = inner.stop.clone();
                // An object in flight is in the spool too, or is told to be lost.
                let _ = stop.run_until_cancelled(inner.run(&metric_name)).await;
            });
        }
        self.publish_gauges();
    }

    /// Stores what a lane has: media side by side, as a store far away takes longer for one object than a segment lasts for
    /// all of its own; an index when everything before it is stored. While the store fails, one object tries it.
    async fn run(&self, lane: &str) {
        let mut backoff = Backoff::new(FIRST_BACKOFF, MAX_BACKOFF);
        let mut work = FuturesUnordered::new();
        let mut is_failing = false;
        loop {
            let mut arrived = pin!(self.arrived.notified());
            arrived.as_mut().enable();
            if is_failing && work.is_empty() {
                self.rest_lane(&mut backoff).await;
            }
            let most = if is_failing { 1 } else { CONCURRENT_LANE_PUTS };
            while (!is_failing || work.is_empty()) && work.len() < most {
                let Some(job) = self.lock_queue().next_job(lane) else { break };
                work.push(self.put_job(job));
            }
            tokio::select! {
                biased;
                Some((job, done)) = work.next() => {
                    is_failing = !self.settle_job(&job, done).await;
                    if !is_failing {
                        backoff.reset();
                    }
                    self.changed.notify_one();
                }
                () = arrived, if !work.is_empty() => {}
                else => break,
            }
            self.publish_gauges();
        }
        self.publish_gauges();
    }

    async fn rest_lane(&self, backoff: &mut Backoff<Random>) {
        tokio::select! {
            () = backoff.wait() => {}
            () = self.recovered.notified() => {}
        }
    }

    async fn put_job(&self, job: NextJob) -> (NextJob, Result<u64, Failure>) {
        // Closed by nobody.
        let _permit = self.at_once.acquire().await;
        let done = self.attempt_put(&job).await;
        (job, done)
    }

    /// Notes what came of an attempt. Whether the store works.
    async fn settle_job(&self, job: &NextJob, done: Result<u64, Failure>) -> bool {
        match done {
            Ok(size) => self.note_stored(job, size).await,
            Err(Failure::Lost(error)) => {
                tracing::warn!(key = %job.key, %error, "a spooled object can't be read: it is lost");
                self.lock_queue().lose_job(job.number);
            }
            Err(Failure::Store(error)) => {
                self.note_failed(job, &error);
                return false;
            }
        }
        true
    }

    /// The size of what is in the store then.
    async fn attempt_put(&self, job: &NextJob) -> Result<u64, Failure> {
        let _room = self.acquire_room(&job.body).await;
        let body = self.read_body(job.number, job.body.clone()).await.map_err(Failure::Lost)?;
        let size = body.len() as u64;
        let put = async {
            let store = self.store.as_ref();
            let key = &job.key;
            let content_type = &job.content_type;
            match (job.mode, &job.guard) {
                (PutMode::New, _) => store.put_new(key, body, content_type).await,
                (_, Some(guard)) => {
                    guard.put_guarded(store, key, body, content_type).await.map(|()| Put::Stored)
                }
                (_, None) => store.put(key, body, content_type).await.map(|_| Put::Stored),
            }
        };
        let slow = |_| StoreError::Unavailable(format!("no answer within {:?}", self.longest_put));
        match timeout(self.longest_put, put).await.map_err(slow).and_then(|put| put) {
            Ok(Put::Stored) => {
                metrics::counter!("headwater_recording_uploaded_bytes_total").increment(size);
                Ok(size)
            }
            Ok(Put::Existed { size }) => Ok(size),
            Err(error) => Err(Failure::Store(error)),
        }
    }

    /// Waits until an object may be read back from the disk. An object that is larger than the bound goes alone.
    async fn acquire_room(&self, body: &Body) -> Option<SemaphorePermit<'_>> {
        let Body::Disk { file_size } = body else { return None };
        let kib = u32::try_from(file_size.div_ceil(1 << 10)).unwrap_or(u32::MAX);
        // Closed by nobody.
        self.read_back.acquire_many(kib.min(READ_BACK_KIB)).await.ok()
    }

    pub(super) async fn read_body(&self, number: u64, body: Body) -> io::Result<Bytes> {
        match (body, &self.disk) {
            (Body::Memory(bytes), _) => Ok(bytes),
            (Body::Disk { .. }, Some(disk)) => {
                let disk = disk.clone();
                let file = run_blocking(move || disk.read_file(number)).await?;
                body_of(&file)
            }
            (Body::Disk { .. }, None) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    async fn note_stored(&self, job: &NextJob, size: u64) {
        // The next version of an index must not be stored while this one is on the disk, from where another process would put
        // it over that one.
        let writing = if job.mode == PutMode::Own { Some(self.writing.lock().await) } else { None };
        let (took, change) = self.lock_queue().finish_job(job.number, size);
        self.clear_away().await;
        drop(writing);
        metrics::histogram!("headwater_recording_upload_seconds").record(took.as_secs_f64());
        if let OutageChange::Ended { lost } = change {
            self.recovered.notify_waiters();
            tracing::info!(lost, "the store works again: what has waited is uploaded");
        }
    }

    fn note_failed(&self, job: &NextJob, error: &StoreError) {
        metrics::counter!("headwater_recording_store_errors_total", "kind" => error.kind()).increment(1);
        match (self.lock_queue().retry_later(job.number), error) {
            (OutageChange::Began, StoreError::Refused(_)) => {
                tracing::error!(key = %job.key, %error, "recordings can't be stored: they wait");
            }
            (OutageChange::Began, _) => {
                tracing::warn!(key = %job.key, %error, "recordings can't be stored: they wait")
            }
            _ => {}
        }
    }

    /// Does what may lose objects, and says so once in an outage.
    pub(super) fn with_losses<T>(&self, work: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queue = self.lock_queue();
        let had_lost = queue.lost_count() > 0;
        let done = work(&mut queue);
        if !had_lost && queue.lost_count() > 0 {
            tracing::error!(
                "there is no room for what waits for the store: the oldest segments are lost (recording.spool_size)"
            );
        }
        done
    }

    pub(super) fn publish_gauges(&self) {
        let queue = self.lock_queue();
        metrics::gauge!("headwater_recording_spool_bytes").set(queue.spooled_bytes() as f64);
        let is_empty = queue.is_empty();
        self.is_empty.send_if_modified(|was| std::mem::replace(was, is_empty) != is_empty);
    }
}

/// Disks are waited for by threads of their own.
pub(super) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
