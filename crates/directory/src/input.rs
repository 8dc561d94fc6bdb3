//! Live inputs: what the operator sets for one broadcaster's stream.

use std::time::Duration;

use headwater_access::PublishRule;
use headwater_media::broadcast::PolicyOverrides;
use headwater_media::{Rung, StreamId, StreamKey, UnixMillis};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

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
    /// Block by an operator, until it is lifted.
    pub blocked: Option<Block>,
    /// Number of the document's state, from 1; each change adds one.
    pub revision: u64,
}

/// Block of a live input: nobody may publish it, whatever its settings say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Reason in words, which the publisher is told.
    pub reason: String,
    /// Time of the block.
    pub since: UnixMillis,
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
    /// Rungs of the ladder, best first; the configuration's where there is none.
    #[serde(with = "rung_texts", skip_serializing_if = "Vec::is_empty")]
    pub ladder: Vec<Rung>,
    /// Seconds that viewers can go back while a broadcast is live; the configuration's where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dvr_window: Option<u32>,
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
            ladder: Vec::new(),
            dvr_window: None,
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
            blocked: self.blocked.as_ref().map(|block| block.reason.as_str()),
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

impl InputSettings {
    /// Settings of the input's broadcasts that count over the configuration.
    pub fn policy_overrides(&self) -> PolicyOverrides {
        let seconds = |number: u32| Duration::from_secs(number.into());
        let timeout_seconds = Some(self.recording.timeout_seconds).filter(|seconds| *seconds > 0);
        PolicyOverrides {
            rungs: Some(self.ladder.clone()).filter(|rungs| !rungs.is_empty()),
            is_recorded: self.recording.mode.map(|mode| mode == RecordingMode::Automatic),
            dvr_window: self.dvr_window.map(seconds),
            reconnect_window: timeout_seconds.map(|number| seconds(number.into())),
            retention: self.delete_recording_after_days.map(|days| DAY.saturating_mul(days)),
        }
    }
}

/// Rungs as documents hold them: `1280x720@2800k`.
mod rung_texts {
    use headwater_media::Rung;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(rungs: &[Rung], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(rungs.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Rung>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
}

#[cfg(test)]
mod tests {
    use headwater_access::InputAccess;

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
            blocked: None,
            revision: 1,
        }
    }

    fn after(seconds: u64) -> UnixMillis {
        UnixMillis(MADE.0 + seconds * 1_000)
    }

    #[test]
    fn a_key_expires_when_nobody_has_used_it_for_so_long() {
        let mut input = input(InputSettings { expires_unused_after: Some(600), ..InputSettings::default() });
        fn asked(input: &LiveInput, seconds: u64) -> InputAccess<'_> {
            input.publish_rule().check_access("192.0.2.7".parse().unwrap(), after(seconds))
        }
        assert_eq!(asked(&input, 600), InputAccess::Admitted);
        assert_eq!(asked(&input, 601), InputAccess::Expired);
        input.key_used = Some(after(500));
        assert_eq!(asked(&input, 1_100), InputAccess::Admitted);
        assert_eq!(asked(&input, 1_101), InputAccess::Expired);
        input.key_made = after(2_000);
        assert_eq!(asked(&input, 2_600), InputAccess::Admitted, "a new key has its own time");
    }

    #[test]
    fn settings_of_the_broadcasts_are_those_that_the_input_has() {
        assert_eq!(InputSettings::default().policy_overrides(), PolicyOverrides::default());
        let ladder: Vec<Rung> = vec!["640x360@800k".parse().unwrap()];
        let settings = InputSettings {
            recording: InputRecording { mode: Some(RecordingMode::Off), timeout_seconds: 5 },
            delete_recording_after_days: Some(2),
            ladder: ladder.clone(),
            dvr_window: Some(0),
            ..InputSettings::default()
        };
        let text = serde_json::to_string(&settings).unwrap();
        assert!(text.contains(r#""ladder":["640x360@800k"],"dvrWindow":0"#), "{text}");
        let read: InputSettings = serde_json::from_str(&text).unwrap();
        let expected = PolicyOverrides {
            rungs: Some(ladder),
            is_recorded: Some(false),
            dvr_window: Some(Duration::ZERO),
            reconnect_window: Some(Duration::from_secs(5)),
            retention: Some(2 * DAY),
        };
        assert_eq!(read.policy_overrides(), expected);
    }
}
