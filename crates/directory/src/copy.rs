//! Copy of the live inputs whose keys were shown lately: a publisher costs no read of the store as a rule, and those that
//! are known are let in while the store is away.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use headwater_media::lock::MutexExt;
use headwater_media::{StreamId, StreamKey};
use moka::sync::Cache;
use tokio::time::{Instant, timeout};

use crate::Directory;
use crate::error::DirectoryError;
use crate::input::LiveInput;

/// Keys that are remembered, known and unknown ones apart: invented keys push out no known one.
const MAX_KNOWN_KEYS: u64 = 100_000;
const MAX_UNKNOWN_KEYS: u64 = 10_000;
/// Changed inputs that are told apart; with more, all copies are read again.
const MAX_CHANGED_INPUTS: usize = 10_000;
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
    changes: Mutex<Changes>,
}

#[derive(Clone, Debug)]
struct Entry {
    input: LiveInput,
    trusted_until: Instant,
    /// Changes that had been told when the look-up began: its answer may be older than those that came after.
    as_of: u64,
}

/// Changes of inputs that were told. Entries stay beyond them, for the time in which the store does not answer.
#[derive(Debug, Default)]
struct Changes {
    count: u64,
    /// Number of the last change that may concern every input.
    of_all: u64,
    /// Number of the last change of each input since then.
    of_inputs: HashMap<StreamId, u64>,
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
        Self { directory, known, unknown, changes: Mutex::default() }
    }

    /// Directory that this is a copy of.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Live input that a stream key opens.
    pub async fn find_input(&self, stream_key: &StreamKey) -> Found {
        let name = self.directory.sealer.lookup_name(stream_key.expose());
        let copied = self.known.get(&name);
        if let Some(entry) = copied.as_ref().filter(|entry| self.is_trusted(entry)) {
            return Found::Input(Box::new(entry.input.clone()));
        }
        if copied.is_none() && self.unknown.contains_key(&name) {
            return Found::Unknown;
        }
        let as_of = self.changes.lock_ignoring_poison().count;
        let patience = if copied.is_some() { STORE_TIME_WITH_COPY } else { STORE_TIME };
        let read = timeout(patience, self.directory.find_input(stream_key)).await;
        let read = read.unwrap_or(Err(DirectoryError::TooSlow(patience)));
        match (read, copied) {
            (Ok(Some(input)), _) => {
                let trusted_until = Instant::now() + TRUSTED_TIME;
                self.known.insert(name, Entry { input: input.clone(), trusted_until, as_of });
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
        self.unknown.invalidate_all();
        self.changes.lock_ignoring_poison().note_input(uid);
    }

    /// Notes that changes may have been missed: every copy is read again before it is trusted.
    pub fn forget_all(&self) {
        self.unknown.invalidate_all();
        self.changes.lock_ignoring_poison().note_all();
    }

    fn is_trusted(&self, entry: &Entry) -> bool {
        let changes = self.changes.lock_ignoring_poison();
        Instant::now() < entry.trusted_until && entry.as_of >= changes.last_change(&entry.input.uid)
    }
}

impl Changes {
    fn note_input(&mut self, uid: &StreamId) {
        if self.of_inputs.len() >= MAX_CHANGED_INPUTS {
            return self.note_all();
        }
        self.count += 1;
        self.of_inputs.insert(uid.clone(), self.count);
    }

    fn note_all(&mut self) {
        self.count += 1;
        self.of_all = self.count;
        self.of_inputs.clear();
    }

    fn last_change(&self, uid: &StreamId) -> u64 {
        self.of_inputs.get(uid).copied().unwrap_or(self.of_all)
    }
}

#[cfg(test)]
mod tests;
