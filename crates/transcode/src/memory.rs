//! How much memory the worker has taken, seen from inside the sandbox.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gst::glib;

use crate::error::{Error, Result};

/// Of `/proc/self/statm`: pages of data and stack, what RLIMIT_DATA counts and the main thread's stack.
const DATA_FIELD: usize = 5;
/// From this share of the limit on the worker gives up, while it can still say why. Pictures are a hundredth of what
/// remains.
const EXHAUSTED_RATIO: f64 = 0.9;
/// Share of the memory limit above which a failure is one for want of memory: a picture of the greatest size may take the rest at once.
const SUSPECT_RATIO: f64 = 0.7;
/// A decoder makes a few pictures in this time.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// For this long after a shortage a failure is one for want of memory: pipelines that stop after it give theirs back before
/// the failure is told.
const SHORTAGE_AFTERMATH: Duration = Duration::from_secs(5);

/// Opened before the sandbox is shut, and read in it.
pub(crate) struct Memory {
    statm: File,
    limit: u64,
    opened: Instant,
    /// Milliseconds from `opened` to the end of the aftermath of the latest shortage.
    short_until: AtomicU64,
}

impl Memory {
    /// With `limit` in bytes; none where there is no `/proc`.
    pub(crate) fn open_statm(limit: u64) -> Option<Self> {
        let statm = File::open("/proc/self/statm").ok()?;
        Some(Self { statm, limit, opened: Instant::now(), short_until: AtomicU64::new(0) })
    }

    /// Calls `fail` when there is nearly nothing left, or when GLib is about to abort or a thread to panic because there is
    /// nothing.
    pub(crate) fn watch_usage(self: &Arc<Self>, fail: impl Fn(Error) + Send + Sync + 'static) {
        let memory = self.clone();
        let fail = Arc::new(fail);
        let failed = fail.clone();
        glib::log_set_writer_func(move |level, fields| {
            if level == glib::LogLevel::Error && memory.is_short() {
                failed(memory.exhausted_error());
            }
            glib::log_writer_default(level, fields)
        });
        let memory = self.clone();
        let failed = fail.clone();
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if memory.is_short() {
                failed(memory.exhausted_error());
            }
            usual(panic);
        }));
        let memory = self.clone();
        std::thread::spawn(move || {
            while !memory.is_above(EXHAUSTED_RATIO) {
                memory.is_short();
                std::thread::sleep(CHECK_INTERVAL);
            }
            fail(memory.exhausted_error());
        });
    }

    /// Whatever failed while there was hardly any memory failed for want of it.
    pub(crate) fn explain_failure<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| if self.is_short() { self.exhausted_error() } else { error })
    }

    fn exhausted_error(&self) -> Error {
        Error::Memory { limit: self.limit }
    }

    /// Whether a failure of this moment is one for want of memory.
    fn is_short(&self) -> bool {
        let now = self.opened.elapsed();
        let millis = |time: Duration| time.as_millis() as u64;
        if self.is_above(SUSPECT_RATIO) {
            self.short_until.store(millis(now + SHORTAGE_AFTERMATH), Ordering::Relaxed);
            return true;
        }
        millis(now) < self.short_until.load(Ordering::Relaxed)
    }

    fn is_above(&self, share: f64) -> bool {
        self.used_bytes() as f64 > self.limit as f64 * share
    }

    fn used_bytes(&self) -> u64 {
        let mut text = [0; 128];
        let length = self.statm.read_at(&mut text, 0).unwrap_or(0);
        let pages = std::str::from_utf8(&text[..length]).ok().and_then(data_pages);
        pages.unwrap_or(0) * rustix::param::page_size() as u64
    }
}

fn data_pages(statm: &str) -> Option<u64> {
    statm.split(' ').nth(DATA_FIELD)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_counts_and_too_much_is_said() {
        let memory = Memory::open_statm(1 << 40).unwrap();
        let taken = vec![1u8; 64 << 20];
        assert!(memory.used_bytes() >= taken.len() as u64);
        let explained = |memory: &Memory| memory.explain_failure::<()>(Err(Error::InputEnded)).unwrap_err();
        assert!(matches!(explained(&memory), Error::InputEnded));
        let error = explained(&Memory::open_statm(taken.len() as u64).unwrap());
        assert!(error.to_string().contains("server.worker_memory"), "{error}");
    }

    #[test]
    fn a_failure_right_after_a_shortage_is_one_for_want_of_memory() {
        let kept = Memory::open_statm(1 << 40).unwrap().used_bytes();
        let memory = Memory::open_statm((kept + (2 << 30)) * 10 / 7).unwrap();
        let explained = || memory.explain_failure::<()>(Err(Error::InputEnded)).unwrap_err();
        assert!(matches!(explained(), Error::InputEnded));
        let taken: Vec<u8> = Vec::with_capacity(4 << 30);
        assert!(matches!(explained(), Error::Memory { .. }));
        drop(taken);
        assert!(!memory.is_above(SUSPECT_RATIO));
        assert!(matches!(explained(), Error::Memory { .. }));
    }
}
