//! The grace of a server that stops, as its broadcasts share it out.

use std::convert::Infallible;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Rest of the grace in which a broadcast is ended that no server has taken: viewers are told so, and the listener closes.
const ENDING_RESERVE: Duration = Duration::from_secs(8);

/// Start of the time in which the server has to end.
#[derive(Default)]
pub(super) struct Grace(OnceLock<Instant>);

impl Grace {
    pub(super) async fn begins_with(&self, stop: &CancellationToken) -> Infallible {
        stop.cancelled().await;
        self.0.get_or_init(Instant::now);
        std::future::pending().await
    }

    /// Time at which just [`ENDING_RESERVE`] is left.
    pub(super) fn end(&self, grace: Duration) -> Instant {
        *self.0.get_or_init(Instant::now) + grace.saturating_sub(ENDING_RESERVE)
    }
}
