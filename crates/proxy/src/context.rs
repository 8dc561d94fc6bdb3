//! What all connections of a proxy share.

use std::time::Duration;

use headwater_media::ReplayLimits;
use tokio_util::task::TaskTracker;

use crate::drain::Drain;
use crate::inputs::Inputs;
use crate::routing::Router;

/// What all connections share.
pub struct Context {
    pub inputs: Inputs,
    pub router: Router,
    /// From the connection, or the end of the last stream, to the publish request.
    pub publish_deadline: Duration,
    /// Without a byte from the encoder.
    pub idle_timeout: Duration,
    /// While the server takes nothing.
    pub stall_timeout: Duration,
    /// What is kept of each publisher for a server that takes over.
    pub replay: ReplayLimits,
    /// The proxy's end.
    pub drain: Drain,
    /// What is still to be done for publishers who have gone.
    pub tasks: TaskTracker,
}
