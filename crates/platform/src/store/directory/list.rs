//! Lists of files in the order of keys.

use std::fs;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use headwater_media::UnixMillis;

use super::is_absent;
use crate::store::key::TEMPORARY_SUFFIX;
use crate::store::{Entry, Folders, Key, Page};

/// The first `most` objects below `prefix` after the key `after`.
pub(super) fn list_objects(root: &Path, prefix: &Key, after: Option<&str>, most: usize) -> io::Result<Page> {
    let mut entries = Vec::new();
    let is_whole = walk_folder(root, &prefix.folder(), after.unwrap_or_default(), most, &mut entries)?;
    Ok(Page { entries, is_truncated: !is_whole })
}

/// Whether everything has found its place.
fn walk_folder(
    root: &Path,
    folder: &str,
    after: &str,
    most: usize,
    into: &mut Vec<Entry>,
) -> io::Result<bool> {
    for name in list_names(root, folder)? {
        let key = format!("{folder}{name}");
        // All keys below a folder start with its own.
        if key.as_str() <= after && !after.starts_with(&key) {
            continue;
        }
        if key.ends_with('/') {
            if !walk_folder(root, &key, after, most, into)? {
                return Ok(false);
            }
        } else if key.as_str() > after
            && let Some(entry) = read_entry(root, key)?
        {
            if into.len() == most {
                return Ok(false);
            }
            into.push(entry);
        }
    }
    Ok(true)
}

/// None for what has been deleted meanwhile, or is not ours.
fn read_entry(root: &Path, key: String) -> io::Result<Option<Entry>> {
    let metadata = match fs::metadata(root.join(&key)) {
        Err(error) if is_absent(&error) => return Ok(None),
        metadata => metadata?,
    };
    let since = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let modified = UnixMillis(since.as_millis() as u64);
    Ok(Key::new(key).ok().map(|key| Entry { key, size: metadata.len(), modified }))
}

/// The first `most` folders in `prefix` after the one named `after`. One that is empty is about to be deleted, or about to
/// have its first object.
pub(super) fn list_folders(
    root: &Path,
    prefix: &Key,
    after: Option<&str>,
    most: usize,
) -> io::Result<Folders> {
    let after = after.map(|name| format!("{name}/"));
    let mut names = Vec::new();
    for name in list_names(root, &prefix.folder())? {
        let Some(bare) = name.strip_suffix('/') else { continue };
        let is_past = after.as_ref().is_none_or(|after| name > *after);
        if is_past && !objects_below(root, &format!("{}{bare}", prefix.folder()))? {
            continue;
        }
        if is_past && names.len() == most {
            return Ok(Folders { names, is_truncated: true });
        }
        if is_past {
            names.push(bare.to_owned());
        }
    }
    Ok(Folders { names, is_truncated: false })
}

fn objects_below(root: &Path, folder: &str) -> io::Result<bool> {
    let Ok(folder) = Key::new(folder) else { return Ok(false) };
    Ok(!list_objects(root, &folder, None, 1)?.entries.is_empty())
}

/// The names in a folder, those of folders with a slash at their ends: so they are in the order of the keys below them.
fn list_names(root: &Path, folder: &str) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(root.join(folder)) {
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_folder = entry.file_type()?.is_dir();
        let is_temporary = is_folder && folder.is_empty() && name == TEMPORARY_SUFFIX;
        if !is_temporary {
            found.push(if is_folder { name + "/" } else { name });
        }
    }
    found.sort();
    Ok(found)
}
