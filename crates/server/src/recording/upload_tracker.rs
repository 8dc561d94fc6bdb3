//! The way of a broadcast's segments into the store, once they were handed over.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use headwater_hls::Archive;
use headwater_media::lock::MutexExt;
use headwater_media::{MediaSequence, MediaTime, Record, RenditionId, StoredSegment};
use headwater_platform::store::Key;
use headwater_recordings::uploads::Progress;
use headwater_recordings::{Finished, Recording, SILENT_OWNER_GRACE, finish, refresh};
use headwater_runtime::backoff::{Backoff, Random};
use headwater_runtime::outage::Outage;
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

use super::recorder::{Entry, Recorder};
use super::{DvrHistory, Storage};

/// Segments that the feed was told and whose fate is open.
const MAX_OPEN_SEGMENTS: usize = 4_096;
/// Part of the recording by which it grows until the playlists in the store are written again: an eighth, so that all writings
/// together stay below ten times the last one, however long it lasts; and no more often than after [`MIN_GROWTH`].
const GROWTH_DIVISOR: u64 = 8;
const MIN_GROWTH: MediaTime = MediaTime::from_millis(60_000);
/// Objects that are deleted together: about half a minute's worth of a ladder.
const DELETED_TOGETHER: usize = 64;
/// Objects that may wait to be deleted while the store is away. The end of the recording finds the others.
const MAX_PENDING_DELETES: usize = 10_000;
/// Time until a store that fails is tried again, up to every half minute.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(30);
/// Longest time for which an owner writes nothing: it writes more often than [`SILENT_OWNER_GRACE`](headwater_recordings::SILENT_OWNER_GRACE) asks for, and
/// with nothing beside a broadcast that makes segments.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(15);
/// Time between two looks whether it has.
const RENEW_CHECK: Duration = Duration::from_secs(5);
const _: () = assert!(
    RENEWAL_INTERVAL.as_secs() + RENEW_CHECK.as_secs() + MAX_WRITING_SECONDS <= SILENT_OWNER_GRACE.as_secs()
);
/// Seconds that the store may take for the writing.
const MAX_WRITING_SECONDS: u64 = 10;
/// Longest time in which a recording is finished by another server: a store that works takes a second or two.
const TAKE_BACK_TIME: Duration = Duration::from_secs(60);
/// Time between two looks at the journal for segments that the server before has still on their way.
const RECHECK_INTERVAL: Duration = Duration::from_secs(2);
/// Number of those looks. After a minute that server is gone, or its store is away.
const MAX_HISTORY_LOOKS: u32 = 30;

/// Follows one broadcast until its recording is finished, or another server's to go on with.
pub(crate) struct UploadTracker {
    recorder: Arc<Recorder>,
    history: Arc<dyn DvrHistory>,
    storage: Storage,
    /// The first segment that is made here, where another server has begun the broadcast.
    taken_over: Option<MediaSequence>,
    growth: Mutex<Growth>,
    grown: Notify,
}

#[derive(Default)]
struct Growth {
    length: MediaTime,
    /// Length of the recording when its playlists were written.
    written: Option<MediaTime>,
    is_due: bool,
    /// Media that has left the DVR window and is not kept.
    pending_deletes: Vec<Key>,
}

/// A segment that the feed was told, as it was told.
struct Told {
    entry: Entry,
    known: StoredSegment,
}

impl UploadTracker {
    pub(crate) fn new(
        recorder: Arc<Recorder>,
        history: Arc<dyn DvrHistory>,
        storage: Storage,
        taken_over: Option<MediaSequence>,
    ) -> Self {
        let growth = Mutex::default();
        let grown = Notify::new();
        Self { recorder, history, storage, taken_over, growth, grown }
    }

    /// Returns when nothing is left to do.
    pub(crate) async fn run(self, entries: mpsc::Receiver<Entry>) {
        let (told, fates) = mpsc::channel(MAX_OPEN_SEGMENTS);
        let followed = async { tokio::join!(self.tell_history(entries, told), self.settle_fates(fates)) };
        tokio::select! {
            _ = followed => {}
            ((), (), (), ()) = async {
                tokio::join!(self.keep_tidy(), self.load_history(), self.keep_alive(), self.keep_hold())
            } => {}
        }
        if self.recorder.is_over() {
            self.write_down().await;
            self.finish_recording().await;
        }
    }

