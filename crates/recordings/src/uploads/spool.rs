//! Objects that wait on the disk: one file each, which outlives the process.
//!
//! Each process has a directory of its own in the spool, which it holds locked. A process that starts takes the files of the
//! directories that no other one holds.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use headwater_platform::store::Key;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::job::PutMode;

const LOCK_FILE: &str = "lock";
/// Prefix of directories that are not in use yet.
const UNBORN_PREFIX: &str = ".new-";
/// The longest line that tells what a file is: a key and a lane have at most 1 KiB each.
const MAX_HEAD_BYTES: u64 = 8 << 10;

/// Keeps files. The other implementation is a test's.
pub(super) trait Disk: Send + Sync + 'static {
    /// Writes the file whole or not at all.
    fn write_file(&self, number: u64, bytes: &[&[u8]]) -> io::Result<()>;
    fn read_file(&self, number: u64) -> io::Result<Bytes>;
    fn remove_file(&self, number: u64) -> io::Result<()>;
}

/// Header of a spooled object's file, as one line of JSON before its bytes.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) lane: String,
    pub(super) key: String,
    pub(super) content_type: String,
    /// Called `how` in files since the first release.
    #[serde(rename = "how")]
    pub(super) mode: PutMode,
}

/// An object that an earlier process has left.
#[derive(Debug)]
pub(super) struct Leftover {
    pub(super) number: u64,
    pub(super) key: Key,
    pub(super) head: Head,
    /// Bytes of the object.
    pub(super) size: u64,
    /// Bytes of the file.
    pub(super) file_size: u64,
}

/// The first line of an object's file.
pub(super) fn head_line(head: &Head) -> Vec<u8> {
    let mut line = serde_json::to_vec(head).expect("texts are JSON");
    line.push(b'\n');
    debug_assert!(line.len() as u64 <= MAX_HEAD_BYTES, "the next process could not read it");
    line
}

/// The object of a file.
pub(super) fn body_of(file: &Bytes) -> io::Result<Bytes> {
    let end = file.iter().position(|byte| *byte == b'\n').ok_or(ErrorKind::InvalidData)?;
    Ok(file.slice(end + 1..))
}

/// A directory of this process in the spool.
#[derive(Debug)]
pub(super) struct FileDisk {
    directory: PathBuf,
    _lock: File,
}

impl FileDisk {
    /// Makes a directory of one's own, and moves what nobody cares for any more into it. Gives what that was, the oldest
    /// first.
    pub(super) fn open_spool(spool: &Path) -> io::Result<(Self, Vec<Leftover>)> {
        make_private(spool)?;
        let name = Uuid::now_v7().to_string();
        let unborn = spool.join(format!("{UNBORN_PREFIX}{name}"));
        make_private(&unborn)?;
        let lock = File::create_new(unborn.join(LOCK_FILE))?;
        lock.try_lock()?;
        check_owner(spool, &lock)?;
        // Only now, as others take what is not locked.
        let directory = spool.join(name);
        fs::rename(&unborn, &directory)?;
        let disk = Self { directory, _lock: lock };
        let leftovers = disk.inherit_files(spool)?;
        Ok((disk, leftovers))
    }

    fn inherit_files(&self, spool: &Path) -> io::Result<Vec<Leftover>> {
        let mut directories: Vec<_> = fs::read_dir(spool)?.flatten().map(|entry| entry.path()).collect();
        // By the time of their making.
        directories.sort();
        let mut leftovers = Vec::new();
        let is_other = |directory: &PathBuf| *directory != self.directory && !is_unborn(directory);
        for directory in directories.into_iter().filter(is_other) {
            let Ok(lock) = File::open(directory.join(LOCK_FILE)) else { continue };
            if lock.try_lock().is_ok() {
                self.take_all(&directory, &mut leftovers)?;
                fs::remove_dir_all(&directory)?;
            }
        }
        Ok(leftovers)
    }

    fn take_all(&self, from: &Path, into: &mut Vec<Leftover>) -> io::Result<()> {
        let mut files: Vec<_> = fs::read_dir(from)?.flatten().map(|entry| entry.path()).collect();
        files.sort();
        for file in files.iter().filter(|file| number_of(file).is_some()) {
            match describe_leftover(file, into.len() as u64) {
                Ok(leftover) if leftover.head.mode.outlives_its_process() => {
                    fs::rename(file, self.file_path(leftover.number))?;
                    into.push(leftover);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(file = %file.display(), %error, "a spooled object can't be read: thrown away");
                }
            }
        }
        Ok(())
    }

    fn file_path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number:020}"))
    }
}

/// Leaves its files to the next process, and no empty directory.
impl Drop for FileDisk {
    fn drop(&mut self) {
        let is_empty = fs::read_dir(&self.directory).is_ok_and(|entries| entries.count() == 1);
        if is_empty {
            // The next process clears it away otherwise.
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// Makes a directory that other users can't read.
fn make_private(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// In a directory for all, somebody else could have made the spool, and give us objects to upload.
fn check_owner(spool: &Path, own_file: &File) -> io::Result<()> {
    let owner = fs::metadata(spool)?.uid();
    if owner == own_file.metadata()?.uid() || owner == 0 {
        Ok(())
    } else {
        Err(io::Error::new(ErrorKind::PermissionDenied, "the directory belongs to another user"))
    }
}

fn is_unborn(directory: &Path) -> bool {
    directory.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNBORN_PREFIX))
}

/// None for the lock, and for what was not written to its end.
fn number_of(file: &Path) -> Option<u64> {
    file.file_name()?.to_str().filter(|name| name.len() == 20)?.parse().ok()
}

fn describe_leftover(file: &Path, number: u64) -> io::Result<Leftover> {
    let file = File::open(file)?;
    let file_size = file.metadata()?.len();
    let mut line = Vec::new();
    BufReader::new(file.take(MAX_HEAD_BYTES)).read_until(b'\n', &mut line)?;
    let head: Head = serde_json::from_slice(&line)?;
    let key = Key::new(head.key.as_str()).map_err(io::Error::other)?;
    let size = file_size.checked_sub(line.len() as u64).ok_or(ErrorKind::InvalidData)?;
    Ok(Leftover { number, key, head, size, file_size })
}

impl Disk for FileDisk {
    fn write_file(&self, number: u64, bytes: &[&[u8]]) -> io::Result<()> {
        let path = self.file_path(number);
        let unborn = path.with_extension("new");
        let written = (|| {
            let mut file = File::create(&unborn)?;
            bytes.iter().try_for_each(|bytes| file.write_all(bytes))?;
            file.sync_data()?;
            fs::rename(&unborn, &path)
        })();
        if written.is_err() {
            // A full disk needs the room of the half that was written.
            let _ = fs::remove_file(&unborn);
        }
        written
    }

    fn read_file(&self, number: u64) -> io::Result<Bytes> {
        fs::read(self.file_path(number)).map(Bytes::from)
    }

    fn remove_file(&self, number: u64) -> io::Result<()> {
        fs::remove_file(self.file_path(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_a_file_keeps_the_names_of_earlier_releases() {
        let head = Head { lane: "l".into(), key: "k".into(), content_type: "t".into(), mode: PutMode::Own };
        let text = r#"{"lane":"l","key":"k","content_type":"t","how":"Own"}"#;
        assert_eq!(serde_json::to_string(&head).unwrap(), text);
        assert_eq!(serde_json::from_str::<Head>(text).unwrap(), head);
    }
}
