//! Report of a broadcast for operators, as the server that has it on air gives it.

use std::time::Duration;

use crate::ids::{BroadcastId, Epoch, StreamId};
use crate::publisher::PublisherFacts;
use crate::stats::{Expectations, HealthSample, HealthWarning};

/// Broadcast on air at one server.
#[derive(Clone, Debug, PartialEq)]
pub struct BroadcastReport {
    pub stream: StreamId,
    pub broadcast: BroadcastId,
    pub epoch: Epoch,
    /// Publisher that is connected; none while the broadcast waits for one.
    pub publisher: Option<PublisherReport>,
    /// Newest sample of its health; none before the first one.
    pub health: Option<HealthSample>,
    /// Time since the newest statistics.
    pub silent: Duration,
    /// Values that the health is judged by.
    pub expectations: Expectations,
}

/// Publisher that is connected.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PublisherReport {
    /// Facts that its proxy has told; none where the proxy is of a release that tells none.
    pub facts: Option<PublisherFacts>,
    /// Address of its proxy, as the server sees it.
    pub proxy: String,
}

impl BroadcastReport {
    /// Warnings about the publisher; none while there is no publisher.
    pub fn find_warnings(&self) -> Vec<HealthWarning> {
        let Some(sample) = self.health.as_ref().filter(|_| self.publisher.is_some()) else {
            return Vec::new();
        };
        self.expectations.find_warnings(&sample.stats, self.silent)
    }
}
