//! Responses of a publisher's server: commits, and the end of the call.

use std::time::Duration;

use headwater_media::{Epoch, PublisherStats};
use headwater_wire::publish::{PublishError, resume_point};
use headwater_wire::v2::publish_response::{Accepted, Committed, Message as Response, Stats};
use tokio::time::{Instant, timeout_at};

use super::Publisher;
use super::end::EndReason;
use crate::source::Source;

impl<S: Source> Publisher<'_, S> {
    /// Moves to another server after the call has ended.
    pub(super) async fn replace_ended_call(&mut self) -> Result<(), EndReason> {
        let cause = self.read_final_status().await;
        self.fail_over(cause).await
    }

    /// Reads the reason why the server has ended the call. Commits that come before it still count.
    pub(super) async fn read_final_status(&mut self) -> PublishError {
        let until = Instant::now() + self.context.stall_timeout;
        loop {
            let word =
                timeout_at(until, self.call.next_response()).await.unwrap_or(Err(PublishError::Timeout));
            if let Err(cause) = word.and_then(|response| self.handle_response(response)) {
                return cause;
            }
        }
    }

    /// Handles a response, or moves to another server where the call has ended.
    pub(super) async fn handle_call_result(
        &mut self,
        response: Result<Response, PublishError>,
    ) -> Result<(), EndReason> {
        match response.and_then(|response| self.handle_response(response)) {
            Ok(()) => Ok(()),
            Err(cause) => self.fail_over(cause).await,
        }
    }

    /// Handles a response; an error ends the call.
    pub(super) fn handle_response(&mut self, response: Response) -> Result<(), PublishError> {
        match response {
            Response::Committed(Committed { resume, epoch }) => {
                self.resume = resume_point(resume)?;
                self.raise_epoch(epoch);
                self.replay.commit(&self.resume);
                self.losses = 0;
                Ok(())
            }
            Response::Stats(stats) => {
                self.record_stats(stats);
                Ok(())
            }
            // The turn has got another epoch since the publisher was accepted.
            Response::Accepted(Accepted { epoch, .. }) => {
                self.raise_epoch(epoch);
                Ok(())
            }
            // No output is encoded for yet.
            Response::OutputTag(_) => Ok(()),
            Response::Rejected(failure) => Err(PublishError::Rejected(failure)),
        }
    }

    fn raise_epoch(&mut self, epoch: Option<u64>) {
        if let Some(epoch) = epoch.map(Epoch).filter(|epoch| *epoch > self.epoch) {
            self.epoch = epoch;
            self.context.router.raise_epoch(&self.spec.stream, epoch);
        }
    }

    /// Statistics that make no sense are left out: they are no reason to leave a server.
    fn record_stats(&mut self, stats: Stats) {
        let segment = Duration::from_millis(self.resume.settings.segment_ms.into());
        match PublisherStats::try_from(stats) {
            Ok(stats) => self.health.record_stats(&stats, segment),
            Err(error) => tracing::debug!(%error, "the server's statistics can't be read"),
        }
    }
}
