//! Copy of the live inputs whose keys were shown lately: a publisher costs no read of the store as a rule, and those that
//! are known are let in while the store is away.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use headwater_media::{StreamId, StreamKey};
use moka::sync::Cache;
use tokio::time::{Instant, timeout};

use crate::Directory;
use crate::error::DirectoryError;
use crate::input::LiveInput;

/// Keys that are remembered, known and unknown ones apart: invented keys push out no known one.
const MAX_KNOWN_KEYS: u64 = 100_000;
const MAX_UNKNOWN_KEYS: u64 = 10_000;
/// Time for which an entry is taken for the truth. Changes are told sooner, by [`DirectoryCopy::forget`].
const TRUSTED_TIME: Duration = Duration::from_secs(60);
/// Time for which a key is not looked up again after it opened nothing: a misconfigured encoder tries every second or two.
const UNKNOWN_TIME: Duration = Duration::from_secs(2);
/// Time that the store may take where the copy has an older answer, and where it has none.
const STORE_TIME_WITH_COPY: Duration = Duration::from_millis(500);
const STORE_TIME: Duration = Duration::from_secs(5);

/// Bounded copy of a [`Directory`] for a service that is shown stream keys.
#[derive(Debug)]
pub struct DirectoryCopy {
    directory: Directory,
    known: Cache<String, Entry>,
    unknown: Cache<String, ()>,
    /// Changes that were told so far: an answer that was on its way meanwhile may be older than they are.
    changes: AtomicU64,
}

#[derive(Clone, Debug)]
struct Entry {
    input: LiveInput,
    trusted_until: Instant,
}

/// Answer to a stream key.
#[derive(Debug)]
pub enum Found {
    Input(Box<LiveInput>),
    /// The directory was asked and knows no such key.
    Unknown,
    /// The directory does not answer, and the copy does not have the key.
    Unavailable(DirectoryError),
}

impl DirectoryCopy {
    /// Copy that has nothing yet.
    pub fn new(directory: Directory) -> Self {
        let known = Cache::new(MAX_KNOWN_KEYS);
        let unknown = Cache::builder().max_capacity(MAX_UNKNOWN_KEYS).time_to_live(UNKNOWN_TIME).build();
        Self { directory, known, unknown, changes: AtomicU64::new(0) }
    }

    /// Directory that this is a copy of.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Live input that a stream key opens.
    pub async fn find_input(&self, stream_key: &StreamKey) -> Found {
        let name = self.directory.sealer.lookup_name(stream_key.expose());
        let copied = self.known.get(&name);
        if let Some(entry) = copied.as_ref().filter(|entry| Instant::now() < entry.trusted_until) {
            return Found::Input(Box::new(entry.input.clone()));
        }
        if copied.is_none() && self.unknown.contains_key(&name) {
            return Found::Unknown;
        }
        let changes = self.changes.load(Ordering::Acquire);
        let patience = if copied.is_some() { STORE_TIME_WITH_COPY } else { STORE_TIME };
        let read = timeout(patience, self.directory.find_input(stream_key)).await;
        let read = read.unwrap_or(Err(DirectoryError::TooSlow(patience)));
        match (read, copied) {
            (Ok(Some(input)), _) => {
                self.keep(name, &input, changes);
                Found::Input(Box::new(input))
            }
            (Ok(None), _) => {
                self.known.invalidate(&name);
                self.unknown.insert(name, ());
                Found::Unknown
            }
            (Err(error), Some(entry)) => {
                tracing::warn!(uid = %entry.input.uid, %error, "the directory does not answer: going by the copy of the input");
                Found::Input(Box::new(entry.input))
            }
            (Err(error), None) => Found::Unavailable(error),
        }
    }

    /// Notes that a live input was made, changed or deleted: its copies are read again before they are trusted.
    pub fn forget(&self, uid: &StreamId) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.unknown.invalidate_all();
        self.distrust(|input| input.uid == *uid);
    }

    /// Notes that changes may have been missed: every copy is read again before it is trusted.
    pub fn forget_all(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.unknown.invalidate_all();
        self.distrust(|_| true);
    }

    fn keep(&self, name: String, input: &LiveInput, changes: u64) {
        let is_current = self.changes.load(Ordering::Acquire) == changes;
        let now = Instant::now();
        let trusted_until = if is_current { now + TRUSTED_TIME } else { now };
        self.known.insert(name, Entry { input: input.clone(), trusted_until });
    }

    /// Entries stay, for the time in which the store does not answer.
    fn distrust(&self, concerns: impl Fn(&LiveInput) -> bool) {
        let now = Instant::now();
        for (name, entry) in &self.known {
            if concerns(&entry.input) {
                self.known.insert(name.to_string(), Entry { trusted_until: now, ..entry });
            }
        }
    }
}

#[cfg(test)]
mod tests;
