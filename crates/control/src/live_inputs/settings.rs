//! Settings of a live input as callers send and see them.

use std::net::IpAddr;

use headwater_directory::{InputRecording, InputSettings, RecordingMode};
use headwater_media::broadcast::Policy;
use headwater_media::ladder::LadderError;
use headwater_media::{Ladder, Rung};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::body::from_value;
use crate::problem::{FieldError, Problem};

/// Bytes of an input's metadata as JSON, and its networks, at most: a page of inputs reads 100 of them.
const MAX_META_BYTES: usize = 16 << 10;
const MAX_NETWORKS: usize = 100;
/// Longest time in days that a recording is kept: a hundred years.
const MAX_DAYS: u32 = 36_500;
/// Longest reconnect window in seconds.
const MAX_TIMEOUT_SECONDS: u32 = 3_600;

/// Settings of a live input. A field that is not given has its default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct LiveInputSettings {
    /// Data of the operator's own, `name` among it; 16 KiB at most.
    #[schema(value_type = Object, example = json!({ "name": "studio 1" }))]
    meta: Map<String, Value>,
    /// Whether the stream key opens the stream.
    #[schema(default = true)]
    enabled: bool,
    recording: RecordingSettings,
    /// Days after the end of a broadcast at which its recording is deleted; the configuration's where it is null. A change counts
    /// for broadcasts that begin afterwards, as for all fields of a broadcast.
    #[schema(minimum = 1, maximum = 36500)]
    delete_recording_after_days: Option<u32>,
    /// Renditions, best first: the box that the picture must fit into, and the bit rate. The configuration's where it is null.
    #[schema(min_items = 1, max_items = 8, example = json!(["1280x720@2800k", "640x360@800k"]))]
    ladder: Option<Vec<String>>,
    /// Seconds that viewers can go back while a broadcast is live, 0 for not at all; the configuration's where it is null.
    #[schema(maximum = 86400)]
    dvr_window: Option<u32>,
    /// Networks and addresses that may publish; all where there is none.
    #[schema(max_items = 100, example = json!(["192.0.2.0/24", "2001:db8::1"]))]
    allowed_addresses: Vec<String>,
    /// Seconds without a publisher after which the stream key stops working; it goes on where this is null.
    #[schema(minimum = 1)]
    expires_unused_after: Option<u32>,
}

/// Recording of a live input's broadcasts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct RecordingSettings {
    /// Whether broadcasts are recorded; as the configuration says where it is null.
    #[schema(inline, value_type = Option<ModeSchema>)]
    mode: Option<RecordingMode>,
    /// Reconnect window in seconds; the configuration's where it is 0.
    #[schema(maximum = 3600)]
    timeout_seconds: u32,
}

/// `off` records nothing.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "only the description has it")]
enum ModeSchema {
    Automatic,
    Off,
}

impl Default for LiveInputSettings {
    fn default() -> Self {
        Self::from(&InputSettings::default())
    }
}

impl From<&InputSettings> for LiveInputSettings {
    fn from(stored: &InputSettings) -> Self {
        Self {
            meta: stored.meta.clone(),
            enabled: stored.enabled,
            recording: RecordingSettings {
                mode: stored.recording.mode,
                timeout_seconds: stored.recording.timeout_seconds.into(),
            },
            delete_recording_after_days: stored.delete_recording_after_days,
            ladder: show_ladder(&stored.ladder),
            dvr_window: stored.dvr_window,
            allowed_addresses: stored.allowed_addresses.iter().map(show_network).collect(),
            expires_unused_after: stored.expires_unused_after,
        }
    }
}

impl LiveInputSettings {
    /// Settings with a merge patch applied (RFC 7396).
    pub(crate) fn merge(&self, patch: &Map<String, Value>) -> Result<Self, Problem> {
        let mut merged = serde_json::to_value(self).expect("settings are JSON");
        apply_patch(&mut merged, patch);
        from_value(merged)
    }

    /// Settings with these fields in the place of their own; null takes one back to its default.
    pub(crate) fn replace(&self, fields: &Map<String, Value>) -> Result<Self, Problem> {
        let mut replaced = serde_json::to_value(self).expect("settings are JSON");
        let settings = replaced.as_object_mut().expect("settings are an object");
        for (name, value) in fields {
            match value {
                Value::Null => drop(settings.remove(name)),
                _ => drop(settings.insert(name.clone(), value.clone())),
            }
        }
        from_value(replaced)
    }

