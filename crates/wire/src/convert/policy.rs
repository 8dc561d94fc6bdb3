//! Policy of a broadcast.

use std::time::Duration;

use headwater_media::Ladder;
use headwater_media::broadcast::{Policy, RecordedRenditions};

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
        if let Err(mistakes) = ladder.validate() {
            return Err(invalid_field("policy.ladder", &mistakes[0]));
        }
        Ok(Self {
            ladder,
            recording,
            dvr_window: read_window("policy.dvr_window", message.dvr_window_ms)?,
            reconnect_window: read_window("policy.reconnect_window", message.reconnect_window_ms)?,
        })
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
        Policy { ladder, recording, dvr_window, reconnect_window: Policy::MAX_WINDOW }
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
}
