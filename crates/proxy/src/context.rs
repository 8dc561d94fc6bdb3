//! State that all connections of a proxy share.

use std::sync::Arc;
use std::time::Duration;

use headwater_media::ReplayLimits;
use tokio_util::task::TaskTracker;

use crate::authority::Authority;
use crate::drain::Drain;
use crate::routing::Router;

/// State that all connections share.
pub struct Context {
    pub authority: Arc<Authority>,
    pub router: Router,
    /// Time from the connection, or from the end of its last stream, to the publish request.
    pub publish_deadline: Duration,
    /// Time without a byte from the encoder, after which it is sent away.
    pub idle_timeout: Duration,
    /// Time in which the server takes nothing, after which the publisher is sent away.
    pub stall_timeout: Duration,
    /// Limits of each publisher's replay buffer.
    pub replay: ReplayLimits,
    /// Drain of the proxy.
    pub drain: Drain,
    /// Calls that are still to be finished for publishers that have left.
    pub tasks: TaskTracker,
}

impl Context {
    /// Counts and logs a connection without a publish request in time.
    pub fn report_missed_deadline(&self) {
        metrics::counter!("headwater_proxy_refused_total", "reason" => "deadline").increment(1);
        tracing::info!("no publish request within {:?}", self.publish_deadline);
    }
}
