//! Names of the directory's objects in the store.

use headwater_media::StreamId;
use headwater_platform::store::Key;

pub(crate) const INPUTS: &str = "inputs";
pub(crate) const TOKENS: &str = "tokens";
const KEYS: &str = "keys";

pub(crate) fn folder(name: &str) -> Key {
    Key::new(name).expect("the folder's name is a key")
}

pub(crate) fn input(uid: &StreamId) -> Key {
    document(INPUTS, uid.as_str())
}

/// Look-up document of a stream key.
pub(crate) fn lookup(name: &str) -> Key {
    document(KEYS, name)
}

pub(crate) fn token(id: &str) -> Key {
    document(TOKENS, id)
}

/// `name` holds letters, digits, `-`, `_` and `.` only.
fn document(folder: &str, name: &str) -> Key {
    Key::new(format!("{folder}/{name}.json")).expect("names of documents are names of files")
}

/// Uid of the input whose document this is.
pub(crate) fn uid_of(key: &Key) -> Option<StreamId> {
    key.name().strip_suffix(".json")?.parse().ok()
}
