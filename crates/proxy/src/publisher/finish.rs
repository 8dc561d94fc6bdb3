//! Finish of a publisher: the rest of its media is sent to a server, which works it off.

use std::time::Duration;

use headwater_wire::publish::{PublishCall, PublishError};
use tokio::time::timeout;

use super::Publisher;
use super::end::EndReason;
use crate::source::Source;

/// Time that a server may take to work off all media, or several servers where the first one is lost meanwhile.
const FINISH_TIMEOUT: Duration = Duration::from_secs(15);

/// Fate of the last of the media.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    Given,
    /// A server had taken a part of it, or none was found, when the time was over.
    Cut,
    /// No server takes it.
    Refused,
}

impl<S: Source> Publisher<'_, S> {
    /// Sends all media that the timeline still holds, and that a lost server has not finished. If no server takes it,
    /// it is too late to tell the publisher.
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

    /// Waits until a server has worked off all that the publisher has sent; a server that is lost before is replaced. A
    /// call whose rest was refused ends without `End`, which would pass for the end of the media.
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

    /// Sends `End`, and waits until the server has worked off all media.
    async fn end_media(&mut self, reason: &'static str) -> Result<(), PublishError> {
        // A server that is gone takes no `End`; its final response is the error.
        let _ = self.call.send_end(reason).await;
        while let Some(response) = self.call.next_final_response().await? {
            self.handle_response(response)?;
        }
        Ok(())
    }
}

/// Ends the call of a publisher that has to leave, once its server has worked off all media.
pub(super) async fn end_call(call: PublishCall, reason: &'static str) {
    if call.finish(reason, FINISH_TIMEOUT).await.is_err() {
        tracing::warn!("the server has not worked off what it was sent");
    }
}
