//! How much memory the worker has taken, seen from inside the sandbox.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use gst::glib;

use crate::error::{Error, Result};

/// Of `/proc/self/statm`: pages of data and stack, what RLIMIT_DATA counts and the main thread's stack.
const DATA_FIELD: usize = 5;
/// From this share of the limit on the worker gives up, while it can still say why. Pictures are a hundredth of what
/// remains.
const NEARLY: f64 = 0.9;
/// Share of the memory limit above which a failure is one for want of memory: a picture of the greatest size may take the rest at once.
const SHORT: f64 = 0.7;
/// A decoder makes a few pictures in this time.
const INTERVAL: Duration = Duration::from_millis(50);

/// Opened before the sandbox is shut, and read in it.
pub(crate) struct Memory {
    statm: File,
    limit: u64,
}

impl Memory {
    /// With `limit` in bytes; none where there is no `/proc`.
    pub(crate) fn open(limit: u64) -> Option<Self> {
        Some(Self { statm: File::open("/proc/self/statm").ok()?, limit })
    }

    /// Calls `fail` when there is nearly nothing left, or when GLib is about to abort because there is nothing.
    pub(crate) fn watch(self: &Arc<Self>, fail: impl Fn(Error) + Send + Sync + 'static) {
        let (memory, fail) = (self.clone(), Arc::new(fail));
        let failed = fail.clone();
        glib::log_set_writer_func(move |level, fields| {
            if level == glib::LogLevel::Error && memory.is_above(SHORT) {
                failed(memory.error());
            }
            glib::log_writer_default(level, fields)
        });
        let memory = self.clone();
        std::thread::spawn(move || {
            while !memory.is_above(NEARLY) {
                std::thread::sleep(INTERVAL);
            }
            fail(memory.error());
        });
    }

    /// Whatever failed while there was hardly any memory failed for want of it.
    pub(crate) fn explain<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| if self.is_above(SHORT) { self.error() } else { error })
    }

    fn error(&self) -> Error {
        Error::Memory { limit: self.limit }
    }

    fn is_above(&self, share: f64) -> bool {
        self.used() as f64 > self.limit as f64 * share
    }

    fn used(&self) -> u64 {
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
        let memory = Memory::open(1 << 40).unwrap();
        let taken = vec![1u8; 64 << 20];
        assert!(memory.used() >= taken.len() as u64);
        let explained = |memory: &Memory| memory.explain::<()>(Err(Error::InputEnded)).unwrap_err();
        assert!(matches!(explained(&memory), Error::InputEnded));
        let error = explained(&Memory::open(taken.len() as u64).unwrap());
        assert!(error.to_string().contains("server.worker_memory"), "{error}");
    }
}
