//! A directory as the object store. Several processes may share it, also by a network file system that has hard links.

mod list;
mod version;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use super::key::TEMPORARY_SUFFIX;
use super::{Folders, Key, ObjectStore, PAGE_ENTRIES, Page, Put, Replaced, Seen, StoreError, Version};

/// Age at which a temporary file was left behind by a process that is gone: no object takes that long to write.
const LEFT_BEHIND_AGE: Duration = Duration::from_secs(3600);
/// How often a directory is made again that somebody's deletion has taken away meanwhile. Each time takes microseconds, as
/// long as somebody's deletion.
const MAX_ATTEMPTS: usize = 100;

/// Objects as files below a directory.
#[derive(Clone, Debug)]
pub struct DirectoryStore {
    root: PathBuf,
}

impl DirectoryStore {
    /// Makes the directory unless it is there, and clears away what writers that died have left.
    ///
    /// # Errors
    /// When the directory can't be made or written to.
    pub async fn open(root: PathBuf) -> Result<Self, StoreError> {
        let store = Self { root };
        let prepared = store.run_blocking(|store| store.prepare_root()).await;
        prepared.map_err(|error| match error {
            StoreError::NotFound => StoreError::Refused(format!(
                "{}: no such directory, and none can be made there: set store.url",
                store.root.display()
            )),
            error => error,
        })?;
        Ok(store)
    }

