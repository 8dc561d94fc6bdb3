//! Publisher from its start to its end, over all its connections.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Failed};
use super::{Load, Retries};
use crate::target::Target;

/// On a first connection OBS takes this for final.
const BAD_NAME: &str = "NetStream.Publish.BadName";

/// Publisher that connects again where its connection is lost.
pub struct Publisher {
    target: Target,
    load: Arc<Load>,
    /// Whether a server has accepted it before.
    known: bool,
}

impl Publisher {
    /// A publisher to this target, with its share of the load.
    pub fn new(target: Target, load: Arc<Load>) -> Self {
        Self { target, load, known: false }
    }

    /// Token that stops the publisher.
    pub fn stop_token(&self) -> CancellationToken {
        self.load.stop.clone()
    }

    /// Publishes until the recording ends or the publisher is stopped.
    pub async fn run(mut self) {
        let stop = self.stop_token();
        let mut retries = Retries::new();
        loop {
            match stop.run_until_cancelled(Connection::open(&self.target)).await {
                None => return,
                Some(Err(failed)) if self.count_refusal(&failed) => return,
                Some(Err(_)) => {}
                Some(Ok(connection)) => match self.publish_recording(connection).await {
                    Ok(()) => return,
                    Err(failed) => {
                        self.load.counts.count_lost(&self.redacted_reason(&failed));
                        retries = Retries::new();
                    }
                },
            }
            let Some(delay) = retries.next() else { return };
            if stop.run_until_cancelled(tokio::time::sleep(delay)).await.is_none() {
                return;
            }
        }
    }

    async fn publish_recording(&mut self, mut connection: Connection) -> Result<(), Failed> {
        let _on_air = self.load.counts.count_accepted(std::mem::replace(&mut self.known, true));
        connection.send_recording(&self.load).await?;
        connection.end_stream().await
    }

    /// Counts a refusal, and says whether it is final.
    fn count_refusal(&self, failed: &Failed) -> bool {
        let last = !self.known && matches!(failed, Failed::Rejected { code, .. } if code == BAD_NAME);
        self.load.counts.count_refused(&self.redacted_reason(failed));
        last
    }

    /// In words, without the key if the server repeats it.
    fn redacted_reason(&self, failed: &Failed) -> String {
        let text = match failed {
            Failed::Rejected { code, description } | Failed::Closed { code, description } => {
                format!("{description} ({code})")
            }
            Failed::Broken(text) => text.clone(),
        };
        text.replace(&self.target.key, "…")
    }
}
