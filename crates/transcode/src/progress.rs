//! How the worker keeps up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use headwater_media::SourceTime;
use headwater_media::lock::MutexExt;

/// Statistics of the worker, reported once a second of source time. Counts are of the worker's whole life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Video access units that went in.
    pub frames_in: u64,
    /// Pictures that came out of the encoders, of all rungs together.
    pub frames_encoded: u64,
    /// Decoded pictures that came too late to be shown.
    pub frames_dropped: u64,
    /// Pictures that were shown once more because no new one came.
    pub frames_repeated: u64,
    /// Presentation time of the newest access unit that went in.
    pub newest_in: SourceTime,
    /// Presentation time of the newest one that came out of every encoder.
    pub newest_out: SourceTime,
}

#[derive(Default)]
pub(crate) struct Progress {
    taken: AtomicU64,
    encoded: AtomicU64,
    dropped: AtomicU64,
    repeated: AtomicU64,
    newest: AtomicU64,
    meters: Mutex<Vec<Arc<Meter>>>,
}

/// How far one encoder is.
#[derive(Default)]
pub(crate) struct Meter(AtomicU64);

impl Meter {
    pub(crate) fn count_output(&self, time: SourceTime) {
        self.0.store(time.0, Relaxed);
    }
}

impl Progress {
    /// A new period: other encoders, another timeline.
    pub(crate) fn begin_period(&self) {
        self.newest.store(0, Relaxed);
        self.meters.lock_ignoring_poison().clear();
    }

    /// A meter for one more encoder of the period.
    pub(crate) fn add_meter(&self) -> Arc<Meter> {
        let meter = Arc::<Meter>::default();
        self.meters.lock_ignoring_poison().push(meter.clone());
        meter
    }

    pub(crate) fn count_input(&self, time: SourceTime, is_video: bool) {
        self.newest.fetch_max(time.0, Relaxed);
        self.taken.fetch_add(u64::from(is_video), Relaxed);
    }

    pub(crate) fn count_encoded(&self) {
        self.encoded.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_dropped(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_repeated(&self, count: usize) {
        self.repeated.fetch_add(count as u64, Relaxed);
    }

    pub(crate) fn read_stats(&self) -> Stats {
        let meters = self.meters.lock_ignoring_poison();
        let slowest = meters.iter().map(|meter| meter.0.load(Relaxed)).min();
        Stats {
            frames_in: self.taken.load(Relaxed),
            frames_encoded: self.encoded.load(Relaxed),
            frames_dropped: self.dropped.load(Relaxed),
            frames_repeated: self.repeated.load(Relaxed),
            newest_in: SourceTime(self.newest.load(Relaxed)),
            newest_out: SourceTime(slowest.unwrap_or(0)),
        }
    }
}
