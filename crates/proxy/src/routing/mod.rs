//! Routing: finds the server that a publisher's media goes to.

mod choice;
mod failures;
mod last_servers;
mod search;

use std::sync::Arc;
use std::time::Duration;

use headwater_media::broadcast::PolicyOverrides;
use headwater_media::{Epoch, PublisherFacts, ResumePoint, StreamId};
use headwater_registry::{Registry, RegistryError, ServerId};
use headwater_runtime::backoff::Backoff;
use headwater_wire::Channels;
use headwater_wire::publish::PublishCall;
use headwater_wire::v2::Failure;

pub use self::failures::Failures;
use self::last_servers::LastServers;
use self::search::Search;

/// Pauses between the searches of a publisher that has lost its server, at first and at most.
const MIN_RETRY_PAUSE: Duration = Duration::from_millis(50);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Router of one proxy: the registry, connections to servers, and the last server of each stream.
pub struct Router {
    registry: Arc<dyn Registry>,
    channels: Channels,
    last_servers: LastServers,
}

/// Reason why no server takes the publisher.
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

/// Publication that a server is searched for.
#[derive(Clone, Debug)]
pub struct PublishSpec {
    pub stream: StreamId,
    /// Id that tells this connection from another one with the same key.
    pub publisher: String,
    /// Facts that operators are shown.
    pub facts: PublisherFacts,
    /// Point to go on at; none for a publisher that begins.
    pub resume: Option<ResumePoint>,
    /// Workers that its media has lately cost.
    pub failures: Failures,
    /// Settings of its live input, for a broadcast that begins.
    pub overrides: PolicyOverrides,
}

/// Server that took a publisher, with the open call.
pub struct Assignment {
    pub call: PublishCall,
    pub server: ServerId,
    /// Epoch of the publisher's turn.
    pub epoch: Epoch,
    /// Point at which the publisher begins, and another server would as long as nothing is committed.
    pub resume: ResumePoint,
}

/// Server whose call with a publisher has ended.
#[derive(Clone, Debug)]
pub struct LostServer {
    pub server: ServerId,
    /// Epoch of the publisher's turn there.
    pub epoch: Epoch,
    pub fate: Fate,
}

/// State of a server whose call has ended, as far as the call's end tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It answers and has the stream.
    Alive,
    /// It says that it gives the stream up.
    GivesUp,
    /// It does not answer.
    Silent,
}

impl Router {
    /// Router that has seen no stream yet.
    pub fn new(registry: Arc<dyn Registry>, channels: Channels) -> Self {
        Self { registry, channels, last_servers: LastServers::default() }
    }

    /// Finds a server for the stream: its owner if it has one, else a server with room.
    pub async fn find_server(&self, spec: &PublishSpec) -> Result<Assignment, RoutingError> {
        Search::new(self, spec).run_round().await
    }

    /// Finds a server for a publisher that has lost its own. Searches until a server takes the publisher, or says that
    /// this publisher can't go on: the encoder's connection is held as long as it takes.
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

    /// Notes that a publisher has left the server that took it last.
    pub fn record_departure(&self, PublishSpec { stream, publisher, .. }: &PublishSpec) {
        self.last_servers.record_departure(stream, publisher);
    }

    /// Notes the epoch that the turn of the stream's publisher has by now.
    pub fn raise_epoch(&self, stream: &StreamId, epoch: Epoch) {
        self.last_servers.raise_epoch(stream, epoch);
    }
}
