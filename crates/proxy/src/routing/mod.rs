//! Which server gets a publisher.

mod choice;
mod failures;
mod last_servers;
mod search;

use std::sync::Arc;
use std::time::Duration;

use headwater_hls::ResumePoint;
use headwater_media::{Epoch, StreamId};
use headwater_registry::{Registry, RegistryError, ServerId};
use headwater_runtime::backoff::Backoff;
use headwater_wire::Channels;
use headwater_wire::publish::PublishCall;
use headwater_wire::v1::Failure;

pub use self::failures::Failures;
use self::last_servers::LastServers;
use self::search::Search;

/// How soon a publisher that has lost its server looks for another one again, at first and at most.
const MIN_RETRY_PAUSE: Duration = Duration::from_millis(50);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(1);

pub struct Router {
    registry: Arc<dyn Registry>,
    channels: Channels,
    last_servers: LastServers,
}

/// Why no server takes the publisher.
#[derive(Debug, thiserror::Error)]
pub enum RoutingError {
    #[error("no transcode server has room for another broadcast: try again in a moment")]
    NoCapacity,
    /// The registry answers and knows none: they are down, or can't register themselves (a Redis without memory left).
    #[error("no transcode server is registered: try again in a moment")]
    NoServer,
    #[error("{}", .0.message)]
    Failure(Failure),
    /// The stream's owner says to the registry that it lives, but not to this proxy.
    #[error("the server that has this stream can't be reached from here: try again in a moment")]
    OwnerUnreachable,
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("this proxy is stopping")]
    Stopping,
}

/// Who wants to publish what, and where it goes on.
#[derive(Clone, Debug)]
pub struct PublishSpec {
    pub stream: StreamId,
    /// Tells this connection from another one with the same key.
    pub publisher: String,
    /// None for a publisher that begins.
    pub resume: Option<ResumePoint>,
    /// The workers that it has lately cost.
    pub failures: Failures,
}

/// A server that took a publisher.
pub struct Assignment {
    pub call: PublishCall,
    pub server: ServerId,
    /// The epoch of the publisher's turn.
    pub epoch: Epoch,
    /// Where the publisher begins, and where another server would as long as nothing is committed.
    pub resume: ResumePoint,
}

/// A publisher's server, of which it hears nothing any more, or nothing good.
#[derive(Clone, Debug)]
pub struct LostServer {
    pub server: ServerId,
    /// The epoch of the publisher's turn there.
    pub epoch: Epoch,
    pub fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is there and has the stream.
    Alive,
    /// It says that it gives the stream up.
    GivesUp,
    /// It does not answer.
    Silent,
}

impl Router {
    pub fn new(registry: Arc<dyn Registry>, channels: Channels) -> Self {
        Self { registry, channels, last_servers: LastServers::default() }
    }

    /// Finds a server for the stream: its owner if there is one, else one with room.
    pub async fn find_server(&self, spec: &PublishSpec) -> Result<Assignment, RoutingError> {
        Search::new(self, spec).run_round().await
    }

    /// Finds a server for a publisher that has lost its own. Goes on until there is one, or until one says that this
    /// publisher can't go on: the encoder's connection is held as long as it takes.
    pub async fn replace_server(
        &self,
        spec: &PublishSpec,
        lost: LostServer,
    ) -> Result<Assignment, RoutingError> {
        let mut backoff = Backoff::new(MIN_RETRY_PAUSE, MAX_RETRY_PAUSE);
        let mut search = Search::replacing(self, spec, lost);
        loop {
            match search.run_round().await {
                Ok(assignment) => return Ok(assignment),
                Err(RoutingError::Failure(failure)) => return Err(RoutingError::Failure(failure)),
                Err(error) => tracing::warn!(refusal = %error, "no server yet"),
            }
            backoff.wait().await;
        }
    }

    /// The publisher of this stream leaves the server that took it last.
    pub fn record_departure(&self, stream: &StreamId) {
        self.last_servers.record_departure(stream);
    }

    /// The turn of this stream's publisher has another epoch by now.
    pub fn raise_epoch(&self, stream: &StreamId, epoch: Epoch) {
        self.last_servers.raise_epoch(stream, epoch);
    }
}
