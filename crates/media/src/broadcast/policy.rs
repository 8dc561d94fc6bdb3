//! Policy of a broadcast.

use std::time::Duration;

use crate::ladder::Ladder;

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
}

impl Policy {
    /// Longest DVR window and longest reconnect window.
    pub const MAX_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);
}

/// Renditions that a recording keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordedRenditions {
    /// The best picture, and the sound.
    Top,
    All,
}
