//! Policy of a broadcast.

use std::time::Duration;

use crate::ladder::{Ladder, Rung};

/// Settings that a broadcast begins with and keeps on every server that goes on with it, whatever the server's own
/// configuration says.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Rungs and encoder settings of each period that begins.
    pub ladder: Ladder,
    /// Renditions that the recording keeps; none where the broadcast is not recorded.
    pub recording: Option<RecordedRenditions>,
    /// Time that viewers can go back while the broadcast is live; zero for not at all.
    pub dvr_window: Duration,
    /// Time that a publisher may be away before the broadcast ends.
    pub reconnect_window: Duration,
    /// Time that the recording is kept after its end; none where the configuration of the server that deletes old recordings
    /// counts.
    pub retention: Option<Duration>,
}

/// Settings of one live input that count over the configuration of the server; the configuration counts where they are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyOverrides {
    /// Rungs of the ladder, best first.
    pub rungs: Option<Vec<Rung>>,
    /// Whether the broadcast is recorded.
    pub is_recorded: Option<bool>,
    /// See [`Policy::dvr_window`].
    pub dvr_window: Option<Duration>,
    /// See [`Policy::reconnect_window`].
    pub reconnect_window: Option<Duration>,
    /// See [`Policy::retention`].
    pub retention: Option<Duration>,
}

impl Policy {
    /// Longest DVR window and longest reconnect window.
    pub const MAX_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

    /// Policy with the settings of a live input in the place of its own. `renditions` are recorded where the input alone asks
    /// for a recording.
    #[must_use]
    pub fn override_with(mut self, own: PolicyOverrides, renditions: RecordedRenditions) -> Self {
        let is_recorded = own.is_recorded.unwrap_or(self.recording.is_some());
        self.recording = is_recorded.then(|| self.recording.unwrap_or(renditions));
        self.ladder.rungs = own.rungs.unwrap_or(self.ladder.rungs);
        self.dvr_window = own.dvr_window.unwrap_or(self.dvr_window);
        self.reconnect_window = own.reconnect_window.unwrap_or(self.reconnect_window);
        self.retention = own.retention.or(self.retention);
        self
    }
}

/// Renditions that a recording keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordedRenditions {
    /// The best picture, and the sound.
    Top,
    All,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(recording: Option<RecordedRenditions>) -> Policy {
        let dvr_window = Duration::from_secs(3_600);
        let reconnect_window = Duration::from_secs(60);
        Policy { ladder: Ladder::default(), recording, dvr_window, reconnect_window, retention: None }
    }

    #[test]
    fn settings_that_an_input_has_count_and_all_others_stay() {
        let own = PolicyOverrides {
            rungs: Some(vec!["640x360@800k".parse().unwrap()]),
            is_recorded: Some(false),
            dvr_window: Some(Duration::ZERO),
            reconnect_window: Some(Duration::from_secs(5)),
            retention: Some(Duration::from_secs(86_400)),
        };
        let general = policy(Some(RecordedRenditions::Top));
        let unchanged = general.clone().override_with(PolicyOverrides::default(), RecordedRenditions::All);
        assert_eq!(unchanged, general);
        let expected = Policy {
            ladder: Ladder { rungs: own.rungs.clone().unwrap(), ..Ladder::default() },
            recording: None,
            dvr_window: Duration::ZERO,
            reconnect_window: Duration::from_secs(5),
            retention: own.retention,
        };
        assert_eq!(general.override_with(own, RecordedRenditions::All), expected);
    }

    #[test]
    fn a_recording_that_only_the_input_asks_for_keeps_the_configured_renditions() {
        let asks = PolicyOverrides { is_recorded: Some(true), ..PolicyOverrides::default() };
        let recorded =
            |general| policy(general).override_with(asks.clone(), RecordedRenditions::All).recording;
        assert_eq!(recorded(None), Some(RecordedRenditions::All));
        assert_eq!(recorded(Some(RecordedRenditions::Top)), Some(RecordedRenditions::Top));
    }
}
