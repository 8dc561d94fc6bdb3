//! Settings that the broadcasts of a server share, and the name and address of the server.

use std::sync::Arc;
use std::time::Duration;

use headwater_media::SegmentSettings;
use headwater_registry::ServerId;

use crate::worker::Starter;

/// Settings of every broadcast of this server.
#[derive(Clone, Debug)]
pub struct BroadcastSettings {
    pub segments: SegmentSettings,
    pub window_segments: u32,
    pub(crate) starter: Arc<Starter>,
    /// Longest time for which a worker takes media without giving any.
    pub worker_stall_timeout: Duration,
    /// Longest time in which a worker finishes the media that it has.
    pub worker_stop_timeout: Duration,
    /// Number of times that the workers of one broadcast may fail before the broadcast is ended.
    pub worker_restarts: u32,
    /// Time without a byte after which a publisher may be replaced by another one.
    pub silent_publisher: Duration,
    /// Time in which the process ends once it was told to.
    pub grace: Duration,
    /// Time for which a lease of the registry holds.
    pub lease: Duration,
}

/// The address and the name of this server, as the registry has them.
#[derive(Clone, Debug)]
pub struct Home {
    pub server: ServerId,
    /// Host and port of its gRPC.
    pub address: String,
}
