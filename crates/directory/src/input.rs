//! Live inputs: what the operator sets for one broadcaster's stream.

use std::net::IpAddr;
use std::time::Duration;

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

/// Answer to a publisher that has shown the stream key of a live input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Admitted,
    Disabled,
    /// The key was not used for as long as the input allows.
    Expired,
    AddressNotAllowed,
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
    /// Whether a publisher from this address may publish now.
    pub fn admit(&self, address: IpAddr, now: UnixMillis) -> Admission {
        if !self.settings.enabled {
            Admission::Disabled
        } else if self.is_expired(now) {
            Admission::Expired
        } else if !self.settings.allows(address) {
            Admission::AddressNotAllowed
        } else {
            Admission::Admitted
        }
    }

    /// Time that the stream key works for without being used; none where it does not expire.
    pub fn unused_lifetime(&self) -> Option<Duration> {
        self.settings.expires_unused_after.map(|seconds| Duration::from_secs(seconds.into()))
    }

    fn is_expired(&self, now: UnixMillis) -> bool {
        let seen = self.key_used.unwrap_or(self.key_made).max(self.key_made);
        let unused = Duration::from_millis(now.0.saturating_sub(seen.0));
        self.unused_lifetime().is_some_and(|lifetime| unused > lifetime)
    }
}

impl InputSettings {
    /// An IPv4 address is the same in its IPv6 form (RFC 4291 §2.5.5.2).
    fn allows(&self, address: IpAddr) -> bool {
        let networks = &self.allowed_addresses;
        networks.is_empty() || networks.iter().any(|network| network.contains(&address.to_canonical()))
    }
}

#[cfg(test)]
mod tests {
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
    fn addresses_of_the_networks_may_publish_in_either_form() {
        let networks = ["192.0.2.0/24", "2001:db8::/32"].map(|network| network.parse().unwrap());
        let input = input(InputSettings { allowed_addresses: networks.to_vec(), ..InputSettings::default() });
        let asked = |address: &str| input.admit(address.parse().unwrap(), MADE);
        for address in ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1"] {
            assert_eq!(asked(address), Admission::Admitted, "{address}");
        }
        for address in ["192.0.3.7", "::ffff:192.0.3.7", "2001:db9::1"] {
            assert_eq!(asked(address), Admission::AddressNotAllowed, "{address}");
        }
    }

    #[test]
    fn a_key_expires_when_nobody_has_used_it_for_so_long() {
        let mut input = input(InputSettings { expires_unused_after: Some(600), ..InputSettings::default() });
        let asked = |input: &LiveInput, seconds| input.admit("192.0.2.7".parse().unwrap(), after(seconds));
        assert_eq!(asked(&input, 600), Admission::Admitted);
        assert_eq!(asked(&input, 601), Admission::Expired);
        input.key_used = Some(after(500));
        assert_eq!(asked(&input, 1_100), Admission::Admitted);
        assert_eq!(asked(&input, 1_101), Admission::Expired);
        input.key_made = after(2_000);
        assert_eq!(asked(&input, 2_600), Admission::Admitted, "a new key has its own time");
    }

    #[test]
    fn a_disabled_input_admits_nobody() {
        let input = input(InputSettings { enabled: false, ..InputSettings::default() });
        assert_eq!(input.admit("192.0.2.7".parse().unwrap(), MADE), Admission::Disabled);
    }
}