    /// Tells the feed which segments can be fetched: as soon as they are stored, or on the disk of this server.
    async fn tell_history(&self, mut entries: mpsc::Receiver<Entry>, told: mpsc::Sender<Told>) {
        while let Some(mut entry) = entries.recv().await {
            let mut known = entry.segment.clone();
            let mut is_spooled = false;
            for (id, receipt) in &mut entry.receipts {
                let progress = receipt.safe().await;
                is_spooled |= progress == Progress::Spooled;
                note_fate(&mut known, id, progress);
            }
            if is_spooled {
                self.recorder.mark();
            }
            let period = entry.period.take().map(Record::Period);
            self.show_records(period.into_iter().chain([Record::Segment(known.clone())]));
            if told.send(Told { entry, known }).await.is_err() {
                return;
            }
        }
    }

    fn show_records(&self, records: impl IntoIterator<Item = Record>) {
        for record in records {
            let dropped = self.history.add_record(&record);
            self.queue_deletes(&dropped);
        }
    }

    /// Corrects the records of segments that are lost after all, or were there in another copy.
    async fn settle_fates(&self, mut told: mpsc::Receiver<Told>) {
        while let Some(Told { mut entry, known }) = told.recv().await {
            let mut last = entry.segment.clone();
            for (id, receipt) in &mut entry.receipts {
                let progress = receipt.settled().await;
                note_fate(&mut last, id, progress);
            }
            if let Progress::Stored { .. } = entry.written.settled().await {
                // The store works, so there is room.
                self.recorder.rewrite();
            }
            if last != entry.segment {
                self.recorder.correct(last.clone());
            }
            if last != known {
                self.show_records([Record::Segment(last.clone())]);
            }
            self.note_growth(last.duration());
        }
    }

    fn note_growth(&self, duration: MediaTime) {
        let mut growth = self.lock_growth();
        growth.length = growth.length + duration;
        let due = growth.written.map_or(MediaTime::ZERO, |written| {
            written + MediaTime((written.0 / GROWTH_DIVISOR).max(MIN_GROWTH.0))
        });
        if growth.length >= due && self.recorder.keeps_anything() {
            growth.is_due = true;
            self.grown.notify_one();
        }
    }

    fn queue_deletes(&self, dropped: &[Arc<StoredSegment>]) {
        let layout = &self.recorder.layout;
        let lost = |segment: &Arc<StoredSegment>| {
            let pieces = segment.pieces.iter().filter(|piece| piece.size.is_some());
            let unkept = pieces.filter(|piece| !self.recorder.keeps(&piece.rendition));
            unkept.map(|piece| layout.segment(&piece.rendition, segment.sequence)).collect::<Vec<_>>()
        };
        let keys: Vec<_> = dropped.iter().flat_map(lost).collect();
        let mut growth = self.lock_growth();
        growth.pending_deletes.extend(keys);
        growth.pending_deletes.truncate(MAX_PENDING_DELETES);
        if growth.pending_deletes.len() >= DELETED_TOGETHER {
            self.grown.notify_one();
        }
    }

    /// Writes playlists while the recording grows, and deletes what it does not keep. Never ends.
    async fn keep_tidy(&self) {
        let mut outage = Outage::default();
        let mut backoff = backoff();
        loop {
            self.grown.notified().await;
            while let Err(error) = self.tidy_store().await {
                if outage.begins() {
                    tracing::warn!(%error, "the recording's playlists can't be written; trying until they can");
                }
                backoff.wait().await;
            }
            outage.ends();
            backoff.reset();
        }
    }

    async fn tidy_store(&self) -> Result<(), headwater_platform::store::StoreError> {
        let (is_due, length) = {
            let growth = self.lock_growth();
            (growth.is_due, growth.length)
        };
        if is_due {
            refresh(self.storage.store.as_ref(), &self.recorder.layout).await?;
            let mut growth = self.lock_growth();
            (growth.is_due, growth.written) = (false, Some(length));
        }
        let pending_deletes: Vec<_> =
            self.lock_growth().pending_deletes.iter().take(1_000).cloned().collect();
        if pending_deletes.len() >= DELETED_TOGETHER {
            self.storage.store.delete(&pending_deletes).await?;
            self.lock_growth().pending_deletes.drain(..pending_deletes.len());
        }
        Ok(())
    }

