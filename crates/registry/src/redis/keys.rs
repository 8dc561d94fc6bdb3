use std::str::FromStr;

use headwater_media::StreamId;

/// The longest prefix; it is part of every key.
const PREFIX_LIMIT: usize = 64;

/// Prefix of all keys and of the channel, so that several installations can share one Redis. By default
/// `headwater:`. Up to 64 printable ASCII characters without braces, which mark the hash tag of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPrefix(Box<str>);

/// The text can't be a key prefix.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a key prefix has at most {PREFIX_LIMIT} printable ASCII characters and no braces")]
pub struct KeyPrefixError;

impl Default for KeyPrefix {
    fn default() -> Self {
        Self("headwater:".into())
    }
}

impl FromStr for KeyPrefix {
    type Err = KeyPrefixError;
    fn from_str(text: &str) -> Result<Self, KeyPrefixError> {
        let allowed = |c: char| c.is_ascii_graphic() && !matches!(c, '{' | '}');
        let fits = text.len() <= PREFIX_LIMIT && text.chars().all(allowed);
        if fits { Ok(Self(text.into())) } else { Err(KeyPrefixError) }
    }
}

impl KeyPrefix {
    pub(super) fn lease_key(&self, stream: &StreamId) -> String {
        format!("{}{{{stream}}}:lease", self.0)
    }

    pub(super) fn turn_key(&self, stream: &StreamId) -> String {
        format!("{}{{{stream}}}:turn", self.0)
    }

    pub(super) fn handoff_key(&self, stream: &StreamId) -> String {
        format!("{}{{{stream}}}:handoff", self.0)
    }

    pub(super) fn server_records(&self) -> String {
        format!("{}servers:{{all}}:records", self.0)
    }

    pub(super) fn server_deadlines(&self) -> String {
        format!("{}servers:{{all}}:until", self.0)
    }

    pub(super) fn origin_deadlines(&self) -> String {
        format!("{}origins:{{all}}:until", self.0)
    }

    /// Beginning of the keys of viewers; an origin's id follows.
    pub(super) fn viewers_prefix(&self) -> String {
        format!("{}viewers:{{all}}:", self.0)
    }

    pub(super) fn channel_name(&self) -> String {
        format!("{}events", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_stream_share_its_hash_tag() {
        let prefix = KeyPrefix::default();
        let stream = "demo".parse().unwrap();
        assert_eq!(prefix.lease_key(&stream), "headwater:{demo}:lease");
        assert_eq!(prefix.turn_key(&stream), "headwater:{demo}:turn");
    }

    #[test]
    fn a_prefix_has_no_hash_tag_of_its_own() {
        assert!("".parse::<KeyPrefix>().is_ok());
        for bad in ["{a}:", "a b", "ä", &"a".repeat(65)] {
            assert_eq!(bad.parse::<KeyPrefix>(), Err(KeyPrefixError), "{bad}");
        }
    }
}
