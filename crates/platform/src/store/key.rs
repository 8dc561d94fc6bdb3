//! Names of objects.

use std::fmt;
use std::str::FromStr;

/// Bytes of the longest key: S3 takes 1,024, which leaves 223 for the prefix of the store and a slash.
const MAX_KEY_BYTES: usize = 800;
/// The longest name of a file.
const MAX_NAME_BYTES: usize = 255;
/// Folder in which a directory store keeps objects that are not whole yet.
pub(super) const TEMPORARY_SUFFIX: &str = ".tmp";

/// The name of an object: names separated by slashes. Never leads out of the store, and is a path of a file as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no key of an object: names of visible ASCII characters without any of \\ \" < > {{ }} | ^ ` # % ? *, \
    separated by single slashes, none of them . or .."
)]
/// The text is no key.
pub struct KeyError(String);

impl Key {
    /// A key of its text.
    ///
    /// # Errors
    /// When it could lead elsewhere, or not every store could have it.
    pub fn new(text: impl Into<String>) -> Result<Self, KeyError> {
        let text = text.into();
        let first = text.split('/').next().unwrap_or_default();
        if text.len() <= MAX_KEY_BYTES && text.split('/').all(is_name) && first != TEMPORARY_SUFFIX {
            Ok(Self(text))
        } else {
            Err(KeyError(text))
        }
    }

    /// Key that all others are below: a prefix to list by, and no object.
    pub fn root() -> Self {
        Self(String::new())
    }

    /// Whether this is the key above all others.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last of its names.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The key one level below, or several.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn join(&self, below: &str) -> Result<Self, KeyError> {
        Self::new(format!("{}{below}", self.folder()))
    }

    /// Prefix of every key below this one: the key and a slash, or nothing for the root.
    pub fn folder(&self) -> String {
        if self.is_root() { String::new() } else { format!("{}/", self.0) }
    }

    /// Rest of this key below `prefix`; `None` where it is not below.
    pub fn below<'a>(&'a self, prefix: &Self) -> Option<&'a str> {
        if prefix.is_root() { Some(&self.0) } else { self.0.strip_prefix(prefix.as_str())?.strip_prefix('/') }
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_graphic() && !b"\\\"<>{}|^`#%?*".contains(&c);
    !matches!(name, "" | "." | "..") && name.len() <= MAX_NAME_BYTES && name.bytes().all(allowed)
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Key {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::new(text)
    }
}

impl TryFrom<String> for Key {
    type Error = KeyError;
    fn try_from(text: String) -> Result<Self, KeyError> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_in_the_store() {
        for good in ["a", "demo/vod-1.m3u8", ".live/demo/1", "a.b/c_d/e-f=g", "a/.tmp", "..a/b.."] {
            assert_eq!(Key::new(good).unwrap().as_str(), good);
        }
        let long = format!("{}/a", "a".repeat(MAX_NAME_BYTES + 1));
        for bad in [
            "", "/a", "a/", "a//b", "..", "a/../b", "./a", ".tmp/a", "a b", "a\\b", "a\0", "\u{e4}", "a?b",
            &long,
        ] {
            assert!(Key::new(bad).is_err(), "{bad}");
        }
        assert!(Key::new("a/".repeat(MAX_KEY_BYTES)).is_err());
    }

    #[test]
    fn what_is_below_a_key_is_not_what_starts_like_it() {
        let prefix = Key::new("demo/1").unwrap();
        assert_eq!(Key::new("demo/1/a/b").unwrap().below(&prefix), Some("a/b"));
        assert_eq!(Key::new("demo/12/a").unwrap().below(&prefix), None);
        assert_eq!(Key::new("demo").unwrap().below(&Key::root()), Some("demo"));
        assert_eq!(prefix.join("x").unwrap().as_str(), "demo/1/x");
        assert_eq!(Key::root().join("x").unwrap().as_str(), "x");
        assert!(prefix.join("../x").is_err());
    }
}