    fn prepare_root(&self) -> io::Result<()> {
        let temporary = self.root.join(TEMPORARY_SUFFIX);
        fs::create_dir_all(&temporary)?;
        // Another machine with another clock may write here: the file server's counts.
        let now = version::server_time(&self.root)?;
        for entry in
            fs::read_dir(&temporary)?.flatten().filter(|entry| entry.file_name() != version::LOCK_FILE)
        {
            let written = entry.metadata().ok().and_then(|metadata| metadata.modified().ok());
            let age = written.and_then(|written| now.duration_since(written).ok());
            if age.is_some_and(|age| age > LEFT_BEHIND_AGE) {
                // Another process may clear away too.
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    fn object_path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    /// Files wait for disks, which no other task shall wait for.
    async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        let done =
            tokio::task::spawn_blocking(move || work(&store).map_err(|error| store.explain_error(error)));
        done.await.unwrap_or_else(|stopped| Err(StoreError::Unavailable(stopped.to_string())))
    }

    fn explain_error(&self, error: io::Error) -> StoreError {
        let root = self.root.display();
        match error.kind() {
            ErrorKind::NotFound => StoreError::NotFound,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StoreError::Refused(format!(
                "{root}: {error}: give the user of this process the right to write there"
            )),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                StoreError::Unavailable(format!("{root}: {error}: make room, or record less"))
            }
            ErrorKind::Unsupported => StoreError::Refused(format!(
                "{root}: {error}: the file system must have hard links and file locks"
            )),
            ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::AlreadyExists
            | ErrorKind::DirectoryNotEmpty => {
                StoreError::Refused(format!("{root}: {error}: a key can't be both an object and a folder"))
            }
            _ => StoreError::Unavailable(format!("{root}: {error}")),
        }
    }

    /// Has `place` give the object its name. Deleting takes empty directories away, so there may be none just then.
    fn place_object<T>(
        &self,
        key: &Key,
        body: &[u8],
        place: impl Fn(&Path, &Path) -> io::Result<T>,
    ) -> io::Result<T> {
        if key.is_root() {
            return Err(ErrorKind::IsADirectory.into());
        }
        let path = self.object_path(key);
        let temporary = Temporary::write(&self.root, body)?;
        let folder = path.parent().unwrap_or(&self.root);
        let mut more = 1..MAX_ATTEMPTS;
        loop {
            match fs::create_dir_all(folder).and_then(|()| place(&temporary.path, &path)) {
                Err(error) if error.kind() == ErrorKind::NotFound && more.next().is_some() => {}
                done => return done,
            }
        }
    }

    fn read(&self, key: &Key, range: Range<u64>) -> io::Result<Bytes> {
        let mut file = open_file(&self.object_path(key))?;
        let size = file.metadata()?.len();
        let start = range.start.min(size);
        let length = range.end.min(size).saturating_sub(start);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::with_capacity(length as usize);
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }

    fn remove(&self, key: &Key) -> io::Result<()> {
        let path = self.object_path(key);
        match fs::remove_file(&path) {
            // There is no object of this name, if there is a folder or not.
            Err(error) if is_absent(&error) || path.is_dir() => {}
            done => done?,
        }
        let folders = path.ancestors().skip(1).take_while(|folder| *folder != self.root);
        for folder in folders {
            // One that is not empty can't be removed.
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// A folder is no object, and nothing is below an object.
fn open_file(path: &Path) -> io::Result<File> {
    let absent = |error: io::Error| if is_absent(&error) { ErrorKind::NotFound.into() } else { error };
    let file = File::open(path).map_err(absent)?;
    if file.metadata()?.is_dir() { Err(ErrorKind::NotFound.into()) } else { Ok(file) }
}

/// A file that is not to be seen yet. Gone when dropped.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// Writes it down to the disk: after a power failure an object must not be there without its bytes.
    fn write(root: &Path, body: &[u8]) -> io::Result<Self> {
        let folder = root.join(TEMPORARY_SUFFIX);
        fs::create_dir_all(&folder)?;
        let temporary = Self { path: folder.join(Uuid::now_v7().to_string()) };
        let mut file = File::create_new(&temporary.path)?;
        file.write_all(body)?;
        file.sync_all()?;
        Ok(temporary)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It has been renamed, or nobody will miss it.
        let _ = fs::remove_file(&self.path);
    }
}

#[async_trait]
impl ObjectStore for DirectoryStore {
    async fn put(&self, key: &Key, body: Bytes, _content_type: &str) -> Result<Version, StoreError> {
        let key = key.clone();
        let rename = |from: &Path, to: &Path| {
            let version = version::version_of(&fs::metadata(from)?)?;
            fs::rename(from, to).map(|()| version)
        };
        self.run_blocking(move |store| store.place_object(&key, &body, rename)).await
    }

    async fn replace(
        &self,
        key: &Key,
        body: Bytes,
        _content_type: &str,
        version: &Version,
    ) -> Result<Replaced, StoreError> {
        let key = key.clone();
        let version = version.clone();
        self.run_blocking(move |store| store.replace(&key, &body, &version)).await
    }

    async fn put_new(&self, key: &Key, body: Bytes, _content_type: &str) -> Result<Put, StoreError> {
        let key = key.clone();
        let link = |from: &Path, to: &Path| match fs::hard_link(from, to) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && !to.is_dir() => {
                Ok(Put::Existed { size: open_file(to)?.metadata()?.len() })
            }
            linked => linked.map(|()| Put::Stored),
        };
        self.run_blocking(move |store| store.place_object(&key, &body, link)).await
    }

    async fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
        self.get_range(key, 0..u64::MAX).await
    }

    async fn look(&self, key: &Key) -> Result<Seen, StoreError> {
        let key = key.clone();
        self.run_blocking(move |store| store.look(&key)).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        let key = key.clone();
        self.run_blocking(move |store| store.read(&key, range)).await
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>, StoreError> {
        let key = key.clone();
        let size =
            self.run_blocking(move |store| Ok(open_file(&store.object_path(&key))?.metadata()?.len())).await;
        match size {
            Err(StoreError::NotFound) => Ok(None),
            size => size.map(Some),
        }
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>) -> Result<Page, StoreError> {
        let prefix = prefix.clone();
        let after = after.map(|key| key.as_str().to_owned());
        self.run_blocking(move |store| {
            list::list_objects(&store.root, &prefix, after.as_deref(), PAGE_ENTRIES)
        })
        .await
    }

    async fn folders(&self, prefix: &Key, after: Option<&str>) -> Result<Folders, StoreError> {
        let prefix = prefix.clone();
        let after = after.map(str::to_owned);
        self.run_blocking(move |store| {
            list::list_folders(&store.root, &prefix, after.as_deref(), PAGE_ENTRIES)
        })
        .await
    }

    async fn delete(&self, keys: &[Key]) -> Result<(), StoreError> {
        let keys = keys.to_vec();
        self.run_blocking(move |store| keys.iter().try_for_each(|key| store.remove(key))).await
    }

    async fn presign(&self, _key: &Key, _expires: Duration) -> Result<Option<String>, StoreError> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
