//! Limits of the waits for what a mirror does not have yet.

use std::time::Duration;

use super::Mirror;

/// How long somebody who comes while a stream starts is kept waiting for its first parts; more would look hung.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(3);
/// Target durations that a blocked request waits (RFC 8216bis §6.2.5.2).
const BLOCKED_TARGETS: u32 = 3;

impl Mirror {
    /// How long a request may wait for something that is about to be made.
    pub(crate) fn blocked_limit(&self) -> Duration {
        let target = self.look(|view| Some(view.window()?.opening().settings.target_duration()));
        target.map_or(START_LIMIT, |target| Duration::from_secs(u64::from(target * BLOCKED_TARGETS)))
    }
}