    /// Settings as they are stored, unless fields are out of bounds.
    pub(crate) fn check(&self) -> Result<InputSettings, Problem> {
        let mut errors = Vec::new();
        let mut refuse = |pointer: &str, detail: String| {
            errors.push(FieldError { pointer: pointer.into(), detail });
        };
        if serde_json::to_string(&self.meta).map_or(0, |text| text.len()) > MAX_META_BYTES {
            refuse("/meta", format!("the metadata has {MAX_META_BYTES} bytes at most"));
        }
        let timeout_seconds = self.recording.timeout_seconds;
        if timeout_seconds > MAX_TIMEOUT_SECONDS {
            let detail = format!("a number from 1 to {MAX_TIMEOUT_SECONDS}, or 0 for the configuration's");
            refuse("/recording/timeoutSeconds", detail);
        }
        if self.delete_recording_after_days.is_some_and(|days| !(1..=MAX_DAYS).contains(&days)) {
            refuse("/deleteRecordingAfterDays", format!("a recording is kept for 1 to {MAX_DAYS} days"));
        }
        if self.dvr_window.is_some_and(|seconds| u64::from(seconds) > Policy::MAX_WINDOW.as_secs()) {
            refuse("/dvrWindow", format!("a number from 0 to {}", Policy::MAX_WINDOW.as_secs()));
        }
        let ladder = self.ladder.as_deref().map_or(Ok(Vec::new()), parse_ladder);
        if let Err(mistake) = &ladder {
            refuse(&mistake.pointer, mistake.detail.clone());
        }
        if self.expires_unused_after == Some(0) {
            refuse("/expiresUnusedAfter", "a stream key works for 1 second at least".into());
        }
        if self.allowed_addresses.len() > MAX_NETWORKS {
            refuse("/allowedAddresses", format!("an input has {MAX_NETWORKS} networks at most"));
        }
        let mut networks = Vec::new();
        for (number, text) in self.allowed_addresses.iter().enumerate() {
            match parse_network(text) {
                Some(network) => networks.push(network),
                None => refuse(
                    &format!("/allowedAddresses/{number}"),
                    "an address or a network, such as 192.0.2.7 or 2001:db8::/32".into(),
                ),
            }
        }
        if !errors.is_empty() {
            return Err(Problem::bad_fields(errors));
        }
        Ok(InputSettings {
            meta: self.meta.clone(),
            enabled: self.enabled,
            recording: InputRecording {
                mode: self.recording.mode,
                timeout_seconds: timeout_seconds.try_into().expect("an hour has less than 2^16 seconds"),
            },
            delete_recording_after_days: self.delete_recording_after_days,
            ladder: ladder.unwrap_or_default(),
            dvr_window: self.dvr_window,
            allowed_addresses: networks,
            expires_unused_after: self.expires_unused_after,
        })
    }
}

/// Applies a patch to a value: objects are merged, null removes, all else replaces.
fn apply_patch(target: &mut Value, patch: &Map<String, Value>) {
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (name, value) in patch {
        match value {
            Value::Null => drop(fields.remove(name)),
            Value::Object(inner) => apply_patch(fields.entry(name).or_insert(Value::Null), inner),
            _ => drop(fields.insert(name.clone(), value.clone())),
        }
    }
}

/// Rungs of a ladder that can be encoded; the first mistake otherwise.
fn parse_ladder(texts: &[String]) -> Result<Vec<Rung>, FieldError> {
    let mut rungs = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        let mistake = |error: LadderError| FieldError {
            pointer: format!("/ladder/{number}"),
            detail: error.to_string(),
        };
        rungs.push(text.parse().map_err(mistake)?);
    }
    let ladder = Ladder { rungs, ..Ladder::default() };
    match ladder.validate() {
        Ok(()) => Ok(ladder.rungs),
        Err(mistakes) => Err(FieldError { pointer: "/ladder".into(), detail: mistakes[0].to_string() }),
    }
}

/// Texts of a live input's own rungs; none where it has none.
fn show_ladder(rungs: &[Rung]) -> Option<Vec<String>> {
    (!rungs.is_empty()).then(|| rungs.iter().map(ToString::to_string).collect())
}

fn parse_network(text: &str) -> Option<IpNet> {
    let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    Some(IpNet::trunc(&network))
}

/// Text of a network; an address where it is a network of one.
fn show_network(network: &IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Cases of RFC 7396, appendix A, that have an object as their patch.
    #[test]
    fn patches_are_applied_as_the_standard_says() {
        for (target, patch, merged) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut target = target;
            apply_patch(&mut target, patch.as_object().unwrap());
            assert_eq!(target, merged, "{patch}");
        }
    }

    #[test]
    fn settings_are_shown_as_they_were_given() {
        let text = json!({
            "meta": {"name": "studio"}, "enabled": false, "recording": {"mode": "off", "timeoutSeconds": 3600},
            "deleteRecordingAfterDays": 30, "allowedAddresses": ["192.0.2.7", "2001:db8::/32"],
            "expiresUnusedAfter": 600, "ladder": ["1280x720@2800k", "640x360@800k"], "dvrWindow": 1800,
        });
        let settings: LiveInputSettings = from_value(text.clone()).unwrap();
        let shown = LiveInputSettings::from(&settings.check().unwrap());
        assert_eq!(serde_json::to_value(&shown).unwrap(), text);
    }
}