    /// Shows in the store that this owner lives, also while there is nothing to store. Never ends.
    async fn keep_alive(&self) {
        loop {
            sleep(RENEW_CHECK).await;
            self.recorder.renew(RENEWAL_INTERVAL);
        }
    }

    /// Takes the recording back from a server that has finished or deleted it, as this one could be seen neither in the registry
    /// nor in the store for too long. Never ends.
    async fn keep_hold(&self) {
        loop {
            self.recorder.guard.contested().await;
            tracing::warn!(
                "this recording was written by another server, as if this one were gone: it goes on here"
            );
            self.recorder.begin_again();
            self.refresh_playlists();
            // The server that has finished it may have been in the middle of that.
            sleep(TAKE_BACK_TIME).await;
            self.recorder.mark();
            self.refresh_playlists();
        }
    }

    fn refresh_playlists(&self) {
        self.lock_growth().is_due = self.recorder.keeps_anything();
        self.grown.notify_one();
    }

    /// Reads the segments that servers before have stored, so that viewers can go back to them. Never ends.
    async fn load_history(&self) {
        let Some(first) = self.taken_over else { return std::future::pending().await };
        let mut outage = Outage::default();
        let mut backoff = backoff();
        let mut looks = 0;
        while looks < MAX_HISTORY_LOOKS {
            match Recording::load(self.storage.store.as_ref(), &self.recorder.layout).await {
                Ok(recording) => {
                    looks += 1;
                    let archive = recording.map(|recording| recording.archive);
                    let reaches = archive.as_ref().is_some_and(|archive| is_stored(archive, first));
                    let dropped = self.history.load_history(archive);
                    self.queue_deletes(&dropped);
                    if reaches {
                        break;
                    }
                    sleep(RECHECK_INTERVAL).await;
                }
                Err(error) => {
                    if outage.begins() {
                        tracing::warn!(%error, "what was stored before can't be read; trying until it can");
                    }
                    backoff.wait().await;
                }
            }
        }
        std::future::pending().await
    }

    /// Waits until the whole journal is stored.
    async fn write_down(&self) {
        let mut backoff = backoff();
        loop {
            self.recorder.written().await;
            if !self.recorder.rewrite() {
                return;
            }
            backoff.wait().await;
        }
    }

    async fn finish_recording(&self) {
        let mut outage = Outage::default();
        let mut backoff = backoff();
        let layout = &self.recorder.layout;
        loop {
            match finish(self.storage.store.as_ref(), layout, self.recorder.finisher()).await {
                Ok(Finished::Done) => return tracing::info!("the recording is complete"),
                Ok(Finished::Nothing) => return,
                Ok(Finished::Superseded) => {
                    return tracing::warn!("another server goes on with the recording");
                }
                Err(error) if outage.begins() => {
                    tracing::warn!(%error, "the recording can't be finished; trying until it can");
                }
                Err(_) => {}
            }
            backoff.wait().await;
        }
    }

    fn lock_growth(&self) -> MutexGuard<'_, Growth> {
        self.growth.lock_ignoring_poison()
    }
}

/// Notes the fate of a rendition of a segment.
fn note_fate(segment: &mut StoredSegment, id: &RenditionId, progress: Progress) {
    let Some(piece) = segment.pieces.iter_mut().find(|piece| piece.rendition == *id) else { return };
    match progress {
        Progress::Stored { size } => piece.size = Some(size),
        Progress::Dropped => piece.size = None,
        Progress::Waiting | Progress::Spooled => {}
    }
}

/// Whether the segment before `first` is stored: the last one of another server.
fn is_stored(archive: &Archive, first: MediaSequence) -> bool {
    let last = MediaSequence(first.0.saturating_sub(1));
    archive.segment(last).is_some_and(|segment| segment.pieces.iter().any(|piece| piece.size.is_some()))
}

fn backoff() -> Backoff<Random> {
    Backoff::new(FIRST_RETRY, MAX_RETRY_PAUSE)
}
