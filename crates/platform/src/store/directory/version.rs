//! Versions of files: replacing the one that somebody has read, and how old it is by the clock of its file system.

use std::fs::{self, File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::{DirectoryStore, Temporary, is_absent, open_file};
use crate::store::key::TEMPORARY_SUFFIX;
use crate::store::{Key, Replaced, Seen, Version};

/// The file that is locked while an object is replaced: no file system compares and renames in one step.
pub(super) const LOCK_FILE: &str = "lock";
/// Longest wait for a lock. Its holder needs microseconds, unless it hangs, or its file server does.
const MAX_LOCK_TIME: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Every object is a file of its own, so its file's identity and time of writing are never those of another version.
pub(super) fn version_of(metadata: &Metadata) -> io::Result<Version> {
    let seconds = metadata.mtime();
    let nanoseconds = metadata.mtime_nsec();
    Ok(Version(format!("{}-{seconds}.{nanoseconds:09}-{}", metadata.ino(), metadata.len())))
}

/// The time by the clock of the file server, where there is one: that of a file of this moment.
pub(super) fn server_time(root: &Path) -> io::Result<SystemTime> {
    fs::metadata(&Temporary::write(root, b"")?.path)?.modified()
}

impl DirectoryStore {
    pub(super) fn replace(&self, key: &Key, body: &[u8], version: &Version) -> io::Result<Replaced> {
        self.place_object(key, body, |from, to| {
            let _lock = lock_file(&self.root.join(TEMPORARY_SUFFIX).join(LOCK_FILE), MAX_LOCK_TIME)?;
            if current_version(to)?.as_ref() != Some(version) {
                return Ok(Replaced::Changed);
            }
            let stored = version_of(&fs::metadata(from)?)?;
            fs::rename(from, to).map(|()| Replaced::Stored(stored))
        })
    }

    pub(super) fn look(&self, key: &Key) -> io::Result<Seen> {
        let mut file = open_file(&self.object_path(key))?;
        let metadata = file.metadata()?;
        let mut body = Vec::with_capacity(metadata.len() as usize);
        io::Read::read_to_end(&mut file, &mut body)?;
        let age = server_time(&self.root)?.duration_since(metadata.modified()?).unwrap_or_default();
        Ok(Seen { body: body.into(), version: version_of(&metadata)?, age })
    }
}

/// Waits for the lock that long. It is released when the file is closed, also by the end of this process.
pub(super) fn lock_file(path: &Path, patience: Duration) -> io::Result<File> {
    let lock = File::create(path)?;
    let began = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if began.elapsed() < patience => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {
                let text = format!("{} is locked by another process that hangs", path.display());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
        }
    }
}

fn current_version(path: &Path) -> io::Result<Option<Version>> {
    match fs::metadata(path) {
        Err(error) if is_absent(&error) => Ok(None),
        metadata => version_of(&metadata?).map(Some),
    }
}
