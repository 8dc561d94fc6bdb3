//! The way of objects into the store: in order, again and again until it works, and without anybody waiting for it.
//!
//! Objects wait in memory, and as soon as the store is slow or away on the disk (`spool`), from where the next process takes
//! them over when this one dies. Both are bounded: the oldest object is lost first, and its [`Receipt`] says so.

mod guard;
mod job;
mod queue;
mod spool;
mod spooler;
#[cfg(test)]
mod tests;
mod worker;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use headwater_platform::store::{Key, ObjectStore};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use job::{Body, Job, PutMode};
use queue::{Bounds, Queue};
use spool::{Disk, FileDisk};
use worker::{Inner, READ_BACK_KIB};

pub use guard::Guard;
pub use job::{Progress, Receipt};

/// Longest time in which objects go from memory to the disk when the process ends: 32 MiB take a slow disk a few seconds.
/// Objects that are not there by then are counted as lost.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(5);

/// How objects wait for the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadSettings {
    /// Bytes that may wait in memory. They are in the live windows too, so they rarely cost anything.
    pub memory: u64,
    /// Requests at the same time. A broadcast of four renditions needs a quarter of one when the store takes 100 ms, and two when
    /// it takes 800.
    pub at_once: usize,
    /// Time after which a store that does not answer is given up, with all requests of one object.
    pub longest_put: Duration,
    /// Without one, everything waits in memory.
    pub spool: Option<SpoolSettings>,
}

/// The place where objects wait on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolSettings {
    /// Processes of one machine may share it.
    pub directory: PathBuf,
    /// Bytes that may wait there, of this process.
    pub size: u64,
}

impl Default for UploadSettings {
    fn default() -> Self {
        Self { memory: 32 << 20, at_once: 64, longest_put: worker::MIN_PUT_LIMIT, spool: None }
    }
}

/// The uploads of a process. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct Uploads(Arc<Inner>);

/// A sequence of objects, such as those of a broadcast: media side by side, and an index when everything before it is stored.
#[derive(Clone, Debug)]
pub struct Lane {
    uploads: Uploads,
    name: String,
}

impl Lane {
    /// Stores an object unless there is one, which then counts as stored: for media. Never waits.
    pub fn put_new(&self, key: Key, body: Bytes, content_type: &str) -> Receipt {
        self.push_job(key, body, content_type, PutMode::New, None)
    }

    /// Stores an object over the one that is there: for an index under a name that only this owner of the broadcast uses,
    /// such as its journal. The next process stores it when this one could not. Never waits.
    pub fn put(&self, key: Key, body: Bytes, content_type: &str) -> Receipt {
        self.push_job(key, body, content_type, PutMode::Own, None)
    }

    /// The same of an object whose version is watched: `guard` says whether anybody else has written it.
    pub fn put_guarded(&self, key: Key, body: Bytes, content_type: &str, guard: &Guard) -> Receipt {
        self.push_job(key, body, content_type, PutMode::Own, Some(guard.clone()))
    }

    /// Stores an object over the one that is there, if this process lives that long: for what the next owner of the
    /// broadcast writes too, and better, such as playlists. It waits in memory only. Never waits.
    pub fn put_latest(&self, key: Key, body: Bytes, content_type: &str) -> Receipt {
        self.push_job(key, body, content_type, PutMode::Latest, None)
    }

    fn push_job(
        &self,
        key: Key,
        body: Bytes,
        content_type: &str,
        mode: PutMode,
        guard: Option<Guard>,
    ) -> Receipt {
        let (sender, receipt) = watch::channel(Progress::Waiting);
        let lane = self.name.clone();
        let content_type = content_type.to_owned();
        let size = body.len() as u64;
        let body = Body::Memory(body);
        let since = Instant::now();
        let receipts = vec![sender];
        let job =
            Job { lane, key, content_type, mode, guard, body, size, since, is_in_flight: false, receipts };
        self.uploads.0.push_job(job);
        Receipt(receipt)
    }
}

