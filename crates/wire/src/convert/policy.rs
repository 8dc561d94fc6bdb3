//! Policy of a broadcast.

use std::time::Duration;

use headwater_media::broadcast::{Policy, PolicyOverrides, RecordedRenditions};
use headwater_media::{Ladder, Rung};

use super::{ConvertError, invalid_field, whole_millis};
use crate::v2;
use v2::policy::Recording;

impl From<Policy> for v2::Policy {
    fn from(policy: Policy) -> Self {
        let recording = match policy.recording {
            None => Recording::Off,
            Some(RecordedRenditions::Top) => Recording::Top,
            Some(RecordedRenditions::All) => Recording::All,
        };
        Self {
            ladder: Some(policy.ladder.into()),
            recording: recording.into(),
            dvr_window_ms: whole_millis(policy.dvr_window),
            reconnect_window_ms: whole_millis(policy.reconnect_window),
            retention_ms: policy.retention.map(whole_millis),
        }
    }
}

impl TryFrom<v2::Policy> for Policy {
    type Error = ConvertError;
    fn try_from(message: v2::Policy) -> Result<Self, ConvertError> {
        let recording = match message.recording() {
            Recording::Unspecified => return Err(ConvertError::Missing("policy.recording")),
            Recording::Off => None,
            Recording::Top => Some(RecordedRenditions::Top),
            Recording::All => Some(RecordedRenditions::All),
        };
        let ladder: Ladder = message.ladder.ok_or(ConvertError::Missing("policy.ladder"))?.try_into()?;
        Ok(Self {
            ladder: check_ladder("policy.ladder", ladder)?,
            recording,
            dvr_window: read_window("policy.dvr_window", message.dvr_window_ms)?,
            reconnect_window: read_window("policy.reconnect_window", message.reconnect_window_ms)?,
            retention: message.retention_ms.map(Duration::from_millis),
        })
    }
}

impl From<PolicyOverrides> for v2::PolicyOverrides {
    fn from(own: PolicyOverrides) -> Self {
        Self {
            rungs: own.rungs.into_iter().flatten().map(Into::into).collect(),
            is_recorded: own.is_recorded,
            dvr_window_ms: own.dvr_window.map(whole_millis),
            reconnect_window_ms: own.reconnect_window.map(whole_millis),
            retention_ms: own.retention.map(whole_millis),
        }
    }
}

impl TryFrom<v2::PolicyOverrides> for PolicyOverrides {
    type Error = ConvertError;
    fn try_from(message: v2::PolicyOverrides) -> Result<Self, ConvertError> {
        let window = |field, millis: Option<u64>| millis.map(|millis| read_window(field, millis)).transpose();
        Ok(Self {
            rungs: read_rungs(message.rungs)?,
            is_recorded: message.is_recorded,
            dvr_window: window("overrides.dvr_window", message.dvr_window_ms)?,
            reconnect_window: window("overrides.reconnect_window", message.reconnect_window_ms)?,
            retention: message.retention_ms.map(Duration::from_millis),
        })
    }
}

/// Rungs of a live input; none where the message has none.
fn read_rungs(rungs: Vec<v2::ladder::Rung>) -> Result<Option<Vec<Rung>>, ConvertError> {
    if rungs.is_empty() {
        return Ok(None);
    }
    let rungs = rungs.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
    let ladder = Ladder { rungs, ..Ladder::default() };
    Ok(Some(check_ladder("overrides.rungs", ladder)?.rungs))
}

fn check_ladder(field: &'static str, ladder: Ladder) -> Result<Ladder, ConvertError> {
    match ladder.validate() {
        Ok(()) => Ok(ladder),
        Err(mistakes) => Err(invalid_field(field, &mistakes[0])),
    }
}

fn read_window(field: &'static str, millis: u64) -> Result<Duration, ConvertError> {
    let window = Some(Duration::from_millis(millis)).filter(|window| *window <= Policy::MAX_WINDOW);
    window.ok_or_else(|| invalid_field(field, format!("{millis} ms are more than a day")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(recording: Option<RecordedRenditions>) -> Policy {
        let ladder = Ladder {
            preset: "fast".into(),
            crf: 23.5,
            max_frame_rate: 30,
            audio_bitrate: 96_000,
            ..Ladder::default()
        };
        let dvr_window = Duration::from_millis(3_600_500);
        let retention = Some(Duration::from_secs(30 * 86_400));
        Policy { ladder, recording, dvr_window, reconnect_window: Policy::MAX_WINDOW, retention }
    }

    #[test]
    fn a_policy_survives_the_wire() {
        for recording in [None, Some(RecordedRenditions::Top), Some(RecordedRenditions::All)] {
            assert_eq!(Policy::try_from(v2::Policy::from(policy(recording))), Ok(policy(recording)));
        }
    }

    #[test]
    fn settings_that_no_configuration_could_have_are_refused() {
        let refused = |change: fn(&mut v2::Policy)| {
            let mut message = v2::Policy::from(policy(None));
            change(&mut message);
            Policy::try_from(message).unwrap_err().to_string()
        };
        assert_eq!(refused(|policy| policy.ladder = None), "the field `policy.ladder` is missing");
        assert_eq!(refused(|policy| policy.recording = 0), "the field `policy.recording` is missing");
        assert_eq!(
            refused(|policy| policy.ladder.as_mut().unwrap().rungs.clear()),
            "the field `policy.ladder` is wrong: a ladder has 1 to 8 rungs, not 0"
        );
        assert_eq!(
            refused(|policy| policy.dvr_window_ms = u64::MAX),
            "the field `policy.dvr_window` is wrong: 18446744073709551615 ms are more than a day"
        );
        assert!(refused(|policy| policy.reconnect_window_ms = 86_400_001).contains("more than a day"));
    }

    fn overrides() -> PolicyOverrides {
        PolicyOverrides {
            rungs: Some(vec!["1280x720@2800k".parse().unwrap(), "640x360@800k".parse().unwrap()]),
            is_recorded: Some(false),
            dvr_window: Some(Duration::ZERO),
            reconnect_window: Some(Duration::from_secs(5)),
            retention: Some(Duration::from_secs(86_400)),
        }
    }

    #[test]
    fn settings_of_an_input_survive_the_wire() {
        for own in [overrides(), PolicyOverrides::default()] {
            assert_eq!(PolicyOverrides::try_from(v2::PolicyOverrides::from(own.clone())), Ok(own));
        }
    }

    #[test]
    fn settings_that_no_input_could_have_are_refused() {
        let refused = |change: fn(&mut v2::PolicyOverrides)| {
            let mut message = v2::PolicyOverrides::from(overrides());
            change(&mut message);
            PolicyOverrides::try_from(message).unwrap_err().to_string()
        };
        let larger = refused(|own| own.rungs.reverse());
        assert!(larger.starts_with("the field `overrides.rungs` is wrong: the rung"), "{larger}");
        assert!(refused(|own| own.dvr_window_ms = Some(u64::MAX)).contains("more than a day"));
        assert!(refused(|own| own.reconnect_window_ms = Some(86_400_001)).contains("more than a day"));
    }
}
