//! Who may publish a broadcast: one at a time; a silent one is replaced.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headwater_wire::v1::{PublishRequest, PublishResponse};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

/// A Publish call that waits for its turn on a broadcast, with both directions of the call.
pub struct Attachment {
    pub publisher: Publisher,
    pub requests: Streaming<PublishRequest>,
    pub responses: mpsc::Sender<Result<PublishResponse, Status>>,
}

/// One publisher's connection, as others see it.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// Tells one connection from another; made by the proxy.
    pub id: Arc<str>,
    heard: Arc<Mutex<Instant>>,
    /// Cancelled when another connection takes over.
    pub replaced: CancellationToken,
}

impl Publisher {
    pub fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            heard: Arc::new(Mutex::new(Instant::now())),
            replaced: CancellationToken::new(),
        }
    }

    pub fn hear(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub fn silent_for(&self) -> Duration {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}
