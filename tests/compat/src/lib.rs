//! Documents of each release, one folder a release (`0.2.0/`), which later releases have to read:
//!
//! | Folder | Documents |
//! | --- | --- |
//! | `contract.txt` | every message, field, enum value and call of the gRPC contract |
//! | `wire/MESSAGE/` | encoded messages of the gRPC calls, each with its fields as text |
//! | `redis/` | commands that write what the registry keeps, and the values that it reads |
//! | `store/` | a directory store with recordings, and the facts that are read of it |
//!
//! 0.1.0 has a store only: it speaks another contract, and has other keys in Redis.
//!
//! `cargo test -p headwater-compat` reads all of them with the code of today. The documents of [`NEXT_RELEASE`] are made anew by
//! `UPDATE=1 cargo test -p headwater-compat` until the release is cut; those of a release that is cut never change.

use std::fs;
use std::path::{Path, PathBuf};

/// Release whose documents may still be made anew. After it is cut, the version after it.
pub const NEXT_RELEASE: &str = "0.2.0";

/// Folder of a release's documents.
pub fn release_folder(release: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(release)
}

/// Releases that have these documents, `wire` for example.
///
/// # Panics
/// When the folders can't be read.
pub fn releases_with(documents: &str) -> Vec<String> {
    let folders = fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("the folder of this package").flatten();
    let names = folders.filter_map(|entry| entry.file_name().into_string().ok());
    let is_release = |name: &String| {
        name.starts_with(|first: char| first.is_ascii_digit())
            && release_folder(name).join(documents).exists()
    };
    let mut releases: Vec<_> = names.filter(is_release).collect();
    releases.sort();
    assert!(!releases.is_empty(), "no release has {documents}: UPDATE=1 cargo test -p headwater-compat");
    releases
}

/// Whether a release was cut: RELEASES.md names its commit.
///
/// # Panics
/// When RELEASES.md can't be read.
pub fn is_cut(release: &str) -> bool {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../RELEASES.md");
    let text = fs::read_to_string(file).expect("RELEASES.md");
    text.lines().any(|line| line.starts_with(&format!("| {release} |")))
}

/// Whether the documents of [`NEXT_RELEASE`] are to be made anew.
///
/// # Panics
/// When they are, and the release is cut.
pub fn is_update() -> bool {
    let is_update = std::env::var_os("UPDATE").is_some();
    assert!(
        !is_update || !is_cut(NEXT_RELEASE),
        "{NEXT_RELEASE} is cut, and its documents stay as they are: set NEXT_RELEASE in tests/compat/src/lib.rs to the next version"
    );
    is_update
}

/// Writes a document of [`NEXT_RELEASE`].
///
/// # Panics
/// When it can't be written.
pub fn write_document(name: &str, content: impl AsRef<[u8]>) {
    let path = release_folder(NEXT_RELEASE).join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("folders can be made");
    fs::write(path, content).expect("a document can be written");
}

/// Deletes documents of [`NEXT_RELEASE`] that are about to be made anew.
///
/// # Panics
/// When they can't be deleted.
pub fn clear_documents(name: &str) {
    let folder = release_folder(NEXT_RELEASE).join(name);
    if folder.exists() {
        fs::remove_dir_all(folder).expect("documents can be deleted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_cut_when_its_commit_is_named() {
        assert!(is_cut("0.1.0"));
        assert!(!is_cut("0.1"));
    }
}
