//! The end of a publisher's media: the rest is given to a server, which works it off.

use std::time::Duration;

use headwater_wire::publish::{PublishCall, PublishError};
use tokio::time::timeout;

use super::Publisher;
use super::end::EndReason;
use crate::source::Source;

/// How long a server may take to work off what it was sent, or servers where the first one is lost meanwhile.
const FINISH_TIMEOUT: Duration = Duration::from_secs(15);

/// What became of the last of the media.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    Given,
    /// A server had taken a part of it, or none was found, when the time was over.
    Cut,
    /// No server takes it.
    Refused,
}

impl<S: Source> Publisher<'_, S> {
    /// What the timeline still holds goes on air too, and what a lost server has not finished. When it is not taken, it is
    /// too late to say so.
    pub(super) async fn flush(&mut self) -> Rest {
        self.timeline.finish();
        let limit = self.context.stall_timeout;
        let given = async {
            self.forward_events().await?;
            if self.call.is_over() { self.replace_ended_call().await } else { Ok(()) }
        };
        let rest = match timeout(limit, given).await {
            Ok(Ok(())) => return Rest::Given,
            Ok(Err(_)) => Rest::Refused,
            Err(_) => Rest::Cut,
        };
        tracing::warn!("the last of the media could not be given to a server");
        rest
    }

    /// Stays until a server has made everything that the publisher has sent: one that is lost before is replaced.
    /// Where the rest is not given, its call ends in the middle, and a goodbye would pass for the end of the media.
    pub(super) async fn finish_with_server(&mut self, reason: &'static str, rest: Rest) {
        if rest == Rest::Refused {
            return;
        }
        let finished = async {
            if rest == Rest::Cut {
                self.fail_over(PublishError::Timeout).await?;
                self.forward_events().await?;
            }
            while let Err(cause) = self.end_media(reason).await {
                self.fail_over(cause).await?;
            }
            Ok::<_, EndReason>(())
        };
        if !matches!(timeout(FINISH_TIMEOUT, finished).await, Ok(Ok(()))) {
            tracing::warn!("the end of the media may be lost: no server has finished it");
        }
    }

    /// Waits until the server has worked off what it was sent.
    async fn end_media(&mut self, reason: &'static str) -> Result<(), PublishError> {
        // One that is gone takes none, and its last word is the error.
        let _ = self.call.send_end(reason).await;
        while let Some(response) = self.call.next_final_response().await? {
            self.handle_response(response)?;
        }
        Ok(())
    }
}

/// Says goodbye to the server of a publisher that has to leave, and waits until that has worked off what it was sent.
pub(super) async fn end_call(call: PublishCall, reason: &'static str) {
    if call.finish(reason, FINISH_TIMEOUT).await.is_err() {
        tracing::warn!("the server has not worked off what it was sent");
    }
}