impl Uploads {
    /// Starts, with the objects that earlier processes have left in the spool. Without a usable spool, everything waits in memory.
    pub async fn start(store: Arc<dyn ObjectStore>, settings: &UploadSettings) -> Self {
        let Some(SpoolSettings { directory, size }) = settings.spool.clone() else {
            return Self::with_disk(store, settings, None, Vec::new());
        };
        let shown = directory.display().to_string();
        let opened = tokio::task::spawn_blocking(move || FileDisk::open_spool(&directory)).await;
        match opened.map_err(io::Error::other).and_then(|opened| opened) {
            Ok((disk, leftovers)) => {
                if !leftovers.is_empty() {
                    tracing::info!(
                        objects = leftovers.len(),
                        "uploading what an earlier process has left in the spool"
                    );
                }
                Self::with_disk(store, settings, Some((Arc::new(disk), size)), leftovers)
            }
            Err(error) => {
                tracing::error!(
                    directory = shown, %error,
                    "the spool can't be used: what is recorded waits in memory only (recording.spool)"
                );
                Self::with_disk(store, settings, None, Vec::new())
            }
        }
    }

    fn with_disk(
        store: Arc<dyn ObjectStore>,
        settings: &UploadSettings,
        disk: Option<(Arc<dyn Disk>, u64)>,
        leftovers: Vec<spool::Leftover>,
    ) -> Self {
        let bounds = Bounds { memory: settings.memory, spool: disk.as_ref().map(|(_, size)| *size) };
        let uploads = Self(Arc::new(Inner {
            store,
            queue: Mutex::new(Queue::new(bounds, leftovers)),
            disk: disk.map(|(disk, _)| disk),
            writing: tokio::sync::Mutex::new(()),
            at_once: Semaphore::new(settings.at_once),
            longest_put: settings.longest_put,
            read_back: Semaphore::new(READ_BACK_KIB as usize),
            changed: Notify::new(),
            arrived: Notify::new(),
            recovered: Notify::new(),
            is_empty: watch::Sender::new(true),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }));
        let spooling = uploads.0.clone();
        uploads.0.tasks.spawn(async move { spooling.keep_spooling().await });
        uploads.0.start_lanes();
        uploads
    }

    /// The sequence of objects with this name.
    pub fn lane(&self, name: impl Into<String>) -> Lane {
        Lane { uploads: self.clone(), name: name.into() }
    }

    /// Whether objects of a lane are here and not in the store yet, from an earlier process as well.
    pub fn is_waiting(&self, lane: &str) -> bool {
        self.0.lock_queue().is_waiting(lane)
    }

    /// An object that is here and not in the store yet.
    pub async fn read(&self, key: &Key) -> Option<Bytes> {
        let (number, body) = self.0.lock_queue().find_key(key)?;
        self.0.read_body(number, body).await.ok()
    }

    /// Waits until everything is stored or lost.
    pub async fn finished(&self) {
        // The sender lives as long as this.
        let _ = self.0.is_empty.subscribe().wait_for(|is_empty| *is_empty).await;
    }

    /// Ends: waits that long for uploads, then leaves what is not stored in the spool for the next process. Objects
    /// that are handed over later go nowhere.
    pub async fn close(&self, grace: Duration) {
        if timeout(grace, self.finished()).await.is_err() {
            self.0.lock_queue().close_queue();
            self.0.changed.notify_one();
            // Objects that are not there by then are counted below.
            let _ = timeout(CLOSING_TIMEOUT, self.0.all_spooled()).await;
        }
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        let mut queue = self.0.lock_queue();
        let lost = queue.unsafe_ones();
        if lost > 0 {
            tracing::error!(
                objects = lost,
                "the store is away, and so is the spool: what is recorded is lost"
            );
        }
        queue.abandon_jobs();
    }
}
