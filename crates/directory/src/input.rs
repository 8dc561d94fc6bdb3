//! Live inputs: what the operator sets for one broadcaster's stream.

use std::time::Duration;

use headwater_access::PublishRule;
use headwater_media::{StreamId, StreamKey, UnixMillis};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Live input as its document holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveInput {
    /// Name of the input and of its stream.
    pub uid: StreamId,
    pub settings: InputSettings,
    pub stream_key: StreamKey,
    pub created: UnixMillis,
    pub modified: UnixMillis,
    /// Time at which the stream key was made.
    pub key_made: UnixMillis,
    /// Time at which the stream key was last seen in use; kept only for keys that expire unused.
    pub key_used: Option<UnixMillis>,
    /// Number of the document's state, from 1; each change adds one.
    pub revision: u64,
}

/// Settings of a live input, named as in Cloudflare Stream where that has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InputSettings {
    /// The operator's own data, `name` among it.
    pub meta: Map<String, Value>,
    /// Whether the stream key opens the stream.
    pub enabled: bool,
    pub recording: InputRecording,
    /// Days after which a recording is deleted; the configuration's where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_recording_after_days: Option<u32>,
    /// Networks that may publish; all where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_addresses: Vec<IpNet>,
    /// Seconds without a publisher after which the stream key stops working.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_unused_after: Option<u32>,
}

/// Recording of a live input's broadcasts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InputRecording {
    /// The configuration's mode where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<RecordingMode>,
    /// Reconnect window in seconds; the configuration's where it is 0.
    pub timeout_seconds: u16,
}

/// Whether broadcasts are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordingMode {
    Automatic,
    Off,
}

impl Default for InputSettings {
    fn default() -> Self {
        Self {
            meta: Map::new(),
            enabled: true,
            recording: InputRecording::default(),
            delete_recording_after_days: None,
            allowed_addresses: Vec::new(),
            expires_unused_after: None,
        }
    }
}

impl LiveInput {
    /// Rule by which publishers with the stream key are admitted.
    pub fn publish_rule(&self) -> PublishRule<'_> {
        PublishRule {
            enabled: self.settings.enabled,
            allowed_addresses: &self.settings.allowed_addresses,
            unused_lifetime: self.unused_lifetime(),
            key_seen: self.key_used.unwrap_or(self.key_made).max(self.key_made),
        }
    }

    /// Time that the stream key works for without being used; none where it does not expire.
    pub fn unused_lifetime(&self) -> Option<Duration> {
        self.settings.expires_unused_after.map(|seconds| Duration::from_secs(seconds.into()))
    }
}

#[cfg(test)]
mod tests {
    use headwater_access::Admission;

    use super::*;

    const MADE: UnixMillis = UnixMillis(1_800_000_000_000);

    fn input(settings: InputSettings) -> LiveInput {
        LiveInput {
            uid: "demo".parse().unwrap(),
            settings,
            stream_key: "secret".parse().unwrap(),
            created: MADE,
            modified: MADE,
            key_made: MADE,
            key_used: None,
            revision: 1,
        }
    }

    fn after(seconds: u64) -> UnixMillis {
        UnixMillis(MADE.0 + seconds * 1_000)
    }

    #[test]
    fn a_key_expires_when_nobody_has_used_it_for_so_long() {
        let mut input = input(InputSettings { expires_unused_after: Some(600), ..InputSettings::default() });
        let asked = |input: &LiveInput, seconds| {
            input.publish_rule().admit("192.0.2.7".parse().unwrap(), after(seconds))
        };
        assert_eq!(asked(&input, 600), Admission::Admitted);
        assert_eq!(asked(&input, 601), Admission::Expired);
        input.key_used = Some(after(500));
        assert_eq!(asked(&input, 1_100), Admission::Admitted);
        assert_eq!(asked(&input, 1_101), Admission::Expired);
        input.key_made = after(2_000);
        assert_eq!(asked(&input, 2_600), Admission::Admitted, "a new key has its own time");
    }
}
